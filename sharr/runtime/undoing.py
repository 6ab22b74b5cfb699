"""Undo: take back what an attempt did, where it still is as the repair left it. Never part of a runbook."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone
from sharr.runtime.driver import VERIFY_PAUSES_SECONDS, bare, one_look, pending, perform
from sharr.runtime.planning import CallFailed, Json, at, ended, inspected, is_read, leaves, named, paths_text, refused


def undo(
    remediation: Any,
    access: Any,
    target: Json,
    repaired: Json,
    journal: Json,
    save: Callable[[Json], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Json:
    """
    Take back what the attempt with the journal *repaired* did, where it still is as the repair left it.

    *journal* is the undo attempt's own; `undo` in it holds what is still to be played (a wait ends a look here too).
    Returns outcome UNDONE, SKIPPED (somebody changed it since), COMPLIANT (gone), PENDING, RETRY or FAILED.
    """
    first = journal["before"] is None
    try:
        now = inspected(remediation, access.read(), target)
    except ResourceGone:
        return ended("COMPLIANT", "the resource is gone: there is nothing to undo", gone=True)
    except (CannotRepair, CallFailed) as error:
        return refused(error)
    if now.get("busy"):
        return pending(remediation, target, journal, now["busy"])
    before, after = repaired["before"]["config"], repaired["after"]["config"]
    changed = list(leaves(before, after))
    if first:
        moved = [p for p in changed if at(now["config"], p) not in (at(after, p), at(before, p))]
        if moved:
            return ended(
                "SKIPPED", f"changed by somebody since the repair: {paths_text(moved)}", "take it back by hand"
            )
        if not repaired["undo"]:
            final = "; ".join(c["final"] for c in repaired["plan"] if c.get("final"))
            return ended("FAILED", f"this repair cannot be undone: {final or 'it left nothing that can be taken back'}")
        journal["before"] = now
        as_before = changed and all(at(now["config"], p) == at(before, p) for p in changed)
        journal["undo"] = [] if as_before else repaired["undo"]
    todo = [c for c in journal["undo"] if "leaf" not in c or at(now["config"], c["leaf"]) != at(before, c["leaf"])]
    if todo:
        batch, pause = one_look(todo)
        journal["started"] = journal["started"] or target["now"]
        player = access.undo(batch, now)
        journal["undo"] = todo
        save(journal)
        results: Json = {}
        for number, one in enumerate(batch):
            try:
                perform(player, one, results, journal, sleep, {c.get("name", "") for c in batch})
            except CallFailed as error:
                # What was read for the calls that are still to come is read again with them.
                journal["undo"] = [c for c in todo[:number] if is_read(c)] + todo[number:]
                error.args = (f"{named(one)}: {error}",)
                return refused(error)
            if not is_read(one):
                journal["plan"].append(bare(one))
        journal["undo"] = [c for c in todo[len(batch) :] if c is not pause]
        if pause:
            return pending(remediation, target, journal, pause["wait"], pause["seconds"])
    return _verify_undone(remediation, access, target, repaired, journal, sleep)


def _verify_undone(
    remediation: Any, access: Any, target: Json, repaired: Json, journal: Json, sleep: Callable[[float], None]
) -> Json:
    before, after = repaired["before"]["config"], repaired["after"]["config"]
    differs: list[tuple[str, ...]] = []
    for seconds in VERIFY_PAUSES_SECONDS:
        sleep(seconds)
        try:
            now = inspected(remediation, access.read(), target)
        except ResourceGone:
            return ended("COMPLIANT", "the resource is gone", gone=True)
        except (CannotRepair, CallFailed) as error:
            return refused(error)
        journal["after"] = now
        if now.get("busy"):
            return pending(remediation, target, journal, now["busy"])
        # Where the repair's own end could not be read, nobody knows what it changed: then all of it must be as before.
        changed = list(leaves(before, after)) or list(leaves(before, now["config"]))
        differs = [p for p in changed if at(now["config"], p) != at(before, p)]
        if not differs:
            break
    lost = "; ".join(c["lost"] for c in repaired["plan"] if c.get("lost"))
    if differs and not lost:
        return ended(
            "FAILED", f"after the undo these differ from before: {paths_text(differs)}", "look at the resource"
        )
    return ended("UNDONE", f"not restored: {lost}" if lost else "as it was before the repair")
