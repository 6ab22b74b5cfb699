"""
Findings as the rest of the code may know them: checked once, here, and typed from then on.

The one place that knows the AWS Security Finding Format on the way in. What is in an event was written by others:
names can lie, so that each fact is checked against the others, and any JSON value at any place gives a Finding or a
MalformedFinding.

Source: https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-findings-format.html and
https://docs.aws.amazon.com/securityhub/latest/userguide/sample-control-findings.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal, TypeVar

from sharr.arns import PARTITIONS, Arn, MalformedArn, UnknownRegion, arn, is_region, parse_arn, partition_of
from sharr.standards import Standard, Standards

Trigger = Literal["automatic", "remediate", "preview", "undo", "recheck"]
"""What an attempt is for. recheck: Security Hub's check failed again after our repair, and we look, read-only."""


@dataclass(frozen=True, slots=True)
class CustomAction:
    """A button of ours in the Security Hub console; *id* and *name* have at most 20 characters."""

    id: str
    name: str
    trigger: Trigger


REMEDIATE: Final = CustomAction("SHARRRemediate", "Remediate with SHARR", "remediate")
PREVIEW: Final = CustomAction("SHARRPreview", "Preview with SHARR", "preview")
UNDO: Final = CustomAction("SHARRUndo", "Undo with SHARR", "undo")
CUSTOM_ACTIONS: Final = (REMEDIATE, PREVIEW, UNDO)

JOB_TRIGGERS: Final[Mapping[object, Trigger]] = {"preview": "preview", "repair": "automatic"}

SOURCE: Final = "aws.securityhub"
IMPORTED: Final = "Security Hub Findings - Imported"
CUSTOM_ACTION: Final = "Security Hub Findings - Custom Action"
OWN_SOURCE: Final = "sharr"
"""What the sweeper puts into a playbook's queue says it is; no rule of ours lets an event of this source in."""
BACKLOG_JOB: Final = "SHARR Backlog Job"
BACKLOG: Final = "backlog-"
"""Requests that begin so are of a backlog job; EventBridge's ids never do."""
PRODUCT: Final = "product/aws/securityhub"
"""What the ProductArn of Security Hub's own findings ends in; a custom product is `product/<account>/<id>`."""

MOST_RESOURCES: Final = 32
MOST_FINDINGS: Final = 100
LONGEST_ID: Final = 512


class Severity(StrEnum):
    """Severity.Label."""

    INFORMATIONAL = "INFORMATIONAL"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


class Compliance(StrEnum):
    """Compliance.Status: how the last check ended."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    WARNING = "WARNING"
    NOT_AVAILABLE = "NOT_AVAILABLE"


class Workflow(StrEnum):
    """Workflow.Status: how far people, or we, are with the finding."""

    NEW = "NEW"
    NOTIFIED = "NOTIFIED"
    SUPPRESSED = "SUPPRESSED"
    RESOLVED = "RESOLVED"


class RecordState(StrEnum):
    """RecordState: whether Security Hub still keeps the finding up to date."""

    ACTIVE = "ACTIVE"
    ARCHIVED = "ARCHIVED"


@dataclass(frozen=True, slots=True)
class Resource:
    """
    A resource that a finding names.

    *id* has 1 to 512 printable ASCII characters and no `../`; if it is an ARN, then of the finding's partition and, if
    it has one, account. Its form beyond that is for the remediation's own pattern.
    """

    type: str
    id: str
    region: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Note:
    """The note that a finding has: what somebody, or we, wrote on it last."""

    text: str
    author: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What the rest of the code may know of a finding.

    uid and product_arn are its handle for BatchUpdateFindings; control is the security control, known to this release
    and in its own case; standard is a playbook's name; standard_control is the id that the standard itself has for the
    control (`2.1.2`, `CT.S3.5`), None for consolidated findings; parameters are the custom parameters of the control;
    created_at is when Security Hub first reported it, observed_at when it last checked, changed_at when the finding
    last changed. Times are in UTC.
    """

    uid: str
    product_arn: str
    partition: str
    account: str
    account_name: str | None
    region: str
    control: str
    standard: str
    standard_control: str | None
    severity: Severity
    title: str
    resources: tuple[Resource, ...]
    compliance: Compliance
    parameters: Mapping[str, tuple[str, ...]]
    workflow: Workflow
    record_state: RecordState
    created_at: datetime
    observed_at: datetime
    changed_at: datetime
    note: Note | None
    source: Literal["asff"] = "asff"


class MalformedFinding(ValueError):
    """
    A finding is not what Security Hub would write: *field* is *value* (cut, text only), expected *wanted*.

    *uid* and *product_arn* are both set where they are by themselves a handle of a finding of Security Hub's own, so
    that it can be told there; else both are None. With *secret* no text of the value is kept: people write notes, tags
    and parameters.
    """

    def __init__(self, field: str, value: object, wanted: str, *, secret: bool = False) -> None:
        self.field = field
        self.value = "a text" if secret and isinstance(value, str) else _described(value)
        self.wanted = wanted
        self.uid: str | None = None
        self.product_arn: str | None = None
        super().__init__(f"{field} is {self.value}: expected {wanted}")


class MalformedEvent(ValueError):
    """An event is not one of Security Hub's for us, whatever its findings are; *reason* says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    What one event brings: why it came (*trigger*), its id (*request*), when, and its findings.

    A finding that is malformed does not stop the others. An event of a button may bring findings of several standards,
    and goes to the playbook of each: a playbook takes those with its own name as `standard`.
    """

    trigger: Trigger
    request: str
    at: datetime
    findings: tuple[Finding, ...]
    malformed: tuple[MalformedFinding, ...]


def parse_event(event: object, standards: Standards, *, admin_account: str, region: str) -> Delivery:
    """
    Return what *event*, as EventBridge (or the sweeper, for a backlog job) sent it, brings to the admin account.

    Raises MalformedEvent for whatever is not an event of Security Hub in *admin_account* and *region* with 1 to 100
    findings, or of a custom action that is not ours.

    Source: https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html
    """
    if not isinstance(event, dict):
        raise MalformedEvent(f"the event is {_described(event)}: expected an object")
    source = OWN_SOURCE if event.get("detail-type") == BACKLOG_JOB else SOURCE
    for name, wanted in (("source", source), ("account", admin_account), ("region", region)):
        if event.get(name) != wanted:
            raise MalformedEvent(f"{name} is {_described(event.get(name))}: expected {wanted!r}")
    request = event.get("id")
    if not (isinstance(request, str) and _REQUEST.fullmatch(request)):
        raise MalformedEvent(f"id is {_described(request)}: expected 1 to 64 letters, digits and hyphens")
    if request.startswith(BACKLOG) != (source == OWN_SOURCE):
        raise MalformedEvent(f"id is {_described(request)}: only a backlog job's begins with {BACKLOG!r}")
    at = _parsed_time(event.get("time"))
    if at is None:
        raise MalformedEvent(f"time is {_described(event.get('time'))}: expected a time as 2026-01-31T12:00:00Z")
    trigger = _trigger(event, admin_account, region)
    detail = event.get("detail")
    if not isinstance(detail, dict):
        raise MalformedEvent(f"detail is {_described(detail)}: expected an object")
    raws = detail.get("findings")
    if not (isinstance(raws, list) and 1 <= len(raws) <= MOST_FINDINGS):
        raise MalformedEvent(f"detail.findings is {_described(raws)}: expected a list of 1 to {MOST_FINDINGS}")
    findings, malformed = [], []
    for raw in raws:
        try:
            findings.append(parse_finding(raw, standards))
        except MalformedFinding as error:
            malformed.append(error)
    return Delivery(trigger, request, at, tuple(findings), tuple(malformed))


def parse_finding(raw: object, standards: Standards) -> Finding:
    """Return what *raw*, in the AWS Security Finding Format, says; raises MalformedFinding and nothing else."""
    try:
        return _parse(raw, standards)
    except MalformedFinding as error:
        error.uid, error.product_arn = _handle(raw)
        raise


def custom_action_arn(action: CustomAction, *, account: str, region: str) -> str:
    """Return the ARN of one of our buttons in the admin account and its home Region."""
    return arn(partition_of(region), "securityhub", region, account, f"action/custom/{action.id}")


# Length limits are those of the format: 512 for ids, 256 for Title, 512 for Note.Text; others are generous.
# https://docs.aws.amazon.com/securityhub/latest/userguide/asff-required-attributes.html
_REQUEST: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_CONTROL_TEXT: Final = r"[A-Za-z0-9]+(?:\.[A-Za-z0-9]+){1,5}"
_UUID: Final = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_FINDING: Final = re.compile(
    rf"(?:subscription/(?P<standard>[a-z0-9-]+/v/[0-9]+\.[0-9]+\.[0-9]+)|security-control)/(?P<own>{_CONTROL_TEXT})"
    rf"/finding/{_UUID}"
)
_WORD: Final = re.compile(r"[A-Za-z0-9:/._-]{1,512}")
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})"
)
_RESOURCE_TYPE: Final = re.compile(r"[A-Za-z0-9:._-]{1,256}")
_RESOURCE_ID: Final = re.compile(rf"[\x21-\x7e](?:[\x20-\x7e]{{0,{LONGEST_ID - 2}}}[\x21-\x7e])?")
_ACCOUNT_RESOURCE: Final = re.compile(r"(?:AWS::::Account:)?(?P<account>[0-9]{12})")
_PARAMETER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}")
# Lone surrogates are JSON, but no text: they cannot be encoded again. Line breaks forge lines in what people read.
_LINE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")
_TEXT: Final = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]*")

_Choice = TypeVar("_Choice", bound=StrEnum)


def _described(value: object) -> str:
    """Return a text for *value*: a repr cut to 100 characters for text, only the kind of anything else."""
    if isinstance(value, str):
        text = ascii(value[:100])
        return text if len(text) <= 100 else f"{text[:99]}…"
    if value is None:
        return "missing"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)} fields"
    return f"of type {type(value).__name__[:80]}"


@dataclass(frozen=True, slots=True)
class _Fields:
    """An object of the finding and where it is; reads its fields as what they must be, or raises MalformedFinding."""

    data: Mapping[Any, Any]
    path: str = ""

    def name(self, field: str) -> str:
        return f"{self.path}{field}"

    def wrong(self, field: str, wanted: str, *, secret: bool = False) -> MalformedFinding:
        return MalformedFinding(self.name(field), self.data.get(field), wanted, secret=secret)

    def child(self, field: str) -> _Fields:
        """Return the object at *field*; one that is not there is empty."""
        value = self.data.get(field)
        if not (value is None or isinstance(value, dict)):
            raise self.wrong(field, "an object")
        return _Fields(value or {}, f"{self.name(field)}.")

    def items(self, field: str, least: int, most: int) -> list[object]:
        """Return the list at *field*; one that is not there is empty."""
        value = self.data.get(field)
        value = [] if value is None else value
        if not (isinstance(value, list) and least <= len(value) <= most):
            raise self.wrong(field, f"a list of {least} to {most}")
        return value

    def text(self, field: str, pattern: re.Pattern[str], longest: int, wanted: str, *, secret: bool = False) -> str:
        value = self.data.get(field)
        if not (isinstance(value, str) and 1 <= len(value) <= longest and pattern.fullmatch(value)):
            raise self.wrong(field, wanted, secret=secret)
        return value

    def text_or_none(self, field: str, pattern: re.Pattern[str], longest: int, wanted: str) -> str | None:
        return None if self.data.get(field) is None else self.text(field, pattern, longest, wanted)

    def choice(self, field: str, choices: type[_Choice]) -> _Choice:
        value = self.data.get(field)
        found = next((choice for choice in choices if isinstance(value, str) and choice == value), None)
        if found is None:
            raise self.wrong(field, f"one of {', '.join(choices)}")
        return found

    def time(self, field: str) -> datetime:
        parsed = _parsed_time(self.data.get(field))
        if parsed is None:
            raise self.wrong(field, "a time as 2026-01-31T12:00:00.000Z")
        return parsed


def _parse(raw: object, standards: Standards) -> Finding:
    if not isinstance(raw, dict):
        raise MalformedFinding("the finding", raw, "an object")
    fields = _Fields(raw)
    account = fields.text("AwsAccountId", _ACCOUNT, 12, "twelve digits")
    region, partition = _region(fields)
    product_arn = arn(partition, "securityhub", region, "", PRODUCT)
    if raw.get("ProductArn") != product_arn:
        raise fields.wrong("ProductArn", f"{product_arn}, Security Hub's own product in the finding's Region")
    identity = _identity(fields, account, region, partition)
    compliance = fields.child("Compliance")
    standard = _standard(fields, compliance, identity, region, standards)
    control, standard_control = _control(fields, compliance, identity, standard, standards)
    changed_at = fields.time("UpdatedAt")
    return Finding(
        uid=identity.uid,
        product_arn=product_arn,
        partition=partition,
        account=account,
        account_name=fields.text_or_none("AwsAccountName", _LINE, 128, "1 to 128 characters on one line"),
        region=region,
        control=control,
        standard=standard.name,
        standard_control=standard_control,
        severity=fields.child("Severity").choice("Label", Severity),
        title=fields.text("Title", _LINE, 256, "1 to 256 characters on one line"),
        resources=_resources(fields, account, partition),
        compliance=compliance.choice("Status", Compliance),
        parameters=_parameters(compliance),
        workflow=fields.child("Workflow").choice("Status", Workflow),
        record_state=fields.choice("RecordState", RecordState),
        created_at=fields.time("CreatedAt" if raw.get("FirstObservedAt") is None else "FirstObservedAt"),
        observed_at=changed_at if raw.get("LastObservedAt") is None else fields.time("LastObservedAt"),
        changed_at=changed_at,
        note=_note(fields),
    )


def _region(fields: _Fields) -> tuple[str, str]:
    """Return the finding's Region and the partition that it is in."""
    wanted = "a Region that this release knows"
    region = fields.text("Region", _WORD, 32, wanted)
    try:
        return region, partition_of(region)
    except UnknownRegion:
        raise fields.wrong("Region", wanted) from None


@dataclass(frozen=True, slots=True)
class _Identity:
    """What the Id of a finding says: the path of its standard (None: consolidated) and that standard's control."""

    uid: str
    parsed: Arn
    standard: str | None
    own: str


def _read_identity(uid: object) -> _Identity | None:
    """Return what *uid* says, None if it is no Id of Security Hub's own findings."""
    if not (isinstance(uid, str) and len(uid) <= LONGEST_ID):
        return None
    try:
        parsed = parse_arn(uid)
    except MalformedArn:
        return None
    found = _FINDING.fullmatch(parsed.resource)
    if found is None or parsed.service != "securityhub" or not _ACCOUNT.fullmatch(parsed.account) or not parsed.region:
        return None
    return _Identity(uid, parsed, found["standard"], found["own"])


def _handle(raw: object) -> tuple[str, str] | tuple[None, None]:
    """Return Id and ProductArn where both are well-formed, of Security Hub's own product, and of one Region."""
    if isinstance(raw, dict) and (identity := _read_identity(raw.get("Id"))):
        parsed = identity.parsed
        product_arn = arn(parsed.partition, "securityhub", parsed.region, "", PRODUCT)
        if raw.get("ProductArn") == product_arn:
            return identity.uid, product_arn
    return None, None


def _identity(fields: _Fields, account: str, region: str, partition: str) -> _Identity:
    identity = _read_identity(fields.data.get("Id"))
    if identity is None:
        shapes = "subscription/<standard>/<control> or security-control/<control>"
        raise fields.wrong("Id", f"an ARN of Security Hub, {shapes}, /finding/<uuid>")
    parsed = identity.parsed
    if (parsed.partition, parsed.region, parsed.account) != (partition, region, account):
        raise fields.wrong("Id", f"the finding's own partition {partition}, Region {region} and account {account}")
    return identity


def _standard(fields: _Fields, compliance: _Fields, identity: _Identity, region: str, standards: Standards) -> Standard:
    """Return the standard that GeneratorId names, once Id and ProductFields have said the same."""
    wanted = "the generator of a standard that there is a playbook for"
    generator = fields.text("GeneratorId", _WORD, LONGEST_ID, wanted)
    associated = _associated_standards(compliance)
    named = [
        standard
        for standard in standards
        if standard.own_id(generator) is not None
        and (standard.associated_only is None or standard.associated_only in associated)
        and (standard.associated_except is None or standard.associated_except not in associated)
    ]
    if len(named) != 1:
        raise fields.wrong("GeneratorId", wanted)
    standard = named[0]
    if generator.startswith("arn:") and _parsed_arn(generator) is None:
        raise fields.wrong("GeneratorId", "an ARN of a partition that this release knows")

    path = standard.standards_arn.partition("/")[2] if standard.standards_arn else None
    if identity.standard != path and not (identity.standard is None and standard.shape == "consolidated"):
        raise fields.wrong("Id", f"the Id of a finding of {standard.name}, as GeneratorId says")

    product_fields = fields.child("ProductFields")
    for name in ("StandardsArn", "StandardsGuideArn"):
        value = product_fields.data.get(name)
        if value is None:
            continue
        # Written with and without a Region, and not always with the finding's partition.
        parsed = _parsed_arn(value)
        if (
            parsed is None
            or parsed.region not in ("", region)
            or (parsed.service, parsed.account, parsed.resource) != ("securityhub", "", standard.standards_arn)
        ):
            raise product_fields.wrong(name, f"the ARN of {standard.name}, as GeneratorId says")
    return standard


def _associated_standards(compliance: _Fields) -> frozenset[str]:
    """Return the StandardsId of each of Compliance.AssociatedStandards."""
    listed = compliance.items("AssociatedStandards", 0, 100)
    ids = set()
    for position, each in enumerate(listed):
        entry = _entry(each, f"Compliance.AssociatedStandards[{position}]")
        ids.add(entry.text("StandardsId", _WORD, LONGEST_ID, "the id of a standard"))
    return frozenset(ids)


def _control(
    fields: _Fields, compliance: _Fields, identity: _Identity, standard: Standard, standards: Standards
) -> tuple[str, str | None]:
    """
    Return the security control, and the standard's own id of it (None for consolidated findings).

    Compliance.SecurityControlId says it in every shape; each other place that names the control must agree. A finding
    from before that field has the standard's id only, which must then mean one control.
    """
    generator_own = standard.own_id(fields.data["GeneratorId"]) or ""
    product_fields = fields.child("ProductFields")
    places = [(fields, "Id", identity.own), (fields, "GeneratorId", generator_own)]
    for name in ("ControlId", "RuleId"):
        own = product_fields.text_or_none(name, _WORD, 64, f"the id of a control in {standard.name}")
        if own is not None:
            places.append((product_fields, name, own))

    possible = None
    for where, name, own in places:
        meant = _meant(own, standard, standards)
        if not meant:
            raise where.wrong(name, f"a control of {standard.name} that this release knows")
        if not _same_requirement(_bare(own, standard), _bare(identity.own, standard)):
            raise where.wrong(name, f"the same control as Id names, {identity.own}")
        possible = meant if possible is None else possible & meant

    said = compliance.text_or_none("SecurityControlId", _WORD, 64, "the id of a security control")
    control = standards.control(said) if said is not None else None
    if said is not None and control is None:
        raise compliance.wrong("SecurityControlId", "a security control that this release knows")
    if said is None and possible and len(possible) == 1:
        control = next(iter(possible))
    if control is None or not possible or control not in possible:
        options = ", ".join(sorted(possible or ())) or "none"
        raise compliance.wrong("SecurityControlId", f"the control that Id names in {standard.name}: {options}")
    if standard.shape == "consolidated":
        return control, None
    own = identity.own if standard.ids is not None else control
    return control, f"{standard.control_prefix}{own}"


def _meant(own: str, standard: Standard, standards: Standards) -> frozenset[str]:
    """Return the security controls that the standard's own id *own* may mean."""
    if standard.ids is not None:
        return frozenset(standard.ids.get(own, ()))
    control = standards.control(_bare(own, standard))
    return frozenset() if control is None else frozenset({control})


def _bare(own: str, standard: Standard) -> str:
    return own.removeprefix(standard.control_prefix)


def _same_requirement(one: str, other: str) -> bool:
    """Tell whether two ids are one requirement: some have .1 or .2 behind it where two controls share it."""
    one, other = sorted((one.lower(), other.lower()), key=len)
    return other in (one, f"{one}.1", f"{one}.2")


def _resources(fields: _Fields, account: str, partition: str) -> tuple[Resource, ...]:
    listed = fields.items("Resources", 1, MOST_RESOURCES)
    return tuple(
        _resource(_entry(each, f"Resources[{position}]"), account, partition) for position, each in enumerate(listed)
    )


def _resource(entry: _Fields, account: str, partition: str) -> Resource:
    resource_type = entry.text("Type", _RESOURCE_TYPE, 256, "the type of a resource")
    resource_id = entry.text("Id", _RESOURCE_ID, LONGEST_ID, f"1 to {LONGEST_ID} printable ASCII characters")
    # No id of a resource that we repair holds it, and an id may become part of a path or URL further on.
    if "../" in resource_id:
        raise entry.wrong("Id", "an id without ../")
    if resource_id[:4].lower() == "arn:":
        parsed = _parsed_arn(resource_id)
        if parsed is None:
            raise entry.wrong("Id", "an ARN of a partition and Region that this release knows")
        if parsed.partition != partition:
            raise entry.wrong("Id", f"an ARN of the finding's partition {partition}")
        if parsed.account not in ("", account):
            raise entry.wrong("Id", f"a resource of account {account}, not a resource of another account")
    elif resource_type == "AwsAccount" or resource_id.startswith("AWS::::Account"):
        found = _ACCOUNT_RESOURCE.fullmatch(resource_id)
        if found is None or found["account"] != account:
            raise entry.wrong("Id", f"AWS::::Account:{account}, the finding's own account")
    names = (partition, *PARTITIONS[partition].asff_names)
    if entry.data.get("Partition") is not None and entry.data["Partition"] not in names:
        raise entry.wrong("Partition", f"the finding's partition {partition}")
    region = entry.text_or_none("Region", _WORD, 32, "a Region")
    if region is not None and not is_region(region, partition):
        raise entry.wrong("Region", f"a Region of partition {partition} that this release knows")
    return Resource(resource_type, resource_id, region, _tags(entry))


def _tags(entry: _Fields) -> Mapping[str, str]:
    tags = entry.child("Tags")
    for key, value in tags.data.items():
        if not (isinstance(key, str) and len(key) <= 256 and _LINE.fullmatch(key)):
            raise MalformedFinding(tags.name("*"), key, "a key of at most 256 characters on one line")
        if not (isinstance(value, str) and len(value) <= 1024 and _TEXT.fullmatch(value)):
            wanted = f"a text of at most 1,024 characters as value of tag {_described(key)}"
            raise MalformedFinding(tags.name("*"), value, wanted, secret=True)
    return dict(tags.data)


def _parameters(compliance: _Fields) -> Mapping[str, tuple[str, ...]]:
    parameters: dict[str, tuple[str, ...]] = {}
    for position, each in enumerate(compliance.items("SecurityControlParameters", 0, 100)):
        entry = _entry(each, f"Compliance.SecurityControlParameters[{position}]")
        name = entry.text("Name", _PARAMETER, 128, "the name of a parameter")
        if name in parameters:
            raise entry.wrong("Name", "a parameter named once")
        values = entry.items("Value", 0, 200)
        for value in values:
            if not (isinstance(value, str) and len(value) <= 2048 and _LINE.fullmatch(value)):
                raise MalformedFinding(entry.name("Value"), value, "a list of texts, each on one line", secret=True)
        parameters[name] = tuple(str(value) for value in values)
    return parameters


def _note(fields: _Fields) -> Note | None:
    if fields.data.get("Note") is None:
        return None
    note = fields.child("Note")
    return Note(
        text=note.text("Text", _TEXT, 4096, "1 to 4,096 characters of text", secret=True),
        author=note.text("UpdatedBy", _LINE, 512, "1 to 512 characters on one line"),
        updated_at=note.time("UpdatedAt"),
    )


def _entry(value: object, path: str) -> _Fields:
    """Return the object *value*, an element of the list at *path*."""
    if not isinstance(value, dict):
        raise MalformedFinding(path, value, "an object")
    return _Fields(value, f"{path}.")


def _parsed_arn(value: object) -> Arn | None:
    if not isinstance(value, str):
        return None
    try:
        return parse_arn(value)
    except MalformedArn:
        return None


def _parsed_time(value: object) -> datetime | None:
    if not (isinstance(value, str) and _TIME.fullmatch(value)):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February; the year 1 in another time zone
        return None


def _trigger(event: Mapping[Any, Any], admin_account: str, region: str) -> Trigger:
    """Return what the event's kind asks for; a custom action is ours by its whole ARN, never by its name."""
    kind = event.get("detail-type")
    if kind == IMPORTED:
        return "automatic"
    if kind == BACKLOG_JOB:
        detail = event.get("detail")
        mode = detail.get("mode") if isinstance(detail, dict) else None
        if mode not in JOB_TRIGGERS:
            raise MalformedEvent(
                f"detail.mode is {_described(mode)}: expected one of {', '.join(map(str, JOB_TRIGGERS))}"
            )
        return JOB_TRIGGERS[mode]
    if kind != CUSTOM_ACTION:
        raise MalformedEvent(f"detail-type is {_described(kind)}: expected {IMPORTED!r} or {CUSTOM_ACTION!r}")
    resources = event.get("resources")
    if not (isinstance(resources, list) and len(resources) == 1):
        raise MalformedEvent(f"resources is {_described(resources)}: expected the ARN of one custom action")
    for action in CUSTOM_ACTIONS:
        if resources[0] == custom_action_arn(action, account=admin_account, region=region):
            return action.trigger
    raise MalformedEvent(f"resources[0] is {_described(resources[0])}: expected one of our custom actions")
