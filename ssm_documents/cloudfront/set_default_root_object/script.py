"""
CloudFront.1: give a distribution the default root object that the user named.

A configuration is written only as a whole and may hold secret header values, so the write takes it from a late read.
"""

from __future__ import annotations

import re
from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, ResourceGone, call, ref

REGION = r"[a-z]{2}(?:-[a-z]{2,12}){1,3}-[0-9]{1,2}"
BUCKET = (
    r"(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3(?:[.-](?:dualstack\.)?(?P<region>" + REGION + r"))?"
    r"\.amazonaws\.com(?:\.cn)?"
)


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the default root object, and whether the bucket behind it has the one that the user named.

    Source: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DefaultRootObject.html
    """
    cloudfront, id_ = aws.client("cloudfront"), target["resource"]["distribution"]
    try:
        config = cloudfront.get_distribution_config(Id=id_)["DistributionConfig"]
    except cloudfront.exceptions.NoSuchDistribution as error:
        raise ResourceGone(id_) from error
    wanted = target["parameters"]["defaultRootObject"]
    origin = origin_at_root(config)
    found = re.fullmatch(BUCKET, origin["DomainName"]) if "S3OriginConfig" in origin else None
    facts = {"bucket": found["bucket"] if found else None, "has_object": None}
    if wanted and found and not config.get("DefaultRootObject"):
        key = f"{origin.get('OriginPath', '')}/{wanted}".lstrip("/")
        facts["has_object"] = is_there(aws.client("s3", found["region"]), found["bucket"], key, target["account"])
    return {"config": {"default_root_object": config.get("DefaultRootObject") or None}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the late read and the write; [] where the distribution has a default root object, whichever."""
    wanted, facts = target["parameters"]["defaultRootObject"], state["facts"]
    if state["config"]["default_root_object"]:
        return []
    if not wanted:
        why = "which object is to be shown at the root of the distribution is known to its owner only"
        raise CannotRepair(why, "set it by hand, or set defaultRootObject")
    if facts["has_object"] is False:
        why = f"the bucket {facts['bucket']} behind the distribution has no object {wanted}"
        raise CannotRepair(why, "put it there, or name another object by hand")
    distribution = {"Id": target["resource"]["distribution"]}
    config = ref("old", "DistributionConfig.merge(@, {DefaultRootObject: '" + wanted + "'})")
    without = ref("now", "DistributionConfig.merge(@, {DefaultRootObject: ''})")
    back, leaf = {"IfMatch": ref("now", "ETag"), "DistributionConfig": without}, ["default_root_object"]
    return [
        call("cloudfront", "get_distribution_config", distribution, name="old", secret=True),
        call(
            "cloudfront",
            "update_distribution",
            distribution | {"IfMatch": ref("old", "ETag"), "DistributionConfig": config},
            undo=[
                call("cloudfront", "get_distribution_config", distribution, name="now", secret=True, leaf=leaf),
                call("cloudfront", "update_distribution", distribution | back, leaf=leaf),
            ],
            explain={"PreconditionFailed": "somebody changed the distribution at the same time: repair it again"},
        ),
    ]


def origin_at_root(config: dict[str, Any]) -> dict[str, Any]:
    """The origin that the default cache behavior asks; of an origin group the first."""
    id_ = config["DefaultCacheBehavior"]["TargetOriginId"]
    for group in config.get("OriginGroups", {}).get("Items", []):
        if group["Id"] == id_:
            id_ = group["Members"]["Items"][0]["OriginId"]
    return next(dict(origin) for origin in config["Origins"]["Items"] if origin["Id"] == id_)


def is_there(s3: Any, bucket: str, key: str, account: str) -> bool | None:
    """Whether the bucket has the object; None where the account's own rights do not tell."""
    try:
        page = s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1, ExpectedBucketOwner=account)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in ("AccessDenied", "NoSuchBucket"):
            raise
        return None if code == "AccessDenied" else False
    return any(found["Key"] == key for found in page.get("Contents", []))
