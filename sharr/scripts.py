"""The scripts of the remediations as the driver takes them, in the functions and in tests alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from sharr.remediation import Remediation

DOCUMENTS = Path(__file__).resolve().parent.parent / "ssm_documents"


class NoSuchFunction(Exception):
    """A script does not have the functions that the contract wants."""


@dataclass(frozen=True, slots=True)
class Code:
    """What the driver runs: inspect(aws, target), plan(state, target), and the auxiliaries' look and make."""

    inspect: Any
    plan: Any
    auxiliaries: dict[str, ModuleType]
    settings: dict[str, Any]


def code_of(remediation: Remediation, root: Path = DOCUMENTS) -> Code:
    """Return the code of a remediation; each script is read once per process."""
    script = load_script(root / remediation.id / "script.py")
    helpers = {name: load_script(root / "auxiliary" / name / "script.py") for name in remediation.auxiliary}
    return Code(script.inspect, script.plan, helpers, remediation.settings)


@cache
def load_script(path: Path) -> ModuleType:
    """Return a script as a module of its own. Raises NoSuchFunction."""
    module = ModuleType(f"sharr_script_{path.parent.parent.name}_{path.parent.name}")
    module.__file__ = str(path)
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)  # noqa: S102  # a script of our own
    for function in ("look", "make") if path.parent.parent.name == "auxiliary" else ("inspect", "plan"):
        if not callable(getattr(module, function, None)):
            raise NoSuchFunction(f"{path}: has no function {function}")
    return module
