"""RDS.1: `all` is taken out of who may restore a snapshot, and nothing else; every id that AWS gives is understood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from moto.rds.models import rds_backends

from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "rds/make_snapshot_private"
OWNER = {"MasterUsername": "owner", "MasterUserPassword": "Not-a-secret-1"}
JOB = "awsbackup:job-1a2b3c4d-1a2b-1a2b-1a2b-1a2b3c4d5e6f"


def snapshot(b: Bench, name: str = "sales-2024", shared: tuple[str, ...] = ("all",)) -> str:
    rds = b.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier="db", Engine="mysql", DBInstanceClass="db.t3.micro", AllocatedStorage=20, **OWNER
    )
    made = rds.create_db_snapshot(DBSnapshotIdentifier=name, DBInstanceIdentifier="db")["DBSnapshot"]
    if shared:
        rds.modify_db_snapshot_attribute(DBSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=list(shared))
    return str(made["DBSnapshotArn"])


def cluster_snapshot(b: Bench, name: str = "shop-2024", shared: tuple[str, ...] = ("all",)) -> str:
    rds = b.client("rds")
    rds.create_db_cluster(DBClusterIdentifier="shop", Engine="aurora-postgresql", **OWNER)
    made = rds.create_db_cluster_snapshot(DBClusterSnapshotIdentifier=name, DBClusterIdentifier="shop")
    if shared:
        rds.modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier=name, AttributeName="restore", ValuesToAdd=list(shared)
        )
    return str(made["DBClusterSnapshot"]["DBClusterSnapshotArn"])


def shares(b: Bench, resource_id: str) -> set[str]:
    rds, (_, _, _, _, _, kind, name) = b.client("rds"), resource_id.split(":", 6)
    if kind == "cluster-snapshot":
        found = rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=name)
        attributes = found["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
    else:
        found = rds.describe_db_snapshot_attributes(DBSnapshotIdentifier=name)
        attributes = found["DBSnapshotAttributesResult"]["DBSnapshotAttributes"]
    return {value for one in attributes for value in one["AttributeValues"]}


def private(b: Bench, resource_id: str) -> bool:
    return "all" not in shares(b, resource_id)


def set_status(b: Bench, name: str, status: str) -> None:
    backend: Any = rds_backends[b.account][b.region]
    (backend.database_snapshots.get(name) or backend.cluster_snapshots[name]).status = status


def made_by_aws(b: Bench, kind: str, name: str, type_: str) -> str:
    """Turn a manual snapshot into one that only AWS can make; return its ARN."""
    backend: Any = rds_backends[b.account][b.region]
    if kind == "snapshot":
        snapshot(b, "plain", shared=())
        found = backend.database_snapshots.pop("plain")
        found.db_snapshot_identifier = name
        backend.database_snapshots[name] = found
    else:
        cluster_snapshot(b, "plain", shared=())
        found = backend.cluster_snapshots.pop("plain")
        found.db_cluster_snapshot_identifier = name
        backend.cluster_snapshots[name] = found
    found.snapshot_type = type_
    return b.arn("rds", f"{kind}:{name}")


CASES = [
    Case("RDS.1", "a public snapshot", snapshot, private),
    Case("RDS.1", "a public cluster snapshot", cluster_snapshot, private),
    Case("RDS.1", "with another account", lambda b: snapshot(b, shared=("333333333333", "all")), private),
]


@pytest.mark.parametrize("make", [snapshot, cluster_snapshot])
def test_other_accounts_keep_their_share_and_the_snapshot_stays(make: Callable[..., str]) -> None:
    with bench(ID) as b:
        arn = make(b, shared=("333333333333", "all", "444444444444"))
        attempt = b.attempt("RDS.1", arn)

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert shares(b, arn) == {"333333333333", "444444444444"}
        assert attempt.undo()["outcome"] == "UNDONE"
        assert shares(b, arn) == {"333333333333", "444444444444", "all"}


def test_accounts_that_somebody_adds_or_removes_meanwhile_are_not_touched_by_an_undo() -> None:
    with bench(ID) as b:
        arn = snapshot(b, shared=("333333333333", "all"))
        attempt = b.attempt("RDS.1", arn)
        attempt.finish()
        b.client("rds").modify_db_snapshot_attribute(
            DBSnapshotIdentifier="sales-2024",
            AttributeName="restore",
            ValuesToAdd=["444444444444"],
            ValuesToRemove=["333333333333"],
        )

        assert attempt.undo()["outcome"] == "UNDONE"
        assert shares(b, arn) == {"444444444444", "all"}


@pytest.mark.parametrize("name", ["a", "a-b", "a1-b2-c3", "FINAL-db-2021", "x" * 255])
@pytest.mark.parametrize("make", [snapshot, cluster_snapshot])
def test_every_legal_name_is_understood(make: Callable[..., str], name: str) -> None:
    # ASR refused a-b: one letter before the first hyphen.
    with bench(ID) as b:
        arn = make(b, name)

        assert b.remediate("RDS.1", arn)["outcome"] == "REMEDIATED"
        assert private(b, arn)


@pytest.mark.parametrize("kind", ["snapshot", "cluster-snapshot"])
def test_an_automated_snapshot_cannot_be_shared(kind: str) -> None:
    with bench(ID) as b:
        arn = made_by_aws(b, kind, "rds:db-2021-01-01-00-00", "automated")

        result = b.remediate("RDS.1", arn)

        assert (result["outcome"], result.get("gone")) == ("COMPLIANT", None)


class BackupsRds:
    """RDS with one snapshot of AWS Backup, as the API documents it; moto has no snapshots of that type."""

    class exceptions:  # noqa: N801  # boto3's name
        DBSnapshotNotFoundFault = KeyError
        DBClusterSnapshotNotFoundFault = KeyError

    def __init__(self, shared: list[str]) -> None:
        self.attributes = [{"AttributeName": "restore", "AttributeValues": shared}]

    def client(self, _service: str) -> BackupsRds:
        return self

    def describe_db_snapshots(self, **asked: str) -> Any:
        assert asked == {"DBSnapshotIdentifier": JOB, "SnapshotType": "awsbackup"}
        return {"DBSnapshots": [{"SnapshotType": "awsbackup", "Status": "available"}]}

    def describe_db_cluster_snapshots(self, **asked: str) -> Any:
        assert asked == {"DBClusterSnapshotIdentifier": JOB, "SnapshotType": "awsbackup"}
        return {"DBClusterSnapshots": [{"SnapshotType": "awsbackup", "Status": "available"}]}

    def describe_db_snapshot_attributes(self, **_asked: str) -> Any:
        return {"DBSnapshotAttributesResult": {"DBSnapshotAttributes": self.attributes}}

    def describe_db_cluster_snapshot_attributes(self, **_asked: str) -> Any:
        return {"DBClusterSnapshotAttributesResult": {"DBClusterSnapshotAttributes": self.attributes}}


@pytest.mark.parametrize("shared", [[], ["333333333333"], ["all"]])
@pytest.mark.parametrize("kind", ["snapshot", "cluster-snapshot"])
def test_a_snapshot_of_aws_backup_is_understood(kind: str, shared: list[str]) -> None:
    # ASR #152: a colon in the name failed for each snapshot of AWS Backup.
    with bench(ID) as b:
        target = b.target("RDS.1", b.arn("rds", f"{kind}:{JOB}"))
    code = code_of(remediation_of(ID))

    state = code.inspect(BackupsRds(shared), target)

    assert target["resource"]["snapshot"] == JOB
    assert state["config"] == {"public": shared == ["all"]}
    assert len(code.plan(state, target)) == (shared == ["all"])


@pytest.mark.parametrize("make", [snapshot, cluster_snapshot])
def test_a_snapshot_that_is_being_made_is_pending(make: Callable[..., str]) -> None:
    with bench(ID) as b:
        arn = make(b)
        name = arn.split(":", 6)[-1]
        set_status(b, name, "creating")
        attempt = b.attempt("RDS.1", arn)
        with b.watched() as calls:
            result = attempt.look()
        assert (result["outcome"], b.writes(calls)) == ("PENDING", [])

        set_status(b, name, "available")

        assert attempt.look()["outcome"] == "REMEDIATED"
        assert private(b, arn)


@pytest.mark.parametrize(
    "name", ["snapshot:gone", "cluster-snapshot:gone", "snapshot:rds:gone-2021-01-01-00-00", f"snapshot:{JOB}"]
)
def test_a_snapshot_that_is_gone_is_compliant(name: str) -> None:
    with bench(ID) as b:
        assert b.remediate("RDS.1", b.arn("rds", name))["outcome"] == "COMPLIANT"


def test_the_session_for_a_snapshot_cannot_write_to_a_cluster_snapshot_of_that_name() -> None:
    with bench(ID) as b:
        arn: Any = snapshot(b)
        with b.watched() as calls:
            b.remediate("RDS.1", arn)

        (write,) = b.writes(calls)
        assert "rds:ModifyDBClusterSnapshotAttribute" not in str(write.principal.session_policy)
