"""Rows of measured values beside their goals: on the terminal, and in docs/performance.md between markers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One value. *goal* is the most it may be, None where it is only told; *predecessor* what AWS's solution needs."""

    group: str
    what: str
    value: float
    unit: str = ""
    goal: float | None = None
    predecessor: str = ""
    digits: int = 1

    @property
    def verdict(self) -> str:
        """Whether the goal is reached; empty where there is none."""
        return "" if self.goal is None else "pass" if self.value <= self.goal else "MISS"

    def cells(self) -> tuple[str, ...]:
        """Return what the table shows."""
        goal = "" if self.goal is None else f"≤ {_with_unit(self.goal, 2, self.unit)}"
        value = _with_unit(self.value, self.digits, self.unit)
        return self.group, self.what, value, goal, self.verdict, self.predecessor


HEAD = ("", "what", "measured", "goal", "", "AWS's solution")


def show(console: Console, rows: Iterable[Row], about: str) -> None:
    """Print the table."""
    table = Table(title=about, title_justify="left")
    for title in HEAD:
        table.add_column(title, justify="right" if title in ("measured", "goal") else "left", overflow="fold")
    for row, group in _grouped(rows):
        colour = {"pass": "green", "MISS": "red"}.get(row.verdict, "default")
        cells = (group, *row.cells()[1:])
        table.add_row(*cells[:4], f"[{colour}]{cells[4]}[/{colour}]", cells[5], end_section=False)
    console.print(table)


def markdown(rows: Iterable[Row], about: str) -> str:
    """Return the table as Markdown, under a line that says where and when it was measured."""
    lines = [about, "", f"| {' | '.join(HEAD)} |", "| --- | --- | ---: | ---: | --- | --- |"]
    for row, group in _grouped(rows):
        lines.append("| " + " | ".join((group, *row.cells()[1:])) + " |")
    return "\n".join(lines)


def write(page: Path, text: str, block: str = "measured") -> None:
    """Put *text* between the markers of a page's block. Raises ValueError where it has none, or not in order."""
    first, last = f"<!-- {block}: begin -->", f"<!-- {block}: end -->"
    before, begin, rest = page.read_text("utf-8").partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"{page}: has no {first} followed by {last}")
    page.write_text(f"{before}{first}\n{text}\n{last}{after}", "utf-8")


def _grouped(rows: Iterable[Row]) -> Iterable[tuple[Row, str]]:
    """Give each row with its group's name where that differs from the row before."""
    last = ""
    for row in rows:
        yield row, row.group if row.group != last else ""
        last = row.group


def _with_unit(value: float, digits: int, unit: str) -> str:
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text and unit != "$" else text
    return f"${text}" if unit == "$" else f"{text} {unit}".rstrip()
