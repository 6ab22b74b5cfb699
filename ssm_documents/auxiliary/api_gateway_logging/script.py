"""The role by which API Gateway writes logs: one setting for all APIs of the account and Region."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, call

ROLE = "sharr-api-gateway-logging"


def look(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Return is: the ARN of the role that is set, or None; role: is our own there? (asked only where none is set).

    A role of that name under another path is somebody else's.
    Source: https://docs.aws.amazon.com/apigateway/latest/api/API_GetAccount.html
    """
    current = aws.client("apigateway").get_account().get("cloudwatchRoleArn") or None
    role = False
    if not current:
        try:
            role = aws.client("iam").get_role(RoleName=ROLE)["Role"]["Path"] == "/sharr/"
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchEntity":
                raise
    return {"is": current, "role": role}


def make(facts: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that sets our role where none is set; another one's stays."""
    if facts["is"]:
        return []
    if not facts["role"]:
        raise CannotRepair(f"the account has no role /sharr/{ROLE}", "deploy the member-roles stack in this account")
    arn = f"arn:{target['partition']}:iam::{target['account']}:role/sharr/{ROLE}"
    patch = {"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}
    kept = "the role stays set: other stages of the account and Region may log by it"
    refused = {"BadRequestException": "set a CloudWatch log role by hand in API Gateway's settings, then repair again"}
    return [call("apigateway", "update_account", {"patchOperations": [patch]}, kept=kept, explain=refused)]
