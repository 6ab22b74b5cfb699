"""
What every look begins with: the clients of a session, the state of the resource, the plan, and what a plan says.

Nothing here or in driver.py knows a service. A *journal* (a dict that fits JSON) is an attempt's memory between looks:
    before, after   states: {"config", "facts", "busy"}, or None
    plan            what was done, look by look
    open            the plan of the look under way, saved before its first write; None when no look is under way
    undo            the calls that take back what was done, the next to play first; no references
    left            what may be left behind and cannot be found again, in words
    token           a UUID, the same for the whole attempt
    started         ISO time of the first write, or None
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as ConnectionFailed

from sharr.runtime.contract import CannotRepair, ResourceGone

Json = dict[str, Any]
READS = ("get_", "describe_", "list_", "batch_get_", "head_", "search_", "lookup_")
THROTTLED = (
    "Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "TooManyRequestsException",
    "RequestThrottled", "RequestThrottledException", "SlowDown", "BandwidthLimitExceeded",
    "PriorRequestNotComplete", "ProvisionedThroughputExceededException", "EC2ThrottledException",
    "TransactionInProgressException",
    "OperationAborted", "ConcurrentModificationException", "ConflictException", "InternalFailure", "InternalError",
    "InternalServerError", "ServiceUnavailable", "ServiceUnavailableException", "ServiceException", "ServiceFailure",
    "RequestTimeout", "RequestTimeoutException",
)  # fmt: skip


class CallFailed(Exception):
    """A call did not do what it was to do. *passing*: it may work later. *unknown*: it may have taken effect."""

    def __init__(self, text: str, *, passing: bool = False, unknown: bool = False, to_do: str = "") -> None:
        super().__init__(text)
        self.passing = passing
        self.unknown = unknown
        self.to_do = to_do


class Aws:
    """The clients of one session. Another Region than the target's only where the remediation says so."""

    def __init__(self, make_client: Callable[[str, str], Any], target: Json, regions: str, auxiliaries: Json) -> None:
        self._make_client = make_client
        self._target = target
        self._regions = regions
        self._auxiliaries = auxiliaries
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a boto3 client, made once. Raises CannotRepair for a Region that the remediation may not use."""
        own = self._target["region"]
        region = region or own
        if region not in (own, self._regions) and self._regions not in ("bucket", "home", "any"):
            raise CannotRepair(f"a call to {region} is not allowed here", f"allowed are {own} and {self._regions!r}")
        if (service, region) not in self._clients:
            self._clients[service, region] = self._make_client(service, region)
        return self._clients[service, region]

    def auxiliary(self, name: str) -> Json:
        """Return what is there of an auxiliary resource; put it into facts["aux"][name] for plan()."""
        facts: Json = self._auxiliaries[name].look(self, self._target)
        return facts


def new_journal(token: str) -> Json:
    """Return the journal of an attempt that has not looked yet."""
    return {
        "before": None,
        "after": None,
        "plan": [],
        "open": None,
        "undo": [],
        "left": [],
        "token": token,
        "started": None,
    }


def preview(remediation: Any, access: Any, target: Json, journal: Json) -> Json:
    """Return PREVIEWED (*journal* gets the state, and the plan as `open`), COMPLIANT, RETRY or FAILED."""
    try:
        state = inspected(remediation, access.read(), target)
        plan = plan_of(remediation, state, target)
    except ResourceGone:
        return ended("COMPLIANT", "the resource is gone", gone=True)
    except (CannotRepair, CallFailed) as error:
        return refused(error)
    journal["before"] = state
    if not plan:
        return ended("COMPLIANT", "the resource is compliant already")
    journal["open"] = plan
    why = f"{len([c for c in plan if 'operation' in c])} calls planned, none made"
    if state.get("busy"):
        why += f"; not now: {state['busy']}"
    return ended("PREVIEWED", why)


def plan_of(remediation: Any, state: Json, target: Json) -> list[Json]:
    """Return the plan with auxiliaries written out. Raises CannotRepair; ValueError for a call against the contract."""
    plan: list[Json] = []
    for entry in remediation.plan(state, target):
        if "auxiliary" in entry:
            name = entry["auxiliary"]
            plan += remediation.auxiliaries[name].make(state["facts"]["aux"][name], target)
        else:
            plan.append(entry)
    for entry in plan:
        if (
            "operation" in entry
            and not is_read(entry)
            and not any(k in entry for k in ("undo", "lost", "final", "kept"))
        ):
            raise ValueError(f"{named(entry)} has none of undo, lost, final, kept")
    return plan


def leaves(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths at which two values differ. A dict is walked; everything else, lists too, is one leaf."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from leaves(before.get(key), after.get(key), (*path, key))
    elif before != after:
        yield path


def at(value: Any, path: Any) -> Any:
    """Return what stands at *path* in nested dicts, None where nothing does."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def inspected(remediation: Any, aws: Aws, target: Json) -> Json:
    try:
        return json.loads(json.dumps(remediation.inspect(aws, target)))  # type: ignore[no-any-return]  # JSON or nothing
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if is_passing(error):
            raise CallFailed(f"{error.operation_name}: {code}", passing=True) from error
        raise CallFailed(f"{error.operation_name}: {code}: {error.response['Error'].get('Message', '')}") from error
    except BotoCoreError as error:
        raise CallFailed(str(error), passing=isinstance(error, (HTTPClientError, ConnectionFailed))) from error


def references(value: Any) -> Iterator[str]:
    """Yield the names that the references in *value* use, but for the driver's own (`attempt`)."""
    if isinstance(value, dict):
        if value.keys() == {"$ref", "path"}:
            if value["$ref"] != "attempt":
                yield value["$ref"]
        else:
            for inner in value.values():
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def is_read(entry: Json) -> bool:
    return bool(entry["operation"].startswith(READS))


def named(entry: Json) -> str:
    return f"{entry['client']}.{entry['operation']}" if "operation" in entry else f"wait for {entry.get('wait')}"


def ended(outcome: str, why: str, to_do: str = "", *, seconds: float | None = None, **more: bool) -> Json:
    return {"outcome": outcome, "why": why, "to_do": to_do, "seconds": seconds, **more}


def refused(error: CannotRepair | CallFailed) -> Json:
    if isinstance(error, CannotRepair):
        return ended("FAILED", error.why, error.to_do)
    return ended("RETRY" if error.passing else "FAILED", str(error), error.to_do)


def is_passing(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return bool(error.response["Error"]["Code"] in THROTTLED or status >= 500 or status == 429)


def paths_text(paths: list[tuple[str, ...]]) -> str:
    return ", ".join("/".join(p) for p in paths[:5]) + (f" and {len(paths) - 5} more" if len(paths) > 5 else "")
