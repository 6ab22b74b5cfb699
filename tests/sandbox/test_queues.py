"""SQS to Lambda: batches, failures, visibility, dead letters, permissions."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.functions import Invocation
from sandbox.queues import failed_ids
from sandbox.world import Sandbox

ADMIN, HOME = "111111111111", "us-east-1"
RECEIVE = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
QUEUE, DEAD = (f"arn:aws:sqs:{HOME}:{ADMIN}:{name}" for name in ("work", "dead"))

FAILS_ON_BAD = """
def handler(event, context):
    return {"batchItemFailures": [
        {"itemIdentifier": record["messageId"]} for record in event["Records"] if record["body"] == "bad"]}
"""
RAISES_ON_BAD = """
def handler(event, context):
    if any(record["body"] == "bad" for record in event["Records"]):
        raise ValueError("bad")
"""


# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
@pytest.mark.parametrize(
    ("case", "payload", "failed"),
    [
        ("null response", None, set()),
        ("empty response", {}, set()),
        ("empty list", {"batchItemFailures": []}, set()),
        ("null list", {"batchItemFailures": None}, set()),
        ("one failure", {"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ("empty identifier", {"batchItemFailures": [{"itemIdentifier": ""}]}, {"a", "b"}),
        ("null identifier", {"batchItemFailures": [{"itemIdentifier": None}]}, {"a", "b"}),
        ("bad key name", {"batchItemFailures": [{"id": "a"}]}, {"a", "b"}),
        ("unknown identifier", {"batchItemFailures": [{"itemIdentifier": "z"}]}, {"a", "b"}),
    ],
)
def test_which_messages_of_a_batch_failed(case: str, payload: Any, failed: set[str]) -> None:
    invocation = Invocation("arn", "id", datetime(2024, 1, 1, tzinfo=UTC), {}, payload)

    assert failed_ids(invocation, ["a", "b"], partial=True) == failed, case
    assert failed_ids(invocation, ["a", "b"], partial=False) == set(), case


@pytest.fixture
def world() -> Iterator[Sandbox]:
    with Sandbox(start=datetime(2024, 5, 15, 9, 0, tzinfo=UTC)) as world:
        yield world


def connect(
    world: Sandbox,
    code: str,
    *,
    actions: tuple[str, ...] = RECEIVE,
    receives: int = 2,
    timeout: int = 10,
    batch: int = 10,
    window: int = 0,
    partial: bool = True,
) -> str:
    """Make queue, dead-letter queue, role, function and mapping; return the queue's URL."""
    sqs, iam = (world.identity.client(service, ADMIN, HOME) for service in ("sqs", "iam"))
    sqs.create_queue(QueueName="dead")
    redrive = json.dumps({"deadLetterTargetArn": DEAD, "maxReceiveCount": receives})
    url = sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "30", "RedrivePolicy": redrive})[
        "QueueUrl"
    ]
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="worker", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    allow(world, actions)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", code)
    client = world.identity.client("lambda", ADMIN, HOME)
    function_arn = client.create_function(
        FunctionName="worker",
        Role=role,
        Code={"ZipFile": buffer.getvalue()},
        Handler="index.handler",
        Runtime="python3.13",
        Timeout=timeout,
    )["FunctionArn"]
    world.queues.check_mapping(QUEUE, function_arn)
    client.create_event_source_mapping(
        EventSourceArn=QUEUE,
        FunctionName="worker",
        BatchSize=batch,
        MaximumBatchingWindowInSeconds=window,
        FunctionResponseTypes=["ReportBatchItemFailures"] if partial else [],
    )
    return str(url)


def allow(world: Sandbox, actions: tuple[str, ...]) -> None:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": QUEUE}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = world.identity.client("iam", ADMIN, HOME)
    iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=policy)


def send(world: Sandbox, url: str, *bodies: str, **settings: Any) -> None:
    for body in bodies:
        world.identity.client("sqs", ADMIN, HOME).send_message(QueueUrl=url, MessageBody=body, **settings)


def batches(world: Sandbox) -> list[list[str]]:
    return [[record["body"] for record in run.event["Records"]] for run in world.functions.invocations]


def test_messages_come_in_batches_and_are_deleted(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD, batch=2)
    send(world, url, "1", "2", "3")
    assert batches(world) == []  # moto's own delivery is off

    world.run()

    assert batches(world) == [["1", "2"], ["3"]]
    assert world.queues.contents(QUEUE) == []


# https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html#invocation-eventsourcemapping-batching
def test_a_batch_is_gathered_until_its_window_is_over(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD, batch=100, window=20)
    send(world, url, *map(str, range(12)))

    world.run()
    world.advance(10)
    assert batches(world) == []
    send(world, url, "late")
    world.advance(15)

    assert batches(world) == [[*map(str, range(12)), "late"]]
    assert world.queues.contents(QUEUE) == []


def test_the_window_opens_anew_with_the_first_message_after_a_batch(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD, batch=100, window=20)
    send(world, url, "1")
    world.advance(100)
    send(world, url, "2")

    world.advance(10)
    assert batches(world) == [["1"]]
    world.advance(15)

    assert batches(world) == [["1"], ["2"]]


def test_a_full_batch_does_not_wait_and_the_rest_does(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD, batch=25, window=20)
    send(world, url, *map(str, range(60)))

    world.run()
    assert [len(batch) for batch in batches(world)] == [25, 25]
    world.advance(25)

    assert [len(batch) for batch in batches(world)] == [25, 25, 10]


def test_a_full_payload_does_not_wait_and_no_batch_is_larger(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD, batch=100, window=20)
    send(world, url, *["x" * 250_000] * 25)

    world.run()
    assert [len(batch) for batch in batches(world)] == [24]
    world.advance(25)

    assert [len(batch) for batch in batches(world)] == [24, 1]


def test_settling_waits_for_what_is_gathered_and_for_nothing_else(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD, batch=100, window=20)
    world.settle()
    assert (world.clock.now() - datetime(2024, 5, 15, 9, 0, tzinfo=UTC)).total_seconds() < 15
    send(world, url, "1", "bad")

    world.settle()

    assert batches(world) == [["1", "bad"]]
    assert [message["body"] for message in world.queues.contents(QUEUE)] == ["bad"]


def test_settling_does_not_wait_for_ever_for_what_cannot_be_received(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD, batch=100, window=20)
    allow(world, ("sqs:DeleteMessage",))
    send(world, url, "1")

    world.settle()

    assert batches(world) == []
    assert "sqs:receivemessage" in (world.troubles[-1].error or "").lower()


# https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event
def test_a_record_has_what_lambda_gives(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD)
    send(world, url, "1", MessageAttributes={"kind": {"DataType": "String", "StringValue": "x"}})

    world.run()

    (record,) = world.functions.invocations[0].event["Records"]
    assert set(record) == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["kind"]["stringValue"] == "x"
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == ("aws:sqs", QUEUE, HOME)


def test_a_reported_failure_comes_back_after_the_visibility_timeout_then_is_a_dead_letter(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD)
    send(world, url, "good", "bad")
    world.run()
    assert [message["body"] for message in world.queues.contents(QUEUE)] == ["bad"]

    world.advance(20)
    assert batches(world) == [["good", "bad"]]
    world.advance(15)
    assert batches(world) == [["good", "bad"], ["bad"]]
    world.advance(31)

    assert batches(world) == [["good", "bad"], ["bad"]]
    (letter,) = world.dead_letters()[DEAD]
    assert (letter["body"], letter["received"]) == ("bad", 2)
    assert world.deliveries[-1].kind == "dead letter"


def test_an_error_of_the_function_returns_the_whole_batch(world: Sandbox) -> None:
    url = connect(world, RAISES_ON_BAD)
    send(world, url, "good", "bad")

    world.run()

    assert [message["body"] for message in world.queues.contents(QUEUE)] == ["good", "bad"]
    assert [hop.error for hop in world.deliveries if hop.kind == "queue to function"] == ["ValueError: bad"] * 2


def test_without_the_response_type_reported_failures_are_ignored(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD, partial=False)
    send(world, url, "bad")

    world.run()

    assert world.queues.contents(QUEUE) == []


def test_a_delayed_message_waits(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD)
    send(world, url, "later", DelaySeconds=60)
    world.run()
    assert batches(world) == []

    world.advance(61)

    assert batches(world) == [["later"]]


def test_a_role_that_lost_its_permission_receives_nothing_and_it_is_told(world: Sandbox) -> None:
    url = connect(world, FAILS_ON_BAD)
    allow(world, ("sqs:DeleteMessage",))
    send(world, url, "1")

    world.run()

    assert batches(world) == []
    assert "sqs:receivemessage" in (world.troubles[-1].error or "").lower()


# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
@pytest.mark.parametrize("missing", RECEIVE)
def test_a_mapping_needs_the_roles_permissions(world: Sandbox, missing: str) -> None:
    action = missing.removeprefix("sqs:")

    with pytest.raises(ClientError, match=f"does not have permissions to call {action} on SQS"):
        connect(world, FAILS_ON_BAD, actions=tuple(each for each in RECEIVE if each != missing))


def test_a_mapping_needs_a_visibility_timeout_as_long_as_the_functions(world: Sandbox) -> None:
    with pytest.raises(ClientError, match="30 seconds is less than Function timeout: 60"):
        connect(world, FAILS_ON_BAD, timeout=60)


# https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
@pytest.mark.parametrize("permitted", [True, False])
def test_a_topic_sends_to_a_queue_that_lets_it(world: Sandbox, permitted: bool) -> None:
    sqs, sns = (world.identity.client(service, ADMIN, HOME) for service in ("sqs", "sns"))
    topic = sns.create_topic(Name="t")["TopicArn"]
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    if permitted:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": QUEUE,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=QUEUE)

    sns.publish(TopicArn=topic, Message="hello")

    assert len(world.queues.contents(QUEUE)) == permitted
    assert bool(world.troubles) is not permitted
