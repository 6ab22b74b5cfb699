"""
What an attempt says, and to whom: workflow status, note, message, log line. Pure; publishing.py carries it out.

Sources: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_NoteUpdate.html (512 characters),
https://docs.aws.amazon.com/sns/latest/api/API_Publish.html (256 KB, subject of 100 ASCII characters)
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sharr.arns import PARTITIONS
from sharr.attempts import PUT_BACK, Attempt
from sharr.remediation import Remediation
from sharr.runtime.describing import changes, reversibility
from sharr.runtime.planning import at, leaves

NOTE_CHARACTERS = 512
AUTHOR = "SHARR"
SHOWN_CHANGES = 6
VALUE_CHARACTERS = 120
# Letters and marks without a glyph. https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def status_for(attempt: Attempt) -> str | None:
    """
    Return the workflow status that the finding gets with its note, None where it is left as it is.

    RESOLVED only after our own verification; SUPPRESSED is never touched; what is gone is archived by Security Hub.
    """
    if attempt.finding["workflow"] == "SUPPRESSED" or attempt.gone:
        return None
    if attempt.trigger == "recheck":
        return "NEW" if attempt.guard == PUT_BACK else "NOTIFIED" if attempt.has_ended else None
    if attempt.outcome == "REMEDIATED":
        return "RESOLVED"
    if attempt.outcome == "COMPLIANT":
        return None if attempt.finding["workflow"] == "RESOLVED" else "NOTIFIED"
    if attempt.outcome in ("PREVIEWED", "PENDING", "FAILED", "UNDONE"):
        return "NOTIFIED"
    return None


def writes_note(attempt: Attempt) -> bool:
    """Whether the finding gets a note: every outcome but what automation left alone, and a backlog job's previews."""
    if attempt.is_survey:
        return False
    if attempt.trigger == "recheck":
        return attempt.has_ended
    return attempt.outcome != "SKIPPED" or attempt.trigger != "automatic"


def note_for(attempt: Attempt, remediation: Remediation | None) -> str:
    """
    Return the note's text: what was done, by which remediation, what next. 1 to 512 characters.

    No time and no attempt id: equal repairs share one call. Another author's note stays behind ours.
    """
    said = f"SHARR {_verb(attempt)}: {_sentence(attempt, remediation)}"
    if attempt.to_do and attempt.outcome != "REMEDIATED":
        said += f" To do: {_end(attempt.to_do)}"
    return before_others(said, attempt.finding.get("note"))


def before_others(said: str, note: Mapping[str, Any] | None) -> str:
    """Return what we say, and behind it the note that another author (*note*: author, text) left on the finding."""
    if note and note["author"] != AUTHOR and note["text"]:
        room = NOTE_CHARACTERS - len(said := _cut(said, NOTE_CHARACTERS - 60)) - len(f" | {note['author']}: ")
        said += f" | {note['author']}: {_cut(note['text'], room)}" if room > 20 else ""
    return _cut(said, NOTE_CHARACTERS)


def differences(attempt: Attempt) -> list[tuple[str, str, str]]:
    """Return (property, before, after) of what the attempt changed, or would change; long values are cut."""
    journal = attempt.journal
    before, after = journal.get("before"), journal.get("after")
    if attempt.outcome == "PREVIEWED" and journal.get("open"):
        return [(name, _value(old), _value(new)) for name, old, new in changes(journal["open"])]
    if not before or not after:
        return []
    paths = leaves(before["config"], after["config"])
    return [("/".join(p), _value(at(before["config"], p)), _value(at(after["config"], p))) for p in paths]


def finding_link(finding: Mapping[str, Any], home_region: str) -> str | None:
    """Return the link to the finding in the Security Hub console of its partition, None where there is no console."""
    console = PARTITIONS[finding["partition"]].console
    if console is None:
        return None
    search = quote(f"Id=\\operator\\:EQUALS\\:{finding['uid']}", safe="")
    return f"https://{console}/securityhub/home?region={home_region}#/findings?search={search}"


def log_line(attempt: Attempt, now: datetime) -> dict[str, Any]:
    """Return the one JSON line of the log group for an attempt, the same fields for every outcome."""
    return {
        "outcome": attempt.outcome,
        "attempt": attempt.id,
        "trigger": attempt.trigger,
        "control": attempt.control,
        "remediation": attempt.remediation,
        "account": attempt.finding["account"],
        "region": attempt.finding["region"],
        "resource": attempt.finding["resource"],
        "finding": attempt.finding["uid"],
        "standard": attempt.finding["standard"],
        "playbook": attempt.playbook,
        "place": attempt.place,
        "execution": attempt.execution,
        "guard": attempt.guard,
        "why": printable(attempt.why),
        "to_do": printable(attempt.to_do),
        "looks": attempt.looks,
        "calls": [f"{c['client']}.{c['operation']}" for c in attempt.journal.get("plan", ())][:50],
        "differences": [list(d) for d in differences(attempt)[:SHOWN_CHANGES]],
        "job": attempt.job,
        "disagrees": disagrees(attempt),
        "undo": reversibility(attempt.journal.get("plan", [])) if attempt.journal.get("plan") else None,
        "seconds": round(seconds_to_outcome(attempt, now), 3),
    }


def seconds_to_outcome(attempt: Attempt, now: datetime) -> float:
    """Return the time from Security Hub's event to now."""
    return (now - datetime.fromisoformat(attempt.event_at)).total_seconds()


def message_for(
    attempt: Attempt, remediation: Remediation | None, home_region: str, left_out: str = ""
) -> dict[str, Any]:
    """
    Return an entry for SNS PublishBatch without its Id: text for people, JSON for programs, attributes to filter.

    *left_out* says which messages before this one were not sent, if any. An attempt that stopped the automation of its
    control is of kind `trip`, each other one of kind `outcome`.
    """
    finding = attempt.finding
    account = finding["account"] + (f" ({finding['account_name']})" if finding["account_name"] else "")
    link = finding_link(finding, home_region)
    changed = differences(attempt)
    title = printable(finding["title"])
    tripped = bool(attempt.tripped)
    lines = [
        *([f"SHARR does not repair {attempt.control} by itself any more: {_end(attempt.tripped)}"] * tripped),
        f"{attempt.outcome}: {attempt.control} {title}",
        "",
        f"Account    {account}",
        f"Region     {finding['region']}",
        f"Resource   {finding['resource']}",
        f"Severity   {finding['severity']}",
        f"Trigger    {attempt.trigger}",
        f"Done       {_sentence(attempt, remediation)}",
        *([f"To do      {_end(attempt.to_do)}"] if attempt.to_do else []),
        *([""] if changed else []),
        *(f"  {name}: {old} -> {new}" for name, old, new in changed[:SHOWN_CHANGES]),
        *([f"  and {len(changed) - SHOWN_CHANGES} more"] if len(changed) > SHOWN_CHANGES else []),
        "",
        f"Attempt    {attempt.id}",
        f"Finding    {finding['uid']}",
        *([link] if link else []),
        *(["", left_out] if left_out else []),
    ]
    body = {
        "kind": "trip" if tripped else "outcome",
        "outcome": attempt.outcome,
        "control": attempt.control,
        "title": title,
        "severity": finding["severity"],
        "account": finding["account"],
        "account_name": printable(finding["account_name"] or "") or None,
        "region": finding["region"],
        "resource": finding["resource"],
        "remediation": attempt.remediation,
        "trigger": attempt.trigger,
        "guard": attempt.guard,
        "why": printable(attempt.why),
        "to_do": printable(attempt.to_do),
        "differences": [{"property": n, "before": o, "after": a} for n, o, a in changed[:SHOWN_CHANGES]],
        "attempt": attempt.id,
        "finding": finding["uid"],
        "link": link,
        "tripped": attempt.tripped,
        "left_out": left_out,
    }
    place = f"{finding['account']} {finding['region']}"
    attributes = {
        "kind": body["kind"],
        "outcome": attempt.outcome,
        "control": attempt.control,
        "account": finding["account"],
        "region": finding["region"],
        "severity": finding["severity"],
        "trigger": attempt.trigger,
    }
    what = f"stopped {attempt.control}: {attempt.outcome}" if tripped else f"{attempt.outcome} {attempt.control}"
    return message(f"SHARR {what} {place}", lines, body, attributes)


def message(
    subject: str, lines: Iterable[str], body: Mapping[str, Any], attributes: Mapping[str, str | Sequence[str]]
) -> dict[str, Any]:
    """Return an entry for SNS PublishBatch without its Id. An attribute with several values matches by each of them."""
    text, data = "\n".join(printable(line) for line in lines), json.dumps(body, separators=(",", ":"))
    return {
        "Subject": printable(subject).encode("ascii", "replace").decode()[:100],
        "MessageStructure": "json",
        "Message": json.dumps(
            {"default": text, "email": text, "sqs": data, "https": data, "http": data, "lambda": data}
        ),
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value}
            if isinstance(value, str)
            else {"DataType": "String.Array", "StringValue": json.dumps(list(value))}
            for name, value in attributes.items()
        },
    }


def disagrees(attempt: Attempt) -> bool:
    """Whether Security Hub's later check disagrees with our repair, which is still in place."""
    return attempt.trigger == "recheck" and attempt.outcome == "COMPLIANT" and not attempt.gone


def _verb(attempt: Attempt) -> str:
    if attempt.trigger == "recheck":
        return "looked again"
    return {
        "REMEDIATED": "repaired this",
        "COMPLIANT": "found nothing to repair",
        "PREVIEWED": "preview",
        "UNDONE": "took its repair back",
        "SKIPPED": "left this alone",
        "FAILED": "could not repair this" if attempt.trigger != "undo" else "could not undo its repair",
        "PENDING": "is at work",
        "HELD": "waits",
    }.get(attempt.outcome, attempt.outcome.lower())


def _sentence(attempt: Attempt, remediation: Remediation | None) -> str:
    by = f" ({attempt.remediation})" if attempt.remediation else ""
    if attempt.guard == PUT_BACK:
        return f"Security Hub's later check fails, and it is right: {attempt.why}{by}. Its status is NEW again."
    if disagrees(attempt):
        return f"Security Hub's later check fails, but the resource is compliant in our eyes{by}: nothing is changed."
    if attempt.outcome == "REMEDIATED" and remediation:
        kind = reversibility(attempt.journal.get("plan", []))
        back = "Undo with SHARR takes it back." if kind == "full" else f"Undo: {kind}."
        return f"{remediation.note}{by}, verified on the resource. {back}"
    if attempt.outcome == "COMPLIANT":
        return f"{_end(attempt.why)} Security Hub's next check decides{by}."
    if attempt.outcome == "PREVIEWED":
        plan = attempt.journal.get("open") or []
        calls = ", ".join(f"{c['client']}.{c['operation']}" for c in plan if "operation" in c)
        kept = sorted({c["kept"] for c in plan if c.get("kept")})
        stays = f" Stays after an undo: {'; '.join(kept)}." if kept else ""
        return f"{_end(attempt.why)} Would call {calls}{by}. Undo: {reversibility(plan)}.{stays}"
    if attempt.outcome == "UNDONE":
        return f"{_end(attempt.why)} Automation leaves the resource alone until Remediate with SHARR is pressed{by}."
    return f"{_end(attempt.why)[:-1]}{by}."


def _end(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _cut(text: str, most: int) -> str:
    """Cut in the middle: the start says what happened, the end what to do."""
    text = printable(text)
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 5]} ... {text[-tail:]}"


def _value(value: Any) -> str:
    text = "absent" if value is None else value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return _cut(text, VALUE_CHARACTERS)


def printable(text: str) -> str:
    """
    What findings say may hold anything: one line of what can be seen reaches a note, a mail, a message or a log.

    Characters that turn the direction of a text round, and those that nobody sees, are left out; others become spaces.
    """
    if text.isascii() and text.isprintable():
        return text
    seen = _UNSEEN.sub("", text)
    return "".join(c if c.isprintable() else "" if unicodedata.category(c) == "Cf" else " " for c in seen)
