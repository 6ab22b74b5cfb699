"""The templates, synthesized once per test process."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.stacks.assembly import Assembly

os.environ["CDK_VALIDATION"] = "false"


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
