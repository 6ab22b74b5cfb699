"""
Prints each goal beside what is measured. `--write` puts the table into docs/performance.md.

`--profile` prints instead where the CPU of a remediation goes, calls left out.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import os
import platform
import pstats
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import costs, imports, scenes, synthesis, table
from benchmarks.meter import Meter, reference_seconds
from benchmarks.scenes import ALONE, AT_ONCE, IN_RUNBOOKS, WARM_UP, Bench, Measured
from benchmarks.table import Row
from sandbox import scene
from sandbox.world import Sandbox

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
RUNBOOK_STEPS = 2
"""Plan and Apply. Source: sharr/compose.py"""
KB, MB = 1024, 1024 * 1024


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write where asked. A missed goal is no error: the table says so."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write the table into docs/{PAGE.name}")
    parser.add_argument("--profile", action="store_true", help="profile a warm remediation")
    options = parser.parse_args(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=150)
    if options.profile:
        console.print(profile(), markup=False, highlight=False)
        return 0
    about = (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores ({platform.machine()}, Python "
        f"{platform.python_version()}), load average {os.getloadavg()[0]:.1f} at the start."
    )
    rows: list[Row] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        for what, measure in (
            ("One finding after the other, a hundred at once, runbooks", of_the_way),
            ("Each remediation once", of_every_remediation),
            ("Import of the playbook function; app.py", of_building),
        ):
            task = progress.add_task(what, total=None)
            rows += measure()
            progress.remove_task(task)
    rows.sort(key=lambda row: ORDER.index(row.group))
    table.show(console, rows, about)
    if options.write:
        table.write(PAGE, table.markdown(rows, about))
        console.print(f"Written into {PAGE}")
    return 0


ORDER = ("calls", "hops", "waits", "CPU", "import", "synthesis", "1,000 remediations", "a month", "sandbox", "sizes")


def of_the_way() -> list[Row]:
    """Deploy, and send findings in the three ways."""
    with Sandbox() as world:
        bench = Bench(world)
        with bench.meter.installed():
            bench.deploy()
            bench.alone(WARM_UP, ("KMS.4", "S3.8"))
            alone, reference = bench.alone(ALONE), reference_seconds()
            at_once = bench.at_once(AT_ONCE)
            items, series = bench.items(), bench.metric_series()
            bench.run_as_runbooks()
            bench.alone(WARM_UP)
            runbooks = bench.alone(IN_RUNBOOKS)
        return [
            *_calls(alone, at_once, runbooks),
            *_hops(alone, at_once, runbooks),
            Row("waits", "longest, KMS.4 and S3.8", max(alone.sleeps + at_once.sleeps), "s", 1, "25 s in all"),
            *_cpu(alone, at_once, reference),
            *_costs(bench, alone, at_once, runbooks, items, bench.items()),
            *_monthly(bench, series),
            Row("sandbox", f"{AT_ONCE} findings at once", at_once.seconds, "s", 15),
            Row("sandbox", "and deploying to 4 accounts, 2 Regions", at_once.seconds + bench.deploy_seconds, "s", 15),
        ]


def _calls(alone: Measured, at_once: Measured, runbooks: Measured) -> list[Row]:
    """Calls besides the repair's own, for each finding."""
    rows = []
    for what, measured, goal in (
        (f"{AT_ONCE} findings at once, each", at_once, 8),
        ("a finding alone", alone, 8),
        ("a finding alone, in a runbook", runbooks, None),
    ):
        before = "95" if measured is alone else ""
        rows.append(Row("calls", what, measured.calls_each, "", goal, before))
        rows.append(Row("calls", "· playbook function", measured.calls_of(scenes.PLAYBOOK)))
        rows.append(Row("calls", "· outcome function", measured.calls_of(scenes.OUTCOME)))
    return rows


def _hops(alone: Measured, at_once: Measured, runbooks: Measured) -> list[Row]:
    """The most hops that a finding of a scene took."""
    most = max([*alone.hops.values(), *at_once.hops.values()])
    return [
        Row("hops", "playbook, outcome", most, "", 2, "41"),
        Row("hops", "in a runbook", max(runbooks.hops.values())),
    ]


def _cpu(alone: Measured, at_once: Measured, reference: float) -> list[Row]:
    """CPU of a warm remediation: the playbook's and the outcome function's medians."""

    def both(measured: Measured, part: str) -> float:
        return measured.milliseconds("playbook", part) + measured.milliseconds("outcome", part)

    ours, whole = both(alone, "ours"), both(alone, "outside_the_repair")
    return [
        Row("CPU", "a finding alone, calls left out", ours, "ms", 20, "1,300 ms"),
        Row("CPU", "· of it making clients", both(alone, "clients"), "ms"),
        Row("CPU", "· as a ratio to the reference loop", ours / reference / 1000, "times"),
        Row("CPU", "· reference loop", reference * 1000, "ms"),
        Row("CPU", "and botocore's own work for our calls", whole, "ms", 20),
        Row("CPU", f"{AT_ONCE} findings at once, each, calls left out", both(at_once, "ours"), "ms", 20),
    ]


def _costs(
    bench: Bench,
    alone: Measured,
    at_once: Measured,
    runbooks: Measured,
    items: list[costs.Item],
    late: list[costs.Item],
) -> list[Row]:
    """Dollars for 1,000 remediations, with the largest parts of the first."""
    prices, memory, group, rows = costs.load(), bench.memory_mb(), "1,000 remediations", list[Row]()
    for what, measured, there, steps, goal in (
        ("alone, in the function", alone, items, 0, 0.05),
        (f"{AT_ONCE} at once, in the function", at_once, items, 0, 0.05),
        ("alone, in a runbook", runbooks, late, RUNBOOK_STEPS, None),
    ):
        parts = prices.usd(costs.units_of(measured, there, prices, memory_mb=memory, steps=steps))
        before = "$11.92" if measured is alone else ""
        rows.append(Row(group, what, sum(parts.values()) * 1000, "$", goal, before, 3))
        if measured is not at_once:
            for name, usd in sorted(parts.items(), key=lambda part: -part[1]):
                if usd >= 0.05 * sum(parts.values()):
                    rows.append(Row(group, f"· {name.replace('_', ' ')}", usd * 1000, "$", digits=3))
    own = costs.of_repair(alone, prices) * 1000
    mail = sum(prices.usd({"emails": 1000}).values())
    rows.append(Row(group, "besides: KMS.4's own calls, which KMS bills", own, "$", digits=3))
    rows.append(Row(group, "besides: a mail for each, if somebody subscribes", mail, "$", digits=3))
    return rows


def _monthly(bench: Bench, series: int) -> list[Row]:
    """Dollars a month while nothing happens."""
    prices = costs.load()
    fixed = costs.monthly(prices, alarm_metrics=bench.alarm_metrics(), memory_mb=bench.memory_mb(), queues=3, queries=4)
    members = list(scene.assembly().glob("sharr*member*.template.json"))
    return [
        Row("a month", "idle member account", costs.of_member(members), "$", 0, "a KMS key for each Region", 2),
        Row("a month", "admin stack with one playbook", sum(fixed.values()), "$", digits=2),
        *(Row("a month", f"· {name}", usd, "$", digits=2) for name, usd in fixed.items()),
        Row("a month", f"{series} custom metrics, if always in use", series * prices.custom_metric, "$", digits=2),
    ]


def of_every_remediation() -> list[Row]:
    """The waits of all remediations, runbooks too."""
    count, sleeps = scenes.every_remediation(Meter())
    return [Row("waits", f"longest, all {count} remediations once", max(sleeps), "s", 1)]


def of_building() -> list[Row]:
    """Import, synthesis, sizes."""
    made = synthesis.measure()
    imported = imports.measure(made.zip_path)
    templates, documents = made.templates, made.documents
    return [
        Row("import", "playbook function", imported.with_bytecode, "ms", 250, digits=0),
        Row("import", "· CPU of it", imported.with_bytecode_cpu, "ms", digits=0),
        *(Row("import", f"· {name} (traced)", ms, "ms", digits=0) for name, ms in imported.shares[:5]),
        Row("import", "without bytecode, as from the zip in Lambda", imported.from_source, "ms", 250, digits=0),
        Row("import", "· CPU of it", imported.from_source_cpu, "ms", digits=0),
        Row("synthesis", "app.py, the zip is there", made.seconds, "s", 5, "158 s"),
        Row("synthesis", "· CPU of it, Node's too", made.cpu_seconds, "s"),
        Row("synthesis", "making the zip anew, once per change", made.zip_seconds, "s"),
        Row("sizes", f"{len(templates)} templates", sum(templates.values()) / MB, "MB", None, "6.5 MB", 2),
        Row("sizes", "the largest template", max(templates.values()) / KB, "KB", 1000, digits=0),
        Row("sizes", f"{len(documents)} runbooks, the largest", max(documents.values()) / KB, "KB", 64),
        Row("sizes", "the functions' zip", made.zip_path.stat().st_size / MB, "MB", 50),
    ]


def profile() -> str:
    """Return where the CPU of warm remediations goes; what is within API calls is left out."""
    with Sandbox() as world:
        bench = Bench(world)
        with bench.meter.installed():
            bench.deploy()
            bench.alone(WARM_UP)
            bench.meter.profile = cProfile.Profile()
            bench.alone(ALONE)
            told = io.StringIO()
            pstats.Stats(bench.meter.profile, stream=told).sort_stats("cumulative").print_stats(45)
            return told.getvalue()


if __name__ == "__main__":
    sys.exit(main())
