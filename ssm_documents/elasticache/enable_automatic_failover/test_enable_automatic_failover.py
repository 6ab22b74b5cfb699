"""ElastiCache.3: a replication group with replicas fails over by itself; one without is left to a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "elasticache/enable_automatic_failover"
NAME = "by-hand-for-elasticache-3"
LATER = {"applyImmediately": "false"}


def group(b: Bench, name: str = NAME, replicas: int = 1, **more: Any) -> str:
    b.client("elasticache").create_replication_group(
        ReplicationGroupId=name,
        ReplicationGroupDescription="orders",
        Engine="valkey",
        CacheNodeType="cache.t4g.small",
        NumNodeGroups=1,
        ReplicasPerNodeGroup=replicas,
        **more,
    )
    return b.arn("elasticache", f"replicationgroup:{name}")


def two_replicas(b: Bench) -> str:
    return group(b, "two-replicas-for-elasticache-3", replicas=2)


def found(b: Bench, resource_id: str) -> dict[str, Any]:
    name = resource_id.rsplit(":", 1)[1]
    return dict(b.client("elasticache").describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0])


def fails_over(b: Bench, resource_id: str) -> bool:
    return bool(found(b, resource_id)["AutomaticFailover"] == "enabled")


CASES = [
    Case("ElastiCache.3", "a group with a replica", group, fails_over),
    Case("ElastiCache.3", "a group with two, in another Region", two_replicas, fails_over, region="eu-west-1"),
]


def test_it_is_waited_until_failover_is_on() -> None:
    with bench(ID) as b:
        arn = group(b)
        attempt = b.attempt("ElastiCache.3", arn)

        assert attempt.look()["outcome"] == "PENDING"
        assert not fails_over(b, arn)
        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert fails_over(b, arn)


def test_a_group_without_a_replica_is_left_to_a_person_and_nothing_is_written() -> None:
    with bench(ID) as b:
        arn = group(b, replicas=0)
        with b.watched() as calls:
            result = b.remediate("ElastiCache.3", arn)

        assert result["outcome"] == "FAILED"
        assert "IncreaseReplicaCount" in result["to_do"]
        assert not b.writes(calls)


def test_where_it_was_chosen_the_maintenance_window_is_waited_for() -> None:
    with bench(ID) as b:
        begins = b.world.clock.now() + timedelta(minutes=20)
        ends = begins + timedelta(hours=1)
        arn = group(b, PreferredMaintenanceWindow=f"{begins:%a:%H:%M}-{ends:%a:%H:%M}".lower())
        attempt = b.attempt("ElastiCache.3", arn, settings=LATER)
        first = attempt.look()
        b.world.advance(600)

        assert first["outcome"] == "PENDING"
        assert "maintenance window" in first["why"]
        assert found(b, arn)["Status"] == "available"
        assert not fails_over(b, arn)
        assert attempt.finish((1000,))["outcome"] == "REMEDIATED"
        assert fails_over(b, arn)


def test_changes_of_others_that_wait_for_the_window_are_not_brought_in() -> None:
    with bench(ID) as b:
        arn = group(b)
        b.client("elasticache").modify_replication_group(ReplicationGroupId=NAME, EngineVersion="8.0")
        with b.watched() as calls:
            result = b.remediate("ElastiCache.3", arn)
        assert result["outcome"] == "FAILED"
        assert "EngineVersion" in result["why"]
        assert not b.writes(calls)

        later = b.attempt("ElastiCache.3", arn, settings=LATER)
        assert later.look()["outcome"] == "PENDING"
        (member,) = b.client("elasticache").describe_cache_clusters(CacheClusterId=f"{NAME}-001")["CacheClusters"]
        assert member["PendingModifiedValues"] == {"EngineVersion": "8.0"}


def test_an_undo_says_what_stands_in_its_way() -> None:
    with bench(ID) as b:
        attempt = b.attempt("ElastiCache.3", group(b))
        attempt.finish()
        b.client("elasticache").modify_replication_group(
            ReplicationGroupId=NAME, MultiAZEnabled=True, ApplyImmediately=True
        )

        result = attempt.undo()

        assert result["outcome"] == "FAILED"
        assert "Multi-AZ" in result["to_do"]


def test_an_undo_does_not_bring_in_what_others_left_for_the_maintenance_window() -> None:
    with bench(ID) as b:
        begins = b.world.clock.now() + timedelta(hours=2)
        window = f"{begins:%a:%H:%M}-{begins + timedelta(hours=1):%a:%H:%M}".lower()
        attempt = b.attempt("ElastiCache.3", group(b, PreferredMaintenanceWindow=window))
        assert attempt.finish()["outcome"] == "REMEDIATED"
        b.client("elasticache").modify_replication_group(ReplicationGroupId=NAME, EngineVersion="8.0")

        assert attempt.undo()["outcome"] == "UNDONE"
        assert b.world.clock.now() >= begins


def test_a_group_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("ElastiCache.3", b.arn("elasticache", "replicationgroup:gone"))["outcome"] == "COMPLIANT"


def plan(failover: str = "disabled", at_once: bool = True, **facts: Any) -> list[dict[str, Any]]:
    known: dict[str, Any] = {"status": "available", "least_nodes": 2, "node_type": "cache.m7g.large"}
    known |= {"pending": [], "global": None}
    state = {"config": {"automatic_failover": failover}, "facts": known | facts, "busy": None}
    target = {"resource": {"replication_group": NAME}, "parameters": {"applyImmediately": at_once}}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize(("failover", "calls"), [("disabled", 1), ("enabled", 0)])
def test_plan(failover: str, calls: int) -> None:
    assert len(plan(failover)) == calls


@pytest.mark.parametrize("at_once", [True, False])
def test_repair_and_undo_come_when_the_user_wants_them(at_once: bool) -> None:
    (one,) = plan(at_once=at_once)

    assert one["parameters"]["ApplyImmediately"] is at_once
    assert one["undo"][0]["parameters"]["ApplyImmediately"] is at_once


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"least_nodes": 1}, "without a replica"),
        ({"least_nodes": 0}, "without a replica"),
        ({"global": "sgaui-orders"}, "Global datastore sgaui-orders"),
        ({"node_type": "cache.t1.micro"}, "cannot fail over"),
        ({"status": "create-failed"}, "create-failed"),
        ({"pending": ["CacheNodeType"]}, "CacheNodeType"),
    ],
)
def test_what_cannot_be_changed_is_refused_before_the_first_call(facts: dict[str, Any], why: str) -> None:
    assert plan("enabled", **facts) == []
    with pytest.raises(CannotRepair, match=why):
        plan(**facts)
