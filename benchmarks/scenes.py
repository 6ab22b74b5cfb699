"""The scenes that are measured: findings one by one, a hundred at once, runbooks, and all remediations once."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.meter import Meter, Sample, log_bytes
from sandbox import samples, scene
from sandbox.additions import securityhub
from sandbox.demo import Demo
from sandbox.place import Place
from sandbox.ports import Call
from sandbox.world import Sandbox

PLAYBOOK, OUTCOME = ("sharr-repair", "sharr-starter"), ("sharr-observe", "sharr-reader")
OURS = (*PLAYBOOK, *OUTCOME)
OF_LAMBDA = ("ReceiveMessage", "DeleteMessageBatch", "CreateLogStream", "PutLogEvents")
"""What the service does with the function's role: no code of ours waits for it, but SQS bills it."""
WARM_UP, ALONE, AT_ONCE, IN_RUNBOOKS = 8, 30, 100, 8
MOST_MINUTES = 20
WIDE = {"RepairsPerHour": "10000", "FirstRepairsOneByOne": "0"}
"""Limits that nothing here reaches: measured is what a repair takes, not how long it waits."""


class NotAsMeant(RuntimeError):
    """A finding did not end as the scene needs it: its numbers would be of something else."""


@dataclass(frozen=True, slots=True)
class Measured:
    """
    What a scene took.

    *calls* are the handlers' calls (role, operation) that are not the repair's own, *by_lambda* the service's calls to
    SQS, *repairs_own* (service, operation) those at the resource. *hops* is how often a function was handed a finding.
    """

    findings: int
    calls: Counter[tuple[str, str]]
    by_lambda: Counter[str]
    repairs_own: Counter[tuple[str, str]]
    raw: list[Call]
    samples: list[Sample]
    sleeps: list[float]
    hops: Mapping[str, int]
    log_bytes: int
    to_other_accounts: int
    seconds: float

    @property
    def calls_each(self) -> float:
        """Calls besides the repair's own, for each finding."""
        return sum(self.calls.values()) / self.findings

    def calls_of(self, roles: tuple[str, ...]) -> float:
        """Calls with these roles, for each finding."""
        return sum(n for (who, _), n in self.calls.items() if who in roles) / self.findings

    def milliseconds(self, handler: str, part: str) -> float:
        """Return the CPU of a handler for each message: the median of its invocations."""
        each = [float(getattr(s, part)) / s.messages for s in self.samples if handler in s.handler]
        return statistics.median(each) * 1000


@dataclass(slots=True)
class Bench:
    """The SC playbook, deployed to the organization; KMS.4 and S3.8 are switched on."""

    world: Sandbox
    meter: Meter = field(default_factory=Meter)
    deploy_seconds: float = 0.0
    table: str = ""
    _numbers: int = 0

    def deploy(self) -> None:
        """Deploy the three stacks everywhere."""
        start = time.perf_counter()
        outputs = scene.deploy(self.world, parameters={"SCAutomaticControls": "KMS.4,S3.8", **WIDE}).admin
        self.table = outputs["TableName"]
        self.deploy_seconds = time.perf_counter() - start

    def run_as_runbooks(self) -> None:
        """Update the admin stack: whatever can runs as a runbook."""
        organization = self.world.organization
        self.world.update(
            scene.assembly(), "sharr-admin", organization.admin, organization.home, {"ExecutionMode": "runbook"}
        )

    def alone(self, count: int, controls: tuple[str, ...] = ("KMS.4",)) -> Measured:
        """Publish findings, each when the one before is over."""
        findings = [self._broken(controls[n % len(controls)]) for n in range(count)]
        gc.collect()
        gc.freeze()  # else collections walk through the whole emulated organization, and the handlers pay for it
        try:
            with self._measuring(findings) as result:
                for finding in findings:
                    securityhub.publish(self.world, finding)
                    self.world.settle()
                    self._until_over([finding])
        finally:
            gc.unfreeze()
        return result[0]

    def at_once(self, count: int = AT_ONCE) -> Measured:
        """Publish findings all together."""
        findings = [self._broken(("KMS.4", "S3.8")[n % 2]) for n in range(count)]
        with self._measuring(findings) as result:
            for finding in findings:
                securityhub.publish(self.world, finding)
            self.world.settle()
            self._until_over(findings)
        return result[0]

    def alarm_metrics(self) -> int:
        """Count the metrics that the alarms of the admin account look at."""
        organization = self.world.organization
        cloudwatch = self.world.identity.client("cloudwatch", organization.admin, organization.home)
        pages = cloudwatch.get_paginator("describe_alarms").paginate()
        metrics = [m for page in pages for alarm in page["MetricAlarms"] for m in alarm["Metrics"]]
        return sum("MetricStat" in metric for metric in metrics)

    def metric_series(self) -> int:
        """Count the custom metrics so far: name and dimensions, as CloudWatch bills them."""
        series: set[tuple[str, ...]] = set()
        for line in (line for run in self.world.functions.invocations for line in run.log if '"_aws"' in line):
            data = json.loads(line)
            for directive in data["_aws"]["CloudWatchMetrics"]:
                for names in directive["Dimensions"]:
                    values = [f"{name}={data[name]}" for name in names]
                    series |= {(directive["Namespace"], metric["Name"], *values) for metric in directive["Metrics"]}
        return len(series)

    def memory_mb(self) -> int:
        """Return the memory of the functions, which is the same for all."""
        functions = {run.function_arn for run in self.world.functions.invocations}
        (memory,) = {int(self.world.functions.find(arn).memory_size) for arn in functions}
        return memory

    def items(self) -> list[Mapping[str, Any]]:
        """Return all items of the table, in DynamoDB's JSON."""
        organization = self.world.organization
        table = self.world.identity.client("dynamodb", organization.admin, organization.home)
        return [i for page in table.get_paginator("scan").paginate(TableName=self.table) for i in page["Items"]]

    def _broken(self, control: str) -> dict[str, Any]:
        self._numbers += 1
        organization = self.world.organization
        member = organization.members[self._numbers % len(organization.members)]
        place = Place(self.world, member, organization.regions[self._numbers % len(organization.regions)])
        if control == "KMS.4":
            type_, resource = "AwsKmsKey", str(place.client("kms").create_key()["KeyMetadata"]["Arn"])
        else:
            name = f"bench-{member}-{self._numbers}"
            place.client("s3", organization.home).create_bucket(Bucket=name)
            type_, resource = "AwsS3Bucket", place.arn("s3", name, region="", account="")
        return samples.finding(
            "SC",
            control,
            account=member,
            region=place.region,
            resource_id=resource,
            resource_type=type_,
            shape="consolidated",
            now=self.world.clock.now(),
        )

    def _until_over(self, findings: list[dict[str, Any]]) -> None:
        for _ in range(MOST_MINUTES):
            left = [f["Id"] for f in findings if self._workflow(f) != "RESOLVED"]
            if not left:
                return
            self.world.advance(60)
        raise NotAsMeant(f"not RESOLVED after {MOST_MINUTES} minutes: {left}")

    def _workflow(self, finding: Mapping[str, Any]) -> str:
        organization = self.world.organization
        hub = self.world.identity.client("securityhub", organization.admin, organization.home)
        wanted = {"Id": [{"Value": finding["Id"], "Comparison": "EQUALS"}]}
        (found,) = hub.get_findings(Filters=wanted)["Findings"]
        return str(found["Workflow"]["Status"])

    @contextmanager
    def _measuring(self, findings: list[dict[str, Any]]) -> Iterator[list[Measured]]:
        world, meter, result = self.world, self.meter, list[Measured]()
        calls, runs, hops = len(world.identity.calls), len(world.functions.invocations), len(world.deliveries)
        taken, slept, start = len(meter.samples), len(meter.sleeps), time.perf_counter()
        yield result
        seconds = time.perf_counter() - start
        made = [c for c in world.identity.calls[calls:] if c.principal.kind == "role"]
        ours = [(c, name) for c in made if (name := _role(c)) in OURS and c.operation not in OF_LAMBDA]
        sweeps = [c for c in ours if c[0].operation == "Query"]  # what a minute of the clock causes, finding or not
        result.append(
            Measured(
                findings=len(findings),
                calls=Counter((name, c.operation) for c, name in ours if (c, name) not in sweeps),
                by_lambda=Counter(c.operation for c in made if c.service == "sqs" and c.operation in OF_LAMBDA),
                repairs_own=Counter((c.service, c.operation) for c in made if c.service != "events" and _own(c)),
                raw=[c for c, _ in ours],
                samples=meter.samples[taken:],
                sleeps=meter.sleeps[slept:],
                hops=_hops(world, findings, runs),
                log_bytes=log_bytes(world.functions, runs),
                to_other_accounts=sum(
                    h.kind == "rule to target" and ":event-bus/" in (h.destination or "")
                    for h in world.deliveries[hops:]
                ),
                seconds=seconds,
            )
        )


def _role(call: Call) -> str:
    return (call.principal.role_arn or "").rsplit("/", 1)[-1]


def _own(call: Call) -> bool:
    """Whether a remediation's role made the call: in the function, or in the runbook."""
    return _role(call).startswith("sharr-") and _role(call) not in OURS


def _hops(world: Sandbox, findings: list[dict[str, Any]], start: int) -> dict[str, int]:
    """Count how often a function was handed something of a finding: the finding itself, or its attempt's id."""
    of_event: dict[str, str] = {}
    handed: Counter[str] = Counter()
    table_ids: dict[str, str] = {}
    for run in world.functions.invocations[start:]:
        for line in run.log:
            data = json.loads(line) if line.startswith("{") else {}
            if data.get("message") == "outcome":
                table_ids[data["attempt"]] = data["finding"]
    wanted = {f["Id"] for f in findings}
    for run in world.functions.invocations[start:]:
        for record in run.event.get("Records", ()) if isinstance(run.event, dict) else ():
            body = json.loads(record["body"])
            if "attempt" in body:
                handed[table_ids.get(body["attempt"], "")] += 1
            elif body.get("source") == "aws.securityhub":
                for finding in body["detail"]["findings"]:
                    handed[finding["Id"]] += 1
            else:
                of_event[body["id"]] = body["detail-type"]
    each = {finding: count for finding, count in handed.items() if finding in wanted}
    if of_event:  # ends of runbooks, one for each finding
        each = {finding: count + len(of_event) // len(wanted) for finding, count in each.items()}
    return each


def every_remediation(meter: Meter) -> tuple[int, list[float]]:
    """Break one resource for each remediation and repair it. Return how many, and every sleep on the way."""
    with Sandbox() as world, meter.installed():
        demo = Demo(world, every=True)
        demo.deploy(automatic=["*"])
        demo.break_things()
        start = len(meter.sleeps)
        demo.publish()
        attempts = demo.attempts_of(demo.broken)
        bad = [f"{a.control}: {a.outcome}" for a in attempts if a.outcome != "REMEDIATED"]
        if bad or len(attempts) != len(demo.broken):
            raise NotAsMeant(f"not REMEDIATED: {bad}")
        return len(attempts), meter.sleeps[start:]
