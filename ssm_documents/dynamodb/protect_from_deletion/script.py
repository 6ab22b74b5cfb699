"""DynamoDB.6: protect a table from deletion."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# Every other status but ACTIVE passes by itself.
STUCK = ("ARCHIVED", "INACCESSIBLE_ENCRYPTION_CREDENTIALS", "REPLICATION_NOT_AUTHORIZED")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether the table is protected, and its status.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html
    """
    dynamodb, name = aws.client("dynamodb"), target["resource"]["table"]
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException as error:
        raise ResourceGone(name) from error
    status = table["TableStatus"]
    return {
        "config": {"protected": table.get("DeletionProtectionEnabled", False)},
        "facts": {"status": status},
        "busy": None if status == "ACTIVE" or status in STUCK else f"the table is {status}",
    }


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that protects the table; [] where it is.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html
    """
    if state["config"]["protected"]:
        return []
    if state["facts"]["status"] in STUCK:
        raise CannotRepair(f"the table is {state['facts']['status']}", "restore its key or access, or delete it")

    def update(protected: bool, **more: Any) -> dict[str, Any]:
        parameters = {"TableName": target["resource"]["table"], "DeletionProtectionEnabled": protected}
        return call("dynamodb", "update_table", parameters, **more)

    explain = {"ResourceInUseException": "wait until the table is ACTIVE, then repair again"}
    # A second undo may meet the first one's update: then the table is on its way already.
    back = update(False, leaf=["protected"], fine=["ResourceInUseException"])
    return [update(True, undo=[back], retry=["ResourceInUseException"], explain=explain)]
