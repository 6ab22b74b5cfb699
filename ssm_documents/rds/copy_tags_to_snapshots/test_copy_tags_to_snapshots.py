"""RDS.16: snapshots of a cluster get its tags; what waits for the maintenance window goes on waiting."""

from __future__ import annotations

from typing import Any

import pytest
from moto.rds.models import rds_backends

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "rds/copy_tags_to_snapshots"
NAME = "tags-lost-rds-16"
TAGS = [{"Key": "team", "Value": "orders"}]


def cluster(b: Bench, name: str = NAME, engine: str = "aurora-postgresql", **more: Any) -> str:
    made = b.client("rds").create_db_cluster(
        DBClusterIdentifier=name,
        Engine=engine,
        MasterUsername="owner",
        MasterUserPassword="Not-a-secret-1",
        Tags=TAGS,
        **more,
    )
    return str(made["DBCluster"]["DBClusterArn"])


def neptune(b: Bench) -> str:
    return cluster(b, "graph-rds-16", "neptune")


def found(b: Bench, arn: str) -> dict[str, Any]:
    name = arn.rsplit(":", 1)[-1]
    return dict(b.client("rds").describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0])


def copies(b: Bench, arn: str) -> bool:
    return bool(found(b, arn)["CopyTagsToSnapshot"])


def set_status(b: Bench, status: str) -> None:
    rds_backends[b.account][b.region].clusters[NAME].status = status


CASES = [
    Case("RDS.16", "an Aurora cluster", cluster, copies),
    Case("RDS.16", "a Neptune cluster", neptune, copies),
]


def test_a_snapshot_made_afterwards_has_the_tags() -> None:
    with bench(ID) as b:
        b.attempt("RDS.16", cluster(b)).finish()
        made = b.client("rds").create_db_cluster_snapshot(DBClusterIdentifier=NAME, DBClusterSnapshotIdentifier="now")

        assert made["DBClusterSnapshot"]["TagList"] == TAGS


def test_changes_that_others_left_for_the_maintenance_window_go_on_waiting() -> None:
    # AWS's solution applied them at once.
    with bench(ID) as b:
        arn = cluster(b, EngineVersion="13.7")
        b.client("rds").modify_db_cluster(DBClusterIdentifier=NAME, EngineVersion="13.9")

        assert b.attempt("RDS.16", arn).finish()["outcome"] == "REMEDIATED"

        b.world.advance(600)
        assert (copies(b, arn), found(b, arn)["EngineVersion"]) == (True, "13.7")


def test_a_cluster_that_is_being_modified_is_pending() -> None:
    with bench(ID) as b:
        arn = cluster(b)
        set_status(b, "upgrading")
        attempt = b.attempt("RDS.16", arn)
        with b.watched() as calls:
            assert attempt.look()["outcome"] == "PENDING"
        assert not b.writes(calls)
        set_status(b, "available")

        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_a_cluster_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("RDS.16", b.arn("rds", "cluster:gone"))["outcome"] == "COMPLIANT"


def plan(copies: bool, status: str) -> list[dict[str, Any]]:
    state = {"config": {"copies": copies}, "facts": {"status": status}, "busy": None}
    return list(code_of(remediation_of(ID)).plan(state, {"resource": {"cluster": "c"}}))


@pytest.mark.parametrize(
    ("copies", "status", "parameters"),
    [
        (False, "available", [{"DBClusterIdentifier": "c", "CopyTagsToSnapshot": True}]),
        (True, "available", []),
        (True, "stopped", []),
    ],
)
def test_plan(copies: bool, status: str, parameters: list[dict[str, Any]]) -> None:
    assert [one["parameters"] for one in plan(copies, status)] == parameters


@pytest.mark.parametrize(
    ("status", "why"), [("stopped", "stopped; start it"), ("migration-failed", "mend or delete it")]
)
def test_what_cannot_be_modified_is_refused_before_the_first_call(status: str, why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(False, status)
