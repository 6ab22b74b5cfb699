"""S3.11: EventBridge, or the destination that the user names, is added; all that was told before is still told."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "s3/notify_of_events"
ACCOUNT = "222222222222"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:"
DESTINATION = f"{QUEUE}events-for-s3-11"
CREATED, REMOVED, PUT = "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectCreated:Put"
KINDS = ("TopicConfigurations", "QueueConfigurations", "LambdaFunctionConfigurations")
Json = dict[str, Any]


def queue(name: str, *events: str, **more: Any) -> Json:
    return {"Id": name, "QueueArn": f"{QUEUE}{name}", "Events": list(events), **more}


def bucket(b: Bench, name: str, region: str = "us-east-1", **notifications: Any) -> str:
    s3, place = b.client("s3", region), {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **({} if region == "us-east-1" else place))
    if notifications:
        s3.put_bucket_notification_configuration(
            Bucket=name, NotificationConfiguration=notifications, SkipDestinationValidation=True
        )
    return b.arn("s3", name, region="", account="")


def with_queues(b: Bench, name: str) -> str:
    """A bucket that tells a queue of too little, and the queue that the user names."""
    for one in ("events-for-s3-11", "removals-for-s3-11"):
        b.client("sqs").create_queue(QueueName=one)
    return bucket(b, name, QueueConfigurations=[queue("removals-for-s3-11", REMOVED)], EventBridgeConfiguration={})


def told(b: Bench, resource_id: str) -> Json:
    found: Json = b.client("s3").get_bucket_notification_configuration(Bucket=resource_id.split(":")[-1])
    return {key: value for key, value in found.items() if key != "ResponseMetadata"}


def somebody_is_told(b: Bench, resource_id: str) -> bool:
    return bool(told(b, resource_id))


def somebody_is_told_of_creations(b: Bench, resource_id: str) -> bool:
    document = told(b, resource_id)
    return any(CREATED in one["Events"] for kind in KINDS for one in document.get(kind, []))


CASES = [
    Case("S3.11", "no notification", lambda b: bucket(b, "silent-for-s3-11"), somebody_is_told),
    Case("S3.11", "a bucket of another Region", lambda b: bucket(b, "abroad-for-s3-11", "eu-west-1"), somebody_is_told),
    Case(
        "S3.11",
        "an event type that nobody is told of",
        lambda b: with_queues(b, "removals-only-for-s3-11"),
        somebody_is_told_of_creations,
        parameters={"eventTypes": [REMOVED, CREATED]},
        settings={"destination": DESTINATION},
    ),
]


def plan(
    document: Json | None, events: list[str] | None = None, destination: str | None = None, partition: str = "aws"
) -> list[Json]:
    asked = {
        "partition": partition,
        "account": ACCOUNT,
        "resource": {"bucket": "silent"},
        "parameters": {"eventTypes": events, "destination": destination},
    }
    state = {"config": {"notifications": document and [document]}, "facts": {"region": "us-east-1"}, "busy": None}
    calls: list[Json] = code_of(remediation_of(ID)).plan(state, asked)
    return calls


def put(document: Json | None, *given: Any) -> Json:
    (one,) = plan(document, *given)
    assert one["undo"][0]["parameters"]["NotificationConfiguration"] == (document or {})
    new: Json = one["parameters"]["NotificationConfiguration"]
    return new


ONE = {"QueueConfigurations": [queue("q", REMOVED)]}


def test_without_a_destination_eventbridge_is_told() -> None:
    assert put(None) == {"EventBridgeConfiguration": {}}


@pytest.mark.parametrize("service", ["sns", "sqs", "lambda"])
def test_a_destination_is_added_to_its_kind(service: str) -> None:
    name = "function:f" if service == "lambda" else "d"
    arn = f"arn:aws:{service}:us-east-1:{ACCOUNT}:{name}"
    kind, key = {
        "sns": ("TopicConfigurations", "TopicArn"),
        "sqs": ("QueueConfigurations", "QueueArn"),
        "lambda": ("LambdaFunctionConfigurations", "LambdaFunctionArn"),
    }[service]

    assert put(None, None, arn) == {kind: [{"Id": "sharr", key: arn, "Events": [CREATED, REMOVED]}]}
    assert put({"EventBridgeConfiguration": {}}, None, arn)["EventBridgeConfiguration"] == {}


@pytest.mark.parametrize(
    ("document", "given"),
    [
        ({"EventBridgeConfiguration": {}}, ()),
        (ONE, ()),
        (ONE, (None, DESTINATION)),
        (ONE, ([REMOVED], None)),
        (ONE, (["s3:ObjectRemoved:Delete"], None)),
        ({"TopicConfigurations": [{"Id": "t", "Events": [CREATED]}], **ONE}, ([CREATED, REMOVED], None)),
    ],
)
def test_a_bucket_that_tells_enough_is_compliant(document: Json, given: tuple[Any, ...]) -> None:
    assert plan(document, *given) == []


def test_only_what_is_missing_is_asked_for_and_what_is_there_stays_first() -> None:
    new = put(ONE, [PUT, CREATED, REMOVED, CREATED], DESTINATION)

    assert new["QueueConfigurations"] == [
        queue("q", REMOVED),
        {"Id": "sharr", "QueueArn": DESTINATION, "Events": [CREATED]},
    ]


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    new = put({"QueueConfigurations": [queue("sharr", REMOVED)]}, [CREATED], DESTINATION)

    assert new["QueueConfigurations"][1]["Id"] == "sharr-2"


@pytest.mark.parametrize(
    ("document", "given", "why", "to_do"),
    [
        (None, ([CREATED], None), "asks for the event types", "set destination"),
        ({"EventBridgeConfiguration": {}}, ([CREATED], None), "asks for the event types", "set destination"),
        (None, (None, DESTINATION.replace("us-east-1", "eu-west-1")), "in another Region", "by hand"),
        (None, (None, DESTINATION.replace("aws", "aws-cn")), "in another Region", "by hand"),
        ({"QueueConfigurations": [queue("q", PUT)]}, ([CREATED], DESTINATION), "only once", "one by hand"),
    ],
)
def test_what_s3_would_refuse_or_only_the_user_knows_is_left_to_a_person(
    document: Json | None, given: tuple[Any, ...], why: str, to_do: str
) -> None:
    with pytest.raises(CannotRepair, match=why) as caught:
        plan(document, *given)

    assert to_do in caught.value.to_do


def test_an_undo_works_though_a_destination_of_before_is_gone() -> None:
    with bench(ID) as b:
        arn = with_queues(b, "removals")
        before = told(b, arn)
        attempt = b.attempt("S3.11", arn, parameters={"eventTypes": [CREATED]}, settings={"destination": DESTINATION})
        attempt.finish()
        url = b.client("sqs").get_queue_url(QueueName="removals-for-s3-11")["QueueUrl"]
        b.client("sqs").delete_queue(QueueUrl=url)

        assert attempt.undo()["outcome"] == "UNDONE"
        assert told(b, arn) == before


def test_a_destination_that_s3_cannot_reach_is_refused_and_nothing_changes() -> None:
    with bench(ID) as b:
        arn = bucket(b, "silent")

        result = b.remediate("S3.11", arn, settings={"destination": DESTINATION})

        assert (result["outcome"], told(b, arn)) == ("FAILED", {})
        assert "let their policies admit s3.amazonaws.com" in result["to_do"]


def test_what_was_told_before_comes_back_alone() -> None:
    with bench(ID) as b:
        arn = with_queues(b, "removals")
        before = told(b, arn)
        attempt = b.attempt("S3.11", arn, parameters={"eventTypes": [CREATED]}, settings={"destination": DESTINATION})

        assert attempt.finish()["outcome"] == "REMEDIATED"
        after = told(b, arn)
        assert after["EventBridgeConfiguration"] == {}
        assert after["QueueConfigurations"][0] == before["QueueConfigurations"][0]
        assert attempt.undo()["outcome"] == "UNDONE"
        assert told(b, arn) == before


def test_notifications_that_somebody_changed_since_are_left_by_an_undo() -> None:
    with bench(ID) as b:
        arn = bucket(b, "silent")
        attempt = b.attempt("S3.11", arn)
        attempt.finish()
        b.client("s3").put_bucket_notification_configuration(
            Bucket="silent",
            NotificationConfiguration=ONE | {"EventBridgeConfiguration": {}},
            SkipDestinationValidation=True,
        )

        assert attempt.undo()["outcome"] == "SKIPPED"
        assert told(b, arn) == ONE | {"EventBridgeConfiguration": {}}


@pytest.mark.parametrize("text", [f"{QUEUE}q.fifo", "q", f"arn:aws:s3:us-east-1:{ACCOUNT}:q", f"{QUEUE}{'q' * 300}"])
def test_a_destination_that_is_none_is_refused_as_it_is_set(text: str) -> None:
    with bench(ID) as b, pytest.raises(Exception, match="parameter destination"):
        b.target("S3.11", b.arn("s3", "silent", region="", account=""), settings={"destination": text})


def test_a_bucket_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("S3.11", b.arn("s3", "gone", region="", account=""))["outcome"] == "COMPLIANT"
