"""Security Hub disagrees with our repair: looked at again, read-only; put back is NEW again, else both views told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.world import Sandbox
from tests.stage import Stage


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Sandbox() as world:
        yield Stage(world, SCAutomaticControls="KMS.4")
        assert world.not_known() == []


def repaired(stage: Stage) -> tuple[str, dict[str, Any]]:
    finding = stage.publish(stage.finding(key := stage.key()))
    stage.world.advance(60)
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"
    return key, finding


def checked_again(stage: Stage, key: str, finding: dict[str, Any], *, after: float = 3600) -> dict[str, Any]:
    """Security Hub checks again and says FAILED: it leaves a RESOLVED that was not followed by PASSED as it is."""
    stage.world.advance(after)
    there = stage.now(finding)
    again = stage.finding(key)
    return stage.publish({**again, "Workflow": there["Workflow"], "Note": there["Note"]})


def test_a_repair_that_is_in_place_is_told_with_both_views_and_never_repaired_in_a_circle(stage: Stage) -> None:
    key, finding = repaired(stage)
    writes = len(stage.writes_in(stage.place.account))

    checked_again(stage, key, finding)
    stage.world.advance(60)

    now = stage.now(finding)
    assert now["Workflow"]["Status"] == "NOTIFIED"
    assert "compliant in our eyes" in now["Note"]["Text"]
    assert len(stage.writes_in(stage.place.account)) == writes
    assert stage.attempt(finding).trigger == "recheck"
    lines = [line for i in stage.world.functions.invocations for line in i.log]
    counted = [json.loads(line) for line in lines if '"Disagreements"' in line]
    assert len(counted) == 1
    assert counted[0]["Control"] == "KMS.4"
    emitted = counted[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]
    cloudwatch = stage.world.identity.client("cloudwatch", stage.organization.admin, stage.organization.home)
    shown = cloudwatch.get_dashboard(DashboardName=stage.outputs["DashboardName"])["DashboardBody"]
    assert f"{{SHARR,{','.join(sorted(emitted))}}} MetricName" in shown


def test_what_somebody_put_back_is_new_again_and_repaired_again(stage: Stage) -> None:
    key, finding = repaired(stage)
    stage.place.client("kms").disable_key_rotation(KeyId=key)

    checked_again(stage, key, finding)
    stage.world.advance(120)

    assert stage.rotates(key)
    assert stage.attempt(finding).trigger == "automatic"
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"
    notes = [c.parameters["Note"]["Text"] for c in stage.world.identity.calls if c.operation == "BatchUpdateFindings"]
    assert any("somebody put it back" in note for note in notes)


def test_a_check_that_is_not_much_later_than_the_repair_says_nothing(stage: Stage) -> None:
    key, finding = repaired(stage)
    attempt = stage.attempt(finding)

    checked_again(stage, key, finding, after=300)

    assert stage.attempt(finding) == attempt
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"


def test_what_a_person_resolved_is_none_of_our_business(stage: Stage) -> None:
    finding = stage.finding(key := stage.key(), Workflow={"Status": "RESOLVED"})
    finding["Note"] = {"Text": "SHARR preview: ...", "UpdatedBy": "SHARR", "UpdatedAt": finding["UpdatedAt"]}
    stage.publish(finding)

    checked_again(stage, key, finding)

    assert not stage.attempts.known(finding["Id"], "-").finding
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"
