"""Event patterns, schedules and routing, against tables from AWS's documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.events import InvalidPattern, InvalidSchedule, Pattern, next_time
from sandbox.world import Sandbox

ADMIN, MEMBER, HOME = "111111111111", "222222222222", "us-east-1"


def matches(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    return Pattern.parse(json.dumps(pattern)).matches(event)


# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
@pytest.mark.parametrize(
    ("case", "filter", "value", "expected"),
    [
        ("equals", ["a"], "a", True),
        ("equals another", ["a"], "b", False),
        ("one of", ["a", "b"], "b", True),
        ("null", [None], None, True),
        ("null is not the empty string", [None], "", False),
        ("empty", [""], "", True),
        ("empty is not null", [""], None, False),
        ("number", [300], 300, True),
        ("a number and its text differ", [300], "300", False),
        ("numbers are compared as they are written", [300], 300.0, False),
        ("true", [True], True, True),
        ("true is not 1", [True], 1, False),
        ("true is not its text", ["true"], True, False),
        ("prefix", [{"prefix": "us-"}], "us-east-1", True),
        ("prefix of a number", [{"prefix": "1"}], 1, False),
        ("prefix ignoring case", [{"prefix": {"equals-ignore-case": "EventB"}}], "eventbridge", True),
        ("suffix", [{"suffix": ".png"}], "a.png", True),
        ("suffix at another place", [{"suffix": ".png"}], "a.png.txt", False),
        ("suffix ignoring case", [{"suffix": {"equals-ignore-case": ".PNG"}}], "a.png", True),
        ("equals ignoring case", [{"equals-ignore-case": "alice"}], "ALICE", True),
        ("anything but", [{"anything-but": "initializing"}], "running", True),
        ("anything but that", [{"anything-but": "initializing"}], "initializing", False),
        ("anything but a number", [{"anything-but": 123}], 456, True),
        ("anything but a list", [{"anything-but": ["stopped", "overloaded"]}], "stopped", False),
        ("anything but a list of numbers", [{"anything-but": [100, 200]}], 300, True),
        ("anything but ignoring case", [{"anything-but": {"equals-ignore-case": ["Init"]}}], "INIT", False),
        ("anything but a prefix", [{"anything-but": {"prefix": "init"}}], "initializing", False),
        ("anything but prefixes", [{"anything-but": {"prefix": ["init", "stop"]}}], "running", True),
        ("anything but a suffix", [{"anything-but": {"suffix": ".txt"}}], "a.txt", False),
        ("anything but wildcards", [{"anything-but": {"wildcard": ["*/lib/*", "*/bin/*"]}}], "a/lib/b", False),
        ("numeric", [{"numeric": ["=", 301.8]}], 301.8, True),
        ("numeric range", [{"numeric": [">", 0, "<=", 5]}], 5, True),
        ("numeric out of range", [{"numeric": [">", 0, "<=", 5]}], 0, False),
        ("numeric of a text", [{"numeric": ["=", 5]}], "5", False),
        ("numeric of a boolean", [{"numeric": ["=", 1]}], True, False),
        ("address", [{"cidr": "10.0.0.0/24"}], "10.0.0.255", True),
        ("address outside", [{"cidr": "10.0.0.0/24"}], "10.0.1.0", False),
        ("no address", [{"cidr": "10.0.0.0/24"}], "host", False),
        ("address of version 6", [{"cidr": "2001:db8::/32"}], "2001:db8::1", True),
        ("exists", [{"exists": True}], "", True),
        ("wildcard", [{"wildcard": "dir/*.png"}], "dir/a/b.png", True),
        ("wildcard takes all of it", [{"wildcard": "*.png"}], "a.png?", False),
        ("an escaped asterisk", [{"wildcard": "a\\*b"}], "a*b", True),
        ("an escaped asterisk is no wildcard", [{"wildcard": "a\\*b"}], "axb", False),
    ],
)
def test_operator(case: str, filter: list[Any], value: Any, expected: bool) -> None:
    assert matches({"detail": {"x": filter}}, {"detail": {"x": value}}) is expected, case


# https://github.com/aws/event-ruler (the library of EventBridge), "Exists matching"
@pytest.mark.parametrize(
    ("case", "wanted", "detail", "expected"),
    [
        ("missing", False, {}, True),
        ("there", False, {"x": 1}, False),
        ("an object is no leaf", False, {"x": {"y": 1}}, True),
        ("an object does not exist as a leaf", True, {"x": {"y": 1}}, False),
        ("null exists", True, {"x": None}, True),
        ("an empty array has no leaf", False, {"x": []}, True),
    ],
)
def test_exists_looks_at_leaves(case: str, wanted: bool, detail: dict[str, Any], expected: bool) -> None:
    assert matches({"detail": {"x": [{"exists": wanted}]}}, {"detail": detail}) is expected, case


# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-arrays.html
def test_an_array_matches_where_one_element_does() -> None:
    assert matches({"resources": ["b"]}, {"resources": ["a", "b"]})
    assert not matches({"resources": ["c"]}, {"resources": ["a", "b"]})


def test_a_pattern_looks_into_objects_in_arrays() -> None:
    pattern = {"detail": {"findings": {"Compliance": {"Status": ["FAILED"]}}}}

    assert matches(pattern, {"detail": {"findings": [{"Compliance": {"Status": "FAILED"}}]}})


# https://github.com/aws/event-ruler "JSON Array Matching": the values of one match come from one element of each array.
@pytest.mark.parametrize(
    ("case", "employees", "expected"),
    [
        ("one element has both", [{"first": "Zoe", "last": "Pine"}, {"first": "Mark", "last": "Hamill"}], True),
        ("each has one", [{"first": "Zoe", "last": "Hamill"}, {"first": "Mark", "last": "Pine"}], False),
        ("the second element has both", [{"first": "Zoe", "last": "X"}, {"first": "Zoe", "last": "Pine"}], True),
    ],
)
def test_fields_come_from_one_element(case: str, employees: list[dict[str, str]], expected: bool) -> None:
    assert matches({"employees": {"first": ["Zoe"], "last": ["Pine"]}}, {"employees": employees}) is expected, case


def test_nested_arrays_are_consistent_at_each_level() -> None:
    pattern = {"teams": {"name": ["a"], "people": {"role": ["lead"], "site": ["x"]}}}
    people = [{"role": "lead", "site": "y"}, {"role": "dev", "site": "x"}]

    assert not matches(pattern, {"teams": [{"name": "a", "people": people}]})
    assert matches(pattern, {"teams": [{"name": "a", "people": [*people, {"role": "lead", "site": "x"}]}]})


# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html "Or matching"
@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"source": "aws.cloudwatch", "metric": "CPU"}, True),
        ({"source": "aws.cloudwatch", "namespace": "EC2", "kind": "k"}, True),
        ({"source": "aws.cloudwatch", "namespace": "EC2"}, False),
        ({"source": "other", "metric": "CPU"}, False),
    ],
)
def test_or(event: dict[str, Any], expected: bool) -> None:
    pattern = {"source": ["aws.cloudwatch"], "$or": [{"metric": ["CPU"]}, {"namespace": ["EC2"], "kind": ["k"]}]}

    assert matches(pattern, event) is expected


@pytest.mark.parametrize(
    ("case", "pattern", "reason"),
    [
        ("no JSON", "{", "no JSON"),
        ("empty", "{}", "not an object"),
        ("a scalar", '{"source": "x"}', "must be an object or an array"),
        ("an empty array", '{"source": []}', "empty arrays"),
        ("unknown operator", '{"source": [{"contains": "x"}]}', "unrecognized match type contains"),
        ("two operators", '{"source": [{"prefix": "x", "suffix": "y"}]}', "only one key"),
        ("exists as text", '{"source": [{"exists": "true"}]}', "either true or false"),
        ("numeric as text", '{"x": [{"numeric": [">", "5"]}]}', "must be a number"),
        ("numeric operator", '{"x": [{"numeric": ["!=", 5]}]}', "unrecognized numeric"),
        ("double wildcard", '{"x": [{"wildcard": "a**b"}]}', "consecutive"),
        ("mixed anything-but", '{"x": [{"anything-but": ["a", 1]}]}', "one kind"),
        ("bad network", '{"x": [{"cidr": "10.0.0.0/40"}]}', "malformed CIDR"),
        ("too long", json.dumps({"source": ["x" * 2048]}), "2048 characters"),
    ],
)
def test_a_bad_pattern_is_refused(case: str, pattern: str, reason: str) -> None:
    with pytest.raises(InvalidPattern, match=reason):
        Pattern.parse(pattern)


# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html (table of examples)
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 minute)", datetime(2024, 5, 15, 9, 31, 30, tzinfo=UTC)),
        ("rate(2 hours)", datetime(2024, 5, 15, 11, 30, 30, tzinfo=UTC)),
        ("cron(0 10 * * ? *)", datetime(2024, 5, 15, 10, 0, tzinfo=UTC)),
        ("cron(15 12 * * ? *)", datetime(2024, 5, 15, 12, 15, tzinfo=UTC)),
        ("cron(0 18 ? * MON-FRI *)", datetime(2024, 5, 15, 18, 0, tzinfo=UTC)),
        ("cron(0 8 1 * ? *)", datetime(2024, 6, 1, 8, 0, tzinfo=UTC)),
        ("cron(0/15 * * * ? *)", datetime(2024, 5, 15, 9, 45, tzinfo=UTC)),
        ("cron(0/5 8-17 ? * MON-FRI *)", datetime(2024, 5, 15, 9, 35, tzinfo=UTC)),
        ("cron(0 9 ? * 2#1 *)", datetime(2024, 6, 3, 9, 0, tzinfo=UTC)),
        ("cron(0 0 L * ? *)", datetime(2024, 5, 31, 0, 0, tzinfo=UTC)),
        ("cron(0 0 ? * 6L *)", datetime(2024, 5, 31, 0, 0, tzinfo=UTC)),
        ("cron(0 0 1W * ? *)", datetime(2024, 6, 3, 0, 0, tzinfo=UTC)),
        ("cron(0 0 1 1 ? 2023)", None),
    ],
)
def test_a_schedule_fires_next(expression: str, expected: datetime | None) -> None:
    assert next_time(expression, datetime(2024, 5, 15, 9, 30, 30, tzinfo=UTC)) == expected


@pytest.mark.parametrize(
    "expression",
    ["rate(1 minutes)", "rate(5 minute)", "rate(0 hours)", "cron(* * * * * *)", "cron(61 * * * ? *)", "at(x)"],
)
def test_a_bad_schedule_is_refused(expression: str) -> None:
    with pytest.raises(InvalidSchedule):
        next_time(expression, datetime(2024, 5, 15, tzinfo=UTC))


@pytest.fixture
def world() -> Iterator[Sandbox]:
    with Sandbox(start=datetime(2024, 5, 15, 9, 0, tzinfo=UTC)) as world:
        yield world


def queue(world: Sandbox, name: str, *, account: str = ADMIN, rule_arn: str | None = None) -> str:
    """Make a queue that takes events of a rule (no policy where there is none) and return its ARN."""
    sqs = world.identity.client("sqs", account, HOME)
    arn = f"arn:aws:sqs:{HOME}:{account}:{name}"
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    if rule_arn:
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return arn


def rule(
    world: Sandbox, targets: list[dict[str, Any]], *, account: str = ADMIN, name: str = "r", **settings: Any
) -> str:
    events = world.identity.client("events", account, HOME)
    settings = settings or {"EventPattern": json.dumps({"source": ["my.app", "aws.securityhub"]})}
    arn = events.put_rule(Name=name, **settings)["RuleArn"]
    events.put_targets(Rule=name, Targets=targets)
    return str(arn)


def put(world: Sandbox, account: str = ADMIN, **entry: Any) -> dict[str, Any]:
    events = world.identity.client("events", account, HOME)
    entry = {"Source": "my.app", "DetailType": "t", "Detail": "{}"} | entry
    result: dict[str, Any] = events.put_events(Entries=[entry])
    return result


def test_an_event_put_by_a_client_reaches_the_queue_as_eventbridge_writes_it(world: Sandbox) -> None:
    arn = f"arn:aws:events:{HOME}:{ADMIN}:rule/r"
    target = queue(world, "q", rule_arn=arn)
    rule(world, [{"Id": "q", "Arn": target}])

    event_id = put(world, Detail='{"a": 1}', Resources=["res"])["Entries"][0]["EventId"]
    world.run()

    (message,) = world.queues.contents(target)
    body = json.loads(message["body"])
    written = body.pop("time")
    assert body == {
        "version": "0",
        "id": event_id,
        "detail-type": "t",
        "source": "my.app",
        "account": ADMIN,
        "region": HOME,
        "resources": ["res"],
        "detail": {"a": 1},
    }
    # The clock runs on from 09:00:00 while a slow machine works.
    assert re.fullmatch(r"2024-05-15T09:0[0-4]:[0-5][0-9]Z", written)
    assert [hop.kind for hop in world.hops_of(event_id)] == ["event to rule", "rule to target"]


# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"Source": "aws.securityhub"}, "NotAuthorizedForSourceException"),
        ({"Detail": "[]"}, "MalformedDetail"),
        ({"Detail": "{"}, "MalformedDetail"),
        ({"Detail": json.dumps({"x": "x" * 1024 * 1024})}, "InvalidArgument"),
        ({"EventBusName": "no-such-bus"}, "ResourceNotFoundException"),
    ],
)
def test_a_bad_entry_fails_alone(world: Sandbox, entry: dict[str, Any], code: str) -> None:
    result = put(world, **entry)

    assert result["FailedEntryCount"] == 1
    assert result["Entries"][0]["ErrorCode"] == code


def test_a_rule_with_a_bad_pattern_is_refused(world: Sandbox) -> None:
    with pytest.raises(ClientError, match=r"InvalidEventPatternException.*unrecognized match type"):
        rule(world, [], EventPattern='{"source": [{"contains": "x"}]}')


def test_a_disabled_rule_gets_nothing(world: Sandbox) -> None:
    target = queue(world, "q", rule_arn=f"arn:aws:events:{HOME}:{ADMIN}:rule/r")
    rule(world, [{"Id": "q", "Arn": target}])
    world.identity.client("events", ADMIN, HOME).disable_rule(Name="r")

    put(world)
    world.run()

    assert world.queues.contents(target) == []


# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
@pytest.mark.parametrize(("exists", "code"), [(True, "NO_PERMISSIONS"), (False, "NO_RESOURCE")])
def test_what_a_target_does_not_take_goes_to_its_dead_letter_queue(world: Sandbox, exists: bool, code: str) -> None:
    arn = f"arn:aws:events:{HOME}:{ADMIN}:rule/r"
    target = queue(world, "q") if exists else f"arn:aws:sqs:{HOME}:{ADMIN}:gone"
    dead = queue(world, "dead", rule_arn=arn)
    rule(world, [{"Id": "q", "Arn": target, "DeadLetterConfig": {"Arn": dead}}])

    put(world)
    world.run()

    (message,) = world.dead_letters()[dead]
    attributes = message["attributes"]
    assert (attributes["RULE_ARN"], attributes["TARGET_ARN"], attributes["ERROR_CODE"]) == (arn, target, code)


def test_without_a_dead_letter_queue_the_loss_is_a_trouble(world: Sandbox) -> None:
    rule(world, [{"Id": "q", "Arn": queue(world, "q")}])

    put(world)
    world.run()

    assert [hop.kind for hop in world.troubles] == ["dropped"]


def bus_with(world: Sandbox, policy_account: str | None) -> str:
    admin = world.identity.client("events", ADMIN, HOME)
    arn = str(admin.create_event_bus(Name="central")["EventBusArn"])
    if policy_account:
        admin.put_permission(
            EventBusName="central", Action="events:PutEvents", Principal=policy_account, StatementId="members"
        )
    return arn


def forwarding_role(world: Sandbox, bus_arn: str, service: str = "events.amazonaws.com") -> str:
    iam = world.identity.client("iam", MEMBER, HOME)
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    allow = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": bus_arn}
    arn = iam.create_role(
        RoleName="forward", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    iam.put_role_policy(RoleName="forward", PolicyName="p", PolicyDocument=policy)
    return str(arn)


# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html
def test_an_event_crosses_accounts_by_role_and_bus_policy_and_keeps_its_account(world: Sandbox) -> None:
    bus = bus_with(world, MEMBER)
    rule(world, [{"Id": "bus", "Arn": bus, "RoleArn": forwarding_role(world, bus)}], account=MEMBER)
    inner = f"arn:aws:events:{HOME}:{ADMIN}:rule/central/inner"
    target = queue(world, "q", rule_arn=inner)
    admin = world.identity.client("events", ADMIN, HOME)
    admin.put_rule(Name="inner", EventBusName="central", EventPattern=json.dumps({"account": [MEMBER]}))
    admin.put_targets(Rule="inner", EventBusName="central", Targets=[{"Id": "q", "Arn": target}])

    world.emit(MEMBER, HOME, source="aws.securityhub", detail_type="t", detail={})
    world.run()

    (message,) = world.queues.contents(target)
    assert json.loads(message["body"])["account"] == MEMBER
    assert json.loads(message["body"])["source"] == "aws.securityhub"


@pytest.mark.parametrize(
    ("case", "policy_account", "service", "code"),
    [
        ("the bus does not let the account", None, "events.amazonaws.com", "NO_PERMISSIONS"),
        ("the role does not trust EventBridge", MEMBER, "lambda.amazonaws.com", "FAILED_TO_ASSUME_ROLE"),
    ],
)
def test_an_event_that_may_not_cross_stays(
    world: Sandbox, case: str, policy_account: str | None, service: str, code: str
) -> None:
    bus = bus_with(world, policy_account)
    role = forwarding_role(world, bus, service)
    rule(world, [{"Id": "bus", "Arn": bus, "RoleArn": role}], account=MEMBER)

    world.emit(MEMBER, HOME, source="aws.securityhub", detail_type="t", detail={})
    world.run()

    assert code in (world.troubles[-1].error or ""), case
    assert [routed.bus for routed in world.router.seen] == ["default"]


def test_a_schedule_fires_as_often_as_the_clock_says(world: Sandbox) -> None:
    arn = f"arn:aws:events:{HOME}:{ADMIN}:rule/every"
    target = queue(world, "q", rule_arn=arn)
    rule(
        world, [{"Id": "q", "Arn": target, "Input": '{"due": true}'}], name="every", ScheduleExpression="rate(1 minute)"
    )
    world.run()

    world.advance(59)
    assert world.queues.contents(target) == []
    world.advance(2)
    assert [message["body"] for message in world.queues.contents(target)] == ['{"due": true}']
    world.advance(120)
    assert len(world.queues.contents(target)) == 3
