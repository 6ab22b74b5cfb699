"""AutoScaling.3, Autoscaling.5: what the launch template takes over, nothing deleted unasked, and no secrets."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sharr.policies import session_policy
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "autoscaling/replace_launch_configuration"
SECRET = "export TOKEN=canary-of-launch-configurations"
ENCODED = base64.b64encode(SECRET.encode()).decode()
DELETE = {"deleteOriginal": "true"}


def configuration(b: Bench, name: str, **more: Any) -> str:
    scaling = b.client("autoscaling")
    scaling.create_launch_configuration(
        LaunchConfigurationName=name, ImageId="ami-12c6146b", InstanceType="t3.micro", **more
    )
    found = scaling.describe_launch_configurations(LaunchConfigurationNames=[name])["LaunchConfigurations"]
    return str(found[0]["LaunchConfigurationARN"])


def group(b: Bench, name: str, **source: Any) -> None:
    b.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name, MinSize=0, MaxSize=2, AvailabilityZones=[f"{b.region}a"], **source
    )


def speaks_imdsv1(b: Bench) -> str:
    """With user data, a role, a hop limit and a volume; two groups use it, a third has a launch template."""
    name, iam, ec2 = "web for-autoscaling-3", b.client("iam"), b.client("ec2")
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam.create_role(RoleName="web-for-autoscaling-3", Path="/apps/", AssumeRolePolicyDocument=document)
    iam.create_instance_profile(InstanceProfileName="web-for-autoscaling-3")
    iam.add_role_to_instance_profile(InstanceProfileName="web-for-autoscaling-3", RoleName="web-for-autoscaling-3")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    security_group = ec2.create_security_group(GroupName="web", Description="web", VpcId=vpc)["GroupId"]
    resource_id = configuration(
        b,
        name,
        UserData=SECRET,
        SecurityGroups=[security_group],
        IamInstanceProfile="web-for-autoscaling-3",
        MetadataOptions={"HttpTokens": "optional", "HttpPutResponseHopLimit": 3, "HttpEndpoint": "enabled"},
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3"}}],
    )
    for number in (1, 2):
        group(b, f"web-{number}-for-autoscaling-3", LaunchConfigurationName=name)
    data = {"ImageId": "ami-12c6146b", "InstanceType": "t3.micro"}
    ec2.create_launch_template(LaunchTemplateName="other-for-autoscaling-3", LaunchTemplateData=data)
    group(b, "other-for-autoscaling-3", LaunchTemplate={"LaunchTemplateName": "other-for-autoscaling-3"})
    return resource_id


def gives_public_addresses(b: Bench) -> str:
    name = "web-for-autoscaling-5"
    resource_id = configuration(b, name, AssociatePublicIpAddress=True, UserData=SECRET)
    group(b, name, LaunchConfigurationName=name)
    return resource_id


def is_deleted(b: Bench, resource_id: str) -> bool:
    """The control looks at launch configurations: one that fails passes when it is not there any more."""
    pages = b.client("autoscaling").get_paginator("describe_launch_configurations").paginate()
    return all(one["LaunchConfigurationARN"] != resource_id for page in pages for one in page["LaunchConfigurations"])


NONE = "the launch configuration is deleted"
CASES = [
    Case(
        "AutoScaling.3",
        "a configuration that allows IMDSv1",
        speaks_imdsv1,
        is_deleted,
        settings=DELETE,
        secrets=(SECRET, ENCODED),
        irreversible=NONE,
    ),
    Case(
        "Autoscaling.5",
        "a configuration that gives public addresses",
        gives_public_addresses,
        is_deleted,
        settings=DELETE,
        secrets=(SECRET, ENCODED),
        irreversible=NONE,
    ),
]


def plan(
    old: dict[str, Any],
    control: str = "AutoScaling.3",
    *,
    delete: bool = True,
    groups: dict[str, str] | None = None,
    template: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    state = {
        "config": {"exists": True, "groups": {"web": "launch configuration"} if groups is None else groups},
        "facts": {"old": {"ImageId": "ami-1"} | old, "user_data": False, "template": template, "role_name": "r"},
        "busy": None,
    }
    target = {
        "control": control,
        "resource": {"configuration": "lc", "configuration_id": "uid"},
        "parameters": {"deleteOriginal": delete},
    }
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize(
    ("case", "control", "old", "passes"),
    [
        ("no metadata options", "AutoScaling.3", {}, False),
        ("tokens optional", "AutoScaling.3", {"MetadataOptions": {"HttpTokens": "optional"}}, False),
        ("tokens required", "AutoScaling.3", {"MetadataOptions": {"HttpTokens": "required"}}, True),
        ("public", "Autoscaling.5", {"AssociatePublicIpAddress": True}, False),
        ("private", "Autoscaling.5", {"AssociatePublicIpAddress": False}, True),
        ("as the subnet says", "Autoscaling.5", {}, True),
    ],
)
def test_predicate(case: str, control: str, old: dict[str, Any], passes: bool) -> None:
    assert (plan(old, control) == []) is passes, case


def data_of(old: dict[str, Any], control: str = "AutoScaling.3") -> dict[str, Any]:
    made = next(one for one in plan(old, control) if one["operation"] == "create_launch_template")
    return dict(made["parameters"]["LaunchTemplateData"])


PUBLIC = {"AssociatePublicIpAddress": True}
IMDSV2 = {"MetadataOptions": {"HttpTokens": "required"}}
CARD = {"DeviceIndex": 0, "DeleteOnTermination": True}


@pytest.mark.parametrize(
    ("case", "control", "old", "new"),
    [
        (
            "texts that are empty",
            "AutoScaling.3",
            {"KernelId": "", "RamdiskId": "", "KeyName": "", "SpotPrice": ""},
            {},
        ),
        ("monitoring", "AutoScaling.3", {"InstanceMonitoring": {"Enabled": True}}, {"Monitoring": {"Enabled": True}}),
        ("RAM disk", "AutoScaling.3", {"RamdiskId": "ari-1"}, {"RamDiskId": "ari-1"}),
        ("profile by name", "AutoScaling.3", {"IamInstanceProfile": "p"}, {"IamInstanceProfile": {"Name": "p"}}),
        ("by ARN", "AutoScaling.3", {"IamInstanceProfile": "arn:x"}, {"IamInstanceProfile": {"Arn": "arn:x"}}),
        (
            "spot",
            "AutoScaling.3",
            {"SpotPrice": "0.05"},
            {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.05"}}},
        ),
        ("tenancy", "AutoScaling.3", {"PlacementTenancy": "dedicated"}, {"Placement": {"Tenancy": "dedicated"}}),
        ("groups", "AutoScaling.3", {"SecurityGroups": ["sg-1"]}, {"SecurityGroupIds": ["sg-1"]}),
        (
            "a public address stays where the control asks for something else",
            "AutoScaling.3",
            {**PUBLIC, "SecurityGroups": ["sg-1"]},
            {"NetworkInterfaces": [{**CARD, "AssociatePublicIpAddress": True, "Groups": ["sg-1"]}]},
        ),
        (
            "no public address",
            "Autoscaling.5",
            PUBLIC,
            {"NetworkInterfaces": [{**CARD, "AssociatePublicIpAddress": False}]},
        ),
        (
            "metadata options stay where the control asks for something else",
            "Autoscaling.5",
            {**PUBLIC, "MetadataOptions": {"HttpTokens": "optional", "HttpPutResponseHopLimit": 2}},
            {
                "NetworkInterfaces": [{**CARD, "AssociatePublicIpAddress": False}],
                "MetadataOptions": {"HttpTokens": "optional", "HttpPutResponseHopLimit": 2},
            },
        ),
        (
            "a hop limit stays",
            "AutoScaling.3",
            {"MetadataOptions": {"HttpTokens": "optional", "HttpPutResponseHopLimit": 5, "HttpEndpoint": "enabled"}},
            {"MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 5, "HttpEndpoint": "enabled"}},
        ),
        (
            "volumes",
            "AutoScaling.3",
            {
                "BlockDeviceMappings": [
                    {"DeviceName": "/dev/a", "Ebs": {"VolumeSize": 8}},
                    {"DeviceName": "/dev/b", "Ebs": {"SnapshotId": "snap-1", "DeleteOnTermination": False}},
                    {"DeviceName": "/dev/c", "VirtualName": "ephemeral0", "NoDevice": False},
                    {"DeviceName": "/dev/d", "NoDevice": True},
                ]
            },
            {
                "BlockDeviceMappings": [
                    {"DeviceName": "/dev/a", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}},
                    {"DeviceName": "/dev/b", "Ebs": {"SnapshotId": "snap-1", "DeleteOnTermination": False}},
                    {"DeviceName": "/dev/c", "VirtualName": "ephemeral0"},
                    {"DeviceName": "/dev/d", "NoDevice": ""},
                ]
            },
        ),
    ],
)
def test_the_template_says_what_the_configuration_said(
    case: str, control: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    given = IMDSV2 if control == "AutoScaling.3" else {}

    assert data_of(old, control) == {"ImageId": "ami-1"} | given | new, case


def test_nothing_is_begun_unless_the_user_lets_us_delete() -> None:
    with pytest.raises(CannotRepair, match="passes only when it is deleted") as caught:
        plan({}, delete=False)

    assert "deleteOriginal" in caught.value.to_do


def test_a_configuration_that_nobody_uses_is_deleted_without_a_template() -> None:
    assert [one["operation"] for one in plan({}, groups={})] == ["delete_launch_configuration"]


def test_a_template_that_a_dead_attempt_left_is_used() -> None:
    made = plan({}, template={"id": "lt-1", "ours": True})

    assert [one["operation"] for one in made] == ["update_auto_scaling_group", "delete_launch_configuration"]
    assert made[0]["parameters"]["LaunchTemplate"]["LaunchTemplateId"] == "lt-1"


@pytest.mark.parametrize(
    ("old", "template", "why"),
    [
        ({"ClassicLinkVPCId": "vpc-1"}, None, "EC2-Classic"),
        ({"SecurityGroups": ["web"]}, None, "EC2-Classic"),
        ({}, {"id": "lt-1", "ours": False}, "is not ours"),
    ],
)
def test_what_a_template_cannot_take_over_is_left_to_a_person(
    old: dict[str, Any], template: dict[str, Any] | None, why: str
) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(old, template=template)


def test_groups_launch_from_the_template_and_groups_with_another_template_are_not_touched() -> None:
    """AWS's own solution fails where any group of the Region uses a launch template."""
    with bench(ID) as b:
        resource_id = speaks_imdsv1(b)
        uid = resource_id.split(":")[6]

        result = b.remediate("AutoScaling.3", resource_id, settings=DELETE)

        groups = b.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        templates = {one["AutoScalingGroupName"]: one["LaunchTemplate"]["LaunchTemplateName"] for one in groups}
        versions = b.client("ec2").describe_launch_template_versions(LaunchTemplateName=f"sharr-{uid}-imdsv2")
        data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert result["outcome"] == "REMEDIATED", result
    assert templates == {
        "web-1-for-autoscaling-3": f"sharr-{uid}-imdsv2",
        "web-2-for-autoscaling-3": f"sharr-{uid}-imdsv2",
        "other-for-autoscaling-3": "other-for-autoscaling-3",
    }
    assert base64.b64decode(data["UserData"]).decode() == SECRET
    assert data["IamInstanceProfile"] == {"Name": "web-for-autoscaling-3"}
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 3
    assert data["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 20


def test_a_deletion_that_is_refused_gives_the_groups_back_and_leaves_no_template() -> None:
    with bench(ID) as b:
        resource_id = gives_public_addresses(b)
        identity: Any = b.world.identity

        def refuse(one: Any) -> None:
            if one.operation == "DeleteLaunchConfiguration":
                raise ClientError({"Error": {"Code": "ResourceInUse", "Message": "in use"}}, one.operation)

        identity.before.append(refuse)
        result = b.remediate("Autoscaling.5", resource_id, settings=DELETE)

        groups = b.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        templates = b.client("ec2").describe_launch_templates()["LaunchTemplates"]
    assert (result["outcome"], result["restored"]) == ("FAILED", True)
    assert groups[0]["LaunchConfigurationName"] == "web-for-autoscaling-5"
    assert templates == []


def test_the_session_may_delete_the_findings_own_configuration_and_no_other() -> None:
    with bench(ID) as b:
        own, other = configuration(b, "web"), configuration(b, "web-too")
        values = {"partition": b.partition, "account": b.account, "region": b.region}
        values |= b.target("Autoscaling.5", own)["resource"]
        policy = session_policy(b.remediation, ("read", "write"), values, ["delete_launch_configuration"])
        scaling = b.sessions.open(b.role_arn, "attempt", policy)("autoscaling", b.region)

        with pytest.raises(ClientError, match="AccessDenied"):
            scaling.delete_launch_configuration(LaunchConfigurationName="web-too")
        scaling.delete_launch_configuration(LaunchConfigurationName="web")

        assert is_deleted(b, own)
        assert not is_deleted(b, other)


def test_without_the_switch_nothing_is_written() -> None:
    with bench(ID) as b:
        resource_id = gives_public_addresses(b)

        with b.watched() as calls:
            result = b.remediate("Autoscaling.5", resource_id)

    assert result["outcome"] == "FAILED"
    assert "deleteOriginal" in result["to_do"]
    assert not b.writes(calls)


def test_a_configuration_that_is_gone_or_made_anew_is_compliant() -> None:
    with bench(ID) as b:
        resource_id = gives_public_addresses(b)
        other = resource_id.replace(resource_id.split(":")[6], "d1058ab2-0ac2-4c49-9c51-1bb0b1b7a9c3")

        result = b.remediate("Autoscaling.5", other, settings=DELETE)

        assert (result["outcome"], result["gone"]) == ("COMPLIANT", True)
        assert not is_deleted(b, resource_id)
