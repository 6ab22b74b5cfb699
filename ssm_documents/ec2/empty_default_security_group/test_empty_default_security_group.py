"""EC2.2: a default security group that nothing uses loses its rules; one in use, or another group, is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair, ResourceGone
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "ec2/empty_default_security_group"
GROUP = "sg-0123456789abcdef0"
Json = dict[str, Any]


def default_group(b: Bench) -> tuple[str, str]:
    """The default group of a new VPC and the VPC, with the rules that AWS gives it."""
    ec2 = b.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "group-name", "Values": ["default"]}]
    (group,) = ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]
    if not group["IpPermissions"]:
        itself = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group["GroupId"]}]}
        ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[itself])
    return group["GroupId"], vpc


def as_made(b: Bench) -> str:
    return b.arn("ec2", f"security-group/{default_group(b)[0]}")


def with_rules_of_its_own(b: Bench) -> str:
    ec2, (group, vpc) = b.client("ec2"), default_group(b)
    other = ec2.create_security_group(GroupName="web", Description="d", VpcId=vpc)["GroupId"]
    tags = [{"ResourceType": "security-group-rule", "Tags": [{"Key": "owner", "Value": "network"}]}]
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    for permission in (
        ssh | {"IpRanges": [{"CidrIp": "192.0.2.0/24", "Description": "bastion"}]},
        ssh | {"Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}]},
        ssh | {"UserIdGroupPairs": [{"GroupId": other, "Description": "from web"}]},
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
    ):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[permission], TagSpecifications=tags)
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[https], TagSpecifications=tags)
    return b.arn("ec2", f"security-group/{group}")


def has_no_rules(b: Bench, resource_id: str) -> bool:
    (group,) = b.client("ec2").describe_security_groups(GroupIds=[resource_id.split("/")[1]])["SecurityGroups"]
    return not group["IpPermissions"] and not group["IpPermissionsEgress"]


CASES = [
    Case("EC2.2", "as a new VPC has it", as_made, has_no_rules),
    Case("EC2.2", "rules of its own in both directions", with_rules_of_its_own, has_no_rules),
]


def described(direction: str, **source: Any) -> Json:
    return {
        "SecurityGroupRuleId": f"sgr-{direction}", "IsEgress": direction == "egress", "IpProtocol": "-1",
        "FromPort": -1, "ToPort": -1, "Tags": [], **source,
    }  # fmt: skip


class Ec2:
    """Answers the script's reads, in pages of two."""

    def __init__(self, name: str = "default", rules: int = 1, interfaces: int = 0, peer: Json | None = None) -> None:
        one = described("ingress", ReferencedGroupInfo=peer or {"GroupId": GROUP, "UserId": "1" * 12})
        self.answers: dict[str, tuple[str, list[Json]]] = {
            "describe_security_group_rules": ("SecurityGroupRules", [one] * rules),
            "describe_network_interfaces": (
                "NetworkInterfaces", [{"NetworkInterfaceId": f"eni-{n}"} for n in range(interfaces)],
            ),
        }  # fmt: skip
        self.groups = [{"GroupName": name}] if name else []

    def client(self, service: str) -> Ec2:
        return self

    def describe_security_groups(self, Filters: list[Json]) -> Json:  # noqa: N803  # boto3's name
        assert Filters == [{"Name": "group-id", "Values": [GROUP]}]
        return {"SecurityGroups": self.groups}

    def get_paginator(self, operation: str) -> Any:
        key, items = self.answers[operation]

        class Pages:
            @staticmethod
            def paginate(Filters: list[Json]) -> list[Json]:  # noqa: N803  # boto3's name
                assert Filters == [{"Name": "group-id", "Values": [GROUP]}]
                return [{key: items[n : n + 2]} for n in range(0, len(items), 2)]

        return Pages


def plan(ec2: Ec2) -> list[Json]:
    target = {"resource": {"group_id": GROUP}, "parameters": {}, "control": "EC2.2"}
    code = code_of(remediation_of(ID))
    calls: list[Json] = code.plan(code.inspect(ec2, target), target)
    return calls


def test_a_group_that_is_not_called_default_is_refused() -> None:
    """ASR emptied whatever group it was given."""
    with pytest.raises(CannotRepair, match="web, not default"):
        plan(Ec2(name="web"))


@pytest.mark.parametrize(
    ("interfaces", "text"),
    [
        (1, "1 network interface uses the group and would lose all traffic: eni-0;"),
        (5, "5 network .*: eni-0, eni-1, eni-2, eni-3, eni-4;"),
        (7, "7 network .*: eni-0, eni-1, eni-2, eni-3, eni-4 and 2 more;"),
    ],
)
def test_a_group_in_use_is_refused_and_its_interfaces_are_named(interfaces: int, text: str) -> None:
    """aws-solutions/virtual-waiting-room-on-aws #267: the predecessor cut off what used the group."""
    with pytest.raises(CannotRepair, match=text):
        plan(Ec2(interfaces=interfaces))


def test_an_empty_group_is_compliant_though_it_is_in_use() -> None:
    assert plan(Ec2(rules=0, interfaces=3)) == []


def test_a_group_that_is_gone_is_said_to_be() -> None:
    with pytest.raises(ResourceGone):
        plan(Ec2(name=""))


def test_a_rule_for_a_group_behind_a_peering_connection_comes_back_with_it() -> None:
    peer = {"GroupId": "sg-0fedcba9876543210", "UserId": "2" * 12, "VpcPeeringConnectionId": "pcx-1", "VpcId": "vpc-1"}
    (one,) = plan(Ec2(peer=peer))
    (back,) = one["undo"][0]["parameters"]["IpPermissions"][0]["UserIdGroupPairs"]

    assert back == {k: v for k, v in peer.items() if k != "VpcId"}


def test_a_group_in_use_keeps_its_rules() -> None:
    with bench(ID) as b:
        ec2, (group, vpc) = b.client("ec2"), default_group(b)
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        interface = ec2.create_network_interface(SubnetId=subnet, Groups=[group])["NetworkInterface"]
        resource_id = b.arn("ec2", f"security-group/{group}")
        with b.watched() as calls:
            result = b.remediate("EC2.2", resource_id)

        assert result["outcome"] == "FAILED"
        assert interface["NetworkInterfaceId"] in result["why"]
        assert not b.writes(calls)
        assert not has_no_rules(b, resource_id)
