"""
ElastiCache: changes take time, or wait for the maintenance window, and what AWS refuses is refused.

moto changes a replication group at once, knows no ModifyCacheCluster, and does not show a group's members as clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore import xform_name
from moto.elasticache.models import CacheCluster, ElastiCacheBackend, ReplicationGroup, elasticache_backends
from moto.elasticache.responses import ElastiCacheResponse

from sandbox.additions.rds import next_window
from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

MODIFYING_SECONDS = 120
WINDOW = "sun:05:00-sun:06:00"
_ALIKE = ("SnapshotRetentionLimit", "SnapshotWindow", "AutoMinorVersionUpgrade")
_CLUSTERS = {"CacheClusterId", "ApplyImmediately", "CacheNodeType", "EngineVersion", *_ALIKE}
_GROUPS = {
    "ReplicationGroupId", "ApplyImmediately", "CacheNodeType", "EngineVersion", "AutomaticFailoverEnabled",
    "MultiAZEnabled", "SnapshottingClusterId", "ReplicationGroupDescription", *_ALIKE,
}  # fmt: skip
_NODES = ("CacheNodeType", "EngineVersion", "AutomaticFailoverEnabled")
"""
What changes nodes, and so waits for the window without ApplyImmediately; the rest is never seen as pending.

Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ReplicationGroupPendingModifiedValues.html
"""


@dataclass(slots=True)
class _Change:
    resource: Any
    due: datetime
    attributes: dict[str, Any]
    modifying: bool


@dataclass(slots=True)
class _Changes:
    world: World
    open: list[_Change] = field(default_factory=list)

    def settle(self) -> None:
        """Make every change visible whose time has come."""
        now = self.world.clock.now()
        for change in [c for c in self.open if c.due <= now]:
            self.open.remove(change)
            vars(change.resource).update(change.attributes)
            if change.modifying:
                _set_status(change.resource, "available")
            self._show(change.resource)

    def begin(self, resource: Any, now: dict[str, Any], window: dict[str, Any], at_once: bool) -> None:
        """Change *resource*: *now* as soon as possible, *window* in its maintenance window unless *at_once*."""
        clock = self.world.clock.now()
        if at_once:
            waiting = [c for c in self.open if c.resource is resource]
            now = {k: v for c in waiting for k, v in c.attributes.items()} | now | window
            self.open = [c for c in self.open if c.resource is not resource]
        elif window:
            due = next_window(resource.preferred_maintenance_window or WINDOW, clock)
            self.open.append(_Change(resource, due + timedelta(seconds=MODIFYING_SECONDS), window, False))
        if now:
            _set_status(resource, "modifying")
            self.open.append(_Change(resource, clock + timedelta(seconds=MODIFYING_SECONDS), now, True))
        self._show(resource)

    def _show(self, resource: Any) -> None:
        """A group's structure has the failover alone: nodes and their engine are seen as pending on its members."""
        waiting = [c.attributes for c in self.open if c.resource is resource and not c.modifying]
        pending = {name: value for attributes in waiting for name, value in attributes.items()}
        shown = {"cache_node_type": "CacheNodeType", "engine_version": "EngineVersion"}
        if isinstance(resource, ReplicationGroup):
            shown = {"automatic_failover": "AutomaticFailoverStatus"}
        resource.pending_modified_values = {shown[name]: pending[name] for name in pending if name in shown}


def install(world: World, patches: Patches) -> None:
    """Make moto's ElastiCache take its time on *world*'s clock, and refuse what AWS refuses."""
    changes = _Changes(world)
    original = ElastiCacheResponse.call_action

    def call_action(response: Any) -> Any:
        changes.settle()
        return original(response)

    patches.attribute(ElastiCacheResponse, "call_action", call_action)
    patches.around(ElastiCacheResponse, "CreateCacheCluster", _create_cluster)
    patches.around(ElastiCacheResponse, "CreateReplicationGroup", _create_group)
    patches.answer(ElastiCacheResponse, "ModifyCacheCluster", lambda request: _modify_cluster(changes, request))
    patches.answer(ElastiCacheResponse, "ModifyReplicationGroup", lambda request: _modify_group(changes, request))


def _create_cluster(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateCacheCluster.html"""
    answer = proceed()
    cluster: Any = _backend(request).cache_clusters[request.parameters["CacheClusterId"]]
    cluster.auto_minor_version_upgrade = request.parameters.get("AutoMinorVersionUpgrade", True)
    return answer


def _create_group(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateReplicationGroup.html"""
    answer = proceed()
    backend, given = _backend(request), request.parameters
    group: Any = backend.replication_groups[given["ReplicationGroupId"]]
    group.auto_minor_version_upgrade = given.get("AutoMinorVersionUpgrade", True)
    place = f"{request.region}:{request.account}"
    group.arn = f"arn:{request.partition}:elasticache:{place}:replicationgroup:{group.replication_group_id}"
    if given.get("AutomaticFailoverEnabled"):
        _check_replicas(group)
    for name in group.member_clusters:
        every = CacheCluster.__init__.__annotations__.keys() - {"return", "account_id", "region_name"}
        nothing: dict[str, Any] = dict.fromkeys(every)
        known = {"cache_cluster_id": name, "cache_node_type": group.cache_node_type, "engine": group.engine}
        known["engine_version"] = group.engine_version
        member: Any = backend.create_cache_cluster(**(nothing | known))
        member.replication_group_id = group.replication_group_id
        member.auto_minor_version_upgrade = group.auto_minor_version_upgrade
        member.preferred_maintenance_window = group.preferred_maintenance_window
    return answer


def _modify_cluster(changes: _Changes, request: Request) -> Mapping[str, Any]:
    """Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ModifyCacheCluster.html"""
    given = _known(request, _CLUSTERS)
    cluster: Any = _backend(request).cache_clusters.get(given["CacheClusterId"])
    if cluster is None:
        raise Refused("CacheClusterNotFound", f"CacheCluster not found: {given['CacheClusterId']}")
    if cluster.cache_cluster_status != "available":
        raise Refused("InvalidCacheClusterState", f"Cache cluster {cluster.cache_cluster_id} is not available")
    if given.get("SnapshotRetentionLimit"):
        if cluster.engine == "memcached" or cluster.cache_node_type.startswith("cache.t1."):
            raise Refused("InvalidParameterCombination", "Snapshots are not supported for this engine or node type")
        if getattr(cluster, "replication_group_id", None):
            raise Refused("InvalidParameterCombination", "Set the retention of the cluster's replication group")
    changes.begin(cluster, *_parted(given), bool(given.get("ApplyImmediately")))
    return {"CacheCluster": cluster}


def _modify_group(changes: _Changes, request: Request) -> Mapping[str, Any]:
    """
    Source: https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ModifyReplicationGroup.html

    What must be said of the snapshotting cluster is as users of the API report it:
    https://github.com/aws-controllers-k8s/community/issues/1846, https://github.com/hashicorp/terraform/issues/19336
    """
    given = _known(request, _GROUPS)
    group: Any = _backend(request).replication_groups.get(given["ReplicationGroupId"])
    if group is None:
        raise Refused("ReplicationGroupNotFoundFault", f"ReplicationGroup {given['ReplicationGroupId']} not found.")
    if group.status != "available":
        raise Refused(
            "InvalidReplicationGroupState", f"Replication group {group.replication_group_id} is {group.status}"
        )
    source = given.get("SnapshottingClusterId")
    if source and group.cluster_enabled:
        raise Refused(
            "InvalidParameterCombination",
            "Cannot set snapshotting cluster for cluster mode enabled replication group",
        )
    if source and source not in group.member_clusters:
        raise Refused("CacheClusterNotFound", f"CacheCluster not found: {source}")
    turned_on = given.get("SnapshotRetentionLimit") and not group.snapshot_retention_limit
    if turned_on and not source and not group.cluster_enabled:
        raise Refused(
            "InvalidParameterCombination",
            "Must specify both SnapshotRetentionLimit and SnapshottingClusterId to turn on snapshots",
        )
    if given.get("AutomaticFailoverEnabled"):
        _check_replicas(group)
    elif "AutomaticFailoverEnabled" in given and (group.multi_az == "enabled" or group.cluster_enabled):
        raise Refused("InvalidParameterCombination", "Multi-AZ and cluster mode need automatic failover")
    now, window = _parted(given)
    for name, attribute in (("AutomaticFailoverEnabled", "automatic_failover"), ("MultiAZEnabled", "multi_az")):
        if name in given:
            where = window if name in _NODES else now
            where.pop(xform_name(name))
            where[attribute] = "enabled" if given[name] else "disabled"
    at_once = bool(given.get("ApplyImmediately"))
    changes.begin(group, now, window, at_once)
    alike: dict[str, Any] = {name: now[name] for name in ("auto_minor_version_upgrade",) if name in now}
    nodes: dict[str, Any] = {name: window[name] for name in ("cache_node_type", "engine_version") if name in window}
    for name in group.member_clusters:
        changes.begin(_backend(request).cache_clusters[name], alike, nodes, at_once)
    return {"ReplicationGroup": group}


def _check_replicas(group: ReplicationGroup) -> None:
    if any(len(shard["node_group_members"]) < 2 for shard in group.node_groups):
        raise Refused(
            "InvalidParameterCombination",
            "Must have at least one replica in every shard to enable autofailover.",
        )


def _known(request: Request, known: set[str]) -> dict[str, Any]:
    if unknown := request.parameters.keys() - known:
        raise NotImplementedError(f"sandbox: {request.operation} with {', '.join(sorted(unknown))}")
    return request.parameters


def _parted(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what takes effect as soon as possible, and what changes nodes, both by moto's attribute names."""
    skip = ("CacheClusterId", "ReplicationGroupId", "ApplyImmediately")
    rename = {"ReplicationGroupDescription": "description"}
    names = {name: rename.get(name, xform_name(name)) for name in given if name not in skip}
    now = {names[name]: given[name] for name in names if name not in _NODES}
    return now, {names[name]: given[name] for name in names if name in _NODES}


def _set_status(resource: Any, status: str) -> None:
    if isinstance(resource, CacheCluster):
        resource.cache_cluster_status = status
    else:
        resource.status = status


def _backend(request: Request) -> ElastiCacheBackend:
    backend: ElastiCacheBackend = elasticache_backends[request.account][request.region]
    return backend
