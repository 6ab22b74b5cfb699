"""Macie.1: turn Macie on in the Region, or resume it where it is suspended; its settings stay as they are."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, call, ref


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the status of Macie, None where it is not enabled, and who administers it.

    Source: https://docs.aws.amazon.com/macie/latest/APIReference/macie.html
    """
    macie = aws.client("macie2")
    try:
        status = macie.get_macie_session()["status"]
    except ClientError as error:
        # Where Macie is off it answers with the code of a missing permission; only the message tells the two apart.
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code != "AccessDeniedException" or "not enabled" not in message:
            raise
        return {"config": {"session": None}, "facts": {"administrator": None}, "busy": None}
    try:
        found = macie.get_administrator_account().get("administrator") or {}
    except macie.exceptions.ResourceNotFoundException:
        found = {}
    return {"config": {"session": status}, "facts": {"administrator": found.get("accountId")}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that turns Macie on; [] where it is on."""
    status, administrator = state["config"]["session"], state["facts"]["administrator"]
    if status == "ENABLED":
        return []
    if status is None:
        new = {"status": "ENABLED", "clientToken": ref("attempt", "token")}
        off = call("macie2", "disable_macie", {}, fine=["ResourceNotFoundException"], leaf=["session"])
        return [call("macie2", "enable_macie", new, undo=[off])]
    if administrator:
        raise CannotRepair(
            f"Macie is suspended here, and only its administrator, account {administrator}, can resume it",
            f"resume it for this member in account {administrator} (macie2:UpdateMemberSession)",
        )
    back = call("macie2", "update_macie_session", {"status": status}, leaf=["session"])
    return [call("macie2", "update_macie_session", {"status": "ENABLED"}, undo=[back])]
