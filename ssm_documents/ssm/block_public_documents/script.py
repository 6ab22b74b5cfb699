"""SSM.7: block the public sharing of SSM documents, a setting of one account and Region."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import call

SETTING = "/ssm/documents/console/public-sharing-permission"
BLOCKED = "Disable"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the setting, and whether somebody ever set it.

    Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ServiceSetting.html
    """
    setting = aws.client("ssm").get_service_setting(SettingId=SETTING)["ServiceSetting"]
    return {
        "config": {"sharing": {"value": setting["SettingValue"], "default": setting["Status"] == "Default"}},
        "facts": {},
        "busy": "the setting is being updated" if setting["Status"] == "PendingUpdate" else None,
    }


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that blocks public sharing; [] where it is blocked, by whomever."""
    sharing = state["config"]["sharing"]
    if sharing["value"] == BLOCKED:
        return []
    back = call("ssm", "update_service_setting", {"SettingId": SETTING, "SettingValue": sharing["value"]})
    if sharing["default"]:
        back = call("ssm", "reset_service_setting", {"SettingId": SETTING})
    return [call("ssm", "update_service_setting", {"SettingId": SETTING, "SettingValue": BLOCKED}, undo=[back])]
