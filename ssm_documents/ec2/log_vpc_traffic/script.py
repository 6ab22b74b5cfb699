"""EC2.6: give a VPC a flow log that goes to CloudWatch Logs, and see that it delivers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, ResourceGone, auxiliary, call, ref, wait

ENOUGH = ("REJECT", "ALL")  # Security Hub asks for trafficType REJECT; ALL holds it
ATTEMPT, DELIVERY = "sharr:attempt", "sharr:delivery"
# Where there is no traffic there is no record, and maybe never a delivery status.
PATIENCE_SECONDS = 1800
DELIVERY_SECONDS = 300  # what CloudWatch Logs needs after an aggregation interval
NOT_YET = "the flow log has not delivered yet"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the VPC's flow logs. Ours goes to our log group and has our tag; the control takes anybody's.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_FlowLog.html
    """
    ec2, vpc_id = aws.client("ec2"), target["resource"]["vpc_id"]
    try:
        vpc = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidVpcID.NotFound":
            raise
        raise ResourceGone(vpc_id) from error
    group = aws.auxiliary("flow_log_group")
    pages = ec2.get_paginator("describe_flow_logs").paginate(Filter=[{"Name": "resource-id", "Values": [vpc_id]}])
    mine, others = None, []
    for one in (log for page in pages for log in page["FlowLogs"] if log["FlowLogStatus"] == "ACTIVE"):
        tags = {tag["Key"]: tag["Value"] for tag in one.get("Tags", [])}
        if mine or one.get("LogGroupName") != group["name"] or ATTEMPT not in tags:
            others.append(one["TrafficType"])
            continue
        mine = {
            "traffic": one["TrafficType"],
            "status": one.get("DeliverLogsStatus"),
            "noted": tags.get(DELIVERY),
            "age": int((datetime.fromisoformat(target["now"]) - one["CreationTime"]).total_seconds()),
            "id": one["FlowLogId"],
        }
    awaited = mine and not mine["noted"] and not mine["status"] and mine["age"] < PATIENCE_SECONDS
    facts = {"owner": vpc["OwnerId"], "others": sorted(others), "mine": mine, "flow_log_id": mine and mine["id"]}
    return {
        "config": {"flow_log": mine and mine["traffic"]},
        "facts": facts | {"aux": {"flow_log_group": group}},
        "busy": NOT_YET if awaited else None,
    }


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that make the flow log, or settle whether it delivers; [] where the VPC has one."""
    facts, account, seconds = state["facts"], target["account"], int(target["parameters"]["aggregationSeconds"])
    mine = facts["mine"]
    if any(traffic in ENOUGH for traffic in facts["others"]) or (mine and mine["noted"] in ("seen", "no records")):
        return []
    if mine:
        return settle(mine)
    if facts["owner"] != account:
        raise CannotRepair(f"the VPC is shared by account {facts['owner']}", "make its flow log in that account")
    tags = [{"Key": ATTEMPT, "Value": ref("attempt", "tag")}]
    request = {
        "ResourceType": "VPC",
        "ResourceIds": [target["resource"]["vpc_id"]],
        "TrafficType": target["parameters"]["trafficType"],
        "LogDestinationType": "cloud-watch-logs",
        "LogGroupName": facts["aux"]["flow_log_group"]["name"],
        "DeliverLogsPermissionArn": f"arn:{target['partition']}:iam::{account}:role/sharr/sharr-flow-log-delivery",
        "MaxAggregationInterval": seconds,
        "ClientToken": ref("attempt", "token"),
        "TagSpecifications": [{"ResourceType": "vpc-flow-log", "Tags": tags}],
    }
    return [
        auxiliary("flow_log_group"),
        call(
            "ec2",
            "create_flow_logs",
            request,
            name="made",
            undo=[deletion(ref("made", "FlowLogIds[0]"))],
            fail_if="Unsuccessful[0].Error.Message",
            retry=["InvalidParameter"],  # a new role that the service cannot assume yet
        ),
        wait(NOT_YET, seconds + DELIVERY_SECONDS),
    ]


def settle(mine: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that note on the flow log whether it delivers, and fail (it is deleted then) where not."""
    # A look of its own, the id written out: the undo is known even if the look that made it died before saving the id.
    noted = {"FAILED": "failed", None: "no records"}.get(mine["status"], "seen")
    tags = [{"Key": DELIVERY, "Value": noted}]
    note = call("ec2", "create_tags", {"Resources": [mine["id"]], "Tags": tags}, undo=[deletion(mine["id"])])
    if noted != "failed":
        return [note]
    why = "'nothing is delivered', not_null(DeliverLogsErrorMessage, 'no reason given')"
    found = f"FlowLogs[?DeliverLogsStatus=='FAILED'].join(': ', [{why}]) | [0]"
    return [note, call("ec2", "describe_flow_logs", {"FlowLogIds": [mine["id"]]}, fail_if=found)]


def deletion(flow_log_id: Any) -> dict[str, Any]:
    failed, gone = "Unsuccessful[0].Error.Message", ["InvalidFlowLogId.NotFound"]
    return call("ec2", "delete_flow_logs", {"FlowLogIds": [flow_log_id]}, fine=gone, fail_if=failed)
