"""IAM: a password policy without what was not set, and times of use that tests can set."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import BaseResponse
from moto.iam.models import AccessKeyLastUsed, iam_backends
from moto.iam.responses import IamResponse

from sandbox.additions.wire import Patches, Request
from sandbox.ports import World

_partition = "aws"


def install(world: World, patches: Patches) -> None:
    """Make moto's IAM show the password policy as AWS does, and find its place in every partition."""
    patches.attribute(sys.modules[__name__], "_partition", world.organization.partition)
    patches.attribute(IamResponse, "get_region_from_url", _region_of)
    patches.around(IamResponse, "GetAccountPasswordPolicy", _password_policy)


def backend(account: str) -> Any:
    """Return moto's IAM of an account: moto has one for each partition, an account is in one."""
    return iam_backends[account][_partition]


def set_key_created(account: str, user: str, key_id: str, at: datetime) -> None:
    """Make an access key as old as the test wants it. Raises KeyError where there is no such key."""
    _key(account, user, key_id).create_date = _naive(at)


def set_key_last_used(account: str, user: str, key_id: str, at: datetime | None, service: str = "s3") -> None:
    """
    Say when an access key was used last; None: never, so GetAccessKeyLastUsed has no LastUsedDate.

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKeyLastUsed.html
    """
    key = _key(account, user, key_id)
    key.last_used = None if at is None else AccessKeyLastUsed(_naive(at), service, "us-east-1")


def set_user_created(account: str, user: str, at: datetime) -> None:
    """Make a user as old as the test wants it."""
    _user(account, user).create_date = _naive(at)


def set_password_last_used(account: str, user: str, at: datetime | None) -> None:
    """
    Say when a user signed in last; None: never, so there is no PasswordLastUsed.

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_User.html
    """
    _user(account, user).password_last_used = None if at is None else _naive(at)


def set_role_last_used(account: str, role: str, at: datetime | None) -> None:
    """Say when a role was used last; None: never."""
    roles = backend(account).roles.values()
    next(one for one in roles if one.name == role).last_used = None if at is None else _naive(at)


def _region_of(response: Any, request: Any, full_url: str) -> str:
    """
    Return the Region of a request: moto takes the `us-gov` of iam.us-gov.amazonaws.com for one, of partition aws.

    Source: https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/using-govcloud-endpoints.html
    """
    region = BaseResponse.get_region_from_url(response, request, full_url)
    return "us-gov-west-1" if region == "us-gov" else region


def _password_policy(request: Request, proceed: Callable[[], Any]) -> Any:
    """
    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_PasswordPolicy.html
    """
    answer = proceed()
    policy = backend(request.account).account_password_policy
    if policy is None:
        return answer
    return {
        "PasswordPolicy": {
            "MinimumPasswordLength": policy.minimum_password_length,
            "RequireSymbols": policy.require_symbols,
            "RequireNumbers": policy.require_numbers,
            "RequireUppercaseCharacters": policy.require_uppercase_characters,
            "RequireLowercaseCharacters": policy.require_lowercase_characters,
            "AllowUsersToChangePassword": policy.allow_users_to_change_password,
            "ExpirePasswords": policy.expire_passwords,
            "MaxPasswordAge": policy.max_password_age or None,
            "PasswordReusePrevention": policy.password_reuse_prevention or None,
            "HardExpiry": policy.hard_expiry,
        }
    }


def _user(account: str, user: str) -> Any:
    return backend(account).get_user(user)


def _key(account: str, user: str, key_id: str) -> Any:
    for key in _user(account, user).access_keys:
        if key.access_key_id == key_id:
            return key
    raise KeyError(key_id)


def _naive(at: datetime) -> datetime:
    """Return *at* as moto keeps times: UTC, without saying so."""
    return at.astimezone(UTC).replace(tzinfo=None)
