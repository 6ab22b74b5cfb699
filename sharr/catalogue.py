"""What the functions know at run time: remediations and standards, compiled to one JSON file when the zip is built."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sharr.remediation import Remediation, remediation_from_json
from sharr.standards import Standards, standards_from_json, to_json

COMPILED = Path(__file__).resolve().parent / "data" / "catalogue.json"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every remediation, by control and by id, and every standard."""

    remediations: dict[str, Remediation]
    by_control: dict[str, Remediation]
    standards: Standards
    version: str

    @classmethod
    def of(cls, remediations: Iterable[Remediation], standards: Standards, version: str) -> Catalogue:
        """Return the catalogue of what was loaded."""
        every = {r.id: r for r in remediations}
        return cls(every, {c: r for r in every.values() for c in r.controls}, standards, version)

    def to_json(self) -> str:
        """Return the text of the compiled file."""
        data: dict[str, Any] = {
            "version": self.version,
            "remediations": [r.to_json() for r in self.remediations.values()],
            "standards": to_json(self.standards),
        }
        return json.dumps(data, separators=(",", ":"), sort_keys=True)


def catalogue_from_json(text: str) -> Catalogue:
    """Return what to_json() gave."""
    data = json.loads(text)
    remediations = [remediation_from_json(r) for r in data["remediations"]]
    return Catalogue.of(remediations, standards_from_json(data["standards"]), data["version"])


@cache
def compiled(path: Path = COMPILED) -> Catalogue:
    """Return the catalogue of this package; read once per process."""
    return catalogue_from_json(path.read_text())
