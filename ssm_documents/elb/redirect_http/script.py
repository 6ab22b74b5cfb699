"""ELB.1: have an Application Load Balancer redirect HTTP to an HTTPS listener that it has."""

from __future__ import annotations

from ipaddress import collapse_addresses, ip_network
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the actions of every HTTP listener and of its rules, the HTTPS ports, and whom security groups keep from these.

    Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Action.html
    """
    elb, arn = aws.client("elbv2"), target["resource"]["id"]
    try:
        balancer = elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]
    except elb.exceptions.LoadBalancerNotFoundException as error:
        raise ResourceGone(arn) from error
    pages = elb.get_paginator("describe_listeners").paginate(LoadBalancerArn=arn)
    listeners = [one for page in pages for one in page["Listeners"]]
    config: dict[str, Any] = {"listeners": {}, "rules": {}}
    rewrites = []
    for listener in (one for one in listeners if one["Protocol"] == "HTTP"):
        config["listeners"][listener["ListenerArn"]] = listener["DefaultActions"]
        pages = elb.get_paginator("describe_rules").paginate(ListenerArn=listener["ListenerArn"])
        for rule in (one for page in pages for one in page["Rules"] if not one["IsDefault"]):
            config["rules"][rule["RuleArn"]] = rule["Actions"]
            rewrites += [rule["RuleArn"]] if rule.get("Transforms") else []
    ports = sorted(one["Port"] for one in listeners if one["Protocol"] == "HTTPS")
    groups = balancer.get("SecurityGroups", [])
    ingress = []
    if ports and groups:
        found = aws.client("ec2").describe_security_groups(GroupIds=groups)["SecurityGroups"]
        ingress = [one for group in found for one in group["IpPermissions"]]
    ipv6 = balancer.get("IpAddressType") != "ipv4"
    http = set().union(*(sources(ingress, one["Port"], ipv6) for one in listeners if one["Protocol"] == "HTTP"))
    shut_out = {str(port): outside(http, sources(ingress, port, ipv6)) for port in ports}
    facts = {"https": ports, "shut_out": shut_out, "rewrites": rewrites}
    return {"config": config, "facts": facts, "busy": None}


def sources(ingress: list[dict[str, Any]], port: int, ipv6: bool) -> set[str]:
    """Return whom security groups let in at the TCP port: CIDR blocks, ids of security groups and of prefix lists."""
    found: set[str] = set()
    for one in ingress:
        tcp = one["IpProtocol"] in ("tcp", "6") and one.get("FromPort", 0) <= port <= one.get("ToPort", 65535)
        if tcp or one["IpProtocol"] == "-1":
            found |= {r["CidrIp"] for r in one.get("IpRanges", [])}
            found |= {r["CidrIpv6"] for r in one.get("Ipv6Ranges", []) if ipv6}
            found |= {g["GroupId"] for g in one.get("UserIdGroupPairs", [])}
            found |= {p["PrefixListId"] for p in one.get("PrefixListIds", [])}
    return found


def outside(http: set[str], https: set[str]) -> list[str]:
    """Return the sources in *http* that *https* does not hold, be it as a part of larger blocks."""
    blocks: list[Any] = [ip_network(one, strict=False) for one in https if "/" in one]
    merged: list[Any] = [b for v in (4, 6) for b in collapse_addresses([b for b in blocks if b.version == v])]

    def held(source: str) -> bool:
        if "/" not in source:
            return "0.0.0.0/0" in https
        block: Any = ip_network(source, strict=False)
        return any(b.version == block.version and block.subnet_of(b) for b in merged)

    return sorted(one for one in http - https if not held(one))


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a call per rule and HTTP listener that does not redirect; [] where all do. Rules go first."""
    config, facts = state["config"], state["facts"]
    rules = {arn: actions for arn, actions in config["rules"].items() if answers(actions) not in ("https", "fixed")}
    listeners = {arn: actions for arn, actions in config["listeners"].items() if answers(actions) != "https"}
    if not rules and not listeners:
        return []
    for arn, actions in (rules | listeners).items():
        if any(action["Type"] == "authenticate-oidc" for action in actions):
            why = f"{named_of(arn)} authenticates with OIDC, whose secret cannot be read and given back"
            raise CannotRepair(why, "change it by hand")
        if arn in facts["rewrites"]:
            raise CannotRepair(f"{named_of(arn)} rewrites what it forwards", "replace it by a redirect by hand")
        if answers(actions) == "elsewhere":
            why = f"{named_of(arn)} redirects to HTTP at another host, which may have no HTTPS"
            raise CannotRepair(why, "change it by hand, or delete it")
    port = port_of(facts, target["parameters"]["httpsPort"])
    calls = []
    for arn, actions in rules.items():
        change, back = ({"RuleArn": arn, "Actions": some} for some in (redirect(actions, port), actions))
        undo = call("elbv2", "modify_rule", back, fine=["RuleNotFound"], leaf=["rules", arn])
        calls.append(call("elbv2", "modify_rule", change, undo=[undo]))
    for arn, actions in listeners.items():
        change, back = ({"ListenerArn": arn, "DefaultActions": some} for some in (redirect(actions, port), actions))
        undo = call("elbv2", "modify_listener", back, fine=["ListenerNotFound"], leaf=["listeners", arn])
        calls.append(call("elbv2", "modify_listener", change, undo=[undo]))
    return calls


def answers(actions: list[dict[str, Any]]) -> str:
    """How the last action, which ends a request, does so: https, http or elsewhere (redirects), fixed or forward."""
    last = max(actions, key=lambda action: action.get("Order", 0))
    if last["Type"] == "fixed-response":
        return "fixed"
    if last["Type"] != "redirect":
        return "forward"
    found = last["RedirectConfig"]
    if found.get("Protocol") == "HTTPS":
        return "https"
    return "http" if found.get("Host") in (None, "#{host}") else "elsewhere"


def redirect(actions: list[dict[str, Any]], port: int) -> list[dict[str, Any]]:
    """Return the action that sends a request to HTTPS; a redirect on the same host keeps its path, query and status."""
    kept = {"StatusCode": "HTTP_301"}
    if answers(actions) == "http":
        kept = max(actions, key=lambda action: action.get("Order", 0))["RedirectConfig"]
    return [{"Type": "redirect", "RedirectConfig": {**kept, "Protocol": "HTTPS", "Port": str(port)}}]


def port_of(facts: dict[str, Any], asked: int | None) -> int:
    """Return the port to redirect to. Raises CannotRepair where there is none, or not one that requests reach."""
    https = facts["https"]
    if not https:
        raise CannotRepair("the load balancer has no HTTPS listener", "make one with a certificate, then repair again")
    if asked and asked not in https:
        raise CannotRepair(f"no HTTPS listener has port {asked}", f"set httpsPort to one of {https}")
    if not asked and 443 not in https and len(https) > 1:
        raise CannotRepair(f"HTTPS listeners have ports {https}", "set httpsPort to the one to redirect to")
    port: int = asked or (443 if 443 in https else https[0])
    if facts["shut_out"][str(port)]:
        who = ", ".join(facts["shut_out"][str(port)][:3])
        why = f"the load balancer's security groups let {who} in at HTTP, but not at port {port}"
        raise CannotRepair(why, "let them in there or shut them out at HTTP, then repair again")
    return port


def named_of(arn: str) -> str:
    return ("rule " if ":listener-rule/" in arn else "listener ") + arn.rsplit("/", 1)[1]
