"""AutoScaling.1: have a group behind a load balancer use that one's health checks."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the group's health check, its load balancers, and which of its instances in service fail their checks now.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AutoScalingGroup.html
    """
    name = target["resource"]["group"]
    answer = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    group = next((g for g in answer["AutoScalingGroups"] if g["AutoScalingGroupARN"] == target["resource"]["id"]), None)
    if group is None:
        raise ResourceGone(name)
    sources = group.get("TrafficSources", [])
    target_groups = {*group.get("TargetGroupARNs", []), *(s["Identifier"] for s in sources if s.get("Type") == "elbv2")}
    classic = {*group.get("LoadBalancerNames", []), *(s["Identifier"] for s in sources if s.get("Type") == "elb")}
    serving = {one["InstanceId"] for one in group.get("Instances", []) if one["LifecycleState"] == "InService"}
    failing, lost = set(), []
    if not uses_elb(group["HealthCheckType"]):
        for arn in sorted(target_groups):
            elb = aws.client("elbv2")
            try:
                health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
            except elb.exceptions.TargetGroupNotFoundException:
                lost.append(arn)
                continue
            failing |= {h["Target"]["Id"] for h in health if h["TargetHealth"]["State"].startswith("unhealthy")}
        for balancer in sorted(classic):
            elb = aws.client("elb")
            try:
                states = elb.describe_instance_health(LoadBalancerName=balancer)["InstanceStates"]
            except elb.exceptions.AccessPointNotFoundException:
                lost.append(balancer)
                continue
            failing |= {one["InstanceId"] for one in states if one["State"] == "OutOfService"}
    return {
        "config": {"type": group["HealthCheckType"], "grace": group["HealthCheckGracePeriod"]},
        "facts": {
            "balanced": bool(target_groups or classic),
            "serving": len(serving),
            "failing": sorted(serving & failing),
            "lost": lost,
        },
        "busy": None,
    }


def uses_elb(types: str) -> bool:
    return "ELB" in [one.strip() for one in types.split(",")]


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that adds the load balancers' checks; [] where the group uses them, or has no load balancer."""
    config, facts, parameters = state["config"], state["facts"], target["parameters"]
    if not facts["balanced"] or uses_elb(config["type"]):
        return []
    if facts["lost"]:
        why = f"the group's load balancer or target group does not exist any more: {facts['lost'][0]}"
        raise CannotRepair(why, "detach it from the group, then repair again")
    if facts["failing"] and not parameters["replaceUnhealthy"]:
        why = f"{len(facts['failing'])} of {facts['serving']} instances fail the check now, and would be terminated"
        raise CannotRepair(why, "see why they fail, or set replaceUnhealthy")
    # EC2's own checks are always made; other kinds that somebody chose stay.
    others = [one.strip() for one in config["type"].split(",") if one.strip() != "EC2"]
    group = {"AutoScalingGroupName": target["resource"]["group"]}
    change: dict[str, Any] = {"HealthCheckType": ",".join([*others, "ELB"])}
    before: dict[str, Any] = {"HealthCheckType": config["type"]}
    # Without time to start, a new instance would fail the check and be replaced over and over.
    if config["grace"] < parameters["minimumGraceSeconds"]:
        change["HealthCheckGracePeriod"] = parameters["minimumGraceSeconds"]
        before["HealthCheckGracePeriod"] = config["grace"]
    undo = call("autoscaling", "update_auto_scaling_group", group | before)
    return [call("autoscaling", "update_auto_scaling_group", group | change, undo=[undo])]
