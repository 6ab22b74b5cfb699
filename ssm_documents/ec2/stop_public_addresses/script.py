"""EC2.15: keep a subnet from giving a public IPv4 address to every network interface that starts in it."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether the subnet assigns public IPv4 addresses, and whose it is.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Subnet.html
    """
    subnet_id = target["resource"]["subnet_id"]
    try:
        subnet = aws.client("ec2").describe_subnets(SubnetIds=[subnet_id])["Subnets"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidSubnetID.NotFound":
            raise
        raise ResourceGone(subnet_id) from error
    busy = "the subnet is being made" if subnet["State"] == "pending" else None
    return {
        "config": {"assigns": subnet["MapPublicIpOnLaunch"]},
        "facts": {"owner": subnet["OwnerId"]},
        "busy": busy,
    }


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that ends the assignment; [] where there is none. IPv6 and addresses in use stay as they are."""
    owner = state["facts"]["owner"]
    if not state["config"]["assigns"]:
        return []
    if owner != target["account"]:
        raise CannotRepair(f"the subnet is shared by account {owner}", "change it in that account")
    return [assignment(target, False, undo=[assignment(target, True)])]


def assignment(target: dict[str, Any], value: bool, **more: Any) -> dict[str, Any]:
    """Return the call that turns the assignment on or off."""
    parameters = {"SubnetId": target["resource"]["subnet_id"], "MapPublicIpOnLaunch": {"Value": value}}
    return call("ec2", "modify_subnet_attribute", parameters, **more)
