"""Detectors, their tags, and who may turn them on and off, as AWS's pages (named in each test) say."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.additions import guardduty as additions
from tests.sandbox.fakes import a_world

ADMIN, PAYMENTS = "111111111111", "222222222222"
WHERE = "eu-west-1"


def test_there_is_one_detector_and_the_same_token_gives_the_same_one() -> None:
    """https://docs.aws.amazon.com/guardduty/latest/APIReference/API_CreateDetector.html"""
    with a_world() as world:
        guardduty = world.identity.client("guardduty", PAYMENTS, WHERE)
        made = guardduty.create_detector(Enable=True, ClientToken="t")["DetectorId"]

        assert guardduty.create_detector(Enable=True, ClientToken="t")["DetectorId"] == made
        with pytest.raises(ClientError, match="BadRequestException"):
            guardduty.create_detector(Enable=True, ClientToken="u")
        assert guardduty.list_detectors()["DetectorIds"] == [made]


def test_a_new_detector_has_all_plans_but_runtime_monitoring_unless_told() -> None:
    """https://docs.aws.amazon.com/guardduty/latest/APIReference/API_CreateDetector.html"""
    with a_world() as world:
        guardduty = world.identity.client("guardduty", PAYMENTS, WHERE)
        off = [{"Name": "S3_DATA_EVENTS", "Status": "DISABLED"}]
        made = guardduty.create_detector(Enable=True, Features=off)["DetectorId"]

        found = {one["Name"]: one["Status"] for one in guardduty.get_detector(DetectorId=made)["Features"]}

        assert {name for name, status in found.items() if status == "DISABLED"} == {
            "S3_DATA_EVENTS",
            "RUNTIME_MONITORING",
        }
        assert found["RDS_LOGIN_EVENTS"] == "ENABLED"


def test_tags_are_put_on_and_taken_off() -> None:
    """https://docs.aws.amazon.com/guardduty/latest/APIReference/API_UntagResource.html"""
    with a_world() as world:
        guardduty = world.identity.client("guardduty", PAYMENTS, WHERE)
        made = guardduty.create_detector(Enable=True, Tags={"a": "1"})["DetectorId"]
        arn = f"arn:aws:guardduty:{WHERE}:{PAYMENTS}:detector/{made}"

        guardduty.tag_resource(ResourceArn=arn, Tags={"b": "2"})
        guardduty.untag_resource(ResourceArn=arn, TagKeys=["a"])

        assert guardduty.get_detector(DetectorId=made)["Tags"] == {"b": "2"}


def test_a_detector_that_is_gone_is_a_bad_request() -> None:
    """https://docs.aws.amazon.com/guardduty/latest/APIReference/API_DeleteDetector.html"""
    with a_world() as world:
        guardduty = world.identity.client("guardduty", PAYMENTS, WHERE)

        with pytest.raises(ClientError, match="BadRequestException"):
            guardduty.delete_detector(DetectorId="0" * 32)
        with pytest.raises(ClientError, match="BadRequestException"):
            guardduty.get_administrator_account(DetectorId="0" * 32)


@pytest.mark.parametrize(("operation", "more"), [("update_detector", {"Enable": False}), ("delete_detector", {})])
def test_a_member_cannot_turn_its_detector_on_or_off(operation: str, more: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_accounts.html"""
    with a_world() as world:
        guardduty = world.identity.client("guardduty", PAYMENTS, WHERE)
        made = guardduty.create_detector(Enable=True)["DetectorId"]
        alone = guardduty.get_administrator_account(DetectorId=made)
        additions.set_administrator(PAYMENTS, WHERE, ADMIN)

        with pytest.raises(ClientError, match="administrator"):
            getattr(guardduty, operation)(DetectorId=made, **more)

        assert "Administrator" not in alone
        assert guardduty.get_administrator_account(DetectorId=made)["Administrator"]["AccountId"] == ADMIN
