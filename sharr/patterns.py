"""
Event patterns that give each finding of Security Hub to exactly one playbook.

Values are text, lists and objects only: numbers and booleans do not survive every way into a template. An event's
arrays are flattened: a pattern matches if one element of `findings` has all of its values.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html; for arrays also
https://github.com/aws/event-ruler, the library that EventBridge matches with (README, "JSON Array Matching").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from sharr.finding import CUSTOM_ACTION, IMPORTED, PRODUCT, SOURCE
from sharr.standards import Standard

Pattern = dict[str, Any]

LONGEST_PATTERN: Final = 2048
"""Characters. Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""

# A custom product's ARN ends in its account and id; its owner chooses ProductName, so that says nothing.
OWN_PRODUCT: Final = f"::{PRODUCT}"

NOTHING: Final[Any] = {"Ref": "AWS::NoValue"}
"""The element of a list that is left out, as CloudFormation has it."""
NOBODYS_GENERATOR: Final = "-"
"""No GeneratorId is this, so that a list with it is never empty and takes nothing more."""
IfLoaded = Callable[[Standard, Any, Any], Any]
"""(standard, then, otherwise) -> any JSON that is *then* in the end where the standard's playbook is loaded."""


def automatic_pattern(standard: Standard, controls: Any) -> Pattern:
    """
    Return the pattern of the findings of *standard* to repair by themselves.

    *controls* is any JSON value that is a list of security control ids in the end: a CloudFormation Ref to a
    CommaDelimitedList, so that what is not switched on costs nothing.
    """
    return {
        "source": [SOURCE],
        "detail-type": [IMPORTED],
        "detail": {
            "findings": {
                "ProductArn": [{"suffix": OWN_PRODUCT}],
                "GeneratorId": _generators(standard),
                "Compliance": {"Status": ["FAILED"], "SecurityControlId": controls, **_associated(standard)},
                "Workflow": {"Status": ["NEW"]},
                "RecordState": ["ACTIVE"],
            }
        },
    }


def chunks(standard: Standard, controls: Iterable[str]) -> list[list[str]]:
    """Return *controls* in as few lists as their automatic patterns fit into; at least one, which may be empty."""
    found: list[list[str]] = [[]]
    for control in controls:
        longer = automatic_pattern(standard, [*found[-1], control])
        if found[-1] and len(json.dumps(longer, separators=(",", ":"))) > LONGEST_PATTERN:
            found.append([])
        found[-1].append(control)
    return found


def recheck_pattern(standard: Standard, author: str) -> Pattern:
    """Return the pattern of findings of *standard* that fail though *author* resolved them: see guards.disagrees."""
    pattern = automatic_pattern(standard, None)
    findings = pattern["detail"]["findings"]
    del findings["Compliance"]["SecurityControlId"]
    findings["Workflow"] = {"Status": ["RESOLVED"]}
    findings["Note"] = {"UpdatedBy": [author]}
    return pattern


def button_pattern(standard: Standard, action_arns: Any) -> Pattern:
    """
    Return the pattern of the findings of *standard* that somebody selected before pressing one of our buttons.

    *action_arns* is any JSON value that is a list of ARNs of custom actions in the end. A person may select any
    finding, so its status and its control do not matter here: the guards answer.
    """
    associated = _associated(standard)
    return {
        "source": [SOURCE],
        "detail-type": [CUSTOM_ACTION],
        "resources": action_arns,
        "detail": {
            "findings": {
                "ProductArn": [{"suffix": OWN_PRODUCT}],
                "GeneratorId": _generators(standard),
                **({"Compliance": associated} if associated else {}),
            }
        },
    }


def unserved_pattern(standards: Iterable[Standard], action_arns: Any, if_loaded: IfLoaded) -> Pattern:
    """
    Return the pattern of what somebody pressed one of our buttons on and no loaded playbook takes.

    That is another product's finding, or one of a standard whose playbook is not loaded: the answer is a note.
    *if_loaded* chooses by a standard's playbook, where that is known: a Fn::If in a template. No list is ever empty.
    """
    standards = list(standards)
    by_text: dict[str, list[Standard]] = {}
    for standard in standards:
        for generator in standard.generators:
            by_text.setdefault(generator.text, []).append(standard)
    taken: list[Any] = [NOBODYS_GENERATOR]
    for text, sharing in sorted(by_text.items()):
        chosen: Any = NOTHING
        for standard in sharing:
            chosen = if_loaded(standard, text if text.endswith("*") else f"{text}*", chosen)
        taken.append(chosen)
    others: list[Any] = [
        {"ProductArn": [{"anything-but": {"suffix": OWN_PRODUCT}}]},
        {"GeneratorId": [{"anything-but": {"wildcard": taken}}]},
    ]
    # SC and Tagging share a generator: where just one of them is loaded, the other's findings are unserved.
    for standard in standards:
        for other in standards:
            if standard.associated_only is None or other.associated_except != standard.associated_only:
                continue
            name = standard.associated_only
            rest = _sharing(standard, {"StandardsId": [{"anything-but": [name]}]})
            tagging = _sharing(other, {"StandardsId": [name]})
            others.append(if_loaded(standard, if_loaded(other, NOTHING, rest), if_loaded(other, tagging, NOTHING)))
    return {
        "source": [SOURCE],
        "detail-type": [CUSTOM_ACTION],
        "resources": action_arns,
        "detail": {"findings": {"$or": others}},
    }


def _generators(standard: Standard) -> list[Pattern]:
    return [{generator.kind: generator.text} for generator in standard.generators]


def _associated(standard: Standard) -> Pattern:
    """
    Return the part of Compliance that tells SC and Tagging apart, {} for every standard with a generator of its own.

    `anything-but` on an array matches if *one* element is something else. No control is in the tagging standard and in
    another one, so that a finding's list has either that one or only others; should that ever change, both playbooks
    get the finding, parse_finding calls it Tagging, and the one with the other name leaves it.
    """
    if standard.associated_only is not None:
        return {"AssociatedStandards": {"StandardsId": [standard.associated_only]}}
    if standard.associated_except is not None:
        return {"AssociatedStandards": {"StandardsId": [{"anything-but": [standard.associated_except]}]}}
    return {}


def _sharing(standard: Standard, associated: Pattern) -> Pattern:
    """Return what matches the generators of *standard* where a finding's AssociatedStandards are *associated*."""
    return {"GeneratorId": _generators(standard), "Compliance": {"AssociatedStandards": associated}}
