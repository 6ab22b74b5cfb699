"""Whatever JSON comes in: a Finding whose facts agree, or MalformedFinding; never another exception."""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sandbox.samples import custom_action_event, finding, imported_event, standards
from sharr.arns import PARTITIONS, partition_of
from sharr.finding import REMEDIATE, Finding, MalformedEvent, MalformedFinding, parse_event, parse_finding

STANDARDS = standards()
ADMIN, MEMBER, REGION = "111111111111", "222222222222", "eu-west-1"
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def sample(name: str, control: str, **overrides: Any) -> dict[str, Any]:
    return finding(
        name,
        control,
        account=MEMBER,
        region=REGION,
        resource_id=f"arn:aws:sqs:{REGION}:{MEMBER}:orders",
        resource_type="AwsSqsQueue",
        now=NOW,
        Note={"Text": "seen", "UpdatedBy": "somebody", "UpdatedAt": "2026-01-30T12:00:00Z"},
        **overrides,
    )


SAMPLES = [
    sample("SC", "SQS.1"),
    sample("Tagging", "SQS.2"),
    sample("AFSBP", "S3.5"),
    sample("CIS120", "IAM.16"),
    sample("CIS300", "S3.8"),
    sample("CT", "CloudTrail.2"),
]

HOSTILE_TEXTS = [
    "",
    "\n",
    "\x00",
    "../../etc/passwd",
    "${jndi:ldap://x}",
    "<script>alert(1)</script>",
    "'; DROP TABLE findings; --",
    "\u0662" * 12,
    "\ud800",
    "\u202e",
    "x" * 512,
    "x" * 100_000,
    "arn:aws:s3:::" + "b" * 3000,
    "arn:" * 50,
    "arn:aws:securityhub:eu-west-1:333333333333:security-control/SQS.1/finding/0f1e2d3c-aaaa-bbbb-cccc-000000000001",
    "security-control/SQS.1\n",
    "eu-west-9",
    "9999-12-31T23:59:59-23:59",
    "2026-01-31T99:00:00Z",
    "FAILED ",
    "S3.5",
    "1.10",
    "{{resolve:secretsmanager:x}}",
]

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.sampled_from(HOSTILE_TEXTS),
        st.text(max_size=30),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=10), inner, max_size=4)),
    max_leaves=12,
)


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every place in a JSON value, the value itself first."""
    found = [above]
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        found += paths(child, (*above, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return *value* with *new* at *path*; with DELETED there, without that place."""
    if not path:
        return new
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    if new is DELETED:
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return changed


DELETED = object()


def parsed(raw: object) -> Finding | MalformedFinding:
    """Return what comes of *raw*, its facts checked once more; fails on any other exception."""
    result: Finding | MalformedFinding
    try:
        result = parse_finding(raw, STANDARDS)
    except MalformedFinding as error:
        result = error
    if isinstance(result, MalformedFinding):
        assert len(result.value) <= 100
        assert len(str(result)) < 1000
        assert str(result).isprintable()
        assert (result.uid is None) == (result.product_arn is None)
        return result
    assert re.fullmatch(r"[0-9]{12}", result.account)
    assert partition_of(result.region) == result.partition
    assert result.uid.startswith(f"arn:{result.partition}:securityhub:{result.region}:{result.account}:")
    assert result.product_arn == f"arn:{result.partition}:securityhub:{result.region}::product/aws/securityhub"
    assert result.control in STANDARDS.controls
    assert 1 <= len(result.resources) <= 32
    for resource in result.resources:
        assert re.fullmatch(r"[\x20-\x7e]{1,512}", resource.id)
        assert "../" not in resource.id
        assert not re.match(r"arn:[^:]*:[^:]*:[^:]*:(?!222222222222:|:)", resource.id)
    json.dumps(
        [result.title, result.account_name, [dict(r.tags) for r in result.resources]], ensure_ascii=False
    ).encode()
    return result


@QUICK
@given(json_values)
@example(float("nan"))
@example({"AwsAccountId": {"a": []}})
def test_any_json_value_is_malformed_and_never_crashes(raw):
    assert isinstance(parsed(raw), MalformedFinding)


@settings(QUICK, max_examples=600)
@given(st.data())
def test_any_value_at_any_place_is_a_sound_finding_or_malformed(data):
    raw = data.draw(st.sampled_from(SAMPLES))
    path = data.draw(st.sampled_from(paths(raw)[1:]))
    new = data.draw(st.one_of(st.just(DELETED), st.sampled_from(HOSTILE_TEXTS), json_values))

    parsed(put(raw, path, new))


@pytest.mark.parametrize("raw", SAMPLES, ids=lambda raw: raw["GeneratorId"])
@pytest.mark.parametrize(
    "new",
    [DELETED, None, True, 7, 1e308, "", "\ud800", "x" * 5000, [], {}, [[]], [None], {"a": None}],
    ids=lambda new: "absent" if new is DELETED else repr(new)[:12],
)
def test_each_place_survives_each_kind_of_value(raw, new):
    for path in paths(raw)[1:]:
        parsed(put(raw, path, new))


@pytest.mark.parametrize("raw", SAMPLES, ids=lambda raw: raw["GeneratorId"])
def test_the_samples_themselves_are_sound(raw):
    assert isinstance(parsed(raw), Finding)


def test_a_value_nested_deeper_than_python_recurses_is_malformed():
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]

    for field in ("Id", "Resources", "Title", "Compliance", "AwsAccountId", "ProductArn"):
        assert isinstance(parsed({**SAMPLES[0], field: deep}), MalformedFinding)


def test_html_in_a_title_is_kept_as_data():
    title = "<script>alert(1)</script> & \u201cquotes\u201d"

    assert parse_finding({**SAMPLES[0], "Title": title}, STANDARDS).title == title


@pytest.mark.parametrize("title", ["a\nb", "a\rb", "a\x1b[31mb", "a\u2028b", "\ud800", "x" * 257])
def test_a_title_that_would_forge_a_line_is_malformed(title):
    result = parsed({**SAMPLES[0], "Title": title})

    assert isinstance(result, MalformedFinding)
    assert result.field == "Title"


@pytest.mark.parametrize("partition", PARTITIONS)
def test_a_region_of_one_partition_never_goes_with_another(partition):
    for other in PARTITIONS.values():
        for region in sorted(other.regions)[:2]:
            text = (
                json.dumps(SAMPLES[0])
                .replace("arn:aws:", f"arn:{partition}:")
                .replace('"Partition": "aws"', f'"Partition": "{partition}"')
            )
            result = parsed(json.loads(text.replace(REGION, region)))

            assert isinstance(result, Finding) == (other.id == partition)


@pytest.mark.parametrize("digits", ["\u0662" * 12, "\uff12" * 12, "\u0968" * 12], ids=ascii)
def test_digits_of_other_scripts_are_no_account_however_consistent(digits):
    result = parsed(json.loads(json.dumps(SAMPLES[0]).replace(MEMBER, digits)))

    assert isinstance(result, MalformedFinding)
    assert result.field == "AwsAccountId"


@QUICK
@given(json_values)
def test_any_json_value_as_event_is_refused_with_a_reason(raw):
    with pytest.raises(MalformedEvent):
        parse_event(raw, STANDARDS, admin_account=ADMIN, region=REGION)


EVENTS = [
    imported_event([SAMPLES[0]], admin_account=ADMIN, region=REGION),
    custom_action_event(REMEDIATE, SAMPLES[1:3], admin_account=ADMIN, region=REGION),
]


@settings(QUICK, max_examples=300)
@given(st.data())
def test_any_value_at_any_place_of_an_event_is_a_delivery_or_refused(data):
    raw = data.draw(st.sampled_from(EVENTS))
    path = data.draw(st.sampled_from(paths(raw)[1:]))
    changed = put(raw, path, data.draw(st.one_of(st.just(DELETED), st.sampled_from(HOSTILE_TEXTS), json_values)))

    try:
        delivery = parse_event(changed, STANDARDS, admin_account=ADMIN, region=REGION)
    except MalformedEvent as error:
        assert error.reason.isprintable()  # noqa: PT017  # both ends are right; this is what a refusal has to be
        return
    assert len(delivery.findings) + len(delivery.malformed) == len(changed["detail"]["findings"])
