"""
Limits on repairs: so many an hour for the whole deployment, and a control's first ones one at a time.

Two kinds of items in the table of attempts:
    limits               hour (`2026-11-25T08`), used, waiting: whether attempts wait for a later hour
    control#<control>    verified: how many repairs; running, until: who repairs now; stopped, stopped_at: why and when
                         automation of the control stopped

An attempt is admitted by conditional writes before its first write to a resource. Where one does not hold, the attempt
is HELD in a line: `hour`, or its control's. The sweeper lets the oldest of each line go on.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html#WorkingWithItems.ConditionalUpdate
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sharr import table
from sharr.table import stamp

HOUR_LINE = "hour"
TURN_AT_MOST = timedelta(hours=26)
"""Longer than any attempt: a turn ends with its attempt. What is left of one whose playbook was unloaded ends so."""
REMEMBERED = timedelta(seconds=30)
AT_ONCE = 100


class Held(Exception):
    """A limit is reached: nothing may be written now. *line* is where the attempt waits for its turn."""

    def __init__(self, why: str, to_do: str, line: str) -> None:
        super().__init__(why)
        self.to_do = to_do
        self.line = line


@dataclass(frozen=True, slots=True)
class Turn:
    """How a control stands: how many repairs were verified, who repairs now, why automation stopped."""

    verified: int
    running: str
    until: str
    stopped: str


@dataclass(frozen=True, slots=True)
class Hour:
    """How many more repairs this hour takes, and whether attempts wait for it."""

    room: int
    somebody_waits: bool


def hour_of(now: datetime) -> str:
    """Return the clock hour that a repair counts in, in UTC; texts of this form sort by time."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H")


def control_line(control: str) -> str:
    """Return the line in which attempts of a control wait for each other."""
    return f"control#{control}"


def may_begin(turn: Turn, first: int, now: datetime) -> bool:
    """Tell whether a waiting attempt of the control would be admitted now (the sweeper's question)."""
    if turn.stopped:
        return False
    return turn.verified >= first or not turn.running or turn.until <= stamp(now)


@dataclass(slots=True)
class Limits:
    """
    The limits' items. *per_hour* is RepairsPerHour (0: none at all), *first* FirstRepairsOneByOne (0: no such limit).

    What was learned is remembered: a control that is past its first repairs for good, a refusal for half a minute.
    """

    client: Any
    table: str
    per_hour: int
    first: int
    _past: set[str] = field(default_factory=set)
    _refused: dict[str, tuple[datetime, Held]] = field(default_factory=dict)

    def expect(self, control: str, now: datetime, *, automatic: bool) -> None:
        """Raise Held where admit() would refuse, as far as this process knows: saves a look that could not write."""
        if self.per_hour == 0:
            raise _none_at_all()
        for line in (control_line(control), HOUR_LINE) if automatic else ():
            if line in self._refused:
                at, held = self._refused[line]
                if now - at < REMEMBERED and hour_of(at) == hour_of(now):
                    raise held

    def admit(self, attempt: str, control: str, now: datetime, *, automatic: bool, reserved: bool) -> bool:
        """
        Admit an attempt to its first write; return whether it has the control's turn, which its end gives back.

        *automatic*: waits behind those that wait, and takes a turn of the control. *reserved*: counted already.
        Raises Held, and what DynamoDB raises: then nothing may be written.
        """
        if self.per_hour == 0:
            raise _none_at_all()
        turn = automatic and self._take_turn(attempt, control, now)
        if not reserved:
            try:
                self._count(now, behind_others=automatic)
            except (Held, ClientError, BotoCoreError):
                if turn:
                    self.give_back(attempt, control)
                raise
        return turn

    def give_back(self, attempt: str, control: str) -> None:
        """End an attempt's turn without a result: it waits for something else now."""
        try:
            self.client.update_item(
                TableName=self.table,
                Key=table.key(f"control#{control}"),
                UpdateExpression="REMOVE running, #until",
                ConditionExpression="running = :id",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues={":id": {"S": attempt}},
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            return  # it has no turn (any more)

    def turn_of(self, control: str) -> Turn:
        """Read how a control stands, consistently."""
        return _turn(table.read(self.client, self.table, f"control#{control}"))

    def hour(self, now: datetime) -> Hour:
        """Read how this hour stands, consistently."""
        found = table.read(self.client, self.table, "limits")
        used = int(found.get("used", 0)) if found.get("hour") == hour_of(now) else 0
        return Hour(room=max(0, self.per_hour - used), somebody_waits=bool(found.get("waiting")))

    def reserve(self, count: int, now: datetime) -> bool:
        """Count *count* repairs that wait in this hour, all or none; False where they do not fit any more."""
        if count > self.per_hour:
            return False
        try:
            self._add(count, now, "")
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def none_waits(self) -> None:
        """Note that nobody waits for a later hour: what comes from now on needs not queue up."""
        self.client.update_item(TableName=self.table, Key=table.key("limits"), UpdateExpression="REMOVE waiting")

    # --- the conditional writes

    def _take_turn(self, attempt: str, control: str, now: datetime) -> bool:
        if self.first == 0 or control in self._past:
            return False
        try:
            self.client.update_item(
                TableName=self.table,
                Key=table.key(f"control#{control}"),
                UpdateExpression="SET running = :id, #until = :until",
                ConditionExpression="attribute_not_exists(stopped)"
                " AND (attribute_not_exists(verified) OR verified < :first)"
                " AND (attribute_not_exists(running) OR running = :id OR #until < :now)",
                ExpressionAttributeNames={"#until": "until"},
                ExpressionAttributeValues=table.item(
                    {":id": attempt, ":until": stamp(now + TURN_AT_MOST), ":now": stamp(now), ":first": self.first}
                ),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            turn = _turn(table.plain(error.response.get("Item", {})))
            if not turn.stopped and turn.verified >= self.first:
                self._past.add(control)
                return False
            raise self._hold(control_line(control), _waits(control, turn, self.first), now) from error
        return True

    def _count(self, now: datetime, *, behind_others: bool) -> None:
        try:
            self._add(1, now, " AND attribute_not_exists(waiting)" if behind_others else "")
        except self.client.exceptions.ConditionalCheckFailedException as error:
            why = f"{self.per_hour} repairs are made in an hour (RepairsPerHour); this one waits"
            held = Held(why, "wait, or raise RepairsPerHour of the stack", HOUR_LINE)
            if not error.response.get("Item", {}).get("waiting"):
                self.client.update_item(
                    TableName=self.table,
                    Key=table.key("limits"),
                    UpdateExpression="SET waiting = :yes",
                    ExpressionAttributeValues={":yes": {"BOOL": True}},
                )
            raise (self._hold(HOUR_LINE, held, now) if behind_others else held) from error

    def _add(self, count: int, now: datetime, condition: str) -> None:
        """Count in this hour; where the item is an earlier hour's, begin it. Raises ConditionalCheckFailedException."""
        hour = hour_of(now)
        count_on: tuple[str, str, dict[str, int]] = (
            "SET used = used + :count",
            "#hour = :hour AND used <= :room",
            {":room": self.per_hour - count},
        )
        begin: tuple[str, str, dict[str, int]] = (
            "SET #hour = :hour, used = :count",
            "(attribute_not_exists(#hour) OR #hour < :hour)",
            {},
        )
        for expression, holds, more in (count_on, begin, count_on):
            try:
                self.client.update_item(
                    TableName=self.table,
                    Key=table.key("limits"),
                    UpdateExpression=expression,
                    ConditionExpression=holds + condition,
                    ExpressionAttributeNames={"#hour": "hour"},
                    ExpressionAttributeValues=table.item({":hour": hour, ":count": count, **more}),
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
                return
            except self.client.exceptions.ConditionalCheckFailedException as error:
                there = table.plain(error.response.get("Item", {}))
                is_over = str(there.get("hour", "")) < hour
                waits = bool(condition) and bool(there.get("waiting"))
                # Another function may have begun the hour between the two: then it is counted on.
                began = expression == begin[0] and not is_over
                if waits or not (is_over or began):
                    raise
        raise AssertionError("unreachable")

    def _hold(self, line: str, held: Held, now: datetime) -> Held:
        self._refused[line] = (now, held)
        return held


def ended(attempt: str, control: str, name: str, *, outcome: str, why: str, now: datetime) -> dict[str, Any]:
    """Return the transaction's item that gives an attempt's turn back, counts it if verified, and stops if FAILED."""
    sets = ""
    values: dict[str, str | int] = {":id": attempt}
    if outcome == "REMEDIATED":
        sets, values = "ADD verified :one ", values | {":one": 1}
    elif outcome == "FAILED":
        sets, values = "SET stopped = :why, stopped_at = :now ", values | {":why": why[:400], ":now": stamp(now)}
    return {
        "Update": {
            "TableName": name,
            "Key": table.key(f"control#{control}"),
            "UpdateExpression": f"{sets}REMOVE running, #until",
            "ConditionExpression": "attribute_not_exists(running) OR running = :id",
            "ExpressionAttributeNames": {"#until": "until"},
            "ExpressionAttributeValues": table.item(values),
        }
    }


def _none_at_all() -> Held:
    return Held("RepairsPerHour is 0: nothing is repaired", "raise RepairsPerHour of the stack", HOUR_LINE)


def _waits(control: str, turn: Turn, first: int) -> Held:
    if turn.stopped:
        why = f"automation of {control} stopped at one of its first {first} repairs: {turn.stopped}"
        return Held(why, f"find out why, then resume {control}", control_line(control))
    why = f"the first {first} repairs of {control} are made one at a time, and another one is under way"
    return Held(why, "wait", control_line(control))


def _turn(item: Mapping[str, Any]) -> Turn:
    return Turn(
        verified=int(item.get("verified", 0)),
        running=str(item.get("running", "")),
        until=str(item.get("until", "")),
        stopped=str(item.get("stopped", "")),
    )
