"""SQS.1: a queue gets SSE-SQS, a KMS key that is there stays, and nobody needs rights on a key afterwards."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "sqs/encrypt_queue"


def queue(b: Bench, name: str = "plain-queue-for-sqs-1", **attributes: str) -> str:
    sqs, more = b.client("sqs"), {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    sqs.create_queue(QueueName=name, Attributes={"SqsManagedSseEnabled": "false", **more, **attributes})
    return b.arn("sqs", name)


def attributes_of(b: Bench, arn: str) -> dict[str, str]:
    sqs = b.client("sqs")
    url = sqs.get_queue_url(QueueName=arn.rpartition(":")[2])["QueueUrl"]
    found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def encrypted(b: Bench, arn: str) -> bool:
    found = attributes_of(b, arn)
    return found["SqsManagedSseEnabled"] == "true" or bool(found.get("KmsMasterKeyId"))


CASES = [
    Case("SQS.1", "a queue without encryption", queue, encrypted),
    Case("SQS.1", "a FIFO queue", lambda b: queue(b, "plain-queue-for-sqs-1.fifo"), encrypted),
]


@pytest.mark.parametrize(
    ("case", "config", "operations"),
    [
        ("neither", {"managed": False, "key": None}, ["set_queue_attributes"]),
        ("SSE-SQS", {"managed": True, "key": None}, []),
        ("a customer's key", {"managed": False, "key": "alias/theirs"}, []),
        ("AWS's key", {"managed": False, "key": "alias/aws/sqs"}, []),
    ],
)
def test_plan(case: str, config: dict[str, Any], operations: list[str]) -> None:
    state = {"config": config, "facts": {"url": "https://queue"}, "busy": None}

    assert operations == [one["operation"] for one in code_of(remediation_of(ID)).plan(state, {})], case


def test_a_kms_key_that_is_there_stays() -> None:
    with bench(ID) as b:
        arn = queue(b, KmsMasterKeyId="alias/aws/sqs")

        with b.watched() as calls:
            assert b.remediate("SQS.1", arn)["outcome"] == "COMPLIANT"

        assert not b.writes(calls)
        assert attributes_of(b, arn)["KmsMasterKeyId"] == "alias/aws/sqs"


def test_all_other_attributes_of_the_queue_stay() -> None:
    with bench(ID) as b:
        dead = queue(b, "dead")
        statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement | {"Resource": "*"}]})
        redrive = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 3})
        arn = queue(b, VisibilityTimeout="77", Policy=policy, RedrivePolicy=redrive)
        before = attributes_of(b, arn)

        assert b.remediate("SQS.1", arn)["outcome"] == "REMEDIATED"

        after = attributes_of(b, arn)
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        assert changed - {"LastModifiedTimestamp"} == {"SqsManagedSseEnabled"}


def test_a_service_that_sends_to_the_queue_still_may() -> None:
    """The predecessor's key lets EventBridge not use it: its rules stopped delivering."""
    with bench(ID) as b:
        statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [statement | {"Resource": b.arn("sqs", "fed")}]}
        arn = queue(b, "fed", Policy=json.dumps(policy))

        b.remediate("SQS.1", arn)

        b.world.identity.authorize_service("events.amazonaws.com", "sqs:SendMessage", arn, {})


def test_a_queue_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        result = b.remediate("SQS.1", b.arn("sqs", "gone"))

        assert result["outcome"] == "COMPLIANT"
        assert result["gone"]
