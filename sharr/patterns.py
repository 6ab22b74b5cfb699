"""
Event patterns that give each finding of Security Hub to exactly one playbook.

Values are text, lists and objects only: numbers and booleans do not survive every way into a template. An event's
arrays are flattened: a pattern matches if one element of `findings` has all of its values.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html; for arrays also
https://github.com/aws/event-ruler, the library that EventBridge matches with (README, "JSON Array Matching").
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from sharr.finding import CUSTOM_ACTION, IMPORTED, PRODUCT, SOURCE
from sharr.standards import Standard

Pattern = dict[str, Any]

LONGEST_PATTERN: Final = 2048
"""Characters. Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""

# A custom product's ARN ends in its account and id; its owner chooses ProductName, so that says nothing.
OWN_PRODUCT: Final = f"::{PRODUCT}"


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


def unserved_pattern(served: Iterable[Standard], action_arns: Any) -> Pattern:
    """
    Return the pattern of what somebody pressed one of our buttons on and none of the *served* standards takes.

    That is another product's finding, or one of a standard whose playbook is not loaded: the answer is a note.
    """
    served = list(served)
    texts = sorted({generator.text for standard in served for generator in standard.generators})
    others: list[Pattern] = [{"ProductArn": [{"anything-but": {"suffix": OWN_PRODUCT}}]}]
    if texts:
        ends_open = [text if text.endswith("*") else f"{text}*" for text in texts]
        others.append({"GeneratorId": [{"anything-but": {"wildcard": ends_open}}]})
    else:
        others.append({"ProductArn": [{"suffix": OWN_PRODUCT}]})
    only = [standard for standard in served if standard.associated_only]
    excepting = [standard for standard in served if standard.associated_except]
    # SC and Tagging share a generator: where just one of them is loaded, the other's findings are unserved.
    if only and not excepting:
        rest: Pattern = {"StandardsId": [{"anything-but": [standard.associated_only for standard in only]}]}
        others.append(_sharing(only, rest))
    if excepting and not only:
        rest = {"StandardsId": [standard.associated_except for standard in excepting]}
        others.append(_sharing(excepting, rest))
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


def _sharing(standards: list[Standard], associated: Pattern) -> Pattern:
    """Return what matches the generators of *standards* where their findings' AssociatedStandards are *associated*."""
    generators = [generator for standard in standards for generator in _generators(standard)]
    return {"GeneratorId": generators, "Compliance": {"AssociatedStandards": associated}}
