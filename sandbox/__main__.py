"""
`python -m sandbox` serves an emulated organization on 127.0.0.1; the other commands talk to one that runs.

    python -m sandbox --port 4747               deploy, break resources, let Security Hub find them, serve until Ctrl-C
    python -m sandbox press remediate KMS.4     press a button of ours; preview and undo are the others
    python -m sandbox enter payments            print the exports that make a shell act in a member account
    python -m sandbox wait 600                  turn the sandbox's clock by ten minutes

They find it at --url, else AWS_ENDPOINT_URL, else the usual port.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sandbox.local import ADMINISTRATOR_ROLE, BUTTONS, CONTROL_PATH, KEY, USUAL_PORT
from sandbox.organization import Organization

MOST_AT_ONCE = 20
"""Findings that the console lets a person select."""
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
    except (NotAnswered, BotoCoreError, ClientError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1


def serve(port: int | None) -> int:
    """Serve until Ctrl-C, and return 0; 1 where *port* is taken. None: the usual port, or a free one."""
    if port is None:
        port = USUAL_PORT if _is_free(USUAL_PORT) else 0
    elif not _is_free(port):
        print(f"sandbox: port {port} is taken", file=sys.stderr)
        return 1
    from sandbox import endpoint  # here: moto takes seconds to load, and the commands do without

    endpoint.serve(port)
    return 0


def press(url: str, options: argparse.Namespace) -> int:
    """Press a button with findings selected, and print what became of each."""
    hub = _admin_client(url, "securityhub")
    ids: list[str] = []
    for one in options.findings:
        found = _findings(hub, one)
        if not found:
            raise NotAnswered(f"there is no active finding with this id, or of this control: {one}")
        ids += (finding["Id"] for finding in found)
    for start in range(0, len(ids), MOST_AT_ONCE):
        _post(url, "press", {"action": options.action, "findings": ids[start : start + MOST_AT_ONCE]})
    for finding in (finding for one in ids for finding in _findings(hub, one)):
        status, note = finding["Workflow"]["Status"], finding.get("Note", {}).get("Text", "")
        print(f"{status:<10} {finding['Id']}\n{'':<10} {note}")
    return 0


def enter(url: str, options: argparse.Namespace) -> int:
    """Print the exports with credentials of the administrator's role in an account."""
    organization = Organization()
    accounts = {name: account for account, name in organization.names.items()}
    account = accounts.get(options.account, options.account)
    if account not in organization.accounts:
        raise NotAnswered(f"there is no account {options.account}: expected an id, or one of {', '.join(accounts)}")
    role_arn = f"arn:{organization.partition}:iam::{account}:role/{ADMINISTRATOR_ROLE}"
    answer = _admin_client(url, "sts").assume_role(RoleArn=role_arn, RoleSessionName="sandbox")["Credentials"]
    for name, value in (
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ACCESS_KEY_ID", answer["AccessKeyId"]),
        ("AWS_SECRET_ACCESS_KEY", answer["SecretAccessKey"]),
        ("AWS_SESSION_TOKEN", answer["SessionToken"]),
    ):
        print(f"export {name}={shlex.quote(value)}")
    return 0


def wait(url: str, options: argparse.Namespace) -> int:
    """Turn the clock, and print the time that it is then."""
    print(_post(url, "wait", {"seconds": options.seconds})["now"])
    return 0


def _findings(hub: Any, id_or_control: str) -> list[dict[str, Any]]:
    by = "Id" if ":" in id_or_control else "ComplianceSecurityControlId"
    wanted = {by: id_or_control, "RecordState": "ACTIVE"}
    filters = {name: [{"Value": value, "Comparison": "EQUALS"}] for name, value in wanted.items()}
    pages = hub.get_paginator("get_findings").paginate(Filters=filters)
    return [finding for page in pages for finding in page["Findings"]]


def _admin_client(url: str, service: str) -> Any:
    return boto3.client(
        service,
        region_name=Organization().home,
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
        config=Config(proxies={}),
    )


def _post(url: str, control: str, body: Mapping[str, Any]) -> dict[str, Any]:
    request = Request(  # _check_local has seen the URL
        url.rstrip("/") + CONTROL_PATH + control, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with build_opener(ProxyHandler({})).open(request) as answer:
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


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not 0 to 65535")
    return int(text)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=_port, help=f"default {USUAL_PORT}, or a free one where that is taken; 0: free")
    commands = parser.add_subparsers(dest="command", metavar="{press,enter,wait}")

    def command(name: str, do: Callable[[str, argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=do.__doc__, description=do.__doc__)
        made.add_argument("--url", help="the sandbox's endpoint; default: AWS_ENDPOINT_URL, else the usual port")
        made.set_defaults(do=do)
        return made

    pressing = command("press", press)
    pressing.add_argument("action", choices=tuple(BUTTONS))
    pressing.add_argument("findings", nargs="+", help="ids of findings, or of controls: all active findings of those")
    entering = command("enter", enter)
    entering.add_argument("account", help="name or id")
    waiting = command("wait", wait)
    waiting.add_argument("seconds", type=float)
    return parser


if __name__ == "__main__":
    sys.exit(main())
