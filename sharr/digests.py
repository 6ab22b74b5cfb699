"""
What automation did in a quarter of an hour, in one message for each control. Pure; messages.py keeps the counts.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html. The form of the console's link is
not documented, so that the query stands in the message as a text, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from sharr.arns import PARTITIONS, partition_of
from sharr.attempts import Attempt, Outcome
from sharr.outcomes import message, printable
from sharr.table import stamp

QUARTER: Final = timedelta(minutes=15)
MOST_RESOURCES: Final = 20
RESOURCE_CHARACTERS: Final = 200
REASON_CHARACTERS: Final = 200
ORDER: Final[tuple[Outcome, ...]] = ("FAILED", "SKIPPED", "REMEDIATED", "COMPLIANT", "PREVIEWED", "UNDONE")
"""What needs a person first."""

_PK: Final = re.compile(
    r"digest#(?P<start>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:00\.000\+00:00)"
    r"#(?P<control>[A-Za-z0-9]{1,40}\.[0-9]{1,4})"
)
_CHANGING: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"'[^']*'|\"[^\"]*\"|`[^`]*`",
        r"\b(?:arn:|https?://)\S+",
        r"[A-Za-z0-9_/.:@-]*[0-9][A-Za-z0-9_/.:@-]*",
    )
)


@dataclass(frozen=True, slots=True)
class Line:
    """One attempt of a digest."""

    outcome: str
    account: str
    region: str
    resource: str

    @classmethod
    def of(cls, attempt: Attempt) -> Line:
        """Return what a digest says of an attempt."""
        finding = attempt.finding
        resource = printable(finding["resource"])[:RESOURCE_CHARACTERS]
        return cls(attempt.outcome, finding["account"], finding["region"], resource)


@dataclass(frozen=True, slots=True)
class Digest:
    """
    What automation did about one control in one quarter, and was not told yet.

    *pk* is its item in the table, *resources* the first of them, *version* how often it grew.
    """

    pk: str
    counts: Mapping[str, int]
    resources: tuple[Line, ...]
    version: int

    @property
    def start(self) -> datetime:
        """When the quarter began."""
        return datetime.fromisoformat(_parts(self.pk)["start"])

    @property
    def control(self) -> str:
        """The control that it is about."""
        return _parts(self.pk)["control"]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many messages were not sent, and since when: an hour has its limit."""

    count: int
    since: str

    def text(self, log_group: str) -> str:
        """Return what the next message says of them."""
        return (
            f"Messages left out since {self.since[:16].replace('T', ' ')} UTC, because the hour's limit was reached: "
            f"{self.count}. What they would have said is in the log group {log_group}."
        )


def quarter(at: datetime) -> datetime:
    """Return when the quarter of an hour (UTC) that *at* is in began."""
    at = at.astimezone(UTC)
    return at.replace(minute=at.minute - at.minute % 15, second=0, microsecond=0)


def digest_pk(control: str, at: datetime) -> str:
    """Return the key of the digest that what is told at *at* about *control* belongs to."""
    return f"digest#{stamp(quarter(at))}#{control}"


def is_digest_pk(text: object) -> bool:
    """Tell whether *text* is the key of a digest."""
    return isinstance(text, str) and _PK.fullmatch(text) is not None


def _parts(pk: str) -> Mapping[str, str]:
    found = _PK.fullmatch(pk)
    if found is None:
        raise ValueError(f"{pk[:100]!r} is no key of a digest")
    return found.groupdict()


def reason_key(why: str) -> str:
    """
    Return what two reasons have in common that differ in ids, ARNs, numbers and quoted texts only.

    At most 200 characters, in lower case.
    """
    for changing in _CHANGING:
        why = changing.sub("*", why)
    return " ".join(re.sub(r"\*(?:\W*\*)+", "*", why).lower().split())[:REASON_CHARACTERS]


def query(pk: str) -> str:
    """Return the CloudWatch Logs Insights query that lists all attempts of a digest, each once."""
    return (
        "fields @timestamp, outcome, account, region, resource, why, attempt\n"
        f'| filter digest = "{pk}"\n'
        "| sort @timestamp asc\n"
        "| dedup attempt\n"
        "| limit 10000"
    )


def query_link(text: str, log_group: str, start: datetime, end: datetime, region: str) -> str | None:
    """Return the link that opens a query in the console, None where the partition has no console that we know."""
    console = PARTITIONS[partition_of(region)].console
    if console is None:
        return None

    def of(value: str) -> str:
        """A text in the console's own notation: `*` for `%`."""
        return "'" + re.sub(r"[^A-Za-z0-9.-]", lambda c: "".join(f"*{b:02x}" for b in c[0].encode()), value)

    times = (at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z") for at in (start, end))
    since, until = map(of, times)
    detail = (
        f"~(end~{until}~start~{since}~timeType~'ABSOLUTE~tz~'UTC~editorString~{of(text)}~source~(~{of(log_group)}))"
    )
    # Quoted twice, with `$` for `%`. The console takes brackets and quotes as they are, too, but mail programs cut
    # links at them; and urllib does not quote `~`.
    once = quote(detail, safe="*.-").replace("~", "%7E")
    twice = quote(once, safe="*.-").replace("%", "$")
    return f"https://{console}/cloudwatch/home?region={region}#logsV2:logs-insights$3FqueryDetail$3D{twice}"


def digest_message(digest: Digest, log_group: str, home_region: str, left_out: str = "") -> dict[str, Any]:
    """Return an entry for SNS PublishBatch without its Id; *left_out* as in message_for()."""
    start = digest.start
    end = start + QUARTER
    counts = {outcome: digest.counts[outcome] for outcome in _ordered(digest.counts)}
    total = sum(counts.values())
    shown = digest.resources[:MOST_RESOURCES]
    text = query(digest.pk)
    # An attempt is told within the quarter that it is counted in; its line was written moments before.
    link = query_link(text, log_group, start - QUARTER, end + QUARTER, home_region)
    control = digest.control
    lines = [
        f"{control}: what automation did from {start:%Y-%m-%d %H:%M} to {end:%H:%M} UTC",
        "",
        *(f"{outcome:<11}{count:>6}" for outcome, count in counts.items()),
        "",
        f"Resources  {total}"
        if total <= len(shown)
        else f"Resources  {total}, of which these are the first {len(shown)}",
        *(f"  {line.outcome:<11}{line.account}  {line.region}  {line.resource}" for line in shown),
        "",
        f"All of them, by CloudWatch Logs Insights in the log group {log_group}:",
        *([link] if link else []),
        *text.split("\n"),
        *(["", left_out] if left_out else []),
    ]
    body = {
        "kind": "digest",
        "digest": digest.pk,
        "control": control,
        "from": stamp(start),
        "to": stamp(end),
        "counts": counts,
        "resources": [
            {"outcome": e.outcome, "account": e.account, "region": e.region, "resource": e.resource} for e in shown
        ],
        "log_group": log_group,
        "query": text,
        "link": link,
        "left_out": left_out,
    }
    outcomes = list(counts)
    subject = f"SHARR {control}: {', '.join(f'{count} {outcome}' for outcome, count in counts.items())}"
    attributes = {"kind": "digest", "control": control, "outcome": outcomes[0] if len(outcomes) == 1 else outcomes}
    return message(subject, lines, body, attributes)


def left_out_message(left_out: str, log_group: str) -> dict[str, Any]:
    """Return an entry that says nothing but that messages were left out, for when no other one follows them."""
    body = {"kind": "left-out", "left_out": left_out, "log_group": log_group}
    return message("SHARR left out messages", [left_out], body, {"kind": "left-out"})


def _ordered(outcomes: Iterable[str]) -> list[str]:
    return sorted(outcomes, key=lambda outcome: (ORDER.index(outcome) if outcome in ORDER else len(ORDER), outcome))
