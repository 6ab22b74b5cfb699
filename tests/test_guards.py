"""Every row of GUARDS: what it refuses, for which triggers, in which order; what is not known is refused."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sharr.finding import Compliance, Finding, RecordState, Severity, Trigger, Workflow
from sharr.guards import GUARDS, Facts, needs_rereading, refusal_for

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
ACCOUNT, OTHER = "222222222222", "333333333333"
TRIGGERS: tuple[Trigger, ...] = ("automatic", "remediate", "preview", "undo", "recheck")
REPAIRS = tuple(NOW - timedelta(days=days) for days in (1, 3, 6))

FINDING = Finding(
    uid="arn:aws:securityhub:eu-west-1:222222222222:security-control/S3.5/finding/1",
    product_arn="arn:aws:securityhub:eu-west-1::product/aws/securityhub",
    partition="aws",
    account=ACCOUNT,
    account_name=None,
    region="eu-west-1",
    control="S3.5",
    standard="sc",
    standard_control=None,
    severity=Severity.MEDIUM,
    title="Buckets require TLS",
    resources=(),
    compliance=Compliance.FAILED,
    parameters={},
    workflow=Workflow.NEW,
    record_state=RecordState.ACTIVE,
    created_at=NOW,
    observed_at=NOW,
    changed_at=NOW,
    note=None,
)
GOOD = Facts(
    finding=FINDING,
    trigger="automatic",
    now=NOW,
    remediation="s3/require_tls",
    is_member=True,
    automatic_accounts=frozenset(),
    excluded_accounts=frozenset(),
    automatic_controls=frozenset({"S3.5"}),
    repair_since="",
    asked=False,
    button_repairs="any control",
    hold=None,
    repairs=(),
    last_on_resource="attempt-1",
    last_of_finding="attempt-1",
)


def facts(trigger: Trigger, **changes: Any) -> Facts:
    """Return facts that no guard refuses, but for *changes*; names of Finding change the finding."""
    of_finding = {k: v for k, v in changes.items() if k in ("workflow", "record_state", "compliance", "created_at")}
    rest = {k: v for k, v in changes.items() if k not in of_finding}
    return dataclasses.replace(GOOD, trigger=trigger, finding=dataclasses.replace(FINDING, **of_finding), **rest)


def refused_for(**changes: Any) -> dict[str, set[Trigger]]:
    """Return which guard refuses first, for which triggers."""
    found: dict[str, set[Trigger]] = {}
    for trigger in TRIGGERS:
        refusal = refusal_for(facts(trigger, **changes))
        if refusal:
            found.setdefault(refusal.guard, set()).add(trigger)
    return found


ALL = {"automatic", "remediate", "preview", "undo", "recheck"}
NOT_UNDO = ALL - {"undo"}
REPAIRING = {"automatic", "remediate"}
LOOKING = REPAIRING | {"recheck"}
# What is wrong, and for which triggers the attempt is refused, by the guard's name.
ROWS: list[tuple[str, dict[str, Any], dict[str, set[str]]]] = [
    ("nothing is wrong", {}, {}),
    ("no remediation", {"remediation": None}, {"no-remediation": ALL}),
    ("not a member", {"is_member": False}, {"unknown-account": ALL}),
    ("members are not known", {"is_member": None}, {"unknown-account": ALL}),
    ("excluded", {"excluded_accounts": frozenset({ACCOUNT, OTHER})}, {"account-excluded": NOT_UNDO}),
    ("excluded are not known", {"excluded_accounts": None}, {"account-excluded": NOT_UNDO}),
    ("another is excluded", {"excluded_accounts": frozenset({OTHER})}, {}),
    ("automation is for others", {"automatic_accounts": frozenset({OTHER})}, {"account-not-automatic": {"automatic"}}),
    ("automation is for it", {"automatic_accounts": frozenset({ACCOUNT})}, {}),
    ("automatic are not known", {"automatic_accounts": None}, {"account-not-automatic": {"automatic"}}),
    ("suppressed", {"workflow": Workflow.SUPPRESSED}, {"suppressed": REPAIRING}),
    ("archived", {"record_state": RecordState.ARCHIVED}, {"archived": LOOKING}),
    ("passed", {"compliance": Compliance.PASSED}, {"not-failed": LOOKING}),
    ("a warning", {"compliance": Compliance.WARNING}, {"not-failed": LOOKING}),
    ("not available", {"compliance": Compliance.NOT_AVAILABLE}, {"not-failed": LOOKING}),
    ("notified", {"workflow": Workflow.NOTIFIED}, {"not-new": {"automatic"}}),
    ("resolved", {"workflow": Workflow.RESOLVED}, {"not-new": {"automatic"}}),
    ("off", {"automatic_controls": frozenset()}, {"not-switched-on": {"automatic"}}),
    ("another is on", {"automatic_controls": frozenset({"S3.50", "s3.5"})}, {"not-switched-on": {"automatic"}}),
    ("all are on", {"automatic_controls": frozenset({"*"})}, {}),
    ("of the day", {"repair_since": "2026-01-31", "last_of_finding": None}, {"nothing-to-undo": {"undo"}}),
    (
        "of the day before",
        {"repair_since": "2026-02-01", "last_of_finding": None},
        {"in-backlog": {"automatic"}, "nothing-to-undo": {"undo"}},
    ),
    ("of the day before, and repaired by us before", {"repair_since": "2026-02-01"}, {}),
    (
        "of the day before, and a job asks",
        {"repair_since": "2026-02-01", "last_of_finding": None, "asked": True},
        {"nothing-to-undo": {"undo"}},
    ),
    (
        "the day cannot be read",
        {"repair_since": "2026-02-31", "last_of_finding": None},
        {"in-backlog": {"automatic"}, "nothing-to-undo": {"undo"}},
    ),
    ("preview only", {"button_repairs": "preview only"}, {"button-limited": {"remediate"}}),
    ("the button is for what is on", {"button_repairs": "switched-on controls"}, {}),
    (
        "the button is for what is on, this is off",
        {"button_repairs": "switched-on controls", "automatic_controls": frozenset()},
        {"button-limited": {"remediate"}, "not-switched-on": {"automatic"}},
    ),
    (
        "the button is for what is on, all are on",
        {"button_repairs": "switched-on controls", "automatic_controls": frozenset({"*"})},
        {},
    ),
    ("a hold", {"hold": {"by": "attempt-0"}}, {"hold": {"automatic"}}),
    ("three repairs", {"repairs": REPAIRS}, {"too-often": {"automatic"}}),
    ("two repairs", {"repairs": REPAIRS[:2]}, {}),
    ("three, one of them seven days ago", {"repairs": (*REPAIRS[:2], NOW - timedelta(days=7))}, {}),
    (
        "three, one of them just not seven days ago",
        {"repairs": (*REPAIRS[:2], NOW - timedelta(days=7) + timedelta(seconds=1))},
        {"too-often": {"automatic"}},
    ),
    ("no repair", {"last_of_finding": None, "last_on_resource": None}, {"nothing-to-undo": {"undo"}}),
    ("none of this finding", {"last_of_finding": None}, {"nothing-to-undo": {"undo"}}),
    ("a later repair", {"last_on_resource": "attempt-2"}, {"not-last": {"undo"}}),
    ("the repair's resource is not known", {"last_on_resource": None}, {"not-last": {"undo"}}),
]


@pytest.mark.parametrize(("case", "changes", "wanted"), ROWS, ids=[row[0] for row in ROWS])
def test_each_guard_refuses_for_exactly_its_triggers(
    case: str, changes: dict[str, Any], wanted: dict[str, set[str]]
) -> None:
    assert refused_for(**changes) == wanted, case


def test_every_guard_of_the_table_is_shown_to_refuse_for_every_trigger_that_it_has() -> None:
    # refused_for() sees the first refusal only; here each row is asked by itself, over all that is wrong above.
    for guard, triggers in GUARDS:
        shown = {trigger for trigger in triggers for _, changes, _ in ROWS if guard(facts(trigger, **changes))}
        assert shown == set(triggers), guard.__name__


@pytest.mark.parametrize("guard", [guard for guard, _ in GUARDS], ids=lambda guard: guard.__name__)
def test_a_refusal_says_why_and_names_itself_as_in_a_log(guard: Any) -> None:
    refusals = [found for _, changes, _ in ROWS if (found := guard(facts("automatic", **changes)))]

    assert refusals
    for refusal in refusals:
        assert refusal.why
        assert refusal.guard == refusal.guard.lower().replace(" ", "-")


def test_of_several_refusals_the_first_of_the_table_is_said() -> None:
    wrong: dict[str, Any] = {
        "remediation": None, "is_member": False, "excluded_accounts": None, "automatic_accounts": None,
        "workflow": Workflow.SUPPRESSED, "compliance": Compliance.PASSED, "automatic_controls": frozenset(),
        "hold": {"by": "attempt-0"}, "repairs": REPAIRS,
    }  # fmt: skip
    right = {name: getattr(GOOD if hasattr(GOOD, name) else FINDING, name) for name in wrong}
    said = []
    for name in wrong:
        refusal = refusal_for(facts("automatic", **wrong))
        assert refusal
        said.append(refusal.guard)
        wrong[name] = right[name]

    assert said == [
        "no-remediation", "unknown-account", "account-excluded", "account-not-automatic", "suppressed", "not-failed",
        "not-switched-on", "hold", "too-often",
    ]  # fmt: skip
    assert refusal_for(facts("automatic", **wrong)) is None


@pytest.mark.parametrize(
    ("trigger", "age", "wanted"),
    [
        ("automatic", timedelta(0), False),
        ("automatic", timedelta(minutes=5), False),
        ("automatic", timedelta(minutes=5, seconds=1), True),
        ("remediate", timedelta(0), True),
        ("preview", timedelta(0), True),
        ("undo", timedelta(0), True),
        ("recheck", timedelta(0), False),
        ("recheck", timedelta(minutes=6), True),
    ],
)
def test_a_finding_is_read_again_for_buttons_and_after_five_minutes(
    trigger: Trigger, age: timedelta, wanted: bool
) -> None:
    assert needs_rereading(trigger, NOW - age, NOW) is wanted
