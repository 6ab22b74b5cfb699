"""Macie.1: Macie is turned on or resumed, its settings stay, a member's session is left to its administrator."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.additions import macie as additions
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "macie/enable_session"


def session(b: Bench) -> dict[str, Any] | None:
    try:
        return dict(b.client("macie2").get_macie_session())
    except ClientError as error:
        if "not enabled" not in str(error):
            raise
        return None


def off(b: Bench) -> str:
    if session(b):
        b.client("macie2").disable_macie()
    return f"AWS::::Account:{b.account}"


def suspended(b: Bench) -> str:
    arn = off(b)
    b.client("macie2").enable_macie(status="PAUSED", findingPublishingFrequency="SIX_HOURS")
    return arn


def is_on(b: Bench, _: str) -> bool:
    return (session(b) or {}).get("status") == "ENABLED"


CASES = [
    Case("Macie.1", "a Region where Macie is off", off, is_on),
    Case("Macie.1", "a suspended session", suspended, is_on),
]


def plan(status: str | None, administrator: str | None = None) -> list[dict[str, Any]]:
    state = {"config": {"session": status}, "facts": {"administrator": administrator}, "busy": None}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, {})
    return made


@pytest.mark.parametrize(
    ("status", "administrator", "operations", "undo"),
    [
        ("ENABLED", None, [], []),
        ("ENABLED", "111111111111", [], []),
        ("PAUSED", None, ["update_macie_session"], ["update_macie_session"]),
        (None, None, ["enable_macie"], ["disable_macie"]),
    ],
)
def test_plan(status: str | None, administrator: str | None, operations: list[str], undo: list[str]) -> None:
    calls = plan(status, administrator)

    assert operations == [one["operation"] for one in calls]
    assert undo == [inverse["operation"] for one in calls for inverse in one["undo"]]


def test_a_member_is_left_to_its_administrator_who_is_named() -> None:
    """The predecessor ignores delegated administrators."""
    with pytest.raises(CannotRepair, match="account 111111111111") as caught:
        plan("PAUSED", "111111111111")

    assert "UpdateMemberSession" in caught.value.to_do


def test_a_suspended_session_keeps_how_often_it_publishes() -> None:
    """The predecessor fails on a suspended session, and sets the frequency of a new one."""
    with bench(ID) as b:
        assert b.remediate("Macie.1", suspended(b))["outcome"] == "REMEDIATED"

        assert (session(b) or {})["findingPublishingFrequency"] == "SIX_HOURS"


def test_a_member_is_not_touched() -> None:
    with bench(ID) as b:
        arn = suspended(b)
        additions.set_administrator(b.account, b.region, b.world.organization.admin)

        with b.watched() as calls:
            result = b.remediate("Macie.1", arn)

        assert result["outcome"] == "FAILED"
        assert b.world.organization.admin in result["why"]
        assert not b.writes(calls)


def test_a_missing_permission_is_not_taken_for_macie_being_off() -> None:
    class Denied:
        def client(self, _: str) -> Denied:
            return self

        def get_macie_session(self) -> dict[str, Any]:
            error = {"Code": "AccessDeniedException", "Message": "User: x is not authorized to perform: macie2:Get"}
            raise ClientError({"Error": error}, "GetMacieSession")

    with pytest.raises(ClientError):
        code_of(remediation_of(ID)).inspect(Denied(), {})


def test_an_undo_that_the_administrator_forbids_is_not_called_undone() -> None:
    with bench(ID) as b:
        attempt = b.attempt("Macie.1", suspended(b))
        attempt.finish()
        additions.set_administrator(b.account, b.region, b.world.organization.admin)

        assert attempt.undo()["outcome"] != "UNDONE"
        assert is_on(b, "")
