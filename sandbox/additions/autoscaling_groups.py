"""
EC2 Auto Scaling: launch configurations and what a group launches from, as the service keeps them.

moto deletes a launch configuration that is in use, keeps a group's old source beside its new one, forgets a mixed
instances policy at every update, and gives all launch configurations one id.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from moto.autoscaling.models import autoscaling_backends
from moto.autoscaling.responses import AutoScalingResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World


def install(world: World, patches: Patches) -> None:
    """Make moto's Auto Scaling refuse and forget what AWS does."""
    patches.around(AutoScalingResponse, "CreateLaunchConfiguration", _create_configuration)
    patches.around(AutoScalingResponse, "DeleteLaunchConfiguration", _delete_configuration)
    patches.around(AutoScalingResponse, "UpdateAutoScalingGroup", _update_group)


def _create_configuration(request: Request, proceed: Callable[[], Any]) -> Any:
    """
    What was not asked for is not there, but for detailed monitoring, which is on.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_CreateLaunchConfiguration.html
    """
    asked, backend = request.parameters, autoscaling_backends[request.account][request.region]
    name = asked["LaunchConfigurationName"]
    if name in backend.launch_configurations:
        raise Refused("AlreadyExists", f"Launch Configuration by this name already exists - {name}")
    answer = proceed()
    made: Any = backend.launch_configurations[name]
    made.arn = made.arn.replace(made.arn.split(":")[6], str(uuid.uuid4()))
    made.associate_public_ip_address = asked.get("AssociatePublicIpAddress")
    made.placement_tenancy = asked.get("PlacementTenancy")
    made.instance_monitoring_enabled = asked.get("InstanceMonitoring", {}).get("Enabled", True)
    return answer


def _delete_configuration(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_DeleteLaunchConfiguration.html"""
    name = request.parameters["LaunchConfigurationName"]
    backend = autoscaling_backends[request.account][request.region]
    _check_configuration(backend, name)
    users = [group for group in backend.autoscaling_groups.values() if _source_of(group) == name]
    if users:
        raise Refused(
            "ResourceInUse", f"Cannot delete launch configuration {name} because it is attached to AutoScalingGroup"
        )
    return proceed()


def _update_group(request: Request, proceed: Callable[[], Any]) -> Any:
    """
    A group has one source: what is given takes the place of what was there, whichever kind it was.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
    """
    asked, backend = request.parameters, autoscaling_backends[request.account][request.region]
    given = [n for n in ("LaunchConfigurationName", "LaunchTemplate", "MixedInstancesPolicy") if asked.get(n)]
    if len(given) > 1:
        raise Refused("ValidationError", f"Valid requests must contain one of {', '.join(given)}")
    if "LaunchConfigurationName" in given:
        _check_configuration(backend, asked["LaunchConfigurationName"])
    group = backend.autoscaling_groups.get(asked["AutoScalingGroupName"])
    policy = group.mixed_instances_policy if group is not None else None
    answer = proceed()
    changed: Any = backend.autoscaling_groups[asked["AutoScalingGroupName"]]
    if not given:
        changed.mixed_instances_policy = policy
    elif "LaunchConfigurationName" in given:
        changed.ec2_launch_template = None
    else:
        changed.launch_config = changed.launch_configuration_name = None
    return answer


def _source_of(group: Any) -> str | None:
    """Return the name of the launch configuration that the group launches from, if it is one."""
    name: str | None = getattr(group, "launch_configuration_name", None)
    return name


def _check_configuration(backend: Any, name: str) -> None:
    if name not in backend.launch_configurations:
        raise Refused("ValidationError", f"Launch configuration name not found - Launch configuration {name} not found")
