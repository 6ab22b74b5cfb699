"""The target of an attempt: what a script gets to know of a finding, checked against the remediation's own patterns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sharr.finding import Finding
from sharr.remediation import Remediation


class NotATarget(Exception):
    """The finding's resource is not one that the remediation can repair, or it is not clear which one is meant."""


def target_for(finding: Finding, remediation: Remediation, now: datetime, chosen: Mapping[str, str]) -> dict[str, Any]:
    """Return the target of a finding, with what the user chose. Raises NotATarget and BadParameter."""
    matching = {r.id for r in finding.resources if _match(remediation, r.id, _identity(finding))}
    if not matching:
        types = " or ".join(form.type for form in remediation.resources)
        ids = ", ".join(r.id[:120] for r in finding.resources[:3])
        raise NotATarget(f"no resource of the finding is a {types} of its account and Region: {ids}")
    if len(matching) > 1:
        raise NotATarget(f"the finding names {len(matching)} resources that could be meant: repair them by hand")
    return target_of(
        remediation,
        control=finding.control,
        resource_id=matching.pop(),
        identity=_identity(finding),
        given=finding.parameters,
        now=now,
        chosen=chosen,
    )


def target_of(
    remediation: Remediation,
    *,
    control: str,
    resource_id: str,
    identity: Mapping[str, str],
    given: Mapping[str, tuple[str, ...]],
    now: datetime,
    chosen: Mapping[str, str],
) -> dict[str, Any]:
    """
    Return the target as a script gets it: JSON, the same shape for every remediation.

    Keys: partition, account, region, control, resource (id, type, and the named groups of the pattern), parameters
    (from the finding, else as the user chose, else the remediation's own), now (ISO 8601).
    """
    found = _match(remediation, resource_id, identity)
    if found is None:
        raise NotATarget(f"{resource_id[:120]} is not a resource that {remediation.id} repairs")
    type_, groups = found
    return {
        **{name: identity[name] for name in ("partition", "account", "region")},
        "control": control,
        "resource": {"id": resource_id, "type": type_, **groups},
        "parameters": {p.name: p.value(control, given, chosen) for p in remediation.parameters},
        "now": now.isoformat(),
    }


def lease_key(remediation: Remediation, target: Mapping[str, Any]) -> str:
    """
    Return what an attempt holds while it works: account, Region (or `global`) and the resource.

    Two remediations of one bucket get the same key, whatever Region their findings came from.
    """
    place = "global" if remediation.scope == "global" else target["region"]
    return f"{target['account']}/{place}/{remediation.lease or target['resource']['id']}"


def _identity(finding: Finding) -> dict[str, str]:
    return {"partition": finding.partition, "account": finding.account, "region": finding.region}


def _match(
    remediation: Remediation, resource_id: str, identity: Mapping[str, str]
) -> tuple[str, dict[str, str]] | None:
    for form in remediation.resources:
        found = form.compiled(identity["partition"], identity["region"], identity["account"]).fullmatch(resource_id)
        if found:
            return form.type, {name: value for name, value in found.groupdict().items() if value is not None}
    return None
