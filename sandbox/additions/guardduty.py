"""GuardDuty: one detector per account and Region, tags that can be taken off, members whose administrator decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.guardduty.models import guardduty_backends
from moto.guardduty.responses import GuardDutyResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

PLANS = ("S3_DATA_EVENTS", "EKS_AUDIT_LOGS", "EBS_MALWARE_PROTECTION", "RDS_LOGIN_EVENTS", "LAMBDA_NETWORK_LOGS")
"""The protection plans of a new detector. RUNTIME_MONITORING is off. Source: API_CreateDetector.html"""


def install(world: World, patches: Patches) -> None:
    """Make moto's GuardDuty refuse what AWS refuses, and know tags and administrators."""
    patches.around(GuardDutyResponse, "CreateDetector", _create)
    patches.around(GuardDutyResponse, "UpdateDetector", _update)
    patches.around(GuardDutyResponse, "DeleteDetector", _delete)
    patches.answer(GuardDutyResponse, "GetAdministratorAccount", _administrator_of)
    patches.answer(GuardDutyResponse, "TagResource", _tag)
    patches.answer(GuardDutyResponse, "UntagResource", _untag)


def set_administrator(account: str, region: str, administrator: str) -> None:
    """Make an account a member of *administrator* in one Region."""
    guardduty_backends[account][region].administrator = administrator  # type: ignore[attr-defined]


def _create(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/guardduty/latest/APIReference/API_CreateDetector.html"""
    backend, given = guardduty_backends[request.account][request.region], request.parameters
    tokens: dict[str, str] = vars(backend).setdefault("tokens", {})
    token = given.get("ClientToken")
    if token and tokens.get(token) in backend.detectors:
        return {"DetectorId": tokens[token]}
    if backend.detectors:
        raise _bad("a detector already exists for the current account.")
    answer = proceed()
    ((detector_id, detector),) = backend.detectors.items()
    wanted = {one["Name"]: one["Status"] for one in given.get("Features") or ()}
    features = dict.fromkeys(PLANS, "ENABLED") | {"RUNTIME_MONITORING": "DISABLED"} | wanted
    detector.features = [{"name": name, "status": status} for name, status in features.items()]
    if token:
        tokens[token] = detector_id
    return answer


def _update(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_accounts.html"""
    if "Enable" in request.parameters:
        _not_a_member(request)
    return proceed()


def _delete(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/guardduty/latest/APIReference/API_DeleteDetector.html"""
    _detector(request, request.parameters["DetectorId"])
    _not_a_member(request)
    return proceed()


def _administrator_of(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/guardduty/latest/APIReference/API_GetAdministratorAccount.html"""
    _detector(request, request.parameters["DetectorId"])
    account = _administrator(request)
    return {"Administrator": {"AccountId": account, "RelationshipStatus": "Enabled"}} if account else {}


def _tag(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/guardduty/latest/APIReference/API_TagResource.html"""
    _tagged(request).tags.update(request.parameters["Tags"])
    return {}


def _untag(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/guardduty/latest/APIReference/API_UntagResource.html"""
    detector = _tagged(request)
    for key in request.parameters["TagKeys"]:
        detector.tags.pop(key, None)
    return {}


def _tagged(request: Request) -> Any:
    return _detector(request, request.parameters["ResourceArn"].rpartition("/")[2])


def _detector(request: Request, detector_id: str) -> Any:
    found = guardduty_backends[request.account][request.region].detectors.get(detector_id)
    if found is None:
        raise _bad("the input detectorId is not owned by the current account.")
    return found


def _administrator(request: Request) -> str | None:
    return getattr(guardduty_backends[request.account][request.region], "administrator", None)


def _not_a_member(request: Request) -> None:
    if _administrator(request):
        raise _bad("the current account is a member: its administrator account decides.")


def _bad(why: str) -> Refused:
    return Refused("BadRequestException", f"The request is rejected because {why}")
