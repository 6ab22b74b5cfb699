"""What `make faults` tries: deployments, remediations, ways; and how it is shared out over processes."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from faults.copies import Tried
from faults.orders import in_every_order
from faults.stage import Scene, Stage
from faults.walk import BUTTONS, Walk, Way
from sandbox.every import in_copies
from sandbox.quick_clients import quick_clients
from sandbox.world import Sandbox
from sharr.loader import ROOT, load
from sharr.remediation import Remediation

WARM = "kms/rotate_key"
WITH_THE_SPINE = ("kms/rotate_key", "rds/make_instance_private", "s3/require_tls")
"""
Remediations with which every call of the functions is tried in every kind: those calls are the same for all.

One of seconds and one call, one that is looked at again for minutes, one that merges into what is there.
"""


@dataclass(frozen=True, slots=True)
class Job:
    """One walk, in a copy of the deployed organization: a remediation and a way, or the orders of buttons."""

    remediation: str
    way: Way | None
    mode: str

    def run(self, stage: Stage) -> list[Tried]:
        """Break, walk, judge. The copy's garbage collector is off: it would write to every page that is shared."""
        gc.disable()
        broken = Scene.broken(stage, load(ROOT / "ssm_documents" / self.remediation))
        return Walk(broken, self.way).run() if self.way else in_every_order(broken)


def jobs(remediations: Iterable[Remediation], mode: str, part: int = 1) -> list[Job]:
    """Return what is tried where repairs run in *mode* (`lambda` or `runbook`); of each, every *part*-th case."""
    found = []
    for remediation in remediations:
        if mode not in remediation.places:
            continue
        spine, in_runbook = remediation.id in WITH_THE_SPINE, mode == "runbook"
        name = "rule, in a runbook" if in_runbook else "rule"
        of_it: list[Way | None] = [
            Way(name, spine=spine, own=True, few=in_runbook, two=not in_runbook, messages=not in_runbook)
        ]
        if not in_runbook:
            of_it.append(Way("button", BUTTONS["button"], spine=remediation.id == WARM))
        if remediation.id == WARM and not in_runbook:
            of_it += [Way("preview", BUTTONS["preview"], spine=True, two=True), None]
        found += [Job(remediation.id, way, mode) for way in of_it]
    if part > 1:
        found = [
            replace(job, way=replace(job.way, part=part, offset=number)) if job.way else job
            for number, job in enumerate(found)
        ]
    return found


def run(mode: str, wanted: list[Job]) -> Iterator[tuple[Job, list[Tried] | str]]:
    """Deploy once, and do each job in a copy; yield what was tried, or why that could not be done."""
    with quick_clients(), Sandbox() as world:
        stage = Stage(world, ExecutionMode=mode)
        stage.warm_up(load(ROOT / "ssm_documents" / WARM))
        gc.collect()
        gc.freeze()
        try:
            yield from in_copies(wanted, lambda job: job.run(stage))
        finally:
            gc.unfreeze()
