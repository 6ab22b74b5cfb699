"""
One finding's way, with a fork at each call: the copy's call fails and the copy goes on alone; the original goes on well.

So each case starts where the calls before it have been made, and nothing is run twice.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from faults.invariants import after_repair, after_undo
from faults.kinds import Killed, Kind, fail, is_write, kinds_of
from faults.stage import Scene, Seen
from sandbox.ports import Call
from sharr.finding import PREVIEW, REMEDIATE, UNDO

REAL_SECONDS = 120
ARROWS = ("TransactWriteItems", "AssumeRole", "SendMessage", "SendMessageBatch", "StartAutomationExecution")
"""What "An attempt, write by write" has beside the repair's own writes. Source: docs/design.md"""


@dataclass(frozen=True, slots=True)
class Tried:
    """One case: where the fault was, of what kind, how the finding ended, and what was wrong with that (nothing)."""

    remediation: str
    way: str
    stage: str
    call: str
    number: int
    kind: str
    outcome: str
    wrong: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Return where it was, as a line of a report."""
        return f"{self.remediation} by {self.way}, {self.stage}, call {self.number} {self.call}: {self.kind}"


@dataclass(frozen=True, slots=True)
class Way:
    """
    How a finding is taken up, and what is tried on it.

    *spine*: every kind at every call of the functions; else the process is killed at each arrow. *own*: every kind at
    every call of the repair. *part*: of what is to be tried, every n-th.
    """

    name: str
    press: Any = None
    spine: bool = False
    own: bool = True
    part: int = 1
    offset: int = 0
    beside: Callable[[Scene, Call], None] | None = None


@dataclass(slots=True)
class Walk:
    """Carries out the calls of a scene, and forks. In a copy *fault* is set, and nothing is forked any more."""

    scene: Scene
    way: Way
    tried: list[Tried] = field(default_factory=list)
    stage: str = ""
    fault: tuple[str, int, str, Kind] | None = None
    sender: int | None = None
    _numbers: int = 0
    _places: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _seen: set[tuple[Any, ...]] = field(default_factory=set)
    _count: int = 0

    def run(self) -> list[Tried]:
        """Walk the finding's way; return what was tried. In a copy it does not return."""
        identity = self.scene.stage.world.identity
        try:
            identity.around = self.around  # type: ignore[attr-defined]
            tried = self._run()
        except BaseException:
            if self.sender is None:
                raise
            self._send("", [f"the harness: {traceback.format_exc()[-1500:]}"])
        finally:
            identity.around = None  # type: ignore[attr-defined]
        return tried

    def _run(self) -> list[Tried]:
        scene, way = self.scene, self.way
        self.stage = "preview" if way.press is PREVIEW else "repair"
        if way.press is None:
            scene.publish()
        else:
            scene.publish(Workflow={"Status": "NOTIFIED"})
            scene.stage.world.run()
            scene.press(way.press)
        seen = scene.seen(scene.stage.settle())
        outcome = seen.attempts[-1].outcome if seen.attempts else ""
        wrong = after_repair(seen, self._kind, self._place, way.name)
        if seen.attempts and seen.attempts[-1].journal.get("plan") and not scene.case.irreversible and not wrong:
            wrong += self._undone(seen)
        self._end(outcome, wrong)
        return self.tried

    def _undone(self, repaired: Seen) -> list[str]:
        self.stage = "undo"
        scene = self.scene
        made = len(scene.effects)
        scene.press(UNDO)
        seen = scene.seen(scene.stage.settle())
        wrong = after_undo(seen, self._kind if self._stage_of_fault == "undo" else "", scene.case.not_restored)
        if not wrong and self._stage_of_fault == "undo" and seen.attempts[-1].outcome in ("FAILED", "SKIPPED"):
            # It said why; pressed again, it has to do it.
            scene.stage.world.advance(60)
            scene.press(UNDO)
            seen = scene.seen(scene.stage.settle())
            wrong = [f"pressed again: {one}" for one in after_undo(seen, "", scene.case.not_restored)]
        del repaired, made
        return wrong

    @property
    def _kind(self) -> str:
        return self.fault[3] if self.fault else ""

    @property
    def _place(self) -> str:
        return self.fault[2] if self.fault else ""

    @property
    def _stage_of_fault(self) -> str:
        return self.fault[0] if self.fault else ""

    # --- the calls

    def around(self, call: Call, proceed: Callable[[], Any]) -> Any:
        """Carry out a call; where it is one of ours, fork a copy for each kind in which it can fail."""
        own = self.scene.is_own(call)
        if not own and not self.scene.stage.is_of_function(call):
            return proceed()
        if _is_dying():
            raise Killed(137)

        def effective() -> Any:
            answer = proceed()
            if own:
                self.scene.effects.append(call)
            return answer

        if self.fault is None:
            self._numbers += 1
            for kind in self._kinds(call, own):
                if self._is_copy(call, kind):
                    if kind == "another function at the same time":
                        assert self.way.beside
                        self.way.beside(self.scene, call)
                        return effective()
                    return fail(call, kind, effective)
        return effective()

    def _kinds(self, call: Call, own: bool) -> list[Kind]:
        """Return what is to be tried at this call: nothing where an equal call was made in an equal position."""
        writes = sum(is_write(c) for c in self.scene.effects)
        position = (self.stage, call.service, call.operation, json.dumps(call.parameters, default=str) if own else "",
                    writes if own else self._occurrence(call))  # fmt: skip
        if position in self._seen:
            return []
        self._seen.add(position)
        if self.way.beside:
            kinds: Iterable[Kind] = ("another function at the same time",)
        elif own:
            kinds = kinds_of(call) if self.way.own else ()
        elif self.way.spine:
            kinds = kinds_of(call)
        else:
            kinds = ("process killed after",) if call.operation in ARROWS else ()
        chosen = []
        for kind in kinds:
            if self._count % self.way.part == self.way.offset % self.way.part:
                chosen.append(kind)
            self._count += 1
        return chosen

    def _occurrence(self, call: Call) -> int:
        """Return how often the call was made in this stage, at most five: looks of a long wait are alike."""
        key = (self.stage, call.service, call.operation)
        self._places[key] = self._places.get(key, 0) + 1
        return min(self._places[key], 8)

    # --- copies

    def _is_copy(self, call: Call, kind: Kind) -> bool:
        """Fork; True in the copy. The original waits for what the copy has to say."""
        receiver, sender = os.pipe()
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            os.close(receiver)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(REAL_SECONDS)
            self.sender, self.fault = sender, (self.stage, self._numbers, f"{call.service}.{call.operation}", kind)
            return True
        os.close(sender)
        with os.fdopen(receiver, "rb") as pipe:
            text = pipe.read()
        _, status = os.waitpid(process, 0)
        if text:
            said = json.loads(text)
            self.tried.append(Tried(**{**said, "wrong": tuple(said["wrong"])}))
        else:
            wrong = f"the copy ended with status {status} (14: after {REAL_SECONDS} seconds)"
            name = f"{call.service}.{call.operation}"
            self.tried.append(self._tried(self.stage, self._numbers, name, kind, "", [wrong]))
        return False

    def _tried(self, stage: str, number: int, call: str, kind: str, outcome: str, wrong: list[str]) -> Tried:
        return Tried(self.scene.remediation.id, self.way.name, stage, call, number, kind, outcome, tuple(wrong))

    def _end(self, outcome: str, wrong: list[str]) -> None:
        if self.sender is None:
            self.tried.append(self._tried("", 0, "", "no fault", outcome, wrong))
        else:
            self._send(outcome, wrong)

    def _send(self, outcome: str, wrong: list[str]) -> None:
        assert self.fault is not None
        assert self.sender is not None
        stage, number, call, kind = self.fault
        data = json.dumps(asdict(self._tried(stage, number, call, kind, outcome, wrong))).encode()
        with os.fdopen(self.sender, "wb") as pipe:
            pipe.write(data)
        os._exit(0)


def _is_dying() -> bool:
    """Tell whether the caller is being unwound by Killed: a process that is gone calls nobody."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, Killed):
            return True
        error = error.__context__
    return False


WAYS = {"rule": None, "button": REMEDIATE, "preview": PREVIEW}
