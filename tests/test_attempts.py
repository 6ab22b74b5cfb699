"""The table of attempts: who holds a resource, what opens an attempt, what is kept of it, what is due and was told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from moto import mock_aws

from sharr.attempts import (
    KEPT,
    LOOK_LEASE,
    RECORD,
    RUNBOOK_LEASE,
    Attempt,
    Attempts,
    Conflict,
    Known,
    LaterRecord,
    Lease,
    LeaseLost,
    Outcome,
    Stopped,
    attempt_id,
    said,
    wants_attempt,
)
from sharr.catalogue import Catalogue
from sharr.finding import Compliance, Finding, RecordState, Severity, Trigger, Workflow
from sharr.limits import Limits, Turn
from sharr.looks import Looks
from sharr.runtime.planning import new_journal
from sharr.table import stamp

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEY = "222222222222/eu-west-1/arn:aws:kms:eu-west-1:222222222222:key/1"
OTHER_KEY = f"{KEY}2"
TABLE = "attempts"
JOURNAL = new_journal("a2f1c5f0-0000-5000-8000-000000000001")
REPAIRED = {**JOURNAL, "plan": [{"client": "kms", "operation": "enable_key_rotation", "parameters": {}}]}


@cache
def dynamodb() -> Any:
    """Return a client, made once: within mock_aws it talks to moto."""
    return boto3.client(
        "dynamodb", region_name="eu-west-1", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x"
    )


def make_table() -> Any:
    """Make the table as the admin stack does, and return a client for it."""
    client = dynamodb()
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "due_shard", "due_at")
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "due",
                "KeySchema": [
                    {"AttributeName": "due_shard", "KeyType": "HASH"},
                    {"AttributeName": "due_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    return client


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        yield make_table()


@pytest.fixture
def table(client: Any) -> Attempts:
    return Attempts(client, TABLE)


def finding(uid: str = "finding-1", observed_at: datetime = NOW) -> Finding:
    return Finding(
        uid=uid,
        product_arn="arn:aws:securityhub:eu-west-1::product/aws/securityhub",
        partition="aws",
        account="222222222222",
        account_name=None,
        region="eu-west-1",
        control="KMS.4",
        standard="SC",
        standard_control=None,
        severity=Severity.MEDIUM,
        title="Keys rotate",
        resources=(),
        compliance=Compliance.FAILED,
        parameters={},
        workflow=Workflow.NEW,
        record_state=RecordState.ACTIVE,
        created_at=NOW,
        observed_at=observed_at,
        changed_at=observed_at,
        note=None,
    )


def attempt(
    uid: str = "finding-1",
    trigger: Trigger = "automatic",
    request: str = "event-1",
    observed_at: datetime = NOW,
    **changes: Any,
) -> Attempt:
    """Return an attempt that was not claimed yet."""
    values: dict[str, Any] = {
        "id": attempt_id(finding(uid, observed_at), trigger, request),
        "finding": {"uid": uid},
        "trigger": trigger,
        "request": request,
        "playbook": "SC",
        "remediation": "kms/rotate_key",
        "control": "KMS.4",
        "lease_key": KEY,
        "target": {"region": "eu-west-1"},
        "created_at": stamp(NOW),
        "event_at": stamp(NOW),
        "journal": JOURNAL,
    }
    return Attempt(**values | changes)


def known(table: Attempts, one: Attempt) -> Known:
    return table.known(one.finding["uid"], one.lease_key)


def claimed(table: Attempts, one: Attempt, now: datetime = NOW, **more: bool) -> tuple[Attempt, Lease]:
    """Claim what nobody holds."""
    mine, lease = table.claim(one, known(table, one), now, **more)
    assert lease, "somebody holds the resource"
    return mine, lease


def ended(table: Attempts, one: Attempt, now: datetime = NOW, **changes: Any) -> Attempt:
    """Claim and end an attempt."""
    mine, lease = claimed(table, one, now)
    changes = {"outcome": "REMEDIATED", "journal": REPAIRED} | changes
    return table.end(dataclasses.replace(mine, **changes), lease, now)


# --- who holds a resource


def test_of_two_attempts_on_one_resource_one_holds_it_and_the_other_waits(table: Attempts) -> None:
    first, lease = claimed(table, attempt("finding-1"))
    two = attempt("finding-2")
    second, none = table.claim(two, known(table, two), NOW)

    assert (first.outcome, second.outcome, none) == ("PENDING", "WAITING", None)
    assert second.due_at == stamp(NOW + MINUTE)
    assert table.get(second.id) == second
    table.save_open(first, lease)


def test_attempts_on_two_resources_do_not_wait_for_each_other(table: Attempts) -> None:
    claimed(table, attempt("finding-1"))

    claimed(table, attempt("finding-2", lease_key=OTHER_KEY))


def test_of_two_functions_that_read_the_same_the_second_has_to_read_again(table: Attempts) -> None:
    before = known(table, attempt())
    table.claim(attempt("finding-1"), before, NOW)

    with pytest.raises(Conflict):
        table.claim(attempt("finding-2"), before, NOW)
    with pytest.raises(Conflict):
        table.claim(attempt("finding-1", lease_key=OTHER_KEY), before, NOW)
    assert table.get(attempt("finding-2").id) is None, "half of a transaction was written"


def test_what_waits_gets_the_resource_when_it_was_let_go(table: Attempts) -> None:
    first, lease = claimed(table, attempt("finding-1"))
    two = attempt("finding-2")
    second, _ = table.claim(two, known(table, two), NOW)
    assert table.take_over(second, NOW + MINUTE) is None

    table.end(dataclasses.replace(first, outcome="COMPLIANT"), lease, NOW + MINUTE)

    taken = table.take_over(second, NOW + MINUTE)
    assert taken
    table.save_open(*taken)


@pytest.mark.parametrize(("after", "is_free"), [(LOOK_LEASE - MINUTE, False), (LOOK_LEASE, True)])
def test_a_lease_that_ran_out_is_taken_by_another(table: Attempts, after: timedelta, is_free: bool) -> None:
    claimed(table, attempt("finding-1"))
    two = attempt("finding-2")

    _, lease = table.claim(two, known(table, two), NOW + after)

    assert (lease is not None) is is_free


SAVES: dict[str, Callable[[Attempts, Attempt, Lease], object]] = {
    "save_open": lambda table, one, lease: table.save_open(one, lease),
    "suspend": lambda table, one, lease: table.suspend(one, lease, NOW, keep_lease=True),
    "let go": lambda table, one, lease: table.suspend(one, lease, NOW, keep_lease=False),
    "end": lambda table, one, lease: table.end(dataclasses.replace(one, outcome="REMEDIATED"), lease, NOW),
    "runbook": lambda table, one, lease: table.runbook_started(dataclasses.replace(one, execution="e"), lease, NOW),
}


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES.keys())
def test_who_lost_the_lease_saves_nothing_any_more(
    table: Attempts, client: Any, save: Callable[[Attempts, Attempt, Lease], object]
) -> None:
    first, old = claimed(table, attempt("finding-1"))
    claimed(table, attempt("finding-2"), NOW + LOOK_LEASE)
    before = client.scan(TableName=TABLE)["Items"]

    with pytest.raises(LeaseLost):
        save(table, dataclasses.replace(first, why="late"), old)

    assert client.scan(TableName=TABLE)["Items"] == before


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES.keys())
def test_an_older_look_of_the_same_attempt_saves_nothing_any_more(
    table: Attempts, save: Callable[[Attempts, Attempt, Lease], object]
) -> None:
    first, old = claimed(table, attempt())
    taken = table.take_over(first, NOW + LOOK_LEASE)
    assert taken

    with pytest.raises(LeaseLost):
        save(table, first, old)
    save(table, *taken)


@pytest.mark.parametrize("save", ["let go", "end"])
def test_what_was_let_go_cannot_be_saved_again(table: Attempts, save: str) -> None:
    first, lease = claimed(table, attempt())
    SAVES[save](table, first, lease)

    with pytest.raises(LeaseLost):
        table.end(dataclasses.replace(first, outcome="FAILED"), lease, NOW)


def test_what_is_pending_keeps_the_resource_and_what_is_tried_again_lets_it_go(table: Attempts) -> None:
    first, lease = claimed(table, attempt("finding-1"))
    table.suspend(first, lease, NOW + 30 * MINUTE, keep_lease=True)
    other = attempt("finding-2")
    assert known(table, other).is_held_by_another(other.id, NOW + 35 * MINUTE)

    taken = table.take_over(first, NOW + 30 * MINUTE)
    assert taken
    table.suspend(*taken, NOW + 60 * MINUTE, keep_lease=False)
    assert not known(table, other).is_held_by_another(other.id, NOW + 30 * MINUTE)


def test_an_attempt_is_looked_at_by_one_function_at_a_time(table: Attempts) -> None:
    first, lease = claimed(table, attempt())
    assert table.take_over(first, NOW + MINUTE) is None

    table.suspend(first, lease, NOW + MINUTE, keep_lease=True)

    assert table.take_over(first, NOW + MINUTE)


def test_undo_was_lost_when_the_record_was_read_before_another_look_had_saved_it(table: Attempts) -> None:
    first, lease = claimed(table, attempt())
    read_too_early = table.get(first.id)
    assert read_too_early
    journal = {**JOURNAL, "undo": [{"client": "kms", "operation": "disable_key_rotation", "parameters": {}}]}
    table.suspend(dataclasses.replace(first, journal=journal, looks=1), lease, NOW + MINUTE, keep_lease=True)

    taken = table.take_over(read_too_early, NOW + MINUTE)

    assert taken
    assert taken[0].journal == journal
    assert taken[0].looks == 1


def test_an_attempt_that_ended_after_it_was_read_was_looked_at_again(table: Attempts) -> None:
    first, lease = claimed(table, attempt())
    read_too_early = table.get(first.id)
    assert read_too_early
    done = table.end(dataclasses.replace(first, outcome="REMEDIATED", journal=REPAIRED), lease, NOW)

    assert table.take_over(read_too_early, NOW + MINUTE) is None

    assert table.get(first.id) == done
    claimed(table, attempt("finding-2"), NOW + MINUTE)  # the resource is free


def test_a_running_runbook_keeps_the_resource_and_is_found_by_its_execution(table: Attempts) -> None:
    first, lease = claimed(table, attempt())
    started = table.runbook_started(dataclasses.replace(first, execution="e-1", in_runbook=True), lease, NOW)
    other = attempt("finding-2")

    assert table.of_execution("e-1") == first.id
    assert table.of_execution("e-2") is None
    assert table.get(first.id) == started
    assert known(table, other).is_held_by_another(other.id, NOW + RUNBOOK_LEASE - MINUTE)
    assert not known(table, other).is_held_by_another(other.id, NOW + RUNBOOK_LEASE)


# --- the switch


def test_nothing_is_opened_while_the_switch_is_off_and_the_attempt_can_still_be_put_off(
    table: Attempts, client: Any
) -> None:
    first, lease = claimed(table, attempt())
    key = {"pk": {"S": "switch"}, "sk": {"S": "-"}}
    client.put_item(TableName=TABLE, Item={**key, "stopped": {"BOOL": True}})

    with pytest.raises(Stopped):
        table.save_open(dataclasses.replace(first, journal=REPAIRED), lease)

    found = table.get(first.id)
    assert found
    assert found.journal == JOURNAL
    table.suspend(dataclasses.replace(first, outcome="HELD"), lease, NOW + 15 * MINUTE, keep_lease=False)
    client.delete_item(TableName=TABLE, Key=key)
    taken = table.take_over(first, NOW + 15 * MINUTE)
    assert taken
    table.save_open(*taken)


def test_a_switch_item_that_does_not_say_stopped_stops_nothing(table: Attempts, client: Any) -> None:
    client.put_item(TableName=TABLE, Item={"pk": {"S": "switch"}, "sk": {"S": "-"}, "by": {"S": "Ann"}})

    table.save_open(*claimed(table, attempt()))


class Cancels:
    """A client whose transactions are cancelled for these reasons, or fail with another error."""

    def __init__(self, client: Any, *reasons: str, code: str = "TransactionCanceledException") -> None:
        self.exceptions = client.exceptions
        self._error = client.exceptions.TransactionCanceledException if reasons else ClientError
        self._response: Any = {"Error": {"Code": code}, "CancellationReasons": [{"Code": r} for r in reasons]}

    def transact_write_items(self, **_: Any) -> None:
        raise self._error(self._response, "TransactWriteItems")


@pytest.mark.parametrize(
    ("reasons", "wanted"),
    [
        (("ConditionalCheckFailed", "None", "None"), Stopped),
        (("ConditionalCheckFailed", "ConditionalCheckFailed", "None"), Stopped),
        (("None", "ConditionalCheckFailed", "None"), LeaseLost),
        (("TransactionConflict", "None", "None"), LeaseLost),
        (("None", "None", "ThrottlingError"), LeaseLost),
        ((), ClientError),
    ],
)
def test_whatever_keeps_the_plan_from_being_saved_nothing_may_be_written_then(
    client: Any, reasons: tuple[str, ...], wanted: type[Exception]
) -> None:
    table = Attempts(Cancels(client, *reasons, code="AccessDeniedException"), TABLE)

    with pytest.raises(wanted):
        table.save_open(attempt(), Lease("fence", {}))


# --- what opens an attempt


def test_the_same_event_delivered_twice_is_the_same_attempt_and_is_taken_up_once(table: Attempts) -> None:
    one = attempt()
    claimed(table, one)
    again = attempt()

    assert again.id == one.id
    assert wants_attempt(known(table, again), again.id, "automatic", finding(), again.request)
    assert table.take_over(again, NOW) is None
    with pytest.raises(Conflict):
        table.claim(again, known(table, again), NOW + LOOK_LEASE)


def test_every_event_of_one_check_is_one_attempt_and_every_press_of_a_button_its_own() -> None:
    ids = {attempt_id(finding(), "automatic", request) for request in ("event-1", "event-2")}
    pressed = {attempt_id(finding(), trigger, request) for trigger in ("remediate", "undo") for request in ("1", "2")}
    others = {
        attempt_id(finding("finding-2"), "automatic", "event-1"),
        attempt_id(finding(observed_at=NOW + MINUTE), "automatic", "event-1"),
    }

    assert (len(ids), len(pressed), len(others)) == (1, 4, 2)
    assert not (ids & pressed | ids & others | pressed & others)


@pytest.mark.parametrize(
    ("case", "trigger", "observed_at", "request_id", "wanted"),
    [
        ("the check that was repaired", "automatic", NOW, "event-1", False),
        ("a check from before the end", "automatic", NOW + MINUTE, "event-2", False),
        ("a check at the very end", "automatic", NOW + 2 * MINUTE, "event-2", False),
        ("a newer check", "automatic", NOW + 3 * MINUTE, "event-2", True),
        ("a button", "remediate", NOW, "press-1", True),
        ("a button whose press was seen", "remediate", NOW, "event-1", False),
        ("another button", "undo", NOW, "press-1", True),
    ],
)
def test_what_opens_an_attempt_after_one_has_ended(
    table: Attempts, case: str, trigger: Trigger, observed_at: datetime, request_id: str, wanted: bool
) -> None:
    ended(table, attempt(), NOW + 2 * MINUTE)
    of = finding(observed_at=observed_at)

    this = attempt_id(of, trigger, request_id)

    assert wants_attempt(known(table, attempt()), this, trigger, of, request_id) is wanted, case


@pytest.mark.parametrize("trigger", ["automatic", "remediate", "preview", "undo"])
def test_nothing_opens_a_second_attempt_while_one_is_open(table: Attempts, trigger: Trigger) -> None:
    claimed(table, attempt())
    later = finding(observed_at=NOW + MINUTE)

    this = attempt_id(later, trigger, "event-2")

    assert not wants_attempt(known(table, attempt()), this, trigger, later, "event-2")


def test_a_press_of_a_button_is_known_after_twenty_more(table: Attempts) -> None:
    for number in range(20):
        ended(table, attempt(trigger="preview", request=f"press-{number}"), outcome="PREVIEWED", journal=JOURNAL)
    item = known(table, attempt())

    seen = [not wants_attempt(item, "new", "preview", finding(), f"press-{number}") for number in range(21)]

    assert seen == [True] * 20 + [False]


# --- what is kept


def test_a_repair_is_remembered_on_the_resource_and_on_the_finding(table: Attempts) -> None:
    done = ended(table, attempt(), NOW + MINUTE)
    item = known(table, done)

    assert item.repairs("kms/rotate_key") == (NOW + MINUTE,)
    assert item.repairs("s3/require_tls") == ()
    assert item.last("kms/rotate_key") == done.id == item.finding["last_repair"]
    assert item.hold("kms/rotate_key") is None
    assert table.get(done.id) == done
    assert done.has_ended


@pytest.mark.parametrize(
    ("case", "changes", "repairs", "is_last"),
    [
        ("repaired", {}, 1, True),
        ("failed half way", {"outcome": "FAILED"}, 0, True),
        ("failed and taken back", {"outcome": "FAILED", "journal": JOURNAL}, 0, False),
        ("compliant", {"outcome": "COMPLIANT", "journal": JOURNAL}, 0, False),
        ("previewed", {"outcome": "PREVIEWED", "journal": {**JOURNAL, "open": REPAIRED["plan"]}}, 0, False),
        ("skipped", {"outcome": "SKIPPED", "journal": JOURNAL}, 0, False),
        ("undo failed half way", {"outcome": "FAILED", "trigger": "undo"}, 0, False),
    ],
)
def test_what_counts_as_a_repair_and_what_an_undo_would_take_back(
    table: Attempts, case: str, changes: dict[str, Any], repairs: int, is_last: bool
) -> None:
    done = ended(table, attempt(), **changes)
    item = known(table, done)

    assert len(item.repairs("kms/rotate_key")) == repairs, case
    assert (item.last("kms/rotate_key") == done.id) is is_last, case
    assert (item.finding.get("last_repair") == done.id) is is_last, case


def test_the_last_repair_survives_attempts_that_write_nothing(table: Attempts) -> None:
    done = ended(table, attempt())
    ended(table, attempt(trigger="preview", request="press-1"), outcome="PREVIEWED", journal=JOURNAL)
    refused = attempt(trigger="remediate", request="press-2", guard="suppressed")
    table.skip(refused, known(table, refused), NOW)

    assert known(table, done).finding["last_repair"] == done.id


def test_ten_repairs_are_remembered(table: Attempts) -> None:
    for number in range(12):
        at = NOW + number * MINUTE
        ended(table, attempt(observed_at=at), at)

    assert known(table, attempt()).repairs("kms/rotate_key") == tuple(NOW + n * MINUTE for n in range(2, 12))


def undone(table: Attempts) -> Attempt:
    """Repair and take back, and return the undo."""
    ended(table, attempt())
    return ended(table, attempt(trigger="undo", request="press-1"), NOW + MINUTE, outcome="UNDONE")


def test_an_undo_sets_a_hold_and_leaves_nothing_to_be_undone_again(table: Attempts) -> None:
    done = undone(table)
    item = known(table, done)

    assert item.hold("kms/rotate_key") == {"attempt": done.id, "at": stamp(NOW + MINUTE)}
    assert item.hold("s3/require_tls") is None
    assert item.last("kms/rotate_key") is None
    assert not item.finding["last_repair"]


@pytest.mark.parametrize(("lift", "is_held"), [(True, False), (False, True)])
def test_only_remediate_lifts_the_hold(table: Attempts, lift: bool, is_held: bool) -> None:
    undone(table)
    one = attempt(trigger="remediate", request="press-2")
    mine, lease = claimed(table, one, NOW + 2 * MINUTE, lift_hold=lift)
    table.end(dataclasses.replace(mine, outcome="REMEDIATED", journal=REPAIRED), lease, NOW + 2 * MINUTE)

    assert bool(known(table, one).hold("kms/rotate_key")) is is_held


def test_the_hold_of_another_remediation_is_not_lifted(table: Attempts) -> None:
    undone(table)
    other = attempt(trigger="remediate", request="press-2", remediation="s3/require_tls")

    claimed(table, other, NOW + 2 * MINUTE, lift_hold=True)

    assert known(table, other).hold("kms/rotate_key")


def test_hold_stayed_when_remediate_was_pressed_and_had_to_wait(table: Attempts) -> None:
    undone(table)
    _, lease = claimed(table, holder := attempt("finding-2"), NOW + 2 * MINUTE)
    one = attempt(trigger="remediate", request="press-2")
    waiting, none = table.claim(one, known(table, one), NOW + 2 * MINUTE, lift_hold=True)
    assert none is None
    table.end(dataclasses.replace(holder, outcome="COMPLIANT"), lease, NOW + 3 * MINUTE)

    assert table.take_over(waiting, NOW + 3 * MINUTE)

    assert known(table, one).hold("kms/rotate_key") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(journal=st.dictionaries(st.text(max_size=5), json_values, max_size=4), why=st.text(max_size=50))
def test_any_record_comes_back_as_it_was_saved(table: Attempts, journal: dict[str, Any], why: str) -> None:
    one = attempt(f"finding {why}", why=why, to_do=why, journal=journal, finding={"uid": "u", "title": why}, tries=3)
    one = dataclasses.replace(one, id=attempt_id(finding(repr((journal, why))), "automatic", ""))
    found = table.get(one.id)
    if found is None:
        one = dataclasses.replace(table.claim(one, known(table, one), NOW)[0], why=one.why)
        found = table.get(one.id)
    assert found
    assert found.journal == journal
    assert (found.to_do, found.finding, found.tries, found.target) == (why, one.finding, 3, one.target)


def test_records_are_deleted_by_the_table_after_400_days(table: Attempts, client: Any) -> None:
    mine, lease = claimed(table, attempt())
    table.runbook_started(dataclasses.replace(mine, execution="e"), lease, NOW)

    expiry = {
        item["pk"]["S"].split("#")[0]: item.get("expires_at", {}).get("N")
        for item in client.scan(TableName=TABLE)["Items"]
    }

    at = str(int((NOW + KEPT).timestamp()))
    assert expiry == {"attempt": at, "execution": at, "finding": at, "resource": None}


# --- what was refused


def skipped(table: Attempts, guard: str, number: int, trigger: Trigger = "automatic") -> Attempt | None:
    one = attempt(
        trigger=trigger, request=f"event-{number}", observed_at=NOW + number * MINUTE, guard=guard, why="because"
    )
    return table.skip(one, known(table, one), NOW + number * MINUTE)


def test_automation_says_once_why_it_leaves_a_finding_alone(table: Attempts) -> None:
    first = skipped(table, "hold", 0)
    assert first
    assert (first.outcome, first.has_ended) == ("SKIPPED", True)
    assert table.get(first.id) == first

    assert skipped(table, "hold", 1) is None
    assert skipped(table, "too-often", 2)
    assert skipped(table, "hold", 3)


def test_a_button_gets_an_answer_each_time(table: Attempts) -> None:
    assert all(skipped(table, "suppressed", number, "remediate") for number in range(3))


def test_after_an_attempt_that_was_not_refused_the_reason_is_told_again(table: Attempts) -> None:
    assert skipped(table, "hold", 0)
    ended(table, attempt(observed_at=NOW + MINUTE), NOW + MINUTE)

    assert skipped(table, "hold", 2)


def test_what_was_refused_never_held_the_resource(table: Attempts) -> None:
    skipped(table, "hold", 0)

    assert known(table, attempt()).resource == {}


# --- what is due, and what was told


def test_due_is_what_is_open_or_untold_and_no_earlier_than_its_time(table: Attempts) -> None:
    first, lease = claimed(table, attempt("finding-1"))
    two = attempt("finding-2")
    waiting, _ = table.claim(two, known(table, two), NOW)
    three = attempt("finding-3", guard="hold")
    refused = table.skip(three, known(table, three), NOW)
    assert refused
    assert table.due(NOW) == []
    assert table.due(NOW + MINUTE) == [waiting.id]
    assert set(table.due(NOW + 5 * MINUTE)) == {first.id, waiting.id, refused.id}

    done = table.end(dataclasses.replace(first, outcome="COMPLIANT"), lease, NOW)
    table.mark_published([done, refused])

    assert table.due(NOW + timedelta(days=1)) == [waiting.id]


def test_due_reads_every_page_of_every_shard_up_to_the_limit(table: Attempts) -> None:
    wanted = set()
    for number in range(107):
        # The first two digits are the shard: one of them has more than one page.
        one = dataclasses.replace(attempt(f"finding-{number}", guard="hold"), id=f"{number // 103:02x}-{number}")
        table.skip(one, known(table, one), NOW)
        wanted.add(one.id)

    found = table.due(NOW + timedelta(hours=1))

    assert (set(found), len(found)) == (wanted, 107)
    assert 20 <= len(table.due(NOW + timedelta(hours=1), most=20)) < 107


def test_of_two_sweeps_one_sends_what_is_due(table: Attempts) -> None:
    mine, _ = claimed(table, attempt())
    later = NOW + 30 * MINUTE

    assert table.postpone(mine, later)
    assert not table.postpone(mine, later + MINUTE)

    found = table.get(mine.id)
    assert found
    assert found.due_at == stamp(later)
    assert table.due(later - MINUTE) == []
    assert table.due(later) == [mine.id]


def test_what_is_over_and_told_is_not_put_off(table: Attempts) -> None:
    done = ended(table, attempt())
    table.mark_published([done])

    assert not table.postpone(done, NOW + 30 * MINUTE)
    assert table.due(NOW + timedelta(days=1)) == []


def test_an_open_attempt_that_was_told_stays_due_and_says_something_else_at_its_end(table: Attempts) -> None:
    mine, lease = claimed(table, attempt())
    saved = table.suspend(dataclasses.replace(mine, looks=1), lease, NOW + MINUTE, keep_lease=True)
    table.mark_published([saved])
    found = table.get(mine.id)
    assert found
    assert found.published == said(saved) != said(dataclasses.replace(saved, looks=2))
    assert table.due(NOW + MINUTE) == [mine.id]

    taken = table.take_over(found, NOW + MINUTE)
    assert taken
    done = table.end(dataclasses.replace(taken[0], outcome="REMEDIATED"), taken[1], NOW + MINUTE)

    assert done.published != said(done)


def test_what_went_on_while_it_was_told_is_told_again_and_the_others_are_not(table: Attempts) -> None:
    """mark_published stopped at the first attempt that had gone on, and the rest of the batch was told twice."""
    one, lease = claimed(table, attempt("finding-1"))
    others = [ended(table, attempt(f"finding-{n}", lease_key=OTHER_KEY)) for n in (2, 3)]
    done = table.end(dataclasses.replace(one, outcome="COMPLIANT"), lease, NOW)

    with pytest.raises(Conflict):
        table.mark_published([one, *others])

    assert [a.published for a in table.get_many([done.id, *(o.id for o in others)]) if a.id != done.id] == [
        "REMEDIATED"
    ] * 2
    assert table.due(NOW + timedelta(days=1)) == [done.id]


def test_more_than_a_call_takes_are_read_and_noted_though_one_has_gone_on(table: Attempts) -> None:
    """A transaction takes 100 actions, BatchGetItem 100 keys; a batch of the outcome queue has 200 attempts."""
    one, lease = claimed(table, attempt("finding-0"))
    others = [ended(table, attempt(f"finding-{n}", lease_key=OTHER_KEY)) for n in range(1, 111)]
    done = table.end(dataclasses.replace(one, outcome="COMPLIANT"), lease, NOW)

    with pytest.raises(Conflict, match=done.id):
        table.mark_published([*others, one])

    assert [a.published for a in table.get_many(o.id for o in others)] == ["REMEDIATED"] * 110
    assert table.due(NOW + timedelta(days=1)) == [done.id]


def test_of_two_that_tell_the_same_at_the_same_time_one_counts_it(table: Attempts) -> None:
    """Only the outcome was a condition: both were noted as told, and a digest counted twice."""
    done = ended(table, attempt())
    counted: list[str] = []

    def beside(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
        counted.extend(a.id for a in attempts)
        return []

    table.mark_published([done], beside)
    with pytest.raises(Conflict, match=done.id):
        table.mark_published([done], beside)

    assert counted == [done.id] * 2  # asked for twice; the second transaction was refused, and this with it


class Busy:
    """A client whose transactions are in conflict with another one, *times* times."""

    def __init__(self, client: Any, times: int) -> None:
        self._client, self.times, self.exceptions = client, times, client.exceptions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, TransactItems: list[Any]) -> Any:  # noqa: N803  # boto3's name
        if self.times:
            self.times -= 1
            reasons = [{"Code": "TransactionConflict"}, *({"Code": "None"} for _ in TransactItems[1:])]
            error: Any = {"Error": {"Code": "TransactionCanceledException"}, "CancellationReasons": reasons}
            raise self.exceptions.TransactionCanceledException(error, "TransactWriteItems")
        return self._client.transact_write_items(TransactItems=TransactItems)


def test_a_transaction_in_conflict_is_tried_again_and_not_for_ever(table: Attempts, client: Any) -> None:
    done = ended(table, attempt())
    pauses: list[float] = []

    with pytest.raises(ClientError, match="TransactionCanceled"):
        Attempts(Busy(client, 99), TABLE, pauses.append).mark_published([done])
    assert len(pauses) == 5
    assert sum(pauses) < 4

    Attempts(Busy(client, 3), TABLE, pauses.append).mark_published([done])

    found = table.get(done.id)
    assert found
    assert found.published == said(done)


# --- reading many


def test_many_are_read_once_each_and_those_that_are_not_there_are_left_out(table: Attempts) -> None:
    done = [ended(table, attempt(f"finding-{n}")) for n in range(3)]

    found = table.get_many([done[0].id, done[1].id, done[0].id, done[2].id, "not-there"])

    assert sorted(a.id for a in found) == sorted(a.id for a in done)
    assert table.get_many([]) == []


class Slow:
    """A client that gives one item a call, at most *calls* times; then none."""

    def __init__(self, client: Any, calls: int) -> None:
        self._client, self._calls = client, calls

    def batch_get_item(self, RequestItems: Any) -> Any:  # noqa: N803  # boto3's name
        keys = RequestItems[TABLE]["Keys"]
        self._calls -= 1
        now, later = (keys[:1], keys[1:]) if self._calls >= 0 else ([], keys)
        answer = self._client.batch_get_item(RequestItems={TABLE: {"Keys": now}}) if now else {"Responses": {}}
        return {**answer, "UnprocessedKeys": {TABLE: {"Keys": later}} if later else {}}


def test_what_dynamodb_left_out_is_asked_for_again(table: Attempts, client: Any) -> None:
    done = [ended(table, attempt(f"finding-{n}")) for n in range(3)]

    assert len(Attempts(Slow(client, 9), TABLE).get_many([a.id for a in done])) == 3
    with pytest.raises(Conflict):
        Attempts(Slow(client, 2), TABLE).get_many([a.id for a in done])


# --- looking again


def looks(table: Attempts, told: list[Attempt], now: datetime) -> Looks:
    """Looks that know no remediation and no account: what they settle, they settle by the table alone."""
    nothing: Any = None
    catalogue = Catalogue({}, {}, nothing, "1")
    return Looks(
        catalogue, nothing, table, nothing, nothing, nothing, nothing, told.extend, lambda: now, lambda _: None
    )


def test_automation_repaired_again_what_a_person_took_back_while_it_waited(table: Attempts) -> None:
    ended(table, attempt())
    undo, lease = claimed(table, attempt(trigger="undo", request="press-1"))
    one = attempt("finding-2")
    waiting, _ = table.claim(one, known(table, one), NOW)
    table.end(dataclasses.replace(undo, outcome="UNDONE"), lease, NOW)
    told: list[Attempt] = []

    looks(table, told, NOW + MINUTE).again(waiting.id)

    (done,) = told
    assert (done.id, done.outcome, done.guard) == (waiting.id, "SKIPPED", "hold")
    assert table.get(done.id) == done
    assert known(table, done).hold("kms/rotate_key"), "the hold stays"


def test_an_attempt_of_a_release_that_had_the_remediation_did_not_end(table: Attempts) -> None:
    mine, lease = claimed(table, attempt())
    table.suspend(mine, lease, NOW, keep_lease=False)
    told: list[Attempt] = []

    looks(table, told, NOW + MINUTE).again(mine.id)

    assert [(a.outcome, a.why) for a in told] == [("FAILED", "this release has no remediation kms/rotate_key")]


def test_a_runbook_that_still_runs_keeps_the_resource_unless_another_took_it(table: Attempts) -> None:
    mine, lease = claimed(table, attempt())
    started = table.runbook_started(dataclasses.replace(mine, execution="e-1", in_runbook=True), lease, NOW)
    other = attempt("finding-2")

    table.keep(started, NOW + 20 * MINUTE)

    assert known(table, other).is_held_by_another(other.id, NOW + 20 * MINUTE + RUNBOOK_LEASE - MINUTE)
    assert table.take_over(started, NOW + 21 * MINUTE), "its end can be settled"
    claimed(table, other, NOW + 60 * MINUTE)
    with pytest.raises(LeaseLost):
        table.keep(started, NOW + 60 * MINUTE)


# --- whatever happens


class AnyOrder(RuleBasedStateMachine):
    """Functions that take up, look, save, die and come late, in any order: two never hold one resource."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(mock_aws())
        self.client = make_table()
        self.table = Attempts(self.client, TABLE)
        self.now = NOW
        self.number = 0
        self.leases: list[tuple[Attempt, Lease]] = []

    def teardown(self) -> None:
        self.stack.close()

    @rule(
        uid=st.sampled_from(["finding-1", "finding-2", "finding-3"]),
        key=st.sampled_from([KEY, OTHER_KEY]),
        trigger=st.sampled_from(["automatic", "remediate", "undo"]),
        is_old=st.booleans(),
    )
    def event(self, uid: str, key: str, trigger: Trigger, is_old: bool) -> None:
        """An event comes, a new one or the last one again."""
        self.number += not is_old
        request, observed_at = f"event-{self.number}", NOW + self.number * timedelta(seconds=30)
        one = attempt(uid, trigger, request, observed_at, lease_key=key)
        item = known(self.table, one)
        if not wants_attempt(item, one.id, trigger, finding(uid, observed_at), request):
            return
        if item.finding.get("attempt") == one.id:
            self.look(one)
            return
        mine, lease = self.table.claim(one, item, self.now, lift_hold=trigger == "remediate")
        if lease:
            self.leases.append((mine, lease))

    def look(self, one: Attempt) -> None:
        found = self.table.get(one.id)
        taken = self.table.take_over(found, self.now) if found and not found.has_ended else None
        if taken:
            self.leases.append(taken)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def look_again(self, data: st.DataObject) -> None:
        """The sweeper sends an attempt again."""
        self.look(data.draw(st.sampled_from(self.leases))[0])

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), save=st.sampled_from(sorted(SAVES)))
    def save(self, data: st.DataObject, save: str) -> None:
        """A function saves, in time or much too late."""
        one, lease = data.draw(st.sampled_from(self.leases))
        try:
            SAVES[save](self.table, one, lease)
        except LeaseLost:
            return
        holder = known(self.table, one).resource
        assert holder["fence"] == lease.fence, "a save went through with another's fence"
        assert save in ("end", "let go") or holder["holder"] == one.id

    @rule(seconds=st.integers(1, 400))
    def time_goes_on(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def one_lease_of_a_resource_can_save_and_a_finding_has_one_open_attempt(self) -> None:
        items = [_plain(item) for item in self.client.scan(TableName=TABLE)["Items"]]
        resources = [(i["fence"], i["holder"]) for i in items if i["pk"].startswith("resource#")]
        able = [one.lease_key for one, lease in self.leases if (lease.fence, one.id) in resources]
        still = [i["finding"] for i in items if i["pk"].startswith("attempt#") and not i["ended_at"]]
        assert len(able) == len(set(able))
        assert len(still) == len(set(still))


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: next(iter(typed.values())) if "NULL" not in typed else None for name, typed in item.items()}


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)


# --- lines in which held attempts wait


def held(table: Attempts, number: int, *, line: str = "hour", control: str = "KMS.4", **changes: Any) -> Attempt:
    created_at = stamp(NOW + number * timedelta(seconds=1))
    one = attempt(f"f-{number}", lease_key=f"{KEY}-{number}", control=control, created_at=created_at, **changes)
    mine, lease = claimed(table, one)
    return table.hold(dataclasses.replace(mine, outcome="HELD", line=line), lease)


def test_what_is_held_is_not_due_and_waits_in_its_line_the_oldest_first_but_persons_before(table: Attempts) -> None:
    third, first, second = (held(table, n) for n in (3, 1, 2))
    person = held(table, 9, trigger="remediate", request="press")
    held(table, 4, line="control#S3.5", control="S3.5")

    assert table.due(NOW + timedelta(days=900)) == []
    assert table.held("hour", 10) == [person.id, first.id, second.id, third.id]
    assert table.held("hour", 2) == [person.id, first.id]


def test_controls_in_whose_lines_somebody_waits_are_found_each_once(table: Attempts) -> None:
    assert table.held_controls() == []
    for number, control in enumerate(("S3.5", "KMS.4", "KMS.4", "KMS.40", "S3.13", "S3.5")):
        held(table, number, line=f"control#{control}", control=control)

    assert table.held_controls() == ["KMS.4", "KMS.40", "S3.13", "S3.5"]
    assert len(table.held("control#KMS.4", 10)) == 2
    assert len(table.held("control#S3.5", 1)) == 1


def test_what_is_let_go_on_is_due_again_and_is_let_go_on_once(table: Attempts) -> None:
    one = held(table, 1)
    assert table.release(one, NOW + MINUTE, reserved=True)
    assert not table.release(one, NOW + MINUTE, reserved=True)

    assert table.held("hour", 10) == []
    assert table.due(NOW + MINUTE) == [one.id]
    now = table.get(one.id)
    assert now
    assert (now.reserved, now.line) == (True, "")
    assert not table.release(now, NOW, reserved=True), "it is in no line"


def test_a_record_of_a_later_release_is_not_touched(table: Attempts, client: Any) -> None:
    mine, _ = claimed(table, attempt("f-1"))
    other, _ = claimed(table, attempt("f-2", lease_key=OTHER_KEY))
    client.update_item(
        TableName=TABLE,
        Key={"pk": {"S": f"attempt#{mine.id}"}, "sk": {"S": "-"}},
        UpdateExpression="SET #r = :later",
        ExpressionAttributeNames={"#r": "record"},
        ExpressionAttributeValues={":later": {"N": str(RECORD + 1)}},
    )
    with pytest.raises(LaterRecord, match="later release"):
        table.get(mine.id)
    assert table.get_many([mine.id, other.id]) == [other]


def test_a_record_of_the_first_release_is_read(table: Attempts, client: Any) -> None:
    mine, _ = claimed(table, attempt("f-1"))
    new = ("reserved", "turn", "#line", "tripped", "#record")
    client.update_item(
        TableName=TABLE,
        Key={"pk": {"S": f"attempt#{mine.id}"}, "sk": {"S": "-"}},
        UpdateExpression=f"REMOVE {', '.join(new)}",
        ExpressionAttributeNames={"#line": "line", "#record": "record"},
    )
    read = table.get(mine.id)
    assert read
    assert dataclasses.replace(read, record=RECORD) == mine


def test_the_end_of_a_turn_counts_or_stops_and_a_turn_that_ran_out_does_not_keep_the_end_from_being_saved(
    table: Attempts, client: Any
) -> None:
    limits = Limits(client, TABLE, 100, 2)

    def turn(number: int, outcome: Outcome) -> None:
        mine, lease = claimed(table, attempt(f"f-{number}", lease_key=f"{KEY}-{number}"))
        assert limits.admit(mine.id, "KMS.4", NOW, automatic=True, reserved=True)
        done = dataclasses.replace(mine, turn=True, outcome=outcome, why="because")
        table.end(done, lease, NOW)

    turn(1, "REMEDIATED")
    assert limits.turn_of("KMS.4") == Turn(1, "", "", "")
    turn(2, "COMPLIANT")
    assert limits.turn_of("KMS.4") == Turn(1, "", "", "")
    mine, lease = claimed(table, attempt("f-3", lease_key=f"{KEY}-3"))
    limits.admit("somebody else", "KMS.4", NOW, automatic=True, reserved=True)
    over = table.end(dataclasses.replace(mine, turn=True, outcome="FAILED", why="because"), lease, NOW)
    assert table.get(over.id) == over
    assert limits.turn_of("KMS.4").running == "somebody else"
    limits.give_back("somebody else", "KMS.4")
    turn(4, "FAILED")
    assert limits.turn_of("KMS.4") == Turn(1, "", "", "because")
