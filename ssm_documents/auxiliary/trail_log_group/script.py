"""The log group /sharr/trail/<trail> in the trail's home Region, with a retention, and the role that delivers to it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, call

ROLE, TAGS = "sharr-trail-log-delivery", {"sharr": "trail_log_group"}


def look(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """Return name, home, role (is it there?), group: None, or {"ours", "days"}; days None means kept for ever."""
    home = target["resource"]["home"]
    name, logs = f"/sharr/trail/{target['resource']['trail']}", aws.client("logs", home)
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    found = next((g for page in pages for g in page["logGroups"] if g["logGroupName"] == name), None)
    group = None
    if found:
        arn = f"arn:{target['partition']}:logs:{home}:{target['account']}:log-group:{name}"
        tags = logs.list_tags_for_resource(resourceArn=arn)["tags"]
        group = {"ours": TAGS.items() <= tags.items(), "days": found.get("retentionInDays")}
    try:
        role = aws.client("iam").get_role(RoleName=ROLE)["Role"]["Path"] == "/sharr/"
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        role = False
    return {"name": name, "home": home, "role": role, "group": group}


def make(facts: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that make the group, or give it its retention; a retention somebody chose stays."""
    group, days = facts["group"], int(target["parameters"]["retentionDays"])
    if not facts["role"]:
        raise CannotRepair(f"the account has no role /sharr/{ROLE}", "deploy the member-roles stack in this account")
    if group and not group["ours"]:
        raise CannotRepair(f"the log group {facts['name']} is not ours", "delete it, or name one in the trail by hand")
    which, kept = {"logGroupName": facts["name"]}, "the log group stays, with its events and retention"
    calls = []
    if not group:
        calls.append(call("logs", "create_log_group", which | {"tags": TAGS}, region=facts["home"], kept=kept))
    if not group or group["days"] is None:
        keep = which | {"retentionInDays": days}
        calls.append(call("logs", "put_retention_policy", keep, region=facts["home"], kept=kept))
    return calls
