"""
RDS.2: take a DB instance's public address away.

Instances of Aurora, Neptune and DocumentDB clusters are changed like any other; those of a Multi-AZ DB cluster cannot.
"""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# An instance can be modified in these; every other status passes by itself, but for those where a person must act.
# Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status
READY = ("available", "storage-full", "storage-optimization")
STOPPED = ("stopped", "inaccessible-encryption-credentials-recoverable")
BROKEN = (
    "failed", "inaccessible-encryption-credentials", "incompatible-create", "incompatible-network",
    "incompatible-option-group", "incompatible-parameters", "incompatible-restore", "insufficient-capacity",
    "restore-error",
)  # fmt: skip
BY_INSTANCE = ("aurora", "docdb", "neptune")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether the instance has a public address, its status, and its cluster.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html
    """
    rds, instance = aws.client("rds"), target["resource"]["instance"]
    try:
        (found,) = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
    except rds.exceptions.DBInstanceNotFoundFault as error:
        raise ResourceGone(instance) from error
    status = found["DBInstanceStatus"]
    facts = {"status": status, "engine": found["Engine"], "cluster": found.get("DBClusterIdentifier")}
    busy = None if status in READY + STOPPED + BROKEN else f"the DB instance is {status}"
    return {"config": {"public": found["PubliclyAccessible"]}, "facts": facts, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that makes the instance private; [] where it is. PubliclyAccessible never waits for a window.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
    """
    facts = state["facts"]
    if not state["config"]["public"]:
        return []
    if facts["cluster"] and not facts["engine"].startswith(BY_INSTANCE):
        raise CannotRepair(
            "Amazon RDS cannot change this of a Multi-AZ DB cluster, nor of an instance in it",
            f"close its security groups to the internet; to end it, restore {facts['cluster']} without public access",
        )
    if facts["status"] in STOPPED:
        raise CannotRepair(f"the DB instance is {facts['status']}", "start it, and repair again")
    if facts["status"] in BROKEN:
        raise CannotRepair(f"the DB instance is {facts['status']}", "mend or delete it, and repair again")
    instance = {"DBInstanceIdentifier": target["resource"]["instance"]}
    explain = {
        "InvalidDBInstanceState": "wait until the DB instance is available, or start it where it is stopped; try again"
    }
    again = ["InvalidDBInstanceState"]

    def modify(public: bool, **more: Any) -> dict[str, Any]:
        parameters = instance | {"PubliclyAccessible": public}
        return call("rds", "modify_db_instance", parameters, retry=again, explain=explain, **more)

    return [modify(False, undo=[modify(True)])]
