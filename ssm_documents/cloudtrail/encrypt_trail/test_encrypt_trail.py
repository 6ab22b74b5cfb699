"""CloudTrail.2: which key a trail gets, and what is said where there is none, or none that CloudTrail can use."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.remediation import BadParameter
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from sharr.targets import NotATarget
from tests.harness import Bench, Case, bench, remediation_of
from tests.resources import trail_bucket

ID = "cloudtrail/encrypt_trail"
ACCOUNT = "222222222222"
HOME = "eu-west-1"
ALIAS = "alias/for-cloudtrail-2"
KEY = f"arn:aws:kms:{HOME}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"


def key(b: Bench, region: str, *, alias: str = ALIAS, admits: bool = True) -> str:
    """Make a key that CloudTrail may use for this account's trails, and return its ARN."""
    kms = b.client("kms", region)
    root = {"AWS": b.arn("iam", "root", region="")}
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"},
    ]
    if admits:
        who = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Resource": "*"}
        only = {"StringEquals": {"aws:SourceAccount": b.account}}
        statements.append({**who, "Action": ["kms:GenerateDataKey*", "kms:DescribeKey"], "Condition": only})
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    made = kms.create_key(Policy=policy)["KeyMetadata"]
    kms.create_alias(AliasName=alias, TargetKeyId=made["KeyId"])
    return str(made["Arn"])


def trail(b: Bench, name: str, region: str, *, account: str | None = None, bucket_in: str = "", **more: Any) -> str:
    """Make a trail with a bucket of its own, and return its ARN."""
    account, where = account or b.account, bucket_in or region
    bucket = trail_bucket(b, f"{name}-{account}-{where}", where, account)
    cloudtrail = b.client("cloudtrail", region, account)
    return str(cloudtrail.create_trail(Name=name, S3BucketName=bucket, **more)["TrailARN"])


def here(b: Bench) -> str:
    key(b, b.region)
    return trail(b, "for-cloudtrail-2", b.region)


def elsewhere(b: Bench) -> str:
    key(b, HOME)
    return trail(b, "for-cloudtrail-2-far", HOME, IsMultiRegionTrail=True)


def key_of(b: Bench, arn: str) -> str | None:
    found: str | None = b.client("cloudtrail", arn.split(":")[3]).get_trail(Name=arn)["Trail"].get("KmsKeyId")
    return found


def encrypts(b: Bench, arn: str) -> bool:
    return bool(key_of(b, arn))


CHOSEN = {"kmsKeyArn": ALIAS}
CASES = [
    Case("CloudTrail.2", "a trail of this Region", here, encrypts, settings=CHOSEN),
    Case("CloudTrail.2", "a trail made in another Region", elsewhere, encrypts, settings=CHOSEN),
]


def plan(chosen: str | None, config: str | None = None, **facts: Any) -> list[dict[str, Any]]:
    arn = f"arn:aws:cloudtrail:{HOME}:{ACCOUNT}:trail/audit"
    given = {"owner": ACCOUNT, "organization": False, "bucket_region": HOME, **facts}
    target = {
        "partition": "aws", "account": ACCOUNT, "region": "us-east-1", "control": "CloudTrail.2",
        "resource": {"id": arn, "home": HOME, "trail": "audit"}, "parameters": {"kmsKeyArn": chosen},
    }  # fmt: skip
    state = {"config": {"key": config}, "facts": given, "busy": None}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize("bucket_region", [HOME, None])
@pytest.mark.parametrize("chosen", [KEY, ALIAS, f"arn:aws:kms:{HOME}:999999999999:{ALIAS}"])
def test_the_key_that_was_chosen_is_named_in_the_home_region(chosen: str, bucket_region: str | None) -> None:
    (one,) = plan(chosen, bucket_region=bucket_region)

    assert (one["parameters"]["KmsKeyId"], one["region"]) == (chosen, HOME)
    assert (one["undo"][0]["parameters"]["KmsKeyId"], one["undo"][0]["region"]) == ("", HOME)


@pytest.mark.parametrize(
    ("chosen", "facts", "why", "to_do"),
    [
        (None, {}, "no KMS key was chosen", f"set kmsKeyArn to a key in {HOME}"),
        (None, {"bucket_region": None}, "no KMS key was chosen", "the Region of the trail's bucket"),
        (KEY, {"bucket_region": "us-east-1"}, "bucket is in us-east-1, the key .* in eu-west-1", "key in us-east-1"),
        (ALIAS, {"bucket_region": "us-east-1"}, "bucket is in us-east-1", "set kmsKeyArn"),
        (KEY, {"owner": "100000000001", "organization": True}, "the organization's trail belongs to account 1", "1000"),
    ],
)
def test_what_the_user_must_do_is_said_before_the_first_call(
    chosen: str | None, facts: dict[str, Any], why: str, to_do: str
) -> None:
    with pytest.raises(CannotRepair, match=why) as caught:
        plan(chosen, **facts)

    assert to_do in caught.value.to_do


def test_a_trail_that_has_another_key_keeps_it() -> None:
    assert plan(KEY, "arn:aws:kms:eu-west-1:222222222222:key/another") == []


@pytest.mark.parametrize(
    "chosen",
    [
        KEY,
        f"arn:aws-us-gov:kms:us-gov-west-1:{ACCOUNT}:key/mrk-{'0' * 32}",
        f"arn:aws-cn:kms:cn-north-1:{ACCOUNT}:alias/a/b_c",
        "alias/trail",
    ],
)
def test_aliases_and_multi_region_keys_may_be_chosen(chosen: str) -> None:
    """AWS's own pattern for the key matches neither."""
    with bench(ID) as b:
        found = b.target("CloudTrail.2", b.arn("cloudtrail", "trail/audit"), settings={"kmsKeyArn": chosen})

        assert found["parameters"]["kmsKeyArn"] == chosen


@pytest.mark.parametrize("chosen", ["trail", "key/1", "alias/", KEY + "x", f"{KEY},{KEY}"])
def test_what_is_no_key_is_refused(chosen: str) -> None:
    with bench(ID) as b, pytest.raises(BadParameter):
        b.target("CloudTrail.2", b.arn("cloudtrail", "trail/audit"), settings={"kmsKeyArn": chosen})


def test_the_key_of_an_alias_is_what_the_trail_shows() -> None:
    with bench(ID) as b:
        made, arn = key(b, b.region), trail(b, "audit", b.region)

        b.remediate("CloudTrail.2", arn, settings=CHOSEN)

        assert key_of(b, arn) == made


def test_the_region_of_the_bucket_is_looked_up() -> None:
    with bench(ID) as b:
        key(b, b.region)
        arn = trail(b, "audit", b.region, bucket_in=HOME)

        result = b.remediate("CloudTrail.2", arn, settings=CHOSEN)

        assert result["outcome"] == "FAILED"
        assert f"set kmsKeyArn to a key in {HOME}" in result["to_do"]


def test_a_bucket_of_another_account_is_left_to_cloudtrail_to_look_at() -> None:
    with bench(ID) as b:
        other, made = b.world.organization.members[1], key(b, b.region)
        arn = trail(b, "audit", b.region)
        b.client("s3", account=b.account).delete_bucket(Bucket=f"audit-{b.account}-{b.region}")
        b.client("s3", account=other).create_bucket(Bucket=f"audit-{b.account}-{b.region}")

        result = b.remediate("CloudTrail.2", arn, settings=CHOSEN)

        assert result["outcome"] == "REMEDIATED"
        assert key_of(b, arn) == made


def test_a_key_that_keeps_cloudtrail_out_is_explained_and_nothing_changed() -> None:
    """trussworks 186: InsufficientEncryptionPolicyException, and nobody says what the policy lacks."""
    with bench(ID) as b:
        key(b, b.region, admits=False)
        arn = trail(b, "audit", b.region)

        result = b.remediate("CloudTrail.2", arn, settings=CHOSEN)

        assert result["outcome"] == "FAILED"
        assert "cloudtrail.amazonaws.com kms:GenerateDataKey*" in result["to_do"]
        assert not encrypts(b, arn)


def test_a_key_that_is_not_there_is_explained() -> None:
    with bench(ID) as b:
        result = b.remediate("CloudTrail.2", trail(b, "audit", b.region), settings=CHOSEN)

        assert result["outcome"] == "FAILED"
        assert f"{ALIAS} is not there" in result["to_do"]


def test_the_organizations_trail_is_no_target_in_a_member_account() -> None:
    with bench(ID) as b:
        arn = trail(b, "org", b.region, account=b.world.organization.management, IsOrganizationTrail=True)

        with pytest.raises(NotATarget):
            b.remediate("CloudTrail.2", arn, settings=CHOSEN)


def test_a_trail_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("CloudTrail.2", b.arn("cloudtrail", "trail/gone"))["outcome"] == "COMPLIANT"
