"""ElastiCache in the sandbox: changes take time or wait for the window, and what AWS refuses is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.fakes import FakeWorld, a_world, error_of

PAYMENTS = "222222222222"
GROUP = {"ReplicationGroupId": "orders"}


def client(world: FakeWorld, replicas: int = 1, **more: Any) -> Any:
    elasticache = world.identity.client("elasticache", PAYMENTS, "eu-west-1")
    elasticache.create_replication_group(
        **GROUP,
        ReplicationGroupDescription="orders",
        Engine="redis",
        CacheNodeType="cache.t4g.small",
        ReplicasPerNodeGroup=replicas,
        **({"NumNodeGroups": 1} | more),
    )
    return elasticache


def group(elasticache: Any) -> dict[str, Any]:
    return dict(elasticache.describe_replication_groups(**GROUP)["ReplicationGroups"][0])


def test_members_of_a_group_are_clusters_and_change_with_it() -> None:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ModifyReplicationGroup.html"""
    with a_world() as world:
        elasticache = client(world)
        elasticache.modify_replication_group(**GROUP, AutoMinorVersionUpgrade=False, ApplyImmediately=True)
        during = elasticache.describe_cache_clusters()["CacheClusters"]
        world.clock.advance(121)
        after = elasticache.describe_cache_clusters()["CacheClusters"]

    assert {(c["CacheClusterStatus"], c["AutoMinorVersionUpgrade"]) for c in during} == {("modifying", True)}
    assert {(c["CacheClusterStatus"], c["AutoMinorVersionUpgrade"]) for c in after} == {("available", False)}
    assert [(c["CacheClusterId"], c["ReplicationGroupId"]) for c in after] == [
        ("orders-001", "orders"),
        ("orders-002", "orders"),
    ]


def test_what_changes_nodes_waits_for_the_window_unless_it_or_another_change_is_applied_at_once() -> None:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ModifyReplicationGroup.html"""
    with a_world() as world:
        elasticache = client(world)
        elasticache.modify_replication_group(**GROUP, AutomaticFailoverEnabled=True)
        world.clock.advance(3600)
        waiting = group(elasticache)
        elasticache.modify_replication_group(
            **GROUP, SnapshotRetentionLimit=3, SnapshottingClusterId="orders-002", ApplyImmediately=True
        )
        world.clock.advance(121)
        after = group(elasticache)
        elasticache.modify_replication_group(**GROUP, EngineVersion="7.1")
        told = [c["PendingModifiedValues"] for c in elasticache.describe_cache_clusters()["CacheClusters"]]
        world.clock.advance(8 * 86_400)
        (first, _) = elasticache.describe_cache_clusters()["CacheClusters"]

    assert (waiting["Status"], waiting["AutomaticFailover"]) == ("available", "disabled")
    assert waiting["PendingModifiedValues"] == {"AutomaticFailoverStatus": "enabled"}
    assert (after["AutomaticFailover"], after["SnapshotRetentionLimit"]) == ("enabled", 3)
    assert not after.get("PendingModifiedValues")
    assert told == [{"EngineVersion": "7.1"}] * 2
    assert (first["EngineVersion"], first["PendingModifiedValues"]) == ("7.1", {})


@pytest.mark.parametrize(
    ("create", "modify", "code"),
    [
        ({}, {"SnapshotRetentionLimit": 1}, "InvalidParameterCombination"),
        ({"ClusterMode": "enabled"}, {"SnapshottingClusterId": "orders-0001-001"}, "InvalidParameterCombination"),
        ({"replicas": 0}, {"AutomaticFailoverEnabled": True}, "InvalidParameterCombination"),
        ({}, {"SnapshotRetentionLimit": 1, "SnapshottingClusterId": "other-001"}, "CacheClusterNotFound"),
        ({"MultiAZEnabled": True}, {"AutomaticFailoverEnabled": False}, "InvalidParameterCombination"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(create: dict[str, Any], modify: dict[str, Any], code: str) -> None:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ModifyReplicationGroup.html"""
    with a_world() as world:
        elasticache = client(world, **create)

        assert error_of(lambda: elasticache.modify_replication_group(**GROUP, **modify)) == code


def test_what_is_being_modified_takes_no_other_change() -> None:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ModifyCacheCluster.html"""
    with a_world() as world:
        elasticache = client(world)
        elasticache.create_cache_cluster(
            CacheClusterId="alone", Engine="redis", CacheNodeType="cache.t4g.small", NumCacheNodes=1
        )
        change: dict[str, Any] = {"AutoMinorVersionUpgrade": False, "ApplyImmediately": True}
        elasticache.modify_cache_cluster(CacheClusterId="alone", **change)
        elasticache.modify_replication_group(**GROUP, **change)
        codes = [
            error_of(lambda: elasticache.modify_cache_cluster(CacheClusterId="alone", **change)),
            error_of(lambda: elasticache.modify_replication_group(**GROUP, **change)),
            error_of(lambda: elasticache.modify_cache_cluster(CacheClusterId="gone", **change)),
            error_of(lambda: elasticache.modify_replication_group(ReplicationGroupId="gone", **change)),
        ]

    assert codes == [
        "InvalidCacheClusterState",
        "InvalidReplicationGroupState",
        "CacheClusterNotFound",
        "ReplicationGroupNotFoundFault",
    ]
