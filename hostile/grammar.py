"""
Findings and events as nobody should send them: right ones of every standard and shape, then bent.

Deterministic: case *number* of *seed* is always the same, so that what fails can be looked at alone. A *case* is the
body of one queue message: an event with 0 to 101 findings, or no event at all. A *bend* changes one finding in one way;
a finding has none (so that right ones are in there), one, or several.

Source of the shapes: sandbox/samples.py. Of the texts: what IAM, EventBridge, SQS, SNS, CloudWatch, consoles and
terminals read as more than text.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from re import _constants as sre  # type: ignore[attr-defined]  # the stdlib's own parser of patterns, as it is
from re import _parser as sre_parser  # type: ignore[attr-defined]
from typing import Any, Final

from sandbox import samples
from sharr.arns import PARTITIONS
from sharr.finding import CUSTOM_ACTIONS, CustomAction
from sharr.loader import load_all
from sharr.remediation import Remediation, ResourceForm

Json = dict[str, Any]

ADMIN: Final = "111111111111"
MEMBERS: Final = ("222222222222", "333333333333")
EXCLUDED: Final = "444444444444"
STRANGER: Final = "999999999999"
HOME: Final = "eu-west-1"
REGIONS: Final = ("eu-west-1", "us-east-1", "ap-southeast-2")
NOW: Final = datetime.fromisoformat("2026-01-31T12:00:00+00:00")

TEXTS: Final = (
    "", " ", "\n", "\r\nBcc: everybody@example.com", "\x00", "\x1b[2J\x1b[31m", "\x7f", "\x85", "\u2028", "\u2029",
    "\u202emoc.live\u202c", "\u2066\u2069", "\u200b\u200d\ufeff\u2060", "\U000e0041\U000e0042", "\u3164\u115f\u034f",
    "\ud800", "\udfff\ud800", "\ufffe", "Z\u0351\u036b\u0343\u036a" * 30, "\u0662" * 12, "\uff12" * 12,
    "\u0430ws", "\u212aMS.4",
    "<script>alert(1)</script>", "</td><img src=x onerror=alert(1)>", "[click](javascript:alert(1))", "![x](http://x/)",
    "**bold** `code` | table | # head", "[bold red]rich[/]", "=HYPERLINK(\"http://x\")", "@everyone <!channel>",
    "{0.__class__.__mro__}", "%s%n%x", "%(password)s", "${jndi:ldap://x}", "{{resolve:secretsmanager:x}}",
    "{{7*7}}", "!!python/object/apply:os.system ['x']", "&a [*a, *a]", "'; DROP TABLE findings; --", "$(reboot)", "`id`",
    "../../etc/passwd", "..\\..", "/../../", "file:///etc/passwd", "C:\\x",
    "*", "**", "?", "${aws:username}", "${*}", "${aws:PrincipalTag/x}", '"', '\\"', '","Resource":"*', '"}]}', "\\u002a",
    "arn:aws:iam::aws:policy/AdministratorAccess", f"arn:aws:iam::{STRANGER}:role/evil", "arn:", "arn:aws:s3:::*", ":::::",
    "null", "true", "[]", "{}", "NaN", "-0", "1e400", "9" * 400, "0x10", "-1", "2147483648", "1 OR 1",
    "x" * 257, "x" * 513, "x" * 5000, "\u00e9" * 2000,
)  # fmt: skip
VALUES: Final = (
    None, True, False, 0, -1, 7, 2**63, 10**300, 1e308, float("nan"), float("inf"), [], {}, [[]], [None], [{}], {"": None},
    {"a": {"b": []}}, ["FAILED"], [[["x"]]], {"$ref": "#"}, {"__class__": "x"}, "FAILED ", "failed", "NEW\n", "SUPPRESSED",
    "ARCHIVED", "PASSED", "CRITICAL", "eu-west-9", "us-gov-west-1", "cn-north-1", "aws-global", "2026-02-31T00:00:00Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-23:59", "2026-01-31T11:59:00Z", "2016-01-31T12:00:00.000000001Z",
    "SQS.1", "S3.5", "iam.8", "1.10", "Foo.1", "AwsS3Bucket", "AwsAccount", "AWS::::Account:222222222222",
)  # fmt: skip
"""JSON values of the wrong kind, and words of the format where they do not belong."""
TOO_DEEP: Final = 200
"""Levels: deeper than anything of the format, flat enough for json to read."""


@dataclass(slots=True)
class Case:
    """One message: its text, what the text says where it is JSON, and what was done to make it."""

    number: int
    body: str
    findings: int
    bends: list[str] = field(default_factory=list)


def case(number: int, seed: int = 0) -> Case:
    """Return case *number*."""
    return _Maker(random.Random(f"{seed}/{number}"), number).case()


def sample_of(pattern: str, chance: random.Random) -> str:
    """Return a text that *pattern* matches as a whole: of the operators that resource patterns have."""
    return "".join(_sampled(sre_parser.parse(pattern), chance))


def _sampled(parsed: Any, chance: random.Random) -> list[str]:
    found: list[str] = []
    for operator, argument in parsed:
        if operator is sre.LITERAL:
            found.append(chr(argument))
        elif operator is sre.IN:
            kind, value = chance.choice(argument)
            found.append(chr(value if kind is sre.LITERAL else chance.randint(*value)))
        elif operator in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, inner = argument
            for _ in range(chance.randint(least, min(most, least + chance.choice((0, 1, 8, 40))))):
                found += _sampled(inner, chance)
        elif operator is sre.SUBPATTERN:
            found += _sampled(argument[3], chance)
        elif operator is sre.BRANCH:
            found += _sampled(chance.choice(argument[1]), chance)
        else:
            raise NotImplementedError(f"{operator} in a resource pattern")
    return found


@cache
def _remediations() -> tuple[Remediation, ...]:
    return load_all()


@cache
def _by_control() -> dict[str, Remediation]:
    return {control: r for r in _remediations() for control in r.controls}


@cache
def _served() -> dict[str, tuple[list[str], list[str]]]:
    """Return per standard the controls with a remediation, and those without."""
    found = {}
    for standard in samples.standards():
        served = [c for c in samples.controls() if standard.serves(c) and samples.own_ids(standard.name, c)]
        found[standard.name] = (
            [c for c in served if c in _by_control()],
            [c for c in served if c not in _by_control()],
        )
    return found


@dataclass(slots=True)
class _Maker:
    chance: random.Random
    number: int
    bends: list[str] = field(default_factory=list)

    def case(self) -> Case:
        chance = self.chance
        size = chance.choices((1, 2, 5, 0, 20, 100, 101), (900, 60, 25, 8, 4, 1, 1))[0]
        findings = [self.finding() for _ in range(size)]
        if size > 1 and chance.random() < 0.5:
            findings[-1] = copy.deepcopy(findings[0])
            self.bends.append("the same finding twice in one event")
        event = self.event(findings)
        if chance.random() < 0.08:
            event = self.bent_event(event)
        body = json.dumps(event, ensure_ascii=chance.random() < 0.5)
        body = body.encode("utf-8", "replace").decode()  # a queue has text only
        if chance.random() < 0.01:
            body = self.bent_text(body)
        return Case(self.number, body, size, self.bends)

    # --- right ones

    def finding(self) -> Json:
        """Return a finding of any standard, control and shape, with its bends."""
        chance = self.chance
        standard = chance.choice([name for name, (some, none) in _served().items() if some or none])
        with_remediation, without = _served()[standard]
        use = with_remediation if with_remediation and (not without or chance.random() < 0.85) else without
        control = chance.choice(use)
        partition = "aws" if chance.random() < 0.93 else chance.choice(sorted(PARTITIONS))
        region = chance.choice(REGIONS if partition == "aws" else sorted(PARTITIONS[partition].regions))
        account = chance.choices((*MEMBERS, ADMIN, EXCLUDED, STRANGER), (50, 30, 10, 5, 5))[0]
        remediation = _by_control().get(control)
        type_, id_ = self.resource(remediation, partition, region, account)
        shapes: list[Any] = [None, "consolidated"]
        made = samples.finding(
            standard,
            control,
            account=account,
            region=region,
            partition=partition,
            resource_id=id_,
            resource_type=type_,
            shape=chance.choice(shapes),
            own_id=chance.choice(samples.own_ids(standard, control)),
            now=NOW - timedelta(seconds=chance.choice((1, 60, 86400))),
        )
        made["Workflow"]["Status"] = chance.choices(("NEW", "NOTIFIED", "SUPPRESSED", "RESOLVED"), (85, 5, 5, 5))[0]
        made["Compliance"]["Status"] = chance.choices(("FAILED", "PASSED", "WARNING"), (90, 5, 5))[0]
        made["RecordState"] = chance.choices(("ACTIVE", "ARCHIVED"), (95, 5))[0]
        if chance.random() < 0.3:
            made["Note"] = {
                "Text": self.text(),
                "UpdatedBy": chance.choice(("SHARR", "somebody", self.text())),
                "UpdatedAt": "2026-01-30T12:00:00Z",
            }
        for _ in range(chance.choices((0, 1, 2, 5), (30, 45, 20, 5))[0]):
            bend = chance.choice(BENDS)
            bent = bend(self, made)
            if bent is not None:
                made = bent
                self.bends.append((bend.__doc__ or "").strip(" ."))
        return made

    def resource(self, remediation: Remediation | None, partition: str, region: str, account: str) -> tuple[str, str]:
        """Return type and id of a resource that the remediation takes."""
        if remediation is None:
            return "AwsSqsQueue", f"arn:{partition}:sqs:{region}:{account}:orders"
        form: ResourceForm = self.chance.choice(remediation.resources)
        text = form.pattern.replace("{any_region}", re.escape(region))
        for name, value in (("partition", partition), ("region", region), ("account", account)):
            text = text.replace("{" + name + "}", re.escape(value))
        return form.type, sample_of(text, self.chance)

    def event(self, findings: list[Json]) -> Json:
        """Return an event around the findings: imported, or of a button."""
        chance = self.chance
        chosen: str | CustomAction = chance.choices(
            ("imported", *CUSTOM_ACTIONS, CustomAction("SomebodyElses", "Delete", "remediate")), (60, 15, 10, 10, 5)
        )[0]
        ids = [{"Id": f["Id"]} if isinstance(f, dict) and "Id" in f else {"Id": ""} for f in findings]
        if isinstance(chosen, str):
            made = samples.imported_event(ids, admin_account=ADMIN, region=HOME)
        else:
            made = samples.custom_action_event(chosen, ids, admin_account=ADMIN, region=HOME)
            self.bends.append(f"pressed: {chosen.id}")
        made["detail"]["findings"] = findings
        made["time"] = chance.choices(("2026-01-31T11:59:58Z", "2026-01-31T11:00:00Z"), (4, 1))[0]
        return made

    # --- bent ones

    def text(self) -> str:
        """Return a hostile text, alone or around something harmless."""
        one = self.chance.choice(TEXTS)
        return self.chance.choice(
            (one, f"payments{one}", f"{one}payments", f"pay{one}ments {self.chance.choice(TEXTS)}")
        )

    def value(self) -> Any:
        """Return any JSON value."""
        kind = self.chance.random()
        if kind < 0.55:
            return self.text()
        if kind < 0.97:
            return copy.deepcopy(self.chance.choice(VALUES))
        deep: Any = "x"
        for _ in range(TOO_DEEP):
            deep = [deep] if self.chance.random() < 0.5 else {"a": deep}
        return deep

    def place(self, made: Any) -> tuple[Any, Any] | None:
        """Return a container somewhere in *made* and a key of it."""
        places: list[tuple[Any, Any]] = []

        def walk(value: Any) -> None:
            for key, child in list(value.items()) if isinstance(value, dict) else list(enumerate(value)):
                places.append((value, key))
                if isinstance(child, dict | list):
                    walk(child)

        try:
            walk(made)
        except RecursionError:
            return None
        return self.chance.choice(places) if places else None

    def bent_event(self, event: Json) -> Any:
        """Change the envelope, or lose it."""
        chance = self.chance
        self.bends.append("the event itself bent")
        if chance.random() < 0.1:
            return self.value()
        key = chance.choice(sorted(event))
        if chance.random() < 0.3:
            del event[key]
        elif key == "detail" and chance.random() < 0.5:
            event["detail"]["findings"] = self.value()
        else:
            event[key] = self.value()
        return event

    def bent_text(self, body: str) -> str:
        """Return a text that is no JSON, or more of it than a parser may take."""
        self.bends.append("a text that is no JSON")
        half = len(body) // 2
        return self.chance.choice(
            (
                "", "\ufeff" + body, body[:half], body + body, "[" * 100_000, "{\"a\":" * 50_000, "NaN", "nul",
                '{"attempt": "no-such-attempt"}', '{"attempt": 7}', '{"attempt": ""}', body.replace('"', "'", 3),
                '{"a": ' + "9" * 5000 + "}", '"' + "x" * 100_000 + '"',
            )
        )  # fmt: skip


Bend = Callable[[_Maker, Json], Json | None]


def _anything_anywhere(maker: _Maker, made: Json) -> Json | None:
    """Any value at any place."""
    found = maker.place(made)
    if found is None:
        return None
    container, key = found
    container[key] = maker.value()
    return made


def _missing(maker: _Maker, made: Json) -> Json | None:
    """A place missing."""
    found = maker.place(made)
    if found is None:
        return None
    container, key = found
    del container[key]
    return made


def _more(maker: _Maker, made: Json) -> Json:
    """Fields that the format does not have."""
    made[maker.text()] = maker.value()
    made["findings"] = [{"AwsAccountId": STRANGER}]
    return made


def _swapped(what: str, pick: Callable[[_Maker], str], old: Callable[[Json], Any]) -> tuple[Bend, Bend]:
    def here(maker: _Maker, made: Json) -> Json | None:
        text, value = json.dumps(made), old(made)
        if not (isinstance(value, str) and value and value in text):
            return None
        parts = text.split(value)
        spot = maker.chance.randrange(1, len(parts))
        try:
            bent: Json = json.loads(value.join(parts[:spot]) + pick(maker) + value.join(parts[spot:]))
        except ValueError:
            return None
        return bent

    def everywhere(maker: _Maker, made: Json) -> Json | None:
        text, value = json.dumps(made), old(made)
        if not (isinstance(value, str) and value):
            return None
        try:
            bent: Json = json.loads(text.replace(value, pick(maker)))
        except ValueError:
            return None
        return bent

    here.__doc__, everywhere.__doc__ = f"Another {what} in one place.", f"Another {what} everywhere."
    return here, everywhere


def _account_of(maker: _Maker) -> str:
    return maker.chance.choice(
        (*MEMBERS, ADMIN, STRANGER, "000000000000", "\\u0662" * 12, "22222222222", "2" * 13, "aws", "*")
    )


def _region_of(maker: _Maker) -> str:
    return maker.chance.choice(
        (*REGIONS, "eu-west-9", "us-gov-west-1", "cn-north-1", "EU-WEST-1", "", "*", "aws-global")
    )


def _partition_of(maker: _Maker) -> str:
    return "arn:" + maker.chance.choice((*sorted(PARTITIONS), "AWS", "aws-x", "", "*")) + ":"


def _wrong_pair(maker: _Maker, made: Json) -> Json | None:
    """A control and a standard that do not go together."""
    chance = maker.chance
    other = samples.finding(
        chance.choice([s for s, (some, _) in _served().items() if some]),
        chance.choice(sorted(_by_control())),
        account=MEMBERS[0],
        region=HOME,
        resource_id="x",
        resource_type="x",
        shape="consolidated",
    )
    name = chance.choice(("GeneratorId", "Compliance", "ProductFields", "Id"))
    if name in made:
        made[name] = other[name]
    return made


def _bent_id(maker: _Maker, made: Json) -> Json | None:
    """A resource id with more in it."""
    listed = made.get("Resources")
    if not (
        isinstance(listed, list) and listed and isinstance(listed[0], dict) and isinstance(listed[0].get("Id"), str)
    ):
        return None
    id_, text = listed[0]["Id"], maker.text()
    spot = maker.chance.randint(0, len(id_))
    listed[0]["Id"] = maker.chance.choice(
        (id_ + text, text + id_, id_[:spot] + text + id_[spot:], id_ + "*", id_.upper())
    )
    return made


def _more_resources(maker: _Maker, made: Json) -> Json | None:
    """Several resources: twice the same, another of the same kind, of another account."""
    listed = made.get("Resources")
    if not (isinstance(listed, list) and listed and isinstance(listed[0], dict)):
        return None
    others = [copy.deepcopy(listed[0]) for _ in range(maker.chance.choice((1, 2, 40)))]
    for other in others:
        if isinstance(other.get("Id"), str) and maker.chance.random() < 0.6:
            other["Id"] = maker.chance.choice(
                (other["Id"] + "x", other["Id"].replace(MEMBERS[0], STRANGER), "AWS::::Account:" + MEMBERS[1])
            )
    made["Resources"] = others + listed if maker.chance.random() < 0.5 else listed + others
    return made


def _of_another_resource(maker: _Maker, made: Json) -> Json | None:
    """The resource of another control's remediation."""
    listed = made.get("Resources")
    if not (isinstance(listed, list) and listed and isinstance(listed[0], dict)):
        return None
    remediation = maker.chance.choice(_remediations())
    listed[0]["Type"], listed[0]["Id"] = maker.resource(
        remediation, "aws", HOME, maker.chance.choice((*MEMBERS, STRANGER))
    )
    return made


def _parameters(maker: _Maker, made: Json) -> Json | None:
    """Parameters with hostile values, under names that the remediation reads."""
    compliance = made.get("Compliance")
    if not isinstance(compliance, dict):
        return None
    remediation = _by_control().get(str(compliance.get("SecurityControlId")))
    names = [n for p in (remediation.parameters if remediation else ()) for n in p.finding] or ["x"]
    compliance["SecurityControlParameters"] = [
        {"Name": name, "Value": [maker.text() for _ in range(maker.chance.choice((0, 1, 1, 1, 3, 250)))]}
        for name in names
    ]
    if maker.chance.random() < 0.1:
        compliance["SecurityControlParameters"] *= 2
    return made


def _words(maker: _Maker, made: Json) -> Json:
    """Titles, names, tags and notes as somebody in a member account would write them to be read."""
    text = maker.text()
    made["Title"] = (text + " S3 buckets should be private")[: maker.chance.choice((256, 256, 2000))]
    made["AwsAccountName"] = maker.text()[:128] or "x"
    made["Note"] = {"Text": maker.text() or "x", "UpdatedBy": maker.text() or "x", "UpdatedAt": "2026-01-30T12:00:00Z"}
    if isinstance(made.get("Resources"), list) and made["Resources"] and isinstance(made["Resources"][0], dict):
        made["Resources"][0]["Tags"] = {maker.text(): maker.text() for _ in range(3)}
    return made


def _custom_product(maker: _Maker, made: Json) -> Json:
    """A custom product that calls itself Security Hub."""
    account = maker.chance.choice((MEMBERS[0], STRANGER))
    made["ProductArn"] = f"arn:aws:securityhub:{HOME}:{account}:product/{account}/default"
    made["ProductName"], made["CompanyName"] = "Security Hub", "AWS"
    return made


BENDS: Final[tuple[Bend, ...]] = (
    _anything_anywhere,
    _anything_anywhere,
    _missing,
    _more,
    *_swapped("account", _account_of, lambda made: made.get("AwsAccountId")),
    *_swapped("Region", _region_of, lambda made: made.get("Region")),
    *_swapped("partition", _partition_of, lambda made: "arn:aws:"),
    *_swapped(
        "control",
        lambda maker: maker.chance.choice(sorted(_by_control())),
        lambda made: made["Compliance"].get("SecurityControlId") if isinstance(made.get("Compliance"), dict) else None,
    ),
    _wrong_pair,
    _bent_id,
    _bent_id,
    _more_resources,
    _of_another_resource,
    _parameters,
    _parameters,
    _words,
    _words,
    _custom_product,
)
