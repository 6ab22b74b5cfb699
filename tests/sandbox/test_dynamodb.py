"""DynamoDB in the sandbox: transactions are all or nothing, with and without a sort key."""

from __future__ import annotations

import pytest

from sandbox.world import Sandbox


@pytest.mark.parametrize("keys", [["pk"], ["pk", "sk"]])
def test_a_cancelled_transaction_leaves_every_item_as_it_was(keys: list[str]) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html"""
    with Sandbox() as world:
        client = world.identity.client("dynamodb", world.organization.admin, world.organization.home)
        client.create_table(
            TableName="t",
            AttributeDefinitions=[{"AttributeName": k, "AttributeType": "S"} for k in keys],
            KeySchema=[{"AttributeName": k, "KeyType": t} for k, t in zip(keys, ("HASH", "RANGE"), strict=False)],
            BillingMode="PAY_PER_REQUEST",
        )

        def item(name: str, **more: str) -> dict[str, dict[str, str]]:
            return {**{k: {"S": name} for k in keys}, **{k: {"S": v} for k, v in more.items()}}

        client.put_item(TableName="t", Item=item("old", value="before"))
        before = client.scan(TableName="t")["Items"]
        writes = [
            {"Put": {"TableName": "t", "Item": item("new")}},
            {
                "Update": {
                    "TableName": "t",
                    "Key": item("old"),
                    "UpdateExpression": "SET #v = :v",
                    "ExpressionAttributeNames": {"#v": "value"},
                    "ExpressionAttributeValues": {":v": {"S": "after"}},
                }
            },
        ]
        missing = {"TableName": "t", "Key": item("missing"), "ConditionExpression": "attribute_exists(pk)"}

        with pytest.raises(client.exceptions.TransactionCanceledException):
            client.transact_write_items(TransactItems=[*writes, {"ConditionCheck": missing}])
        assert client.scan(TableName="t")["Items"] == before

        client.transact_write_items(TransactItems=writes)
        assert {i["pk"]["S"]: i.get("value") for i in client.scan(TableName="t")["Items"]} == {
            "old": {"S": "after"},
            "new": None,
        }
