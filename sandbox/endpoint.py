"""
The organization behind one endpoint on 127.0.0.1, until Ctrl-C: for the AWS CLI, an SDK, a scanner.

`python -m sandbox` deploys the stacks, breaks a resource for every remediation, lets Security Hub find them, and serves.
The other commands talk to one that runs, at --url, else AWS_ENDPOINT_URL, else the usual port:

    python -m sandbox press remediate KMS.4     press a button of ours; preview and undo are the others
    python -m sandbox enter payments            print the exports that make a shell act in a member account
    python -m sandbox wait 600                  turn the sandbox's clock by ten minutes

AWS has no API for pressing a custom action: the console does it, under securityhub:SendFindingEvents, and PutEvents
refuses events whose source is aws.*. So pressing is a path of the sandbox's own beside AWS's API, which does what the
console does: POST {"action": "remediate", "findings": ["<Id>", ...]} to /sharr-sandbox/press, as application/json.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import boto3
from rich.console import Console
from rich.table import Table

from sandbox.additions import securityhub
from sandbox.demo import Demo
from sandbox.organization import Organization
from sandbox.world import CONTROL_PATH, Control, Sandbox
from sharr.finding import CUSTOM_ACTIONS, custom_action_arn

USUAL_PORT = 4747
SWITCHED_ON = ("EC2.7", "IAM.7", "KMS.4")
"""Controls whose findings are repaired by themselves; all others wait for the button."""
KEY = "sandbox"
"""Access key id and secret: a key that nobody has is an administrator of the admin account."""
ROLE = "sandbox-administrator"
PULSE_SECONDS = 0.5
"""How often what became due meanwhile is done, where no request does it."""
MOST_WAIT_SECONDS = 7 * 86_400
MOST_PRESSED = securityhub.MOST_FINDINGS_PRESSED
BUTTONS = {action.trigger: action for action in CUSTOM_ACTIONS}
LOCAL_HOSTS = ("127.0.0.1", "localhost")


class NotAnswered(Exception):
    """The sandbox at this URL refused, or there is none."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve, or do what a command says to a sandbox that runs; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.command is None:
        return serve(options.port)
    url = options.url or os.environ.get("AWS_ENDPOINT_URL") or f"http://127.0.0.1:{USUAL_PORT}"
    try:
        _check_local(url)
        return int(options.do(url, options))
    except NotAnswered as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1


def serve(port: int | None = None) -> int:
    """
    Serve until Ctrl-C or SIGTERM; return 0 then, 1 where the port is taken.

    *port* None takes the usual one, or a free one where that is taken; 0 takes a free one.
    """
    if port is None:
        port = USUAL_PORT if _is_free(USUAL_PORT) else 0
    elif not _is_free(port):
        print(f"sandbox: port {port} is taken", file=sys.stderr)
        return 1
    print("Deploying to an emulated organization and breaking resources ...", file=sys.stderr)
    with Sandbox() as world:
        demo = set_scene(world)
        with _stopped_by_signals() as stop, world.serve(port, controls(world)) as url:
            with world.exclusive():
                print(welcome(demo, url), flush=True)
            while not stop.wait(PULSE_SECONDS):
                with world.exclusive():
                    world.advance(0)
    return 0


def set_scene(world: Sandbox) -> Demo:
    """Deploy the stacks, break a resource for every remediation, and let Security Hub find them."""
    demo = Demo(world)
    demo.deploy(automatic=SWITCHED_ON)
    demo.break_things()
    for account in world.organization.accounts:
        _make_role(world, account)
    for broken in demo.broken:
        securityhub.publish(world, broken.finding)
    world.run()
    return demo


def controls(world: Sandbox) -> dict[str, Control]:
    """Return what can be done to *world* beside AWS's API, by name; each raises ValueError for what it cannot take."""
    organization = world.organization

    def press(body: Mapping[str, Any]) -> dict[str, Any]:
        action, findings = body.get("action"), body.get("findings")
        if action not in BUTTONS:
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
    waiting = next(row.control for row in rows if row.workflow == "NEW")
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


# --- commands that talk to a sandbox


def _press(url: str, options: argparse.Namespace) -> int:
    hub = _admin_client(url, "securityhub")
    ids = []
    for one in options.findings:
        found = _findings(hub, one)
        if not found:
            raise NotAnswered(f"there is no active finding with this id or of this control: {one}")
        ids += [finding["Id"] for finding in found]
    for start in range(0, len(ids), MOST_PRESSED):  # as many as the console lets a person select
        _post(url, "press", {"action": options.action, "findings": ids[start : start + MOST_PRESSED]})
    for finding in (finding for one in ids for finding in _findings(hub, one)):
        print(f"{finding['Workflow']['Status']:<10} {finding['Id']}\n{'':<10} {finding.get('Note', {}).get('Text', '')}")
    return 0


def _enter(url: str, options: argparse.Namespace) -> int:
    organization = Organization()
    accounts = {name: account for account, name in organization.names.items()}
    account = accounts.get(options.account, options.account)
    if account not in organization.accounts:
        raise NotAnswered(f"there is no account {options.account}: expected one of {', '.join(accounts)}, or an id")
    answer = _admin_client(url, "sts").assume_role(
        RoleArn=f"arn:{organization.partition}:iam::{account}:role/{ROLE}", RoleSessionName="sandbox"
    )["Credentials"]
    for name, value in (
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ACCESS_KEY_ID", answer["AccessKeyId"]),
        ("AWS_SECRET_ACCESS_KEY", answer["SecretAccessKey"]),
        ("AWS_SESSION_TOKEN", answer["SessionToken"]),
    ):
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _wait(url: str, options: argparse.Namespace) -> int:
    print(_post(url, "wait", {"seconds": options.seconds})["now"])
    return 0


def _findings(hub: Any, id_or_control: str) -> list[dict[str, Any]]:
    by = "Id" if ":" in id_or_control else "ComplianceSecurityControlId"
    filters = {by: [{"Value": id_or_control, "Comparison": "EQUALS"}]}
    pages = hub.get_paginator("get_findings").paginate(
        Filters={**filters, "RecordState": [{"Value": "ACTIVE", "Comparison": "EQUALS"}]}
    )
    return [finding for page in pages for finding in page["Findings"]]


def _admin_client(url: str, service: str) -> Any:
    region = Organization().home
    return boto3.Session(aws_access_key_id=KEY, aws_secret_access_key=KEY, region_name=region).client(
        service, endpoint_url=url
    )


def _post(url: str, control: str, body: Mapping[str, Any]) -> dict[str, Any]:
    request = Request(  # noqa: S310  # _check_local has seen the URL
        url.rstrip("/") + CONTROL_PATH + control,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urlopen(request) as answer:  # noqa: S310
            given: dict[str, Any] = json.load(answer)
            return given
    except HTTPError as error:
        raise NotAnswered(error.read().decode(errors="replace")) from error


def _check_local(url: str) -> None:
    """Refuse a URL that is not this machine's: these commands never talk to AWS."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in LOCAL_HOSTS:
        raise NotAnswered(f"{url} is not http://127.0.0.1:<port>, where the sandbox listens")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", parts.port or 80)):
            raise NotAnswered(f"nothing answers at {url}; start it with `make sandbox`")


# --- details


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=str(__doc__).strip().splitlines()[0])
    parser.add_argument("--port", type=int, help=f"default {USUAL_PORT}, or a free one where that is taken; 0: free")
    commands = parser.add_subparsers(dest="command", metavar="{press,enter,wait}")

    def command(name: str, do: Callable[[str, argparse.Namespace], int], help_: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help_, description=help_)
        made.add_argument("--url", help="the sandbox's endpoint; default: AWS_ENDPOINT_URL, else the usual port")
        made.set_defaults(do=do)
        return made

    pressing = command("press", _press, "press a button of ours in Security Hub with findings selected")
    pressing.add_argument("action", choices=tuple(BUTTONS))
    pressing.add_argument("findings", nargs="+", help="ids of findings, or of controls: all active findings of those")
    entering = command("enter", _enter, "print the exports that make a shell act in an account")
    entering.add_argument("account", help="name or id")
    waiting = command("wait", _wait, "turn the clock, with all that happens meanwhile")
    waiting.add_argument("seconds", type=float)
    return parser


def _make_role(world: Sandbox, account: str) -> None:
    """Make the role by which the admin account gets into *account*."""
    organization = world.organization
    iam = world.identity.client("iam", account, organization.home)
    principal = {"AWS": f"arn:{organization.partition}:iam::{organization.admin}:root"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=_policy(trust))
    iam.put_role_policy(RoleName=ROLE, PolicyName="everything", PolicyDocument=_policy(everything))


def _policy(statement: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


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
