"""
Prowler behind a Unix socket: run by the Python of the environment that Prowler is installed in, not by ours.

    python judge/scanner.py SOCKET

Each connection sends one JSON line: url, now (ISO 8601), region, credentials (access key id, secret, token), checks
(ids of Prowler's checks); it gets one JSON line back: findings (check, status, resource, arn, region, said) and errors
(what Prowler logged). Prowler is imported once; every scan runs in a forked process, since its clients are made at
import, and at the sandbox's own time.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import socket
import socketserver
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import prowler.providers.aws.services
import time_machine
from prowler.lib.logger import logger
from prowler.providers.aws.aws_provider import AwsProvider
from prowler.providers.common.models import Audit_Metadata
from prowler.providers.common.provider import Provider

SERVICES = sorted(Path(prowler.providers.aws.services.__path__[0]).iterdir())


class Kept(logging.Handler):
    """Keeps what Prowler logs."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.said.append(record.getMessage()[:500])


def scan(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return findings and errors of the checks that are wanted."""
    with time_machine.travel(datetime.fromisoformat(wanted["now"]), tick=True):
        return _scan(wanted)


def _scan(wanted: dict[str, Any]) -> dict[str, Any]:
    kept = Kept()
    logger.handlers = [kept]
    key, secret, token = wanted["credentials"]
    os.environ.update(
        AWS_ENDPOINT_URL=wanted["url"],
        AWS_ACCESS_KEY_ID=key,
        AWS_SECRET_ACCESS_KEY=secret,
        AWS_SESSION_TOKEN=token,
        AWS_DEFAULT_REGION=wanted["region"],
        AWS_MAX_ATTEMPTS="1",
    )
    provider = AwsProvider(regions={wanted["region"]}, retries_max_attempts=1, scan_unused_services=True)
    # As the command line of Prowler does.
    provider.audit_metadata = Audit_Metadata(
        services_scanned=0, expected_checks=wanted["checks"], completed_checks=0, audit_progress=0
    )
    Provider.set_global_provider(provider)
    findings: list[dict[str, str]] = []
    for check in wanted["checks"]:
        service = next(folder.name for folder in SERVICES if (folder / check).is_dir())
        module = importlib.import_module(f"prowler.providers.aws.services.{service}.{check}.{check}")
        findings += [
            {
                "check": check,
                "status": found.status,
                "resource": found.resource_id,
                "arn": found.resource_arn,
                "region": found.region,
                "said": found.status_extended,
            }
            for found in getattr(module, check)().execute()
        ]
    return {"findings": findings, "errors": kept.said}


class Scan(socketserver.StreamRequestHandler):
    """One scan, in the process that was forked for it."""

    def handle(self) -> None:
        """Answer one line."""
        try:
            answer = scan(json.loads(self.rfile.readline()))
        except Exception as error:  # noqa: BLE001  # told to the judge, who fails
            answer = {"findings": [], "errors": [f"scan: {type(error).__name__}: {error}"]}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


def at_home(host: Any, *more: Any, **others: Any) -> Any:
    """Resolve a name: S3 Control puts the account before the endpoint's host."""
    return resolve("127.0.0.1" if str(host).endswith(".127.0.0.1") else host, *more, **others)


class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    """Forks for each connection."""


if __name__ == "__main__":
    resolve, socket.getaddrinfo = socket.getaddrinfo, at_home
    with Server(sys.argv[1], Scan) as server:
        server.serve_forever()
