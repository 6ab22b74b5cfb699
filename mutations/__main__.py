"""
Take away what protects, one thing at a time, and see the sandbox go red.

    python -m mutations                 all of it
    python -m mutations --shard 2/4     the second quarter; mutants of one role stay together
    python -m mutations --write         keep the counts in docs/reliability.md
    python -m mutations --group TEXT    the groups (a role, a guard, "patterns") whose name has this text
    python -m mutations --only TEXT     the mutants whose name has this text

Exit code 1: a mutant survived that mutations/survivors.yaml does not list, or one that is listed there was killed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mutations import flows, guard_rows, member_roles, narrowing, parameters
from mutations.deployed import Deployed
from mutations.mutant import SAME, Mutant, Verdict
from mutations.survivors import Judgement, judge, load
from sandbox.every import in_copies
from sandbox.world import Sandbox
from sharr.loader import load_all

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- mutations: begin -->", "<!-- mutations: end -->"
HEADING = f"""## Mutations
What protects is taken away from what is deployed, one thing at a time, and the sandbox has to go red: without a
permission a repair, preview or undo fails; without a restriction an attack succeeds. Templates are not compared.
`make mutate` runs it; what may survive, and why, is in [survivors.yaml](../mutations/survivors.yaml).

{BEGIN}
{END}
"""
Group = Callable[[], list[Verdict]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job; print what survived and the counts."""
    parser = argparse.ArgumentParser(prog="python -m mutations", description=__doc__.splitlines()[1])
    parser.add_argument("--write", action="store_true", help=f"keep the counts in {PAGE.name}")
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="the I-th of N parts")
    parser.add_argument("--group", default="", metavar="TEXT", help="groups whose name has this text")
    parser.add_argument("--only", default="", metavar="TEXT", help="mutants whose name has this text")
    options = parser.parse_args(arguments)
    whole = options.shard == (1, 1) and not options.only and not options.group
    if options.write and not whole:
        parser.error("--write needs the whole run")
    console = Console(highlight=False)
    start = time.perf_counter()
    verdicts = [v for v in run(options.shard, console, options.group) if options.only in v.mutant.name]
    judgement = judge(verdicts, load(), whole=whole)
    console.print(table(verdicts, judgement))
    for line in judgement.lines():
        console.print(line, markup=False, soft_wrap=True)
    said = f"{len(verdicts)} mutants in {time.perf_counter() - start:,.0f} s"
    console.print(f"{said}: {'good' if judgement.is_good else 'NOT GOOD'}")
    if options.write and judgement.is_good:
        write(markdown(verdicts, judgement))
    return 0 if judgement.is_good else 1


def run(shard: tuple[int, int], console: Console, only: str = "") -> Iterator[Verdict]:
    """
    Yield every verdict of a shard, of groups with *only* in their name.

    What needs no deployed organization comes first.
    """
    number, of = shard
    before = [
        ("stack parameters", parameters.of_stacks),
        ("remediations' parameters", parameters.of_remediations),
        ("runbooks' parameters", parameters.of_runbooks),
        ("sessions", narrowing.judged),
        *((r.role_name, _of_role(r.id)) for r in load_all()),
    ]
    member_roles.roles()
    yield from _in_copies([g for g in before if only in g[0]][number - 1 :: of], console)
    with Sandbox() as world:
        deployed = Deployed(world)
        after: list[tuple[str, Group]] = [
            *((f"patterns {n}", group) for n, group in enumerate(deployed.patterns())),
            *((f"resource policies {n}", group) for n, group in enumerate(deployed.resource_policies())),
            *((f"trust policies {n}", group) for n, group in enumerate(deployed.trusts())),
            *flows.groups(deployed),
            *guard_rows.groups(deployed),
        ]
        yield from _in_copies([g for g in after if only in g[0]][number - 1 :: of], console)


def _of_role(remediation_id: str) -> Group:
    return lambda: member_roles.judged(next(r for r in load_all() if r.id == remediation_id))


def _in_copies(groups: list[tuple[str, Group]], console: Console) -> Iterator[Verdict]:
    names = [name for name, _ in groups]
    by_name = dict(groups)
    for name, verdicts in in_copies(names, lambda name: by_name[name]()):
        if isinstance(verdicts, str):  # told at the end, as a survivor of its own: the others go on
            console.print(f"{name}:\n{verdicts}", markup=False, soft_wrap=True)
            verdicts = [Verdict(Mutant("a probe that is broken", name), "")]
        yield from verdicts


def _shard(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError("wanted I/N, as 1/4")
    return int(number), int(of)


HEAD = ("what is taken away", "mutants", "killed", "mean the same", "survive, with a reason")


def rows(verdicts: Sequence[Verdict], judgement: Judgement) -> list[tuple[str, ...]]:
    """Return the counts by kind, and their sums."""
    kinds = Counter(v.mutant.kind for v in verdicts)
    killed = Counter(v.mutant.kind for v in verdicts if v.killed_by and v.killed_by != SAME)
    same = Counter(v.mutant.kind for v in verdicts if v.killed_by == SAME)
    excused = Counter(m.kind for m in judgement.excused)
    made = [(kind, *(str(c[kind]) for c in (kinds, killed, same, excused))) for kind in sorted(kinds)]
    return [*made, ("all", *(str(sum(c.values())) for c in (kinds, killed, same, excused)))]


def table(verdicts: Sequence[Verdict], judgement: Judgement) -> Table:
    """Return the counts for the terminal."""
    made = Table(title="Mutations", title_justify="left")
    for title in HEAD:
        made.add_column(title, justify="left" if title == HEAD[0] else "right")
    for row in rows(verdicts, judgement):
        made.add_row(*row)
    return made


def markdown(verdicts: Sequence[Verdict], judgement: Judgement) -> str:
    """Return the counts for the page."""
    lines = [f"| {' | '.join(HEAD)} |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {' | '.join(row)} |" for row in rows(verdicts, judgement)]
    lines += [
        "",
        "Unlisted survivors: 0. Mean the same: a wider resource that no request can tell from the narrow one.",
    ]
    return "\n".join(lines)


def write(text: str) -> None:
    """Put the counts between the markers of the page; make page and section where they are not there."""
    page = PAGE.read_text("utf-8") if PAGE.exists() else "# Reliability\n"
    if BEGIN not in page:
        page = f"{page.rstrip()}\n\n{HEADING}"
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{PAGE}: {BEGIN} has no {END}")
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
