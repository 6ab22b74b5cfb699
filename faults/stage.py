"""
One finding in a copy of the deployed organization: its resource broken, its events sent, its dust settled.

What is seen of it afterwards is plain data (Seen); faults/invariants.py judges that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from faults.kinds import is_write
from sandbox import scene
from sandbox.additions import securityhub
from sandbox.demo import cases, choices, finding_of
from sandbox.place import Place
from sandbox.ports import Call
from sandbox.world import Sandbox
from sharr.attempts import Attempt, Attempts
from sharr.finding import UNDO, CustomAction, custom_action_arn
from sharr.organization import PARAMETERS_FOR
from sharr.remediation import Remediation
from sharr.runtime.contract import CannotRepair, ResourceGone
from sharr.runtime.planning import Aws, inspected, plan_of
from sharr.scripts import code_of
from sharr.targets import target_of

LONGEST = timedelta(days=30)
MOST_TURNS = 400


@dataclass(slots=True)
class Seen:
    """
    What is there of a finding and its resource, once the dust has settled.

    *kept* are the calls of the first plan whose objects stay when the rest is taken back, for the next try to adopt.
    """

    attempts: list[Attempt]
    others: list[Attempt]
    finding: dict[str, Any]
    passes: bool
    config: Any
    before: Any
    open_items: list[str]
    messages: dict[str, int]
    dead: list[str]
    created: dict[str, int]
    executions: int
    writes: list[str]
    settled: bool
    unknown: list[str] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)


class Stage:
    """A deployed organization. Control lists of automation are `*`, limits are the default ones."""

    def __init__(self, world: Sandbox, **parameters: str) -> None:
        self.world, self.organization = world, world.organization
        loaded = {"LoadTaggingAdminStack": "yes", "TaggingAutomaticControls": "*", "SCAutomaticControls": "*"}
        self.outputs = scene.deploy(world, parameters={**loaded, **parameters}).admin
        admin, home = self.organization.admin, self.organization.home
        self.table = self.outputs["TableName"]
        self.dynamodb = world.identity.client("dynamodb", admin, home)
        self.hub = world.identity.client("securityhub", admin, home)
        self.attempts = Attempts(self.dynamodb, self.table)
        self.remediations: dict[str, Remediation] = {}

    def warm_up(self, remediation: Remediation) -> None:
        """Repair and undo something in another account, twice: two execution environments of each function are warm."""
        for _ in range(2):
            self.world.functions.stand_by()
            one = Scene.broken(self, remediation, account=self.organization.members[-1])
            one.publish()
            self.settle()
            one.press(UNDO)
            self.settle()

    def items(self) -> list[dict[str, Any]]:
        """Return all items of the table."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True)
        plain = TypeDeserializer().deserialize
        return [{k: plain(v) for k, v in item.items()} for page in pages for item in page["Items"]]

    def settle(self) -> bool:
        """
        Turn the clock, from one thing that is due to the next, until nothing is; False where that has no end.

        The sweeper runs once at each stop: what it does in the minutes between, where nothing is due, is nothing.
        """
        start = self.world.clock.now()
        for _ in range(MOST_TURNS):
            self.world.advance(0)
            due = list(self._due())
            if not due:
                return True
            now = self.world.clock.now()
            if now - start > LONGEST:
                return False
            self.world.clock.advance(max((min(due) - now).total_seconds(), 1.0))
        return False

    def _due(self) -> Iterator[datetime]:
        work = self.world.next_work()
        if work:
            yield work
        if any(self.world.queues.contents(arn) for arn in self.queues()):
            # A message that nobody takes, or one that comes back.
            yield self.world.queues.next_visible() or self.world.clock.now() + timedelta(minutes=1)
        waits = [item["due_at"] for item in self.items() if item.get("due_at") and item["pk"].startswith("attempt#")]
        sweep = self.world.router.next_schedule() or self.world.clock.now()
        yield from (max(datetime.fromisoformat(at).astimezone(UTC), sweep) for at in waits)
        if any(self._is_open(item) for item in self.items()) and not waits:
            yield sweep

    @staticmethod
    def _is_open(item: dict[str, Any]) -> bool:
        return item["pk"].startswith("attempt#") and not item.get("ended_at")

    def queues(self) -> list[str]:
        return sorted({mapping.event_source_arn for mapping in self.world.queues.mappings()})

    def messages(self) -> dict[str, int]:
        """Return how many messages are in the functions' queues that are not empty."""
        counts = {arn.rsplit(":", 1)[1]: len(self.world.queues.contents(arn)) for arn in self.queues()}
        return {name: count for name, count in counts.items() if count}

    def sweeper(self) -> str:
        """Return the ARN of the function that a schedule invokes."""
        admin, home = self.organization.admin, self.organization.home
        events = self.world.identity.client("events", admin, home)
        rules = [r["Name"] for r in events.list_rules()["Rules"] if r.get("ScheduleExpression")]
        targets = [t["Arn"] for name in rules for t in events.list_targets_by_rule(Rule=name)["Targets"]]
        (function,) = targets
        return str(function)

    def is_of_poller(self, call: Call) -> bool:
        """Tell whether Lambda's poller makes the call, with the role of one of our functions."""
        mine = call.principal.kind == "role" and call.principal.account == self.organization.admin
        return mine and call.operation in ("ReceiveMessage", "DeleteMessageBatch")

    def is_of_function(self, call: Call) -> bool:
        """Tell whether a function of ours makes the call: not Lambda's own poller or logging, with the same role."""
        if call.principal.kind != "role" or call.service == "logs" or call.principal.account != self.organization.admin:
            return False
        return call.operation not in ("ReceiveMessage", "DeleteMessageBatch", "GetQueueAttributes")


@dataclass(slots=True)
class Scene:
    """One broken resource with its finding; *effects* are the calls of the remediation's role that took effect."""

    stage: Stage
    remediation: Remediation
    case: Any
    place: Place
    resource_id: str
    before: Any = None
    kept: list[dict[str, Any]] = field(default_factory=list)
    finding: dict[str, Any] = field(default_factory=dict)
    ran: int = 0
    effects: list[Call] = field(default_factory=list)

    @classmethod
    def broken(cls, stage: Stage, remediation: Remediation, account: str | None = None) -> Scene:
        """Break the resource of the remediation's first case, in an account (left out, the first member)."""
        case = cases(remediation)[0]
        place = Place(stage.world, account, case.region)
        made = cls(stage, remediation, case, place, case.break_it(place))
        scene.choose(stage.world, choices([case]))
        stage.world.clock.advance((PARAMETERS_FOR + timedelta(seconds=1)).total_seconds())
        made.finding = finding_of(stage.world, case, place, made.resource_id, remediation)
        state, target = made._inspected()
        made.before = state["config"]
        made.kept = [call for call in plan_of(code_of(remediation), state, target) if call.get("kept")]
        made.ran = len(made.executions())
        return made

    @property
    def role_arn(self) -> str:
        """The remediation's role in the member account."""
        return self.place.arn("iam", f"role/sharr/{self.remediation.role_name}", region="")

    def is_own(self, call: Call) -> bool:
        """Tell whether the call is the repair's own, in the function or in a script of the runbook."""
        return call.principal.role_arn == self.role_arn

    def publish(self, **changes: Any) -> None:
        """Let Security Hub have the finding."""
        securityhub.publish(self.stage.world, {**self.finding, **changes})

    def press(self, action: CustomAction) -> None:
        """Press a button on the finding."""
        organization = self.stage.organization
        arn = custom_action_arn(action, account=organization.admin, region=organization.home)
        securityhub.press(self.stage.world, arn, [self.finding["Id"]])

    def config(self) -> Any:
        """Return `config` as the remediation sees it, read with an administrator's rights; None where it is gone."""
        try:
            return self._inspected()[0]["config"]
        except (ResourceGone, CannotRepair):
            return None

    def _inspected(self) -> tuple[dict[str, Any], dict[str, Any]]:
        code, case = code_of(self.remediation), self.case
        target = target_of(
            self.remediation,
            control=case.control,
            resource_id=self.resource_id,
            identity={"partition": self.place.partition, "account": self.place.account, "region": self.place.region},
            given={name: tuple(values) for name, values in case.parameters.items()},
            now=self.stage.world.clock.now(),
            chosen=case.settings,
        )
        aws = Aws(lambda service, region: self.place.client(service, region), target, self.remediation.regions,
                  code.auxiliaries)  # fmt: skip
        return inspected(code, aws, target), target

    def executions(self) -> list[Any]:
        """Return the automations that were started in the account and Region, of whatever finding."""
        return list(self.place.client("ssm").describe_automation_executions()["AutomationExecutionMetadataList"])

    def seen(self, settled: bool) -> Seen:
        """Look at all that the invariants speak of."""
        stage, items = self.stage, self.stage.items()
        ids = sorted(item["pk"].removeprefix("attempt#") for item in items if item["pk"].startswith("attempt#"))
        wanted = {"Id": [{"Value": self.finding["Id"], "Comparison": "EQUALS"}]}
        (finding,) = stage.hub.get_findings(Filters=wanted)["Findings"]
        every = stage.attempts.get_many(ids)
        attempts = [a for a in every if a.finding["uid"] == self.finding["Id"]]
        of_resource = [a for a in every if a.target.get("resource", {}).get("id") == self.resource_id]
        return Seen(
            attempts=sorted(attempts, key=lambda a: a.created_at),
            others=[a for a in of_resource if a.finding["uid"] != self.finding["Id"]],
            finding=dict(finding),
            passes=bool(self.case.passes(self.place, self.resource_id)),
            config=self.config(),
            before=self.before,
            open_items=[text for item in items if (text := held(item))],
            messages=stage.messages(),
            dead=[f"{arn.rsplit(':', 1)[1]}: {m['body'][:200]}" for arn, ms in stage.world.dead_letters().items()
                  for m in ms],
            created=net(self.effects),
            executions=len(self.executions()) - self.ran,
            writes=[f"{c.service}.{c.operation}" for c in self.effects],
            settled=settled,
            kept=self.kept,
            unknown=[f"{c.service}.{c.operation}: {c.error}" for c in stage.world.not_known()],
        )  # fmt: skip


def held(item: dict[str, Any]) -> str:
    """Return in what way an item of the table is still held by an attempt, '' where it is free."""
    kind = item["pk"].partition("#")[0]
    if kind == "attempt":
        wrong = [] if item.get("ended_at") else [f"open: {item.get('outcome')} {item.get('why')}"]
        wrong += ["not told"] if item.get("ended_at") and not item.get("published") else []
        wrong += ["still due"] if item.get("due_at") else []
        return f"attempt {item.get('trigger')}: {', '.join(wrong)}" if wrong else ""
    if kind == "resource" and item.get("holder"):
        return f"lease of {item['pk']}: held until {item.get('until')}"
    if kind == "control" and item.get("running"):
        return f"turn of {item['pk']}: taken by {item['running']}"
    return ""


MAKING = ("Create", "Allocate", "Run", "Copy", "Register", "Generate", "Request", "Import")
UNMAKING = ("Delete", "Release", "Terminate", "Deregister")


def net(calls: Iterable[Call]) -> dict[str, int]:
    """Return how many objects of each kind the calls that took effect made, those that were deleted again left out."""
    counts: dict[str, int] = {}
    for call in filter(is_write, calls):
        for prefixes, step in ((MAKING, 1), (UNMAKING, -1)):
            for prefix in prefixes:
                if call.operation.startswith(prefix):
                    name = f"{call.service} {call.operation.removeprefix(prefix).removesuffix('s')}"
                    counts[name] = counts.get(name, 0) + step
                    break
    return {name: count for name, count in counts.items() if count > 0}
