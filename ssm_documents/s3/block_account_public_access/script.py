"""S3.1: turn on all four settings of the account's block of public access to S3, for its buckets in every Region."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import call

FLAGS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read which settings are on; None where the account has no block. One PUT sets all: they are one leaf.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_GetPublicAccessBlock.html
    """
    s3control = aws.client("s3control")
    try:
        block = s3control.get_public_access_block(AccountId=target["account"])["PublicAccessBlockConfiguration"]
        on = [flag for flag in FLAGS if block.get(flag)]
    except s3control.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchPublicAccessBlockConfiguration":
            raise
        on = None
    return {"config": {"block": on}, "facts": {}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that turns all four settings on; [] where they are.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_PutPublicAccessBlock.html
    """
    on, account = state["config"]["block"], {"AccountId": target["account"]}
    if on is not None and set(on) == set(FLAGS):
        return []
    back = call("s3control", "delete_public_access_block", account, leaf=["block"])
    if on is not None:
        back = call("s3control", "put_public_access_block", account | settings(on), leaf=["block"])
    denied = (
        "a service control policy denies s3:PutAccountPublicAccessBlock, or an S3 policy of the organization governs"
        " the block of public access: change it there"
    )
    return [
        call(
            "s3control",
            "put_public_access_block",
            account | settings(FLAGS),
            undo=[back],
            explain={"AccessDenied": denied, "AccessDeniedException": denied},
        )
    ]


def settings(on: Any) -> dict[str, Any]:
    return {"PublicAccessBlockConfiguration": {flag: flag in on for flag in FLAGS}}
