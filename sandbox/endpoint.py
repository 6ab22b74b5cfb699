"""
The organization behind one endpoint on 127.0.0.1, until Ctrl-C: for the AWS CLI, an SDK, a scanner.

AWS has no API for pressing a custom action: the console does it, under securityhub:SendFindingEvents, and PutEvents
refuses events whose source is aws.*. So pressing is a path of the sandbox's own beside AWS's API, which does what the
console does: POST {"action": "remediate", "findings": ["<Id>", ...]} to /sharr-sandbox/press, as application/json.
POST {"seconds": 600} to /sharr-sandbox/wait turns the clock. `python -m sandbox` has commands for both.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from sandbox.additions import securityhub
from sandbox.demo import Demo
from sandbox.local import ADMINISTRATOR_ROLE, BUTTONS, KEY
from sandbox.world import Control, Sandbox
from sharr.finding import custom_action_arn

SWITCHED_ON = ("EC2.7", "IAM.7", "KMS.4")
"""Controls whose findings are repaired by themselves; all others wait for the button."""
PULSE_SECONDS = 0.5
"""How often what became due meanwhile is done, where no request does it."""
MOST_WAIT_SECONDS = 7 * 86_400


def serve(port: int) -> None:
    """Serve on *port* (0: a free one) until Ctrl-C or SIGTERM."""
    print("Deploying to an emulated organization and breaking resources ...", file=sys.stderr)
    with Sandbox() as world:
        demo = set_scene(world)
        with _stopped_by_signals() as stop, world.serve(port, controls(world)) as url:
            with world.exclusive():
                print(welcome(demo, url), flush=True)
            while not stop.wait(PULSE_SECONDS):
                with world.exclusive():
                    world.settle()


def set_scene(world: Sandbox) -> Demo:
    """
    Deploy the stacks, break a resource for every remediation, and let Security Hub find them.

    What a repair needs of the user's choices is chosen, so that each of them can be pressed.
    """
    demo = Demo(world, every=True)
    demo.deploy(automatic=SWITCHED_ON)
    demo.break_things()
    for account in world.organization.accounts:
        make_administrator(world, account)
    for broken in demo.broken:
        securityhub.publish(world, broken.finding)
    world.settle()
    return demo


def controls(world: Sandbox) -> dict[str, Control]:
    """Return what can be done to *world* beside AWS's API, by name; each raises ValueError for what it cannot take."""
    organization = world.organization

    def press(body: Mapping[str, Any]) -> dict[str, Any]:
        action, findings = body.get("action"), body.get("findings")
        if not isinstance(action, str) or action not in BUTTONS:
            raise ValueError(f"action is {action!r}: expected one of {', '.join(BUTTONS)}")
        if not isinstance(findings, list) or not all(isinstance(one, str) for one in findings):
            raise ValueError("findings must be a list of ids")
        arn = custom_action_arn(BUTTONS[action], account=organization.admin, region=organization.home)
        securityhub.press(world, arn, findings)
        return {"ActionTargetArn": arn, "pressed": len(findings)}

    def wait(body: Mapping[str, Any]) -> dict[str, Any]:
        seconds = body.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MOST_WAIT_SECONDS:
            raise ValueError(f"seconds must be a number from 0 to {MOST_WAIT_SECONDS}")
        world.advance(seconds)
        return {"now": world.clock.now().isoformat(timespec="seconds")}

    return {"press": press, "wait": wait}


def welcome(demo: Demo, url: str) -> str:
    """Return what a person needs to begin."""
    organization = demo.world.organization
    table = Table(title="Findings that are open, or were repaired by a rule", title_justify="left")
    for column in ("control", "account", "Region", "resource", "workflow"):
        table.add_column(column, overflow="fold")
    rows = [demo.row(broken) for broken in demo.broken]
    for row in rows:
        table.add_row(row.control, row.account, row.region, row.resource, row.workflow)
    console = Console(width=120)
    with console.capture() as captured:
        console.print(table)
    names = ", ".join(f"{organization.names[a]} {a}" for a in organization.accounts)
    member = organization.names[organization.members[0]]
    waiting = next(r.control for b, r in zip(demo.broken, rows, strict=True) if r.workflow == "NEW" and b.is_shown)
    python = f"{_python()} -m sandbox"
    query = "Findings[].[Compliance.SecurityControlId,AwsAccountName,Region,Workflow.Status,Note.Text]"
    return f"""
{captured.get()}
The organization answers at {url} until Ctrl-C, on this machine only; no call leaves it.
Accounts: {names}
Switched on: {", ".join(SWITCHED_ON)}; the other controls wait for the button.

In another shell, in this folder, an administrator of the admin account ({organization.names[organization.admin]}):
  unset AWS_PROFILE AWS_SESSION_TOKEN
  export AWS_ENDPOINT_URL={url}
  export AWS_ACCESS_KEY_ID={KEY} AWS_SECRET_ACCESS_KEY={KEY}
  export AWS_DEFAULT_REGION={organization.home} AWS_REGION={organization.home}

Try:
  aws securityhub get-findings --output table --query '{query}'
  {python} press remediate {waiting}
  eval "$({python} enter {member})" && aws sts get-caller-identity
"""


# --- details


def make_administrator(world: Sandbox, account: str) -> None:
    """Make the role by which the admin account gets into *account*."""
    organization = world.organization
    iam = world.identity.client("iam", account, organization.home)
    principal = {"AWS": f"arn:{organization.partition}:iam::{organization.admin}:root"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.create_role(RoleName=ADMINISTRATOR_ROLE, AssumeRolePolicyDocument=_policy(trust))
    iam.put_role_policy(RoleName=ADMINISTRATOR_ROLE, PolicyName="everything", PolicyDocument=_policy(everything))


def _policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Within: Ctrl-C and SIGTERM set the event, a second one ends the process as usual."""
    stop = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def set_it(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, set_it)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _python() -> str:
    executable, here = Path(sys.executable), Path.cwd()
    return str(executable.relative_to(here)) if executable.is_relative_to(here) else str(executable)
