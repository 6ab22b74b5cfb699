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
