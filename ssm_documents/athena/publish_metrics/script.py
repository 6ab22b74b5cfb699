"""Athena.4: have a workgroup publish its query metrics to CloudWatch."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether the workgroup publishes its metrics.

    Source: https://docs.aws.amazon.com/athena/latest/APIReference/API_WorkGroupConfiguration.html
    """
    name = target["resource"]["work_group"]
    try:
        group = aws.client("athena").get_work_group(WorkGroup=name)["WorkGroup"]
    except ClientError as error:
        # Athena has one code for every wrong request; only its text tells that there is no such workgroup.
        detail = error.response["Error"]
        if detail["Code"] != "InvalidRequestException" or "is not found" not in detail.get("Message", ""):
            raise
        raise ResourceGone(name) from error
    publishes = group.get("Configuration", {}).get("PublishCloudWatchMetricsEnabled", False)
    return {"config": {"publishes": publishes}, "facts": {}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that turns the metrics on; [] where they are on."""
    if state["config"]["publishes"]:
        return []

    def publish(on: bool) -> dict[str, Any]:
        updates = {"PublishCloudWatchMetricsEnabled": on}
        return {"WorkGroup": target["resource"]["work_group"], "ConfigurationUpdates": updates}

    undo = call("athena", "update_work_group", publish(False), leaf=["publishes"])
    return [call("athena", "update_work_group", publish(True), undo=[undo])]
