"""
IAM: the AWS managed policy AWSSupportAccess is there, and service-linked roles have AWS's names, once each.

moto knows AWS's policies only where it loads them all, and makes the names of such roles up.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.iam.models import SERVICE_NAME_CONVERSION, AWSManagedPolicy
from moto.iam.responses import IamResponse

from sandbox.additions import iam
from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

NAME = "AWSSupportAccess"
SUPPORT = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["support:*"], "Resource": "*"}]}
CREATED = datetime(2015, 2, 6, 18, 41, 11, tzinfo=UTC).isoformat()
"""Source: https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSSupportAccess.html"""

LINKED = {"config": "Config", "guardduty": "AmazonGuardDuty", "macie": "AmazonMacie"}
"""What follows AWSServiceRoleFor. Source: the page "Using service-linked roles" of each service's user guide."""


def install(world: World, patches: Patches) -> None:
    """Have the policy in every account of *world* that asks for it."""
    operations = (
        "AttachRolePolicy", "AttachUserPolicy", "AttachGroupPolicy", "DetachRolePolicy", "ListEntitiesForPolicy",
        "GetPolicy",
    )  # fmt: skip
    for operation in operations:
        patches.around(IamResponse, operation, _known)
    for service, name in LINKED.items():
        patches.entry(SERVICE_NAME_CONVERSION, service, name)
    patches.around(IamResponse, "CreateServiceLinkedRole", _linked)


def _known(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html"""
    arn, backend = request.parameters["PolicyArn"], iam.backend(request.account)
    if arn == f"arn:{request.partition}:iam::aws:policy/{NAME}" and arn not in backend.managed_policies:
        data = {"DefaultVersionId": "v1", "Path": "/", "CreateDate": CREATED, "UpdateDate": CREATED}
        policy = AWSManagedPolicy.from_data(NAME, request.account, request.region, {**data, "Document": SUPPORT})
        backend.managed_policies[arn] = policy
    if request.operation == "ListEntitiesForPolicy" and arn not in backend.managed_policies:
        raise Refused("NoSuchEntity", f"Policy {arn} does not exist or is not attachable.")
    return proceed()


def _linked(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceLinkedRole.html"""
    path = f"/aws-service-role/{request.parameters['AWSServiceName']}/"
    taken = [role.name for role in iam.backend(request.account).roles.values() if role.path == path]
    if taken and not request.parameters.get("CustomSuffix"):
        raise Refused(
            "InvalidInput",
            f"Service role name {taken[0]} has been taken in this account, please try a different suffix.",
        )
    return proceed()
