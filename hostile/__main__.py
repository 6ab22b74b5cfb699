"""
Sends hostile messages, judges each, prints what became of them: `python -m hostile [FINDINGS]` (100,000 if left out).

All go through the function's code with AWS recorded (stage.py); the first of them (`--deployed`) also through the
deployed sandbox (deployed.py). `--write` keeps the numbers for docs/reliability.md. Exit status 1 where something was
violated.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hostile import deployed
from hostile.grammar import case
from hostile.judge import Tally, try_one
from hostile.numbers import MEASURED, grouped
from hostile.stage import Stage

AT_ONCE = 250
"""Messages that a process takes at a time."""


def main(arguments: list[str] | None = None) -> int:
    """Run, print, and keep the numbers where asked."""
    parser = argparse.ArgumentParser(prog="python -m hostile", description=__doc__)
    parser.add_argument("findings", nargs="?", type=int, default=100_000)
    parser.add_argument("--deployed", type=int, default=2_000, metavar="MESSAGES")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--case", type=int, help="show one case, and what became of it")
    parser.add_argument("--write", action="store_true", help=f"keep the numbers in {MEASURED.name}")
    options = parser.parse_args(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=120)
    if options.case is not None:
        return show(console, options.case, options.seed)
    start = time.perf_counter()
    tally = in_function(options.findings, options.seed, options.processes)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    whole = in_sandbox(options.deployed, options.seed, options.processes)
    numbers: dict[str, Any] = {
        "measured": f"{datetime.now(UTC):%Y-%m-%d}",
        "seed": options.seed,
        "seconds": round(seconds),
        "seconds_deployed": round(time.perf_counter() - start),
        "function": _as_json(tally),
        "deployed": _as_json(whole),
    }
    report(console, "Through the function's code", tally)
    report(console, "Through the deployed sandbox", whole)
    console.print(f"{seconds:.0f} s and {numbers['seconds_deployed']} s on {os.cpu_count()} cores")
    if options.write:
        MEASURED.write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n", "utf-8")
    return 1 if tally.violations or whole.violations else 0


def in_function(findings: int, seed: int, processes: int) -> Tally:
    """Send cases until so many findings were sent; each process takes turns of its own."""
    total = Tally()
    first = 0
    with ProcessPoolExecutor(processes) as pool:
        while total.findings < findings:
            left = max(1, (findings - total.findings) // AT_ONCE // 2)
            turns = [(first + AT_ONCE * n, AT_ONCE, seed) for n in range(min(left, processes * 8))]
            first += AT_ONCE * len(turns)
            for done in pool.map(_turn, turns):
                total += done
    return total


def in_sandbox(messages: int, seed: int, processes: int) -> Tally:
    """Send the first so many cases to organizations that are deployed, one in each process."""
    total = Tally()
    with ProcessPoolExecutor(processes) as pool:
        shares = [range(start, messages, processes) for start in range(min(processes, messages))]
        for done in pool.map(deployed.run, shares, [seed] * len(shares)):
            total += done
    return total


def _turn(turn: tuple[int, int, int]) -> Tally:
    first, count, seed = turn
    tally, stage = Tally(), Stage()
    with stage.installed():
        for number in range(first, first + count):
            try_one(stage, case(number, seed), tally)
    return tally


def show(console: Console, number: int, seed: int) -> int:
    """Print one case, and what became of it."""
    tally, stage, one = Tally(), Stage(), case(number, seed)
    with stage.installed():
        try_one(stage, one, tally)
    console.print(escape(ascii(one.body)[:20_000]), highlight=False)
    console.print({"bends": one.bends, "became": dict(tally.became), "violations": tally.violations})
    console.print(stage.records.sessions, stage.records.calls)
    return 1 if tally.violations else 0


def report(console: Console, title: str, tally: Tally) -> None:
    """Print what became of the findings, and what must not have."""
    table = Table(title=f"{title}: {tally.events:,} messages, {tally.findings:,} findings", title_justify="left")
    table.add_column("what became of it")
    table.add_column("findings", justify="right")
    for name, count in grouped(Counter(tally.became)):
        table.add_row(escape(name), f"{count:,}")
    console.print(table)
    console.print(f"{tally.sessions:,} sessions, {tally.calls:,} calls in member accounts")
    console.print(f"violations: {len(tally.violations)}")
    for violation in tally.violations[:20]:
        console.print(escape(violation[:400]), highlight=False)


def _as_json(tally: Tally) -> dict[str, Any]:
    return {
        "events": tally.events,
        "findings": tally.findings,
        "sessions": tally.sessions,
        "calls": tally.calls,
        "violations": len(tally.violations),
        "became": dict(tally.became),
        "bends": dict(tally.bends),
    }


if __name__ == "__main__":
    sys.exit(main())
