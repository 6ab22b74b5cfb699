"""ELB.1: what redirects and what stays, when a redirect would be an outage, and what an undo gives back."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "elb/redirect_http"
HTTPS = [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}]
OK = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}
FORWARD = [{"Type": "forward", "TargetGroupArn": "tg"}]


def balancer(b: Bench, name: str, https_port: int | None = 443) -> tuple[str, str, str]:
    """Make a load balancer that serves HTTP on port 80; return its ARN, its listener's and its target group's."""
    ec2, elb = b.client("ec2"), b.client("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"][:2]]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=z)["Subnet"]["SubnetId"]
        for n, z in enumerate(zones)
    ]
    group = ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    for port in (80, https_port or 443):
        ec2.authorize_security_group_ingress(
            GroupId=group, IpProtocol="tcp", FromPort=port, ToPort=port, CidrIp="0.0.0.0/0"
        )
    made = elb.create_load_balancer(Name=name, Subnets=subnets, SecurityGroups=[group])["LoadBalancers"][0]
    target_group = elb.create_target_group(Name=name, Protocol="HTTP", Port=8080, VpcId=vpc)["TargetGroups"][0]
    arn, target_arn = made["LoadBalancerArn"], target_group["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": target_arn}]
    listener = elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward)
    if https_port:
        certificate = b.client("acm").request_certificate(DomainName=f"{name}.example.com")["CertificateArn"]
        elb.create_listener(
            LoadBalancerArn=arn,
            Protocol="HTTPS",
            Port=https_port,
            Certificates=[{"CertificateArn": certificate}],
            DefaultActions=forward,
        )
    return arn, listener["Listeners"][0]["ListenerArn"], target_arn


def serves_http(b: Bench) -> str:
    return balancer(b, "shop-for-elb-1")[0]


def with_rules(b: Bench) -> str:
    """HTTPS on port 8443; one rule forwards, one redirects to HTTP, one answers by itself."""
    arn, listener, target_group = balancer(b, "offers-for-elb-1", https_port=8443)
    actions = {
        "/api/*": {"Type": "forward", "TargetGroupArn": target_group},
        "/old/*": {
            "Type": "redirect",
            "RedirectConfig": {"Protocol": "HTTP", "Port": "80", "Path": "/new/#{path}", "StatusCode": "HTTP_302"},
        },
        "/health": OK,
    }
    for priority, (path, action) in enumerate(actions.items(), 1):
        condition = {"Field": "path-pattern", "Values": [path]}
        b.client("elbv2").create_rule(ListenerArn=listener, Priority=priority, Conditions=[condition], Actions=[action])
    return arn


def rules_of(b: Bench, arn: str) -> list[dict[str, Any]]:
    """Every rule of the HTTP listeners, the default ones too."""
    elb = b.client("elbv2")
    listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    http = [one["ListenerArn"] for one in listeners if one["Protocol"] == "HTTP"]
    return [rule for one in http for rule in elb.describe_rules(ListenerArn=one)["Rules"]]


def redirects(b: Bench, arn: str) -> bool:
    last = [(rule["IsDefault"], rule["Actions"][-1]) for rule in rules_of(b, arn)]
    return all(
        one.get("RedirectConfig", {}).get("Protocol") == "HTTPS" or (one["Type"] == "fixed-response" and not default)
        for default, one in last
    )


CASES = [
    Case("ELB.1", "a load balancer that serves HTTP", serves_http, redirects),
    Case("ELB.1", "a listener with rules", with_rules, redirects),
]


def plan(
    listeners: dict[str, Any] | None = None,
    rules: dict[str, Any] | None = None,
    port: int | None = None,
    **facts: Any,
) -> list[dict[str, Any]]:
    https = facts.get("https", [443])
    state = {
        "config": {"listeners": {"l/1": FORWARD} if listeners is None else listeners, "rules": rules or {}},
        "facts": {"https": https, "shut_out": {str(one): [] for one in https}, "rewrites": []} | facts,
        "busy": None,
    }
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, {"parameters": {"httpsPort": port}})
    return made


@pytest.mark.parametrize(
    ("case", "listeners", "rules", "operations"),
    [
        ("no HTTP listener", {}, {}, []),
        ("redirects", {"l/1": HTTPS}, {}, []),
        ("forwards", {"l/1": FORWARD}, {}, ["modify_listener"]),
        ("two listeners", {"l/1": FORWARD, "l/2": FORWARD}, {}, ["modify_listener", "modify_listener"]),
        ("a fixed response is no redirect", {"l/1": [OK]}, {}, ["modify_listener"]),
        ("a rule still forwards", {"l/1": HTTPS}, {"r/1": FORWARD}, ["modify_rule"]),
        ("a rule answers by itself", {"l/1": HTTPS}, {"r/1": [OK]}, []),
        ("rules go first", {"l/1": FORWARD}, {"r/1": FORWARD}, ["modify_rule", "modify_listener"]),
    ],
)
def test_plan(case: str, listeners: dict[str, Any], rules: dict[str, Any], operations: list[str]) -> None:
    assert [one["operation"] for one in plan(listeners, rules)] == operations, case


@pytest.mark.parametrize(
    ("https", "asked", "port"), [([443, 8443], None, "443"), ([8443], None, "8443"), ([443, 8443], 8443, "8443")]
)
def test_the_port_is_that_of_an_https_listener(https: list[int], asked: int | None, port: str) -> None:
    (one,) = plan(port=asked, https=https)

    assert one["parameters"]["DefaultActions"][0]["RedirectConfig"]["Port"] == port


OIDC = [{"Type": "authenticate-oidc", "Order": 1}, {"Type": "forward", "TargetGroupArn": "tg", "Order": 2}]
ELSEWHERE = [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTP", "Host": "old.example.com"}}]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"https": []}, "no HTTPS listener"),
        ({"https": [8443, 9443]}, "have ports"),
        ({"https": [8443], "port": 443}, "no HTTPS listener has port 443"),
        ({"shut_out": {"443": ["0.0.0.0/0"]}}, "let 0.0.0.0/0 in at HTTP, but not at port 443"),
        ({"rules": {"x:listener-rule/1": OIDC}}, "rule 1 authenticates with OIDC"),
        ({"rules": {"x:listener-rule/1": ELSEWHERE}}, "redirects to HTTP at another host"),
        ({"rules": {"x:listener-rule/1": FORWARD}, "rewrites": ["x:listener-rule/1"]}, "rewrites what it forwards"),
    ],
)
def test_what_would_be_an_outage_or_could_not_be_undone_is_left_to_a_person(more: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(**more)


def test_rules_that_answer_by_themselves_stay_and_redirects_keep_their_path() -> None:
    with bench(ID) as b:
        arn = with_rules(b)

        b.remediate("ELB.1", arn)

        health, old = (
            next(one for one in rules_of(b, arn) if path in str(one["Conditions"])) for path in ("/health", "/old/*")
        )
    assert health["Actions"][0]["Type"] == "fixed-response"
    config = old["Actions"][0]["RedirectConfig"]
    assert (config["Protocol"], config["Port"], config["Path"]) == ("HTTPS", "8443", "/new/#{path}")
    assert config["StatusCode"] == "HTTP_302"


def test_a_load_balancer_without_https_is_not_touched() -> None:
    with bench(ID) as b:
        arn = balancer(b, "plain", https_port=None)[0]

        with b.watched() as calls:
            result = b.remediate("ELB.1", arn)

    assert (result["outcome"], result["why"]) == ("FAILED", "the load balancer has no HTTPS listener")
    assert not b.writes(calls)


OPEN = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
HALVES = {"IpRanges": [{"CidrIp": "10.0.0.0/9"}, {"CidrIp": "10.128.0.0/9"}]}
INSIDE = {"IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
GROUP = {"UserIdGroupPairs": [{"GroupId": "sg-0123456789abcdef0"}]}
IPV6 = {"Ipv6Ranges": [{"CidrIpv6": "::/0"}]}


@pytest.mark.parametrize(
    ("case", "http", "https", "shut_out"),
    [
        ("everybody, everybody", OPEN, OPEN, []),
        ("everybody, only inside", OPEN, INSIDE, ["0.0.0.0/0"]),
        ("inside, everybody", INSIDE, OPEN, []),
        ("inside, inside in two halves", INSIDE, HALVES, []),
        ("inside, nobody", INSIDE, {}, ["10.0.0.0/8"]),
        ("a group, the same", GROUP, GROUP, []),
        ("a group, everybody", GROUP, OPEN, []),
        ("a group, inside", GROUP, INSIDE, ["sg-0123456789abcdef0"]),
        ("by IPv6 as well, where the load balancer has none", OPEN | IPV6, OPEN, []),
    ],
)
def test_clients_that_reach_http_must_reach_https(
    case: str, http: dict[str, Any], https: dict[str, Any], shut_out: list[str]
) -> None:
    with bench(ID) as b:
        arn = balancer(b, "shop")[0]
        ec2, elb = b.client("ec2"), b.client("elbv2")
        (security_group,) = elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["SecurityGroups"]
        found = ec2.describe_security_groups(GroupIds=[security_group])["SecurityGroups"][0]["IpPermissions"]
        ec2.revoke_security_group_ingress(GroupId=security_group, IpPermissions=found)
        if GROUP in (http, https):
            vpc = ec2.describe_security_groups(GroupIds=[security_group])["SecurityGroups"][0]["VpcId"]
            client = ec2.create_security_group(GroupName="clients", Description="clients", VpcId=vpc)["GroupId"]
            pair = {"UserIdGroupPairs": [{"GroupId": client}]}
            http, https = (pair if one is GROUP else one for one in (http, https))
            shut_out = [client] if shut_out else []
        for port, who in ((80, http), (443, https)):
            if who:
                rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **who}
                ec2.authorize_security_group_ingress(GroupId=security_group, IpPermissions=[rule])
        with b.watched() as calls:
            result = b.remediate("ELB.1", arn)

    if shut_out:
        assert result["outcome"] == "FAILED", case
        assert f"let {shut_out[0]} in at HTTP, but not at port 443" in result["why"], case
        assert not b.writes(calls), case
    else:
        assert result["outcome"] == "REMEDIATED", (case, result)


def test_more_listeners_than_one_page_has_are_all_seen() -> None:
    """AWS's own solution reads one page."""
    with bench(ID) as b:
        arn, listener, target_group = balancer(b, "busy")
        action = {"Type": "forward", "TargetGroupArn": target_group}
        for number in range(60):
            condition = {"Field": "path-pattern", "Values": [f"/{number}"]}
            b.client("elbv2").create_rule(
                ListenerArn=listener, Priority=number + 1, Conditions=[condition], Actions=[action]
            )

        result = b.remediate("ELB.1", arn)

        pages = b.client("elbv2").get_paginator("describe_rules").paginate(ListenerArn=listener)
        types = {rule["Actions"][0]["Type"] for page in pages for rule in page["Rules"]}
    assert result["outcome"] == "REMEDIATED", result
    assert types == {"redirect"}


def test_a_load_balancer_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        gone = b.arn("elasticloadbalancing", "loadbalancer/app/nobody/0123456789abcdef")

        assert b.remediate("ELB.1", gone)["outcome"] == "COMPLIANT"
