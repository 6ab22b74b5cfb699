"""S3.11: let EventBridge, or a destination that the user names, be told of what happens to a bucket's objects."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

KINDS = {
    "sns": ("TopicConfigurations", "TopicArn"),
    "sqs": ("QueueConfigurations", "QueueArn"),
    "lambda": ("LambdaFunctionConfigurations", "LambdaFunctionArn"),
}
BRIDGE = "EventBridgeConfiguration"
USUAL = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read who is told of what, None: nobody. One PUT replaces all, so it is one leaf.

    A finding's Region need not be the bucket's. HeadBucket tells it from every Region, in a header.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html
    """
    s3, bucket = aws.client("s3"), named_bucket(target)
    try:
        answer = s3.head_bucket(**bucket)
        region = answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"]
        found = aws.client("s3", region).get_bucket_notification_configuration(**bucket)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
            raise ResourceGone(bucket["Bucket"]) from error
        raise
    told = {kind: found[kind] for kind, _ in KINDS.values() if found.get(kind)}
    if BRIDGE in found:
        told[BRIDGE] = found[BRIDGE]
    return {"config": {"notifications": [told] if told else None}, "facts": {"region": region}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that adds EventBridge or the destination; [] where somebody is told of all that is asked for.

    AWS says of its own rule for templates that EventBridge is enough; of event types it does not say so.
    Source: https://docs.aws.amazon.com/controltower/latest/controlreference/s3-rules.html#ct-s3-pr-4-description
    """
    asked, destination = target["parameters"]["eventTypes"], target["parameters"]["destination"]
    (old,) = state["config"]["notifications"] or [{}]
    told = [event for kind, _ in KINDS.values() for one in old.get(kind, []) for event in one["Events"]]
    lacks = [event for event in asked or [] if not any(covers(other, event) for other in told)]
    if told and not lacks:
        return []
    if not asked and not destination:
        return [] if BRIDGE in old else [put(state, target, {**old, BRIDGE: {}})]
    if not destination:
        why = f"the control asks for the event types {', '.join(lacks)}, and who is to be told only you know"
        raise CannotRepair(why, "add a notification by hand, or set destination")
    return [put(state, target, with_destination(state, target, old, told, lacks or USUAL))]


def with_destination(
    state: dict[str, Any], target: dict[str, Any], old: dict[str, Any], told: list[str], events: list[str]
) -> dict[str, Any]:
    """Return the configuration with the destination. Raises CannotRepair for what S3 would refuse."""
    arn = target["parameters"]["destination"]
    _, partition, service, region, *_ = arn.split(":")
    if (partition, region) != (target["partition"], state["facts"]["region"]):
        why = f"the bucket is in {state['facts']['region']}, and S3 tells nobody in another Region than that"
        raise CannotRepair(why, f"add a notification by hand: the destination is {arn}")
    events = [e for e in dict.fromkeys(events) if not any(e != other and covers(other, e) for other in events)]
    twice = [e for e in events if any(covers(e, other) for other in told)]
    if twice:
        why = f"some of {', '.join(twice)} goes to another destination already, and S3 tells of an event only once"
        raise CannotRepair(why, "make these notifications one by hand")
    kind, key = KINDS[service]
    taken = {one["Id"] for kinds, _ in KINDS.values() for one in old.get(kinds, [])}
    name = next(n for n in ("sharr", *(f"sharr-{i}" for i in range(2, len(taken) + 3))) if n not in taken)
    return {**old, kind: [*old.get(kind, []), {"Id": name, key: arn, "Events": events}]}


def put(state: dict[str, Any], target: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    bucket, region = named_bucket(target), state["facts"]["region"]
    (old,) = state["config"]["notifications"] or [{}]
    # A destination of before may be gone by then: S3 need not test it again.
    back = bucket | {"NotificationConfiguration": old, "SkipDestinationValidation": True}
    operation = "put_bucket_notification_configuration"
    denied = "a service control policy or the bucket's policy denies s3:PutBucketNotification: let the role use it"
    reach = "S3 cannot reach the destination, or one that was there before: let their policies admit s3.amazonaws.com"
    return call(
        "s3",
        operation,
        bucket | {"NotificationConfiguration": new},
        region=region,
        undo=[call("s3", operation, back, region=region, leaf=["notifications"])],
        retry=["OperationAborted"],
        explain={"AccessDenied": denied, "InvalidArgument": reach},
    )


def covers(event: str, other: str) -> bool:
    """Tell whether an event type, perhaps with a * at its end, takes in another."""
    return event == other or (event.endswith("*") and other.startswith(event[:-1]))


def named_bucket(target: dict[str, Any]) -> dict[str, str]:
    return {"Bucket": target["resource"]["bucket"], "ExpectedBucketOwner": target["account"]}
