"""
CloudFront.12: take out of a distribution the origins whose S3 bucket does not exist, where nothing uses them.

Whoever makes a bucket of that name serves content under the distribution's name. One in use is left to a person.
"""

from __future__ import annotations

import json
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
    Read the origins, without the values of their headers, and ask S3 for each bucket; a website endpoint is none.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
    """
    cloudfront, id_ = aws.client("cloudfront"), target["resource"]["distribution"]
    try:
        config = cloudfront.get_distribution_config(Id=id_)["DistributionConfig"]
    except cloudfront.exceptions.NoSuchDistribution as error:
        raise ResourceGone(id_) from error
    facts: dict[str, Any] = {"missing": [], "unknown": [], "used": {}}
    for origin in config["Origins"]["Items"]:
        if "S3OriginConfig" not in origin:
            continue
        found = re.fullmatch(BUCKET, origin["DomainName"])
        if not found:
            facts["unknown"].append(origin["Id"])
        elif not exists(aws.client("s3", found["region"]), found["bucket"], target["account"]):
            facts["missing"].append(origin["Id"])
    for name, used_by in users(config):
        facts["used"].setdefault(name, []).append(used_by)
    origins = {origin["Id"]: without_values(origin) for origin in config["Origins"]["Items"]}
    return {"config": {"origins": origins}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the late read and the write without the origins at fault; [] where every bucket exists."""
    facts, origins = state["facts"], state["config"]["origins"]
    for name in facts["missing"]:
        if name in facts["used"]:
            domain, used_by = origins[name]["DomainName"], ", ".join(facts["used"][name][:3])
            why = f"the bucket of {domain} does not exist, and {used_by} of the distribution uses it"
            raise CannotRepair(why, "make a bucket of that name in your account soon, or point the origin elsewhere")
    if not facts["missing"]:
        if facts["unknown"]:
            domain = origins[facts["unknown"][0]]["DomainName"]
            raise CannotRepair(f"which bucket {domain} means is not known", "look whether it exists, by hand")
        return []
    distribution = {"Id": target["resource"]["distribution"]}
    # An id may hold anything, also what ends a literal of JMESPath.
    missing = json.dumps(facts["missing"]).replace("`", "\\u0060")
    kept = f"Origins.Items[?!contains(`{missing}`, Id)]"
    merged = "merge(@, {Origins: {Quantity: length(" + kept + "), Items: " + kept + "} })"
    write = {"IfMatch": ref("old", "ETag"), "DistributionConfig": ref("old", f"DistributionConfig.{merged}")}
    return [
        call("cloudfront", "get_distribution_config", distribution, name="old", secret=True),
        call(
            "cloudfront",
            "update_distribution",
            distribution | write,
            final="a distribution is written only as a whole, with secret header values that are never recorded: "
            "what was taken out is in the record, without them",
            explain={"PreconditionFailed": "somebody changed the distribution at the same time: repair it again"},
        ),
    ]


def exists(s3: Any, bucket: str, account: str) -> bool:
    """Whether there is such a bucket, in whichever account: only 404 says no; refused or moved is there."""
    try:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status not in (301, 307, 403, 404):
            raise
        return bool(status != 404)
    return True


def users(config: dict[str, Any]) -> list[tuple[str, str]]:
    """Who names an origin: pairs of the origin's (or group's) id and what uses it."""
    behaviors = config.get("CacheBehaviors", {}).get("Items", [])
    found = [(config["DefaultCacheBehavior"]["TargetOriginId"], "the default cache behavior")]
    found += [(b["TargetOriginId"], f"the cache behavior {b['PathPattern']}") for b in behaviors]
    for group in config.get("OriginGroups", {}).get("Items", []):
        found += [(m["OriginId"], f"the origin group {group['Id']}") for m in group["Members"]["Items"]]
    return found


def without_values(origin: dict[str, Any]) -> dict[str, Any]:
    """An origin as the record may hold it: of its custom headers the names only."""
    headers = origin.get("CustomHeaders", {}).get("Items", [])
    return {**origin, "CustomHeaders": sorted(header["HeaderName"] for header in headers)}
