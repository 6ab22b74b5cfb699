"""S3.2, S3.3, S3.8, CloudTrail.6: a bucket's own block of public access is complete, in its own Region, and back."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from sandbox.identity import IdentityCenter
from sandbox.ports import Call
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "s3/block_public_access"
NAME = "downloads"
FLAGS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
Json = dict[str, Any]


def bucket(
    b: Bench, on: tuple[str, ...] | None = None, region: str = "us-east-1", name: str = NAME, **more: Any
) -> str:
    s3, place = b.client("s3", region), {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **({} if region == "us-east-1" else place), **more)
    if on is not None:
        flags = {flag: flag in on for flag in FLAGS}
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=flags)
    return b.arn("s3", name, region="", account="")


def with_public_policy(b: Bench, action: str, on: tuple[str, ...] | None = None) -> str:
    arn = bucket(b, on)
    allow = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": f"{arn}/*"}
    b.client("s3").put_bucket_policy(Bucket=NAME, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))
    return arn


def with_public_acl(b: Bench, right: str, on: tuple[str, ...] | None = None) -> str:
    arn = bucket(b, ObjectOwnership="ObjectWriter")
    acl = b.client("s3").get_bucket_acl(Bucket=NAME)
    grants = [*acl["Grants"], {"Grantee": {"Type": "Group", "URI": EVERYBODY}, "Permission": right}]
    b.client("s3").put_bucket_acl(Bucket=NAME, AccessControlPolicy={"Grants": grants, "Owner": acl["Owner"]})
    if on is not None:
        flags = {flag: flag in on for flag in FLAGS}
        b.client("s3").put_public_access_block(Bucket=NAME, PublicAccessBlockConfiguration=flags)
    return arn


def block_of(b: Bench, name: str = NAME) -> set[str] | None:
    """The settings that are on; None where the bucket has no block."""
    try:
        found = b.client("s3").get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchPublicAccessBlockConfiguration":
            raise
        return None
    return {flag for flag in FLAGS if found[flag]}


def is_public_for(b: Bench, action: str, right: str) -> bool:
    """The rules' own words: a public policy that no setting restricts, or a public ACL that no setting restricts."""
    s3, on = b.client("s3"), block_of(b) or set()
    try:
        statements = json.loads(s3.get_bucket_policy(Bucket=NAME)["Policy"])["Statement"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise
        statements = []
    by_policy = any((s["Effect"], s["Principal"], s["Action"]) == ("Allow", "*", action) for s in statements)
    grants = s3.get_bucket_acl(Bucket=NAME)["Grants"]
    by_acl = any(g["Grantee"].get("URI") == EVERYBODY and g["Permission"] == right for g in grants)
    return (by_policy and "RestrictPublicBuckets" not in on) or (by_acl and "IgnorePublicAcls" not in on)


def not_readable(b: Bench, _resource_id: str) -> bool:
    return not is_public_for(b, "s3:GetObject", "READ")


def not_writable(b: Bench, _resource_id: str) -> bool:
    return not is_public_for(b, "s3:PutObject", "WRITE")


def all_on(b: Bench, _resource_id: str) -> bool:
    return block_of(b) == set(FLAGS)


CASES = [
    Case("S3.2", "readable by policy", lambda b: with_public_policy(b, "s3:GetObject"), not_readable),
    Case("S3.2", "readable by ACL", lambda b: with_public_acl(b, "READ"), not_readable),
    Case(
        "S3.2",
        "readable by policy while ACLs are blocked",
        lambda b: with_public_policy(b, "s3:GetObject", ("BlockPublicAcls", "IgnorePublicAcls")),
        not_readable,
    ),
    Case("S3.3", "writable by policy", lambda b: with_public_policy(b, "s3:PutObject"), not_writable),
    Case(
        "S3.3",
        "writable by an older ACL while new ones are blocked",
        lambda b: with_public_acl(b, "WRITE", ("BlockPublicAcls",)),
        not_writable,
    ),
    Case("S3.8", "no block", bucket, all_on),
    Case("S3.8", "a block with all settings off", lambda b: bucket(b, ()), all_on),
    Case("S3.8", "one setting off in another Region", lambda b: bucket(b, FLAGS[1:], "eu-central-1"), all_on),
    Case("CloudTrail.6", "a trail's bucket", lambda b: with_public_policy(b, "s3:GetObject"), not_readable),
]


@pytest.mark.parametrize(("finding_region", "region"), [("us-east-1", "ap-south-1"), ("eu-west-1", "us-east-1")])
def test_everything_but_the_search_for_it_goes_to_the_buckets_region(finding_region: str, region: str) -> None:
    """cloud-custodian #7695, #8005: another Region's client gets AccessDenied or IllegalLocationConstraintException."""
    with bench(ID, finding_region) as b:
        arn = bucket(b, (), region)
        attempt = b.attempt("S3.8", arn)
        with b.watched() as calls:
            assert attempt.finish()["outcome"] == "REMEDIATED"
            assert attempt.undo()["outcome"] == "UNDONE"

        places = {(c.operation, c.region) for c in calls if c.service == "s3"}
        assert places == {
            ("HeadBucket", finding_region), ("GetPublicAccessBlock", region), ("PutPublicAccessBlock", region),
        }  # fmt: skip


def test_every_call_names_the_expected_owner() -> None:
    with bench(ID) as b:
        arn = bucket(b)
        attempt = b.attempt("S3.8", arn)
        with b.watched() as calls:
            attempt.finish()
            attempt.undo()

        assert {c.parameters.get("ExpectedBucketOwner") for c in calls if c.service == "s3"} == {b.account}


def test_a_bucket_of_another_account_is_not_touched() -> None:
    with bench(ID) as b:
        other = b.world.organization.members[1]
        b.client("s3", account=other).create_bucket(Bucket="theirs")
        arn = b.arn("s3", "theirs", region="", account="")
        with b.watched() as calls:
            result = b.remediate("S3.8", arn)

        assert result["outcome"] == "FAILED"
        assert not b.writes(calls)


def test_a_block_that_was_not_there_is_deleted_and_one_that_was_off_is_put_back() -> None:
    with bench(ID) as b:
        bucket(b, None, name="without-one")
        bucket(b, (), name="all-off")
        for name, before in (("without-one", None), ("all-off", set())):
            attempt = b.attempt("S3.8", b.arn("s3", name, region="", account=""))
            assert attempt.finish()["outcome"] == "REMEDIATED"
            assert block_of(b, name) == set(FLAGS)
            assert attempt.undo()["outcome"] == "UNDONE"
            assert block_of(b, name) == before


def test_a_block_that_somebody_changed_since_is_left_by_an_undo() -> None:
    with bench(ID) as b:
        arn = bucket(b, FLAGS[:2])
        attempt = b.attempt("S3.8", arn)
        attempt.finish()
        flags = {flag: flag != "BlockPublicAcls" for flag in FLAGS}
        b.client("s3").put_public_access_block(Bucket=NAME, PublicAccessBlockConfiguration=flags)

        assert attempt.undo()["outcome"] == "SKIPPED"
        assert block_of(b) == set(FLAGS[1:])


def test_two_changes_at_once_are_tried_again() -> None:
    """auto-remediate #78: S3 answers OperationAborted while another change of the bucket is under way."""
    with bench(ID) as b:
        arn, aborted = bucket(b), [0]

        def conflict(one: Call) -> None:
            if one.operation == "PutPublicAccessBlock" and not aborted[0]:
                aborted[0] += 1
                raise ClientError({"Error": {"Code": "OperationAborted", "Message": "A conflict"}}, one.operation)

        cast("IdentityCenter", b.world.identity).before.append(conflict)

        assert b.remediate("S3.8", arn)["outcome"] == "REMEDIATED"
        assert (aborted, all_on(b, arn)) == ([1], True)


def test_a_denied_read_is_not_an_absent_block() -> None:
    with bench(ID) as b:
        arn = bucket(b, FLAGS)
        deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetBucketPublicAccessBlock", "Resource": arn}
        b.client("s3").put_bucket_policy(Bucket=NAME, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
        with b.watched() as calls:
            result = b.remediate("S3.8", arn)

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])
        assert "AccessDenied" in result["why"]


def test_a_denied_write_says_what_to_do() -> None:
    with bench(ID) as b:
        arn = bucket(b)
        deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutBucketPublicAccessBlock", "Resource": arn}
        b.client("s3").put_bucket_policy(Bucket=NAME, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))

        result = b.remediate("S3.8", arn)

        assert (result["outcome"], block_of(b)) == ("FAILED", None)
        assert "s3:PutBucketPublicAccessBlock" in result["to_do"]


def test_a_bucket_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        result = b.remediate("S3.2", b.arn("s3", "long-gone", region="", account=""))

        assert (result["outcome"], result["gone"]) == ("COMPLIANT", True)


@pytest.mark.parametrize("name", ["abc", "logs.example.com", "Old_Bucket.With-Capitals", "x" * 255])
def test_every_name_that_a_bucket_may_have_is_understood(name: str) -> None:
    with bench(ID) as b:
        target = b.target("S3.8", b.arn("s3", name, region="", account=""))

        assert target["resource"]["bucket"] == name


TARGET = {"account": "111122223333", "resource": {"bucket": NAME}}


@pytest.mark.parametrize(
    ("on", "inverse", "given_back"),
    [
        (None, "delete_public_access_block", None),
        ([], "put_public_access_block", []),
        (["BlockPublicAcls", "IgnorePublicAcls"], "put_public_access_block", ["BlockPublicAcls", "IgnorePublicAcls"]),
    ],
)
def test_plan(on: list[str] | None, inverse: str, given_back: list[str] | None) -> None:
    state = {"config": {"block": on}, "facts": {"region": "eu-west-1"}, "busy": None}

    (one,) = code_of(remediation_of(ID)).plan(state, TARGET)

    assert one["parameters"]["PublicAccessBlockConfiguration"] == dict.fromkeys(FLAGS, True)
    assert (one["undo"][0]["operation"], one["undo"][0]["region"]) == (inverse, "eu-west-1")
    flags = one["undo"][0]["parameters"].get("PublicAccessBlockConfiguration")
    assert flags == (None if given_back is None else {flag: flag in given_back for flag in FLAGS})


def test_nothing_is_planned_where_all_settings_are_on() -> None:
    state = {"config": {"block": list(reversed(FLAGS))}, "facts": {"region": "eu-west-1"}, "busy": None}

    assert code_of(remediation_of(ID)).plan(state, TARGET) == []
