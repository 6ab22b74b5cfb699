"""EC2: images, metadata options and transit gateways that take time to change, and keep what a change does not name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.responses import EC2Response
from moto.ec2.utils import random_ami_id

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

METADATA_SECONDS = 5
"""How long the new metadata options of a running instance are `pending`."""

IMAGE_SECONDS = 300
"""How long an image is `pending`."""

GATEWAY_SECONDS = 60
"""How long a transit gateway is `modifying`."""

_OPTIONS = {
    "HttpTokens": "http_tokens",
    "HttpPutResponseHopLimit": "http_put_response_hop_limit",
    "HttpEndpoint": "http_endpoint",
    "HttpProtocolIpv6": "http_protocol_ipv6",
    "InstanceMetadataTags": "instance_metadata_tags",
}


def install(world: World, patches: Patches) -> None:
    """Make moto's EC2 take its time on *world*'s clock."""
    more = _More(world)
    patches.answer(EC2Response, "ModifyInstanceMetadataOptions", more.modify_metadata_options)
    patches.around(EC2Response, "DescribeInstances", more.settled)
    patches.answer(EC2Response, "CreateImage", more.create_image)
    patches.around(EC2Response, "DescribeImages", more.describe_images)
    patches.around(EC2Response, "ModifyTransitGateway", more.modify_gateway)
    patches.around(EC2Response, "DescribeTransitGateways", more.describe_gateways)


class _More:
    def __init__(self, world: World) -> None:
        self.world = world
        self.metadata: dict[str, tuple[Any, datetime]] = {}
        self.gateways: dict[str, tuple[Any, datetime]] = {}
        self.images: dict[str, tuple[Any, datetime]] = {}

    def modify_metadata_options(self, request: Request) -> dict[str, Any]:
        """
        Change what is named, and leave the rest; a stopped instance gets it when it is started.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyInstanceMetadataOptions.html
        """
        asked = request.parameters
        instance = _instance(request)
        if instance.state not in ("running", "stopped"):
            raise Refused("IncorrectState", f"Instance {instance.id} is {instance.state}")
        hops = asked.get("HttpPutResponseHopLimit")
        if hops is not None and not 1 <= hops <= 64:
            raise Refused("InvalidParameterValue", f"Invalid value '{hops}' for HttpPutResponseHopLimit: 1 to 64")
        for name, attribute in _OPTIONS.items():
            if asked.get(name) is not None:
                setattr(instance.metadata_options, attribute, asked[name])
        instance.metadata_options.state = "pending"
        self.metadata[instance.id] = (instance, self.world.clock.now())
        return {"InstanceId": instance.id, "InstanceMetadataOptions": instance.metadata_options}

    def settled(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """Show options as applied after their time; those of a stopped instance wait for its start."""
        for id_, (instance, since) in list(self.metadata.items()):
            if instance.state == "running" and self._is_over(since, METADATA_SECONDS):
                instance.metadata_options.state = "applied"
                del self.metadata[id_]
        return proceed()

    def create_image(self, request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateImage.html"""
        asked = request.parameters
        backend = ec2_backends[request.account][request.region]
        instance = _instance(request)
        if instance.state not in ("running", "stopped"):
            raise Refused("IncorrectState", f"The instance {instance.id} is {instance.state}")
        if not 3 <= len(asked["Name"]) <= 128:
            raise Refused("InvalidAMIName.Malformed", "AMI names must be between 3 and 128 characters long")
        if any(image.name == asked["Name"] and image.owner_id == request.account for image in backend.amis.values()):
            raise Refused("InvalidAMIName.Duplicate", f"AMI name {asked['Name']} is already in use")
        tags = {one["ResourceType"]: one["Tags"] for one in asked.get("TagSpecifications") or []}
        image = Ami(
            backend,
            random_ami_id(),
            instance=instance,
            name=asked["Name"],
            description=asked.get("Description"),
            region_name=f"{request.region}a",
            snapshot_description=f"Created by CreateImage({instance.id})",
        )
        for kind, thing in (("image", image), ("snapshot", image.ebs_snapshot)):
            for tag in tags.get(kind, []):
                thing.add_tag(tag["Key"], tag["Value"])
        image.state = "pending"
        backend.amis[image.id] = image
        self.images[image.id] = (image, self.world.clock.now())
        return {"ImageId": image.id}

    def describe_images(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """Show an image as available after its time."""
        for id_, (image, since) in list(self.images.items()):
            if self._is_over(since, IMAGE_SECONDS):
                image.state = "available"
                del self.images[id_]
        return proceed()

    def modify_gateway(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """
        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyTransitGateway.html and, for
        the states, https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TransitGateway.html
        """
        self._settle_gateways()
        (gateway,) = _gateways(request, [request.parameters["TransitGatewayId"]])
        if gateway.state != "available":
            raise Refused("IncorrectState", f"{gateway.id} is in invalid state: {gateway.state}")
        answer = proceed()
        gateway.state = "modifying"
        self.gateways[gateway.id] = (gateway, self.world.clock.now())
        return answer

    def describe_gateways(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeTransitGateways.html"""
        self._settle_gateways()
        _gateways(request, request.parameters.get("TransitGatewayIds") or [])
        return proceed()

    def _settle_gateways(self) -> None:
        for id_, (gateway, since) in list(self.gateways.items()):
            if self._is_over(since, GATEWAY_SECONDS):
                gateway.state = "available"
                del self.gateways[id_]

    def _is_over(self, since: datetime, seconds: float) -> bool:
        return (self.world.clock.now() - since).total_seconds() >= seconds


def _instance(request: Request) -> Any:
    id_ = request.parameters["InstanceId"]
    for instance in ec2_backends[request.account][request.region].all_instances():
        if instance.id == id_:
            return instance
    raise Refused("InvalidInstanceID.NotFound", f"The instance ID '{id_}' does not exist")


def _gateways(request: Request, ids: list[str]) -> list[Any]:
    known = ec2_backends[request.account][request.region].transit_gateways
    for id_ in ids:
        if id_ not in known:
            raise Refused("InvalidTransitGatewayID.NotFound", f"Transit Gateway {id_} was deleted or does not exist.")
    return [known[id_] for id_ in ids]


def set_stopped(account: str, region: str, instance_id: str, when: datetime) -> None:
    """Have a stopped instance tell that somebody stopped it at *when* (UTC)."""
    for instance in ec2_backends[account][region].all_instances():
        if instance.id == instance_id:
            instance._reason = f"User initiated ({when:%Y-%m-%d %H:%M:%S} GMT)"
            return
    raise KeyError(instance_id)
