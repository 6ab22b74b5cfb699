"""From a published bucket into an organization: without bootstrap, without a hand for a new account."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import samples
from sandbox.additions import securityhub
from sandbox.world import Sandbox
from stacks.member_flat import FIRST
from tests.stacks.assembly import Assembly
from tests.stacks.published import Organization

ROLES = "sharr-member-roles"
ELSEWHERE = "eu-west-1"
FIRST_MEMBER, SECOND_MEMBER, LATER = "222222222222", "333333333333", "444444444444"


@pytest.fixture
def organization(assembly: Assembly) -> Iterator[Organization]:
    with Sandbox() as world:
        yield Organization(world, assembly.folder)


def key(organization: Organization, account: str, region: str) -> str:
    """Make a KMS key that does not rotate, and let Security Hub find it."""
    kms = organization.world.identity.client("kms", account, region)
    arn = str(kms.create_key()["KeyMetadata"]["Arn"])
    found = samples.finding(
        "SC",
        "KMS.4",
        account=account,
        region=region,
        resource_id=arn,
        resource_type="AwsKmsKey",
        now=organization.world.clock.now(),
    )
    securityhub.publish(organization.world, found)
    return arn


def rotates(organization: Organization, arn: str) -> bool:
    _, _, _, region, account, _ = arn.split(":", 5)
    kms = organization.world.identity.client("kms", account, region)
    return bool(kms.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"])


def test_the_organization_is_covered_and_a_new_account_too(organization: Organization) -> None:
    world, admin, home = organization.world, organization.admin, organization.home
    organization.create_admin(SCAutomaticControls="KMS.4,EC2.6")
    organization.trust_stack_sets()
    unit = organization.unit("Workloads", FIRST_MEMBER, SECOND_MEMBER)

    stack = organization.create_rollout(unit, f"{home},{ELSEWHERE}")

    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    for account in (FIRST_MEMBER, SECOND_MEMBER):
        assert organization.stacks(account, home) == [FIRST, ROLES]
        assert organization.stacks(account, ELSEWHERE) == [FIRST]
    assert organization.stacks(LATER, home) == []
    # Without a bootstrap bucket anywhere.
    assert not [b for b in bucket_names(organization) if b.startswith("cdk-")]

    by_function = key(organization, FIRST_MEMBER, ELSEWHERE)
    vpc = public_vpc(organization, SECOND_MEMBER, ELSEWHERE)
    world.run()
    world.advance(1200)
    assert rotates(organization, by_function)
    assert flow_logs(organization, SECOND_MEMBER, ELSEWHERE, vpc), "a runbook of member-flat repaired it"
    ran = [c for c in world.identity.calls if c.operation == "StartAutomationExecution" and c.error is None]
    assert [c.account for c in ran] == [SECOND_MEMBER]

    # An account comes to the unit: nobody does anything.
    organization.organizations.move_account(AccountId=LATER, SourceParentId=organization.root, DestinationParentId=unit)
    world.run()
    assert organization.stacks(LATER, home) == [FIRST, ROLES]
    assert organization.stacks(LATER, ELSEWHERE) == [FIRST]
    later = key(organization, LATER, home)
    world.run()
    world.advance(120)
    assert rotates(organization, later)
    assert world.troubles == []
    assert world.not_known() == []
    assert organization.stacks(admin, home) == ["sharr-admin"]


def test_what_is_left_after_everything_was_deleted_is_what_the_page_says(organization: Organization) -> None:
    """docs/uninstall.md"""
    world, admin, home = organization.world, organization.admin, organization.home
    management = world.organization.management
    outputs = organization.create_admin(SCAutomaticControls="KMS.4,EC2.6")
    organization.trust_stack_sets()
    unit = organization.unit("Workloads", FIRST_MEMBER)
    organization.create_rollout(unit, home)
    organization.create("sharr-member", SECOND_MEMBER, SecHubAdminAccount=admin, HomeRegion=home)
    arn, vpc = key(organization, FIRST_MEMBER, home), public_vpc(organization, FIRST_MEMBER, home)
    world.run()
    world.advance(1200)

    organization.as_role(management, "cloudformation").delete_stack(StackName="sharr-rollout")
    organization.as_role(SECOND_MEMBER, "cloudformation").delete_stack(StackName="sharr-member")
    organization.as_role(admin, "cloudformation").delete_stack(StackName="sharr-admin")

    for account in world.organization.accounts:
        for region in world.organization.regions:
            assert organization.stacks(account, region) == []
            assert documents(organization, account, region) == []
        assert roles(organization, account) == []
    ours = world.identity.client
    assert ours("dynamodb", admin, home).list_tables()["TableNames"] == [outputs["TableName"]]
    groups = [g["logGroupName"] for g in ours("logs", admin, home).describe_log_groups()["logGroups"]]
    assert len(groups) == 1
    assert groups[0].startswith("sharr-admin-OutcomeLog-")
    assert ours("sqs", admin, home).list_queues().get("QueueUrls", []) == []
    assert ours("sns", admin, home).list_topics()["Topics"] == []
    assert [f["FunctionName"] for f in ours("lambda", admin, home).list_functions()["Functions"]] == []
    assert ours("ssm", admin, home).describe_parameters()["Parameters"] == []
    assert ours("securityhub", admin, home).describe_action_targets()["ActionTargets"] == []
    keys = [k["KeyId"] for k in ours("kms", admin, home).list_keys()["Keys"]]
    states = [ours("kms", admin, home).describe_key(KeyId=k)["KeyMetadata"]["KeyState"] for k in keys]
    assert states == ["PendingDeletion"]
    # What was repaired stays repaired, with what the repair made.
    assert rotates(organization, arn)
    assert flow_logs(organization, FIRST_MEMBER, home, vpc)
    there = ours("logs", FIRST_MEMBER, home).describe_log_groups()["logGroups"]
    assert [group["logGroupName"] for group in there] == [f"/sharr/vpc/{vpc}"]
    assert bucket_names(organization) == [organization.place.bucket]


def documents(organization: Organization, account: str, region: str) -> list[str]:
    ssm = organization.world.identity.client("ssm", account, region)
    found = ssm.list_documents(Filters=[{"Key": "Owner", "Values": ["Self"]}])["DocumentIdentifiers"]
    return [each["Name"] for each in found if each["Name"].startswith("SHARR-")]


def roles(organization: Organization, account: str) -> list[str]:
    iam = organization.world.identity.client("iam", account, organization.home)
    pages = iam.get_paginator("list_roles").paginate(PathPrefix="/sharr/")
    return [role["RoleName"] for page in pages for role in page["Roles"]]


def public_vpc(organization: Organization, account: str, region: str) -> str:
    """Make a VPC without flow logs, and let Security Hub find it."""
    ec2 = organization.world.identity.client("ec2", account, region)
    vpc = str(ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"])
    found = samples.finding(
        "SC",
        "EC2.6",
        account=account,
        region=region,
        resource_id=f"arn:aws:ec2:{region}:{account}:vpc/{vpc}",
        resource_type="AwsEc2Vpc",
        now=organization.world.clock.now(),
    )
    securityhub.publish(organization.world, found)
    return vpc


def flow_logs(organization: Organization, account: str, region: str, vpc: str) -> list[str]:
    ec2 = organization.world.identity.client("ec2", account, region)
    found = ec2.describe_flow_logs(Filters=[{"Name": "resource-id", "Values": [vpc]}])["FlowLogs"]
    return [log["FlowLogId"] for log in found]


def bucket_names(organization: Organization) -> list[str]:
    world = organization.world
    return [
        bucket["Name"]
        for account in world.organization.accounts
        for bucket in world.identity.client("s3", account, organization.home).list_buckets()["Buckets"]
    ]
