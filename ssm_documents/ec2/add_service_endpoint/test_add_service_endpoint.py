"""EC2.10: which VPCs get an endpoint, in which subnets, who may reach it, and that all of it goes away again."""

from __future__ import annotations

from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from sandbox.identity import IdentityCenter
from sandbox.ports import Call
from sharr.loader import DOCUMENTS
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of, load_script
from tests.harness import Bench, Case, bench, remediation_of

ID = "ec2/add_service_endpoint"
VPC = "vpc-0123456789abcdef0"
Json = dict[str, Any]


def vpc(b: Bench, *, dns: bool = True, zones: str = "ab") -> str:
    """Make a VPC with a subnet in each of the zones; return its ARN."""
    ec2 = b.client("ec2")
    vpc_id = ec2.create_vpc(CidrBlock="10.10.0.0/16")["Vpc"]["VpcId"]
    ec2.modify_vpc_attribute(VpcId=vpc_id, EnableDnsHostnames={"Value": dns})
    for number, zone in enumerate(zones):
        ec2.create_subnet(VpcId=vpc_id, CidrBlock=f"10.10.{number}.0/24", AvailabilityZone=f"{b.region}{zone}")
    return b.arn("ec2", f"vpc/{vpc_id}")


def without(b: Bench) -> str:
    return vpc(b)


def without_private_dns(b: Bench) -> str:
    return vpc(b, dns=False, zones="aab")


def half_made_group(b: Bench) -> str:
    """A VPC with the group of a repair that ended early, without its rule."""
    resource_id = vpc(b)
    b.client("ec2").create_security_group(
        GroupName="sharr-ec2-endpoint",
        Description="half made",
        VpcId=resource_id.split("/")[1],
        TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": "sharr", "Value": "service_endpoint"}]}],
    )
    return resource_id


def endpoints(b: Bench, resource_id: str) -> list[Json]:
    here = [{"Name": "vpc-id", "Values": [resource_id.split("/")[1]]}]
    found: list[Json] = b.client("ec2").describe_vpc_endpoints(Filters=here)["VpcEndpoints"]
    return [one for one in found if one["ServiceName"] == f"com.amazonaws.{b.region}.ec2"]


def groups(b: Bench, resource_id: str) -> list[Json]:
    """The VPC's security groups but for its default one."""
    here = [{"Name": "vpc-id", "Values": [resource_id.split("/")[1]]}]
    found = b.client("ec2").describe_security_groups(Filters=here)["SecurityGroups"]
    return [one for one in found if one["GroupName"] != "default"]


def passes(b: Bench, resource_id: str) -> bool:
    return any(one["State"] == "available" for one in endpoints(b, resource_id))


CASES = [
    Case("EC2.10", "a VPC with two zones", without, passes),
    Case(
        "EC2.10",
        "a VPC without DNS host names, in another Region",
        without_private_dns,
        passes,
        region="eu-west-1",
    ),
    Case("EC2.10", "a VPC with a group that was half made", half_made_group, passes),
]


def test_the_endpoint_is_in_one_private_subnet_a_zone_and_the_vpc_alone_may_reach_it() -> None:
    """ASR gave it the default group, which has no rule after the repair of EC2.2."""
    with bench(ID) as b:
        resource_id = vpc(b, zones="aab")
        ec2 = b.client("ec2")
        here = [{"Name": "vpc-id", "Values": [resource_id.split("/")[1]]}]
        subnets = ec2.describe_subnets(Filters=here)["Subnets"]
        first = next(s for s in subnets if s["CidrBlock"] == "10.10.0.0/24")["SubnetId"]
        ec2.modify_subnet_attribute(SubnetId=first, MapPublicIpOnLaunch={"Value": True})
        ec2.associate_vpc_cidr_block(VpcId=resource_id.split("/")[1], CidrBlock="10.11.0.0/16")

        assert b.attempt("EC2.10", resource_id).finish()["outcome"] == "REMEDIATED"

        (made,) = endpoints(b, resource_id)
        (group,) = groups(b, resource_id)
        assert len(made["SubnetIds"]) == 2
        assert first not in made["SubnetIds"]
        assert made["PrivateDnsEnabled"] is True
        assert [one["GroupId"] for one in made["Groups"]] == [group["GroupId"]]
        (rule,) = group["IpPermissions"]
        assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 443, 443)
        assert {one["CidrIp"] for one in rule["IpRanges"]} == {"10.10.0.0/16", "10.11.0.0/16"}


def test_the_outcome_waits_until_the_endpoint_is_available() -> None:
    with bench(ID) as b:
        attempt = b.attempt("EC2.10", without(b))

        assert attempt.look()["why"] == "the endpoint's security group is being made"
        second = attempt.look()
        assert (second["outcome"], second["why"]) == ("PENDING", "the endpoint is being made")
        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_no_session_may_open_or_delete_a_group_of_somebody_elses() -> None:
    with bench(ID) as b:
        resource_id = without(b)
        attempt = b.attempt("EC2.10", resource_id)
        with b.watched() as calls:
            attempt.finish()
            (group,) = groups(b, resource_id)
            attempt.undo()

        changed = {"ec2:AuthorizeSecurityGroupIngress", "ec2:DeleteSecurityGroup"}
        sessions: list[Any] = [one.principal.session_policy for one in b.writes(calls)]
        on = {s["Resource"] for one in sessions for s in one["Statement"] if changed & set(s["Action"])}
        assert on == {b.arn("ec2", f"security-group/{group['GroupId']}")}


def test_a_group_made_by_the_repair_goes_where_the_endpoint_is_refused() -> None:
    with bench(ID) as b:
        resource_id = without(b)

        def refuse(one: Call) -> None:
            if one.operation == "CreateVpcEndpoint":
                raise ClientError({"Error": {"Code": "VpcEndpointLimitExceeded", "Message": ""}}, one.operation)

        cast("IdentityCenter", b.world.identity).before.append(refuse)
        result = b.attempt("EC2.10", resource_id).finish()

        assert (result["outcome"], result["restored"]) == ("FAILED", True)
        assert groups(b, resource_id) == []


def test_an_undo_deletes_the_endpoint_and_then_its_group() -> None:
    with bench(ID) as b:
        resource_id = without(b)
        attempt = b.attempt("EC2.10", resource_id)
        attempt.finish()

        assert attempt.undo()["outcome"] == "UNDONE"
        assert endpoints(b, resource_id) == []
        assert groups(b, resource_id) == []


def test_a_group_that_was_there_before_stays_after_an_undo() -> None:
    with bench(ID) as b:
        resource_id = half_made_group(b)
        attempt = b.attempt("EC2.10", resource_id)
        attempt.finish()

        assert attempt.undo()["outcome"] == "UNDONE"
        assert len(groups(b, resource_id)) == 1


def test_a_group_that_is_there_is_opened_to_the_blocks_that_the_vpc_got_since() -> None:
    with bench(ID) as b:
        resource_id = half_made_group(b)
        rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "10.10.0.0/16"}]}
        ec2 = b.client("ec2")
        ec2.authorize_security_group_ingress(GroupId=groups(b, resource_id)[0]["GroupId"], IpPermissions=[rule])
        ec2.associate_vpc_cidr_block(VpcId=resource_id.split("/")[1], CidrBlock="10.11.0.0/16")

        assert b.attempt("EC2.10", resource_id).finish()["outcome"] == "REMEDIATED"

        (opened,) = groups(b, resource_id)[0]["IpPermissions"]
        assert {one["CidrIp"] for one in opened["IpRanges"]} == {"10.10.0.0/16", "10.11.0.0/16"}


def test_a_group_that_was_there_before_stays_where_the_endpoint_is_refused() -> None:
    with bench(ID) as b:
        resource_id = half_made_group(b)

        def refuse(one: Call) -> None:
            if one.operation == "CreateVpcEndpoint":
                raise ClientError({"Error": {"Code": "VpcEndpointLimitExceeded", "Message": ""}}, one.operation)

        cast("IdentityCenter", b.world.identity).before.append(refuse)
        result = b.remediate("EC2.10", resource_id)

        assert (result["outcome"], result["restored"]) == ("FAILED", True)
        assert len(groups(b, resource_id)) == 1


def test_a_finding_cannot_name_another_service() -> None:
    """Endpoints are paid for, and the control's own service is always Amazon EC2."""
    with bench(ID) as b:
        target = b.target("EC2.10", b.arn("ec2", f"vpc/{VPC}"), {"serviceName": ["s3"]})

        assert target["parameters"]["serviceName"] == "ec2"


def test_a_hosted_zone_in_the_way_is_said_before_the_first_write_and_can_be_passed_by() -> None:
    """ASR failed on it, and failed on its own endpoint when it was run again."""
    with bench(ID) as b:
        resource_id = without(b)
        b.client("route53").create_hosted_zone(
            Name=f"ec2.{b.region}.amazonaws.com",
            CallerReference="EC2.10",
            HostedZoneConfig={"PrivateZone": True, "Comment": ""},
            VPC={"VPCRegion": b.region, "VPCId": resource_id.split("/")[1]},
        )
        with b.watched() as calls:
            result = b.remediate("EC2.10", resource_id)

        assert result["outcome"] == "FAILED"
        assert f"ec2.{b.region}.amazonaws.com by the hosted zone" in result["why"]
        assert "privateDns" in result["to_do"]
        assert not b.writes(calls)

        attempt = b.attempt("EC2.10", resource_id, settings={"privateDns": "false"})
        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert endpoints(b, resource_id)[0]["PrivateDnsEnabled"] is False


def test_an_endpoint_of_the_owners_is_compliant_even_while_it_is_made() -> None:
    with bench(ID) as b:
        resource_id = without(b)
        b.client("ec2").create_vpc_endpoint(
            VpcId=resource_id.split("/")[1],
            ServiceName=f"com.amazonaws.{b.region}.ec2",
            VpcEndpointType="Interface",
            PrivateDnsEnabled=False,
        )

        assert b.remediate("EC2.10", resource_id)["outcome"] == "COMPLIANT"


def test_a_vpc_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("EC2.10", b.arn("ec2", "vpc/vpc-00000000000000000"))["outcome"] == "COMPLIANT"


FACTS: Json = {
    "owner": "1" * 12,
    "blocks": ["10.0.0.0/16"],
    "service": "com.amazonaws.eu-west-1.ec2",
    "subnets": ["subnet-1", "subnet-2"],
    "dns": {"name": "ec2.eu-west-1.amazonaws.com", "allowed": True, "zones": []},
    "mine": None,
    "others": 0,
    "group": None,
    "name": "sharr-ec2-endpoint",
    "endpoint_id": "none",
    "group_id": "none",
}
MADE = {"id": "vpce-1", "state": "available", "ready": False}
GROUP = {"id": "sg-1", "ours": True, "open": ["10.0.0.0/16"]}
TARGET: Json = {
    "account": "1" * 12,
    "region": "eu-west-1",
    "resource": {"vpc_id": VPC},
    "parameters": {"serviceName": "ec2", "privateDns": True},
}


def plan(**facts: Any) -> list[Json]:
    state = {"config": {"endpoint": False, "group": False}, "facts": FACTS | facts, "busy": None}
    made: list[Json] = code_of(remediation_of(ID)).plan(state, TARGET)
    return made


@pytest.mark.parametrize(
    ("case", "facts", "operations"),
    [
        (
            "nothing is there",
            {},
            ["create_security_group", None, "authorize_security_group_ingress", "create_vpc_endpoint", None],
        ),
        ("the group is ready", {"group": GROUP}, ["create_vpc_endpoint", None]),
        (
            "the group has no rule",
            {"group": GROUP | {"open": []}},
            ["authorize_security_group_ingress", "create_vpc_endpoint", None],
        ),
        ("somebody's endpoint", {"others": 1}, []),
        ("ours, made", {"mine": MADE, "group": GROUP}, ["create_tags"]),
        ("ours, noted", {"mine": MADE | {"ready": True}}, []),
        (
            "ours, failed",
            {"mine": MADE | {"state": "failed"}, "group": GROUP},
            ["create_tags", "describe_vpc_endpoints"],
        ),
    ],
)
def test_plan(case: str, facts: Json, operations: list[str | None]) -> None:
    assert [one.get("operation") for one in plan(**facts)] == operations, case


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"owner": "2" * 12}, "shared by account 222222222222"),
        ({"service": None}, "no interface endpoint service ec2"),
        ({"subnets": []}, "no subnet with a free address"),
        ({"group": GROUP | {"ours": False}}, "sharr-ec2-endpoint is not ours"),
        ({"dns": FACTS["dns"] | {"zones": ["Z1"]}}, "by the hosted zone Z1"),
    ],
)
def test_what_cannot_work_is_said_before_the_first_write(facts: Json, why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(**facts)


def subnet(subnet_id: str, zone: str, free: int, **more: Any) -> Json:
    return {
        "SubnetId": subnet_id,
        "AvailabilityZone": zone,
        "AvailableIpAddressCount": free,
        "State": "available",
        "MapPublicIpOnLaunch": False,
        **more,
    }


@pytest.mark.parametrize(
    ("case", "subnets", "chosen"),
    [
        ("most free addresses", [subnet("s-1", "a", 5), subnet("s-2", "a", 9)], ["s-2"]),
        ("rather private", [subnet("s-1", "a", 5), subnet("s-2", "a", 9, MapPublicIpOnLaunch=True)], ["s-1"]),
        ("a zone that the service does not have", [subnet("s-1", "c", 5), subnet("s-2", "b", 5)], ["s-2"]),
        ("full", [subnet("s-1", "a", 0)], []),
        ("IPv6 only", [subnet("s-1", "a", 5, Ipv6Native=True)], []),
        ("being made", [subnet("s-1", "a", 5, State="pending")], []),
    ],
)
def test_the_subnets_are_of_the_services_zones_and_have_room(case: str, subnets: list[Json], chosen: list[str]) -> None:
    """ASR took the first subnet of each zone, whether the service is there or not."""
    script = load_script(DOCUMENTS / ID / "script.py")

    assert script.one_per_zone(subnets, ["a", "b"]) == chosen, case
