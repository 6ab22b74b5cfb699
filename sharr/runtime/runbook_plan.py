"""
The first step of a runbook, Plan, which reads and decides; and what it shares with Apply.

In a document `REMEDIATION` and `Script` come before it, from the composer.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
import zlib
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from sharr.runtime.composed import REMEDIATION, Script
from sharr.runtime.planning import Aws, new_journal, preview

PLAIN_OUTPUT_CHARACTERS = 20_000


class Access:
    """In a runbook there is one session, the role's own, for reads and writes alike."""

    def __init__(self, target: dict[str, Any]) -> None:
        config = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 4})
        self._aws = Aws(
            lambda service, region: boto3.client(service, region_name=region, config=config),
            target,
            REMEDIATION["settings"]["regions"],
            Script.auxiliaries,
        )

    def read(self) -> Aws:
        return self._aws

    def write(self, _plan: Any, _state: Any) -> Aws:
        return self._aws

    undo = write


def plan_step(payload: dict[str, Any], _context: Any) -> dict[str, str]:
    """Return `record` (the journal), `outcome` and `note` for the plan; makes no write."""
    target = target_of(payload)
    journal = new_journal(payload.get("AttemptId") or str(uuid.uuid4()))
    result = preview(Script, Access(target), target, journal)
    return {
        "record": record_of(journal, result),
        "outcome": result["outcome"],
        "note": note_of(result),
    }


def target_of(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the target. Raises ValueError where the resource id is not one of this account and Region."""
    identity = {name: payload[name] for name in ("partition", "account", "region")}
    for form in REMEDIATION["resources"]:
        text = form["pattern"].replace("{any_region}", REMEDIATION["any_region"])
        for name, value in identity.items():
            text = text.replace("{" + name + "}", re.escape(value))
        found = re.compile(text, re.ASCII).fullmatch(payload["ResourceId"])
        if found:
            break
    else:
        raise ValueError(f"{payload['ResourceId']!r} is not a resource of this account and Region that can be repaired")
    return {
        **identity,
        "control": payload["Control"],
        "resource": {"id": payload["ResourceId"], "type": form["type"], **found.groupdict()},
        "parameters": parameters_of(payload["Control"], json.loads(payload.get("Parameters") or "{}")),
        "now": datetime.now(UTC).isoformat(),
    }


def parameters_of(control: str, given: dict[str, Any]) -> dict[str, Any]:
    """
    The given values, and for the others the remediation's own for *control*.

    A person may have typed them: raises ValueError for a name, a type or a value that a function would not take.
    """
    own = {p["name"]: p for p in REMEDIATION["parameters"]}
    for name, value in given.items():
        if name not in own:
            raise ValueError(f"there is no parameter {name}, only {', '.join(own) or 'none'}")
        if not fits(own[name], value):
            limits = {k: v for k, v in own[name].items() if k not in ("name", "default", "by_control")}
            raise ValueError(f"parameter {name} is {value!r}: wanted {json.dumps(limits)}")
    return {name: given.get(name, p["by_control"].get(control, p["default"])) for name, p in own.items()}


def fits(parameter: dict[str, Any], value: Any) -> bool:
    """Tell whether a value has the parameter's type and is within its limits; nothing where nothing is the default."""
    kind = parameter["type"]
    if value is None:
        return parameter["default"] is None
    if kind.endswith("-list"):
        item = parameter | {"type": kind.removesuffix("-list"), "default": ""}
        return isinstance(value, list) and all(fits(item, one) for one in value)
    if kind == "string":
        return isinstance(value, str) and bool(re.fullmatch(parameter.get("pattern", r"[ -~]{0,256}"), value, re.ASCII))
    if kind == "boolean":
        return isinstance(value, bool)
    return type(value) is int and parameter.get("minimum", value) <= value <= parameter.get("maximum", value)


def record_of(journal: dict[str, Any], result: dict[str, Any]) -> str:
    """Return what a step tells the admin account, with the code that this document was made of."""
    return pack({"code": REMEDIATION["code"], "journal": journal, "result": result})


def pack(value: Any) -> str:
    """Return JSON text, compressed and marked `z:` where it is long."""
    text = json.dumps(value, separators=(",", ":"))
    if len(text) <= PLAIN_OUTPUT_CHARACTERS:
        return text
    return "z:" + base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(text: str) -> Any:
    """Return what pack() took."""
    if text.startswith("z:"):
        text = zlib.decompress(base64.b64decode(text[2:])).decode()
    return json.loads(text)


def note_of(result: dict[str, Any]) -> str:
    return f"{result['why']}. {result['to_do']}".strip()[:400]
