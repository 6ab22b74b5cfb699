"""RDS beyond moto: clusters of several zones, monitoring, what waits for a window, and copies of snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.additions import rds, rds_snapshots
from tests.sandbox.fakes import FakeWorld, a_world, error_of

PAYMENTS, HOME = "222222222222", "us-east-1"
OWNER = {"MasterUsername": "owner", "MasterUserPassword": "not-a-secret"}
ROLE = f"arn:aws:iam::{PAYMENTS}:role/monitoring"


@pytest.fixture
def world() -> Iterator[FakeWorld]:
    with a_world() as world:
        yield world


def client(world: FakeWorld, service: str = "rds") -> Any:
    return world.identity.client(service, PAYMENTS, HOME)


def database(world: FakeWorld, **more: Any) -> Any:
    made = {"Engine": "mysql", "DBInstanceClass": "db.t3.micro", "AllocatedStorage": 20, **OWNER}
    client(world).create_db_instance(DBInstanceIdentifier="orders", **made | more)
    return client(world)


def member(world: FakeWorld, engine: str) -> Any:
    client(world).create_db_cluster(
        DBClusterIdentifier="shop", Engine=engine, AutoMinorVersionUpgrade=False, AllocatedStorage=100, **OWNER
    )
    client(world).create_db_instance(
        DBInstanceIdentifier="orders",
        DBClusterIdentifier="shop",
        Engine=engine,
        DBInstanceClass="db.m6gd.large",
        AutoMinorVersionUpgrade=False,
    )
    return client(world)


def shown(client_: Any, *names: str) -> tuple[Any, ...]:
    found = client_.describe_db_instances(DBInstanceIdentifier="orders")["DBInstances"][0]
    return tuple(found.get(name) for name in names)


def modify(client_: Any, **change: Any) -> Any:
    return lambda: client_.modify_db_instance(DBInstanceIdentifier="orders", **change)


# --- clusters


@pytest.mark.parametrize(("engine", "refused"), [("mysql", True), ("aurora-mysql", False)])
def test_an_instance_of_a_multi_az_cluster_cannot_be_modified(world: FakeWorld, engine: str, refused: bool) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/modify-multi-az-db-cluster.html"""
    change = modify(member(world, engine), AutoMinorVersionUpgrade=True)

    if refused:
        assert error_of(change) == "InvalidParameterCombination"
    else:
        assert change()["DBInstance"]["AutoMinorVersionUpgrade"]


@pytest.mark.parametrize(("engine", "handed_on"), [("mysql", True), ("aurora-mysql", False)])
def test_a_multi_az_cluster_hands_its_upgrades_on(world: FakeWorld, engine: str, handed_on: bool) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/modify-multi-az-db-cluster.html"""
    client_ = member(world, engine)
    client_.modify_db_cluster(DBClusterIdentifier="shop", AutoMinorVersionUpgrade=True)

    assert shown(client_, "AutoMinorVersionUpgrade") == (handed_on,)


# --- monitoring


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"MonitoringInterval": 60}, "InvalidParameterCombination"),
        ({"MonitoringRoleArn": ROLE}, "InvalidParameterCombination"),
        ({"MonitoringInterval": 20, "MonitoringRoleArn": ROLE}, "InvalidParameterValue"),
    ],
)
def test_monitoring_needs_an_interval_that_exists_and_a_role(
    world: FakeWorld, change: dict[str, Any], refused: str
) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html"""
    assert error_of(modify(database(world), **change)) == refused


def test_the_role_must_let_enhanced_monitoring_assume_it_for_this_instance(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html"""
    client_ = database(world)
    modify(client_, MonitoringInterval=60, MonitoringRoleArn=ROLE)()
    world.clock.advance(rds.MODIFYING_SECONDS)

    arn = f"arn:aws:rds:{HOME}:{PAYMENTS}:db:orders"
    context = {"aws:SourceAccount": PAYMENTS, "aws:SourceArn": arn}
    assert world.services.assumed == [("monitoring.rds.amazonaws.com", ROLE, "rds-monitoring", context)]
    assert shown(client_, "MonitoringInterval", "MonitoringRoleArn") == (60, ROLE)


def test_a_role_that_cannot_be_assumed_changes_nothing(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html"""
    client_ = database(world)
    world.services.refuse.add(ROLE)

    assert error_of(modify(client_, MonitoringInterval=60, MonitoringRoleArn=ROLE)) == "InvalidParameterValue"
    assert shown(client_, "DBInstanceStatus", "MonitoringInterval") == ("available", 0)


# --- what waits for the maintenance window


@pytest.mark.parametrize(
    "change", [{"AllocatedStorage": 100}, {"BackupRetentionPeriod": 9}, {"StorageType": "io1", "Iops": 1000}]
)
def test_what_moto_keeps_behind_a_property_waits_for_the_window_too(world: FakeWorld, change: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html"""
    client_ = database(world)
    before = shown(client_, *change)
    modify(client_, **change)()
    world.clock.advance(rds.MODIFYING_SECONDS)

    assert shown(client_, "DBInstanceStatus", "PendingModifiedValues") == ("available", change)
    assert shown(client_, *change) == before


def test_what_waits_can_be_taken_back_or_replaced(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ModifyInstance.ApplyImmediately.html"""
    client_ = database(world)
    modify(client_, MultiAZ=True, AllocatedStorage=100)()
    modify(client_, MultiAZ=False)()
    assert shown(client_, "PendingModifiedValues") == ({"AllocatedStorage": 100},)
    modify(client_, AllocatedStorage=200)()

    assert shown(client_, "PendingModifiedValues") == ({"AllocatedStorage": 200},)


# --- copies of snapshots


def snapshot(world: FakeWorld, **more: Any) -> Any:
    client_ = database(world, **more)
    tags = [{"Key": "team", "Value": "orders"}]
    client_.create_db_snapshot(DBSnapshotIdentifier="plain", DBInstanceIdentifier="orders", Tags=tags)
    return client_


def copy(client_: Any, key: str = "alias/aws/rds", source: str = "plain") -> Any:
    return lambda: client_.copy_db_snapshot(
        SourceDBSnapshotIdentifier=source, TargetDBSnapshotIdentifier="copied", KmsKeyId=key, CopyTags=True
    )


def status(client_: Any) -> str:
    return str(client_.describe_db_snapshots(DBSnapshotIdentifier="copied")["DBSnapshots"][0]["Status"])


def test_a_copy_takes_its_time_and_is_encrypted(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBSnapshot.html"""
    client_ = snapshot(world)
    answer = copy(client_)()["DBSnapshot"]

    assert (answer["Status"], answer["Encrypted"]) == ("creating", True)
    world.clock.advance(rds_snapshots.COPYING_SECONDS - 1)
    assert status(client_) == "creating"
    world.clock.advance(1)
    assert status(client_) == "available"


def test_a_copy_under_way_cannot_be_copied_but_deleted(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_CopySnapshot.html"""
    client_ = snapshot(world)
    copy(client_)()

    again = error_of(
        lambda: client_.copy_db_snapshot(SourceDBSnapshotIdentifier="copied", TargetDBSnapshotIdentifier="twice")
    )
    assert again == "InvalidDBSnapshotState"
    client_.delete_db_snapshot(DBSnapshotIdentifier="copied")
    assert error_of(lambda: status(client_)) == "DBSnapshotNotFound"


@pytest.mark.parametrize("state", ["absent", "disabled", "in another Region"])
def test_a_copy_needs_an_enabled_key_of_the_region(world: FakeWorld, state: str) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBSnapshot.html"""
    client_, kms = snapshot(world), client(world, "kms")
    key = "00000000-0000-0000-0000-000000000000"
    if state == "disabled":
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.disable_key(KeyId=key)
    if state == "in another Region":
        key = world.identity.client("kms", PAYMENTS, "eu-west-1").create_key()["KeyMetadata"]["Arn"]

    assert error_of(copy(client_, key)) == "KMSKeyNotAccessibleFault"
    assert error_of(lambda: status(client_)) == "DBSnapshotNotFound"


def test_a_copy_of_what_is_not_there_is_refused(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBSnapshot.html"""
    assert error_of(copy(database(world), source="gone")) == "DBSnapshotNotFound"


def test_an_automated_snapshot_cannot_be_deleted(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBSnapshot.html"""
    client_ = database(world)
    found = client_.describe_db_snapshots(DBInstanceIdentifier="orders", SnapshotType="automated")["DBSnapshots"]
    name = found[0]["DBSnapshotIdentifier"]

    assert error_of(lambda: client_.delete_db_snapshot(DBSnapshotIdentifier=name)) == "InvalidDBSnapshotState"


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_snapshot_of_a_cluster_is_not_encrypted_by_a_copy(world: FakeWorld, encrypted: bool) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBClusterSnapshot.html"""
    client_ = client(world)
    client_.create_db_cluster(DBClusterIdentifier="shop", Engine="aurora-mysql", StorageEncrypted=encrypted, **OWNER)
    client_.create_db_cluster_snapshot(DBClusterSnapshotIdentifier="plain", DBClusterIdentifier="shop")
    key = client(world, "kms").create_key()["KeyMetadata"]["Arn"]

    def copied() -> Any:
        return client_.copy_db_cluster_snapshot(
            SourceDBClusterSnapshotIdentifier="plain", TargetDBClusterSnapshotIdentifier="copied", KmsKeyId=key
        )

    if encrypted:
        assert copied()["DBClusterSnapshot"]["StorageEncrypted"]
    else:
        assert error_of(copied) == "InvalidParameterCombination"
