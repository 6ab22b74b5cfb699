"""SSM Automation documents of schema 0.3: what is wrong with one, and how its references and selectors are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

LARGEST_DOCUMENT = 64 * 1024
"""Bytes. Source: https://docs.aws.amazon.com/general/latest/gr/ssm.html"""

REFERENCE = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")
SYSTEM_VARIABLES = (
    "global:ACCOUNT_ID",
    "global:DATE",
    "global:DATE_TIME",
    "global:AWS_PARTITION",
    "global:REGION",
    "automation:EXECUTION_ID",
)
"""Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-variables.html"""

ROLE_TYPE = "AWS::IAM::Role::Arn"
_PARAMETER_TYPES = ("String", "StringList", "Integer", "Boolean", "MapList", "StringMap", ROLE_TYPE)
_OUTPUT_TYPES = ("String", "StringList", "Integer", "Boolean", "MapList", "StringMap")
_DOCUMENT_KEYS = {"schemaVersion", "description", "assumeRole", "parameters", "mainSteps", "outputs"}
_PARAMETER_KEYS = {
    "type",
    "description",
    "default",
    "allowedValues",
    "allowedPattern",
    "minChars",
    "maxChars",
    "minItems",
    "maxItems",
    "displayType",
}
_STEP_KEYS = {
    "name",
    "description",
    "action",
    "inputs",
    "outputs",
    "onFailure",
    "onCancel",
    "isCritical",
    "isEnd",
    "nextStep",
    "maxAttempts",
    "timeoutSeconds",
}
_API_ACTIONS = ("aws:executeAwsApi", "aws:assertAwsResourceProperty", "aws:waitForAwsResourceProperty")
_INPUTS: Mapping[str, tuple[set[str], set[str]]] = {
    "aws:executeScript": ({"Runtime", "Handler", "Script"}, {"InputPayload"}),
    "aws:sleep": ({"Duration"}, set()),
    "aws:branch": ({"Choices"}, {"Default"}),
}
"""Required and optional inputs; aws:sleep's Timestamp and a script's Attachment are not emulated."""

_OWN_OUTPUTS = {
    "aws:executeScript": ("Payload", "OutputPayload", "ExecutionLog"),
    "aws:executeAwsApi": ("OutputPayload",),
}
COMPARISONS = (
    "StringEquals",
    "EqualsIgnoreCase",
    "StartsWith",
    "EndsWith",
    "Contains",
    "NumericEquals",
    "NumericGreater",
    "NumericLesser",
    "NumericGreaterOrEquals",
    "NumericLesserOrEquals",
    "BooleanEquals",
)
"""Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-branch.html"""

_SELECTOR = re.compile(r"\$(\.[A-Za-z0-9_-]+|\['[^']+'\]|\[[0-9]+\]|\[\*\])*")
_STEP_OF_SELECTOR = re.compile(r"\.([A-Za-z0-9_-]+)|\['([^']+)'\]|\[([0-9]+)\]|(\[\*\])")


class InvalidDocument(ValueError):
    """A document that SSM refuses, or that the sandbox cannot run as SSM would."""


def parsed(content: str, format_: str) -> dict[str, Any]:
    """
    Return an Automation document's content, checked.

    Raises InvalidDocument for what SSM refuses, and for every action or property that is not emulated here.

    Source: https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html and
    https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-actions.html
    """
    try:
        document = json.loads(content) if format_ == "JSON" else yaml.safe_load(content)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise InvalidDocument(f"the content is no {format_}: {error}") from error
    if not isinstance(document, dict):
        raise InvalidDocument("the content is not an object")
    try:
        complaint = next(_complaints(document), None)
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidDocument(f"a part of the document has the wrong type: {error}") from error
    if complaint is not None:
        raise InvalidDocument(complaint)
    return document


def references(value: Any) -> Iterator[str]:
    """Give the name in every `{{ name }}` anywhere in *value*."""
    if isinstance(value, str):
        yield from REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from references(item)


def substituted(value: Any, variables: Mapping[str, Any]) -> Any:
    """
    Return *value* with every `{{ name }}` replaced, once: what comes in is not read again.

    A string that is one reference becomes the variable's value with its type; within a longer string, values that are
    no strings are written as JSON. Raises InvalidDocument for an unknown name.
    """
    if isinstance(value, str):
        whole = REFERENCE.fullmatch(value.strip())
        if whole:
            return _variable(whole[1], variables)
        return REFERENCE.sub(lambda found: written(_variable(found[1], variables)), value)
    if isinstance(value, Mapping):
        return {key: substituted(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [substituted(item, variables) for item in value]
    return value


def written(value: Any) -> str:
    """Return a value as Automation writes it into a string."""
    return value if isinstance(value, str) else json.dumps(value)


def selected(selector: str, value: Any) -> Any:
    """Return what a selector like `$.Payload.items[0].name` finds in *value*; raises LookupError where nothing is."""
    for index, (name, quoted, number, every) in enumerate(found := _STEP_OF_SELECTOR.findall(selector[1:])):
        if every:
            rest = "$" + "".join(_text_of(step) for step in found[index + 1 :])
            return [selected(rest, item) for item in value]
        try:
            value = value[int(number)] if number else value[name or quoted]
        except (KeyError, IndexError, TypeError) as error:
            raise LookupError(selector) from error
    return value


def has_type(value: Any, type_: str) -> bool:
    """Tell whether *value* is of one of Automation's types."""
    if type_ == "Boolean":
        return isinstance(value, bool)
    if type_ == "Integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if type_ == "StringList":
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    if type_ == "MapList":
        return isinstance(value, list) and all(isinstance(item, dict) for item in value)
    if type_ == "StringMap":
        return isinstance(value, dict)
    return isinstance(value, str)


def own_outputs(action: str) -> tuple[str, ...]:
    """Return the outputs that an action has without being asked for them."""
    return _OWN_OUTPUTS.get(action, ())


def _text_of(step: tuple[str, str, str, str]) -> str:
    name, quoted, number, every = step
    return every or (f"[{number}]" if number else f".{name}" if name else f"['{quoted}']")


def _variable(name: str, variables: Mapping[str, Any]) -> Any:
    if name not in variables:
        raise InvalidDocument(f"{{{{ {name} }}}} is unknown")
    return variables[name]


def _complaints(document: Mapping[str, Any]) -> Iterator[str]:
    if str(document.get("schemaVersion")) != "0.3":
        yield f"schemaVersion is {document.get('schemaVersion')!r}: an Automation document has '0.3'"
    yield from _strangers("the document", document, _DOCUMENT_KEYS)
    steps = document.get("mainSteps")
    if not isinstance(steps, list) or not steps or not all(isinstance(step, dict) for step in steps):
        yield "mainSteps must be a list of at least one step"
        return
    parameters = document.get("parameters", {})
    for name, parameter in parameters.items():
        yield from _parameter_complaints(name, parameter)
    names = [str(step.get("name")) for step in steps]
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_]{1,128}", name):
            yield f"step name {name!r} must be letters, digits and underscores"
        if names.count(name) > 1:
            yield f"step name {name!r} is there twice"
    known = {*parameters, *SYSTEM_VARIABLES}
    for step in steps:
        declared = [output.get("Name") for output in step.get("outputs", [])]
        known |= {f"{step['name']}.{output}" for output in (*own_outputs(str(step.get("action"))), *declared)}
    for step in steps:
        yield from _step_complaints(step, names, known)
    yield from _reference_complaints("assumeRole", document.get("assumeRole", ""), {*parameters, *SYSTEM_VARIABLES})
    if not document.get("assumeRole"):
        yield "assumeRole is missing: the sandbox runs no document with its starter's own permissions"
    for output in document.get("outputs", []):
        if output not in known:
            yield f"output {output!r} is no output of a step"


def _parameter_complaints(name: str, parameter: Mapping[str, Any]) -> Iterator[str]:
    if not re.fullmatch(r"[A-Za-z0-9_]{1,50}", name):
        yield f"parameter name {name!r} must be 1 to 50 letters, digits and underscores"
    yield from _strangers(f"parameter {name}", parameter, _PARAMETER_KEYS)
    if parameter.get("type") not in _PARAMETER_TYPES:
        yield f"parameter {name}: type {parameter.get('type')!r} is not emulated"
    if "allowedPattern" in parameter:
        try:
            re.compile(parameter["allowedPattern"])
        except re.error as error:
            yield f"parameter {name}: allowedPattern: {error}"


def _step_complaints(step: Mapping[str, Any], names: Sequence[str], known: set[str]) -> Iterator[str]:
    where, action, inputs = f"step {step['name']}", str(step.get("action")), step.get("inputs", {})
    yield from _strangers(where, step, _STEP_KEYS)
    if action in _API_ACTIONS:
        required, optional = {"Service", "Api"}, set(inputs)
        if action != "aws:executeAwsApi":
            required |= {"PropertySelector", "DesiredValues"}
            yield from _selector_complaints(where, inputs.get("PropertySelector"))
    elif action in _INPUTS:
        required, optional = _INPUTS[action]
    else:
        yield f"{where}: action {action!r} is unknown or not emulated"
        return
    yield from _strangers(f"{where}: inputs", inputs, required | optional)
    for missing in sorted(required - inputs.keys()):
        yield f"{where}: input {missing} is missing"
    if action == "aws:executeScript":
        if inputs.get("Runtime") != "python3.11":
            yield f"{where}: Runtime is {inputs.get('Runtime')!r}: the sandbox runs python3.11"
        if "{{" in str(inputs.get("Script")):
            yield f"{where}: '{{{{' within Script: Automation would replace it; pass values in InputPayload"
        inputs = {key: value for key, value in inputs.items() if key != "Script"}
    yield from _reference_complaints(where, inputs, known)
    yield from _flow_complaints(where, step, names)
    for output in step.get("outputs", []):
        yield from _strangers(f"{where}: output", output, {"Name", "Selector", "Type"})
        yield from _selector_complaints(where, output.get("Selector"))
        if output.get("Type", "String") not in _OUTPUT_TYPES:
            yield f"{where}: output {output.get('Name')}: type {output.get('Type')!r} is unknown"


def _flow_complaints(where: str, step: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    on_failure = step.get("onFailure", "Abort")
    if on_failure not in ("Abort", "Continue") and not on_failure.startswith("step:"):
        yield f"{where}: onFailure is {on_failure!r}: expected Abort, Continue or step:NAME"
    if step.get("onCancel", "Abort") != "Abort":
        yield f"{where}: onCancel is {step['onCancel']!r}: only Abort is emulated"
    for name in ("isEnd", "isCritical"):
        if not isinstance(step.get(name, False), bool):
            yield f"{where}: {name} must be true or false"
    for name in ("maxAttempts", "timeoutSeconds"):
        value = step.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            yield f"{where}: {name} must be a positive integer"
    targets = [step["nextStep"]] if "nextStep" in step else []
    targets += [on_failure.removeprefix("step:")] if on_failure.startswith("step:") else []
    if step.get("action") == "aws:branch":
        choices = step.get("inputs", {}).get("Choices", [])
        targets += [choice.get("NextStep") for choice in choices]
        targets += [step["inputs"]["Default"]] if "Default" in step.get("inputs", {}) else []
        for choice in choices:
            yield from _choice_complaints(where, {k: v for k, v in choice.items() if k != "NextStep"})
    for target in targets:
        if target not in names:
            yield f"{where}: next step {target!r} is no step"


def _choice_complaints(where: str, choice: Any) -> Iterator[str]:
    if not isinstance(choice, Mapping):
        yield f"{where}: a choice must be an object"
    elif len(choice) == 1 and (every := choice.get("And", choice.get("Or"))) is not None:
        for one in every:
            yield from _choice_complaints(where, one)
    elif len(choice) == 1 and "Not" in choice:
        yield from _choice_complaints(where, choice["Not"])
    elif len(choice) != 2 or "Variable" not in choice or not set(choice) - {"Variable"} <= set(COMPARISONS):
        yield f"{where}: a choice needs Variable and one of {', '.join(COMPARISONS)}"


def _selector_complaints(where: str, selector: Any) -> Iterator[str]:
    if not isinstance(selector, str) or not _SELECTOR.fullmatch(selector):
        yield f"{where}: selector {selector!r} is not emulated: use $, .name, ['name'], [0], [*]"


def _reference_complaints(where: str, value: Any, known: set[str]) -> Iterator[str]:
    for name in references(value):
        if name not in known:
            yield f"{where}: {{{{ {name} }}}} is no parameter, step output or system variable"


def _strangers(where: str, given: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    for stranger in sorted(set(given) - known):
        yield f"{where}: property {stranger!r} is unknown or not emulated"
