"""
Secrets Manager: names, secrets scheduled for deletion, and resource policies are held against AWS's rules.

moto takes any name, writes to a secret that is being deleted, and takes any text as a resource policy. AWS proves with
automated reasoning that a policy is not public; here a statement is, that allows everybody without a condition.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.iam.models import iam_backends
from moto.secretsmanager.models import FakeSecret, secretsmanager_backends
from moto.secretsmanager.responses import SecretsManagerResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.iam import UnknownPolicyElement, parse_policy
from sandbox.ports import World

LARGEST_POLICY = 20_480
_ON_A_SECRET = ("PutSecretValue", "GetResourcePolicy", "DeleteResourcePolicy")


def install(world: World, patches: Patches) -> None:
    """Make moto's Secrets Manager refuse what AWS refuses."""
    patches.around(SecretsManagerResponse, "CreateSecret", _create)
    patches.around(SecretsManagerResponse, "PutResourcePolicy", _put_policy)
    for operation in _ON_A_SECRET:
        patches.around(SecretsManagerResponse, operation, _if_not_deleted)


def _secret(request: Request, id_: str) -> FakeSecret | None:
    found = secretsmanager_backends[request.account][request.region].secrets.get(id_)
    return found if isinstance(found, FakeSecret) else None


def _create(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html"""
    name = request.parameters["Name"]
    if not re.fullmatch(r"[A-Za-z0-9/_+=.@-]{1,512}", name):
        raise Refused(
            "InvalidParameterException",
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
        )
    secret = _secret(request, name)
    if secret is not None and secret.is_deleted():
        raise Refused(
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )
    return proceed()


def _if_not_deleted(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html"""
    secret = _secret(request, request.parameters["SecretId"])
    if secret is not None and secret.is_deleted():
        raise Refused(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        )
    return proceed()


def _put_policy(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutResourcePolicy.html"""
    text = request.parameters["ResourcePolicy"]
    if not 1 <= len(text) <= LARGEST_POLICY:
        raise Refused("InvalidParameterException", f"ResourcePolicy must have 1 to {LARGEST_POLICY} characters")
    try:
        parse_policy(text, "secret", "resource")
    except (UnknownPolicyElement, ValueError) as error:
        raise Refused("MalformedPolicyDocumentException", f"This policy contains invalid Json: {error}") from error
    statements = json.loads(text)["Statement"]
    for statement in statements if isinstance(statements, list) else [statements]:
        for principal in _principals(statement):
            if not _exists(principal, request.partition):
                raise Refused(
                    "MalformedPolicyDocumentException", "This resource policy contains an unsupported principal."
                )
            everybody = principal == "*" and statement["Effect"] == "Allow" and not statement.get("Condition")
            if everybody and request.parameters.get("BlockPublicPolicy"):
                raise Refused(
                    "PublicPolicyException",
                    "You can't attach a resource policy that allows broad access to the secret.",
                )
    return _if_not_deleted(request, proceed)


def _principals(statement: Mapping[str, Any]) -> Iterator[str]:
    """Yield the principals of AWS accounts; `*` is everybody."""
    principal = statement.get("Principal", {})
    given = principal.get("AWS", []) if isinstance(principal, dict) else principal
    yield from given if isinstance(given, list) else [given]


def _exists(principal: str, partition: str) -> bool:
    """Tell whether the role or user of that ARN is there; accounts always are."""
    found = re.fullmatch(r"arn:[a-z-]+:iam::([0-9]{12}):(?:role|user)/.+", principal)
    if not found:
        return True
    backend = iam_backends[found[1]][partition]
    roles, users = backend.roles.values(), backend.users.values()
    return principal in {str(role.arn) for role in roles} | {str(user.arn) for user in users}
