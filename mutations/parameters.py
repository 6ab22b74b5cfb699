"""
What may be chosen: each check of a stack's parameter, of a runbook's, and of a remediation's own.

A table says what must be refused. The stacks' parameters are checked as CloudFormation does, the runbooks' as Systems
Manager does, both by the sandbox; the remediations' by the code that makes the target of an attempt.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from mutations.mutant import Mutant, Verdict
from sandbox import scene
from sandbox.additions import ssm_automation
from sandbox.additions.wire import Refused
from sandbox.assets import Assembly
from sandbox.cloudformation import TemplateError, read_template, resolve_parameters
from sharr.choices import check_choices
from sharr.compose import document
from sharr.loader import load_all
from sharr.remediation import BadParameter, Parameter, Remediation

Json = Any
STACKS = ("sharr-admin", "sharr-member", "sharr-member-roles")
CHECKS = ("AllowedPattern", "AllowedValues", "MinValue", "MaxValue", "MinLength", "MaxLength")
EVIL = (
    "x; rm -rf /",
    "*x",
    "a\nb",
    "a" * 4050,
    "-1",
    "0",
    "1",
    "100000",
    "99999999999999",
    "é",
    "'; --",
    "o-",
    "yes,no",
)
"""Values that no parameter of ours may take; but that one of them is fine for another one, as 1 is for days."""
RIGHT: Mapping[str, str] = {"SecHubAdminAccount": "111111111111", "HomeRegion": "us-east-1"}
FINE: Mapping[str, frozenset[str]] = {
    "RemediationParameters": frozenset(
        {"x; rm -rf /", "*x", "-1", "0", "1", "100000", "99999999999999", "'; --", "o-", "yes,no"}
    ),
    "LogRetentionDays": frozenset({"1"}),
    "RepairsPerHour": frozenset({"0", "1", "100000"}),
    "FirstRepairsOneByOne": frozenset({"0", "1"}),
    "ExistingTable": frozenset({"100000", "99999999999999"}),
}


def of_stacks() -> list[Verdict]:
    """Take each check from each parameter of each stack."""
    found = []
    for stack in STACKS:
        template = read_template(Assembly(scene.assembly()).template(stack)[1])
        given = {name: RIGHT[name] for name in template["Parameters"] if name in RIGHT}
        resolve_parameters(template, given, _no_ssm)
        for name, parameter in template["Parameters"].items():
            refused = [value for value in (*EVIL, "") if not _taken(template, given, name, value)]
            wanted = [value for value in EVIL if value not in FINE.get(name, ())]
            if missing := set(wanted) - set(refused) - {str(v) for v in parameter.get("AllowedValues", ())}:
                raise AssertionError(f"{stack}: {name} takes {sorted(missing)}")
            for check in CHECKS:
                if check not in parameter:
                    continue
                changed = copy.deepcopy(template)
                del changed["Parameters"][name][check]
                through = [value for value in refused if _taken(changed, given, name, value)]
                killer = f"{name} takes {through[0][:20]!r}" if through else ""
                found.append(Verdict(Mutant("parameter check", f"{stack}: {check} of {name}"), killer))
    return found


def _no_ssm(name: str) -> str:
    raise LookupError(name)


def _taken(template: Json, given: Mapping[str, str], name: str, value: str) -> bool:
    try:
        resolve_parameters(template, {**given, name: value}, _no_ssm)
    except TemplateError:
        return False
    return True


def of_remediations() -> list[Verdict]:
    """Take minimum, maximum and pattern from each parameter of each remediation: the target must be refused."""
    found = []
    for remediation in load_all():
        for parameter in remediation.parameters:
            for check, value in _beyond(parameter):
                mutant = Mutant("parameter check", f"{remediation.id}: {check} of {parameter.name}")
                if _chosen(remediation, parameter.name, value):
                    raise AssertionError(f"{mutant.name}: {value!r} is taken")
                others = tuple(_free(p, check) if p is parameter else p for p in remediation.parameters)
                free = _chosen(replace(remediation, parameters=others), parameter.name, value)
                found.append(Verdict(mutant, f"{parameter.name} takes {value[:20]!r}" if free else ""))
    return found


def _beyond(parameter: Parameter) -> Iterator[tuple[str, str]]:
    if parameter.minimum is not None:
        yield "minimum", str(parameter.minimum - 1)
    if parameter.maximum is not None:
        yield "maximum", str(parameter.maximum + 1)
    if parameter.pattern is not None:
        wrong = (
            text for text in ("!! not what anybody means !!", "~" * 250, "a" * 250, "") if not _fits(parameter, text)
        )
        yield "pattern", next(wrong)


def _fits(parameter: Parameter, text: str) -> bool:
    try:
        parameter.typed(text)
    except BadParameter:
        return False
    return True


def _chosen(remediation: Remediation, name: str, value: str) -> bool:
    """Tell whether the stack and the finding's own parameters may say this: either of them is a way in."""
    parameter = next(p for p in remediation.parameters if p.name == name)
    control = remediation.controls[0]
    try:
        check_choices([remediation], f"{control}:{name}={value}")
    except BadParameter:
        try:
            parameter.value(control, {key: [value] for key in parameter.finding}, {name: value})
        except BadParameter:
            return False
    return True


EVIL_INPUTS = {
    "ResourceId": "{{ global:ACCOUNT_ID }}; *",
    "Control": "S3.9999",
    "AttemptId": "../x",
    "Parameters": "x=1",
}


def of_runbooks() -> list[Verdict]:
    """Take each check from each input of each runbook: Systems Manager must refuse to start it."""
    found = []
    for remediation in load_all():
        if "runbook" not in remediation.places:
            continue
        for name, declared in document(remediation)["parameters"].items():
            for check in ("allowedPattern", "allowedValues"):
                if check not in declared:
                    continue
                mutant = Mutant("parameter check", f"{remediation.document_name}: {check} of {name}")
                if _starts(name, declared):
                    raise AssertionError(f"{mutant.name}: {EVIL_INPUTS[name]!r} is taken")
                free = {key: value for key, value in declared.items() if key != check}
                killer = f"{name} takes {EVIL_INPUTS[name]!r}" if _starts(name, free) else ""
                found.append(Verdict(mutant, killer))
    return found


def _starts(name: str, declared: Mapping[str, Any]) -> bool:
    try:
        ssm_automation._allowed(name, declared, EVIL_INPUTS[name])
    except Refused:
        return False
    return True


def _free(parameter: Parameter, check: str) -> Parameter:
    free: Mapping[str, Any] = {check: None}
    return replace(parameter, **free)
