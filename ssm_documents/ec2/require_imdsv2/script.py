"""EC2.8: have an instance answer metadata requests with a session token only, where nothing uses IMDSv1 any more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, ResourceGone, call

DAY = 86400


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the instance's metadata options, and how often IMDSv1 was used of late.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceMetadataOptionsResponse.html
    """
    instance_id, days = target["resource"]["instance_id"], target["parameters"]["quietDays"]
    try:
        found = aws.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidInstanceID.NotFound":
            raise
        raise ResourceGone(instance_id) from error
    instance = found[0]["Instances"][0]
    state, options = instance["State"]["Name"], instance["MetadataOptions"]
    if state in ("shutting-down", "terminated"):
        raise ResourceGone(instance_id)
    config = {"tokens": options["HttpTokens"], "hop_limit": options["HttpPutResponseHopLimit"]}
    facts = {"endpoint": options["HttpEndpoint"], "uses": 0}
    if config["tokens"] != "required" and days:
        now = datetime.fromisoformat(target["now"])
        answer = aws.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/EC2",
            MetricName="MetadataNoToken",
            Dimensions=[{"Name": "InstanceId", "Value": instance_id}],
            StartTime=now - timedelta(days=days),
            EndTime=now,
            Period=DAY,
            Statistics=["Sum"],
        )
        facts["uses"] = int(sum(one["Sum"] for one in answer["Datapoints"]))
    # On a stopped instance the options are pending until it is started: nothing to wait for.
    working = state in ("pending", "stopping") or (state == "running" and options["State"] == "pending")
    return {"config": config, "facts": facts, "busy": "the instance is being changed" if working else None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that requires tokens; [] where they are. What it does not name stays, the endpoint above all."""
    config, facts, parameters = state["config"], state["facts"], target["parameters"]
    if config["tokens"] == "required":
        return []
    if facts["uses"]:
        raise CannotRepair(
            f"IMDSv1 was used {facts['uses']} times in the last {parameters['quietDays']} days on this instance",
            "update what uses it (metric MetadataNoToken shows when), or set quietDays to 0",
        )
    changes: dict[str, Any] = {"HttpTokens": "required"}
    back = {"HttpTokens": config["tokens"]}
    if (parameters["hopLimit"] or 0) > config["hop_limit"]:  # a lower one would cut containers off
        changes["HttpPutResponseHopLimit"] = parameters["hopLimit"]
        back["HttpPutResponseHopLimit"] = config["hop_limit"]
    instance = {"InstanceId": target["resource"]["instance_id"]}
    operation = "modify_instance_metadata_options"
    explain = {
        "InvalidParameterCombination": f"the metadata endpoint is {facts['endpoint']}: see whether it must be on"
    }
    return [call("ec2", operation, instance | changes, undo=[call("ec2", operation, instance | back)], explain=explain)]
