"""S3.9, CloudTrail.7: log the requests to a bucket into the log bucket of its account and Region."""

from __future__ import annotations

import json
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, auxiliary, call

LOGS = "logging.s3.amazonaws.com"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read where the bucket is and where its logs go, None: nowhere; then also whether it takes logs itself.

    A finding's Region need not be the bucket's. HeadBucket tells it from every Region, in a header.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLogging.html
    """
    s3, bucket = aws.client("s3"), named_bucket(target)
    try:
        answer = s3.head_bucket(**bucket)
        region = answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"]
        s3 = aws.client("s3", region)
        logging = s3.get_bucket_logging(**bucket).get("LoggingEnabled")
        facts: dict[str, Any] = {"region": region}
        if not logging:
            facts["aux"] = {"log_bucket": aws.auxiliary("log_bucket")}
            facts["takes_logs"] = takes_logs(s3, bucket)
            facts["circle"] = is_circle(s3, bucket, facts["aux"]["log_bucket"])
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
            raise ResourceGone(bucket["Bucket"]) from error
        raise
    return {"config": {"logging": [logging] if logging else None}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the calls that turn logging on; [] where it is on, wherever the logs go. Each bucket has a prefix of its own.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """
    facts, bucket = state["facts"], named_bucket(target)
    if state["config"]["logging"]:
        return []
    name, ours = bucket["Bucket"], facts["aux"]["log_bucket"]["name"]
    suppress = "suppress the finding: AWS asks for no logs of a bucket for logs"
    if name == ours:
        raise CannotRepair("this is the bucket for logs, and its own logs would make new ones for ever", suppress)
    if facts["circle"]:
        raise CannotRepair(f"{ours} logs into this bucket, so the logs would go round for ever", suppress)
    if facts["takes_logs"] and not target["parameters"]["alsoLogBuckets"]:
        raise CannotRepair("the bucket takes access logs itself", f"{suppress}, or set alsoLogBuckets")
    off = call(
        "s3", "put_bucket_logging", bucket | {"BucketLoggingStatus": {}}, region=facts["region"], leaf=["logging"]
    )
    return [
        auxiliary("log_bucket"),
        call(
            "s3",
            "put_bucket_logging",
            bucket | {"BucketLoggingStatus": {"LoggingEnabled": {"TargetBucket": ours, "TargetPrefix": f"s3/{name}/"}}},
            region=facts["region"],
            undo=[off],
            # The log bucket and its policy may be seconds old.
            retry=["InvalidTargetBucketForLogging", "OperationAborted"],
            explain={
                "AccessDenied": "a service control policy or the bucket's policy denies s3:PutBucketLogging: let the "
                "role use it",
                "InvalidTargetBucketForLogging": f"S3 may not write into {ours}: look at its policy",
            },
        ),
    ]


def takes_logs(s3: Any, bucket: dict[str, str]) -> bool:
    """Tell whether the bucket's policy or ACL lets S3 deliver access logs into it."""
    try:
        policy = json.loads(s3.get_bucket_policy(**bucket)["Policy"])
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise
        policy = {"Statement": []}
    for statement in as_list(policy["Statement"]):
        who = statement.get("Principal")
        if statement["Effect"] == "Allow" and isinstance(who, dict) and LOGS in as_list(who.get("Service")):
            return True
    grants = s3.get_bucket_acl(**bucket)["Grants"]
    return any(grant["Grantee"].get("URI", "").endswith("/groups/s3/LogDelivery") for grant in grants)


def is_circle(s3: Any, bucket: dict[str, str], ours: dict[str, Any]) -> bool:
    """Tell whether somebody let our log bucket log into this bucket."""
    if ours["is"] != "ours":
        return False
    status = s3.get_bucket_logging(**bucket | {"Bucket": ours["name"]})
    return bool(status.get("LoggingEnabled", {}).get("TargetBucket") == bucket["Bucket"])


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def named_bucket(target: dict[str, Any]) -> dict[str, str]:
    return {"Bucket": target["resource"]["bucket"], "ExpectedBucketOwner": target["account"]}
