"""S3.13: one rule is added, the others stay as they are; nothing is deleted or archived unasked."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "s3/add_lifecycle_rule"
SIZE = "TransitionDefaultMinimumObjectSize"
ABORT = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
Json = dict[str, Any]

OFF: Json = {"ID": "off", "Status": "Disabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 9}}
OLD_FORM: Json = {"ID": "old", "Status": "Disabled", "Prefix": "tmp/", "Expiration": {"Days": 9}}
ON: Json = {"ID": "on", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 9}}
RICH: Json = {
    "ID": "rich",
    "Status": "Disabled",
    "Filter": {"And": {"Prefix": "x/", "ObjectSizeGreaterThan": 5, "Tags": [{"Key": "a", "Value": "b"}]}},
    "Transitions": [{"Date": "2027-01-01T00:00:00+00:00", "StorageClass": "GLACIER"}],
    "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2},
}


def bucket(b: Bench, name: str, rules: list[Json] | None = None, region: str = "us-east-1", **more: Any) -> str:
    s3, place = b.client("s3", region), {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **({} if region == "us-east-1" else place))
    if rules:
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules}, **more)
    return b.arn("s3", name, region="", account="")


def lifecycle_of(b: Bench, resource_id: str) -> Json | None:
    try:
        found = b.client("s3").get_bucket_lifecycle_configuration(Bucket=resource_id.split(":")[-1])
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
            raise
        return None
    return {key: found[key] for key in ("Rules", SIZE)}


def rules_of(b: Bench, resource_id: str) -> list[Json]:
    found: list[Json] = (lifecycle_of(b, resource_id) or {"Rules": []})["Rules"]
    return found


def has_rule(b: Bench, resource_id: str) -> bool:
    return any(rule["Status"] == "Enabled" for rule in rules_of(b, resource_id))


def moves_after_60_days(b: Bench, resource_id: str) -> bool:
    wanted = {"Days": 60, "StorageClass": "STANDARD_IA"}
    return any(r["Status"] == "Enabled" and wanted in r.get("Transitions", []) for r in rules_of(b, resource_id))


CASES = [
    Case("S3.13", "no lifecycle", lambda b: bucket(b, "no-rule-for-s3-13"), has_rule),
    Case(
        "S3.13",
        "rules that are off, in another Region",
        lambda b: bucket(b, "off-for-s3-13", [OFF, RICH], "eu-west-1", TransitionDefaultMinimumObjectSize=VARIES),
        has_rule,
    ),
    Case(
        "S3.13",
        "a rule that does not do what the control's parameters ask for",
        lambda b: bucket(b, "other-rule-for-s3-13", [ON]),
        moves_after_60_days,
        parameters={"targetTransitionDays": ["60"], "targetTransitionStorageClass": ["STANDARD_IA"]},
    ),
]
VARIES = "varies_by_storage_class"

NONE = dict.fromkeys(("targetTransitionDays", "targetTransitionStorageClass", "targetExpirationDays", "targetPrefix"))


def plan(rules: list[Json] | None, partition: str = "aws", **given: Any) -> list[Json]:
    parameters = {"abortUploadsAfterDays": 7, "expireObjects": False, "archiveObjects": False, **NONE, **given}
    asked = {
        "partition": partition,
        "account": "111122223333",
        "resource": {"bucket": "b-13"},
        "parameters": parameters,
    }
    state = {"config": {"lifecycle": rules and [{"Rules": rules}]}, "facts": {"region": "eu-west-1"}, "busy": None}
    calls: list[Json] = code_of(remediation_of(ID)).plan(state, asked)
    return calls


def added(rules: list[Json] | None, **given: Any) -> Json:
    before = copy.deepcopy(rules or [])
    (one,) = plan(rules, **given)
    *kept, new = one["parameters"]["LifecycleConfiguration"]["Rules"]
    assert kept == before
    assert new["Status"] == "Enabled"
    found: Json = {key: value for key, value in new.items() if key not in ("ID", "Status")}
    return found


ALL = {"Filter": {"Prefix": ""}}


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({}, {**ALL, **ABORT}),
        ({"abortUploadsAfterDays": 30}, {**ALL, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 30}}),
        (
            {"targetTransitionDays": 5},
            {**ALL, "Transitions": [{"Days": 5, "StorageClass": "INTELLIGENT_TIERING"}]},
        ),
        (
            {"targetTransitionStorageClass": "ONEZONE_IA"},
            {**ALL, "Transitions": [{"Days": 30, "StorageClass": "ONEZONE_IA"}]},
        ),
        ({"targetExpirationDays": 400, "expireObjects": True}, {**ALL, "Expiration": {"Days": 400}}),
        (
            {"targetTransitionDays": 90, "targetTransitionStorageClass": "GLACIER", "archiveObjects": True},
            {**ALL, "Transitions": [{"Days": 90, "StorageClass": "GLACIER"}]},
        ),
        ({"targetPrefix": "logs/"}, {"Filter": {"Prefix": "logs/"}, **ABORT}),
    ],
)
def test_what_the_new_rule_says(given: Json, rule: Json) -> None:
    assert added(None, **given) == rule
    assert added([OFF], **given) == rule


def test_the_form_of_the_rules_that_are_there_is_kept() -> None:
    """S3 refuses a configuration that has both forms."""
    assert added([OLD_FORM]) == {"Prefix": "", **ABORT}
    assert added([OFF]) == {"Filter": {"Prefix": ""}, **ABORT}


@pytest.mark.parametrize(
    ("given", "why", "to_do"),
    [
        ({"targetExpirationDays": 365}, "deletes objects after 365 days", "set expireObjects"),
        ({"targetTransitionStorageClass": "GLACIER"}, "before they are restored", "set archiveObjects"),
        ({"targetTransitionStorageClass": "DEEP_ARCHIVE"}, "before they are restored", "set archiveObjects"),
        (
            {"targetTransitionStorageClass": "STANDARD_IA", "targetTransitionDays": 7},
            "30 days at the earliest, not 7",
            "parameters in Security Hub",
        ),
        (
            {"targetTransitionDays": 90, "targetExpirationDays": 90, "expireObjects": True},
            "move after 90 days and be deleted after 90",
            "parameters in Security Hub",
        ),
    ],
)
def test_what_deletes_archives_or_cannot_be_is_left_to_a_person(given: Json, why: str, to_do: str) -> None:
    with pytest.raises(CannotRepair, match=why) as caught:
        plan([OFF], **given)

    assert to_do in caught.value.to_do


@pytest.mark.parametrize(
    ("rule", "given", "passes"),
    [
        (ON, {}, True),
        (OFF, {}, False),
        (ON, {"targetExpirationDays": 9}, True),
        (OFF, {"targetExpirationDays": 9, "expireObjects": True}, False),
        (ON, {"targetExpirationDays": 10, "expireObjects": True}, False),
        (ON, {"targetPrefix": "tmp/"}, True),
        (ON, {"targetPrefix": "x/"}, False),
        ({**RICH, "Status": "Enabled"}, {"targetPrefix": "x/", "targetTransitionStorageClass": "GLACIER"}, True),
        ({**OLD_FORM, "Status": "Enabled"}, {"targetPrefix": "tmp/"}, True),
        ({**ON, "Transitions": [{"Days": 5, "StorageClass": "GLACIER_IR"}]}, {"targetTransitionDays": 5}, True),
        (
            {
                **ON,
                "Transitions": [{"Days": 5, "StorageClass": "GLACIER_IR"}, {"Days": 9, "StorageClass": "STANDARD_IA"}],
            },
            {"targetTransitionDays": 5, "targetTransitionStorageClass": "INTELLIGENT_TIERING"},
            False,
        ),
    ],
)
def test_which_rules_are_enough_and_one_of_several_will_do(rule: Json, given: Json, passes: bool) -> None:
    """ASR's L11: only the first rule was looked at, and all were replaced."""
    assert (plan([OFF | {"ID": "first"}, rule], **given) == []) is passes


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    (one,) = plan([OFF | {"ID": "sharr"}, OFF | {"ID": "sharr-2"}])

    assert one["parameters"]["LifecycleConfiguration"]["Rules"][-1]["ID"] == "sharr-3"


def test_a_bucket_with_a_thousand_rules_is_left_to_a_person() -> None:
    with pytest.raises(CannotRepair, match="1000 lifecycle rules"):
        plan([OFF | {"ID": str(number)} for number in range(1000)])


def test_only_a_rule_that_moves_or_deletes_objects_loses_something() -> None:
    assert "lost" not in plan(None)[0]
    assert "lost" in plan(None, targetTransitionDays=60)[0]


def test_rules_sizes_and_dates_stay_and_come_back_as_they_were() -> None:
    with bench(ID) as b:
        arn = bucket(b, "documents", [OFF, RICH], TransitionDefaultMinimumObjectSize=VARIES)
        before = lifecycle_of(b, arn)
        attempt = b.attempt("S3.13", arn)

        assert attempt.finish()["outcome"] == "REMEDIATED"
        after = lifecycle_of(b, arn)
        assert before is not None
        assert after is not None
        assert (after["Rules"][:2], after[SIZE]) == (before["Rules"], VARIES)
        assert attempt.undo()["outcome"] == "UNDONE"
        assert lifecycle_of(b, arn) == before


def test_rules_that_somebody_changed_since_are_left_by_an_undo() -> None:
    with bench(ID) as b:
        arn = bucket(b, "documents")
        attempt = b.attempt("S3.13", arn)
        attempt.finish()
        b.client("s3").put_bucket_lifecycle_configuration(Bucket="documents", LifecycleConfiguration={"Rules": [ON]})

        assert attempt.undo()["outcome"] == "SKIPPED"
        assert rules_of(b, arn) == [ON]


def test_a_bucket_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("S3.13", b.arn("s3", "gone", region="", account=""))["outcome"] == "COMPLIANT"
