"""What a synth wrote, as the tests look at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Assembly:
    """What a synth wrote: `admin`, `member-roles`, `member`, and nested ones by their logical id."""

    folder: Path
    templates: dict[str, dict[str, Any]]

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self.templates[name]

    def resources(self, name: str, type: str) -> dict[str, dict[str, Any]]:
        """Return the properties of a template's resources of one type, by logical id."""
        return {
            logical_id: resource.get("Properties", {})
            for logical_id, resource in self[name]["Resources"].items()
            if resource["Type"] == type
        }
