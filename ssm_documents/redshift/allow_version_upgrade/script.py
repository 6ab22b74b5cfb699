"""Redshift.6: let Redshift upgrade a cluster's major version in its maintenance window."""

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
    Read whether major versions are upgraded.

    Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_Cluster.html
    """
    redshift, name = aws.client("redshift"), target["resource"]["cluster"]
    try:
        (found,) = redshift.describe_clusters(ClusterIdentifier=name)["Clusters"]
    except redshift.exceptions.ClusterNotFoundFault as error:
        raise ResourceGone(name) from error
    status = found["ClusterStatus"]
    return {
        "config": {"upgrades": found["AllowVersionUpgrade"]},
        "facts": {"status": status},
        "busy": None if status in READY + STUCK else f"the cluster is {status}",
    }


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that allows upgrades; [] where they are allowed.

    Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_ModifyCluster.html
    """
    if state["config"]["upgrades"]:
        return []
    if state["facts"]["status"] in STUCK:
        to_do = "resume it, and repair again" if state["facts"]["status"] == "paused" else "mend or delete it"
        raise CannotRepair(f"the cluster is {state['facts']['status']}", to_do)
    explain = {"InvalidClusterState": "wait until the cluster is available, or resume it where it is paused; try again"}

    def modify(allow: bool, **more: Any) -> dict[str, Any]:
        parameters = {"ClusterIdentifier": target["resource"]["cluster"], "AllowVersionUpgrade": allow}
        return call("redshift", "modify_cluster", parameters, explain=explain, retry=["InvalidClusterState"], **more)

    return [modify(True, undo=[modify(False, leaf=["upgrades"])])]
