"""DynamoDB.6: a table is protected from deletion, and nothing else of it changes."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "dynamodb/protect_from_deletion"
NAME = "unprotected-for-dynamodb-6"


def table(b: Bench, name: str = NAME, **more: Any) -> str:
    made = b.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        **({"ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 3}} | more),
    )
    return str(made["TableDescription"]["TableArn"])


def found(b: Bench, resource_id: str) -> dict[str, Any]:
    return dict(b.client("dynamodb").describe_table(TableName=resource_id.rsplit("/", 1)[1])["Table"])


def protected(b: Bench, resource_id: str) -> bool:
    return bool(found(b, resource_id)["DeletionProtectionEnabled"])


CASES = [
    Case("DynamoDB.6", "a table without protection", table, protected),
    Case("DynamoDB.6", "in another Region", table, protected, region="eu-west-1"),
]


def test_a_table_that_is_being_updated_is_waited_for() -> None:
    with bench(ID) as b:
        arn = table(b)
        b.client("dynamodb").update_table(TableName=NAME, BillingMode="PAY_PER_REQUEST")
        attempt = b.attempt("DynamoDB.6", arn)
        with b.watched() as calls:
            result = attempt.look()

        assert result["outcome"] == "PENDING"
        assert "UPDATING" in result["why"]
        assert not b.writes(calls)
        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert protected(b, arn)


def test_it_is_looked_whether_the_table_is_protected_before_that_is_said() -> None:
    with bench(ID) as b:
        arn = table(b)
        attempt = b.attempt("DynamoDB.6", arn)

        assert attempt.look()["outcome"] == "PENDING"
        assert not protected(b, arn)
        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_nothing_but_protection_is_changed() -> None:
    with bench(ID) as b:
        arn = table(b)
        before = found(b, arn)

        b.attempt("DynamoDB.6", arn).finish()

        after = found(b, arn)
        assert {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)} == {
            "DeletionProtectionEnabled"
        }


@pytest.mark.parametrize("name", ["a-b", "a.b", "A_1", "x" * 255])
def test_every_legal_name_is_understood(name: str) -> None:
    with bench(ID) as b:
        assert b.attempt("DynamoDB.6", table(b, name)).finish()["outcome"] == "REMEDIATED"


def test_a_table_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("DynamoDB.6", b.arn("dynamodb", "table/gone"))["outcome"] == "COMPLIANT"


def plan(is_protected: bool, status: str = "ACTIVE") -> list[dict[str, Any]]:
    state = {"config": {"protected": is_protected}, "facts": {"status": status}, "busy": None}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, {"resource": {"table": NAME}})
    return made


@pytest.mark.parametrize(
    ("is_protected", "status", "calls"), [(False, "ACTIVE", 1), (True, "ACTIVE", 0), (True, "ARCHIVED", 0)]
)
def test_plan(is_protected: bool, status: str, calls: int) -> None:
    assert len(plan(is_protected, status)) == calls


@pytest.mark.parametrize("status", ["ARCHIVED", "INACCESSIBLE_ENCRYPTION_CREDENTIALS"])
def test_a_table_that_nobody_can_change_is_left_to_a_person(status: str) -> None:
    with pytest.raises(CannotRepair, match=status):
        plan(False, status)
