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
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from sandbox import scene
from sandbox.additions import securityhub
from sandbox.demo import Broken, Demo, Row, cases, finding_of
from sandbox.place import Place
from sandbox.world import Sandbox
from sharr.remediation import Remediation

MINUTES, HOURS = 60, 240
"""How long a repair is waited for: minute by minute, then hour by hour, as maintenance windows need it."""


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
        served = [(r, control) for r in demo.remediations for control in r.controls]
        served = [(r, control) for r, control in served if not wanted or control in wanted]
        demo.deploy_for_all()
        context = multiprocessing.get_context("fork")
        at_once = max(os.cpu_count() or 1, 1)
        waiting = [(context.Pipe(duplex=False), remediation, control) for remediation, control in served]
        started: list[tuple[Any, Any, str]] = []
        for number in range(len(waiting) + at_once):
            if number < len(waiting):
                (receiver, sender), remediation, control = waiting[number]
                process = context.Process(target=_in_a_copy, args=(sender, demo, remediation, control))
                process.start()
                sender.close()
                started.append((process, receiver, control))
            if number >= at_once - 1 and started:
                yield _told(*started.pop(0))


def repair(demo: Demo, remediation: Remediation, case: Any, place: Place) -> Broken:
    """Break a resource, let Security Hub find it, and wait until its attempt has ended."""
    resource_id = case.break_it(place)
    choose(demo, case)
    finding = finding_of(demo.world, case, place, resource_id, remediation)
    broken = Broken(remediation, case, place, resource_id, finding, "automatic")
    securityhub.publish(demo.world, finding)
    demo.world.run()
    for number in range(MINUTES + HOURS):
        if all(attempt.has_ended for attempt in demo.attempts_of([broken])):
            break
        demo.world.advance(60 if number < MINUTES else 3600)
    return broken


def choose(demo: Demo, case: Any) -> None:
    """Set what the case needs of the user's choices."""
    organization = demo.world.organization
    ssm = demo.world.identity.client("ssm", organization.admin, organization.home)
    text = "; ".join(f"{case.control}:{name}={value}" for name, value in case.settings.items())
    found = ssm.describe_parameters()["Parameters"]
    (name,) = [p["Name"] for p in found if scene.CHOICES in p["Name"]]
    ssm.put_parameter(Name=name, Value=f"parameters,{text}", Overwrite=True)


def _in_a_copy(sender: Any, demo: Demo, remediation: Remediation, control: str) -> None:
    """The process of one control."""
    sys.stdout = sys.stderr  # what a line is made of goes through the pipe
    try:
        case = next(c for c in cases(remediation) if c.control == control)
        place = Place(demo.world, region=case.region)
        told = Told(control, demo.row(repair(demo, remediation, case, place)))
    except Exception:  # noqa: BLE001  # reported as the control's line: the others go on
        told = Told(control, None, traceback.format_exc())
    sender.send(told)
    sender.close()


def _told(process: Any, receiver: Any, control: str) -> Told:
    try:
        told: Told = receiver.recv()
    except EOFError:
        told = Told(control, None, f"its process ended with exit code {process.exitcode}")
    process.join()
    return told
