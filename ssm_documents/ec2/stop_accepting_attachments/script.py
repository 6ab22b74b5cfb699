"""EC2.23: keep a transit gateway from accepting attachments of other accounts by itself."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, ResourceGone, call

WORKING = {"pending": "the transit gateway is being made", "modifying": "the transit gateway is being modified"}


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether the transit gateway accepts attachments by itself, whose it is, and whether the service works on it.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TransitGateway.html
    """
    gateway_id = target["resource"]["gateway_id"]
    try:
        found = aws.client("ec2").describe_transit_gateways(TransitGatewayIds=[gateway_id])["TransitGateways"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidTransitGatewayID.NotFound":
            raise
        raise ResourceGone(gateway_id) from error
    if not found or found[0]["State"] in ("deleting", "deleted"):
        raise ResourceGone(gateway_id)
    return {
        "config": {"accepts": found[0]["Options"]["AutoAcceptSharedAttachments"]},
        "facts": {"owner": found[0]["OwnerId"]},
        "busy": WORKING.get(found[0]["State"]),
    }


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that turns the acceptance off; [] where it is off."""
    owner = state["facts"]["owner"]
    if state["config"]["accepts"] == "disable":
        return []
    if owner != target["account"]:
        raise CannotRepair(f"the transit gateway is shared by account {owner}", "change it in that account")
    return [acceptance(target, "disable", undo=[acceptance(target, "enable")])]


def acceptance(target: dict[str, Any], value: str, **more: Any) -> dict[str, Any]:
    """Return the call that sets the acceptance to `enable` or `disable`."""
    options = {"AutoAcceptSharedAttachments": value}
    parameters = {"TransitGatewayId": target["resource"]["gateway_id"], "Options": options}
    return call("ec2", "modify_transit_gateway", parameters, **more)
