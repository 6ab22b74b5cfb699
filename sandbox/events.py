"""
Amazon EventBridge: event patterns, schedules, and the way of an event from a bus to the targets of its rules.

Rules, targets and buses are moto's, so whatever made them (a template, boto3, the AWS CLI) counts. Matching and
delivery are ours: moto's matcher does not look into arrays of objects as EventBridge does, and its delivery asks
nobody for permission.
"""

from __future__ import annotations

import calendar
import ipaddress
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from moto.events.exceptions import InvalidEventPatternException
from moto.events.models import EventsBackend, Rule, events_backends

if TYPE_CHECKING:
    from sandbox.world import Sandbox

PATTERN_LIMIT = 2048
"""Characters. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html"""
ENTRY_LIMIT = 1024 * 1024
"""Bytes of one PutEvents entry. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html"""
_OR_LIMIT = 1000

Test = Callable[[Any], bool]


class InvalidPattern(ValueError):
    """EventBridge would refuse this event pattern; the text says why."""


# ----------------------------------------------------------------------------------------------------- event patterns
@dataclass(frozen=True, slots=True)
class _Leaf:
    """One field of a pattern: any of *tests* must take the value; *absent* lets the field be missing."""

    path: tuple[str, ...]
    tests: tuple[Test, ...]
    absent: bool


@dataclass(frozen=True, slots=True)
class _Value:
    """One value of an event, and the place in each array on the way to it: {path of the array: index}."""

    value: Any
    places: Mapping[tuple[Any, ...], int]


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    An event pattern, ready to match.

    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-content-based-filtering.html
    """

    alternatives: tuple[tuple[_Leaf, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Return the pattern of a JSON text. Raises InvalidPattern."""
        if len(text) > PATTERN_LIMIT:
            raise InvalidPattern(f"Event pattern exceeds {PATTERN_LIMIT} characters: it has {len(text)}")
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise InvalidPattern(f"Event pattern is no JSON: {error}") from error
        if not isinstance(content, dict) or not content:
            raise InvalidPattern("Filter is not an object, or has no field")
        return cls(tuple(tuple(leaves) for leaves in _alternatives(content, ())))

    def matches(self, event: Mapping[str, Any]) -> bool:
        """Say whether the event has, for each field of the pattern, a value that the pattern takes."""
        return self.matches_flat(flatten(event))

    def matches_flat(self, values: Mapping[tuple[str, ...], Sequence[_Value]]) -> bool:
        """Like matches(), for an event that was flattened before; many rules look at one event."""
        return any(_consistent(leaves, 0, {}, values) for leaves in self.alternatives)


def flatten(event: Mapping[str, Any]) -> dict[tuple[str, ...], list[_Value]]:
    """Return each leaf of the event by its path; the elements of an array share the path of the array."""
    found: dict[tuple[str, ...], list[_Value]] = {}

    def visit(value: Any, path: tuple[str, ...], exact: tuple[Any, ...], places: dict[tuple[Any, ...], int]) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                visit(inner, (*path, key), (*exact, key), places)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                visit(inner, path, (*exact, index), {**places, exact: index})
        else:
            found.setdefault(path, []).append(_Value(value, places))

    visit(event, (), (), {})
    return found


def _consistent(
    leaves: Sequence[_Leaf],
    start: int,
    places: Mapping[tuple[Any, ...], int],
    values: Mapping[tuple[str, ...], Sequence[_Value]],
) -> bool:
    """Find a value for each leaf such that all values inside one array are in the same element of it."""
    if start == len(leaves):
        return True
    leaf = leaves[start]
    there = values.get(leaf.path, ())
    if not there:
        return leaf.absent and _consistent(leaves, start + 1, places, values)
    for value in there:
        if all(places.get(array, index) == index for array, index in value.places.items()) and any(
            test(value.value) for test in leaf.tests
        ):
            merged = {**places, **value.places} if value.places else places
            if _consistent(leaves, start + 1, merged, values):
                return True
    return False


def _alternatives(content: Mapping[str, Any], path: tuple[str, ...]) -> list[list[_Leaf]]:
    """Return the pattern as an or of ands."""
    result: list[list[_Leaf]] = [[]]
    for key, value in content.items():
        name = ".".join((*path, key))
        if _is_or(key, value):
            branches = [leaves for branch in value for leaves in _alternatives(branch, path)]
        elif isinstance(value, Mapping):
            if not value:
                raise InvalidPattern(f'"{name}" is an empty object')
            branches = _alternatives(value, (*path, key))
        elif isinstance(value, list):
            branches = [[_leaf((*path, key), value)]]
        else:
            raise InvalidPattern(f'"{name}" must be an object or an array')
        result = [[*left, *right] for left in result for right in branches]
        if len(result) > _OR_LIMIT:
            raise InvalidPattern(f"Rule is too complex: $or makes more than {_OR_LIMIT} combinations")
    return result


def _is_or(key: str, value: Any) -> bool:
    return (
        key == "$or"
        and isinstance(value, list)
        and len(value) > 1
        and all(isinstance(branch, Mapping) and branch and not set(branch) & set(_OPERATORS) for branch in value)
    )


def _leaf(path: tuple[str, ...], elements: Sequence[Any]) -> _Leaf:
    name = ".".join(path)
    if not elements:
        raise InvalidPattern(f'"{name}": empty arrays are not allowed')
    tests: list[Test] = []
    absent = False
    for element in elements:
        if element == {"exists": False} and isinstance(element["exists"], bool):
            absent = True
        else:
            tests.append(_test(name, element))
    return _Leaf(path, tuple(tests), absent)


def _test(name: str, element: Any) -> Test:
    if isinstance(element, list):
        raise InvalidPattern(f'"{name}": match value must be string, number, true, false, or null')
    if not isinstance(element, Mapping):
        return _exactly(element)
    if len(element) != 1:
        raise InvalidPattern(f'"{name}": only one key allowed in match expression, not {sorted(element)}')
    ((operator, argument),) = element.items()
    if operator not in _OPERATORS:
        raise InvalidPattern(f'"{name}": unrecognized match type {operator}')
    return _OPERATORS[operator](name, argument)


def _exactly(wanted: Any) -> Test:
    # EventBridge compares the texts of numbers, so 300 is not 300.0; and in JSON true is not 1.
    text = json.dumps(wanted)
    return lambda value: json.dumps(value) == text if not isinstance(value, str) else value == wanted


def _string(name: str, operator: str, argument: Any, *, empty: bool = True) -> str:
    if not isinstance(argument, str):
        raise InvalidPattern(f'"{name}": {operator} match pattern must be a string')
    if not argument and not empty:
        raise InvalidPattern(f'"{name}": null {operator} not allowed')
    return argument


def _affix(operator: str) -> Callable[[str, Any], Test]:
    def build(name: str, argument: Any) -> Test:
        folded = isinstance(argument, Mapping) and set(argument) == {"equals-ignore-case"}
        wanted = _string(name, operator, argument["equals-ignore-case"] if folded else argument)
        if folded:
            wanted = wanted.lower()

        def test(value: Any) -> bool:
            if not isinstance(value, str):
                return False
            text = value.lower() if folded else value
            return text.startswith(wanted) if operator == "prefix" else text.endswith(wanted)

        return test

    return build


def _equals_ignore_case(name: str, argument: Any) -> Test:
    wanted = _string(name, "equals-ignore-case", argument).lower()
    return lambda value: isinstance(value, str) and value.lower() == wanted


def _wildcard(name: str, argument: Any) -> Test:
    text = _string(name, "wildcard", argument)
    expression, position, after_star = "", 0, False
    while position < len(text):
        character = text[position]
        if character == "\\":
            if text[position + 1 : position + 2] not in ("*", "\\"):
                raise InvalidPattern(f'"{name}": invalid escape character in wildcard {text!r}')
            expression, position, after_star = expression + re.escape(text[position + 1]), position + 2, False
            continue
        if character == "*" and after_star:
            raise InvalidPattern(f'"{name}": consecutive wildcard characters in {text!r}')
        expression += ".*" if character == "*" else re.escape(character)
        after_star = character == "*"
        position += 1
    compiled = re.compile(expression, re.DOTALL)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _numeric(name: str, argument: Any) -> Test:
    comparisons: dict[str, Callable[[float, float], bool]] = {
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        "=": lambda a, b: a == b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }
    if not isinstance(argument, list) or len(argument) not in (2, 4):
        raise InvalidPattern(f'"{name}": numeric needs one or two comparisons')
    wanted = list(zip(argument[::2], argument[1::2], strict=True))
    for sign, number in wanted:
        if sign not in comparisons:
            raise InvalidPattern(f'"{name}": unrecognized numeric range operator {sign}')
        if not _is_number(number) or abs(number) > 5e9:
            raise InvalidPattern(f'"{name}": value of {sign} must be a number between -5e9 and 5e9, not {number!r}')
    if len(wanted) == 2 and (wanted[0][0] not in (">", ">=") or wanted[1][0] not in ("<", "<=")):
        raise InvalidPattern(f'"{name}": a numeric range is > or >=, then < or <=')
    return lambda value: _is_number(value) and all(comparisons[sign](value, number) for sign, number in wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _exists(name: str, argument: Any) -> Test:
    if argument is not True:  # False was taken by _leaf
        raise InvalidPattern(f'"{name}": exists match pattern must be either true or false')
    return lambda value: True


def _cidr(name: str, argument: Any) -> Test:
    text = _string(name, "cidr", argument)
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidPattern(f'"{name}": malformed CIDR {text!r}: {error}') from error

    def test(value: Any) -> bool:
        if not isinstance(value, str):
            return False
        try:
            return ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return test


def _anything_but(name: str, argument: Any) -> Test:
    if isinstance(argument, Mapping):
        if len(argument) != 1 or next(iter(argument)) not in ("prefix", "suffix", "equals-ignore-case", "wildcard"):
            raise InvalidPattern(f'"{name}": unsupported anything-but pattern {sorted(argument)}')
        ((operator, inner),) = argument.items()
        items = inner if isinstance(inner, list) else [inner]
        if not items:
            raise InvalidPattern(f'"{name}": empty arrays are not allowed')
        for item in items:
            _string(name, operator, item, empty=False)
        refused = [_OPERATORS[operator](name, item) for item in items]
    else:
        items = argument if isinstance(argument, list) else [argument]
        if not items:
            raise InvalidPattern(f'"{name}": empty arrays are not allowed')
        if not (all(isinstance(item, str) for item in items) or all(_is_number(item) for item in items)):
            raise InvalidPattern(f'"{name}": anything-but takes strings or numbers, all of one kind')
        refused = [_exactly(item) for item in items]
    return lambda value: not any(test(value) for test in refused)


_OPERATORS: dict[str, Callable[[str, Any], Test]] = {
    "prefix": _affix("prefix"),
    "suffix": _affix("suffix"),
    "equals-ignore-case": _equals_ignore_case,
    "wildcard": _wildcard,
    "numeric": _numeric,
    "exists": _exists,
    "cidr": _cidr,
    "anything-but": _anything_but,
}


# ---------------------------------------------------------------------------------------------------------- schedules
class InvalidSchedule(ValueError):
    """EventBridge would refuse this schedule expression."""


_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def next_time(expression: str, after: datetime) -> datetime | None:
    """
    Return when the schedule fires next after *after*; None where it never does. *after* and the answer are in UTC.

    Raises InvalidSchedule.
    Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
    """
    if match := re.fullmatch(r"rate\(([1-9][0-9]*) (minute|hour|day)(s?)\)", expression):
        count = int(match[1])
        if (count == 1) == bool(match[3]):
            raise InvalidSchedule(f"{expression}: singular for 1, plural for more")
        return (
            after
            + count * {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}[match[2]]
        )
    match = re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)", expression)
    if not match:
        raise InvalidSchedule(f"{expression!r} is neither rate(value unit) nor cron(with six fields)")
    minutes = _field(expression, match[1], 0, 59)
    hours = _field(expression, match[2], 0, 23)
    months = _field(expression, match[4], 1, 12, _MONTHS)
    years = _field(expression, match[6], 1970, 2199)
    if (match[3] == "?") == (match[5] == "?"):
        raise InvalidSchedule(f"{expression}: exactly one of day-of-month and day-of-week is ?")
    is_day = _day_test(expression, match[3], match[5])
    start = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    day = start.date()
    while day.year <= max(years):
        if day.year in years and day.month in months and is_day(day):
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    found = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                    if found >= start:
                        return found
        if day == date(2199, 12, 31):
            return None
        day += timedelta(days=1)
    return None


def _field(expression: str, text: str, low: int, high: int, names: Sequence[str] = (), base: int = 1) -> set[int]:
    def number(part: str) -> int:
        if part.upper() in names:
            return names.index(part.upper()) + base
        if not re.fullmatch("[0-9]+", part) or not low <= int(part) <= high:
            raise InvalidSchedule(f"{expression}: {part!r} is not within {low} to {high}")
        return int(part)

    found: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            first, last = (number(part) for part in span.split("-", 1))
        else:
            first = number(span)
            last = high if step else first
        if step and not re.fullmatch("[1-9][0-9]*", step):
            raise InvalidSchedule(f"{expression}: bad step {step!r}")
        # A span may wrap around, as FRI-MON does.
        values = range(first, last + 1) if first <= last else [*range(first, high + 1), *range(low, last + 1)]
        found.update(list(values)[:: int(step or 1)])
    return found


def _day_test(expression: str, of_month: str, of_week: str) -> Callable[[date], bool]:
    def last(day: date) -> int:
        return calendar.monthrange(day.year, day.month)[1]

    def weekday(day: date) -> int:
        return day.isoweekday() % 7 + 1  # 1 is Sunday

    if of_week == "?":
        if of_month == "L":
            return lambda day: day.day == last(day)
        if match := re.fullmatch("([0-9]{1,2})W", of_month):
            wanted = int(match[1])
            return lambda day: day.day == _nearest_weekday(day.year, day.month, min(wanted, last(day)))
        if of_month == "LW":
            return lambda day: day.day == _nearest_weekday(day.year, day.month, last(day))
        days = _field(expression, of_month, 1, 31)
        return lambda day: day.day in days
    if match := re.fullmatch("([A-Za-z0-9]+)#([1-5])", of_week):
        (wanted_day,) = _field(expression, match[1], 1, 7, _DAYS)
        nth = int(match[2])
        return lambda day: weekday(day) == wanted_day and (day.day - 1) // 7 + 1 == nth
    if match := re.fullmatch("([A-Za-z0-9]+)L", of_week):
        (wanted_day,) = _field(expression, match[1], 1, 7, _DAYS)
        return lambda day: weekday(day) == wanted_day and day.day + 7 > last(day)
    weekdays = {7} if of_week == "L" else _field(expression, of_week, 1, 7, _DAYS)
    return lambda day: weekday(day) in weekdays


def _nearest_weekday(year: int, month: int, day: int) -> int:
    there = date(year, month, day)
    last = calendar.monthrange(year, month)[1]
    if there.weekday() == 5:
        return day - 1 if day > 1 else day + 2
    if there.weekday() == 6:
        return day + 1 if day < last else day - 2
    return day


# ------------------------------------------------------------------------------------------------------------- router
class DeliveryFailed(Exception):
    """A target did not take an event; *code* is the ERROR_CODE that EventBridge writes on the dead letter."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Routed:
    """An event on a bus, waiting for its rules or gone through them; *hops* counts the buses before this one."""

    account: str
    region: str
    bus: str
    event: Mapping[str, Any]
    hops: int = 0

    @property
    def id(self) -> str:
        return str(self.event["id"])


@dataclass(slots=True)
class _Schedule:
    expression: str
    due: datetime | None


@dataclass(slots=True)
class Router:
    """The event buses of the whole organization. install() hooks PutEvents; route() delivers what waits."""

    world: Sandbox
    seen: list[Routed] = field(default_factory=list)
    """Every event that was routed, in order."""
    _pending: list[Routed] = field(default_factory=list)
    _patterns: dict[str, Pattern] = field(default_factory=dict)
    _schedules: dict[str, _Schedule] = field(default_factory=dict)
    _clients: dict[str, tuple[datetime, Any]] = field(default_factory=dict)
    _forwarding: Routed | None = None

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within: moto's PutEvents puts on our buses, and PutRule refuses what EventBridge refuses."""
        put_rule = EventsBackend.put_rule

        def checked_put_rule(backend: Any, *args: Any, **kwargs: Any) -> Any:
            rule_pattern = kwargs.get("event_pattern")
            expression = kwargs.get("scheduled_expression") or kwargs.get("schedule_expression")
            self._check_rule(rule_pattern, expression)
            return put_rule(backend, *args, **kwargs)

        with ExitStack() as stack:
            stack.enter_context(
                patch.object(EventsBackend, "put_events", lambda backend, events: self._put(backend, events))
            )
            stack.enter_context(patch.object(EventsBackend, "put_rule", checked_put_rule))
            yield

    @staticmethod
    def _check_rule(event_pattern: str | None, expression: str | None) -> None:
        if event_pattern:
            try:
                Pattern.parse(event_pattern)
            except InvalidPattern as error:
                raise InvalidEventPatternException(reason=str(error)) from error
        if expression:
            try:
                next_time(expression, datetime.now(UTC))
            except InvalidSchedule as error:
                from moto.core.exceptions import JsonRESTError

                text = f"Parameter ScheduleExpression is not valid: {error}"
                raise JsonRESTError("ValidationException", text) from error

    def emit(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str],
    ) -> str:
        """Put an event of an AWS service on the default bus; return its id."""
        event = self._event(account, region, source, detail_type, detail, resources, None)
        self._pending.append(Routed(account, region, "default", event))
        return str(event["id"])

    def _event(
        self,
        account: str,
        region: str,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str],
        at: datetime | None,
    ) -> dict[str, Any]:
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": account,
            "time": (at or self.world.clock.now()).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": region,
            "resources": list(resources),
            # As JSON, so that nobody shares an object with a target, and what is no JSON fails here.
            "detail": json.loads(json.dumps(detail)),
        }

    def _put(self, backend: Any, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """
        PutEvents; returns one result per entry.

        Source: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
        """
        if not 1 <= len(entries) <= 10:
            from moto.core.exceptions import JsonRESTError

            raise JsonRESTError("ValidationException", "PutEvents takes 1 to 10 entries")
        if self._forwarding is not None:
            forwarded, self._forwarding = self._forwarding, None
            self._pending.append(forwarded)
            return [{"EventId": forwarded.id}]
        return [self._put_entry(backend, entry) for entry in entries]

    def _put_entry(self, backend: Any, entry: Mapping[str, Any]) -> dict[str, Any]:
        def failed(code: str, message: str) -> dict[str, Any]:
            return {"ErrorCode": code, "ErrorMessage": message}

        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                return failed(
                    "InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument."
                )
        if entry["Source"].startswith("aws."):
            return failed("NotAuthorizedForSourceException", "Not authorized for the source.")
        size = sum(len(str(entry[name]).encode()) for name in ("Source", "DetailType", "Detail"))
        size += 14 if entry.get("Time") else 0
        size += sum(len(resource.encode()) for resource in entry.get("Resources", ()))
        if size > ENTRY_LIMIT:
            return failed("InvalidArgument", f"Total size of the entry is {size} bytes, more than {ENTRY_LIMIT}.")
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            return failed("MalformedDetail", "Detail is malformed.")
        if not isinstance(detail, dict):
            return failed("MalformedDetail", "Detail is malformed.")
        bus = (entry.get("EventBusName") or "default").rsplit("/", 1)[-1]
        if bus not in backend.event_buses:
            return failed("ResourceNotFoundException", f"Event bus {bus} does not exist.")
        at = entry.get("Time")
        if isinstance(at, int | float):
            at = datetime.fromtimestamp(at, UTC)
        event = self._event(
            backend.account_id,
            backend.region_name,
            entry["Source"],
            entry["DetailType"],
            detail,
            entry.get("Resources", ()),
            at if isinstance(at, datetime) else None,
        )
        self._pending.append(Routed(backend.account_id, backend.region_name, bus, event))
        return {"EventId": event["id"]}

    # -------------------------------------------------------------------------------------------------------- routing
    def route(self) -> int:
        """Take every waiting event through the rules of its bus; return how many there were."""
        count = 0
        while self._pending:
            routed = self._pending.pop(0)
            count += 1
            self.seen.append(routed)
            self._through_rules(routed)
        return count

    def _through_rules(self, routed: Routed) -> None:
        bus = events_backends[routed.account][routed.region].event_buses.get(routed.bus)
        if bus is None:
            return
        values = flatten(routed.event)
        for rule in list(bus.rules.values()):
            text = rule.event_pattern.dump()
            if rule.state != "DISABLED" and text and self._pattern(text).matches_flat(values):
                self.world.record("event to rule", routed.id, bus.arn, rule.arn)
                self._to_targets(rule, routed)

    def _pattern(self, text: str) -> Pattern:
        if text not in self._patterns:
            self._patterns[text] = Pattern.parse(text)
        return self._patterns[text]

    def _to_targets(self, rule: Rule, routed: Routed) -> None:
        for target in list(rule.targets):
            try:
                message_id = self._to_target(rule, target, routed)
            except DeliveryFailed as error:
                self.world.record("rule to target", routed.id, rule.arn, target["Arn"], error=f"{error.code}: {error}")
                self._to_dead_letters(rule, target, routed, error)
            else:
                self.world.record("rule to target", routed.id, rule.arn, target["Arn"], message_id=message_id)

    def _to_target(self, rule: Rule, target: Mapping[str, Any], routed: Routed) -> str | None:
        unknown = set(target) - {"Id", "Arn", "RoleArn", "Input", "DeadLetterConfig", "RetryPolicy"}
        if unknown:
            raise NotImplementedError(f"sandbox: {rule.arn}: target property {', '.join(sorted(unknown))} is not known")
        arn = target["Arn"]
        body = target.get("Input") or json.dumps(routed.event)
        service, region, account = arn.split(":")[2:5]
        with _as_delivery_failure(arn):
            if service == "sqs":
                if self.world.queues.find(arn) is None:
                    raise DeliveryFailed("NO_RESOURCE", f"there is no queue {arn}")
                self._authorize("sqs:SendMessage", arn, rule)
                return self.world.queues.send(arn, body)
            if service == "lambda":
                self.world.functions.find(arn)
                self._authorize("lambda:InvokeFunction", arn, rule)
                return self.world.functions.invoke_later(arn, json.loads(body))
            if service == "sns":
                self._authorize("sns:Publish", arn, rule)
                sns = self.world.identity.client("sns", account, region)
                return str(sns.publish(TopicArn=arn, Message=body)["MessageId"])
            if service == "logs":
                self._to_log_group(arn, body)
                return None
            if service == "events":
                return self._to_bus(rule, target, routed)
        raise NotImplementedError(f"sandbox: {rule.arn}: a target in {service} is not known ({arn})")

    def _authorize(self, action: str, resource: str, rule: Rule) -> None:
        context = {"aws:SourceArn": rule.arn, "aws:SourceAccount": rule.account_id}
        self.world.identity.authorize_service("events.amazonaws.com", action, resource, context)

    def _to_log_group(self, arn: str, body: str) -> None:
        name = arn.split(":log-group:", 1)[1].removesuffix(":*")
        _, _, _, region, account = arn.split(":")[:5]
        context = {"aws:SourceAccount": account}
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            self.world.identity.authorize_service(
                "events.amazonaws.com", action, arn.removesuffix(":*") + ":*", context
            )
        logs = self.world.identity.client("logs", account, region)
        stream = str(uuid.uuid4())
        logs.create_log_stream(logGroupName=name, logStreamName=stream)
        at = int(self.world.clock.now().timestamp() * 1000)
        logs.put_log_events(logGroupName=name, logStreamName=stream, logEvents=[{"timestamp": at, "message": body}])

    def _to_bus(self, rule: Rule, target: Mapping[str, Any], routed: Routed) -> str:
        """
        Send the event on to another bus with the target's role; the event stays as it is, account and Region too.

        Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html
        """
        arn = target["Arn"]
        region, account = arn.split(":")[3:5]
        if routed.hops and account != rule.account_id:
            raise DeliveryFailed(
                "THIRD_ACCOUNT_HOP_DETECTED", "an event from another account is not sent on to a third"
            )
        if routed.hops and region != rule.region_name:
            raise DeliveryFailed("THIRD_REGION_HOP_DETECTED", "an event from another Region is not sent on to a third")
        if not target.get("RoleArn"):
            raise DeliveryFailed("NO_PERMISSIONS", f"target {target['Id']} is an event bus, but has no RoleArn")
        client = self._client_as(target["RoleArn"], rule, region)
        elsewhere = (account, region) != (rule.account_id, rule.region_name)
        name = arn.split(":event-bus/", 1)[1]
        self._forwarding = Routed(account, region, name, routed.event, routed.hops + elsewhere)
        entry = {
            "Source": routed.event["source"],
            "DetailType": routed.event["detail-type"],
            "Detail": json.dumps(routed.event["detail"]),
            "EventBusName": arn,
        }
        try:
            client.put_events(Entries=[entry])
        finally:
            self._forwarding = None
        return routed.id

    def _client_as(self, role_arn: str, rule: Rule, region: str) -> Any:
        """Return an EventBridge client of the role that events.amazonaws.com assumes for the rule; kept an hour."""
        key = f"{role_arn} {rule.arn} {region}"
        kept = self._clients.get(key)
        if kept and kept[0] > self.world.clock.now():
            return kept[1]
        context = {"aws:SourceArn": rule.arn, "aws:SourceAccount": rule.account_id}
        try:
            credentials = self.world.identity.service_assumes_role(
                "events.amazonaws.com", role_arn, uuid.uuid4().hex, context
            )
        except ClientError as error:
            raise DeliveryFailed("FAILED_TO_ASSUME_ROLE", str(error)) from error
        client = self.world.client_with(credentials, "events", region)
        self._clients[key] = (self.world.clock.now() + timedelta(hours=1), client)
        return client

    def _to_dead_letters(self, rule: Rule, target: Mapping[str, Any], routed: Routed, error: DeliveryFailed) -> None:
        """
        Send what a target did not take to the target's dead-letter queue.

        Each failure that the sandbox knows (no permission, no resource) is of the kind that EventBridge doesn't retry.
        Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
        """
        arn = (target.get("DeadLetterConfig") or {}).get("Arn")
        if arn is None:
            self.world.record(
                "dropped", routed.id, rule.arn, target["Arn"], error=f"{error.code}: no dead-letter queue"
            )
            return
        attributes = {
            "RULE_ARN": rule.arn,
            "TARGET_ARN": target["Arn"],
            "ERROR_CODE": error.code,
            "ERROR_MESSAGE": str(error),
            "RETRY_ATTEMPTS": "0",
        }
        try:
            with _as_delivery_failure(arn):
                self._authorize("sqs:SendMessage", arn, rule)
                message_id = self.world.queues.send(arn, json.dumps(routed.event), attributes)
        except DeliveryFailed as second:
            self.world.record("dropped", routed.id, rule.arn, arn, error=f"{second.code}: {second}")
        else:
            self.world.record("dead letter", routed.id, rule.arn, arn, message_id=message_id, error=error.code)

    # ------------------------------------------------------------------------------------------------------ schedules
    def notice_schedules(self) -> None:
        """Start the schedules of rules that are new, changed or enabled again; forget those that are gone."""
        there = {rule.arn: str(rule.scheduled_expression) for rule in self._scheduled_rules()}
        for arn in set(self._schedules) - set(there):
            del self._schedules[arn]
        for arn, expression in there.items():
            known = self._schedules.get(arn)
            if known is None or known.expression != expression:
                self._schedules[arn] = _Schedule(expression, next_time(expression, self.world.clock.now()))

    def next_schedule(self) -> datetime | None:
        """Return when the next scheduled rule is due."""
        return min((schedule.due for schedule in self._schedules.values() if schedule.due), default=None)

    def fire_schedules(self) -> int:
        """Send the events of each scheduled rule that is due to its targets; a schedule missed twice fires once."""
        now = self.world.clock.now()
        count = 0
        for rule in self._scheduled_rules():
            schedule = self._schedules.get(rule.arn)
            if schedule is None or schedule.due is None or schedule.due > now:
                continue
            event = self._event(
                rule.account_id, rule.region_name, "aws.events", "Scheduled Event", {}, [rule.arn], schedule.due
            )
            while schedule.due is not None and schedule.due <= now:
                schedule.due = next_time(schedule.expression, schedule.due)
            routed = Routed(rule.account_id, rule.region_name, rule.event_bus_name, event)
            self.seen.append(routed)
            self.world.record("schedule", routed.id, rule.arn, rule.arn)
            self._to_targets(rule, routed)
            count += 1
        return count

    def _scheduled_rules(self) -> list[Rule]:
        return [
            rule
            for regions in list(events_backends.values())
            for backend in list(regions.values())
            for bus in backend.event_buses.values()
            for rule in bus.rules.values()
            if rule.scheduled_expression and rule.state != "DISABLED"
        ]


@contextmanager
def _as_delivery_failure(arn: str) -> Iterator[None]:
    """Within: an AWS error of the target is a DeliveryFailed with EventBridge's code for it."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if "AccessDenied" in code or code in ("AuthorizationError", "KMS.AccessDeniedException"):
            raise DeliveryFailed("NO_PERMISSIONS", str(error)) from error
        if "NotFound" in code or "NonExistent" in code or "DoesNotExist" in code:
            raise DeliveryFailed("NO_RESOURCE", f"{arn}: {error}") from error
        raise DeliveryFailed("ERROR_FROM_TARGET", str(error)) from error
