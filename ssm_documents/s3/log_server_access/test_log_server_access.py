"""S3.9, CloudTrail.7: a bucket logs into the log bucket of its own Region; buckets for logs are left to a person."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from sandbox.identity import IdentityCenter
from sandbox.ports import Call
from sharr.runtime.contract import CannotRepair
from sharr.runtime.planning import plan_of
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "s3/log_server_access"
ACCOUNT = "111122223333"
LOGS = {"Service": "logging.s3.amazonaws.com"}
MAKES = [
    "create_bucket", "put_public_access_block", "put_bucket_versioning", "put_bucket_lifecycle_configuration",
    "put_bucket_policy", "put_bucket_logging",
]  # fmt: skip
Json = dict[str, Any]


def make(b: Bench, name: str, region: str = "us-east-1", **more: Any) -> str:
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    b.client("s3", region).create_bucket(Bucket=name, **place, **more)
    return b.arn("s3", name, region="", account="")


def log_bucket(b: Bench, region: str = "us-east-1") -> str:
    return f"sharr-logs-{b.account}-{region}"


def with_half_made_log_bucket(b: Bench, name: str) -> str:
    """A run that died right after it had made the log bucket."""
    make(b, log_bucket(b), ObjectOwnership="BucketOwnerEnforced")
    tags = {"TagSet": [{"Key": "sharr", "Value": "log_bucket"}]}
    b.client("s3").put_bucket_tagging(Bucket=log_bucket(b), Tagging=tags)
    return make(b, name)


def trail_bucket(b: Bench, name: str) -> str:
    arn, service = make(b, name), {"Service": "cloudtrail.amazonaws.com"}
    statements = [
        {"Effect": "Allow", "Principal": service, "Action": "s3:GetBucketAcl", "Resource": arn},
        {"Effect": "Allow", "Principal": service, "Action": "s3:PutObject", "Resource": f"{arn}/*"},
    ]
    b.client("s3").put_bucket_policy(Bucket=name, Policy=json.dumps({"Statement": statements}))
    b.client("cloudtrail").create_trail(Name=name, S3BucketName=name)
    return arn


def logging_of(b: Bench, resource_id: str) -> Json | None:
    found: Json | None = b.client("s3").get_bucket_logging(Bucket=resource_id.split(":")[-1]).get("LoggingEnabled")
    return found


def is_logged(b: Bench, resource_id: str) -> bool:
    """S3.9 and CloudTrail.7: server access logging is on, to wherever."""
    return bool(logging_of(b, resource_id))


CASES = [
    Case("S3.9", "a bucket without logging", lambda b: make(b, "requests-for-s3-9"), is_logged),
    Case(
        "S3.9",
        "a log bucket that a former run left half made",
        lambda b: with_half_made_log_bucket(b, "half-made-for-s3-9"),
        is_logged,
    ),
    Case("S3.9", "a bucket of another Region", lambda b: make(b, "abroad-for-s3-9", "eu-west-1"), is_logged),
    Case("CloudTrail.7", "a trail's bucket", lambda b: trail_bucket(b, "trail-for-cloudtrail-7"), is_logged),
]


def target(name: str = "source", also: bool = False, partition: str = "aws") -> Json:
    parameters = {"keepDays": 365, "alsoLogBuckets": also}
    resource = {"bucket": name}
    return {
        "partition": partition, "account": ACCOUNT, "region": "us-east-1", "parameters": parameters,
        "resource": resource,
    }  # fmt: skip


def plan(asked: Json, logging: Any = None, region: str = "eu-west-1", **facts: Any) -> list[Json]:
    there = {"name": f"sharr-logs-{ACCOUNT}-{region}", "region": region, "is": "absent"}
    known = {"region": region, "aux": {"log_bucket": there}, "takes_logs": False, "circle": False, **facts}
    state = {"config": {"logging": logging}, "facts": known, "busy": None}
    return plan_of(code_of(remediation_of(ID)), state, asked)


def test_the_log_bucket_is_made_where_the_bucket_is_and_each_bucket_has_its_own_prefix() -> None:
    calls = plan(target())

    assert [one["operation"] for one in calls] == MAKES
    assert {one["region"] for one in calls} == {"eu-west-1"}
    assert calls[-1]["parameters"] == {
        "Bucket": "source",
        "ExpectedBucketOwner": ACCOUNT,
        "BucketLoggingStatus": {
            "LoggingEnabled": {"TargetBucket": f"sharr-logs-{ACCOUNT}-eu-west-1", "TargetPrefix": "s3/source/"}
        },
    }
    assert calls[-1]["undo"][0]["parameters"]["BucketLoggingStatus"] == {}


def test_a_bucket_that_logs_anywhere_is_compliant() -> None:
    assert plan(target(), [{"TargetBucket": "elsewhere", "TargetPrefix": ""}]) == []


@pytest.mark.parametrize(
    ("name", "facts", "why"),
    [
        (f"sharr-logs-{ACCOUNT}-eu-west-1", {}, "for ever"),
        ("source", {"circle": True}, "go round for ever"),
        ("source", {"takes_logs": True}, "takes access logs itself"),
    ],
)
def test_a_bucket_for_logs_is_left_to_a_person(name: str, facts: Json, why: str) -> None:
    with pytest.raises(CannotRepair, match=why) as caught:
        plan(target(name), **facts)

    assert "suppress the finding" in caught.value.to_do


def test_a_bucket_that_takes_logs_is_logged_where_the_user_says_so_but_never_in_a_circle() -> None:
    assert plan(target(also=True), takes_logs=True)
    for name, circle in ((f"sharr-logs-{ACCOUNT}-eu-west-1", False), ("source", True)):
        with pytest.raises(CannotRepair):
            plan(target(name, also=True), circle=circle, takes_logs=True)


def test_a_bucket_of_another_region_logs_within_its_region() -> None:
    """ASR #207: what worked in us-east-1 failed elsewhere."""
    with bench(ID) as b:
        arn = make(b, "source", "eu-west-1")

        assert b.remediate("S3.9", arn)["outcome"] == "REMEDIATED"
        assert logging_of(b, arn) == {"TargetBucket": log_bucket(b, "eu-west-1"), "TargetPrefix": "s3/source/"}
        where = b.client("s3").get_bucket_location(Bucket=log_bucket(b, "eu-west-1"))["LocationConstraint"]
        assert where == "eu-west-1"


def test_the_second_bucket_of_a_region_takes_one_call() -> None:
    with bench(ID) as b:
        b.remediate("S3.9", make(b, "first"))
        second = make(b, "first.second")

        with b.watched() as calls:
            result = b.remediate("S3.9", second)

        assert result["outcome"] == "REMEDIATED"
        assert [c.operation for c in b.writes(calls)] == ["PutBucketLogging"]


def test_the_log_bucket_does_not_log_into_itself() -> None:
    with bench(ID) as b:
        b.remediate("S3.9", make(b, "source"))

        with b.watched() as calls:
            result = b.remediate("S3.9", b.arn("s3", log_bucket(b), region="", account=""))

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])
        assert "suppress the finding" in result["to_do"]


@pytest.mark.parametrize("how", ["policy", "ACL"])
def test_a_bucket_that_takes_access_logs_is_known_by_its_policy_or_acl(how: str) -> None:
    with bench(ID) as b:
        arn, s3 = make(b, "theirs", ObjectOwnership="ObjectWriter"), b.client("s3")
        if how == "policy":
            allow = {"Effect": "Allow", "Principal": LOGS, "Action": "s3:PutObject", "Resource": f"{arn}/*"}
            s3.put_bucket_policy(Bucket="theirs", Policy=json.dumps({"Statement": [allow]}))
        else:
            s3.put_bucket_acl(Bucket="theirs", ACL="log-delivery-write")

        assert "takes access logs" in b.remediate("S3.9", arn)["why"]
        assert b.remediate("S3.9", arn, settings={"alsoLogBuckets": "true"})["outcome"] == "REMEDIATED"


def test_two_buckets_never_log_into_each_other() -> None:
    with bench(ID) as b:
        b.remediate("S3.9", make(b, "source"))
        arn, s3 = make(b, "auditors"), b.client("s3")
        allow = {"Effect": "Allow", "Principal": LOGS, "Action": "s3:PutObject", "Resource": f"{arn}/*"}
        s3.put_bucket_policy(Bucket="auditors", Policy=json.dumps({"Statement": [allow]}))
        enabled = {"TargetBucket": "auditors", "TargetPrefix": ""}
        s3.put_bucket_logging(Bucket=log_bucket(b), BucketLoggingStatus={"LoggingEnabled": enabled})

        result = b.remediate("S3.9", arn, settings={"alsoLogBuckets": "true"})

        assert "go round for ever" in result["why"]
        assert logging_of(b, arn) is None


def test_a_bucket_of_our_name_in_another_account_is_not_used() -> None:
    with bench(ID) as b:
        b.client("s3", account=b.world.organization.members[1]).create_bucket(Bucket=log_bucket(b))

        result = b.remediate("S3.9", make(b, "source"))

        assert result["outcome"] == "FAILED"
        assert f"{log_bucket(b)} exists and is not ours" in result["why"]


def test_an_undo_turns_logging_off_and_keeps_the_log_bucket() -> None:
    with bench(ID) as b:
        attempt = b.attempt("S3.9", make(b, "source"))
        attempt.finish()

        assert attempt.undo()["outcome"] == "UNDONE"
        assert logging_of(b, "source") is None
        assert b.client("s3").head_bucket(Bucket=log_bucket(b))


def test_logging_that_somebody_changed_since_is_left_by_an_undo() -> None:
    with bench(ID) as b:
        attempt = b.attempt("S3.9", make(b, "source"))
        attempt.finish()
        enabled = {"TargetBucket": log_bucket(b), "TargetPrefix": "s3/mine/"}
        b.client("s3").put_bucket_logging(Bucket="source", BucketLoggingStatus={"LoggingEnabled": enabled})

        assert attempt.undo()["outcome"] == "SKIPPED"
        assert logging_of(b, "source") == enabled


def test_a_bucket_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("S3.9", b.arn("s3", "gone", region="", account=""))["outcome"] == "COMPLIANT"


def test_a_denied_read_of_the_policy_is_not_taken_for_none() -> None:
    with bench(ID) as b:
        arn = make(b, "source")

        def refuse(one: Call) -> None:
            if one.operation == "GetBucketPolicy":
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, one.operation)

        cast("IdentityCenter", b.world.identity).before.append(refuse)
        with b.watched() as calls:
            result = b.remediate("S3.9", arn)

        assert (result["outcome"], b.writes(calls)) == ("FAILED", [])
