"""RDS.5: give a DB instance a standby in another Availability Zone, in its maintenance window or at once."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call, wait

# An instance can be modified in these; every other status passes by itself, but for those where a person must act.
# Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status
READY = ("available", "storage-full", "storage-optimization")
STOPPED = ("stopped", "inaccessible-encryption-credentials-recoverable")
BROKEN = (
    "failed", "inaccessible-encryption-credentials", "incompatible-create", "incompatible-network",
    "incompatible-option-group", "incompatible-parameters", "incompatible-restore", "insufficient-capacity",
    "restore-error",
)  # fmt: skip
CLUSTERED = ("aurora", "docdb", "neptune")
REPLICAS = ("mariadb", "mysql", "oracle", "postgres")  # engines whose read replicas may have a standby


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether there is a standby, and which changes wait for the maintenance window.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_PendingModifiedValues.html
    """
    rds, instance = aws.client("rds"), target["resource"]["instance"]
    try:
        (found,) = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
    except rds.exceptions.DBInstanceNotFoundFault as error:
        raise ResourceGone(instance) from error
    status, pending = found["DBInstanceStatus"], found.get("PendingModifiedValues", {})
    others = sorted(pending.keys() - {"MultiAZ"})
    facts = {
        "status": status,
        "engine": found["Engine"],
        "cluster": found.get("DBClusterIdentifier"),
        "replica": bool(found.get("ReadReplicaSourceDBInstanceIdentifier")),
        "asked": "MultiAZ" in pending,
        "others": others,
    }
    busy = None
    if status not in READY + STOPPED + BROKEN:
        busy = f"the DB instance is {status}"
    elif facts["asked"]:
        busy = f"the change waits, at the latest for the maintenance window {found['PreferredMaintenanceWindow']} UTC"
    elif found["MultiAZ"] and others and target["parameters"]["applyImmediately"]:
        # An undo would apply them at once: it waits until they are done.
        busy = f"changes of {', '.join(others)} wait for the maintenance window"
    return {"config": {"standby": found["MultiAZ"]}, "facts": facts, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that adds the standby; [] where there is one.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
    """
    facts, now = state["facts"], target["parameters"]["applyImmediately"]
    if state["config"]["standby"]:
        return []
    refuse(facts)
    if now and facts["others"] and not facts["asked"]:
        raise CannotRepair(
            f"changes of {', '.join(facts['others'])} wait for the maintenance window, and would be applied now, too",
            "wait until they are done, take them back, or set applyImmediately to false; repair again",
        )
    explain = {
        "InvalidDBInstanceState": "wait until the DB instance is available, or start it where it is stopped; try again",
        "DBSubnetGroupDoesNotCoverEnoughAZs": "add a subnet of another Availability Zone to the DB subnet group",
        "InsufficientDBInstanceCapacity": "no other Availability Zone has this class now: try later, or another class",
    }

    def modify(standby: bool, **more: Any) -> dict[str, Any]:
        instance = {"DBInstanceIdentifier": target["resource"]["instance"]}
        parameters = instance | {"MultiAZ": standby, "ApplyImmediately": now}
        return call("rds", "modify_db_instance", parameters, retry=["InvalidDBInstanceState"], explain=explain, **more)

    add = modify(True, undo=[modify(False, leaf=["standby"])])
    return [add, wait("the standby is being made", 600)] if now else [add]


def refuse(facts: dict[str, Any]) -> None:
    """Raise CannotRepair for an instance that cannot have a standby, or not now."""
    engine, cluster, status = facts["engine"], facts["cluster"], facts["status"]
    if engine.startswith(CLUSTERED):
        raise CannotRepair(
            "an instance of a cluster has no standby: another instance of its cluster takes over",
            f"add a replica in another Availability Zone to the cluster {cluster}; suppress this finding",
        )
    if cluster:
        raise CannotRepair("a Multi-AZ DB cluster spans three Availability Zones", "suppress this finding")
    if engine == "sqlserver-ex":
        raise CannotRepair(
            "SQL Server Express cannot have a standby", "move to another edition, or suppress the finding"
        )
    if engine.startswith("custom-"):
        raise CannotRepair("a standby of an RDS Custom instance needs preparations", "make it by hand")
    if facts["replica"] and not engine.startswith(REPLICAS):
        raise CannotRepair(f"a read replica of {engine} cannot have a standby", "suppress the finding, or promote it")
    if status in STOPPED:
        raise CannotRepair(f"the DB instance is {status}", "start it, and repair again")
    if status in BROKEN:
        raise CannotRepair(f"the DB instance is {status}", "mend or delete it, and repair again")
