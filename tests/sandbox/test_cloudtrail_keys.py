"""The KMS key of a trail, as AWS's pages (named in each test) say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fakes import a_world

PAYMENTS = "222222222222"


def clients(world: Any, region: str) -> Any:
    return lambda service, where=region: world.identity.client(service, PAYMENTS, where)


def make(client: Any, *, key_region: str) -> str:
    """Make a bucket and a trail, and a key with an alias in *key_region*; return the key's ARN."""
    client("s3").create_bucket(Bucket="trail-bucket")
    principal = {"Service": "cloudtrail.amazonaws.com"}
    every = [{"Effect": "Allow", "Principal": principal, "Action": "s3:*", "Resource": ["arn:aws:s3:::trail-bucket*"]}]
    client("s3").put_bucket_policy(
        Bucket="trail-bucket", Policy=json.dumps({"Version": "2012-10-17", "Statement": every})
    )
    client("cloudtrail").create_trail(Name="audit", S3BucketName="trail-bucket")
    uses = [{"Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*"}]
    key = client("kms", key_region).create_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": uses}))
    client("kms", key_region).create_alias(AliasName="alias/trail", TargetKeyId=key["KeyMetadata"]["KeyId"])
    return str(key["KeyMetadata"]["Arn"])


def test_a_trail_shows_the_keys_arn_however_it_was_named_and_none_after_an_empty_text() -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_Trail.html"""
    with a_world() as world:
        client = clients(world, "us-east-1")
        key = make(client, key_region="us-east-1")
        cloudtrail = client("cloudtrail")

        answered = cloudtrail.update_trail(Name="audit", KmsKeyId="alias/trail")["KmsKeyId"]
        shown = cloudtrail.get_trail(Name="audit")["Trail"]["KmsKeyId"]
        cloudtrail.update_trail(Name="audit", KmsKeyId="")

        assert (answered, shown) == (key, key)
        assert "KmsKeyId" not in cloudtrail.get_trail(Name="audit")["Trail"]


@pytest.mark.parametrize("known", [True, False])
def test_a_key_of_another_region_than_the_buckets_and_one_that_is_not_there_are_not_found(known: bool) -> None:
    """https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_UpdateTrail.html (KmsKeyNotFoundException)"""
    with a_world() as world:
        client = clients(world, "us-east-1")
        key = make(client, key_region="eu-west-1")

        with pytest.raises(ClientError, match="KmsKeyNotFoundException"):
            client("cloudtrail").update_trail(Name="audit", KmsKeyId=key if known else "alias/nothing")

        assert "KmsKeyId" not in client("cloudtrail").get_trail(Name="audit")["Trail"]
