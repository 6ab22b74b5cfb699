"""
What a runbook's end means: the execution that an attempt names, read in the member account and checked.

Its strings are as hostile as a finding's: the state is JSON of a known shape, the plan is made again here from that
state, and an undo call is taken only where it is, but for answers of earlier calls, the one that this plan has.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from botocore.exceptions import ClientError

from sharr import arns
from sharr.attempts import Attempt
from sharr.looks import Looks
from sharr.runtime.contract import CannotRepair
from sharr.runtime.driver import RECORD_BYTES, bare, reopen
from sharr.runtime.planning import is_read, new_journal, plan_of
from sharr.scripts import code_of
from sharr.sessions import RoleNotAssumed

# Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_AutomationExecution.html
RUNNING = (
    "Pending",
    "InProgress",
    "Waiting",
    "Cancelling",
    "PendingApproval",
    "Scheduled",
    "PendingChangeCalendarOverride",
)
RUNS_AT_MOST = timedelta(days=1)
OUTCOMES = ("REMEDIATED", "COMPLIANT", "PENDING", "RETRY", "FAILED")
ANSWER_CHARACTERS = 512
# What a record may be: states of large resources have some hundred kilobytes; their JSON is some twenty levels deep.
UNPACKED_BYTES = 16 * 1024 * 1024
DEEPEST = 64
LONGEST_SECONDS = 3600
CODE = re.compile("[0-9a-f]{12}|of an earlier release")


class NotOurs(Exception):
    """What the execution says does not fit the attempt that named it."""


@dataclass(frozen=True, slots=True)
class Runbooks:
    """Reads executions with the member account's reader role."""

    looks: Looks

    def on_end(self, execution: str) -> Attempt | None:
        """Settle the attempt that started *execution*; None where none of ours did, or it is settled already."""
        attempt_id = self.looks.attempts.of_execution(execution)
        return self.settle(attempt_id) if attempt_id else None

    def settle(self, attempt_id: str) -> Attempt | None:
        """Settle an attempt whose runbook may have ended; None where it still runs or somebody else settles it."""
        attempt = self.looks.attempts.get(attempt_id)
        if attempt is None or attempt.has_ended or not attempt.in_runbook:
            return None
        try:
            execution = self._read(attempt)
        except RoleNotAssumed as error:
            execution = {"failure": f"{error} cannot be assumed: the runbook's result cannot be read"}
        now = self.looks.now()
        if execution.get("AutomationExecutionStatus") in RUNNING:
            if now - execution.get("ExecutionStartTime", now) < RUNS_AT_MOST:
                self.looks.attempts.keep(attempt, now)
                return None
            execution = {"failure": f"it still runs after {RUNS_AT_MOST.days} day"}
        taken = self.looks.attempts.take_over(attempt, now)
        if taken is None:
            return None
        attempt, lease = taken
        journal, result = self.result_of(attempt, execution)
        # Whatever is still to do is done in the function: its state is in the table, not in the runbook.
        return self.looks.settle(replace(attempt, journal=journal, in_runbook=False), lease, result)

    def result_of(self, attempt: Attempt, execution: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the journal and the result of an execution that ended, whatever it says."""
        journal = dict(attempt.journal)
        try:
            journal, result = self._result_of(attempt, execution)
        except NotOurs as error:
            result = _failed(str(error))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
            result = _failed(f"its record cannot be trusted: {type(error).__name__}: {error}")
        return journal, self._with_release(attempt, execution, result)

    def _with_release(self, attempt: Attempt, execution: Mapping[str, Any], result: dict[str, Any]) -> dict[str, Any]:
        """Return *result*; where it failed and the member's document is of another release, it says so."""
        remediation = self.looks.catalogue.remediations.get(attempt.remediation)
        there = _code_in(execution)
        if result["outcome"] not in ("FAILED", "RETRY") or remediation is None or there in (None, remediation.code):
            return result
        target = attempt.target
        where = f"account {target['account']}, Region {target['region']}"
        release = f"{remediation.document_name} is there of another release (code {there}, here {remediation.code})"
        to_do = f"update the stack member or member-flat in {where} to the release of the admin stack"
        return result | {"why": f"{release}: {result['why']}", "to_do": to_do}

    def _result_of(self, attempt: Attempt, execution: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        if "failure" in execution:
            raise NotOurs(execution["failure"])
        remediation = self.looks.catalogue.remediations.get(attempt.remediation)
        if remediation is None:  # an attempt of an earlier release, which had it
            raise NotOurs(f"this release has no remediation {attempt.remediation}")
        if execution.get("DocumentName") != remediation.document_name:
            raise NotOurs("the execution is of another document")
        if execution.get("Parameters", {}).get("AttemptId") != [attempt.id]:
            raise NotOurs("the execution is of another attempt")
        records = _records(execution)
        status = _clean(execution.get("AutomationExecutionStatus"))
        message = _clean(execution.get("FailureMessage", ""))
        said = records.get("Apply", records.get("Plan"))
        if said is None:
            raise NotOurs(f"it ended {status}: {message}")
        record = _unpacked(said)
        journal = self._checked(attempt, record["journal"])
        if "Apply" not in records and record["result"]["outcome"] == "PREVIEWED":
            reopen(journal)  # Apply may have done all, some or nothing of it
            why = f"the runbook ended {status} before it said what it did: {message}"
            return journal, {"outcome": "RETRY", "why": why, "to_do": ""}
        result = _result(record["result"])
        if result["outcome"] == "REMEDIATED" and not journal["plan"]:
            raise NotOurs("it repaired and made no call")
        return journal, result

    def _read(self, attempt: Attempt) -> dict[str, Any]:
        target = attempt.target
        role = arns.arn(target["partition"], "iam", "", target["account"], "role/sharr/sharr-reader")
        try:
            ssm = self.looks.sessions.open(role, attempt.id, None)("ssm", target["region"])
            answer = ssm.get_automation_execution(AutomationExecutionId=attempt.execution)
        except ClientError as error:
            if error.response["Error"]["Code"] == "AutomationExecutionNotFoundException":
                return {"failure": "the execution is not there (any more)"}
            raise
        return dict(answer["AutomationExecution"])

    def _checked(self, attempt: Attempt, said: Mapping[str, Any]) -> dict[str, Any]:
        """Return a journal made here from what the runbook said; raises NotOurs where it does not fit."""
        journal = new_journal(attempt.id)
        before, after = said["before"], said.get("after")
        for state in (before, after):
            if state is not None and (not isinstance(state, dict) or state.keys() != {"config", "facts", "busy"}):
                raise NotOurs("a state has another shape")
        journal |= {"before": before, "after": after, "started": said.get("started") and attempt.created_at}
        if before is None:
            return journal
        remediation = self.looks.catalogue.remediations[attempt.remediation]
        try:
            plan = plan_of(code_of(remediation), before, {**attempt.target, "now": attempt.created_at})
        except CannotRepair:
            return journal
        except Exception as error:  # a script may fail in any way on a state that inspect did not give
            raise NotOurs(f"no plan can be made from its state: {type(error).__name__}") from error
        writes = [c for c in plan if "operation" in c and not is_read(c)]
        if said.get("open"):
            journal["open"] = plan
        done = said.get("plan", [])
        if [(c["client"], c["operation"]) for c in done] != [
            (c["client"], c["operation"]) for c in writes[: len(done)]
        ]:
            raise NotOurs("it did other calls than planned")
        journal["plan"] = [bare(c) for c in writes[: len(done)]]
        mine = [(inverse, late_names(c)) for c in reversed(writes[: len(done)]) for inverse in inverses(c)]
        theirs: Sequence[Mapping[str, Any]] = said.get("undo", [])
        if len(theirs) > len(mine) or not all(_fits(m, t, late) for (m, late), t in zip(mine, theirs, strict=False)):
            raise NotOurs("its undo is not the plan's")
        journal["undo"] = [{**m, "parameters": t["parameters"]} for (m, _), t in zip(mine, theirs, strict=False)]
        if done and after is None:
            raise NotOurs("it changed something and does not say what is there now")
        if len(zlib.compress(json.dumps(journal).encode())) > RECORD_BYTES:
            raise NotOurs("it is larger than a record may be")
        return journal


def _records(execution: Mapping[str, Any]) -> dict[str, str]:
    """Return what each step said."""
    return {
        step["StepName"]: step["Outputs"]["record"][0]
        for step in execution.get("StepExecutions", ())
        if step.get("Outputs", {}).get("record")
    }


def _code_in(execution: Mapping[str, Any]) -> str | None:
    """Return the hash of the code that a runbook's document was made of, None where its record does not tell."""
    try:
        records = _records(execution)
        said = _unpacked(records.get("Apply", records.get("Plan", "null")))
    except (NotOurs, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    code = said.get("code", "of an earlier release")
    return code if isinstance(code, str) and CODE.fullmatch(code) else None


def inverses(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the calls that take a call of a plan back."""
    return [inverse for inverse in entry.get("undo", ()) if "operation" in inverse]


def late_names(entry: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of what an undo reads itself when it is played: references to them stay in the record."""
    return frozenset(inverse["name"] for inverse in inverses(entry) if inverse.get("name"))


def _fits(mine: Mapping[str, Any], theirs: Mapping[str, Any], late: Container[str]) -> bool:
    """An undo call is the plan's own where it differs only in answers of earlier calls."""
    same = all(mine.get(k) == theirs.get(k) for k in ("client", "operation", "region"))
    return same and _matches(mine["parameters"], theirs["parameters"], late)


def _matches(mine: Any, theirs: Any, late: Container[str]) -> bool:
    if isinstance(mine, dict) and mine.keys() == {"$ref", "path"}:
        if mine["$ref"] in late:
            return bool(theirs == mine)
        return (
            isinstance(theirs, str)
            and 0 < len(theirs) <= ANSWER_CHARACTERS
            and theirs.isascii()
            and theirs.isprintable()
        )
    if isinstance(mine, dict) and mine.keys() == {"$json"}:
        return isinstance(theirs, str) and _matches(mine["$json"], json.loads(theirs), late)
    if isinstance(mine, dict):
        return (
            isinstance(theirs, dict)
            and mine.keys() == theirs.keys()
            and all(_matches(value, theirs[key], late) for key, value in mine.items())
        )
    if isinstance(mine, list):
        return (
            isinstance(theirs, list)
            and len(mine) == len(theirs)
            and all(_matches(m, t, late) for m, t in zip(mine, theirs, strict=True))
        )
    return type(mine) is type(theirs) and bool(mine == theirs)  # True is 1 for Python, not for AWS


def _result(said: Mapping[str, Any]) -> dict[str, Any]:
    if said["outcome"] not in OUTCOMES:
        raise NotOurs(f"its outcome is {said['outcome']!r}")
    seconds = said.get("seconds")
    if not (isinstance(seconds, int | float) and 1 <= seconds <= LONGEST_SECONDS):  # NaN is neither
        seconds = 60
    return {
        "outcome": said["outcome"],
        "why": _clean(said["why"]),
        "to_do": _clean(said.get("to_do", "")),
        "seconds": float(seconds),
        "gone": said.get("gone") is True,
    }


def _unpacked(text: str) -> Any:
    """Return what pack() took, or raise NotOurs: a few bytes can stand for more than the function's memory holds."""
    if len(text) > RECORD_BYTES * 2:
        raise NotOurs("it is too long")
    if text.startswith("z:"):
        reader = zlib.decompressobj()
        try:
            data = reader.decompress(base64.b64decode(text[2:], validate=True), UNPACKED_BYTES)
        except zlib.error as error:
            raise NotOurs("it is not compressed as it says") from error
        if reader.unconsumed_tail or not reader.eof:
            raise NotOurs("it is too long, or cut")
        text = data.decode()
    value = json.loads(text)
    _refuse_deep(value)
    return value


def _refuse_deep(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise NotOurs("it is nested too deep")


def _failed(why: str) -> dict[str, Any]:
    return {
        "outcome": "FAILED",
        "why": f"the runbook failed: {_clean(why)}",
        "to_do": "look at the execution in the member account",
    }


def _clean(text: Any) -> str:
    """Return a member account's text as one printable line of at most 400 characters."""
    return "".join(c if c.isprintable() else " " for c in str(text))[:400]
