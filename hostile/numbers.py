"""The numbers of the last full run, and the part of docs/reliability.md that shows them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

MEASURED: Final = Path(__file__).resolve().parent / "measured.json"


def grouped(became: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return what became of findings, the most frequent first; outcomes before dead letters."""
    return sorted(became.items(), key=lambda each: (each[0].startswith("dead letter"), -each[1], each[0]))


def page_part() -> str:
    """Return the generated part: how many, what became of them, how many violations."""
    data: dict[str, Any] = json.loads(MEASURED.read_text("utf-8"))
    function, deployed = data["function"], data["deployed"]
    rows = [
        ("messages", "events", f"{function['events']:,}", f"{deployed['events']:,}"),
        ("findings in them", "findings", f"{function['findings']:,}", f"{deployed['findings']:,}"),
        ("sessions in member accounts", "sessions", f"{function['sessions']:,}", f"{deployed['sessions']:,}"),
        ("calls in member accounts", "calls", f"{function['calls']:,}", f"{deployed['calls']:,}"),
        ("**violations**", "violations", f"**{function['violations']}**", f"**{deployed['violations']}**"),
        ("seconds", "seconds", str(data["seconds"]), str(data["seconds_deployed"])),
    ]
    lines = [
        f"Measured {data['measured']}, seed {data['seed']}.",
        "",
        "| | the function's code | the deployed sandbox |",
    ]
    lines += ["| --- | ---: | ---: |", *(f"| {name} | {one} | {two} |" for name, _, one, two in rows), ""]
    lines += ["| what became of the findings | function | sandbox |", "| --- | ---: | ---: |"]
    both = Counter(function["became"]) + Counter(deployed["became"])
    for name, _ in grouped(both):
        lines.append(f"| {name} | {function['became'].get(name, 0):,} | {deployed['became'].get(name, 0):,} |")
    lines += ["", "| how they were bent | messages |", "| --- | ---: |"]
    lines += [f"| {name} | {count:,} |" for name, count in sorted(function["bends"].items(), key=lambda b: -b[1])]
    return "\n".join(lines)
