"""IAM's rules as tables; each test names the page of the IAM User Guide (or another guide) that its rows come from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.iam import Policy, Request, Subject, UnknownPolicyElement, evaluate, matches, parse_policy

ACCOUNT, OTHER = "111111111111", "222222222222"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/reader"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/anna"
CALLER = Subject(account=ACCOUNT, arn=SESSION, role_arn=ROLE)
BUCKET = "arn:aws:s3:::example"


def statement(effect: str = "Allow", **elements: Any) -> dict[str, Any]:
    filled = {"Effect": effect, **elements}
    if "NotAction" not in filled:
        filled.setdefault("Action", "s3:*")
    if "NotResource" not in filled:
        filled.setdefault("Resource", "*")
    return filled


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> dict[str, Any]:
    return {"Version": version, "Statement": list(statements)}


def identity(*statements: dict[str, Any]) -> Policy:
    return parse_policy(document(*statements), "identity")


def resource(*statements: dict[str, Any]) -> Policy:
    return parse_policy(document(*statements), "resource", "resource")


def request(**changes: Any) -> Request:
    filled = {
        "subject": CALLER,
        "action": "s3:GetBucketAcl",
        "resource": BUCKET,
        "resource_account": ACCOUNT,
        **changes,
    }
    return Request(**filled)


ALLOW, DENY = identity(statement()), identity(statement("Deny"))


def grants(principal: Any, effect: str = "Allow") -> Policy:
    return resource(statement(effect, Principal=principal))


@pytest.mark.parametrize(
    ("case", "policies", "allowed", "reason"),
    [
        ("nothing says anything", {}, False, "because no identity-based policy allows"),
        ("identity allows", {"identity": [ALLOW]}, True, "allowed"),
        ("resource allows the role", {"resource": grants({"AWS": ROLE})}, True, "allowed"),
        ("deny beats allow", {"identity": [ALLOW, DENY]}, False, "with an explicit deny in an identity-based policy"),
        (
            "resource denies",
            {"identity": [ALLOW], "resource": grants("*", "Deny")},
            False,
            "with an explicit deny in a resource-based policy",
        ),
        ("boundary is silent", {"identity": [ALLOW], "boundary": identity()}, False, "because no permissions boundary"),
        ("SCP is silent", {"identity": [ALLOW], "scps": [identity()]}, False, "because no service control policy"),
        ("one of two SCPs is silent", {"identity": [ALLOW], "scps": [ALLOW, identity()]}, False, "because no service"),
        ("both SCPs allow", {"identity": [ALLOW], "scps": [ALLOW, ALLOW]}, True, "allowed"),
        ("an SCP grants nothing", {"scps": [ALLOW]}, False, "because no identity-based policy"),
        ("an SCP denies", {"identity": [ALLOW], "scps": [DENY]}, False, "with an explicit deny in a service control"),
        (
            "an SCP limits what a resource policy grants",
            {"resource": grants({"AWS": ROLE}), "scps": [identity()]},
            False,
            "because no service control policy",
        ),
    ],
)
def test_one_account(case: str, policies: dict[str, Any], allowed: bool, reason: str) -> None:
    """reference_policies_evaluation-logic_policy-eval-basics.html and …-denyallow.html"""
    decision = evaluate(request(), **policies)

    assert (decision.allowed, decision.reason.startswith(reason)) == (allowed, True), (case, decision)


@pytest.mark.parametrize(
    ("case", "session", "granted_to", "with_identity", "allowed"),
    [
        ("session policy takes away", document(), None, True, False),
        ("session policy gives nothing", document(statement()), None, False, False),
        ("both allow", document(statement()), None, True, True),
        ("grant to the role is limited by the session policy", document(), ROLE, False, False),
        ("grant to the role within the session policy", document(statement()), ROLE, False, True),
        ("grant to the session is not limited", document(), SESSION, False, True),
        ("deny in the session policy limits even that", document(statement("Deny")), SESSION, False, False),
    ],
)
def test_session_policies(
    case: str, session: dict[str, Any], granted_to: str | None, with_identity: bool, allowed: bool
) -> None:
    """access_policies.html#policies_session and …policy-eval-denyallow.html, resource-based policies"""
    decision = evaluate(
        request(),
        identity=[ALLOW] if with_identity else [],
        resource=grants({"AWS": granted_to}) if granted_to else None,
        session=[parse_policy(session)],
    )

    assert decision.allowed is allowed, (case, decision)


@pytest.mark.parametrize(
    ("case", "with_identity", "principal", "allowed"),
    [
        ("caller's account only", True, None, False),
        ("resource's account only, role named", False, {"AWS": ROLE}, False),
        ("resource's account only, session named", False, {"AWS": SESSION}, False),
        ("both, role named", True, {"AWS": ROLE}, True),
        ("both, account named", True, {"AWS": ACCOUNT}, True),
        ("both, account's root named", True, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, True),
        ("both, everyone named", True, "*", True),
        ("both, but another account named", True, {"AWS": "333333333333"}, False),
    ],
)
def test_cross_account_needs_both_sides(case: str, with_identity: bool, principal: Any, allowed: bool) -> None:
    """reference_policies_evaluation-logic-cross-account.html"""
    decision = evaluate(
        request(resource_account=OTHER),
        identity=[ALLOW] if with_identity else [],
        resource=grants(principal) if principal else None,
    )

    assert decision.allowed is allowed, (case, decision)


@pytest.mark.parametrize(
    ("case", "principal", "with_identity", "allowed"),
    [
        ("the resource's policy is silent", None, True, False),
        ("account named: IAM decides, and allows", {"AWS": ACCOUNT}, True, True),
        ("account named: IAM decides, and is silent", {"AWS": ACCOUNT}, False, False),
        ("role named: enough", {"AWS": ROLE}, False, True),
        ("another role named", {"AWS": f"arn:aws:iam::{ACCOUNT}:role/other"}, True, False),
    ],
)
def test_keys_and_trust_policies_must_allow(case: str, principal: Any, with_identity: bool, allowed: bool) -> None:
    """KMS Developer Guide, key-policy-default.html; IAM User Guide, …-cross-account.html on role trust policies"""
    decision = evaluate(
        request(),
        identity=[ALLOW] if with_identity else [],
        resource=grants(principal) if principal else None,
        resource_decides=True,
    )

    assert decision.allowed is allowed, (case, decision)


SERVICE = Subject(service="sqs.amazonaws.com")


@pytest.mark.parametrize(
    ("case", "subject", "principal", "negated", "applies"),
    [
        ("everyone", CALLER, "*", False, True),
        ("everyone, as AWS", CALLER, {"AWS": "*"}, False, True),
        ("role", CALLER, {"AWS": [ROLE]}, False, True),
        ("role without its path is another role", CALLER, {"AWS": f"arn:aws:iam::{ACCOUNT}:role/reader"}, False, False),
        ("session", CALLER, {"AWS": SESSION}, False, True),
        ("another session", CALLER, {"AWS": SESSION + "2"}, False, False),
        ("service", SERVICE, {"Service": "sqs.amazonaws.com"}, False, True),
        ("another service", SERVICE, {"Service": "sns.amazonaws.com"}, False, False),
        ("a role is no service", CALLER, {"Service": "sqs.amazonaws.com"}, False, False),
        ("a service is in no account", SERVICE, {"AWS": ACCOUNT}, False, False),
        ("federated only", CALLER, {"Federated": "cognito-identity.amazonaws.com"}, False, False),
        ("all but this role", CALLER, {"AWS": [ROLE, f"arn:aws:iam::{ACCOUNT}:root"]}, True, False),
        ("all but another role", CALLER, {"AWS": f"arn:aws:iam::{OTHER}:role/other"}, True, True),
    ],
)
def test_principal_forms(case: str, subject: Subject, principal: Any, negated: bool, applies: bool) -> None:
    """reference_policies_elements_principal.html and reference_policies_elements_notprincipal.html"""
    name = "NotPrincipal" if negated else "Principal"
    policy = resource(statement("Deny", **{name: principal}))

    decision = evaluate(request(subject=subject), identity=[ALLOW], resource=[grants("*"), policy])

    assert decision.allowed is not applies, (case, decision)


@pytest.mark.parametrize(
    ("pattern", "action", "matched"),
    [
        ("s3:GetBucketAcl", "s3:GetBucketAcl", True),
        ("S3:getbucketACL", "s3:GetBucketAcl", True),
        ("s3:Get*", "s3:GetBucketAcl", True),
        ("s3:*Bucket*", "s3:GetBucketAcl", True),
        ("s3:GetBucketAc?", "s3:GetBucketAcl", True),
        ("s3:GetBucketAcl?", "s3:GetBucketAcl", False),
        ("s3:Get", "s3:GetBucketAcl", False),
        ("*", "s3:GetBucketAcl", True),
    ],
)
def test_actions(pattern: str, action: str, matched: bool) -> None:
    """reference_policies_elements_action.html"""
    listed = evaluate(request(action=action), identity=[identity(statement(Action=[pattern]))])
    excepted = evaluate(request(action=action), identity=[identity(statement(NotAction=pattern))])

    assert (listed.allowed, excepted.allowed) == (matched, not matched)


@pytest.mark.parametrize(
    ("pattern", "arn", "matched"),
    [
        ("arn:aws:s3:::example", BUCKET, True),
        ("arn:aws:s3:::EXAMPLE", BUCKET, False),
        ("arn:aws:s3:::exam*", BUCKET, True),
        ("arn:aws:s3:::exampl?", BUCKET, True),
        ("arn:aws:sqs:*:111111111111:q", "arn:aws:sqs:eu-west-1:111111111111:q", True),
        ("arn:aws:s3:::example", "*", False),
        ("*", "*", True),
    ],
)
def test_resources(pattern: str, arn: str, matched: bool) -> None:
    """reference_policies_elements_resource.html; an action without resource-level permissions needs *"""
    listed = evaluate(request(resource=arn), identity=[identity(statement(Resource=pattern))])
    excepted = evaluate(request(resource=arn), identity=[identity(statement(NotResource=[pattern]))])

    assert (listed.allowed, excepted.allowed) == (matched, not matched)


@pytest.mark.parametrize(
    ("case", "pattern", "version", "allowed"),
    [
        ("variable", "arn:aws:s3:::${aws:PrincipalTag/team}", "2012-10-17", True),
        ("names of keys have no case", "arn:aws:s3:::${AWS:principaltag/TEAM}", "2012-10-17", True),
        ("literal text in the old version", "arn:aws:s3:::${aws:PrincipalTag/team}", "2008-10-17", False),
        ("default value", "arn:aws:s3:::${aws:PrincipalTag/none, 'example'}", "2012-10-17", True),
        ("missing without a default", "arn:aws:s3:::${aws:PrincipalTag/none}", "2012-10-17", False),
        ("missing beside a wildcard", "arn:aws:s3:::*${aws:PrincipalTag/none}", "2012-10-17", False),
        ("a value's wildcard is literal", "arn:aws:s3:::${aws:PrincipalTag/star}", "2012-10-17", False),
        ("escaped wildcard", "arn:aws:s3:::exampl${*}", "2012-10-17", False),
    ],
)
def test_policy_variables(case: str, pattern: str, version: str, allowed: bool) -> None:
    """reference_policies_variables.html"""
    policy = parse_policy(document(statement(Resource=pattern), version=version))
    context = {"aws:PrincipalTag/team": "example", "aws:PrincipalTag/star": "*"}

    assert evaluate(request(context=context), identity=[policy]).allowed is allowed, case


CONDITIONS: list[tuple[str, Any, Any, bool]] = [
    ("StringEquals", "a", "a", True),
    ("StringEquals", "A", "a", False),
    ("StringEquals", ["b", "a"], "a", True),
    ("StringEquals", "a*", "ab", False),
    ("StringEquals", "a", None, False),
    ("StringNotEquals", "a", "b", True),
    ("StringNotEquals", ["a", "b"], "b", False),
    ("StringNotEquals", "a", None, True),
    ("StringEqualsIgnoreCase", "A", "a", True),
    ("StringNotEqualsIgnoreCase", "A", "a", False),
    ("StringLike", "a*c", "abbc", True),
    ("StringLike", "a?c", "abbc", False),
    ("StringLike", "A*", "ab", False),
    ("StringNotLike", "a*", "ab", False),
    ("StringNotLike", "a*", None, True),
    ("NumericEquals", "10", "10.0", True),
    ("NumericNotEquals", 10, "11", True),
    ("NumericLessThan", "10", "9", True),
    ("NumericLessThan", "10", "10", False),
    ("NumericLessThanEquals", "10", "10", True),
    ("NumericGreaterThan", "9", "10", True),
    ("NumericGreaterThanEquals", "11", "10", False),
    ("NumericEquals", "10", "ten", False),
    ("DateGreaterThan", "2020-01-01T00:00:01Z", "2020-06-01T00:00:00Z", True),
    ("DateLessThan", "2020-01-01T00:00:01Z", "2020-06-01T00:00:00Z", False),
    ("DateEquals", "1577836800", "2020-01-01T00:00:00Z", True),
    ("DateNotEquals", "1577836800", "2020-01-01T00:00:00Z", False),
    ("DateLessThanEquals", "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z", True),
    ("DateGreaterThanEquals", "2020-01-01T00:00:00Z", "2019-12-31T23:59:59Z", False),
    ("Bool", "true", "true", True),
    ("Bool", True, "true", True),
    ("Bool", "false", "true", False),
    ("Bool", "false", None, False),
    ("BoolIfExists", "true", None, True),
    ("IpAddress", "203.0.113.0/24", "203.0.113.7", True),
    ("IpAddress", ["10.0.0.0/8", "203.0.113.0/24"], "203.0.114.7", False),
    ("NotIpAddress", "203.0.113.0/24", "203.0.114.7", True),
    ("IpAddress", "2001:db8::/32", "203.0.113.7", False),
    ("ArnEquals", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/path/x", True),
    ("ArnLike", "arn:aws:*:role/x", "arn:aws:iam::1:role/x", False),
    ("ArnLike", "arn:aws:sns:*:*:t", "arn:aws:sns:eu-west-1:1:t", True),
    ("ArnNotEquals", "arn:aws:iam::1:role/x", "arn:aws:iam::1:role/y", True),
    ("ArnNotLike", "arn:aws:iam::1:role/*", "arn:aws:iam::1:role/y", False),
    ("ArnLike", "arn:aws:iam::1:role/x", None, False),
    ("Null", "true", None, True),
    ("Null", "true", "a", False),
    ("Null", "false", "a", True),
    ("Null", "false", None, False),
    ("StringEqualsIfExists", "a", None, True),
    ("StringEqualsIfExists", "a", "b", False),
    ("StringNotEqualsIfExists", "a", "a", False),
]


@pytest.mark.parametrize(("operator", "wanted", "given_value", "holds"), CONDITIONS)
def test_condition_operators(operator: str, wanted: Any, given_value: str | None, holds: bool) -> None:
    """reference_policies_elements_condition_operators.html"""
    policy = identity(statement(Condition={operator: {"Aws:Some-Key": wanted}}))
    context = {} if given_value is None else {"aws:some-key": given_value}

    assert evaluate(request(context=context), identity=[policy]).allowed is holds


@pytest.mark.parametrize(
    ("operator", "wanted", "given_values", "holds"),
    [
        ("ForAllValues:StringEquals", ["a", "b"], ("a", "b"), True),
        ("ForAllValues:StringEquals", ["a", "b"], ("a", "c"), False),
        ("ForAllValues:StringEquals", ["a"], None, True),
        ("ForAllValues:StringEquals", ["a"], (), True),
        ("ForAnyValue:StringEquals", ["a", "b"], ("c", "b"), True),
        ("ForAnyValue:StringEquals", ["a", "b"], ("c", "d"), False),
        ("ForAnyValue:StringEquals", ["a"], None, False),
        ("ForAnyValue:StringLike", ["a*"], ("ab", "c"), True),
        ("ForAllValues:StringNotEquals", ["a"], ("b", "c"), True),
        ("ForAllValues:StringNotEquals", ["a"], ("a", "c"), False),
        ("ForAnyValue:StringNotEquals", ["a"], ("a", "c"), True),
        ("ForAnyValue:StringNotEquals", ["a"], None, False),
    ],
)
def test_multivalued_keys(operator: str, wanted: list[str], given_values: tuple[str, ...] | None, holds: bool) -> None:
    """reference_policies_condition-single-vs-multi-valued-context-keys.html"""
    policy = identity(statement(Condition={operator: {"aws:TagKeys": wanted}}))
    context = {} if given_values is None else {"aws:TagKeys": given_values}

    assert evaluate(request(context=context), identity=[policy]).allowed is holds


def test_all_operators_and_keys_of_a_condition_must_hold() -> None:
    """reference_policies_condition-logic-multiple-context-keys-or-values.html"""
    policy = identity(statement(Condition={"StringEquals": {"a:a": "1", "a:b": "2"}, "Bool": {"a:c": "true"}}))
    whole = {"a:a": "1", "a:b": "2", "a:c": "true"}

    assert evaluate(request(context=whole), identity=[policy]).allowed
    for key in whole:
        assert not evaluate(request(context={**whole, key: "x"}), identity=[policy]).allowed, key


@pytest.mark.parametrize(
    ("case", "wrong"),
    [
        ("operator", document(statement(Condition={"StringSounds": {"a:b": "c"}}))),
        ("binary operator", document(statement(Condition={"BinaryEquals": {"a:b": "QQ=="}}))),
        ("set operator", document(statement(Condition={"ForSomeValues:StringEquals": {"a:b": "c"}}))),
        ("Null with IfExists", document(statement(Condition={"NullIfExists": {"a:b": "true"}}))),
        ("no number", document(statement(Condition={"NumericEquals": {"a:b": "ten"}}))),
        ("no address", document(statement(Condition={"IpAddress": {"aws:SourceIp": "300.1.1.1"}}))),
        ("no truth value", document(statement(Condition={"Bool": {"a:b": "yes"}}))),
        ("element", document(statement(Conditions={}))),
        ("document element", {**document(), "Statements": []}),
        ("version", document(version="2012-10-18")),
        ("effect", document(statement("allow"))),
        ("action and its opposite", document(statement(NotAction="s3:*", Action="s3:*"))),
        ("no service in the action", document(statement(Action="GetObject"))),
        ("no resource", document({"Effect": "Allow", "Action": "s3:*"})),
        ("principal in an identity-based policy", document(statement(Principal="*"))),
        ("no object", []),
        ("no JSON", "{"),
    ],
)
def test_what_is_unknown_is_refused_loudly(case: str, wrong: Any) -> None:
    with pytest.raises(UnknownPolicyElement):
        parse_policy(wrong if isinstance(wrong, str) else json.dumps(wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        statement(),
        statement(Principal={"Aws": "*"}),
        statement(Principal={}),
        statement(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/*"}),
        statement(NotPrincipal={"AWS": ROLE}),
    ],
)
def test_principals_that_aws_refuses_are_refused_loudly(wrong: dict[str, Any]) -> None:
    """reference_policies_elements_principal.html: no wildcard within a name; …_notprincipal.html: not with Allow"""
    with pytest.raises(UnknownPolicyElement):
        resource(wrong)


def test_a_key_that_the_caller_cannot_supply_is_refused_only_where_it_would_be_judged() -> None:
    policy = identity(statement(Action="s3:Put*", Condition={"Null": {"aws:ResourceTag/owner": "true"}}))
    unsupplied = request(unsupplied=lambda key: key.startswith("aws:resourcetag/"))

    assert not evaluate(unsupplied, identity=[policy]).allowed
    with pytest.raises(UnknownPolicyElement, match="aws:resourcetag/owner"):
        evaluate(
            request(action="s3:PutBucketAcl", unsupplied=lambda key: key.startswith("aws:resourcetag/")),
            identity=[policy],
        )


def test_a_multivalued_key_without_set_operator_is_refused_loudly() -> None:
    policy = identity(statement(Condition={"StringEquals": {"aws:TagKeys": "a"}}))

    with pytest.raises(UnknownPolicyElement, match="multivalued"):
        evaluate(request(context={"aws:TagKeys": ("a", "b")}), identity=[policy])


def test_a_single_statement_needs_no_list_and_its_label_is_its_sid() -> None:
    single = parse_policy({"Version": "2012-10-17", "Statement": statement(Sid="Read")}, "p")

    decision = evaluate(request(), identity=[single])

    assert [(m.policy, m.statement, m.effect) for m in decision.matched] == [("p", "Read", "Allow")]


# ---------- properties

ACTIONS = ["s3:*", "s3:GetBucketAcl", "s3:Get*", "sqs:*", "*"]
RESOURCES = ["*", BUCKET, "arn:aws:s3:::other", "arn:aws:s3:::ex*"]
CONDITION = st.sampled_from(
    [{}, {"Bool": {"a:b": "true"}}, {"StringNotEquals": {"a:b": "true"}}, {"ForAllValues:StringEquals": {"a:c": "x"}}]
)
STATEMENT = st.builds(
    lambda effect, negated, actions, resources, condition: {
        "Effect": effect,
        ("NotAction" if negated else "Action"): actions,
        "Resource": resources,
        "Condition": condition,
    },
    st.sampled_from(["Allow", "Allow", "Deny"]),
    st.booleans(),
    st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=2),
    st.lists(st.sampled_from(RESOURCES), min_size=1, max_size=2),
    CONDITION,
)
STATEMENTS = st.lists(STATEMENT, max_size=3)
REQUEST = st.builds(
    lambda action, owner, context: request(action=action, resource_account=owner, context=context),
    st.sampled_from(["s3:GetBucketAcl", "s3:PutBucketAcl", "sqs:SendMessage"]),
    st.sampled_from([ACCOUNT, OTHER]),
    st.sampled_from([{}, {"a:b": "true"}, {"a:b": "false"}]),
)
PRINCIPAL = st.sampled_from(["*", {"AWS": ROLE}, {"AWS": SESSION}, {"AWS": ACCOUNT}, {"AWS": OTHER}])


def _resource_policy(statements: list[dict[str, Any]], principal: Any) -> Policy:
    return resource(*({**s, "Principal": principal} for s in statements))


@given(REQUEST, STATEMENTS, STATEMENTS, PRINCIPAL, STATEMENT, st.booleans(), st.booleans())
def test_adding_a_deny_never_allows(
    asked: Request,
    own: list[dict[str, Any]],
    others: list[dict[str, Any]],
    principal: Any,
    denial: dict[str, Any],
    to_identity: bool,
    decides: bool,
) -> None:
    denial = {**denial, "Effect": "Deny"}
    before = evaluate(
        asked, identity=[identity(*own)], resource=_resource_policy(others, principal), resource_decides=decides
    )
    after = evaluate(
        asked,
        identity=[identity(*own, *([denial] if to_identity else []))],
        resource=_resource_policy([*others, *([] if to_identity else [denial])], principal),
        resource_decides=decides,
    )

    assert before.allowed or not after.allowed


@given(REQUEST, STATEMENTS, STATEMENTS, PRINCIPAL, STATEMENTS, st.booleans())
def test_a_session_policy_a_boundary_or_an_scp_never_widens(
    asked: Request,
    own: list[dict[str, Any]],
    others: list[dict[str, Any]],
    principal: Any,
    limits: list[dict[str, Any]],
    decides: bool,
) -> None:
    limit = identity(*limits)
    policies: dict[str, Any] = {"identity": [identity(*own)], "resource": _resource_policy(others, principal)}
    without = evaluate(asked, **policies, resource_decides=decides)

    limits_: tuple[dict[str, Any], ...] = ({"session": [limit]}, {"boundary": limit}, {"scps": [limit]})
    for limited in limits_:
        assert without.allowed or not evaluate(asked, **policies, resource_decides=decides, **limited).allowed


@given(st.text(alphabet="ab*?", max_size=6), st.text(alphabet="ab", max_size=6))
def test_wildcards_agree_with_a_plain_definition(pattern: str, value: str) -> None:
    def plain(p: str, v: str) -> bool:
        if not p:
            return not v
        if p[0] == "*":
            return plain(p[1:], v) or (bool(v) and plain(p, v[1:]))
        return bool(v) and p[0] in ("?", v[0]) and plain(p[1:], v[1:])

    assert matches(pattern, value) == plain(pattern, value)
