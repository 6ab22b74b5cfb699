"""
IAM: a user's unique id looks like one of AWS's, and a console password is as old as itself.

moto gives a user an id without a prefix, and a password the age of its user.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.iam.responses import IamResponse
from moto.iam.utils import generate_access_key_id_from_account_id

from sandbox.additions import iam
from sandbox.additions.wire import Patches, Request
from sandbox.ports import World


def install(world: World, patches: Patches) -> None:
    """Make moto's IAM name users as AWS does, and keep when a login profile was made, on *world*'s clock."""

    def create(request: Request, proceed: Callable[[], Any]) -> Any:
        answer = proceed()
        set_password_created(request.account, request.parameters["UserName"], world.clock.now())
        return answer

    patches.around(IamResponse, "CreateUser", _create_user)
    patches.around(IamResponse, "CreateLoginProfile", create)
    patches.around(IamResponse, "GetLoginProfile", _get)


def set_password_created(account: str, user: str, at: datetime) -> None:
    """Make a user's console password as old as the test wants it."""
    found: Any = iam.backend(account).get_user(user)
    found.password_created = at.astimezone(UTC).replace(tzinfo=None)


def _create_user(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html"""
    answer = proceed()
    user = iam.backend(request.account).get_user(request.parameters["UserName"])
    user.id = generate_access_key_id_from_account_id(request.account, prefix="AIDA", total_length=21)
    return answer


def _get(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_LoginProfile.html"""
    answer = proceed()
    user = iam.backend(request.account).get_user(request.parameters["UserName"])
    if not hasattr(user, "password_created"):
        return answer
    return {
        "LoginProfile": {
            "UserName": user.name,
            "CreateDate": user.password_created,
            "PasswordResetRequired": user.password_reset_required,
        }
    }
