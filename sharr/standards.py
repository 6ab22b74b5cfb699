"""
The standards of Security Hub that there is a playbook for, and the controls that this release knows.

Written as `playbooks/<id>/playbook.yaml`; compiled to one JSON file for the Lambda functions, which have no PyYAML.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

Shape = Literal["consolidated", "standard"]

SECURITY_CONTROL_IDS: Final = "security-control-ids"
ALL: Final = "all"
CONTROLS_FILE: Final = Path(__file__).parent / "data" / "controls.json"

_OWN_ID: Final = re.compile(r"[A-Za-z0-9]+(\.[A-Za-z0-9]+){1,5}")
_STANDARDS_ARN: Final = re.compile(r"(standards|ruleset)/[a-z0-9-]+/v/[0-9]+\.[0-9]+\.[0-9]+")
_NAME: Final = re.compile(r"[A-Z][A-Za-z0-9]{1,19}")
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


class WrongPlaybook(ValueError):
    """A playbook.yaml is not what it must be: the text says the file, the field, its value and what was wanted."""


Wrong = Callable[[str, object, str], WrongPlaybook]
"""What makes the error of one file: field, value, what was wanted."""


@dataclass(frozen=True, slots=True)
class Generator:
    """
    What the GeneratorId of a standard's findings looks like: all before the standard's own id of the control.

    *kind* is EventBridge's operator; a `wildcard` ends in `*` and may have one for the partition.
    """

    kind: Literal["prefix", "wildcard"]
    text: str

    def own_id(self, generator_id: str) -> str | None:
        """Return what comes after the standard in *generator_id*; None where it is another standard's."""
        literal = self.text.removesuffix("*") if self.kind == "wildcard" else self.text
        before = "[a-z-]{3,20}".join(re.escape(part) for part in literal.split("*"))
        found = re.fullmatch(f"{before}(?P<own>{_OWN_ID.pattern})", generator_id)
        return found["own"] if found else None

    def begins(self, generator_id: str) -> bool:
        """Tell whether EventBridge's operator takes *generator_id*, whatever comes after the standard."""
        parts = self.text.removesuffix("*").split("*") if self.kind == "wildcard" else [self.text]
        return re.match(".*".join(map(re.escape, parts)), generator_id, re.DOTALL) is not None


@dataclass(frozen=True, slots=True)
class Standard:
    """
    What one playbook serves.

    id: its folder, `cis120`; name: what stack parameters and findings call it, `CIS120`; shape: whether its findings
    are consolidated control findings (`security-control/`) or its own; standards_arn: what its ARN has after
    `...:securityhub:::`, None for SC; associated_only, associated_except: what the AssociatedStandards of a
    consolidated finding must or must not be; control_prefix: stands before the control in ProductFields.ControlId;
    ids: the standard's own numbers -> controls, None where it numbers as Security Hub does; controls: those in the
    standard when the data was made, None for all but those of a standard that is alone with its controls
    (others_controls); source: the page that says so.
    """

    id: str
    name: str
    title: str
    version: str
    shape: Shape
    generators: tuple[Generator, ...]
    standards_arn: str | None
    associated_only: str | None
    associated_except: str | None
    control_prefix: str
    ids: Mapping[str, tuple[str, ...]] | None
    controls: tuple[str, ...] | None
    source: str
    others_controls: frozenset[str] = frozenset()

    def own_id(self, generator_id: str) -> str | None:
        """Return the standard's own id of the control that *generator_id* ends in; None if it is not its own."""
        return next((own for each in self.generators if (own := each.own_id(generator_id)) is not None), None)

    def serves(self, control: str) -> bool:
        """Tell whether *control* was in the standard when the data was made."""
        return control not in self.others_controls if self.controls is None else control in self.controls


@dataclass(frozen=True, slots=True)
class Standards:
    """Every standard there is a playbook for, in the order of their ids, and every control that is known."""

    all: tuple[Standard, ...]
    controls: tuple[str, ...]
    _by_name: Mapping[str, Standard] = field(init=False, repr=False, compare=False)
    _canonical: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Frozen is for the callers; these two are computed from the fields above and never change.
        object.__setattr__(self, "_by_name", {standard.name: standard for standard in self.all})
        object.__setattr__(self, "_canonical", {control.lower(): control for control in self.controls})

    def __iter__(self) -> Iterator[Standard]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, name: str) -> Standard:
        return self._by_name[name]

    def control(self, text: str) -> str | None:
        """
        Return the id of the control in its own case, None if this release does not know it.

        Security Hub writes `security-control/iam.9` as well as `security-control/CloudTrail.2`.
        """
        return self._canonical.get(text.lower()) if text.isascii() else None


def load_standards(root: Path) -> Standards:
    """
    Return the standards of every `playbooks/<id>/playbook.yaml` under *root*, the repository. Build time only.

    Raises WrongPlaybook for the first file that is not complete, typed and in agreement with the others.
    """
    import yaml  # not in the Lambda package: what runs there reads the compiled JSON

    known = tuple(json.loads(CONTROLS_FILE.read_text("utf-8")))
    loaded = []
    for path in sorted((root / "playbooks").glob("*/playbook.yaml")):
        name = path.relative_to(root).as_posix()
        try:
            data = yaml.safe_load(path.read_text("utf-8"))
        except yaml.YAMLError as error:
            raise WrongPlaybook(f"{name}: not YAML: {error}") from error
        loaded.append(_standard(data, name, path.parent.name, frozenset(known)))
    if not loaded:
        raise WrongPlaybook(f"{root}/playbooks: has no playbook.yaml")
    _refuse_twice(loaded)
    return Standards(_apart(loaded), known)


def to_json(standards: Standards) -> str:
    """Return *standards* as the one JSON text that `standards_from_json` reads; equal standards give equal text."""
    return json.dumps(
        {"controls": standards.controls, "standards": [_as_data(standard) for standard in standards]},
        separators=(",", ":"),
    )


def standards_from_json(text: str) -> Standards:
    """Return what `to_json` was given; raises WrongPlaybook if *text* is anything else."""
    try:
        data = json.loads(text)
        controls = tuple(data["controls"])
        known = frozenset(controls)
        standards = tuple(
            _standard(each, f"compiled standards, {each['id']}", each["id"], known) for each in data["standards"]
        )
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise WrongPlaybook(f"compiled standards: not written by to_json: {error!r}") from error
    _refuse_twice(standards)
    return Standards(_apart(standards), controls)


def _apart(standards: Iterable[Standard]) -> tuple[Standard, ...]:
    """Return the standards; the one for tagging alone has its controls, which no other one's findings are about."""
    standards = tuple(standards)
    alone = frozenset(c for s in standards if s.associated_only is not None for c in s.controls or ())
    return tuple(replace(s, others_controls=alone) if s.controls is None else s for s in standards)


@cache
def read_standards(path: Path) -> Standards:
    """Return the standards of the compiled file at *path*; each file is read once in a process."""
    return standards_from_json(path.read_text("utf-8"))


def _as_data(standard: Standard) -> dict[str, Any]:
    """Return what the standard's playbook.yaml says, and its id."""
    data: dict[str, Any] = {
        "id": standard.id,
        "name": standard.name,
        "title": standard.title,
        "version": standard.version,
        "shape": standard.shape,
        "generator": [{each.kind: each.text} for each in standard.generators],
        "ids": SECURITY_CONTROL_IDS if standard.ids is None else {k: list(v) for k, v in standard.ids.items()},
        "source": standard.source,
    }
    if standard.standards_arn is not None:
        data["standards_arn"] = standard.standards_arn
    if standard.associated_only is not None:
        data["associated_standard"] = {"only": standard.associated_only}
    if standard.associated_except is not None:
        data["associated_standard"] = {"except": standard.associated_except}
    if standard.control_prefix:
        data["control_prefix"] = standard.control_prefix
    if standard.ids is None:
        data["controls"] = ALL if standard.controls is None else list(standard.controls)
    return data


_REQUIRED: Final = frozenset({"name", "title", "version", "shape", "generator", "ids", "source"})
_OPTIONAL: Final = frozenset({"id", "standards_arn", "associated_standard", "control_prefix", "controls"})


def _standard(data: object, file: str, folder: str, known: frozenset[str]) -> Standard:
    """Return the standard that *data*, the content of *file* in *folder*, describes; raises WrongPlaybook."""

    def wrong(name: str, value: object, wanted: str) -> WrongPlaybook:
        return WrongPlaybook(f"{file}: {name}: {_short(value)} is not {wanted}")

    def text(name: str, pattern: re.Pattern[str], wanted: str) -> str:
        value = fields[name]
        if not (isinstance(value, str) and pattern.fullmatch(value)):
            raise wrong(name, value, wanted)
        return value

    if not isinstance(data, dict):
        raise WrongPlaybook(f"{file}: {_short(data)} is not a mapping of fields")
    fields: dict[str, Any] = data
    for name in sorted(_REQUIRED - fields.keys()):
        raise WrongPlaybook(f"{file}: {name}: missing")
    for unknown in sorted(str(key) for key in fields.keys() - _REQUIRED - _OPTIONAL):
        there_are = ", ".join(sorted(_REQUIRED | _OPTIONAL))
        raise WrongPlaybook(f"{file}: {unknown}: no such field; there are {there_are}")

    standards_name = text("name", _NAME, "2 to 20 letters and digits, the first a capital")
    if standards_name.lower() != folder:
        raise wrong("name", standards_name, f"the folder's name {folder!r} but for case")
    shape = fields["shape"]
    if shape not in ("consolidated", "standard"):
        raise wrong("shape", shape, "one of consolidated, standard")
    standards_arn, control_prefix = None, ""
    if "standards_arn" in fields:
        standards_arn = text("standards_arn", _STANDARDS_ARN, "standards/<standard>/v/<version>")
    if "control_prefix" in fields:
        control_prefix = text("control_prefix", re.compile(r"[A-Z]{2,4}\."), "capitals and a dot")
    if shape == "standard" and standards_arn is None:
        raise WrongPlaybook(f"{file}: standards_arn: missing; only consolidated findings have none")
    only, others = _associated(fields.get("associated_standard"), shape, wrong)
    ids, controls = _controls(fields, known, wrong)
    return Standard(
        id=folder,
        name=standards_name,
        title=text("title", re.compile(r"[ -~]{3,80}"), "3 to 80 printable characters"),
        version=text("version", _VERSION, "a version of three numbers"),
        shape=shape,
        generators=_generators(fields["generator"], wrong),
        standards_arn=standards_arn,
        associated_only=only,
        associated_except=others,
        control_prefix=control_prefix,
        ids=ids,
        controls=controls,
        source=text("source", re.compile(r"https://[ -~]{8,300}"), "the page that says so, https://..."),
    )


def _generators(value: object, wrong: Wrong) -> tuple[Generator, ...]:
    if not (isinstance(value, list) and value):
        raise wrong("generator", value, "a list of prefix: or wildcard: with what GeneratorId begins with")
    generators = []
    for each in value:
        match each:
            case {"prefix": str(text)} if len(each) == 1 and re.fullmatch(r"[a-z0-9./-]{3,100}/", text):
                generators.append(Generator("prefix", text))
            # EventBridge refuses two wildcards in a row; more than the partition and the end would be too wide.
            case {"wildcard": str(text)} if len(each) == 1 and re.fullmatch(r"arn:\*:[a-z0-9./:-]{3,100}/\*", text):
                generators.append(Generator("wildcard", text))
            case _:
                raise wrong("generator", each, "prefix: <text>/ or wildcard: arn:*:<text>/*")
    return tuple(generators)


def _associated(value: object, shape: str, wrong: Wrong) -> tuple[str | None, str | None]:
    """Return (only, except): the standard that a consolidated finding must, or must not, be of."""
    if value is None and shape == "standard":
        return None, None
    match value:
        case {"only": str(text), **rest} if shape == "consolidated" and not rest and _STANDARDS_ARN.fullmatch(text):
            return text, None
        case {"except": str(text), **rest} if shape == "consolidated" and not rest and _STANDARDS_ARN.fullmatch(text):
            return None, text
        case _:
            raise wrong("associated_standard", value, "only: or except: a standard, if consolidated")


def _controls(
    fields: dict[str, Any], known: frozenset[str], wrong: Wrong
) -> tuple[Mapping[str, tuple[str, ...]] | None, tuple[str, ...] | None]:
    """Return (ids, controls) of a standard: its own numbers if it has any, and what it checks (None: all)."""

    def checked(name: str, value: object) -> tuple[str, ...]:
        if not (isinstance(value, list) and value and all(isinstance(each, str) for each in value)):
            raise wrong(name, value, "a list of security control ids")
        for each in value:
            if each not in known:
                raise wrong(name, each, "a control in sharr/data/controls.json")
        if len(set(value)) != len(value):
            raise wrong(name, value, "a list without repetitions")
        return tuple(value)

    ids = fields["ids"]
    if ids == SECURITY_CONTROL_IDS:
        listed = fields.get("controls")
        return None, None if listed == ALL else checked("controls", listed)
    if "controls" in fields:
        raise wrong("controls", fields["controls"], "left out, as ids names the controls")
    if not (isinstance(ids, dict) and ids):
        raise wrong("ids", ids, f"{SECURITY_CONTROL_IDS} or the standard's own ids with their controls")
    for own in ids:
        if not (isinstance(own, str) and _OWN_ID.fullmatch(own)):
            raise wrong("ids", own, "an id as text: quote numbers")
    numbers = {own: checked(f"ids.{own}", controls) for own, controls in ids.items()}
    return MappingProxyType(numbers), tuple(dict.fromkeys(each for controls in numbers.values() for each in controls))


def _refuse_twice(standards: Iterable[Standard]) -> None:
    """Raise WrongPlaybook if two standards would take the same findings."""
    taken: dict[tuple[str, str], str] = {}
    for standard in standards:
        who = f"only {standard.associated_only}" if standard.associated_only else f"except {standard.associated_except}"
        for generator in standard.generators:
            other = taken.setdefault((generator.text, who), standard.id)
            if other != standard.id:
                raise WrongPlaybook(f"playbooks/{standard.id}: generator: {generator.text!r} is playbooks/{other}'s")


def _short(value: object) -> str:
    text = reprlib.repr(value)
    return text if len(text) <= 100 else f"{text[:99]}…"
