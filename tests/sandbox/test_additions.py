"""What moto fakes too kindly, held against AWS's documentation (pages named in each test)."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.additions import iam, rds, s3
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


# --- ec2


def a_vpc(world: FakeWorld) -> str:
    return str(client(world, "ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])


def flow_log(world: FakeWorld, vpc: str, **changes: Any) -> Any:
    role = f"arn:aws:iam::{PAYMENTS}:role/flow-logs"
    wanted = {"ResourceIds": [vpc], "ResourceType": "VPC", "TrafficType": "ALL", "LogGroupName": "flows"}
    return client(world, "ec2").create_flow_logs(**wanted | {"DeliverLogsPermissionArn": role} | changes)


def delivery(world: FakeWorld) -> tuple[str | None, str | None]:
    (found,) = client(world, "ec2").describe_flow_logs()["FlowLogs"]
    return found.get("DeliverLogsStatus"), found.get("DeliverLogsErrorMessage")


@pytest.mark.parametrize(
    ("group", "trusted", "status"),
    [
        (True, True, ("SUCCESS", None)),
        (False, True, ("FAILED", "Access error")),
        (True, False, ("FAILED", "Access error")),
    ],
)
def test_a_flow_logs_delivery_is_known_after_a_while(
    world: FakeWorld, group: bool, trusted: bool, status: tuple[str, str | None]
) -> None:
    """https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-troubleshooting.html"""
    if group:
        client(world, "logs").create_log_group(logGroupName="flows")
    if not trusted:
        world.services.refuse.add(f"arn:aws:iam::{PAYMENTS}:role/flow-logs")
    flow_log(world, a_vpc(world))

    assert delivery(world) == (None, None)
    world.clock.advance(599)
    assert delivery(world) == (None, None)
    world.clock.advance(1)
    assert delivery(world) == status


def test_a_flow_log_for_nothing_is_unsuccessful_not_an_error(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFlowLogs.html"""
    answer = flow_log(world, "vpc-0123456789abcdef0")

    assert answer["FlowLogIds"] == []
    assert [(u["ResourceId"], u["Error"]["Code"]) for u in answer["Unsuccessful"]] == [
        ("vpc-0123456789abcdef0", "InvalidVpcID.NotFound")
    ]


def test_a_token_makes_one_flow_log(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Run_Instance_Idempotency.html"""
    vpc = a_vpc(world)
    first, second = flow_log(world, vpc, ClientToken="t"), flow_log(world, vpc, ClientToken="t")

    assert first["FlowLogIds"] == second["FlowLogIds"]
    assert error_of(lambda: flow_log(world, vpc)) == "FlowLogAlreadyExists"
    assert (
        error_of(lambda: flow_log(world, vpc, ClientToken="t", TrafficType="REJECT")) == "IdempotentParameterMismatch"
    )


def open_group(world: FakeWorld) -> tuple[Any, str, dict[str, str]]:
    """Return a client, a group with one rule per kind of source, and the rules' ids by that kind."""
    ec2, vpc = client(world, "ec2"), a_vpc(world)
    other = ec2.create_security_group(GroupName="other", Description="d", VpcId=vpc)["GroupId"]
    prefixes = ec2.create_managed_prefix_list(PrefixListName="p", MaxEntries=1, AddressFamily="IPv4")["PrefixList"]
    group = ec2.create_security_group(GroupName="open", Description="d", VpcId=vpc)["GroupId"]
    sources = {
        "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "ssh"}],
        "Ipv6Ranges": [{"CidrIpv6": "::/0", "Description": "ssh6"}],
        "UserIdGroupPairs": [{"GroupId": other, "Description": "jump host"}],
        "PrefixListIds": [{"PrefixListId": prefixes["PrefixListId"]}],
    }
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22} | sources]
    )
    kinds = {"CidrIpv4": "v4", "CidrIpv6": "v6", "ReferencedGroupInfo": "group", "PrefixListId": "prefix"}
    rules = {kind: r["SecurityGroupRuleId"] for r in ingress(ec2, group) for key, kind in kinds.items() if key in r}
    return ec2, group, rules


def ingress(ec2: Any, group: str) -> list[dict[str, Any]]:
    found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])
    return [rule for rule in found["SecurityGroupRules"] if not rule["IsEgress"]]


@pytest.mark.parametrize("kind", ["v4", "v6", "group", "prefix"])
def test_a_rule_is_revoked_by_its_id(world: FakeWorld, kind: str) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html"""
    ec2, group, rules = open_group(world)
    answer = ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rules[kind]])

    assert answer["Return"] is True
    assert [r["SecurityGroupRuleId"] for r in answer["RevokedSecurityGroupRules"]] == [rules[kind]]
    left = {rule["SecurityGroupRuleId"] for rule in ingress(ec2, group)}
    assert left == set(rules.values()) - {rules[kind]}
    again = error_of(lambda: ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rules[kind]]))
    assert again == "InvalidSecurityGroupRuleId.NotFound"


def test_a_rule_is_revoked_by_its_permission_whatever_its_description(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html"""
    ec2, group, _ = open_group(world)
    (permission,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    permission["UserIdGroupPairs"][0].pop("Description")
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])

    assert ingress(ec2, group) == []
    gone = error_of(lambda: ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission]))
    assert gone == "InvalidPermission.NotFound"


def test_in_the_default_vpc_an_unknown_permission_is_told_without_an_error(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html"""
    ec2 = client(world, "ec2")
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc["VpcId"])["GroupId"]
    permission = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    answer = ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])

    assert answer["UnknownIpPermissions"] == [permission]


def test_rules_are_shown_with_descriptions_and_paged(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html"""
    ec2, group, rules = open_group(world)
    described = {rule["SecurityGroupRuleId"]: rule.get("Description") for rule in ingress(ec2, group)}
    ranges = [{"CidrIp": f"10.{number}.0.0/16"} for number in range(4)]
    ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": ranges}]
    )
    pages = ec2.get_paginator("describe_security_group_rules").paginate(
        Filters=[{"Name": "group-id", "Values": [group]}], PaginationConfig={"PageSize": 5}
    )

    assert (described[rules["v4"]], described[rules["group"]]) == ("ssh", "jump host")
    assert [len(p["SecurityGroupRules"]) for p in pages] == [5, 4]


def test_prefix_list_entries_are_paged(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListEntries.html"""
    ec2 = client(world, "ec2")
    entries = [{"Cidr": f"10.{number}.0.0/16"} for number in range(90)]
    id_ = ec2.create_managed_prefix_list(PrefixListName="p", MaxEntries=90, AddressFamily="IPv4", Entries=entries)[
        "PrefixList"
    ]["PrefixListId"]
    pages = ec2.get_paginator("get_managed_prefix_list_entries").paginate(
        PrefixListId=id_, PaginationConfig={"PageSize": 40}
    )

    assert [len(p["Entries"]) for p in pages] == [40, 40, 10]


def snapshots(world: FakeWorld, number: int, **volume: Any) -> tuple[Any, list[str]]:
    ec2 = client(world, "ec2")
    made = ec2.create_volume(AvailabilityZone=f"{HOME}a", Size=1, **volume)["VolumeId"]
    return ec2, [ec2.create_snapshot(VolumeId=made)["SnapshotId"] for _ in range(number)]


def publish_snapshot(ec2: Any, snapshot: str) -> None:
    ec2.modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", GroupNames=["all"]
    )


def test_public_snapshots_of_the_account_are_found_and_paged(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html"""
    ec2, made = snapshots(world, 8)
    for snapshot in made[:7]:
        publish_snapshot(ec2, snapshot)
    query = {"OwnerIds": ["self"], "RestorableByUserIds": ["all"]}
    pages = ec2.get_paginator("describe_snapshots").paginate(**query, PaginationConfig={"PageSize": 5})

    assert [len(p["Snapshots"]) for p in pages] == [5, 2]
    change = {"Remove": [{"Group": "all"}]}
    for snapshot in made[:7]:
        ec2.modify_snapshot_attribute(
            SnapshotId=snapshot, Attribute="createVolumePermission", CreateVolumePermission=change
        )
    assert ec2.describe_snapshots(**query)["Snapshots"] == []
    assert {s["SnapshotId"] for s in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]} == set(made)
    assert ec2.describe_snapshots(OwnerIds=[SHOP])["Snapshots"] == []


def test_an_encrypted_ebs_snapshot_cannot_be_made_public(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html"""
    ec2, made = snapshots(world, 1, Encrypted=True)

    assert error_of(lambda: publish_snapshot(ec2, made[0])) == "OperationNotPermitted"


def test_ebs_encryption_by_default_is_of_one_region(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableEbsEncryptionByDefault.html"""
    client(world, "ec2").enable_ebs_encryption_by_default()
    found = [client(world, "ec2", region=r).get_ebs_encryption_by_default() for r in (HOME, IRELAND)]

    assert [one["EbsEncryptionByDefault"] for one in found] == [True, False]


# --- s3


def everybody(bucket: str, **condition: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}


@pytest.mark.parametrize("level", ["bucket", "account"])
def test_a_public_policy_is_refused_while_it_is_blocked(world: FakeWorld, level: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"""
    client_, bucket = client(world, "s3"), log_bucket(world)
    policy = json.dumps(everybody(bucket))
    client_.put_bucket_policy(Bucket=bucket, Policy=policy)
    client_.delete_bucket_policy(Bucket=bucket)
    block = {"BlockPublicPolicy": True}
    if level == "bucket":
        client_.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    else:
        client(world, "s3control").put_public_access_block(AccountId=PAYMENTS, PublicAccessBlockConfiguration=block)

    assert error_of(lambda: client_.put_bucket_policy(Bucket=bucket, Policy=policy)) == "AccessDenied"
    narrow = everybody(bucket, StringEquals={"aws:PrincipalOrgID": world.organization.id})
    client_.put_bucket_policy(Bucket=bucket, Policy=json.dumps(narrow))


@pytest.mark.parametrize(
    ("condition", "public"),
    [
        ({}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-1"}}, False),
        ({"StringLike": {"aws:PrincipalOrgID": "o-*"}}, True),
        ({"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}, True),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, False),
        ({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:cloudtrail:*:222222222222:trail/*"}}, False),
    ],
)
def test_what_a_public_policy_is(condition: dict[str, Any], public: bool) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"""
    assert s3.is_public(everybody("b", **condition)) is public


def test_policies_must_be_json_and_not_too_long(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html"""
    client_, bucket = client(world, "s3"), log_bucket(world)
    long = everybody(bucket)
    long["Statement"][0]["Sid"] = "x" * 20_480

    def put(policy: str) -> str:
        return error_of(lambda: client_.put_bucket_policy(Bucket=bucket, Policy=policy))

    assert {put(policy) for policy in ("{", "{}", json.dumps(long))} == {"MalformedPolicy"}


def test_a_public_acl_is_refused_while_it_is_blocked(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html"""
    client_, bucket = client(world, "s3"), log_bucket(world)
    client_.put_bucket_acl(Bucket=bucket, ACL="public-read")
    client_.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True})

    assert error_of(lambda: client_.put_bucket_acl(Bucket=bucket, ACL="public-read")) == "AccessDenied"
    client_.put_bucket_acl(Bucket=bucket, ACL="private")


def test_the_expected_bucket_owner_is_checked(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html"""
    client_, bucket = client(world, "s3"), log_bucket(world)
    client_.put_object(Bucket=bucket, Key="a", Body=b"", ExpectedBucketOwner=PAYMENTS)

    for call, parameters in (
        (client_.get_bucket_versioning, {}),
        (client_.put_object, {"Key": "a", "Body": b""}),
        (client_.delete_bucket_policy, {}),
    ):
        with pytest.raises(ClientError) as refused:
            call(Bucket=bucket, ExpectedBucketOwner=SHOP, **parameters)
        assert refused.value.response["Error"]["Code"] == "AccessDenied"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_public_access_blocks_are_absent_until_they_are_put(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetPublicAccessBlock.html"""
    client_, bucket = client(world, "s3"), log_bucket(world)
    control = client(world, "s3control")

    absent = "NoSuchPublicAccessBlockConfiguration"
    assert error_of(lambda: client_.get_public_access_block(Bucket=bucket)) == absent
    assert error_of(lambda: control.get_public_access_block(AccountId=PAYMENTS)) == absent
    assert error_of(lambda: control.get_public_access_block(AccountId=SHOP)) == "AccessDenied"


def test_a_bucket_is_reached_from_a_client_of_another_region(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html"""
    bucket = log_bucket(world)
    ireland = client(world, "s3", region=IRELAND)
    ireland.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    assert client(world, "s3").get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


# --- kms


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ({"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"}, "UnsupportedOperationException"),
        ({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}, "UnsupportedOperationException"),
        ({"Origin": "EXTERNAL"}, "UnsupportedOperationException"),
    ],
)
def test_a_key_that_cannot_rotate_is_refused(world: FakeWorld, kind: dict[str, str], code: str) -> None:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKeyRotation.html"""
    kms = client(world, "kms")
    key = kms.create_key(**kind)["KeyMetadata"]["KeyId"]

    assert error_of(lambda: kms.enable_key_rotation(KeyId=key)) == code
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False


def test_a_key_in_the_wrong_state_is_refused(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html"""
    kms = client(world, "kms")
    disabled, dying = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
    kms.disable_key(KeyId=disabled)
    kms.schedule_key_deletion(KeyId=dying, PendingWindowInDays=7)

    assert error_of(lambda: kms.enable_key_rotation(KeyId=disabled)) == "DisabledException"
    assert error_of(lambda: kms.enable_key_rotation(KeyId=dying)) == "KMSInvalidStateException"
    assert error_of(lambda: kms.enable_key_rotation(KeyId="0" * 36)) == "NotFoundException"


def test_rotation_has_a_period(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyRotationStatus.html"""
    kms = client(world, "kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]

    def period() -> int | None:
        return kms.get_key_rotation_status(KeyId=key).get("RotationPeriodInDays")  # type: ignore[no-any-return]

    assert period() is None
    kms.enable_key_rotation(KeyId=key)
    assert period() == 365
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=180)
    assert period() == 180
    assert error_of(lambda: kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=2561)) == "ValidationException"


def test_a_replica_rotates_with_its_primary(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-manage.html"""
    kms, ireland = client(world, "kms"), client(world, "kms", region=IRELAND)
    key = kms.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
    kms.replicate_key(KeyId=key, ReplicaRegion=IRELAND)

    assert error_of(lambda: ireland.enable_key_rotation(KeyId=key)) == "UnsupportedOperationException"
    kms.enable_key_rotation(KeyId=key)
    assert ireland.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is True


# --- lambda


def function(world: FakeWorld) -> Any:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("m.py", "def handler(event, context): pass")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = client(world, "iam").create_role(
        RoleName="f", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    lambda_ = client(world, "lambda")
    lambda_.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Role=role,
        Handler="m.handler",
        Code={"ZipFile": code.getvalue()},
        Publish=True,
    )
    return lambda_


def permit(lambda_: Any, sid: str, **changes: Any) -> dict[str, Any]:
    wanted = {"FunctionName": "f", "StatementId": sid, "Action": "lambda:InvokeFunction", "Principal": "*"}
    statement: dict[str, Any] = json.loads(lambda_.add_permission(**wanted | changes)["Statement"])
    return statement


def sids(lambda_: Any, **qualifier: str) -> list[str]:
    policy = json.loads(lambda_.get_policy(FunctionName="f", **qualifier)["Policy"])
    return [statement["Sid"] for statement in policy["Statement"]]


@pytest.mark.parametrize(
    ("asked", "principal", "condition"),
    [
        ({}, "*", None),
        ({"Principal": SHOP}, {"AWS": f"arn:aws:iam::{SHOP}:root"}, None),
        ({"Principal": f"arn:aws:iam::{SHOP}:role/r"}, {"AWS": f"arn:aws:iam::{SHOP}:role/r"}, None),
        (
            {"Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::b", "SourceAccount": SHOP},
            {"Service": "s3.amazonaws.com"},
            {"StringEquals": {"AWS:SourceAccount": SHOP}, "ArnLike": {"AWS:SourceArn": "arn:aws:s3:::b"}},
        ),
        ({"PrincipalOrgID": "o-1234567890"}, "*", {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}),
        (
            {"Action": "lambda:InvokeFunctionUrl", "FunctionUrlAuthType": "NONE"},
            "*",
            {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
        ),
    ],
)
def test_a_permission_is_written_as_a_statement(
    world: FakeWorld, asked: dict[str, str], principal: Any, condition: Any
) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html"""
    statement = permit(function(world), "a", **asked)

    assert (statement["Principal"], statement.get("Condition")) == (principal, condition)
    assert statement["Resource"] == f"arn:aws:lambda:{HOME}:{PAYMENTS}:function:f"


def test_each_qualifier_has_a_policy_of_its_own(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_GetPolicy.html"""
    lambda_ = function(world)
    permit(lambda_, "plain")
    permit(lambda_, "versioned", Qualifier="1")

    assert (sids(lambda_), sids(lambda_, Qualifier="1")) == (["plain"], ["versioned"])
    wrong = error_of(lambda: lambda_.remove_permission(FunctionName="f", StatementId="versioned"))
    assert wrong == "ResourceNotFoundException"
    lambda_.remove_permission(FunctionName="f", StatementId="versioned", Qualifier="1")
    gone = error_of(lambda: lambda_.get_policy(FunctionName="f", Qualifier="1"))
    assert gone == "ResourceNotFoundException"
    assert sids(lambda_) == ["plain"]


def test_a_revision_guards_the_policy(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_RemovePermission.html"""
    lambda_ = function(world)
    permit(lambda_, "a")
    stale = lambda_.get_policy(FunctionName="f")["RevisionId"]
    permit(lambda_, "b", RevisionId=stale)

    assert error_of(lambda: permit(lambda_, "c", RevisionId=stale)) == "PreconditionFailedException"
    refused = error_of(lambda: lambda_.remove_permission(FunctionName="f", StatementId="a", RevisionId=stale))
    assert refused == "PreconditionFailedException"
    fresh = lambda_.get_policy(FunctionName="f")["RevisionId"]
    lambda_.remove_permission(FunctionName="f", StatementId="a", RevisionId=fresh)
    assert sids(lambda_) == ["b"]
    assert error_of(lambda: permit(lambda_, "b")) == "ResourceConflictException"


# --- iam


def test_a_password_policy_expires_passwords_by_their_age_only(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_PasswordPolicy.html"""
    iam_ = client(world, "iam")
    iam_.update_account_password_policy(MinimumPasswordLength=14)
    without = iam_.get_account_password_policy()["PasswordPolicy"]
    iam_.update_account_password_policy(MaxPasswordAge=90)
    with_age = iam_.get_account_password_policy()["PasswordPolicy"]

    assert (without["ExpirePasswords"], without.get("MaxPasswordAge")) == (False, None)
    assert (with_age["ExpirePasswords"], with_age["MaxPasswordAge"], with_age["MinimumPasswordLength"]) == (True, 90, 6)


@pytest.mark.parametrize(
    "bad", [{"MinimumPasswordLength": 129}, {"MaxPasswordAge": 1096}, {"PasswordReusePrevention": 25}]
)
def test_a_password_policy_has_ranges(world: FakeWorld, bad: dict[str, int]) -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccountPasswordPolicy.html"""
    assert error_of(lambda: client(world, "iam").update_account_password_policy(**bad)) == "ValidationError"


def test_times_of_use_can_be_set(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKeyLastUsed.html"""
    iam_, at = client(world, "iam"), datetime(2025, 6, 1, tzinfo=UTC)
    iam_.create_user(UserName="ann")
    key = iam_.create_access_key(UserName="ann")["AccessKey"]["AccessKeyId"]
    never = iam_.get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"]
    iam.set_key_created(PAYMENTS, "ann", key, at)
    iam.set_key_last_used(PAYMENTS, "ann", key, at)
    iam.set_password_last_used(PAYMENTS, "ann", at)
    used = iam_.get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"]

    assert never == {"ServiceName": "N/A", "Region": "N/A"}
    assert (used["LastUsedDate"], used["ServiceName"]) == (at, "s3")
    assert iam_.list_access_keys(UserName="ann")["AccessKeyMetadata"][0]["CreateDate"] == at
    assert iam_.get_user(UserName="ann")["User"]["PasswordLastUsed"] == at
    iam.set_password_last_used(PAYMENTS, "ann", None)
    assert "PasswordLastUsed" not in iam_.get_user(UserName="ann")["User"]
