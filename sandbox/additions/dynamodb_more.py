"""
DynamoDB's UpdateTable: it takes time, and is refused where AWS refuses it.

moto changes capacity, billing mode and deletion protection at once and checks nothing. Here the table is `UPDATING` for
a minute of the world's clock before such a change can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.dynamodb.models.table import Table
from moto.dynamodb.responses import DynamoHandler

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

UPDATING_SECONDS = 60
SWITCHES_TO_ON_DEMAND_A_DAY = 4
_SLOW = {
    "TableName",
    "BillingMode",
    "ProvisionedThroughput",
    "GlobalSecondaryIndexUpdates",
    "DeletionProtectionEnabled",
}
_UNITS = ("ReadCapacityUnits", "WriteCapacityUnits")


@dataclass(slots=True)
class _Change:
    due: datetime
    attributes: dict[str, Any]
    indexes: dict[str, dict[str, Any]]


@dataclass(slots=True)
class _Tables:
    """What is known of tables beyond moto; keyed by the ARN and the time of creation."""

    world: World
    open: dict[tuple[str, datetime], _Change] = field(default_factory=dict)
    switched: dict[tuple[str, datetime], list[datetime]] = field(default_factory=dict)

    def settle(self, table: Table) -> None:
        """Make a change visible whose time has come."""
        change = self.open.get(_key(table))
        if change is None or change.due > self.world.clock.now():
            return
        del self.open[_key(table)]
        vars(table).update(change.attributes)
        for index in table.global_indexes:
            if index.name in change.indexes:
                index.throughput = change.indexes[index.name]


def install(world: World, patches: Patches) -> None:
    """Make moto's UpdateTable take its time on *world*'s clock, and refuse what AWS refuses."""
    tables = _Tables(world)
    original = Table.describe

    def describe(table: Table, base_key: str = "TableDescription") -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html"""
        tables.settle(table)
        result = original(table, base_key)
        body = result[base_key]
        if _key(table) in tables.open:
            body["TableStatus"] = "UPDATING"
        if body["BillingModeSummary"]["BillingMode"] != "PAY_PER_REQUEST" and _key(table) not in tables.switched:
            del body["BillingModeSummary"]  # AWS tells it only of tables that are, or once were, on demand
        body["DeletionProtectionEnabled"] = bool(body["DeletionProtectionEnabled"])
        return result

    patches.attribute(Table, "describe", describe)
    patches.around(DynamoHandler, "UpdateTable", lambda *arguments: _update(tables, *arguments))


def _update(tables: _Tables, request: Request, proceed: Callable[[], Any]) -> Any:
    """
    Sources: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html and
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-switching-capacity-modes.html
    """
    name = str(request.parameters["TableName"]).rsplit("/", 1)[-1]
    table = dynamodb_backends[request.account][request.region].tables.get(name)
    updates = request.parameters.get("GlobalSecondaryIndexUpdates", [])
    if table is None or request.parameters.keys() - _SLOW or any("Update" not in update for update in updates):
        return proceed()
    tables.settle(table)
    if _key(table) in tables.open:
        raise Refused(
            "ResourceInUseException",
            f"Attempt to change a resource which is still in use: Table is being updated: {name}",
        )
    wanted = {update["Update"]["IndexName"]: update["Update"]["ProvisionedThroughput"] for update in updates}
    change = _checked(tables, table, request.parameters, wanted)
    tables.open[_key(table)] = change
    return table.describe()


def _checked(
    tables: _Tables, table: Table, parameters: Mapping[str, Any], indexes: Mapping[str, Mapping[str, int]]
) -> _Change:
    now = tables.world.clock.now()
    attributes: dict[str, Any] = {}
    units: dict[str, dict[str, Any]] = {}
    before = table.billing_mode or "PROVISIONED"
    mode = parameters.get("BillingMode", before)
    throughput = parameters.get("ProvisionedThroughput")
    unknown = indexes.keys() - {index.name for index in table.global_indexes}
    if unknown:
        raise Refused("ValidationException", f"The table does not have the specified index: {sorted(unknown)[0]}")
    if mode == "PAY_PER_REQUEST" and (throughput or indexes):
        raise Refused(
            "ValidationException",
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )
    if mode != before:
        attributes["billing_mode"] = mode
        if mode == "PAY_PER_REQUEST":
            recent = [t for t in tables.switched.get(_key(table), []) if now - t < timedelta(days=1)]
            if len(recent) >= SWITCHES_TO_ON_DEMAND_A_DAY:
                raise Refused(
                    "LimitExceededException",
                    f"Subscriber limit exceeded: Update to PayPerRequest mode are limited to "
                    f"{SWITCHES_TO_ON_DEMAND_A_DAY} times in 1 day(s).",
                )
            tables.switched[_key(table)] = [*recent, now]
            nothing = dict.fromkeys(_UNITS, 0) | {"NumberOfDecreasesToday": 0}
            attributes["throughput"] = nothing
            units = {index.name: dict(nothing) for index in table.global_indexes}
        elif not throughput or {index.name for index in table.global_indexes} - indexes.keys():
            raise Refused(
                "ValidationException",
                "One or more parameter values were invalid: ProvisionedThroughput must be specified for the table and "
                "for every global secondary index when BillingMode is PROVISIONED",
            )
    if throughput:
        if mode == before and all(table.throughput[u] == throughput[u] for u in _UNITS):
            raise Refused(
                "ValidationException",
                "The provisioned throughput for the table will not change: the requested values are the current ones.",
            )
        attributes["throughput"] = dict(throughput) | {"NumberOfDecreasesToday": 0}
    units |= {name: dict(given) | {"NumberOfDecreasesToday": 0} for name, given in indexes.items()}
    if "DeletionProtectionEnabled" in parameters:
        attributes["deletion_protection_enabled"] = parameters["DeletionProtectionEnabled"]
    return _Change(now + timedelta(seconds=UPDATING_SECONDS), attributes, units)


def _key(table: Table) -> tuple[str, datetime]:
    return table.table_arn, table.created_at
