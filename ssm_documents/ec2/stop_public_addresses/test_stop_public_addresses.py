"""EC2.15: a subnet stops to assign public addresses, nothing else of it changes, and a shared one is left alone."""

from __future__ import annotations

from typing import Any, cast

import pytest
from moto.ec2.models import ec2_backends

from sandbox.identity import IdentityCenter
from sandbox.ports import Call
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "ec2/stop_public_addresses"
Json = dict[str, Any]


def subnet(b: Bench) -> str:
    """Make a subnet in a VPC of its own; return its id."""
    ec2 = b.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.15.0.0/16")["Vpc"]["VpcId"]
    zone = f"{b.region}a"
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock="10.15.0.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"])


def assigning(b: Bench) -> str:
    subnet_id = subnet(b)
    b.client("ec2").modify_subnet_attribute(SubnetId=subnet_id, MapPublicIpOnLaunch={"Value": True})
    return b.arn("ec2", f"subnet/{subnet_id}")


def described(b: Bench, resource_id: str) -> Json:
    found: Json = b.client("ec2").describe_subnets(SubnetIds=[resource_id.split("/")[1]])["Subnets"][0]
    return found


def passes(b: Bench, resource_id: str) -> bool:
    return not described(b, resource_id)["MapPublicIpOnLaunch"]


CASES = [
    Case("EC2.15", "a subnet that assigns public addresses", assigning, passes),
    Case("EC2.15", "a subnet in another Region", assigning, passes, region="eu-west-1"),
]

STATE: Json = {"config": {"assigns": True}, "facts": {"owner": "1" * 12}, "busy": None}
TARGET: Json = {"account": "1" * 12, "resource": {"subnet_id": "subnet-0123456789abcdef0"}}


def plan(state: Json) -> list[Json]:
    made: list[Json] = code_of(remediation_of(ID)).plan(state, TARGET)
    return made


def test_the_plan_turns_off_that_one_attribute_and_can_turn_it_on_again() -> None:
    (one,) = plan(STATE)

    assert one["parameters"] == {"SubnetId": "subnet-0123456789abcdef0", "MapPublicIpOnLaunch": {"Value": False}}
    assert one["undo"][0]["parameters"]["MapPublicIpOnLaunch"] == {"Value": True}


def test_a_subnet_that_assigns_none_is_compliant_whoever_owns_it() -> None:
    assert plan({**STATE, "config": {"assigns": False}, "facts": {"owner": "2" * 12}}) == []


def test_a_subnet_shared_by_another_account_is_left_to_it() -> None:
    with pytest.raises(CannotRepair, match="shared by account 222222222222"):
        plan({**STATE, "facts": {"owner": "2" * 12}})


def test_the_assignment_of_ipv6_addresses_stays() -> None:
    with bench(ID) as b:
        resource_id = assigning(b)
        subnet_id = resource_id.split("/")[1]
        b.client("ec2").modify_subnet_attribute(SubnetId=subnet_id, AssignIpv6AddressOnCreation={"Value": True})

        assert b.remediate("EC2.15", resource_id)["outcome"] == "REMEDIATED"
        assert described(b, resource_id)["AssignIpv6AddressOnCreation"] is True


def test_an_old_value_that_is_still_told_right_after_the_change_is_waited_for() -> None:
    """ASR looked once, and failed."""
    with bench(ID) as b:
        resource_id = assigning(b)
        subnet: Any = ec2_backends[b.account][b.region].get_subnet(resource_id.split("/")[1])

        def tell_the_old_value(one: Call) -> None:
            if one.operation == "ModifySubnetAttribute":
                subnet.map_public_ip_on_launch = "true"

        cast("IdentityCenter", b.world.identity).after.append(tell_the_old_value)
        attempt = b.attempt("EC2.15", resource_id)
        first = attempt.look()
        cast("IdentityCenter", b.world.identity).after.remove(tell_the_old_value)

        assert (first["outcome"], first["why"]) == ("PENDING", "the change is not visible yet")
        subnet.map_public_ip_on_launch = "false"
        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_a_subnet_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("EC2.15", b.arn("ec2", "subnet/subnet-00000000000000000"))["outcome"] == "COMPLIANT"
