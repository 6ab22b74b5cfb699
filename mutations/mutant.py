"""Mutants of policy documents and of other JSON, and what became of each."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Any
SAME = "(means the same)"
"""What "kills" a mutant that takes nothing away: no request tells it from what it was made of."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One thing that protects, taken away: *kind* is what it is counted as, *name* what survivors.yaml calls it."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant: *killed_by* names the probe that went red, "" where none did."""

    mutant: Mutant
    killed_by: str


@dataclass(frozen=True, slots=True)
class PolicyMutant:
    """A policy document without one of its parts; *actions* are those of the statement that was touched."""

    mutant: Mutant
    document: Json
    actions: tuple[str, ...]
    statement: int


def as_list(value: Any) -> list[Any]:
    """Return a policy's element as the list that it may be written as."""
    return list(value) if isinstance(value, list | tuple) else [value]


def of_policy(document: Mapping[str, Any], where: str, *, permissions: bool = True) -> Iterator[PolicyMutant]:
    """
    Yield the mutants of a policy document: each action, statement, condition key and narrowed resource.

    *permissions* False leaves actions alone: a policy of one action loses it with its statement. A statement with one
    action has no mutant of its own beside that action's.
    """
    seen: set[str] = set()
    for index, statement in enumerate(document["Statement"]):
        actions = tuple(as_list(statement["Action"]))
        short = _described(statement)

        def made(
            kind: str,
            what: str,
            change: Mapping[str, Any] | None,
            touched: tuple[str, ...] = actions,
            at: int = index,
        ) -> PolicyMutant:
            changed = copy.deepcopy(dict(document))
            if change is None:
                del changed["Statement"][at]
            else:
                changed["Statement"][at] = {**change}
            name = f"{where}: {what}"
            while name in seen:
                name += " (again)"
            seen.add(name)
            return PolicyMutant(Mutant(kind, name), changed, touched, at)

        if permissions and len(actions) > 1:
            for action in actions:
                rest = [one for one in actions if one != action]
                yield made("permission", f"{action} on {short}", {**statement, "Action": rest}, (action,))
        if permissions and len(actions) == 1:
            yield made("permission", f"{actions[0]} on {short}", None)
        else:
            yield made("statement", f"statement {statement['Effect']} on {short}", None)
        for operator, key in _conditions(statement):
            yield made("condition", f"{operator} {key} of {actions[0]} on {short}", _without(statement, operator, key))
        if "Resource" in statement and statement["Resource"] != "*" and statement["Effect"] == "Allow":
            yield made("resource", f"any resource for {actions[0]} on {short}", {**statement, "Resource": "*"})


def _conditions(statement: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(operator, key) for operator, keys in statement.get("Condition", {}).items() for key in keys]


def _without(statement: Mapping[str, Any], operator: str, key: str) -> dict[str, Any]:
    condition = {
        one: {name: value for name, value in keys.items() if (one, name) != (operator, key)}
        for one, keys in statement["Condition"].items()
    }
    condition = {one: keys for one, keys in condition.items() if keys}
    rest = {name: value for name, value in statement.items() if name != "Condition"}
    return {**rest, "Condition": condition} if condition else rest


def _described(statement: Mapping[str, Any]) -> str:
    """Return what tells a statement from its neighbours: resources and condition keys, or who is named."""
    parts = [str(r).split(":", 2)[-1] for r in as_list(statement.get("Resource", []))]
    if "Principal" in statement:
        principal = statement["Principal"]
        parts = ["*" if principal == "*" else json.dumps(principal, sort_keys=True), *parts]
    keys = sorted(key for _, key in _conditions(statement))
    return " ".join(parts[:4]) + (f" if {', '.join(keys)}" if keys else "")
