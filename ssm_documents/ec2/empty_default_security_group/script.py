"""EC2.2: take every rule out of a VPC's default security group that no network interface uses."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

SOURCES = {
    "CidrIpv4": ("IpRanges", "CidrIp"),
    "CidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
    "PrefixListId": ("PrefixListIds", "PrefixListId"),
    "ReferencedGroupInfo": ("UserIdGroupPairs", "GroupId"),
}
NAMED = 5


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the group's name and rules, and the network interfaces that use it.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html
    """
    ec2, group_id = aws.client("ec2"), target["resource"]["group_id"]
    of_group = [{"Name": "group-id", "Values": [group_id]}]
    groups = ec2.describe_security_groups(Filters=of_group)["SecurityGroups"]
    if not groups:
        raise ResourceGone(group_id)
    config: dict[str, dict[str, Any]] = {"ingress": {}, "egress": {}}
    rules: dict[str, dict[str, Any]] = {"ingress": {}, "egress": {}}
    for page in ec2.get_paginator("describe_security_group_rules").paginate(Filters=of_group):
        for one in page["SecurityGroupRules"]:
            direction = "egress" if one["IsEgress"] else "ingress"
            kind = next(k for k in SOURCES if one.get(k))
            peer = {key: one[kind] for _, key in [SOURCES[kind]]}
            if kind == "ReferencedGroupInfo":
                names = ("GroupId", "UserId", "VpcPeeringConnectionId")
                peer = {name: one[kind][name] for name in names if one[kind].get(name)}
            ports = (one.get("FromPort", -1), one.get("ToPort", -1))
            what = f"{one['IpProtocol']} {ports[0]}" + f"-{ports[1]}" * (ports[0] != ports[1])
            text = f"{'all traffic' if one['IpProtocol'] == '-1' else what}, {' '.join(peer.values())}"
            # Nobody but AWS can write its own tags (aws:), so no undo could give them back.
            tags = {t["Key"]: t["Value"] for t in one.get("Tags", []) if not t["Key"].startswith("aws:")}
            config[direction][text] = {"description": one.get("Description"), "tags": tags}
            allows = {
                "IpProtocol": one["IpProtocol"],
                "FromPort": ports[0],
                "ToPort": ports[1],
                SOURCES[kind][0]: [peer],
            }
            rules[direction][text] = {"id": one["SecurityGroupRuleId"], "list": SOURCES[kind][0], "allows": allows}
    used = ec2.get_paginator("describe_network_interfaces").paginate(Filters=of_group)
    interfaces = sorted(one["NetworkInterfaceId"] for page in used for one in page["NetworkInterfaces"])
    facts = {"name": groups[0]["GroupName"], "rules": rules, "used_by": len(interfaces), "named": interfaces[:NAMED]}
    return {"config": config, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a call per rule; [] where there are none. Refuses a group that is not a default one, or is in use."""
    facts, calls = state["facts"], []
    if facts["name"] != "default":
        raise CannotRepair(
            f"the group's name is {facts['name']}, not default", "suppress the finding: EC2.2 is not for it"
        )
    if not any(facts["rules"].values()):
        return []
    if facts["used_by"]:
        more = facts["used_by"] - len(facts["named"])
        names = ", ".join(facts["named"]) + f" and {more} more" * bool(more)
        who = "1 network interface uses" if facts["used_by"] == 1 else f"{facts['used_by']} network interfaces use"
        raise CannotRepair(
            f"{who} the group and would lose all traffic: {names}",
            "give them a security group of their own, then repair again",
        )
    for direction, rules in sorted(facts["rules"].items()):
        for text, rule in sorted(rules.items()):
            back = authorize(target, direction, rule, state["config"][direction][text], [direction, text])
            calls.append(
                call(
                    "ec2",
                    f"revoke_security_group_{direction}",
                    {"GroupId": target["resource"]["group_id"], "SecurityGroupRuleIds": [rule["id"]]},
                    # One call per rule: with several ids, one that is gone would keep the others.
                    fine=["InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound"],
                    fail_if="Return == `false` || UnknownIpPermissions",
                    undo=[back],
                )
            )
    return calls


def authorize(
    target: dict[str, Any], direction: str, rule: dict[str, Any], said: dict[str, Any], leaf: list[str]
) -> dict[str, Any]:
    """Return the call that gives a rule back, with its description and tags."""
    described = {"Description": said["description"]} if said["description"] else {}
    (peer,) = rule["allows"][rule["list"]]
    allows = rule["allows"] | {rule["list"]: [peer | described]}
    added: dict[str, Any] = {"GroupId": target["resource"]["group_id"], "IpPermissions": [allows]}
    if said["tags"]:
        tags = [{"Key": key, "Value": value} for key, value in sorted(said["tags"].items())]
        added["TagSpecifications"] = [{"ResourceType": "security-group-rule", "Tags": tags}]
    operation = f"authorize_security_group_{direction}"
    return call("ec2", operation, added, fine=["InvalidPermission.Duplicate"], leaf=leaf)
