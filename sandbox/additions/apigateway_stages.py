"""
API Gateway: method and route settings of a stage as the service keeps them, and the account's role for logs.

moto has no UpdateStage of WebSocket and HTTP APIs, forgets the removal of method settings, and logs without a role.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from moto.apigateway.models import Stage, apigateway_backends
from moto.apigateway.responses import APIGatewayResponse
from moto.apigatewayv2.models import apigatewayv2_backends
from moto.apigatewayv2.responses import ApiGatewayV2Response
from moto.iam.models import iam_backends

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

_LEVELS = ("OFF", "ERROR", "INFO")
_SETTINGS = (
    "metrics/enabled",
    "logging/loglevel",
    "logging/dataTrace",
    "throttling/burstLimit",
    "throttling/rateLimit",
    "caching/enabled",
    "caching/ttlInSeconds",
    "caching/dataEncrypted",
    "caching/requireAuthorizationForCacheControl",
    "caching/unauthorizedCacheControlHeaderStrategy",
)
_METHOD = re.compile(r"/(?P<key>[^/]+/[^/]+)(?:/(?P<setting>[^/]+/[^/]+))?")


def install(world: World, patches: Patches) -> None:
    """Add to moto's API Gateway what it lacks."""
    patches.attribute(Stage, "_get_default_method_settings", _default_settings)
    patches.around(APIGatewayResponse, "UpdateStage", _update_stage)
    patches.around(APIGatewayResponse, "UpdateAccount", _update_account)
    patches.answer(ApiGatewayV2Response, "UpdateStage", _update_v2_stage)


def _default_settings(stage: Any) -> dict[str, Any]:
    """
    Return what the first setting of a method brings with it: no encryption, no caching, no level.

    Source: https://docs.aws.amazon.com/cli/latest/reference/apigateway/update-stage.html
    """
    return {
        "metricsEnabled": False,
        "dataTraceEnabled": False,
        "throttlingBurstLimit": 5000,
        "throttlingRateLimit": 10000.0,
        "cachingEnabled": False,
        "cacheTtlInSeconds": 300,
        "cacheDataEncrypted": False,
        "requireAuthorizationForCacheControl": True,
        "unauthorizedCacheControlHeaderStrategy": "SUCCEED_WITH_RESPONSE_HEADER",
    }


def _update_stage(request: Request, proceed: Callable[[], Any]) -> Any:
    """
    Source: https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html

    `/{resource path}/{method}/{setting}` takes replace only, `/{resource path}/{method}` remove only.
    """
    asked = request.parameters
    api = apigateway_backends[request.account][request.region].apis.get(asked["restApiId"])
    stage = api.stages.get(asked["stageName"]) if api else None
    if stage is None:
        raise Refused("NotFoundException", "Invalid stage identifier specified")
    removed = []
    for one in asked.get("patchOperations", []):
        found = _METHOD.fullmatch(one["path"])
        if found is None or one["path"].startswith(("/variables/", "/accessLogSettings/", "/canarySettings/")):
            continue
        if found["setting"] is None:
            if one["op"] != "remove":
                raise Refused("BadRequestException", f"Invalid patch path '{one['path']}' for op '{one['op']}'")
            if found["key"] not in stage.method_settings:
                why = "because there is no method setting for this method"
                raise Refused("BadRequestException", f"Cannot remove method setting {found['key']} {why}")
            removed.append(found["key"])
            continue
        if found["setting"] not in _SETTINGS or one["op"] != "replace":
            raise Refused("BadRequestException", f"Invalid patch path '{one['path']}' for op '{one['op']}'")
        if found["setting"] == "logging/loglevel":
            _check_level(request, one["value"])
    for key in removed:
        stage.method_settings.pop(key)
    return proceed()


def _update_account(request: Request, proceed: Callable[[], Any]) -> Any:
    """
    The role is refused unless the service may assume it and it has a policy; which rights it has is not judged here.

    Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
    """
    for one in request.parameters.get("patchOperations", []):
        if one["path"] != "/cloudwatchRoleArn" or not one.get("value"):
            continue
        roles = iam_backends[request.account][request.partition].roles.values()
        role = next((role for role in roles if role.arn == one["value"]), None)
        if role is None or not _trusts(role) or not (role.policies or role.managed_policies):
            raise Refused(
                "BadRequestException",
                "The role ARN does not have required permissions configured. Please grant trust permission for API "
                "Gateway and add the required role policy.",
            )
    return proceed()


def _update_v2_stage(request: Request) -> dict[str, Any]:
    """
    A route's settings that are given take the place of its former ones; routes that are not given stay.

    Source: https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-stages-stagename.html
    """
    asked = request.parameters
    stage = apigatewayv2_backends[request.account][request.region].get_stage(asked["ApiId"], asked["StageName"])
    given = [asked.get("DefaultRouteSettings"), *asked.get("RouteSettings", {}).values()]
    for settings in given:
        if settings and "LoggingLevel" in settings:
            _check_level(request, settings["LoggingLevel"])
    unknown = asked.keys() - {"ApiId", "StageName", "DefaultRouteSettings", "RouteSettings", "Description"}
    if unknown:
        raise NotImplementedError(f"apigatewayv2.UpdateStage: {sorted(unknown)} is not emulated")
    if "DefaultRouteSettings" in asked:
        stage.default_route_settings = _in_camel_case(asked["DefaultRouteSettings"])
    if "RouteSettings" in asked:
        routes = {key: _in_camel_case(settings) for key, settings in asked["RouteSettings"].items()}
        stage.route_settings = {**stage.route_settings, **routes}
    stage.description = asked.get("Description", stage.description)
    return {
        "StageName": stage.name,
        "DefaultRouteSettings": _in_pascal_case(stage.default_route_settings),
        "RouteSettings": {key: _in_pascal_case(settings) for key, settings in stage.route_settings.items()},
    }


def _check_level(request: Request, level: str) -> None:
    """Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html"""
    if level not in _LEVELS:
        raise Refused("BadRequestException", f"Invalid logging level {level}: expected one of {', '.join(_LEVELS)}")
    if level != "OFF" and not apigateway_backends[request.account][request.region].account.cloudwatch_role_arn:
        raise Refused(
            "BadRequestException", "CloudWatch Logs role ARN must be set in account settings to enable logging"
        )


def _trusts(role: Any) -> bool:
    document = role.assume_role_policy_document
    statements = (json.loads(document) if isinstance(document, str) else document)["Statement"]
    services = [one.get("Principal", {}).get("Service") for one in statements if one["Effect"] == "Allow"]
    return "apigateway.amazonaws.com" in services


def _in_camel_case(settings: dict[str, Any]) -> dict[str, Any]:
    return {key[0].lower() + key[1:]: value for key, value in settings.items()}


def _in_pascal_case(settings: dict[str, Any]) -> dict[str, Any]:
    return {key[0].upper() + key[1:]: value for key, value in settings.items()}
