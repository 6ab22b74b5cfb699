"""ElastiCache.2: minor versions are installed, in a group as a whole and in a cluster that stands alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "elasticache/upgrade_minor_versions"
SINGLE, GROUP = "single-elasticache-2", "group-for-elasticache-2"


def cluster(b: Bench, **more: Any) -> str:
    given = {
        "Engine": "redis",
        "CacheNodeType": "cache.t4g.small",
        "NumCacheNodes": 1,
        "AutoMinorVersionUpgrade": False,
    }
    b.client("elasticache").create_cache_cluster(CacheClusterId=SINGLE, **(given | more))
    return b.arn("elasticache", f"cluster:{SINGLE}")


def member(b: Bench, upgrades: bool = False, **more: Any) -> str:
    b.client("elasticache").create_replication_group(
        ReplicationGroupId=GROUP,
        ReplicationGroupDescription="orders",
        Engine="valkey",
        CacheNodeType="cache.t4g.small",
        NumNodeGroups=1,
        ReplicasPerNodeGroup=1,
        AutoMinorVersionUpgrade=upgrades,
        **more,
    )
    return b.arn("elasticache", f"cluster:{GROUP}-001")


def odd_member(b: Bench) -> str:
    """A group that is upgraded, but for one node that somebody has changed."""
    member(b, upgrades=True)
    name = f"{GROUP}-002"
    b.client("elasticache").modify_cache_cluster(
        CacheClusterId=name, AutoMinorVersionUpgrade=False, ApplyImmediately=True
    )
    b.world.advance(600)
    return b.arn("elasticache", f"cluster:{name}")


def upgraded(b: Bench, resource_id: str) -> bool:
    name = resource_id.rsplit(":", 1)[1]
    (one,) = b.client("elasticache").describe_cache_clusters(CacheClusterId=name)["CacheClusters"]
    return bool(one["AutoMinorVersionUpgrade"])


CASES = [
    Case("ElastiCache.2", "a cluster alone", cluster, upgraded),
    Case("ElastiCache.2", "a member of a group, in another Region", member, upgraded, region="eu-west-1"),
]


def test_a_groups_members_are_changed_together_and_so_is_the_group() -> None:
    with bench(ID) as b:
        arn = member(b)
        attempt = b.attempt("ElastiCache.2", arn)
        with b.watched() as calls:
            assert attempt.finish()["outcome"] == "REMEDIATED"

        assert [one.operation for one in b.writes(calls)] == ["ModifyReplicationGroup"]
        (group,) = b.client("elasticache").describe_replication_groups(ReplicationGroupId=GROUP)["ReplicationGroups"]
        assert group["AutoMinorVersionUpgrade"]
        assert all(upgraded(b, f"cluster:{name}") for name in group["MemberClusters"])


def test_a_node_that_differs_from_its_group_is_changed_alone_and_back_by_an_undo() -> None:
    with bench(ID) as b:
        arn = odd_member(b)
        attempt = b.attempt("ElastiCache.2", arn)

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert upgraded(b, arn)
        assert attempt.undo()["outcome"] == "UNDONE"
        assert not upgraded(b, arn)
        assert upgraded(b, f"cluster:{GROUP}-001")


def test_nodes_that_are_upgraded_already_still_are_after_an_undo() -> None:
    """AWS's solution changes single nodes: a group may be half done when this one comes."""
    with bench(ID) as b:
        arn = member(b)
        done = f"{GROUP}-002"
        b.client("elasticache").modify_cache_cluster(
            CacheClusterId=done, AutoMinorVersionUpgrade=True, ApplyImmediately=True
        )
        b.world.advance(600)
        attempt = b.attempt("ElastiCache.2", arn)

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert upgraded(b, arn)
        assert attempt.undo()["outcome"] == "UNDONE"
        assert not upgraded(b, arn)
        assert upgraded(b, f"cluster:{done}")


@pytest.mark.parametrize("make", [cluster, member])
def test_changes_of_others_that_wait_for_the_window_are_not_brought_in(make: Any) -> None:
    with bench(ID) as b:
        arn = make(b)
        if make is cluster:
            b.client("elasticache").modify_cache_cluster(CacheClusterId=SINGLE, EngineVersion="8.0")
        else:
            b.client("elasticache").modify_replication_group(ReplicationGroupId=GROUP, EngineVersion="8.0")
        with b.watched() as calls:
            result = b.remediate("ElastiCache.2", arn)

        assert result["outcome"] == "FAILED"
        assert "EngineVersion" in result["why"]
        assert not b.writes(calls)


def test_the_control_does_not_mean_memcached() -> None:
    with bench(ID) as b:
        assert b.remediate("ElastiCache.2", cluster(b, Engine="memcached"))["outcome"] == "COMPLIANT"


def test_an_undo_does_not_bring_in_what_others_left_for_the_maintenance_window() -> None:
    with bench(ID) as b:
        begins = b.world.clock.now() + timedelta(hours=2)
        window = f"{begins:%a:%H:%M}-{begins + timedelta(hours=1):%a:%H:%M}".lower()
        attempt = b.attempt("ElastiCache.2", member(b, PreferredMaintenanceWindow=window))
        assert attempt.finish()["outcome"] == "REMEDIATED"
        b.client("elasticache").modify_replication_group(ReplicationGroupId=GROUP, EngineVersion="8.0")

        assert attempt.undo()["outcome"] == "UNDONE"
        assert b.world.clock.now() >= begins


def test_a_cluster_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("ElastiCache.2", b.arn("elasticache", "cluster:gone"))["outcome"] == "COMPLIANT"


def plan(upgrades: bool = False, **facts: Any) -> list[str]:
    known: dict[str, Any] = {"engine": "redis", "replication_group": None, "stuck": [], "pending": []}
    known["some_upgrade"] = False
    config = {"upgrades": upgrades, "group_upgrades": None}
    state = {"config": config, "facts": known | facts, "busy": None}
    return [one["operation"] for one in code_of(remediation_of(ID)).plan(state, {"resource": {"cluster": "c"}})]


@pytest.mark.parametrize(
    ("given", "operations"),
    [
        ({}, ["modify_cache_cluster"]),
        ({"upgrades": True}, []),
        ({"engine": "memcached"}, []),
        ({"replication_group": "g"}, ["modify_replication_group"]),
        ({"replication_group": "g", "some_upgrade": True}, ["modify_cache_cluster"]),
    ],
)
def test_plan(given: dict[str, Any], operations: list[str]) -> None:
    assert plan(**given) == operations


@pytest.mark.parametrize("facts", [{"stuck": ["restore-failed"]}, {"pending": ["EngineVersion"]}])
def test_what_cannot_be_changed_is_refused_before_the_first_call(facts: dict[str, Any]) -> None:
    assert plan(upgrades=True, **facts) == []
    with pytest.raises(CannotRepair, match=next(iter(facts.values()))[0]):
        plan(**facts)
