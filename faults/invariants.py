"""What must be true of a finding once the dust has settled, whatever failed. Each function returns what is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from faults.kinds import PASSING
from faults.stage import MAKING, Seen
from sharr.attempts import Attempt
from sharr.runtime.planning import leaves

TOLD = {"REMEDIATED": "RESOLVED", "FAILED": "NOTIFIED", "COMPLIANT": "NOTIFIED", "PREVIEWED": "NOTIFIED",
        "UNDONE": "NOTIFIED"}  # fmt: skip
SAYS_IT_CHANGED = ("not verified", "not taken back", "could not be read", "not in effect", "still:")


def after_repair(seen: Seen, kind: str, way: str) -> list[str]:
    """Judge a finding after its repair (or preview) was asked for once."""
    wrong = _at_rest(seen)
    if len(seen.attempts) != 1:
        return [*wrong, f"one outcome: there are {len(seen.attempts)} attempts"]
    (attempt,) = seen.attempts
    wrong += _true_outcome(attempt, seen) + _told(attempt, seen)
    if way == "preview" and seen.writes and any(not w.split(".")[1].startswith(_READS) for w in seen.writes):
        wrong.append("a preview wrote")
    by_another = attempt.outcome == "COMPLIANT" and any(a.outcome == "REMEDIATED" for a in seen.others)
    if (kind in PASSING or not kind) and attempt.outcome not in ("REMEDIATED", "PREVIEWED") and not by_another:
        wrong.append(f"made up for: it passes, and yet the outcome is {attempt.outcome}: {attempt.why}")
    done = [call for a in (attempt, *seen.others) for call in a.journal.get("plan", ())]
    # What an earlier try left on purpose, a later one adopts: its plan does not make it again.
    twice = {n: count for n, count in seen.created.items() if count > max(_making(done, n), _making(seen.kept, n))}
    if twice and attempt.outcome == "REMEDIATED":
        wrong.append(f"written twice: {twice}")
    if seen.executions > 1:
        wrong.append(f"written twice: {seen.executions} executions were started")
    return wrong


def after_buttons(seen: Seen, pressed: int) -> list[str]:
    """Judge a finding on which several buttons were pressed at once, in whatever order they came."""
    wrong = _at_rest(seen)
    if len(seen.attempts) != pressed:
        wrong.append(f"one outcome: {len(seen.attempts)} attempts for {pressed} requests")
    changed = bool(list(leaves(seen.before, seen.config)))
    last = max(seen.attempts, key=lambda a: a.ended_at or "")
    repaired = any(a.outcome == "REMEDIATED" for a in seen.attempts)
    undone = any(a.outcome == "UNDONE" for a in seen.attempts)
    if seen.passes != (repaired and not undone) or changed != (repaired and not undone):
        outcomes = [a.outcome for a in seen.attempts]
        wrong.append(f"true outcome: {outcomes}, but: control {'passes' if seen.passes else 'fails'}")
    if seen.finding["Workflow"]["Status"] == "RESOLVED" and not seen.passes:
        wrong.append("RESOLVED on a broken resource")
    return wrong if last.has_ended else [*wrong, "nothing is stuck: no outcome"]


def after_undo(seen: Seen, kind: str, not_restored: dict[str, str]) -> list[str]:
    """Judge a finding whose repair was undone; *kind* is the fault's where it was in the undo."""
    wrong = _at_rest(seen)
    attempt = seen.attempts[-1]
    wrong += _told(attempt, seen)
    differs = {"/".join(path) for path in leaves(seen.before, seen.config)}
    if attempt.outcome == "UNDONE":
        if differs != set(not_restored):
            wrong.append(f"undo is complete: these differ from before: {sorted(differs ^ set(not_restored))}")
    elif kind in PASSING or not kind:
        wrong.append(f"undo is complete: the outcome is {attempt.outcome}: {attempt.why}")
    elif attempt.outcome not in ("FAILED", "SKIPPED"):
        wrong.append(f"undo is complete: refused, and yet the outcome is {attempt.outcome}")
    return wrong


_READS = ("Get", "Describe", "List", "Head", "BatchGet", "Search", "Lookup")


def _at_rest(seen: Seen) -> list[str]:
    wrong = [] if seen.settled else ["nothing is stuck: there is no end"]
    wrong += [f"nothing is stuck: {text}" for text in seen.open_items]
    wrong += [f"nothing is stuck: {count} messages in {queue}" for queue, count in seen.messages.items()]
    wrong += [f"dead letter: {text}" for text in seen.dead]
    wrong += [f"the sandbox does not know: {text}" for text in seen.unknown]
    return wrong


def _true_outcome(attempt: Attempt, seen: Seen) -> list[str]:
    """The outcome is one that ended, and true of the live resource."""
    changed = bool(list(leaves(seen.before, seen.config)))
    outcome, wrote = attempt.outcome, bool(attempt.journal.get("plan"))
    says_so = any(text in attempt.why for text in SAYS_IT_CHANGED)
    true = {
        "REMEDIATED": seen.passes,
        "COMPLIANT": seen.passes and (not changed or any(a.outcome == "REMEDIATED" for a in seen.others)),
        "PREVIEWED": not changed and not seen.passes,
        "FAILED": says_so and wrote if changed else True,
        "SKIPPED": not changed,
    }
    if not true.get(outcome, False):
        state = f"control {'passes' if seen.passes else 'fails'}, {'changed' if changed else 'as before'}"
        return [f"true outcome: {outcome} ({attempt.why}), but: {state}"]
    return []


def _told(attempt: Attempt, seen: Seen) -> list[str]:
    """What Security Hub says is what the attempt says; RESOLVED stands on no broken resource."""
    status: Any = seen.finding["Workflow"]["Status"]
    wrong = []
    if status == "RESOLVED" and not seen.passes:
        wrong.append("RESOLVED on a broken resource")
    if attempt.outcome in TOLD and status != TOLD[attempt.outcome]:
        wrong.append(f"told: the outcome is {attempt.outcome}, the finding says {status}")
    if attempt.outcome in TOLD and seen.finding.get("Note", {}).get("UpdatedBy") != "SHARR":
        wrong.append("told: the finding has no note of ours")
    return wrong


def _making(calls: Iterable[Mapping[str, Any]], name: str) -> int:
    """Return how many objects of this kind the calls of plans make."""
    service, _, noun = name.partition(" ")
    operations = {f"{prefix}{noun}" for prefix in MAKING} | {f"{prefix}{noun}s" for prefix in MAKING}
    names = {operation.lower() for operation in operations}
    made = {
        str(sorted(call["parameters"].items(), key=str))
        for call in calls
        if call["client"] == service and call["operation"].replace("_", "") in names
    }
    return len(made)
