"""
All that the command reads and writes in the table of attempts; docs/design.md has its items.

A backlog job is made together with an item by which jobs are listed: pk `backlog`, sk `<job id>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sharr import table
from sharr.attempts import Attempts
from sharr.backlog import ROWS_KEPT, SHARD
from sharr.limits import HOUR_LINE, control_line
from sharr.table import stamp

Mode = Literal["preview", "repair"]
JOBS: Final = "backlog"
JOB_KEPT: Final = 2 * ROWS_KEPT
"""A job may be fed for days, and its rows are kept from when each was made."""
COUNTED: Final = 1000
"""Held attempts of a line are counted up to here."""


class NotThere(LookupError):
    """The item is not there, or not as the command needs it: the text says how it is."""


@dataclass(frozen=True, slots=True)
class Hour:
    """The hour (`2026-11-25T08`, UTC) that repairs count in, how many were made, and how many wait for another."""

    hour: str
    used: int
    waiting: int


@dataclass(frozen=True, slots=True)
class ControlState:
    """How a control stands: verified repairs, the attempt that has its turn, why and when automation stopped."""

    control: str
    verified: int
    running: str
    stopped: str
    stopped_at: str
    held: int

    @property
    def has_begun(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.verified or self.running or self.stopped or self.held)


@dataclass(frozen=True, slots=True)
class Job:
    """A backlog job; see sharr/backlog.py. *most* 0: all; no *accounts*: all."""

    id: str
    control: str
    mode: str
    accounts: tuple[str, ...]
    most: int
    started_at: str
    started_by: str
    state: str = "open"
    read: int = 0
    sent: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What came, or would come, of one finding of a job."""

    attempt: str
    account: str
    region: str
    resource: str
    remediation: str
    outcome: str
    why: str
    calls: tuple[str, ...]
    undo: str
    disruption: str


@dataclass(frozen=True, slots=True)
class Table:
    """The table, with the operator's own credentials."""

    client: Any
    name: str

    # --- limits

    def hour(self) -> Hour:
        """Read how many repairs were counted in the last hour that had any."""
        item = table.read(self.client, self.name, "limits")
        waiting = len(Attempts(self.client, self.name).held(HOUR_LINE, COUNTED))
        return Hour(str(item.get("hour", "")), int(item.get("used", 0)), waiting)

    def controls(self, controls: Iterable[str]) -> list[ControlState]:
        """Read how controls stand, and those besides that have attempts in their lines."""
        attempts = Attempts(self.client, self.name)
        held = {c: len(attempts.held(control_line(c), COUNTED)) for c in attempts.held_controls()}
        wanted = dict.fromkeys([*controls, *held])
        items = {str(item["pk"]): item for item in self._get_all((f"control#{c}", "-") for c in wanted)}
        return [_control(c, items.get(f"control#{c}", {}), held.get(c, 0)) for c in wanted]

    def resume(self, stopped: ControlState, who: str, now: datetime) -> None:
        """Let automation of a control go on, if it is still stopped as it was read. Raises NotThere."""
        try:
            self.client.update_item(
                TableName=self.name,
                Key=table.key(f"control#{stopped.control}"),
                UpdateExpression="SET resumed_at = :now, resumed_by = :who REMOVE stopped, stopped_at",
                ConditionExpression="attribute_exists(stopped) AND stopped_at = :seen",
                ExpressionAttributeValues=table.item({":now": stamp(now), ":who": who, ":seen": stopped.stopped_at}),
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            raise NotThere(f"{stopped.control} was resumed, or stopped again, meanwhile: look again") from error

    # --- backlog jobs

    def start(self, job: Job, now: datetime) -> None:
        """Make a job, due at once. Raises NotThere where one with its id is there."""
        expires_at = int((now + JOB_KEPT).timestamp())
        item = {
            "pk": f"backlog#{job.id}",
            "sk": "-",
            "control": job.control,
            "mode": job.mode,
            "accounts": list(job.accounts),
            "most": job.most,
            "started_at": job.started_at,
            "started_by": job.started_by,
            "state": "open",
            "cursor": "",
            "read": 0,
            "sent": 0,
            "why": "",
            "due_shard": SHARD,
            "due_at": stamp(now),
            "expires_at": expires_at,
        }
        listed = {"pk": JOBS, "sk": job.id, "started_at": job.started_at, "expires_at": expires_at}
        puts = [
            {
                "Put": {
                    "TableName": self.name,
                    "Item": table.item(each),
                    "ConditionExpression": "attribute_not_exists(pk)",
                }
            }
            for each in (item, listed)
        ]
        try:
            self.client.transact_write_items(TransactItems=puts)
        except self.client.exceptions.TransactionCanceledException as error:
            raise NotThere(f"the job {job.id} is there already: wait a second") from error

    def job(self, id: str) -> Job:
        """Read a job. Raises NotThere."""
        item = table.read(self.client, self.name, f"backlog#{id}")
        if not item:
            raise NotThere(f"there is no job {id}: `backlog list` has all")
        return _job(item)

    def jobs(self) -> list[Job]:
        """Read all jobs, the latest first."""
        items = self._get_all((f"backlog#{listed['sk']}", "-") for listed in self._query(JOBS))
        return sorted(map(_job, items), key=lambda job: job.started_at, reverse=True)

    def rows(self, id: str) -> Iterator[Row]:
        """Yield what is known of a job's findings, page by page."""
        for item in self._query(f"backlog#{id}"):
            if item["sk"] != "-":
                yield _row(item)

    def cancel(self, id: str) -> Job:
        """End an open job; return it as it was. Raises NotThere."""
        try:
            answer = self.client.update_item(
                TableName=self.name,
                Key=table.key(f"backlog#{id}"),
                UpdateExpression="SET #state = :cancelled REMOVE due_at, due_shard",
                ConditionExpression="#state = :open",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues=table.item({":open": "open", ":cancelled": "cancelled"}),
                ReturnValues="ALL_NEW",
            )
        except self.client.exceptions.ConditionalCheckFailedException as error:
            raise NotThere(f"the job {id} is {self.job(id).state}: there is nothing to cancel") from error
        return _job(table.plain(answer["Attributes"]))

    # --- calls

    def _get_all(self, keys: Iterable[tuple[str, str]]) -> Iterator[dict[str, Any]]:
        wanted = [table.key(pk, sk) for pk, sk in keys]
        while wanted:
            asked, wanted = wanted[:100], wanted[100:]
            request = {self.name: {"Keys": asked, "ConsistentRead": True}}
            answer = self.client.batch_get_item(RequestItems=request)
            yield from map(table.plain, answer["Responses"].get(self.name, ()))
            wanted += answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])

    def _query(self, pk: str) -> Iterator[dict[str, Any]]:
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues=table.item({":pk": pk}),
            ConsistentRead=True,
        )
        for page in pages:
            yield from map(table.plain, page["Items"])


def _control(control: str, item: Mapping[str, Any], held: int) -> ControlState:
    return ControlState(
        control=control,
        verified=int(item.get("verified", 0)),
        running=str(item.get("running", "")),
        stopped=str(item.get("stopped", "")),
        stopped_at=str(item.get("stopped_at", "")),
        held=held,
    )


def _job(item: Mapping[str, Any]) -> Job:
    texts = {name: str(item.get(name, "")) for name in ("control", "mode", "started_at", "started_by", "state", "why")}
    return Job(
        id=str(item["pk"]).removeprefix("backlog#"),
        accounts=tuple(map(str, item.get("accounts", ()))),
        most=int(item.get("most", 0)),
        read=int(item.get("read", 0)),
        sent=int(item.get("sent", 0)),
        **texts,
    )


def _row(item: Mapping[str, Any]) -> Row:
    names = ("account", "region", "resource", "remediation", "outcome", "why", "undo", "disruption")
    texts = {name: str(item.get(name, "")) for name in names}
    return Row(attempt=str(item["sk"]), calls=tuple(map(str, item.get("calls", ()))), **texts)
