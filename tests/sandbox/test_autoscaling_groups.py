"""Auto Scaling groups and launch configurations behave as AWS's pages (named in each test) say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.fakes import FakeWorld, a_world, error_of

PAYMENTS, REGION = "222222222222", "eu-west-1"


@pytest.fixture
def world() -> Iterator[FakeWorld]:
    with a_world() as world:
        yield world


def client(world: FakeWorld, service: str) -> Any:
    return world.identity.client(service, PAYMENTS, REGION)


def configuration(world: FakeWorld, name: str, **more: Any) -> dict[str, Any]:
    scaling = client(world, "autoscaling")
    scaling.create_launch_configuration(
        LaunchConfigurationName=name, ImageId="ami-12c6146b", InstanceType="t3.micro", **more
    )
    found = scaling.describe_launch_configurations(LaunchConfigurationNames=[name])["LaunchConfigurations"]
    return dict(found[0])


def group(world: FakeWorld, **source: Any) -> dict[str, Any]:
    client(world, "autoscaling").create_auto_scaling_group(
        AutoScalingGroupName="web", MinSize=0, MaxSize=1, AvailabilityZones=[f"{REGION}a"], **source
    )
    return described(world)


def described(world: FakeWorld) -> dict[str, Any]:
    return dict(client(world, "autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0])


def template(world: FakeWorld) -> str:
    data = {"ImageId": "ami-12c6146b", "InstanceType": "t3.micro"}
    made = client(world, "ec2").create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
    return str(made["LaunchTemplate"]["LaunchTemplateId"])


def test_a_group_launches_from_one_source_and_can_go_back(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html"""
    scaling = client(world, "autoscaling")
    configuration(world, "old")
    group(world, LaunchConfigurationName="old")
    to_template = {"LaunchTemplateId": template(world), "Version": "1"}

    scaling.update_auto_scaling_group(AutoScalingGroupName="web", LaunchTemplate=to_template)
    there = described(world)
    scaling.update_auto_scaling_group(AutoScalingGroupName="web", LaunchConfigurationName="old")
    back = described(world)

    assert there["LaunchTemplate"]["LaunchTemplateId"] == to_template["LaunchTemplateId"]
    assert "LaunchConfigurationName" not in there
    assert back["LaunchConfigurationName"] == "old"
    assert "LaunchTemplate" not in back


def test_an_update_of_something_else_leaves_a_mixed_instances_policy(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html"""
    policy = {"LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateId": template(world)}}}
    before = group(world, MixedInstancesPolicy=policy)

    client(world, "autoscaling").update_auto_scaling_group(AutoScalingGroupName="web", HealthCheckType="ELB")

    after = described(world)
    assert after["MixedInstancesPolicy"] == before["MixedInstancesPolicy"]
    assert after["HealthCheckType"] == "ELB"


def test_a_launch_configuration_in_use_is_not_deleted_and_one_that_is_gone_is_an_error(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DeleteLaunchConfiguration.html"""
    scaling = client(world, "autoscaling")
    configuration(world, "old")
    group(world, LaunchConfigurationName="old")

    in_use = error_of(lambda: scaling.delete_launch_configuration(LaunchConfigurationName="old"))
    gone = error_of(lambda: scaling.delete_launch_configuration(LaunchConfigurationName="nobody"))
    unknown = error_of(
        lambda: scaling.update_auto_scaling_group(AutoScalingGroupName="web", LaunchConfigurationName="nobody")
    )

    assert (in_use, gone, unknown) == ("ResourceInUse", "ValidationError", "ValidationError")


def test_launch_configurations_have_ids_of_their_own_and_only_what_was_asked_for(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchConfiguration.html"""
    one = configuration(world, "one")
    other = configuration(world, "other", AssociatePublicIpAddress=False, PlacementTenancy="dedicated")

    assert one["LaunchConfigurationARN"].split(":")[6] != other["LaunchConfigurationARN"].split(":")[6]
    assert "AssociatePublicIpAddress" not in one
    assert one["InstanceMonitoring"] == {"Enabled": True}
    assert (other["AssociatePublicIpAddress"], other["PlacementTenancy"]) == (False, "dedicated")
