"""Memory of a process that makes clients for ever: run as a process of its own, since the sandbox's would hide it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import botocore.session

from sharr.sessions import CLIENT_CONFIG

ROUNDS, EACH = 5, 5


@dataclass(frozen=True, slots=True)
class Resident:
    """Resident megabytes before, after one round over all services, and after all rounds."""

    services: int
    clients: int
    before: float
    first: float
    last: float


def measure(services: Sequence[str]) -> Resident:
    """Make clients of these services as sharr.sessions does, *EACH* in each of *ROUNDS*, from one botocore session."""
    made = subprocess.run(
        [sys.executable, "-m", "flood.clients", *services], capture_output=True, text=True, check=True
    )
    before, *rounds = json.loads(made.stdout)
    return Resident(len(services), len(services) * EACH * ROUNDS, before, rounds[0], rounds[-1])


def _resident() -> float:
    """Return the process's resident megabytes. Linux only."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmRSS")


def _main(services: Sequence[str]) -> None:
    session, megabytes = botocore.session.Session(), [_resident()]
    for _ in range(ROUNDS):
        for service in services:
            for _ in range(EACH):
                session.create_client(
                    service,
                    region_name="us-east-1",
                    config=CLIENT_CONFIG,
                    aws_access_key_id="none",
                    aws_secret_access_key="none",
                )
        megabytes.append(_resident())
    print(json.dumps(megabytes))


if __name__ == "__main__":
    _main(sys.argv[1:])
