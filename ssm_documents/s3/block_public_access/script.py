"""
S3.2, S3.3, S3.8, CloudTrail.6: turn on all four settings of a bucket's own block of public access.

S3.8 asks for just that. The others fail where a policy or an ACL is public and no setting stops it. AWS does not say
which settings count there, so for them, too, a bucket is repaired and compliant with all four. The account's block is
left out: S3.8 does not count it, and it may be lifted.
"""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import ResourceGone, call

FLAGS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read where the bucket is, and which settings are on; None where it has no block. One PUT sets all: one leaf.

    A finding's Region need not be the bucket's. HeadBucket tells it from every Region, in a header.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
    """
    s3, bucket = aws.client("s3"), named_bucket(target)
    try:
        answer = s3.head_bucket(**bucket)
        region = answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"]
        block = aws.client("s3", region).get_public_access_block(**bucket)["PublicAccessBlockConfiguration"]
        on = [flag for flag in FLAGS if block.get(flag)]
    except s3.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchBucket"):
            raise ResourceGone(bucket["Bucket"]) from error
        if code != "NoSuchPublicAccessBlockConfiguration":
            raise
        on = None
    return {"config": {"block": on}, "facts": {"region": region}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that turns all four settings on; [] where they are.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutPublicAccessBlock.html
    """
    on, region, bucket = state["config"]["block"], state["facts"]["region"], named_bucket(target)
    if on is not None and set(on) == set(FLAGS):
        return []
    back = call("s3", "delete_public_access_block", bucket, region=region, leaf=["block"])
    if on is not None:
        back = call("s3", "put_public_access_block", bucket | settings(on), region=region, leaf=["block"])
    denied = "a service control policy or the bucket's policy denies s3:PutBucketPublicAccessBlock: let the role use it"
    return [
        call(
            "s3",
            "put_public_access_block",
            bucket | settings(FLAGS),
            region=region,
            undo=[back],
            retry=["OperationAborted"],
            explain={"AccessDenied": denied},
        )
    ]


def settings(on: Any) -> dict[str, Any]:
    return {"PublicAccessBlockConfiguration": {flag: flag in on for flag in FLAGS}}


def named_bucket(target: dict[str, Any]) -> dict[str, str]:
    return {"Bucket": target["resource"]["bucket"], "ExpectedBucketOwner": target["account"]}
