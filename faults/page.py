"""The numbers: on the terminal, and in docs/reliability.md between markers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from faults.copies import Tried

BEGIN, END = "<!-- tried: begin -->", "<!-- tried: end -->"
ENDS = ("REMEDIATED", "COMPLIANT", "FAILED", "SKIPPED", "other")
HEAD = ("kind", "cases", *ENDS, "violations")
ORDER = (
    "no fault", "refused", "throttled", "5xx", "5xx after it took effect", "time-out before it took effect",
    "time-out after it took effect", "errors within a 200", "process killed before", "process killed after",
    "message twice", "message again, late", "messages in another order", "another function at the same time",
    "another finding at the same time",
)  # fmt: skip


def rows(tried: Iterable[Tried]) -> list[tuple[str, ...]]:
    """Return a row for each kind that was tried, and one for all: how many cases, how they ended, violations."""
    every = list(tried)
    kinds = [kind for kind in ORDER if any(one.kind == kind for one in every)]
    return [*(_row(kind, [one for one in every if one.kind == kind]) for kind in kinds), _row("all", every)]


def _row(name: str, tried: list[Tried]) -> tuple[str, ...]:
    ends = Counter(one.outcome if one.outcome in ENDS else "other" for one in tried)
    wrong = sum(bool(one.wrong) for one in tried)
    return (name, f"{len(tried):,}", *(f"{ends[end]:,}" if ends[end] else "" for end in ENDS), f"{wrong:,}")


def summary(tried: Iterable[Tried]) -> str:
    """Return in one sentence what was tried."""
    every = list(tried)
    remediations = {one.remediation for one in every}
    calls = {(one.remediation, one.way, one.stage, one.number) for one in every}
    wrong = sum(bool(one.wrong) for one in every)
    return f"{len(every):,} cases at {len(calls):,} calls, of {len(remediations)} remediations: {wrong:,} violations."


def show(console: Console, tried: list[Tried], about: str) -> None:
    """Print the table."""
    table = Table(title=about, title_justify="left")
    for title in HEAD:
        table.add_column(title, justify="left" if title == "kind" else "right")
    for row in rows(tried):
        table.add_row(*row)
    console.print(table)
    console.print(summary(tried))


def markdown(tried: list[Tried], about: str) -> str:
    """Return the table as Markdown, under the lines that say what, where and when."""
    lines = [summary(tried), about, "", f"| {' | '.join(HEAD)} |", "| --- |" + " ---: |" * (len(HEAD) - 1)]
    lines += [f"| {' | '.join(row)} |" for row in rows(tried)]
    return "\n".join(lines)


def write(page: Path, text: str) -> None:
    """Put *text* between the markers of a page. Raises ValueError where it has none, or not in order."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: has no {BEGIN} followed by {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")
