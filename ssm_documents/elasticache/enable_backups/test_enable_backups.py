"""ElastiCache.1: backups are on, from a replica where there is one, whether a cluster or its group was found."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "elasticache/enable_backups"
SINGLE, GROUP = "single-elasticache-1", "group-for-elasticache-1"


def cluster(b: Bench, name: str = SINGLE, **more: Any) -> str:
    given = {"Engine": "redis", "CacheNodeType": "cache.t4g.small", "NumCacheNodes": 1}
    b.client("elasticache").create_cache_cluster(CacheClusterId=name, **(given | more))
    return b.arn("elasticache", f"cluster:{name}")


def group(b: Bench, name: str = GROUP, replicas: int = 1, **more: Any) -> str:
    b.client("elasticache").create_replication_group(
        ReplicationGroupId=name,
        ReplicationGroupDescription="orders",
        Engine="valkey",
        CacheNodeType="cache.t4g.small",
        **({"NumNodeGroups": 1, "ReplicasPerNodeGroup": replicas} | more),
    )
    return b.arn("elasticache", f"replicationgroup:{name}")


def member(b: Bench) -> str:
    """The primary of a group: the control names clusters, the change is the group's."""
    group(b, "members-elasticache-1")
    return b.arn("elasticache", "cluster:members-elasticache-1-001")


def sharded(b: Bench) -> str:
    return group(b, "sharded-elasticache-1", NumNodeGroups=2, ClusterMode="enabled", AutomaticFailoverEnabled=True)


def found(b: Bench, resource_id: str) -> dict[str, Any]:
    """The group that is named or that the named cluster belongs to, else the cluster."""
    kind, name = resource_id.split(":")[-2:]
    client = b.client("elasticache")
    if kind == "cluster":
        one = client.describe_cache_clusters(CacheClusterId=name)["CacheClusters"][0]
        if "ReplicationGroupId" not in one:
            return dict(one)
        name = one["ReplicationGroupId"]
    return dict(client.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0])


def kept(days: int) -> Any:
    return lambda b, resource_id: found(b, resource_id)["SnapshotRetentionLimit"] >= days


CASES = [
    Case("ElastiCache.1", "a replication group", group, kept(1)),
    Case("ElastiCache.1", "a cluster alone, for longer", cluster, kept(9), {"snapshotRetentionPeriod": ["9"]}),
    Case("ElastiCache.1", "a member of a group, in another Region", member, kept(1), region="eu-west-1"),
]


def test_backups_are_taken_from_a_replica_where_there_is_one_and_else_from_the_only_node() -> None:
    with bench(ID) as b:
        for arn, source in ((group(b), f"{GROUP}-002"), (group(b, "lonely", replicas=0), "lonely-001")):
            assert b.attempt("ElastiCache.1", arn).finish()["outcome"] == "REMEDIATED"
            assert found(b, arn)["SnapshottingClusterId"] == source


def test_a_group_in_cluster_mode_is_told_no_source() -> None:
    with bench(ID) as b:
        arn = sharded(b)

        assert b.attempt("ElastiCache.1", arn).finish()["outcome"] == "REMEDIATED"
        assert "SnapshottingClusterId" not in found(b, arn)


def test_the_source_that_the_owner_chose_stays_when_backups_are_kept_longer() -> None:
    with bench(ID) as b:
        arn = group(b, SnapshotRetentionLimit=2)
        b.client("elasticache").modify_replication_group(
            ReplicationGroupId=GROUP, SnapshottingClusterId=f"{GROUP}-001", ApplyImmediately=True
        )
        b.world.advance(600)
        attempt = b.attempt("ElastiCache.1", arn, parameters={"snapshotRetentionPeriod": ["5"]})

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert found(b, arn)["SnapshottingClusterId"] == f"{GROUP}-001"
        assert attempt.undo()["outcome"] == "UNDONE"
        assert found(b, arn)["SnapshotRetentionLimit"] == 2


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (cluster, {"EngineVersion": "7.1"}),
        (group, {"AutomaticFailoverEnabled": True}),
        (group, {"EngineVersion": "8.0"}),
        (group, {"CacheNodeType": "cache.t4g.medium"}),
    ],
)
def test_changes_of_others_that_wait_for_the_window_are_not_brought_in(make: Any, change: dict[str, Any]) -> None:
    with bench(ID) as b:
        arn = make(b)
        client = b.client("elasticache")
        if make is cluster:
            client.modify_cache_cluster(CacheClusterId=SINGLE, **change)
        else:
            client.modify_replication_group(ReplicationGroupId=GROUP, **change)
        with b.watched() as calls:
            result = b.remediate("ElastiCache.1", arn)

        assert result["outcome"] == "FAILED"
        assert next(iter(change)).removesuffix("Enabled") in result["why"]
        assert not b.writes(calls)


def test_memcached_has_no_backups_and_no_such_control() -> None:
    with bench(ID) as b:
        assert b.remediate("ElastiCache.1", cluster(b, Engine="memcached"))["outcome"] == "COMPLIANT"


def test_a_group_that_is_being_changed_is_waited_for() -> None:
    with bench(ID) as b:
        arn = group(b)
        b.client("elasticache").modify_replication_group(
            ReplicationGroupId=GROUP, MultiAZEnabled=False, ApplyImmediately=True
        )
        attempt = b.attempt("ElastiCache.1", arn)

        assert attempt.look()["outcome"] == "PENDING"
        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_an_undo_does_not_bring_in_what_others_left_for_the_maintenance_window() -> None:
    with bench(ID) as b:
        begins = b.world.clock.now() + timedelta(hours=2)
        window = f"{begins:%a:%H:%M}-{begins + timedelta(hours=1):%a:%H:%M}".lower()
        attempt = b.attempt("ElastiCache.1", group(b, PreferredMaintenanceWindow=window))
        assert attempt.finish()["outcome"] == "REMEDIATED"
        b.client("elasticache").modify_replication_group(ReplicationGroupId=GROUP, EngineVersion="8.0")

        assert attempt.undo()["outcome"] == "UNDONE"
        assert b.world.clock.now() >= begins


@pytest.mark.parametrize("what", ["cluster:gone", "replicationgroup:gone"])
def test_what_is_gone_is_compliant(what: str) -> None:
    with bench(ID) as b:
        assert b.remediate("ElastiCache.1", b.arn("elasticache", what))["outcome"] == "COMPLIANT"


def plan(days: int = 0, wanted: int = 1, **facts: Any) -> list[dict[str, Any]]:
    known: dict[str, Any] = {"engine": "redis", "node_type": "cache.m7g.large", "replication_group": None}
    known |= {"source": None, "status": "available", "pending": []}
    state = {"config": {"retention_days": days}, "facts": known | facts, "busy": None}
    target = {"resource": {"cluster": "c"}, "parameters": {"snapshotRetentionPeriod": wanted}}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize(("days", "wanted", "put"), [(0, 1, [1]), (1, 1, []), (9, 1, []), (1, 9, [9]), (34, 35, [35])])
def test_retention_is_raised_and_never_lowered(days: int, wanted: int, put: list[int]) -> None:
    assert [one["parameters"]["SnapshotRetentionLimit"] for one in plan(days, wanted)] == put


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"status": "restore-failed"}, "restore-failed"),
        ({"node_type": "cache.t1.micro"}, "cannot be backed up"),
        ({"pending": ["CacheNodeType"]}, "CacheNodeType"),
    ],
)
def test_what_cannot_be_changed_is_refused_before_the_first_call(facts: dict[str, Any], why: str) -> None:
    assert plan(5, **facts) == []
    with pytest.raises(CannotRepair, match=why):
        plan(**facts)
