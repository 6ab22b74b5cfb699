"""
Guards: pure functions that may refuse an attempt, with a reason. GUARDS is the table of docs/design.md.

A guard that cannot decide refuses: a fact that is None means "not known", and not known is no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from sharr.finding import Compliance, Finding, RecordState, Trigger, Workflow
from sharr.settings import ButtonRepairs

REPAIRS = 3
REPAIRS_WITHIN = timedelta(days=7)
FRESH = timedelta(minutes=5)
LATER_CHECK = timedelta(minutes=15)
"""AWS Config may record a change some minutes late: only a check this much later than our note disagrees with it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an attempt is SKIPPED: which guard, and what a person reads."""

    guard: str
    why: str
    to_do: str = ""


TAKEN_BACK = Refusal("hold", "a person took back this repair", "press Remediate with SHARR to lift the hold")


@dataclass(frozen=True, slots=True)
class Facts:
    """All that guards may know."""

    finding: Finding
    trigger: Trigger
    now: datetime
    remediation: str | None
    is_member: bool | None
    automatic_accounts: frozenset[str] | None
    excluded_accounts: frozenset[str] | None
    automatic_controls: frozenset[str]
    repair_since: str
    asked: bool
    button_repairs: ButtonRepairs
    hold: Mapping[str, Any] | None
    repairs: tuple[datetime, ...]
    last_on_resource: str | None
    last_of_finding: str | None


Guard = Callable[[Facts], Refusal | None]
Answer = Literal["refuses", "ignores"]


def refusal_for(facts: Facts) -> Refusal | None:
    """Return the first refusal, in the table's order, None where no guard refuses."""
    for guard, triggers in GUARDS:
        if facts.trigger in triggers:
            refusal = guard(facts)
            if refusal:
                return refusal
    return None


def needs_rereading(trigger: Trigger, event_at: datetime, now: datetime) -> bool:
    """Tell whether the finding must be read again before it is judged: buttons, and events that are not fresh."""
    return trigger not in ("automatic", "recheck") or now - event_at > FRESH


def disagrees(finding: Finding, author: str) -> bool:
    """Tell whether a check says FAILED that is later than the note with which *author* resolved the finding."""
    return (
        finding.workflow is Workflow.RESOLVED
        and finding.compliance is Compliance.FAILED
        and finding.record_state is RecordState.ACTIVE
        and finding.note is not None
        and finding.note.author == author
        and finding.observed_at - finding.note.updated_at > LATER_CHECK
    )


def no_remediation(facts: Facts) -> Refusal | None:
    """No remediation of this release serves the control."""
    if facts.remediation is None:
        return Refusal("no-remediation", f"SHARR has no remediation for {facts.finding.control}", "repair it by hand")
    return None


def unknown_account(facts: Facts) -> Refusal | None:
    """The account is not a member of this Security Hub administrator, or we could not find out."""
    if not facts.is_member:
        known = "could not be looked up" if facts.is_member is None else "is not a member of this administrator"
        return Refusal("unknown-account", f"account {facts.finding.account} {known}", "check Security Hub's accounts")
    return None


def account_excluded(facts: Facts) -> Refusal | None:
    """The account is excluded, or the list could not be read."""
    if facts.excluded_accounts is None:
        return Refusal(
            "account-excluded", "the list of excluded accounts could not be read", "look at the SSM parameter"
        )
    if facts.finding.account in facts.excluded_accounts:
        return Refusal("account-excluded", f"account {facts.finding.account} is excluded by ExcludedAccounts")
    return None


def not_automatic_account(facts: Facts) -> Refusal | None:
    """Automation is limited to other accounts."""
    if facts.automatic_accounts is None:
        return Refusal(
            "account-not-automatic", "the list AutomaticAccounts could not be read", "look at the SSM parameter"
        )
    if facts.automatic_accounts and facts.finding.account not in facts.automatic_accounts:
        return Refusal("account-not-automatic", f"account {facts.finding.account} is not in AutomaticAccounts")
    return None


def suppressed(facts: Facts) -> Refusal | None:
    """A person suppressed the finding."""
    if facts.finding.workflow is Workflow.SUPPRESSED:
        return Refusal(
            "suppressed", "the finding is suppressed", "set its workflow status to NEW if it shall be repaired"
        )
    return None


def over_by_now(facts: Facts) -> Refusal | None:
    """The finding is archived or its check passes by now."""
    if facts.finding.record_state is RecordState.ARCHIVED:
        return Refusal("archived", "the finding is archived")
    if facts.finding.compliance is not Compliance.FAILED:
        return Refusal("not-failed", f"the check says {facts.finding.compliance} by now")
    return None


def handled_already(facts: Facts) -> Refusal | None:
    """A person, or an attempt, has seen the finding since the event."""
    if facts.finding.workflow is not Workflow.NEW:
        return Refusal("not-new", f"the finding's workflow status is {facts.finding.workflow} by now")
    return None


def not_switched_on(facts: Facts) -> Refusal | None:
    """Automation is off for the control."""
    if not {"*", facts.finding.control} & facts.automatic_controls:
        return Refusal("not-switched-on", f"automation is off for {facts.finding.control}")
    return None


def in_backlog(facts: Facts) -> Refusal | None:
    """The finding is older than RepairFindingsSince, was never repaired by us, and no backlog job asks for it."""
    if not facts.repair_since or facts.asked or facts.last_of_finding:
        return None
    to_do = "press Remediate with SHARR, or have a backlog job repair it"
    try:
        since = date.fromisoformat(facts.repair_since)
    except ValueError:
        return Refusal("in-backlog", "RepairFindingsSince cannot be read", "mend the parameter of the stack")
    if facts.finding.created_at.astimezone(UTC).date() < since:
        return Refusal("in-backlog", f"the finding is from before {since.isoformat()} (RepairFindingsSince)", to_do)
    return None


def button_limited(facts: Facts) -> Refusal | None:
    """The stack lets buttons repair less than this."""
    if facts.button_repairs == "any control":
        return None
    switched_on = {"*", facts.finding.control} & facts.automatic_controls
    if facts.button_repairs == "switched-on controls" and switched_on:
        return None
    return Refusal(
        "button-limited", f"ButtonRepairs is '{facts.button_repairs}'", "use Preview, or change the parameter"
    )


def held_after_undo(facts: Facts) -> Refusal | None:
    """A person took back a repair of this resource: automation leaves it alone until one presses Remediate."""
    return TAKEN_BACK if facts.hold else None


def too_often(facts: Facts) -> Refusal | None:
    """Somebody or something puts the resource back: do not fight over it."""
    recent = [at for at in facts.repairs if facts.now - at < REPAIRS_WITHIN]
    if len(recent) >= REPAIRS:
        why = f"repaired {len(recent)} times within {REPAIRS_WITHIN.days} days: somebody puts it back"
        return Refusal("too-often", why, "find who changes it; Remediate with SHARR repairs it once more")
    return None


def nothing_to_undo(facts: Facts) -> Refusal | None:
    """No repair of this finding is known."""
    if facts.last_of_finding is None:
        return Refusal("nothing-to-undo", "no repair of this finding by SHARR is known")
    return None


def not_last(facts: Facts) -> Refusal | None:
    """A later repair of the same kind changed the same resource: that one has to be taken back first."""
    if facts.last_of_finding != facts.last_on_resource:
        return Refusal(
            "not-last", f"attempt {facts.last_on_resource} repaired the resource later", "undo that one first"
        )
    return None


_ALL: tuple[Trigger, ...] = ("automatic", "remediate", "preview", "undo", "recheck")
GUARDS: tuple[tuple[Guard, tuple[Trigger, ...]], ...] = (
    (no_remediation, _ALL),
    (unknown_account, _ALL),
    (account_excluded, ("automatic", "remediate", "preview", "recheck")),
    (not_automatic_account, ("automatic",)),
    (suppressed, ("automatic", "remediate")),
    (over_by_now, ("automatic", "remediate", "recheck")),
    (handled_already, ("automatic",)),
    (not_switched_on, ("automatic",)),
    (in_backlog, ("automatic",)),
    (button_limited, ("remediate",)),
    (held_after_undo, ("automatic",)),
    (too_often, ("automatic",)),
    (nothing_to_undo, ("undo",)),
    (not_last, ("undo",)),
)
"""Guard -> the triggers that it can refuse. Parsing and the lease are guards, too: see finding.py and attempts.py."""
