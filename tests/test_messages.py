"""Messages: digests that count each attempt once, what is told at once, the hour's limit, and what was left out."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from sharr.arns import PARTITIONS
from sharr.attempts import Attempt, Attempts, Outcome
from sharr.catalogue import Catalogue
from sharr.digests import (
    MOST_RESOURCES,
    Digest,
    LeftOut,
    Line,
    digest_message,
    digest_pk,
    is_digest_pk,
    quarter,
    query,
    query_link,
    reason_key,
)
from sharr.findings_port import FindingsPort
from sharr.messages import LEFT_OUT_PK, MESSAGES_AN_HOUR, Messages, chunks
from sharr.publishing import Publisher
from sharr.settings import settings_from
from sharr.table import stamp
from tests.test_attempts import TABLE, make_table
from tests.test_publishing import REMEDIATION, SETTINGS
from tests.test_publishing import attempt as attempt_in_memory

Json = dict[str, Any]
NOW = datetime(2026, 3, 2, 9, 7, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUARTERS_END = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
LOG_GROUP = "sharr-admin-OutcomeLog"


def attempt(number: int = 1, outcome: Outcome = "REMEDIATED", **changes: Any) -> Attempt:
    """Return an attempt that ended."""
    ended: Json = {"ended_at": stamp(NOW), "due_at": stamp(NOW + MINUTE), "id": f"{number:08x}-attempt"}
    return attempt_in_memory(number, outcome, **ended | changes)


class Stage:
    """The table, and a publisher on it whose findings and topic remember. The time is *now*."""

    def __init__(self, client: Any, notify: str = "digest") -> None:
        self.client = client
        self.now = NOW
        self.table = Attempts(client, TABLE, lambda _: None)
        self.messages = Messages(client, TABLE, lambda _: None)
        self.lines: list[Json] = []
        self.sent: list[Json] = []
        self.refuse = 0
        self.publisher = self.another(notify)

    def another(self, notify: str = "digest") -> Publisher:
        """Return a publisher as another execution environment has it."""
        return Publisher(
            catalogue=Catalogue.of([REMEDIATION], cast("Any", None), "1"),
            settings=dataclasses.replace(SETTINGS, notify=cast("Any", notify), log_group=LOG_GROUP),
            attempts=self.table,
            findings=cast("FindingsPort", self),
            messages=Messages(self.client, TABLE, lambda _: None),
            topic=self,
            log=self.lines.append,
            measure=lambda _: None,
            now=lambda: self.now,
        )

    def update(self, identifiers: list[Json], note: str, author: str, status: str | None) -> dict[str, str]:
        return {}

    def publish_batch(self, TopicArn: str, PublishBatchRequestEntries: list[Json]) -> Json:  # noqa: N803
        refused, taken = PublishBatchRequestEntries[: self.refuse], PublishBatchRequestEntries[self.refuse :]
        self.refuse -= len(refused)
        self.sent += taken
        return {"Failed": [{"Id": e["Id"], "Code": "InternalError"} for e in refused]}

    def save(self, *attempts: Attempt) -> list[str]:
        """Put attempts into the table, and return their ids."""
        for one in attempts:
            self.client.transact_write_items(TransactItems=[self.table._put_attempt(one)])
        return [a.id for a in attempts]

    def publish(self, *attempts: Attempt) -> dict[str, str]:
        self.save(*attempts)
        return self.publisher.publish([a.id for a in attempts])

    def bodies(self) -> list[Json]:
        return [json.loads(json.loads(entry["Message"])["sqs"]) for entry in self.sent]

    def kinds(self) -> list[str]:
        return [str(body["kind"]) for body in self.bodies()]

    def sweep(self) -> dict[str, str]:
        """Publish what is due, as sweeper and outcome function do together; return why what failed."""
        failed: dict[str, str] = {}
        for pk, due_at in self.messages.due(self.now):
            if self.messages.postpone(pk, due_at, self.now + 15 * MINUTE):
                failed |= self.publisher.publish_digest(pk)
        return failed


@pytest.fixture
def stage() -> Iterator[Stage]:
    with mock_aws():
        yield Stage(make_table())


# --- digests


def test_a_quarter_of_automatic_repairs_is_one_message_with_all_counts(stage: Stage) -> None:
    stage.publish(*(attempt(n) for n in range(30)))
    stage.publish(*(attempt(n, "COMPLIANT") for n in range(30, 33)))
    assert stage.sent == []
    assert stage.sweep() == {}
    assert stage.sent == []

    stage.now = QUARTERS_END
    stage.sweep()

    (body,) = stage.bodies()
    assert (body["kind"], body["control"], body["counts"]) == ("digest", "KMS.4", {"REMEDIATED": 30, "COMPLIANT": 3})
    assert [r["resource"] for r in body["resources"]] == [f"key-{n}" for n in range(20)]
    assert body["resources"][0]["account"] == "222222222222"
    assert (body["from"], body["to"]) == (stamp(QUARTERS_END - 15 * MINUTE), stamp(QUARTERS_END))
    stage.now += timedelta(days=1)
    stage.sweep()
    assert len(stage.sent) == 1


def test_each_control_has_a_digest_of_its_own_and_each_quarter(stage: Stage) -> None:
    stage.publish(attempt(1), attempt(2, control="S3.5"))
    stage.now = QUARTERS_END
    stage.publish(attempt(3))
    stage.sweep()
    assert [(b["control"], b["counts"]) for b in stage.bodies()] == [
        ("KMS.4", {"REMEDIATED": 1}),
        ("S3.5", {"REMEDIATED": 1}),
    ]

    stage.now += 15 * MINUTE
    stage.sweep()

    assert len(stage.sent) == 3


def test_an_attempt_that_is_told_twice_is_counted_once(stage: Stage) -> None:
    ids = stage.save(*(attempt(n) for n in range(5)))
    for publisher in (stage.publisher, stage.another(), stage.publisher):
        publisher.publish(ids)
    stage.now = QUARTERS_END

    stage.sweep()

    assert [b["counts"] for b in stage.bodies()] == [{"REMEDIATED": 5}]


def test_two_functions_that_tell_the_same_at_the_same_time_count_it_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One dies between reading and noting, as it were: the other one does all of it in between."""
    ids = stage.save(*(attempt(n, "COMPLIANT" if n % 2 else "REMEDIATED") for n in range(7)))
    late = attempt(8)
    stage.save(late)
    mark = stage.table.mark_published
    inner = stage.another()

    def mark_late(attempts: Any, beside: Any) -> None:
        monkeypatch.setattr(Attempts, "mark_published", lambda _, *args: mark(*args))
        inner.publish(ids)
        mark(attempts, beside)

    monkeypatch.setattr(Attempts, "mark_published", lambda _, *args: mark_late(*args))
    stage.publisher.publish([*ids, late.id])

    digest = stage.messages.digest(digest_pk("KMS.4", NOW))
    assert digest
    assert digest.counts == {"REMEDIATED": 5, "COMPLIANT": 3}
    assert any(line["message"] == "not noted as told" for line in stage.lines)


def test_what_is_counted_while_a_digest_is_sent_is_told_in_the_next(stage: Stage) -> None:
    stage.publish(attempt(1), attempt(2, "COMPLIANT"))
    pk = digest_pk("KMS.4", NOW)
    read = stage.messages.digest(pk)
    assert read
    stage.publish(attempt(3), attempt(4))
    stage.now = QUARTERS_END

    stage.messages.told(read, stage.now)

    rest = stage.messages.digest(pk)
    assert rest
    assert (rest.counts, [line.resource for line in rest.resources]) == ({"REMEDIATED": 2}, ["key-3", "key-4"])
    assert stage.messages.due(stage.now) == [(pk, stamp(QUARTERS_END))]
    stage.messages.told(read, stage.now)
    assert stage.messages.digest(pk) == rest
    stage.sweep()
    assert stage.messages.digest(pk) is None


def test_two_that_told_the_same_digest_take_it_off_once(stage: Stage) -> None:
    stage.publish(attempt(1))
    read = stage.messages.digest(digest_pk("KMS.4", NOW))
    assert read
    stage.messages.told(read, NOW)
    stage.publish(attempt(2))

    stage.messages.told(read, NOW)

    found = stage.messages.digest(read.pk)
    assert found
    assert found.counts == {"REMEDIATED": 1}


class Overtaken:
    """A client before whose next transaction something else happens, once."""

    def __init__(self, client: Any, first: Callable[[], Any]) -> None:
        self._client, self._first = client, [first]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **parameters: Any) -> Any:
        if self._first:
            self._first.pop()()
        return self._client.transact_write_items(**parameters)


def test_what_is_counted_between_reading_and_emptying_a_digest_is_not_lost(stage: Stage) -> None:
    stage.publish(attempt(1))
    read = stage.messages.digest(digest_pk("KMS.4", NOW))
    assert read

    Messages(Overtaken(stage.client, lambda: stage.publish(attempt(2))), TABLE, lambda _: None).told(read, NOW)

    rest = stage.messages.digest(read.pk)
    assert rest
    assert (rest.counts, [line.resource for line in rest.resources]) == ({"REMEDIATED": 1}, ["key-2"])


def test_two_that_leave_the_same_digest_out_count_it_once(stage: Stage) -> None:
    stage.publish(attempt(1))
    read = stage.messages.digest(digest_pk("KMS.4", NOW))
    assert read

    def leave_out() -> None:
        stage.messages.told(read, NOW, left_out=True)

    Messages(Overtaken(stage.client, leave_out), TABLE, lambda _: None).told(read, NOW, left_out=True)

    assert stage.messages.left_out() == LeftOut(1, stamp(NOW))


def test_a_digest_that_sns_refused_comes_again(stage: Stage) -> None:
    stage.publish(attempt(1))
    stage.now, stage.refuse = QUARTERS_END, 1
    assert stage.sweep() == {digest_pk("KMS.4", NOW): "SNS: InternalError"}
    assert stage.sweep() == {}

    stage.now += 15 * MINUTE
    stage.sweep()

    assert [b["counts"] for b in stage.bodies()] == [{"REMEDIATED": 1}]


def test_buttons_and_each_have_one_message_each_and_no_digest(stage: Stage) -> None:
    stage.publish(attempt(1, trigger="remediate"), attempt(2, "PREVIEWED", trigger="preview"))
    assert stage.kinds() == ["outcome", "outcome"]
    each = stage.another("each")

    each.publish(stage.save(attempt(3), attempt(4)))

    assert stage.kinds() == ["outcome"] * 4
    assert stage.messages.due(NOW + timedelta(days=1)) == []


def test_what_is_not_over_or_was_said_before_is_in_no_digest(stage: Stage) -> None:
    stage.publish(
        attempt(1, "PENDING", ended_at=None, looks=1), attempt(2, "SKIPPED", quiet=True), attempt(3, "SKIPPED")
    )

    digest = stage.messages.digest(digest_pk("KMS.4", NOW))
    assert digest
    assert digest.counts == {"SKIPPED": 1}


def test_a_hundred_attempts_of_fifty_controls_fit_into_transactions(stage: Stage) -> None:
    assert stage.publish(*(attempt(n, control=f"KMS.{n % 50}") for n in range(100))) == {}

    counts = [stage.messages.digest(digest_pk(f"KMS.{n}", NOW)) for n in range(50)]
    assert [dict(digest.counts) for digest in counts if digest] == [{"REMEDIATED": 2}] * 50


@given(st.lists(st.sampled_from([f"S3.{n}" for n in range(1, 16)]), max_size=250))
def test_chunks_have_all_attempts_and_keep_both_limits(controls: list[str]) -> None:
    made = [attempt(n, control=control) for n, control in enumerate(controls)]

    found = chunks(made, 90, 9)

    assert Counter(a.id for chunk in found for a in chunk) == Counter(a.id for a in made)
    assert all(len(chunk) <= 90 and len({a.control for a in chunk}) <= 9 for chunk in found)


def test_the_log_line_of_each_attempt_names_its_digest(stage: Stage) -> None:
    stage.publish(attempt(1), attempt(2, trigger="remediate"))

    assert [line["digest"] for line in stage.lines] == [digest_pk("KMS.4", NOW), ""]
    assert f'digest = "{digest_pk("KMS.4", NOW)}"' in query(digest_pk("KMS.4", NOW))


# --- at once


def test_the_first_failure_of_a_reason_is_told_at_once_and_the_next_ones_in_the_digest(stage: Stage) -> None:
    why = "EnableKeyRotation: AccessDenied: key {} is not yours"
    stage.publish(*(attempt(n, "FAILED", why=why.format(f"1234abcd-{n}")) for n in range(3)))
    stage.publish(attempt(4, "FAILED", why=why.format("9")), attempt(5, "FAILED", why="it is locked"))
    assert [b["why"] for b in stage.bodies()] == [why.format("1234abcd-0"), "it is locked"]

    stage.now += timedelta(days=1)
    stage.publisher = stage.another()
    stage.publish(attempt(6, "FAILED", why=why.format("7")))

    assert [b["attempt"] for b in stage.bodies()][2:] == ["00000006-attempt"]
    stage.sweep()
    assert next(b["counts"] for b in stage.bodies() if b["kind"] == "digest") == {"FAILED": 5}


def test_a_first_failure_that_sns_refused_is_told_the_next_time(stage: Stage) -> None:
    stage.refuse = 1
    first, second = attempt(1, "FAILED", why="no"), attempt(2, "FAILED", why="no")
    assert stage.publish(first, second) == {first.id: "SNS: InternalError"}

    assert stage.another().publish([first.id, second.id]) == {}

    assert [b["attempt"] for b in stage.bodies()] == [first.id]


def test_a_trip_is_told_at_once_and_counted(stage: Stage) -> None:
    stage.publish(attempt(1, "FAILED", why="no"))

    stage.publish(attempt(2, "FAILED", why="no", tripped="a repair failed"), attempt(3, "FAILED", why="another no"))

    assert stage.kinds() == ["outcome", "trip", "outcome"]
    digest = stage.messages.digest(digest_pk("KMS.4", NOW))
    assert digest
    assert digest.counts == {"FAILED": 3}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("key 'a b' is pending", "key 'c' is pending", True),
        ("arn:aws:s3:::logs is locked", "arn:aws-cn:s3:::data-2 is locked", True),
        ("tried 4 times: PutKeyPolicy: AccessDenied: 12", "tried 2 times: PutKeyPolicy: AccessDenied: x9-1", True),
        ("1234abcd-12ab-34cd-56ef-1234567890ab is busy", "i-0abc1234 is busy", True),
        ("volumes 'a', 'b' are in use", "volumes 'a' are in use", True),
        ("PutKeyPolicy: AccessDenied", "PutKeyPolicy: Throttling", False),
        ("it is locked", "it is busy", False),
    ],
)
def test_reasons_that_differ_in_names_and_numbers_only_are_one(one: str, other: str, same: bool) -> None:
    assert (reason_key(one) == reason_key(other)) is same


@given(st.text(max_size=1000))
def test_the_key_of_any_reason_is_short_and_is_its_own_key(why: str) -> None:
    key = reason_key(why)

    assert len(key) <= 200
    assert len(reason_key(key)) <= 200


# --- the hour's limit


def pressed(first: int, last: int) -> list[Attempt]:
    """Return attempts of buttons, which have a message each."""
    return [attempt(n, trigger="remediate") for n in range(first, last)]


def test_an_hour_has_sixty_messages_and_the_next_one_says_how_many_were_left_out(stage: Stage) -> None:
    stage.publish(*pressed(0, 55))
    assert stage.publish(*pressed(55, 70)) == {}
    stage.now += 20 * MINUTE
    stage.publish(*pressed(70, 73))
    assert len(stage.sent) == MESSAGES_AN_HOUR
    assert not any(b["left_out"] for b in stage.bodies())

    stage.now = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
    stage.publish(*pressed(73, 75))

    says = "Messages left out since 2026-03-02 09:07 UTC, because the hour's limit was reached: 13."
    texts = [json.loads(e["Message"])["email"] for e in stage.sent[MESSAGES_AN_HOUR:]]
    assert says in texts[0]
    assert LOG_GROUP in texts[0]
    assert "left out" not in texts[1]
    assert stage.messages.left_out() is None
    assert all(stage.table.get(a.id).published for a in pressed(0, 75))  # type: ignore[union-attr]


def test_what_was_left_out_is_counted_once_however_often_it_comes(stage: Stage) -> None:
    stage.messages.reserve(60, NOW)
    ids = stage.save(*pressed(0, 4))
    for publisher in (stage.publisher, stage.another()):
        publisher.publish(ids)

    assert stage.messages.left_out() == LeftOut(4, stamp(NOW))


def test_digests_have_the_same_limit_and_are_left_out_whole(stage: Stage) -> None:
    stage.publish(*(attempt(n, control=f"S3.{n}") for n in range(1, 65)))
    stage.now = QUARTERS_END

    stage.sweep()

    assert len(stage.sent) == MESSAGES_AN_HOUR
    assert stage.messages.left_out() == LeftOut(4, stamp(QUARTERS_END))
    assert [pk for pk, _ in stage.messages.due(stage.now + timedelta(days=1))] == [LEFT_OUT_PK]


def test_where_no_message_follows_one_says_only_that_others_were_left_out(stage: Stage) -> None:
    stage.messages.reserve(60, NOW)
    stage.publish(*pressed(0, 2))
    stage.now = datetime(2026, 3, 2, 10, 14, tzinfo=UTC)
    stage.sweep()
    assert stage.sent == []

    stage.now += MINUTE
    stage.sweep()
    stage.sweep()

    assert stage.kinds() == ["left-out"]
    assert "reached: 2." in stage.bodies()[0]["left_out"]
    assert stage.messages.left_out() is None


def test_at_the_limit_what_was_left_out_waits_and_counts_itself_not(stage: Stage) -> None:
    stage.messages.reserve(60, NOW)
    stage.publish(*pressed(0, 2))
    stage.now = datetime(2026, 3, 2, 10, 20, tzinfo=UTC)
    stage.messages.reserve(60, stage.now)

    assert stage.sweep() == {}

    assert (stage.sent, stage.messages.left_out()) == ([], LeftOut(2, stamp(NOW)))
    assert len(stage.messages.due(stage.now + 15 * MINUTE)) == 1


def test_a_trip_goes_before_all_else_where_one_message_is_left(stage: Stage) -> None:
    stage.messages.reserve(59, NOW)

    stage.publish(*pressed(0, 3), attempt(9, "FAILED", why="no", tripped="a repair failed"))

    assert stage.kinds() == ["trip"]
    assert stage.messages.left_out() == LeftOut(3, stamp(NOW))


def test_what_sns_refuses_does_not_use_the_hour_up(stage: Stage) -> None:
    stage.refuse = 10
    stage.publish(*pressed(0, 10))

    assert stage.messages.reserve(100, NOW) == MESSAGES_AN_HOUR


def test_what_was_left_out_while_a_message_says_so_is_for_the_next_one(stage: Stage) -> None:
    stage.messages.reserve(60, NOW)
    stage.publish(*pressed(0, 3))
    said = stage.messages.left_out()
    assert said
    stage.publish(*pressed(3, 8))

    stage.messages.said_left_out(said, NOW + MINUTE)
    stage.messages.said_left_out(said, NOW + 2 * MINUTE)

    assert stage.messages.left_out() == LeftOut(5, stamp(NOW + MINUTE))


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(1, 30), max_size=12))
def test_however_they_are_asked_for_an_hour_has_sixty(wanted: list[int]) -> None:
    with mock_aws():
        messages = Messages(make_table(), TABLE, lambda _: None)
        granted = [messages.reserve(n, NOW) for n in wanted]

    assert sum(granted) == min(60, sum(wanted))
    assert all(got <= asked for got, asked in zip(granted, wanted, strict=True))


# --- what a digest says


def digest(counts: Mapping[str, int], *resources: str) -> Digest:
    lines = tuple(Line("REMEDIATED", "222222222222", "eu-west-1", r) for r in resources)
    return Digest(digest_pk("KMS.4", NOW), counts, lines, 1)


def test_a_digest_says_counts_resources_and_where_all_of_them_are() -> None:
    entry = digest_message(
        digest({"REMEDIATED": 3, "FAILED": 1}, "key-1", "key-2"), LOG_GROUP, "eu-west-1", "1 left out"
    )

    text = json.loads(entry["Message"])["email"]
    assert entry["Subject"] == "SHARR KMS.4: 1 FAILED, 3 REMEDIATED"
    assert text.splitlines()[:8] == [
        "KMS.4: what automation did from 2026-03-02 09:00 to 09:15 UTC",
        "",
        "FAILED          1",
        "REMEDIATED      3",
        "",
        "Resources  4, of which these are the first 2",
        "  REMEDIATED 222222222222  eu-west-1  key-1",
        "  REMEDIATED 222222222222  eu-west-1  key-2",
    ]
    assert text.endswith("\n\n1 left out")
    assert query(digest_pk("KMS.4", NOW)) in text
    assert {k: v["StringValue"] for k, v in entry["MessageAttributes"].items()} == {
        "kind": "digest",
        "control": "KMS.4",
        "outcome": '["FAILED", "REMEDIATED"]',
    }
    assert entry["MessageAttributes"]["outcome"]["DataType"] == "String.Array"


def test_the_link_holds_the_query_the_log_group_and_the_time() -> None:
    link = query_link('a = "ü#1"\n| b', "group/x", NOW, NOW + MINUTE, "eu-west-1")

    assert link
    start, _, detail = link.partition("$3FqueryDetail$3D")
    assert start == f"https://{PARTITIONS['aws'].console}/cloudwatch/home?region=eu-west-1#logsV2:logs-insights"
    assert set(detail) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789$*.-")
    assert unquote(unquote(detail.replace("$", "%"))) == (
        "~(end~'2026-03-02T09*3a08*3a00.000Z~start~'2026-03-02T09*3a07*3a00.000Z~timeType~'ABSOLUTE~tz~'UTC"
        "~editorString~'a*20*3d*20*22*c3*bc*231*22*0a*7c*20b~source~(~'group*2fx))"
    )


@given(
    st.dictionaries(
        st.sampled_from(["FAILED", "SKIPPED", "REMEDIATED", "COMPLIANT"]), st.integers(1, 9999), min_size=1
    ),
    st.lists(st.text(min_size=1, max_size=512), max_size=45),
)
def test_any_digest_is_printable_and_small(counts: dict[str, int], resources: list[str]) -> None:
    made = [Line.of(attempt(1, finding={**attempt().finding, "resource": r})) for r in resources]

    entry = digest_message(dataclasses.replace(digest(counts), resources=tuple(made)), LOG_GROUP, "eu-west-1")

    assert entry["Subject"].isascii()
    assert entry["Subject"].isprintable()
    assert 1 <= len(entry["Subject"]) <= 100
    assert all(line.isprintable() for line in json.loads(entry["Message"])["email"].split("\n"))
    assert len(json.dumps(entry).encode()) < 256 * 1024
    assert len(json.loads(json.loads(entry["Message"])["sqs"])["resources"]) <= MOST_RESOURCES


@given(st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_each_time_is_in_the_quarter_that_its_digest_says(at: datetime) -> None:
    pk = digest_pk("S3.5", at)

    assert is_digest_pk(pk)
    start = Digest(pk, {}, (), 1).start
    assert start == quarter(at) <= at < start + 15 * MINUTE


@pytest.mark.parametrize("text", [None, 7, "", "switch", "digest#x#S3.5", f"{digest_pk('S3.5', NOW)}\n", "attempt#1"])
def test_only_a_digest_s_own_key_is_one(text: object) -> None:
    assert not is_digest_pk(text)


def test_settings_take_notify_and_the_log_group() -> None:
    base = {"AWS_REGION": "eu-west-1", "ADMIN_ACCOUNT": "1", "HOME_REGION": "eu-west-1", "TABLE_NAME": "t"}
    given_ = settings_from({**base, "OUTCOME_QUEUE_URL": "q", "AWS_LAMBDA_LOG_GROUP_NAME": "g", "NOTIFY": "each"})

    assert (given_.notify, given_.log_group, given_.loaded) == ("each", "g", frozenset())
    assert settings_from({**base, "OUTCOME_QUEUE_URL": "q"}).notify == "digest"
