"""
`python -m flood`: ten thousand findings, simulated; `--write` puts table and plots into docs/.

What the handlers do is measured first (profiles.py, in the sandbox); then the floods are simulated (simulation.py).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import botocore.session

from benchmarks import costs, table
from flood import clients, plots, profiles, quotas
from flood.clients import Resident
from flood.profiles import Memory, Profiles
from flood.simulation import Deployment, Flood, Message, Result
from sandbox import scene

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGE = DOCS / "performance.md"
FINDINGS, ACCOUNTS, CONTROLS, IN_ONE_ACCOUNT = 10_000, 100, 50, 1_000
REGION = "us-east-1"
HIGH = 400
WARM_UNITS = 12_000
"""
Read and write units a second of a table whose warm throughput was raised.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html
"""
UPDATES_AT_MOST, SECONDS_AT_MOST, SECONDS_AT_HIGH = 110, 300, 90
MEMORY_FINDINGS, MEMORY_EVERY = 1_000, 100


@dataclass(frozen=True, slots=True)
class Scenario:
    """A flood and what came of it."""

    name: str
    concurrency: int
    messages: int
    result: Result
    usd_for_1000: float
    goal: tuple[int | None, int | None] = (None, None)
    """At most so many BatchUpdateFindings, and so many seconds."""

    @property
    def updates(self) -> int:
        """Calls of BatchUpdateFindings, those that were throttled too."""
        return self.result.calls["securityhub.BatchUpdateFindings"]

    @property
    def misses(self) -> bool:
        """Whether a goal is not reached, or a finding did not end REMEDIATED and told."""
        updates, seconds = self.goal
        if self.result.skipped or self.result.failed or self.result.dead:
            return True
        return (updates or self.updates) < self.updates or (seconds or self.result.drained) < self.result.drained


def deployment(folder: Path | None = None) -> Deployment:
    """Return what the synthesized templates set, at the default concurrency."""
    folder = folder or scene.assembly()
    admin = json.loads((folder / "sharr-admin.template.json").read_text("utf-8"))
    outcome = admin["Resources"]["OutcomeReads"]["Properties"]
    templates = (json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.template.json")))
    playbook = next(t["Resources"] for t in templates if "PlaybookReads" in t["Resources"])
    return Deployment(
        batch=playbook["PlaybookReads"]["Properties"]["BatchSize"],
        concurrency=int(admin["Parameters"]["MaximumConcurrency"]["Default"]),
        outcome_batch=outcome["BatchSize"],
        outcome_window=outcome["MaximumBatchingWindowInSeconds"],
        outcome_concurrency=outcome["ScalingConfig"]["MaximumConcurrency"],
        visibility_seconds=playbook["Queue"]["Properties"]["VisibilityTimeout"],
    )


def messages(
    measured: Profiles, count: int, *, accounts: int, controls: int = 1, times: int = 1, seed: int = 1
) -> list[Message]:
    """Return the events of *count* findings, each *times*, in random order; controls and accounts in turn."""
    made = [
        Message(n, measured.findings[n % controls % len(measured.findings)], (f"{n % accounts:012}", REGION))
        for n in range(count)
    ]
    every = [replace(message) for message in made * times]
    random.Random(seed).shuffle(every)
    return every


def usd_for_1000(result: Result, events: int, findings: int, memory_mb: int, prices: costs.Prices) -> float:
    """Return dollars for 1,000 findings: what the simulated flood used of everything that has a price."""
    published = result.calls["sns.PublishBatch"] + result.calls["sns.Publish"]
    units = {
        "lambda_requests": result.invocations,
        "lambda_gb_seconds": result.seconds_in_functions * memory_mb / 1024,
        # Sent by EventBridge and by the function; received; deleted, ten in a call.
        "sqs_requests": events + result.sent + 2 * result.received,
        "dynamodb_write_units": result.write_units,
        "dynamodb_read_units": result.read_units,
        "sns_publishes": published,
        "kms_requests": published * prices.assumed["kms_requests_per_publish"],
        "log_megabytes": result.log_bytes / 1e6,
    }
    return sum(prices.usd(units).values()) / findings * 1000


def scenarios(measured: Profiles, found: quotas.Quotas, as_set: Deployment) -> list[Scenario]:
    """Simulate all floods."""
    prices, result = costs.load(), list[Scenario]()
    default, plain = as_set.concurrency, "one control, 100 accounts"
    slow = replace(found, seconds_per_call={"others": found.seconds_per_call["others"]})
    warm = replace(found, table={kind: {"rate": WARM_UNITS, "burst": WARM_UNITS} for kind in found.table})
    for name, under, concurrency, count, accounts, controls, times, goal in (
        (plain, found, default, FINDINGS, ACCOUNTS, 1, 1, (UPDATES_AT_MOST, SECONDS_AT_MOST)),
        (f"{plain}, slow calls", slow, default, FINDINGS, ACCOUNTS, 1, 1, (UPDATES_AT_MOST, SECONDS_AT_MOST)),
        (f"{plain}, warm table", warm, HIGH, FINDINGS, ACCOUNTS, 1, 1, (UPDATES_AT_MOST, SECONDS_AT_HIGH)),
        (f"{plain}, new table", found, HIGH, FINDINGS, ACCOUNTS, 1, 1, (None, None)),
        ("50 controls, 100 accounts", found, default, FINDINGS, ACCOUNTS, CONTROLS, 1, (None, SECONDS_AT_MOST)),
        ("one control, one account", found, default, IN_ONE_ACCOUNT, 1, 1, 1, (None, None)),
        (f"{plain}, each twice", found, default, FINDINGS, ACCOUNTS, 1, 2, (UPDATES_AT_MOST, SECONDS_AT_MOST)),
    ):
        flood = Flood(measured, under, replace(as_set, concurrency=concurrency))
        sent = messages(measured, count, accounts=accounts, controls=controls, times=times)
        came = flood.run(sent)
        usd = usd_for_1000(came, len(sent), count, measured.memory_mb, prices)
        result.append(Scenario(name, concurrency, len(sent), came, usd, goal))
    return result


def markdown(found: Sequence[Scenario], memory: Sequence[Memory], about: str, resident: Resident | None = None) -> str:
    """Return the generated block of docs/performance.md."""
    head = (
        "| flood | events | concurrency | told: half | 99 % | all | goal | BatchUpdateFindings | goal | "
        "throttled calls | RETRY | lost | $ for 1,000 |\n| --- " + "| ---: " * 12 + "|\n"
    )
    rows = ""
    for one in found:
        came, (updates, seconds) = one.result, one.goal
        throttled = ", ".join(f"{name.split('.')[1]} {count:,}" for name, count in came.throttled.most_common(3)) or "0"
        cells = [
            one.name,
            f"{one.messages:,}",
            str(one.concurrency),
            f"{came.within(0.5):.0f} s",
            f"{came.within(0.99):.0f} s",
            f"{came.drained:.0f} s",
            _goal(seconds, came.drained, " s"),
            f"{one.updates:,}",
            _goal(updates, one.updates, ""),
            throttled,
            f"{came.retried:,}",
            str(len(came.skipped) + len(came.failed) + len(came.dead)),
            f"{one.usd_for_1000:.3f}",
        ]
        rows += "| " + " | ".join(cells) + " |\n"
    held = ""
    if memory:
        held = "\n| findings in one process | memory of our files | clients |\n| ---: | ---: | ---: |\n"
        held += "".join(f"| {m.findings:,} | {m.kilobytes:,.0f} KB | {m.clients} |\n" for m in memory)
    if resident:
        held += (
            f"\nA process that makes {resident.clients:,} clients of {resident.services} services: "
            f"{resident.before:.0f} MB before, {resident.first:.0f} MB when each service was there, "
            f"{resident.last:.0f} MB in the end.\n"
        )
    pictures = "\n".join(f"![{title}]({name})" for name, title in PICTURES.items())
    return f"{about}\n\n{head}{rows}{held}\n{pictures}\n"


def _goal(goal: int | None, value: float, unit: str) -> str:
    return "" if goal is None else f"≤ {goal}{unit}: {'pass' if value <= goal else 'MISS'}"


PICTURES = {
    "flood-told.svg": "Findings told over time",
    "flood-running.svg": "Invocations of the playbook function at a time",
    "flood-memory.svg": "Memory of our files in one process",
}


def drawn(found: Sequence[Scenario], memory: Sequence[Memory]) -> dict[str, str]:
    """Return the plots by file name."""
    told, running = [], []
    for one in found:
        name = f"{one.name} ({one.concurrency})".replace("one control", "1 control").replace(" accounts", " acc.")
        times = sorted(one.result.told.values())
        told.append(plots.Line(name, plots.thinned([(t, n + 1.0) for n, t in enumerate(times)])))
        running.append(plots.Line(name, plots.thinned([(t, float(n)) for t, n in one.result.running]), steps=True))
    held = [plots.Line("sharr, lambdas, powertools", [(float(m.findings), m.kilobytes) for m in memory])]
    return {
        "flood-told.svg": plots.chart(PICTURES["flood-told.svg"], "seconds", "findings", told),
        "flood-running.svg": plots.chart(PICTURES["flood-running.svg"], "seconds", "invocations", running),
        "flood-memory.svg": plots.chart(PICTURES["flood-memory.svg"], "findings", "KB", held),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m flood", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write table and plots into docs/")
    parser.add_argument("--memory", type=int, default=MEMORY_FINDINGS, help="findings of the memory run; 0: none")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    measured = profiles.measure()
    print(f"{len(measured.findings)} profiles, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    found = scenarios(measured, quotas.load(), deployment())
    print(f"{len(found)} floods, {time.perf_counter() - start:.0f} s", file=sys.stderr)
    memory = profiles.memory(options.memory, max(1, options.memory // 10)) if options.memory else []
    services = {step.service for profile in measured.findings for step in profile.steps}
    resident = clients.measure(sorted(services & set(botocore.session.Session().get_available_services())))
    about = (
        f"Simulated with profiles of {len(measured.findings)} remediations, in {time.perf_counter() - start:.0f} s. "
        "Times are seconds after all events are in the queue."
    )
    text = markdown(found, memory, about, resident)
    print(text)
    if options.write:
        table.write(PAGE, text, "flood")
        for name, picture in drawn(found, memory).items():
            (DOCS / name).write_text(picture, "utf-8")
    return int(any(one.misses for one in found))


if __name__ == "__main__":
    sys.exit(main())
