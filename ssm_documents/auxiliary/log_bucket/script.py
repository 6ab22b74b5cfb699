"""The bucket sharr-logs-<account>-<Region>, private, for what S3, Redshift and AWS Config log in one Region."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, as_json, call

TAG = {"Key": "sharr", "Value": "log_bucket"}
BLOCK = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
# In Regions that must be turned on first, Redshift is redshift.<Region>.amazonaws.com.
PLAIN = (
    "us-", "sa-", "ca-central-", "eu-north-", "eu-west-", "eu-central-1", "cn-", "eusc-", "ap-northeast-", "ap-south-1",
    "ap-southeast-1", "ap-southeast-2",
)  # fmt: skip


def look(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """Return name, region, is (absent, ours, another's); of ours: blocked, versioned, expires, kms (bool), policy."""
    account, region = target["account"], target["region"]
    if "bucket" in target.get("resource", {}):  # S3 logs within a Region, and a finding's need not be its bucket's
        head = aws.client("s3").head_bucket(Bucket=target["resource"]["bucket"], ExpectedBucketOwner=account)
        region = head["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"]
    s3, name = aws.client("s3", region), f"sharr-logs-{account}-{region}"

    def read(operation: str, *absent: str) -> Any:
        try:
            return getattr(s3, operation)(Bucket=name, ExpectedBucketOwner=account)
        except ClientError as error:
            if error.response["Error"]["Code"] not in absent:
                raise
            return {"absent": error.response["Error"]["Code"]}

    tags = read("get_bucket_tagging", "NoSuchBucket", "NoSuchTagSet", "AccessDenied")
    facts = {"name": name, "region": region, "is": "ours"}
    if TAG not in tags.get("TagSet", []):
        return facts | {"is": "absent" if tags.get("absent") == "NoSuchBucket" else "another's"}
    block = read("get_public_access_block", "NoSuchPublicAccessBlockConfiguration")
    policy = read("get_bucket_policy", "NoSuchBucketPolicy").get("Policy")
    encryption = read("get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError")
    return facts | {
        "blocked": all(block.get("PublicAccessBlockConfiguration", {}).get(flag) for flag in BLOCK),
        "versioned": read("get_bucket_versioning").get("Status") == "Enabled",
        "expires": "Rules" in read("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration"),
        "kms": "aws:kms" in str(encryption),
        "policy": policy and json.loads(policy),
    }


def make(facts: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that make the bucket, or what it lacks."""
    name, region, calls = facts["name"], facts["region"], []
    if facts["is"] == "another's":
        why = f"the bucket {name} exists and is not ours, or we may not read its tags"
        raise CannotRepair(why, "let the role read them; delete it where it is yours and empty; or choose one by hand")
    if facts.get("kms"):
        raise CannotRepair(f"the bucket {name} uses a KMS key: logs cannot be delivered", "let it use SSE-S3 (AES256)")
    policy = facts.get("policy") or {"Version": "2012-10-17", "Statement": []}
    there = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    shown = [plain(statement) for statement in there]
    lacks = [statement for statement in statements(name, region, target) if plain(statement) not in shown]
    changed = sorted({s.get("Sid") for s in there} & {s["Sid"] for s in lacks})
    if changed:
        why = f"the policy of {name} is not as we made it: {', '.join(changed)}"
        raise CannotRepair(why, "delete these statements")

    def add(operation: str, **given: Any) -> None:
        kept = "the bucket stays, with the logs in it"
        again, fine = ["NoSuchBucket", "OperationAborted"], ["BucketAlreadyOwnedByYou"]  # two repairs at once
        calls.append(call("s3", operation, {"Bucket": name, **given}, region=region, kept=kept, retry=again, fine=fine))

    owner = {"ExpectedBucketOwner": target["account"]}
    if facts["is"] == "absent":
        # Owner and tag come with it: half made, it is known as ours.
        place = {} if region == "us-east-1" else {"LocationConstraint": region}
        add("create_bucket", ObjectOwnership="BucketOwnerEnforced", CreateBucketConfiguration={**place, "Tags": [TAG]})
    if not facts.get("blocked"):
        add("put_public_access_block", **owner, PublicAccessBlockConfiguration=dict.fromkeys(BLOCK, True))
    if not facts.get("versioned"):
        add("put_bucket_versioning", **owner, VersioningConfiguration={"Status": "Enabled"})
    if not facts.get("expires"):
        rule = {"ID": "sharr", "Status": "Enabled", "Filter": {"Prefix": ""}}
        rule |= {"Expiration": {"Days": target["parameters"]["keepDays"]}}
        rule |= {"NoncurrentVersionExpiration": {"NoncurrentDays": 30}}
        rule |= {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
        add("put_bucket_lifecycle_configuration", **owner, LifecycleConfiguration={"Rules": [rule]})
    if lacks:
        add("put_bucket_policy", **owner, Policy=as_json(policy | {"Statement": [*there, *lacks]}))
    return calls


def plain(value: Any) -> Any:
    """Return a statement's value in one form: S3 shows lists sorted, and a list of one as its member alone."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return value[0] if len(value) == 1 else sorted(value)
    return value


def statements(name: str, region: str, target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each service needs for this account alone, and TLS for everybody."""
    bucket = f"arn:{target['partition']}:s3:::{name}"
    ours = {"StringEquals": {"aws:SourceAccount": target["account"]}}

    def allow(sid: str, service: str, actions: list[str], resources: list[str]) -> dict[str, Any]:
        who = {"Sid": f"Sharr{sid}", "Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}}
        return {**who, "Action": actions, "Resource": resources, "Condition": ours}

    redshift = "redshift" if region.startswith(PLAIN) else f"redshift.{region}"
    put, look_first = "s3:PutObject", "s3:GetBucketAcl"
    tls = {"Sid": "SharrTls", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [bucket, f"{bucket}/*"]}
    return [
        allow("S3", "logging.s3", [put], [f"{bucket}/s3/*"]),
        allow("Redshift", redshift, [put, look_first], [bucket, f"{bucket}/redshift/*"]),
        allow("Config", "config", [put, look_first, "s3:ListBucket"], [bucket, f"{bucket}/config/*"]),
        tls | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}},
    ]
