"""AutoScaling.1: which groups get the check, which are left alone, and that nobody's grace period is shortened."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.policies import session_policy
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "autoscaling/use_load_balancer_health"


def launch_template(b: Bench, name: str) -> dict[str, str]:
    data = {"ImageId": "ami-12c6146b", "InstanceType": "t3.micro"}
    made = b.client("ec2").create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)["LaunchTemplate"]
    return {"LaunchTemplateId": made["LaunchTemplateId"], "Version": "1"}


def group(b: Bench, name: str, size: int = 0, **more: Any) -> str:
    scaling = b.client("autoscaling")
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate=launch_template(b, name.replace(" ", "-").replace("/", "-")),
        MinSize=size,
        MaxSize=2,
        **more,
    )
    return str(group_of(b, name)["AutoScalingGroupARN"])


def group_of(b: Bench, name: str) -> dict[str, Any]:
    found = b.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    return dict(found["AutoScalingGroups"][0])


def target_group(b: Bench, name: str) -> tuple[str, str]:
    """Make a target group; return its ARN and a subnet of its VPC."""
    ec2 = b.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24")["Subnet"]["SubnetId"]
    made = b.client("elbv2").create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc)["TargetGroups"][0]
    return made["TargetGroupArn"], subnet


def behind_a_target_group(b: Bench) -> str:
    arn, subnet = target_group(b, "web-for-autoscaling-1")
    resource_id = group(b, "web-for-autoscaling-1", 1, TargetGroupARNs=[arn], VPCZoneIdentifier=subnet)
    change = {"AutoScalingGroupName": "web-for-autoscaling-1", "HealthCheckGracePeriod": 30}
    b.client("autoscaling").update_auto_scaling_group(**change)
    return resource_id


def behind_a_classic_load_balancer(b: Bench) -> str:
    zone, name = f"{b.region}a", "old web/for autoscaling-1"
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}
    b.client("elb").create_load_balancer(
        LoadBalancerName="old-web-for-autoscaling-1", Listeners=[listener], AvailabilityZones=[zone]
    )
    balancers = ["old-web-for-autoscaling-1"]
    return group(b, name, LoadBalancerNames=balancers, AvailabilityZones=[zone], HealthCheckGracePeriod=900)


def heeds(b: Bench, resource_id: str) -> bool:
    name = resource_id.split(":autoScalingGroupName/")[1]
    return "ELB" in group_of(b, name)["HealthCheckType"].split(",")


CASES = [
    Case("AutoScaling.1", "a group behind a target group", behind_a_target_group, heeds),
    Case("AutoScaling.1", "a group behind a classic load balancer", behind_a_classic_load_balancer, heeds),
]


def plan(type_: str = "EC2", grace: int = 300, *, replace: bool = False, **facts: Any) -> list[dict[str, Any]]:
    state = {
        "config": {"type": type_, "grace": grace},
        "facts": {"balanced": True, "serving": 3, "failing": [], "lost": []} | facts,
        "busy": None,
    }
    parameters = {"minimumGraceSeconds": 300, "replaceUnhealthy": replace}
    target = {"resource": {"group": "web"}, "parameters": parameters}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize(
    ("case", "type_", "balanced", "change"),
    [
        ("no load balancer", "EC2", False, None),
        ("uses it", "ELB", True, None),
        ("uses it among others", "EBS,ELB", True, None),
        ("does not use it", "EC2", True, "ELB"),
        ("another kind stays", "EBS", True, "EBS,ELB"),
        ("Lattice's checks are others", "VPC_LATTICE", True, "VPC_LATTICE,ELB"),
    ],
)
def test_plan(case: str, type_: str, balanced: bool, change: str | None) -> None:
    made = plan(type_, balanced=balanced)

    assert [one["parameters"]["HealthCheckType"] for one in made] == ([change] if change else []), case


@pytest.mark.parametrize(("grace", "written"), [(0, 300), (299, 300), (300, None), (900, None)])
def test_a_longer_grace_period_stays_and_a_shorter_one_is_given_back(grace: int, written: int | None) -> None:
    (one,) = plan(grace=grace)

    assert one["parameters"].get("HealthCheckGracePeriod") == written
    assert one["undo"][0]["parameters"].get("HealthCheckGracePeriod") == (grace if written else None)


def test_instances_that_fail_the_check_now_are_not_terminated_unless_the_user_wants_it() -> None:
    with pytest.raises(CannotRepair, match="1 of 3 instances fail the check now") as caught:
        plan(failing=["i-1"])

    assert "replaceUnhealthy" in caught.value.to_do
    assert plan(failing=["i-1"], replace=True)


def test_a_target_group_that_does_not_exist_any_more_is_left_to_a_person() -> None:
    with bench(ID) as b:
        resource_id = behind_a_target_group(b)
        arn = group_of(b, "web-for-autoscaling-1")["TargetGroupARNs"][0]
        b.client("elbv2").delete_target_group(TargetGroupArn=arn)

        result = b.remediate("AutoScaling.1", resource_id)

    assert result["outcome"] == "FAILED"
    assert "does not exist any more" in result["why"]


@pytest.mark.parametrize("name", ["web", "team/web", "web (blue) $&#", "w" * 255, "w" + " " * 254])
def test_the_id_of_a_real_group_is_understood(name: str) -> None:
    """https://github.com/aws-solutions/automated-security-response-on-aws/pull/141: a UUID has 8 digits first."""
    with bench(ID) as b:
        uid = "d1058ab2-0ac2-4c49-9c51-1bb0b1b7a9c3"
        resource_id = b.arn("autoscaling", f"autoScalingGroup:{uid}:autoScalingGroupName/{name}")

        assert b.target("AutoScaling.1", resource_id)["resource"]["group"] == name
        assert b.remediate("AutoScaling.1", resource_id)["outcome"] == "COMPLIANT"


def test_the_session_may_change_the_findings_own_group_and_no_other() -> None:
    with bench(ID) as b:
        resource_id = behind_a_target_group(b)
        group(b, "web-for-autoscaling-1-too", AvailabilityZones=[f"{b.region}a"])
        values = {"partition": b.partition, "account": b.account, "region": b.region}
        values |= b.target("AutoScaling.1", resource_id)["resource"]
        policy = session_policy(b.remediation, ("read", "write"), values, ["update_auto_scaling_group"])
        scaling = b.sessions.open(b.role_arn, "attempt", policy)("autoscaling", b.region)

        scaling.update_auto_scaling_group(AutoScalingGroupName="web-for-autoscaling-1", HealthCheckGracePeriod=31)
        with pytest.raises(scaling.exceptions.ClientError, match="AccessDenied"):
            scaling.update_auto_scaling_group(
                AutoScalingGroupName="web-for-autoscaling-1-too", HealthCheckGracePeriod=31
            )


def test_a_group_made_anew_under_the_same_name_is_another_group() -> None:
    with bench(ID) as b:
        resource_id = behind_a_target_group(b)
        uid = resource_id.split(":")[6]
        other = resource_id.replace(uid, "d1058ab2-0ac2-4c49-9c51-1bb0b1b7a9c3")

        assert b.remediate("AutoScaling.1", other)["outcome"] == "COMPLIANT"
        assert not heeds(b, resource_id)
