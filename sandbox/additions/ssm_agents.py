"""
Systems Manager: agents on instances, which report once their role lets them, and the policy that does.

Every instance of the sandbox has an agent that reaches Systems Manager, unless without_agent() took it away. moto knows
AWS's managed policies only where it loads all of them; the one for the agent is there here when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from typing import Any

from botocore.exceptions import ClientError
from moto.ec2.models import ec2_backends
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy
from moto.iam.responses import IamResponse
from moto.ssm.responses import SimpleSystemManagerResponse

from sandbox.additions import iam
from sandbox.additions.wire import Patches, Request, page
from sandbox.ports import World

CORE = "AmazonSSMManagedInstanceCore"
REPORT_SECONDS = 180
"""How long an agent takes to report after it got its rights; at most half an hour with AWS."""

_SERVICES = {"aws-cn": "ec2.amazonaws.com.cn"}


def install(world: World, patches: Patches) -> None:
    """Add the agents, on *world*'s clock."""
    patches.answer(SimpleSystemManagerResponse, "DescribeInstanceInformation", _Agents(world).describe)
    for operation in ("AttachRolePolicy", "DetachRolePolicy", "GetPolicy"):
        patches.around(IamResponse, operation, _known)


def without_agent(account: str, region: str, instance_id: str) -> None:
    """Take the agent off an instance."""
    instances: list[Any] = [one for one in ec2_backends[account][region].all_instances() if one.id == instance_id]
    if not instances:
        raise KeyError(instance_id)
    instances[0].has_no_agent = True


class _Agents:
    def __init__(self, world: World) -> None:
        self.world = world
        self.since: dict[str, datetime] = {}
        self.reported: set[str] = set()

    def describe(self, request: Request) -> dict[str, Any]:
        """
        Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html
        """
        asked = request.parameters
        wanted = [v for f in asked.get("Filters") or [] if f["Key"] == "InstanceIds" for v in f["Values"]]
        shown = [one for one in self._nodes(request) if not wanted or one["InstanceId"] in wanted]
        found, token = page(shown, asked, most=50, default=10, invalid="InvalidNextToken")
        return {"InstanceInformationList": found, "NextToken": token}

    def _nodes(self, request: Request) -> Iterator[dict[str, Any]]:
        now = self.world.clock.now()
        for instance in ec2_backends[request.account][request.region].all_instances():
            if instance.state != "running" or getattr(instance, "has_no_agent", False):
                self.since.pop(instance.id, None)
                continue
            if self._may_report(request, instance):
                since = self.since.setdefault(instance.id, now)
                online = (now - since).total_seconds() >= REPORT_SECONDS
            else:
                self.since.pop(instance.id, None)
                online = False
            if online:
                self.reported.add(instance.id)
            if instance.id in self.reported:
                yield {
                    "InstanceId": instance.id,
                    "PingStatus": "Online" if online else "ConnectionLost",
                    "LastPingDateTime": now,
                    "ResourceType": "EC2Instance",
                    "PlatformType": "Linux",
                }

    def _may_report(self, request: Request, instance: Any) -> bool:
        association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
        roles = association.iam_instance_profile.roles if association else []
        for role in roles:
            allows = "ssm:UpdateInstanceInformation"
            managed = [version for policy in role.managed_policies.values() for version in policy.versions]
            texts = [*role.policies.values(), *(version.document for version in managed if version.is_default)]
            if not any(allows in json.dumps(text) for text in texts):
                continue
            service = _SERVICES.get(request.partition, "ec2.amazonaws.com")
            try:
                self.world.identity.service_assumes_role(service, role.arn, instance.id, {})
            except ClientError:
                continue  # the trust policy does not let Amazon EC2 hand out the role's credentials
            return True
        return False


def _known(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonSSMManagedInstanceCore.html"""
    arn, backend = request.parameters["PolicyArn"], iam.backend(request.account)
    if arn == f"arn:{request.partition}:iam::aws:policy/{CORE}" and arn not in backend.managed_policies:
        backend.managed_policies[arn] = AWSManagedPolicy.from_data(CORE, request.account, request.region, _core())
    return proceed()


@cache
def _core() -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(aws_managed_policies_data)[CORE]
    return policy
