"""
What the user chose for remediations' parameters, from the admin stack's parameter RemediationParameters.

The text is `NAME:PARAMETER=VALUE; ...`; NAME is a control (`RDS.4`) or a remediation (`rds/encrypt_snapshot`), whose
choices hold for all its controls. A value may be anything printable but `;`.
"""

from __future__ import annotations

import re

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
    known = {parameter.name: parameter for parameter in remediation.parameters}
    for entry in filter(None, (part.strip() for part in text.split(";"))):
        match = re.fullmatch(ENTRY, entry, re.ASCII)
        if not match:
            raise BadParameter(f"RemediationParameters: {entry[:60]!r}: wanted CONTROL:parameter=value")
        name, parameter, value = match["name"], match["parameter"], match["value"].strip()
        if name not in found:
            continue
        if parameter not in known:
            has = ", ".join(known) or "none"
            raise BadParameter(f"RemediationParameters: {name} has no parameter {parameter}: it has {has}")
        if parameter in found[name]:
            raise BadParameter(f"RemediationParameters: {name}:{parameter} is there twice")
        known[parameter].typed(value)
        found[name][parameter] = value
    return found[remediation.id] | found[control]
