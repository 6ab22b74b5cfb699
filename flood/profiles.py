"""What the real handlers do for a finding, a duplicate, and a batch of outcomes: run in the sandbox, call by call."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.client import BaseClient

from benchmarks import costs
from benchmarks.meter import Meter, log_bytes
from sandbox import samples, scene
from sandbox.additions import securityhub
from sandbox.demo import Broken, Demo, finding_of
from sandbox.place import Place
from sandbox.ports import Call
from sandbox.world import Sandbox

PLAYBOOK, OUTCOME = ("sharr-repair", "sharr-starter"), ("sharr-observe", "sharr-reader")
OF_LAMBDA = ("ReceiveMessage", "DeleteMessageBatch", "CreateLogStream", "PutLogEvents")
OUR_FILES = {"sharr", "lambdas", "aws_lambda_powertools"}
ASKED_SELDOM = ("GetMembers", "GetParameters")
"""
Kept for minutes by each environment of the function, as the table's items of members are: the simulation asks anew.
"""
WANTED = {"RepairsPerHour": "100000", "FirstRepairsOneByOne": "0", "RepairFindingsSince": ""}
"""Parameters of the admin stack that hold a flood back; set where the stack has them."""
CONTROL = "kms/rotate_key"
AT_ONCE = 100


class NotAsMeant(RuntimeError):
    """The handlers did something else than the profile is to be of."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call: as it is counted against a quota. *in_member*: with a role there, at that account's quota."""

    service: str
    operation: str
    in_member: bool

    @property
    def name(self) -> str:
        """As quotas.yaml has it."""
        return f"{self.service}.{self.operation}"


@dataclass(frozen=True, slots=True)
class Profile:
    """
    The calls of one finding in the playbook function in their order, its CPU at a whole vCPU, and units at the table.

    *note* is status and text that the outcome function writes on the finding: equal ones share a call. None: nothing
    is told.
    """

    control: str
    steps: tuple[Step, ...]
    cpu_seconds: float
    write_units: float
    read_units: float
    log_bytes: int
    note: tuple[str | None, str] | None


@dataclass(frozen=True, slots=True)
class Batch:
    """The calls of the outcome function for *size* equal outcomes, in their order; the same operation counted."""

    size: int
    calls: tuple[tuple[Step, int], ...]
    cpu_seconds: float
    write_units: float
    read_units: float
    log_bytes: int


@dataclass(frozen=True, slots=True)
class Profiles:
    """All of it. The first of *findings* is the one control of the flood of one control."""

    findings: tuple[Profile, ...]
    duplicate: Profile
    outcomes: Batch
    memory_mb: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory that our code, its libraries' clients and its scripts hold after so many findings."""

    findings: int
    kilobytes: float
    clients: int


class Recorder:
    """The sandbox with every control switched on, and what happened in it since a moment."""

    def __init__(self, world: Sandbox, meter: Meter, *, every: bool) -> None:
        self.world, self.meter = world, meter
        self.demo = Demo(world, every=every)
        self.demo.deploy(automatic=["*"])
        organization = world.organization
        template = json.loads((scene.assembly() / "sharr-admin.template.json").read_text("utf-8"))
        wanted = {name: value for name, value in WANTED.items() if name in template["Parameters"]}
        if wanted:
            world.update(scene.assembly(), "sharr-admin", organization.admin, organization.home, wanted)
        self.dynamodb = world.identity.client("dynamodb", organization.admin, organization.home)
        self.table = self.demo.deployment.admin["TableName"]
        self.forget()

    def forget(self) -> None:
        """Begin anew: the sandbox's records are emptied, too."""
        self.world.identity.calls.clear()
        self.world.functions.invocations.clear()
        self.world.deliveries.clear()
        self.meter.samples.clear()

    def items(self) -> list[Mapping[str, Any]]:
        """Return all items of the table."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.table)
        return [item for page in pages for item in page["Items"]]

    def calls(self, roles: Sequence[str]) -> list[Call]:
        """Return the calls of a function, and those of the remediations' roles with the playbook function's."""
        return [
            c
            for c in self.world.identity.calls
            if c.principal.kind == "role"
            and c.operation not in OF_LAMBDA
            and c.service != "events"
            and ((role := (c.principal.role_arn or "").rsplit("/", 1)[-1]) in roles or _is_repairs(role, roles))
        ]

    def cpu_seconds(self, handler: str) -> float:
        """Return the CPU of a function, without what the sandbox takes to answer."""
        return sum(s.outside_the_repair for s in self.meter.samples if handler in s.handler)

    def key(self) -> Broken:
        """Break one more KMS key."""
        organization = self.world.organization
        remediation = next(r for r in self.demo.remediations if r.id == CONTROL)
        place = Place(self.world, organization.members[0], organization.regions[-1])
        resource = str(place.client("kms").create_key()["KeyMetadata"]["Arn"])
        case = next(b for b in self.demo.broken if b.remediation.id == CONTROL).case
        return Broken(
            remediation, case, place, resource, finding_of(self.world, case, place, resource, remediation), "automatic"
        )


def _is_repairs(role: str, roles: Sequence[str]) -> bool:
    return roles is PLAYBOOK and role.startswith("sharr-") and role not in (*PLAYBOOK, *OUTCOME)


def measure() -> Profiles:
    """Run it: one finding of each remediation alone, the first again, a hundred outcomes together."""
    meter = Meter()
    with Sandbox() as world, meter.installed():
        recorder = Recorder(world, meter, every=True)
        recorder.demo.break_things()
        first = next(b for b in recorder.demo.broken if b.remediation.id == CONTROL)
        for warm in (recorder.key(), recorder.key()):
            securityhub.publish(world, warm.finding)
            world.settle()
        others = [b for b in recorder.demo.broken if b is not first]
        found = [p for broken in (first, *others) if (p := _alone(recorder, broken)) is not None]
        if not found or found[0].control != first.case.control:
            raise NotAsMeant(f"{first.case.control} was not repaired by itself")
        duplicate = _duplicate(recorder, first)
        return Profiles(tuple(found), duplicate, _outcomes(recorder), _memory_mb(world))


def _alone(recorder: Recorder, broken: Broken) -> Profile | None:
    """Return the profile of a finding that comes alone; None where it was not repaired in one look in the function."""
    world = recorder.world
    recorder.forget()
    securityhub.publish(world, broken.finding)
    world.run()
    (attempt,) = recorder.demo.attempts_of([broken])
    calls, cpu = recorder.calls(PLAYBOOK), recorder.cpu_seconds("playbook")
    logged = log_bytes(world.functions, 0)
    if attempt.outcome != "REMEDIATED" or attempt.place != "lambda":
        world.settle()
        return None
    writes, reads = costs.capacity(calls, recorder.items())
    world.settle()
    identifier = {"Id": broken.finding["Id"], "ProductArn": broken.finding["ProductArn"]}
    updates = [
        c
        for c in recorder.calls(OUTCOME)
        if c.operation == "BatchUpdateFindings" and identifier in c.parameters["FindingIdentifiers"]
    ]
    if len(updates) != 1:
        raise NotAsMeant(f"{attempt.control}: {len(updates)} updates of the finding")
    told = updates[0].parameters
    note = (told.get("Workflow", {}).get("Status"), told["Note"]["Text"])
    return Profile(broken.case.control, _steps(calls), cpu, writes, reads, logged, note)


def _duplicate(recorder: Recorder, broken: Broken) -> Profile:
    """Return the profile of an event that comes again after its attempt has ended."""
    world, organization = recorder.world, recorder.world.organization
    recorder.forget()
    event = samples.imported_event([broken.finding], admin_account=organization.admin, region=organization.home)
    world.emit(
        organization.admin,
        organization.home,
        source=event["source"],
        detail_type=event["detail-type"],
        detail=event["detail"],
    )
    world.settle()
    calls = recorder.calls(PLAYBOOK)
    if not calls or recorder.calls(OUTCOME) != [c for c in recorder.calls(OUTCOME) if c.operation == "Query"]:
        raise NotAsMeant("an event that came again was told again")
    writes, reads = costs.capacity(calls, recorder.items())
    cpu, logged = recorder.cpu_seconds("playbook"), log_bytes(world.functions, 0)
    return Profile(broken.case.control, _steps(calls), cpu, writes, reads, logged, None)


def _outcomes(recorder: Recorder) -> Batch:
    """Return what the outcome function does with a full batch."""
    world = recorder.world
    organization = world.organization
    mappings = world.identity.client("lambda", organization.admin, organization.home)
    (mapping,) = [m.uuid for m in world.queues.mappings() if "OutcomeQueue" in m.event_source_arn]
    # The clock runs on while findings are handled: none is told before all of them are there.
    mappings.update_event_source_mapping(UUID=mapping, Enabled=False)
    broken = [recorder.key() for _ in range(AT_ONCE)]
    for one in broken:
        securityhub.publish(world, one.finding)
    world.run()
    recorder.forget()
    mappings.update_event_source_mapping(UUID=mapping, Enabled=True)
    world.settle()
    runs = [run for run in world.functions.invocations if "attempt" in str(run.event) and "Outcome" in run.function_arn]
    if len(runs) != 1 or len(runs[0].event["Records"]) < AT_ONCE:
        raise NotAsMeant(f"batches of outcomes: {[len(run.event['Records']) for run in runs]}")
    size = len(runs[0].event["Records"])
    calls = [c for c in recorder.calls(OUTCOME) if c.operation != "Query"]  # a sweep's, in the minute that went by
    counted: dict[Step, int] = {}
    for step in _steps(calls):
        counted[step] = counted.get(step, 0) + 1
    writes, reads = costs.capacity(calls, recorder.items())
    logged = sum(len(line.encode()) + 26 for line in runs[0].log)
    return Batch(size, tuple(counted.items()), recorder.cpu_seconds("outcome"), writes, reads, logged)


def _steps(calls: Sequence[Call]) -> tuple[Step, ...]:
    return tuple(
        Step(c.service, c.operation, _is_repairs((c.principal.role_arn or "").rsplit("/", 1)[-1], PLAYBOOK))
        for c in calls
        if c.operation not in ASKED_SELDOM and "member#" not in str(c.parameters.get("Key", c.parameters.get("Item")))
    )


def _memory_mb(world: Sandbox) -> int:
    (memory,) = {int(world.functions.find(run.function_arn).memory_size) for run in world.functions.invocations}
    return memory


def memory(findings: int, every: int) -> list[Memory]:
    """Repair *findings* keys in one process, and measure after each *every* what our own files hold."""
    meter, result = Meter(), list[Memory]()
    with Sandbox() as world, meter.installed():
        recorder = Recorder(world, meter, every=False)
        recorder.demo.break_things()
        tracemalloc.start()
        try:
            for number in range(1, findings + 1):
                securityhub.publish(world, recorder.key().finding)
                if number % 10 == 0:
                    world.settle()
                if number % every == 0:
                    recorder.forget()
                    result.append(_memory(number))
        finally:
            tracemalloc.stop()
    return result


def _memory(findings: int) -> Memory:
    gc.collect()
    snapshot = tracemalloc.take_snapshot()
    ours = [
        trace for trace in snapshot.statistics("filename") if OUR_FILES & set(Path(trace.traceback[0].filename).parts)
    ]
    clients = sum(isinstance(one, BaseClient) for one in gc.get_objects())
    return Memory(findings, sum(trace.size for trace in ours) / 1024, clients)
