"""
One resource for every control: broken, found by Security Hub, repaired through the deployed stacks; one line each.

`python -m sandbox.demo --all`. The stacks are deployed once; each control gets a copy of that organization in a process
of its own, so that no case meets another's resources. What a case needs as the user's choice is set as a person would
set it: in the SSM parameter behind the admin stack's RemediationParameters.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from rich.console import Console

from sandbox import scene
from sandbox.additions import securityhub
from sandbox.demo import Broken, Demo, Row, cases, choices, finding_of
from sandbox.place import Place
from sandbox.world import Sandbox
from sharr.remediation import Remediation

Item = TypeVar("Item")
Result = TypeVar("Result")
HOURS = 240
"""How long a repair is waited for: as maintenance windows need it."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one control: its row, or why there is none."""

    control: str
    row: Row | None
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Tell whether the resource was repaired, the finding RESOLVED, and the control passes."""
        row = self.row
        return bool(row and row.outcome == "REMEDIATED" and row.workflow == "RESOLVED" and row.control_passes)


def main(*, as_json: bool, only: Iterable[str] = ()) -> int:
    """Break and repair; print a line each; the exit code is 1 where one was not repaired."""
    console = Console(stderr=as_json, highlight=False)
    told = []
    for one in run(only):
        told.append(one)
        if not as_json:
            console.print(line(one), markup=False, overflow="ignore", no_wrap=True, crop=False)
    good = sum(one.is_good for one in told)
    if as_json:
        shown = [{"control": t.control, "error": t.error, "row": asdict(t.row) if t.row else None} for t in told]
        print(json.dumps(shown, indent=1))
    said = f"{len(told)} controls: {good} repaired, RESOLVED in Security Hub, and passing on the live resource."
    console.print(said, soft_wrap=True)
    return 0 if good == len(told) else 1


def line(one: Told) -> str:
    """Return the line of one control."""
    row = one.row
    if row is None:
        return f"{one.control:<18} BROKEN       {one.error.splitlines()[-1] if one.error else ''}"
    passes = "passes" if row.control_passes else "FAILS"
    seconds = f"{row.milliseconds / 1000:,.0f} s"
    return f"{one.control:<18} {row.outcome:<11} {row.workflow:<9} {passes:<7} {seconds:>9}  {row.note}"


def run(only: Iterable[str] = ()) -> Iterator[Told]:
    """Yield what became of each control (of those in *only*, where it names any), folder by folder."""
    wanted = set(only)
    with Sandbox() as world:
        demo = Demo(world)
        demo.deploy(automatic=["*"])

        def work(of: tuple[Remediation, str]) -> Row:
            remediation, control = of
            case = next(c for c in cases(remediation) if c.control == control)
            place = Place(world, region=case.region)
            return demo.row(repair(demo, remediation, case, place, case.break_it(place)))

        served = [(r, c) for r in demo.remediations for c in r.controls if not wanted or c in wanted]
        for (_, control), row in in_copies(served, work):
            yield Told(control, None, row) if isinstance(row, str) else Told(control, row)


def in_copies(items: Sequence[Item], work: Callable[[Item], Result]) -> Iterator[tuple[Item, Result | str]]:
    """
    Yield each item with what *work* made of it, in their order; as many at a time as there are processors.

    Each runs in a forked process, so in a copy of all that there is. Where it failed, the text says how.
    """
    context = multiprocessing.get_context("fork")

    def run_and_send(sender: Any, item: Item) -> None:
        sys.stdout = sys.stderr  # what is printed is the parent's business
        try:
            result: Result | str = work(item)
        except Exception:  # noqa: BLE001  # told: the others go on
            result = traceback.format_exc()
        sender.send(result)
        sender.close()

    started: list[tuple[Any, Any, Item]] = []
    at_once = max(os.cpu_count() or 1, 1)
    for number in range(len(items) + at_once):
        if number < len(items):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=run_and_send, args=(sender, items[number]))
            process.start()
            sender.close()
            started.append((process, receiver, items[number]))
        if number >= at_once - 1 and started:
            process, receiver, item = started.pop(0)
            try:
                result = receiver.recv()
                process.join()
            except EOFError:
                process.join()
                result = f"its process ended with exit code {process.exitcode}"
            yield item, result


def repair(demo: Demo, remediation: Remediation, case: Any, place: Place, resource_id: str) -> Broken:
    """Let Security Hub find a broken resource, and wait until its attempt has ended."""
    scene.choose(demo.world, choices([case]))
    finding = finding_of(demo.world, case, place, resource_id, remediation)
    broken = Broken(remediation, case, place, resource_id, finding, "automatic")
    securityhub.publish(demo.world, finding)
    demo.world.settle()
    demo.wait_for([broken], hours=HOURS)
    return broken
