"""Redshift.3: keep a cluster's automated snapshots."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# Every other status but these passes by itself.
# Source: https://docs.aws.amazon.com/redshift/latest/mgmt/rs-mgmt_cluster-status.html
READY = ("available", "storage-full")
STUCK = (
    "paused", "hardware-failure", "incompatible-hsm", "incompatible-network", "incompatible-parameters",
    "incompatible-restore",
)  # fmt: skip


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read how many days automated snapshots are kept; 0: none are taken.

    Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_Cluster.html
    """
    redshift, name = aws.client("redshift"), target["resource"]["cluster"]
    try:
        (found,) = redshift.describe_clusters(ClusterIdentifier=name)["Clusters"]
    except redshift.exceptions.ClusterNotFoundFault as error:
        raise ResourceGone(name) from error
    status = found["ClusterStatus"]
    busy = None if status in READY + STUCK else f"the cluster is {status}"
    if "AutomatedSnapshotRetentionPeriod" in found.get("PendingModifiedValues", {}):
        busy = busy or "a change of its snapshots' retention is pending"
    days = found["AutomatedSnapshotRetentionPeriod"]
    return {"config": {"retention_days": days}, "facts": {"status": status}, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that keeps snapshots for the wanted days; [] where they are kept as long or longer.

    Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_ModifyCluster.html
    """
    days, wanted = state["config"]["retention_days"], target["parameters"]["minRetentionPeriod"]
    if days >= wanted:
        return []
    if state["facts"]["status"] in STUCK:
        to_do = "resume it, and repair again" if state["facts"]["status"] == "paused" else "mend or delete it"
        raise CannotRepair(f"the cluster is {state['facts']['status']}", to_do)
    explain = {"InvalidClusterState": "wait until the cluster is available, or resume it where it is paused; try again"}

    def modify(number: int, **more: Any) -> dict[str, Any]:
        who = {"ClusterIdentifier": target["resource"]["cluster"]}
        parameters = who | {"AutomatedSnapshotRetentionPeriod": number}
        return call("redshift", "modify_cluster", parameters, explain=explain, **more)

    # A second undo may meet the first one's change: then the cluster is on its way already.
    back = modify(days, leaf=["retention_days"], fine=["InvalidClusterState"])
    return [modify(wanted, retry=["InvalidClusterState"], undo=[back])]
