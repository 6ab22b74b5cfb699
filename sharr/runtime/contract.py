"""
What a remediation's script may say: the calls of its plan, and why it cannot repair.

A script has two functions, `inspect(aws, target)` and `plan(state, target)`; docs/contract.md says what they give.
This file and driver.py stand unchanged in every runbook, so they use the standard library and boto3 only.
"""

from __future__ import annotations

from typing import Any


class ResourceGone(Exception):
    """The resource does not exist (any more): there is nothing to repair."""


class CannotRepair(Exception):
    """The resource fails its control, and this remediation must not or cannot change that: *why*, and what to do."""

    def __init__(self, why: str, to_do: str) -> None:
        super().__init__(f"{why}; {to_do}")
        self.why = why
        self.to_do = to_do


def call(
    client: str,
    operation: str,
    parameters: dict[str, Any],
    *,
    name: str | None = None,
    region: str | None = None,
    undo: list[dict[str, Any]] | None = None,
    lost: str | None = None,
    final: str | None = None,
    kept: str | None = None,
    fine: list[str] | None = None,
    skip: list[str] | None = None,
    retry: list[str] | None = None,
    fail_if: str | None = None,
    explain: dict[str, str] | None = None,
    secret: bool = False,
    leaf: list[str] | None = None,
) -> dict[str, Any]:
    """
    Return one call of a plan, as data: `getattr(aws.client(client, region), operation)(**parameters)`.

    Args:
        name: later calls may use this call's answer: see ref().
        region: another Region of the same account, where remediation.yaml allows it.
        undo: the calls that take this call back; they may use answers of this and earlier calls.
        lost: what this call destroys for good; the inverses of earlier calls are still right.
        final: as lost, and a barrier: nothing before this call may be undone once it was made.
        kept: why what this call makes stays when the repair is undone.
        fine: error codes that mean "already so".
        skip: error codes that mean "not this one": the other calls go on, the outcome is FAILED and names it.
        retry: error codes of eventual consistency; asked again for at most 20 seconds.
        fail_if: JMESPath over the answer; anything but null, false or empty means that the call failed.
        explain: error code -> what a person should do about it.
        secret: the answer holds secrets: it is never logged, saved or put out.
        leaf: in an undo: the path within `config` that it gives back; skipped where that is as before already.

    A writing call has at least one of undo, lost, final and kept.
    """
    given = {
        "name": name, "region": region, "undo": undo, "lost": lost, "final": final, "kept": kept, "fine": fine,
        "skip": skip, "retry": retry, "fail_if": fail_if, "explain": explain, "secret": secret or None, "leaf": leaf,
    }  # fmt: skip
    return {"client": client, "operation": operation, "parameters": parameters} | {
        key: value for key, value in given.items() if value is not None
    }


def wait(reason: str, seconds: int) -> dict[str, Any]:
    """Return a plan entry at which the look ends: the attempt is PENDING, and planned anew *seconds* later."""
    return {"wait": reason, "seconds": seconds}


def auxiliary(name: str) -> dict[str, Any]:
    """Return a plan entry that stands for the calls that make (or complete) an auxiliary resource."""
    return {"auxiliary": name}


def ref(name: str, path: str) -> dict[str, Any]:
    """
    Return a stand-in for a part of an earlier call's answer, for use anywhere inside parameters.

    *path* is JMESPath. A path that gives null makes the call that uses it fail. The name `attempt` is the driver's own:
    its `token` is an idempotency token (a UUID), its `tag` a tag value, both the same for every look of an attempt.
    """
    return {"$ref": name, "path": path}


def as_json(value: Any) -> dict[str, Any]:
    """Return a stand-in for *value* as JSON text, made when the call is made: previews show it as a document."""
    return {"$json": value}
