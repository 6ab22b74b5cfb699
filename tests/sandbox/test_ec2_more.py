"""Images, metadata options and transit gateways, as AWS's pages (named in each test) say."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.additions.ec2_more import GATEWAY_SECONDS, IMAGE_SECONDS, METADATA_SECONDS, set_stopped
from tests.sandbox.fakes import FakeWorld, a_world, error_of

ACCOUNT, REGION = "222222222222", "eu-west-1"


def client(world: FakeWorld) -> Any:
    return world.identity.client("ec2", ACCOUNT, REGION)


def instance(ec2: Any, **more: Any) -> str:
    return str(ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, **more)["Instances"][0]["InstanceId"])


def described(ec2: Any, instance_id: str) -> dict[str, Any]:
    found: dict[str, Any] = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    return found


def test_a_change_of_metadata_options_keeps_what_it_does_not_name_and_is_pending_for_a_while() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceMetadataOptions.html"""
    with a_world() as world:
        ec2 = client(world)
        given = {"HttpEndpoint": "disabled", "HttpPutResponseHopLimit": 3, "HttpTokens": "optional"}
        id_ = instance(ec2, MetadataOptions=given)
        ec2.modify_instance_metadata_options(InstanceId=id_, HttpTokens="required")
        first = described(ec2, id_)["MetadataOptions"]
        world.clock.advance(METADATA_SECONDS)
        second = described(ec2, id_)["MetadataOptions"]

    assert {name: first[name] for name in given} == {**given, "HttpTokens": "required"}
    assert (first["State"], second["State"]) == ("pending", "applied")


def test_metadata_options_of_a_stopped_instance_are_applied_when_it_is_started() -> None:
    with a_world() as world:
        ec2 = client(world)
        id_ = instance(ec2)
        ec2.stop_instances(InstanceIds=[id_])
        ec2.modify_instance_metadata_options(InstanceId=id_, HttpTokens="required")
        world.clock.advance(600)
        stopped = described(ec2, id_)["MetadataOptions"]["State"]
        ec2.start_instances(InstanceIds=[id_])
        started = described(ec2, id_)["MetadataOptions"]["State"]

    assert (stopped, started) == ("pending", "applied")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"InstanceId": "i-0123456789abcdef0"}, "InvalidInstanceID.NotFound"),
        ({"HttpPutResponseHopLimit": 65}, "InvalidParameterValue"),
    ],
)
def test_metadata_options_that_are_refused(change: dict[str, Any], code: str) -> None:
    with a_world() as world:
        ec2 = client(world)
        asked = {"InstanceId": instance(ec2), **change}

        assert error_of(lambda: ec2.modify_instance_metadata_options(**asked)) == code


def test_the_options_of_a_terminated_instance_cannot_be_changed() -> None:
    with a_world() as world:
        ec2 = client(world)
        id_ = instance(ec2)
        ec2.terminate_instances(InstanceIds=[id_])
        code = error_of(lambda: ec2.modify_instance_metadata_options(InstanceId=id_, HttpTokens="required"))

        assert code == "IncorrectState"


def test_an_image_is_pending_first_and_has_the_tags_it_was_made_with_as_its_snapshot_has() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html"""
    with a_world() as world:
        ec2 = client(world)
        tags = [{"Key": "made", "Value": "here"}]
        specifications = [{"ResourceType": kind, "Tags": tags} for kind in ("image", "snapshot")]
        asked = {"InstanceId": instance(ec2), "Name": "an-image", "TagSpecifications": specifications}
        id_ = ec2.create_image(**asked)["ImageId"]
        again = error_of(lambda: ec2.create_image(**asked))
        (first,) = ec2.describe_images(ImageIds=[id_])["Images"]
        world.clock.advance(IMAGE_SECONDS)
        (second,) = ec2.describe_images(ImageIds=[id_])["Images"]
        snapshot_id = first["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        (snapshot,) = ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]

    assert again == "InvalidAMIName.Duplicate"
    assert (first["State"], second["State"]) == ("pending", "available")
    assert first["Tags"] == snapshot["Tags"] == tags


def test_a_transit_gateway_is_modifying_for_a_while_and_takes_no_change_meanwhile() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyTransitGateway.html"""
    with a_world() as world:
        ec2 = client(world)
        made = ec2.create_transit_gateway(Options={"AutoAcceptSharedAttachments": "enable"})
        id_ = made["TransitGateway"]["TransitGatewayId"]
        change = {"TransitGatewayId": id_, "Options": {"AutoAcceptSharedAttachments": "disable"}}
        ec2.modify_transit_gateway(**change)
        (first,) = ec2.describe_transit_gateways(TransitGatewayIds=[id_])["TransitGateways"]
        refused = error_of(lambda: ec2.modify_transit_gateway(**change))
        world.clock.advance(GATEWAY_SECONDS)
        (second,) = ec2.describe_transit_gateways(TransitGatewayIds=[id_])["TransitGateways"]

    assert (first["State"], refused, second["State"]) == ("modifying", "IncorrectState", "available")
    assert second["Options"]["AutoAcceptSharedAttachments"] == "disable"


def test_a_transit_gateway_that_is_not_there_is_an_error() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html"""
    with a_world() as world:
        ec2 = client(world)
        nowhere = "tgw-0123456789abcdef0"

        asked = error_of(lambda: ec2.describe_transit_gateways(TransitGatewayIds=[nowhere]))
        changed = error_of(lambda: ec2.modify_transit_gateway(TransitGatewayId=nowhere))

    assert asked == changed == "InvalidTransitGatewayID.NotFound"


def test_an_instance_can_be_stopped_as_of_an_earlier_time() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html has the form of the reason."""
    with a_world() as world:
        ec2 = client(world)
        id_ = instance(ec2)
        ec2.stop_instances(InstanceIds=[id_])
        set_stopped(ACCOUNT, REGION, id_, world.clock.now().replace(year=2025))

        assert described(ec2, id_)["StateTransitionReason"] == "User initiated (2025-03-02 09:00:00 GMT)"
        with pytest.raises(KeyError):
            set_stopped(ACCOUNT, REGION, "i-0", world.clock.now())
