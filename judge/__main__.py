"""
A judge who is not us: Prowler scans the sandbox's endpoint before and after each repair.

    python -m judge PYTHON [--write] [CONTROL ...]

PYTHON is the one of an environment with Prowler in it; `make judge` makes that. For every control of checks.yaml one
resource is broken and repaired through the deployed stacks, as in `python -m sandbox.demo --all`; of it, every
check has to say FAIL before and PASS after. Where we know better than Prowler, exceptions.yaml says why; the exit code
is 1 where a verdict is neither. `--write` puts the table into docs/judge.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox import every
from sandbox.demo import Demo, cases
from sandbox.endpoint import make_administrator
from sandbox.local import ADMINISTRATOR_ROLE
from sandbox.place import Place
from sandbox.world import Sandbox
from sharr.remediation import Remediation

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "judge"
PAGE = ROOT / "docs" / "judge.md"
PROWLER = "5.46.0"
SECONDS_TO_START = 60
Finding = dict[str, str]


@dataclass(slots=True)
class Verdict:
    """What Prowler said of one control's resource; blind where it could not look afterwards as it did before."""

    control: str
    checks: list[str]
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    said: str = ""
    errors: list[str] = field(default_factory=list)
    is_blind: bool = False

    @property
    def word(self) -> str:
        """FAIL -> PASS, or what it is instead."""
        if self.is_blind or not self.before:
            return "error" if self.errors else "saw nothing"
        was, now = set(self.before.values()), set(self.after.values())
        return f"{' and '.join(sorted(was))} -> {' and '.join(sorted(now)) or 'gone'}"

    @property
    def agrees(self) -> bool:
        """Tell whether Prowler saw what we saw: broken before, in order (or gone) after."""
        return not self.is_blind and "FAIL" in self.before.values() and "FAIL" not in self.after.values()


def main(arguments: list[str] | None = None) -> int:
    """Judge; print a line for each control."""
    parser = argparse.ArgumentParser(prog="python -m judge", description=__doc__)
    parser.add_argument("python", help="the Python of the environment with Prowler in it")
    parser.add_argument("controls", nargs="*", help="these controls only")
    parser.add_argument("--write", action="store_true", help="put the table into docs/judge.md")
    options = parser.parse_args(arguments)
    exceptions = known_exceptions()
    if unknown := set(options.controls) - set(checks()):
        parser.error(f"{', '.join(sorted(unknown))}: not in checks.yaml")
    if options.controls and options.write:
        parser.error("the table is of all controls: --write goes without CONTROL")
    verdicts, wrong = [], []
    with prowler(options.python) as path:
        for verdict in judge(path, set(options.controls)):
            verdicts.append(verdict)
            bad = verdict.agrees == (verdict.control in exceptions)
            wrong += [verdict.control] if bad else []
            mark = "!!" if bad else "  " if verdict.agrees else "ex"
            print(f"{mark} {verdict.control:<18} {verdict.word:<24} {', '.join(verdict.checks)}", flush=True)
            for text in [verdict.said, *verdict.errors[:3]] if bad else ():
                print(f"      {text[:400]}")
    agreed, known = sum(v.agrees for v in verdicts), sum(v.control in exceptions for v in verdicts)
    print(f"{len(verdicts)} controls: Prowler {PROWLER} agrees on {agreed}, {known} are exceptions.")
    if options.write:
        write(verdicts, exceptions)
    if wrong:
        print(f"not as expected: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def checks() -> dict[str, tuple[list[str], str]]:
    """Return control -> (Prowler's checks, what their findings are about) of checks.yaml."""
    found = {}
    for control, spec in yaml.safe_load((HERE / "checks.yaml").read_text()).items():
        body = spec if isinstance(spec, dict) else {"checks": spec}
        found[control] = (list(body["checks"]), body.get("about", "resource"))
    return found


def known_exceptions() -> dict[str, str]:
    """Return control -> why Prowler does not say FAIL before and PASS after, of exceptions.yaml."""
    return dict(yaml.safe_load((HERE / "exceptions.yaml").read_text()) or {})


def judge(path: str, only: set[str]) -> Iterator[Verdict]:
    """
    Yield the verdict on each control that has a check, on the first of its cases with which Prowler agrees.

    A remediation's cases are made for its own branches: Prowler may not see the first one.
    """
    wanted = checks()
    logging.disable()  # Prowler tells what it could not read; the endpoint's own log would say it again
    with Sandbox() as world:
        demo = Demo(world)
        demo.deploy(automatic=["*"])
        for account in world.organization.accounts:
            make_administrator(world, account)

        def work(of: tuple[Remediation, Any]) -> Verdict:
            remediation, case = of
            return judged(path, demo, remediation, case, *wanted[case.control])

        def verdicts(items: list[tuple[Remediation, Any]]) -> Iterator[tuple[tuple[Remediation, Any], Verdict]]:
            for (remediation, case), verdict in every.in_copies(items, work):
                if isinstance(verdict, str):
                    verdict = Verdict(case.control, wanted[case.control][0], errors=[verdict[-1500:]])
                yield (remediation, case), verdict

        named = [r for r in demo.remediations if any(c in wanted and (not only or c in only) for c in r.controls)]
        firsts: dict[str, tuple[Remediation, Any]] = {}
        others: dict[str, list[tuple[Remediation, Any]]] = {}
        for remediation in named:
            for case in cases(remediation):
                if case.control in wanted and (not only or case.control in only):
                    if case.control in firsts:
                        others.setdefault(case.control, []).append((remediation, case))
                    else:
                        firsts[case.control] = (remediation, case)
        disagreed = {}
        for (_, case), verdict in verdicts(list(firsts.values())):
            if verdict.agrees or case.control not in others:
                yield verdict
            else:
                disagreed[case.control] = verdict
        again = [item for control in disagreed for item in others[control]]
        for (_, case), verdict in verdicts(again):
            if not disagreed[case.control].agrees and verdict.agrees:
                disagreed[case.control] = verdict
        yield from disagreed.values()


def judged(path: str, demo: Demo, remediation: Remediation, case: Any, names: list[str], about: str) -> Verdict:
    """Break a resource, have it scanned, repair it, have it scanned again."""
    place = Place(demo.world, region=case.region)
    resource_id = case.break_it(place)
    before = scan(path, demo.world, place, names)
    every.repair(demo, remediation, case, place, resource_id)
    after = scan(path, demo.world, place, names)
    was, now = (about_it(one["findings"], about, resource_id, place) for one in (before, after))
    return Verdict(
        case.control,
        names,
        before={_key(f): f["status"] for f in was},
        after={_key(f): f["status"] for f in now},
        said="; ".join(f"{f['status']} {f['resource']}: {f['said']}" for f in now or before["findings"]),
        errors=before["errors"] + after["errors"],
        is_blind=is_blind(before["errors"], after["errors"], len(now)),
    )


def is_blind(before: list[str], after: list[str], seen: int) -> bool:
    """
    Tell whether the second scan says nothing: it failed, or saw nothing of the resource and failed in a new way.

    What Prowler cannot read shows as an error and no finding; that is not a resource that is gone.
    """
    return any(text.startswith("scan: ") for text in before + after) or (not seen and not set(after) <= set(before))


def about_it(findings: list[Finding], about: str, resource_id: str, place: Place) -> list[Finding]:
    """Return those of Prowler's findings that are about the resource that was broken."""
    if about == "account":
        return findings
    if about == "region":
        return [f for f in findings if f["region"] == place.region]
    exact = [f for f in findings if resource_id in (f["arn"], f["resource"])]
    name = re.split(r"[:/]", resource_id)[-1]
    return exact or [f for f in findings if name in re.split(r"[:/]", f"{f['arn']}/{f['resource']}")]


def _key(finding: Finding) -> str:
    return f"{finding['check']} {finding['region']} {finding['arn'] or finding['resource']}"


def scan(path: str, world: Sandbox, place: Place, names: list[str]) -> dict[str, Any]:
    """Have Prowler scan the place by HTTP, as an administrator of the account."""
    with world.serve() as url:
        role = place.arn("iam", f"role/{ADMINISTRATOR_ROLE}", region="")
        sts = world.identity.client("sts", world.organization.admin, place.region)
        given = sts.assume_role(RoleArn=role, RoleSessionName="judge")["Credentials"]
        wanted = {
            "url": url,
            "now": world.clock.now().isoformat(),
            "region": place.region,
            "credentials": [given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]],
            "checks": names,
        }
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            connection.sendall(json.dumps(wanted).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile().readline())
    return answer


@contextmanager
def prowler(python: str) -> Iterator[str]:
    """Within: Prowler listens at the path given."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/prowler.sock"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        process = subprocess.Popen(
            [str(Path(python).absolute()), str(HERE / "scanner.py"), path],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            end = time.monotonic() + SECONDS_TO_START
            while not Path(path).exists():
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"Prowler did not start: exit code {process.poll()}")
                time.sleep(0.1)
            yield path
        finally:
            process.terminate()
            process.wait()


def write(verdicts: list[Verdict], exceptions: dict[str, str]) -> None:
    """Write docs/judge.md, and what it was made of beside the checks."""
    verdicts = sorted(verdicts, key=lambda v: (v.control.split(".")[0].lower(), int(v.control.split(".")[1])))
    rows = "\n".join(
        f"| {v.control} | {', '.join(f'`{c}`' for c in v.checks)} | {v.word} | {exceptions.get(v.control, '')} |"
        for v in verdicts
    )
    agreed = sum(v.agrees for v in verdicts)
    text = PAGE.read_text()
    table = (
        f"Prowler {PROWLER}; {len(verdicts)} controls have a check; on {agreed} Prowler agrees.\n\n"
        "| control | Prowler's checks | Prowler says | who is right where it is not FAIL -> PASS |\n"
        f"| --- | --- | --- | --- |\n{rows}\n"
    )
    begin, end = "<!-- judge -->\n", "<!-- end of judge -->"
    head, rest = text.split(begin)
    PAGE.write_text(head + begin + table + end + rest.split(end)[1])


if __name__ == "__main__":
    sys.exit(main())
