"""SQS: SetQueueAttributes changes what it names and nothing else, and a queue has one kind of encryption at a time."""

from __future__ import annotations

from typing import Any

from moto.sqs.models import Queue
from moto.sqs.responses import SQSResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World


def install(world: World, patches: Patches) -> None:
    """
    Make moto's queues keep their policy where another attribute is set, and refuse two kinds of encryption.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """
    set_attributes = Queue._set_attributes

    def keeping(queue: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        policy = getattr(queue, "_policy_json", None)
        set_attributes(queue, attributes, now)
        if "Policy" not in attributes and policy is not None:
            queue._policy_json = policy
        if attributes.get("KmsMasterKeyId"):
            queue.sqs_managed_sse_enabled = "false"

    patches.attribute(Queue, "_set_attributes", keeping)
    for operation in ("CreateQueue", "SetQueueAttributes"):
        patches.around(SQSResponse, operation, _one_kind)


def _one_kind(request: Request, proceed: Any) -> Any:
    """Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""
    attributes = request.parameters.get("Attributes") or {}
    if attributes.get("KmsMasterKeyId") and attributes.get("SqsManagedSseEnabled") == "true":
        raise Refused("InvalidAttributeValue", "You can use one type of server-side encryption (SSE) at one time.")
    return proceed()
