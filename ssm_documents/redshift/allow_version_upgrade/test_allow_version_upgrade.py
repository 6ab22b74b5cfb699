"""Redshift.6: major version upgrades are allowed, whatever else the cluster is like."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "redshift/allow_version_upgrade"
NAME = "not-upgraded-for-redshift-6"


def cluster(b: Bench, **more: Any) -> str:
    given = {
        "NodeType": "ra3.large",
        "MasterUsername": "owner",
        "MasterUserPassword": "Not-a-secret-1",
        "AllowVersionUpgrade": False,
    }
    b.client("redshift").create_cluster(ClusterIdentifier=NAME, **(given | more))
    return b.arn("redshift", f"cluster:{NAME}")


def found(b: Bench, resource_id: str) -> dict[str, Any]:
    name = resource_id.rsplit(":", 1)[-1]
    return dict(b.client("redshift").describe_clusters(ClusterIdentifier=name)["Clusters"][0])


def upgraded(b: Bench, resource_id: str) -> bool:
    return bool(found(b, resource_id)["AllowVersionUpgrade"])


CASES = [
    Case("Redshift.6", "a cluster that is not upgraded", cluster, upgraded),
    Case("Redshift.6", "in another Region", cluster, upgraded, region="eu-west-1"),
]


def test_nothing_but_the_flag_is_changed() -> None:
    with bench(ID) as b:
        arn = cluster(b, PubliclyAccessible=True, AutomatedSnapshotRetentionPeriod=3)
        before = found(b, arn)

        b.attempt("Redshift.6", arn).finish()

        after = found(b, arn)
        assert {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)} == {"AllowVersionUpgrade"}


def test_a_cluster_that_somebody_changes_is_waited_for() -> None:
    with bench(ID) as b:
        arn = cluster(b)
        b.client("redshift").modify_cluster(ClusterIdentifier=NAME, EnhancedVpcRouting=True)
        b.world.advance(10)
        attempt = b.attempt("Redshift.6", arn)

        assert attempt.look()["outcome"] == "PENDING"
        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_a_value_of_the_finding_that_says_false_does_not_turn_upgrades_off() -> None:
    with bench(ID) as b:
        arn = cluster(b, AllowVersionUpgrade=True)
        given = {"allowVersionUpgrade": ["false"]}

        assert b.remediate("Redshift.6", arn, parameters=given)["outcome"] == "COMPLIANT"
        assert upgraded(b, arn)


def test_a_cluster_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("Redshift.6", b.arn("redshift", "cluster:gone"))["outcome"] == "COMPLIANT"


def plan(upgrades: bool, status: str = "available") -> list[dict[str, Any]]:
    state = {"config": {"upgrades": upgrades}, "facts": {"status": status}, "busy": None}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, {"resource": {"cluster": NAME}})
    return made


@pytest.mark.parametrize(
    ("upgrades", "status", "calls"), [(False, "available", 1), (True, "available", 0), (True, "paused", 0)]
)
def test_plan(upgrades: bool, status: str, calls: int) -> None:
    assert len(plan(upgrades, status)) == calls


@pytest.mark.parametrize(("status", "to_do"), [("paused", "resume it"), ("incompatible-restore", "mend")])
def test_what_cannot_be_changed_is_refused_before_the_first_call(status: str, to_do: str) -> None:
    with pytest.raises(CannotRepair, match=to_do):
        plan(False, status)
