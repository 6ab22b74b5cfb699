"""
What the user chose for remediations' parameters, from the admin stack's parameter RemediationParameters.

The text is `NAME:PARAMETER=VALUE; ...`; NAME is a control (`RDS.4`) or a remediation (`rds/encrypt_snapshot`), whose
choices hold for all its controls. A value may be anything printable but `;`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator

from sharr.remediation import BadParameter, Remediation

NAME = r"[A-Za-z0-9]{1,32}\.[0-9]{1,4}|[a-z0-9]{1,20}/[a-z0-9_]{1,38}"
ENTRY = rf"(?P<name>{NAME}):(?P<parameter>[A-Za-z0-9]{{1,31}})=(?P<value>[ -:<-~]{{0,1024}})"


def chosen_for(remediation: Remediation, control: str, text: str) -> dict[str, str]:
    """
    Return the choices for a control, as texts: its own before those of its remediation.

    Raises BadParameter where an entry cannot be read, or names a parameter that this remediation does not have: a
    choice is never passed over. What is said for others is judged when theirs is the turn.
    """
    found: dict[str, dict[str, str]] = {remediation.id: {}, control: {}}
    for name, parameter, value in _entries(text):
        if name in found:
            if parameter in found[name]:
                raise BadParameter(f"RemediationParameters: {name}:{parameter} is there twice")
            _check(remediation, name, parameter, value)
            found[name][parameter] = value
    return found[remediation.id] | found[control]


def check_choices(remediations: Iterable[Remediation], text: str) -> None:
    """Raise BadParameter where any entry of the text would not be taken, or is for nothing that we have."""
    owners = {name: remediation for remediation in remediations for name in (remediation.id, *remediation.controls)}
    for name, _, _ in _entries(text):
        if name not in owners:
            near = ", ".join(difflib.get_close_matches(name, owners, 3)) or "docs/controls.md"
            raise BadParameter(f"RemediationParameters: {name} is no control or remediation of ours: see {near}")
        chosen_for(owners[name], name, text)


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        match = re.fullmatch(ENTRY, entry, re.ASCII)
        if not match:
            raise BadParameter(f"RemediationParameters: {entry[:60]!r}: wanted CONTROL:parameter=value")
        yield match["name"], match["parameter"], match["value"].strip()


def _check(remediation: Remediation, name: str, parameter: str, value: str) -> None:
    known = {p.name: p for p in remediation.parameters}
    if parameter not in known:
        has = ", ".join(known) or "none"
        raise BadParameter(f"RemediationParameters: {name} has no parameter {parameter}: it has {has}")
    known[parameter].typed(value)
