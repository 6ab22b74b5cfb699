"""
AWS Organizations: the organization itself in moto, and who may ask about it.

moto answers from the management account only; AWS lets delegated administrators read, and members ask for little.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from unittest.mock import patch

from moto.core.utils import camelcase_to_underscores, get_service_model
from moto.iam.models import iam_backends
from moto.organizations.models import FakeDelegatedAdministrator, organizations_backends
from moto.organizations.responses import OrganizationsResponse

from sandbox.additions.wire import Around, Patches, Refused, Request
from sandbox.ports import World

_FOR_EVERYBODY = ("DescribeOrganization", "DescribeEffectivePolicy", "LeaveOrganization")
_SECURITY_HUB = "securityhub.amazonaws.com"
_MOTOS_ROLE = "OrganizationAccountAccessRole"


def install(world: World, patches: Patches) -> None:
    """Create *world*'s organization in moto, and let each account ask what it may ask in AWS."""
    organization = world.organization
    backend = organizations_backends[organization.management][organization.partition]
    _create(world)
    patches.on_undo(lambda: _remove(world))
    readers = (organization.management, organization.admin)

    def backend_of(response: Any) -> Any:
        if response.current_account in readers:
            return backend
        return organizations_backends[response.current_account][response.partition]

    patches.attribute(OrganizationsResponse, "organizations_backend", property(backend_of))
    for operation in _known_to_moto():
        patches.around(OrganizationsResponse, operation, _guarded(world, operation))


@cache
def _known_to_moto() -> tuple[str, ...]:
    names = get_service_model("organizations").operation_names
    return tuple(name for name in names if hasattr(OrganizationsResponse, camelcase_to_underscores(name)))


def _guarded(world: World, operation: str) -> Around:
    """
    Refuse what this account may not ask.

    Source: the operations' own pages, such as
    https://docs.aws.amazon.com/organizations/latest/APIReference/API_DescribeAccount.html
    """
    organization = world.organization
    reads = operation.startswith(("Describe", "List"))

    def around(request: Request, proceed: Any) -> Any:
        if request.account not in organization.accounts or request.account == organization.management:
            return proceed()
        if operation in _FOR_EVERYBODY or (request.account == organization.admin and reads):
            return proceed()
        raise Refused("AccessDeniedException", "You don't have permissions to access this resource.")

    return around


def _create(world: World) -> None:
    organization = world.organization
    backend = organizations_backends[organization.management][organization.partition]
    ids = iter(organization.accounts)
    with (
        patch("moto.organizations.utils.make_random_account_id", lambda: next(ids)),
        patch("moto.organizations.utils.make_random_org_id", lambda: organization.id),
    ):
        backend.create_organization(region=organization.home, FeatureSet="ALL")
        for account in organization.accounts[1:]:
            name = organization.names.get(account, account)
            backend.create_account(AccountName=name, Email=f"{name}@example.com")
    backend.accounts[0].name = organization.names.get(organization.management, "management")
    for account in organization.accounts:
        # moto gives every account a role for the management account; these accounts have joined by invitation
        roles = iam_backends[account][world.organization.partition]
        for role in [role for role in roles.roles.values() if role.name == _MOTOS_ROLE]:
            del roles.roles[role.id]
    # moto does not know that Security Hub takes delegated administrators
    with patch.object(FakeDelegatedAdministrator, "SUPPORTED_SERVICES", [_SECURITY_HUB]):
        backend.register_delegated_administrator(AccountId=organization.admin, ServicePrincipal=_SECURITY_HUB)


def _remove(world: World) -> None:
    organization = world.organization
    organizations_backends[organization.management][organization.partition]._reset()
    for account in organization.accounts:
        organizations_backends.master_accounts.pop(account, None)
