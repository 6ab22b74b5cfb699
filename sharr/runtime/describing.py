"""What a plan says to a person: what it would change, and how far it could be undone. Never part of a runbook."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sharr.runtime.planning import Json, at, is_read, leaves, named


def reversibility(plan: list[Json]) -> str:
    """Return `full`, `partly: ...` or `none: ...` for a plan."""
    final = [c["final"] for c in plan if c.get("final")]
    if final:
        return f"none: {'; '.join(final)}"
    lost = [c["lost"] for c in plan if c.get("lost")]
    if not lost:
        return "full"
    return f"{'partly' if any(c.get('undo') for c in plan) else 'none'}: {'; '.join(lost)}"


def changes(plan: list[Json]) -> Iterator[tuple[str, Any, Any]]:
    """Yield (operation and parameter, before, after) for each parameter in which a call and its inverse differ."""
    for entry in plan:
        inverse = [u for u in entry.get("undo", ()) if u["operation"] == entry["operation"]]
        if not inverse:
            if "operation" in entry and not is_read(entry):
                yield named(entry), None, entry["parameters"]
            continue
        for path in leaves(inverse[0]["parameters"], entry["parameters"]):
            yield f"{named(entry)} {'.'.join(path)}", at(inverse[0]["parameters"], path), at(entry["parameters"], path)
