"""Lambda.1: public statements go, one by one; every other one stays; what could not be given back is refused."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any
from unittest import mock

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "lambda/remove_public_access"
ANYBODY = {"Action": "lambda:InvokeFunction", "Principal": "*"}
S3 = {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
URL = {"Action": "lambda:InvokeFunctionUrl", "Principal": "*", "FunctionUrlAuthType": "NONE"}
BY_URL = {"Action": "lambda:InvokeFunction", "Principal": "*", "InvokedViaFunctionUrl": True}
BUCKET = {"SourceArn": "arn:aws:s3:::orders"}
KEPT: dict[str, dict[str, Any]] = {
    "friend": {"Action": "lambda:InvokeFunction", "Principal": "333333333333"},
    "events": {"Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com"},
    "organization": ANYBODY | {"PrincipalOrgID": "o-a1b2c3d4e5"},
    "own-bucket": S3 | BUCKET | {"SourceAccount": "333333333333"},
}


def function(b: Bench, qualifier: Any = None, **statements: Any) -> str:
    """Make the function `orders` with version 1 and alias `live`; add the statements; return the ARN."""
    role = b.client("iam").create_role(RoleName="orders", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): ...")
    awslambda = b.client("lambda")
    awslambda.create_function(
        FunctionName="orders",
        Role=role,
        Runtime="python3.12",
        Handler="index.handler",
        Code={"ZipFile": code.getvalue()},
        Publish=True,
    )
    awslambda.create_alias(FunctionName="orders", Name="live", FunctionVersion="1")
    add(b, qualifier, statements)
    return b.arn("lambda", "function:orders" + (f":{qualifier}" if qualifier else ""))


def add(b: Bench, qualifier: str | None, statements: dict[str, dict[str, Any]]) -> None:
    on = {"FunctionName": "orders"} | ({"Qualifier": qualifier} if qualifier else {})
    for sid, statement in statements.items():
        b.client("lambda").add_permission(StatementId=sid, **on, **statement)


def policy(b: Bench, resource_id: str) -> dict[str, Any]:
    """Return the statements of the policy by their Sid."""
    awslambda = b.client("lambda")
    try:
        text = awslambda.get_policy(FunctionName=resource_id)["Policy"]
    except awslambda.exceptions.ResourceNotFoundException:
        return {}
    return {s["Sid"]: s for s in json.loads(text)["Statement"]}


def passes(b: Bench, resource_id: str) -> bool:
    """Neither everybody without an organization or account, nor Amazon S3 without an account."""
    texts = [(s["Principal"], json.dumps(s.get("Condition", {})).lower()) for s in policy(b, resource_id).values()]
    return not any(
        (principal == "*" and "sourceaccount" not in condition and "principalorgid" not in condition)
        or (principal == {"Service": "s3.amazonaws.com"} and "sourceaccount" not in condition)
        for principal, condition in texts
    )


CASES = [
    Case("Lambda.1", "anybody", lambda b: function(b, anybody=ANYBODY), passes),
    Case("Lambda.1", "a public URL beside others", lambda b: function(b, url=URL, by_url=BY_URL, **KEPT), passes),
    Case("Lambda.1", "buckets of any account", lambda b: function(b, bucket=S3 | BUCKET, **KEPT), passes),
    Case("Lambda.1", "an alias", lambda b: function(b, "live", anybody=ANYBODY, s3=S3, **KEPT), passes),
    Case("Lambda.1", "a version", lambda b: function(b, "1", anybody=ANYBODY), passes),
]


def test_every_statement_that_is_not_public_stays_as_it_is() -> None:
    with bench(ID) as b:
        arn = function(b, **KEPT)
        kept = policy(b, arn)
        add(b, None, {"a": ANYBODY, "b": S3, "c": URL})
        before = policy(b, arn)
        attempt = b.attempt("Lambda.1", arn)

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert policy(b, arn) == kept
        assert attempt.undo()["outcome"] == "UNDONE"
        assert policy(b, arn) == before


def test_an_alias_keeps_its_function_s_policy_and_the_other_way_round() -> None:
    with bench(ID) as b:
        arn = function(b, anybody=ANYBODY)
        add(b, "live", {"anybody": ANYBODY})

        assert b.remediate("Lambda.1", f"{arn}:live")["outcome"] == "REMEDIATED"
        assert (list(policy(b, f"{arn}:live")), list(policy(b, arn))) == ([], ["anybody"])


@pytest.mark.parametrize("qualifier", [None, "live", "1"])
def test_a_function_without_a_policy_is_compliant_and_not_gone(qualifier: str | None) -> None:
    with bench(ID) as b:
        result = b.remediate("Lambda.1", function(b, qualifier))

        assert (result["outcome"], result.get("gone")) == ("COMPLIANT", None)


@pytest.mark.parametrize("resource", ["function:gone", "function:orders:gone", "function:orders:7"])
def test_a_function_version_or_alias_that_does_not_exist_is_gone(resource: str) -> None:
    with bench(ID) as b:
        function(b, anybody=ANYBODY)
        result = b.remediate("Lambda.1", b.arn("lambda", resource))

        assert (result["outcome"], result.get("gone")) == ("COMPLIANT", True)


def test_a_policy_that_somebody_changes_after_it_was_read_is_left_alone() -> None:
    with bench(ID) as b:
        arn = function(b, anybody=ANYBODY)
        attempt = b.attempt("Lambda.1", arn)

        def changed_by_somebody(_journal: Any) -> None:
            add(b, None, {"friend": KEPT["friend"]})

        with mock.patch.object(
            attempt, "_save", changed_by_somebody
        ):  # saved after it was read, before the first write
            result = attempt.look()

        assert result["outcome"] == "FAILED"
        assert "PreconditionFailedException" in result["why"]
        assert "run again" in result["to_do"]
        assert set(policy(b, arn)) == {"anybody", "friend"}


def test_an_undo_does_not_replace_a_statement_that_somebody_gave_the_same_id() -> None:
    with bench(ID) as b:
        arn = function(b, anybody=ANYBODY)
        attempt = b.attempt("Lambda.1", arn)
        attempt.finish()
        add(b, None, {"anybody": KEPT["friend"]})
        now = policy(b, arn)

        assert attempt.undo()["outcome"] == "FAILED"
        assert policy(b, arn) == now


def test_the_undo_s_session_can_give_back_only_what_the_repair_can_remove() -> None:
    with bench(ID) as b:
        attempt = b.attempt("Lambda.1", function(b, anybody=ANYBODY))
        attempt.finish()
        with b.watched() as calls:
            attempt.undo()

        (write,) = b.writes(calls)
        assert write.operation == "AddPermission"
        assert '{"lambda:Principal": ["*", "s3.amazonaws.com"]}' in json.dumps(write.principal.session_policy)


# --- tables, without AWS

ARN = "arn:aws-cn:lambda:cn-north-1:222222222222:function:orders"
TARGET = {
    "partition": "aws-cn",
    "region": "cn-north-1",
    "account": "222222222222",
    "resource": {"type": "AwsLambdaFunction", "function": "orders"},
}
SERVICE = {"Service": "s3.amazonaws.com"}
ACCOUNT, ORG = {"aws:SourceAccount": "333333333333"}, {"aws:PrincipalOrgID": "o-a1b2c3d4e5"}


class Function:
    """A function with any policy, as documents may stand in AWS; moto takes those of AddPermission only."""

    class exceptions:  # noqa: N801  # boto3's name
        ResourceNotFoundException = KeyError

    def __init__(self, statements: Any) -> None:
        self.text = json.dumps({"Version": "2012-10-17", "Statement": statements})

    def client(self, _service: str) -> Function:
        return self

    def get_policy(self, **asked: str) -> Any:
        assert asked == {"FunctionName": "orders"}
        return {"Policy": self.text, "RevisionId": "r1"}


def allow(principal: Any = "*", condition: Any = None, **more: Any) -> dict[str, Any]:
    statement = {"Sid": "s", "Effect": "Allow", "Principal": principal, "Action": "lambda:Invoke", "Resource": ARN}
    return statement | more | ({"Condition": condition} if condition else {})


def inspected(statements: Any) -> Any:
    return code_of(remediation_of(ID)).inspect(Function(statements), TARGET)


def planned(*statements: dict[str, Any]) -> Any:
    return code_of(remediation_of(ID)).plan(inspected(list(statements)), TARGET)


@pytest.mark.parametrize(
    ("case", "statement"),
    [
        ("*", allow()),
        ("AWS *", allow({"AWS": "*"})),
        ("a list with *", allow({"AWS": ["arn:aws:iam::333333333333:root", "*"]})),
        ("a wildcard inside", allow({"AWS": "arn:aws:iam::*:root"})),
        ("an empty text", allow("")),
        ("AWS empty", allow({"AWS": ""})),
        ("an empty list", allow({"AWS": []})),
        ("any service", allow({"Service": "*"})),
        ("NotPrincipal", {"Sid": "s", "Effect": "Allow", "NotPrincipal": {"AWS": "333333333333"}, "Action": "*"}),
        ("S3", allow(SERVICE)),
        ("S3 in a list", allow({"Service": ["events.amazonaws.com", "s3.amazonaws.com"]})),
        ("S3 of another partition", allow({"Service": "s3.amazonaws.com.cn"})),
        ("S3, a bucket", allow(SERVICE, {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::orders"}})),
        ("S3, an organization's principals", allow(SERVICE, {"StringEquals": ORG})),
        ("S3, any account", allow(SERVICE, {"StringLike": {"aws:SourceAccount": "*"}})),
        ("URL", allow("*", {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}})),
        ("URL with IAM", allow("*", {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}})),
        ("via URL", allow("*", {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}})),
        ("a token", allow("*", {"StringEquals": {"lambda:EventSourceToken": "abc"}})),
        ("any account of a resource", allow("*", {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:orders"}})),
        ("one of two accounts is any", allow("*", {"StringLike": {"aws:SourceAccount": ["333333333333", "*"]}})),
        ("no value", allow("*", {"StringEquals": {"aws:SourceAccount": []}})),
        ("a variable", allow("*", {"StringEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount}"}})),
        ("not that account", allow("*", {"StringNotEquals": ACCOUNT})),
        ("if it exists", allow("*", {"StringEqualsIfExists": ACCOUNT})),
        ("for all values", allow("*", {"ForAllValues:StringEquals": ORG})),
        ("key must be absent", allow("*", {"Null": {"aws:SourceAccount": "true"}})),
        ("https only", allow("*", {"Bool": {"aws:SecureTransport": "true"}})),
        ("addresses", allow("*", {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}})),
    ],
)
def test_what_is_public(case: str, statement: dict[str, Any]) -> None:
    assert inspected([statement])["config"].keys() == {"s"}, case


@pytest.mark.parametrize(
    ("case", "statement"),
    [
        ("denied", allow(Effect="Deny")),
        ("an account", allow({"AWS": "arn:aws:iam::333333333333:root"})),
        ("accounts", allow({"AWS": ["333333333333", "444444444444"]})),
        ("a service", allow({"Service": "events.amazonaws.com"})),
        ("a service called like S3", allow({"Service": "s3files.amazonaws.com"})),
        ("an organization", allow("*", {"StringEquals": ORG})),
        ("an organization, in lower case", allow("*", {"stringequals": {"aws:principalorgid": "o-a1b2c3d4e5"}})),
        ("an organization, like", allow({"AWS": "*"}, {"StringLike": ORG})),
        ("any value is an organization", allow("*", {"ForAnyValue:StringEquals": ORG})),
        ("an account's resources", allow("*", {"StringEquals": {"AWS:SOURCEACCOUNT": "333333333333"}})),
        ("a resource", allow("*", {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:333333333333:orders"}})),
        ("two accounts", allow("*", {"StringEquals": {"aws:PrincipalAccount": ["333333333333", "444444444444"]}})),
        ("S3 and an account", allow(SERVICE, {"StringEquals": ACCOUNT})),
        ("S3 and an account, by ARN operator", allow(SERVICE, {"ArnLike": ACCOUNT})),
        ("S3 and an account, in another case", allow(SERVICE, {"StringLike": {"AWS:sourceAccount": "333333333333"}})),
        ("a URL for an organization", allow("*", {"StringEquals": ORG | {"lambda:FunctionUrlAuthType": "AWS_IAM"}})),
    ],
)
def test_what_is_not_public(case: str, statement: dict[str, Any]) -> None:
    # ASR removed statements for an organization, and knew one spelling of AWS:SourceAccount.
    assert inspected([statement])["config"] == {}, case
    assert planned(statement) == []


@pytest.mark.parametrize(
    ("case", "statement", "given"),
    [
        ("*", allow(), {"Principal": "*"}),
        ("AWS *", allow({"AWS": ["*"]}), {"Principal": "*"}),
        ("one action in a list", allow(Action=["lambda:*"]), {"Principal": "*", "Action": "lambda:*"}),
        ("S3", allow(SERVICE), {"Principal": "s3.amazonaws.com"}),
        (
            "S3, a bucket",
            allow(SERVICE, {"ArnLike": {"AWS:SourceArn": "arn:aws-cn:s3:::orders"}}),
            {"Principal": "s3.amazonaws.com", "SourceArn": "arn:aws-cn:s3:::orders"},
        ),
        (
            "URL",
            allow("*", {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}}),
            {"Principal": "*", "FunctionUrlAuthType": "NONE"},
        ),
        (
            "via URL",
            allow("*", {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}),
            {"Principal": "*", "InvokedViaFunctionUrl": True},
        ),
        (
            "any topic of an account",
            allow("*", {"ArnLike": {"aws:SourceArn": "arn:aws:sns:us-east-1:333333333333:*"}}),
            {"Principal": "*", "SourceArn": "arn:aws:sns:us-east-1:333333333333:*"},
        ),
    ],
)
def test_an_undo_says_all_that_the_statement_said(case: str, statement: dict[str, Any], given: dict[str, Any]) -> None:
    (one,) = planned(statement)

    assert one["parameters"] == {"FunctionName": "orders", "StatementId": "s", "RevisionId": "r1"}
    wanted = {"FunctionName": "orders", "StatementId": "s", "Action": "lambda:Invoke"} | given
    assert one["undo"][0]["parameters"] == wanted, case


@pytest.mark.parametrize(
    ("part", "statement"),
    [
        ("Action", allow(Action=["lambda:InvokeFunction", "lambda:GetFunction"])),
        ("Action", allow(Action="lambda:Get*")),
        ("Principal", allow({"AWS": ["*", "333333333333"]})),
        ("Principal", allow({"AWS": "*", "Service": "s3.amazonaws.com"})),
        ("Principal", allow("")),
        ("Principal", allow({"Service": "s3.cn-north-1.amazonaws.com.cn"})),
        ("NotPrincipal, Principal", {k: v for k, v in allow(NotPrincipal="333333333333").items() if k != "Principal"}),
        ("NotAction, Action", {k: v for k, v in allow(NotAction="lambda:Invoke").items() if k != "Action"}),
        ("Resource", allow(Resource=f"{ARN}:live")),
        ("Resource", allow(Resource="*")),
        ("Sid", allow(Sid="with.dot")),
        ("Sid", {k: v for k, v in allow().items() if k != "Sid"}),
        ("Bool aws:securetransport", allow("*", {"Bool": {"aws:SecureTransport": "true"}})),
        ("IpAddress aws:sourceip", allow("*", {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})),
        ("ArnEquals aws:sourcearn", allow(SERVICE, {"ArnEquals": {"aws:SourceArn": "arn:aws:s3:::orders"}})),
        ("ArnLike aws:sourcearn", allow("*", {"ArnLike": {"aws:SourceArn": "*"}})),
        ("ArnLike aws:sourcearn", allow(SERVICE, {"ArnLike": {"aws:SourceArn": ["arn:aws:s3:::a", "arn:aws:s3:::b"]}})),
        ("Bool lambda:invokedviafunctionurl", allow("*", {"Bool": {"lambda:InvokedViaFunctionUrl": "false"}})),
        ("StringEquals lambda:eventsourcetoken", allow("*", {"StringEquals": {"lambda:EventSourceToken": "abc"}})),
    ],
)
def test_a_statement_that_could_not_be_given_back_stops_all_before_a_write(part: str, statement: Any) -> None:
    with pytest.raises(CannotRepair) as error:
        planned(allow(Sid="a"), statement)

    assert f"statement {statement.get('Sid', '#2')} is public" in error.value.why
    assert f"({part})" in error.value.why


def test_an_event_source_token_is_not_kept() -> None:
    state = inspected([allow("*", {"stringequals": {"LAMBDA:EventSourceToken": ["a-secret"]}})])

    assert "a-secret" not in json.dumps(state)


def test_only_the_first_call_asks_for_the_revision_that_was_read() -> None:
    calls = planned(allow(Sid="a"), allow(Sid="b"), allow(Sid="c"))

    assert [c["parameters"].get("RevisionId") for c in calls] == ["r1", None, None]


def test_a_single_statement_without_a_list_is_understood() -> None:
    assert inspected(allow())["config"].keys() == {"s"}
