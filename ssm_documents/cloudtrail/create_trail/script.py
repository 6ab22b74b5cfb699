"""CloudTrail.1, CloudTrail.3: start a trail that was stopped; where there is none, make one for all Regions."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, auxiliary, call

GONE = "TrailNotFoundException"
ANOTHERS = (GONE, "CloudTrailARNInvalidException", "AccessDeniedException")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the trails that are seen here, shadows and the organization's too: does each log, and all that is asked for?

    Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_DescribeTrails.html
    """
    trails, logging, any_kind = {}, {}, target["control"] == "CloudTrail.3"
    for one in aws.client("cloudtrail").describe_trails()["trailList"]:
        arn, multi = one["TrailARN"], one["IsMultiRegionTrail"]
        cloudtrail = aws.client("cloudtrail", one["HomeRegion"])
        own = arn.split(":")[4] == target["account"]
        status = read_of(cloudtrail.get_trail_status, own, Name=arn)
        enough: bool | None = any_kind or multi
        if multi and not any_kind:
            selectors = read_of(cloudtrail.get_event_selectors, own, TrailName=arn)
            custom = one.get("HasCustomEventSelectors", True)  # without: all management events
            enough = is_whole(selectors) if selectors else None if custom else True
        logs = status and status["IsLogging"]
        idle = own and not one.get("IsOrganizationTrail") and not logs and not status.get("LatestDeliveryError")
        trails[arn] = {"logs": logs, "enough": enough, "multi": multi, "startable": idle}
        if own:
            logging[arn] = logs
    facts: dict[str, Any] = {"trails": trails}
    if not any(trail["logs"] and trail["enough"] for trail in trails.values()):
        facts["aux"] = {"trail_bucket": aws.auxiliary("trail_bucket")}
    return {"config": {"logging": logging}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that start a trail, or make one; [] where one is on. Events are not paid for twice unasked."""
    trails, region = state["facts"]["trails"], target["region"]
    if any(trail["logs"] and trail["enough"] for trail in trails.values()):
        return []
    idle = [arn for arn in trails if trails[arn]["startable"] and trails[arn]["enough"]]
    if idle:
        return [started(min(idle, key=lambda arn: (not trails[arn]["multi"], arn)))]
    for arn in sorted(trails):
        trail = trails[arn]
        if trail["multi"] and trail["logs"] is not False and not target["parameters"]["secondTrail"]:
            known = trail["logs"] and trail["enough"] is False
            what = "leaves out management events" if known else "cannot be read from this account"
            to_do = f"let account {arn.split(':')[4]} log all of them there (cloudtrail:PutEventSelectors)"
            raise CannotRepair(f"{arn} {what}", f"{to_do}, or set secondTrail and pay for both")
    arn = f"arn:{target['partition']}:cloudtrail:{region}:{target['account']}:trail/sharr-trail"
    if arn in trails:
        raise CannotRepair(f"{arn} is there, but not as we make it", "let it log all Regions and events, or delete it")
    request = {
        "Name": "sharr-trail",
        "S3BucketName": state["facts"]["aux"]["trail_bucket"]["name"],
        "IsMultiRegionTrail": True,
        "IncludeGlobalServiceEvents": True,
        "EnableLogFileValidation": True,
        "TagsList": [{"Key": "sharr", "Value": "create_trail"}],
    }
    create = call(
        "cloudtrail",
        "create_trail",
        request,
        undo=[call("cloudtrail", "delete_trail", {"Name": arn}, region=region, fine=[GONE])],
        retry=["InsufficientS3BucketPolicyException", "S3BucketDoesNotExistException"],
        explain={"MaximumNumberOfTrailsExceededException": "delete a trail that is not needed in this Region"},
    )
    return [auxiliary("trail_bucket"), create, started(arn)]


def started(arn: str) -> dict[str, Any]:
    where, who = arn.split(":")[3], {"Name": arn}
    stop = call("cloudtrail", "stop_logging", who, region=where, fine=[GONE])
    return call("cloudtrail", "start_logging", who, region=where, undo=[stop])


def read_of(operation: Any, own: bool, **who: str) -> Any:
    """Return the answer, None where CloudTrail tells it to the account alone that has the trail."""
    try:
        return operation(**who)
    except ClientError as error:
        if own or error.response["Error"]["Code"] not in ANOTHERS:
            raise
        return None


def is_whole(selectors: dict[str, Any]) -> bool:
    """Tell whether one selector takes all management events, reads and writes, of all sources."""
    # https://docs.aws.amazon.com/config/latest/developerguide/multi-region-cloudtrail-enabled.html
    basic = [
        one.get("IncludeManagementEvents") and one.get("ReadWriteType") == "All"
        for one in selectors.get("EventSelectors", [])
        if not one.get("ExcludeManagementEventSources")
    ]
    advanced = [
        [(field["Field"], field.get("Equals")) for field in one["FieldSelectors"]]
        for one in selectors.get("AdvancedEventSelectors", [])
    ]
    return any(basic) or [("eventCategory", ["Management"])] in advanced
