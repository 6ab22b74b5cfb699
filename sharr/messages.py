"""
What the table remembers of messages: how many this hour had, what was left out, what is no news any more, and digests.

Items of the table, all with sk `-`; what is over is emptied, not deleted, so that no function may delete anything:
    messages#<hour>                    how many were sent in an hour (UTC)
    messages#left-out                  how many were left out, and since when
    news#<day>#<hash>                  the attempt whose failure was told at once, for its control and reason
    digest#<start of quarter>#<control>   counts by outcome (`n_FAILED`), the first resources, version; due at its end

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sharr import table
from sharr.attempts import TRANSACTION_TRIES, Attempt, Conflict, will_pass
from sharr.digests import MOST_RESOURCES, QUARTER, Digest, LeftOut, Line, digest_pk, quarter
from sharr.table import stamp

MESSAGES_AN_HOUR: Final = 60
KEPT: Final = timedelta(days=14)
"""As long as a message may lie in a queue; a hold or an undo does not depend on any of these items."""
LEFT_OUT_PK: Final = "messages#left-out"
SHARD: Final = "digest"
_MOST_OWNERS: Final = 1000
_COUNT: Final = "n_"


@dataclass(slots=True)
class Messages:
    """The items about messages. Every method makes one call or two, but where another function changes the same."""

    client: Any
    table: str
    sleep: Callable[[float], None] = time.sleep
    _owners: dict[str, str] = field(default_factory=dict)

    # ------------------------------------------------------------------------------------------------ the hour's limit
    def reserve(self, wanted: int, now: datetime) -> int:
        """Count up to *wanted* messages of this hour, and return how many of them may be sent: 0 at the limit."""
        wanted = min(wanted, MESSAGES_AN_HOUR)
        while wanted > 0:
            try:
                self.client.update_item(
                    TableName=self.table,
                    Key=table.key(_hour_pk(now)),
                    UpdateExpression="SET expires_at = :expiry ADD sent :wanted",
                    ConditionExpression="attribute_not_exists(sent) OR sent <= :most",
                    ExpressionAttributeValues=table.item(
                        {":wanted": wanted, ":most": MESSAGES_AN_HOUR - wanted, ":expiry": _expiry(now)}
                    ),
                )
            except self.client.exceptions.ConditionalCheckFailedException:
                # The count only grows within an hour, but for what is given back: each turn asks for less.
                left = MESSAGES_AN_HOUR - int(self._read(_hour_pk(now)).get("sent", 0))
                wanted = min(wanted - 1, left)
            else:
                return wanted
        return 0

    def give_back(self, count: int, now: datetime) -> None:
        """Take back from this hour's count what SNS refused."""
        self.client.update_item(
            TableName=self.table,
            Key=table.key(_hour_pk(now)),
            UpdateExpression="ADD sent :back",
            ConditionExpression="sent >= :count",
            ExpressionAttributeValues=table.item({":back": -count, ":count": count}),
        )

    def left_out(self) -> LeftOut | None:
        """Return what was left out and not said yet."""
        item = self._read(LEFT_OUT_PK)
        return LeftOut(int(item["left_out"]), str(item["since"])) if item.get("left_out") else None

    def said_left_out(self, said: LeftOut, now: datetime) -> None:
        """Note that a message said how many were left out; what was left out since then is for the next one."""
        for update, condition in (
            ("REMOVE left_out, since, due_at, due_shard", "left_out = :count AND since = :since"),
            ("SET since = :now ADD left_out :said", "left_out > :count AND since = :since"),
        ):
            values = {":count": said.count, ":since": said.since}
            if ":now" in update:
                values |= {":now": stamp(now), ":said": -said.count}
            try:
                self.client.update_item(
                    TableName=self.table,
                    Key=table.key(LEFT_OUT_PK),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeValues=table.item(values),
                )
            except self.client.exceptions.ConditionalCheckFailedException:
                continue  # more was left out meanwhile; or another message said the same
            return

    # ------------------------------------------------------------------------------------------------------------- news
    def teller(self, control: str, reason: str, attempt: str, now: datetime) -> str:
        """
        Return the id of the attempt that tells, today, that *control* failed for *reason*: the first that asked.

        It stays the same however often it is asked, so that what was not sent the first time is sent the next time.
        """
        key = hashlib.sha256(f"{control}\n{reason}".encode()).hexdigest()[:40]
        pk = f"news#{now.astimezone(UTC):%Y-%m-%d}#{key}"
        if pk not in self._owners:
            answer = self.client.update_item(
                TableName=self.table,
                Key=table.key(pk),
                UpdateExpression="SET attempt = if_not_exists(attempt, :attempt), expires_at = :expiry",
                ExpressionAttributeValues=table.item({":attempt": attempt, ":expiry": _expiry(now)}),
                ReturnValues="ALL_NEW",
            )
            if len(self._owners) >= _MOST_OWNERS:
                self._owners.clear()
            self._owners[pk] = str(table.plain(answer["Attributes"])["attempt"])
        return self._owners[pk]

    # ---------------------------------------------------------------------------------------------------------- digests
    def actions(self, in_digests: Sequence[Attempt], left_out: int, now: datetime) -> list[dict[str, Any]]:
        """
        Return the actions of a transaction that count attempts in their controls' digests, and messages left out.

        One for each control, and one for what was left out. The first 20 resources are kept; where two functions count
        at the same time there may be more of them, never another number.
        """
        by_digest: dict[str, list[Attempt]] = defaultdict(list)
        for attempt in in_digests:
            by_digest[digest_pk(attempt.control, now)].append(attempt)
        actions = [self._count(pk, attempts, now) for pk, attempts in by_digest.items()]
        return actions + ([self._leave_out(left_out, now)] if left_out else [])

    def _count(self, pk: str, attempts: Sequence[Attempt], now: datetime) -> dict[str, Any]:
        counts = Counter(a.outcome for a in attempts)
        room = max(0, MOST_RESOURCES - len(self._read(pk).get("resources", ())))
        lines = [[e.outcome, e.account, e.region, e.resource] for e in map(Line.of, attempts[:room])]
        names = {f"#{outcome}": f"{_COUNT}{outcome}" for outcome in counts}
        adds = ", ".join(f"#{outcome} :{outcome}" for outcome in counts)
        values = {
            **{f":{outcome}": count for outcome, count in counts.items()},
            ":one": 1,
            ":shard": SHARD,
            ":end": stamp(quarter(now) + QUARTER),
            ":expiry": _expiry(now),
            ":none": [],
            ":lines": lines,
        }
        sets = (
            "resources = list_append(if_not_exists(resources, :none), :lines), due_shard = :shard, "
            "due_at = if_not_exists(due_at, :end), expires_at = :expiry"
        )
        return {
            "Update": {
                "TableName": self.table,
                "Key": table.key(pk),
                "UpdateExpression": f"SET {sets} ADD {adds}, version :one",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": table.item(values),
            }
        }

    def _leave_out(self, count: int, now: datetime) -> dict[str, Any]:
        # If no other message says it before the hour after this one, one that says nothing else does.
        due = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1) + QUARTER
        sets = "since = if_not_exists(since, :now), due_shard = :shard, due_at = if_not_exists(due_at, :due)"
        return {
            "Update": {
                "TableName": self.table,
                "Key": table.key(LEFT_OUT_PK),
                "UpdateExpression": f"SET {sets} ADD left_out :count",
                "ExpressionAttributeValues": table.item(
                    {":now": stamp(now), ":shard": SHARD, ":due": stamp(due), ":count": count}
                ),
            }
        }

    def due(self, now: datetime, most: int = 500) -> list[tuple[str, str]]:
        """Return (key, due time) of what is to be told now: digests whose quarter is over, messages left out."""
        keys = table.due(self.client, self.table, SHARD, "due_at <= :now", {":now": stamp(now)}, most)
        return [(str(key["pk"]), str(key["due_at"])) for key in keys]

    def postpone(self, pk: str, due_at: str, until: datetime) -> bool:
        """Move a due time, so that one sweep sends it; False where another was faster, or it is told by now."""
        return table.put_off(self.client, self.table, pk, due_at, until)

    def digest(self, pk: str) -> Digest | None:
        """Return what a digest has to tell, None where that is nothing (any more)."""
        return _digest(pk, self._read(pk))

    def told(self, digest: Digest, now: datetime, *, left_out: bool = False) -> None:
        """
        Empty a digest that was told, or left out (then it is counted there, in the same transaction).

        What was counted since it was read stays, and is due at once. Where another function told the same, nothing is
        changed. Raises Conflict where others are always faster.
        """
        for tries in range(1, TRANSACTION_TRIES + 1):
            item = self._read(digest.pk)
            if int(item.get("told", 0)) >= digest.version:
                return
            actions = [self._empty(digest, item, now)] + ([self._leave_out(1, now)] if left_out else [])
            try:
                self.client.transact_write_items(TransactItems=actions)
                return
            except self.client.exceptions.TransactionCanceledException as error:
                reasons = [r.get("Code") for r in error.response.get("CancellationReasons", ())]
                if reasons[:1] != ["ConditionalCheckFailed"] and not will_pass(error):
                    raise
                self.sleep(random.uniform(0, 0.05 * 2**tries))
        raise Conflict(f"{digest.pk} could not be emptied")

    def _empty(self, digest: Digest, item: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        rest = {outcome: count - digest.counts.get(outcome, 0) for outcome, count in _counts(item).items()}
        sets: dict[str, Any] = {"told": digest.version, "expires_at": _expiry(now)}
        removes = [f"{_COUNT}{outcome}" for outcome, count in rest.items() if not count]
        if any(rest.values()):
            sets |= {f"{_COUNT}{outcome}": count for outcome, count in rest.items() if count}
            sets |= {"resources": item["resources"][len(digest.resources) :], "due_at": stamp(now)}
        else:
            removes += ["resources", "due_at", "due_shard"]
        names = {f"#{name}": name for name in (*sets, *removes)}
        update = f"SET {', '.join(f'#{name} = :{name}' for name in sets)}"
        update += f" REMOVE {', '.join(f'#{name}' for name in removes)}" if removes else ""
        values = {f":{name}": value for name, value in sets.items()} | {":version": int(item["version"])}
        return {
            "Update": {
                "TableName": self.table,
                "Key": table.key(digest.pk),
                "UpdateExpression": update,
                # told grows with each emptying, and version with each count: one of the two changes whatever happens.
                "ConditionExpression": "version = :version AND (attribute_not_exists(#told) OR #told < :told)",
                "ExpressionAttributeNames": names,
                "ExpressionAttributeValues": table.item(values),
            }
        }

    def _read(self, pk: str) -> dict[str, Any]:
        return table.read(self.client, self.table, pk)


def chunks(attempts: Iterable[Attempt], most: int, controls: int) -> list[list[Attempt]]:
    """Return the attempts in lists of at most *most*, and of at most *controls* controls each."""
    found: list[list[Attempt]] = []
    seen: set[str] = set()
    for attempt in sorted(attempts, key=lambda a: a.control):
        if not found or len(found[-1]) == most or len(seen | {attempt.control}) > controls:
            found.append([])
            seen = set()
        found[-1].append(attempt)
        seen.add(attempt.control)
    return found


def _digest(pk: str, item: Mapping[str, Any]) -> Digest | None:
    counts = _counts(item)
    if not counts:
        return None
    return Digest(pk, counts, tuple(Line(*line) for line in item.get("resources", ())), int(item["version"]))


def _counts(item: Mapping[str, Any]) -> dict[str, int]:
    return {name.removeprefix(_COUNT): int(value) for name, value in item.items() if name.startswith(_COUNT) and value}


def _hour_pk(at: datetime) -> str:
    return f"messages#{at.astimezone(UTC):%Y-%m-%dT%H}"


def _expiry(at: datetime) -> int:
    return int((at + KEPT).timestamp())
