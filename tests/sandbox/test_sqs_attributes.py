"""What SetQueueAttributes leaves alone, one kind of encryption at a time; AWS's page is named in each test."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fakes import a_world

PAYMENTS = "222222222222"
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sqs:*"}]}
BOTH = {"KmsMasterKeyId": "alias/aws/sqs", "SqsManagedSseEnabled": "true"}


def attributes(sqs: Any, url: str) -> dict[str, str]:
    found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def test_an_attribute_that_is_set_takes_no_policy_away_but_an_empty_policy_does() -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""
    with a_world() as world:
        sqs = world.identity.client("sqs", PAYMENTS, "eu-west-1")
        url = sqs.create_queue(QueueName="q", Attributes={"Policy": json.dumps(POLICY)})["QueueUrl"]

        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "9"})
        kept = json.loads(attributes(sqs, url)["Policy"])
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})

        assert kept == POLICY
        assert "Policy" not in attributes(sqs, url)


def test_a_queue_with_a_kms_key_does_not_use_sqs_own_keys() -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""
    with a_world() as world:
        sqs = world.identity.client("sqs", PAYMENTS, "eu-west-1")
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        before = attributes(sqs, url)["SqsManagedSseEnabled"]

        sqs.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": "alias/aws/sqs"})

        assert (before, attributes(sqs, url)["SqsManagedSseEnabled"]) == ("true", "false")


def test_two_kinds_of_encryption_at_once_are_refused() -> None:
    with a_world() as world:
        sqs = world.identity.client("sqs", PAYMENTS, "eu-west-1")
        url = sqs.create_queue(QueueName="q")["QueueUrl"]

        with pytest.raises(ClientError, match="one type of server-side encryption"):
            sqs.set_queue_attributes(QueueUrl=url, Attributes=BOTH)
        with pytest.raises(ClientError, match="one type of server-side encryption"):
            sqs.create_queue(QueueName="r", Attributes=BOTH)
