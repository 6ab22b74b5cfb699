"""SSM.4: take an SSM document out of everybody's hands; shares with named accounts stay."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether the document is public, and which version of it (None: it is not).

    Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeDocumentPermission.html
    """
    ssm, asked, public = aws.client("ssm"), share(target), None
    while True:
        try:
            page = ssm.describe_document_permission(**asked)
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidDocument":
                raise
            raise ResourceGone(asked["Name"]) from error
        versions = {
            one["AccountId"]: one.get("SharedDocumentVersion") for one in page.get("AccountSharingInfoList", [])
        }
        for who in page.get("AccountIds", []):
            if who.lower() == "all":
                public = versions.get(who) or "$DEFAULT"
        if not page.get("NextToken"):
            return {"config": {"public": public}, "facts": {}, "busy": None}
        asked["NextToken"] = page["NextToken"]


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that ends the public share; [] where there is none."""
    public = state["config"]["public"]
    if not public:
        return []
    blocked = "let documents be public again in this account and Region, then undo again"
    back = call(
        "ssm",
        "modify_document_permission",
        share(target) | {"AccountIdsToAdd": ["all"], "SharedDocumentVersion": public},
        fine=["InvalidDocument"],
        explain=dict.fromkeys(("ValidationException", "InvalidPermissionType"), blocked),
    )
    return [call("ssm", "modify_document_permission", share(target) | {"AccountIdsToRemove": ["all"]}, undo=[back])]


def share(target: dict[str, Any]) -> dict[str, Any]:
    """Return what every call on the document's shares names."""
    return {"Name": target["resource"]["document"], "PermissionType": "Share"}
