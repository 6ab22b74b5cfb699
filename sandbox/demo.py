"""
The demo: breaks resources all over the emulated organization and watches the deployed templates repair them.

`python -m sandbox.demo` prints what a person reads; `--json` the same for programs; build/demo.html is written by both.
It shows the remediations of SHOWN; `--all` breaks and repairs a resource for every control instead.
"""

from __future__ import annotations

import argparse
import html
import importlib.util
import json
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from sandbox import samples, scene
from sandbox.additions import securityhub
from sandbox.place import Place
from sandbox.world import Sandbox
from sharr.attempts import Attempt, Attempts
from sharr.finding import IMPORTED, PREVIEW, REMEDIATE, UNDO, CustomAction, custom_action_arn
from sharr.loader import folders, load
from sharr.outcomes import differences
from sharr.remediation import Remediation

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "build" / "demo.html"
LONGEST_WAIT_MINUTES = 45
WIDTH = 150
"""Of the tables where the output is no terminal: a log or a file."""
SHOWN = {
    "ec2/revoke_open_ingress": "SC",
    "kms/rotate_key": "CIS140",
    "s3/require_tls": "AFSBP",
    "rds/make_instance_private": "SC",
    "ec2/log_vpc_traffic": "CIS140",
    "iam/strengthen_password_policy": "AFSBP",
    "cloudtrail/create_trail": "SC",
    "ec2/make_snapshots_private": "SC",
    "lambda/remove_public_access": "AFSBP",
    "dynamodb/scale_with_demand": "SC",
    "guardduty/enable_detector": "SC",
    "elb/redirect_http": "AFSBP",
    "tags/add_required_tags": "Tagging",
    "s3/block_public_access": "SC",
    "secretsmanager/turn_on_rotation": "SC",
    "config/record_configuration": "CIS140",
}
"""
Remediation -> the standard whose finding is shown; by turns a rule repairs it and the button.

A choice of what differs: in the function and in a runbook, seconds and minutes, of one resource and of an account, by
standards' own findings, with a choice of the user's.
"""
CHECKED_IN_ONE_REGION = ("cloudfront/",)
"""
Services whose findings are the home Region's here, us-east-1.

Source: https://docs.aws.amazon.com/securityhub/latest/userguide/cloudfront-controls.html
"""
LOADED = ("AFSBP", "CIS140", "Tagging")
"""Playbooks that the demo loads beside SC's."""


@dataclass(slots=True)
class Row:
    """One finding's way, as the table shows it."""

    control: str
    standard: str
    account: str
    region: str
    resource: str
    trigger: str
    finding: str
    path: str = ""
    outcome: str = ""
    milliseconds: int = 0
    workflow: str = ""
    note: str = ""
    control_passes: bool | None = None
    differences: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Broken:
    """A resource that fails its control, and how to look whether it still does."""

    remediation: Remediation
    case: Any
    place: Place
    resource_id: str
    finding: dict[str, Any]
    trigger: str

    @property
    def is_shown(self) -> bool:
        """Tell whether the demo shows this remediation, which others may break as well."""
        return self.remediation.id in SHOWN


def cases(remediation: Remediation) -> tuple[Any, ...]:
    """Return CASES of a remediation's test module: the demo is derived from the folders, as everything is."""
    name = remediation.id.split("/")[1]
    path = ROOT / "ssm_documents" / remediation.id / f"test_{name}.py"
    spec = importlib.util.spec_from_file_location(f"demo_{remediation.id.replace('/', '_')}", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return tuple(module.CASES)


def choices(of: Iterable[Any]) -> str:
    """Return what CASES need of the user's choices, as the admin stack's parameter RemediationParameters takes it."""
    return "; ".join(f"{case.control}:{name}={value}" for case in of for name, value in case.settings.items())


def finding_of(
    world: Sandbox, case: Any, place: Place, resource_id: str, remediation: Remediation, standard: str | None = None
) -> dict[str, Any]:
    """Return the failed finding of a broken resource, as *standard* has it; left out, in the consolidated shape."""
    if standard is None:
        standard = "Tagging" if samples.standards()["Tagging"].serves(case.control) else "SC"
    types = [
        r.type
        for r in remediation.resources
        if r.compiled(place.partition, place.region, place.account).fullmatch(resource_id)
    ]
    found = samples.finding(
        standard,
        case.control,
        account=place.account,
        region=place.region,
        partition=place.partition,
        resource_id=resource_id,
        resource_type=types[0],
        now=world.clock.now(),
    )
    found["AwsAccountName"] = world.organization.names[place.account]
    found["Compliance"]["SecurityControlParameters"] = [{"Name": n, "Value": v} for n, v in case.parameters.items()]
    return found


class Demo:
    """
    The scenes of the demo, in the order in which a person sees them.

    With *every*, it is one resource of every remediation that is broken, not of those in SHOWN.
    """

    def __init__(self, world: Sandbox, *, every: bool = False) -> None:
        self.world = world
        self.remediations = [load(folder) for folder in folders()]
        by_id = {remediation.id: remediation for remediation in self.remediations}
        self.shown = self.remediations if every else [by_id[id_] for id_ in SHOWN]
        self.standards: Mapping[str, str] = {} if every else SHOWN
        self.broken: list[Broken] = []
        self.seconds: dict[str, float] = {}
        self.refused: list[dict[str, str]] = []

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Note how long a scene took."""
        start = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start

    def deploy(self, *, every_playbook: bool = False, automatic: Collection[str] | None = None) -> None:
        """
        Deploy the three stacks everywhere; the controls *automatic* are switched on, the others have the button.

        Left out, it is the control shown of every second remediation that is shown; "*" alone means all controls.
        """
        names = [s.name for s in samples.standards()]
        first = [cases(remediation)[0] for remediation in self.shown]
        with self.timed("synthesize"):
            scene.assembly()
        if automatic is None:
            automatic = [case.control for case in first[::2]]
        loaded = names if every_playbook else ("SC", *LOADED)
        parameters = {"RemediationParameters": choices(first)}
        for standard in map(samples.standards().__getitem__, loaded):
            taken = [c for c in automatic if c == "*" or standard.serves(c)]
            parameters[f"{standard.name}AutomaticControls"] = ",".join(taken)
            parameters[f"Load{standard.name}AdminStack"] = "yes"
        with self.timed("deploy"):
            self.deployment = scene.deploy(self.world, parameters=parameters)
        self.automatic = set(automatic)
        table = self.deployment.admin["TableName"]
        organization = self.world.organization
        self.attempts = Attempts(self.world.identity.client("dynamodb", organization.admin, organization.home), table)

    def break_things(self) -> None:
        """Break one resource per remediation shown, by the first of its CASES, each in another account and Region."""
        organization = self.world.organization
        with self.timed("break"):
            for number, remediation in enumerate(self.shown):
                case = cases(remediation)[0]
                account = organization.members[number % len(organization.members)]
                region = organization.regions[number % len(organization.regions)]
                if remediation.id.startswith(CHECKED_IN_ONE_REGION):
                    region = organization.home
                place = Place(self.world, account, case.region or region)
                resource_id = case.break_it(place)
                standard = self.standards.get(remediation.id)
                finding = finding_of(self.world, case, place, resource_id, remediation, standard)
                is_automatic = bool(self.automatic & {case.control, "*"})
                trigger = "automatic" if is_automatic else "remediate"
                self.broken.append(Broken(remediation, case, place, resource_id, finding, trigger))

    def publish(self) -> None:
        """Let Security Hub find what is broken: rules repair what is switched on, the button the rest."""
        with self.timed("repair"):
            for broken in self.broken:
                securityhub.publish(self.world, broken.finding)
            self.world.settle()
            self.press(REMEDIATE, [b for b in self.broken if b.trigger == "remediate"])
            self.wait_for(self.broken)

    def wait_for(self, which: list[Broken], *, hours: int = 0) -> None:
        """Turn the clock until the attempts on these have ended: minute by minute, then hour by hour."""
        for seconds in [60] * LONGEST_WAIT_MINUTES + [3600] * hours:
            if all(attempt.has_ended for attempt in self.attempts_of(which)):
                break
            self.world.advance(seconds)

    def press(self, action: CustomAction, which: list[Broken]) -> None:
        """Select findings in the console and press a button of ours."""
        organization = self.world.organization
        arn = custom_action_arn(action, account=organization.admin, region=organization.home)
        if which:
            securityhub.press(self.world, arn, [b.finding["Id"] for b in which])
        self.world.settle()

    def preview_and_undo(self) -> list[Row]:
        """Break one resource again, preview its repair, repair it, and take the repair back."""
        first = next(b for b in self.broken if b.remediation.id == "kms/rotate_key")
        place = Place(self.world, self.world.organization.members[0], self.world.organization.regions[-1])
        case = first.case
        resource_id = case.break_it(place)
        finding = finding_of(self.world, case, place, resource_id, first.remediation)
        broken = Broken(first.remediation, case, place, resource_id, finding, "preview")
        rows = []
        with self.timed("preview and undo"):
            securityhub.publish(self.world, finding)
            for action in (PREVIEW, REMEDIATE, UNDO):
                self.press(action, [broken])
                broken.trigger = action.trigger
                rows.append(self.row(broken))
        return rows

    def attack(self) -> list[dict[str, str]]:
        """Send forged and hostile findings; say what became of each, and that no call was made for any."""
        organization = self.world.organization
        member, home = organization.members[0], organization.home
        stranger = "999999999999"
        group = Place(self.world, member, home).arn("ec2", "security-group/sg-0123456789abcdef0")
        # Only what is switched on has a rule that lets a forged finding in.
        switched_on = (b for b in self.broken if b.trigger == "automatic")
        control = next(b.case.control for b in switched_on if b.remediation.id == "ec2/revoke_open_ingress")

        def forged(account: str = member, resource: str = group, **changes: Any) -> dict[str, Any]:
            made = samples.finding(
                "SC",
                control,
                account=account,
                region=home,
                resource_id=resource,
                resource_type="AwsEc2SecurityGroup",
                shape="consolidated",
                now=self.world.clock.now(),
            )
            return {**made, **changes}

        product = forged()["ProductArn"].replace("::product/aws/securityhub", f":{stranger}:product/{stranger}/default")
        digits = "".join(chr(0x0660 + int(digit)) for digit in member)
        of_stranger = group.replace(member, stranger)
        resources = [{**forged()["Resources"][0], "Id": f"{group}{n}"} for n in range(32)]
        attacks = [
            ("a product that is not Security Hub's", forged(ProductArn=product)),
            ("a resource of another account", forged(Resources=[{**resources[0], "Id": of_stranger}])),
            ("a newline in the resource id", forged(Resources=[{**resources[0], "Id": f"{group}\nEVIL"}])),
            ("a path that climbs", forged(Resources=[{**resources[0], "Id": f"{group}/../../role/admin"}])),
            ("Arabic digits for the account", forged(AwsAccountId=digits)),
            ("an account that is no member", forged(stranger, of_stranger)),
            ("a text where a list belongs", forged(Resources="none")),
            ("thirty-two resources, none of them right", forged(Resources=resources)),
        ]
        before = len(self.world.identity.calls)
        with self.timed("attack"):
            for what, finding in attacks:
                dead = sum(len(v) for v in self.world.dead_letters().values())
                start = len(self.world.functions.invocations)
                event = samples.imported_event([finding], admin_account=organization.admin, region=home)
                self.world.emit(
                    organization.admin,
                    home,
                    source=event["source"],
                    detail_type=event["detail-type"],
                    detail=event["detail"],
                )
                self.world.settle()
                lines = [line for i in self.world.functions.invocations[start:] for line in i.log]
                became = "no rule took it"
                if sum(len(v) for v in self.world.dead_letters().values()) > dead:
                    became = "dead-letter queue: " + _reason(lines)
                elif any('"outcome":"SKIPPED"' in line for line in lines):
                    became = "SKIPPED: " + _reason(lines)
                self.refused.append({"attack": what, "became": became})
        assumed = [c for c in self.world.identity.calls[before:] if c.operation == "AssumeRole"]
        self.refused.append({"attack": "roles assumed for all of these", "became": str(len(assumed))})
        return self.refused

    # --- what is shown

    def hops(self, broken: Broken) -> list[dict[str, Any]]:
        """Return one finding's every hop: deliveries of its event, and each call made with its attempt's sessions."""
        (attempt,) = self.attempts_of([broken])
        routed = next(
            r
            for r in self.world.router.seen
            if r.account == self.world.organization.admin
            and r.event["detail-type"] == IMPORTED
            and r.event["detail"]["findings"][0]["Id"] == broken.finding["Id"]
        )
        steps: list[tuple[datetime, str]] = [
            (h.at, f"{h.kind}: {_short(h.source)} -> {_short(h.destination)}")
            for h in self.world.hops_of(routed.event["id"])
        ]
        for c in self.world.identity.calls:
            if c.principal.session_name == attempt.id or c.parameters.get("RoleSessionName") == attempt.id:
                role = (c.principal.role_arn or c.principal.arn).split("/")[-1]
                on = c.parameters.get("RoleArn", f"{c.account} {c.region}")
                steps.append(
                    (c.at, f"{role} calls {c.service}.{c.operation} on {on}" + (f": {c.error}" if c.error else ""))
                )
            elif c.operation in ("BatchUpdateFindings", "PublishBatch") and c.at >= routed_at(steps):
                mentions = json.dumps(c.parameters, default=str)
                if broken.finding["Id"] in mentions:
                    steps.append((c.at, f"sharr-observe calls {c.service}.{c.operation}"))
        steps.sort(key=lambda step: step[0])
        start = steps[0][0]
        return [{"ms": int((at - start).total_seconds() * 1000), "what": what} for at, what in steps]

    def attempts_of(self, which: list[Broken]) -> list[Attempt]:
        """Return the current attempt of each finding."""
        ids = [self.attempts.known(b.finding["Id"], "-").finding.get("attempt") for b in which]
        return self.attempts.get_many([i for i in ids if i])

    def row(self, broken: Broken) -> Row:
        """Return what the table shows of a finding, read from Security Hub and the table of attempts."""
        organization = self.world.organization
        hub = self.world.identity.client("securityhub", organization.admin, organization.home)
        wanted = {"Id": [{"Value": broken.finding["Id"], "Comparison": "EQUALS"}]}
        (now,) = hub.get_findings(Filters=wanted)["Findings"]
        attempts = self.attempts_of([broken])
        row = Row(
            control=broken.case.control,
            standard=self._standard(broken),
            account=f"{organization.names[broken.place.account]}",
            region=broken.place.region,
            resource=broken.resource_id.split(":", 5)[-1],
            trigger=broken.trigger,
            finding=broken.finding["Id"],
            workflow=now["Workflow"]["Status"],
            note=now.get("Note", {}).get("Text", ""),
            control_passes=broken.case.passes(broken.place, broken.resource_id),
        )
        if attempts:
            (attempt,) = attempts
            row.outcome = attempt.outcome
            row.path = {"lambda": "function"}.get(attempt.place, attempt.place)
            row.milliseconds = _milliseconds(attempt)
            row.differences = differences(attempt)
        return row

    def _standard(self, broken: Broken) -> str:
        generator = broken.finding["GeneratorId"]
        of_it = [s.name for s in samples.standards() if s.own_id(generator) is not None]
        return "Tagging" if samples.standards()["Tagging"].serves(broken.case.control) else of_it[0]


def routed_at(steps: list[tuple[datetime, str]]) -> datetime:
    """Return when the finding's event was routed: what came before is another finding's."""
    return min(at for at, _ in steps)


def _short(arn: str | None) -> str:
    return (arn or "").split(":", 5)[-1]


def _reason(lines: list[str]) -> str:
    for line in lines:
        try:
            data = json.loads(line)
        except ValueError:
            continue
        for key in ("reason", "why"):
            if data.get(key):
                return str(data[key])[:120]
    return ""


def _milliseconds(attempt: Attempt) -> int:
    end = attempt.ended_at or attempt.created_at
    spent = datetime.fromisoformat(end) - datetime.fromisoformat(attempt.event_at)
    return max(int(spent.total_seconds() * 1000), 0)


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; the exit code is 1 where a finding that should be RESOLVED is not."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--all", action="store_true", help="break and repair a resource for every control instead")
    parser.add_argument("controls", nargs="*", metavar="CONTROL", help="with --all: these controls only")
    options = parser.parse_args(arguments)
    served = {control for folder in folders() for control in load(folder).controls}
    if unknown := set(options.controls) - served:
        parser.error(f"{', '.join(sorted(unknown))}: not repaired by any remediation")
    if options.controls and not options.all:
        parser.error("controls go with --all")
    if options.all:
        from sandbox import every  # here: it imports this module

        return every.main(as_json=options.json, only=options.controls)
    console = Console(stderr=options.json)
    if not console.is_terminal:
        console = Console(stderr=options.json, width=WIDTH)
    with Sandbox() as world:
        demo = Demo(world)
        with Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
        ) as progress:
            for title, scene_ in (
                ("Synthesizing and deploying three stacks to an organization of five accounts", demo.deploy),
                ("Breaking resources", demo.break_things),
                ("Security Hub finds them; rules and buttons repair them", demo.publish),
            ):
                task = progress.add_task(title, total=None)
                scene_()
                progress.remove_task(task)
            rows = [demo.row(broken) for broken in demo.broken]
            again = demo.preview_and_undo()
            hops = demo.hops(
                next(b for b in demo.broken if b.trigger == "automatic" and b.remediation.places[0] == "lambda")
            )
            refused = demo.attack()
        shown = {
            "rows": [asdict(row) for row in rows],
            "preview_and_undo": [asdict(row) for row in again],
            "hops": hops,
            "refused": refused,
            "seconds": {name: round(value, 2) for name, value in demo.seconds.items()},
            "calls": len(world.identity.calls),
            "remediations": len(demo.remediations),
            "controls": len({control for remediation in demo.remediations for control in remediation.controls}),
            "not_known": len(world.not_known()),
        }
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(report(shown))
        if options.json:
            print(json.dumps(shown, indent=1))
        else:
            show(console, shown)
    good = all(row.workflow == "RESOLVED" and row.control_passes for row in rows)
    undone = [row.outcome for row in again] == ["PREVIEWED", "REMEDIATED", "UNDONE"]
    return 0 if good and undone and not shown["not_known"] else 1


COLUMNS = ("control", "standard", "account", "region", "resource", "path", "outcome", "milliseconds", "workflow")


def show(console: Console, shown: dict[str, Any]) -> None:
    """Print the tables."""
    for title, rows in (
        ("Findings, and what became of them", shown["rows"]),
        ("One finding previewed, repaired, and taken back", shown["preview_and_undo"]),
    ):
        table = Table(title=title, title_justify="left", show_lines=False, expand=False)
        for column in ("", *COLUMNS):
            table.add_column(
                "ms" if column == "milliseconds" else column, overflow="fold", no_wrap=column != "resource"
            )
        for row in rows:
            mark = {"automatic": "rule", "remediate": "button"}.get(row["trigger"], row["trigger"])
            table.add_row(mark, *(str(row[column]) for column in COLUMNS))
        console.print(table)
        console.print()
    for row in shown["preview_and_undo"]:
        console.print(f"  [bold]{row['outcome']}[/bold] {html.escape(row['note'])}", highlight=False)
    console.print()
    table = Table(title="One finding's every hop", title_justify="left")
    table.add_column("ms", justify="right")
    table.add_column("what happened", overflow="fold")
    for hop in shown["hops"]:
        table.add_row(str(hop["ms"]), hop["what"])
    console.print(table)
    console.print()
    table = Table(title="Forged and hostile findings", title_justify="left")
    table.add_column("sent")
    table.add_column("what became of it", overflow="fold")
    for one in shown["refused"]:
        table.add_row(one["attack"], one["became"])
    console.print(table)
    outcomes = Counter(row["outcome"] for row in shown["rows"])
    resolved = sum(row["workflow"] == "RESOLVED" for row in shown["rows"])
    passing = sum(bool(row["control_passes"]) for row in shown["rows"])
    said = ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
    console.print(
        f"\n{len(shown['rows'])} findings: {said}; {resolved} RESOLVED in Security Hub; "
        f"{passing} controls pass on the live resource."
    )
    console.print(f"{shown['calls']} API calls, every one judged by IAM. Seconds: {shown['seconds']}")
    console.print(
        f"Shown is a choice of {shown['remediations']} remediations; `make demo ARGS=--all` breaks and repairs a "
        f"resource for each of {shown['controls']} controls."
    )
    console.print(f"Report: {REPORT.relative_to(ROOT)}")


def report(shown: dict[str, Any]) -> str:
    """Return the same as one HTML page; every value is escaped, since findings may hold anything."""

    def cell(value: Any) -> str:
        return f"<td>{html.escape(str(value))}</td>"

    def rows(which: str) -> str:
        columns = ("trigger", *COLUMNS, "note")
        head = "".join(f"<th>{c}</th>" for c in columns)
        body = "".join(
            f"<tr class='{html.escape(row['outcome'])}'>{''.join(cell(row[c]) for c in columns)}</tr>"
            + "".join(
                f"<tr class=d><td colspan={len(columns)}>{html.escape(name)}: {html.escape(old)} &rarr; "
                f"{html.escape(new)}</td></tr>"
                for name, old, new in row["differences"][:6]
            )
            for row in shown[which]
        )
        return f"<table><tr>{head}</tr>{body}</table>"

    refused = "".join(f"<tr>{cell(r['attack'])}{cell(r['became'])}</tr>" for r in shown["refused"])
    hops = "".join(f"<tr>{cell(h['ms'])}{cell(h['what'])}</tr>" for h in shown["hops"])
    return (
        "<!doctype html><meta charset=utf-8><title>SHARR demo</title><style>body{font:14px system-ui;margin:2rem}"
        "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;"
        "vertical-align:top}.d td{color:#555;font-family:monospace;border-top:0}"
        ".REMEDIATED td:nth-child(8){background:#dfd}.FAILED td:nth-child(8){background:#fdd}</style>"
        "<h1>SHARR demo</h1>"
        f"<h2>Findings</h2>{rows('rows')}<h2>Preview, repair, undo</h2>{rows('preview_and_undo')}"
        f"<h2>One finding's every hop</h2><table>{hops}</table>"
        f"<h2>Forged and hostile findings</h2><table>{refused}</table>"
        f"<p>{shown['calls']} API calls; seconds: {html.escape(json.dumps(shown['seconds']))}</p>"
    )


if __name__ == "__main__":
    sys.exit(main())
