"""Limits: so many repairs an hour, first repairs one by one, the oldest first, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from sandbox.world import Sandbox
from sharr import table
from sharr.attempts import Attempt, Attempts
from sharr.finding import REMEDIATE
from sharr.limits import HOUR_LINE, Held, Hour, Limits, Turn, control_line, hour_of, may_begin
from sharr.lines import released
from tests.stage import Stage
from tests.test_attempts import TABLE, held, make_table

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws():
        yield make_table()


def limits(client: Any, per_hour: int = 3, first: int = 0) -> Limits:
    return Limits(client, TABLE, per_hour, first)


def admitted(of: Limits, attempt: str, now: datetime = NOW, *, automatic: bool = True, control: str = "KMS.4") -> bool:
    try:
        of.admit(attempt, control, now, automatic=automatic, reserved=False)
    except Held:
        return False
    return True


def test_no_more_repairs_than_the_limit_are_admitted_in_an_hour_and_the_next_hour_begins_anew(client: Any) -> None:
    assert [admitted(limits(client), f"a{n}") for n in range(5)] == [True, True, True, False, False]
    later = NOW + timedelta(hours=1)
    limits(client).none_waits()
    assert [admitted(limits(client), f"b{n}", later) for n in range(4)] == [True, True, True, False]


def test_zero_admits_nothing_and_asks_nobody() -> None:
    none: Any = None
    with pytest.raises(Held, match="RepairsPerHour is 0"):
        Limits(none, TABLE, 0, 0).admit("a", "KMS.4", NOW, automatic=False, reserved=True)


def test_what_comes_later_waits_behind_what_waits_and_a_person_does_not(client: Any) -> None:
    assert [admitted(limits(client), f"a{n}") for n in range(4)][-1] is False
    later = NOW + timedelta(hours=1)
    assert not admitted(limits(client), "automatic", later)
    assert admitted(limits(client), "button", later, automatic=False)
    limits(client).none_waits()
    assert admitted(limits(client), "automatic", later)


def test_what_waits_is_counted_all_or_none(client: Any) -> None:
    of = limits(client, per_hour=5)
    assert of.reserve(4, NOW)
    assert not of.reserve(2, NOW)
    assert of.hour(NOW) == Hour(room=1, somebody_waits=False)
    assert of.reserve(5, NOW + timedelta(hours=1))
    assert not of.reserve(6, NOW + timedelta(hours=2))


@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), min_size=1, max_size=40), st.integers(0, 5))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_when_no_hour_has_more_than_its_limit(steps: list[tuple[int, bool]], per_hour: int) -> None:
    counted: dict[str, int] = {}
    with mock_aws():
        client, now = make_table(), NOW
        for number, (minutes, automatic) in enumerate(steps):
            now += minutes * MINUTE
            if admitted(limits(client, per_hour), f"a{number}", now, automatic=automatic):
                counted[hour_of(now)] = counted.get(hour_of(now), 0) + 1
    assert all(count <= per_hour for count in counted.values())


def test_first_repairs_take_turns_and_a_turn_is_the_same_attempt_s_again(client: Any) -> None:
    of = limits(client, per_hour=100, first=2)
    assert of.admit("one", "KMS.4", NOW, automatic=True, reserved=False)
    assert of.admit("one", "KMS.4", NOW, automatic=True, reserved=True)
    with pytest.raises(Held, match="one at a time") as held:
        of.admit("two", "KMS.4", NOW, automatic=True, reserved=False)
    assert held.value.line == control_line("KMS.4")
    assert of.admit("other", "S3.5", NOW, automatic=True, reserved=False)
    assert not of.admit("button", "KMS.4", NOW, automatic=False, reserved=False)
    of.give_back("two", "KMS.4")
    assert of.turn_of("KMS.4").running == "one"
    of.give_back("one", "KMS.4")
    assert limits(client, 100, 2).admit("two", "KMS.4", NOW, automatic=True, reserved=False)


def test_a_turn_is_given_back_where_the_hour_is_full(client: Any) -> None:
    of = limits(client, per_hour=1, first=2)
    assert admitted(of, "button", automatic=False)
    with pytest.raises(Held) as held:
        of.admit("one", "KMS.4", NOW, automatic=True, reserved=False)
    assert held.value.line == HOUR_LINE
    assert of.turn_of("KMS.4").running == ""


def test_a_turn_is_given_back_where_the_hour_could_not_be_counted(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt ends FAILED without a turn that its end would give back. Found by `make faults`."""
    of, refused = limits(client, per_hour=9, first=2), {"Error": {"Code": "AccessDeniedException", "Message": "no"}}

    def count(*_: Any, **__: Any) -> None:
        raise ClientError(refused, "UpdateItem")  # type: ignore[arg-type]

    monkeypatch.setattr(Limits, "_count", count)
    with pytest.raises(ClientError):
        of.admit("one", "KMS.4", NOW, automatic=True, reserved=False)

    assert of.turn_of("KMS.4").running == ""


def test_a_turn_that_nobody_ended_is_over_after_a_day_and_a_bit(client: Any) -> None:
    assert admitted(limits(client, 100, 2), "one")
    assert not admitted(limits(client, 100, 2), "two", NOW + timedelta(hours=25))
    assert admitted(limits(client, 100, 2), "two", NOW + timedelta(hours=27))


@pytest.mark.parametrize(
    ("turn", "begins"),
    [
        (Turn(0, "", "", ""), True),
        (Turn(0, "a", "2099", ""), False),
        (Turn(0, "a", "2000", ""), True),
        (Turn(2, "a", "2099", ""), True),
        (Turn(1, "", "", "it failed"), False),
        (Turn(9, "", "", "it failed"), False),
    ],
)
def test_who_waits_may_begin_only_where_nobody_repairs_and_nothing_failed(turn: Turn, begins: bool) -> None:
    assert may_begin(turn, 2, NOW) is begins


def test_what_is_remembered_saves_the_look_and_is_forgotten(client: Any) -> None:
    of = limits(client, per_hour=100, first=2)
    of.admit("one", "KMS.4", NOW, automatic=True, reserved=False)
    of.expect("KMS.4", NOW, automatic=True)
    assert not admitted(of, "two")
    with pytest.raises(Held):
        of.expect("KMS.4", NOW + timedelta(seconds=20), automatic=True)
    of.expect("KMS.4", NOW + MINUTE, automatic=True)
    of.expect("KMS.4", NOW, automatic=False)
    of.expect("S3.5", NOW, automatic=True)


# --- what the sweeper lets go on


def let_go(client: Any, of: Limits, now: datetime = NOW) -> list[Attempt]:
    return list(released(Attempts(client, TABLE), of, now, now + MINUTE))


def test_of_a_control_s_line_one_goes_on_while_its_first_repairs_are_made_and_then_all(client: Any) -> None:
    for number in range(4):
        held(Attempts(client, TABLE), number, line=control_line("KMS.4"))
    of = limits(client, per_hour=100, first=2)

    (oldest,) = let_go(client, of)
    assert oldest.finding["uid"] == "f-0"
    of.admit(oldest.id, "KMS.4", NOW, automatic=True, reserved=False)
    assert let_go(client, of) == [], "it is under way"
    client.put_item(TableName=TABLE, Item=table.item({"pk": "control#KMS.4", "sk": "-", "verified": 2}))
    assert [a.finding["uid"] for a in let_go(client, of)] == ["f-1", "f-2", "f-3"]
    assert let_go(client, of) == []


def test_of_the_hour_s_line_as_many_go_on_as_have_room_and_where_nobody_waits_nobody_queues_up(
    client: Any,
) -> None:
    of = limits(client, per_hour=2)
    assert [admitted(of, f"a{n}") for n in range(3)] == [True, True, False]
    for number in range(3):
        held(Attempts(client, TABLE), number)
    assert let_go(client, of) == [], "the hour is full"

    second, third = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    assert [(a.finding["uid"], a.line) for a in let_go(client, of, second)] == [("f-0", "hour"), ("f-1", "hour")]
    assert not admitted(limits(client, per_hour=2), "new", second)
    assert [a.finding["uid"] for a in let_go(client, of, third)] == ["f-2"]
    assert admitted(limits(client, per_hour=2), "new", third), "nobody waits any more"


def test_where_nothing_may_be_repaired_nobody_goes_on(client: Any) -> None:
    held(Attempts(client, TABLE), 1)
    assert let_go(client, limits(client, per_hour=0)) == []


# --- deployed


@pytest.fixture(scope="module")
def world() -> Iterator[Sandbox]:
    with Sandbox(start=datetime(2026, 3, 2, 9, 5, tzinfo=UTC)) as world:
        yield world
        assert world.not_known() == []


@pytest.fixture(scope="module")
def stage(world: Sandbox) -> Stage:
    return Stage(
        world,
        SCAutomaticControls="KMS.4,S3.8,RDS.2,DynamoDB.6",
        RepairsPerHour="4",
        FirstRepairsOneByOne="2",
        RepairFindingsSince="2026-03-01",
    )


def minutes(stage: Stage, count: int) -> None:
    for _ in range(count):
        stage.world.advance(60)


def test_as_many_as_the_hour_takes_then_the_rest_the_oldest_first(stage: Stage) -> None:
    findings = [stage.finding(stage.key()) for _ in range(7)]
    for finding in findings:
        stage.publish(finding)
    stage.world.advance(30)
    assert [stage.attempt(f).outcome for f in findings] == [*["REMEDIATED"] * 4, *["HELD"] * 3]
    assert "RepairsPerHour" in stage.attempt(findings[5]).why
    minutes(stage, 5)
    assert stage.attempt(findings[4]).outcome == "HELD"

    by_hand = stage.publish(stage.finding(stage.key(), Workflow={"Status": "NOTIFIED"}))
    stage.press(REMEDIATE, by_hand)
    stage.world.advance(60)
    assert "waits" in stage.now(by_hand)["Note"]["Text"], "a button is answered"

    minutes(stage, 60)
    assert [stage.attempt(f).outcome for f in [*findings, by_hand]] == ["REMEDIATED"] * 8
    assert [stage.now(f)["Workflow"]["Status"] for f in findings] == ["RESOLVED"] * 7


def test_first_repairs_of_a_control_are_made_one_at_a_time(stage: Stage) -> None:
    minutes(stage, 60)
    first, second, third = (stage.public_database(f"limit-{n}") for n in range(3))
    for finding in (first, second, third):
        stage.publish(finding)
    assert [stage.attempt(f).outcome for f in (first, second, third)] == ["PENDING", "HELD", "HELD"]
    assert "one at a time" in stage.attempt(second).why
    seen = set()
    for _ in range(60):
        minutes(stage, 1)
        seen.add(tuple(stage.attempt(f).outcome for f in (first, second, third)))
    assert ("REMEDIATED", "PENDING", "HELD") in seen, "the oldest next"
    assert not any(outcomes.count("PENDING") > 1 and outcomes[1] != "REMEDIATED" for outcomes in seen)
    assert ("REMEDIATED", "REMEDIATED", "REMEDIATED") in seen


def test_what_waited_is_not_repaired_if_a_person_suppressed_it_meanwhile_or_it_passed(stage: Stage) -> None:
    minutes(stage, 60)
    for _ in range(4):
        stage.publish(stage.finding(stage.key()))
    kept, suppressed, passed = (stage.publish(stage.finding(stage.key())) for _ in range(3))
    assert {stage.attempt(f).outcome for f in (kept, suppressed, passed)} == {"HELD"}
    handle = {"Id": suppressed["Id"], "ProductArn": suppressed["ProductArn"]}
    stage.hub.batch_update_findings(FindingIdentifiers=[handle], Workflow={"Status": "SUPPRESSED"})
    now_passed = stage.finding(passed["Resources"][0]["Id"])
    now_passed["Compliance"]["Status"] = "PASSED"
    stage.publish(now_passed)

    minutes(stage, 62)

    assert [stage.attempt(f).outcome for f in (kept, suppressed, passed)] == ["REMEDIATED", "SKIPPED", "SKIPPED"]
    assert stage.attempt(suppressed).guard == "suppressed"
    assert not stage.rotates(suppressed["Resources"][0]["Id"])
    assert not stage.rotates(passed["Resources"][0]["Id"])


def test_automation_of_a_control_stops_at_a_first_repair_that_failed_and_goes_on_when_resumed(stage: Stage) -> None:
    minutes(stage, 60)
    s3 = stage.place.client("s3", "us-east-1")
    names = [f"limit-{n}" for n in range(3)]
    for name in names:
        s3.create_bucket(Bucket=name)
    identity: Any = stage.world.identity

    def refuse(call: Any) -> None:
        if call.operation == "PutPublicAccessBlock":
            raise ClientError({"Error": {"Code": "Refused", "Message": "made to fail"}}, call.operation)

    def found(name: str) -> dict[str, Any]:
        return stage.finding(f"arn:aws:s3:::{name}", control="S3.8", type="AwsS3Bucket", region="us-east-1")

    first, second, third = map(found, names)
    identity.before.append(refuse)
    stage.publish(first)
    stage.world.advance(30)
    identity.before.remove(refuse)
    assert stage.attempt(first).outcome == "FAILED"
    assert "S3.8 stopped" in stage.attempt(first).tripped
    stage.publish(second)
    minutes(stage, 90)
    assert stage.attempt(second).outcome == "HELD"
    assert "made to fail" in stage.attempt(second).why

    stage.press(REMEDIATE, stage.publish({**third, "Workflow": {"Status": "NOTIFIED"}}))
    assert stage.attempt(third).outcome == "REMEDIATED", "a person is not stopped"
    key = {"pk": {"S": "control#S3.8"}, "sk": {"S": "-"}}
    dynamodb = stage.world.identity.client("dynamodb", stage.organization.admin, stage.organization.home)
    dynamodb.update_item(TableName=stage.outputs["TableName"], Key=key, UpdateExpression="REMOVE stopped, stopped_at")
    minutes(stage, 3)
    assert stage.attempt(second).outcome == "REMEDIATED"


def test_a_turn_whose_answer_was_lost_is_given_back(stage: Stage) -> None:
    """The attempt did not know that it had the turn: had it ended FAILED, nobody else had got it for 26 hours."""
    minutes(stage, 60)
    dynamodb = stage.place.client("dynamodb")
    dynamodb.create_table(
        TableName="limit",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    identity: Any = stage.world.identity
    key = {"pk": {"S": "control#DynamoDB.6"}, "sk": {"S": "-"}}
    lost: list[Any] = []

    def lose(call: Any) -> None:
        if call.operation == "UpdateItem" and call.parameters["Key"] == key and not lost:
            lost.append(call)
            raise ReadTimeoutError(endpoint_url="https://made-to-fail")

    identity.after.append(lose)
    arn = stage.place.arn("dynamodb", "table/limit")
    finding = stage.publish(stage.finding(arn, control="DynamoDB.6", type="AwsDynamoDbTable"))
    identity.after.remove(lose)

    dynamodb = stage.world.identity.client("dynamodb", stage.organization.admin, stage.organization.home)
    assert lost
    assert stage.attempt(finding).outcome == "RETRY"
    assert "running" not in dynamodb.get_item(TableName=stage.outputs["TableName"], Key=key)["Item"]
    minutes(stage, 20)
    assert stage.attempt(finding).outcome == "REMEDIATED"


def test_findings_of_before_the_day_are_left_alone_until_a_person_asks(stage: Stage) -> None:
    minutes(stage, 60)
    old = "2026-02-28T23:59:59.000Z"
    finding = stage.publish(stage.finding(key := stage.key(), FirstObservedAt=old, CreatedAt=old))
    assert stage.attempt(finding).guard == "in-backlog"
    assert not stage.rotates(key)
    stage.press(REMEDIATE, finding)
    stage.world.advance(60)
    assert stage.rotates(key)
