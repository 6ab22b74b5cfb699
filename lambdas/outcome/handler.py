"""The outcome function: tells findings, log group, metrics and topic what attempts say; settles runbooks that ended."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from lambdas import wiring
from sharr.attempts import Attempt
from sharr.catalogue import compiled
from sharr.outcomes import disagrees, seconds_to_outcome
from sharr.publishing import Publisher
from sharr.runbooks import Runbooks

RUNBOOK_ENDED = "EC2 Automation Execution Status-change Notification"

logger = wiring.logger


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


def measure(ended: list[Attempt]) -> None:
    """Count outcomes: in all, and by control, a batch at a time. No dimension grows with accounts or resources."""
    for outcome, count in Counter(a.outcome for a in ended).items():
        with single_metric("Outcomes", MetricUnit.Count, count) as metric:
            metric.add_dimension("Outcome", outcome)
    for (outcome, control), count in Counter((a.outcome, a.control) for a in ended).items():
        with single_metric("Outcomes", MetricUnit.Count, count) as metric:
            metric.add_dimension("Outcome", outcome)
            metric.add_dimension("Control", control)
    for control, count in Counter(a.control for a in ended if disagrees(a)).items():
        with single_metric("Disagreements", MetricUnit.Count, count) as metric:
            metric.add_dimension("Control", control)
    for attempt in ended:
        if attempt.outcome == "REMEDIATED":
            with single_metric(
                "SecondsToOutcome", MetricUnit.Seconds, seconds_to_outcome(attempt, wiring.now())
            ) as metric:
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
