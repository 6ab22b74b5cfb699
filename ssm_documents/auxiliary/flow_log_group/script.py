"""The log group /sharr/vpc/<VPC id>, with a retention, and the role that delivers flow logs to it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, call

ROLE, TAGS = "sharr-flow-log-delivery", {"sharr": "flow_log_group"}


def look(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """Return name, role (is it there?), group: None, or {"ours", "days"}, where days None means kept for ever."""
    name, logs = f"/sharr/vpc/{target['resource']['vpc_id']}", aws.client("logs")
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    found = next((g for page in pages for g in page["logGroups"] if g["logGroupName"] == name), None)
    group = None
    if found:
        arn = f"arn:{target['partition']}:logs:{target['region']}:{target['account']}:log-group:{name}"
        tags = logs.list_tags_for_resource(resourceArn=arn)["tags"]
        group = {"ours": TAGS.items() <= tags.items(), "days": found.get("retentionInDays")}
    try:  # one of that name under another path is somebody else's
        role = aws.client("iam").get_role(RoleName=ROLE)["Role"]["Path"] == "/sharr/"
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        role = False
    return {"name": name, "role": role, "group": group}


def make(facts: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that make the group, or give it its retention; a retention somebody chose stays."""
    group, days = facts["group"], int(target["parameters"]["retentionDays"])
    if not facts["role"]:
        raise CannotRepair(f"the account has no role /sharr/{ROLE}", "deploy the member-roles stack in this account")
    if group and not group["ours"]:
        raise CannotRepair(f"the log group {facts['name']} is not ours", "delete or rename it, or make the flow log")
    which, kept = {"logGroupName": facts["name"]}, "the log group stays, with its records and retention"
    calls = []
    if not group:
        calls.append(call("logs", "create_log_group", {**which, "tags": TAGS}, kept=kept))
    if not group or group["days"] is None:
        calls.append(call("logs", "put_retention_policy", {**which, "retentionInDays": days}, kept=kept))
    return calls
