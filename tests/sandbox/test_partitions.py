"""One finding's way in the other partitions: the same templates, and nothing in them that is only true in `aws`."""

from __future__ import annotations

import json

import botocore.session
import pytest

from sandbox import samples, scene
from sandbox.additions import securityhub
from sandbox.cloudformation import partition_of
from sandbox.organization import Organization
from sandbox.place import Place
from sandbox.world import Sandbox
from sharr.finding import UNDO, custom_action_arn


@pytest.mark.parametrize(
    ("partition", "regions"),
    [
        ("aws-us-gov", ("us-gov-west-1", "us-gov-east-1")),
        ("aws-cn", ("cn-north-1", "cn-northwest-1")),
        ("aws-eusc", ("eusc-de-east-1",)),
    ],
)
def test_a_finding_is_repaired_by_rule_and_undone_by_button(partition: str, regions: tuple[str, ...]) -> None:
    organization = Organization(partition=partition, regions=regions)
    with Sandbox(organization) as world:
        scene.deploy(world, parameters={"SCAutomaticControls": "KMS.4"})
        place = Place(world, region=regions[-1])
        kms = place.client("kms")
        key = kms.create_key()["KeyMetadata"]["Arn"]
        finding = samples.finding(
            "SC",
            "KMS.4",
            partition=partition,
            account=place.account,
            region=place.region,
            resource_id=key,
            resource_type="AwsKmsKey",
            now=world.clock.now(),
        )
        hub = world.identity.client("securityhub", organization.admin, organization.home)
        wanted = {"Id": [{"Value": finding["Id"], "Comparison": "EQUALS"}]}

        securityhub.publish(world, finding)
        world.settle()

        assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
        assert hub.get_findings(Filters=wanted)["Findings"][0]["Workflow"]["Status"] == "RESOLVED"

        action_arn = custom_action_arn(UNDO, account=organization.admin, region=organization.home)
        securityhub.press(world, action_arn, [finding["Id"]])
        world.settle()

        assert not kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
        assert (world.troubles, world.not_known()) == ([], [])
        assert not any(world.dead_letters().values())
        of_aws = [
            c for c in world.identity.calls if "arn:aws:" in json.dumps([c.parameters, c.principal.arn], default=str)
        ]
        assert of_aws == [], "an ARN of another partition was used"


def test_every_partition_of_botocore_is_told_by_its_regions() -> None:
    session = botocore.session.Session()
    names = set(session.get_available_partitions()) - {"aws-iso-e", "aws-iso-f"}  # moto does not have these two
    for name in names:
        for region in session.get_available_regions("sqs", name):
            assert partition_of(region) == name, region
