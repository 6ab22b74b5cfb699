"""The verbs `limits` and `resume`: how repairs are limited now, and letting a control that stopped go on."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import UTC, datetime

from command.controls import all_controls, control_named
from command.deployment import Clients, find
from command.showing import Wrong, one_line, print_json, table
from command.table import COUNTED, ControlState, NotThere, Table


def add_limits_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `limits`."""
    parser.add_argument("controls", metavar="CONTROL", nargs="*", help="only these, as KMS.4; default: all that began")


def add_resume_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `resume`."""
    parser.add_argument("control", metavar="CONTROL", help="as KMS.4")


def show(options: argparse.Namespace, clients: Clients) -> int:
    """Show this hour's count, and each control with its first repairs, what waits, and why it stopped."""
    asked = [control_named(control) for control in options.controls]
    deployment = find(clients, options.stack)
    of_table = Table(clients("dynamodb"), deployment.table)
    hour = of_table.hour()
    states = [s for s in of_table.controls(asked or all_controls()) if (s.control in asked if asked else s.has_begun)]
    states.sort(key=lambda s: (not s.stopped, -s.held, s.control))
    names = ("RepairsPerHour", "FirstRepairsOneByOne", "RepairFindingsSince")
    parameters = {name: deployment.parameters.get(name, "") for name in names}
    if options.json:
        print_json({"parameters": parameters, "hour": asdict(hour), "controls": [asdict(s) for s in states]})
        return 0
    is_now = hour.hour == datetime.now(UTC).strftime("%Y-%m-%dT%H")
    print(f"{hour.used if is_now else 0} of {parameters['RepairsPerHour']} repairs made in this hour (UTC)")
    print(f"{_held(hour.waiting)} for a later hour")
    print(f"first repairs of a control, one by one: {parameters['FirstRepairsOneByOne']}")
    print(f"findings since: {parameters['RepairFindingsSince'] or 'ever'}\n")
    rows = [(s.control, s.verified, _held(s.held), s.running or "-", _stopped(s)) for s in states]
    if rows:
        print(table(("control", "verified", "held", "runs now", "automation"), rows))
    for state in states:
        if state.stopped:
            print(f"\n{state.control} goes on with: resume {state.control}")
    return 0


def resume(options: argparse.Namespace, clients: Clients) -> int:
    """Let automation of a control go on that stopped at a failed first repair; says what goes on."""
    control = control_named(options.control)
    deployment = find(clients, options.stack)
    of_table = Table(clients("dynamodb"), deployment.table)
    state = next(state for state in of_table.controls([control]) if state.control == control)
    if not state.stopped:
        raise Wrong(f"automation of {control} is not stopped: `limits {control}` shows how it stands")
    who = str(clients("sts").get_caller_identity()["Arn"])
    try:
        of_table.resume(state, who, datetime.now(UTC))
    except NotThere as error:
        raise Wrong(str(error)) from error
    if options.json:
        print_json({"resumed": asdict(state), "by": who})
        return 0
    first = deployment.parameters.get("FirstRepairsOneByOne", "")
    print(f"{control} had stopped at {state.stopped_at}: {one_line(state.stopped, 400)}")
    print(
        f"it goes on now, by {one_line(who)}: {_held(state.held)}; the sweeper lets the oldest go on within a minute,"
    )
    print(
        f"one at a time until {first} repairs are verified ({state.verified} are). It stops again at one that FAILED."
    )
    return 0


def _held(count: int) -> str:
    return f"{count}{' or more' if count >= COUNTED else ''} held"


def _stopped(state: ControlState) -> str:
    return f"stopped {state.stopped_at}: {one_line(state.stopped)}" if state.stopped else "goes on"
