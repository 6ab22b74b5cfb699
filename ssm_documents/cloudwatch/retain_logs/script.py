"""CloudWatch.16: have a log group keep its events at least as many days as the control asks for; never fewer."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
OFFERED = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the log group's retention: None where its events never expire.

    Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html
    """
    name = target["resource"]["log_group"]
    pages = aws.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    group = next((one for page in pages for one in page["logGroups"] if one["logGroupName"] == name), None)
    if group is None:
        raise ResourceGone(name)
    facts = {"class": group.get("logGroupClass", "STANDARD")}
    return {"config": {"days": group.get("retentionInDays")}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that lengthens the retention; [] where it is long enough, or events never expire."""
    days, least = state["config"]["days"], target["parameters"]["minRetentionTime"]
    if days is None or days >= least:
        return []
    if state["facts"]["class"] == "DELIVERY":
        why = "CloudWatch Logs keeps the events of a group of class DELIVERY for two days at most"
        raise CannotRepair(why, "keep what it delivers at its destination, and suppress the finding")
    which = {"logGroupName": target["resource"]["log_group"]}
    longer = next(offered for offered in OFFERED if offered >= least)
    before = call("logs", "put_retention_policy", which | {"retentionInDays": days}, leaf=["days"])
    return [call("logs", "put_retention_policy", which | {"retentionInDays": longer}, undo=[before])]
