"""What moto fakes too kindly, held against AWS's documentation (pages named in each test)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.additions import rds
from tests.sandbox.fakes import START, FakeWorld, a_world, error_of

MANAGEMENT, ADMIN, PAYMENTS, SHOP = "100000000001", "111111111111", "222222222222", "333333333333"
HOME, IRELAND = "us-east-1", "eu-west-1"


@pytest.fixture
def world() -> Iterator[FakeWorld]:
    with a_world() as world:
        yield world


def client(world: FakeWorld, service: str, account: str = PAYMENTS, region: str = HOME) -> Any:
    return world.identity.client(service, account, region)


# --- organizations


@pytest.mark.parametrize("account", [MANAGEMENT, ADMIN])
def test_management_and_delegated_administrator_read_the_organization(world: FakeWorld, account: str) -> None:
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_DescribeAccount.html"""
    organizations = client(world, "organizations", account)
    pages = organizations.get_paginator("list_accounts").paginate()
    parent = organizations.list_parents(ChildId=SHOP)["Parents"][0]

    assert {a["Id"] for p in pages for a in p["Accounts"]} == set(world.organization.accounts)
    assert organizations.describe_account(AccountId=SHOP)["Account"]["Name"] == "web-shop"
    assert parent["Id"] == organizations.list_roots()["Roots"][0]["Id"]
    described = organizations.describe_organization()["Organization"]
    assert (described["Id"], described["MasterAccountId"]) == (world.organization.id, MANAGEMENT)


def test_a_member_may_ask_for_the_organization_only(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_DescribeOrganization.html"""
    organizations = client(world, "organizations", SHOP)

    assert organizations.describe_organization()["Organization"]["Id"] == world.organization.id
    assert error_of(lambda: organizations.list_accounts()) == "AccessDeniedException"
    assert error_of(lambda: organizations.describe_account(AccountId=SHOP)) == "AccessDeniedException"


def test_a_delegated_administrator_does_not_change_the_organization(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/organizations/latest/APIReference/API_CreateAccount.html"""
    organizations = client(world, "organizations", ADMIN)

    assert (
        error_of(lambda: organizations.create_account(Email="new@example.com", AccountName="new"))
        == "AccessDeniedException"
    )


def test_an_account_outside_of_the_organization_has_none(world: FakeWorld) -> None:
    outside = client(world, "organizations", "999999999999")

    assert error_of(lambda: outside.describe_organization()) == "AWSOrganizationsNotInUseException"


# --- rds


def database(world: FakeWorld, **changes: Any) -> Any:
    client_ = client(world, "rds")
    wanted = {
        "DBInstanceIdentifier": "orders",
        "DBInstanceClass": "db.t3.micro",
        "Engine": "mysql",
        "AllocatedStorage": 20,
        "MasterUsername": "admin",
        "MasterUserPassword": "not-a-secret",
        "PubliclyAccessible": True,
        "PreferredMaintenanceWindow": "wed:06:38-wed:07:08",
    }
    client_.create_db_instance(**wanted | changes)
    return client_


def shown(rds_client: Any, *names: str) -> tuple[Any, ...]:
    instance = rds_client.describe_db_instances(DBInstanceIdentifier="orders")["DBInstances"][0]
    return tuple(instance[name] for name in ("DBInstanceStatus", *names))


def test_a_public_instance_takes_its_time_to_become_private(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html"""
    client_ = database(world)
    answer = client_.modify_db_instance(DBInstanceIdentifier="orders", PubliclyAccessible=False)

    assert answer["DBInstance"]["DBInstanceStatus"] == "modifying"
    assert shown(client_, "PubliclyAccessible") == ("modifying", True)
    world.clock.advance(rds.MODIFYING_SECONDS - 1)
    assert shown(client_, "PubliclyAccessible") == ("modifying", True)
    world.clock.advance(1)
    assert shown(client_, "PubliclyAccessible") == ("available", False)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.modify_db_instance(DBInstanceIdentifier="orders", MultiAZ=True, ApplyImmediately=True),
        lambda c: c.modify_db_instance(DBInstanceIdentifier="orders", DeletionProtection=True),
        lambda c: c.stop_db_instance(DBInstanceIdentifier="orders"),
        lambda c: c.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier="now"),
    ],
)
def test_an_instance_that_is_modified_refuses_other_changes(world: FakeWorld, call: Any) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html"""
    client_ = database(world)
    client_.modify_db_instance(DBInstanceIdentifier="orders", PubliclyAccessible=False)

    assert error_of(lambda: call(client_)) == "InvalidDBInstanceState"


def test_a_stopped_instance_cannot_be_modified(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html"""
    client_ = database(world)
    client_.stop_db_instance(DBInstanceIdentifier="orders")
    refused = error_of(lambda: client_.modify_db_instance(DBInstanceIdentifier="orders", PubliclyAccessible=False))

    assert refused == "InvalidDBInstanceState"


def test_without_apply_immediately_a_change_waits_for_the_maintenance_window(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html"""
    client_ = database(world)
    client_.modify_db_instance(DBInstanceIdentifier="orders", MultiAZ=True)

    assert shown(client_, "MultiAZ", "PendingModifiedValues") == ("available", False, {"MultiAZ": True})
    opens = rds.next_window("wed:06:38-wed:07:08", START)
    assert opens == datetime(2026, 3, 4, 6, 38, tzinfo=UTC)
    world.clock.advance((opens - START).total_seconds() + rds.MODIFYING_SECONDS)
    assert shown(client_, "MultiAZ", "PendingModifiedValues") == ("available", True, {})


def test_apply_immediately_takes_along_what_waits(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html"""
    client_ = database(world)
    client_.modify_db_instance(DBInstanceIdentifier="orders", MultiAZ=True)
    client_.modify_db_instance(DBInstanceIdentifier="orders", BackupRetentionPeriod=7, ApplyImmediately=True)
    world.clock.advance(rds.MODIFYING_SECONDS)

    assert shown(client_, "MultiAZ", "BackupRetentionPeriod") == ("available", True, 7)


def test_what_changes_nothing_or_at_once_leaves_the_instance_available(world: FakeWorld) -> None:
    client_ = database(world)
    client_.modify_db_instance(DBInstanceIdentifier="orders", PubliclyAccessible=True, ApplyImmediately=True)
    client_.modify_db_instance(DBInstanceIdentifier="orders", DeletionProtection=True)

    assert shown(client_, "PubliclyAccessible", "DeletionProtection") == ("available", True, True)


def test_a_change_that_moto_refuses_changes_nothing(world: FakeWorld) -> None:
    client_ = database(world)

    def change() -> Any:
        return client_.modify_db_instance(DBInstanceIdentifier="orders", DBParameterGroupName="nowhere")

    assert error_of(change) == "DBParameterGroupNotFound"
    assert shown(client_) == ("available",)


def cluster(world: FakeWorld) -> Any:
    client_ = client(world, "rds")
    client_.create_db_cluster(
        DBClusterIdentifier="ledger", Engine="aurora-mysql", MasterUsername="admin", MasterUserPassword="not-a-secret"
    )
    return client_


def test_a_cluster_takes_its_time_and_keeps_iam_authentication(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBCluster.html"""
    client_ = cluster(world)

    def modify() -> Any:
        return client_.modify_db_cluster(
            DBClusterIdentifier="ledger", EnableIAMDatabaseAuthentication=True, ApplyImmediately=True
        )

    def now() -> tuple[str, bool]:
        found = client_.describe_db_clusters(DBClusterIdentifier="ledger")["DBClusters"][0]
        return found["Status"], found["IAMDatabaseAuthenticationEnabled"]

    modify()
    assert now() == ("modifying", False)
    assert error_of(modify) == "InvalidDBClusterStateFault"
    world.clock.advance(rds.MODIFYING_SECONDS)
    assert now() == ("available", True)


@pytest.mark.parametrize("change", [{"DeletionProtection": True}, {"BackupRetentionPeriod": 7}])
def test_a_member_of_a_cluster_leaves_some_changes_to_the_cluster(world: FakeWorld, change: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html"""
    client_ = cluster(world)
    client_.create_db_instance(
        DBInstanceIdentifier="orders",
        DBClusterIdentifier="ledger",
        DBInstanceClass="db.r5.large",
        Engine="aurora-mysql",
        PubliclyAccessible=True,
    )
    refused = error_of(lambda: client_.modify_db_instance(DBInstanceIdentifier="orders", **change))
    client_.modify_db_instance(DBInstanceIdentifier="orders", PubliclyAccessible=False)
    world.clock.advance(rds.MODIFYING_SECONDS)

    assert refused == "InvalidParameterCombination"
    assert shown(client_, "PubliclyAccessible") == ("available", False)


@pytest.mark.parametrize(
    ("encrypted", "who", "refused"), [(True, "all", True), (True, SHOP, False), (False, "all", False)]
)
def test_an_encrypted_snapshot_is_not_for_all(world: FakeWorld, encrypted: bool, who: str, refused: bool) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBSnapshotAttribute.html"""
    client_ = database(world, StorageEncrypted=encrypted)
    client_.create_db_snapshot(DBInstanceIdentifier="orders", DBSnapshotIdentifier="backup")

    def share() -> Any:
        return client_.modify_db_snapshot_attribute(
            DBSnapshotIdentifier="backup", AttributeName="restore", ValuesToAdd=[who]
        )

    if refused:
        assert error_of(share) == "InvalidDBSnapshotState"
    else:
        attributes = share()["DBSnapshotAttributesResult"]["DBSnapshotAttributes"]
        assert attributes == [{"AttributeName": "restore", "AttributeValues": [who]}]


def test_an_automated_snapshot_cannot_be_shared(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBSnapshotAttribute.html"""
    client_ = database(world)
    found = client_.describe_db_snapshots(DBInstanceIdentifier="orders", SnapshotType="automated")["DBSnapshots"]

    def share() -> Any:
        return client_.modify_db_snapshot_attribute(
            DBSnapshotIdentifier=found[0]["DBSnapshotIdentifier"], AttributeName="restore", ValuesToAdd=[SHOP]
        )

    assert error_of(share) == "InvalidDBSnapshotState"


# --- cloudtrail


def log_bucket(world: FakeWorld, account: str = PAYMENTS) -> str:
    name = f"logs-{account}"
    client(world, "s3", account).create_bucket(Bucket=name)
    return name


def trail(world: FakeWorld, account: str = PAYMENTS, **changes: Any) -> Any:
    cloudtrail = client(world, "cloudtrail", account)
    cloudtrail.create_trail(**{"Name": "audit", "S3BucketName": log_bucket(world, account)} | changes)
    return cloudtrail


def trail_arn(account: str = PAYMENTS) -> str:
    return f"arn:aws:cloudtrail:{HOME}:{account}:trail/audit"


def test_a_new_trail_logs_management_events_and_is_not_started(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-management-events-with-cloudtrail.html"""
    cloudtrail = trail(world)
    selectors = cloudtrail.get_event_selectors(TrailName="audit")

    assert [(s["ReadWriteType"], s["IncludeManagementEvents"]) for s in selectors["EventSelectors"]] == [("All", True)]
    assert "AdvancedEventSelectors" not in selectors
    assert cloudtrail.get_trail(Name="audit")["Trail"]["HasCustomEventSelectors"] is False
    assert cloudtrail.get_trail_status(Name=trail_arn())["IsLogging"] is False


def test_event_selectors_of_one_kind_replace_the_other(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_PutEventSelectors.html"""
    cloudtrail = trail(world)
    field = {"Field": "eventCategory", "Equals": ["Management"]}
    advanced = [{"Name": "management", "FieldSelectors": [field]}]
    cloudtrail.put_event_selectors(TrailName=trail_arn(), AdvancedEventSelectors=advanced)
    first = cloudtrail.get_event_selectors(TrailName="audit")
    cloudtrail.put_event_selectors(TrailName="audit", EventSelectors=[{"ReadWriteType": "ReadOnly"}])
    second = cloudtrail.get_event_selectors(TrailName="audit")

    assert (first.get("EventSelectors"), len(first["AdvancedEventSelectors"])) == (None, 1)
    assert (second.get("AdvancedEventSelectors"), len(second["EventSelectors"])) == (None, 1)
    assert cloudtrail.get_trail(Name="audit")["Trail"]["HasCustomEventSelectors"] is True


@pytest.mark.parametrize("name", ["audit", trail_arn()])
def test_a_trail_is_changed_and_deleted_by_name_and_by_arn(world: FakeWorld, name: str) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_DeleteTrail.html"""
    cloudtrail = trail(world)
    cloudtrail.start_logging(Name=name)
    assert cloudtrail.get_trail_status(Name="audit")["IsLogging"] is True
    cloudtrail.stop_logging(Name=name)
    assert cloudtrail.get_trail_status(Name="audit")["IsLogging"] is False
    cloudtrail.update_trail(Name=name, EnableLogFileValidation=True)
    assert cloudtrail.get_trail(Name=name)["Trail"]["LogFileValidationEnabled"] is True
    cloudtrail.delete_trail(Name=name)

    assert cloudtrail.describe_trails()["trailList"] == []
    assert error_of(lambda: cloudtrail.delete_trail(Name=name)) == "TrailNotFoundException"


def test_a_trail_needs_a_bucket_that_lets_cloudtrail_write(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html"""
    cloudtrail, bucket = client(world, "cloudtrail"), log_bucket(world)
    written = f"arn:aws:s3:::{bucket}/mine/AWSLogs/{PAYMENTS}/CloudTrail/log.json.gz"
    world.services.refuse.add(written)

    def create(name: str = bucket) -> Any:
        return cloudtrail.create_trail(Name="audit", S3BucketName=name, S3KeyPrefix="mine")

    assert error_of(lambda: create("nowhere-at-all")) == "S3BucketDoesNotExistException"
    assert error_of(create) == "InsufficientS3BucketPolicyException"
    assert cloudtrail.describe_trails()["trailList"] == []
    world.services.refuse.clear()
    assert create()["TrailARN"] == trail_arn()
    context = {"aws:SourceArn": trail_arn(), "aws:SourceAccount": PAYMENTS}
    assert ("cloudtrail.amazonaws.com", "s3:GetBucketAcl", f"arn:aws:s3:::{bucket}", context) in world.services.asked
    acl = context | {"s3:x-amz-acl": "bucket-owner-full-control"}
    assert ("cloudtrail.amazonaws.com", "s3:PutObject", written, acl) in world.services.asked
    assert error_of(create) == "TrailAlreadyExistsException"


def test_a_trail_may_write_to_a_bucket_of_another_account(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-set-bucket-policy-multiple-accounts.html"""
    bucket = log_bucket(world, ADMIN)

    assert client(world, "cloudtrail").create_trail(Name="audit", S3BucketName=bucket)["S3BucketName"] == bucket


@pytest.mark.parametrize(("shadows", "seen"), [(True, [trail_arn()]), (False, [])])
def test_a_multi_region_trail_has_shadows_that_cannot_be_changed(
    world: FakeWorld, shadows: bool, seen: list[str]
) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_DescribeTrails.html"""
    trail(world, IsMultiRegionTrail=True)
    ireland = client(world, "cloudtrail", region=IRELAND)
    found = ireland.describe_trails(includeShadowTrails=shadows)["trailList"]

    assert [t["TrailARN"] for t in found] == seen
    assert {t["HomeRegion"] for t in found} <= {HOME}
    assert ireland.get_trail(Name=trail_arn())["Trail"]["HomeRegion"] == HOME
    for change in (
        lambda: ireland.update_trail(Name=trail_arn(), EnableLogFileValidation=True),
        lambda: ireland.stop_logging(Name=trail_arn()),
        lambda: ireland.delete_trail(Name=trail_arn()),
    ):
        assert error_of(change) == "InvalidHomeRegionException"


def test_a_trail_of_one_region_is_not_seen_in_another(world: FakeWorld) -> None:
    trail(world)
    ireland = client(world, "cloudtrail", region=IRELAND)

    assert ireland.describe_trails()["trailList"] == []
    assert error_of(lambda: ireland.get_trail(Name="audit")) == "TrailNotFoundException"
    assert error_of(lambda: ireland.delete_trail(Name=trail_arn())) == "InvalidHomeRegionException"


def test_members_see_the_organizations_trail_and_leave_it_alone(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/creating-trail-organization.html"""
    trail(world, MANAGEMENT, IsOrganizationTrail=True, IsMultiRegionTrail=True)
    member = client(world, "cloudtrail", region=IRELAND)
    (found,) = member.describe_trails()["trailList"]

    assert (found["TrailARN"], found["IsOrganizationTrail"]) == (trail_arn(MANAGEMENT), True)
    assert member.get_trail_status(Name=trail_arn(MANAGEMENT))["IsLogging"] is False
    refused = error_of(lambda: member.stop_logging(Name=trail_arn(MANAGEMENT)))
    assert refused == "NotOrganizationMasterAccountException"
    assert member.describe_trails(includeShadowTrails=False)["trailList"] == []
    mine = error_of(lambda: trail(world, SHOP, IsOrganizationTrail=True))
    assert mine == "NotOrganizationMasterAccountException"


def test_delivery_to_cloudwatch_logs_is_seen_after_a_while(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/send-cloudtrail-events-to-cloudwatch-logs.html"""
    cloudtrail = trail(world)
    cloudtrail.start_logging(Name="audit")
    group, role = f"arn:aws:logs:{HOME}:{PAYMENTS}:log-group:trail:*", f"arn:aws:iam::{PAYMENTS}:role/delivery"

    def deliver(role_arn: str = role) -> Any:
        return cloudtrail.update_trail(Name="audit", CloudWatchLogsLogGroupArn=group, CloudWatchLogsRoleArn=role_arn)

    assert error_of(deliver) == "InvalidCloudWatchLogsLogGroupArnException"
    client(world, "logs").create_log_group(logGroupName="trail")
    world.services.refuse.add(role)
    assert error_of(deliver) == "InvalidCloudWatchLogsRoleArnException"
    world.services.refuse.clear()
    deliver()
    assert "LatestCloudWatchLogsDeliveryTime" not in cloudtrail.get_trail_status(Name="audit")
    world.clock.advance(300)
    assert cloudtrail.get_trail_status(Name="audit")["LatestCloudWatchLogsDeliveryTime"] == world.clock.now()
    cloudtrail.update_trail(Name="audit", CloudWatchLogsLogGroupArn="", CloudWatchLogsRoleArn="")
    assert "CloudWatchLogsLogGroupArn" not in cloudtrail.get_trail(Name="audit")["Trail"]


def test_a_key_must_let_cloudtrail_encrypt(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html"""
    cloudtrail = trail(world)
    key = client(world, "kms").create_key()["KeyMetadata"]["Arn"]
    world.services.refuse.add(key)

    def encrypt() -> Any:
        return cloudtrail.update_trail(Name="audit", KmsKeyId=key)

    assert error_of(encrypt) == "InsufficientEncryptionPolicyException"
    world.services.refuse.clear()
    assert encrypt()["KmsKeyId"] == key
    missing = error_of(lambda: cloudtrail.update_trail(Name="audit", KmsKeyId="0" * 36))
    assert missing == "KmsKeyNotFoundException"
