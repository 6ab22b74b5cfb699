"""AutoScaling.3, Autoscaling.5: a launch template takes the place of a launch configuration, which is then deleted."""

from __future__ import annotations

import json
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call, ref

TAG = "sharr:launch-configuration"
DENIED = "this role may launch in the account only: a group in subnets shared by another account is moved by hand"
# What a launch template has as well, by its name there.
SAME = {
    "ImageId": "ImageId",
    "InstanceType": "InstanceType",
    "KeyName": "KeyName",
    "KernelId": "KernelId",
    "RamdiskId": "RamDiskId",
    "EbsOptimized": "EbsOptimized",
    "InstanceMonitoring": "Monitoring",
}


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the configuration (not its user data), the groups that launch from it, and the template that we may have made.

    Source: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchConfiguration.html
    """
    scaling, name, template = aws.client("autoscaling"), target["resource"]["configuration"], template_of(target)
    found = scaling.describe_launch_configurations(LaunchConfigurationNames=[name])["LaunchConfigurations"]
    same = [one for one in found if one["LaunchConfigurationARN"] == target["resource"]["id"]]
    wanted = [{"Name": "launch-template-name", "Values": [template]}]
    made = (aws.client("ec2").describe_launch_templates(Filters=wanted)["LaunchTemplates"] or [None])[0]
    if not same and not made:
        raise ResourceGone(name)
    groups = {}
    for page in scaling.get_paginator("describe_auto_scaling_groups").paginate():
        for group in page["AutoScalingGroups"]:
            if same and group.get("LaunchConfigurationName") == name:
                groups[group["AutoScalingGroupName"]] = "launch configuration"
            elif group.get("LaunchTemplate", {}).get("LaunchTemplateName") == template:
                groups[group["AutoScalingGroupName"]] = "launch template"
    left_out = ("LaunchConfigurationARN", "CreatedTime", "UserData")
    old = {key: value for key, value in same[0].items() if key not in left_out} if same else {}
    tags = {tag["Key"]: tag["Value"] for tag in made.get("Tags", [])} if made else {}
    facts = {
        "old": json.loads(json.dumps(old)),
        "user_data": bool(same and same[0].get("UserData")),
        "template": made and {"id": made["LaunchTemplateId"], "ours": TAG in tags},
        # PassRole names a role in any case: where there is none to pass, one that the stacks never make.
        "role_name": role_of(aws, old.get("IamInstanceProfile")) or "sharr/none",
    }
    return {"config": {"exists": bool(same), "groups": groups}, "facts": facts, "busy": None}


def template_of(target: dict[str, Any]) -> str:
    """A name that is known beforehand, of this configuration (its name may be used again) and this repair."""
    purpose = "imdsv2" if target["control"] == "AutoScaling.3" else "private"
    return f"sharr-{target['resource']['configuration_id']}-{purpose}"


def role_of(aws: Any, profile: str | None) -> str | None:
    """Return path and name of the role in an instance profile, which is named or given by ARN."""
    if not profile:
        return None
    iam = aws.client("iam")
    try:
        found = iam.get_instance_profile(InstanceProfileName=profile.rsplit("/", 1)[-1])["InstanceProfile"]["Roles"]
    except iam.exceptions.NoSuchEntityException:
        return None  # groups cannot launch by it, before and after
    return found[0]["Arn"].split(":role/", 1)[1] if found else None


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that move every group to a template and delete the configuration; [] where it passes."""
    config, facts, name = state["config"], state["facts"], target["resource"]["configuration"]
    if not config["exists"] or passes(facts["old"], target["control"]):
        return []
    if not target["parameters"]["deleteOriginal"]:
        raise CannotRepair(
            "a launch configuration cannot be changed: the control passes only when it is deleted",
            "move its groups to a launch template and delete it, or set deleteOriginal",
        )
    moved = [group for group, source in config["groups"].items() if source == "launch configuration"]
    template, calls = facts["template"], []
    if moved and template and not template["ours"]:
        raise CannotRepair(f"a launch template {template_of(target)} exists and is not ours", "rename or delete it")
    template_id = template["id"] if template else ref("made", "LaunchTemplate.LaunchTemplateId")
    if moved and not template:
        calls += creation(facts, target)
    for group in sorted(moved):
        which = {"AutoScalingGroupName": group}
        change = which | {"LaunchTemplate": {"LaunchTemplateId": template_id, "Version": "1"}}
        back = which | {"LaunchConfigurationName": name}
        undo = call("autoscaling", "update_auto_scaling_group", back, leaf=["groups", group])
        calls.append(
            call("autoscaling", "update_auto_scaling_group", change, undo=[undo], explain={"AccessDenied": DENIED})
        )
    final = "the launch configuration is deleted"
    calls.append(call("autoscaling", "delete_launch_configuration", {"LaunchConfigurationName": name}, final=final))
    return calls


def passes(old: dict[str, Any], control: str) -> bool:
    if control == "AutoScaling.3":
        return bool(old.get("MetadataOptions", {}).get("HttpTokens") == "required")
    return not old.get("AssociatePublicIpAddress")


def creation(facts: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that make the template; user data, which may hold secrets, is read only then."""
    name, data, calls = template_of(target), template_data(facts["old"], target["control"]), []
    if facts["user_data"]:
        which = {"LaunchConfigurationNames": [target["resource"]["configuration"]]}
        calls.append(call("autoscaling", "describe_launch_configurations", which, name="old", secret=True))
        data["UserData"] = ref("old", "LaunchConfigurations[0].UserData")
    tags = [{"Key": TAG, "Value": target["resource"]["configuration_id"]}]
    request = {
        "LaunchTemplateName": name,
        "LaunchTemplateData": data,
        "TagSpecifications": [{"ResourceType": "launch-template", "Tags": tags}],
    }
    gone = ["InvalidLaunchTemplateName.NotFoundException"]
    undo = call("ec2", "delete_launch_template", {"LaunchTemplateName": name}, fine=gone)
    return [*calls, call("ec2", "create_launch_template", request, name="made", undo=[undo])]


def template_data(old: dict[str, Any], control: str) -> dict[str, Any]:
    """
    Return what the configuration says, in a template's shape, with what the control asks for.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RequestLaunchTemplateData.html
    """
    groups = old.get("SecurityGroups", [])
    if old.get("ClassicLinkVPCId") or any(not group.startswith("sg-") for group in groups):
        raise CannotRepair("the launch configuration is made for EC2-Classic", "make a launch template by hand")
    data: dict[str, Any] = {new: old[name] for name, new in SAME.items() if old.get(name) not in (None, "")}
    metadata = dict(old.get("MetadataOptions", {}))
    if control == "AutoScaling.3":
        metadata["HttpTokens"] = "required"
    if metadata:
        data["MetadataOptions"] = metadata
    public = False if control == "Autoscaling.5" else old.get("AssociatePublicIpAddress")
    if public is not None:
        card: dict[str, Any] = {"DeviceIndex": 0, "AssociatePublicIpAddress": public, "DeleteOnTermination": True}
        data["NetworkInterfaces"] = [card | ({"Groups": groups} if groups else {})]
    elif groups:
        data["SecurityGroupIds"] = groups
    profile = old.get("IamInstanceProfile")
    if profile:
        data["IamInstanceProfile"] = {"Arn" if profile.startswith("arn:") else "Name": profile}
    if old.get("SpotPrice"):
        data["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": {"MaxPrice": old["SpotPrice"]}}
    if old.get("PlacementTenancy"):
        data["Placement"] = {"Tenancy": old["PlacementTenancy"]}
    if old.get("BlockDeviceMappings"):
        data["BlockDeviceMappings"] = [device(one) for one in old["BlockDeviceMappings"]]
    return data


def device(old: dict[str, Any]) -> dict[str, Any]:
    """A volume of a configuration goes with its instance where nothing else is said, as templates must say."""
    if old.get("NoDevice"):
        return {"DeviceName": old["DeviceName"], "NoDevice": ""}
    new = {key: old[key] for key in ("DeviceName", "VirtualName") if old.get(key)}
    if old.get("Ebs"):
        new["Ebs"] = {"DeleteOnTermination": True} | old["Ebs"]
    return new
