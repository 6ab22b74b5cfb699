"""The playbook function of one standard: findings from its queue, and its own attempts that are due again."""

from __future__ import annotations

import json
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from lambdas import wiring
from sharr.catalogue import compiled
from sharr.finding import MalformedEvent, parse_event

processor = BatchProcessor(event_type=EventType.SQS)
logger = wiring.logger


def handle(record: SQSRecord) -> None:
    """Take up one message: an event of Security Hub, or the id of an attempt that is due."""
    settings = wiring.settings()
    try:
        body: Any = json.loads(record.body)
    except (ValueError, RecursionError):  # the latter: nested deeper than the parser goes
        return lay_aside(record, "the message is not JSON")
    if isinstance(body, dict) and body.keys() == {"attempt"} and isinstance(body["attempt"], str):
        wiring.looks().again(body["attempt"])
        return None
    try:
        delivery = parse_event(
            body, compiled().standards, admin_account=settings.admin_account, region=settings.home_region
        )
    except MalformedEvent as error:
        return lay_aside(record, str(error))
    if delivery.malformed:
        lay_aside(record, "; ".join(str(m) for m in delivery.malformed))
    for finding in delivery.findings:
        # A button's event holds all findings that were chosen, and reaches every playbook that serves one of them.
        if finding.standard == settings.playbook:
            wiring.looks().on_finding(finding, delivery.trigger, delivery.request, delivery.at)
    return None


def lay_aside(record: SQSRecord, reason: str) -> None:
    """Put a message that nobody can act on into the dead-letter queue, with the reason; nothing of it is lost."""
    logger.warning("malformed", extra={"reason": reason[:1000], "message_id": record.message_id})
    wiring.client("sqs").send_message(
        QueueUrl=wiring.settings().dead_letter_queue,
        MessageBody=record.body,
        MessageAttributes={"reason": {"DataType": "String", "StringValue": reason[:1000] or "malformed"}},
    )


def handler(event: dict[str, Any], context: Any) -> Any:
    """Lambda's entry: one bad record fails alone."""
    return process_partial_response(event, handle, processor, context)
