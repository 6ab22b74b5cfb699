"""PutBucketLogging asks the target's policy as IAM would."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.world import Sandbox

TARGET = "arn:aws:s3:::target"
LOGS = {"Service": "logging.s3.amazonaws.com"}
EVERYBODY: dict[str, Any] = {"Sid": "x", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": TARGET}


def statement(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": LOGS, "Action": "s3:PutObject", "Resource": f"{TARGET}/s3/*"} | more


def log(statements: list[dict[str, Any]], prefix: str = "s3/source/") -> None:
    with Sandbox() as world:
        s3 = world.identity.client("s3", world.organization.members[0], "us-east-1")
        s3.create_bucket(Bucket="source")
        s3.create_bucket(Bucket="target")
        if statements:
            s3.put_bucket_policy(Bucket="target", Policy=json.dumps({"Statement": statements}))
        enabled = {"TargetBucket": "target", "TargetPrefix": prefix}
        s3.put_bucket_logging(Bucket="source", BucketLoggingStatus={"LoggingEnabled": enabled})
        assert s3.get_bucket_logging(Bucket="source")["LoggingEnabled"] == enabled


@pytest.mark.parametrize(
    "statements",
    [
        [statement()],
        [EVERYBODY, statement()],
        [statement(Principal={"Service": ["config.amazonaws.com", LOGS["Service"]]})],
        [statement(Action=["s3:Put*"], Resource=["arn:aws:s3:::other/*", f"{TARGET}/*"])],
        [statement(Condition={"StringEquals": {"aws:SourceAccount": ["111122223333", "222222222222"]}})],
    ],
)
def test_a_policy_that_admits_the_prefix_is_enough(statements: list[dict[str, Any]]) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html"""
    log(statements)


@pytest.mark.parametrize(
    "statements",
    [
        [],
        [EVERYBODY],
        [statement(Resource=f"{TARGET}/other/*")],
        [statement(Action="s3:GetObject")],
        [statement(Principal={"Service": "config.amazonaws.com"})],
        [statement(Condition={"StringEquals": {"aws:SourceAccount": "111122223333"}})],
    ],
)
def test_a_policy_that_does_not_admit_it_is_refused(statements: list[dict[str, Any]]) -> None:
    with pytest.raises(ClientError, match="InvalidTargetBucketForLogging"):
        log(statements)
