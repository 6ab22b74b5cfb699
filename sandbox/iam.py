"""
AWS policy evaluation as a pure function: policies and a request in, a decision with its reason out.

What is not known (an operator, an element, a malformed document) raises UnknownPolicyElement: an evaluator that skips
what it does not know would grant or refuse for the wrong reason.

Sources: IAM User Guide, "Policy evaluation logic" (reference_policies_evaluation-logic.html) with its pages on single
accounts, on cross-account requests and on allow and deny; "JSON policy elements" (reference_policies_elements.html);
AWS KMS Developer Guide, "Default key policy" (key-policy-default.html).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal, TypeAlias

ContextValue: TypeAlias = "str | tuple[str, ...]"
Effect = Literal["Allow", "Deny"]


class UnknownPolicyElement(ValueError):
    """A policy says something that this evaluator does not know, or is not a policy at all."""


@dataclass(frozen=True, slots=True)
class Subject:
    """
    The principal of a request, as policies may name it.

    *arn* is what the caller is (for a role session `arn:…:sts::…:assumed-role/name/session`), *role_arn* the role of
    a session, *service* the service principal (`sqs.amazonaws.com`); a service has neither account nor ARN.
    """

    account: str | None = None
    arn: str | None = None
    role_arn: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """
    One action on one resource.

    *resource* is an ARN, or `*` for an action without resource-level permissions. A value of *context* is a text, or a
    tuple for a multivalued key; names of keys are without regard to case. *resource_account* owns the resource.
    *unsupplied* says of a lower-case condition key whether AWS could supply it but this caller cannot: a condition on
    such a key is refused loudly, because a missing key means something.
    """

    subject: Subject
    action: str
    resource: str
    context: Mapping[str, ContextValue] = field(default_factory=dict)
    resource_account: str | None = None
    unsupplied: Callable[[str], bool] | None = None

    def lowered(self) -> dict[str, tuple[str, ...]]:
        """Return the context with lower-case keys and each value as a tuple."""
        return {k.lower(): v if isinstance(v, tuple) else (v,) for k, v in self.context.items()}

    def multivalued(self) -> frozenset[str]:
        """Return the lower-case keys that hold a tuple."""
        return frozenset(k.lower() for k, v in self.context.items() if isinstance(v, tuple))


@dataclass(frozen=True, slots=True)
class Match:
    """A statement that applied to the request: which policy, which statement (its Sid, or #index), which effect."""

    policy: str
    statement: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class Decision:
    """
    The outcome of an evaluation.

    *reason* completes AWS's own sentence "... is not authorized to perform: ... on resource: ... <reason>"; it is
    "allowed" where *allowed* is true. *matched* names every statement that applied to the request.
    """

    allowed: bool
    reason: str
    matched: tuple[Match, ...] = ()


# ---------- parsed policies


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key: `ForAnyValue:StringLikeIfExists` is quantifier, operator and if_exists."""

    key: str
    operator: str
    quantifier: Literal["ForAllValues", "ForAnyValue"] | None
    if_exists: bool
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; each `not_…` says that its patterns are those of NotAction, NotResource, NotPrincipal."""

    label: str
    effect: Effect
    actions: tuple[str, ...]
    not_action: bool
    resources: tuple[str, ...]
    not_resource: bool
    principals: tuple[tuple[str, str], ...] | None
    not_principal: bool
    conditions: tuple[Condition, ...]
    variables: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy; *name* tells it from others in a decision's matches."""

    name: str
    statements: tuple[Statement, ...]


_VERSIONS = ("2012-10-17", "2008-10-17")
_STATEMENT_ELEMENTS = frozenset(
    {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition"}
)
_PRINCIPAL_TYPES = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})
Kind = Literal["identity", "resource", "trust"]


def parse_policy(document: str | Mapping[str, Any], name: str = "", kind: Kind = "identity") -> Policy:
    """
    Return the policy of a JSON text or a mapping; parsed texts are remembered.

    An *identity* policy (also: session policy, permissions boundary, SCP) has no Principal and needs a Resource, a
    *resource* policy needs a Principal, a *trust* policy has no Resource.

    Raises:
        UnknownPolicyElement: the document has an element, version, operator or form that is not in AWS's grammar.
    """
    text = document if isinstance(document, str) else json.dumps(document, separators=(",", ":"))
    return _parsed(text, name, kind)


@lru_cache(maxsize=8192)
def _parsed(text: str, name: str, kind: Kind) -> Policy:
    where = f"policy {name or '(unnamed)'}"
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UnknownPolicyElement(f"{where}: not JSON: {error}") from error
    if not isinstance(document, dict):
        raise UnknownPolicyElement(f"{where}: expected an object, got {type(document).__name__}")
    if unknown := set(document) - {"Version", "Id", "Statement"}:
        raise UnknownPolicyElement(f"{where}: unknown element {sorted(unknown)}")
    version = document.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        raise UnknownPolicyElement(f"{where}: Version {version!r} is not one of {', '.join(_VERSIONS)}")
    statements = document.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list):
        raise UnknownPolicyElement(f"{where}: Statement is missing")
    variables = version == "2012-10-17"
    return Policy(name, tuple(_statement(s, i, where, variables, kind) for i, s in enumerate(statements)))


def _statement(raw: Any, index: int, where: str, variables: bool, kind: Kind) -> Statement:
    if not isinstance(raw, dict):
        raise UnknownPolicyElement(f"{where}: statement #{index} is not an object")
    label = str(raw.get("Sid") or f"#{index}")
    where = f"{where}, statement {label}"
    if unknown := set(raw) - _STATEMENT_ELEMENTS:
        raise UnknownPolicyElement(f"{where}: unknown element {sorted(unknown)}")
    if raw.get("Effect") not in ("Allow", "Deny"):
        raise UnknownPolicyElement(f"{where}: Effect is {raw.get('Effect')!r}, expected Allow or Deny")
    for one in ("Action", "Resource", "Principal"):
        if one in raw and f"Not{one}" in raw:
            raise UnknownPolicyElement(f"{where}: has both {one} and Not{one}")
    actions = _texts(raw.get("Action", raw.get("NotAction")), where, "Action")
    for action in actions:
        if action != "*" and not re.fullmatch(r"[A-Za-z0-9-]+:[A-Za-z0-9*?]+", action):
            raise UnknownPolicyElement(f"{where}: action {action!r} is not of the form service:action")
    has_resource, has_principal = "Resource" in raw or "NotResource" in raw, "Principal" in raw or "NotPrincipal" in raw
    if kind == "identity" and has_principal:
        raise UnknownPolicyElement(f"{where}: an identity-based policy has no Principal")
    if kind != "identity" and not has_principal:
        raise UnknownPolicyElement(f"{where}: a resource-based policy needs a Principal")
    if kind == "trust" and has_resource:
        raise UnknownPolicyElement(f"{where}: a trust policy has no Resource")
    if kind != "trust" and not has_resource:
        raise UnknownPolicyElement(f"{where}: Resource is missing")
    if has_resource:
        resources = _texts(raw.get("Resource", raw.get("NotResource")), where, "Resource")
    else:
        resources = ("*",)
    if "NotPrincipal" in raw and raw["Effect"] == "Allow":
        raise UnknownPolicyElement(f"{where}: NotPrincipal with Allow is not supported; AWS advises against it")
    return Statement(
        label=label,
        effect=raw["Effect"],
        actions=actions,
        not_action="NotAction" in raw,
        resources=resources,
        not_resource="NotResource" in raw,
        principals=_principals(raw.get("Principal", raw.get("NotPrincipal")), where) if has_principal else None,
        not_principal="NotPrincipal" in raw,
        conditions=_conditions(raw.get("Condition", {}), where),
        variables=variables,
    )


def _texts(raw: Any, where: str, element: str) -> tuple[str, ...]:
    values = [raw] if isinstance(raw, str) else raw
    if not isinstance(values, list) or not values or not all(isinstance(v, str) for v in values):
        raise UnknownPolicyElement(f"{where}: {element} is {raw!r}, expected a text or a list of texts")
    return tuple(values)


def _principals(raw: Any, where: str) -> tuple[tuple[str, str], ...]:
    if raw == "*":
        return (("AWS", "*"),)
    if not isinstance(raw, dict) or not raw:
        raise UnknownPolicyElement(f"{where}: Principal is {raw!r}, expected '*' or an object")
    if unknown := set(raw) - _PRINCIPAL_TYPES:
        raise UnknownPolicyElement(f"{where}: unknown principal type {sorted(unknown)}")
    found = [(type_, value) for type_, values in raw.items() for value in _texts(values, where, "Principal")]
    for type_, value in found:
        if type_ == "AWS" and not (value == "*" or re.fullmatch(r"[0-9]{12}", value) or "*" not in value):
            raise UnknownPolicyElement(f"{where}: principal {value!r}: a wildcard cannot match part of a principal")
    return tuple(found)


def _conditions(raw: Any, where: str) -> tuple[Condition, ...]:
    if not isinstance(raw, dict):
        raise UnknownPolicyElement(f"{where}: Condition is not an object")
    found = []
    for name, keys in raw.items():
        operator, quantifier, if_exists = _operator(name, where)
        if not isinstance(keys, dict):
            raise UnknownPolicyElement(f"{where}: Condition {name} is not an object")
        for key, values in keys.items():
            texts = tuple(_condition_text(v, where) for v in (values if isinstance(values, list) else [values]))
            _check_values(operator, texts, where)
            found.append(Condition(key.lower(), operator, quantifier, if_exists, texts))
    return tuple(found)


def _operator(name: str, where: str) -> tuple[str, Literal["ForAllValues", "ForAnyValue"] | None, bool]:
    prefix, colon, operator = name.partition(":")
    quantifier: Literal["ForAllValues", "ForAnyValue"] | None = None
    if not colon:
        operator = prefix
    elif prefix == "ForAllValues":
        quantifier = "ForAllValues"
    elif prefix == "ForAnyValue":
        quantifier = "ForAnyValue"
    else:
        raise UnknownPolicyElement(f"{where}: unknown set operator in {name!r}")
    if_exists = operator.endswith("IfExists")
    operator = operator.removesuffix("IfExists")
    if operator not in _OPERATORS and operator != "Null":
        raise UnknownPolicyElement(f"{where}: unknown condition operator {name!r}")
    if operator == "Null" and (quantifier or if_exists):
        raise UnknownPolicyElement(f"{where}: {name!r}: Null takes neither a set operator nor IfExists")
    return operator, quantifier, if_exists


def _condition_text(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise UnknownPolicyElement(f"{where}: condition value {value!r} is not a text, number or truth value")


def _check_values(operator: str, values: tuple[str, ...], where: str) -> None:
    """Refuse at parse time a value that the operator cannot compare; at run time it would silently never match."""
    parse: Callable[[str], object] | None = None
    if operator.startswith("Numeric"):
        parse = _number
    elif operator.startswith("Date"):
        parse = _instant
    elif operator.endswith("IpAddress"):
        parse = _network
    elif operator in ("Bool", "Null"):
        parse = _truth
    for value in values:
        if parse is not None and "${" not in value and parse(value) is None:
            raise UnknownPolicyElement(f"{where}: {value!r} is no value for {operator}")


# ---------- wildcards and variables


def matches(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    """Return whether *value* is of *pattern*, where `*` is any text and `?` any one character."""
    if pattern == "*":
        return True
    if "*" not in pattern and "?" not in pattern:
        return pattern.lower() == value.lower() if ignore_case else pattern == value
    return _regex(pattern, ignore_case).fullmatch(value) is not None


@lru_cache(maxsize=16384)
def _regex(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    return re.compile(_wild(pattern), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _wild(text: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(c) or re.escape(c) for c in re.sub(r"\*+", "*", text))


_VARIABLE = re.compile(r"\$\{\s*([^},\s]+)\s*(?:,\s*'([^']*)'\s*)?\}")


def _expand(text: str, context: Mapping[str, tuple[str, ...]], *, wild: bool) -> str | None:
    """
    Return *text* with its policy variables replaced; with *wild*, as a regular expression.

    A replaced value is literal: a `*` in it is no wildcard. None where a variable has no single value and no default.

    Source: IAM User Guide, reference_policies_variables.html
    """
    parts, end = [], 0
    for found in _VARIABLE.finditer(text):
        literal = text[end : found.start()]
        parts.append(_wild(literal) if wild else literal)
        name, default = found.group(1), found.group(2)
        if name in ("*", "?", "$"):
            value: str | None = name
        else:
            values = context.get(name.lower(), ())
            value = values[0] if len(values) == 1 else default
        if value is None:
            return None
        parts.append(re.escape(value) if wild else value)
        end = found.end()
    if "${" in text[end:]:
        raise UnknownPolicyElement(f"policy variable in {text!r} is not of a known form")
    parts.append(_wild(text[end:]) if wild else text[end:])
    return "".join(parts)


def _like(pattern: str, value: str, context: Mapping[str, tuple[str, ...]], variables: bool) -> bool:
    if variables and "${" in pattern:
        expanded = _expand(pattern, context, wild=True)
        return expanded is not None and re.fullmatch(expanded, value, re.DOTALL) is not None
    return matches(pattern, value)


# ---------- condition operators


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _instant(text: str) -> float | None:
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _truth(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _arn_like(pattern: str, value: str) -> bool:
    """Compare the six parts of an ARN one by one; a `*` does not reach beyond its colon, but in the last part."""
    if pattern == "*":
        return True
    wanted, given = pattern.split(":", 5), value.split(":", 5)
    return len(wanted) == len(given) == 6 and all(matches(w, g) for w, g in zip(wanted, given, strict=True))


def _compared(parse: Callable[[str], Any], holds: Callable[[Any, Any], bool]) -> Callable[[str, str], bool]:
    def compare(wanted: str, given: str) -> bool:
        left, right = parse(given), parse(wanted)
        return left is not None and right is not None and holds(left, right)

    return compare


def _within(given: Any, wanted: Any) -> bool:
    return bool(given.version == wanted.version and given.subnet_of(wanted))


# operator -> (whether the value matches, whether the operator is the negation of that)
_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (lambda w, g: w == g, False),
    "StringNotEquals": (lambda w, g: w == g, True),
    "StringEqualsIgnoreCase": (lambda w, g: w.lower() == g.lower(), False),
    "StringNotEqualsIgnoreCase": (lambda w, g: w.lower() == g.lower(), True),
    "StringLike": (matches, False),
    "StringNotLike": (matches, True),
    "NumericEquals": (_compared(_number, lambda g, w: g == w), False),
    "NumericNotEquals": (_compared(_number, lambda g, w: g == w), True),
    "NumericLessThan": (_compared(_number, lambda g, w: g < w), False),
    "NumericLessThanEquals": (_compared(_number, lambda g, w: g <= w), False),
    "NumericGreaterThan": (_compared(_number, lambda g, w: g > w), False),
    "NumericGreaterThanEquals": (_compared(_number, lambda g, w: g >= w), False),
    "DateEquals": (_compared(_instant, lambda g, w: g == w), False),
    "DateNotEquals": (_compared(_instant, lambda g, w: g == w), True),
    "DateLessThan": (_compared(_instant, lambda g, w: g < w), False),
    "DateLessThanEquals": (_compared(_instant, lambda g, w: g <= w), False),
    "DateGreaterThan": (_compared(_instant, lambda g, w: g > w), False),
    "DateGreaterThanEquals": (_compared(_instant, lambda g, w: g >= w), False),
    "Bool": (_compared(_truth, lambda g, w: g is w), False),
    "IpAddress": (_compared(_network, _within), False),
    "NotIpAddress": (_compared(_network, _within), True),
    "ArnEquals": (_arn_like, False),
    "ArnLike": (_arn_like, False),
    "ArnNotEquals": (_arn_like, True),
    "ArnNotLike": (_arn_like, True),
}
_ARN_OPERATORS = frozenset({"ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"})


def _holds(condition: Condition, request: _Prepared, variables: bool) -> bool:
    """Source: IAM User Guide, reference_policies_elements_condition_operators.html and …_condition-single-vs-multi…"""
    if request.unsupplied is not None and condition.key not in request.context and request.unsupplied(condition.key):
        raise UnknownPolicyElement(f"condition key {condition.key!r} on {request.action} is not emulated")
    given = request.context.get(condition.key)
    if condition.operator == "Null":
        absent = given is None or not given
        return any(_truth(value) is absent for value in condition.values)
    compare, negated = _OPERATORS[condition.operator]
    if not given:
        if condition.if_exists or condition.quantifier == "ForAllValues":
            return True
        return negated and condition.quantifier is None
    if condition.quantifier is None and condition.key in request.multivalued:
        raise UnknownPolicyElement(f"{condition.key} is multivalued: it needs ForAllValues or ForAnyValue")

    def one(value: str) -> bool:
        return negated != any(
            _value_matches(condition.operator, wanted, value, compare, request.context, variables)
            for wanted in condition.values
        )

    return any(map(one, given)) if condition.quantifier == "ForAnyValue" else all(map(one, given))


def _value_matches(
    operator: str,
    wanted: str,
    given: str,
    compare: Callable[[str, str], bool],
    context: Mapping[str, tuple[str, ...]],
    variables: bool,
) -> bool:
    if not (variables and "${" in wanted):
        return compare(wanted, given)
    if operator in ("StringLike", "StringNotLike"):
        return _like(wanted, given, context, variables)
    expanded = _expand(wanted, context, wild=False)
    if expanded is None:
        return False
    if operator in _ARN_OPERATORS and (
        "${*}" in wanted or "${?}" in wanted or any(expanded.count(wild) > wanted.count(wild) for wild in "*?")
    ):
        raise UnknownPolicyElement(f"policy variable in {wanted!r} brings a literal wildcard into an ARN pattern")
    return compare(expanded, given)


# ---------- evaluation


@dataclass(frozen=True, slots=True)
class _Prepared:
    subject: Subject
    action: str
    resource: str
    context: Mapping[str, tuple[str, ...]]
    multivalued: frozenset[str]
    unsupplied: Callable[[str], bool] | None


# How a statement of a resource-based policy names the caller. A "delegated" grant is one to the account: it lets the
# account's own identity-based policies decide. A grant to the "session" is not limited by session policies.
Grant = Literal["session", "role", "delegated"]


def evaluate(
    request: Request,
    *,
    identity: Iterable[Policy] = (),
    resource: Policy | Sequence[Policy] | None = None,
    session: Sequence[Policy] | None = None,
    boundary: Policy | None = None,
    scps: Sequence[Policy] | None = None,
    resource_decides: bool = False,
) -> Decision:
    """
    Return whether AWS would allow the request.

    Args:
        identity: the inline and managed policies of the caller; ignored for a service principal.
        resource: the policy (or policies) of the resource.
        session: the session policies; None where none was passed. They only take away.
        boundary: the permissions boundary of the caller; it only takes away.
        scps: service control policies, each of which must allow; None where there are none. Not for services.
        resource_decides: True for KMS keys and for AssumeRole (the trust policy): within one account, too, the
            resource's policy must allow; a grant to the account lets identity-based policies decide.

    Raises:
        UnknownPolicyElement: a statement that applies has a condition that cannot be judged.
    """
    prepared = _Prepared(
        request.subject,
        request.action,
        request.resource,
        request.lowered(),
        request.multivalued(),
        request.unsupplied,
    )
    matched: list[Match] = []
    is_service = request.subject.service is not None
    resource_policies = () if resource is None else (resource,) if isinstance(resource, Policy) else tuple(resource)

    by_identity = "none" if is_service else _effect(identity, prepared, matched)
    by_session = "Allow" if session is None or is_service else _effect(session, prepared, matched)
    by_boundary = "Allow" if boundary is None or is_service else _effect((boundary,), prepared, matched)
    by_scp = "Allow"
    for scp in scps or ():
        if not is_service and by_scp != "Deny":
            effect = _effect((scp,), prepared, matched)
            by_scp = effect if effect != "Allow" else by_scp
    grants, resource_denies = _grants(resource_policies, prepared, matched)

    def decide(allowed: bool, reason: str = "allowed") -> Decision:
        return Decision(allowed, reason, tuple(matched))

    for denied, what in (
        (by_scp == "Deny", "a service control policy"),
        (resource_denies, "a resource-based policy"),
        (by_identity == "Deny", "an identity-based policy"),
        (by_boundary == "Deny", "a permissions boundary"),
        (by_session == "Deny", "a session policy"),
    ):
        if denied:
            return decide(False, f"with an explicit deny in {what}")
    action = request.action
    if is_service:
        allowed = bool(grants)
        return decide(allowed, "allowed" if allowed else f"because no resource-based policy allows the {action} action")
    if by_scp != "Allow":
        return decide(False, f"because no service control policy allows the {action} action")

    same_account = request.resource_account is None or request.resource_account == request.subject.account
    no_resource = f"because no resource-based policy allows the {action} action"
    no_identity = f"because no identity-based policy allows the {action} action"
    if same_account:
        if "session" in grants:
            return decide(True)
        if resource_decides and not grants:
            return decide(False, no_resource)
        if "role" not in grants and by_identity != "Allow":
            return decide(False, no_identity)
    else:
        if by_identity != "Allow":
            return decide(False, no_identity)
        if not grants:
            return decide(False, no_resource)
    if by_boundary != "Allow":
        return decide(False, f"because no permissions boundary allows the {action} action")
    if by_session != "Allow":
        return decide(False, f"because no session policy allows the {action} action")
    return decide(True)


def _effect(policies: Iterable[Policy], request: _Prepared, matched: list[Match]) -> str:
    found = "none"
    for policy in policies:
        for statement in policy.statements:
            if _applies(statement, request):
                matched.append(Match(policy.name, statement.label, statement.effect))
                if statement.effect == "Deny":
                    found = "Deny"
                elif found == "none":
                    found = "Allow"
    return found


def _grants(policies: Iterable[Policy], request: _Prepared, matched: list[Match]) -> tuple[set[Grant], bool]:
    grants: set[Grant] = set()
    denied = False
    for policy in policies:
        for statement in policy.statements:
            named = _named(statement, request.subject)
            if named is None or not _applies(statement, request):
                continue
            matched.append(Match(policy.name, statement.label, statement.effect))
            if statement.effect == "Deny":
                denied = True
            else:
                grants.add(named)
    return grants, denied


def _applies(statement: Statement, request: _Prepared) -> bool:
    action = request.action
    if statement.not_action == any(matches(p, action, ignore_case=True) for p in statement.actions):
        return False
    context, variables = request.context, statement.variables
    in_resources = any(_like(p, request.resource, context, variables) for p in statement.resources)
    if statement.not_resource == in_resources:
        return False
    return all(_holds(condition, request, variables) for condition in statement.conditions)


def _named(statement: Statement, subject: Subject) -> Grant | None:
    """
    Return how the statement's principal names the caller, the strongest way first; None where it does not.

    For NotPrincipal a caller is named unless it is excepted itself, by session, role and account, as AWS asks.
    """
    ways = {way for type_, value in statement.principals or () if (way := _names(type_, value, subject)) is not None}
    if statement.not_principal:
        return None if ways else "role"
    for way in ("session", "role", "delegated"):
        if way in ways:
            return way
    return None


def _names(type_: str, value: str, subject: Subject) -> Grant | None:
    """Source: IAM User Guide, reference_policies_elements_principal.html"""
    if type_ == "AWS":
        if value == "*":
            return "role"
        if subject.service is not None:
            return None
        if value == subject.arn:
            return "session"
        if value == subject.role_arn:
            return "role"
        account = value if re.fullmatch(r"[0-9]{12}", value) else _account_of_root(value)
        return "delegated" if account is not None and account == subject.account else None
    if type_ == "Service":
        return "role" if value == subject.service else None
    return None  # Federated and CanonicalUser callers do not exist here


def _account_of_root(arn: str) -> str | None:
    found = re.fullmatch(r"arn:[a-z-]+:iam::([0-9]{12}):root", arn)
    return found.group(1) if found else None
