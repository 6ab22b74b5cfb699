"""
One finding's way, with a fork at each call: the call of the copy fails, and the copy goes on alone.

The original goes on well. So each case starts where the calls before it have been made, and nothing is run twice.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from faults.copies import Copy, Tried, in_a_copy
from faults.deliveries import OF_THE_QUEUE, another_finding, deliver_again, work_beside
from faults.invariants import after_repair, after_undo
from faults.kinds import OF_A_READ, OF_TWO, Killed, Kind, fail, is_write, kinds_of
from faults.stage import Scene, Seen
from sandbox.ports import Call
from sharr.finding import PREVIEW, REMEDIATE, UNDO, CustomAction

ARROWS = ("TransactWriteItems", "AssumeRole", "SendMessage", "SendMessageBatch", "StartAutomationExecution")
"""What "An attempt, write by write" has beside the repair's own writes. Source: docs/design.md"""


@dataclass(frozen=True, slots=True)
class Way:
    """
    How a finding is taken up, and what is tried on it.

    *spine*: every kind at every call of the functions; else the process is killed after each arrow, in the repair.
    *own*: every kind at every write of the repair, and at every read where it is made first; later, one of them by
    turns. *few*: as in a runbook, FEW kinds at each write, and reads by turns always. *two*: another function at each
    write of the repair, with *spine* at each call of the functions, too. *messages*: each of the repair's twice.
    *part*: of all these, every n-th, from *offset* on.
    """

    name: str
    press: CustomAction | None = None
    spine: bool = False
    own: bool = False
    few: bool = False
    two: bool = False
    messages: bool = False
    part: int = 1
    offset: int = 0


@dataclass(slots=True)
class Walk:
    """Carries out the calls of a scene, and forks. In a copy nothing is forked any more."""

    scene: Scene
    way: Way
    tried: list[Tried] = field(default_factory=list)
    stage: str = ""
    copy: Copy | None = None
    _numbers: int = 0
    _places: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _seen: set[tuple[Any, ...]] = field(default_factory=set)
    _reads: dict[tuple[str, ...], int] = field(default_factory=dict)
    _turn: int = 0
    _is_own_read: bool = False
    _count: int = 0

    def run(self) -> list[Tried]:
        """Walk the finding's way; return what was tried. In a copy it does not return."""
        identity = self.scene.stage.world.identity
        try:
            identity.around = self.around  # type: ignore[attr-defined]
            tried = self._run()
        except BaseException:
            if self.copy is None:
                raise
            self.copy.say("", [f"the harness: {traceback.format_exc()[-1500:]}"])
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
        wrong = after_repair(seen, self._kind, way.name)
        wrote = any(a.journal.get("plan") for a in (*seen.attempts, *seen.others))
        # What a failed read changes is the way to the end, not what is known there of the calls that were made.
        a_read = self.copy is not None and self.copy.said.kind in OF_A_READ and self._is_own_read
        if seen.attempts and wrote and not scene.case.irreversible and not wrong and not a_read:
            wrong += self._undone(seen)
        self._end(outcome, wrong)
        return self.tried

    def _undone(self, repaired: Seen) -> list[str]:
        self.stage = "undo"
        scene = self.scene
        if repaired.attempts[-1].outcome == "COMPLIANT":  # another finding of the resource had it repaired
            scene.finding = another_finding(scene.finding)
        scene.press(UNDO)
        seen = scene.seen(scene.stage.settle())
        wrong = after_undo(seen, self._kind if self._stage_of_fault == "undo" else "", scene.case.not_restored)
        if not wrong and self._stage_of_fault == "undo" and seen.attempts[-1].outcome in ("FAILED", "SKIPPED"):
            # It said why; pressed again, it has to do it.
            scene.stage.world.advance(60)
            scene.press(UNDO)
            seen = scene.seen(scene.stage.settle())
            wrong = [f"pressed again: {one}" for one in after_undo(seen, "", scene.case.not_restored)]
        return wrong

    @property
    def _kind(self) -> str:
        return self.copy.said.kind if self.copy else ""

    @property
    def _stage_of_fault(self) -> str:
        return self.copy.said.stage if self.copy else ""

    # --- the calls

    def around(self, call: Call, proceed: Callable[[], Any]) -> Any:
        """Carry out a call; where it is one of ours, fork a copy for each kind in which it can fail."""
        own, stage = self.scene.is_own(call), self.scene.stage
        poller = stage.is_of_poller(call)
        if not own and not poller and not stage.is_of_function(call):
            return proceed()
        if _is_dying():
            raise Killed(137)

        def effective() -> Any:
            answer = proceed()
            if own:
                self.scene.effects.append(call)
            return answer

        if self.copy is None:
            self._numbers += 1
            for kind in self._kinds(call, own):
                if self._is_copy(call, kind):
                    self._is_own_read = own and not is_write(call)
                    if kind in OF_TWO:
                        work_beside(self.scene, kind)
                        return effective()
                    if poller:
                        return deliver_again(self.scene, call, kind, proceed)
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
        chosen = []
        for kind in self._possible(call, own):
            if self._count % self.way.part == self.way.offset % self.way.part:
                chosen.append(kind)
            self._count += 1
        return chosen

    def _possible(self, call: Call, own: bool) -> tuple[Kind, ...]:
        way, in_repair = self.way, self.stage != "undo"
        if call.operation in OF_THE_QUEUE and not own:
            return (OF_THE_QUEUE[call.operation],) if way.messages and (in_repair or way.spine) else ()
        two = (OF_TWO if in_repair else OF_TWO[:1]) if way.two else ()
        if own and way.few and not in_repair:
            return ()  # the function's, as everywhere
        if own and is_write(call):
            return (*((FEW if way.few else kinds_of(call)) if way.own else ()), *two)
        if own:
            return self._of_read(call) if way.own else ()
        if way.spine:
            return (*kinds_of(call), *two)
        return ("process killed after",) if call.operation in ARROWS and in_repair and way.own else ()

    def _of_read(self, call: Call) -> tuple[Kind, ...]:
        asked = (call.service, call.operation, json.dumps(call.parameters, default=str))
        times = self._reads[asked] = self._reads.get(asked, -1) + 1
        if times == 0 and not self.way.few:
            return OF_A_READ
        if times and self.way.few:
            return ()
        self._turn += 1
        return (OF_A_READ[self._turn % len(OF_A_READ)],)

    def _occurrence(self, call: Call) -> int:
        """Return how often the call was made in this stage, at most eight times: looks of a long wait are alike."""
        key = (self.stage, call.service, call.operation)
        self._places[key] = self._places.get(key, 0) + 1
        return min(self._places[key], 8)

    # --- copies

    def _is_copy(self, call: Call, kind: Kind) -> bool:
        """Fork; True in the copy. The original notes what the copy has to say."""
        copy = in_a_copy(self._case(self.stage, self._numbers, f"{call.service}.{call.operation}", kind))
        if copy.sender is None:
            self.tried.append(copy.said)
            return False
        self.copy = copy
        return True

    def _case(self, stage: str, number: int, call: str, kind: str) -> Tried:
        return Tried(self.scene.remediation.id, self.way.name, stage, call, number, kind)

    def _end(self, outcome: str, wrong: list[str]) -> None:
        if self.copy:
            self.copy.say(outcome, wrong)
        self.tried.append(replace(self._case("all", 0, "", "no fault"), outcome=outcome, wrong=tuple(wrong)))


def _is_dying() -> bool:
    """Tell whether the caller is being unwound by Killed: a process that is gone calls nobody."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, Killed):
            return True
        error = error.__context__
    return False


FEW: tuple[Kind, ...] = ("refused", "throttled", "time-out after it took effect", "process killed after")
BUTTONS = {"button": REMEDIATE, "preview": PREVIEW}
