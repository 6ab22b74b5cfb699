"""GuardDuty.1: a suspended detector is turned on, an absent one made, a member's left to its administrator."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.additions import guardduty as additions
from sharr.remediation import BadParameter
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "guardduty/enable_detector"
ID32 = "0123456789abcdef0123456789abcdef"


def account(b: Bench) -> str:
    return f"AWS::::Account:{b.account}"


def none(b: Bench) -> str:
    guardduty = b.client("guardduty")
    for detector_id in guardduty.list_detectors()["DetectorIds"]:
        guardduty.delete_detector(DetectorId=detector_id)
    return account(b)


def suspended(b: Bench) -> str:
    none(b)
    off = [{"Name": "S3_DATA_EVENTS", "Status": "DISABLED"}]
    b.client("guardduty").create_detector(Enable=False, FindingPublishingFrequency="ONE_HOUR", Features=off)
    return account(b)


def detector(b: Bench) -> dict[str, Any] | None:
    guardduty = b.client("guardduty")
    found = guardduty.list_detectors()["DetectorIds"]
    return dict(guardduty.get_detector(DetectorId=found[0])) if found else None


def is_on(b: Bench, _: str) -> bool:
    return (detector(b) or {}).get("Status") == "ENABLED"


CASES = [
    Case("GuardDuty.1", "a Region without a detector", none, is_on),
    Case("GuardDuty.1", "a suspended detector", suspended, is_on),
]


def state(status: str | None, **facts: Any) -> dict[str, Any]:
    given = {"detector_id": status and ID32, "half_made": False, "administrator": None, **facts}
    return {"config": {"detector": status}, "facts": given, "busy": None}


def plan(given: dict[str, Any], features: list[str] | None = None) -> list[dict[str, Any]]:
    where = {"partition": "aws-us-gov", "region": "us-gov-west-1", "account": "222222222222"}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(given, where | {"parameters": {"features": features}})
    return made


@pytest.mark.parametrize(
    ("case", "given", "operations"),
    [
        ("on", state("ENABLED"), []),
        ("on, a member", state("ENABLED", administrator="111111111111"), []),
        ("suspended", state("DISABLED"), ["update_detector"]),
        ("none", state(None), ["create_detector"]),
        ("half made", state("DISABLED", half_made=True), ["untag_resource", "update_detector"]),
    ],
)
def test_plan(case: str, given: dict[str, Any], operations: list[str]) -> None:
    assert operations == [one["operation"] for one in plan(given) if "operation" in one], case


def test_a_member_is_left_to_its_administrator_who_is_named() -> None:
    """The predecessor ignores delegated administrators."""
    with pytest.raises(CannotRepair, match="account 111111111111") as caught:
        plan(state("DISABLED", administrator="111111111111"))

    assert "StartMonitoringMembers" in caught.value.to_do


def test_only_a_detector_of_our_own_making_is_deleted_by_an_undo() -> None:
    (theirs,) = plan(state("DISABLED"))
    _, ours = plan(state("DISABLED", half_made=True))

    assert [one["operation"] for one in theirs["undo"]] == ["update_detector"]
    assert [one["operation"] for one in ours["undo"]] == ["delete_detector"]


@pytest.mark.parametrize("features", [["S3_DATA_EVENTS", "RUNTIME_MONITORING"], []])
def test_the_users_protection_plans_are_on_and_the_others_off(features: list[str]) -> None:
    create = plan(state(None), features)[0]["parameters"]

    assert [one["Name"] for one in create["Features"] if one["Status"] == "ENABLED"] == features
    assert len(create["Features"]) == 6
    assert "Features" not in plan(state(None))[0]["parameters"], "GuardDuty's own choice"


def test_a_plan_that_guardduty_does_not_have_is_not_taken() -> None:
    with bench(ID) as b, pytest.raises(BadParameter):
        b.target("GuardDuty.1", account(b), settings={"features": "S3_DATA_EVENTS,EVERYTHING"})


def test_a_suspended_detector_keeps_its_plans_and_all_else() -> None:
    with bench(ID) as b:
        arn = suspended(b)
        before = detector(b)

        assert b.attempt("GuardDuty.1", arn).finish()["outcome"] == "REMEDIATED"

        after = detector(b)
        assert before
        assert after
        same = ("FindingPublishingFrequency", "Features", "Tags")
        assert [before.get(name) for name in same] == [after.get(name) for name in same]


def test_a_detector_that_we_made_has_no_mark_in_the_end() -> None:
    with bench(ID) as b:
        b.attempt("GuardDuty.1", none(b)).finish()

        assert (detector(b) or {}).get("Tags") == {}


def test_a_detector_of_ours_that_somebody_suspended_later_survives_an_undo() -> None:
    with bench(ID) as b:
        b.attempt("GuardDuty.1", none(b)).finish()
        found = b.client("guardduty").list_detectors()["DetectorIds"]
        b.client("guardduty").update_detector(DetectorId=found[0], Enable=False)

        again = b.attempt("GuardDuty.1", account(b))
        assert again.finish()["outcome"] == "REMEDIATED"
        assert again.undo()["outcome"] == "UNDONE"

        assert (detector(b) or {}).get("Status") == "DISABLED"


def test_an_undo_that_the_administrator_forbids_is_not_called_undone() -> None:
    with bench(ID) as b:
        attempt = b.attempt("GuardDuty.1", none(b))
        attempt.finish()
        additions.set_administrator(b.account, b.region, b.world.organization.admin)

        assert attempt.undo()["outcome"] == "FAILED"
        assert is_on(b, "")


def test_a_member_is_not_touched() -> None:
    with bench(ID) as b:
        arn = suspended(b)
        additions.set_administrator(b.account, b.region, b.world.organization.admin)

        with b.watched() as calls:
            result = b.remediate("GuardDuty.1", arn)

        assert result["outcome"] == "FAILED"
        assert b.world.organization.admin in result["why"]
        assert not b.writes(calls)


def test_a_fresh_account_gets_the_service_linked_role() -> None:
    """ASR 3.0.0: GuardDuty.1 lacked iam:CreateServiceLinkedRole."""
    (found,) = [p for p in remediation_of(ID).write if p.action == "iam:CreateServiceLinkedRole"]

    services = ["guardduty.amazonaws.com", "malware-protection.guardduty.amazonaws.com"]
    assert found.when == {"StringEquals": {"iam:AWSServiceName": services}}
    assert [on.split("/")[-2] for on in found.on] == services
