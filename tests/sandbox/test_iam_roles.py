"""AWSSupportAccess and service-linked roles, as AWS's pages (named in each test) say."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from sandbox.organization import Organization
from sandbox.world import Sandbox
from tests.sandbox.fakes import a_world

PAYMENTS = "222222222222"
SUPPORT = "arn:aws:iam::aws:policy/AWSSupportAccess"
TRUST = {"Effect": "Allow", "Principal": {"AWS": PAYMENTS}, "Action": "sts:AssumeRole"}
DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})


def test_a_role_with_the_policy_is_one_of_its_entities_until_it_is_detached() -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html"""
    with a_world() as world:
        iam = world.identity.client("iam", PAYMENTS, "us-east-1")
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=DOCUMENT)

        iam.attach_role_policy(RoleName="r", PolicyArn=SUPPORT)
        during = iam.list_entities_for_policy(PolicyArn=SUPPORT)["PolicyRoles"]
        iam.detach_role_policy(RoleName="r", PolicyArn=SUPPORT)

        assert [one["RoleName"] for one in during] == ["r"]
        assert not iam.list_entities_for_policy(PolicyArn=SUPPORT)["PolicyRoles"]


def test_a_policy_that_is_not_there_has_no_entities() -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html"""
    with a_world() as world:
        iam = world.identity.client("iam", PAYMENTS, "us-east-1")

        with pytest.raises(ClientError, match="NoSuchEntity"):
            iam.list_entities_for_policy(PolicyArn="arn:aws:iam::aws:policy/NoSuchPolicy")


@pytest.mark.parametrize(("partition", "region"), [("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-north-1")])
def test_the_policy_is_the_partitions_own(partition: str, region: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html"""
    with Sandbox(Organization(partition=partition, regions=(region,))) as world:
        iam = world.identity.client("iam", world.organization.members[0], world.organization.home)

        own = f"arn:{partition}:iam::aws:policy/AWSSupportAccess"
        assert iam.get_policy(PolicyArn=own)["Policy"]["Arn"] == own
        with pytest.raises(ClientError, match="NoSuchEntity"):
            iam.list_entities_for_policy(PolicyArn=SUPPORT)


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("config", "AWSServiceRoleForConfig"),
        ("guardduty", "AWSServiceRoleForAmazonGuardDuty"),
        ("macie", "AWSServiceRoleForAmazonMacie"),
    ],
)
def test_a_service_linked_role_has_its_services_name_and_is_made_once(service: str, name: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceLinkedRole.html"""
    with a_world() as world:
        iam = world.identity.client("iam", PAYMENTS, "us-east-1")

        made = iam.create_service_linked_role(AWSServiceName=f"{service}.amazonaws.com")["Role"]

        assert made["Arn"] == f"arn:aws:iam::{PAYMENTS}:role/aws-service-role/{service}.amazonaws.com/{name}"
        with pytest.raises(ClientError, match=r"InvalidInput.*has been taken"):
            iam.create_service_linked_role(AWSServiceName=f"{service}.amazonaws.com")
