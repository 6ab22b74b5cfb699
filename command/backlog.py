"""The verb `backlog`: has a control's open findings previewed or repaired, and shows what came of it."""

from __future__ import annotations

import argparse
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from command.controls import control_named
from command.deployment import Clients, find
from command.showing import Progress, Wrong, WrongUsage, one_line, print_json, table, write_csv
from command.table import Job, NotThere, Row, Table

SHOWN: Final = 20
REASONS: Final = 20
_JOB: Final = re.compile(r"[a-z0-9-]{8,40}")
HEAD: Final = (
    "attempt", "account", "region", "resource", "remediation", "outcome", "why", "calls", "undo", "disruption",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.add_argument("what", metavar="CONTROL|list|show|cancel", help="start a job for a control, as KMS.4; or")
    parser.add_argument("job", metavar="JOB", nargs="?", help="show, cancel: the job's id")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--preview", action="store_true", help="CONTROL: read only, says what would be done; nothing on findings"
    )
    mode.add_argument("--repair", action="store_true", help="CONTROL: repair, as automation would, within all limits")
    parser.add_argument("--accounts", metavar="IDS", type=_accounts, help="CONTROL: only these, parted by commas")
    parser.add_argument("--limit", metavar="N", type=_limit, help="CONTROL: at most so many findings; default: all")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="show: write all rows into a new file")


def run(options: argparse.Namespace, clients: Clients) -> int:
    """Start a job, list jobs, show what came of one, or cancel one. Return the exit code."""
    verb: Callable[[argparse.Namespace, Clients], int] = {"list": _list, "show": _show, "cancel": _cancel}.get(
        options.what, _start
    )
    takes_job = verb in (_show, _cancel)
    if takes_job and not (options.job and _JOB.fullmatch(options.job)):
        raise WrongUsage(f"backlog {options.what} JOB: wanted a job's id, as `backlog list` shows it")
    if not takes_job and options.job:
        raise WrongUsage(f"{one_line(options.job, 40)!r} is one argument too many")
    if verb is not _start and (options.preview or options.repair or options.accounts or options.limit):
        raise WrongUsage(f"backlog {options.what} takes none of --preview, --repair, --accounts, --limit")
    if options.csv and verb is not _show:
        raise WrongUsage("--csv goes with `backlog show JOB`")
    try:
        return verb(options, clients)
    except NotThere as error:
        raise Wrong(str(error)) from error


def job_id(control: str, now: datetime) -> str:
    """Return a job's id: the control, and the second in which it was started."""
    return f"{control.lower().replace('.', '-')}-{now.astimezone(UTC):%Y%m%d-%H%M%S}"


def is_switched_on(control: str, parameters: Mapping[str, str]) -> bool:
    """Tell whether automation of a playbook that is loaded repairs the control, by the stack's parameters."""
    for name, value in parameters.items():
        standard = name.removesuffix("AutomaticControls")
        listed = {part.strip() for part in value.split(",")}
        if standard != name and listed & {"*", control} and parameters.get(f"Load{standard}AdminStack") == "yes":
            return True
    return False


def _start(options: argparse.Namespace, clients: Clients) -> int:
    control = control_named(options.what)
    if not (options.preview or options.repair):
        raise WrongUsage(f"backlog {control}: wanted --preview or --repair; begin with --preview")
    deployment = find(clients, options.stack)
    if options.repair and not is_switched_on(control, deployment.parameters):
        raise Wrong(
            f"{control} is not switched on in any playbook that is loaded, so each finding would be SKIPPED: add it to "
            "<STD>AutomaticControls of the stack (RepairFindingsSince keeps automation from old findings), or --preview"
        )
    now = datetime.now(UTC)
    job = Job(
        id=job_id(control, now),
        control=control,
        mode="preview" if options.preview else "repair",
        accounts=options.accounts or (),
        most=options.limit or 0,
        started_at=now.isoformat(timespec="seconds"),
        started_by=str(clients("sts").get_caller_identity()["Arn"]),
    )
    Table(clients("dynamodb"), deployment.table).start(job, now)
    if options.json:
        print_json(asdict(job))
        return 0
    what = (
        "previewed; nothing is changed" if job.mode == "preview" else "repaired, within RepairsPerHour and the guards"
    )
    many = f"at most {job.most} open findings" if job.most else "all open findings"
    where = f"accounts {', '.join(job.accounts)}" if job.accounts else "all accounts"
    print(f"job {job.id}: {many} of {control} in {where} are {what}")
    print(f"a hundred a minute are read. How far it is: backlog show {job.id}. To end it: backlog cancel {job.id}")
    return 0


def _list(options: argparse.Namespace, clients: Clients) -> int:
    jobs = _table(options, clients).jobs()
    if options.json:
        print_json([asdict(job) for job in jobs])
    elif jobs:
        head = ("job", "control", "mode", "state", "read", "sent", "started (UTC)", "by")
        rows = [(j.id, j.control, j.mode, j.state, j.read, j.sent, j.started_at[:16], j.started_by) for j in jobs]
        print(table(head, rows))
    else:
        print("no jobs")
    return 0


def _cancel(options: argparse.Namespace, clients: Clients) -> int:
    job = _table(options, clients).cancel(options.job)
    if options.json:
        print_json(asdict(job))
        return 0
    print(f"job {job.id} is cancelled: nothing more of it is sent. The {job.sent} findings that were sent go on")
    return 0


def _show(options: argparse.Namespace, clients: Clients) -> int:
    table_ = _table(options, clients)
    job = table_.job(options.job)
    progress = Progress()
    summary = Summary()
    if options.csv:
        write_csv(options.csv, HEAD, (_cells(row) for row in summary.counted(table_.rows(job.id), progress)))
    else:
        for _ in summary.counted(table_.rows(job.id), progress):
            pass
    if options.json:
        print_json({"job": asdict(job), **summary.shown()})
        return 0
    where = f"in {len(job.accounts)} accounts" if job.accounts else "in all accounts"
    print(f"job {job.id}: {job.mode} of {job.control} {where}, {job.state}; started {job.started_at}")
    print(f"by {one_line(job.started_by)}")
    print(f"{job.read} findings read, {job.sent} sent to a playbook, {summary.total} known")
    if job.why:
        print(f"note: {one_line(job.why, 400)}")
    _print_summary(summary)
    if options.csv:
        print(f"\nall {summary.total} rows are in {options.csv}")
    return 0


class Summary:
    """Counts over a job's rows, which pass through it one by one."""

    def __init__(self) -> None:
        self.total = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.accounts: Counter[tuple[str, str]] = Counter()
        self.disruption: Counter[str] = Counter()
        self.first: list[Row] = []

    def counted(self, rows: Iterator[Row], progress: Callable[[str], None]) -> Iterator[Row]:
        """Yield the rows as they are, and count them."""
        for row in rows:
            self.total += 1
            self.outcomes[row.outcome, "" if row.outcome == "PREVIEWED" else row.why] += 1
            self.accounts[row.account, row.outcome] += 1
            if row.calls:
                self.disruption[row.disruption] += 1
            if len(self.first) < SHOWN:
                self.first.append(row)
            progress(f"{self.total} rows read")
            yield row

    def shown(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "rows": self.total,
            "outcomes": [{"outcome": o, "why": w, "count": n} for (o, w), n in self.outcomes.most_common()],
            "accounts": [{"account": a, "outcome": o, "count": n} for (a, o), n in sorted(self.accounts.items())],
            "disruption": dict(self.disruption),
            "first": [asdict(row) for row in self.first],
        }


def _print_summary(summary: Summary) -> None:
    if not summary.total:
        return
    every = summary.outcomes.most_common()
    print("\n" + table(("findings", "outcome", "reason"), [(n, o, w or "-") for (o, w), n in every[:REASONS]]))
    if len(every) > REASONS:
        print(f"and {len(every) - REASONS} more reasons: --json has all")
    by_account = itertools.groupby(sorted(summary.accounts.items()), key=lambda item: item[0][0])
    rows = [(account, ", ".join(f"{n} {o}" for (_, o), n in counts)) for account, counts in by_account]
    print("\n" + table(("account", "findings"), rows))
    if summary.disruption:
        print("\n" + table(("findings", "disruption"), [(n, d or "-") for d, n in summary.disruption.most_common()]))
    rows_of_first = [
        (r.account, r.region, r.resource, r.outcome, ", ".join(r.calls) or r.why, r.undo or "-") for r in summary.first
    ]
    print("\n" + table(("account", "Region", "resource", "outcome", "calls, or why none", "undo"), rows_of_first))
    if summary.total > len(summary.first):
        print(f"and {summary.total - len(summary.first)} more: --csv FILE has all")


def _cells(row: Row) -> list[object]:
    return [*(getattr(row, name) for name in HEAD[:7]), "; ".join(row.calls), row.undo, row.disruption]


def _table(options: argparse.Namespace, clients: Clients) -> Table:
    return Table(clients("dynamodb"), find(clients, options.stack).table)


def _accounts(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    wrong = [part for part in found if not re.fullmatch("[0-9]{12}", part)]
    if wrong:
        raise argparse.ArgumentTypeError(f"{one_line(wrong[0], 40)!r} is not an account's id of twelve digits")
    return found


def _limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,7}", text) or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{one_line(text, 40)!r} is not a number from 1 to 9999999")
    return int(text)
