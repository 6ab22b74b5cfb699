"""CloudTrail.4: a trail is changed where it was made, by the account that owns it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from sharr.targets import NotATarget
from tests.harness import Bench, Case, bench, remediation_of

ID = "cloudtrail/validate_log_files"
HOME = "eu-west-1"


def bucket(b: Bench, account: str, region: str) -> str:
    """Make a bucket that CloudTrail may write to and return its name."""
    s3, name = b.client("s3", region, account), f"logs-{account}-{region}"
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **place)
    principal = {"Service": "cloudtrail.amazonaws.com"}
    arn = b.arn("s3", name, region="", account="")
    statements = [
        {"Effect": "Allow", "Principal": principal, "Action": "s3:GetBucketAcl", "Resource": arn},
        {"Effect": "Allow", "Principal": principal, "Action": "s3:PutObject", "Resource": f"{arn}/*"},
    ]
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    return name


def trail(b: Bench, region: str, *, account: str | None = None, **more: Any) -> str:
    """Make a trail without log file validation and return its ARN."""
    account = account or b.account
    cloudtrail = b.client("cloudtrail", region, account)
    name = bucket(b, account, region)
    return str(cloudtrail.create_trail(Name="audit", S3BucketName=name, **more)["TrailARN"])


def here(b: Bench) -> str:
    return trail(b, b.region)


def elsewhere(b: Bench) -> str:
    return trail(b, HOME, IsMultiRegionTrail=True)


def validates(b: Bench, resource_id: str) -> bool:
    found = b.client("cloudtrail", resource_id.split(":")[3]).get_trail(Name=resource_id)["Trail"]
    return bool(found["LogFileValidationEnabled"])


CASES = [
    Case("CloudTrail.4", "a trail of this Region", here, validates),
    Case("CloudTrail.4", "the shadow of a trail made in another Region", elsewhere, validates),
]


def state(**facts: Any) -> dict[str, Any]:
    given = {"home": HOME, "owner": "222222222222", "organization": False, **facts}
    return {"config": {"validation": False}, "facts": given, "busy": None}


def target(partition: str = "aws", region: str = "us-east-1", home: str = HOME) -> dict[str, Any]:
    arn = f"arn:{partition}:cloudtrail:{home}:222222222222:trail/audit"
    resource = {"id": arn, "home": home, "trail": "audit"}
    return {"partition": partition, "account": "222222222222", "region": region, "resource": resource}


@pytest.mark.parametrize(
    ("partition", "region", "home"),
    [
        ("aws", "us-east-1", "ap-southeast-2"),
        ("aws-us-gov", "us-gov-east-1", "us-gov-west-1"),
        ("aws-cn", "cn-north-1", "cn-northwest-1"),
    ],
)
def test_the_change_goes_to_the_home_region_by_arn(partition: str, region: str, home: str) -> None:
    (one,) = code_of(remediation_of(ID)).plan(state(home=home), target(partition, region, home))

    assert one["region"] == one["undo"][0]["region"] == home
    assert one["parameters"]["Name"] == f"arn:{partition}:cloudtrail:{home}:222222222222:trail/audit"


def test_an_organizations_trail_is_left_to_the_account_that_owns_it() -> None:
    with pytest.raises(CannotRepair, match="the organization's trail belongs to account 100000000001") as caught:
        code_of(remediation_of(ID)).plan(state(owner="100000000001", organization=True), target())

    assert "cloudtrail:UpdateTrail" in caught.value.to_do
    assert "100000000001" in caught.value.to_do


def test_a_trail_of_another_account_is_no_target() -> None:
    with bench(ID) as b:
        arn = trail(b, b.region, account=b.world.organization.management, IsOrganizationTrail=True)

        with pytest.raises(NotATarget):
            b.remediate("CloudTrail.4", arn)


def test_a_trail_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        result = b.remediate("CloudTrail.4", b.arn("cloudtrail", "trail/gone"))

        assert result["outcome"] == "COMPLIANT"
        assert result["gone"]


def test_a_bucket_policy_that_keeps_cloudtrail_out_is_explained() -> None:
    one = code_of(remediation_of(ID)).plan(state(), target())[0]

    assert "bucket's policy" in one["explain"]["InsufficientS3BucketPolicyException"]


@pytest.mark.parametrize("name", ["a__b", "my.trail-1", "x" * 128])
def test_every_legal_trail_name_is_a_target(name: str) -> None:
    with bench(ID) as b:
        found = b.target("CloudTrail.4", b.arn("cloudtrail", f"trail/{name}"))

        assert found["resource"]["trail"] == name
