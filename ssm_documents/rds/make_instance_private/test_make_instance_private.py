"""RDS.2: an instance loses its public address, with patience; what cannot be changed is left to a person."""

from __future__ import annotations

from typing import Any

import pytest
from moto.rds.models import rds_backends

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "rds/make_instance_private"
NAME = "orders-db"


def instance(b: Bench, name: str = NAME, **more: Any) -> str:
    made = b.client("rds").create_db_instance(
        DBInstanceIdentifier=name,
        **(
            {
                "Engine": "postgres",
                "DBInstanceClass": "db.t3.micro",
                "MasterUsername": "owner",
                "MasterUserPassword": "Not-a-secret-1",
                "AllocatedStorage": 20,
                "PubliclyAccessible": True,
            }
            | more
        ),
    )
    return str(made["DBInstance"]["DBInstanceArn"])


def aurora(b: Bench) -> str:
    b.client("rds").create_db_cluster(
        DBClusterIdentifier="shop",
        Engine="aurora-postgresql",
        MasterUsername="owner",
        MasterUserPassword="Not-a-secret-1",
    )
    b.client("rds").create_db_instance(
        DBInstanceIdentifier="shop-1",
        DBClusterIdentifier="shop",
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
        PubliclyAccessible=True,
    )
    found = b.client("rds").describe_db_instances(DBInstanceIdentifier="shop-1")["DBInstances"][0]
    return str(found["DBInstanceArn"])


def modifying(b: Bench) -> str:
    arn = instance(b)
    b.client("rds").modify_db_instance(
        DBInstanceIdentifier=NAME, MonitoringInterval=0, BackupRetentionPeriod=9, ApplyImmediately=True
    )
    assert found(b, arn)["DBInstanceStatus"] == "modifying"
    return arn


def found(b: Bench, resource_id: str) -> dict[str, Any]:
    name = resource_id.rsplit(":", 1)[-1]
    return dict(b.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0])


def set_status(b: Bench, status: str) -> None:
    rds_backends[b.account][b.region].databases[NAME].status = status


def private(b: Bench, resource_id: str) -> bool:
    return not found(b, resource_id)["PubliclyAccessible"]


CASES = [
    Case("RDS.2", "a public instance", instance, private),
    Case("RDS.2", "a public instance of an Aurora cluster", aurora, private),
    Case("RDS.2", "in another Region", instance, private, region="eu-west-1"),
]


def test_the_repair_is_pending_until_the_instance_is_available_again() -> None:
    with bench(ID) as b:
        arn = instance(b)
        attempt = b.attempt("RDS.2", arn)

        assert attempt.look()["outcome"] == "PENDING"
        assert not private(b, arn)
        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert private(b, arn)
        assert found(b, arn)["DBInstanceStatus"] == "available"


def test_an_undo_ends_when_the_instance_is_public_again() -> None:
    with bench(ID) as b:
        arn = instance(b)
        attempt = b.attempt("RDS.2", arn)
        attempt.finish()

        assert attempt.undo()["outcome"] == "UNDONE"
        assert found(b, arn)["PubliclyAccessible"]
        assert found(b, arn)["DBInstanceStatus"] == "available"


def test_an_instance_that_is_modified_by_somebody_is_not_written_to_until_it_is_available() -> None:
    with bench(ID) as b:
        arn = modifying(b)
        attempt = b.attempt("RDS.2", arn)
        with b.watched() as calls:
            result = attempt.look()

        assert (result["outcome"], result["seconds"]) == ("PENDING", 60)
        assert not b.writes(calls)
        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert private(b, arn)


def test_nothing_but_public_access_is_changed() -> None:
    with bench(ID) as b:
        arn = instance(b, MultiAZ=True, DeletionProtection=True, BackupRetentionPeriod=30)
        before = found(b, arn)

        b.attempt("RDS.2", arn).finish()

        after = found(b, arn)
        by_itself = {"LatestRestorableTime", "PendingModifiedValues"}
        changed = {k for k in before.keys() | after.keys() if before.get(k) != after.get(k)} - by_itself
        assert changed == {"PubliclyAccessible"}
        assert not after["PendingModifiedValues"]


@pytest.mark.parametrize("status", ["stopped", "failed", "incompatible-network"])
def test_an_instance_that_cannot_be_modified_is_left_to_a_person_at_once(status: str) -> None:
    with bench(ID) as b:
        arn = instance(b)
        set_status(b, status)
        with b.watched() as calls:
            result = b.remediate("RDS.2", arn)

        assert result["outcome"] == "FAILED"
        assert status in result["why"]
        assert result["to_do"]
        assert not b.writes(calls)


def test_an_instance_that_was_stopped_after_the_repair_says_what_an_undo_needs() -> None:
    with bench(ID) as b:
        attempt = b.attempt("RDS.2", instance(b))
        attempt.finish()
        set_status(b, "stopped")

        result = attempt.undo()

        assert result["outcome"] == "FAILED"
        assert "start it" in result["to_do"]


@pytest.mark.parametrize("name", ["a", "a-b", "A1", "x" * 63])
def test_every_legal_name_is_understood(name: str) -> None:
    with bench(ID) as b:
        arn = instance(b, name)

        assert b.attempt("RDS.2", arn).finish()["outcome"] == "REMEDIATED"
        assert private(b, arn)


def test_an_instance_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("RDS.2", b.arn("rds", "db:gone"))["outcome"] == "COMPLIANT"


def plan(
    *, public: bool = True, status: str = "available", engine: str = "mysql", cluster: str | None = None
) -> list[str]:
    state = {
        "config": {"public": public},
        "facts": {"status": status, "engine": engine, "cluster": cluster},
        "busy": None,
    }
    made = code_of(remediation_of(ID)).plan(state, {"resource": {"instance": NAME}})
    assert all(one["parameters"].keys() == {"DBInstanceIdentifier", "PubliclyAccessible"} for one in made)
    return [one["operation"] for one in made]


@pytest.mark.parametrize(
    ("change", "operations"),
    [
        ({}, ["modify_db_instance"]),
        ({"public": False}, []),
        ({"public": False, "status": "stopped"}, []),
        ({"public": False, "cluster": "c"}, []),
        ({"status": "storage-full"}, ["modify_db_instance"]),
        ({"cluster": "c", "engine": "aurora-mysql"}, ["modify_db_instance"]),
        ({"cluster": "c", "engine": "neptune"}, ["modify_db_instance"]),
    ],
)
def test_plan(change: dict[str, Any], operations: list[str]) -> None:
    assert plan(**change) == operations


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"cluster": "c", "engine": "postgres"}, "Multi-AZ DB cluster"),
        ({"cluster": "c", "engine": "mysql"}, "Multi-AZ DB cluster"),
        ({"status": "stopped"}, "stopped; start it"),
        ({"status": "inaccessible-encryption-credentials"}, "mend or delete it"),
    ],
)
def test_what_cannot_be_changed_is_refused_before_the_first_call(change: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(**change)
