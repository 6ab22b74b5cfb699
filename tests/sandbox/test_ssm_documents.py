"""Shares of documents and the setting that blocks public ones, as AWS's pages (named in each test) say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.additions.ssm_documents import PUBLIC_SHARING
from tests.sandbox.fakes import FakeWorld, a_world, error_of

ACCOUNT, REGION = "222222222222", "eu-west-1"


def client(world: FakeWorld, region: str = REGION) -> Any:
    return world.identity.client("ssm", ACCOUNT, region)


@pytest.mark.parametrize("id_", [PUBLIC_SHARING, f"arn:aws:ssm:{REGION}:{ACCOUNT}:servicesetting{PUBLIC_SHARING}"])
def test_the_setting_has_a_default_until_it_is_set_and_after_a_reset(id_: str) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ServiceSetting.html"""
    with a_world() as world:
        ssm = client(world)

        def seen() -> tuple[str, str]:
            setting = ssm.get_service_setting(SettingId=id_)["ServiceSetting"]
            return setting["SettingValue"], setting["Status"]

        before = seen()
        ssm.update_service_setting(SettingId=id_, SettingValue="Disable")
        after = seen()
        elsewhere = client(world, "us-east-1").get_service_setting(SettingId=PUBLIC_SHARING)["ServiceSetting"]
        ssm.reset_service_setting(SettingId=id_)
        again = seen()

    assert before == again == ("Enable", "Default")
    assert after == ("Disable", "Customized")
    assert elsewhere["SettingValue"] == "Enable", "the setting is one Region's"


def test_what_is_no_setting_or_no_value_of_it_is_refused() -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetServiceSetting.html"""
    with a_world() as world:
        ssm = client(world)
        unknown = error_of(lambda: ssm.get_service_setting(SettingId="/ssm/nothing"))
        value = error_of(lambda: ssm.update_service_setting(SettingId=PUBLIC_SHARING, SettingValue="Maybe"))

    assert (unknown, value) == ("ServiceSettingNotFound", "ValidationException")


def test_the_accounts_that_share_a_document_come_page_by_page() -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeDocumentPermission.html"""
    with a_world() as world:
        ssm = client(world)
        content = json.dumps({"schemaVersion": "2.2", "description": "d", "mainSteps": []})
        ssm.create_document(Content=content, Name="shared", DocumentType="Command", DocumentFormat="JSON")
        friends = [f"{number:012}" for number in range(1, 6)]
        asked = {"Name": "shared", "PermissionType": "Share"}
        ssm.modify_document_permission(**asked, AccountIdsToAdd=friends, SharedDocumentVersion="$LATEST")
        first = ssm.describe_document_permission(**asked, MaxResults=3)
        second = ssm.describe_document_permission(**asked, MaxResults=3, NextToken=first["NextToken"])
        refused = error_of(lambda: ssm.describe_document_permission(Name="nowhere", PermissionType="Share"))

    assert [len(first["AccountIds"]), len(second["AccountIds"])] == [3, 2]
    assert sorted(first["AccountIds"] + second["AccountIds"]) == friends
    assert {one["SharedDocumentVersion"] for one in first["AccountSharingInfoList"]} == {"$LATEST"}
    assert not second.get("NextToken")
    assert refused == "InvalidDocument"
