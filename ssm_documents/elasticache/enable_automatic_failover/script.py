"""ElastiCache.3: let a replication group fail over to a replica by itself."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether the group fails over by itself, how many nodes its smallest shard has, and what waits for the window.

    Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ReplicationGroup.html
    """
    elasticache, name = aws.client("elasticache"), target["resource"]["replication_group"]
    try:
        (found,) = elasticache.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"]
    except elasticache.exceptions.ReplicationGroupNotFoundFault as error:
        raise ResourceGone(name) from error
    status, failover = found["Status"], found["AutomaticFailover"]
    pending = waiting(elasticache, found)
    others = [one for one in pending if one != "AutomaticFailoverStatus"]
    busy = None if status in ("available", "create-failed") else f"the replication group is {status}"
    if failover in ("enabling", "disabling"):
        busy = busy or f"automatic failover is {failover}"
    if "AutomaticFailoverStatus" in pending:
        busy = busy or "a change of automatic failover waits for the maintenance window"
    if others and target["parameters"]["applyImmediately"]:  # an undo would bring them in: it waits until they are
        busy = busy or f"other changes wait for the maintenance window ({', '.join(others)})"
    facts = {
        "status": status,
        "least_nodes": min((len(shard.get("NodeGroupMembers", [])) for shard in found["NodeGroups"]), default=0),
        "node_type": found.get("CacheNodeType", ""),
        "pending": others,
        "global": found.get("GlobalReplicationGroupInfo", {}).get("GlobalReplicationGroupId"),
    }
    return {"config": {"automatic_failover": failover}, "facts": facts, "busy": busy}


def waiting(elasticache: Any, group: dict[str, Any]) -> list[str]:
    """
    Return what waits for the maintenance window. A group tells of its own settings, its members of nodes and engine.

    Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_PendingModifiedValues.html
    """
    pages = elasticache.get_paginator("describe_cache_clusters").paginate()
    every = [c for page in pages for c in page["CacheClusters"]]
    told = [group, *(c for c in every if c.get("ReplicationGroupId") == group["ReplicationGroupId"])]
    return sorted({k for one in told for k, v in one.get("PendingModifiedValues", {}).items() if v})


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that turns automatic failover on; [] where it is on.

    Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ModifyReplicationGroup.html
    """
    facts, at_once = state["facts"], target["parameters"]["applyImmediately"]
    if state["config"]["automatic_failover"] == "enabled":
        return []
    if facts["status"] == "create-failed":
        raise CannotRepair("the replication group is create-failed", "delete it")
    if facts["global"]:
        raise CannotRepair(
            f"it belongs to the Global datastore {facts['global']}, whose groups are changed together",
            "turn automatic failover of the Global datastore on (ModifyGlobalReplicationGroup)",
        )
    if facts["least_nodes"] < 2:
        raise CannotRepair(
            "there is a shard without a replica to fail over to",
            "add one (IncreaseReplicaCount), which costs a node, and repair again",
        )
    if facts["node_type"].startswith("cache.t1."):
        raise CannotRepair("nodes of type cache.t1 cannot fail over", "choose another node type")
    if facts["pending"] and at_once:
        raise CannotRepair(
            f"this would bring in other changes that wait for the maintenance window ({', '.join(facts['pending'])})",
            "repair again after the window, bring them in yourself, or set applyImmediately to false",
        )
    at_work = ["InvalidReplicationGroupState"]
    explain = {
        "InvalidReplicationGroupState": "wait until the replication group is available, and try again",
        "InvalidParameterCombination": "turn Multi-AZ off first, which needs automatic failover",
    }

    def modify(enabled: bool, **more: Any) -> dict[str, Any]:
        parameters = {
            "ReplicationGroupId": target["resource"]["replication_group"],
            "AutomaticFailoverEnabled": enabled,
            "ApplyImmediately": at_once,
        }
        return call("elasticache", "modify_replication_group", parameters, explain=explain, **more)

    # A second undo may meet the first one's change: then the group is on its way already.
    return [modify(True, retry=at_work, undo=[modify(False, leaf=["automatic_failover"], fine=at_work)])]
