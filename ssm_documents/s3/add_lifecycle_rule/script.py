"""S3.13: add a lifecycle rule to a bucket; by default one that removes parts of uploads that were never completed."""

from __future__ import annotations

import json
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-set-lifecycle-configuration-intro.html
MOST_RULES = 1000
ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")
ASK = "change the control's parameters in Security Hub"
SIZE = "TransitionDefaultMinimumObjectSize"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the rules, and the size below which objects do not move: one PUT replaces all, so it is one leaf.

    A finding's Region need not be the bucket's. HeadBucket tells it from every Region, in a header.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html
    """
    s3, bucket = aws.client("s3"), named_bucket(target)
    try:
        answer = s3.head_bucket(**bucket)
        region = answer["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"]
        found = aws.client("s3", region).get_bucket_lifecycle_configuration(**bucket)
        kept = {key: found[key] for key in ("Rules", SIZE) if key in found}
        lifecycle = [json.loads(json.dumps(kept, default=lambda date: date.isoformat()))]
    except s3.exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchBucket"):
            raise ResourceGone(bucket["Bucket"]) from error
        if code != "NoSuchLifecycleConfiguration":
            raise
        lifecycle = None
    return {"config": {"lifecycle": lifecycle}, "facts": {"region": region}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that adds a rule; [] where one that is on does all that the control's parameters ask for.

    Source: https://docs.aws.amazon.com/config/latest/developerguide/s3-lifecycle-policy-check.html
    """
    given, bucket, region = target["parameters"], named_bucket(target), state["facts"]["region"]
    (old,) = state["config"]["lifecycle"] or [None]
    rules = old["Rules"] if old else []
    if any(does_what_is_asked(rule, given) for rule in rules):
        return []
    if len(rules) >= MOST_RULES:
        raise CannotRepair(f"the bucket has {len(rules)} lifecycle rules, and S3 takes no more", "merge some of them")
    refuse_what_is_not_wanted(given)
    rule = our_rule(rules, given)
    new = {**(old or {}), "Rules": [*rules, rule]}
    denied = "a policy denies s3:PutLifecycleConfiguration to the role: let it use that"
    back = call("s3", "delete_bucket_lifecycle", bucket, region=region, leaf=["lifecycle"])
    if old:
        back = call("s3", "put_bucket_lifecycle_configuration", bucket | sent(old), region=region, leaf=["lifecycle"])
    return [
        call(
            "s3",
            "put_bucket_lifecycle_configuration",
            bucket | sent(new),
            region=region,
            undo=[back],
            lost=None
            if "AbortIncompleteMultipartUpload" in rule
            else "objects that the rule has moved or deleted since",
            retry=["OperationAborted"],
            explain={"AccessDenied": denied},
        )
    ]


def does_what_is_asked(rule: dict[str, Any], given: dict[str, Any]) -> bool:
    """Tell whether a rule is on and has the values that the control's parameters name, if any."""
    days, storage = given["targetTransitionDays"], given["targetTransitionStorageClass"]
    moves = [
        move
        for move in rule.get("Transitions", [])
        if days in (None, move.get("Days")) and storage in (None, move["StorageClass"])
    ]
    expires, prefix = given["targetExpirationDays"], given["targetPrefix"]
    return (
        rule["Status"] == "Enabled"
        and (days is storage is None or bool(moves))
        and expires in (None, rule.get("Expiration", {}).get("Days"))
        and prefix in (None, prefix_of(rule))
    )


def refuse_what_is_not_wanted(given: dict[str, Any]) -> None:
    """Raise CannotRepair for a rule that deletes or archives objects unasked, or that S3 does not take."""
    expires, days, storage = given["targetExpirationDays"], *moved(given)
    if expires and not given["expireObjects"]:
        why = f"the control's parameter asks for a rule that deletes objects after {expires} days"
        raise CannotRepair(why, "add such a rule by hand, or set expireObjects")
    if storage in ARCHIVES and not given["archiveObjects"]:
        why = f"objects in {storage} cannot be read before they are restored"
        raise CannotRepair(why, "add such a rule by hand, or set archiveObjects")
    if storage in ("STANDARD_IA", "ONEZONE_IA") and days < 30:
        raise CannotRepair(f"S3 moves objects to {storage} after 30 days at the earliest, not {days}", ASK)
    if expires and storage and expires <= days:
        raise CannotRepair(f"objects cannot move after {days} days and be deleted after {expires}", ASK)


def our_rule(rules: list[dict[str, Any]], given: dict[str, Any]) -> dict[str, Any]:
    prefix, expires, (days, storage) = given["targetPrefix"] or "", given["targetExpirationDays"], moved(given)
    taken = {rule.get("ID") for rule in rules}
    rule: dict[str, Any] = {
        "ID": next(name for name in ("sharr", *(f"sharr-{n}" for n in range(2, MOST_RULES + 2))) if name not in taken),
        "Status": "Enabled",
        # S3 takes one of the two forms in all rules of a bucket.
        **({"Prefix": prefix} if any("Prefix" in rule for rule in rules) else {"Filter": {"Prefix": prefix}}),
    }
    if storage:
        rule["Transitions"] = [{"Days": days, "StorageClass": storage}]
    if expires:
        rule["Expiration"] = {"Days": expires}
    if not storage and not expires:
        rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": given["abortUploadsAfterDays"]}
    return rule


def moved(given: dict[str, Any]) -> tuple[int, str | None]:
    """Return after how many days objects move to which class (None: not), with a value where one alone is given."""
    days, storage = given["targetTransitionDays"], given["targetTransitionStorageClass"]
    return days or 30, storage or ("INTELLIGENT_TIERING" if days else None)


def prefix_of(rule: dict[str, Any]) -> str:
    filters = rule.get("Filter", {})
    return str(rule.get("Prefix", filters.get("Prefix", filters.get("And", {}).get("Prefix", ""))))


def sent(lifecycle: dict[str, Any]) -> dict[str, Any]:
    size = {SIZE: lifecycle[SIZE]} if SIZE in lifecycle else {}
    return {"LifecycleConfiguration": {"Rules": lifecycle["Rules"]}, **size}


def named_bucket(target: dict[str, Any]) -> dict[str, str]:
    return {"Bucket": target["resource"]["bucket"], "ExpectedBucketOwner": target["account"]}
