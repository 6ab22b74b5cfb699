"""Interface endpoints of a VPC, as AWS's pages (named in each test) say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sandbox.additions.ec2_endpoints import DELETING_SECONDS, PENDING_SECONDS
from tests.sandbox.fakes import FakeWorld, a_world, error_of

ACCOUNT, REGION = "222222222222", "eu-west-1"
EC2_SERVICE = f"com.amazonaws.{REGION}.ec2"


class Network:
    """A VPC with two subnets in one zone and one in another, and a security group."""

    def __init__(self, world: FakeWorld, *, dns: bool = True) -> None:
        self.world = world
        self.ec2 = world.identity.client("ec2", ACCOUNT, REGION)
        self.vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.ec2.modify_vpc_attribute(VpcId=self.vpc, EnableDnsHostnames={"Value": dns})
        self.subnets = [
            self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")[
                "Subnet"
            ]["SubnetId"]
            for n, zone in enumerate("aab")
        ]
        self.group = self.ec2.create_security_group(GroupName="g", Description="g", VpcId=self.vpc)["GroupId"]

    def create(self, **more: Any) -> dict[str, Any]:
        """Make an endpoint for Amazon EC2 in both zones."""
        asked = {
            "VpcEndpointType": "Interface",
            "VpcId": self.vpc,
            "ServiceName": EC2_SERVICE,
            "SubnetIds": self.subnets[1:],
            "SecurityGroupIds": [self.group],
            **more,
        }
        made: dict[str, Any] = self.ec2.create_vpc_endpoint(**asked)["VpcEndpoint"]
        return made

    def states(self) -> list[str]:
        return [one["State"] for one in self.ec2.describe_vpc_endpoints()["VpcEndpoints"]]


def test_an_endpoint_comes_and_goes_in_its_own_time_and_its_group_is_held_until_then() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpcEndpoints.html and _VpcEndpoint.html"""
    with a_world() as world:
        network = Network(world)
        made = network.create()
        seen = [made["State"], *network.states()]
        world.clock.advance(PENDING_SECONDS)
        seen += network.states()
        answer = network.ec2.delete_vpc_endpoints(VpcEndpointIds=[made["VpcEndpointId"]])
        seen += network.states()
        held = error_of(lambda: network.ec2.delete_security_group(GroupId=network.group))
        world.clock.advance(DELETING_SECONDS)
        gone = network.states()
        network.ec2.delete_security_group(GroupId=network.group)

    assert seen == ["pending", "pending", "available", "deleting"]
    assert not answer["Unsuccessful"]
    assert (held, gone) == ("DependencyViolation", [])


def test_an_endpoint_that_is_not_there_is_told_in_the_answer() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpcEndpoints.html"""
    with a_world() as world:
        answer = Network(world).ec2.delete_vpc_endpoints(VpcEndpointIds=["vpce-0123456789abcdef0"])

    assert [one["Error"]["Code"] for one in answer["Unsuccessful"]] == ["InvalidVpcEndpointId.NotFound"]


def test_an_endpoint_without_groups_gets_the_default_one() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html"""
    with a_world() as world:
        made = Network(world).create(SecurityGroupIds=[])

    assert [one["GroupName"] for one in made["Groups"]] == ["default"]


def second_with_private_dns(network: Network) -> None:
    network.create()
    network.create()


def beside_a_hosted_zone(network: Network) -> None:
    network.world.identity.client("route53", ACCOUNT, REGION).create_hosted_zone(
        Name=f"ec2.{REGION}.amazonaws.com",
        CallerReference="1",
        HostedZoneConfig={"PrivateZone": True, "Comment": ""},
        VPC={"VPCRegion": REGION, "VPCId": network.vpc},
    )
    network.create()


@pytest.mark.parametrize(
    ("create", "code"),
    [
        (second_with_private_dns, "InvalidParameter"),
        (beside_a_hosted_zone, "InvalidParameter"),
        (lambda network: network.create(SubnetIds=network.subnets), "DuplicateSubnetsInSameZone"),
        (lambda network: network.create(ServiceName=f"com.amazonaws.{REGION}.nothing"), "InvalidServiceName"),
        (lambda network: network.create(SecurityGroupIds=["sg-0123456789abcdef0"]), "InvalidSecurityGroupId.NotFound"),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused(create: Callable[[Network], Any], code: str) -> None:
    """https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html and errors-overview.html"""
    with a_world() as world:
        network = Network(world)

        assert error_of(lambda: create(network)) == code


@pytest.mark.parametrize(("private", "refused"), [(True, True), (False, False)])
def test_private_dns_needs_both_dns_attributes_of_the_vpc(private: bool, refused: bool) -> None:
    """https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html"""
    with a_world() as world:
        network = Network(world, dns=False)
        if refused:
            assert error_of(lambda: network.create(PrivateDnsEnabled=private)) == "InvalidParameter"
        else:
            assert network.create(PrivateDnsEnabled=private)["PrivateDnsEnabled"] is False
