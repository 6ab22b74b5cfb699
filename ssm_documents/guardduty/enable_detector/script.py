"""GuardDuty.1: turn a suspended detector on; where there is none, make one. Its protection plans stay as they are."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, call, ref, wait

PLANS = (
    "S3_DATA_EVENTS", "EKS_AUDIT_LOGS", "EBS_MALWARE_PROTECTION", "RDS_LOGIN_EVENTS", "LAMBDA_NETWORK_LOGS",
    "RUNTIME_MONITORING",
)  # fmt: skip
HALF_MADE = "sharr:enable_detector"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the Region's detector (there is at most one), whether we made it just now, and who administers it.

    Source: https://docs.aws.amazon.com/guardduty/latest/APIReference/API_GetDetector.html
    """
    guardduty = aws.client("guardduty")
    pages = guardduty.get_paginator("list_detectors").paginate()
    found = next((detector_id for page in pages for detector_id in page["DetectorIds"]), None)
    status, half_made, administrator = None, False, None
    if found:
        detector = guardduty.get_detector(DetectorId=found)
        status, half_made = detector["Status"], HALF_MADE in detector.get("Tags", {})
        answer = guardduty.get_administrator_account(DetectorId=found)
        administrator = (answer.get("Administrator") or {}).get("AccountId")
    facts = {"detector_id": found, "half_made": half_made, "administrator": administrator}
    return {"config": {"detector": status}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that turn the detector on, or make one; [] where it is on."""
    facts, found = state["facts"], state["facts"]["detector_id"]
    if state["config"]["detector"] == "ENABLED":
        return []
    if facts["administrator"]:
        who = facts["administrator"]
        raise CannotRepair(
            f"GuardDuty is suspended here, and only its administrator, account {who}, can turn it on",
            f"start monitoring this member in account {who} (guardduty:StartMonitoringMembers)",
        )
    if not found:
        return [created(target), wait("the detector is made and not on yet", 1)]
    if not facts["half_made"]:
        return [switched(found, True, undo=[switched(found, False)])]
    # Ours, of the look before: its id can be written out now, so that an undo finds it whatever happens to this look.
    arn = f"arn:{target['partition']}:guardduty:{target['region']}:{target['account']}:detector/{found}"
    tag = {"ResourceArn": arn, "TagKeys": [HALF_MADE]}
    untag = call("guardduty", "untag_resource", tag, kept="a detector that is whole has no mark of a half made one")
    return [untag, switched(found, True, undo=[deleted(found)])]


def created(target: dict[str, Any]) -> dict[str, Any]:
    """Return the call that makes a detector, not on yet, with a mark."""
    request = {"Enable": False, "ClientToken": ref("attempt", "token"), "Tags": {HALF_MADE: "half made"}}
    wanted = target["parameters"]["features"]
    if wanted is not None:
        status = {name: "ENABLED" if name in wanted else "DISABLED" for name in PLANS}
        request["Features"] = [{"Name": name, "Status": status[name]} for name in PLANS]
    return call("guardduty", "create_detector", request, name="made", undo=[deleted(ref("made", "DetectorId"))])


def switched(detector_id: str, on: bool, **more: Any) -> dict[str, Any]:
    return call("guardduty", "update_detector", {"DetectorId": detector_id, "Enable": on}, **more)


def deleted(detector_id: Any) -> dict[str, Any]:
    # A detector that is gone is a BadRequestException, too; one that could not be deleted is seen by the look after it.
    which, gone = {"DetectorId": detector_id}, ["BadRequestException"]
    return call("guardduty", "delete_detector", which, fine=gone, leaf=["detector"])
