"""
DynamoDB's transactions, without a copy of the whole table for every item.

moto keeps a deep copy of each table to fall back on, once per item of a transaction: a run's time grows with the
square of its attempts. Here only what the transaction names is kept, and put back where it is cancelled.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType
from moto.dynamodb.models.table import Table

from sandbox.additions.wire import Patches
from sandbox.ports import World


def install(_world: World, patches: Patches) -> None:
    """
    Make a transaction keep what it touches, and nothing else.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html (all or nothing)
    """
    original = DynamoDBBackend.transact_write_items

    def transact_write_items(backend: DynamoDBBackend, items: list[dict[str, Any]]) -> None:
        written = [what for entry in items for kind, what in entry.items() if kind != "ConditionCheck"]
        give_back = [_keeper(backend, what) for what in written if what["TableName"] in backend.tables]
        try:
            with patch.object(Table, "__deepcopy__", lambda table, _memo: table, create=True):
                original(backend, items)
        except BaseException:
            for restore in give_back:
                restore()
            raise

    patches.attribute(DynamoDBBackend, "transact_write_items", transact_write_items)


def _keeper(backend: DynamoDBBackend, what: Mapping[str, Any]) -> Callable[[], None]:
    """Return what puts one item back as it is now."""
    table = backend.tables[what["TableName"]]
    keys = what.get("Item") or what["Key"]
    holder: Any = table.items
    key = DynamoType(keys[table.hash_key_attr])
    if table.range_key_attr is not None:
        holder = table.items.get(key, {})
        hash_key, key = key, DynamoType(keys[table.range_key_attr])
    item = copy.deepcopy(holder.get(key))

    def restore() -> None:
        now: Any = table.items if table.range_key_attr is None else table.items.get(hash_key, {})
        if item is not None:
            now[key] = item
        else:
            now.pop(key, None)

    return restore
