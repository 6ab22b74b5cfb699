"""
What an API call needs: which IAM actions on which resources, and the condition keys its parameters supply.

The knowledge is data (`data/actions.yaml`, whose head explains its form) with its source in AWS's Service
Authorization Reference. What is not there is refused loudly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jmespath
import yaml

from sandbox.iam import ContextValue
from sharr.loader import LOADER

DATA = Path(__file__).parent / "data" / "actions.yaml"


class UnknownOperation(LookupError):
    """The data does not say what this operation, or this form of it, needs."""


@dataclass(frozen=True, slots=True)
class Need:
    """
    One IAM action that a call needs, and where.

    It is met if, in one of *alternatives*, the action is allowed on every resource. *context* holds the condition
    keys that the parameters supply for this action.
    """

    action: str
    alternatives: tuple[tuple[str, ...], ...]
    context: Mapping[str, ContextValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a call is made: what its ARNs are filled with.

    *lookups* answers what only the emulated account knows, by the name of the placeholder's filter; each takes the
    value (or all parameters, for `automation_role`) and returns a text: an ARN or the ARN's last part.
    """

    partition: str
    account: str
    region: str
    organization: str
    management: str
    lookups: Mapping[str, Callable[[Any, Place], str]] = field(default_factory=dict)


def needs(service: str, operation: str, parameters: Mapping[str, Any], place: Place) -> tuple[Need, ...]:
    """
    Return what the call needs, () for a call that needs no permission.

    Raises:
        UnknownOperation: the operation is not in the data, or its resource cannot be told from these parameters.
    """
    specs = _specs().get(service, {}).get(operation)
    if specs is None:
        name = f"{service}.{operation}"
        raise UnknownOperation(f"{name} is not in {DATA.name}: add the IAM action and the resource that it needs")
    found: list[Need] = []
    for spec in specs:
        for element in spec.elements(parameters):
            scope = _scope(parameters, element)
            alternatives = tuple(
                tuple(arn for template in templates for arn in template.render(scope, place))
                for templates in spec.alternatives
            )
            if any(alternatives):  # a lookup that answers '' says that there is nothing to ask for
                found.append(Need(spec.action, alternatives, spec.context(scope, place)))
    return tuple(found)


def is_known(service: str, operation: str) -> bool:
    """Return whether the data has the operation."""
    return operation in _specs().get(service, {})


def operations() -> Iterator[tuple[str, str]]:
    """Yield every (service, operation) of the data."""
    for service, found in _specs().items():
        for operation in found:
            yield service, operation


def _scope(parameters: Mapping[str, Any], element: Any) -> Mapping[str, Any]:
    if element is None:
        return parameters
    return {**parameters, **element} if isinstance(element, Mapping) else {**parameters, "item": element}


# ---------- templates

# Service data of EC2 ids: prefix -> resource type, and whether its ARN names an account.
# Source: Service Authorization Reference, list_amazonec2.html
_EC2_TYPES = {
    "sg": ("security-group", True),
    "sgr": ("security-group-rule", True),
    "vpc": ("vpc", True),
    "subnet": ("subnet", True),
    "eni": ("network-interface", True),
    "fl": ("vpc-flow-log", True),
    "vpce": ("vpc-endpoint", True),
    "snap": ("snapshot", False),
    "vol": ("volume", True),
    "i": ("instance", True),
    "pl": ("prefix-list", True),
    "ami": ("image", False),
}
# Documents of AWS have ARNs without an account. Source: Systems Manager User Guide,
# automation-setup-identity-based-policies.html
_AWS_DOCUMENTS = re.compile(r"(AWS|Amazon|AWS[A-Za-z]+)-.+")


def _queue(url: Any, place: Place) -> str:
    found = re.fullmatch(r"https?://[^/]+/([0-9]{12})/([^/]+)", str(url))
    if not found:
        raise UnknownOperation(f"queue URL {url!r} is not of a known form")
    return f"arn:{place.partition}:sqs:{place.region}:{found.group(1)}:{found.group(2)}"


def _ec2_resource(value: Any, place: Place) -> str:
    prefix = str(value).rpartition("-")[0]
    if prefix not in _EC2_TYPES:
        raise UnknownOperation(f"EC2 id {value!r} is of an unknown resource type")
    type_, owned = _EC2_TYPES[prefix]
    return f"arn:{place.partition}:ec2:{place.region}:{place.account if owned else ''}:{type_}/{value}"


def _function(value: Any, place: Place) -> str:
    """Source: Lambda API Reference, "FunctionName" of API_GetFunction.html: name, ARN, or account:function:name."""
    text = str(value)
    if found := re.fullmatch(r"([0-9]{12}):function:(.+)", text):
        return f"arn:{place.partition}:lambda:{place.region}:{found.group(1)}:function:{found.group(2)}"
    return text


def _document(value: Any, place: Place) -> str:
    if _AWS_DOCUMENTS.fullmatch(str(value)):
        return f"arn:{place.partition}:ssm:{place.region}::document/{value}"
    return str(value)


def _definition(value: Any, place: Place) -> str:
    text = str(value)
    if text.startswith("arn:"):
        return text.replace(":document/", ":automation-definition/")
    if _AWS_DOCUMENTS.fullmatch(text):
        return f"arn:{place.partition}:ssm:{place.region}::automation-definition/{text}"
    return text


_FILTERS: dict[str, Callable[[Any, Place], str]] = {
    "queue": _queue,
    "ec2_resource": _ec2_resource,
    "function": _function,
    "document": _document,
    "definition": _definition,
    "parameter": lambda value, place: str(value).removeprefix("/"),
    "stack": lambda value, place: str(value) if str(value).startswith("arn:") else f"{value}/*",
    "suffix": lambda value, place: f":{value}",
    "log_group": lambda value, place: str(value).removesuffix(":*"),
}
# These are answered by Place.lookups; a sweep without an account may leave them out: the value then stands for itself.
LOOKUPS = (
    "kms_key",
    "iam_user",
    "iam_role",
    "access_key_owner",
    "automation_role",
    "associated_instance",
    "profile_role",
    "scaling_group",
    "launch_configuration",
)
_PLACEHOLDER = re.compile(r"\{([A-Za-z]+)(?:\|([a-z0-9_]+))?(=(?:[^{}]|\{[a-z]+\})*)?\}")
_PLACES = ("partition", "account", "region", "organization", "management")


@dataclass(frozen=True, slots=True)
class _Hole:
    name: str
    filter: str | None
    default: _Template | None


@dataclass(frozen=True, slots=True)
class _Template:
    text: str
    parts: tuple[str | _Hole, ...]

    def render(self, scope: Mapping[str, Any], place: Place) -> tuple[str, ...]:
        """Return the texts: one, or one for each element of a list parameter; () where a lookup answers ''."""
        texts = [""]
        for part in self.parts:
            if isinstance(part, str):
                texts = [text + part for text in texts]
                continue
            values = self._values(part, scope, place)
            texts = [value if value.startswith("arn:") else text + value for text in texts for value in values]
        return tuple(text for text in texts if text)

    def _values(self, hole: _Hole, scope: Mapping[str, Any], place: Place) -> list[str]:
        if hole.name in _PLACES:
            return [getattr(place, hole.name)]
        if hole.name == "parameters":
            lookup = place.lookups.get(hole.filter or "")
            return [lookup(scope, place)] if lookup else [""]
        value = scope.get(hole.name)
        if value is None or value == "" or value == []:
            if hole.default is None:
                raise UnknownOperation(f"{self.text}: the call has no {hole.name}, so its resource is not known")
            return list(hole.default.render(scope, place)) or [""]
        filter_ = _FILTERS.get(hole.filter or "") or place.lookups.get(hole.filter or "")
        values = value if isinstance(value, list) else [value]
        return [filter_(v, place) if filter_ else str(v) for v in values]


def _template(text: str) -> _Template:
    parts: list[str | _Hole] = []
    end = 0
    for found in _PLACEHOLDER.finditer(text):
        parts.append(text[end : found.start()])
        name, filter_, default = found.groups()
        if filter_ is not None and filter_ not in _FILTERS and filter_ not in LOOKUPS:
            raise ValueError(f"{DATA.name}: {text!r}: unknown filter {filter_!r}")
        parts.append(_Hole(name, filter_, _template(default[1:]) if default is not None else None))
        end = found.end()
    parts.append(text[end:])
    if "{" in "".join(part for part in parts if isinstance(part, str)):
        raise ValueError(f"{DATA.name}: {text!r}: malformed placeholder")
    return _Template(text, tuple(part for part in parts if part != ""))


# ---------- data


@dataclass(frozen=True, slots=True)
class _Spec:
    action: str
    alternatives: tuple[tuple[_Template, ...], ...]
    when: Any
    unless: Any
    each: Any
    keys: tuple[tuple[str, _Template, bool], ...]
    tags: Any
    fields: str | None

    def elements(self, parameters: Mapping[str, Any]) -> list[Any]:
        if self.when is not None and not self.when.search(parameters):
            return []
        if self.unless is not None and self.unless.search(parameters):
            return []
        if self.each is None:
            return [None]
        return list(self.each.search(parameters) or [])

    def context(self, scope: Mapping[str, Any], place: Place) -> dict[str, ContextValue]:
        if not self.keys and self.tags is None and self.fields is None:
            return {}
        found: dict[str, ContextValue] = {}
        for key, template, many in self.keys:
            texts = template.render(scope, place)
            if texts:
                found[key] = texts if many else texts[0]
        if self.tags is not None:
            found |= _tag_keys(self.tags.search(scope))
        if self.fields is not None:
            found |= {self.fields + path: text for path, text in _leaves(scope)}
        return found


def _tag_keys(raw: Any) -> dict[str, ContextValue]:
    """Return aws:RequestTag/… and aws:TagKeys of tags given as an object or as a list of Key and Value."""
    if not raw:
        return {}
    pairs = raw.items() if isinstance(raw, Mapping) else ((tag["Key"], tag.get("Value", "")) for tag in raw)
    tags = {str(key): str(value) for key, value in pairs}
    return {"aws:TagKeys": tuple(tags), **{f"aws:RequestTag/{key}": value for key, value in tags.items()}}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    elif not isinstance(value, list):
        yield path, str(value)


_SERVICE_FIELDS = {"source", "prefix", "resources", "operations"}
_NEED_FIELDS = {"action", "resource", "any_of", "when", "unless", "each", "keys", "tags", "fields"}


@cache
def _specs() -> dict[str, dict[str, tuple[_Spec, ...]]]:
    loaded = yaml.load(DATA.read_text(encoding="utf-8"), Loader=LOADER)  # a safe one
    return {service: _service(service, raw) for service, raw in loaded.items()}


def _service(service: str, raw: dict[str, Any]) -> dict[str, tuple[_Spec, ...]]:
    if unknown := set(raw) - _SERVICE_FIELDS:
        raise ValueError(f"{DATA.name}: {service}: unknown field {sorted(unknown)}")
    resources = {name: _template(text) for name, text in raw.get("resources", {}).items()}
    resources["*"] = _template("*")
    found = {}
    for operation, entry in raw["operations"].items():
        default = f"{raw['prefix']}:{operation}"
        listed = [{"resource": entry}] if isinstance(entry, str) else entry
        found[operation] = tuple(_spec(f"{service}.{operation}", default, one, resources) for one in listed)
    return found


def _spec(where: str, default_action: str, raw: dict[str, Any], resources: dict[str, _Template]) -> _Spec:
    if unknown := set(raw) - _NEED_FIELDS:
        raise ValueError(f"{DATA.name}: {where}: unknown field {sorted(unknown)}")
    single = raw.get("resource", [])
    named = raw.get("any_of") or [[single] if isinstance(single, str) else single]
    if not all(named):
        raise ValueError(f"{DATA.name}: {where}: has no resource")
    for name in (name for group in named for name in group):
        if name not in resources:
            raise ValueError(f"{DATA.name}: {where}: unknown resource {name!r}")
    return _Spec(
        action=raw.get("action", default_action),
        alternatives=tuple(tuple(resources[name] for name in group) for group in named),
        when=jmespath.compile(raw["when"]) if "when" in raw else None,
        unless=jmespath.compile(raw["unless"]) if "unless" in raw else None,
        each=jmespath.compile(raw["each"]) if "each" in raw else None,
        keys=tuple(_key(key, value) for key, value in raw.get("keys", {}).items()),
        tags=jmespath.compile(raw["tags"]) if "tags" in raw else None,
        fields=raw.get("fields"),
    )


def _key(key: str, value: str | list[str]) -> tuple[str, _Template, bool]:
    return (key, _template(value[0]), True) if isinstance(value, list) else (key, _template(value), False)


# ---------- condition keys we can judge

# Keys that a call in the sandbox truly lacks unless its context holds them: it does not come through a VPC endpoint,
# is not made by a user, is not forwarded by a service, and passes no tags. A condition on any other absent key is one
# that AWS might supply and the sandbox cannot. Source: IAM User Guide, reference_policies_condition-keys.html
_ABSENT = frozenset(
    {
        "aws:calledvia",
        "aws:calledviafirst",
        "aws:calledvialast",
        "aws:federatedprovider",
        "aws:multifactorauthage",
        "aws:principalservicename",
        "aws:principalservicenameslist",
        "aws:referer",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceidentity",
        "aws:sourceorgid",
        "aws:sourceorgpaths",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpcarn",
        "aws:sourcevpce",
        "aws:tagkeys",
        "aws:username",
        "aws:vpcsourceip",
        "aws:resourceorgid",
        "aws:principalorgid",
        "aws:vpceaccount",
        "aws:vpceorgid",
        "sts:externalid",
        "sts:sourceidentity",
        "sts:transitivetagkeys",
        "sts:rolesessionname",
        "kms:viaservice",
        "kms:grantisforawsresource",
        "kms:requestalias",
        "kms:granttokens",
        "iam:passedtoservice",
        "ec2:createaction",
    }
)
_ABSENT_PREFIXES = ("aws:requesttag/", "aws:principaltag/", "securityhub:asffsyntaxpath/")


def is_unsupplied(key: str) -> bool:
    """Return whether a lower-case condition key, absent from a request, is one that the sandbox cannot judge."""
    return key not in _ABSENT and not key.startswith(_ABSENT_PREFIXES)
