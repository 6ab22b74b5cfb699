"""The sweeper: what is due is sent once, to where it belongs, and one that cannot be handled keeps nobody waiting."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambdas import wiring
from lambdas.sweeper import handler as sweeper
from sharr.attempts import Attempt
from sharr.settings import Settings, settings_from
from sharr.table import stamp

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SETTINGS: Settings = settings_from(
    {
        "AWS_REGION": "eu-west-1",
        "ADMIN_ACCOUNT": "111111111111",
        "HOME_REGION": "eu-west-1",
        "TABLE_NAME": "t",
        "OUTCOME_QUEUE_URL": "outcome",
        "PLAYBOOK_QUEUES": json.dumps({"SC": "sc", "CIS140": "cis"}),
    }
)


def attempt(number: int, **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": f"attempt-{number}",
        "finding": {"uid": f"finding-{number}"},
        "trigger": "automatic",
        "request": "event-1",
        "playbook": "SC",
        "remediation": "kms/rotate_key",
        "control": "KMS.4",
        "lease_key": "key",
        "target": {},
        "created_at": stamp(NOW),
        "event_at": stamp(NOW),
        "due_at": stamp(NOW),
    }
    return Attempt(**values | changes)


@dataclass
class World:
    """Table, queues and runbooks that remember."""

    attempts: list[Attempt]
    taken: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    until: dict[str, datetime] = field(default_factory=dict)
    read: list[int] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    released: list[Attempt] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)

    def feed(self, now: datetime, may_repair: Any) -> int:
        return 0

    def due(self, now: datetime) -> list[str]:
        assert now == NOW
        return [a.id for a in self.attempts]

    def get_many(self, ids: Iterable[str]) -> list[Attempt]:
        ids = list(ids)
        self.read.append(len(ids))
        return [a for a in self.attempts if a.id in ids]

    def postpone(self, one: Attempt, until: datetime) -> bool:
        if one.id in self.taken:
            return False
        self.until[one.id] = until
        return True

    def settle(self, attempt_id: str) -> None:
        if attempt_id in self.broken:
            raise RuntimeError("Systems Manager is throttled")
        self.settled.append(attempt_id)

    def send_message(self, QueueUrl: str, MessageBody: str) -> dict[str, Any]:  # noqa: N803  # boto3's names
        self.sent += [(QueueUrl, one) for one in json.loads(MessageBody).values()]
        return {}

    def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> dict[str, Any]:  # noqa: N803  # boto3's names
        self.sent += [(QueueUrl, one) for e in Entries for one in json.loads(e["MessageBody"]).values()]
        return {}


@dataclass
class Digests:
    """The digests of a World that are due; those that are taken are another sweep's."""

    world: World

    def due(self, now: datetime) -> list[tuple[str, str]]:
        assert now == NOW
        return [(pk, stamp(NOW)) for pk in self.world.digests]

    def postpone(self, pk: str, due_at: str, until: datetime) -> bool:
        assert due_at == stamp(NOW)
        self.world.until[pk] = until
        return pk not in self.world.taken


def swept(monkeypatch: pytest.MonkeyPatch, world: World) -> dict[str, int]:
    monkeypatch.setattr(wiring, "now", lambda: NOW)
    monkeypatch.setattr(wiring, "settings", lambda: SETTINGS)
    monkeypatch.setattr(wiring, "attempts", lambda: world)
    monkeypatch.setattr(wiring, "messages", lambda: Digests(world))
    monkeypatch.setattr(wiring, "client", lambda _service: world)
    monkeypatch.setattr(wiring, "looks", lambda: world)
    monkeypatch.setattr(wiring, "limits", lambda: None)
    monkeypatch.setattr(sweeper, "Runbooks", lambda looks: looks)
    # Lines and jobs are on the real table in test_limits.py and test_backlog.py.
    monkeypatch.setattr(sweeper, "released", lambda *_: world.released)
    monkeypatch.setattr(sweeper, "backlog", lambda: world)
    counts = sweeper.handler({}, None)
    assert (counts.pop("released"), counts.pop("backlog")) == (len(world.released), 0)
    return counts


def test_what_was_held_and_may_go_on_goes_to_its_playbook(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([], released=[attempt(1), attempt(2, playbook="CIS140")])
    swept(monkeypatch, world)
    assert sorted(world.sent) == [("cis", "attempt-2"), ("sc", "attempt-1")]


def test_each_attempt_goes_to_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(
        [
            attempt(1),
            attempt(2, playbook="CIS140"),
            attempt(3, outcome="REMEDIATED", ended_at=stamp(NOW)),
            attempt(4, in_runbook=True, execution="e-4"),
            attempt(5, in_runbook=True, ended_at=stamp(NOW), outcome="FAILED"),
        ]
    )

    counts = swept(monkeypatch, world)

    assert sorted(world.sent) == [
        ("cis", "attempt-2"),
        ("outcome", "attempt-3"),
        ("outcome", "attempt-5"),
        ("sc", "attempt-1"),
    ]
    assert world.settled == ["attempt-4"]
    assert counts == {"looks": 2, "untold": 2, "runbooks": 1, "orphans": 0, "failed": 0, "digests": 0}


def test_digests_whose_quarter_is_over_go_to_the_outcome_queue_by_one_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"digest#{n}" for n in range(12)]
    world = World([], digests=keys, taken={"digest#3"})

    counts = swept(monkeypatch, world)

    assert sorted(world.sent) == sorted(("outcome", key) for key in keys if key != "digest#3")
    assert counts["digests"] == 11
    assert set(world.until.values()) == {NOW + timedelta(minutes=15)}


def test_what_was_sent_is_due_again_in_fifteen_minutes_and_a_runbook_in_five(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([attempt(1), attempt(2, in_runbook=True)])

    swept(monkeypatch, world)

    assert world.until == {"attempt-1": NOW + timedelta(minutes=15), "attempt-2": NOW + timedelta(minutes=5)}


def test_what_another_sweep_has_taken_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([attempt(1), attempt(2, in_runbook=True), attempt(3)], taken={"attempt-1", "attempt-2"})

    swept(monkeypatch, world)

    assert (world.sent, world.settled) == ([("sc", "attempt-3")], [])


def test_an_attempt_of_a_playbook_that_is_not_loaded_is_counted_and_sent_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World([attempt(1, playbook="PCI321")])

    assert swept(monkeypatch, world)["orphans"] == 1
    assert world.sent == []
    assert world.until == {"attempt-1": NOW + timedelta(minutes=15)}


def test_more_than_a_hundred_are_read_in_parts_and_all_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([attempt(n) for n in range(250)])

    assert swept(monkeypatch, world)["looks"] == 250

    assert world.read == [100, 100, 50]
    assert len(set(world.sent)) == 250


def test_one_runbook_that_could_not_be_read_kept_all_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """All had been put off by 15 minutes, and none was sent."""
    world = World([attempt(1), attempt(2, in_runbook=True), attempt(3, in_runbook=True)], broken={"attempt-2"})

    counts = swept(monkeypatch, world)

    assert world.sent == [("sc", "attempt-1")]
    assert world.settled == ["attempt-3"]
    assert (counts["runbooks"], counts["failed"]) == (2, 1)


def test_where_nothing_is_due_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([])

    assert set(swept(monkeypatch, world).values()) == {0}
    assert (world.read, world.sent) == ([], [])


def test_a_record_that_changed_since_the_index_was_read_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    over = dataclasses.replace(attempt(1), outcome="COMPLIANT", ended_at=stamp(NOW), due_at=None)
    world = World([over], taken={"attempt-1"})

    assert set(swept(monkeypatch, world).values()) == {0}
