"""CloudTrail.4: turn on a trail's log file validation, in the trail's home Region."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the trail where it was made: other Regions show a shadow of it that cannot be changed.

    Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_Trail.html
    """
    arn, home = target["resource"]["id"], target["resource"]["home"]
    cloudtrail = aws.client("cloudtrail", home)
    try:
        trail = cloudtrail.get_trail(Name=arn)["Trail"]
    except cloudtrail.exceptions.TrailNotFoundException as error:
        raise ResourceGone(arn) from error
    facts = {
        "home": trail["HomeRegion"],
        "owner": trail["TrailARN"].split(":")[4],
        "organization": bool(trail.get("IsOrganizationTrail")),
    }
    return {"config": {"validation": trail["LogFileValidationEnabled"]}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that turns validation on; [] where it is on."""
    facts, arn = state["facts"], target["resource"]["id"]
    if state["config"]["validation"]:
        return []
    if facts["owner"] != target["account"]:
        whose = "the organization's trail" if facts["organization"] else "the trail"
        raise CannotRepair(
            f"{whose} belongs to account {facts['owner']}",
            f"let cloudtrail:UpdateTrail turn on its log file validation in account {facts['owner']}",
        )
    bucket = "CloudTrail cannot write to the trail's bucket: repair the bucket's policy, then repair again"
    return [
        call(
            "cloudtrail",
            "update_trail",
            {"Name": arn, "EnableLogFileValidation": True},
            region=facts["home"],
            undo=[
                call(
                    "cloudtrail",
                    "update_trail",
                    {"Name": arn, "EnableLogFileValidation": False},
                    region=facts["home"],
                    fine=["TrailNotFoundException"],
                    leaf=["validation"],
                )
            ],
            explain={
                "InsufficientS3BucketPolicyException": bucket,
                "S3BucketDoesNotExistException": "the trail's bucket is gone: give the trail another one",
                "NotOrganizationMasterAccountException": "only the organization's management account can change it",
            },
        )
    ]
