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
    if facts["unknown"]:
        domain = origins[facts["unknown"][0]]["DomainName"]
        raise CannotRepair(f"which bucket {domain} means is not known", "look whether it exists, by hand")
    if not facts["missing"]:
        return []
    distribution = {"Id": target["resource"]["distribution"]}
    # The header values are not in the record, so they do not come back.
    back = [{**origins[name], "CustomHeaders": {"Quantity": 0}} for name in facts["missing"]]
    headers = sorted({header for name in facts["missing"] for header in origins[name]["CustomHeaders"]})
    others = f"Origins.Items[?!contains({literal(facts['missing'])}, Id)]"
    undo = [
        call("cloudfront", "get_distribution_config", distribution, name="now", secret=True, leaf=["origins"]),
        call(
            "cloudfront",
            "update_distribution",
            distribution | with_origins("now", f"[{others}, {literal(back)}][]"),
            leaf=["origins"],
        ),
    ]
    return [
        call("cloudfront", "get_distribution_config", distribution, name="old", secret=True),
        call(
            "cloudfront",
            "update_distribution",
            distribution | with_origins("old", others),
            undo=undo,
            lost=f"the values of the custom headers {', '.join(headers)}" if headers else None,
            explain={"PreconditionFailed": "somebody changed the distribution at the same time: repair it again"},
        ),
    ]


def with_origins(name: str, origins: str) -> dict[str, Any]:
    """Parameters that write what *name* read, with *origins* (an expression on the configuration)."""
    merged = "DistributionConfig.merge(@, {Origins: {Quantity: length(" + origins + "), Items: " + origins + "} })"
    return {"IfMatch": ref(name, "ETag"), "DistributionConfig": ref(name, merged)}


def literal(value: Any) -> str:
    """*value* as a literal of JMESPath; an id may hold anything, also what ends a literal."""
    return "`" + json.dumps(value).replace("`", "\\u0060") + "`"


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
