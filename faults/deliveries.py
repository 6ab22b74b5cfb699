"""Messages that come twice, late, in another order; and two functions that work on one resource at once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from faults.kinds import Kind, fail
from faults.stage import Scene
from sandbox.additions import securityhub
from sandbox.ports import Call

OF_THE_QUEUE: Mapping[str, Kind] = {"ReceiveMessage": "message twice", "DeleteMessageBatch": "message again, late"}
"""Calls that Lambda's poller makes with the function's role, and what may go wrong there."""


def deliver_again(scene: Scene, call: Call, kind: Kind, proceed: Callable[[], Any]) -> Any:
    """
    Let a queue's messages be received twice: in one batch, or again when they are visible again, twelve minutes later.

    Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html
    """
    if kind == "message again, late":
        return fail(call, "refused", proceed)
    queues = scene.stage.world.queues
    arn = next(
        arn for arn in scene.stage.queues() if arn.rsplit(":", 1)[1] == call.parameters["QueueUrl"].split("/")[-1]
    )
    for message in queues.contents(arn):
        queues.send(arn, message["body"])
    return proceed()


def work_beside(scene: Scene, kind: Kind) -> None:
    """
    Run what Lambda might run at this moment in other execution environments, to its end.

    The messages that are being handled are delivered to a second environment, and the sweeper runs. Or: another
    finding of the same control on the same resource is taken up.
    """
    stage, world = scene.stage, scene.stage.world
    with world.functions.beside():
        for mapping in world.queues.mappings():
            handled = [m for m in world.queues.contents(mapping.event_source_arn) if not m["visible"]]
            if kind == "another finding at the same time":
                handled = [other for m in handled if (other := _of_another(scene, m))]
            if handled:
                records = [_record(m, mapping.event_source_arn) for m in handled]
                world.functions.invoke(mapping.function_arn, {"Records": records})
        if kind == "another function at the same time":
            world.functions.invoke(stage.sweeper(), {})


def another_finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    """Return another finding of the same control on the same resource, as Security Hub makes one anew."""
    head, _, _ = str(finding["Id"]).rpartition("/")
    return {**finding, "Id": f"{head}/{uuid.uuid5(uuid.NAMESPACE_URL, finding['Id'])}"}


def _of_another(scene: Scene, message: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the message with another finding in place of ours; None for one that holds no finding."""
    body = json.loads(message["body"])
    findings = body.get("detail", {}).get("findings") if isinstance(body, dict) else None
    if not findings:
        return None
    other = another_finding(findings[0])
    securityhub.publish(scene.stage.world, {**another_finding(scene.finding), "Workflow": findings[0]["Workflow"]})
    body |= {"id": str(uuid.uuid4()), "detail": {**body["detail"], "findings": [other]}}
    return {**message, "id": str(uuid.uuid4()), "body": json.dumps(body)}


def _record(message: Mapping[str, Any], queue_arn: str) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event"""
    return {
        "messageId": message["id"],
        "receiptHandle": "of-the-other-delivery",
        "body": message["body"],
        "attributes": {},
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }
