"""
RDS.13: have a DB instance upgraded to new minor versions of its engine.

Instances of Aurora, Neptune and DocumentDB clusters are changed like any other, those of a Multi-AZ DB cluster through
the cluster.
"""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call, wait

# A database can be modified in these; every other status passes by itself, but for those where a person must act.
# Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status
READY = ("available", "storage-full", "storage-optimization")
STOPPED = ("stopped", "inaccessible-encryption-credentials-recoverable")
BROKEN = (
    "failed", "inaccessible-encryption-credentials", "incompatible-create", "incompatible-network",
    "incompatible-option-group", "incompatible-parameters", "incompatible-restore", "insufficient-capacity",
    "restore-error",
)  # fmt: skip
BY_INSTANCE = ("aurora", "docdb", "neptune")
FLAG = "AutoMinorVersionUpgrade"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the setting, the status, and the same of the Multi-AZ DB cluster that the instance is part of.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/modify-multi-az-db-cluster.html
    """
    rds, instance = aws.client("rds"), target["resource"]["instance"]
    try:
        (found,) = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"]
    except rds.exceptions.DBInstanceNotFoundFault as error:
        raise ResourceGone(instance) from error
    config, status, cluster = {"instance": found[FLAG]}, found["DBInstanceStatus"], found.get("DBClusterIdentifier")
    if found["Engine"].startswith(BY_INSTANCE):
        cluster = None
    if cluster:
        (whole,) = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"]
        config["cluster"] = bool(whole.get(FLAG))
        status = whole["Status"] if status in READY else status
    busy = None if status in READY + STOPPED + BROKEN else f"the database is {status}"
    return {"config": config, "facts": {"status": status, "engine": found["Engine"], "cluster": cluster}, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that turns upgrades on; [] where they are. It never waits for a maintenance window.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
    """
    config, facts = state["config"], state["facts"]
    if config["instance"]:
        return []
    if facts["engine"].startswith("custom-"):
        raise CannotRepair(
            "Amazon RDS does not upgrade an RDS Custom instance", "patch it by hand; suppress the finding"
        )
    if facts["status"] in STOPPED:
        raise CannotRepair(f"the database is {facts['status']}", "start it, and repair again")
    if facts["status"] in BROKEN:
        raise CannotRepair(f"the database is {facts['status']}", "mend or delete it, and repair again")
    if config.get("cluster"):
        return [wait(f"the cluster {facts['cluster']} hands the setting on to its instances", 60)]
    if facts["cluster"]:
        operation, which, code = "modify_db_cluster", "DBClusterIdentifier", "InvalidDBClusterStateFault"
        name, leaf = facts["cluster"], "cluster"
    else:
        operation, which, code = "modify_db_instance", "DBInstanceIdentifier", "InvalidDBInstanceState"
        name, leaf = target["resource"]["instance"], "instance"
    explain = {code: "wait until the database is available, or start it where it is stopped; try again"}

    def modify(upgrades: bool, **more: Any) -> dict[str, Any]:
        # Without ApplyImmediately, which would also apply what others left for the window.
        return call("rds", operation, {which: name, FLAG: upgrades}, retry=[code], explain=explain, **more)

    return [modify(True, undo=[modify(False, leaf=[leaf])])]
