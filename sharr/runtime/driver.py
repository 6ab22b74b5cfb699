"""The driver: apply a plan, verify it, take back what was done where a call fails; the same for every remediation."""

from __future__ import annotations

import json
import time
import uuid
import zlib
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import jmespath
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as ConnectionFailed

from sharr.runtime.contract import CannotRepair, ResourceGone
from sharr.runtime.planning import (
    Aws,
    CallFailed,
    Json,
    ended,
    inspected,
    is_passing,
    is_read,
    leaves,
    named,
    paths_text,
    plan_of,
    references,
    refused,
)

CALLS_A_LOOK = 200
CALLS_AN_ATTEMPT = 2000
RECORD_BYTES = 350_000
VERIFY_PAUSES_SECONDS = (0, 0.2, 0.5, 1, 2, 4)
RETRY_SECONDS = 20


def remediate(
    remediation: Any,
    access: Any,
    target: Json,
    journal: Json,
    save: Callable[[Json], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Json:
    """
    Take one look: inspect, plan, save, apply up to a wait, and inspect until the plan is empty. Return the result.

    Args:
        remediation: inspect, plan, auxiliaries, and `settings`: regions, settles, pending (seconds).
        access: read(), write(plan, state), undo(calls, state): each gives an Aws with no more rights than it needs.
        save: stores the journal before the first write. What it raises (stopped, lease lost) ends the look unwritten.

    Returns:
        outcome (REMEDIATED, COMPLIANT, PENDING, RETRY, FAILED), why, to_do, seconds (when to look again), gone.
    """
    reopen(journal)
    try:
        state = inspected(remediation, access.read(), target)
        plan = plan_of(remediation, state, target)
    except ResourceGone:
        return _gone(journal)
    except (CannotRepair, CallFailed) as error:
        return refused(error)
    wrote = bool(journal["plan"])
    journal["before"] = journal["before"] or state
    journal["after"] = state
    if state.get("busy") and (plan or wrote):
        return pending(remediation, target, journal, state["busy"])
    if not plan:
        if wrote:
            return ended("REMEDIATED", "the resource is compliant")
        return ended("COMPLIANT", "the resource is compliant already")
    if sum("operation" in c for c in plan) + len(journal["plan"]) > CALLS_AN_ATTEMPT:
        return ended("FAILED", f"more than {CALLS_AN_ATTEMPT} calls would be needed", "repair it in parts, by hand")
    batch, pause = one_look(plan)
    size = len(zlib.compress(json.dumps([journal["before"], journal["undo"], batch]).encode()))
    if size > RECORD_BYTES:
        why = f"the record that an undo needs would have {size} bytes"
        return ended("FAILED", why, "repair it by hand: we could not undo it")
    journal["open"] = batch
    journal["started"] = journal["started"] or target["now"]
    try:
        writer = access.write(batch, state)
        save(journal)
    except BaseException:
        journal["open"] = None  # nothing was written: there is nothing that a later look must take back
        if not wrote:
            journal["started"] = None
        raise
    done, failure = _apply(writer, batch, journal, sleep)
    journal["open"] = None
    journal["plan"] = journal["plan"] + [bare(c) for c in done]
    if failure:
        return _take_back(remediation, access, target, journal, state, failure, sleep)
    if pause:
        return pending(remediation, target, journal, pause["wait"], pause["seconds"])
    return _verify(remediation, access, target, journal, sleep)


def resolve(value: Any, results: Json, journal: Json, later: Collection[str] = ()) -> Any:
    """
    Return *value* with references and $json replaced. Raises CallFailed for a reference that gives nothing.

    References to the names in *later*, an undo's own late reads, stay until it is played (outside of $json).
    """
    if isinstance(value, dict):
        if value.keys() == {"$json"}:
            return json.dumps(resolve(value["$json"], results, journal), separators=(",", ":"))
        if value.keys() == {"$ref", "path"}:
            if value["$ref"] in later:
                return value
            found = _referred(value["$ref"], value["path"], results, journal)
            if found is None:
                raise CallFailed(f"the answer of {value['$ref']} has no {value['path']}")
            return found
        return {key: resolve(inner, results, journal, later) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolve(inner, results, journal, later) for inner in value]
    return value


def _referred(name: str, path: str, results: Json, journal: Json) -> Any:
    if name == "attempt":
        return {"token": journal["token"], "tag": f"sharr:{journal['token']}"}[path]
    return jmespath.search(path, results.get(name))


def one_look(plan: list[Json]) -> tuple[list[Json], Json | None]:
    """Return the calls up to a wait or to 200, and what ended them (None: the plan's end)."""
    batch: list[Json] = []
    for entry in plan:
        if "wait" in entry:
            return batch, entry
        if len(batch) >= CALLS_A_LOOK and not set(references(entry)) & {c.get("name") for c in batch}:
            return batch, {"wait": "more calls are planned", "seconds": 1}
        batch.append(entry)
    return batch, None


def _apply(
    aws: Aws, batch: list[Json], journal: Json, sleep: Callable[[float], None]
) -> tuple[list[Json], CallFailed | None]:
    """Make the calls. Return those that were (or may have been) made, and the failure that ended them."""
    results: Json = {}
    secrets = {c["name"] for c in batch if c.get("secret") and c.get("name")}
    done: list[Json] = []
    for entry in batch:
        try:
            perform(aws, entry, results, journal, sleep, secrets)
        except CallFailed as error:
            error.args = (f"{named(entry)}: {error}",)
            if error.unknown:
                done.append(entry)
                _remember_inverses(entry, results, journal)
            return done, error
        if not is_read(entry):
            done.append(entry)
            _remember_inverses(entry, results, journal)
    return done, None


def _remember_inverses(entry: Json, results: Json, journal: Json) -> None:
    if entry.get("final"):
        journal["undo"] = []
        return
    mine = []
    later = {u.get("name") for u in entry.get("undo", ())}
    for inverse in entry.get("undo", ()):
        try:
            mine.append(
                inverse
                if "wait" in inverse
                else inverse | {"parameters": resolve(inverse["parameters"], results, journal, later)}
            )
        except CallFailed:
            journal["left"].append(f"{named(entry)}: its answer is not known, so {named(inverse)} could not be kept")
    journal["undo"] = mine + journal["undo"]


def reopen(journal: Json) -> None:
    """A look died after it had saved its plan: assume that all of it was done, and keep what takes it back."""
    died = journal["open"]
    if not died:
        return
    journal["open"] = None
    for entry in died:
        if "operation" in entry and not is_read(entry):
            _remember_inverses(entry, {}, journal)
    journal["plan"] = journal["plan"] + [bare(c) for c in died if "operation" in c and not is_read(c)]


def perform(
    aws: Aws,
    entry: Json,
    results: Json,
    journal: Json,
    sleep: Callable[[float], None],
    secrets: Collection[str] = (),
) -> None:
    """Make one call; its answer goes to *results* by its name. Raises CallFailed, which quotes no secret answer."""
    parameters = resolve(entry["parameters"], results, journal)
    quiet = bool(entry.get("secret")) or bool(set(secrets) & set(references(entry["parameters"])))
    spent, pause = 0.0, 0.5
    while True:
        try:
            answer = getattr(aws.client(entry["client"], entry.get("region")), entry["operation"])(**parameters)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in entry.get("fine", ()):
                return
            if code in entry.get("skip", ()):
                journal["left"].append(f"{named(entry)} {json.dumps(parameters)[:120]}: {code}")
                return
            if code in entry.get("retry", ()) and spent < RETRY_SECONDS:
                sleep(pause)
                spent, pause = spent + pause, min(pause * 2, 4)
                continue
            text = code if quiet else f"{code}: {error.response['Error'].get('Message', '')}"
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise CallFailed(
                text, passing=is_passing(error), unknown=status >= 500, to_do=entry.get("explain", {}).get(code, "")
            ) from (None if quiet else error)
        except (HTTPClientError, ConnectionFailed) as error:
            raise CallFailed(type(error).__name__, passing=True, unknown=True) from (None if quiet else error)
        except BotoCoreError as error:
            raise CallFailed(type(error).__name__ if quiet else str(error)) from (None if quiet else error)
        refused = jmespath.search(entry["fail_if"], answer) if entry.get("fail_if") else None
        if refused:
            raise CallFailed("refused in the answer" if quiet else f"refused in the answer: {str(refused)[:200]}")
        if entry.get("name"):
            results[entry["name"]] = answer
        return


def _take_back(
    remediation: Any,
    access: Any,
    target: Json,
    journal: Json,
    state: Json,
    failure: CallFailed,
    sleep: Callable[[float], None],
) -> Json:
    """A call failed: play the inverses of what was done, then say what is really there."""
    problems = []
    todo = [c for c in journal["undo"] if "wait" not in c]
    if todo:
        player = access.undo(todo, state)
        results: Json = {}
        for inverse in todo:
            try:
                perform(player, inverse, results, journal, sleep, {c.get("name", "") for c in todo})
            except CallFailed as error:
                problems.append(f"{named(inverse)}: {error}")
    outcome = "RETRY" if failure.passing else "FAILED"
    differs: list[tuple[str, ...]] = []
    for seconds in VERIFY_PAUSES_SECONDS:
        sleep(seconds)
        try:
            now = inspected(remediation, access.read(), target)
        except ResourceGone:
            return ended("FAILED", f"{failure}; the resource is gone now", gone=True)
        except (CallFailed, CannotRepair) as error:
            return ended("FAILED", f"{failure}; what is there now could not be read: {error}", "look at the resource")
        journal["after"] = now
        differs = list(leaves(journal["before"]["config"], now["config"]))
        if now.get("busy") and todo:
            # The service still works on it: what it will be is not known yet, so nothing is forgotten.
            return ended("RETRY", f"{failure}; not known yet whether it took effect: {now['busy']}", failure.to_do)
        if not differs:
            journal["undo"], journal["plan"], journal["started"] = [], [], None
            # A later try is another request: an idempotency token would give back what was deleted just now.
            journal["token"] = str(uuid.uuid5(uuid.UUID(journal["token"]), "again"))
            why = f"{failure}; taken back, the resource is as before"
            return ended(outcome, why if todo else str(failure), failure.to_do, restored=True)
    there = f"{failure}; changed and not taken back: {paths_text(differs)}"
    if problems:
        there += f" ({'; '.join(problems[:3])})"
    return ended("FAILED", there, failure.to_do or "look at the resource, then Undo with SHARR or finish by hand")


def _verify(remediation: Any, access: Any, target: Json, journal: Json, sleep: Callable[[float], None]) -> Json:
    plan: list[Json] = []
    for seconds in VERIFY_PAUSES_SECONDS:
        sleep(seconds)
        try:
            state = inspected(remediation, access.read(), target)
            plan = plan_of(remediation, state, target)
        except ResourceGone:
            return _gone(journal)
        except (CannotRepair, CallFailed) as error:
            result = refused(error)
            return result | {"why": f"repaired, but not verified: {result['why']}"}
        journal["after"] = state
        if state.get("busy"):
            return pending(remediation, target, journal, state["busy"])
        if not plan:
            return ended("REMEDIATED", "the resource is compliant")
    if remediation.settings.get("settles") and not _over(target, journal, remediation.settings["settles"]):
        return pending(remediation, target, journal, "the change is not visible yet", remediation.settings["settles"])
    todo = "; ".join(journal["left"][:5]) or ", ".join(named(c) for c in plan[:3] if "operation" in c)
    return ended("FAILED", f"the change was accepted but is not in effect; still to do: {todo}", "look at the resource")


def pending(remediation: Any, target: Json, journal: Json, why: str, seconds: float | None = None) -> Json:
    limits = remediation.settings["pending"]
    if _over(target, journal, limits["at_most"]):
        return ended("FAILED", f"after {limits['at_most'] // 60} minutes still: {why}", "look at the resource")
    return ended(
        "PENDING",
        why,
        seconds=seconds or (limits["every"] if journal["plan"] and journal["after"] else limits["first"]),
    )


def _over(target: Json, journal: Json, seconds: float) -> bool:
    if not journal["started"]:
        journal["started"] = target["now"]
    return (
        datetime.fromisoformat(target["now"]) - datetime.fromisoformat(journal["started"])
    ).total_seconds() > seconds


def _gone(journal: Json) -> Json:
    if journal["plan"]:
        return ended("REMEDIATED", "the resource is gone, as the repair meant it to be", gone=True)
    return ended("COMPLIANT", "the resource is gone", gone=True)


def bare(entry: Json) -> Json:
    """What the record keeps of a call that was made: its inverses live in `undo`, resolved."""
    return {
        k: v for k, v in entry.items() if k in ("client", "operation", "parameters", "region", "lost", "final", "kept")
    }
