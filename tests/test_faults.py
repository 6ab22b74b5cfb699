"""A sample of `make faults`, and that the judge of its cases can say no."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from faults import page, plan
from faults.copies import Tried, in_a_copy
from faults.invariants import after_buttons, after_repair, after_undo
from faults.kinds import OF_A_WRITE, Killed, fail, kinds_of
from faults.stage import Seen, held, net
from sandbox.ports import Call, Principal
from sharr.attempts import Attempt
from sharr.loader import ROOT, load

ROLE = Principal("role", "arn:aws:sts::222222222222:assumed-role/a/b", "222222222222")


@pytest.mark.parametrize(("mode", "remediation", "part"), [("lambda", "kms/rotate_key", 97)])
def test_whatever_fails_nothing_is_lost_and_nothing_is_done_twice(mode: str, remediation: str, part: int) -> None:
    listed = [j for j in plan.jobs([load(ROOT / "ssm_documents" / remediation)], mode, part) if j.way]
    tried = []
    for job, result in plan.run(mode, listed):
        assert not isinstance(result, str), f"{job}: {result}"
        tried += result

    assert [f"{one.place}: {one.outcome} {one.wrong}" for one in tried if one.wrong] == []
    kinds = Counter(one.kind for one in tried)
    assert kinds["no fault"] == len(listed)
    assert sum(kinds.values()) > 6, kinds
    assert len(kinds) > 3, kinds


# --- the judge


def attempt(**changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": "a", "finding": {"uid": "f"}, "trigger": "automatic", "request": "r", "playbook": "SC",
        "remediation": "kms/rotate_key", "control": "KMS.4", "lease_key": "k", "target": {}, "created_at": "2026-01-01",
        "event_at": "2026-01-01", "outcome": "REMEDIATED", "ended_at": "2026-01-01",
        "journal": {"plan": [{"client": "logs", "operation": "create_log_group", "parameters": {"logGroupName": "g"}}]},
    }  # fmt: skip
    return Attempt(**values | changes)


def seen(**changes: Any) -> Seen:
    """Return what is there after a repair that went well, and *changes* of it."""
    good = Seen(
        attempts=[attempt()],
        others=[],
        finding={"Workflow": {"Status": "RESOLVED"}, "Note": {"UpdatedBy": "SHARR"}},
        passes=True,
        config={"rotates": True},
        before={"rotates": False},
        open_items=[],
        messages={},
        dead=[],
        created={"logs LogGroup": 1},
        executions=0,
        writes=["kms.EnableKeyRotation"],
        settled=True,
    )
    return dataclasses.replace(good, **changes)


def told(status: str) -> dict[str, Any]:
    return {"Workflow": {"Status": status}, "Note": {"UpdatedBy": "SHARR"}}


def test_a_repair_that_went_well_is_judged_good() -> None:
    assert after_repair(seen(), "", "rule") == []


def test_what_an_earlier_try_left_on_purpose_was_not_written_twice_and_two_of_it_were() -> None:
    kept = [{"client": "s3", "operation": "create_bucket", "parameters": {"Bucket": "logs"}, "kept": "the log bucket"}]
    made = {"logs LogGroup": 1, "s3 Bucket": 1}
    assert after_repair(seen(created=made, kept=kept), "throttled", "rule") == []
    assert after_repair(seen(created={**made, "s3 Bucket": 2}, kept=kept), "throttled", "rule")
    assert after_repair(seen(created=made), "throttled", "rule")


@pytest.mark.parametrize(
    ("wrong", "changes"),
    [
        ("RESOLVED on a broken resource", {"passes": False}),
        ("true outcome", {"passes": False, "finding": told("NOTIFIED")}),
        ("one outcome", {"attempts": []}),
        ("one outcome", {"attempts": [attempt(), attempt(id="b")]}),
        ("nothing is stuck: lease", {"open_items": ["lease of k"]}),
        ("nothing is stuck: 1 messages", {"messages": {"q": 1}}),
        ("nothing is stuck: there is no end", {"settled": False}),
        ("dead letter", {"dead": ["m"]}),
        ("written twice", {"created": {"logs LogGroup": 2}}),
        ("written twice", {"created": {"kms Key": 1}}),
        ("written twice", {"executions": 2}),
        ("told: the outcome is REMEDIATED", {"finding": told("NOTIFIED")}),
        ("told: the finding has no note", {"finding": {"Workflow": {"Status": "RESOLVED"}}}),
        ("made up for", {"attempts": [attempt(outcome="FAILED", why="not verified")], "finding": told("NOTIFIED")}),
        ("true outcome", {"attempts": [attempt(outcome="FAILED", why="no")], "finding": told("NOTIFIED")}),
        ("true outcome", {"attempts": [attempt(outcome="COMPLIANT")], "finding": told("NOTIFIED")}),
        ("true outcome", {"attempts": [attempt(outcome="SKIPPED")]}),
        ("true outcome", {"attempts": [attempt(outcome="PENDING", ended_at=None)]}),
        ("a preview wrote", {"attempts": [attempt(outcome="PREVIEWED")], "finding": told("NOTIFIED")}),
    ],
)
def test_what_is_wrong_after_a_repair_is_seen(wrong: str, changes: dict[str, Any]) -> None:
    found = after_repair(seen(**changes), "throttled", "preview" if "preview" in wrong else "rule")

    assert [text for text in found if text.startswith(wrong)], found


def test_a_refused_repair_may_fail_if_the_resource_is_as_before() -> None:
    failed = seen(
        attempts=[attempt(outcome="FAILED", why="no")],
        finding=told("NOTIFIED"),
        passes=False,
        config={"rotates": False},
    )

    assert after_repair(failed, "refused", "rule") == []
    assert after_repair(failed, "throttled", "rule") != []


def test_what_is_wrong_after_an_undo_is_seen() -> None:
    undone = seen(attempts=[attempt(), attempt(id="u", trigger="undo", outcome="UNDONE")], finding=told("NOTIFIED"))

    assert after_undo(dataclasses.replace(undone, config={"rotates": False}, passes=False), "", {}) == []
    assert after_undo(undone, "", {"rotates": "cannot be switched off"}) == []
    assert [w for w in after_undo(undone, "", {}) if w.startswith("undo is complete")]
    refused = dataclasses.replace(undone, attempts=[attempt(id="u", trigger="undo", outcome="FAILED")])
    assert after_undo(refused, "refused", {}) == []
    assert [w for w in after_undo(refused, "throttled", {}) if w.startswith("undo is complete")]


def test_what_is_wrong_after_buttons_in_any_order_is_seen() -> None:
    undone = seen(
        attempts=[attempt(), attempt(id="u", trigger="undo", outcome="UNDONE")],
        finding=told("NOTIFIED"), config={"rotates": False}, passes=False,
    )  # fmt: skip

    assert after_buttons(undone, 2) == []
    assert after_buttons(undone, 3) != []
    assert after_buttons(dataclasses.replace(undone, finding=told("RESOLVED")), 2) == ["RESOLVED on a broken resource"]
    assert after_buttons(dataclasses.replace(undone, passes=True), 2) != []


# --- the faults


def call(service: str, operation: str, **parameters: Any) -> Call:
    return Call(datetime.now(UTC), ROLE, "222222222222", "us-east-1", service, operation, parameters)


@pytest.mark.parametrize("kind", OF_A_WRITE)
def test_a_fault_is_what_a_caller_sees_and_took_effect_where_it_says_so(kind: Any) -> None:
    made: list[str] = []

    with pytest.raises((ClientError, ReadTimeoutError, Killed)):
        fail(call("kms", "EnableKeyRotation"), kind, lambda: made.append("made"))

    assert made == (["made"] if kind.endswith("after") or "after it took effect" in kind else [])


def test_a_batch_can_be_refused_in_its_answer() -> None:
    one = call("sqs", "SendMessageBatch", Entries=[{"Id": "0"}, {"Id": "1"}])

    answer = fail(one, "errors within a 200", lambda: pytest.fail("it was passed on"))

    assert [entry["Id"] for entry in answer["Failed"]] == ["0", "1"]
    assert "errors within a 200" in kinds_of(one)
    assert "errors within a 200" not in kinds_of(call("sqs", "SendMessage"))
    assert "process killed after" not in kinds_of(call("kms", "DescribeKey"))


def test_what_was_made_and_deleted_again_is_not_counted() -> None:
    calls = [call("logs", "CreateLogGroup"), call("logs", "DeleteLogGroup"), call("ec2", "CreateFlowLogs")]

    assert net(calls) == {"ec2 FlowLog": 1}


@pytest.mark.parametrize(
    ("item", "is_held"),
    [
        ({"pk": "attempt#a", "ended_at": "t", "published": "FAILED"}, False),
        ({"pk": "attempt#a", "ended_at": "t", "published": "FAILED", "due_at": "t"}, True),
        ({"pk": "attempt#a", "ended_at": "t"}, True),
        ({"pk": "attempt#a", "published": "PENDING/1", "due_at": "t"}, True),
        ({"pk": "resource#r", "holder": ""}, False),
        ({"pk": "resource#r", "holder": "a"}, True),
        ({"pk": "control#c", "verified": 1}, False),
        ({"pk": "control#c", "running": "a"}, True),
    ],
)
def test_what_an_attempt_still_holds_is_seen(item: dict[str, Any], is_held: bool) -> None:
    assert bool(held(item)) is is_held


def test_a_copy_says_how_it_ended_and_one_that_dies_is_a_violation() -> None:
    case = Tried("r", "rule", "repair", "kms.X", 1, "refused")
    copy = in_a_copy(case)
    if copy.sender is not None:
        copy.say("FAILED", ["it broke"])
    assert copy.said == dataclasses.replace(case, outcome="FAILED", wrong=("it broke",))

    silent = in_a_copy(case)
    if silent.sender is not None:
        os._exit(3)
    assert "ended with status" in silent.said.wrong[0]


def test_the_page_counts_cases_kinds_and_violations() -> None:
    case = Tried("r", "rule", "repair", "kms.X", 1, "refused", "FAILED")
    text = page.markdown([case, dataclasses.replace(case, number=2, kind="5xx", wrong=("x",))], "Tried today.")

    assert text.startswith("2 cases at 2 calls, of 1 remediations: 1 violations.")
    assert "| refused | 1 |  |  | 1 |  |  | 0 |" in text
    assert "| all | 2 |  |  | 2 |  |  | 1 |" in text
