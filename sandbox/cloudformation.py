"""
AWS CloudFormation in the sandbox: stacks from templates, created, updated, rolled back and deleted.

An engine of our own. What it does not know (a section, an intrinsic function, a resource type, a property) is an
error, never a skip. The types themselves are in resource_types.py.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from sandbox.assets import AssetNotFound

if TYPE_CHECKING:
    from sandbox.stack_sets import StackSets
    from sandbox.world import Sandbox

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
TEMPLATE_LIMIT = 1_000_000  # bytes of a template in S3
RESOURCE_LIMIT = 500
PARAMETER_LIMIT = 200
PARAMETER_VALUE_LIMIT = 4096  # bytes
OUTPUT_LIMIT = 200
MAPPING_LIMIT = 200
DESCRIPTION_LIMIT = 1024  # bytes


@dataclass(frozen=True, slots=True)
class Buckets:
    """Reads objects of the sandbox's own buckets as whoever deploys: *client* gives S3 in a Region for them."""

    client: Callable[[str], Any]

    def read(self, bucket: str, key: str, region: str) -> bytes:
        """Return an object's content. Raises ClientError as S3 does."""
        return bytes(self.client(region).get_object(Bucket=bucket, Key=key)["Body"].read())


ReadAsset = Callable[[str], bytes] | Buckets
"""What a template's files are read with: by their object key out of a cloud assembly, or from buckets."""


class TemplateError(ValueError):
    """CloudFormation would refuse the template or its parameters; nothing was made."""


class DeployError(Exception):
    """A resource could not be made, changed or deleted. The text names stack, resource and reason."""

    def __init__(self, stack: str, resource: str, reason: str) -> None:
        super().__init__(f"{stack}/{resource}: {reason}")
        self.stack, self.resource, self.reason = stack, resource, reason


class ResourceFailed(Exception):
    """A resource type's handler could not do what it should; the text says why."""


class StackNotFound(LookupError):
    """There is no stack of this name in the account and Region."""


class NotUpdatable(Exception):
    """A change needs the resource to be replaced."""


class _NoValue:
    """AWS::NoValue: the property that has it is taken away."""


NO_VALUE = _NoValue()


@dataclass(slots=True)
class Resource:
    """A resource that is there. *properties* are resolved; *attributes* are what Fn::GetAtt gives."""

    logical_id: str
    type: str
    physical_id: str
    attributes: dict[str, Any]
    properties: dict[str, Any]
    deletion_policy: str = "Delete"
    update_replace_policy: str = "Delete"
    status: str = "CREATE_COMPLETE"
    changed_at: datetime | None = None


@dataclass(slots=True)
class StackRecord:
    """A stack that is there, or was; *parent* is the ARN of the stack that it is nested in."""

    name: str
    id: str
    account: str
    region: str
    template: dict[str, Any]
    parameters: dict[str, str]
    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    exports: dict[str, str] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)
    status: str = "CREATE_COMPLETE"
    reason: str | None = None
    parent: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a deployment made: outputs by name, physical ids by logical id."""

    stack_id: str
    outputs: Mapping[str, str]
    resources: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a handler works, and what it may ask the engine."""

    world: Sandbox
    engine: Engine
    stack: StackRecord
    logical_id: str
    read_asset: ReadAsset

    def read_object(self, bucket: str, key: str) -> bytes:
        """Return the content of a file that a template names. Raises AssetNotFound, ClientError."""
        if isinstance(self.read_asset, Buckets):
            return self.read_asset.read(bucket, key, self.region)
        return self.read_asset(key)

    @property
    def account(self) -> str:
        return self.stack.account

    @property
    def region(self) -> str:
        return self.stack.region

    @property
    def partition(self) -> str:
        return partition_of(self.region)

    def client(self, service: str) -> Any:
        return self.world.identity.client(service, self.account, self.region)

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """Return an ARN in this account, and in this Region if *region* names no other ("" for none)."""
        where = self.region if region is None else region
        return f"arn:{self.partition}:{service}:{where}:{self.account}:{resource}"

    def physical_name(self, longest: int) -> str:
        """
        Return a name as CloudFormation makes it up: stack, logical id, twelve characters; the same for the same stack.

        Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-name.html
        """
        return physical_name(self.stack, self.logical_id, longest)


def physical_name(stack: StackRecord, logical_id: str, longest: int) -> str:
    """See Place.physical_name()."""
    seed = f"{stack.id}/{logical_id}"
    digest = hashlib.sha256(seed.encode()).digest()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    random = "".join(alphabet[byte % len(alphabet)] for byte in digest[:12])
    head = f"{stack.name}-{logical_id}"
    room = longest - len(random) - 1
    if len(head) > room:
        kept = max(1, (room - 1) // 2)
        head = f"{stack.name[:kept]}-{logical_id[: room - 1 - min(kept, len(stack.name))]}"
    return f"{head}-{random}"


def partition_of(region: str) -> str:
    """Return the partition of a Region."""
    prefixes = {
        "cn-": "aws-cn",
        "us-gov-": "aws-us-gov",
        "us-iso-": "aws-iso",
        "us-isob-": "aws-iso-b",
        "eusc-": "aws-eusc",
    }
    return next((partition for prefix, partition in prefixes.items() if region.startswith(prefix)), "aws")


_URL_SUFFIX = {
    "aws": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-us-gov": "amazonaws.com",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-eusc": "amazonaws.eu",
}


# ------------------------------------------------------------------------------------------------- reading a template
_SECTIONS = frozenset(
    {
        "AWSTemplateFormatVersion",
        "Description",
        "Metadata",
        "Parameters",
        "Rules",
        "Mappings",
        "Conditions",
        "Resources",
        "Outputs",
    }
)
_PARAMETER_KEYS = frozenset(
    {
        "Type",
        "Default",
        "AllowedValues",
        "AllowedPattern",
        "ConstraintDescription",
        "Description",
        "MinLength",
        "MaxLength",
        "MinValue",
        "MaxValue",
        "NoEcho",
    }
)
_RESOURCE_KEYS = frozenset(
    {"Type", "Properties", "DependsOn", "Condition", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"}
)
_POLICIES = frozenset({"Delete", "Retain", "RetainExceptOnCreate"})
_PSEUDO = frozenset(
    {
        "AWS::AccountId",
        "AWS::NoValue",
        "AWS::NotificationARNs",
        "AWS::Partition",
        "AWS::Region",
        "AWS::StackId",
        "AWS::StackName",
        "AWS::URLSuffix",
    }
)


def read_template(text: str) -> dict[str, Any]:
    """
    Return the template of a JSON text after all checks that need no parameter.

    Raises TemplateError: too large, unknown sections or keys, references to nothing, cycles.
    """
    size = len(text.encode())
    if size > TEMPLATE_LIMIT:
        raise TemplateError(f"the template has {size} bytes, more than {TEMPLATE_LIMIT}")
    try:
        template = json.loads(text)
    except json.JSONDecodeError as error:
        raise TemplateError(f"the template is no JSON: {error}") from error
    if not isinstance(template, dict):
        raise TemplateError("the template is no object")
    if "Transform" in template:
        raise TemplateError("Transform: macros and transforms are not known to the sandbox")
    unknown = set(template) - _SECTIONS
    if unknown:
        raise TemplateError(f"Invalid template property or properties {sorted(unknown)}")
    resources = template.get("Resources")
    if not isinstance(resources, dict) or not resources:
        raise TemplateError("At least one Resources member must be defined.")
    for section, limit in (
        ("Resources", RESOURCE_LIMIT),
        ("Parameters", PARAMETER_LIMIT),
        ("Outputs", OUTPUT_LIMIT),
        ("Mappings", MAPPING_LIMIT),
    ):
        if len(template.get(section, {})) > limit:
            raise TemplateError(f"{section} has {len(template[section])} members, more than {limit}")
    if len(template.get("Description", "").encode()) > DESCRIPTION_LIMIT:
        raise TemplateError(f"Description has more than {DESCRIPTION_LIMIT} bytes")
    for name in (*resources, *template.get("Parameters", {}), *template.get("Outputs", {})):
        if not re.fullmatch("[A-Za-z0-9]{1,255}", name):
            raise TemplateError(f"Resource, parameter or output name {name} is non alphanumeric.")
    for name, parameter in template.get("Parameters", {}).items():
        unknown = set(parameter) - _PARAMETER_KEYS
        if unknown:
            raise TemplateError(f"Parameters/{name}: unknown {sorted(unknown)}")
    for name, resource in resources.items():
        _check_resource(name, resource)
    _check_references(template)
    creation_order(template)
    return template


def _check_resource(name: str, resource: Any) -> None:
    if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
        raise TemplateError(f"Resources/{name}: has no Type")
    unknown = set(resource) - _RESOURCE_KEYS
    if unknown:
        raise TemplateError(f"Resources/{name}: {sorted(unknown)} not known to the sandbox")
    for key in ("DeletionPolicy", "UpdateReplacePolicy"):
        if resource.get(key, "Delete") not in _POLICIES:
            raise TemplateError(f"Resources/{name}: {key} {resource[key]!r} is not one of {sorted(_POLICIES)}")
    from sandbox.resource_types import handler_for

    handler = handler_for(resource["Type"])
    if handler is None:
        raise TemplateError(f"Resources/{name}: resource type {resource['Type']} is not known to the sandbox")
    handler.check_names(name, resource.get("Properties", {}))


def _check_references(template: Mapping[str, Any]) -> None:
    resources, parameters = template["Resources"], template.get("Parameters", {})
    conditions = template.get("Conditions", {})
    for name, resource in resources.items():
        for target in _depends_on(resource):
            if target not in resources:
                raise TemplateError(f"Resources/{name}: DependsOn {target} is not in the template")
        for target in references(resource.get("Properties", {})):
            if target not in resources and target not in parameters and target not in _PSEUDO:
                raise TemplateError(f"Unresolved resource dependencies [{target}] in the Resources block ({name})")
        if resource.get("Condition", None) not in (None, *conditions):
            raise TemplateError(f"Resources/{name}: Condition {resource['Condition']} is not in the template")
    for name, output in template.get("Outputs", {}).items():
        if set(output) - {"Value", "Description", "Export", "Condition"} or "Value" not in output:
            raise TemplateError(f"Outputs/{name}: needs a Value, and takes Description, Export and Condition")
        if output.get("Condition", None) not in (None, *conditions):
            raise TemplateError(f"Outputs/{name}: Condition {output['Condition']} is not in the template")
        for target in references(output):
            if target not in resources and target not in parameters and target not in _PSEUDO:
                raise TemplateError(f"Unresolved resource dependencies [{target}] in the Outputs block ({name})")
    for name, condition in conditions.items():
        for target in references(condition):
            if target not in parameters and target not in _PSEUDO:
                raise TemplateError(f"Conditions/{name}: {target} is no parameter")


def references(value: Any) -> Iterator[str]:
    """Yield what a part of a template refers to by Ref, Fn::GetAtt and Fn::Sub, in every branch."""
    if isinstance(value, Mapping):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key == "Ref" and isinstance(inner, str):
                yield inner
                return
            if key == "Fn::GetAtt":
                yield _attribute(inner)[0]
                if isinstance(inner, list):
                    yield from references(inner[1:])
                return
            if key == "Fn::Sub":
                text, given = (inner, {}) if isinstance(inner, str) else inner
                for name in _placeholders(text):
                    if name not in given:
                        yield name.split(".", 1)[0]
                yield from references(given)
                return
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def _attribute(value: Any) -> tuple[str, Any]:
    if isinstance(value, str) and "." in value:
        name, attribute = value.split(".", 1)
        return name, attribute
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        return value[0], value[1]
    raise TemplateError(f"Fn::GetAtt needs a logical id and an attribute, not {value!r}")


def _placeholders(text: str) -> list[str]:
    return [name.strip() for name in re.findall(r"\$\{([^!}][^}]*)\}", text)]


def _depends_on(resource: Mapping[str, Any]) -> list[str]:
    value = resource.get("DependsOn", [])
    return [value] if isinstance(value, str) else list(value)


def creation_order(template: Mapping[str, Any]) -> list[str]:
    """Return the logical ids such that each comes after those it needs. Raises TemplateError for a cycle."""
    resources = template["Resources"]
    needs = {
        name: [
            target
            for target in (*_depends_on(resource), *references(resource.get("Properties", {})))
            if target in resources
        ]
        for name, resource in resources.items()
    }
    order: dict[str, None] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            cycle = " -> ".join((*path[path.index(name) :], name))
            raise TemplateError(f"Circular dependency between resources: {cycle}")
        if name not in order:
            for target in needs[name]:
                visit(target, (*path, name))
            order[name] = None

    for name in resources:
        visit(name, ())
    return list(order)


# --------------------------------------------------------------------------------------------------------- parameters
def resolve_parameters(
    template: Mapping[str, Any], given: Mapping[str, str], read_ssm: Callable[[str], str]
) -> dict[str, Any]:
    """
    Return each parameter's value as Ref gives it: text, or a list of texts. *read_ssm* reads an SSM parameter by name.

    Raises TemplateError.
    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
    """
    declared = template.get("Parameters", {})
    unknown = set(given) - set(declared)
    if unknown:
        raise TemplateError(f"Parameters: {sorted(unknown)} do not exist in the template")
    values: dict[str, Any] = {}
    missing = []
    for name, parameter in declared.items():
        if name in given:
            text = given[name]
            if not isinstance(text, str):
                raise TemplateError(f"Parameter {name}: a value is text, not {type(text).__name__}")
        elif "Default" in parameter:
            default = parameter["Default"]
            if isinstance(default, list | dict):
                raise TemplateError(f"Parameter {name}: Default is text, not {type(default).__name__}")
            text = _as_text(default)
        else:
            missing.append(name)
            continue
        values[name] = _parameter_value(name, parameter, text, read_ssm)
    if missing:
        raise TemplateError(f"Parameters: {missing} must have values")
    return values


def _parameter_value(name: str, parameter: Mapping[str, Any], text: str, read_ssm: Callable[[str], str]) -> Any:
    kind = parameter["Type"]

    def refuse(reason: str) -> TemplateError:
        shown = "(NoEcho)" if str(parameter.get("NoEcho", False)).lower() == "true" else repr(text)
        hint = parameter.get("ConstraintDescription", reason)
        return TemplateError(f"Parameter {name} failed to satisfy constraint: {hint}; value {shown}")

    if len(text.encode()) > PARAMETER_VALUE_LIMIT:
        raise refuse(f"at most {PARAMETER_VALUE_LIMIT} bytes")
    is_list = kind == "CommaDelimitedList" or kind in ("List<Number>", "List<String>")
    items = [item.strip() for item in text.split(",")] if is_list else [text]
    if kind not in ("String", "Number", "CommaDelimitedList", "List<Number>", "List<String>") and not re.fullmatch(
        r"AWS::SSM::Parameter::(Name|Value<(String|List<String>|CommaDelimitedList)>)", kind
    ):
        raise TemplateError(f"Parameter {name}: type {kind} is not known to the sandbox")
    allowed = parameter.get("AllowedValues")
    pattern = parameter.get("AllowedPattern")
    for item in items:
        if allowed is not None and item not in [_as_text(value) for value in allowed]:
            raise refuse(f"Member must satisfy enum value set: {allowed}")
        if pattern is not None and not re.fullmatch(pattern, item):
            raise refuse(f"Member must satisfy regular expression pattern: {pattern}")
        if kind in ("Number", "List<Number>"):
            try:
                number = float(item)
            except ValueError as error:
                raise refuse("must be a number") from error
            if "MinValue" in parameter and number < float(parameter["MinValue"]):
                raise refuse(f"must be {parameter['MinValue']} or more")
            if "MaxValue" in parameter and number > float(parameter["MaxValue"]):
                raise refuse(f"must be {parameter['MaxValue']} or less")
    if "MinLength" in parameter and len(text) < int(parameter["MinLength"]):
        raise refuse(f"must have {parameter['MinLength']} characters or more")
    if "MaxLength" in parameter and len(text) > int(parameter["MaxLength"]):
        raise refuse(f"must have {parameter['MaxLength']} characters or less")
    if kind.startswith("AWS::SSM::Parameter::Value<"):
        value = read_ssm(text)
        return value if kind.endswith("Value<String>") else [item.strip() for item in value.split(",")]
    return items if is_list else text


def _as_text(value: Any) -> str:
    """Return a scalar as CloudFormation writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str):
        return str(value)
    raise TemplateError(f"text expected, not {json.dumps(value, default=str)[:200]}")


# --------------------------------------------------------------------------------------------------------- intrinsics
@dataclass(slots=True)
class Resolver:
    """Resolves a stack's template. *exports* are the values that Fn::ImportValue may take."""

    stack: StackRecord
    values: Mapping[str, Any]
    exports: Mapping[str, str]
    _conditions: dict[str, bool] = field(default_factory=dict)

    def resolve(self, value: Any) -> Any:
        """Return *value* without intrinsic functions. Raises TemplateError."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key in _INTRINSICS and (key != "Condition" or isinstance(inner, str)):
                return _INTRINSICS[key](self, inner)
            if key.startswith("Fn::"):
                raise TemplateError(f"{key} is not known to the sandbox")
        resolved = {}
        for key, inner in value.items():
            if key.startswith("Fn::"):
                raise TemplateError(f"{key} stands beside {sorted(set(value) - {key})}")
            item = self.resolve(inner)
            if item is not NO_VALUE:
                resolved[key] = item
        return resolved

    def text(self, value: Any, where: str) -> str:
        """Return *value* resolved, as text. Raises TemplateError where it is a list, an object or nothing."""
        resolved = self.resolve(value)
        if isinstance(resolved, list | dict | _NoValue):
            raise TemplateError(f"{where}: text expected, not {type(resolved).__name__}")
        return _as_text(resolved)

    def condition(self, name: str) -> bool:
        """Return whether a condition of the template holds."""
        if not isinstance(name, str) or name not in self.stack.template.get("Conditions", {}):
            raise TemplateError(f"condition {name!r} is not in the template")
        if name not in self._conditions:
            value = self.resolve(self.stack.template["Conditions"][name])
            self._conditions[name] = _boolean(value, f"Conditions/{name}")
        return self._conditions[name]

    def holds(self, part: Mapping[str, Any]) -> bool:
        """Return whether a resource or output is wanted: its Condition holds, or it has none."""
        return "Condition" not in part or self.condition(part["Condition"])

    def ref(self, name: Any) -> Any:
        """Return what Ref gives: a parameter's value, a pseudo parameter, a resource's physical id."""
        stack = self.stack
        if not isinstance(name, str):
            raise TemplateError(f"Ref needs a name, not {name!r}")
        partition = partition_of(stack.region)
        pseudo = {
            "AWS::AccountId": stack.account,
            "AWS::NoValue": NO_VALUE,
            "AWS::NotificationARNs": [],
            "AWS::Partition": partition,
            "AWS::Region": stack.region,
            "AWS::StackId": stack.id,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": _URL_SUFFIX[partition],
        }
        if name in pseudo:
            return pseudo[name]
        if name in self.values:
            return self.values[name]
        if name in stack.resources:
            return stack.resources[name].physical_id
        raise TemplateError(f"Unresolved resource dependencies [{name}]: no parameter, and no resource that was made")

    def get_att(self, value: Any) -> Any:
        """Return an attribute of a resource."""
        name, attribute = _attribute(value)
        attribute = self.text(attribute, "Fn::GetAtt")
        resource = self.stack.resources.get(name)
        if resource is None:
            raise TemplateError(f"Unresolved resource dependencies [{name}]: Fn::GetAtt of what was not made")
        if attribute not in resource.attributes:
            raise TemplateError(
                f"{name} ({resource.type}) has no attribute {attribute}; known are {sorted(resource.attributes)}"
            )
        return resource.attributes[attribute]

    def _sub(self, value: Any) -> str:
        text, given = (value, {}) if isinstance(value, str) else value
        resolved = {name: self.text(inner, f"Fn::Sub {name}") for name, inner in given.items()}

        def replace(match: re.Match[str]) -> str:
            name = match[1].strip()
            if name in resolved:
                return resolved[name]
            found = self.get_att(name) if "." in name else self.ref(name)
            if isinstance(found, list | dict | _NoValue):
                raise TemplateError(f"Fn::Sub: ${{{name}}} is no text")
            return _as_text(found)

        return re.sub(r"\$\{([^!}][^}]*)\}", replace, text).replace("${!", "${")

    def _join(self, value: Any) -> str:
        delimiter, items = value
        resolved = self.resolve(items)
        if not isinstance(resolved, list):
            raise TemplateError(f"Fn::Join needs a list, not {resolved!r}")
        return self.text(delimiter, "Fn::Join").join(map(_as_text, resolved))

    def _select(self, value: Any) -> Any:
        index, items = value
        position, resolved = int(self.text(index, "Fn::Select")), self.resolve(items)
        if not isinstance(resolved, list) or not 0 <= position < len(resolved):
            raise TemplateError(f"Template error: Fn::Select cannot select nonexistent value at index {position}")
        return resolved[position]

    def _split(self, value: Any) -> list[str]:
        return self.text(value[1], "Fn::Split").split(self.text(value[0], "Fn::Split"))

    def _if(self, value: Any) -> Any:
        if not isinstance(value, list) or len(value) != 3:
            raise TemplateError("Fn::If needs a condition and two values")
        return self.resolve(value[1] if self.condition(value[0]) else value[2])

    def _equals(self, value: Any) -> bool:
        left, right = (self.resolve(item) for item in value)
        if isinstance(left, list | dict) or isinstance(right, list | dict):
            raise TemplateError("Fn::Equals compares texts only; join lists first")
        return _as_text(left) == _as_text(right)

    def _all(self, value: Any) -> bool:
        values = [_boolean(self.resolve(item), "Fn::And") for item in _operands("Fn::And", value, 2, 10)]
        return all(values)

    def _any(self, value: Any) -> bool:
        values = [_boolean(self.resolve(item), "Fn::Or") for item in _operands("Fn::Or", value, 2, 10)]
        return any(values)

    def _not(self, value: Any) -> bool:
        return not _boolean(self.resolve(_operands("Fn::Not", value, 1, 1)[0]), "Fn::Not")

    def _find_in_map(self, value: Any) -> Any:
        if len(value) != 3:
            raise TemplateError("Fn::FindInMap with a default value needs a transform, which the sandbox does not know")
        keys = [self.text(key, "Fn::FindInMap") for key in value]
        found: Any = self.stack.template.get("Mappings", {})
        for key in keys:
            if not isinstance(found, Mapping) or key not in found:
                raise TemplateError(f"Template error: Unable to get mapping for {'::'.join(keys)}")
            found = found[key]
        return found

    def _import_value(self, value: Any) -> str:
        name = self.text(value, "Fn::ImportValue")
        if name not in self.exports:
            raise TemplateError(f"No export named {name} found.")
        self.stack.imports.add(name)
        return self.exports[name]

    def _base64(self, value: Any) -> str:
        return base64.b64encode(self.text(value, "Fn::Base64").encode()).decode()

    # Rule functions: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-rules.html
    def _contains(self, value: Any) -> bool:
        items, wanted = self.resolve(value[0]), self.text(value[1], "Fn::Contains")
        return wanted in items

    def _each_member_in(self, value: Any) -> bool:
        items, allowed = (self.resolve(item) for item in value)
        return all(item in allowed for item in items)

    def _each_member_equals(self, value: Any) -> bool:
        items, wanted = self.resolve(value[0]), self.text(value[1], "Fn::EachMemberEquals")
        return all(item == wanted for item in items)

    def _ref_all(self, value: Any) -> list[Any]:
        declared = self.stack.template.get("Parameters", {})
        return [self.values[name] for name, parameter in declared.items() if parameter["Type"] == value]


def _operands(function: str, value: Any, least: int, most: int) -> list[Any]:
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise TemplateError(f"{function} takes {least} to {most} conditions")
    return value


def _boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise TemplateError(f"{where}: a condition expected, not {value!r}")
    return value


_INTRINSICS: dict[str, Callable[[Resolver, Any], Any]] = {
    "Ref": Resolver.ref,
    "Condition": Resolver.condition,
    "Fn::GetAtt": Resolver.get_att,
    "Fn::Sub": Resolver._sub,
    "Fn::Join": Resolver._join,
    "Fn::Select": Resolver._select,
    "Fn::Split": Resolver._split,
    "Fn::If": Resolver._if,
    "Fn::Equals": Resolver._equals,
    "Fn::And": Resolver._all,
    "Fn::Or": Resolver._any,
    "Fn::Not": Resolver._not,
    "Fn::FindInMap": Resolver._find_in_map,
    "Fn::ImportValue": Resolver._import_value,
    "Fn::Base64": Resolver._base64,
    "Fn::Contains": Resolver._contains,
    "Fn::EachMemberIn": Resolver._each_member_in,
    "Fn::EachMemberEquals": Resolver._each_member_equals,
    "Fn::RefAll": Resolver._ref_all,
}


# ------------------------------------------------------------------------------------------------------------- engine
@dataclass(slots=True)
class Engine:
    """All stacks of the organization."""

    world: Sandbox
    stacks: dict[tuple[str, str, str], StackRecord] = field(default_factory=dict)
    deleted: dict[str, StackRecord] = field(default_factory=dict)
    """By ARN; CloudFormation shows them for 90 days."""
    _assets: dict[str, bytes] = field(default_factory=dict)
    _made: dict[tuple[str, str, str], int] = field(default_factory=dict)
    stack_sets: StackSets = field(init=False)

    def __post_init__(self) -> None:
        from sandbox.stack_sets import StackSets  # it makes stacks by this engine

        self.stack_sets = StackSets(self)

    def create(
        self,
        name: str,
        text: str,
        account: str,
        region: str,
        given: Mapping[str, str],
        read_asset: ReadAsset,
        *,
        parent: str | None = None,
        keeps_failed: bool = False,
    ) -> Deployed:
        """
        Create a stack of a template's text; *parent* is the ARN of the stack that it is nested in.

        One that cannot be created is gone again afterwards; with *keeps_failed* it stays as AWS has it, as
        ROLLBACK_COMPLETE, to be deleted. Raises TemplateError; DeployError after the rollback.
        """
        if not re.fullmatch("[A-Za-z][A-Za-z0-9-]{0,127}", name):
            raise TemplateError(f"stack name {name!r}: letters, digits and hyphens, 128 at most, a letter first")
        key = (account, region, name)
        if key in self.stacks:
            raise TemplateError(f"Stack [{name}] already exists in {account} {region}")
        template = read_template(text)
        # A stack that is made again is another one: what the first one left behind has another name.
        nth = self._made[key] = self._made.get(key, 0) + 1
        unique = hashlib.sha256("/".join((*key, str(nth))).encode()).hexdigest()
        identifier = "-".join((unique[:8], unique[8:12], unique[12:16], unique[16:20], unique[20:32]))
        arn = f"arn:{partition_of(region)}:cloudformation:{region}:{account}:stack/{name}/{identifier}"
        stack = StackRecord(name, arn, account, region, template, dict(given), parent=parent)
        stack.created_at = self.world.clock.now()
        resolver = self._resolver(stack, read_asset)
        self.stacks[key] = stack
        change = _Change(self, stack, resolver, read_asset)
        try:
            change.make({})
            self._set_outputs(stack, resolver)
        except (DeployError, TemplateError) as error:
            change.roll_back()
            if keeps_failed:
                stack.resources, stack.status, stack.reason = {}, "ROLLBACK_COMPLETE", str(error)
            else:
                del self.stacks[key]
            raise
        return _deployed(stack)

    def update(
        self,
        name: str,
        text: str,
        account: str,
        region: str,
        given: Mapping[str, str],
        read_asset: ReadAsset,
        *,
        keeps_parameters: bool = True,
    ) -> Deployed:
        """
        Update a stack; parameters that are not given keep their values, or get their defaults again.

        Raises as create() does, and StackNotFound.
        """
        stack = self.find(name, account, region)
        if stack.status == "ROLLBACK_COMPLETE":
            raise TemplateError(f"Stack:{stack.id} is in ROLLBACK_COMPLETE state and can not be updated.")
        template = read_template(text)
        declared = template.get("Parameters", {})
        kept = {key: value for key, value in stack.parameters.items() if key in declared and keeps_parameters}
        before = (stack.template, stack.parameters, dict(stack.outputs), dict(stack.exports), set(stack.imports))
        stack.template, stack.parameters = template, {**kept, **given}
        stack.imports = set()
        try:
            resolver = self._resolver(stack, read_asset)
        except TemplateError:
            stack.template, stack.parameters, stack.imports = before[0], before[1], before[4]
            raise
        change = _Change(self, stack, resolver, read_asset)
        old = dict(stack.resources)
        try:
            change.make(old)
            self._set_outputs(stack, resolver)
        except (DeployError, TemplateError) as error:
            change.roll_back()
            stack.resources, stack.reason = old, str(error)
            stack.template, stack.parameters, stack.outputs, stack.exports, stack.imports = before
            stack.status, stack.updated_at = "UPDATE_ROLLBACK_COMPLETE", self.world.clock.now()
            raise
        change.clean_up(old)
        stack.status, stack.reason, stack.updated_at = "UPDATE_COMPLETE", None, self.world.clock.now()
        return _deployed(stack)

    def delete(self, name: str, account: str, region: str) -> None:
        """Delete a stack and, last made first, its resources but those retained. Raises StackNotFound, DeployError."""
        stack = self.find(name, account, region)
        for export in stack.exports:
            users = [other.name for other in self._neighbours(stack) if export in other.imports and other is not stack]
            if users:
                raise DeployError(name, export, f"Cannot delete export {export} as it is in use by {', '.join(users)}")
        change = _Change(self, stack, Resolver(stack, {}, {}), _no_assets)
        for resource in reversed(list(stack.resources.values())):
            if resource.deletion_policy == "Delete":
                change.remove(resource)
            del stack.resources[resource.logical_id]
        del self.stacks[(account, region, stack.name)]
        stack.status, stack.deleted_at = "DELETE_COMPLETE", self.world.clock.now()
        self.deleted[stack.id] = stack

    def remembering(self, read_asset: ReadAsset) -> ReadAsset:
        """Return *read_asset* that also knows what was read before: a rollback needs the files of the old assembly."""
        if isinstance(read_asset, Buckets):  # there the old files still are
            return read_asset

        def read(object_key: str) -> bytes:
            try:
                self._assets[object_key] = read_asset(object_key)
            except AssetNotFound:
                if object_key not in self._assets:
                    raise
            return self._assets[object_key]

        return read

    def find(self, name: str, account: str, region: str) -> StackRecord:
        """Return a stack by its name or ARN. Raises StackNotFound."""
        short = name.split(":stack/", 1)[-1].split("/", 1)[0]
        if (account, region, short) not in self.stacks:
            raise StackNotFound(f"Stack [{short}] does not exist in {account} {region}")
        return self.stacks[(account, region, short)]

    def _neighbours(self, stack: StackRecord) -> Iterable[StackRecord]:
        return [
            other for other in self.stacks.values() if (other.account, other.region) == (stack.account, stack.region)
        ]

    def _resolver(self, stack: StackRecord, read_asset: ReadAsset) -> Resolver:
        """Return the resolver of a stack after its parameters and rules were checked."""

        def read_ssm(parameter: str) -> str:
            client = self.world.identity.client("ssm", stack.account, stack.region)
            try:
                return str(client.get_parameter(Name=parameter)["Parameter"]["Value"])
            except ClientError as error:
                raise TemplateError(f"SSM parameter {parameter!r}: {error}") from error

        values = resolve_parameters(stack.template, stack.parameters, read_ssm)
        exports = {
            name: value
            for other in self._neighbours(stack)
            if other is not stack
            for name, value in other.exports.items()
        }
        resolver = Resolver(stack, values, exports)
        for name, rule in stack.template.get("Rules", {}).items():
            if set(rule) - {"RuleCondition", "Assertions"}:
                raise TemplateError(f"Rules/{name}: unknown {sorted(set(rule) - {'RuleCondition', 'Assertions'})}")
            if "RuleCondition" in rule and not _boolean(resolver.resolve(rule["RuleCondition"]), f"Rules/{name}"):
                continue
            for assertion in rule["Assertions"]:
                if not _boolean(resolver.resolve(assertion["Assert"]), f"Rules/{name}"):
                    text = assertion.get("AssertDescription", "an assertion does not hold")
                    raise TemplateError(f"Template rule {name} failed: {text}")
        return resolver

    def _set_outputs(self, stack: StackRecord, resolver: Resolver) -> None:
        outputs, exports = {}, {}
        for name, output in stack.template.get("Outputs", {}).items():
            if not resolver.holds(output):
                continue
            outputs[name] = resolver.text(output["Value"], f"Outputs/{name}")
            if "Export" in output:
                export = resolver.text(output["Export"]["Name"], f"Outputs/{name}/Export")
                taken = [
                    other.name for other in self._neighbours(stack) if other is not stack and export in other.exports
                ]
                if taken or export in exports:
                    owner = (taken or [stack.name])[0]
                    raise TemplateError(f"Export with name {export} is already exported by stack {owner}")
                exports[export] = outputs[name]
        for export, value in stack.exports.items():
            users = [other.name for other in self._neighbours(stack) if export in other.imports and other is not stack]
            if users and exports.get(export) != value:
                raise TemplateError(f"Cannot update export {export} as it is in use by {', '.join(users)}")
        stack.outputs, stack.exports = outputs, exports


def _no_assets(object_key: str) -> bytes:
    raise AssetNotFound(f"no assets at a deletion ({object_key})")


def _deployed(stack: StackRecord) -> Deployed:
    physical = {name: resource.physical_id for name, resource in stack.resources.items()}
    return Deployed(stack.id, dict(stack.outputs), physical)


@dataclass(slots=True)
class _Change:
    """One creation or update of a stack, with what takes it back."""

    engine: Engine
    stack: StackRecord
    resolver: Resolver
    read_asset: ReadAsset
    _undo: list[Callable[[], None]] = field(default_factory=list)
    _replaced: list[Resource] = field(default_factory=list)

    def make(self, old: Mapping[str, Resource]) -> None:
        """Create and update, in order of need, until all resources are as the template says. Raises DeployError."""
        self.stack.resources = {}
        template = self.stack.template["Resources"]
        for name in creation_order(self.stack.template):
            try:
                if not self.resolver.holds(template[name]):
                    continue
                properties = self.resolver.resolve(template[name].get("Properties", {}))
            except TemplateError as error:
                raise DeployError(self.stack.name, name, str(error)) from error
            before = old.get(name)
            if before is not None and before.type != template[name]["Type"]:
                raise DeployError(self.stack.name, name, "Update of resource type is not permitted.")
            resource = self._make_one(name, template[name], properties, before)
            resource.changed_at = resource.changed_at or self.engine.world.clock.now()
            resource.deletion_policy = template[name].get("DeletionPolicy", "Delete")
            resource.update_replace_policy = template[name].get("UpdateReplacePolicy", "Delete")
            self.stack.resources[name] = resource

    def _make_one(
        self, name: str, declared: Mapping[str, Any], properties: dict[str, Any], before: Resource | None
    ) -> Resource:
        from sandbox.resource_types import handler_for

        kind = declared["Type"]
        handler = handler_for(kind)
        assert handler is not None  # read_template() has looked
        place = self._place(name)
        with _as_deploy_error(self.stack.name, name):
            handler.check(name, properties)
            if before is None:
                physical, attributes = handler.create(place, properties)
                resource = Resource(name, kind, physical, attributes, properties)
                retained = declared.get("DeletionPolicy") == "Retain"
                if not retained:
                    self._undo.append(lambda: self.remove(resource))
                return resource
            if before.properties == properties and not handler.always_updates(place, before):
                same = Resource(name, kind, before.physical_id, before.attributes, properties)
                same.status, same.changed_at = before.status, before.changed_at
                return same
            try:
                physical, attributes = handler.update(place, before, properties)
            except NotUpdatable:
                physical, attributes = handler.create(place, properties)
                resource = Resource(name, kind, physical, attributes, properties)
                self._undo.append(lambda: self.remove(resource))
                if before.update_replace_policy == "Delete":
                    self._replaced.append(before)
                return resource
            resource = Resource(name, kind, physical, attributes, properties, status="UPDATE_COMPLETE")
            if physical != before.physical_id:  # a custom resource may replace itself
                self._undo.append(lambda: self.remove(resource))
                self._replaced.append(before)
            else:
                self._undo.append(lambda: self._put_back(resource, before))
            return resource

    def clean_up(self, old: Mapping[str, Resource]) -> None:
        """After an update: delete what was replaced and what the template no longer has."""
        gone = [resource for name, resource in old.items() if name not in self.stack.resources]
        for resource in [*reversed(self._replaced), *reversed(gone)]:
            if resource.deletion_policy == "Delete" or resource in self._replaced:
                self.remove(resource)

    def roll_back(self) -> None:
        """Take everything back, last first. Raises DeployError where that fails too."""
        while self._undo:
            self._undo.pop()()

    def remove(self, resource: Resource) -> None:
        """Delete a resource. Raises DeployError."""
        from sandbox.resource_types import handler_for

        handler = handler_for(resource.type)
        assert handler is not None  # it was made
        with _as_deploy_error(self.stack.name, resource.logical_id):
            handler.delete(self._place(resource.logical_id), resource)

    def _put_back(self, changed: Resource, before: Resource) -> None:
        from sandbox.resource_types import handler_for

        handler = handler_for(before.type)
        assert handler is not None  # it was made
        with _as_deploy_error(self.stack.name, before.logical_id):
            handler.update(self._place(before.logical_id), changed, before.properties)

    def _place(self, logical_id: str) -> Place:
        read_asset = self.engine.remembering(self.read_asset)
        return Place(self.engine.world, self.engine, self.stack, logical_id, read_asset)


class _as_deploy_error:  # noqa: N801 - reads as a statement
    """Within: what AWS or a handler refuses is a DeployError that names the resource."""

    def __init__(self, stack: str, resource: str) -> None:
        self._stack, self._resource = stack, resource

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        known = (
            ClientError,
            BotoCoreError,
            ResourceFailed,
            TemplateError,
            StackNotFound,
            AssetNotFound,
            NotImplementedError,
        )
        if isinstance(error, known) and not isinstance(error, DeployError):
            raise DeployError(self._stack, self._resource, f"{type(error).__name__}: {error}") from error
