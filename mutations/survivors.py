"""What may survive, and why: mutations/survivors.yaml against what did."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from mutations.mutant import Mutant, Verdict

LIST = Path(__file__).resolve().parent / "survivors.yaml"


@dataclass(frozen=True, slots=True)
class Reason:
    """Mutants that may survive: the name of one, or of several where `...` stands for any text; and why."""

    mutants: str
    reason: str

    def covers(self, mutant: Mutant) -> bool:
        """Tell whether the entry names the mutant."""
        parts = (re.escape(part) for part in self.mutants.split("..."))
        return re.fullmatch(".*".join(parts), mutant.name) is not None


@dataclass(frozen=True, slots=True)
class Judgement:
    """*excused* survived with a reason; the other three make the job fail."""

    excused: tuple[Mutant, ...]
    unlisted: tuple[Mutant, ...]
    killed: tuple[tuple[Reason, Verdict], ...]
    idle: tuple[Reason, ...]

    @property
    def is_good(self) -> bool:
        """Tell whether everything is as the list says."""
        return not (self.unlisted or self.killed or self.idle)

    def lines(self) -> list[str]:
        """Return what is wrong, a line each."""
        return [
            *(f"SURVIVED, unlisted: {one.kind}: {one.name}" for one in self.unlisted),
            *(f"KILLED, but listed as a survivor: {v.mutant.name} by {v.killed_by}" for _, v in self.killed),
            *(f"LISTED, but no such mutant: {reason.mutants}" for reason in self.idle),
        ]


def load(path: Path = LIST) -> list[Reason]:
    """Return the list. Raises ValueError for an entry without a reason."""
    found = []
    for entry in yaml.safe_load(path.read_text("utf-8")) or []:
        if entry.keys() != {"mutants", "reason"} or not str(entry["reason"]).strip():
            raise ValueError(f"{path.name}: wanted mutants and reason: {entry}")
        found.append(Reason(str(entry["mutants"]), str(entry["reason"])))
    return found


def judge(verdicts: Sequence[Verdict], reasons: Iterable[Reason], *, whole: bool) -> Judgement:
    """Return what the list makes of the verdicts; where they are not the *whole* an entry may have none."""
    reasons = list(reasons)
    excused: list[Mutant] = []
    unlisted: list[Mutant] = []
    killed: list[tuple[Reason, Verdict]] = []
    used: set[Reason] = set()
    for verdict in verdicts:
        covering = [reason for reason in reasons if reason.covers(verdict.mutant)]
        used |= set(covering)
        if not verdict.killed_by:
            (excused if covering else unlisted).append(verdict.mutant)
        elif covering:
            killed.append((covering[0], verdict))
    idle = tuple(reason for reason in reasons if whole and reason not in used)
    return Judgement(tuple(excused), tuple(unlisted), tuple(killed), idle)
