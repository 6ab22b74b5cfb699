"""
Attempts, and the table that remembers them.

Three kinds of items, all in one table with keys `pk` and `sk`:
    finding#<hash of uid>    which attempt is the finding's current one, and since when it ended
    resource#<lease key>     who holds the resource (holder, fence, until), holds after undos, repairs, last attempts
    attempt#<id>             one attempt: what is known of the finding, the target, the journal, the outcome
and `switch`, the stop switch; messages.py keeps items of its own. A *fence* is a new token with every lease; each later
save must match it.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from __future__ import annotations

import hashlib
import json
import random
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from botocore.exceptions import ClientError

from sharr import limits, table
from sharr.finding import BACKLOG, Finding, Trigger
from sharr.table import stamp

Outcome = Literal[
    "REMEDIATED", "COMPLIANT", "PREVIEWED", "UNDONE", "SKIPPED", "FAILED", "PENDING", "WAITING", "HELD", "RETRY"
]  # fmt: skip
ENDED: tuple[Outcome, ...] = ("REMEDIATED", "COMPLIANT", "PREVIEWED", "UNDONE", "SKIPPED", "FAILED")

NAMESPACE = uuid.UUID("b7e2a3c4-6f0d-5b1e-9a57-5ec0bf1d0001")
RECORD = 2
"""The version of an attempt's record. A higher one was written by a later release: it is not touched."""
SHARDS = 4
LOOK_LEASE = timedelta(seconds=150)
RUNBOOK_LEASE = timedelta(minutes=30)
KEPT = timedelta(days=400)
REPUBLISH_AFTER = timedelta(minutes=2)
PUT_BACK = "put-back"
CONTROL_LINES = "held#control"
MARKED_AT_ONCE = 90
"""Of the 100 actions that a transaction may have; the rest is for what is noted beside attempts."""
TRANSACTION_TRIES = 6
# Another transaction, or too many: the same one may succeed a moment later.
_PASSING = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
READ_AT_ONCE = 100
_FREE: Mapping[str, Any] = {"holder": "", "busy_until": ""}


class Conflict(Exception):
    """Another function was faster: read again."""


class LeaseLost(Exception):
    """The lease ran out and another attempt holds the resource: this one must not write any more."""


class Stopped(Exception):
    """The switch is off: nothing may be written."""


class LaterRecord(Exception):
    """The attempt's record was written by a later release than this one."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of one remediation for one finding, and its record. Times are ISO 8601 in UTC."""

    id: str
    finding: Mapping[str, Any]
    trigger: Trigger
    request: str
    playbook: str
    remediation: str
    control: str
    lease_key: str
    target: Mapping[str, Any]
    created_at: str
    event_at: str
    code: str = ""
    outcome: Outcome = "PENDING"
    why: str = ""
    to_do: str = ""
    guard: str = ""
    gone: bool = False
    ended_at: str | None = None
    due_at: str | None = None
    tries: int = 0
    looks: int = 0
    place: str = "lambda"
    execution: str | None = None
    in_runbook: bool = False
    undo_of: str | None = None
    published: str = ""
    quiet: bool = False
    told_guard: str = ""
    reserved: bool = False
    turn: bool = False
    line: str = ""
    tripped: str = ""
    record: int = RECORD
    journal: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_ended(self) -> bool:
        """Whether the attempt has one of the outcomes that end it."""
        return self.ended_at is not None

    @property
    def job(self) -> str:
        """The backlog job that asked for the attempt; empty where an event did."""
        return self.request.removeprefix(BACKLOG) if self.request.startswith(BACKLOG) else ""

    @property
    def is_survey(self) -> bool:
        """Whether it is a backlog job's preview, of which nothing is seen but the job's report."""
        return self.trigger == "preview" and bool(self.job)


@dataclass(frozen=True, slots=True)
class Known:
    """What the table knows before a claim: the items of the finding and of the resource."""

    finding: Mapping[str, Any]
    resource: Mapping[str, Any]

    def hold(self, remediation: str) -> Mapping[str, Any] | None:
        """The hold after an undo, if there is one."""
        found: Mapping[str, Any] | None = self.resource.get("holds", {}).get(remediation)
        return found

    def repairs(self, remediation: str) -> tuple[datetime, ...]:
        """When the remediation repaired the resource."""
        return tuple(datetime.fromisoformat(t) for t in self.resource.get("repairs", {}).get(remediation, ()))

    def last(self, remediation: str) -> str | None:
        """The last attempt of the remediation that wrote to the resource."""
        found: str | None = self.resource.get("last", {}).get(remediation)
        return found

    def is_held_by_another(self, attempt_id: str, now: datetime) -> bool:
        """Whether another attempt's lease is still good."""
        holder = self.resource.get("holder")
        return bool(holder) and holder != attempt_id and str(self.resource.get("until", "")) > stamp(now)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to a resource: a fence that every save must match, and the resource's item as it was taken."""

    fence: str
    resource: Mapping[str, Any]


def attempt_id(finding: Finding, trigger: Trigger, request: str) -> str:
    """Return the attempt's id: the same for the same check (automatic) or the same request (a button, a job)."""
    of = finding.observed_at.isoformat() if _goes_by_check(trigger, request) else request
    return str(uuid.uuid5(NAMESPACE, f"{finding.uid}\n{trigger}\n{of}"))


def wants_attempt(known: Known, this: str, trigger: Trigger, finding: Finding, request: str) -> bool:
    """
    Tell whether an event opens an attempt (or goes on with its own), as DESIGN's "write by write", 1 says.

    No attempt yet: yes. Its own attempt, still open: yes. One that is open: no. One that ended: if the check is newer
    than that end (automatic), or the request was not seen (buttons).
    """
    item = known.finding
    if not item or item.get("attempt") == this:
        return not item.get("ended_at")
    if not item.get("ended_at"):
        return False
    if _goes_by_check(trigger, request):
        return stamp(finding.observed_at) > str(item["ended_at"])
    return request not in item.get("requests", ())


def _goes_by_check(trigger: Trigger, request: str) -> bool:
    return trigger in ("automatic", "recheck") and not request.startswith(BACKLOG)


class Attempts:
    """The table. Every method makes one call, but for those that page."""

    def __init__(self, client: Any, table: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._table = table
        self._sleep = sleep

    def known(self, uid: str, lease_key: str) -> Known:
        """Read the items of a finding and of a resource, consistently."""
        keys = [table.key(_finding_pk(uid)), table.key(f"resource#{lease_key}")]
        answer = self._client.transact_get_items(
            TransactItems=[{"Get": {"TableName": self._table, "Key": key}} for key in keys]
        )
        finding, resource = (table.plain(r.get("Item", {})) for r in answer["Responses"])
        return Known(finding, resource)

    def get(self, attempt_id: str) -> Attempt | None:
        """Read one attempt, consistently. Raises LaterRecord."""
        answer = self._client.get_item(
            TableName=self._table, Key=table.key(f"attempt#{attempt_id}"), ConsistentRead=True
        )
        return _attempt(table.plain(answer["Item"])) if "Item" in answer else None

    def get_many(self, ids: Iterable[str]) -> list[Attempt]:
        """
        Read attempts, 100 in a call; those that are not there, or a later release's, are left out.

        Raises Conflict where some could not be read.
        """
        every, found = list(dict.fromkeys(ids)), list[Attempt]()
        for start in range(0, len(every), READ_AT_ONCE):
            found += self._get_many(every[start : start + READ_AT_ONCE])
        return found

    def _get_many(self, ids: list[str]) -> list[Attempt]:
        keys = [table.key(f"attempt#{one}") for one in ids]
        found: list[Attempt] = []
        for _ in range(5):
            if not keys:
                return found
            answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
            items = [table.plain(item) for item in answer["Responses"].get(self._table, ())]
            found += [_attempt(item) for item in items if int(item.get("record", 1)) <= RECORD]
            keys = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
        raise Conflict(f"{len(keys)} attempts could not be read")

    def claim(
        self, attempt: Attempt, known: Known, now: datetime, *, lift_hold: bool = False
    ) -> tuple[Attempt, Lease | None]:
        """
        Open the attempt and take the lease, in one transaction.

        The lease is None where another attempt holds the resource: then the attempt is WAITING. Raises Conflict.
        """
        waits = known.is_held_by_another(attempt.id, now)
        due = now + (timedelta(minutes=1) if waits else LOOK_LEASE + timedelta(seconds=30))
        mine = replace(attempt, outcome="WAITING" if waits else "PENDING", due_at=stamp(due))
        if waits:
            mine = replace(mine, why="another attempt works on the resource")
        finding = {
            "attempt": attempt.id,
            "requests": [*known.finding.get("requests", ()), attempt.request][-20:],
            "last_repair": known.finding.get("last_repair"),
            "expires_at": _expiry(now),
        }
        items = [
            self._put_versioned(_finding_pk(attempt.finding["uid"]), known.finding, finding),
            self._put_attempt(mine),
        ]
        if waits:
            self._transact(items)
            return mine, None
        lease = self._lease(attempt, known.resource, now, lift_hold=lift_hold)
        self._transact([*items, self._put_versioned(f"resource#{attempt.lease_key}", known.resource, lease.resource)])
        return mine, lease

    def take_over(self, attempt: Attempt, now: datetime) -> tuple[Attempt, Lease] | None:
        """
        Take the lease again for another look at an open attempt, and return the attempt as it is from then on.

        None where another attempt holds the resource, this one is being looked at right now, or it ended meanwhile.
        A person's Remediate that had to wait lifts the hold now. Raises Conflict.
        """
        known = self.known(attempt.finding["uid"], attempt.lease_key)
        looked_at = known.resource.get("holder") == attempt.id and known.resource.get("busy_until", "") > stamp(now)
        if looked_at or known.is_held_by_another(attempt.id, now):
            return None
        waited = attempt.trigger == "remediate" and attempt.looks == 0
        lease = self._lease(attempt, known.resource, now, lift_hold=waited)
        self._transact([self._put_versioned(f"resource#{attempt.lease_key}", known.resource, lease.resource)])
        # What was read before the lease may be old: another look may have saved, or ended it, and its undo is in there.
        fresh = self.get(attempt.id)
        if fresh is None or fresh.has_ended:
            self._fenced([self._update_resource(attempt, lease, _FREE)], attempt)
            return None
        return fresh, lease

    def save_open(self, attempt: Attempt, lease: Lease) -> None:
        """
        Save the attempt before its first write, if the switch is on and the lease is ours: one transaction.

        Raises Stopped or LeaseLost; what cannot be read or written raises, too, and nothing may be written then.
        """
        switch = {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": table.key("switch"),
                "ConditionExpression": "attribute_not_exists(stopped)",
            }
        }
        items = [switch, self._check_fence(attempt, lease.fence), self._put_attempt(attempt, existing=True)]
        try:
            self._client.transact_write_items(TransactItems=items)
        except self._client.exceptions.TransactionCanceledException as error:
            reasons = [r.get("Code") for r in error.response.get("CancellationReasons", ())]
            if reasons[:1] == ["ConditionalCheckFailed"]:
                raise Stopped("SHARR is stopped: nothing is written") from error
            raise LeaseLost(attempt.id) from error

    def suspend(self, attempt: Attempt, lease: Lease, due: datetime, *, keep_lease: bool) -> Attempt:
        """Save an attempt that is not over: PENDING keeps the resource, RETRY and HELD let it go. Raises LeaseLost."""
        mine = replace(attempt, due_at=stamp(due))
        values = {"until": stamp(due + LOOK_LEASE * 4), "busy_until": ""} if keep_lease else _FREE
        self._fenced([self._put_attempt(mine, existing=True), self._update_resource(attempt, lease, values)], attempt)
        return mine

    def hold(self, attempt: Attempt, lease: Lease) -> Attempt:
        """Save an attempt that waits in its line until the sweeper lets it go on. Raises LeaseLost."""
        first = "0" if attempt.trigger != "automatic" else "1"  # what a person asked for goes before the others
        mine = replace(attempt, due_at=f"{_of_control(attempt)}{first}#{attempt.created_at}")
        self._fenced([self._put_attempt(mine, existing=True), self._update_resource(attempt, lease, _FREE)], attempt)
        return mine

    def end(self, attempt: Attempt, lease: Lease, now: datetime, row: Mapping[str, Any] | None = None) -> Attempt:
        """
        End the attempt: outcome, lease, and what later guards want to know; one transaction. Raises LeaseLost.

        *row* is what a backlog job's report has of it.
        """
        mine = replace(attempt, ended_at=stamp(now), due_at=stamp(now + REPUBLISH_AFTER))
        kept = {name: dict(lease.resource.get(name, {})) for name in ("repairs", "last", "holds")}
        finding: dict[str, Any] = {
            "ended_at": stamp(now),
            "skip": attempt.guard if attempt.outcome == "SKIPPED" else "",
        }
        remediation = attempt.remediation
        if attempt.outcome == "UNDONE":
            kept["holds"][remediation] = {"attempt": attempt.id, "at": stamp(now)}
            kept["last"].pop(remediation, None)
            finding["last_repair"] = ""
        elif attempt.trigger != "undo" and attempt.journal.get("plan"):
            kept["last"][remediation] = finding["last_repair"] = attempt.id
            if attempt.outcome == "REMEDIATED":
                kept["repairs"][remediation] = [*kept["repairs"].get(remediation, ()), stamp(now)][-10:]
        if attempt.guard == PUT_BACK:
            # The check that said so opens the next attempt: it has not been answered by a repair.
            before = datetime.fromisoformat(attempt.finding["observed_at"]) - timedelta(milliseconds=1)
            finding["ended_at"] = stamp(before)
        resource = self._update_resource(attempt, lease, {**_FREE, **kept})
        items = [self._put_attempt(mine, existing=True), resource, self._update_finding(attempt, finding)]
        items += self._rows(row)
        if not attempt.turn:
            self._fenced(items, attempt)
            return mine
        turn = limits.ended(attempt.id, attempt.control, self._table, outcome=attempt.outcome, why=attempt.why, now=now)
        try:
            self._client.transact_write_items(TransactItems=[*items, turn])
        except self._client.exceptions.TransactionCanceledException as error:
            codes = [reason.get("Code") for reason in error.response.get("CancellationReasons", ())]
            if codes != [*["None"] * len(items), "ConditionalCheckFailed"]:
                raise LeaseLost(attempt.id) from error
            self._fenced(items, attempt)  # its turn had run out, and another attempt has it
        return mine

    def skip(
        self,
        attempt: Attempt,
        known: Known,
        now: datetime,
        *,
        beside: bool = False,
        row: Mapping[str, Any] | None = None,
    ) -> Attempt | None:
        """
        Record an attempt that a guard refused; it never held the resource. Raises Conflict.

        *beside*: another attempt of the finding is open, and stays the finding's current one.

        Returns None where the finding was skipped for the same reason before: automation says it once. *row* is what a
        backlog job's report has of it.
        """
        if attempt.trigger == "automatic" and not attempt.job and known.finding.get("skip") == attempt.guard:
            return None
        mine = replace(attempt, outcome="SKIPPED", ended_at=stamp(now), due_at=stamp(now + REPUBLISH_AFTER))
        requests = [*known.finding.get("requests", ()), attempt.request][-20:]
        item = {
            "attempt": attempt.id,
            "ended_at": stamp(now),
            "requests": requests,
            "skip": attempt.guard,
            "last_repair": known.finding.get("last_repair"),
            "expires_at": _expiry(now),
        }
        if beside:
            item = {**known.finding, "requests": requests}
        finding = self._put_versioned(_finding_pk(attempt.finding["uid"]), known.finding, item)
        self._transact([finding, self._put_attempt(mine), *self._rows(row)])
        return mine

    def runbook_started(self, attempt: Attempt, lease: Lease, now: datetime) -> Attempt:
        """Save which execution repairs, so that its end is found again by its id."""
        mine = replace(attempt, due_at=stamp(now + timedelta(minutes=15)))
        pointer = {"pk": f"execution#{attempt.execution}", "sk": "-", "attempt": attempt.id, "expires_at": _expiry(now)}
        values = {"until": stamp(now + RUNBOOK_LEASE), "busy_until": ""}
        put = {"Put": {"TableName": self._table, "Item": table.item(pointer)}}
        resource = self._update_resource(attempt, lease, values)
        self._fenced([self._put_attempt(mine, existing=True), resource, put], attempt)
        return mine

    def keep(self, attempt: Attempt, now: datetime) -> None:
        """Keep the resource for a runbook that still runs: it may wait in Automation's queue longer than its lease."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key=table.key(f"resource#{attempt.lease_key}"),
                UpdateExpression="SET #until = :until, version = version + :one",
                ConditionExpression="#holder = :id",
                ExpressionAttributeNames={"#until": "until", "#holder": "holder"},
                ExpressionAttributeValues=table.item(
                    {":until": stamp(now + RUNBOOK_LEASE), ":id": attempt.id, ":one": 1}
                ),
            )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            raise LeaseLost(attempt.id) from error

    def of_execution(self, execution: str) -> str | None:
        """Return the id of the attempt that started an execution, None where none of ours did."""
        answer = self._client.get_item(
            TableName=self._table, Key=table.key(f"execution#{execution}"), ConsistentRead=True
        )
        return str(table.plain(answer["Item"])["attempt"]) if "Item" in answer else None

    def mark_published(
        self,
        attempts: Iterable[Attempt],
        beside: Callable[[Sequence[Attempt]], list[dict[str, Any]]] = lambda _: [],
    ) -> None:
        """
        Note what was told; what ended needs no sweeper any more. One transaction for up to 90 attempts.

        *beside* returns up to 10 further actions of the transaction that notes the attempts it is given: what they
        count holds for just those, once each, whoever else tells them at the same time. Raises Conflict where an
        attempt went on meanwhile, or another was faster to tell it; the others are noted all the same.
        """
        every = list(attempts)
        refused: list[str] = []
        for start in range(0, len(every), MARKED_AT_ONCE):
            refused += self._mark(every[start : start + MARKED_AT_ONCE], beside)
        if refused:
            raise Conflict(f"attempts went on meanwhile, or another told them: {', '.join(refused)}")

    def _mark(self, left: list[Attempt], beside: Callable[[Sequence[Attempt]], list[dict[str, Any]]]) -> list[str]:
        """Return the ids of the attempts that do not say any more what was told, or are told already."""
        refused: list[str] = []
        tries = 0
        while left:
            items = [*map(self._told, left), *beside(left)]
            try:
                self._client.transact_write_items(TransactItems=items)
                return refused
            except self._client.exceptions.TransactionCanceledException as error:
                codes = [r.get("Code") for r in error.response.get("CancellationReasons", ())][: len(left)]
                rest = [a for a, code in zip(left, codes, strict=False) if code != "ConditionalCheckFailed"]
                if len(rest) < len(left) and len(codes) == len(left):
                    refused += [a.id for a, code in zip(left, codes, strict=True) if code == "ConditionalCheckFailed"]
                    left = rest
                    continue
                tries += 1
                if tries == TRANSACTION_TRIES or not will_pass(error):
                    raise
                self._sleep(random.uniform(0, 0.05 * 2**tries))
        return refused

    def _told(self, attempt: Attempt) -> dict[str, Any]:
        update = "SET published = :said REMOVE due_at, due_shard" if attempt.has_ended else "SET published = :said"
        return {
            "Update": {
                "TableName": self._table,
                "Key": table.key(f"attempt#{attempt.id}"),
                "UpdateExpression": update,
                "ConditionExpression": "outcome = :outcome AND published <> :said",
                "ExpressionAttributeValues": table.item({":said": said(attempt), ":outcome": attempt.outcome}),
            }
        }

    def due(self, now: datetime, most: int = 500) -> list[str]:
        """Return ids of attempts that are due, oldest first in each shard."""
        found: list[str] = []
        for shard in range(SHARDS):
            keys = self._due(str(shard), "due_at <= :now", {":now": stamp(now)}, most - len(found))
            found += [str(key["pk"]).removeprefix("attempt#") for key in keys]
        return found

    def held_controls(self) -> list[str]:
        """Return the controls in whose lines attempts wait; one call for each, and one more."""
        found: list[str] = []
        while True:
            after = f"{found[-1]}$" if found else ""  # `$` comes after `#`
            keys = self._due(CONTROL_LINES, "due_at > :after", {":after": after or " "}, 1)
            if not keys:
                return found
            found.append(str(keys[0]["due_at"]).split("#", 1)[0])

    def held(self, line: str, most: int) -> list[str]:
        """Return ids of attempts that wait in a line, at most *most*: what persons asked for first, then the oldest."""
        if line == limits.HOUR_LINE:
            keys = self._due(f"held#{limits.HOUR_LINE}", "due_at > :after", {":after": " "}, most)
        else:
            control = line.removeprefix("control#")
            values = {":from": f"{control}#", ":to": f"{control}$"}
            keys = self._due(CONTROL_LINES, "due_at BETWEEN :from AND :to", values, most)
        return [str(key["pk"]).removeprefix("attempt#") for key in keys]

    def release(self, attempt: Attempt, until: datetime, *, reserved: bool) -> bool:
        """Let a held attempt go on, counted for this hour if *reserved*; False where it is not held (any more)."""
        if attempt.outcome != "HELD" or not attempt.line:
            return False
        try:
            self._client.update_item(
                TableName=self._table,
                Key=table.key(f"attempt#{attempt.id}"),
                UpdateExpression="SET due_at = :until, due_shard = :shard, line = :none, reserved = :reserved",
                ConditionExpression="due_at = :old AND outcome = :held",
                ExpressionAttributeValues=table.item(
                    {
                        ":until": stamp(until),
                        ":shard": _shard(attempt.id),
                        ":none": "",
                        ":reserved": reserved or attempt.reserved,
                        ":old": attempt.due_at,
                        ":held": "HELD",
                    }
                ),
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _due(self, shard: str, condition: str, values: Mapping[str, str], most: int) -> list[dict[str, Any]]:
        return table.due(self._client, self._table, shard, condition, values, most)

    def postpone(self, attempt: Attempt, until: datetime) -> bool:
        """Move an attempt's due time, so that one sweep sends it; False where another was faster."""
        return table.put_off(self._client, self._table, f"attempt#{attempt.id}", attempt.due_at, until)

    # --- items

    def _put_versioned(self, pk: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
        version = int(old.get("version", 0))
        item = {**{k: v for k, v in new.items() if v is not None}, "pk": pk, "sk": "-", "version": version + 1}
        guard: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if version:
            guard = {
                "ConditionExpression": "version = :old",
                "ExpressionAttributeValues": table.item({":old": version}),
            }
        return {"Put": {"TableName": self._table, "Item": table.item(item), **guard}}

    def _rows(self, row: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        return [{"Put": {"TableName": self._table, "Item": table.item(row)}}] if row else []

    def _put_attempt(self, attempt: Attempt, *, existing: bool = False) -> dict[str, Any]:
        condition = "attribute_exists(pk)" if existing else "attribute_not_exists(pk)"
        put = {"TableName": self._table, "Item": table.item(_record(attempt)), "ConditionExpression": condition}
        return {"Put": put}

    def _lease(self, attempt: Attempt, old: Mapping[str, Any], now: datetime, *, lift_hold: bool = False) -> Lease:
        until = stamp(now + LOOK_LEASE)
        fence = str(uuid.uuid4())
        resource = {**old, "holder": attempt.id, "fence": fence, "until": until, "busy_until": until}
        if lift_hold:
            resource["holds"] = {k: v for k, v in old.get("holds", {}).items() if k != attempt.remediation}
        return Lease(fence, resource)

    def _check_fence(self, attempt: Attempt, fence: str) -> dict[str, Any]:
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": table.key(f"resource#{attempt.lease_key}"),
                "ConditionExpression": "fence = :mine AND #holder = :id",
                "ExpressionAttributeNames": {"#holder": "holder"},
                "ExpressionAttributeValues": table.item({":mine": fence, ":id": attempt.id}),
            }
        }

    def _update_resource(self, attempt: Attempt, lease: Lease, values: Mapping[str, Any]) -> dict[str, Any]:
        sets = ", ".join(f"#{name} = :{name}" for name in values)
        return {
            "Update": {
                "TableName": self._table,
                "Key": table.key(f"resource#{attempt.lease_key}"),
                "UpdateExpression": f"SET {sets}, version = version + :one",
                "ConditionExpression": "fence = :mine AND #holder = :id",
                "ExpressionAttributeNames": {f"#{name}": name for name in (*values, "holder")},
                "ExpressionAttributeValues": table.item(
                    {f":{k}": v for k, v in values.items()} | {":mine": lease.fence, ":id": attempt.id, ":one": 1}
                ),
            }
        }

    def _update_finding(self, attempt: Attempt, values: Mapping[str, Any]) -> dict[str, Any]:
        sets = ", ".join(f"{name} = :{name}" for name in values)
        return {
            "Update": {
                "TableName": self._table,
                "Key": table.key(_finding_pk(attempt.finding["uid"])),
                "UpdateExpression": f"SET {sets}, version = version + :one",
                "ConditionExpression": "attempt = :id",
                "ExpressionAttributeValues": table.item(
                    {**{f":{k}": v for k, v in values.items()}, ":id": attempt.id, ":one": 1}
                ),
            }
        }

    def _transact(self, items: list[dict[str, Any]]) -> None:
        try:
            self._client.transact_write_items(TransactItems=items)
        except self._client.exceptions.TransactionCanceledException as error:
            raise Conflict("another function changed the finding or the resource") from error

    def _fenced(self, items: list[dict[str, Any]], attempt: Attempt) -> None:
        try:
            self._client.transact_write_items(TransactItems=items)
        except ClientError as error:
            if error.response["Error"]["Code"] == "TransactionCanceledException":
                raise LeaseLost(attempt.id) from error
            raise


def will_pass(error: ClientError) -> bool:
    """Tell whether a transaction was cancelled only for what passes: another transaction, or too many of them."""
    codes = {r.get("Code") for r in error.response.get("CancellationReasons", ())} - {"None", None}
    return bool(codes) and codes <= _PASSING


def said(attempt: Attempt) -> str:
    """Return what stands for "this was told": an attempt that says something else has to be told again."""
    return f"{attempt.outcome}/{attempt.looks}" if not attempt.has_ended else attempt.outcome


def _finding_pk(uid: str) -> str:
    return f"finding#{hashlib.sha256(uid.encode()).hexdigest()[:40]}"


def _record(attempt: Attempt) -> dict[str, Any]:
    data = {name: getattr(attempt, name) for name in attempt.__dataclass_fields__}
    data["journal"] = zlib.compress(json.dumps(attempt.journal, separators=(",", ":")).encode())
    for name in ("finding", "target"):
        data[name] = json.dumps(data[name], separators=(",", ":"))
    data |= {
        "pk": f"attempt#{attempt.id}",
        "sk": "-",
        "expires_at": _expiry(datetime.fromisoformat(attempt.created_at)),
    }
    if attempt.due_at:
        data["due_shard"] = _line_shard(attempt.line) if attempt.line else _shard(attempt.id)
    else:
        data.pop("due_at")
    return data


def _attempt(item: Mapping[str, Any]) -> Attempt:
    data = {name: item[name] for name in Attempt.__dataclass_fields__ if name in item}
    data["journal"] = json.loads(zlib.decompress(bytes(item["journal"])))
    for name in ("finding", "target"):
        data[name] = json.loads(item[name])
    for name in ("tries", "looks"):
        data[name] = int(data[name])
    data["record"] = int(data.get("record", 1))
    if data["record"] > RECORD:
        raise LaterRecord(f"attempt {data['id']} was recorded by a later release (record {data['record']})")
    return Attempt(**data)


def _shard(id: str) -> str:
    return str(int(id[:2], 16) % SHARDS)


def _line_shard(line: str) -> str:
    return f"held#{line}" if line == limits.HOUR_LINE else CONTROL_LINES


def _of_control(attempt: Attempt) -> str:
    """One shard has the lines of all controls: its sort keys begin with the control."""
    return "" if attempt.line == limits.HOUR_LINE else f"{attempt.control}#"


def _expiry(at: datetime) -> int:
    return int((at + KEPT).timestamp())
