"""
Dead letters: reads them, says why each is there, sends them again, deletes them.

A message gets into a dead-letter queue in three ways, and what it carries tells which:
    laid aside      a playbook's function could not read it: attribute `reason`
    not delivered   a rule could not put it into the queue: EventBridge's attributes RULE_ARN, ERROR_CODE, ERROR_MESSAGE
    failed          the function took it up as often as the queue lets it (RECEIVES), and failed

Nothing is lost where this is interrupted: a message is hidden while it is looked at and comes back by itself, and it is
deleted only after SQS confirmed its copy. What was sent twice by that is repaired once: attempts have fixed ids.

Sources: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from command.deployment import Queue
from command.showing import one_line

Kind = Literal["laid aside", "not delivered", "failed"]
AT_ONCE: Final = 10
BYTES_AT_ONCE: Final = 250_000
HIDDEN_SECONDS: Final = 600
"""How long a message is hidden that is being looked at, should nothing give it back before."""
EMPTY_ANSWERS: Final = 2
"""So many in a row mean that a queue is empty. They are long polls, which ask all of SQS's servers."""
KEPT: Final = timedelta(days=14)
SHOWN: Final = 5
_ATTEMPT: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Letter:
    """
    A message in a dead-letter queue.

    *queue* is the one it was meant for; *to_do* says what to mend first; *about* names the attempt or the findings.
    *lost_at*: SQS deletes it then.
    """

    id: str
    queue: str
    kind: Kind
    reason: str
    to_do: str
    about: str
    sent_at: datetime
    lost_at: datetime
    body: str
    attributes: Mapping[str, str]
    dead_url: str
    url: str
    receipt: str

    def shown(self) -> dict[str, Any]:
        """Return what is shown of it as JSON; the body is left out."""
        return {
            "id": self.id,
            "queue": self.queue,
            "kind": self.kind,
            "reason": self.reason,
            "to_do": self.to_do,
            "about": self.about,
            "sent_at": self.sent_at.isoformat(timespec="seconds"),
            "lost_at": self.lost_at.isoformat(timespec="seconds"),
        }

    def saved(self) -> dict[str, Any]:
        """Return all of it as JSON, so that it can be sent again by hand."""
        return {**self.shown(), "queue_url": self.url, "attributes": dict(self.attributes), "body": self.body}


def letter_of(message: Mapping[str, Any], queue: Queue, dead_url: str) -> Letter:
    """Return what a message of ReceiveMessage says; hostile bodies and attributes are shown, never followed."""
    given = {
        name: str(value.get("StringValue", value.get("BinaryValue", "")))
        for name, value in message.get("MessageAttributes", {}).items()
    }
    sent_at = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
    kind, reason, to_do = why(given, queue)
    return Letter(
        id=message["MessageId"],
        queue=queue.name,
        kind=kind,
        reason=reason,
        to_do=to_do,
        about=about(message["Body"]),
        sent_at=sent_at,
        lost_at=sent_at + KEPT,
        body=message["Body"],
        attributes=given,
        dead_url=dead_url,
        url=queue.url,
        receipt=message["ReceiptHandle"],
    )


def why(attributes: Mapping[str, str], queue: Queue) -> tuple[Kind, str, str]:
    """Return how a message got into a dead-letter queue, the reason on one line, and what to do."""
    if "reason" in attributes:
        to_do = "no release that reads it so can act on it: look at it, then delete it, or send it after an upgrade"
        return "laid aside", one_line(attributes["reason"], 1000), to_do
    if "ERROR_CODE" in attributes:
        rule = attributes.get("RULE_ARN", "").split("/")[-1] or "a rule"
        text = f"{attributes['ERROR_CODE']}: {attributes.get('ERROR_MESSAGE', '')}"
        to_do = "mend the queue's policy or key (update the stack), then send it again"
        return "not delivered", one_line(f"{rule} could not deliver: {text}", 1000), to_do
    to_do = f"read the errors in the log group {queue.log_group}, mend, then send it again"
    return "failed", f"the function of {queue.name} failed on it each time that the queue let it try", to_do


def about(body: str) -> str:
    """Return on one line what a body is about: an attempt, an execution, or findings with control and account."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return one_line(f"not JSON: {body}", 120)
    if not isinstance(data, dict):
        return one_line(f"not an event: {body}", 120)
    attempt = data.get("attempt")
    if isinstance(attempt, str):
        return f"attempt {attempt if _ATTEMPT.fullmatch(attempt) else one_line(attempt, 60)}"
    detail = data.get("detail")
    if not isinstance(detail, dict):
        return one_line(f"{data.get('detail-type', 'an event')} without detail", 120)
    if isinstance(detail.get("ExecutionId"), str):
        return f"runbook {one_line(detail['ExecutionId'], 60)}"
    findings = detail.get("findings")
    if not isinstance(findings, list):
        return one_line(f"{data.get('detail-type', 'an event')} without findings", 120)
    more = f" and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
    action = detail.get("actionName")
    pressed = f"{one_line(action, 40)}: " if isinstance(action, str) else ""
    return f"{pressed}{'; '.join(_finding(raw) for raw in findings[:SHOWN])}{more}" or "no finding"


def _finding(raw: object) -> str:
    if not isinstance(raw, dict):
        return "not a finding"
    compliance = raw.get("Compliance")
    control = compliance.get("SecurityControlId", "?") if isinstance(compliance, dict) else "?"
    return f"{one_line(control, 20)} {one_line(raw.get('AwsAccountId', '?'), 20)} {one_line(raw.get('Id', '?'))}"


# ------------------------------------------------------------------------------------------------------------ the queue
def read(sqs: Any, queue: Queue, most: int, progress: Callable[[str], None]) -> Iterator[Letter]:
    """
    Yield what is in a queue's two dead-letter queues, about *most* of each, each message once.

    What is yielded stays hidden until give_back(), or for HIDDEN_SECONDS.
    """
    for dead_url in (queue.dead_url, queue.events_dead_url):
        seen: set[str] = set()
        empty = 0
        while empty < EMPTY_ANSWERS and len(seen) < most:
            answer = sqs.receive_message(
                QueueUrl=dead_url,
                MaxNumberOfMessages=min(AT_ONCE, most - len(seen)),
                VisibilityTimeout=HIDDEN_SECONDS,
                WaitTimeSeconds=1,
                MessageAttributeNames=["All"],
                AttributeNames=["SentTimestamp"],
            )
            messages = [m for m in answer.get("Messages", ()) if m["MessageId"] not in seen]
            empty = 0 if messages else empty + 1
            for message in messages:
                seen.add(message["MessageId"])
                yield letter_of(message, queue, dead_url)
            progress(f"{queue.name}: {len(seen)} dead letters read")


def give_back(sqs: Any, letters: Iterable[Letter]) -> None:
    """Let others see messages again at once; those that SQS cannot give back come back by themselves."""
    for dead_url, batch in _batches(letters, lambda letter: letter.dead_url):
        entries = [{"Id": str(n), "ReceiptHandle": x.receipt, "VisibilityTimeout": 0} for n, x in enumerate(batch)]
        sqs.change_message_visibility_batch(QueueUrl=dead_url, Entries=entries)


def send_again(
    sqs: Any, letters: Sequence[Letter], progress: Callable[[str], None]
) -> tuple[list[str], dict[str, str]]:
    """
    Send messages to the queues that they were meant for, and delete each where that was confirmed.

    Return the ids of those that were sent, and id -> why of those that are in the dead-letter queue still.
    """
    sent: list[str] = []
    left: dict[str, str] = {}
    for url, batch in _batches(letters, lambda letter: letter.url):
        entries = [{"Id": str(n), "MessageBody": letter.body} for n, letter in enumerate(batch)]
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        taken = [batch[int(one["Id"])] for one in answer.get("Successful", ())]
        for one in answer.get("Failed", ()):
            left[batch[int(one["Id"])].id] = f"not sent: {one['Code']}"
        not_deleted = delete(sqs, taken)
        left |= {one: f"sent again, but not deleted: {code}" for one, code in not_deleted.items()}
        sent += [letter.id for letter in taken]
        progress(f"{len(sent)} of {len(letters)} sent again")
    return sent, left


def delete(sqs: Any, letters: Iterable[Letter]) -> dict[str, str]:
    """Delete messages from their dead-letter queues; return id -> code of those that SQS did not delete."""
    left: dict[str, str] = {}
    for dead_url, batch in _batches(letters, lambda letter: letter.dead_url):
        entries = [{"Id": str(n), "ReceiptHandle": letter.receipt} for n, letter in enumerate(batch)]
        answer = sqs.delete_message_batch(QueueUrl=dead_url, Entries=entries)
        left |= {batch[int(one["Id"])].id: str(one["Code"]) for one in answer.get("Failed", ())}
    return left


def _batches(letters: Iterable[Letter], url_of: Callable[[Letter], str]) -> Iterator[tuple[str, list[Letter]]]:
    """Yield at most ten letters of one URL at a time, as many as one call of SQS takes."""
    by_url: dict[str, list[Letter]] = {}
    for letter in letters:
        by_url.setdefault(url_of(letter), []).append(letter)
    for url, every in by_url.items():
        batch: list[Letter] = []
        size = 0
        for letter in every:
            length = len(letter.body.encode())
            if batch and (len(batch) == AT_ONCE or size + length > BYTES_AT_ONCE):
                yield url, batch
                batch, size = [], 0
            batch.append(letter)
            size += length
        yield url, batch
