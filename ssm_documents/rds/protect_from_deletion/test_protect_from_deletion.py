"""RDS.7, RDS.8: a cluster, and an instance on its own, cannot be deleted by mistake; nothing else is applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from moto.rds.models import rds_backends

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "rds/protect_from_deletion"
OWNER = {"MasterUsername": "owner", "MasterUserPassword": "Not-a-secret-1"}


def instance(b: Bench, name: str = "unprotected-rds-8", **more: Any) -> str:
    wanted = {"Engine": "postgres", "DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20, **OWNER}
    made = b.client("rds").create_db_instance(DBInstanceIdentifier=name, **wanted | more)
    return str(made["DBInstance"]["DBInstanceArn"])


def cluster(b: Bench, name: str = "unprotected-rds-7", engine: str = "aurora-postgresql", **more: Any) -> str:
    made = b.client("rds").create_db_cluster(DBClusterIdentifier=name, Engine=engine, **OWNER, **more)
    return str(made["DBCluster"]["DBClusterArn"])


def multi_az_cluster(b: Bench) -> str:
    return cluster(
        b,
        "three-zones-rds-7",
        "postgres",
        DBClusterInstanceClass="db.m5d.large",
        AllocatedStorage=100,
        StorageType="io1",
        Iops=1000,
    )


def found(b: Bench, arn: str) -> dict[str, Any]:
    rds, (kind, name) = b.client("rds"), arn.split(":")[5:]
    if kind == "cluster":
        return dict(rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0])
    return dict(rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0])


def protected(b: Bench, arn: str) -> bool:
    return bool(found(b, arn)["DeletionProtection"])


def set_status(b: Bench, arn: str, status: str) -> None:
    backend: Any = rds_backends[b.account][b.region]
    kind, name = arn.split(":")[5:]
    (backend.clusters if kind == "cluster" else backend.databases)[name].status = status


CASES = [
    Case("RDS.7", "an Aurora cluster", cluster, protected),
    Case("RDS.7", "a Multi-AZ DB cluster", multi_az_cluster, protected),
    Case("RDS.8", "an instance", instance, protected),
]
KINDS = [("RDS.7", cluster), ("RDS.8", instance)]


@pytest.mark.parametrize(("control", "make"), KINDS)
def test_changes_that_others_left_for_the_maintenance_window_go_on_waiting(
    control: str, make: Callable[..., str]
) -> None:
    # AWS's solution applied them at once.
    with bench(ID) as b:
        arn = make(b, EngineVersion="13.7")
        name, rds = arn.rsplit(":", 1)[-1], b.client("rds")
        if control == "RDS.8":
            rds.modify_db_instance(DBInstanceIdentifier=name, MultiAZ=True)
        else:
            rds.modify_db_cluster(DBClusterIdentifier=name, EngineVersion="13.9")
        before = found(b, arn)

        assert b.attempt(control, arn).finish()["outcome"] == "REMEDIATED"

        b.world.advance(600)
        after = found(b, arn)
        by_itself = {"LatestRestorableTime"}
        changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)} - by_itself
        assert changed == {"DeletionProtection"}


@pytest.mark.parametrize(("control", "make"), KINDS)
def test_a_database_that_is_being_modified_is_protected_afterwards(control: str, make: Callable[..., str]) -> None:
    with bench(ID) as b:
        arn = make(b)
        set_status(b, arn, "backing-up")
        attempt = b.attempt(control, arn)
        with b.watched() as calls:
            assert attempt.look()["outcome"] == "PENDING"
        assert not b.writes(calls)
        set_status(b, arn, "available")

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert protected(b, arn)


@pytest.mark.parametrize("status", ["stopped", "inaccessible-encryption-credentials"])
@pytest.mark.parametrize(("control", "make"), KINDS)
def test_what_cannot_be_modified_is_left_to_a_person_at_once(
    control: str, make: Callable[..., str], status: str
) -> None:
    with bench(ID) as b:
        arn = make(b)
        set_status(b, arn, status)
        with b.watched() as calls:
            result = b.remediate(control, arn)

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])
        assert status in result["why"]
        assert result["to_do"]


def test_an_instance_of_a_cluster_is_told_to_be_protected_by_its_cluster() -> None:
    with bench(ID) as b:
        cluster(b)
        arn = instance(
            b,
            "member",
            Engine="aurora-postgresql",
            DBClusterIdentifier="unprotected-rds-7",
            DBInstanceClass="db.r6g.large",
        )
        with b.watched() as calls:
            result = b.remediate("RDS.8", arn)

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])
        assert "unprotected-rds-7" in result["to_do"]


@pytest.mark.parametrize(("control", "kind"), [("RDS.7", "cluster"), ("RDS.8", "db")])
def test_a_database_that_is_gone_is_compliant(control: str, kind: str) -> None:
    with bench(ID) as b:
        assert b.remediate(control, b.arn("rds", f"{kind}:gone"))["outcome"] == "COMPLIANT"


@pytest.mark.parametrize(
    ("control", "make", "other"), [("RDS.7", cluster, "DBInstance"), ("RDS.8", instance, "DBCluster")]
)
def test_the_session_for_one_kind_may_not_touch_the_other(control: str, make: Callable[..., str], other: str) -> None:
    with bench(ID) as b:
        arn = make(b)
        with b.watched() as calls:
            b.remediate(control, arn)

        assert all(f"rds:Modify{other}" not in str(one.principal.session_policy) for one in calls)


def plan(type_: str = "AwsRdsDbInstance", *, protected: bool = False, **facts: Any) -> list[dict[str, Any]]:
    state = {
        "config": {"protected": protected},
        "facts": {"status": "available", "cluster": None} | facts,
        "busy": None,
    }
    resource = {"id": "x", "type": type_, "instance": "i", "cluster": "c"}
    return list(code_of(remediation_of(ID)).plan(state, {"resource": resource}))


@pytest.mark.parametrize(
    ("type_", "parameters"),
    [
        ("AwsRdsDbInstance", {"DBInstanceIdentifier": "i", "DeletionProtection": True}),
        ("AwsRdsDbCluster", {"DBClusterIdentifier": "c", "DeletionProtection": True}),
    ],
)
def test_nothing_else_is_asked_for(type_: str, parameters: dict[str, Any]) -> None:
    assert [one["parameters"] for one in plan(type_)] == [parameters]


@pytest.mark.parametrize("facts", [{}, {"status": "stopped"}, {"cluster": "c"}])
def test_what_is_protected_needs_nothing(facts: dict[str, Any]) -> None:
    assert plan(protected=True, **facts) == []


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"cluster": "shop"}, "protection of the cluster shop"),
        ({"status": "stopped"}, "stopped; start it"),
        ({"status": "failed"}, "mend or delete it"),
    ],
)
def test_what_cannot_be_protected_is_refused_before_the_first_call(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(**facts)
