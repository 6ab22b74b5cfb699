"""RDS.13: instances get minor versions by themselves; those of a Multi-AZ DB cluster through their cluster."""

from __future__ import annotations

from typing import Any

import pytest
from moto.rds.models import rds_backends

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "rds/upgrade_minor_versions"
NAME = "stays-behind-rds-13"
OWNER = {"MasterUsername": "owner", "MasterUserPassword": "Not-a-secret-1"}


def instance(b: Bench, name: str = NAME, **more: Any) -> str:
    wanted = {"Engine": "postgres", "DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20, **OWNER}
    made = b.client("rds").create_db_instance(DBInstanceIdentifier=name, AutoMinorVersionUpgrade=False, **wanted | more)
    return str(made["DBInstance"]["DBInstanceArn"])


def member(b: Bench, cluster: str, engine: str, **more: Any) -> str:
    b.client("rds").create_db_cluster(
        DBClusterIdentifier=cluster, Engine=engine, AutoMinorVersionUpgrade=False, **OWNER, **more
    )
    made = [
        b.client("rds").create_db_instance(
            DBInstanceIdentifier=f"{cluster}-{number}",
            DBClusterIdentifier=cluster,
            Engine=engine,
            DBInstanceClass="db.m6gd.large",
            AutoMinorVersionUpgrade=False,
        )["DBInstance"]["DBInstanceArn"]
        for number in (1, 2)
    ]
    return str(made[0])


def aurora(b: Bench) -> str:
    return member(b, "aurora-rds-13", "aurora-mysql")


def multi_az_cluster(b: Bench) -> str:
    """On AWS the instances come with the cluster."""
    hardware = {"DBClusterInstanceClass": "db.m6gd.large", "AllocatedStorage": 100, "StorageType": "io1", "Iops": 1000}
    return member(b, "zones-rds-13", "mysql", **hardware)


def found(b: Bench, arn: str) -> dict[str, Any]:
    name = arn.rsplit(":", 1)[-1]
    return dict(b.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0])


def upgrades(b: Bench, arn: str) -> bool:
    return bool(found(b, arn)["AutoMinorVersionUpgrade"])


def set_status(b: Bench, status: str) -> None:
    rds_backends[b.account][b.region].databases[NAME].status = status


CASES = [
    Case("RDS.13", "an instance", instance, upgrades),
    Case("RDS.13", "an instance of an Aurora cluster", aurora, upgrades),
    Case("RDS.13", "an instance of a Multi-AZ DB cluster", multi_az_cluster, upgrades),
]


def test_an_instance_of_an_aurora_cluster_is_changed_alone() -> None:
    with bench(ID) as b:
        arn = aurora(b)
        b.attempt("RDS.13", arn).finish()

        assert upgrades(b, arn)
        assert not upgrades(b, b.arn("rds", "db:aurora-rds-13-2"))


def test_the_instances_of_a_multi_az_cluster_go_together_there_and_back() -> None:
    with bench(ID) as b:
        arn, other = multi_az_cluster(b), b.arn("rds", "db:zones-rds-13-2")
        attempt = b.attempt("RDS.13", arn)

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert upgrades(b, arn)
        assert upgrades(b, other)
        assert attempt.undo()["outcome"] == "UNDONE"
        assert not upgrades(b, other)


def test_changes_that_others_left_for_the_maintenance_window_go_on_waiting() -> None:
    with bench(ID) as b:
        arn = instance(b)
        b.client("rds").modify_db_instance(DBInstanceIdentifier=NAME, MultiAZ=True)

        assert b.attempt("RDS.13", arn).finish()["outcome"] == "REMEDIATED"

        b.world.advance(600)
        assert found(b, arn)["PendingModifiedValues"] == {"MultiAZ": True}
        assert not found(b, arn)["MultiAZ"]


def test_an_instance_that_is_being_modified_is_pending() -> None:
    with bench(ID) as b:
        arn = instance(b)
        set_status(b, "backing-up")
        attempt = b.attempt("RDS.13", arn)
        with b.watched() as calls:
            assert attempt.look()["outcome"] == "PENDING"
        assert not b.writes(calls)
        set_status(b, "available")

        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_an_instance_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("RDS.13", b.arn("rds", "db:gone"))["outcome"] == "COMPLIANT"


def plan(config: dict[str, bool] | None = None, **facts: Any) -> list[dict[str, Any]]:
    state = {
        "config": {"instance": False} | (config or {}),
        "facts": {"status": "available", "engine": "mysql", "cluster": None} | facts,
        "busy": None,
    }
    return list(code_of(remediation_of(ID)).plan(state, {"resource": {"instance": "i"}}))


def test_plan() -> None:
    assert plan({"instance": True}, status="stopped") == []
    assert [one["parameters"] for one in plan()] == [{"DBInstanceIdentifier": "i", "AutoMinorVersionUpgrade": True}]
    assert [one["parameters"] for one in plan({"cluster": False}, cluster="c")] == [
        {"DBClusterIdentifier": "c", "AutoMinorVersionUpgrade": True}
    ]


def test_an_instance_that_does_not_have_its_clusters_setting_yet_is_waited_for() -> None:
    (one,) = plan({"cluster": True}, cluster="c")

    assert one["seconds"] == 60


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"engine": "custom-oracle-ee"}, "RDS Custom"),
        ({"engine": "custom-sqlserver-se"}, "RDS Custom"),
        ({"status": "stopped"}, "stopped; start it"),
        ({"status": "incompatible-parameters"}, "mend or delete it"),
    ],
)
def test_what_cannot_be_changed_is_refused_before_the_first_call(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(**facts)
