"""RDS.16: have the snapshots of a DB cluster carry the cluster's tags."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# A cluster can be modified in these; every other status passes by itself, but for those where a person must act.
# Source: https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/accessing-monitoring.html#Aurora.Status
READY = ("available", "storage-optimization")
STOPPED = ("stopped", "inaccessible-encryption-credentials-recoverable")
BROKEN = ("cloning-failed", "failed", "inaccessible-encryption-credentials", "migration-failed")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether snapshots get the cluster's tags, and its status.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBClusters.html
    """
    rds, cluster = aws.client("rds"), target["resource"]["cluster"]
    try:
        (found,) = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"]
    except rds.exceptions.DBClusterNotFoundFault as error:
        raise ResourceGone(cluster) from error
    status = found["Status"]
    busy = None if status in READY + STOPPED + BROKEN else f"the DB cluster is {status}"
    return {"config": {"copies": bool(found.get("CopyTagsToSnapshot"))}, "facts": {"status": status}, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that has tags copied; [] where they are. It never waits for a maintenance window.

    Without ApplyImmediately, which would also apply what others left for the window.
    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBCluster.html
    """
    status = state["facts"]["status"]
    if state["config"]["copies"]:
        return []
    if status in STOPPED:
        raise CannotRepair(f"the DB cluster is {status}", "start it, and repair again")
    if status in BROKEN:
        raise CannotRepair(f"the DB cluster is {status}", "mend or delete it, and repair again")
    cluster, code = {"DBClusterIdentifier": target["resource"]["cluster"]}, "InvalidDBClusterStateFault"
    explain = {code: "wait until the DB cluster is available, or start it where it is stopped; try again"}

    def modify(copies: bool, **more: Any) -> dict[str, Any]:
        parameters = cluster | {"CopyTagsToSnapshot": copies}
        return call("rds", "modify_db_cluster", parameters, retry=[code], explain=explain, **more)

    return [modify(True, undo=[modify(False, leaf=["copies"])])]
