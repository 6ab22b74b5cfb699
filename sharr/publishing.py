"""Tells findings, log group, metrics and topic what attempts say now. Messages carry ids; the table is the truth."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sharr.attempts import Attempt, Attempts, Conflict, said
from sharr.catalogue import Catalogue
from sharr.findings_port import FindingsPort
from sharr.outcomes import AUTHOR, log_line, message_for, note_for, status_for, writes_note
from sharr.settings import Settings

SNS_AT_ONCE = 10
SQS_AT_ONCE = 10
SQS_BYTES = 250_000
"""Of one call. SQS takes more by now, but not in every partition."""


class NotTold(Exception):
    """Something could not be told; the message comes back and all of it is told again."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """What publishing needs of the world."""

    catalogue: Catalogue
    settings: Settings
    attempts: Attempts
    findings: FindingsPort
    topic: Any
    log: Callable[[dict[str, Any]], None]
    measure: Callable[[list[Attempt]], None]
    now: Callable[[], datetime]

    def publish(self, ids: Iterable[str]) -> dict[str, str]:
        """
        Publish the attempts with these ids, each as its record is now. Return id -> why for those that failed.

        Equal notes and statuses share one BatchUpdateFindings; what was told already is not told twice.
        """
        wanted = list(dict.fromkeys(ids))
        attempts = [a for a in self.attempts.get_many(wanted) if a.published != said(a)]
        failed: dict[str, str] = {}
        groups: dict[tuple[str | None, str], list[Attempt]] = defaultdict(list)
        # A finding has one note: of two attempts on it that are told together, the later one's.
        by_age = sorted((a for a in attempts if writes_note(a)), key=lambda a: a.created_at)
        for attempt in {a.finding["uid"]: a for a in by_age}.values():
            note = note_for(attempt, self.catalogue.remediations.get(attempt.remediation))
            groups[status_for(attempt), note].append(attempt)
        for (status, note), group in groups.items():
            identifiers = [{"Id": a.finding["uid"], "ProductArn": a.finding["product_arn"]} for a in group]
            refused = self.findings.update(identifiers, note, AUTHOR, status)
            for attempt in group:
                code = refused.get(attempt.finding["uid"])
                if code == "still refused after retries":
                    failed[attempt.id] = code
                elif code:
                    self.log({"message": "finding not updated", "code": code, "attempt": attempt.id})
        told = [a for a in attempts if a.id not in failed]
        failed |= self._send(told)
        told = [a for a in told if a.id not in failed]
        for attempt in told:
            self.log({"message": "outcome", **log_line(attempt, self.now())})
        if told:
            self.measure([a for a in told if a.has_ended])
            try:
                self.attempts.mark_published(told)
            except Conflict:
                self.log({"message": "an attempt went on while it was told", "attempts": [a.id for a in told]})
        return failed

    def _send(self, attempts: list[Attempt]) -> dict[str, str]:
        """Send one message each, ten in a call; what is quiet (and an interim PENDING) sends none."""
        loud = [a for a in attempts if not a.quiet and a.has_ended]
        failed: dict[str, str] = {}
        for start in range(0, len(loud), SNS_AT_ONCE):
            batch = loud[start : start + SNS_AT_ONCE]
            entries = [
                {
                    "Id": str(n),
                    **message_for(a, self.catalogue.remediations.get(a.remediation), self.settings.home_region),
                }
                for n, a in enumerate(batch)
            ]
            answer = self.topic.publish_batch(TopicArn=self.settings.topic_arn, PublishBatchRequestEntries=entries)
            for refused in answer.get("Failed", ()):
                failed[batch[int(refused["Id"])].id] = f"SNS: {refused['Code']}"
        return failed


def send_ids(sqs: Any, queue: str, attempts: list[Attempt]) -> None:
    """Send the ids of attempts to a queue. Raises NotTold where SQS refused one; the sweeper would send it, too."""
    send_bodies(sqs, queue, [json.dumps({"attempt": a.id}) for a in attempts])


def send_bodies(sqs: Any, queue: str, bodies: Sequence[str]) -> None:
    """Send messages to a queue, as many in a call as SQS takes. Raises NotTold where SQS refused one."""
    batch: list[str] = []
    size = 0
    for body in (*bodies, None):
        length = len(body.encode()) if body is not None else 0
        if batch and (body is None or len(batch) == SQS_AT_ONCE or size + length > SQS_BYTES):
            _send_batch(sqs, queue, batch)
            batch, size = [], 0
        if body is not None:
            batch.append(body)
            size += length


def _send_batch(sqs: Any, queue: str, bodies: Sequence[str]) -> None:
    if len(bodies) == 1:
        sqs.send_message(QueueUrl=queue, MessageBody=bodies[0])
        return
    entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
    answer = sqs.send_message_batch(QueueUrl=queue, Entries=entries)
    if answer.get("Failed"):
        raise NotTold(f"{len(answer['Failed'])} messages were not sent: {answer['Failed'][0].get('Code')}")
