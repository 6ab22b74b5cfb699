"""Macie: off until it is turned on, suspended and resumed, members whose administrator decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.utils import utcnow
from moto.macie2.models import MacieBackend, macie2_backends
from moto.macie2.responses import MacieResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World


def install(world: World, patches: Patches) -> None:
    """Make moto's Macie start as it does in a new account, and refuse what AWS refuses."""
    create = MacieBackend.__init__

    def without_a_session(backend: Any, region_name: str, account_id: str) -> None:
        create(backend, region_name, account_id)
        backend.macie_session = None

    patches.attribute(MacieBackend, "__init__", without_a_session)
    for operation in ("GetMacieSession", "GetAdministratorAccount"):
        patches.around(MacieResponse, operation, _only_when_enabled)
    patches.around(MacieResponse, "EnableMacie", _enable)
    patches.around(MacieResponse, "DisableMacie", _disable)
    patches.answer(MacieResponse, "UpdateMacieSession", _update)


def set_administrator(account: str, region: str, administrator: str) -> None:
    """Make an account a member of *administrator* in one Region, as an accepted invitation does."""
    theirs, own = macie2_backends[administrator][region], macie2_backends[account][region]
    theirs.create_invitations([account])
    own.accept_invitation(administrator, theirs.invitations[account].invitation_id)


def _only_when_enabled(request: Request, proceed: Callable[[], Any]) -> Any:
    """
    Macie answers almost nothing where it is not enabled, and says AccessDeniedException.

    Source: https://docs.aws.amazon.com/macie/latest/APIReference/macie.html
    """
    _session(request)
    return proceed()


def _enable(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/macie/latest/APIReference/macie.html"""
    if _backend(request).macie_session:
        raise Refused("ConflictException", "Macie has already been enabled")
    return proceed()


def _disable(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/macie/latest/user/macie-disable.html"""
    _session(request)
    _not_a_member(request)
    return proceed()


def _update(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/macie/latest/user/macie-suspend.html"""
    session, given = _session(request), request.parameters
    if given.get("status"):
        _not_a_member(request)
        session["status"] = given["status"]
    if given.get("findingPublishingFrequency"):
        session["findingPublishingFrequency"] = given["findingPublishingFrequency"]
    session["updatedAt"] = utcnow()
    return {}


def _session(request: Request) -> dict[str, Any]:
    session: dict[str, Any] | None = _backend(request).macie_session
    if session is None:
        raise Refused("AccessDeniedException", "Macie is not enabled")
    return session


def _not_a_member(request: Request) -> None:
    if _backend(request).administrator_account:
        raise Refused("ConflictException", "the account is a member: its Macie administrator decides")


def _backend(request: Request) -> MacieBackend:
    backend: MacieBackend = macie2_backends[request.account][request.region]
    return backend
