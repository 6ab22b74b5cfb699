"""
The outcome function: tells findings, log group, metrics and topic what attempts say, sends digests, settles runbooks
that ended, and answers buttons that no playbook serves.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from lambdas import wiring
from sharr.attempts import Attempt
from sharr.catalogue import compiled
from sharr.digests import is_digest_pk
from sharr.finding import CUSTOM_ACTION
from sharr.messages import LEFT_OUT_PK
from sharr.outcomes import disagrees, seconds_to_outcome
from sharr.publishing import Publisher
from sharr.runbooks import Runbooks
from sharr.unserved import Unserved, unserved_findings

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
        messages=wiring.messages(),
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
    """
    Lambda's entry. What the whole batch asks for is published together; a message fails alone.

    A message is the id of an attempt, the key of a digest, the end of a runbook, or a press of a button that no loaded
    playbook takes.
    """
    ids: dict[str, str] = {}
    digests: dict[str, str] = {}
    unserved: dict[str, list[Unserved]] = {}
    failed: set[str] = set()
    for record in event["Records"]:
        try:
            body = json.loads(record["body"])
            kind = body.get("detail-type")
            if kind == RUNBOOK_ENDED:
                execution = body["detail"]["ExecutionId"]
                if isinstance(execution, str) and len(execution) == 36:
                    Runbooks(wiring.looks()).on_end(execution)
            elif kind == CUSTOM_ACTION:
                unserved[record["messageId"]] = pressed(body)
            elif "digest" in body:
                digests[digest_of(body)] = record["messageId"]
            else:
                ids[str(body["attempt"])] = record["messageId"]
        except Exception:
            logger.exception("a message could not be handled", extra={"message_id": record.get("messageId")})
            failed.add(record["messageId"])
    work: list[tuple[dict[str, str], Callable[[], dict[str, str]]]] = []
    if ids:
        work.append((ids, lambda: publisher().publish(ids)))
    if unserved:
        work.append(({key: key for key in unserved}, lambda: publisher().answer(unserved)))
    work += [({pk: message}, partial(publisher().publish_digest, pk)) for pk, message in digests.items()]
    for messages, publish in work:
        try:
            not_told = publish()
            failed |= {messages[key] for key in not_told}
            if not_told:
                logger.error("not told", extra={"not_told": not_told})
        except Exception:
            logger.exception("a batch could not be told", extra={"not_told": list(messages)})
            failed |= set(messages.values())
    return {"batchItemFailures": [{"itemIdentifier": i} for i in sorted(failed)]}


def digest_of(body: dict[str, Any]) -> str:
    """Return the key of a digest that a message names. Raises ValueError: the queue takes from our own roles only."""
    pk = body["digest"]
    if pk == LEFT_OUT_PK or is_digest_pk(pk):
        return str(pk)
    raise ValueError("the message names no digest")


def pressed(event: dict[str, Any]) -> list[Unserved]:
    """Return the findings of a button's event that no loaded playbook takes. Raises MalformedEvent."""
    settings = wiring.settings()
    found, refused = unserved_findings(
        event,
        compiled().standards,
        settings.loaded,
        admin_account=settings.admin_account,
        region=settings.home_region,
    )
    for why in refused:
        logger.warning("unserved, and not answered", extra={"why": why, "request": event["id"]})
    return found
