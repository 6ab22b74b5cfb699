"""Redshift.3: automated snapshots are kept as long as the control wants it, and never shorter than they are."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "redshift/keep_snapshots"
NAME = "one-day-for-redshift-3"


def cluster(b: Bench, name: str = NAME, **more: Any) -> str:
    given = {"NodeType": "ra3.large", "MasterUsername": "owner", "MasterUserPassword": "Not-a-secret-1"}
    b.client("redshift").create_cluster(ClusterIdentifier=name, **(given | more))
    return b.arn("redshift", f"cluster:{name}")


def without_snapshots(b: Bench) -> str:
    return cluster(b, "none-for-redshift-3", NodeType="dc2.large", AutomatedSnapshotRetentionPeriod=0)


def found(b: Bench, resource_id: str) -> dict[str, Any]:
    name = resource_id.rsplit(":", 1)[-1]
    return dict(b.client("redshift").describe_clusters(ClusterIdentifier=name)["Clusters"][0])


def kept(days: int) -> Any:
    return lambda b, resource_id: found(b, resource_id)["AutomatedSnapshotRetentionPeriod"] >= days


CASES = [
    Case("Redshift.3", "a cluster without automated snapshots", without_snapshots, kept(7)),
    Case(
        "Redshift.3",
        "a cluster that keeps them too short",
        cluster,
        kept(30),
        parameters={"MinRetentionPeriod": ["30"]},
        region="eu-west-1",
    ),
]


def test_without_a_parameter_of_the_finding_it_is_seven_days() -> None:
    with bench(ID) as b:
        arn = cluster(b)

        assert b.attempt("Redshift.3", arn).finish()["outcome"] == "REMEDIATED"
        assert found(b, arn)["AutomatedSnapshotRetentionPeriod"] == 7


def test_nothing_but_the_retention_is_changed() -> None:
    with bench(ID) as b:
        arn = cluster(b, PubliclyAccessible=True, AllowVersionUpgrade=False)
        before = found(b, arn)

        b.attempt("Redshift.3", arn).finish()

        after = found(b, arn)
        changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)}
        assert changed == {"AutomatedSnapshotRetentionPeriod"}


def test_a_cluster_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("Redshift.3", b.arn("redshift", "cluster:gone"))["outcome"] == "COMPLIANT"


def plan(days: int, wanted: int = 7, status: str = "available") -> list[int]:
    state = {"config": {"retention_days": days}, "facts": {"status": status}, "busy": None}
    target = {"resource": {"cluster": NAME}, "parameters": {"minRetentionPeriod": wanted}}
    made = code_of(remediation_of(ID)).plan(state, target)
    return [one["parameters"]["AutomatedSnapshotRetentionPeriod"] for one in made]


@pytest.mark.parametrize(
    ("days", "wanted", "put"), [(0, 7, [7]), (1, 7, [7]), (7, 7, []), (35, 7, []), (34, 35, [35]), (10, 14, [14])]
)
def test_retention_is_raised_and_never_lowered(days: int, wanted: int, put: list[int]) -> None:
    assert plan(days, wanted) == put


@pytest.mark.parametrize("status", ["paused", "incompatible-network"])
def test_what_cannot_be_changed_is_refused_before_the_first_call(status: str) -> None:
    assert plan(7, status=status) == []
    with pytest.raises(CannotRepair, match=status):
        plan(1, status=status)
