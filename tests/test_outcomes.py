"""What an attempt says: the status and note that its finding gets, the message and the log line; any text fits."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharr.arns import PARTITIONS
from sharr.attempts import Attempt, Outcome
from sharr.outcomes import differences, finding_link, log_line, message_for, note_for, status_for, writes_note
from sharr.runtime.contract import call
from tests.harness import remediation_of

REMEDIATION = remediation_of("kms/rotate_key")
KEY = {"KeyId": "1234abcd-12ab-34cd-56ef-1234567890ab"}
UID = "arn:aws:securityhub:eu-west-1:222222222222:security-control/KMS.4/finding/1a2b3c4d"
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
WORKFLOWS = ("NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED")
ON = call("kms", "enable_key_rotation", KEY, undo=[call("kms", "disable_key_rotation", KEY)])
DONE = {
    "before": {"config": {"rotates": False}, "facts": {}, "busy": None},
    "after": {"config": {"rotates": True}, "facts": {}, "busy": None},
    "plan": [{k: v for k, v in ON.items() if k != "undo"}],
    "open": None,
}
PREVIEW = {"before": DONE["before"], "after": None, "plan": [], "open": [ON]}


def attempt(outcome: Outcome = "REMEDIATED", finding: dict[str, Any] | None = None, **changes: Any) -> Attempt:
    """Return an attempt on a key of the account payments; *finding* changes what is known of the finding."""
    known = {
        "uid": UID,
        "partition": "aws",
        "account": "222222222222",
        "account_name": "payments",
        "region": "eu-west-1",
        "resource": f"arn:aws:kms:eu-west-1:222222222222:key/{KEY['KeyId']}",
        "severity": "MEDIUM",
        "title": "KMS key rotation should be enabled",
        "standard": "sc",
        "workflow": "NEW",
        "note": None,
    }
    values: dict[str, Any] = {
        "id": "a2f1c5f0-0000-5000-8000-000000000001",
        "finding": known | (finding or {}),
        "trigger": "automatic",
        "request": "r",
        "playbook": "sc",
        "remediation": "kms/rotate_key",
        "control": "KMS.4",
        "lease_key": "k",
        "target": {},
        "created_at": "2026-01-31T12:00:00+00:00",
        "event_at": "2026-01-31T11:59:50+00:00",
        "outcome": outcome,
        "why": "the resource is compliant",
        "journal": PREVIEW if outcome == "PREVIEWED" else DONE,
    }
    return Attempt(**values | changes)


# Any text that JSON or DynamoDB may hold, control characters and other scripts with it.
texts = st.text(max_size=1200)
attempts = st.builds(
    lambda outcome, trigger, why, to_do, title, name, note, gone: attempt(
        outcome, {"title": title, "account_name": name, "note": note}, trigger=trigger, why=why, to_do=to_do, gone=gone
    ),
    outcome=st.sampled_from(OUTCOMES),
    trigger=st.sampled_from(("automatic", "remediate", "preview", "undo")),
    why=texts,
    to_do=texts,
    title=st.text(max_size=256),
    name=st.none() | st.text(max_size=50),
    note=st.none()
    | st.fixed_dictionaries({"author": st.sampled_from(("SHARR", "Ann")) | st.text(max_size=512), "text": texts}),
    gone=st.booleans(),
)


# --- status


WANTED: dict[str, tuple[str | None, ...]] = {  # by the workflow status that the finding has, as in WORKFLOWS
    "REMEDIATED": ("RESOLVED", "RESOLVED", "RESOLVED", None),
    "COMPLIANT": ("NOTIFIED", "NOTIFIED", None, None),
    "PREVIEWED": ("NOTIFIED", "NOTIFIED", "NOTIFIED", None),
    "PENDING": ("NOTIFIED", "NOTIFIED", "NOTIFIED", None),
    "FAILED": ("NOTIFIED", "NOTIFIED", "NOTIFIED", None),
    "UNDONE": ("NOTIFIED", "NOTIFIED", "NOTIFIED", None),
    "SKIPPED": (None, None, None, None),
    "WAITING": (None, None, None, None),
    "HELD": (None, None, None, None),
    "RETRY": (None, None, None, None),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_workflow_status_of_each_outcome(outcome: Outcome) -> None:
    found = tuple(status_for(attempt(outcome, {"workflow": workflow})) for workflow in WORKFLOWS)

    assert found == WANTED[outcome]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_finding_of_something_that_is_gone_keeps_its_status(outcome: Outcome) -> None:
    assert {status_for(attempt(outcome, {"workflow": workflow}, gone=True)) for workflow in WORKFLOWS} == {None}


@pytest.mark.parametrize("trigger", ["automatic", "remediate", "preview", "undo"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_only_what_automation_left_alone_gets_no_note(outcome: Outcome, trigger: str) -> None:
    is_quiet = outcome == "SKIPPED" and trigger == "automatic"

    assert writes_note(attempt(outcome, trigger=trigger)) is not is_quiet


# --- note


@given(attempts, st.booleans())
def test_a_note_has_1_to_512_printable_characters_for_any_text(one: Attempt, is_known: bool) -> None:
    note = note_for(one, REMEDIATION if is_known else None)

    assert 1 <= len(note) <= 512
    assert note.isprintable()
    assert note.startswith("SHARR ")


@given(attempts)
def test_equal_attempts_have_equal_notes_whenever_they_were(one: Attempt) -> None:
    later = attempt(
        one.outcome, dict(one.finding), id="another", event_at="2027-01-01T00:00:00+00:00", trigger=one.trigger,
        why=one.why, to_do=one.to_do,
    )  # fmt: skip

    assert note_for(later, REMEDIATION) == note_for(one, REMEDIATION)


def test_the_note_of_a_repair_says_what_is_so_now_and_how_it_is_taken_back() -> None:
    note = note_for(attempt(), REMEDIATION)

    assert note.startswith(f"SHARR repaired this: {REMEDIATION.note} (kms/rotate_key), verified on the resource.")
    assert note.endswith("Undo with SHARR takes it back.")


def test_the_note_of_a_repair_says_what_an_undo_cannot_give_back() -> None:
    lost = call("kms", "x", {}, lost="the old alias", undo=[])
    note = note_for(attempt(journal=DONE | {"plan": [lost]}), REMEDIATION)

    assert "the old alias" in note
    assert "takes it back" not in note


def test_the_note_of_a_preview_says_the_calls_and_what_stays() -> None:
    made = call("logs", "create_log_group", {}, kept="the log group")
    note = note_for(attempt("PREVIEWED", journal=PREVIEW | {"open": [made, ON]}, trigger="preview"), REMEDIATION)

    assert "Would call logs.create_log_group, kms.enable_key_rotation" in note
    assert "Stays after an undo: the log group." in note


def test_a_failure_says_why_first_and_what_to_do_however_long_the_reason_is() -> None:
    failed = attempt("FAILED", why="AccessDenied: " + "x" * 3000, to_do="look at the service control policies")
    note = note_for(failed, REMEDIATION)

    assert note.startswith("SHARR could not repair this: AccessDenied: xxx")
    assert " ... " in note
    assert note.endswith("To do: look at the service control policies.")


@pytest.mark.parametrize("why", ["it is denied", "x" * 3000])
def test_a_note_of_somebody_else_stays_behind_ours(why: str) -> None:
    before = {"author": "Ann", "text": "ticket 4711"}
    note = note_for(attempt("FAILED", {"note": before}, why=why), REMEDIATION)

    assert note.startswith("SHARR could not repair this")
    assert note.endswith(" | Ann: ticket 4711")


def test_a_long_note_of_somebody_else_keeps_its_start_and_its_end() -> None:
    before = {"author": "Ann", "text": "ticket 4711 " + "y" * 500 + " until March"}
    note = note_for(attempt("COMPLIANT", {"note": before}), REMEDIATION)

    assert " | Ann: ticket 4711 yyy" in note
    assert note.endswith(" until March")


def test_our_own_earlier_note_is_replaced() -> None:
    before = {"author": "SHARR", "text": "SHARR preview: one call planned"}

    assert note_for(attempt(finding={"note": before}), REMEDIATION) == note_for(attempt(), REMEDIATION)


# --- link


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_link_is_to_the_console_of_the_partition_or_to_nowhere(partition: str) -> None:
    uid = UID.replace("arn:aws:", f"arn:{partition}:")
    link = finding_link({"partition": partition, "uid": uid}, "some-region-1")
    console = PARTITIONS[partition].console

    assert (link is None) == (console is None)
    if link:
        assert link.startswith(f"https://{console}/securityhub/home?region=some-region-1#/findings?search=")
        assert unquote(link.partition("search=")[2]) == f"Id=\\operator\\:EQUALS\\:{uid}"


def test_the_consoles_of_the_public_partitions_are_aws_s() -> None:
    consoles = {name: PARTITIONS[name].console for name in ("aws", "aws-cn", "aws-us-gov")}

    assert consoles == {
        "aws": "console.aws.amazon.com",
        "aws-cn": "console.amazonaws.cn",
        "aws-us-gov": "console.amazonaws-us-gov.com",
    }


# --- message


@given(attempts)
def test_a_message_can_be_published_whatever_its_texts_are(one: Attempt) -> None:
    # SNS: 256 KB with its attributes; a subject has 1 to 100 characters and no line break.
    message = message_for(one, REMEDIATION, "eu-west-1")
    parts = json.loads(message["Message"])

    assert len(json.dumps(message).encode()) < 256 * 1024
    assert 1 <= len(message["Subject"]) <= 100
    assert message["Subject"].isascii()
    assert message["Subject"].isprintable()
    assert parts.keys() == {"default", "email", "sqs", "https", "http", "lambda"}
    assert all(line.isprintable() for line in parts["default"].split("\n"))
    assert json.loads(parts["sqs"])["outcome"] == one.outcome
    assert all(a["StringValue"] for a in message["MessageAttributes"].values())


def test_a_message_with_many_long_changes_says_six_and_fits() -> None:
    before = {str(n): "x" * 100_000 for n in range(50)}
    journal = DONE | {"before": {"config": before}, "after": {"config": {}}}
    message = message_for(attempt(journal=journal), REMEDIATION, "eu-west-1")
    parts = json.loads(message["Message"])

    assert len(json.dumps(message).encode()) < 64 * 1024
    assert "  and 44 more" in parts["email"]
    assert len(json.loads(parts["sqs"])["differences"]) == 6


def test_a_message_shows_what_changed_to_people_and_programs() -> None:
    message = message_for(attempt(), REMEDIATION, "eu-west-1")
    parts = json.loads(message["Message"])

    assert message["Subject"] == "SHARR REMEDIATED KMS.4 222222222222 eu-west-1"
    assert "Account    222222222222 (payments)" in parts["email"]
    assert "  rotates: false -> true" in parts["email"]
    assert json.loads(parts["https"])["differences"] == [{"property": "rotates", "before": "false", "after": "true"}]
    assert {k: v["StringValue"] for k, v in message["MessageAttributes"].items()} == {
        "kind": "outcome",
        "outcome": "REMEDIATED",
        "control": "KMS.4",
        "account": "222222222222",
        "region": "eu-west-1",
        "severity": "MEDIUM",
        "trigger": "automatic",
    }


def test_a_trip_says_first_that_automation_stopped_and_can_be_filtered() -> None:
    message = message_for(attempt("FAILED", tripped="its first repair failed"), REMEDIATION, "eu-west-1", "12 left out")
    parts = json.loads(message["Message"])

    assert message["Subject"] == "SHARR stopped KMS.4: FAILED 222222222222 eu-west-1"
    assert parts["email"].startswith(
        "SHARR does not repair KMS.4 by itself any more: its first repair failed.\nFAILED: "
    )
    assert parts["email"].endswith("\n\n12 left out")
    assert message["MessageAttributes"]["kind"]["StringValue"] == json.loads(parts["sqs"])["kind"] == "trip"
    assert json.loads(parts["sqs"])["left_out"] == "12 left out"


def test_a_title_cannot_forge_a_line_of_the_mail() -> None:
    text = json.loads(
        message_for(attempt(finding={"title": "a\nAccount    999999999999\r\x1b[2J"}), REMEDIATION, "eu-west-1")[
            "Message"
        ]
    )["email"]

    assert [line for line in text.split("\n") if line.startswith("Account")] == ["Account    222222222222 (payments)"]
    assert "\x1b" not in text


# --- log line and differences


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_log_line_has_the_same_fields_for_every_outcome_and_is_json(outcome: Outcome) -> None:
    now = datetime(2026, 1, 31, 12, 0, tzinfo=UTC) + timedelta(seconds=0.5)
    line = log_line(attempt(outcome, journal={}), now)

    assert line.keys() == log_line(attempt(), now).keys()
    assert json.loads(json.dumps(line)) == line
    assert (line["outcome"], line["seconds"]) == (outcome, 10.5)


def test_the_log_line_of_a_repair_says_its_calls_and_whether_it_can_be_taken_back() -> None:
    line = log_line(attempt(), datetime(2026, 1, 31, 12, 0, tzinfo=UTC))

    assert (line["calls"], line["undo"]) == (["kms.enable_key_rotation"], "full")
    assert line["differences"] == [["rotates", "false", "true"]]


def test_the_differences_of_a_preview_are_what_would_change() -> None:
    on = call(
        "rds", "modify_db_instance", {"Public": False, "Id": "db"},
        undo=[call("rds", "modify_db_instance", {"Public": True, "Id": "db"})],
    )  # fmt: skip

    assert differences(attempt("PREVIEWED", journal=PREVIEW | {"open": [on]})) == [
        ("rds.modify_db_instance Public", "true", "false")
    ]


def test_a_value_that_is_absent_or_long_is_said_so() -> None:
    journal = DONE | {"before": {"config": {"policy": None}}, "after": {"config": {"policy": "x" * 5000}}}
    ((name, before, after),) = differences(attempt(journal=journal))

    assert (name, before) == ("policy", "absent")
    assert len(after) == 120


def test_an_attempt_that_never_read_the_resource_has_no_differences() -> None:
    assert differences(attempt("FAILED", journal={"before": None, "after": None})) == []
