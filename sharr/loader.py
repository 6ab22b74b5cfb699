"""
Reads the folders under ssm_documents/ at build time and refuses a wrong one: file, field, value, what was wanted.

The functions never import this module (nor PyYAML): they get what it read as one JSON file; see catalogue.py.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml

from sharr.remediation import (
    BadParameter,
    Disruption,
    Parameter,
    Permission,
    Place,
    Remediation,
    ResourceForm,
    RiskCard,
)

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Safe; in C where PyYAML has it, and then some eight times as fast."""
ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ROOT / "ssm_documents"
CONTROL = r"[A-Z][A-Za-z0-9]{1,31}\.[0-9]{1,4}"
DURATION = {"s": 1, "m": 60, "h": 3600, "d": 86400}
FIELDS = {
    "title", "controls", "resources", "scope", "lease", "parameters", "permissions", "regions", "settles", "pending",
    "places", "auxiliary", "risk", "note", "avoids", "about",
}  # fmt: skip


class WrongFolder(Exception):
    """A remediation's folder is not as the contract wants it."""


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """An auxiliary folder: a resource that several remediations need, made when first needed, kept by undo."""

    name: str
    title: str
    read: tuple[Permission, ...]
    write: tuple[Permission, ...]
    roles: Mapping[str, Any]
    path: Path


def folders(root: Path = DOCUMENTS) -> list[Path]:
    """Return the folders that hold a remediation.yaml, auxiliaries left out, in the order of their ids."""
    return sorted(p.parent for p in root.glob("*/*/remediation.yaml") if p.parent.parent.name != "auxiliary")


@cache
def load_all(root: Path = DOCUMENTS) -> tuple[Remediation, ...]:
    """Return every remediation. Raises WrongFolder, also where two folders serve the same control."""
    remediations = tuple(load(folder) for folder in folders(root))
    owner: dict[str, str] = {}
    for remediation in remediations:
        for control in remediation.controls:
            if control in owner:
                raise WrongFolder(f"{remediation.id}: controls: {control} is served by {owner[control]} already")
            owner[control] = remediation.id
    return remediations


def load(folder: Path) -> Remediation:
    """Return the remediation in *folder*. Raises WrongFolder."""
    read = _Reader(folder / "remediation.yaml")
    data = read.document()
    read.only(data, FIELDS, "")
    identifier = f"{folder.parent.name}/{folder.name}"
    if not re.fullmatch(r"[a-z0-9]{1,20}/[a-z][a-z0-9_]{1,38}", identifier):
        raise WrongFolder(f"{folder}: the folder's name is {identifier!r}: wanted service/verb_object in lower case")
    forms = read.items(data, "resources")
    for form in forms:
        read.only(form, {"type", "pattern"}, "resources")
    resources = tuple(
        ResourceForm(read.text(form, "type", "resources"), read.text(form, "pattern", "resources")) for form in forms
    )
    read.patterns(resources)
    auxiliary = tuple(read.items(data, "auxiliary")) if "auxiliary" in data else ()
    permissions = {kind: read.permissions(data, kind) for kind in ("read", "write", "undo")}
    for name in auxiliary:
        helper = load_auxiliary(folder.parent.parent / "auxiliary" / name)
        permissions["read"] += helper.read
        permissions["write"] += helper.write
    places = read.choices(data, "places", get_args(Place))
    controls = tuple(read.items(data, "controls"))
    for control in controls:
        read.check(isinstance(control, str) and re.fullmatch(CONTROL, control), "controls", control, "like S3.5")
    risk = data.get("risk", {})
    read.only(risk, set(RiskCard.__dataclass_fields__), "risk")
    card = RiskCard(**{name: read.text(risk, name, "risk") for name in RiskCard.__dataclass_fields__})  # type: ignore[arg-type]  # checked below
    read.check(card.disruption in get_args(Disruption), "risk.disruption", card.disruption, str(get_args(Disruption)))
    read.check(
        re.match(r"full$|partly: .|none: .", card.reversible),
        "risk.reversible",
        card.reversible,
        "full, partly: ..., none: ...",
    )
    note = read.text(data, "note")
    read.check(len(note) <= 160 and not note.endswith("."), "note", note, "at most 160 characters, no full stop")
    pending = data.get("pending", {})
    read.only(pending, {"first", "every", "at_most"}, "pending")
    return Remediation(
        id=identifier,
        title=read.text(data, "title"),
        controls=controls,
        resources=resources,
        scope=read.choice(data, "scope", ("regional", "global")),
        lease=read.text(data, "lease") if "lease" in data else None,
        parameters=tuple(
            read.parameter(name, spec, controls) for name, spec in read.mapping(data, "parameters").items()
        ),
        read=_merged(permissions["read"]),
        write=_merged(permissions["write"]),
        undo=_merged(permissions["undo"]),
        regions=read.choice({"regions": "own"} | data, "regions", ("own", "bucket", "home", "us-east-1", "any")),
        settles=read.seconds(data.get("settles", "0s"), "settles"),
        pending={
            "first": read.seconds(pending.get("first", "60s"), "pending.first"),
            "every": read.seconds(pending.get("every", "5m"), "pending.every"),
            "at_most": read.seconds(pending.get("at_most", "24h"), "pending.at_most"),
        },
        places=places,
        auxiliary=auxiliary,
        risk=card,
        note=note,
        avoids=read.text(data, "avoids"),
        code=_code_of(folder, auxiliary),
    )


def load_auxiliary(folder: Path) -> Auxiliary:
    """Return an auxiliary folder. Raises WrongFolder. `roles` are delivery roles that member-roles creates."""
    read = _Reader(folder / "auxiliary.yaml")
    data = read.document()
    read.only(data, {"title", "permissions", "roles", "about"}, "")
    return Auxiliary(
        name=folder.name,
        title=read.text(data, "title"),
        read=read.permissions(data, "read"),
        write=read.permissions(data, "write"),
        roles=read.mapping(data, "roles"),
        path=folder,
    )


def auxiliaries(root: Path = DOCUMENTS) -> tuple[Auxiliary, ...]:
    """Return every auxiliary folder, in the order of their names."""
    return tuple(load_auxiliary(p.parent) for p in sorted(root.glob("auxiliary/*/auxiliary.yaml")))


RUNTIME = Path(__file__).resolve().parent / "runtime"


def _code_of(folder: Path, auxiliary: tuple[str, ...]) -> str:
    """Return a hash of all code that a runbook of the remediation is made of."""
    scripts = [folder / "script.py", *(folder.parent.parent / "auxiliary" / name / "script.py" for name in auxiliary)]
    for script in scripts:
        if not script.is_file():
            raise WrongFolder(f"{script}: is missing")
        try:
            ast.parse(script.read_text(), str(script))
        except SyntaxError as error:
            raise WrongFolder(f"{script}: is not Python: {error}") from error
    return hashlib.sha256(_runtime() + b"".join(s.read_bytes() for s in scripts)).hexdigest()[:12]


@cache
def _runtime() -> bytes:
    return b"".join(path.read_bytes() for path in sorted(RUNTIME.glob("*.py")))


def _merged(permissions: tuple[Permission, ...]) -> tuple[Permission, ...]:
    """One entry per action, resources and condition: an auxiliary may need what the remediation needs, too."""
    merged: dict[tuple[str, tuple[str, ...], str], Permission] = {}
    for p in permissions:
        key = (p.action, p.on, repr((p.when, p.only)))
        if key in merged:
            operations = tuple(dict.fromkeys(merged[key].operations + p.operations))
            p = Permission(p.action, p.on, operations, merged[key].because or p.because, p.when, p.only)
        merged[key] = p
    return tuple(merged.values())


class _Reader:
    """Reads fields of one file, and says what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def document(self) -> dict[str, Any]:
        if not self.path.is_file():
            raise WrongFolder(f"{self.path}: is missing")
        try:
            data = yaml.load(self.path.read_text(), Loader=LOADER)  # noqa: S506  # a safe one
        except yaml.YAMLError as error:
            raise WrongFolder(f"{self.path}: is not YAML: {error}") from error
        self.check(isinstance(data, dict), "document", data, "a mapping")
        return dict(data)

    def check(self, good: object, field: str, value: object, wanted: str) -> None:
        if not good:
            raise WrongFolder(f"{self.path}: {field}: {value!r}: wanted {wanted}")

    def only(self, data: Any, known: set[str], field: str) -> None:
        self.check(isinstance(data, dict), field, data, "a mapping")
        for name in data:
            self.check(name in known, f"{field}.{name}".strip("."), data[name], f"one of {', '.join(sorted(known))}")

    def text(self, data: Mapping[str, Any], name: str, within: str = "") -> str:
        value = data.get(name)
        self.check(isinstance(value, str) and value.strip(), f"{within}.{name}".strip("."), value, "a text")
        return str(value).strip()

    def mapping(self, data: Mapping[str, Any], name: str, within: str = "") -> dict[str, Any]:
        value = data.get(name, {})
        self.check(isinstance(value, dict), f"{within}.{name}".strip("."), value, "a mapping")
        return dict(value)

    def items(self, data: Mapping[str, Any], name: str) -> list[Any]:
        value = data.get(name)
        self.check(isinstance(value, list) and value, name, value, "a list with at least one item")
        return list(value or ())

    def choice(self, data: Mapping[str, Any], name: str, among: tuple[str, ...]) -> Any:
        self.check(data.get(name) in among, name, data.get(name), f"one of {', '.join(among)}")
        return data[name]

    def choices(self, data: Mapping[str, Any], name: str, among: tuple[str, ...]) -> tuple[Any, ...]:
        for value in self.items(data, name):
            self.check(value in among, name, value, f"one of {', '.join(among)}")
        return tuple(data[name])

    def seconds(self, value: Any, field: str) -> int:
        found = re.fullmatch(r"([0-9]+)([smhd])", str(value))
        self.check(found, field, value, "a time like 90s, 5m, 2h, 8d")
        assert found
        return int(found[1]) * DURATION[found[2]]

    def patterns(self, forms: tuple[ResourceForm, ...]) -> None:
        for form in forms:
            field = "resources.pattern"
            try:
                names = form.compiled("aws", "us-east-1", "111122223333").groupindex
            except re.error as error:
                raise WrongFolder(f"{self.path}: {field}: {form.pattern!r}: {error}") from error
            self.check("\\d" not in form.pattern and "\\w" not in form.pattern, field, form.pattern, "[0-9], not \\d")
            # allowed_pattern() takes the names out for SSM, and permissions fill them in.
            small = all(re.fullmatch("[a-z_]+", name) for name in names)
            self.check(small, field, form.pattern, "names of groups in small letters")

    def permissions(self, data: Mapping[str, Any], kind: str) -> tuple[Permission, ...]:
        every = data.get("permissions", {})
        self.only(every, {"read", "write", "undo"}, "permissions")
        found = []
        for action, spec in self.mapping(every, kind, "permissions").items():
            field = f"permissions.{kind}.{action}"
            self.check(
                re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", str(action)),
                field,
                action,
                "an IAM action like s3:GetBucketPolicy",
            )
            for one in spec if isinstance(spec, list) and spec and isinstance(spec[0], dict) else [spec]:
                body = one if isinstance(one, dict) else {"resource": one}
                self.only(body, {"resource", "for", "because", "when", "only"}, field)
                on = body.get("resource")
                resources = tuple([on] if isinstance(on, str) else on or ())
                self.check(resources and all(isinstance(r, str) for r in resources), field, on, "resource ARNs or *")
                named = body.get("for", _snake(str(action).split(":")[1]))
                operations = [named] if isinstance(named, str) else named
                good = isinstance(operations, list) and all(isinstance(o, str) for o in operations)
                self.check(good, f"{field}.for", named, "names of calls")
                found.append(
                    Permission(
                        action=action,
                        on=resources,
                        operations=tuple(operations),
                        because=body.get("because"),
                        when=self.mapping(body, "when", field),
                        only=self.only_for(body, field),
                    )
                )
        self.check(found or kind != "read", f"permissions.{kind}", every.get(kind), "at least one action")
        return tuple(found)

    def only_for(self, body: Mapping[str, Any], field: str) -> dict[str, tuple[str, ...]]:
        """Read `only`: a name -> a list of values."""
        only = self.mapping(body, "only", field)
        for name, values in only.items():
            good = isinstance(values, list) and values and all(isinstance(v, str) for v in values)
            self.check(good, f"{field}.only.{name}", values, "a list of texts")
        return {name: tuple(values) for name, values in only.items()}

    def parameter(self, name: str, spec: Any, controls: tuple[str, ...]) -> Parameter:
        field = f"parameters.{name}"
        self.check(re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,30}", str(name)), field, name, "letters and digits")
        self.only(spec, {"type", "about", "default", "by_control", "finding", "minimum", "maximum", "pattern"}, field)
        types = ("integer", "boolean", "string", "integer-list", "string-list")
        self.check(spec.get("type") in types, f"{field}.type", spec.get("type"), f"one of {', '.join(types)}")
        finding = spec.get("finding", [])
        by_control = self.mapping(spec, "by_control", field)
        self.only(by_control, set(controls), f"{field}.by_control")
        for limit in ("minimum", "maximum"):
            self.check(isinstance(spec.get(limit, 0), int), f"{field}.{limit}", spec.get(limit), "an integer")
        try:
            re.compile(spec.get("pattern", ""))
        except (re.error, TypeError) as error:
            wanted = f"{field}.pattern: {spec['pattern']!r}: wanted a pattern"
            raise WrongFolder(f"{self.path}: {wanted}: {error}") from error
        parameter = Parameter(
            name=name,
            type=spec["type"],
            about=self.text(spec, "about", field),
            default=spec.get("default"),
            by_control=by_control,
            finding=tuple([finding] if isinstance(finding, str) else finding),
            minimum=spec.get("minimum"),
            maximum=spec.get("maximum"),
            pattern=spec.get("pattern"),
        )
        for value in (parameter.default, *by_control.values()):
            self.check(
                value is None or _is_as_typed(parameter, value), f"{field}.default", value, "a value of its type"
            )
        return parameter


def _is_as_typed(parameter: Parameter, value: Any) -> bool:
    """Tell whether *value* is what its own text would give: of the type, within limits and pattern."""
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    try:
        return repr(parameter.typed(text)) == repr(value)
    except BadParameter:
        return False


def _snake(action: str) -> str:
    """boto3's name of an operation that is called like the action: GetBucketPolicy -> get_bucket_policy."""
    from botocore import xform_name

    return str(xform_name(action))
