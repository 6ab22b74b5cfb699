"""The member-flat stacks: the member stack's runbooks without nested stacks and assets, as StackSets want them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aws_cdk import Stack
from constructs import Construct

from sharr.remediation import Remediation
from stacks.member import runbook, tells_admin_account

FIRST: Final = "sharr-member-flat"
PARTS: Final = 8
"""
Over how many more templates the runbooks are spread that are not run by default, where all are wanted: a document has
up to 64 KB, a template 900 KB. Changing the number moves documents between stacks that are there: as SPLIT in
stacks/member.py says, who changes it has users delete them first.
"""
KINDS: Final = ("default", "all")


class MemberFlatStack(Stack):
    """
    Runbooks of *remediations* in one template; the first stack also tells the admin account when one ended.

    An account and Region has either these or the member stack: a document's name is there once.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        remediations: Iterable[Remediation],
        documents: Mapping[str, Mapping[str, Any]],
        version: str,
        **kwargs: Any,
    ) -> None:
        about = "runbooks in a member account and Region, for StackSets; not beside sharr-member"
        super().__init__(scope, id, description=f"SHARR {version}: {about}", **kwargs)
        if id == FIRST:
            tells_admin_account(self)
        for remediation in remediations:
            runbook(self, remediation, documents[remediation.id])


def flat_of(remediations: Iterable[Remediation], kind: str) -> dict[str, list[Remediation]]:
    """
    Return the remediations of each member-flat stack by its name: "default" gives the first stack alone.

    The first has what runs in a runbook by default. A remediation that comes to do so moves there from a stack with a
    number, which is updated first. Raises ValueError for an unknown *kind*.
    """
    if kind not in KINDS:
        raise ValueError(f"flat is {kind!r}: expected {' or '.join(KINDS)}")
    found: dict[str, list[Remediation]] = {FIRST: []}
    if kind == "all":
        found |= {f"{FIRST}-{number}": [] for number in range(1, PARTS + 1)}
    for remediation in remediations:
        if remediation.places[0] == "runbook":
            found[FIRST].append(remediation)
        elif "runbook" in remediation.places and kind == "all":
            found[f"{FIRST}-{part_of(remediation.id)}"].append(remediation)
    return {name: group for name, group in found.items() if group or name == FIRST}


def part_of(remediation_id: str) -> int:
    """Return the number of the member-flat stack of a runbook: by its id alone, so that a new one moves none."""
    return hashlib.sha256(remediation_id.encode()).digest()[0] % PARTS + 1
