"""
A button on a finding that no loaded playbook takes: what its note says. Pure.

The findings are others' products', so that parse_finding() does not know them: what is taken of them are two
identifiers, checked, and a note, which is text.

Source: https://docs.aws.amazon.com/securityhub/latest/userguide/asff-required-attributes.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sharr.arns import MalformedArn, parse_arn, partition_of
from sharr.finding import LONGEST_ID, PRODUCT, MalformedEvent, parse_event
from sharr.outcomes import before_others, printable
from sharr.standards import Standard, Standards

_UID: Final = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{LONGEST_ID - 2}}}[\x21-\x7e])?")
_PRODUCT: Final = re.compile(r"product/[A-Za-z0-9_.-]{1,128}/[A-Za-z0-9_.-]{1,128}")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class Unserved:
    """A finding that a button was pressed on in vain: its handle for BatchUpdateFindings, and the note it gets."""

    uid: str
    product_arn: str
    account: str
    why: str
    note: str

    def log_line(self) -> dict[str, str]:
        """Return the fields of its line in the log group."""
        return {"finding": self.uid, "product": self.product_arn, "account": self.account, "why": self.why}


def unserved_findings(
    event: Mapping[str, Any], standards: Standards, loaded: Collection[str], *, admin_account: str, region: str
) -> tuple[list[Unserved], list[str]]:
    """
    Return the findings of a button's event that no playbook of *loaded* (names) takes, and why others get no note.

    Raises MalformedEvent for what is not an event of one of our buttons in *admin_account* and *region*.
    """
    delivery = parse_event(event, standards, admin_account=admin_account, region=region)
    if delivery.trigger == "automatic":
        raise MalformedEvent("the event is none of a button")
    served = [standard for standard in standards if standard.name in loaded]
    found: list[Unserved] = []
    refused: list[str] = []
    for raw in event["detail"]["findings"]:
        if not isinstance(raw, dict):
            refused.append("a finding is not an object")
        elif not any(takes(standard, raw) for standard in served):
            try:
                found.append(_unserved(raw, standards, partition_of(region)))
            except ValueError as error:
                refused.append(str(error))
    return found, refused


def takes(standard: Standard, raw: Mapping[str, Any]) -> bool:
    """Tell whether the button rule of a standard's playbook (patterns.button_pattern) takes a finding."""
    generator = raw.get("GeneratorId")
    if not (_is_own(raw) and isinstance(generator, str) and any(g.begins(generator) for g in standard.generators)):
        return False
    associated = _associated(raw)
    if standard.associated_only is not None:
        return standard.associated_only in associated
    # As EventBridge has it: one element that is something else is enough.
    return standard.associated_except is None or any(each != standard.associated_except for each in associated)


def _unserved(raw: Mapping[str, Any], standards: Standards, partition: str) -> Unserved:
    """Raises ValueError where the finding's identifiers are not what Security Hub would have."""
    uid, product_arn, account, region = (raw.get(n) for n in ("Id", "ProductArn", "AwsAccountId", "Region"))
    if not (isinstance(uid, str) and _UID.fullmatch(uid)):
        raise ValueError(f"Id is not 1 to {LONGEST_ID} printable ASCII characters")
    if not (isinstance(account, str) and _ACCOUNT.fullmatch(account)):
        raise ValueError("AwsAccountId is not twelve digits")
    try:
        product = parse_arn(product_arn if isinstance(product_arn, str) else "")
    except MalformedArn as error:
        raise ValueError(f"ProductArn: {error}") from error
    if (product.partition, product.service) != (partition, "securityhub") or not _PRODUCT.fullmatch(product.resource):
        raise ValueError("ProductArn is not the ARN of a product in Security Hub of this partition")
    if not product.region or region not in (None, product.region):
        raise ValueError("ProductArn is of another Region than the finding")
    if product.account not in ("", account) or _of_another(product.resource, account):
        raise ValueError("ProductArn is of another account than the finding")
    why, to_do = _why(raw, standards)
    return Unserved(uid, str(product), account, why, before_others(f"SHARR: {why} To do: {to_do}", _note(raw)))


def _of_another(product: str, account: str) -> bool:
    """Tell whether a custom product (`product/<account>/default`) is another account's."""
    company = product.split("/")[1]
    return bool(_ACCOUNT.fullmatch(company)) and company != account


def _why(raw: Mapping[str, Any], standards: Standards) -> tuple[str, str]:
    if not _is_own(raw):
        return (
            "nothing was done: this finding is of another product, and SHARR repairs findings of Security Hub's own "
            "controls.",
            "press the button on a finding of a control, or repair this one by hand.",
        )
    standard = next((s for s in standards if takes(s, raw)), None)
    if standard is None:
        return (
            "nothing was done: no playbook of this release serves this finding's standard.",
            "press the button on the finding of a standard that it serves, or repair this one by hand.",
        )
    return (
        f"nothing was done: the playbook of {standard.title} ({standard.name}) is not loaded.",
        f"set the parameter Load{standard.name}AdminStack of the admin stack to yes, and press again.",
    )


def _is_own(raw: Mapping[str, Any]) -> bool:
    product_arn = raw.get("ProductArn")
    return isinstance(product_arn, str) and product_arn.endswith(f"::{PRODUCT}")


def _associated(raw: Mapping[str, Any]) -> list[str]:
    compliance = raw.get("Compliance")
    listed = compliance.get("AssociatedStandards") if isinstance(compliance, dict) else None
    entries = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [each["StandardsId"] for each in entries if isinstance(each.get("StandardsId"), str)]


def _note(raw: Mapping[str, Any]) -> dict[str, str] | None:
    note = raw.get("Note")
    if not isinstance(note, dict):
        return None
    text, author = note.get("Text"), note.get("UpdatedBy")
    if not (isinstance(text, str) and isinstance(author, str)):
        return None
    return {"text": text, "author": printable(author)[:64]}
