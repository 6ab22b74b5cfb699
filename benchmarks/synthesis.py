"""How long `app.py` takes, and what it gives: templates, runbooks, the functions' zip."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sharr.compose import document
from sharr.loader import load_all
from sharr.standards import load_standards
from stacks import package

ROOT = Path(__file__).resolve().parent.parent
TRIES = 3


@dataclass(frozen=True, slots=True)
class Synthesis:
    """Seconds and bytes."""

    seconds: float
    cpu_seconds: float
    zip_seconds: float
    zip_path: Path
    templates: dict[str, int]
    documents: dict[str, int]


def measure() -> Synthesis:
    """Run app.py without the CDK's own validation and with the zip there, the best of some; then build a zip anew."""
    with tempfile.TemporaryDirectory(prefix="sharr-bench-") as folder:
        _run(Path(folder) / "first")  # the zip is there from now on
        best = min(_run(Path(folder) / f"run{n}") for n in range(TRIES))
        templates = {p.name: p.stat().st_size for p in Path(folder, "first").glob("*.template.json")}
        remediations, standards = load_all(), load_standards(ROOT)
        start = time.perf_counter()
        package.build(remediations, standards, into=Path(folder) / "zip")
        zip_seconds = time.perf_counter() - start
    documents = {r.id: len(json.dumps(document(r)).encode()) for r in remediations if "runbook" in r.places}
    zip_path = package.build(remediations, standards).path
    return Synthesis(*best, zip_seconds, zip_path, templates, documents)


def _run(outdir: Path) -> tuple[float, float]:
    """Return wall and CPU seconds of one run; Node, which is its child, is in the CPU."""
    environment = {**os.environ, "CDK_OUTDIR": str(outdir), "CDK_VALIDATION": "false"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, str(ROOT / "app.py")], env=environment, check=True, capture_output=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
