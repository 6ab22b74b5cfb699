"""
Systems Manager: who may use a document, page by page, and the setting that keeps documents from being made public.

The setting is stored and told; sharing is not refused where it is on: AWS's pages do not say with which error.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from moto.ssm.models import ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from sandbox.additions.wire import Patches, Refused, Request, page
from sandbox.ports import World

PUBLIC_SHARING = "/ssm/documents/console/public-sharing-permission"
_DEFAULTS = {PUBLIC_SHARING: "Enable"}


def install(world: World, patches: Patches) -> None:
    """Add the operations to moto's Systems Manager."""
    settings = _Settings(world)
    patches.answer(SimpleSystemManagerResponse, "GetServiceSetting", settings.get)
    patches.answer(SimpleSystemManagerResponse, "UpdateServiceSetting", settings.update)
    patches.answer(SimpleSystemManagerResponse, "ResetServiceSetting", settings.reset)
    patches.around(SimpleSystemManagerResponse, "DescribeDocumentPermission", _describe_permission)


class _Settings:
    """Service settings of every account and Region. What this class does not know is refused."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.changed: dict[tuple[str, str, str], tuple[str, datetime]] = {}

    def get(self, request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetServiceSetting.html"""
        return {"ServiceSetting": self._shown(request)}

    def update(self, request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_UpdateServiceSetting.html"""
        self._id(request)
        value = request.parameters["SettingValue"]
        if value not in ("Enable", "Disable"):
            raise Refused("ValidationException", f"{value} is not a value of the setting: Enable or Disable")
        self.changed[self._key(request)] = (value, self.world.clock.now())
        return {}

    def reset(self, request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ResetServiceSetting.html"""
        self._id(request)
        self.changed.pop(self._key(request), None)
        return {"ServiceSetting": self._shown(request)}

    def _shown(self, request: Request) -> dict[str, Any]:
        id_ = self._id(request)
        value, at = self.changed.get(self._key(request), (_DEFAULTS[id_], None))
        return {
            "SettingId": id_,
            "SettingValue": value,
            "LastModifiedDate": at or self.world.clock.now(),
            "LastModifiedUser": request.caller_arn() if at else "System",
            "ARN": f"arn:{request.partition}:ssm:{request.region}:{request.account}:servicesetting{id_}",
            "Status": "Customized" if at else "Default",
        }

    def _key(self, request: Request) -> tuple[str, str, str]:
        return request.account, request.region, self._id(request)

    def _id(self, request: Request) -> str:
        id_ = str(request.parameters["SettingId"]).rsplit(":servicesetting", 1)[-1]
        if id_ not in _DEFAULTS:
            raise Refused("ServiceSettingNotFound", f"Setting {id_} was not found")
        return id_


def _describe_permission(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeDocumentPermission.html"""
    asked = request.parameters
    if asked["PermissionType"] != "Share":
        raise Refused("InvalidPermissionType", f"{asked['PermissionType']} is no permission type: Share")
    proceed()  # refuses a document that is not there
    shares = ssm_backends[request.account][request.region]._documents[asked["Name"]].describe_permissions()
    shown, token = page(shares["AccountSharingInfoList"], asked, most=200, default=20, invalid="InvalidNextToken")
    return {"AccountIds": [one["AccountId"] for one in shown], "AccountSharingInfoList": shown, "NextToken": token}
