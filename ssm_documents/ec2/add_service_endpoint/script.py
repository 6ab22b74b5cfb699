"""EC2.10: give a VPC an interface endpoint for a service, with a security group that lets the VPC itself in."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, ResourceGone, call, ref, wait

OURS, READY = {"Key": "sharr", "Value": "service_endpoint"}, {"Key": "sharr:ready", "Value": "yes"}
MAKING, DELETING = "the endpoint is being made", "an endpoint is being deleted"
THERE = ("pending", "pendingacceptance", "available")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the VPC, its endpoints for the service, and all that a new one needs.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcEndpoint.html
    """
    ec2, vpc_id = aws.client("ec2"), target["resource"]["vpc_id"]
    try:
        vpc = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidVpcID.NotFound":
            raise
        raise ResourceGone(vpc_id) from error
    here = [{"Name": "vpc-id", "Values": [vpc_id]}]
    suffix = f".{target['region']}.{target['parameters']['serviceName']}"

    def every(operation: str, key: str, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [one for page in ec2.get_paginator(operation).paginate(Filters=filters) for one in page[key]]

    kind = [{"Name": "service-type", "Values": ["Interface"]}]
    services = every("describe_vpc_endpoint_services", "ServiceDetails", kind)
    service = next((s for s in services if s["Owner"] == "amazon" and s["ServiceName"].endswith(suffix)), None)
    mine, others, states = None, 0, set()
    for one in every("describe_vpc_endpoints", "VpcEndpoints", here):
        state = one["State"].lower()
        if not one["ServiceName"].endswith(suffix):
            continue
        states.add(state)
        if OURS in one.get("Tags", []) and state in (*THERE, "failed"):
            mine = {"id": one["VpcEndpointId"], "state": state, "ready": READY in one["Tags"]}
        elif state in THERE:
            others += 1
    name = f"sharr-{target['parameters']['serviceName']}-endpoint"
    found = every("describe_security_groups", "SecurityGroups", [*here, {"Name": "group-name", "Values": [name]}])
    group = None
    if found:
        rules = [
            r for r in found[0]["IpPermissions"] if r["IpProtocol"] == "tcp" and r["FromPort"] == r["ToPort"] == 443
        ]
        opened = sorted({one["CidrIp"] for rule in rules for one in rule["IpRanges"]})
        group = {"id": found[0]["GroupId"], "ours": OURS in found[0].get("Tags", []), "open": opened}
    facts = {
        "owner": vpc["OwnerId"],
        "blocks": blocks(vpc),
        "service": service and service["ServiceName"],
        "subnets": one_per_zone(
            every("describe_subnets", "Subnets", here), service["AvailabilityZones"] if service else []
        ),
        "dns": dns(aws, target, (service or {}).get("PrivateDnsName")),
        "mine": mine,
        "others": others,
        "group": group,
        "name": name,
        # For the session's policy; there is nothing of this name.
        "endpoint_id": mine["id"] if mine else "none",
        "group_id": group["id"] if group and group["ours"] else "none",
    }
    busy = MAKING if mine and mine["state"] == "pending" else DELETING if "deleting" in states and not others else None
    return {"config": {"endpoint": bool(mine), "group": bool(group and group["ours"])}, "facts": facts, "busy": busy}


def blocks(vpc: dict[str, Any]) -> list[str]:
    """Return the IPv4 CIDR blocks of the VPC."""
    sets = vpc.get("CidrBlockAssociationSet", [])
    return sorted({s["CidrBlock"] for s in sets if s["CidrBlockState"]["State"] == "associated"} | {vpc["CidrBlock"]})


def one_per_zone(subnets: list[dict[str, Any]], zones: list[str]) -> list[str]:
    """Return a subnet for each zone of the service: rather a private one, then the one with most free addresses."""
    chosen: dict[str, str] = {}
    order = sorted(subnets, key=lambda s: (s["MapPublicIpOnLaunch"], -s["AvailableIpAddressCount"], s["SubnetId"]))
    for one in order:
        usable = one["State"] == "available" and one["AvailableIpAddressCount"] > 0 and not one.get("Ipv6Native")
        if usable and one["AvailabilityZone"] in zones:
            chosen.setdefault(one["AvailabilityZone"], one["SubnetId"])
    return sorted(chosen.values())


def dns(aws: Any, target: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Return the service's own name, whether the VPC can resolve it to the endpoint, and the zones in the way."""
    ec2, vpc_id, zones = aws.client("ec2"), target["resource"]["vpc_id"], []
    allowed = bool(name) and all(
        ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=a)[a[0].upper() + a[1:]]["Value"]
        for a in ("enableDnsSupport", "enableDnsHostnames")
    )
    if allowed and target["parameters"]["privateDns"]:
        asked = {"VPCId": vpc_id, "VPCRegion": target["region"]}
        while True:
            page = aws.client("route53").list_hosted_zones_by_vpc(**asked)
            zones += [z["HostedZoneId"] for z in page["HostedZoneSummaries"] if z["Name"].rstrip(".") == name]
            if not page.get("NextToken"):
                break
            asked["NextToken"] = page["NextToken"]
    return {"name": name, "allowed": allowed, "zones": zones}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that make the endpoint, then the note that it works; [] where the VPC has one of anybody's."""
    facts, service = state["facts"], target["parameters"]["serviceName"]
    mine, group = facts["mine"], facts["group"]
    if facts["others"] or (mine and mine["ready"]):
        return []
    if mine:
        return settle(mine, group)
    if facts["owner"] != target["account"]:
        raise CannotRepair(f"the VPC is shared by account {facts['owner']}", "make its endpoint in that account")
    if not facts["service"]:
        raise CannotRepair(f"{target['region']} has no interface endpoint service {service}", "correct serviceName")
    if not facts["subnets"]:
        raise CannotRepair("the VPC has no subnet with a free address in a zone of the service", "add one")
    if group and not group["ours"]:
        raise CannotRepair(f"the security group {facts['name']} is not ours", "rename it, or make the endpoint by hand")
    if facts["dns"]["zones"]:
        raise CannotRepair(
            f"the VPC resolves {facts['dns']['name']} by the hosted zone {facts['dns']['zones'][0]}",
            "take that zone off the VPC, or set privateDns to false",
        )
    return [*made_group(facts, target), *opened_group(facts), made_endpoint(facts, target), wait(MAKING, 90)]


def made_group(facts: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that makes the security group; the next look's session may open that one and no other."""
    if facts["group"]:
        return []
    request = {
        "GroupName": facts["name"],
        "Description": "Lets the VPC reach an endpoint on port 443",
        "VpcId": target["resource"]["vpc_id"],
        "TagSpecifications": [{"ResourceType": "security-group", "Tags": [OURS]}],
    }
    undo = [group_deletion(ref("group", "GroupId"))]
    made = call("ec2", "create_security_group", request, name="group", undo=undo)
    return [made, wait("the endpoint's security group is being made", 1)]


def opened_group(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that opens the group to the VPC's blocks which it does not let in yet."""
    there = facts["group"]["open"] if facts["group"] else []
    ranges = [{"CidrIp": block, "Description": "the VPC itself"} for block in facts["blocks"] if block not in there]
    if not ranges:
        return []
    rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": ranges}
    request = {"GroupId": group_of(facts), "IpPermissions": [rule]}
    fine, retry = ["InvalidPermission.Duplicate"], ["InvalidGroup.NotFound"]  # made a moment ago
    kept = "the rule goes with the group, where that was made here"
    return [call("ec2", "authorize_security_group_ingress", request, fine=fine, retry=retry, kept=kept)]


def made_endpoint(facts: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    """
    Return the call that makes the endpoint.

    No ClientToken: a try after one that was taken back would be given the endpoint that is deleted by then.
    """
    request = {
        "VpcEndpointType": "Interface",
        "VpcId": target["resource"]["vpc_id"],
        "ServiceName": facts["service"],
        "SubnetIds": facts["subnets"],
        "SecurityGroupIds": [group_of(facts)],
        "PrivateDnsEnabled": facts["dns"]["allowed"] and target["parameters"]["privateDns"],
        "TagSpecifications": [{"ResourceType": "vpc-endpoint", "Tags": [OURS]}],
    }
    undo = removal(ref("endpoint", "VpcEndpoint.VpcEndpointId"), None)  # the group: see made_group, settle
    return call("ec2", "create_vpc_endpoint", request, name="endpoint", undo=undo)


def settle(mine: dict[str, Any], group: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the calls that note on the endpoint that it is ready, and fail (it is deleted then) where it is not."""
    # A look of its own, ids written out: the undo is known even if the look that made it died before it saved them.
    undo = removal(mine["id"], group["id"] if group and group["ours"] else None)
    note = call("ec2", "create_tags", {"Resources": [mine["id"]], "Tags": [READY]}, undo=undo)
    if mine["state"] != "failed":
        return [note]
    why = "VpcEndpoints[?State=='failed' || State=='Failed'].not_null(LastError.Message, 'it failed') | [0]"
    return [note, call("ec2", "describe_vpc_endpoints", {"VpcEndpointIds": [mine["id"]]}, fail_if=why)]


def removal(endpoint_id: Any, group_id: Any) -> list[dict[str, Any]]:
    """Return the calls that delete the endpoint and, once its network interfaces are gone, its group."""
    gone = "InvalidVpcEndpointId.NotFound"
    delete = call(
        "ec2",
        "delete_vpc_endpoints",
        {"VpcEndpointIds": [endpoint_id]},
        fine=[gone],
        fail_if=f"Unsuccessful[?Error.Code!='{gone}'].Error.Message | [0]",
        leaf=["endpoint"],
    )
    return [delete, wait(DELETING, 90), group_deletion(group_id)] if group_id else [delete]


def group_deletion(group_id: Any) -> dict[str, Any]:
    """Return the call that deletes the group, where it was not there before the repair."""
    fine, retry = ["InvalidGroup.NotFound"], ["DependencyViolation"]
    return call("ec2", "delete_security_group", {"GroupId": group_id}, fine=fine, retry=retry, leaf=["group"])


def group_of(facts: dict[str, Any]) -> Any:
    """Return the id of the group, which may be yet to be made."""
    return facts["group"]["id"] if facts["group"] else ref("group", "GroupId")
