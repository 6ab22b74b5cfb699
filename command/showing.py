"""What the command prints: tables, JSON, CSV, progress. Texts that come from findings are hostile: see one_line()."""

from __future__ import annotations

import csv
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for a formula: https://owasp.org/www-community/attacks/CSV_Injection"""
EVERY_SECONDS: Final = 2.0


class Wrong(Exception):
    """What was asked for cannot be done, and the text says why and what to do: exit code 1."""


class WrongUsage(Exception):
    """An argument is not one that the command takes, and the text says what was wanted: exit code 2."""


def one_line(text: object, most: int = 200) -> str:
    """
    Return a text that stays on its line: what is not printable (also what turns the reading direction) is escaped.

    Longer ones are cut to *most* characters.
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def csv_cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula, and that stays on its line."""
    text = one_line(value, most=32_000)
    return f"'{text}" if text.startswith(FORMULA_STARTS) or text.lstrip().startswith(FORMULA_STARTS) else text


def write_csv(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Write a new file, for its owner only; return how many rows it has. Raises Wrong where it is there already."""
    with new_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        count = 0
        for row in rows:
            writer.writerow([csv_cell(cell) for cell in row])
            count += 1
        return count


def new_file(path: Path) -> TextIO:
    """Open a new file for writing, for its owner only: findings are nobody else's. Raises Wrong."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Wrong(f"{path} is there already: name a new file") from error
    except OSError as error:
        raise Wrong(f"{path} cannot be written: {error.strerror}") from error
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows in columns; cells are one_line()."""
    cells = [[one_line(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


def print_json(value: Any) -> None:
    """Print a value as JSON; what is not ASCII is escaped."""
    print(json.dumps(value, indent=2, default=str))


@dataclass(slots=True)
class Progress:
    """Tells on stderr how far long work is, every two seconds; quick work says nothing."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _at: float = field(default_factory=time.monotonic)

    def __call__(self, text: str) -> None:
        """Say how far it is, unless that was said just now."""
        now = time.monotonic()
        if now - self._at >= EVERY_SECONDS:
            self._at = now
            print(text, file=self.stream, flush=True)
