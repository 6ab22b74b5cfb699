"""SSM.7: public sharing of documents is blocked in the finding's Region, and back to what it was: set, or never set."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "ssm/block_public_documents"
SETTING = "/ssm/documents/console/public-sharing-permission"
Json = dict[str, Any]


def never_set(b: Bench) -> str:
    b.client("ssm").reset_service_setting(SettingId=SETTING)
    return f"AWS::::Account:{b.account}"


def allowed(b: Bench) -> str:
    b.client("ssm").update_service_setting(SettingId=SETTING, SettingValue="Enable")
    return f"AWS::::Account:{b.account}"


def setting(b: Bench, region: str | None = None) -> Json:
    found: Json = b.client("ssm", region).get_service_setting(SettingId=SETTING)["ServiceSetting"]
    return found


def passes(b: Bench, _resource_id: str) -> bool:
    return bool(setting(b)["SettingValue"] == "Disable")


CASES = [
    Case("SSM.7", "a setting that nobody ever set", never_set, passes),
    Case("SSM.7", "sharing that somebody allowed", allowed, passes, region="eu-west-1"),
]


@pytest.mark.parametrize(
    ("case", "value", "default", "operations"),
    [
        ("never set", "Enable", True, [("update_service_setting", "reset_service_setting")]),
        ("allowed", "Enable", False, [("update_service_setting", "update_service_setting")]),
        ("blocked", "Disable", False, []),
        ("blocked by default, should AWS turn it round", "Disable", True, []),
    ],
)
def test_plan(case: str, value: str, default: bool, operations: list[tuple[str, str]]) -> None:
    state = {"config": {"sharing": {"value": value, "default": default}}, "facts": {}, "busy": None}
    calls = code_of(remediation_of(ID)).plan(state, {})

    assert [(one["operation"], one["undo"][0]["operation"]) for one in calls] == operations, case


def test_an_undo_makes_an_untouched_setting_untouched_again() -> None:
    with bench(ID) as b:
        attempt = b.attempt("SSM.7", never_set(b))

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert setting(b)["Status"] == "Customized"
        assert attempt.undo()["outcome"] == "UNDONE"
        assert setting(b)["Status"] == "Default"


def test_the_setting_of_another_region_stays() -> None:
    with bench(ID, "eu-west-1") as b:
        b.remediate("SSM.7", never_set(b))

        assert setting(b)["SettingValue"] == "Disable"
        assert setting(b, "us-east-1")["SettingValue"] == "Enable"
