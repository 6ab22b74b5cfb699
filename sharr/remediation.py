"""What a remediation is, once its folder was read: typed, checked, and the same at build time and in the functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Place = Literal["lambda", "runbook"]
Kind = Literal["read", "write", "undo"]
Disruption = Literal["none", "brief", "restart", "replacement"]

ANY_REGION = r"[a-z]{2,6}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}"


class BadParameter(Exception):
    """A parameter of the control (or of the remediation) has a value that the remediation cannot use."""


@dataclass(frozen=True, slots=True)
class ResourceForm:
    """One form of resource id: the finding's resource type, and a pattern with named groups for what plan needs."""

    type: str
    pattern: str

    def compiled(self, partition: str, region: str, account: str) -> re.Pattern[str]:
        """Return the pattern with the finding's own identity in it, for fullmatch."""
        given = {"partition": partition, "region": region, "account": account}
        text = self.pattern.replace("{any_region}", ANY_REGION)
        for name, value in given.items():
            text = text.replace("{" + name + "}", re.escape(value))
        return re.compile(text, re.ASCII)

    def allowed_pattern(self) -> str:
        """Return the pattern as SSM's allowedPattern takes it: Java's syntax, no names, any identity."""
        text = self.pattern.replace("{partition}", "aws[a-z-]*").replace("{region}", ANY_REGION)
        text = text.replace("{any_region}", ANY_REGION).replace("{account}", "[0-9]{12}")
        return re.sub(r"\(\?P<[a-z_]+>", "(", text)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value that the remediation decides by: the finding's, else the user's, else the default."""

    name: str
    type: Literal["integer", "boolean", "string", "integer-list", "string-list"]
    about: str
    default: Any = None
    by_control: Mapping[str, Any] = field(default_factory=dict)
    finding: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    pattern: str | None = None

    def value(self, control: str, given: Mapping[str, Iterable[str]], chosen: Mapping[str, str]) -> Any:
        """
        Return the typed value for *control*: the finding's, else what the user chose, else our own.

        Raises BadParameter, naming the value and what was wanted.
        """
        for name in self.finding:
            if name in given:
                return self._typed(list(given[name]))
        if self.name in chosen:
            return self.typed(chosen[self.name])
        return self.by_control.get(control, self.default)

    def typed(self, text: str) -> Any:
        """Return the typed value of a text, items of a list parted by commas. Raises BadParameter."""
        return self._typed([t.strip() for t in text.split(",") if t.strip()] if self.type.endswith("list") else [text])

    def _typed(self, items: list[str]) -> Any:
        if self.type.endswith("list"):
            return [self._one(item) for one in items for item in one.split(",") if item.strip()]
        if len(items) != 1:
            raise BadParameter(f"parameter {self.name} has {len(items)} values: wanted one {self.type}")
        return self._one(items[0])

    def _one(self, text: str) -> Any:
        text = text.strip()
        kind = self.type.removesuffix("-list")
        if kind == "integer":
            if not re.fullmatch(r"-?[0-9]{1,9}", text):
                raise BadParameter(f"parameter {self.name} is {text[:40]!a}: wanted an integer")
            number = int(text)
            low, high = self.minimum, self.maximum
            if (low is not None and number < low) or (high is not None and number > high):
                raise BadParameter(f"parameter {self.name} is {number}: wanted {low} to {high}")
            return number
        if kind == "boolean":
            if text.lower() not in ("true", "false"):
                raise BadParameter(f"parameter {self.name} is {text[:40]!a}: wanted true or false")
            return text.lower() == "true"
        if not re.fullmatch(self.pattern or r"[ -~]{0,256}", text, re.ASCII):
            raise BadParameter(f"parameter {self.name} is {text[:40]!a}: wanted {self.pattern}")
        return text


@dataclass(frozen=True, slots=True)
class Permission:
    """
    One IAM action, on which resources, for which operations of the plan, and why where no call shows it.

    With *only* (a named group of the pattern, or `type` -> values), sessions get it only for such a resource.
    """

    action: str
    on: tuple[str, ...]
    operations: tuple[str, ...]
    because: str | None = None
    when: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RiskCard:
    """What a person should know before the repair runs by itself."""

    disruption: Disruption
    reversible: str
    may_break: str
    monthly_cost: str
    cloudformation: str
    terraform: str


@dataclass(frozen=True, slots=True)
class Remediation:
    """One folder under ssm_documents/."""

    id: str
    title: str
    controls: tuple[str, ...]
    resources: tuple[ResourceForm, ...]
    scope: Literal["regional", "global"]
    lease: str | None
    parameters: tuple[Parameter, ...]
    read: tuple[Permission, ...]
    write: tuple[Permission, ...]
    undo: tuple[Permission, ...]
    regions: Literal["own", "bucket", "home", "us-east-1", "any"]
    settles: int
    pending: Mapping[str, int]
    places: tuple[Place, ...]
    auxiliary: tuple[str, ...]
    risk: RiskCard
    note: str
    avoids: str
    code: str

    @property
    def slug(self) -> str:
        """The id as names of roles and documents take it: `s3/require_tls` -> `s3-require-tls`."""
        return self.id.replace("/", "-").replace("_", "-")

    @property
    def role_name(self) -> str:
        """The name of the role in each member account; its path is /sharr/."""
        return f"sharr-{self.slug}"

    @property
    def document_name(self) -> str:
        """The name of the SSM Automation document in each member account and Region."""
        return f"SHARR-{self.slug}"

    @property
    def settings(self) -> dict[str, Any]:
        """What the driver needs to know."""
        return {"regions": self.regions, "settles": self.settles, "pending": dict(self.pending)}

    def permissions(self, kind: Kind) -> tuple[Permission, ...]:
        """Return the permissions of one kind."""
        return {"read": self.read, "write": self.write, "undo": self.undo}[kind]

    def to_json(self) -> dict[str, Any]:
        """Return the remediation as JSON, for the functions' catalogue."""
        return asdict(self)


def remediation_from_json(data: Mapping[str, Any]) -> Remediation:
    """Return what to_json() gave."""

    def permissions(kind: str) -> tuple[Permission, ...]:
        return tuple(
            Permission(
                p["action"],
                tuple(p["on"]),
                tuple(p["operations"]),
                p["because"],
                p["when"],
                {k: tuple(v) for k, v in p["only"].items()},
            )
            for p in data[kind]
        )

    return Remediation(
        id=data["id"],
        title=data["title"],
        controls=tuple(data["controls"]),
        resources=tuple(ResourceForm(**r) for r in data["resources"]),
        scope=data["scope"],
        lease=data["lease"],
        parameters=tuple(Parameter(**{**p, "finding": tuple(p["finding"])}) for p in data["parameters"]),
        read=permissions("read"),
        write=permissions("write"),
        undo=permissions("undo"),
        regions=data["regions"],
        settles=data["settles"],
        pending=data["pending"],
        places=tuple(data["places"]),
        auxiliary=tuple(data["auxiliary"]),
        risk=RiskCard(**data["risk"]),
        note=data["note"],
        avoids=data["avoids"],
        code=data["code"],
    )
