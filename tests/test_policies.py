"""IAM policies made from permissions: a session's are for one resource and the planned calls; nothing widens them."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharr.loader import load_all
from sharr.policies import (
    SESSION_POLICY_CHARACTERS,
    PolicyTooLarge,
    UnsafeValue,
    role_statements,
    session_policy,
)
from sharr.remediation import Kind, Permission, Remediation
from tests.harness import remediation_of

KINDS: tuple[Kind, ...] = ("read", "write", "undo")
VALUES = {
    "partition": "aws",
    "region": "eu-west-1",
    "account": "222222222222",
    "bucket": "payments-archive",
    "key_id": "1234abcd-12ab-34cd-56ef-1234567890ab",
}
EVERY = pytest.mark.parametrize("remediation", load_all(), ids=lambda r: r.id)


def remediation(**permissions: tuple[Permission, ...]) -> Remediation:
    """Return a remediation with these permissions and no others."""
    none: dict[str, Any] = {"read": (), "write": (), "undo": ()}
    return dataclasses.replace(remediation_of("s3/require_tls"), **none | permissions)


def permission(action: str = "s3:GetBucketPolicy", on: str = "*", *operations: str, **when: Any) -> Permission:
    return Permission(action, (on,), operations or ("get_bucket_policy",), when=when)


def statements(text: str) -> list[dict[str, Any]]:
    policy = json.loads(text)
    assert policy.keys() == {"Version", "Statement"}
    found: list[dict[str, Any]] = policy["Statement"]
    return found


def actions(text: str) -> set[str]:
    return {action for statement in statements(text) for action in statement["Action"]}


BUCKET = "arn:{partition}:s3:::{bucket}"
ONE = remediation(
    read=(permission("s3:GetBucketPolicy", BUCKET), permission("s3:ListBucket", BUCKET, "head_bucket")),
    write=(
        permission("s3:PutBucketPolicy", BUCKET, "put_bucket_policy"),
        permission("s3:PutBucketAcl", BUCKET, "put_bucket_acl"),
    ),
    undo=(
        permission("s3:DeleteBucketPolicy", BUCKET, "delete_bucket_policy"),
        permission("s3:PutBucketPolicy", BUCKET, "put_bucket_policy"),
    ),
)


# --- what a session may do


@pytest.mark.parametrize(
    ("kinds", "operations", "wanted"),
    [
        (("read",), None, set()),
        (("read",), ["put_bucket_policy"], set()),
        (("read", "write"), [], set()),
        (("read", "write"), ["put_bucket_policy"], {"s3:PutBucketPolicy"}),
        (("read", "write"), ["delete_bucket_policy", "get_bucket_policy"], set()),
        (("read", "write"), ["put_bucket_policy", "put_bucket_acl"], {"s3:PutBucketPolicy", "s3:PutBucketAcl"}),
        (("read", "write"), None, {"s3:PutBucketPolicy", "s3:PutBucketAcl"}),
        (("read", "undo"), ["delete_bucket_policy"], {"s3:DeleteBucketPolicy"}),
    ],
)
def test_a_session_reads_and_makes_the_planned_writes_only(
    kinds: tuple[Kind, ...], operations: list[str] | None, wanted: set[str]
) -> None:
    text = session_policy(ONE, kinds, VALUES, operations)

    assert actions(text) == {"s3:GetBucketPolicy", "s3:ListBucket"} | wanted


@pytest.mark.parametrize(("type_", "wanted"), [("A", {"s3:GetA", "s3:Get"}), ("B", {"s3:Get"}), ("", {"s3:Get"})])
def test_what_is_for_other_types_of_resources_is_not_in_a_session(type_: str, wanted: set[str]) -> None:
    one = remediation(read=(Permission("s3:GetA", ("*",), ("get_a",), only={"type": ("A",)}), permission("s3:Get")))

    assert actions(session_policy(one, ("read",), VALUES | {"type": type_})) == wanted


def test_a_session_is_for_one_resource_of_one_account() -> None:
    for statement in statements(session_policy(ONE, KINDS, VALUES)):
        assert statement["Resource"] == "arn:aws:s3:::payments-archive"


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov", "aws-iso-f"])
def test_the_partition_is_the_targets(partition: str) -> None:
    text = session_policy(ONE, KINDS, VALUES | {"partition": partition})

    assert {s["Resource"] for s in statements(text)} == {f"arn:{partition}:s3:::payments-archive"}


def test_a_condition_holds_the_targets_values_at_any_depth() -> None:
    condition = {"StringEquals": {"iam:PassedToService": ["ec2.{region}", "x"]}, "ArnLike": {"aws:SourceArn": BUCKET}}
    one = remediation(read=(permission("iam:PassRole", "*", **condition),))

    assert statements(session_policy(one, ("read",), VALUES))[0]["Condition"] == {
        "StringEquals": {"iam:PassedToService": ["ec2.eu-west-1", "x"]},
        "ArnLike": {"aws:SourceArn": "arn:aws:s3:::payments-archive"},
    }


def test_what_has_a_condition_does_not_share_a_statement_with_what_has_none() -> None:
    one = remediation(
        read=(permission("s3:GetBucketPolicy"), permission("s3:ListBucket", StringEquals={"a": "b"})),
    )

    found = statements(session_policy(one, ("read",), VALUES))

    assert [(s["Action"], "Condition" in s) for s in found] == [
        (["s3:GetBucketPolicy"], False),
        (["s3:ListBucket"], True),
    ]


def test_the_same_permissions_in_another_order_are_nearly_the_same_text() -> None:
    one = remediation(read=tuple(permission(f"s3:Get{x}", BUCKET) for x in "abc"))
    other = remediation(read=tuple(permission(f"s3:Get{x}", BUCKET) for x in "cab"))

    assert session_policy(one, ("read",), VALUES) == session_policy(other, ("read",), VALUES)


# --- what a value may be


WIDER = [
    "*", "pay*", "pay?", "${aws:username}", "$", "{bucket}", "a b", 'a"', "a\\", "a\n", "payments\n", "", "a" * 513,
    "b\u00fccher", "\u0661", "a\x00", "<a>", "a'b", "a,b;c", None, 7, True, ["payments"], {"a": "b"},
]  # fmt: skip


@pytest.mark.parametrize("value", WIDER, ids=repr)
@pytest.mark.parametrize("place", ["resource", "condition"])
def test_a_value_that_would_mean_more_than_itself_is_refused(value: Any, place: str) -> None:
    in_condition = permission("s3:GetBucketPolicy", "*", StringLike={"s3:prefix": ["{bucket}"]})
    one = ONE if place == "resource" else remediation(read=(in_condition,))

    with pytest.raises(UnsafeValue, match="bucket is"):
        session_policy(one, ("read",), VALUES | {"bucket": value})


def test_a_value_that_is_not_known_is_refused_and_not_left_open() -> None:
    with pytest.raises(UnsafeValue, match="bucket"):
        session_policy(ONE, ("read",), {"partition": "aws"})


def test_a_value_that_is_not_needed_is_not_judged() -> None:
    assert session_policy(ONE, ("read",), VALUES | {"note": "*"})


@given(st.text(max_size=40))
def test_no_text_adds_a_wildcard_a_variable_or_a_statement(value: str) -> None:
    usual = session_policy(ONE, KINDS, VALUES)
    try:
        text = session_policy(ONE, KINDS, VALUES | {"bucket": value})
    except UnsafeValue:
        return
    assert not set("*?${}\"\\' ") & set(value)
    assert text == usual.replace("payments-archive", value)


# --- how long it may be


def test_a_policy_that_sts_would_not_take_is_refused_and_never_left_out() -> None:
    room = SESSION_POLICY_CHARACTERS - len(
        session_policy(remediation(read=(permission("s3:Get", "x"),)), ("read",), VALUES)
    )
    fits = remediation(read=(permission("s3:Get", "x" * (room + 1)),))
    larger = remediation(read=(permission("s3:Get", "x" * (room + 2)),))

    assert len(session_policy(fits, ("read",), VALUES)) == SESSION_POLICY_CHARACTERS
    with pytest.raises(PolicyTooLarge, match="2049 characters, 2048"):
        session_policy(larger, ("read",), VALUES)


# --- roles


@EVERY
def test_a_role_names_neither_partition_nor_account_of_its_own(remediation: Remediation) -> None:
    text = json.dumps(role_statements(remediation))

    assert not re.search(r"arn:(?!\$\{AWS::Partition\})", text), "the partition is CloudFormation's"
    assert not re.search(r"[0-9]{12}", text)
    assert not re.search(r"(?<!\$)\{[a-z_]+\}", text), "a placeholder is left"
    assert "**" not in text


@EVERY
def test_a_role_allows_what_each_of_its_sessions_asks_for_and_no_other_action(remediation: Remediation) -> None:
    every = {p.action for kind in KINDS for p in remediation.permissions(kind)}

    found = {action for statement in role_statements(remediation) for action in statement["Action"]}

    assert found == every
    assert all(s["Effect"] == "Allow" for s in role_statements(remediation))


@EVERY
def test_what_a_role_may_write_is_in_its_own_account(remediation: Remediation) -> None:
    """Reads may go to another account: an organization's trail, a prefix list of AWS. Writes never may."""
    writes = {p.action for kind in KINDS[1:] for p in remediation.permissions(kind)} - {
        p.action for p in remediation.read
    }
    for statement in role_statements(remediation):
        if writes & set(statement["Action"]):
            of = [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
            for resource in of:
                parts = resource.replace("AWS::", "AWS").split(":", 5)
                if statement["Action"] == ["kms:CreateGrant"] and "kms:ViaService" in str(statement["Condition"]):
                    continue  # a key may be another account's, whose policy says so; the service makes the grant
                assert resource == "*" or parts[4] in ("", "${AWSAccountId}"), (statement["Action"], resource)


@EVERY
@pytest.mark.parametrize("kinds", [("read",), ("read", "write"), ("read", "undo")])
def test_an_undo_or_a_write_adds_to_what_may_be_read(remediation: Remediation, kinds: tuple[Kind, ...]) -> None:
    names = set(
        re.findall(
            r"\{([a-z_]+)\}", json.dumps([[p.on, dict(p.when)] for k in KINDS for p in remediation.permissions(k)])
        )
    )
    values = dict.fromkeys(names, "value") | VALUES
    try:
        text = session_policy(remediation, kinds, values, [])
    except PolicyTooLarge:  # the sweeps make the policies of real plans
        return

    assert actions(text) == {p.action for p in remediation.read if not p.only}


# --- what leads on to other rights


@EVERY
def test_a_role_passes_roles_to_named_services_and_writes_no_policy_of_a_role(remediation: Remediation) -> None:
    """docs/security.md: who has a member role gets no further than a service that takes a role, or AWS's own policy."""
    never = {"PutRolePolicy", "UpdateAssumeRolePolicy", "CreatePolicyVersion", "PutUserPolicy", "AttachUserPolicy"}
    never |= {"CreateAccessKey", "CreateLoginProfile", "AddUserToGroup", "PutRolePermissionsBoundary", "CreatePolicy"}
    for kind in KINDS:
        for permission in remediation.permissions(kind):
            assert permission.action.removeprefix("iam:") not in never, permission.action
            conditions = json.dumps(dict(permission.when))
            if permission.action == "iam:PassRole":
                assert "iam:PassedToService" in conditions, permission.on
            if permission.action == "iam:AttachRolePolicy":
                assert re.search(r'"iam:PolicyARN": "arn:\{partition\}:iam::aws:policy/[A-Za-z]+"', conditions)
            if permission.action == "iam:CreateRole":
                assert permission.on == ("arn:{partition}:iam::{account}:role/sharr-support-access",)
