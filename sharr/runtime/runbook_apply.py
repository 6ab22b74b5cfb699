"""The other steps of a runbook: Apply repairs what Plan planned, Verdict makes a failure visible."""

from __future__ import annotations

from typing import Any

from sharr.runtime.composed import Script
from sharr.runtime.contract import CannotRepair
from sharr.runtime.driver import remediate
from sharr.runtime.planning import new_journal
from sharr.runtime.runbook_plan import Access, note_of, record_of, target_of, unpack


def apply_step(payload: dict[str, Any], _context: Any) -> dict[str, str]:
    """Repair what Plan planned; return `record` (journal with undo), `outcome` and `note`."""
    planned = unpack(payload["Record"])
    if planned["result"]["outcome"] != "PREVIEWED":
        return {
            "record": payload["Record"],
            "outcome": planned["result"]["outcome"],
            "note": note_of(planned["result"]),
        }
    target = target_of(payload)
    journal = new_journal(planned["journal"]["token"])

    def save(now: dict[str, Any]) -> None:
        if now["before"]["config"] != planned["journal"]["before"]["config"]:
            raise CannotRepair("the resource changed between Plan and Apply", "run it again")

    try:
        result = remediate(Script, Access(target), target, journal, save)
    except CannotRepair as error:
        result = {"outcome": "FAILED", "why": error.why, "to_do": error.to_do, "seconds": None}
    return {
        "record": record_of(journal, result),
        "outcome": result["outcome"],
        "note": note_of(result),
    }


def verdict_step(payload: dict[str, Any], _context: Any) -> dict[str, str]:
    """Raise where the repair failed, so that the execution says so, too; the outputs of Apply are kept."""
    if payload["Outcome"] not in ("REMEDIATED", "COMPLIANT", "PENDING"):
        raise RuntimeError(f"{payload['Outcome']}: {payload['Note']}")
    return {"outcome": payload["Outcome"]}
