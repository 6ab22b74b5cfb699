"""
RDS.6: turn on Enhanced Monitoring of a DB instance, or give it the interval that the control asks for.

Instances of Aurora clusters are changed like any other; those of a Multi-AZ DB cluster cannot.
"""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, auxiliary, call

# An instance can be modified in these; every other status passes by itself, but for those where a person must act.
# Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status
READY = ("available", "storage-full", "storage-optimization")
STOPPED = ("stopped", "inaccessible-encryption-credentials-recoverable")
BROKEN = (
    "failed", "inaccessible-encryption-credentials", "incompatible-create", "incompatible-network",
    "incompatible-option-group", "incompatible-parameters", "incompatible-restore", "insufficient-capacity",
    "restore-error",
)  # fmt: skip
INTERVALS, USUAL = (1, 5, 10, 15, 30, 60), 60


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the interval (0: not monitored), the status, engine and cluster of the instance, and whether our role is there.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html
    """
    rds, instance = aws.client("rds"), target["resource"]["instance"]
    try:
        (found,) = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
    except rds.exceptions.DBInstanceNotFoundFault as error:
        raise ResourceGone(instance) from error
    status, interval = found["DBInstanceStatus"], found.get("MonitoringInterval", 0)
    # What is left of a role while nothing is measured is no setting of the instance.
    config = {"interval": interval, "role": found.get("MonitoringRoleArn") if interval else None}
    facts = {
        "status": status,
        "engine": found["Engine"],
        "cluster": found.get("DBClusterIdentifier"),
        "aux": {"rds_monitoring": aws.auxiliary("rds_monitoring")},
    }
    busy = None if status in READY + STOPPED + BROKEN else f"the DB instance is {status}"
    return {"config": config, "facts": facts, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that sets the interval; [] where it is as wanted. It never waits for a window. A role in use stays.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
    """
    interval, facts, wanted = state["config"]["interval"], state["facts"], target["parameters"]["monitoringInterval"]
    if interval and wanted in (None, interval):
        return []
    wanted = wanted or USUAL
    if wanted not in INTERVALS:
        raise CannotRepair(
            f"Amazon RDS cannot measure every {wanted} seconds",
            f"set monitoringInterval of the control to one of {', '.join(map(str, INTERVALS))}",
        )
    if facts["engine"].startswith(("custom-", "docdb", "neptune")):
        raise CannotRepair(f"Enhanced Monitoring does not exist for {facts['engine']}", "suppress the finding")
    if facts["cluster"] and not facts["engine"].startswith("aurora"):
        raise CannotRepair(
            "an instance of a Multi-AZ DB cluster cannot be changed",
            f"turn on Enhanced Monitoring of the cluster {facts['cluster']}",
        )
    if facts["status"] in STOPPED:
        raise CannotRepair(f"the DB instance is {facts['status']}", "start it, and repair again")
    if facts["status"] in BROKEN:
        raise CannotRepair(f"the DB instance is {facts['status']}", "mend or delete it, and repair again")
    explain = {
        "InvalidDBInstanceState": "wait until the DB instance is available, or start it where it is stopped; try again",
        "InvalidParameterValue": "update the member-roles stack: Enhanced Monitoring must be able to assume its role",
    }

    def modify(to: dict[str, Any], **more: Any) -> dict[str, Any]:
        parameters = {"DBInstanceIdentifier": target["resource"]["instance"]} | to
        return call("rds", "modify_db_instance", parameters, retry=["InvalidDBInstanceState"], explain=explain, **more)

    back = modify({"MonitoringInterval": interval}, leaf=["interval"])
    if interval:
        return [modify({"MonitoringInterval": wanted}, undo=[back])]
    role = f"arn:{target['partition']}:iam::{target['account']}:role/sharr/sharr-rds-monitoring"
    on = {"MonitoringInterval": wanted, "MonitoringRoleArn": role}
    return [auxiliary("rds_monitoring"), modify(on, undo=[back])]
