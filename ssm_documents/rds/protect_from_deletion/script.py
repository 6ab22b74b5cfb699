"""
RDS.7, RDS.8: turn on the deletion protection of a DB cluster, or of a DB instance that is not part of one.

Clusters of Aurora, Neptune, DocumentDB and Multi-AZ DB clusters are the same to this API.
"""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# A database can be modified in these; every other status passes by itself, but for those where a person must act.
# Sources: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status
# and https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/accessing-monitoring.html#Aurora.Status
READY = ("available", "storage-full", "storage-optimization")
STOPPED = ("stopped", "inaccessible-encryption-credentials-recoverable")
BROKEN = (
    "cloning-failed", "failed", "inaccessible-encryption-credentials", "incompatible-create", "incompatible-network",
    "incompatible-option-group", "incompatible-parameters", "incompatible-restore", "insufficient-capacity",
    "migration-failed", "restore-error",
)  # fmt: skip


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether the database is protected, its status, and an instance's cluster.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBClusters.html
    """
    rds, resource = aws.client("rds"), target["resource"]
    try:
        if of_cluster(target):
            (found,) = rds.describe_db_clusters(DBClusterIdentifier=resource["cluster"])["DBClusters"]
            status, cluster = found["Status"], None
        else:
            (found,) = rds.describe_db_instances(DBInstanceIdentifier=resource["instance"])["DBInstances"]
            status, cluster = found["DBInstanceStatus"], found.get("DBClusterIdentifier")
    except (rds.exceptions.DBClusterNotFoundFault, rds.exceptions.DBInstanceNotFoundFault) as error:
        raise ResourceGone(resource["id"]) from error
    busy = None if status in READY + STOPPED + BROKEN else f"the database is {status}"
    config = {"protected": bool(found.get("DeletionProtection"))}
    return {"config": config, "facts": {"status": status, "cluster": cluster}, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that protects the database; [] where it is protected. It never waits for a maintenance window.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
    """
    status, cluster = state["facts"]["status"], state["facts"]["cluster"]
    if state["config"]["protected"]:
        return []
    if cluster:
        raise CannotRepair(
            "an instance of a cluster is not protected by itself, but by its cluster",
            f"turn on the deletion protection of the cluster {cluster}, and suppress this finding",
        )
    if status in STOPPED:
        raise CannotRepair(f"the database is {status}", "start it, and repair again")
    if status in BROKEN:
        raise CannotRepair(f"the database is {status}", "mend or delete it, and repair again")
    return [modify(target, True, undo=[modify(target, False, leaf=["protected"])])]


def modify(target: dict[str, Any], protected: bool, **more: Any) -> dict[str, Any]:
    """Return the call; without ApplyImmediately, which would also apply what others left for the window."""
    if of_cluster(target):
        operation, name, code = "modify_db_cluster", "cluster", "InvalidDBClusterStateFault"
        which = "DBClusterIdentifier"
    else:
        operation, name, code = "modify_db_instance", "instance", "InvalidDBInstanceState"
        which = "DBInstanceIdentifier"
    explain = {code: "wait until the database is available, or start it where it is stopped; try again"}
    parameters = {which: target["resource"][name], "DeletionProtection": protected}
    return call("rds", operation, parameters, retry=[code], explain=explain, **more)


def of_cluster(target: dict[str, Any]) -> bool:
    return bool(target["resource"]["type"] == "AwsRdsDbCluster")
