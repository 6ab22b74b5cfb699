"""ElastiCache.2: let ElastiCache install minor versions by itself, in a cluster or the whole group it belongs to."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# Every other status but these passes by itself.
READY = "available"
STUCK = ("create-failed", "incompatible-network", "restore-failed")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether the cluster is upgraded, and the group where it belongs to one, and what else of that is already.

    Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CacheCluster.html
    """
    elasticache, name = aws.client("elasticache"), target["resource"]["cluster"]
    groups: list[dict[str, Any]] = []
    members: list[dict[str, Any]] = []
    try:
        (cluster,) = elasticache.describe_cache_clusters(CacheClusterId=name)["CacheClusters"]
        group = cluster.get("ReplicationGroupId")
        if group:
            groups = elasticache.describe_replication_groups(ReplicationGroupId=group)["ReplicationGroups"]
            pages = elasticache.get_paginator("describe_cache_clusters").paginate()
            every = [one for page in pages for one in page["CacheClusters"]]
            members = [one for one in every if one.get("ReplicationGroupId") == group]
    except elasticache.exceptions.CacheClusterNotFoundFault as error:
        raise ResourceGone(name) from error
    except elasticache.exceptions.ReplicationGroupNotFoundFault as error:
        raise ResourceGone(group) from error
    status = [cluster["CacheClusterStatus"], *(g["Status"] for g in groups)]
    busy = next((f"it is {s}" for s in status if s != READY and s not in STUCK), None)
    # What waits for the maintenance window: a group tells of its own settings, its members of nodes and engine.
    # Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_PendingModifiedValues.html
    told = [cluster, *groups, *members]
    pending = sorted({k for one in told for k, v in one.get("PendingModifiedValues", {}).items() if v})
    if pending:  # an undo would bring them in: it waits until they are
        busy = busy or f"other changes wait for the maintenance window ({', '.join(pending)})"
    facts = {
        "engine": cluster["Engine"],
        "replication_group": group,
        "stuck": [s for s in status if s in STUCK],
        "pending": pending,
        "some_upgrade": any(g.get("AutoMinorVersionUpgrade") for g in [*groups, *members]),
    }
    config = {
        "upgrades": cluster.get("AutoMinorVersionUpgrade", False),
        "group_upgrades": groups[0].get("AutoMinorVersionUpgrade") if groups else None,
    }
    return {"config": config, "facts": facts, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that has minor versions installed; [] where they are. The control does not mean Memcached.

    Sources: https://docs.aws.amazon.com/config/latest/developerguide/elasticache-auto-minor-version-upgrade-check.html
    and https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ModifyReplicationGroup.html
    """
    config, facts = state["config"], state["facts"]
    if config["upgrades"] or facts["engine"] == "memcached":
        return []
    if facts["stuck"]:
        raise CannotRepair(f"it is {facts['stuck'][0]}", "mend or delete it")
    if facts["pending"]:
        raise CannotRepair(
            f"this would bring in other changes that wait for the maintenance window ({', '.join(facts['pending'])})",
            "repair again after the window, or bring them in yourself",
        )
    # Where the group or other nodes are upgraded already, this node alone is changed: an undo of the group's setting
    # would turn theirs off too.
    group = facts["replication_group"] if not facts["some_upgrade"] else None
    operation = "modify_replication_group" if group else "modify_cache_cluster"
    who = {"ReplicationGroupId": group} if group else {"CacheClusterId": target["resource"]["cluster"]}
    at_work = ["InvalidReplicationGroupState" if group else "InvalidCacheClusterState"]
    explain = dict.fromkeys(at_work, "wait until it is available, and repair again")

    def modify(value: bool, **more: Any) -> dict[str, Any]:
        parameters = who | {"AutoMinorVersionUpgrade": value, "ApplyImmediately": True}
        return call("elasticache", operation, parameters, explain=explain, **more)

    # A second undo may meet the first one's change: then it is on its way already.
    return [modify(True, retry=at_work, undo=[modify(False, leaf=["upgrades"], fine=at_work)])]
