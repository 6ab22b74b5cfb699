"""Redshift.1: a cluster loses its public address, with patience; what cannot be changed is left to a person."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "redshift/make_cluster_private"
NAME = "public-for-redshift-1"


def cluster(b: Bench, name: str = NAME, **more: Any) -> str:
    given = {
        "NodeType": "ra3.large",
        "MasterUsername": "owner",
        "MasterUserPassword": "Not-a-secret-1",
        "PubliclyAccessible": True,
    }
    b.client("redshift").create_cluster(ClusterIdentifier=name, **(given | more))
    return b.arn("redshift", f"cluster:{name}")


def with_address(b: Bench) -> str:
    return cluster(b, "public-address-for-redshift-1", ElasticIp="203.0.113.7")


def found(b: Bench, resource_id: str) -> dict[str, Any]:
    name = resource_id.rsplit(":", 1)[-1]
    return dict(b.client("redshift").describe_clusters(ClusterIdentifier=name)["Clusters"][0])


def private(b: Bench, resource_id: str) -> bool:
    return not found(b, resource_id)["PubliclyAccessible"]


CASES = [
    Case("Redshift.1", "a public cluster", cluster, private),
    Case("Redshift.1", "a public cluster with an Elastic IP address", with_address, private, region="eu-west-1"),
]


def test_an_available_cluster_whose_change_has_not_begun_is_not_called_failed() -> None:
    with bench(ID) as b:
        arn = cluster(b)
        attempt = b.attempt("Redshift.1", arn)
        first = attempt.look()

        assert first["outcome"] == "PENDING"
        assert (found(b, arn)["ClusterStatus"], private(b, arn)) == ("available", False)
        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert private(b, arn)


def test_an_undo_gives_the_same_elastic_ip_address_back() -> None:
    with bench(ID) as b:
        arn = with_address(b)
        attempt = b.attempt("Redshift.1", arn)
        attempt.finish()
        assert "ElasticIpStatus" not in found(b, arn)

        assert attempt.undo()["outcome"] == "UNDONE"
        assert found(b, arn)["ElasticIpStatus"]["ElasticIp"] == "203.0.113.7"


def test_a_cluster_that_somebody_changes_is_not_written_to_until_it_is_available() -> None:
    with bench(ID) as b:
        arn = cluster(b)
        b.client("redshift").modify_cluster(ClusterIdentifier=NAME, EnhancedVpcRouting=True)
        b.world.advance(10)
        attempt = b.attempt("Redshift.1", arn)
        with b.watched() as calls:
            result = attempt.look()

        assert result["outcome"] == "PENDING"
        assert not b.writes(calls)
        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_nothing_but_public_access_is_changed() -> None:
    with bench(ID) as b:
        arn = cluster(b, AutomatedSnapshotRetentionPeriod=9, AllowVersionUpgrade=False)
        before = found(b, arn)

        b.attempt("Redshift.1", arn).finish()

        after = found(b, arn)
        assert {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)} == {"PubliclyAccessible"}


def test_a_paused_cluster_is_left_to_a_person_at_once() -> None:
    with bench(ID) as b:
        arn = cluster(b)
        b.client("redshift").pause_cluster(ClusterIdentifier=NAME)
        with b.watched() as calls:
            result = b.remediate("Redshift.1", arn)

        assert result["outcome"] == "FAILED"
        assert "resume" in result["to_do"]
        assert not b.writes(calls)


def test_a_cluster_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("Redshift.1", b.arn("redshift", "cluster:gone"))["outcome"] == "COMPLIANT"


def test_the_role_may_do_nothing_but_what_this_change_needs() -> None:
    remediation = remediation_of(ID)

    actions = {p.action for p in (*remediation.read, *remediation.write, *remediation.undo)}
    assert actions == {"redshift:DescribeClusters", "redshift:ModifyCluster"}


def plan(public: bool = True, status: str = "available") -> list[dict[str, Any]]:
    state = {"config": {"public": public, "address": None}, "facts": {"status": status}, "busy": None}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, {"resource": {"cluster": NAME}})
    return made


@pytest.mark.parametrize(
    ("public", "status", "calls"),
    [(True, "available", 1), (True, "storage-full", 1), (False, "available", 0), (False, "paused", 0)],
)
def test_plan(public: bool, status: str, calls: int) -> None:
    assert len(plan(public, status)) == calls


@pytest.mark.parametrize("status", ["paused", "incompatible-network", "hardware-failure"])
def test_what_cannot_be_changed_is_refused_before_the_first_call(status: str) -> None:
    with pytest.raises(CannotRepair, match=status):
        plan(True, status)
