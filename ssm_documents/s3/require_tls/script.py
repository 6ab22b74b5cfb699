"""S3.5: add a statement to a bucket's policy that denies every request without TLS. What is there stays as it is."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from itertools import chain, count
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, as_json, call

# Bytes. Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html
LARGEST_POLICY = 20 * 1024
SID = "RequireTls"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read where the bucket is, and its policy: a list of one, since a PUT replaces it whole, so it is one leaf.

    A finding's Region need not be the bucket's. HeadBucket tells it from every Region, in a header.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html
    """
    s3, bucket = aws.client("s3"), named_bucket(target)
    try:
        answer = s3.head_bucket(**bucket)
        region = answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"]
        policy = [json.loads(aws.client("s3", region).get_bucket_policy(**bucket)["Policy"])]
    except s3.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchBucket"):
            raise ResourceGone(bucket["Bucket"]) from error
        if code != "NoSuchBucketPolicy":
            raise
        policy = None
    return {"config": {"policy": policy}, "facts": {"region": region}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that puts the policy with our statement; [] where statements of it deny every request without TLS.

    Source: https://repost.aws/knowledge-center/s3-bucket-policy-for-config-rule
    """
    bucket, region = named_bucket(target), state["facts"]["region"]
    arn = f"arn:{target['partition']}:s3:::{bucket['Bucket']}"
    (old,) = state["config"]["policy"] or [None]
    there = as_list((old or {}).get("Statement", []))
    if requires_tls(there, arn):
        return []
    new = (old or {"Version": "2012-10-17"}) | {"Statement": [*there, our_statement(there, arn)]}
    size = len(json.dumps(new, separators=(",", ":")))  # as it is sent: ASCII, so characters are bytes
    if size > LARGEST_POLICY:
        raise CannotRepair(
            f"the bucket policy would have {size} bytes, and S3 takes {LARGEST_POLICY}",
            "shorten it, for instance by merging statements or moving them to access points, and repair again",
        )
    explain = {
        "AccessDenied": "a policy denies s3:PutBucketPolicy to the role: let it use that; or the bucket policy is "
        "public and BlockPublicPolicy refuses it: narrow it, or turn that setting off for the while",
        "MalformedPolicy": "a principal in the bucket policy may be deleted: S3 shows it as an id (AROA..., AIDA...) "
        "and takes no policy with it: take it out of the policy, and try again",
    }
    back = call("s3", "delete_bucket_policy", bucket, region=region, leaf=["policy"])
    if old:
        put = bucket | {"Policy": as_json(old)}
        back = call("s3", "put_bucket_policy", put, region=region, leaf=["policy"], explain=explain)
    put = bucket | {"Policy": as_json(new)}
    return [
        call("s3", "put_bucket_policy", put, region=region, undo=[back], retry=["OperationAborted"], explain=explain)
    ]


def requires_tls(statements: list[dict[str, Any]], arn: str) -> bool:
    """Tell whether the statements together deny everybody every action on bucket and objects without TLS."""
    patterns = [p for s in statements if denies_http(s) for p in as_list(s.get("Resource", []))]
    # fnmatch knows [] and IAM does not; a ? must not take the * for a character.
    patterns = [p.replace("[", "[[]").replace("?", "[!*]") for p in patterns]
    return all(any(fnmatchcase(wanted, p) for p in patterns) for wanted in (arn, f"{arn}/*"))


def denies_http(statement: dict[str, Any]) -> bool:
    """Tell whether a statement denies everybody every action without TLS. A further condition would narrow it."""
    who = statement.get("Principal")
    everybody = "*" in as_list(who.get("AWS", []) if isinstance(who, dict) else who)
    everything = any(str(action).lower() in ("*", "s3:*") for action in as_list(statement.get("Action", [])))
    condition = statement.get("Condition") or {}
    keys = {key.lower(): as_list(values) for key, values in condition.get("Bool", {}).items()}
    without_tls = any(str(value).lower() == "false" for value in keys.get("aws:securetransport", []))
    alone = len(condition) == 1 and len(condition.get("Bool", {})) == 1
    return statement.get("Effect") == "Deny" and everybody and everything and without_tls and alone


def our_statement(there: list[dict[str, Any]], arn: str) -> dict[str, Any]:
    taken = {statement.get("Sid") for statement in there}
    names = chain([SID], (f"{SID}{number}" for number in count(2)))
    return {
        "Sid": next(name for name in names if name not in taken),
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def named_bucket(target: dict[str, Any]) -> dict[str, str]:
    return {"Bucket": target["resource"]["bucket"], "ExpectedBucketOwner": target["account"]}
