"""The outcome function: tells findings, log group, metrics and topic what attempts say; settles runbooks that ended."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit, single_metric

from lambdas import wiring
from sharr.attempts import Attempt
from sharr.catalogue import compiled
from sharr.publishing import Publisher
from sharr.runbooks import Runbooks

RUNBOOK_ENDED = "EC2 Automation Execution Status-change Notification"

logger = wiring.logger
metrics = Metrics()


@cache
def publisher() -> Publisher:
    """Return what publishes."""
    return Publisher(
        catalogue=compiled(),
        settings=wiring.settings(),
        attempts=wiring.attempts(),
        findings=wiring.findings(),
        topic=wiring.client("sns"),
        log=lambda line: logger.info(line.pop("message"), extra=line),
        measure=measure,
        now=wiring.now,
    )


def measure(attempt: Attempt, seconds: float) -> None:
    """Count an outcome: in all, and by control. No dimension grows with accounts or resources."""
    if not attempt.has_ended:
        return
    for dimensions in ({"Outcome": attempt.outcome}, {"Outcome": attempt.outcome, "Control": attempt.control}):
        with single_metric("Outcomes", MetricUnit.Count, 1) as metric:
            for name, value in dimensions.items():
                metric.add_dimension(name, value)
    if attempt.outcome == "REMEDIATED":
        with single_metric("SecondsToOutcome", MetricUnit.Seconds, max(seconds, 0)) as metric:
            metric.add_dimension("Outcome", attempt.outcome)


def handler(event: dict[str, Any], _context: Any) -> dict[str, list[dict[str, str]]]:
    """Lambda's entry. Ids of the whole batch are published together; a message fails alone."""
    ids: dict[str, str] = {}
    failed: set[str] = set()
    for record in event["Records"]:
        try:
            body = json.loads(record["body"])
            if body.get("detail-type") == RUNBOOK_ENDED:
                execution = body["detail"]["ExecutionId"]
                if isinstance(execution, str) and len(execution) == 36:
                    Runbooks(wiring.looks()).on_end(execution)
            else:
                ids[str(body["attempt"])] = record["messageId"]
        except Exception:
            logger.exception("a message could not be handled", extra={"message_id": record.get("messageId")})
            failed.add(record["messageId"])
    if ids:
        try:
            not_told = publisher().publish(ids)
            failed |= {ids[i] for i in not_told}
            if not_told:
                logger.error("not told", extra={"attempts": not_told})
        except Exception:
            logger.exception("a batch could not be told", extra={"attempts": list(ids)})
            failed |= set(ids.values())
    return {"batchItemFailures": [{"itemIdentifier": i} for i in sorted(failed)]}
