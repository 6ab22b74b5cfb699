"""KMS: automatic rotation is refused where AWS refuses it, and keeps its period."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.kms.models import kms_backends
from moto.kms.responses import KmsResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

DEFAULT_PERIOD_DAYS = 365


def install(world: World, patches: Patches) -> None:
    """Make moto's KMS check what it rotates."""
    patches.around(KmsResponse, "EnableKeyRotation", _enable)
    patches.around(KmsResponse, "DisableKeyRotation", _disable)
    patches.around(KmsResponse, "GetKeyRotationStatus", _status)


def _enable(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_EnableKeyRotation.html"""
    key = _checked(request)
    days = request.parameters.get("RotationPeriodInDays")
    if days is not None and not 90 <= days <= 2560:
        raise Refused("ValidationException", "RotationPeriodInDays must be between 90 and 2560")
    answer = proceed()
    if key is not None:
        earlier = getattr(key, "rotation_period_in_days", DEFAULT_PERIOD_DAYS)
        key.rotation_period_in_days = days or earlier
    return answer


def _disable(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_DisableKeyRotation.html"""
    _checked(request)
    return proceed()


def _status(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyRotationStatus.html"""
    key = _key(request)
    if key is None:
        return proceed()
    primary = _primary(request, key)
    if primary.key_state == "PendingDeletion" or not primary.key_rotation_status:
        return {"KeyId": key.arn, "KeyRotationEnabled": False}
    period = getattr(primary, "rotation_period_in_days", DEFAULT_PERIOD_DAYS)
    return {"KeyId": key.arn, "KeyRotationEnabled": True, "RotationPeriodInDays": period}


def _checked(request: Request) -> Any:
    """Return the key; raises Refused where its rotation cannot be changed. None: moto tells that there is no key."""
    key = _key(request)
    if key is None:
        return None
    if key.key_spec != "SYMMETRIC_DEFAULT" or key.origin != "AWS_KMS":
        raise Refused("UnsupportedOperationException", f"rotation of a {key.key_spec} key of origin {key.origin}")
    if _primary(request, key) is not key:
        raise Refused("UnsupportedOperationException", f"{key.arn} is a replica key: ask for its primary key")
    if key.key_state == "PendingDeletion":
        raise Refused("KMSInvalidStateException", f"{key.arn} is pending deletion.")
    if key.key_state == "Disabled":
        raise Refused("DisabledException", f"{key.arn} is disabled.")
    return key


def _primary(request: Request, key: Any) -> Any:
    if not key.multi_region:
        return key
    arn = key.multi_region_configuration["PrimaryKey"]["Arn"]
    return kms_backends[request.account][arn.split(":")[3]].keys.get(key.id, key)


def _key(request: Request) -> Any:
    backend = kms_backends[request.account][request.region]
    return backend.keys.get(backend.get_key_id(request.parameters["KeyId"]))
