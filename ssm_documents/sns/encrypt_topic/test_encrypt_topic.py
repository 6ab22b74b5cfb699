"""SNS.1: which key a topic gets, and that nobody who publishes to it is shut out by the repair."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.remediation import BadParameter
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "sns/encrypt_topic"
ACCOUNT, OTHER = "222222222222", "333333333333"
ARN = f"arn:aws:sns:us-east-1:{ACCOUNT}:topic"
ANYBODY = "anybody whom the topic's policy lets"
ALIAS = "alias/SO0111-SHARR-Remediation-Key"
DEFAULT = {
    "Effect": "Allow",
    "Principal": {"AWS": "*"},
    "Action": ["SNS:GetTopicAttributes", "SNS:Publish"],
    "Condition": {"StringEquals": {"AWS:SourceOwner": ACCOUNT}},
}


def topic(b: Bench, name: str = "plain-topic-for-sns-1", *statements: dict[str, Any], **attributes: str) -> str:
    if statements:
        attributes["Policy"] = json.dumps({"Version": "2012-10-17", "Statement": [*statements]})
    return str(b.client("sns").create_topic(Name=name, Attributes=attributes)["TopicArn"])


def fed_by_services(b: Bench) -> str:
    name = "alarm-topic-for-sns-1"
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish"}
    arn = topic(b, name, statement | {"Resource": b.arn("sns", name)})
    alarm(b, arn)
    key(b, "events.amazonaws.com", "cloudwatch.amazonaws.com")
    return arn


def alarm(b: Bench, arn: str, kind: str = "AlarmActions") -> None:
    numbers: dict[str, Any] = {"EvaluationPeriods": 1, "Period": 60, "Threshold": 1.0, "Statistic": "Sum"}
    numbers |= {"MetricName": "m", "Namespace": "n", "ComparisonOperator": "GreaterThanThreshold"}
    b.client("cloudwatch").put_metric_alarm(AlarmName="alarm-for-sns-1", **numbers, **{kind: [arn]})


def key(b: Bench, *services: str, alias: str = ALIAS) -> str:
    kms = b.client("kms")
    owner = {"AWS": b.arn("iam", "root", region="")}
    statements: list[dict[str, Any]] = [{"Effect": "Allow", "Principal": owner, "Action": "kms:*", "Resource": "*"}]
    if services:
        uses = {"Action": ["kms:GenerateDataKey*", "kms:Decrypt"], "Resource": "*"}
        statements.append({"Effect": "Allow", "Principal": {"Service": [*services]}, **uses})
    found = kms.create_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))["KeyMetadata"]
    kms.create_alias(AliasName=alias, TargetKeyId=found["KeyId"])
    return str(found["Arn"])


def key_of(b: Bench, arn: str) -> str | None:
    found: dict[str, str] = b.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
    return found.get("KmsMasterKeyId")


def encrypted(b: Bench, arn: str) -> bool:
    return bool(key_of(b, arn))


CASES = [
    Case("SNS.1", "a topic of this account alone", topic, encrypted),
    Case("SNS.1", "a topic that services publish to", fed_by_services, encrypted, settings={"kmsKey": ALIAS}),
]


def state(*publishers: str, key: Any = None) -> dict[str, Any]:
    return {"config": {"key": None}, "facts": {"publishers": [*publishers], "key": key}, "busy": None}


def plan(given: dict[str, Any], wanted: str | None = None) -> list[dict[str, Any]]:
    target = {"resource": {"id": ARN}, "parameters": {"kmsKey": wanted}}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(given, target)
    return made


def a_key(*allowed: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"spec": "SYMMETRIC_DEFAULT", "state": "Enabled", "policy": {"Statement": [*allowed]}, **more}


def allowing(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": [*actions] or "kms:*", **more}


def test_a_topic_that_has_a_key_keeps_it() -> None:
    assert plan({"config": {"key": "alias/theirs"}, "facts": {}, "busy": None}, ALIAS) == []


@pytest.mark.parametrize(("wanted", "is_set"), [(None, "alias/aws/sns"), (ALIAS, ALIAS)])
def test_the_key_is_the_users_else_the_aws_managed_one(wanted: str | None, is_set: str) -> None:
    (one,) = plan(state(key=a_key()), wanted)

    assert one["parameters"]["AttributeValue"] == is_set
    assert one["undo"][0]["parameters"]["AttributeValue"] == ""


@pytest.mark.parametrize("who", ["events.amazonaws.com", OTHER, ANYBODY])
def test_who_cannot_use_the_aws_managed_key_is_not_shut_out(who: str) -> None:
    with pytest.raises(CannotRepair, match="cannot use the AWS managed key") as caught:
        plan(state(who))

    assert who in caught.value.why
    assert "kmsKey" in caught.value.to_do


BOTH = ("kms:GenerateDataKey*", "kms:Decrypt")
ROLES = f"arn:aws:iam::{OTHER}:role"
EVENTS = {"Service": ["events.amazonaws.com", "sns.amazonaws.com"]}

DENIED = allowing(EVENTS, "kms:Decrypt") | {"Effect": "Deny"}


@pytest.mark.parametrize(
    ("case", "who", "allowed", "fits"),
    [
        ("named", "events.amazonaws.com", [allowing(EVENTS, *BOTH)], True),
        ("in two statements", "events.amazonaws.com", [allowing(EVENTS, one) for one in BOTH], True),
        ("all actions", "events.amazonaws.com", [allowing(EVENTS)], True),
        ("one action only", "events.amazonaws.com", [allowing(EVENTS, "kms:Decrypt")], False),
        ("another service", "s3.amazonaws.com", [allowing(EVENTS, *BOTH)], False),
        ("denied", "events.amazonaws.com", [allowing(EVENTS) | {"Effect": "Deny"}], False),
        ("account's root", OTHER, [allowing({"AWS": f"arn:aws:iam::{OTHER}:root"})], True),
        ("account's number", OTHER, [allowing({"AWS": [ACCOUNT, OTHER]})], True),
        ("another account", OTHER, [allowing({"AWS": ACCOUNT})], False),
        ("a role of the account only", OTHER, [allowing({"AWS": f"{ROLES}/r"})], False),
        ("the role", f"{ROLES}/r", [allowing({"AWS": f"{ROLES}/r"})], True),
        ("another role", f"{ROLES}/r", [allowing({"AWS": f"{ROLES}/other"})], False),
        ("the role's account", f"{ROLES}/r", [allowing({"AWS": OTHER})], True),
        ("allowed and denied", "events.amazonaws.com", [allowing(EVENTS), DENIED], False),
        ("everybody denied", "events.amazonaws.com", [allowing(EVENTS), DENIED | {"Principal": "*"}], False),
        ("everybody", ANYBODY, [allowing("*", *BOTH)], True),
        ("everybody under a condition", ANYBODY, [allowing("*", Condition={"StringEquals": {"a": "b"}})], False),
        ("account for anybody", ANYBODY, [allowing({"AWS": ACCOUNT})], False),
    ],
)
def test_a_key_is_used_only_where_it_lets_those_who_publish(case: str, who: str, allowed: Any, fits: bool) -> None:
    given = state(who, key=a_key(*allowed))
    if fits:
        assert len(plan(given, ALIAS)) == 1, case
        return
    with pytest.raises(CannotRepair, match="not use the key"):
        plan(given, ALIAS)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (None, "there is no key"),
        (a_key(state="PendingDeletion"), "PendingDeletion"),
        (a_key(spec="RSA_2048"), "RSA_2048"),
    ],
)
def test_a_key_that_cannot_encrypt_the_topic_is_refused(key: Any, why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(state(key=key), ALIAS)


def test_the_policy_of_another_accounts_key_is_not_guessed() -> None:
    unread = a_key() | {"policy": None}

    assert len(plan(state(key=unread), ALIAS)) == 1
    with pytest.raises(CannotRepair, match="cannot be read"):
        plan(state("events.amazonaws.com", key=unread), ALIAS)


def publish(principal: Any, condition: Any = None, **more: Any) -> dict[str, Any]:
    given = {"Effect": "Allow", "Principal": principal, "Action": "sns:Publish", **more}
    return given | ({"Condition": condition} if condition else {})


@pytest.mark.parametrize(
    ("case", "statement", "found"),
    [
        ("the default policy", DEFAULT, set()),
        ("own account", publish({"AWS": [ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/r"]}), set()),
        ("a principal that was deleted", publish({"AWS": "AROAEXAMPLEEXAMPLEEXA"}), set()),
        ("services", publish({"Service": ["a.b", "c.d"]}), {"a.b", "c.d"}),
        ("another account", publish({"AWS": [OTHER, f"{ROLES}/r"]}), {OTHER, f"{ROLES}/r"}),
        ("a bucket", publish("*", {"ArnLike": {"aws:SourceArn": "arn:aws:s3:*:*:b"}}), {"s3.amazonaws.com"}),
        ("anybody", publish("*"), {ANYBODY}),
        ("the organization", publish({"AWS": "*"}, {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}), {ANYBODY}),
        ("any source", publish("*", {"ArnLike": {"aws:SourceArn": "*"}}), {ANYBODY}),
        ("not this account", publish("*", {"StringNotEquals": {"aws:SourceOwner": ACCOUNT}}), {ANYBODY}),
        ("federated", publish({"Federated": "accounts.google.com"}), {ANYBODY}),
        ("all actions", publish({"Service": "a.amazonaws.com"}, Action=["SNS:*"]), {"a.amazonaws.com"}),
        ("another action", publish({"Service": "a.amazonaws.com"}, Action="sns:Subscribe"), set()),
        ("denied", publish("*", Effect="Deny"), set()),
        ("all but", {"Effect": "Allow", "Principal": "*", "NotAction": "sns:DeleteTopic"}, {ANYBODY}),
        ("all but publishing", {"Effect": "Allow", "Principal": "*", "NotAction": "sns:Pub*"}, set()),
    ],
)  # fmt: skip
def test_who_publishes_is_read_from_the_topics_policy(case: str, statement: dict[str, Any], found: set[str]) -> None:
    publishers = code_of(remediation_of(ID)).inspect.__globals__["publishers"]

    assert publishers({"Statement": [statement]}, ACCOUNT) == found, case
    assert publishers({"Statement": statement}, ACCOUNT) == found, f"{case}, without a list"


@pytest.mark.parametrize("kind", ["AlarmActions", "OKActions", "InsufficientDataActions"])
def test_an_alarm_that_publishes_under_the_default_policy_is_seen(kind: str) -> None:
    with bench(ID) as b:
        arn = topic(b)
        alarm(b, arn, kind)

        result = b.remediate("SNS.1", arn)

        assert result["outcome"] == "FAILED"
        assert "cloudwatch.amazonaws.com" in result["why"]
        assert not encrypted(b, arn)


def test_services_still_publish_after_the_repair() -> None:
    """The predecessor's key let EventBridge not use it: its messages were lost."""
    with bench(ID) as b:
        arn = fed_by_services(b)

        assert b.remediate("SNS.1", arn, settings={"kmsKey": ALIAS})["outcome"] == "REMEDIATED"

        b.world.identity.authorize_service("events.amazonaws.com", "sns:Publish", arn, {})


def test_an_alias_of_more_than_one_letter_is_taken() -> None:
    """ASR 221: the pattern had no quantifier, so that only alias/x was taken."""
    with bench(ID) as b:
        key(b)
        arn = topic(b, "aws-controltower-SecurityNotifications")

        assert b.remediate("SNS.1", arn, settings={"kmsKey": ALIAS})["outcome"] == "REMEDIATED"

        assert key_of(b, arn) == ALIAS


def test_a_key_of_another_region_is_refused_before_the_first_call() -> None:
    with bench(ID) as b:
        arn = topic(b)
        elsewhere = b.client("kms", "eu-west-1").create_key()["KeyMetadata"]["Arn"]

        with b.watched() as calls:
            result = b.remediate("SNS.1", arn, settings={"kmsKey": elsewhere})

        assert "in this Region" in result["why"]
        assert not b.writes(calls)


@pytest.mark.parametrize("wanted", ["alias/aws/sns", "alias/", "key/1", "arn:aws:sns:us-east-1:222222222222:x", "*"])
def test_what_is_no_customer_managed_key_is_not_taken(wanted: str) -> None:
    with bench(ID) as b, pytest.raises(BadParameter):
        b.target("SNS.1", topic(b), settings={"kmsKey": wanted})


def test_a_topic_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("SNS.1", b.arn("sns", "gone"))["outcome"] == "COMPLIANT"
