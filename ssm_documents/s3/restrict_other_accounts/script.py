"""S3.6: take five actions that change a bucket's protection from principals of other accounts. All else stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import chain, count
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, as_json, call

# Source: https://docs.aws.amazon.com/securityhub/latest/userguide/s3-controls.html#s3-6
FORBIDDEN = [
    "s3:DeleteBucketPolicy",
    "s3:PutBucketAcl",
    "s3:PutBucketPolicy",
    "s3:PutEncryptionConfiguration",
    "s3:PutObjectAcl",
]
# What a pattern such as s3:Put* is written out to: the other actions, on buckets and on objects. S3 refuses an action
# in a statement that has no resource of its kind.
# Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
ON_BUCKETS = (
    "CreateBucket CreateBucketMetadataTableConfiguration DeleteBucket DeleteBucketMetadataTableConfiguration "
    "DeleteBucketWebsite GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAbac GetBucketAcl "
    "GetBucketCORS GetBucketLocation GetBucketLogging GetBucketMetadataTableConfiguration GetBucketNotification "
    "GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus "
    "GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning GetBucketWebsite "
    "GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration "
    "GetLifecycleConfiguration GetMetricsConfiguration GetReplicationConfiguration ListBucket "
    "ListBucketMultipartUploads ListBucketVersions ListTagsForResource PauseReplication PutAccelerateConfiguration "
    "PutAnalyticsConfiguration PutBucketAbac PutBucketCORS PutBucketLogging PutBucketNotification "
    "PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPublicAccessBlock PutBucketRequestPayment "
    "PutBucketTagging PutBucketVersioning PutBucketWebsite PutIntelligentTieringConfiguration "
    "PutInventoryConfiguration PutLifecycleConfiguration PutMetricsConfiguration PutReplicationConfiguration "
    "TagResource UntagResource UpdateBucketMetadataInventoryTableConfiguration "
    "UpdateBucketMetadataJournalTableConfiguration"
)
ON_OBJECTS = (
    "AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectTagging DeleteObjectVersion "
    "DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes GetObjectLegalHold GetObjectRetention "
    "GetObjectTagging GetObjectTorrent GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes "
    "GetObjectVersionForReplication GetObjectVersionTagging GetObjectVersionTorrent InitiateReplication "
    "ListMultipartUploadParts ObjectOwnerOverrideToBucketOwner PutObject PutObjectLegalHold PutObjectRetention "
    "PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging ReplicateDelete ReplicateObject ReplicateTags "
    "RestoreObject UpdateObjectEncryption"
)
# Bytes. Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html
LARGEST_POLICY = 20 * 1024


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read where the bucket is, and its policy: a list of one, since a PUT replaces it whole, so it is one leaf.

    A finding's Region need not be the bucket's. HeadBucket tells it from every Region, in a header.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicy.html
    """
    s3, bucket, owner = aws.client("s3"), named_bucket(target), None
    try:
        answer = s3.head_bucket(**bucket)
        region = answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"]
        s3 = aws.client("s3", region)
        policy = [json.loads(s3.get_bucket_policy(**bucket)["Policy"])]
        if "CanonicalUser" in json.dumps(policy):
            owner = s3.get_bucket_acl(**bucket)["Owner"]["ID"]
    except s3.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchBucket"):
            raise ResourceGone(bucket["Bucket"]) from error
        if code != "NoSuchBucketPolicy":
            raise
        policy = None
    return {"config": {"policy": policy}, "facts": {"region": region, "owner": owner}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that puts the policy without these rights; [] where no other account has them.

    AWS Config looks at principals and actions, never at conditions, so neither do we.
    Source: https://docs.aws.amazon.com/config/latest/developerguide/s3-bucket-blacklisted-actions-prohibited.html
    """
    bucket, region = named_bucket(target), state["facts"]["region"]
    (old,) = state["config"]["policy"] or [{"Statement": []}]
    there = as_list(old["Statement"])
    taken, new = {statement.get("Sid") for statement in there}, []
    for statement in there:
        new += narrowed(statement, there, taken, state, target)
    if new == there:
        return []
    denied = (
        "a policy denies s3:PutBucketPolicy to the role: let it use that; or the bucket policy is public and "
        "BlockPublicPolicy refuses it: narrow it, or turn that setting off for the while"
    )
    deleted = (
        "a principal in the bucket policy may be deleted: S3 shows it as an id (AROA..., AIDA...) and takes no policy "
        "with it: take it out of the policy, and try again"
    )
    again: dict[str, Any] = {
        "retry": ["OperationAborted"],
        "explain": {"AccessDenied": denied, "MalformedPolicy": deleted},
    }
    put = bucket | {"Policy": as_json(old)}
    back = call("s3", "put_bucket_policy", put, region=region, leaf=["policy"], explain=again["explain"])
    if not new:
        return [call("s3", "delete_bucket_policy", bucket, region=region, undo=[back], **again)]
    document = old | {"Statement": new}
    size = len(json.dumps(document, separators=(",", ":")))  # as it is sent: ASCII, so characters are bytes
    if size > LARGEST_POLICY:
        raise CannotRepair(
            f"the bucket policy would have {size} bytes, and S3 takes {LARGEST_POLICY}",
            "write out its patterns of actions, or merge statements, by hand",
        )
    put = bucket | {"Policy": as_json(document)}
    return [call("s3", "put_bucket_policy", put, region=region, undo=[back], **again)]


def narrowed(
    statement: dict[str, Any],
    there: list[dict[str, Any]],
    taken: set[Any],
    state: dict[str, Any],
    target: dict[str, Any],
) -> list[dict[str, Any]]:
    """Return the statement, or it for principals that may keep it, and its rest for the others."""
    given = [action for action in FORBIDDEN if allows(statement, action)]
    if statement["Effect"] != "Allow" or not given:
        return [statement]
    arn = f"arn:{target['partition']}:s3:::{target['resource']['bucket']}"
    if "NotPrincipal" in statement:
        why = f"a statement allows {given[0]} to everybody but those that it names"
        raise CannotRepair(why, "name the principals in the bucket policy that are meant, and repair again")
    ours: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for kind, value in principals(statement):
        free = is_other(kind, value, state["facts"]["owner"], target["account"]) and not all(
            any(denies(one, kind, value, action, arn) for one in there) for action in given
        )
        (others if free else ours).setdefault(kind, []).append(value)
    if not others:
        return [statement]
    rest = without_forbidden(statement)
    if not ours:
        return [rest] if rest else []
    kept = statement | {"Principal": ours}
    if not rest:
        return [kept]
    rest = rest | {"Principal": others}
    if "Sid" in rest:
        names = chain([f"{rest['Sid']}Others"], (f"{rest['Sid']}Others{number}" for number in count(2)))
        rest["Sid"] = next(name for name in names if name not in taken)
        taken.add(rest["Sid"])
    return [kept, rest]


def is_other(kind: str, value: str, owner: str | None, account: str) -> bool:
    """Tell whether a principal is of another account, of all, or (deleted) of none that is known. Services are not."""
    parts = value.split(":")
    if kind == "CanonicalUser":
        return value != owner
    if kind == "Federated":
        return len(parts) > 4 and parts[4] != account
    return kind == "AWS" and (parts[4] if len(parts) > 4 else value) != account


def denies(statement: dict[str, Any], kind: str, value: str, action: str, arn: str) -> bool:
    """Tell whether a statement denies the principal an action on bucket and objects, without a condition."""
    if statement["Effect"] != "Deny" or statement.get("Condition"):
        return False
    named = any((k, name) in ((kind, value), ("AWS", "*")) for k, name in principals(statement))
    everywhere = all(matches(statement.get("Resource", []), one) for one in (arn, f"{arn}/*"))
    return named and everywhere and allows(statement, action)


def principals(statement: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield kind and name of each principal of a statement."""
    who = statement.get("Principal", {})
    for kind, names in (who if isinstance(who, dict) else {"AWS": who}).items():
        yield from ((kind, name) for name in as_list(names))


def allows(statement: dict[str, Any], action: str) -> bool:
    """Tell whether a statement, whatever its effect, is about an action."""
    if "NotAction" in statement:
        return not matches(lower(statement["NotAction"]), action.lower())
    return matches(lower(statement["Action"]), action.lower())


def without_forbidden(statement: dict[str, Any]) -> dict[str, Any] | None:
    """Return the statement without the five actions, None where nothing is left. Patterns are written out."""
    if "NotAction" in statement:
        more = [action for action in FORBIDDEN if allows(statement, action)]
        return statement | {"NotAction": [*as_list(statement["NotAction"]), *more]}
    rest: list[str] = []
    for pattern in as_list(statement["Action"]):
        if pattern.lower() in ("*", "s3:*"):
            bare = {key: value for key, value in statement.items() if key != "Action"}
            return bare | {"NotAction": list(FORBIDDEN)}
        if any(allows({"Action": pattern}, action) for action in FORBIDDEN):
            rest += [name for name in others(statement) if allows({"Action": pattern}, name)]
        else:
            rest.append(pattern)
    return statement | {"Action": list(dict.fromkeys(rest))} if rest else None


def others(statement: dict[str, Any]) -> list[str]:
    """Return the actions besides the five that go with the resources of a statement: a bucket, its objects, or both."""
    # What follows arn:<partition>:s3:::, where a * may stand for a bucket and for objects.
    names = [str(one).split(":", 5)[-1] for one in as_list(statement.get("Resource", "*"))]
    buckets = any("/" not in name for name in names)
    objects = any("/" in name or "*" in name for name in names)
    table = (ON_BUCKETS if buckets else "").split() + (ON_OBJECTS if objects else "").split()
    return [f"s3:{name}" for name in table]


def matches(patterns: Any, value: str) -> bool:
    # fnmatch knows [] and IAM does not; a ? must not take the * for a character.
    fixed = [str(p).replace("[", "[[]").replace("?", "[!*]") for p in as_list(patterns)]
    return any(fnmatchcase(value, p) for p in fixed)


def lower(patterns: Any) -> list[str]:
    return [str(p).lower() for p in as_list(patterns)]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def named_bucket(target: dict[str, Any]) -> dict[str, str]:
    return {"Bucket": target["resource"]["bucket"], "ExpectedBucketOwner": target["account"]}
