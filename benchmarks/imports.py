"""How long the playbook function takes to be imported, from the zip as AWS Lambda unpacks it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MODULE = "lambdas.playbook.handler"
TRIES = 8
_TIMED = (
    "import time; start, cpu = time.perf_counter(), time.process_time(); "
    f"import {MODULE}; print(time.perf_counter() - start, time.process_time() - cpu)"
)
_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


@dataclass(frozen=True, slots=True)
class Import:
    """Milliseconds, the best of some processes: with bytecode there already, and compiled from source each time."""

    with_bytecode: float
    with_bytecode_cpu: float
    from_source: float
    from_source_cpu: float
    shares: list[tuple[str, float]]
    """Milliseconds by package, the largest first; in one process with bytecode, slowed by being traced."""


def measure(package: Path) -> Import:
    """Import the module in fresh processes that see the zip's files and the standard library only."""
    with _unpacked(package) as folder:
        from_source = _best(folder, writes_bytecode=False)
        _best(folder, writes_bytecode=True, tries=1)
        return Import(*_best(folder, writes_bytecode=True), *from_source, _shares(folder))


@contextmanager
def _unpacked(package: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="sharr-bench-"))
    try:
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
        yield folder
    finally:
        shutil.rmtree(folder)


def _python(folder: Path, *arguments: str, writes_bytecode: bool) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "AWS_REGION": "us-east-1"}
    if not writes_bytecode:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    # -S: nothing of this environment's site-packages; what is not in the zip must not be found.
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=folder)


def _best(folder: Path, *, writes_bytecode: bool, tries: int = TRIES) -> tuple[float, float]:
    """Return milliseconds of wall and of CPU, the best of each."""
    told = [_python(folder, "-c", _TIMED, writes_bytecode=writes_bytecode).stdout.split() for _ in range(tries)]
    return min(float(wall) for wall, _ in told) * 1000, min(float(cpu) for _, cpu in told) * 1000


def _shares(folder: Path) -> list[tuple[str, float]]:
    told = _python(folder, "-X", "importtime", "-c", f"import {MODULE}", writes_bytecode=True).stderr
    shares: Counter[str] = Counter()
    for microseconds, module in _LINE.findall(told):
        top = module.partition(".")[0]
        shares[top if (folder / top).exists() or (folder / f"{top}.py").exists() else "standard library"] += int(
            microseconds
        )
    return [(name, total / 1000) for name, total in shares.most_common()]
