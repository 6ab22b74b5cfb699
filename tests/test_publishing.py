"""Publishing: what findings, topic and log are told of attempts, how often, and what if one of them does not listen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharr.attempts import Attempt, Attempts, Conflict, Outcome, said
from sharr.catalogue import Catalogue
from sharr.findings_port import FindingsPort
from sharr.messages import Messages
from sharr.publishing import NotTold, Publisher, send_ids
from sharr.settings import Settings, settings_from
from tests.harness import remediation_of

Json = dict[str, Any]
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = {"KeyId": "1234abcd-12ab-34cd-56ef-1234567890ab"}
REMEDIATION = remediation_of("kms/rotate_key")
DONE = {
    "before": {"config": {"rotates": False}, "facts": {}, "busy": None},
    "after": {"config": {"rotates": True}, "facts": {}, "busy": None},
    "plan": [{"client": "kms", "operation": "enable_key_rotation", "parameters": KEY}],
    "open": None,
}
TOPIC = "arn:aws:sns:eu-west-1:111111111111:outcomes"
ENDED: tuple[Outcome, ...] = ("REMEDIATED", "COMPLIANT", "UNDONE", "SKIPPED", "FAILED")


def attempt(number: int = 1, outcome: Outcome = "REMEDIATED", workflow: str = "NEW", **changes: Any) -> Attempt:
    values: Json = {
        "id": f"attempt-{number}",
        "finding": {
            "uid": f"finding-{number}",
            "product_arn": "arn:aws:securityhub:eu-west-1::product/aws/securityhub",
            "partition": "aws",
            "account": "222222222222",
            "account_name": None,
            "region": "eu-west-1",
            "standard": "SC",
            "severity": "MEDIUM",
            "title": "Keys rotate",
            "workflow": workflow,
            "resource": f"key-{number}",
            "note": None,
        },
        "trigger": "automatic",
        "request": "event-1",
        "playbook": "SC",
        "remediation": "kms/rotate_key",
        "control": "KMS.4",
        "lease_key": "key",
        "target": {},
        "created_at": "2026-03-02T08:59:58+00:00",
        "event_at": "2026-03-02T08:59:50+00:00",
        "outcome": outcome,
        "why": "the resource is compliant",
        "ended_at": "2026-03-02T09:00:00+00:00" if outcome in ENDED else None,
        "journal": DONE,
    }
    return Attempt(**values | changes)


@dataclass
class World:
    """
    Table, findings, topic, log and metrics that remember; *refuse* says what each of them does not take.

    One message each (Notify = each), and no limit: digests are in tests/test_messages.py.
    """

    attempts: list[Attempt]
    refuse: dict[str, str] = field(default_factory=dict)
    refuse_sns: dict[str, str] = field(default_factory=dict)
    moved_on: set[str] = field(default_factory=set)
    updates: list[tuple[list[str], str, str | None]] = field(default_factory=list)
    messages: list[list[Json]] = field(default_factory=list)
    lines: list[Json] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)

    def publish(self, *ids: str) -> dict[str, str]:
        publisher = Publisher(
            catalogue=Catalogue.of([REMEDIATION], cast("Any", None), "1"),
            settings=SETTINGS,
            attempts=cast("Attempts", self),
            findings=cast("FindingsPort", self),
            messages=cast("Messages", self),
            topic=self,
            log=self.lines.append,
            measure=lambda ended: self.measured.extend(a.id for a in ended),
            now=lambda: NOW,
        )
        return publisher.publish(ids or [a.id for a in self.attempts])

    def get_many(self, ids: Iterable[str]) -> list[Attempt]:
        return [a for a in self.attempts if a.id in ids]

    def reserve(self, wanted: int, now: datetime) -> int:
        assert now == NOW
        return wanted

    def give_back(self, count: int, now: datetime) -> None:
        """Refused messages are given back to the hour: tests/test_messages.py."""

    def left_out(self) -> None:
        """Nothing was left out."""

    def mark_published(self, attempts: Iterable[Attempt], beside: Any) -> None:
        told = {a.id: said(a) for a in attempts if a.id not in self.moved_on}
        self.attempts = [dataclasses.replace(a, published=told.get(a.id, a.published)) for a in self.attempts]
        if self.moved_on:
            raise Conflict("went on")

    def update(self, identifiers: Iterable[Json], note: str, author: str, status: str | None) -> dict[str, str]:
        assert author == "SHARR"
        ids = [i["Id"] for i in identifiers]
        self.updates.append((ids, note, status))
        return {i: self.refuse[i] for i in ids if i in self.refuse}

    def publish_batch(self, TopicArn: str, PublishBatchRequestEntries: list[Json]) -> Json:  # noqa: N803  # boto3's
        assert TopicArn == TOPIC
        assert 1 <= len(PublishBatchRequestEntries) <= 10
        self.messages.append(PublishBatchRequestEntries)
        failed = []
        for entry in PublishBatchRequestEntries:
            code = self.refuse_sns.get(json.loads(json.loads(entry["Message"])["sqs"])["attempt"])
            failed += [{"Id": entry["Id"], "Code": code}] if code else []
        return {"Successful": [], "Failed": failed}

    def told(self) -> list[str]:
        """The attempts that the topic was sent, as often as it was."""
        bodies = [json.loads(json.loads(e["Message"])["sqs"]) for batch in self.messages for e in batch]
        return [body["attempt"] for body in bodies]

    def outcomes(self) -> list[str]:
        return [line["attempt"] for line in self.lines if line["message"] == "outcome"]


SETTINGS: Settings = settings_from(
    {
        "AWS_REGION": "eu-west-1",
        "ADMIN_ACCOUNT": "111111111111",
        "HOME_REGION": "eu-west-1",
        "TABLE_NAME": "t",
        "OUTCOME_QUEUE_URL": "q",
        "TOPIC_ARN": TOPIC,
        "NOTIFY": "each",
    }
)


# --- who is told what


def test_equal_notes_share_one_update_and_others_have_their_own() -> None:
    failed = [attempt(n, "FAILED", why="no") for n in (4, 5)]
    world = World([attempt(1), attempt(2), attempt(3, workflow="SUPPRESSED"), *failed])

    assert world.publish() == {}

    assert [(ids, status) for ids, _, status in world.updates] == [
        (["finding-1", "finding-2"], "RESOLVED"),
        (["finding-3"], None),
        (["finding-4", "finding-5"], "NOTIFIED"),
    ]
    assert len({note for _, note, _ in world.updates}) == 2
    assert sorted(world.outcomes()) == sorted(world.told()) == [f"attempt-{n}" for n in range(1, 6)]


@pytest.mark.parametrize("backwards", [False, True])
def test_of_two_attempts_on_one_finding_the_later_one_s_note_stays(backwards: bool) -> None:
    repaired = attempt(1)
    undone = attempt(2, "UNDONE", finding=repaired.finding, created_at="2026-03-02T09:10:00+00:00")
    world = World([undone, repaired] if backwards else [repaired, undone])

    world.publish()

    assert [(ids, status) for ids, _, status in world.updates] == [(["finding-1"], "NOTIFIED")]
    assert sorted(world.told()) == ["attempt-1", "attempt-2"]


def test_what_automation_left_alone_has_no_note_and_is_logged_and_sent_all_the_same() -> None:
    world = World([attempt(1, "SKIPPED"), attempt(2, "SKIPPED", trigger="remediate")])

    world.publish()

    assert [ids for ids, _, _ in world.updates] == [["finding-2"]]
    assert world.told() == ["attempt-1", "attempt-2"]


def test_what_is_not_over_has_a_note_and_sends_no_message() -> None:
    world = World([attempt(1, "PENDING", looks=1)])

    world.publish()

    assert [status for _, _, status in world.updates] == ["NOTIFIED"]
    assert (world.told(), world.measured, world.outcomes()) == ([], [], ["attempt-1"])


def test_what_is_quiet_sends_no_message() -> None:
    world = World([attempt(1, quiet=True)])

    world.publish()

    assert (world.told(), world.outcomes()) == ([], ["attempt-1"])


def test_what_was_told_is_not_told_again() -> None:
    world = World([attempt(1), attempt(2)])
    world.publish()
    before = (len(world.updates), len(world.messages), len(world.lines), len(world.measured))

    assert world.publish() == {}

    assert (len(world.updates), len(world.messages), len(world.lines), len(world.measured)) == before


def test_an_id_twice_in_a_batch_is_told_once() -> None:
    world = World([attempt(1)])

    world.publish("attempt-1", "attempt-1")

    assert (world.told(), world.outcomes()) == (["attempt-1"], ["attempt-1"])


def test_an_attempt_that_went_on_after_it_was_told_is_told_again() -> None:
    world = World([attempt(1, "PENDING", looks=1)])
    world.publish()
    world.attempts = [dataclasses.replace(attempt(1), published=world.attempts[0].published)]

    world.publish()

    assert [status for _, _, status in world.updates] == ["NOTIFIED", "RESOLVED"]


def test_an_id_that_is_not_there_is_nothing_to_tell() -> None:
    world = World([])

    assert world.publish("long-gone") == {}
    assert world.lines == []


def test_a_message_goes_to_ten_at_a_time() -> None:
    world = World([attempt(n) for n in range(25)])

    world.publish()

    assert [len(batch) for batch in world.messages] == [10, 10, 5]
    assert len({e["Id"] for e in world.messages[0]}) == 10


# --- who does not listen


def test_a_finding_that_may_be_written_later_is_not_told_at_all_and_comes_back() -> None:
    world = World([attempt(1), attempt(2)], refuse={"finding-2": "still refused after retries"})

    assert world.publish() == {"attempt-2": "still refused after retries"}

    assert (world.told(), world.outcomes(), world.measured) == (["attempt-1"], ["attempt-1"], ["attempt-1"])
    world.refuse = {}
    assert world.publish() == {}
    assert world.told() == ["attempt-1", "attempt-2"]


def test_a_finding_that_can_never_be_written_keeps_nobody_from_being_told() -> None:
    world = World([attempt(1)], refuse={"finding-1": "FindingNotFound"})

    assert world.publish() == {}

    assert world.told() == ["attempt-1"]
    assert {"message": "finding not updated", "code": "FindingNotFound", "attempt": "attempt-1"} in world.lines
    assert world.publish() == {}
    assert world.told() == ["attempt-1"]


def test_a_message_that_the_topic_refused_comes_back_and_the_others_do_not() -> None:
    world = World([attempt(n) for n in range(12)], refuse_sns={"attempt-11": "InternalError", "attempt-3": "Throttled"})

    assert world.publish() == {"attempt-11": "SNS: InternalError", "attempt-3": "SNS: Throttled"}

    assert len(world.outcomes()) == 10
    world.refuse_sns = {}
    assert world.publish() == {}
    assert sorted(world.outcomes()) == sorted(f"attempt-{n}" for n in range(12))


def test_an_attempt_that_goes_on_while_it_is_told_is_logged_and_does_not_fail_the_batch() -> None:
    world = World([attempt(1), attempt(2)], moved_on={"attempt-1"})

    assert world.publish() == {}

    assert [a.published for a in world.attempts] == ["", "REMEDIATED"]
    assert [line["message"] for line in world.lines][-1] == "not noted as told"


# --- through the port


class Hub:
    """Security Hub that remembers how many findings each call had."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def batch_update_findings(self, FindingIdentifiers: list[Json], **_: Any) -> Json:  # noqa: N803  # boto3's name
        self.sizes.append(len(FindingIdentifiers))
        return {"ProcessedFindings": FindingIdentifiers, "UnprocessedFindings": []}


def test_150_equal_repairs_are_two_updates() -> None:
    world, hub = World([attempt(n) for n in range(150)]), Hub()
    port = FindingsPort(hub, cast("Any", None), lambda _: None)
    world.update = port.update  # type: ignore[method-assign]

    assert world.publish() == {}

    assert hub.sizes == [100, 50]
    assert len(world.told()) == 150


outcomes = st.sampled_from(["REMEDIATED", "COMPLIANT", "SKIPPED", "FAILED", "UNDONE", "PENDING"])
codes = st.sampled_from(["still refused after retries", "FindingNotFound"])


@given(
    st.lists(outcomes, min_size=1, max_size=12),
    st.dictionaries(st.integers(0, 11), codes),
    st.dictionaries(st.integers(0, 11), st.just("InternalError")),
)
def test_whatever_is_refused_each_attempt_is_logged_once_in_the_end(
    kinds: list[Outcome], refuse: dict[int, str], refuse_sns: dict[int, str]
) -> None:
    world = World(
        [attempt(n, outcome, looks=1) for n, outcome in enumerate(kinds)],
        {f"finding-{n}": code for n, code in refuse.items()},
        {f"attempt-{n}": code for n, code in refuse_sns.items()},
    )

    failed = world.publish()
    assert not set(failed) & set(world.outcomes())
    world.refuse, world.refuse_sns = {}, {}

    assert world.publish() == {}
    assert sorted(world.outcomes()) == sorted(a.id for a in world.attempts)
    assert sorted(world.measured) == sorted(a.id for a in world.attempts if a.has_ended)


# --- ids to a queue


class Queue:
    """SQS that remembers bodies, and refuses those in *refuse*."""

    def __init__(self, *refuse: str) -> None:
        self.calls: list[list[str]] = []
        self._refuse = refuse

    def send_message(self, QueueUrl: str, MessageBody: str) -> Json:  # noqa: N803  # boto3's names
        assert QueueUrl == "q"
        self.calls.append([json.loads(MessageBody)["attempt"]])
        return {}

    def send_message_batch(self, QueueUrl: str, Entries: list[Json]) -> Json:  # noqa: N803  # boto3's names
        assert QueueUrl == "q"
        bodies = {e["Id"]: json.loads(e["MessageBody"])["attempt"] for e in Entries}
        assert len(bodies) == len(Entries) <= 10
        self.calls.append(list(bodies.values()))
        return {"Failed": [{"Id": i, "Code": "InternalError"} for i, a in bodies.items() if a in self._refuse]}


@pytest.mark.parametrize(("number", "wanted"), [(0, []), (1, [1]), (10, [10]), (11, [10, 1]), (25, [10, 10, 5])])
def test_ids_are_sent_ten_at_a_time(number: int, wanted: list[int]) -> None:
    queue = Queue()

    send_ids(queue, "q", [attempt(n) for n in range(number)])

    assert [len(call) for call in queue.calls] == wanted
    assert [i for call in queue.calls for i in call] == [f"attempt-{n}" for n in range(number)]


def test_an_id_that_the_queue_refused_is_an_error() -> None:
    with pytest.raises(NotTold, match="1 messages were not sent: InternalError"):
        send_ids(Queue("attempt-2"), "q", [attempt(n) for n in range(3)])
