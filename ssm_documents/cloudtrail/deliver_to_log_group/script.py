"""CloudTrail.5: have a trail deliver its events to a log group, and see that they arrive."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, auxiliary, call, wait

ROLE = "role/sharr/sharr-trail-log-delivery"
DELIVERY_SECONDS = 600  # on average CloudTrail delivers within 5 minutes


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the trail where it was made, and how the last delivery to its log group went.

    Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_GetTrailStatus.html
    """
    arn, home = target["resource"]["id"], target["resource"]["home"]
    cloudtrail = aws.client("cloudtrail", home)
    try:
        trail = cloudtrail.get_trail(Name=arn)["Trail"]
    except cloudtrail.exceptions.TrailNotFoundException as error:
        raise ResourceGone(arn) from error
    group, role = trail.get("CloudWatchLogsLogGroupArn") or None, trail.get("CloudWatchLogsRoleArn") or None
    owner = trail["TrailARN"].split(":")[4]
    facts: dict[str, Any] = {"owner": owner, "organization": bool(trail.get("IsOrganizationTrail")), "failed": False}
    if owner == target["account"]:
        facts["aux"] = {"trail_log_group": aws.auxiliary("trail_log_group")}
        status = cloudtrail.get_trail_status(Name=arn)
        facts["failed"] = bool(group and status.get("LatestCloudWatchLogsDeliveryError"))
    return {"config": {"group": group, "role": role}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that make the group and name it in the trail; [] where the trail has one."""
    facts, config, arn = state["facts"], state["config"], target["resource"]["id"]
    if facts["owner"] != target["account"]:
        whose = "the organization's trail" if facts["organization"] else "the trail"
        to_do = f"let cloudtrail:UpdateTrail name a log group in account {facts['owner']}"
        raise CannotRepair(f"{whose} belongs to account {facts['owner']}", to_do)
    aux, home = facts["aux"]["trail_log_group"], target["resource"]["home"]
    mine = f"arn:{target['partition']}:logs:{home}:{target['account']}:log-group:{aux['name']}:*"
    if config["group"]:
        if config["group"] == mine and facts["failed"]:
            # What we set up does not deliver: the call fails, and so what this attempt did is taken back.
            error = "LatestCloudWatchLogsDeliveryError"
            return [call("cloudtrail", "get_trail_status", {"Name": arn}, region=home, fail_if=error)]
        return []
    before = {"CloudWatchLogsLogGroupArn": "", "CloudWatchLogsRoleArn": config["role"] or ""}
    role = f"arn:{target['partition']}:iam::{target['account']}:{ROLE}"
    gone = ["TrailNotFoundException"]
    back = call("cloudtrail", "update_trail", {"Name": arn, **before}, region=home, fine=gone, leaf=["group"])
    return [
        auxiliary("trail_log_group"),
        call(
            "cloudtrail",
            "update_trail",
            {"Name": arn, "CloudWatchLogsLogGroupArn": mine, "CloudWatchLogsRoleArn": role},
            region=home,
            undo=[back],
            # a new group or role that CloudTrail does not see yet
            retry=["InvalidCloudWatchLogsLogGroupArnException", "InvalidCloudWatchLogsRoleArnException"],
            explain={
                "CloudWatchLogsDeliveryUnavailableException": "CloudTrail cannot deliver to log groups in this Region",
                "NotOrganizationMasterAccountException": "only the organization's management account can change it",
                "InsufficientS3BucketPolicyException": "let CloudTrail write to the trail's bucket, and repair again",
            },
        ),
        wait("the events of the trail have not arrived in the log group yet", DELIVERY_SECONDS),
    ]
