"""A copy of this process, which says one thing and ends."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass, replace
from typing import NoReturn

REAL_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Tried:
    """One case: where the fault was, of what kind, how the finding ended, and what was wrong with that (nothing)."""

    remediation: str
    way: str
    stage: str
    call: str
    number: int
    kind: str
    outcome: str = ""
    wrong: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Return where it was, as a line of a report."""
        return f"{self.remediation} by {self.way}, {self.stage}, call {self.number} {self.call}: {self.kind}"


@dataclass(frozen=True, slots=True)
class Copy:
    """In the original: what the copy *said*. In the copy, *sender* is where it has to say it."""

    sender: int | None
    said: Tried

    def say(self, outcome: str, wrong: list[str]) -> NoReturn:
        """Say how the case ended, and end this process."""
        data = json.dumps(asdict(replace(self.said, outcome=outcome, wrong=tuple(wrong)))).encode()
        assert self.sender is not None
        with os.fdopen(self.sender, "wb") as pipe:
            pipe.write(data)
        os._exit(0)


def in_a_copy(case: Tried) -> Copy:
    """Fork; the original waits until the copy has said how *case* ended, at most REAL_SECONDS."""
    receiver, sender = os.pipe()
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        os.close(receiver)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(REAL_SECONDS)
        return Copy(sender, case)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(process, 0)
    if not text:
        why = f"the copy ended with status {status} (14: after {REAL_SECONDS} seconds)"
        return Copy(None, replace(case, wrong=(why,)))
    said = json.loads(text)
    return Copy(None, Tried(**{**said, "wrong": tuple(said["wrong"])}))
