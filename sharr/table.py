"""
The one table as DynamoDB wants it: keys, items, times, and its index of what is due.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

PAGE = 100


def stamp(at: datetime) -> str:
    """Return a time as the table has it; texts of this form sort by time."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def key(pk: str, sk: str = "-") -> dict[str, Any]:
    """Return the key of an item."""
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def item(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as DynamoDB takes them."""
    serializer = TypeSerializer()
    return {name: serializer.serialize(value) for name, value in data.items()}


def plain(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item's values as Python has them."""
    deserializer = TypeDeserializer()
    return {name: deserializer.deserialize(value) for name, value in found.items()}


def read(client: Any, table: str, pk: str) -> dict[str, Any]:
    """Return the values of an item, read consistently; {} where it is not there."""
    answer = client.get_item(TableName=table, Key=key(pk), ConsistentRead=True)
    return plain(answer.get("Item", {}))


def due(
    client: Any, table: str, shard: str, condition: str, values: Mapping[str, str], most: int
) -> list[dict[str, Any]]:
    """Return keys (pk, sk, due_shard, due_at) of a shard of the index `due` for which *condition* holds, by due_at."""
    found: list[dict[str, Any]] = []
    start: dict[str, Any] = {}
    while len(found) < most:
        answer = client.query(
            TableName=table,
            IndexName="due",
            KeyConditionExpression=f"due_shard = :shard AND {condition}",
            ExpressionAttributeValues=item({":shard": shard, **values}),
            Limit=min(most - len(found), PAGE),
            **start,
        )
        found += map(plain, answer["Items"])
        if "LastEvaluatedKey" not in answer:
            break
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
    return found


def put_off(client: Any, table: str, pk: str, due_at: str | None, until: datetime) -> bool:
    """Move an item's due time, so that one sweep takes it; False where another was faster, or it is over."""
    try:
        client.update_item(
            TableName=table,
            Key=key(pk),
            UpdateExpression="SET due_at = :until",
            ConditionExpression="due_at = :old",
            ExpressionAttributeValues=item({":until": stamp(until), ":old": due_at}),
        )
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True
