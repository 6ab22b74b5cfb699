"""Redshift.1: take a cluster's public address away."""

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
    Read whether the cluster is public, and its Elastic IP address: an undo gives it back.

    A change is pending before the cluster is seen as modifying.
    Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_Cluster.html
    """
    redshift, name = aws.client("redshift"), target["resource"]["cluster"]
    try:
        (found,) = redshift.describe_clusters(ClusterIdentifier=name)["Clusters"]
    except redshift.exceptions.ClusterNotFoundFault as error:
        raise ResourceGone(name) from error
    status = found["ClusterStatus"]
    busy = None if status in READY + STUCK else f"the cluster is {status}"
    if "PubliclyAccessible" in found.get("PendingModifiedValues", {}):
        busy = busy or "a change of its public access is pending"
    config = {"public": found["PubliclyAccessible"], "address": found.get("ElasticIpStatus", {}).get("ElasticIp")}
    return {"config": config, "facts": {"status": status}, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that makes the cluster private; [] where it is.

    Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_ModifyCluster.html
    """
    if not state["config"]["public"]:
        return []
    if state["facts"]["status"] in STUCK:
        to_do = "resume it, and repair again" if state["facts"]["status"] == "paused" else "mend or delete it"
        raise CannotRepair(f"the cluster is {state['facts']['status']}", to_do)
    address = state["config"]["address"]
    explain = {"InvalidClusterState": "wait until the cluster is available, or resume it where it is paused; try again"}

    def modify(public: bool, **more: Any) -> dict[str, Any]:
        parameters = {"ClusterIdentifier": target["resource"]["cluster"], "PubliclyAccessible": public}
        if public and address:
            parameters["ElasticIp"] = address
        return call("redshift", "modify_cluster", parameters, explain=explain, **more)

    # A second undo may meet the first one's change: then the cluster is on its way already.
    back = modify(True, leaf=["public"], fine=["InvalidClusterState"])
    return [modify(False, retry=["InvalidClusterState"], undo=[back])]
