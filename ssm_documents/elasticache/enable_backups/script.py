"""ElastiCache.1: turn automatic backups on, of a cluster that stands alone or of the group it belongs to."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# Every other status but these passes by itself.
READY = "available"
STUCK = ("create-failed", "incompatible-network", "restore-failed")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read how many days backups are kept, and from which node of a replication group they would be taken.

    Sources: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CacheCluster.html and
    https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ReplicationGroup.html
    """
    elasticache, name = aws.client("elasticache"), target["resource"].get("replication_group")
    facts: dict[str, Any] = {"engine": None, "node_type": None, "replication_group": None, "source": None}
    try:
        if not name:
            cluster = target["resource"]["cluster"]
            (found,) = elasticache.describe_cache_clusters(CacheClusterId=cluster)["CacheClusters"]
            name, status = found.get("ReplicationGroupId"), found["CacheClusterStatus"]
            facts |= {"engine": found["Engine"], "node_type": found["CacheNodeType"]}
        if name:
            (found,) = elasticache.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"]
            status = found["Status"]
            facts |= {"replication_group": name, "node_type": found.get("CacheNodeType")}
            facts["source"] = None if found.get("ClusterEnabled") else source_in(found)
    except elasticache.exceptions.CacheClusterNotFoundFault as error:
        raise ResourceGone(target["resource"]["id"]) from error
    except elasticache.exceptions.ReplicationGroupNotFoundFault as error:
        raise ResourceGone(name) from error
    one = (found, None) if name else (None, found)
    facts |= {"status": status, "pending": waiting(elasticache, *one)}
    busy = None if status == READY or status in STUCK else f"it is {status}"
    if facts["pending"]:  # an undo would bring them in: it waits until they are
        busy = busy or f"other changes wait for the maintenance window ({', '.join(facts['pending'])})"
    return {"config": {"retention_days": found.get("SnapshotRetentionLimit", 0)}, "facts": facts, "busy": busy}


def source_in(group: dict[str, Any]) -> str | None:
    """Return a replica of a group with one shard, so that the primary has no work with backups; else its only node."""
    members = [m for shard in group["NodeGroups"] for m in shard.get("NodeGroupMembers", [])]
    replicas = [m for m in members if m.get("CurrentRole") == "replica"]
    return next((str(m["CacheClusterId"]) for m in [*replicas, *members]), None)


def waiting(elasticache: Any, group: dict[str, Any] | None, cluster: dict[str, Any] | None = None) -> list[str]:
    """
    Return what waits for the maintenance window. A group tells of its own settings, its members of nodes and engine.

    Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_PendingModifiedValues.html
    """
    told = [one for one in (group, cluster) if one]
    if group:
        pages = elasticache.get_paginator("describe_cache_clusters").paginate()
        members = [c for page in pages for c in page["CacheClusters"]]
        told += [c for c in members if c.get("ReplicationGroupId") == group["ReplicationGroupId"]]
    return sorted({k for one in told for k, v in one.get("PendingModifiedValues", {}).items() if v})


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that keeps backups for the wanted days; [] where they are. Memcached has none, and no such control.

    Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ModifyReplicationGroup.html
    """
    days, wanted = state["config"]["retention_days"], target["parameters"]["snapshotRetentionPeriod"]
    facts, group = state["facts"], state["facts"]["replication_group"]
    if days >= wanted or facts["engine"] == "memcached":
        return []
    if facts["status"] in STUCK:
        raise CannotRepair(f"it is {facts['status']}", "mend or delete it")
    if (facts["node_type"] or "").startswith("cache.t1."):
        raise CannotRepair("nodes of type cache.t1 cannot be backed up", "choose another node type")
    if facts["pending"]:
        raise CannotRepair(
            f"this would bring in other changes that wait for the maintenance window ({', '.join(facts['pending'])})",
            "repair again after the window, or bring them in yourself",
        )
    operation = "modify_replication_group" if group else "modify_cache_cluster"
    who = {"ReplicationGroupId": group} if group else {"CacheClusterId": target["resource"]["cluster"]}
    at_work = ["InvalidReplicationGroupState" if group else "InvalidCacheClusterState"]
    explain = dict.fromkeys(at_work, "wait until it is available, and repair again")
    # ElastiCache wants to be told the source where backups are turned on, and only then.
    source = {"SnapshottingClusterId": facts["source"]} if facts["source"] and not days else {}

    def modify(number: int, **more: Any) -> dict[str, Any]:
        parameters = who | {"SnapshotRetentionLimit": number, "ApplyImmediately": True}
        return call("elasticache", operation, parameters | (source if number else {}), explain=explain, **more)

    # A second undo may meet the first one's change: then it is on its way already.
    back = modify(days, leaf=["retention_days"], fine=at_work)
    return [modify(wanted, retry=at_work, undo=[back])]
