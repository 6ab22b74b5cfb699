"""EC2.13 .14 .18 .19 .53 .54: which rules go, what of them stays open, and that nothing gets wider or lost."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharr.runtime.contract import CannotRepair, ResourceGone
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "ec2/revoke_open_ingress"
ANY4, ANY6 = "0.0.0.0/0", "::/0"
SOURCES = (
    ("IpRanges", "CidrIp"),
    ("Ipv6Ranges", "CidrIpv6"),
    ("PrefixListIds", "PrefixListId"),
    ("UserIdGroupPairs", "GroupId"),
)
HIGH_RISK = {
    20, 21, 22, 23, 25, 110, 135, 143, 445, 1433, 1434, 3000, 3306, 3389, 4333, 5000, 5432, 5500, 5601, 8080, 8088,
    8888, 9200, 9300,
}  # fmt: skip
Json = dict[str, Any]


def allow(protocol: str, ports: tuple[int, int] | None, **source: str) -> Json:
    """An IpPermission with one source: v4, v6, group or list, and perhaps a text."""
    lists = {"v4": ("IpRanges", "CidrIp"), "v6": ("Ipv6Ranges", "CidrIpv6"), "group": ("UserIdGroupPairs", "GroupId")}
    lists["list"] = ("PrefixListIds", "PrefixListId")
    text = {"Description": source.pop("text")} if "text" in source else {}
    ((kind, value),) = source.items()
    span = {} if ports is None else {"FromPort": ports[0], "ToPort": ports[1]}
    return {"IpProtocol": protocol, **span, lists[kind][0]: [{lists[kind][1]: value, **text}]}


def group(*permissions: Json, tags: Json | None = None) -> Callable[[Bench], str]:
    """Make a group with these rules and three that no control minds; `self` and `world-list` stand for ids."""

    def broken(b: Bench) -> str:
        ec2 = b.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        made = ec2.create_security_group(GroupName="web", Description="d", VpcId=vpc)["GroupId"]
        siblings = [
            allow("-1", None, group="self"),
            allow("-1", None, v4="10.0.0.0/8", text="offices"),
            allow("tcp", (22, 22), v4="192.0.2.0/24", text="bastion"),
        ]
        for one in copy.deepcopy([*permissions, *siblings]):
            for pair in one.get("UserIdGroupPairs", []):
                pair["GroupId"] = made
            for pair in one.get("PrefixListIds", []):
                pair["PrefixListId"] = prefix_list(b, pair["PrefixListId"])
            named = {"TagSpecifications": [{"ResourceType": "security-group-rule", "Tags": [tags]}]} if tags else {}
            ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[one], **named)
        return b.arn("ec2", f"security-group/{made}")

    return broken


def prefix_list(b: Bench, last: str) -> str:
    """A list longer than a page of its entries, with *last* at the end; an id stays as it is."""
    if last.startswith("pl-"):
        return last
    ec2, family = b.client("ec2"), "IPv6" if ":" in last else "IPv4"
    start = (
        [f"2001:db8:{n:x}::/48" for n in range(1, 121)]
        if family == "IPv6"
        else [f"10.{n}.0.0/16" for n in range(1, 121)]
    )
    entries = [{"Cidr": cidr} for cidr in [*start, last]]
    asked = {"PrefixListName": "clients", "MaxEntries": 200, "AddressFamily": family, "Entries": entries}
    return str(ec2.create_managed_prefix_list(**asked)["PrefixList"]["PrefixListId"])


def rules(b: Bench, resource_id: str) -> list[Json]:
    (found,) = b.client("ec2").describe_security_groups(GroupIds=[resource_id.split("/")[1]])["SecurityGroups"]
    flat = []
    for one in found["IpPermissions"]:
        span = (one.get("FromPort", -1), one.get("ToPort", -1))
        for values, key in SOURCES:
            flat += [{"protocol": one["IpProtocol"], "ports": span, "source": value[key]} for value in one[values]]
    return flat


def open_ports(b: Bench, resource_id: str, world: str) -> dict[str, set[int]]:
    """What the whole world can reach, read by the other API than the script's: ports by protocol."""
    reached: dict[str, set[int]] = {"tcp": set(), "udp": set()}
    for one in rules(b, resource_id):
        cidrs = [one["source"]]
        if one["source"].startswith("pl-"):
            pages = (
                b.client("ec2").get_paginator("get_managed_prefix_list_entries").paginate(PrefixListId=one["source"])
            )
            cidrs = [entry["Cidr"] for page in pages for entry in page["Entries"]]
        if world in cidrs:
            low, high = one["ports"] if one["protocol"] != "-1" else (0, 65535)
            for protocol in reached if one["protocol"] == "-1" else {one["protocol"]} & reached.keys():
                reached[protocol] |= set(range(low, high + 1))
    return reached


def siblings_stand(b: Bench, resource_id: str) -> bool:
    stand = [r["source"] for r in rules(b, resource_id) if r["source"] not in (ANY4, ANY6) and r["source"][:3] != "pl-"]
    return sorted(stand) == sorted(["10.0.0.0/8", "192.0.2.0/24", resource_id.split("/")[1]])


def closed(ports: set[int], protocols: tuple[str, ...], worlds: tuple[str, ...]) -> Callable[[Bench, str], bool]:
    def passes(b: Bench, resource_id: str) -> bool:
        reached = [open_ports(b, resource_id, world)[protocol] for world in worlds for protocol in protocols]
        return not any(ports & one for one in reached) and siblings_stand(b, resource_id)

    return passes


def open_is(tcp: set[int], udp: set[int]) -> Callable[[Bench, str], bool]:
    def passes(b: Bench, resource_id: str) -> bool:
        reached = [open_ports(b, resource_id, world) for world in (ANY4, ANY6)]
        expected = {"tcp": tcp, "udp": udp}
        return all(one[p] in (set(), expected[p]) for one in reached for p in one) and siblings_stand(b, resource_id)

    return passes


BOTH, ADMIN = (ANY4, ANY6), {22, 3389}
TAG = {"Key": "owner", "Value": "web"}
CASES = [
    Case(
        "EC2.13", "ssh with a text and a tag",
        group(allow("tcp", (22, 22), v4=ANY4, text="ssh"), allow("tcp", (22, 22), v6=ANY6), tags=TAG),
        closed({22}, ("tcp",), BOTH),
    ),
    Case(
        "EC2.13", "a range around ssh", group(allow("tcp", (20, 25), v4=ANY4, text="old"), tags=TAG),
        lambda b, r: open_ports(b, r, ANY4)["tcp"] == {20, 21, 23, 24, 25} and siblings_stand(b, r),
    ),
    Case(
        "EC2.14", "all traffic", group(allow("-1", None, v6=ANY6)),
        lambda b, r: open_ports(b, r, ANY6)["tcp"] == set(range(65536)) - {3389} and siblings_stand(b, r),
    ),
    Case(
        "EC2.18", "every port and a name server",
        group(allow("tcp", (0, 65535), v4=ANY4), allow("udp", (53, 53), v6=ANY6), allow("icmp", (-1, -1), v4=ANY4)),
        open_is({80, 443}, set()),
    ),
    Case(
        "EC2.18", "authorized ranges", group(allow("-1", None, v4=ANY4), allow("tcp", (443, 443), v4=ANY4)),
        open_is({443, *range(1024, 2001)}, {500}),
        parameters={"authorizedTcpPorts": ["1024-2000", "443"], "authorizedUdpPorts": ["500"]},
    ),
    Case(
        "EC2.19", "a range with a data base",
        group(allow("tcp", (3300, 3307), v4=ANY4), allow("tcp", (443, 443), v4=ANY4)),
        closed(HIGH_RISK, ("tcp",), BOTH),
    ),
    Case(
        "EC2.53", "ssh over IPv4, remote desktop over UDP",
        group(allow("tcp", (22, 22), v4=ANY4), allow("udp", (3389, 3389), v4=ANY4), allow("tcp", (22, 22), v6=ANY6)),
        lambda b, r: closed(ADMIN, ("tcp", "udp"), (ANY4,))(b, r) and open_ports(b, r, ANY6)["tcp"] == {22},
    ),
    Case(
        "EC2.54", "a prefix list with the whole world on its second page",
        group(allow("tcp", (22, 22), list=ANY6), allow("tcp", (22, 22), v4=ANY4)),
        lambda b, r: closed(ADMIN, ("tcp", "udp"), (ANY6,))(b, r) and open_ports(b, r, ANY4)["tcp"] == {22},
    ),
]  # fmt: skip


# --- plan and inspect, on an Amazon EC2 of a few lines

GROUP = "sg-0123456789abcdef0"
WEB: Json = {"authorizedTcpPorts": ["80", "443"], "authorizedUdpPorts": [], "keepOtherPorts": True}
CODE = code_of(remediation_of(ID))


class Ec2:
    """Keeps rules, answers the script's reads in pages of two, and carries out a plan's calls."""

    def __init__(self, rules: list[Json], lists: dict[str, list[str]] | None = None) -> None:
        self.rules = {f"sgr-{n}": rule | {"SecurityGroupRuleId": f"sgr-{n}"} for n, rule in enumerate(rules)}
        self.lists = lists or {}
        self.gone = False

    def client(self, service: str) -> Ec2:
        assert service == "ec2"
        return self

    def describe_security_groups(self, Filters: list[Json]) -> Json:  # noqa: N803  # boto3's name
        assert Filters == [{"Name": "group-id", "Values": [GROUP]}]
        return {"SecurityGroups": [] if self.gone else [{"GroupId": GROUP}]}

    def get_paginator(self, operation: str) -> Any:
        class Pages:
            @staticmethod
            def paginate(**asked: Any) -> list[Json]:
                if operation == "get_managed_prefix_list_entries":
                    cidrs = self.lists[asked["PrefixListId"]]
                    return [{"Entries": [{"Cidr": c} for c in cidrs[n : n + 2]]} for n in range(0, len(cidrs), 2)]
                shown = list(self.rules.values())
                return [{"SecurityGroupRules": shown[n : n + 2]} for n in range(0, len(shown), 2)]

        return Pages

    def state(self, control: str) -> Json:
        found: Json = CODE.inspect(self, target(control))
        return found

    def apply(self, call: Json) -> None:
        asked = call["parameters"]
        assert asked["GroupId"] == GROUP
        for id_ in asked.get("SecurityGroupRuleIds", ()):
            del self.rules[id_]
        for one in asked.get("IpPermissions", ()):
            ((kind, values),) = [(k, v) for k, v in one.items() if isinstance(v, list)]
            key = {"IpRanges": "CidrIpv4", "Ipv6Ranges": "CidrIpv6", "PrefixListIds": "PrefixListId"}[kind]
            (value,) = [v for k, v in values[0].items() if k != "Description"]
            rule = described(one["IpProtocol"], (one["FromPort"], one["ToPort"]), **{key: value})
            rule["Description"] = values[0].get("Description")
            same = [i for i, r in self.rules.items() if identity(r) == identity(rule)]
            if call["operation"].startswith("revoke"):
                for id_ in same:
                    del self.rules[id_]
            else:
                assert not same, "InvalidPermission.Duplicate"
                for tags in asked.get("TagSpecifications", ()):
                    rule["Tags"] = tags["Tags"]
                id_ = f"sgr-new-{len(self.rules)}-{len(call['parameters'])}-{identity(rule)}"
                self.rules[id_] = rule | {"SecurityGroupRuleId": id_}


def identity(rule: Json) -> tuple[Any, ...]:
    ports = () if rule["IpProtocol"] == "-1" else (rule["FromPort"], rule["ToPort"])
    peer = [rule.get(k) for k in ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupInfo", "IsEgress")]
    return (rule["IpProtocol"], ports, str(peer))


def described(protocol: str, ports: tuple[int, int], **source: Any) -> Json:
    return {"IpProtocol": protocol, "FromPort": ports[0], "ToPort": ports[1], "IsEgress": False, "Tags": [], **source}


def target(control: str, **parameters: Any) -> Json:
    return {"control": control, "resource": {"group_id": GROUP}, "parameters": WEB | parameters}


def revoked(ec2: Ec2, control: str, **parameters: Any) -> list[str]:
    calls = CODE.plan(ec2.state(control), target(control, **parameters))
    return [id_ for c in calls for id_ in c["parameters"].get("SecurityGroupRuleIds", ())]


def repair(ec2: Ec2, control: str, **parameters: Any) -> list[Json]:
    calls: list[Json] = CODE.plan(ec2.state(control), target(control, **parameters))
    for one in calls:
        ec2.apply(one)
    return calls


SSH4 = described("tcp", (22, 22), CidrIpv4=ANY4)
FROM_GROUP = described("-1", (-1, -1), ReferencedGroupInfo={"GroupId": "sg-0fedcba9876543210", "UserId": "1" * 12})


@pytest.mark.parametrize(
    ("rule", "controls"),
    [
        (SSH4, "13 18 19 53"),
        (described("tcp", (22, 22), CidrIpv6=ANY6), "13 18 19 54"),
        (described("udp", (22, 22), CidrIpv4=ANY4), "18 53"),
        (described("tcp", (3389, 3389), CidrIpv4=ANY4), "14 18 19 53"),
        (described("udp", (3389, 3389), CidrIpv6=ANY6), "18 54"),
        (described("tcp", (5432, 5432), CidrIpv4=ANY4), "18 19"),
        (described("tcp", (8443, 8443), CidrIpv4=ANY4), "18"),
        (described("tcp", (443, 443), CidrIpv4=ANY4), ""),
        (described("tcp", (0, 65535), CidrIpv4=ANY4), "13 14 18 19 53"),
        (described("-1", (-1, -1), CidrIpv6=ANY6), "13 14 18 19 54"),
        (described("icmp", (8, -1), CidrIpv4=ANY4), ""),
        (described("icmpv6", (-1, -1), CidrIpv6=ANY6), ""),
        (described("50", (-1, -1), CidrIpv4=ANY4), ""),
        (FROM_GROUP, ""),
        (described("-1", (-1, -1), ReferencedGroupInfo={"GroupId": GROUP, "UserId": "1" * 12}), ""),
        (described("-1", (-1, -1), CidrIpv4="10.0.0.0/8"), ""),
        (described("tcp", (22, 22), CidrIpv4="0.0.0.0/1"), ""),
        (described("tcp", (22, 22), CidrIpv4="128.0.0.0/1"), ""),
        (described("tcp", (22, 22), CidrIpv6="::/1"), ""),
        (described("tcp", (22, 22), PrefixListId="pl-world"), "13 18 19 53"),
        (described("tcp", (22, 22), PrefixListId="pl-world6"), "13 18 19 54"),
        (described("tcp", (22, 22), PrefixListId="pl-office"), ""),
        (described("tcp", (22, 22), PrefixListId="pl-halves"), ""),
        (SSH4 | {"IsEgress": True}, ""),
    ],
)  # fmt: skip
def test_each_control_takes_its_own_ports_from_the_whole_world_only(rule: Json, controls: str) -> None:
    lists = {
        "pl-world": ["192.0.2.0/24", "198.51.100.0/24", ANY4],
        "pl-world6": ["2001:db8::/32", ANY6],
        "pl-office": ["192.0.2.0/24"],
        "pl-halves": ["0.0.0.0/1", "128.0.0.0/1"],
    }
    hit = [c for c in ("13", "14", "18", "19", "53", "54") if revoked(Ec2([rule], lists), f"EC2.{c}")]

    assert " ".join(hit) == controls


def test_all_traffic_from_a_group_and_a_private_range_survives_beside_open_ssh() -> None:
    """ASR #246: restricted all-traffic rules were removed with the open one."""
    ec2 = Ec2([FROM_GROUP, described("-1", (-1, -1), CidrIpv4="10.0.0.0/8"), SSH4])

    assert revoked(ec2, "EC2.18") == ["sgr-2"]


def test_all_traffic_from_everywhere_over_ipv6_without_ports_is_revoked() -> None:
    """ASR #200: a rule without FromPort and ToPort was ignored."""
    rule = described("-1", (-1, -1), CidrIpv6=ANY6)
    del rule["FromPort"], rule["ToPort"]

    assert revoked(Ec2([rule]), "EC2.18") == ["sgr-0"]


def test_a_single_range_goes_and_the_others_of_the_same_permission_stay() -> None:
    """cloud-custodian #834: one IpPermission held a private range and the world."""
    ec2 = Ec2([described("tcp", (22, 22), CidrIpv4="10.1.23.2/32"), SSH4])
    repair(ec2, "EC2.13")

    assert list(ec2.rules) == ["sgr-0"]


def test_every_high_risk_port_of_the_documentation_is_closed_and_no_other() -> None:
    ec2 = Ec2([described("tcp", (0, 65535), CidrIpv4=ANY4)])
    calls = repair(ec2, "EC2.19")
    reached = {port for r in ec2.rules.values() for port in range(r["FromPort"], r["ToPort"] + 1)}

    assert set(range(65536)) - reached == HIGH_RISK
    assert calls[-1]["operation"] == "revoke_security_group_ingress", "nothing is closed before its substitute is there"


def test_a_custom_port_alone_and_a_range_are_read() -> None:
    """ASR's defects of EC2.18: one port was read as a number, and ranges were not read."""
    rules = [described("tcp", (8443, 8443), CidrIpv4=ANY4), described("tcp", (1500, 1600), CidrIpv4=ANY4)]

    assert not revoked(Ec2(rules), "EC2.18", authorizedTcpPorts=["8443", "1024-2000"])
    assert revoked(Ec2(rules), "EC2.18", authorizedTcpPorts=["8443"]) == ["sgr-1"]


@pytest.mark.parametrize("item", ["2000-1024", "70000", "80-65536"])
def test_what_is_no_range_of_ports_is_refused_before_any_write(item: str) -> None:
    with pytest.raises(CannotRepair, match=item):
        revoked(Ec2([SSH4]), "EC2.18", authorizedTcpPorts=["443", item])


def test_the_world_of_all_traffic_keeps_icmp_but_for_the_authorized_ports_control() -> None:
    every = described("-1", (-1, -1), CidrIpv6=ANY6)
    kept = {c: Ec2([every]) for c in ("EC2.13", "EC2.18")}
    for control, ec2 in kept.items():
        repair(ec2, control)

    assert [{r["IpProtocol"] for r in ec2.rules.values()} for ec2 in kept.values()] == [
        {"tcp", "udp", "icmpv6"},
        {"tcp"},
    ]


def test_what_stays_open_keeps_the_rules_text_and_tags_and_its_source() -> None:
    tag = {"Key": "owner", "Value": "web"}
    ec2 = Ec2(
        [described("tcp", (22, 443), PrefixListId="pl-w") | {"Description": "web", "Tags": [tag]}], {"pl-w": [ANY4]}
    )
    repair(ec2, "EC2.13")
    (kept,) = ec2.rules.values()

    assert (kept["FromPort"], kept["ToPort"], kept["PrefixListId"]) == (23, 443, "pl-w")
    assert (kept["Description"], kept["Tags"]) == ("web", [tag])


def test_the_switch_takes_a_wide_rule_away_whole() -> None:
    ec2 = Ec2([described("tcp", (0, 65535), CidrIpv4=ANY4)])
    repair(ec2, "EC2.19", keepOtherPorts=False)

    assert not ec2.rules


def test_rules_that_are_there_and_overlapping_wide_rules_are_not_added_twice() -> None:
    wide = [described("-1", (-1, -1), CidrIpv4=ANY4), described("tcp", (0, 65535), CidrIpv4=ANY4)]
    ec2 = Ec2([*wide, described("tcp", (80, 80), CidrIpv4=ANY4) | {"Description": "mine"}])
    repair(ec2, "EC2.18")

    assert sorted((r["FromPort"], r.get("Description")) for r in ec2.rules.values()) == [(80, "mine"), (443, None)]


def test_tags_of_aws_are_neither_copied_nor_given_back() -> None:
    ec2 = Ec2([SSH4 | {"Tags": [{"Key": "aws:cloudformation:stack-name", "Value": "s"}]}])
    (one,) = CODE.plan(ec2.state("EC2.13"), target("EC2.13"))

    assert "TagSpecifications" not in one["undo"][0]["parameters"]


def test_a_rule_that_is_gone_does_not_keep_the_others_and_a_refusal_in_the_answer_fails() -> None:
    """ASR printed failed revokes and said Success; cloud-custodian #9656: NotFound left a rule open for months."""
    calls = CODE.plan(Ec2([SSH4, described("tcp", (22, 22), CidrIpv6=ANY6)]).state("EC2.13"), target("EC2.13"))

    assert [len(c["parameters"]["SecurityGroupRuleIds"]) for c in calls] == [1, 1]
    assert all("InvalidSecurityGroupRuleId.NotFound" in c["fine"] for c in calls)
    assert all("Return" in c["fail_if"] for c in calls)


def test_a_group_that_is_gone_is_said_to_be() -> None:
    ec2 = Ec2([])
    ec2.gone = True

    with pytest.raises(ResourceGone):
        ec2.state("EC2.13")


@st.composite
def groups_of_rules(draw: st.DrawFn) -> list[Json]:
    sources: list[Json] = [
        {"CidrIpv4": ANY4}, {"CidrIpv6": ANY6}, {"PrefixListId": "pl-world"}, {"PrefixListId": "pl-office"},
        {"CidrIpv4": "10.0.0.0/8"}, {"CidrIpv4": "0.0.0.0/1"}, {"CidrIpv6": "fd00::/8"},
        {"ReferencedGroupInfo": {"GroupId": GROUP}}, {"ReferencedGroupInfo": {"GroupId": "sg-other"}},
    ]  # fmt: skip
    port = st.sampled_from([0, 20, 22, 23, 53, 79, 80, 81, 443, 444, 1024, 3306, 3388, 3389, 3390, 9300, 65535])
    ports = st.tuples(port, port).map(lambda pair: (min(pair), max(pair)))
    protocol = st.sampled_from(["tcp", "udp", "-1", "icmp"])
    made = []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(protocol)
        span = (-1, -1) if kind in ("-1", "icmp") else draw(ports)
        made.append(
            described(kind, span, **draw(st.sampled_from(sources))) | {"IsEgress": draw(st.integers(0, 5)) == 0}
        )
    return list({identity(rule): rule for rule in made}.values())


@settings(max_examples=150, deadline=None)
@given(rules=groups_of_rules(), control=st.sampled_from(["EC2.13", "EC2.14", "EC2.18", "EC2.19", "EC2.53", "EC2.54"]))
def test_what_the_control_forbids_is_closed_nothing_else_and_nothing_gets_wider(
    rules: list[Json], control: str
) -> None:
    ec2 = Ec2(rules, {"pl-world": ["192.0.2.0/24", "198.51.100.0/24", ANY4], "pl-office": ["192.0.2.0/24"]})
    untouched = {
        i: r for i, r in ec2.rules.items() if is_not_the_world(r) or r["IsEgress"] or r["IpProtocol"] == "icmp"
    }
    before = reach(ec2)
    repair(ec2, control)
    after = reach(ec2)

    assert untouched.items() <= ec2.rules.items(), "a rule that the control does not mind was changed"
    assert after <= before
    assert before - after == {one for one in before if forbidden(control, *one)}
    assert CODE.plan(ec2.state(control), target(control)) == [], "a second run has nothing to do"


def is_not_the_world(rule: Json) -> bool:
    return ANY4 not in rule.values() and ANY6 not in rule.values() and rule.get("PrefixListId") != "pl-world"


SAMPLE = sorted({*HIGH_RISK, 0, 24, 26, 53, 79, 80, 81, 443, 444, 1024, 3388, 3390, 9299, 9301, 65535})


def reach(ec2: Ec2) -> set[tuple[str, str, int]]:
    """(source, protocol, port) that the world may use, over a sample of ports."""
    found = set()
    for rule in ec2.rules.values():
        if is_not_the_world(rule) or rule["IsEgress"]:
            continue
        source = rule.get("CidrIpv4") or rule.get("CidrIpv6") or rule["PrefixListId"]
        for protocol in ("tcp", "udp") if rule["IpProtocol"] == "-1" else (rule["IpProtocol"],):
            low, high = (0, 65535) if rule["IpProtocol"] == "-1" else (rule["FromPort"], rule["ToPort"])
            found |= {(source, protocol, port) for port in SAMPLE if low <= port <= high and protocol != "icmp"}
    return found


def forbidden(control: str, source: str, protocol: str, port: int) -> bool:
    """The controls' own predicates, in the words of their pages."""
    return {
        "EC2.13": protocol == "tcp" and port == 22,
        "EC2.14": protocol == "tcp" and port == 3389,
        "EC2.18": not (protocol == "tcp" and port in (80, 443)),
        "EC2.19": protocol == "tcp" and port in HIGH_RISK,
        "EC2.53": port in ADMIN and source != ANY6,
        "EC2.54": port in ADMIN and source == ANY6,
    }[control]


# --- whole attempts


def test_an_undo_leaves_a_colleagues_later_rule_alone() -> None:
    with bench(ID) as b:
        resource_id = group(allow("tcp", (22, 22), v4=ANY4, text="ssh"), tags=TAG)(b)
        attempt = b.attempt("EC2.13", resource_id)
        attempt.finish()
        later = allow("tcp", (8443, 8443), v4=ANY4, text="theirs")
        b.client("ec2").authorize_security_group_ingress(GroupId=resource_id.split("/")[1], IpPermissions=[later])

        assert attempt.undo()["outcome"] == "UNDONE"
        assert {22, 8443} == open_ports(b, resource_id, ANY4)["tcp"]


def test_a_rule_that_came_back_by_hand_with_another_text_is_not_undone_over() -> None:
    with bench(ID) as b:
        resource_id = group(allow("tcp", (22, 22), v4=ANY4, text="ssh"))(b)
        attempt = b.attempt("EC2.13", resource_id)
        attempt.finish()
        by_hand = allow("tcp", (22, 22), v4=ANY4, text="by hand")
        b.client("ec2").authorize_security_group_ingress(GroupId=resource_id.split("/")[1], IpPermissions=[by_hand])

        result = attempt.undo()

        assert result["outcome"] == "SKIPPED"
        assert "tcp 22 from 0.0.0.0/0" in result["why"]


def test_a_clean_group_is_compliant_and_a_missing_one_too() -> None:
    """ASR raised where there was nothing to delete."""
    with bench(ID) as b:
        clean = group()(b)

        assert b.remediate("EC2.18", clean)["outcome"] == "COMPLIANT"
        assert b.remediate("EC2.18", b.arn("ec2", f"security-group/{GROUP}"))["outcome"] == "COMPLIANT"
