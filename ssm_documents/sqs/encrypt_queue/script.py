"""SQS.1: encrypt a queue at rest with the keys that Amazon SQS manages; a KMS key that is there stays."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether the queue is encrypted, and how.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
    """
    sqs, name = aws.client("sqs"), target["resource"]["queue_name"]
    asked = ["SqsManagedSseEnabled", "KmsMasterKeyId"]
    try:
        url = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=target["account"])["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=asked).get("Attributes", {})
    except sqs.exceptions.QueueDoesNotExist as error:
        raise ResourceGone(name) from error
    config = {"managed": found.get("SqsManagedSseEnabled") == "true", "key": found.get("KmsMasterKeyId") or None}
    return {"config": config, "facts": {"url": url}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that turns SSE-SQS on; [] where the queue is encrypted, in either way."""
    if state["config"]["managed"] or state["config"]["key"]:
        return []
    return [switched(state["facts"]["url"], "true", undo=[switched(state["facts"]["url"], "false")])]


def switched(url: str, value: str, **more: Any) -> dict[str, Any]:
    parameters = {"QueueUrl": url, "Attributes": {"SqsManagedSseEnabled": value}}
    return call("sqs", "set_queue_attributes", parameters, **more)
