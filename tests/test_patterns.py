"""Every finding of every standard, shape and partition goes to exactly one playbook, by its rule and by its button."""

from __future__ import annotations

import json
from collections.abc import Collection
from itertools import product
from typing import Any, cast

import pytest

from sandbox.samples import Shape, controls, custom_action_event, finding, imported_event, own_ids, standards
from sharr.arns import PARTITIONS
from sharr.finding import CUSTOM_ACTIONS, PREVIEW, REMEDIATE, UNDO, custom_action_arn, parse_event
from sharr.patterns import LONGEST_PATTERN, NOTHING, automatic_pattern, button_pattern, unserved_pattern

STANDARDS = standards()
ADMIN, MEMBER = "111111111111", "222222222222"
EVERY_CONTROL = list(controls())
FIRST_REGION = {name: sorted(partition.regions)[0] for name, partition in PARTITIONS.items()}


def matches(pattern: Any, event: Any) -> bool:
    """
    EventBridge's semantics for the operators used here, written from its documentation.

    Arrays are flattened: a field matches if one element does, and all fields of a pattern's object must match in the
    same element. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-arrays.html
    """
    if isinstance(event, list):
        return any(matches(pattern, each) for each in event)
    if isinstance(pattern, list):
        return any(leaf(condition, event) for condition in pattern)
    if not isinstance(event, dict):
        return False
    return all(
        any(matches(branch, event) for branch in value) if key == "$or" else key in event and matches(value, event[key])
        for key, value in pattern.items()
    )


def leaf(condition: Any, value: Any) -> bool:
    if isinstance(condition, str):
        return bool(value == condition)
    ((operator, operand),) = condition.items()
    if operator == "anything-but":
        excluded = operand if isinstance(operand, list) else [operand]
        if isinstance(operand, dict) and isinstance(next(iter(operand.values())), list):
            ((inner, operands),) = operand.items()
            excluded = [{inner: each} for each in operands]
        return not any(leaf(each, value) for each in excluded)
    if not isinstance(value, str):
        return False
    if operator == "prefix":
        return value.startswith(operand)
    if operator == "suffix":
        return value.endswith(operand)
    if operator == "wildcard":
        return wild(operand, value)
    raise AssertionError(f"unknown operator {operator}")


def wild(pattern: str, text: str) -> bool:
    """Tell whether *text* is *pattern*, in which each `*` stands for any characters or none."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    if not text.startswith(first):
        return False
    text = text[len(first) :]
    for part in rest[:-1]:
        before, found, text = text.partition(part)
        if part and not found:
            return False
        text = text if part else before + text
    return text.endswith(rest[-1])


def samples(partition: str):
    """Yield (playbook's name, finding): the first, middle and last control of each standard, in each of its shapes."""
    for standard in STANDARDS:
        tagging = STANDARDS["Tagging"].controls or ()
        known = list(standard.controls or [name for name in EVERY_CONTROL if name not in tagging])
        if standard.name == "CT":
            known = ["CloudTrail.2", "S3.5"]
        shapes: list[Shape] = ["consolidated"] if standard.shape == "consolidated" else ["standard", "consolidated"]
        for control, shape in product({known[0], known[len(known) // 2], known[-1]}, shapes):
            for own in own_ids(standard.name, control) if shape == "standard" else [None]:
                made = finding(
                    standard.name,
                    control,
                    account=MEMBER,
                    region=FIRST_REGION[partition],
                    partition=partition,
                    resource_id=f"arn:{partition}:s3:::example",
                    resource_type="AwsS3Bucket",
                    shape=shape,
                    own_id=own,
                )
                consolidated = shape == "consolidated" and standard.name != "Tagging"
                yield "SC" if consolidated else standard.name, made


def suffixed(partition: str):
    """Yield (playbook's name, finding) for the controls that share a requirement, under every id they may have."""
    for name, control in [("CIS140", "S3.1"), ("CIS300", "S3.8"), ("CIS500", "RDS.15"), ("CIS120", "CloudWatch.1")]:
        for own in own_ids(name, control):
            yield (
                name,
                finding(
                    name,
                    control,
                    account=MEMBER,
                    region=FIRST_REGION[partition],
                    partition=partition,
                    resource_id=f"arn:{partition}:s3:::example",
                    resource_type="AwsS3Bucket",
                    own_id=own,
                ),
            )


def arns(region: str) -> list[str]:
    return [custom_action_arn(action, account=ADMIN, region=region) for action in CUSTOM_ACTIONS]


def by_rule(event: dict[str, Any]) -> list[str]:
    return [s.name for s in STANDARDS if matches(automatic_pattern(s, EVERY_CONTROL), event)]


def by_button(event: dict[str, Any]) -> list[str]:
    return [s.name for s in STANDARDS if matches(button_pattern(s, arns(event["region"])), event)]


@pytest.mark.parametrize("partition", PARTITIONS)
def test_each_finding_matches_one_playbook_and_the_parser_names_the_same(partition):
    region = FIRST_REGION[partition]
    seen = set()
    for expected, made in [*samples(partition), *suffixed(partition)]:
        imported = imported_event([made], admin_account=ADMIN, region=region)
        assert by_rule(imported) == [expected], made["GeneratorId"]
        assert by_button(imported) == [], made["GeneratorId"]
        assert [f.standard for f in parse_event(imported, STANDARDS, admin_account=ADMIN, region=region).findings] == [
            expected
        ]
        for action in CUSTOM_ACTIONS:
            pressed = custom_action_event(action, [made], admin_account=ADMIN, region=region)
            assert by_button(pressed) == [expected], made["GeneratorId"]
            assert by_rule(pressed) == [], made["GeneratorId"]
            delivery = parse_event(pressed, STANDARDS, admin_account=ADMIN, region=region)
            assert (delivery.trigger, [f.standard for f in delivery.findings]) == (action.trigger, [expected])
        seen.add(expected)

    assert seen == {standard.name for standard in STANDARDS}


def one(name: str = "SC", control: str = "S3.5", **overrides: Any) -> dict[str, Any]:
    return finding(
        name,
        control,
        account=MEMBER,
        region="us-east-1",
        resource_id="arn:aws:s3:::example",
        resource_type="AwsS3Bucket",
        **overrides,
    )


@pytest.mark.parametrize(
    ("case", "overrides"),
    [
        ("passed", {"Compliance": {**one()["Compliance"], "Status": "PASSED"}}),
        ("notified", {"Workflow": {"Status": "NOTIFIED"}}),
        ("suppressed", {"Workflow": {"Status": "SUPPRESSED"}}),
        ("resolved", {"Workflow": {"Status": "RESOLVED"}}),
        ("archived", {"RecordState": "ARCHIVED"}),
        (
            "a custom product with our name",
            {"ProductArn": f"arn:aws:securityhub:us-east-1:{MEMBER}:product/{MEMBER}/aws/securityhub"},
        ),
        ("GuardDuty", {"ProductArn": "arn:aws:securityhub:us-east-1::product/aws/guardduty"}),
        ("no such standard", {"GeneratorId": "cis-aws-foundations-benchmark/v/9.0.0/1.1"}),
    ],
)
def test_what_is_not_a_new_failed_active_finding_of_security_hub_starts_nothing(case, overrides):
    assert by_rule(imported_event([one(**overrides)], admin_account=ADMIN, region="us-east-1")) == [], case


def test_a_control_that_is_not_switched_on_starts_nothing():
    event = imported_event([one()], admin_account=ADMIN, region="us-east-1")

    assert matches(automatic_pattern(STANDARDS["SC"], ["S3.5"]), event)
    assert not matches(automatic_pattern(STANDARDS["SC"], ["S3.6"]), event)
    assert not matches(automatic_pattern(STANDARDS["SC"], []), event)


def test_generator_ids_in_lower_case_are_taken():
    made = one("SC", "IAM.9", GeneratorId="security-control/iam.9")

    assert by_rule(imported_event([made], admin_account=ADMIN, region="us-east-1")) == ["SC"]


def test_a_button_takes_a_finding_in_any_state():
    made = one(RecordState="ARCHIVED", Workflow={"Status": "SUPPRESSED"})

    assert by_button(custom_action_event(PREVIEW, [made], admin_account=ADMIN, region="us-east-1")) == ["SC"]


def test_a_button_that_is_not_ours_matches_nothing():
    event = custom_action_event(UNDO, [one()], admin_account=ADMIN, region="us-east-1")
    event["resources"] = [f"arn:aws:securityhub:us-east-1:{ADMIN}:action/custom/SHARRUndoX"]

    assert by_button(event) == []


def test_findings_of_several_standards_go_to_each_playbook_and_each_finding_is_of_one():
    several = [one(), one("AFSBP"), one("Tagging", "ACM.3")]
    event = custom_action_event(REMEDIATE, several, admin_account=ADMIN, region="us-east-1")

    delivery = parse_event(event, STANDARDS, admin_account=ADMIN, region="us-east-1")

    assert by_button(event) == ["AFSBP", "SC", "Tagging"]
    assert [each.standard for each in delivery.findings] == ["SC", "AFSBP", "Tagging"]


def test_values_of_two_findings_never_add_up_to_one_match():
    passed = one(Compliance={**one()["Compliance"], "Status": "PASSED"})
    other = one("AFSBP", RecordState="ARCHIVED")

    assert by_rule(imported_event([passed, other], admin_account=ADMIN, region="us-east-1")) == []


def test_a_finding_of_the_tagging_standard_and_another_is_still_of_one_playbook():
    """No control is in both today; EventBridge's `anything-but` would let both rules match, and the parser decides."""
    both = [{"StandardsId": STANDARDS[name].standards_arn} for name in ("AFSBP", "Tagging")]
    event = imported_event(
        [one(Compliance={**one()["Compliance"], "AssociatedStandards": both})], admin_account=ADMIN, region="us-east-1"
    )

    assert by_rule(event) == ["SC", "Tagging"]
    assert [f.standard for f in parse_event(event, STANDARDS, admin_account=ADMIN, region="us-east-1").findings] == [
        "Tagging"
    ]


@pytest.mark.parametrize("standard", STANDARDS, ids=lambda standard: standard.name)
def test_patterns_have_only_text_in_lists_and_objects(standard):
    def leaves(value: Any):
        if isinstance(value, dict):
            for each in value.values():
                yield from leaves(each)
        elif isinstance(value, list):
            for each in value:
                yield from leaves(each)
        else:
            yield value

    reference = {"Ref": "Controls"}
    for pattern in (
        automatic_pattern(standard, reference),
        button_pattern(standard, reference),
        unserved_pattern(
            STANDARDS, reference, lambda standard, then, otherwise: {"Fn::If": [standard.name, then, otherwise]}
        ),
    ):
        assert all(isinstance(each, str) for each in leaves(pattern))
    assert automatic_pattern(standard, reference)["detail"]["findings"]["Compliance"]["SecurityControlId"] == reference


def test_a_pattern_with_140_controls_of_usual_length_fits():
    """The ids have 8.4 characters on average; with the 140 longest ones of all there are it could not."""
    by_length = sorted(EVERY_CONTROL, key=len)
    middle = len(by_length) // 2
    usual = by_length[middle - 70 : middle + 70]

    for standard in STANDARDS:
        pattern = automatic_pattern(standard, usual)
        assert len(json.dumps(pattern, separators=(",", ":"))) <= LONGEST_PATTERN, standard.name


def unserved(served: Collection[str], action_arns: list[str]) -> dict[str, Any]:
    """Return the pattern as CloudFormation makes it where the playbooks *served* are loaded."""

    def without_nothing(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_nothing(each) for key, each in value.items()}
        return [without_nothing(each) for each in value if each != NOTHING] if isinstance(value, list) else value

    made = unserved_pattern(STANDARDS, action_arns, lambda s, then, otherwise: then if s.name in served else otherwise)
    return cast("dict[str, Any]", without_nothing(made))


@pytest.mark.parametrize(
    "served", [[], ["SC"], ["Tagging"], ["SC", "Tagging"], ["AFSBP", "CIS120"], [s.name for s in STANDARDS]], ids=str
)
def test_a_button_is_answered_by_one_playbook_or_by_unserved(served):
    loaded = [STANDARDS[name] for name in served]
    region = FIRST_REGION["aws"]
    foreign = one(ProductArn="arn:aws:securityhub:us-east-1::product/aws/guardduty", GeneratorId="guardduty/x")
    for expected, made in [*samples("aws"), ("GuardDuty", foreign)]:
        event = custom_action_event(REMEDIATE, [made], admin_account=ADMIN, region=region)
        takers = [s.name for s in loaded if matches(button_pattern(s, arns(region)), event)]

        assert takers == [expected] * (expected in served), made["GeneratorId"]
        assert matches(unserved(served, arns(region)), event) == (expected not in served), made["GeneratorId"]


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"a": ["x"]}, {"a": ["y", "x"]}, True),
        ({"a": [{"anything-but": ["x"]}]}, {"a": ["x"]}, False),
        ({"a": [{"anything-but": ["x"]}]}, {"a": ["x", "y"]}, True),
        ({"a": [{"anything-but": ["x"]}]}, {}, False),
        ({"a": [{"anything-but": {"wildcard": ["x*", "y*"]}}]}, {"a": "yz"}, False),
        ({"a": [{"wildcard": "arn:*:s/*"}]}, {"a": "arn:aws-cn:s/1"}, True),
        ({"a": [{"wildcard": "arn:*:s/*"}]}, {"a": "arn:aws-cn:t/1"}, False),
        ({"l": {"a": ["1"], "b": ["2"]}}, {"l": [{"a": "1"}, {"b": "2"}]}, False),
        ({"l": {"a": ["1"], "b": ["2"]}}, {"l": [{"a": "1", "b": "2"}]}, True),
        ({"$or": [{"a": ["1"]}, {"b": ["2"]}]}, {"b": "2"}, True),
    ],
)
def test_the_matcher_of_these_tests_does_what_the_documentation_says(pattern, event, expected):
    assert matches(pattern, event) is expected
