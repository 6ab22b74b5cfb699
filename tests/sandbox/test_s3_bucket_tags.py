"""A bucket is created with its tags, as AWS does it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from sandbox.world import Sandbox

TAGS = [{"Key": "sharr", "Value": "trail_bucket"}, {"Key": "empty", "Value": ""}]


@pytest.mark.parametrize(("region", "place"), [("us-east-1", {}), ("eu-west-1", {"LocationConstraint": "eu-west-1"})])
def test_a_bucket_has_the_tags_it_was_created_with(region: str, place: dict[str, str]) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketConfiguration.html"""
    with Sandbox() as world:
        s3 = world.identity.client("s3", world.organization.members[0], region)

        s3.create_bucket(Bucket="tagged", CreateBucketConfiguration={**place, "Tags": TAGS})

        assert s3.get_bucket_location(Bucket="tagged")["LocationConstraint"] == place.get("LocationConstraint")
        found = s3.get_bucket_tagging(Bucket="tagged")["TagSet"]
        assert sorted(found, key=lambda tag: tag["Key"]) == sorted(TAGS, key=lambda tag: tag["Key"])


def test_a_bucket_created_without_tags_has_none() -> None:
    with Sandbox() as world:
        s3 = world.identity.client("s3", world.organization.members[0], "eu-west-1")
        s3.create_bucket(Bucket="bare", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

        with pytest.raises(ClientError, match="NoSuchTagSet"):
            s3.get_bucket_tagging(Bucket="bare")
