"""
EC2: interface endpoints that take their time to come and go, and are refused where AWS refuses them.

moto makes and deletes endpoints at once, gives them no security group, and lets that group be deleted under them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.responses import EC2Response
from moto.route53.models import route53_backends

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

PENDING_SECONDS = 80
DELETING_SECONDS = 60


def install(world: World, patches: Patches) -> None:
    """Make moto's VPC endpoints take their time on *world*'s clock."""
    endpoints = _Endpoints(world)
    patches.around(EC2Response, "CreateVpcEndpoint", endpoints.create)
    patches.around(EC2Response, "DescribeVpcEndpoints", endpoints.describe)
    patches.answer(EC2Response, "DeleteVpcEndpoints", endpoints.delete)
    patches.around(EC2Response, "DeleteSecurityGroup", endpoints.delete_group)


class _Endpoints:
    def __init__(self, world: World) -> None:
        self.world = world
        self.changing: dict[tuple[str, str], dict[str, tuple[str, datetime]]] = {}

    def create(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """
        Sources: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html,
        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html and
        https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html
        """
        asked = request.parameters
        backend = ec2_backends[request.account][request.region]
        self._settle(request)
        if asked.get("VpcEndpointType") != "Interface":
            return proceed()
        vpc = backend.get_vpc(asked["VpcId"])
        service = _service(request)
        zones = []
        for subnet_id in asked.get("SubnetIds") or []:
            subnet = backend.get_subnet(subnet_id)
            if subnet.vpc_id != vpc.id or subnet.availability_zone not in service["AvailabilityZones"]:
                raise Refused("InvalidParameter", f"The VPC endpoint service does not support {subnet_id}")
            zones.append(subnet.availability_zone)
        if len(set(zones)) < len(zones):
            raise Refused("DuplicateSubnetsInSameZone", "Found another VPC endpoint subnet in the availability zone")
        groups = asked.get("SecurityGroupIds") or []
        for group_id in groups:
            group = backend.get_security_group_from_id(group_id)
            if group is None or group.vpc_id != vpc.id:
                raise Refused("InvalidSecurityGroupId.NotFound", f"The security group '{group_id}' does not exist")
        if asked.get("PrivateDnsEnabled", True):
            self._check_private_dns(request, vpc, service)
        known = set(backend.vpc_end_points)
        answer = proceed()
        (made,) = (one for id_, one in backend.vpc_end_points.items() if id_ not in known)
        if not groups:
            default = backend.get_security_group_from_name("default", vpc.id)
            made.security_group_ids = [default.id] if default else []
        made.state = "pending"
        self._changing(request)[made.id] = ("available", self.world.clock.now())
        return answer

    def _check_private_dns(self, request: Request, vpc: Any, service: dict[str, Any]) -> None:
        if not (_is_on(vpc.enable_dns_support) and _is_on(vpc.enable_dns_hostnames)):
            raise Refused(
                "InvalidParameter",
                "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true"
                f" for {vpc.id}",
            )
        backend = ec2_backends[request.account][request.region]
        others = [one for one in backend.vpc_end_points.values() if one.vpc_id == vpc.id and one.private_dns_enabled]
        zones = route53_backends[request.account][request.partition].list_hosted_zones_by_vpc(vpc.id)
        names = [zone["Name"].rstrip(".") for zone in zones]
        if service["PrivateDnsName"] in names or service["ServiceName"] in [one.service_name for one in others]:
            raise Refused(
                "InvalidParameter",
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for "
                f"{service['PrivateDnsName']} in the VPC {vpc.id}",
            )

    def describe(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcEndpoint.html"""
        self._settle(request)
        return proceed()

    def delete(self, request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpcEndpoints.html"""
        self._settle(request)
        backend = ec2_backends[request.account][request.region]
        failed = []
        for id_ in request.parameters["VpcEndpointIds"]:
            endpoint = backend.vpc_end_points.get(id_)
            if endpoint is None:
                code, message = "InvalidVpcEndpointId.NotFound", f"The Vpc Endpoint Id '{id_}' does not exist"
                failed.append({"ResourceId": id_, "Error": {"Code": code, "Message": message}})
            elif (endpoint.vpc_endpoint_type or "Gateway") == "Gateway":
                backend.delete_vpc_endpoints([id_])
                del backend.vpc_end_points[id_]
            elif endpoint.state != "deleting":
                endpoint.state = "deleting"
                self._changing(request)[id_] = ("gone", self.world.clock.now())
        return {"Unsuccessful": failed}

    def delete_group(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html"""
        self._settle(request)
        id_ = request.parameters.get("GroupId")
        endpoints = ec2_backends[request.account][request.region].vpc_end_points.values()
        if id_ and any(id_ in (one.security_group_ids or []) for one in endpoints):
            raise Refused("DependencyViolation", f"resource {id_} has a dependent object")
        return proceed()

    def _settle(self, request: Request) -> None:
        """Finish what is over by now."""
        backend = ec2_backends[request.account][request.region]
        changing = self._changing(request)
        for id_, (end, since) in list(changing.items()):
            seconds = PENDING_SECONDS if end == "available" else DELETING_SECONDS
            if (self.world.clock.now() - since).total_seconds() < seconds:
                continue
            del changing[id_]
            if end == "available":
                backend.vpc_end_points[id_].state = end
            else:
                backend.delete_vpc_endpoints([id_])
                del backend.vpc_end_points[id_]

    def _changing(self, request: Request) -> dict[str, tuple[str, datetime]]:
        return self.changing.setdefault((request.account, request.region), {})


def _service(request: Request) -> dict[str, Any]:
    backend = ec2_backends[request.account][request.region]
    name = request.parameters["ServiceName"]
    services = backend.describe_vpc_endpoint_services([], [], 0, None, request.region)["servicesDetails"]
    for service in services:
        if service["ServiceName"] == name:
            return dict(service)
    raise Refused("InvalidServiceName", f"The Vpc Endpoint Service '{name}' does not exist")


def _is_on(value: Any) -> bool:
    """Tell what moto keeps as a text or as a boolean."""
    return str(value).lower() == "true"
