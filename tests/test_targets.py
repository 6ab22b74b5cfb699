"""Targets: each remediation's patterns against ids that Security Hub sends, and against ids that somebody made up."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharr.arns import PARTITIONS
from sharr.finding import Compliance, Finding, RecordState, Resource, Severity, Workflow
from sharr.loader import load_all
from sharr.remediation import BadParameter, Parameter, Remediation
from sharr.targets import NotATarget, lease_key, target_for, target_of
from tests.harness import remediation_of

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ACCOUNT, REGION = "222222222222", "eu-west-1"
IDENTITY = {"partition": "aws", "account": ACCOUNT, "region": REGION}
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
ROOT = "AWS::::Account:222222222222"

# remediation: id as a finding has it -> the groups of the pattern.
GOOD: dict[str, dict[str, dict[str, str]]] = {
    "cloudtrail/create_trail": {ROOT: {}},
    "cloudtrail/validate_log_files": {
        "arn:aws:cloudtrail:eu-west-1:222222222222:trail/audit": {"home": "eu-west-1", "trail": "audit"},
        "arn:aws:cloudtrail:us-gov-west-1:222222222222:trail/a_b.c-d": {"home": "us-gov-west-1", "trail": "a_b.c-d"},
    },
    "ec2/empty_default_security_group": {
        "arn:aws:ec2:eu-west-1:222222222222:security-group/sg-1a2b3c4d": {"group_id": "sg-1a2b3c4d"},
    },
    "ec2/encrypt_new_volumes": {ROOT: {}},
    "ec2/log_vpc_traffic": {
        "arn:aws:ec2:eu-west-1:222222222222:vpc/vpc-0123456789abcdef0": {"vpc_id": "vpc-0123456789abcdef0"},
        "arn:aws:ec2:eu-west-1:222222222222:vpc/vpc-1a2b3c4d": {"vpc_id": "vpc-1a2b3c4d"},
    },
    "ec2/make_snapshots_private": {ROOT: {}},
    "ec2/revoke_open_ingress": {
        "arn:aws:ec2:eu-west-1:222222222222:security-group/sg-0123456789abcdef0": {"group_id": "sg-0123456789abcdef0"},
    },
    "iam/deactivate_stale_keys": {
        "arn:aws:iam::222222222222:user/ann": {"user": "ann"},
        "arn:aws:iam::222222222222:user/division/team/ann@example.com": {"user": "ann@example.com"},
        "AIDACKCEVSQ6C2EXAMPLE": {"user": "AIDACKCEVSQ6C2EXAMPLE"},
    },
    "iam/strengthen_password_policy": {ROOT: {}},
    "kms/rotate_key": {
        f"arn:aws:kms:eu-west-1:222222222222:key/{KEY}": {"key_id": KEY},
        "arn:aws:kms:eu-west-1:222222222222:key/mrk-0123456789abcdef0123456789abcdef": {
            "key_id": "mrk-0123456789abcdef0123456789abcdef"
        },
    },
    "lambda/remove_public_access": {
        "arn:aws:lambda:eu-west-1:222222222222:function:report": {"function": "report"},
        "arn:aws:lambda:eu-west-1:222222222222:function:report:live": {"function": "report:live"},
    },
    "rds/make_instance_private": {"arn:aws:rds:eu-west-1:222222222222:db:orders": {"instance": "orders"}},
    "rds/make_snapshot_private": {
        "arn:aws:rds:eu-west-1:222222222222:snapshot:orders-1": {"snapshot": "orders-1"},
        "arn:aws:rds:eu-west-1:222222222222:snapshot:rds:orders-2026-01-31-00-10": {
            "snapshot": "rds:orders-2026-01-31-00-10"
        },
        "arn:aws:rds:eu-west-1:222222222222:cluster-snapshot:orders-1": {"snapshot": "orders-1"},
    },
    "s3/block_account_public_access": {ROOT: {}},
    "s3/block_public_access": {"arn:aws:s3:::payments-archive": {"bucket": "payments-archive"}},
    "s3/require_tls": {
        "arn:aws:s3:::payments-archive": {"bucket": "payments-archive"},
        "arn:aws:s3:::Old_Bucket.Of.2010": {"bucket": "Old_Bucket.Of.2010"},
    },
}
EACH = [pytest.param(r, i, g, id=f"{r}-{i}") for r, ids in GOOD.items() for i, g in ids.items()]
each = pytest.mark.parametrize(("remediation_id", "resource_id", "groups"), EACH)


def target(remediation: Remediation, resource_id: str, identity: dict[str, str] = IDENTITY, **given: Any) -> Any:
    return target_of(
        remediation,
        control=remediation.controls[0],
        resource_id=resource_id,
        identity=identity,
        given=given,
        now=NOW,
        chosen={},
    )


def finding(*ids: str, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "uid": "finding-1",
        "product_arn": "arn:aws:securityhub:eu-west-1::product/aws/securityhub",
        "account_name": None,
        "control": "S3.5",
        "standard": "SC",
        "standard_control": None,
        "severity": Severity.MEDIUM,
        "title": "t",
        "resources": tuple(Resource("AwsS3Bucket", i, None, {}) for i in ids),
        "compliance": Compliance.FAILED,
        "parameters": {},
        "workflow": Workflow.NEW,
        "record_state": RecordState.ACTIVE,
        "created_at": NOW,
        "observed_at": NOW,
        "changed_at": NOW,
        "note": None,
    }
    return Finding(**IDENTITY | values | changes)


# --- resource ids


@each
def test_an_id_of_a_finding_gives_what_the_plan_needs(
    remediation_id: str, resource_id: str, groups: dict[str, str]
) -> None:
    found = target(remediation_of(remediation_id), resource_id)["resource"]

    assert {k: v for k, v in found.items() if k not in ("id", "type")} == groups
    assert found["id"] == resource_id


@each
@pytest.mark.parametrize("partition", sorted(PARTITIONS))
def test_an_id_of_another_partition_is_taken_in_that_partition_only(
    remediation_id: str, resource_id: str, groups: dict[str, str], partition: str
) -> None:
    remediation = remediation_of(remediation_id)
    if not resource_id.startswith("arn:"):
        return
    theirs = resource_id.replace("arn:aws:", f"arn:{partition}:")

    assert target(remediation, theirs, IDENTITY | {"partition": partition})["resource"]["id"] == theirs
    if partition != "aws":
        with pytest.raises(NotATarget):
            target(remediation, theirs)


def hostile(resource_id: str) -> dict[str, str]:
    """Return changes of an id that nobody may take for it."""
    return {
        "a line break at its end": f"{resource_id}\n",
        "a blank at its end": f"{resource_id} ",
        "a blank before it": f" {resource_id}",
        "a null at its end": f"{resource_id}\0",
        "a wildcard at its end": f"{resource_id}*",
        "a wildcard in it": f"{resource_id[:-1]}*",
        "a question mark": f"{resource_id[:-1]}?",
        "a variable": f"{resource_id}${{aws:username}}",
        "the directory above": f"{resource_id}/../x",
        "a query": f"{resource_id}?versionId=1",
        "another script's digit": resource_id.replace("2", "\u0662", 1)
        if "2" in resource_id
        else f"{resource_id}\u0662",
        "a quote": f'{resource_id}"',
        "a brace": f"{resource_id}}}",
        "twice": f"{resource_id},{resource_id}",
        "two lines": f"{resource_id}\n{resource_id}",
        "a letter of another script": f"{resource_id[:-1]}\u0430",
        "nothing": "",
    }


@each
@pytest.mark.parametrize("how", hostile(ROOT))
def test_an_id_that_was_tampered_with_is_no_target(
    remediation_id: str, resource_id: str, groups: dict[str, str], how: str
) -> None:
    if ":user/" in resource_id and how in ("the directory above", "twice"):
        return  # the path of an IAM user may hold any character; what stands after its last slash is the name
    with pytest.raises(NotATarget):
        target(remediation_of(remediation_id), hostile(resource_id)[how])


def test_the_name_of_a_user_is_what_stands_after_the_last_slash_of_any_path() -> None:
    remediation = remediation_of("iam/deactivate_stale_keys")

    found = target(remediation, f"arn:aws:iam::{ACCOUNT}:user/bob/arn:aws:iam::{ACCOUNT}:user/ann")

    assert found["resource"]["user"] == "ann"


@each
@pytest.mark.parametrize(
    ("what", "instead"),
    [
        (ACCOUNT, "333333333333"),
        (ACCOUNT, ""),
        (ACCOUNT, "*"),
        (ACCOUNT, "2222222222222"),
        (f":{REGION}:", ":eu-west-2:"),
        (f":{REGION}:", "::"),
        (f":{REGION}:", ":*:"),
        ("arn:aws:", "arn:aws-cn:"),
        ("arn:aws:", "arn:*:"),
        ("arn:aws:", "arn::"),
        ("arn:", ""),
    ],
)
def test_an_id_of_another_account_region_or_partition_is_no_target(
    remediation_id: str, resource_id: str, groups: dict[str, str], what: str, instead: str
) -> None:
    changed = resource_id.replace(what, instead)
    if changed == resource_id:
        return  # a bucket's ARN names neither
    if remediation_id == "cloudtrail/validate_log_files" and instead == ":eu-west-2:":
        return  # a trail of all Regions is found in each of them; it is changed at its home
    with pytest.raises(NotATarget):
        target(remediation_of(remediation_id), changed)


@given(st.sampled_from(load_all()), st.text(max_size=60))
def test_no_text_is_a_target_but_an_id_of_this_account(remediation: Remediation, text: str) -> None:
    try:
        found = target(remediation, text)
    except NotATarget:
        return
    assert re.fullmatch(r"AIDA[A-Z0-9]+|arn:aws:s3:::[A-Za-z0-9._-]+", found["resource"]["id"])


def test_the_target_is_json_of_one_shape() -> None:
    assert target(remediation_of("kms/rotate_key"), f"arn:aws:kms:eu-west-1:222222222222:key/{KEY}") == {
        "partition": "aws",
        "account": ACCOUNT,
        "region": REGION,
        "control": "KMS.4",
        "resource": {"id": f"arn:aws:kms:eu-west-1:222222222222:key/{KEY}", "type": "AwsKmsKey", "key_id": KEY},
        "parameters": {"rotationPeriodDays": 365},
        "now": NOW.isoformat(),
    }


# --- which resource of a finding


BUCKET = "arn:aws:s3:::payments-archive"


@pytest.mark.parametrize(
    ("case", "ids", "wanted"),
    [
        ("one", (BUCKET,), BUCKET),
        ("the same twice", (BUCKET, BUCKET), BUCKET),
        ("another kind first", (ROOT, BUCKET), BUCKET),
        ("none", (), None),
        ("another kind only", (ROOT,), None),
        ("two", (BUCKET, "arn:aws:s3:::another"), None),
        ("a list in one", (f"{BUCKET}/a", f"{BUCKET}\n"), None),
    ],
)
def test_the_one_resource_that_is_meant_is_taken_or_none(case: str, ids: tuple[str, ...], wanted: str | None) -> None:
    remediation = remediation_of("s3/require_tls")
    if wanted is None:
        with pytest.raises(NotATarget):
            target_for(finding(*ids), remediation, NOW, {})
    else:
        assert target_for(finding(*ids), remediation, NOW, {})["resource"]["id"] == wanted, case


def test_the_parameters_of_the_finding_are_used_and_refused_where_they_are_wrong() -> None:
    remediation = remediation_of("kms/rotate_key")
    name = next(iter(p.name for p in remediation.parameters))
    taking = dataclasses.replace(
        remediation, parameters=tuple(dataclasses.replace(p, finding=(name,)) for p in remediation.parameters)
    )
    key = f"arn:aws:kms:eu-west-1:222222222222:key/{KEY}"

    assert target(taking, key, rotationPeriodDays=("90",))["parameters"] == {name: 90}
    with pytest.raises(BadParameter, match="is 89: wanted 90 to 2560"):
        target(taking, key, rotationPeriodDays=("89",))


# --- what an attempt holds


def test_two_remediations_of_one_bucket_hold_the_same_whatever_region_their_findings_came_from() -> None:
    keys = {
        lease_key(remediation, target(remediation, BUCKET, IDENTITY | {"region": region}))
        for remediation in map(remediation_of, ("s3/require_tls", "s3/block_public_access"))
        for region in ("eu-west-1", "us-east-1")
    }

    assert keys == {f"{ACCOUNT}/global/{BUCKET}"}


def test_regional_resources_are_held_by_account_and_region() -> None:
    remediation = remediation_of("ec2/encrypt_new_volumes")
    keys = {
        lease_key(remediation, target(remediation, f"AWS::::Account:{account}", {**IDENTITY, **where}))
        for account in (ACCOUNT, "333333333333")
        for where in ({"account": account}, {"account": account, "region": "us-east-1"})
    }

    assert len(keys) == 4


@pytest.mark.parametrize("remediation", load_all(), ids=lambda r: r.id)
@settings(max_examples=10)
@given(data=st.data())
def test_what_an_attempt_holds_fits_a_key_of_the_table(remediation: Remediation, data: st.DataObject) -> None:
    """Whatever id a pattern takes: it names account and Region, and a table's key has at most 1,024 bytes."""
    identity = IDENTITY["partition"], IDENTITY["region"], IDENTITY["account"]
    form = data.draw(st.sampled_from(remediation.resources))
    resource_id = data.draw(st.from_regex(form.compiled(*identity), fullmatch=True))

    key = lease_key(remediation, target(remediation, resource_id))

    assert key.startswith(f"{ACCOUNT}/{'global' if remediation.scope == 'global' else REGION}/")
    assert len(key.encode()) < 1024


# --- parameters


def parameter(type: str, **more: Any) -> Parameter:
    return Parameter(name="days", type=type, about="a", finding=("days", "Days"), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "texts", "wanted"),
    [
        (parameter("integer"), ("90",), 90),
        (parameter("integer"), (" 90 ",), 90),
        (parameter("integer"), ("-1",), -1),
        (parameter("integer", minimum=1, maximum=9), ("1",), 1),
        (parameter("integer", minimum=1, maximum=9), ("9",), 9),
        (parameter("boolean"), ("true",), True),
        (parameter("boolean"), ("False",), False),
        (parameter("string", pattern="ALL|REJECT"), ("ALL",), "ALL"),
        (parameter("string"), ("any ASCII text",), "any ASCII text"),
        (parameter("integer-list"), ("80", "443"), [80, 443]),
        (parameter("integer-list"), ("80,443", "22"), [80, 443, 22]),
        (parameter("integer-list"), (), []),
        (parameter("string-list", pattern="[a-z]+"), ("a, b", ",c,"), ["a", "b", "c"]),
    ],
)
def test_a_parameter_of_a_finding_is_typed(one: Parameter, texts: tuple[str, ...], wanted: Any) -> None:
    for name in ("days", "Days"):
        found = one.value("X.1", {name: texts}, {})
        assert found == wanted
        assert type(found) is type(wanted)


@pytest.mark.parametrize(
    ("one", "texts"),
    [
        (parameter("integer"), ("ninety",)),
        (parameter("integer"), ("9.0",)),
        (parameter("integer"), ("1e3",)),
        (parameter("integer"), ("",)),
        (parameter("integer"), ("\u0669",)),
        (parameter("integer"), ("9" * 10,)),
        (parameter("integer"), ("9\n9",)),
        (parameter("integer"), ()),
        (parameter("integer"), ("1", "2")),
        (parameter("integer", minimum=1), ("0",)),
        (parameter("integer", maximum=9), ("10",)),
        (parameter("boolean"), ("yes",)),
        (parameter("boolean"), ("1",)),
        (parameter("string", pattern="ALL|REJECT"), ("ACCEPT",)),
        (parameter("string", pattern="ALL|REJECT"), ("ALLREJECT",)),
        (parameter("string", pattern="[a-z]+"), ("ab\nc",)),
        (parameter("string"), ("b\u00fccher",)),
        (parameter("string"), ("x" * 257,)),
        (parameter("string"), ("a\x00",)),
        (parameter("integer-list", minimum=1), ("80", "0")),
        (parameter("integer-list"), ("80;443",)),
        (parameter("string-list", pattern="[a-z]+"), ("a,B",)),
    ],
)
def test_a_parameter_that_is_wrong_is_refused_and_named(one: Parameter, texts: tuple[str, ...]) -> None:
    with pytest.raises(BadParameter, match="parameter days "):
        one.value("X.1", {"days": texts}, {})


def test_without_a_value_in_the_finding_the_controls_own_default_holds_then_the_remediations() -> None:
    one = parameter("integer", default=90, by_control={"IAM.8": 45})

    assert (one.value("IAM.8", {}, {}), one.value("IAM.3", {}, {}), one.value("IAM.3", {"other": ("1",)}, {})) == (
        45,
        90,
        90,
    )
    assert one.value("IAM.8", {"days": ("60",)}, {}) == 60


@given(st.text(max_size=30), st.sampled_from(["integer", "boolean", "string", "integer-list", "string-list"]))
def test_any_text_is_a_value_of_the_type_or_refused(text: str, type_: str) -> None:
    one = parameter(type_, minimum=0, maximum=100)
    try:
        found = one.value("X.1", {"days": (text,)}, {})
    except BadParameter:
        return
    kinds: dict[str, type] = {"integer": int, "boolean": bool, "string": str}
    for value in found if isinstance(found, list) else [found]:
        assert type(value) is kinds[type_.removesuffix("-list")]
        assert not isinstance(value, int) or 0 <= value <= 100


@pytest.mark.parametrize("text", ["9" * 5000, "\n" * 5000], ids=["digits", "lines"])
def test_a_refused_value_is_quoted_short_and_on_one_line(text: str) -> None:
    with pytest.raises(BadParameter) as refused:
        parameter("integer").value("X.1", {"days": (f"x{text}",)}, {})
    with pytest.raises(NotATarget) as not_one:
        target(remediation_of("s3/require_tls"), text)

    assert len(str(refused.value)) < 200
    assert "\n" not in str(refused.value)
    assert len(str(not_one.value)) < 200


def test_the_text_of_a_runbooks_input_is_typed_like_a_findings() -> None:
    assert parameter("integer-list").typed("80, 443") == [80, 443]
    assert parameter("boolean").typed("true") is True
    with pytest.raises(BadParameter):
        parameter("integer").typed("1,2")
