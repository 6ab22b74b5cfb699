"""The bucket sharr-trail-<account>-<Region>, private, for the log files of the trail sharr-trail of that Region."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, as_json, call

TAG = {"Key": "sharr", "Value": "trail_bucket"}
BLOCK = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def look(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """Return name, is (absent, ours, another's); of ours: blocked, versioned, expires (bool), policy (None: none)."""
    s3, name = aws.client("s3"), f"sharr-trail-{target['account']}-{target['region']}"

    def read(operation: str, *absent: str) -> Any:
        try:
            return getattr(s3, operation)(Bucket=name, ExpectedBucketOwner=target["account"])
        except ClientError as error:
            if error.response["Error"]["Code"] not in absent:
                raise
            return {"absent": error.response["Error"]["Code"]}

    tags = read("get_bucket_tagging", "NoSuchBucket", "NoSuchTagSet", "AccessDenied")
    if TAG not in tags.get("TagSet", []):
        return {"name": name, "is": "absent" if tags.get("absent") == "NoSuchBucket" else "another's"}
    block = read("get_public_access_block", "NoSuchPublicAccessBlockConfiguration")
    policy = read("get_bucket_policy", "NoSuchBucketPolicy").get("Policy")
    return {
        "name": name,
        "is": "ours",
        "blocked": all(block.get("PublicAccessBlockConfiguration", {}).get(flag) for flag in BLOCK),
        "versioned": read("get_bucket_versioning").get("Status") == "Enabled",
        "expires": "Rules" in read("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        "policy": policy and json.loads(policy),
    }


def make(facts: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that make the bucket, or what it lacks. S3 encrypts every bucket by itself (SSE-S3)."""
    name, account, region, calls = facts["name"], target["account"], target["region"], []
    kept = "the bucket stays, with the log files in it"
    if facts["is"] == "another's":
        raise CannotRepair(f"the bucket {name} exists and is not ours", "delete it, or make a trail by hand")
    wanted = statements(name, target)
    there = facts.get("policy")
    found = there["Statement"] if there else []
    shown = [plain(one) for one in (found if isinstance(found, list) else [found])]
    if there and any(plain(statement) not in shown for statement in wanted):
        raise CannotRepair(f"the policy of {name} is not as we made it", "delete the policy, or make a trail by hand")

    def put(operation: str, **parameters: Any) -> None:
        who = {"Bucket": name, "ExpectedBucketOwner": account, **parameters}
        calls.append(call("s3", operation, who, kept=kept, retry=["NoSuchBucket", "OperationAborted"]))

    if facts["is"] == "absent":
        # Owner and tag come with the bucket, so that one which was half made is known as ours.
        place = {} if region == "us-east-1" else {"LocationConstraint": region}
        new = {"Bucket": name, "ObjectOwnership": "BucketOwnerEnforced"}
        calls.append(
            call("s3", "create_bucket", {**new, "CreateBucketConfiguration": {**place, "Tags": [TAG]}}, kept=kept)
        )
    if not facts.get("blocked"):
        put("put_public_access_block", PublicAccessBlockConfiguration=dict.fromkeys(BLOCK, True))
    if not facts.get("versioned"):
        put("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    if not facts.get("expires"):
        rule = {
            "ID": "sharr",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"Days": target["parameters"]["keepDays"]},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        }
        put("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [rule]})
    if not there:
        put("put_bucket_policy", Policy=as_json({"Version": "2012-10-17", "Statement": wanted}))
    return calls


def plain(value: Any) -> Any:
    """Return a statement's value in one form: S3 shows lists sorted, and a list of one as its member alone."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return value[0] if len(value) == 1 else sorted(value)
    return value


def statements(name: str, target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what CloudTrail needs, for this trail alone, and TLS for everybody."""
    # https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
    partition, account = target["partition"], target["account"]
    bucket = f"arn:{partition}:s3:::{name}"
    source = {"aws:SourceArn": f"arn:{partition}:cloudtrail:{target['region']}:{account}:trail/sharr-trail"}
    written = {**source, "s3:x-amz-acl": "bucket-owner-full-control"}

    def one(effect: str, principal: Any, action: str, resource: Any, condition: Any) -> dict[str, Any]:
        allowed = {"Effect": effect, "Principal": principal, "Action": action}
        return {**allowed, "Resource": resource, "Condition": condition}

    service = {"Service": "cloudtrail.amazonaws.com"}
    return [
        one("Allow", service, "s3:GetBucketAcl", bucket, {"StringEquals": source}),
        one("Allow", service, "s3:PutObject", f"{bucket}/AWSLogs/{account}/*", {"StringEquals": written}),
        one("Deny", "*", "s3:*", [bucket, f"{bucket}/*"], {"Bool": {"aws:SecureTransport": "false"}}),
    ]
