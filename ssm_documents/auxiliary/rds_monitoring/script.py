"""The role by which Enhanced Monitoring delivers metrics to CloudWatch Logs; the member-roles stack makes it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair

ROLE = "sharr-rds-monitoring"


def look(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """Return role: is it there? One of that name under another path is somebody else's."""
    try:
        found = aws.client("iam").get_role(RoleName=ROLE)["Role"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        return {"role": False}
    return {"role": found["Path"] == "/sharr/"}


def make(facts: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return no call: a role is never made at run time."""
    if not facts["role"]:
        raise CannotRepair(f"the account has no role /sharr/{ROLE}", "deploy the member-roles stack in this account")
    return []
