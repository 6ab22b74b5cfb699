"""
EC2.13 .14 .18 .19 .53 .54: close to the world what the control forbids; what else a rule opens stays open.

Open to the world is what the AWS Config rules say: 0.0.0.0/0 or ::/0, here also inside a prefix list. Halves such as
0.0.0.0/1 and 128.0.0.0/1 pass the controls and stay, and so do ICMP and other protocols without ports.
A rule that opens more than the control forbids is first joined by rules for the rest, from the same source, and then
revoked: never wider than before, nothing else closed in between. The rest of an all-traffic rule is TCP, UDP and ICMP;
for EC2.18, whose title allows authorized ports only, it is those ports.

Source: https://docs.aws.amazon.com/securityhub/latest/userguide/ec2-controls.html
"""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

HIGH_RISK = (
    "20-23 25 110 135 143 445 1433-1434 3000 3306 3389 4333 5000 5432 5500 5601 8080 8088 8888 9200 9300"  # of EC2.19
)
FORBIDDEN = {  # TCP, UDP
    "EC2.13": ("22", ""),
    "EC2.14": ("3389", ""),
    "EC2.19": (HIGH_RISK, ""),
    "EC2.53": ("22 3389", "22 3389"),
    "EC2.54": ("22 3389", "22 3389"),
}
WORLDS = {"EC2.53": ["0.0.0.0/0"], "EC2.54": ["::/0"]}
SOURCES = {
    "CidrIpv4": ("IpRanges", "CidrIp"),
    "CidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
    "PrefixListId": ("PrefixListIds", "PrefixListId"),
}
ALL = (0, 65535)
GONE = ["InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound"]
FULL = "the group has no room for the rules that keep its other ports open: remove some, or raise the quota"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the group's ingress rules that are open to the world, by the address families that the control looks at.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html
    """
    ec2, group_id = aws.client("ec2"), target["resource"]["group_id"]
    of_group = [{"Name": "group-id", "Values": [group_id]}]
    if not ec2.describe_security_groups(Filters=of_group)["SecurityGroups"]:
        raise ResourceGone(group_id)
    worlds = WORLDS.get(target["control"], ["0.0.0.0/0", "::/0"])
    said, found = {}, {}
    for page in ec2.get_paginator("describe_security_group_rules").paginate(Filters=of_group):
        for one in page["SecurityGroupRules"]:
            kind = next((k for k in SOURCES if one.get(k)), None)
            if one["IsEgress"] or not kind:
                continue
            cidrs = [one[kind]]
            if kind == "PrefixListId":
                entries = ec2.get_paginator("get_managed_prefix_list_entries").paginate(PrefixListId=one[kind])
                cidrs = [entry["Cidr"] for part in entries for entry in part["Entries"]]
            world = next((w for w in worlds if w in cidrs), None)
            if not world:
                continue
            rule = {
                "id": one["SecurityGroupRuleId"],
                "kind": kind,
                "source": one[kind],
                "protocol": one["IpProtocol"],
                "ports": [one.get("FromPort", -1), one.get("ToPort", -1)],
                "icmp": "icmpv6" if ":" in world else "icmp",
            }
            # Nobody but AWS can write its own tags (aws:), so no undo could give them back.
            tags = {t["Key"]: t["Value"] for t in one.get("Tags", []) if not t["Key"].startswith("aws:")}
            said[text_of(rule)] = {"description": one.get("Description"), "tags": tags}
            found[text_of(rule)] = rule
    return {"config": {"rules": said}, "facts": {"open": found}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return, for each rule that opens a forbidden port, calls that allow the rest of it and one that revokes it."""
    group, forbidden = {"GroupId": target["resource"]["group_id"]}, forbidden_ports(target)
    calls, there = [], set(state["facts"]["open"])
    for text, rule in sorted(state["facts"]["open"].items()):
        every = rule["protocol"] == "-1"
        opens = [(p, *ALL) for p in forbidden] if every else [(rule["protocol"], *rule["ports"])]
        rest = [(p, *ports) for p, low, high in opens for ports in minus([(low, high)], forbidden.get(p, []))]
        if rest == opens:
            continue
        if every and target["control"] != "EC2.18":
            rest.append((rule["icmp"], -1, -1))
        said = state["config"]["rules"][text]
        for protocol, low, high in rest if target["parameters"]["keepOtherPorts"] else []:
            narrow = rule | {"protocol": protocol, "ports": [low, high]}
            leaf = ["rules", text_of(narrow)]
            if leaf[1] not in there:
                there.add(leaf[1])
                which = group | {"IpPermissions": [permission(narrow)]}
                back = call("ec2", "revoke_security_group_ingress", which, fine=GONE, leaf=leaf)
                calls.append(authorize(group, narrow, said, undo=[back]))
        which = group | {"SecurityGroupRuleIds": [rule["id"]]}  # one: an id that is gone would keep the others
        failed = "Return == `false` || UnknownIpPermissions"
        back = authorize(group, rule, said, leaf=["rules", text])
        calls.append(call("ec2", "revoke_security_group_ingress", which, fine=GONE, fail_if=failed, undo=[back]))
    return calls


def forbidden_ports(target: dict[str, Any]) -> dict[str, list[tuple[int, int]]]:
    """Return by protocol what must not be open to the world. Raises CannotRepair for a wrong range."""
    parameters, forbidden = target["parameters"], {}
    for at, protocol in enumerate(("tcp", "udp")):
        fixed = FORBIDDEN.get(target["control"])
        ports = []
        for item in fixed[at].split() if fixed else parameters[f"authorized{protocol.capitalize()}Ports"]:
            low, high = int(item.split("-")[0]), int(item.split("-")[-1])
            if not low <= high <= ALL[1]:
                raise CannotRepair(f"{item} is not a range of {protocol} ports", "correct the control's parameter")
            ports.append((low, high))
        forbidden[protocol] = ports if fixed else minus([ALL], ports)
    return forbidden


def minus(ranges: list[tuple[int, int]], holes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return *ranges* without *holes*; both are (first, last) pairs."""
    for low, high in holes:
        parts = [part for a, b in ranges for part in ((a, min(b, low - 1)), (max(a, high + 1), b))]
        ranges = [part for part in parts if part[0] <= part[1]]
    return ranges


def text_of(rule: dict[str, Any]) -> str:
    """Return the rule's identity in words: protocol, ports and source."""
    low, high = rule["ports"]
    ports = f"{rule['protocol']} {low}" + f"-{high}" * (low != high)
    return f"{'all traffic' if rule['protocol'] == '-1' else ports} from {rule['source']}"


def permission(rule: dict[str, Any], **more: str) -> dict[str, Any]:
    """Return the rule as an IpPermission; Amazon EC2 ignores the ports of all traffic."""
    (low, high), (several, key) = rule["ports"], SOURCES[rule["kind"]]
    return {"IpProtocol": rule["protocol"], "FromPort": low, "ToPort": high, several: [{key: rule["source"], **more}]}


def authorize(group: dict[str, str], rule: dict[str, Any], said: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the call that adds a rule with the description and tags in *said*."""
    described = {"Description": said["description"]} if said["description"] else {}
    added: dict[str, Any] = group | {"IpPermissions": [permission(rule, **described)]}
    if said["tags"]:
        tags = [{"Key": key, "Value": value} for key, value in sorted(said["tags"].items())]
        added["TagSpecifications"] = [{"ResourceType": "security-group-rule", "Tags": tags}]
    more |= {"fine": ["InvalidPermission.Duplicate"], "explain": {"RulesPerSecurityGroupLimitExceeded": FULL}}
    return call("ec2", "authorize_security_group_ingress", added, **more)
