"""The controls that this release repairs, so that a wrong one is answered with the nearest."""

from __future__ import annotations

import difflib
from functools import cache

from command.showing import WrongUsage, one_line
from sharr.loader import load_all


@cache
def all_controls() -> tuple[str, ...]:
    """Return every control that a remediation serves."""
    return tuple(control for remediation in load_all() for control in remediation.controls)


def control_named(text: str) -> str:
    """Return the control as it is written, whatever the case of *text*. Raises WrongUsage."""
    by_lower = {control.lower(): control for control in all_controls()}
    if text.lower() in by_lower:
        return by_lower[text.lower()]
    near = difflib.get_close_matches(text.lower(), by_lower, 3)
    hint = f": perhaps {', '.join(by_lower[n] for n in near)}" if near else " (docs/controls.md has them all)"
    raise WrongUsage(f"{one_line(text, 40)!r} is no control that SHARR repairs{hint}")
