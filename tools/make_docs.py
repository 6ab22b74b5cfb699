"""
Write what can be computed into README.md and docs/: tables of controls, parameters, guards, statuses, rights.

`make docs` writes; a test fails where a page is stale. A page has `<!-- generated: NAME -->` and
`<!-- end of generated -->` around each part, and everything outside of them is written by hand.

    python -m tools.make_docs           write the generated parts
    python -m tools.make_docs --demo    run the demo as well, and put its output into README.md
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

from sandbox import scene
from sharr import guards
from sharr.attempts import ENDED, Attempt, Outcome
from sharr.finding import CUSTOM_ACTIONS, Trigger, Workflow
from sharr.loader import auxiliaries, load_all
from sharr.outcomes import status_for, writes_note
from sharr.remediation import Parameter, Permission, Remediation
from sharr.standards import Standard, Standards, load_standards

ROOT: Final = Path(__file__).resolve().parent.parent
EXAMPLE: Final = "kms/rotate_key"
MANY: Final = 20
"""Controls, or actions, of one remediation that a table names."""
COLUMNS: Final = 120
"""Of the demo's output in README.md."""
TRIGGERS: Final[Mapping[Trigger, str]] = {
    "automatic": "by itself",
    **{action.trigger: action.name.removesuffix(" with SHARR") for action in CUSTOM_ACTIONS},
    "recheck": "recheck",
}
PLACES: Final = {"lambda": "function", "runbook": "runbook"}
_PART: Final = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end of generated -->)", re.DOTALL)
_DEMO: Final = re.compile(r"(.*<!-- demo -->\n)(.*?)(<!-- end of demo -->.*)", re.DOTALL)


class NoSuchPart(Exception):
    """A page asks for a generated part that nothing makes."""


def rendered(path: Path) -> str:
    """Return the text of a page with its generated parts made anew. Raises NoSuchPart."""

    def part(found: re.Match[str]) -> str:
        if found["name"] not in PARTS:
            raise NoSuchPart(f"{path}: {found['name']!r}; there are {', '.join(sorted(PARTS))}")
        return f"{found[1]}{PARTS[found['name']]().strip()}\n{found[3]}"

    return _PART.sub(part, path.read_text("utf-8"))


def pages() -> list[Path]:
    """Return the pages of the documentation."""
    return [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *sorted((ROOT / "docs").glob("*.md")),
    ]


# ---------------------------------------------------------------------------------------------------------- the parts
def remediations_table() -> str:
    """The README's table: one row per remediation."""
    every = load_all()
    controls = sum(len(r.controls) for r in every)
    rows = [
        (
            f"[{r.id}](docs/controls.md#{anchor(r.id)})",
            ranges(r.controls),
            r.title,
            PLACES[r.places[0]],
            r.risk.disruption,
            r.risk.reversible.split(":")[0],
            first_sentence(r.risk.monthly_cost),
        )
        for r in every
    ]
    head = ("remediation", "controls", "what the repair does", "runs in", "disruption", "undo", "monthly cost")
    return f"**{len(every)} remediations repair {controls} controls.**\n\n{table(head, rows)}"


def ranges(controls: Iterable[str]) -> str:
    """Return control ids with runs of three or more as one: `CloudWatch.1-14`; of very many only how many."""
    controls = list(controls)
    if len(controls) > MANY:
        return f"{len(controls)} controls"
    found: list[tuple[str, int, int]] = []
    for control in controls:
        service, number = control.split(".")[0], int(control.split(".")[1])
        if found and found[-1][0] == service and found[-1][2] == number - 1:
            found[-1] = (service, found[-1][1], number)
        else:
            found.append((service, number, number))
    return " ".join(f"{s}.{a}-{b}" if b - a > 1 else " ".join(f"{s}.{n}" for n in range(a, b + 1)) for s, a, b in found)


def controls_index() -> str:
    """One row per control: what repairs it, and the playbooks that serve it."""
    rows = [
        (control, f"[{r.id}](#{anchor(r.id)})", r.title, ", ".join(listed_in(control)))
        for r in load_all()
        for control in r.controls
    ]
    rows.sort(key=lambda row: (row[0].split(".")[0], int(row[0].split(".")[1])))
    return table(("control", "remediation", "what the repair does", "playbooks, with the standard's own id"), rows)


def remediations_in_full() -> str:
    """A section per remediation, and one per auxiliary."""
    return "\n\n".join([*(_remediation(r) for r in load_all()), *_auxiliaries()])


def parameters_table() -> str:
    """The admin stack's parameters, in the console's groups; those that each standard has are one row."""
    template = admin_template()
    shown = template["Metadata"]["AWS::CloudFormation::Interface"]
    rows, seen = [], set()
    for group in shown["ParameterGroups"]:
        for name in group["Parameters"]:
            generic = _generic(name)
            if generic in seen:
                continue
            seen.add(generic)
            parameter = template["Parameters"][name]
            default = str(parameter.get("Default", ""))
            if generic.startswith("Load"):
                default, about = (
                    "`yes` for SC, else `no`",
                    "Load the playbook of this standard: its findings have buttons",
                )
            elif generic.startswith("<"):
                default, about = "empty: none", "Controls of this standard to repair without being asked"
            else:
                default, about = f"`{default}`" if default else "empty", parameter["Description"]
            rows.append((f"`{generic}`", _values(parameter, generic), default, about))
    return table(("parameter", "values", "default", "what it does"), rows)


def standards_table() -> str:
    """What stands for <STD> in names of parameters."""
    every = {c for r in load_all() for c in r.controls}
    rows = []
    for s in standards():
        version = "" if s.name == "SC" else s.version
        served = sum(s.serves(control) for control in every)
        rows.append((f"`{s.name}`", s.title, version, s.shape, f"{served} of {len(every)}"))
    return table(("`<STD>`", "standard", "version", "shape of its findings", "controls that we repair"), rows)


def guards_table() -> str:
    """sharr/guards.py as a table, in the order in which guards are asked."""
    rows = []
    for guard, triggers in guards.GUARDS:
        source = inspect.getsource(guard)
        constants = [getattr(guards, word, None) for word in re.findall(r"\b[A-Z_]{3,}\b", source)]
        names = re.findall(r'Refusal\(\s*"([a-z-]+)"', source)
        names += [constant.guard for constant in constants if isinstance(constant, guards.Refusal)]
        about = (inspect.getdoc(guard) or "").splitlines()[0]
        marks = ["x" if trigger in triggers else "-" for trigger in TRIGGERS]
        rows.append((", ".join(f"`{name}`" for name in dict.fromkeys(names)), about, *marks))
    return table(("guard", "refuses where", *TRIGGERS.values()), rows)


def statuses_table() -> str:
    """What each outcome does to the finding, by asking the code that does it."""
    rows = []
    for outcome in get_args(Outcome):
        status = {w: status_for(_attempt(outcome, w)) or "stays" for w in Workflow}
        others = {status[w] for w in (Workflow.NEW, Workflow.NOTIFIED)}
        notes = [writes_note(_attempt(outcome, Workflow.NEW, trigger)) for trigger in TRIGGERS if trigger != "recheck"]
        silent = outcome in ("WAITING", "HELD", "RETRY")
        note = "none" if silent else "yes" if all(notes) else "for buttons only"
        rows.append(
            (
                outcome,
                "yes" if outcome in ENDED else "no",
                "stays" if silent else " or ".join(sorted(others)),
                "stays" if silent else status[Workflow.RESOLVED],
                status[Workflow.SUPPRESSED],
                note,
            )
        )
    head = ("outcome", "ended", "status if NEW or NOTIFIED", "if RESOLVED", "if SUPPRESSED", "note")
    return table(head, rows)


def rights_table() -> str:
    """What each remediation's role may change in its account, on any resource of the kind."""
    rows = []
    for r in load_all():
        repairs = {p.action for p in r.write}
        rows.append((f"`{r.role_name}`", _actions(r.write), _actions(p for p in r.undo if p.action not in repairs)))
    return table(("role", "may change, for repairs", "and for undo"), rows)


def example_file(name: str) -> str:
    """Return a file of the remediation that the documentation shows, as it stands in the repository."""
    path = ROOT / "ssm_documents" / EXAMPLE / name
    return f"```{'yaml' if path.suffix == '.yaml' else 'python'}\n{path.read_text('utf-8').strip()}\n```"


def example_plan() -> str:
    """Return the plan function of that remediation."""
    source = (ROOT / "ssm_documents" / EXAMPLE / "script.py").read_text("utf-8")
    node = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == "plan")
    return f"```python\n{ast.get_source_segment(source, node)}\n```"


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "remediations": remediations_table,
    "controls": controls_index,
    "remediations-in-full": remediations_in_full,
    "parameters": parameters_table,
    "standards": standards_table,
    "guards": guards_table,
    "statuses": statuses_table,
    "rights": rights_table,
    "example-yaml": lambda: example_file("remediation.yaml"),
    "example-script": lambda: example_file("script.py"),
    "example-plan": example_plan,
}


# ------------------------------------------------------------------------------------------------- what the parts need
@cache
def standards() -> Standards:
    """Return the standards of playbooks/."""
    return load_standards(ROOT)


@cache
def admin_template() -> dict[str, Any]:
    """Return the admin stack's template as it is deployed."""
    template: dict[str, Any] = json.loads((scene.assembly() / "sharr-admin.template.json").read_text("utf-8"))
    return template


def listed_in(control: str) -> list[str]:
    """Return the playbooks that serve a control, with the standard's own ids where it has some."""

    def shown(standard: Standard) -> str:
        own = [number for number, controls in (standard.ids or {}).items() if control in controls]
        return f"{standard.name} {' '.join(own)}".strip()

    return [shown(s) for s in standards() if s.serves(control)]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown; a bar in a cell is written out."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-")


def first_sentence(text: str) -> str:
    """Return a text up to its first full stop or semicolon that ends something."""
    return re.split(r"(?<=[A-Za-z0-9)])[.;](?:\s|$)", text)[0]


def _remediation(r: Remediation) -> str:
    waits = [f"PENDING at most {_time(r.pending['at_most'])}, looked at every {_time(r.pending['every'])}"]
    if r.settles:
        waits.append(f"a change may take {_time(r.settles)} to be seen")
    facts = [
        ("controls", "; ".join(f"{c} ({', '.join(listed_in(c))})" for c in r.controls)),
        ("resource", ", ".join(dict.fromkeys(f.type for f in r.resources))),
        ("so afterwards", r.note),
        ("disruption", r.risk.disruption),
        ("may break", _plain(r.risk.may_break)),
        ("undo", f"{r.risk.reversible}; by the button Undo with SHARR"),
        ("monthly cost", r.risk.monthly_cost),
        ("better than AWS's own solution", _plain(r.avoids)),
        ("runs in", " or ".join(PLACES[p] for p in r.places) + "; the first unless `ExecutionMode` says otherwise"),
        ("waits", "; ".join(waits)),
        ("CloudFormation", _plain(r.risk.cloudformation)),
        ("Terraform", _plain(r.risk.terraform)),
        ("role, runbook", f"`{r.role_name}`, `{r.document_name}`"),
        ("also makes", ", ".join(f"[auxiliary {a}](#{anchor('auxiliary ' + a)})" for a in r.auxiliary) or "nothing"),
        ("folder", f"[ssm_documents/{r.id}](../ssm_documents/{r.id})"),
    ]
    parts = [f"## {r.id}", f"{r.title}.", table(("", ""), facts)]
    if r.parameters:
        rows = [(f"`{p.name}`", p.about, _type(p), _default(p), _from_finding(p)) for p in r.parameters]
        parts.append(table(("parameter", "what it decides", "type", "default", "in the finding"), rows))
    kinds = (("read", r.read), ("write", r.write), ("undo", r.undo))
    parts.append(_permissions([(kind, p) for kind, permissions in kinds for p in permissions]))
    sources = _sources(ROOT / "ssm_documents" / r.id / "script.py")
    if sources:
        parts.append("Sources: " + ", ".join(f"<{url}>" for url in sources))
    return "\n\n".join(parts)


def _auxiliaries() -> list[str]:
    sections = []
    for a in auxiliaries():
        users = ", ".join(f"[{r.id}](#{anchor(r.id)})" for r in load_all() if a.name in r.auxiliary)
        about = f"{a.title}. Made when {users} first needs it, and kept by an undo."
        permissions = _permissions([*(("read", p) for p in a.read), *(("write", p) for p in a.write)])
        roles = [
            (f"`{name}`", role["service"], ", ".join(f"`{action}`" for action in role["allow"]))
            for name, role in a.roles.items()
        ]
        sections += [f"## auxiliary {a.name}", about, permissions]
        if roles:
            sections.append(table(("role of the member-roles stack", "for", "may"), roles))
        if sources := _sources(a.path / "script.py"):
            sections.append("Sources: " + ", ".join(f"<{url}>" for url in sources))
    return sections


def _permissions(permissions: Sequence[tuple[str, Permission]]) -> str:
    """One row for what has the same kind and the same resources."""

    def where(p: Permission) -> str:
        shown = ", ".join(f"`{resource}`" for resource in p.on)
        if p.when:
            shown += f" where `{json.dumps(dict(p.when))}`"
        return f"{shown} ({p.because})" if p.because else shown

    rows: dict[tuple[str, str], list[str]] = {}
    for kind, p in permissions:
        rows.setdefault((kind, where(p)), []).append(f"`{p.action}`")
    return table(("permission", "action", "on"), [(kind, ", ".join(a), on) for (kind, on), a in rows.items()])


def _sources(script: Path) -> list[str]:
    return list(dict.fromkeys(re.findall(r"https://docs\.aws\.amazon\.com/[^\s\"'`),;]+", script.read_text("utf-8"))))


def _type(p: Parameter) -> str:
    bounds = f", {p.minimum} to {p.maximum}" if p.minimum is not None and p.maximum is not None else ""
    return p.type + bounds


def _default(p: Parameter) -> str:
    by_control = "; ".join(f"{control}: `{json.dumps(value)}`" for control, value in p.by_control.items())
    own = "not asked for" if p.default is None else f"`{json.dumps(p.default)}`"
    return f"{own}; {by_control}" if by_control else own


def _from_finding(p: Parameter) -> str:
    return ", ".join(f"`{name}`" for name in p.finding) or "-"


def _plain(text: str) -> str:
    return text.replace("*", "\\*").replace("<", "&lt;")


def _time(seconds: int) -> str:
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % unit == 0 and seconds >= unit:
            count = seconds // unit
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"


def _actions(permissions: Iterable[Permission]) -> str:
    actions = sorted({p.action for p in permissions})
    if len(actions) > MANY:
        services = len({action.split(":")[0] for action in actions})
        return f"{len(actions)} actions of {services} services: `{actions[0]}` and its like"
    return ", ".join(f"`{action}`" for action in actions) or "-"


def _generic(name: str) -> str:
    for standard in standards():
        if name in (f"Load{standard.name}AdminStack", f"{standard.name}AutomaticControls"):
            return name.replace(standard.name, "<STD>")
    return name


def _values(parameter: Mapping[str, Any], name: str) -> str:
    allowed = parameter.get("AllowedValues")
    if name == "LogRetentionDays":
        return "days that CloudWatch Logs offers, 1 to 3653"
    if allowed:
        return ", ".join(f"`{value}`" for value in allowed)
    if parameter["Type"] == "Number":
        return f"{parameter['MinValue']} to {parameter['MaxValue']}"
    return str(parameter["ConstraintDescription"])


def _attempt(outcome: Outcome, workflow: Workflow, trigger: Trigger = "automatic") -> Attempt:
    return Attempt(
        id="", finding={"workflow": workflow.value}, trigger=trigger, request="", playbook="", remediation="",
        control="", lease_key="", target={}, created_at="", event_at="", outcome=outcome,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ the demo
def demo_output() -> str:
    """Run the demo as in a terminal of COLUMNS columns and return what it prints, without colours."""
    terminal = {
        "TERM": "xterm",
        "COLUMNS": str(COLUMNS),
        "TTY_COMPATIBLE": "1",
        "TTY_INTERACTIVE": "0",
        "NO_COLOR": "1",
    }
    environment = {**os.environ, **terminal}
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout)
    return one_line_per_row([line.rstrip() for line in plain.strip("\n").splitlines()])


def demo_block(output: str) -> str:
    """Return the demo's output for the README: its first table and its totals, and what is between them folded away."""
    first, *between, totals = output.split("\n\n")
    rest = "\n\n".join(between)
    return (
        f"```console\n$ make demo\n{first}\n\n[{len(between)} more parts: see below]\n\n{totals}\n```\n\n"
        f"<details><summary>The parts between</summary>\n\n```console\n{rest}\n```\n\n</details>\n"
    )


def one_line_per_row(lines: Sequence[str]) -> str:
    """Cut a table row that is folded because of one long cell at its first line, and mark the cell with an ellipsis."""
    shown: list[str] = []
    for line in lines:
        cells = line.split("│")[1:-1]
        filled = [n for n, cell in enumerate(cells) if cell.strip()]
        if len(cells) > 2 and len(filled) <= 1 and shown and shown[-1].startswith("│"):
            before = shown[-1].split("│")
            for n in filled:
                cell = before[n + 1]
                before[n + 1] = cell if cell.rstrip().endswith("…") else f"{cell.rstrip()[:-1]}…".ljust(len(cell))
            shown[-1] = "│".join(before)
        else:
            shown.append(line)
    return "\n".join(shown)


def _parted(text: str) -> tuple[str, str, str]:
    found = _DEMO.fullmatch(text)
    if found is None:
        raise NoSuchPart("README.md: has no <!-- demo --> ... <!-- end of demo -->")
    return found[1], found[2], found[3]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages that are stale."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_docs", description=__doc__)
    parser.add_argument("--demo", action="store_true", help="run the demo and put its output into README.md")
    options = parser.parse_args(arguments)
    for path in pages():
        text = rendered(path)
        if options.demo and path.name == "README.md":
            block = demo_block(demo_output())
            before, _, after = _parted(text)
            text = f"{before}{block}{after}"
        if text != path.read_text("utf-8"):
            path.write_text(text, "utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
