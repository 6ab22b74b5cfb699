"""
CloudFront: a distribution's configuration comes back as it was given, and an update needs the latest ETag.

moto forgets parts of it (origin access control, for one), takes any ETag, never gives a new one, and takes a cache
behavior of an origin that is not there.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from moto.cloudfront.models import cloudfront_backends
from moto.cloudfront.responses import CloudFrontResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

_DEFAULTS: dict[str, Any] = {
    "Aliases": {"Quantity": 0},
    "DefaultRootObject": "",
    "OriginGroups": {"Quantity": 0},
    "CacheBehaviors": {"Quantity": 0},
    "CustomErrorResponses": {"Quantity": 0},
    "Logging": {"Enabled": False, "IncludeCookies": False, "Bucket": "", "Prefix": ""},
    "PriceClass": "PriceClass_All",
    "ViewerCertificate": {"CloudFrontDefaultCertificate": True, "MinimumProtocolVersion": "TLSv1"},
    "Restrictions": {"GeoRestriction": {"RestrictionType": "none", "Quantity": 0}},
    "WebACLId": "",
    "HttpVersion": "http2",
    "IsIPV6Enabled": True,
}
_ORIGIN_DEFAULTS: dict[str, Any] = {
    "OriginPath": "",
    "CustomHeaders": {"Quantity": 0},
    "ConnectionAttempts": 3,
    "ConnectionTimeout": 10,
    "OriginShield": {"Enabled": False},
    "OriginAccessControlId": "",
}


def install(_world: World, patches: Patches) -> None:
    """Make moto's CloudFront keep configurations whole."""
    patches.around(CloudFrontResponse, "CreateDistribution", _create)
    patches.around(CloudFrontResponse, "UpdateDistribution", _update)
    patches.around(CloudFrontResponse, "GetDistributionConfig", _get)
    patches.answer(CloudFrontResponse, "ListDistributions", _list)


def _create(request: Request, proceed: Callable[[], Any]) -> Any:
    config = request.parameters["DistributionConfig"]
    _check(config)
    known = set(_distributions(request))
    answer = proceed()
    for id_, distribution in _distributions(request).items():
        if id_ not in known:
            distribution.whole_config = _completed(config)
    return answer


def _update(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_UpdateDistribution.html"""
    distribution = _distributions(request).get(request.parameters["Id"])
    if distribution is None or not request.parameters.get("IfMatch"):
        return proceed()
    if request.parameters["IfMatch"] != distribution.etag:
        raise Refused("PreconditionFailed", "The request failed because it didn't meet the preconditions.")
    config = request.parameters["DistributionConfig"]
    if config["CallerReference"] != distribution.distribution_config.caller_reference:
        raise Refused("IllegalUpdate", "The update contains modifications that are not allowed: CallerReference")
    _check(config)
    proceed()
    distribution.whole_config = _completed(config)
    distribution.etag = "E" + uuid.uuid4().hex[:12].upper()
    return {"Distribution": distribution, "ETag": distribution.etag}  # as the answer was made before the new ETag


def _list(request: Request) -> dict[str, Any]:
    """
    All on one page: a sandbox has a handful.

    Source: https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_DistributionSummary.html
    """
    items = []
    for distribution in _distributions(request).values():
        config = copy.deepcopy(getattr(distribution, "whole_config", {}))
        shown = {
            "Id": distribution.distribution_id,
            "ARN": distribution.arn,
            "Status": distribution.status,
            "LastModifiedTime": distribution.last_modified_time,
            "DomainName": distribution.domain_name,
        }
        items.append(config | shown)
    listed = {"Marker": "", "MaxItems": 100, "IsTruncated": False, "Quantity": len(items), "Items": items}
    return {"DistributionList": listed}


def _get(request: Request, proceed: Callable[[], Any]) -> Any:
    distribution = _distributions(request).get(request.parameters["Id"])
    if distribution is None or not hasattr(distribution, "whole_config"):
        return proceed()
    return {"DistributionConfig": distribution.whole_config, "ETag": distribution.etag}


def _distributions(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = cloudfront_backends[request.account][request.partition].distributions
    return found


def _completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """What CloudFront tells of a configuration: all of it, with its own defaults."""
    whole = {**copy.deepcopy(_DEFAULTS), **copy.deepcopy(dict(config))}
    whole["Origins"]["Items"] = [{**copy.deepcopy(_ORIGIN_DEFAULTS), **one} for one in whole["Origins"]["Items"]]
    return whole


def _check(config: Mapping[str, Any]) -> None:
    """Refuse what does not fit together. Source: the errors that API_UpdateDistribution.html lists."""
    for name in ("Aliases", "Origins", "OriginGroups", "CacheBehaviors", "CustomErrorResponses"):
        part = config.get(name) or {"Quantity": 0}
        if part["Quantity"] != len(part.get("Items") or ()):
            raise Refused("InconsistentQuantities", f"The value of Quantity and the size of Items don't match: {name}")
    if str(config.get("DefaultRootObject") or "").startswith("/"):
        raise Refused(
            "InvalidDefaultRootObject",
            "The default root object file name is too long or contains an invalid character.",
        )
    there = {origin["Id"] for origin in config["Origins"]["Items"]}
    groups = (config.get("OriginGroups") or {}).get("Items") or []
    members = {m["OriginId"] for group in groups for m in group["Members"]["Items"]}
    if not members | set(_targets(config)) <= there | {group["Id"] for group in groups}:
        raise Refused("NoSuchOrigin", "One or more of your origins or origin groups do not exist.")


def _targets(config: Mapping[str, Any]) -> Iterator[str]:
    yield config["DefaultCacheBehavior"]["TargetOriginId"]
    for behavior in (config.get("CacheBehaviors") or {}).get("Items") or ():
        yield behavior["TargetOriginId"]
