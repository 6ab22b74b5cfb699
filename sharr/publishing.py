"""
Tells findings, log group, metrics and topic what attempts say now. Queues' messages carry ids; the table is the truth.

The order is: note, SNS message, log line, and then one transaction notes that it was told and counts it in its digest.
What dies before that transaction is told again, whole: notes are the same, SNS messages come twice, digests count once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sharr.attempts import MARKED_AT_ONCE, Attempt, Attempts, Conflict, said
from sharr.catalogue import Catalogue
from sharr.digests import digest_message, digest_pk, left_out_message, reason_key
from sharr.findings_port import FindingsPort
from sharr.messages import LEFT_OUT_PK, Messages, chunks
from sharr.outcomes import AUTHOR, log_line, message_for, note_for, status_for, writes_note
from sharr.settings import Settings
from sharr.unserved import Unserved

SNS_AT_ONCE = 10
SQS_AT_ONCE = 10
SQS_BYTES = 250_000
"""Of one call. SQS takes more by now, but not in every partition."""
CONTROLS_AT_ONCE = 9
"""In one transaction, and one more action for what was left out: with 90 attempts they are the 100 that it may have."""
PASSING = "still refused after retries"

Compose = Callable[[str], dict[str, Any]]
"""Returns an entry for SNS PublishBatch, given what it says of messages that were left out before it."""


class NotTold(Exception):
    """Something could not be told; the message comes back and all of it is told again."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """What publishing needs of the world."""

    catalogue: Catalogue
    settings: Settings
    attempts: Attempts
    findings: FindingsPort
    messages: Messages
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
                if code == PASSING:
                    failed[attempt.id] = code
                elif code:
                    self.log({"message": "finding not updated", "code": code, "attempt": attempt.id})
        now = self.now()
        told = [a for a in attempts if a.id not in failed]
        at_once = {a.id: self._compose(a) for a in self._at_once(told, now)}
        refused_by_sns, left_out = self._send(at_once, now)
        failed |= refused_by_sns
        told = [a for a in told if a.id not in failed]
        in_digest = {a.id for a in told if self._is_in_digest(a)}
        for attempt in told:
            digest = digest_pk(attempt.control, now) if attempt.id in in_digest else ""
            self.log({"message": "outcome", **log_line(attempt, self.now()), "digest": digest})
        if told:
            self.measure([a for a in told if a.has_ended])
        for chunk in chunks(told, MARKED_AT_ONCE, CONTROLS_AT_ONCE):

            def beside(noted: Sequence[Attempt]) -> list[dict[str, Any]]:
                counted = [a for a in noted if a.id in in_digest]
                return self.messages.actions(counted, sum(a.id in left_out for a in noted), now)

            try:
                self.attempts.mark_published(chunk, beside)
            except Conflict as error:
                self.log({"message": "not noted as told", "why": str(error)})
        return failed

    def publish_digest(self, pk: str) -> dict[str, str]:
        """Send the digest with this key, or what was left out, if not told yet; return key -> why if that failed."""
        now = self.now()
        if pk == LEFT_OUT_PK:
            before = self.messages.left_out()
            if before is None:
                return {}
            log_group = self.settings.log_group
            # At the hour's limit it waits for the next sweep, and is not counted among those it is about.
            refused, _ = self._send({pk: lambda text: left_out_message(text or before.text(log_group), log_group)}, now)
            return refused
        digest = self.messages.digest(pk)
        if digest is None:
            return {}
        refused, left_out = self._send(
            {pk: lambda text: digest_message(digest, self.settings.log_group, self.settings.home_region, text)}, now
        )
        if not refused:
            self.log({"message": "digest", "digest": pk, "counts": dict(digest.counts), "left_out": bool(left_out)})
            self.messages.told(digest, now, left_out=bool(left_out))
        return refused

    def answer(self, unserved: Mapping[str, Sequence[Unserved]]) -> dict[str, str]:
        """
        Write a note on findings whose button no loaded playbook serves; their status stays.

        *unserved* has the findings of each message by its key. Return key -> why for those that failed.
        """
        groups: dict[str, list[tuple[str, Unserved]]] = defaultdict(list)
        failed: dict[str, str] = {}
        for key, findings in unserved.items():
            for one in findings:
                groups[one.note].append((key, one))
        for note, group in groups.items():
            identifiers = {(one.uid, one.product_arn): None for _, one in group}
            refused = self.findings.update(
                [{"Id": uid, "ProductArn": product_arn} for uid, product_arn in identifiers], note, AUTHOR, None
            )
            for key, one in group:
                code = refused.get(one.uid)
                if code == PASSING:
                    failed[key] = code
                self.log({"message": "unserved", **one.log_line(), "code": code or ""})
        return failed

    def _is_in_digest(self, attempt: Attempt) -> bool:
        return (
            self.settings.notify == "digest"
            and attempt.trigger in ("automatic", "recheck")
            and attempt.has_ended
            and not attempt.quiet
        )

    def _at_once(self, attempts: Iterable[Attempt], now: datetime) -> list[Attempt]:
        """Return those with a message of their own, trips first; what is quiet (and an interim PENDING) has none."""
        loud = [a for a in attempts if a.has_ended and not a.quiet]
        return sorted((a for a in loud if self._is_told_alone(a, now)), key=lambda a: not a.tripped)

    def _is_told_alone(self, attempt: Attempt, now: datetime) -> bool:
        if not self._is_in_digest(attempt):
            return True
        is_first = attempt.outcome == "FAILED" and attempt.id == self.messages.teller(
            attempt.control, reason_key(attempt.why), attempt.id, now
        )
        return is_first or bool(attempt.tripped)

    def _compose(self, attempt: Attempt) -> Compose:
        remediation = self.catalogue.remediations.get(attempt.remediation)
        return lambda left_out: message_for(attempt, remediation, self.settings.home_region, left_out)

    def _send(self, messages: Mapping[str, Compose], now: datetime) -> tuple[dict[str, str], set[str]]:
        """
        Send messages, ten in a call, as many as the hour may still have, in this order.

        Return key -> why for those that SNS refused, and the keys of those that were left out. The first that is sent
        says how many were left out before it.
        """
        keys = list(messages)
        may_go = self.messages.reserve(len(keys), now) if keys else 0
        left_out = set(keys[may_go:])
        failed: dict[str, str] = {}
        before = self.messages.left_out() if may_go else None
        for start in range(0, may_go, SNS_AT_ONCE):
            batch = keys[start : min(start + SNS_AT_ONCE, may_go)]
            says = [before.text(self.settings.log_group) if before and key == keys[0] else "" for key in batch]
            entries = [
                {"Id": str(n), **messages[key](text)} for n, (key, text) in enumerate(zip(batch, says, strict=True))
            ]
            answer = self.topic.publish_batch(TopicArn=self.settings.topic_arn, PublishBatchRequestEntries=entries)
            for refused in answer.get("Failed", ()):
                failed[batch[int(refused["Id"])]] = f"SNS: {refused['Code']}"
        if failed:
            self.messages.give_back(len(failed), now)
        if before and keys[0] not in failed:
            self.messages.said_left_out(before, now)
        return failed, left_out


def send_ids(sqs: Any, queue: str, attempts: list[Attempt]) -> None:
    """Send the ids of attempts to a queue. Raises NotTold where SQS refused one; the sweeper would send it, too."""
    send_bodies(sqs, queue, [json.dumps({"attempt": a.id}) for a in attempts])


def send_digests(sqs: Any, queue: str, keys: Sequence[str]) -> None:
    """Send the keys of digests to a queue. Raises NotTold as send_ids() does."""
    send_bodies(sqs, queue, [json.dumps({"digest": key}) for key in keys])


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
