"""
Makes every call of every function, runbook and script fail, one at a time, and prints what was tried and what broke.

`--write` keeps the numbers in docs/reliability.md, where all remediations were tried in full. The exit code is 1 where
an invariant does not hold.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from faults import page, plan
from faults.copies import Tried
from sharr.loader import folders, load

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
MODES = ("lambda", "runbook")


def main(arguments: list[str] | None = None) -> int:
    """Try, print, and write where asked."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write the numbers into docs/{PAGE.name}")
    parser.add_argument("--part", type=int, default=1, metavar="N", help="every N-th case only")
    parser.add_argument("--mode", choices=MODES, help="only where repairs run in functions, or in runbooks")
    parser.add_argument("--verbose", action="store_true", help="print how each walk went")
    parser.add_argument("remediations", nargs="*", metavar="REMEDIATION", help="these only (left out: all)")
    options = parser.parse_args(arguments)
    every = {remediation.id: remediation for remediation in map(load, folders())}
    if unknown := set(options.remediations) - every.keys():
        parser.error(f"no such remediation: {', '.join(sorted(unknown))}")
    if options.write and (options.remediations or options.mode):
        parser.error("--write goes with all remediations")
    wanted = [every[id_] for id_ in options.remediations] or list(every.values())
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=150)
    start = time.monotonic()
    tried: list[Tried] = []
    failed: list[str] = []
    for mode in [options.mode] if options.mode else MODES:
        listed = plan.jobs(wanted, mode, options.part)
        for job, result in plan.run(mode, listed):
            if isinstance(result, str):
                failed.append(f"{job.remediation} in {mode}: {result}")
                console.print(failed[-1], markup=False)
                continue
            tried += result
            name = job.way.name if job.way else "buttons"
            if options.verbose:
                console.print(f"{job.remediation} by {name} ({mode}): {len(result)} cases", markup=False)
            for one in result:
                if one.wrong:
                    console.print(f"{one.place}\n   {one.outcome}: {'; '.join(one.wrong)}", markup=False)
    seconds = time.monotonic() - start
    spent = os.times()
    cpu = spent.user + spent.system + spent.children_user + spent.children_system
    about = (
        f"Tried {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores (Python {platform.python_version()}) in "
        f"{seconds / 60:.0f} minutes ({cpu / 60:.0f} of CPU)."
        + (f" Every {options.part}th case only." if options.part > 1 else "")
    )
    page.show(console, tried, about)
    if options.write and not failed:
        page.write(PAGE, page.markdown(tried, about))
        console.print(f"Written into {PAGE}")
    return 1 if failed or any(one.wrong for one in tried) else 0


if __name__ == "__main__":
    sys.exit(main())
