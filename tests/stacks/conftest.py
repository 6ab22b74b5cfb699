"""The templates, synthesized once per test process."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ["CDK_VALIDATION"] = "false"


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


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    import app

    folder = tmp_path_factory.mktemp("assembly") / "cdk.out"
    app.build(folder).synth()
    templates = {}
    for path in folder.glob("*.template.json"):
        stem = path.name.split(".")[0]
        name = re.sub(r"^sharr-|^sharradmin|^sharrmember|(?<=[a-zA-Z0-9])[0-9A-F]{8}$", "", stem)
        templates[name] = json.loads(path.read_text())
    return Assembly(folder, templates)
