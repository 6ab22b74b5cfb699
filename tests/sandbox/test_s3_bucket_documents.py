"""Lifecycle and notification configurations come back as they were sent, and are checked as S3 does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.world import Sandbox

Json = dict[str, Any]
ABORT = {"Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
ALL = {"Filter": {"Prefix": ""}}
QUEUE = "arn:aws:sqs:us-east-1:222222222222:"


@contextmanager
def bucket() -> Iterator[tuple[Any, Any]]:
    """Yield an S3 client whose account has the bucket `documents`, and an SQS client."""
    with Sandbox() as world:
        account = world.organization.members[0]
        s3 = world.identity.client("s3", account, "us-east-1")
        s3.create_bucket(Bucket="documents")
        yield s3, world.identity.client("sqs", account, "us-east-1")


RULES: list[Json] = [
    {"ID": "a", **ABORT, "Filter": {"And": {"Prefix": "x/", "ObjectSizeGreaterThan": 5, "Tags": []}}},
    {
        "ID": "b",
        "Status": "Disabled",
        "Filter": {"ObjectSizeLessThan": 9},
        "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
        "Expiration": {"Days": 90},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2},
    },
]


@pytest.mark.parametrize("size", ["varies_by_storage_class", "all_storage_classes_128K"])
def test_lifecycle_rules_come_back_whole(size: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html"""
    rules = [{**RULES[0], "Filter": {"And": {"Prefix": "x/", "ObjectSizeGreaterThan": 5}}}, RULES[1]]
    with bucket() as (s3, _):
        s3.put_bucket_lifecycle_configuration(
            Bucket="documents", LifecycleConfiguration={"Rules": rules}, TransitionDefaultMinimumObjectSize=size
        )

        found = s3.get_bucket_lifecycle_configuration(Bucket="documents")
        assert (found["Rules"], found["TransitionDefaultMinimumObjectSize"]) == (rules, size)
        s3.delete_bucket_lifecycle(Bucket="documents")
        with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
            s3.get_bucket_lifecycle_configuration(Bucket="documents")


def test_a_rule_without_a_name_gets_one() -> None:
    with bucket() as (s3, _):
        s3.put_bucket_lifecycle_configuration(Bucket="documents", LifecycleConfiguration={"Rules": [{**ABORT, **ALL}]})

        assert s3.get_bucket_lifecycle_configuration(Bucket="documents")["Rules"][0]["ID"]


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ([{"ID": "a", **ABORT, **ALL}] * 2, "must be unique"),
        ([{"ID": "a", **ABORT, **ALL}, {"ID": "b", **ABORT, "Prefix": ""}], "Base level prefix"),
        ([{"ID": str(n), **ABORT, **ALL} for n in range(1001)], "must not exceed"),
        ([{**ABORT, **ALL, "Transitions": [{"Days": 29, "StorageClass": "STANDARD_IA"}]}], "equal to 30"),
        (
            [{**ABORT, **ALL, "Transitions": [{"Days": 9, "StorageClass": "GLACIER"}], "Expiration": {"Days": 9}}],
            "greater than 'Days' in the Transition",
        ),
    ],
)
def test_rules_that_s3_refuses(rules: list[Json], why: str) -> None:
    with bucket() as (s3, _), pytest.raises(ClientError, match=why):
        s3.put_bucket_lifecycle_configuration(Bucket="documents", LifecycleConfiguration={"Rules": rules})


def test_notifications_come_back_whole_eventbridge_too() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html"""
    with bucket() as (s3, sqs):
        sqs.create_queue(QueueName="q")
        one = {
            "Id": "mine",
            "QueueArn": f"{QUEUE}q",
            "Events": ["s3:ObjectCreated:*"],
            "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "x/"}]}},
        }
        sent = {"QueueConfigurations": [one], "EventBridgeConfiguration": {}}
        s3.put_bucket_notification_configuration(Bucket="documents", NotificationConfiguration=sent)

        found = s3.get_bucket_notification_configuration(Bucket="documents")
        del found["ResponseMetadata"]
        assert found == sent
        s3.put_bucket_notification_configuration(Bucket="documents", NotificationConfiguration={})
        assert s3.get_bucket_notification_configuration(Bucket="documents").keys() == {"ResponseMetadata"}


def test_a_destination_that_is_not_there_is_refused_unless_its_check_is_skipped() -> None:
    sent = {"QueueConfigurations": [{"Id": "x", "QueueArn": f"{QUEUE}gone", "Events": ["s3:ObjectRemoved:*"]}]}
    with bucket() as (s3, _):
        with pytest.raises(ClientError, match="Unable to validate"):
            s3.put_bucket_notification_configuration(Bucket="documents", NotificationConfiguration=sent)

        s3.put_bucket_notification_configuration(
            Bucket="documents", NotificationConfiguration=sent, SkipDestinationValidation=True
        )
        assert s3.get_bucket_notification_configuration(Bucket="documents")["QueueConfigurations"]


def test_configurations_that_share_an_event_are_refused() -> None:
    with bucket() as (s3, sqs):
        sqs.create_queue(QueueName="q")
        two = [{"QueueArn": f"{QUEUE}q", "Events": [f"s3:ObjectCreated:{kind}"]} for kind in ("*", "Put")]
        with pytest.raises(ClientError, match="overlap"):
            s3.put_bucket_notification_configuration(
                Bucket="documents", NotificationConfiguration={"QueueConfigurations": two}
            )
