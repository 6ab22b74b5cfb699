"""
EC2.13 .14 .18 .19 .53 .54: close to the world what the control forbids; what else an open rule allows stays open.

Open to the world is what the AWS Config rules say: 0.0.0.0/0 or ::/0, here also inside a prefix list. Halves such as
0.0.0.0/1 and 128.0.0.0/1 pass the controls and stay, and so do ICMP and other protocols without ports.
A rule that opens more than the control forbids is first joined by rules for the rest, from the same source, and then
revoked: never wider than before, never closed in between. Of an all-traffic rule the rest is TCP, UDP and ICMP;
for EC2.18, whose title allows authorized ports only, it is those ports.

Source: https://docs.aws.amazon.com/securityhub/latest/userguide/ec2-controls.html
"""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

HIGH_RISK = (
    20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601, 8080, 8088,
    8888, 9200, 9300,
)  # fmt: skip
FORBIDDEN: dict[str, dict[str, tuple[int, ...]]] = {
    "EC2.13": {"tcp": (22,)},
    "EC2.14": {"tcp": (3389,)},
    "EC2.19": {"tcp": HIGH_RISK},
    "EC2.53": {"tcp": (22, 3389), "udp": (22, 3389)},
    "EC2.54": {"tcp": (22, 3389), "udp": (22, 3389)},
}
ALL_PORTS = (0, 65535)
SOURCES = {
    "CidrIpv4": ("IpRanges", "CidrIp"),
    "CidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
    "PrefixListId": ("PrefixListIds", "PrefixListId"),
}
GONE = ["InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound"]


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the group's ingress rules that are open to the world, by the address families that the control looks at.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html
    """
    ec2, group_id = aws.client("ec2"), target["resource"]["group_id"]
    of_group = [{"Name": "group-id", "Values": [group_id]}]
    if not ec2.describe_security_groups(Filters=of_group)["SecurityGroups"]:
        raise ResourceGone(group_id)
    said, found, lists = {}, {}, {}
    for page in ec2.get_paginator("describe_security_group_rules").paginate(Filters=of_group):
        for one in page["SecurityGroupRules"]:
            kind = next((k for k in SOURCES if one.get(k)), None)
            if one["IsEgress"] or not kind:
                continue
            source = one[kind]
            if kind == "PrefixListId" and source not in lists:
                pages = ec2.get_paginator("get_managed_prefix_list_entries").paginate(PrefixListId=source)
                lists[source] = [entry["Cidr"] for p in pages for entry in p["Entries"]]
            world = world_of(lists.get(source, [source]), target["control"])
            if not world:
                continue
            rule = {
                "protocol": {"6": "tcp", "17": "udp"}.get(one["IpProtocol"], one["IpProtocol"]),
                "ports": [one.get("FromPort", -1), one.get("ToPort", -1)],
                "source": [kind, source],
                "icmp": "icmpv6" if world == "::/0" else "icmp",
                "id": one["SecurityGroupRuleId"],
            }
            # Tags of AWS's own (aws:) nobody else can write, so no undo could give them back.
            tags = {t["Key"]: t["Value"] for t in one.get("Tags", []) if not t["Key"].startswith("aws:")}
            said[text_of(rule)] = {"description": one.get("Description"), "tags": tags}
            found[text_of(rule)] = rule
    return {"config": {"rules": said}, "facts": {"open": found}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return, per rule that opens a forbidden port, the calls that allow the rest of it and the call that revokes it."""
    group, forbidden, calls = {"GroupId": target["resource"]["group_id"]}, forbidden_ports(target), []
    there = set(state["facts"]["open"])
    for text, rule in sorted(state["facts"]["open"].items()):
        opens = ports_of(rule)
        rest = {protocol: minus(ranges, forbidden[protocol]) for protocol, ranges in opens.items()}
        if rest == opens:
            continue
        said = state["config"]["rules"][text]
        kept = [(protocol, ports) for protocol, ranges in rest.items() for ports in ranges]
        if rule["protocol"] == "-1" and target["control"] != "EC2.18":
            kept.append((rule["icmp"], (-1, -1)))
        for protocol, ports in kept if target["parameters"]["keepOtherPorts"] else []:
            narrow = rule | {"protocol": protocol, "ports": list(ports)}
            if text_of(narrow) not in there:
                there.add(text_of(narrow))
                back = call(
                    "ec2",
                    "revoke_security_group_ingress",
                    group | {"IpPermissions": [permission(narrow)]},
                    fine=GONE,
                    leaf=["rules", text_of(narrow)],
                )
                calls.append(authorize(group, narrow, said, undo=[back]))
        calls.append(
            call(
                "ec2",
                "revoke_security_group_ingress",
                group | {"SecurityGroupRuleIds": [rule["id"]]},  # one each: an id that is gone must not keep others
                fine=GONE,
                fail_if="Return == `false` || UnknownIpPermissions",
                undo=[authorize(group, rule, said, leaf=["rules", text])],
            )
        )
    return calls


def world_of(cidrs: list[str], control: str) -> str | None:
    """Return the range in *cidrs* that is the whole world to *control*, if there is one."""
    looked_at = {"EC2.53": ("0.0.0.0/0",), "EC2.54": ("::/0",)}.get(control, ("0.0.0.0/0", "::/0"))
    return next((world for world in looked_at if world in cidrs), None)


def forbidden_ports(target: dict[str, Any]) -> dict[str, list[tuple[int, int]]]:
    """Return the ranges, by protocol, that must not be open to the world. Raises CannotRepair for a wrong range."""
    given, ports = target["parameters"], FORBIDDEN.get(target["control"])
    if ports is not None:
        return {protocol: [(port, port) for port in ports.get(protocol, ())] for protocol in ("tcp", "udp")}
    forbidden = {}
    for protocol, name in (("tcp", "authorizedTcpPorts"), ("udp", "authorizedUdpPorts")):
        authorized = [(int(item.split("-")[0]), int(item.split("-")[-1])) for item in given[name]]
        for item, (low, high) in zip(given[name], authorized, strict=True):
            if not low <= high <= ALL_PORTS[1]:
                raise CannotRepair(f"{name} holds {item}, which is no range of ports", "correct the control's parameter")
        forbidden[protocol] = minus([ALL_PORTS], authorized)
    return forbidden


def ports_of(rule: dict[str, Any]) -> dict[str, list[tuple[int, int]]]:
    """Return the port ranges that a rule opens, by protocol; {} where its protocol has no ports."""
    low, high = rule["ports"]
    protocols = ("tcp", "udp") if rule["protocol"] == "-1" else (rule["protocol"],)
    return {p: [(low, high) if low >= 0 else ALL_PORTS] for p in protocols if p in ("tcp", "udp")}


def minus(ranges: list[tuple[int, int]], holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return *ranges* without *holes*; both are (first, last) pairs."""
    for low, high in holes:
        parts = [part for a, b in ranges for part in ((a, min(b, low - 1)), (max(a, high + 1), b))]
        ranges = [part for part in parts if part[0] <= part[1]]
    return ranges


def text_of(rule: dict[str, Any]) -> str:
    """Return the rule's identity in words: Amazon EC2 takes no second rule of the same protocol, ports and source."""
    low, high = rule["ports"]
    what = "all traffic" if rule["protocol"] == "-1" else f"{rule['protocol']} {low}" + f"-{high}" * (low != high)
    return f"{what} from {rule['source'][1]}"


def authorize(group: dict[str, Any], rule: dict[str, Any], said: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the call that adds a rule with the description and tags in *said*."""
    added = permission(rule)
    if said["description"]:
        added[SOURCES[rule["source"][0]][0]][0]["Description"] = said["description"]
    parameters = group | {"IpPermissions": [added]}
    if said["tags"]:
        tags = [{"Key": key, "Value": value} for key, value in sorted(said["tags"].items())]
        parameters["TagSpecifications"] = [{"ResourceType": "security-group-rule", "Tags": tags}]
    full = "the group has no room for another rule: remove one, raise its quota, or repair by hand"
    explain = {"RulesPerSecurityGroupLimitExceeded": full}
    return call(
        "ec2",
        "authorize_security_group_ingress",
        parameters,
        fine=["InvalidPermission.Duplicate"],
        explain=explain,
        **more,
    )


def permission(rule: dict[str, Any]) -> dict[str, Any]:
    """Return the rule as an IpPermission, without its description."""
    kind, value = rule["source"]
    several, key = SOURCES[kind]
    ports = {} if rule["protocol"] == "-1" else {"FromPort": rule["ports"][0], "ToPort": rule["ports"][1]}
    return {"IpProtocol": rule["protocol"], **ports, several: [{key: value}]}
