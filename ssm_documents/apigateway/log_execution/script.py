"""APIGateway.1: have every method of a REST stage, or route of a WebSocket stage, log its execution."""

from __future__ import annotations

import json
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, auxiliary, call, ref

ALL = "*/*"  # every method without settings of its own
DEFAULT = "default"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the level of the stage's default and of each method or route with settings of its own.

    Settings without a level count as OFF. `rest` of a method's settings is there so that an undo, which removes
    settings that the repair made, sees what somebody else has put into them since.

    Sources: https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSetting.html and
    https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-stages-stagename.html
    """
    api, stage = target["resource"]["api_id"], target["resource"]["stage"]
    rest = target["resource"]["type"] == "AwsApiGatewayStage"
    client = aws.client("apigateway" if rest else "apigatewayv2")
    config: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    try:
        if rest:
            protocol = "REST"
            settings = client.get_stage(restApiId=api, stageName=stage).get("methodSettings", {})
            levels = {key: one.get("loggingLevel") or "OFF" for key, one in settings.items()}
            config["rest"] = {
                key: {name: str(value) for name, value in one.items() if name != "loggingLevel"}
                for key, one in settings.items()
            }
        else:
            protocol = client.get_api(ApiId=api)["ProtocolType"]
            found = client.get_stage(ApiId=api, StageName=stage)
            whole = {"default": found.get("DefaultRouteSettings", {}), "routes": found.get("RouteSettings", {})}
            levels = {f"route {key}": one.get("LoggingLevel") or "OFF" for key, one in whole["routes"].items()}
            levels[DEFAULT] = whole["default"].get("LoggingLevel") or "OFF"
    except client.exceptions.NotFoundException as error:
        raise ResourceGone(target["resource"]["id"]) from error
    facts = {"protocol": protocol, "whole": whole, "aux": {"api_gateway_logging": aws.auxiliary("api_gateway_logging")}}
    return {"config": config | {"levels": levels}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that set the level; [] where all methods or routes, and the default, log at an accepted one."""
    levels, facts, asked = state["config"]["levels"], state["facts"], target["parameters"]["loggingLevel"]
    if facts["protocol"] == "HTTP":
        raise CannotRepair("HTTP APIs have no execution logs", "suppress the finding; access logs are another setting")
    rest = facts["protocol"] == "REST"
    accepted = [asked] if asked else ["ERROR", "INFO"]
    wrong = sorted(key for key in levels.keys() | {ALL if rest else DEFAULT} if levels.get(key) not in accepted)
    if not wrong:
        return []
    if not facts["aux"]["api_gateway_logging"]["is"] and not target["parameters"]["setAccountRole"]:
        raise CannotRepair(
            "API Gateway has no role to write logs with in this account and Region",
            "set a CloudWatch log role in API Gateway's settings, or set setAccountRole, and repair again",
        )
    level = asked or "ERROR"
    made = rest_call(levels, wrong, level, target) if rest else socket_call(facts["whole"], wrong, level, target)
    return [auxiliary("api_gateway_logging"), made]


def rest_call(levels: dict[str, str], wrong: list[str], level: str, target: dict[str, Any]) -> dict[str, Any]:
    """One request for all methods: a patch changes the level and nothing else of a method's settings."""
    stage = {"restApiId": target["resource"]["api_id"], "stageName": target["resource"]["stage"]}

    def patched(values: dict[str, str]) -> dict[str, Any]:
        operations = [
            {"op": "replace", "path": f"{path_of(key)}/logging/loglevel", "value": value}
            for key, value in values.items()
        ]
        return {**stage, "patchOperations": operations}

    undo = []
    old = {key: levels[key] for key in wrong if key in levels}
    if old:
        undo.append(call("apigateway", "update_stage", patched(old)))
    for key in wrong:
        if key not in levels:
            remove = {**stage, "patchOperations": [{"op": "remove", "path": path_of(key)}]}
            gone = ["BadRequestException"]  # there are no such settings (any more)
            undo.append(call("apigateway", "update_stage", remove, fine=gone, leaf=["levels", key]))
    return call("apigateway", "update_stage", patched(dict.fromkeys(wrong, level)), undo=undo)


def path_of(key: str) -> str:
    """A method's settings as a JSON pointer: only the last slash of the key is not part of the resource's path."""
    resource, method = key.rsplit("/", 1)
    return "/" + resource.replace("/", "~1") + "/" + method


def socket_call(whole: dict[str, Any], wrong: list[str], level: str, target: dict[str, Any]) -> dict[str, Any]:
    """Routes' settings are written whole: the repair keeps what else a route has now, an undo what it has by then."""
    stage = {"ApiId": target["resource"]["api_id"], "StageName": target["resource"]["stage"]}
    change: dict[str, Any] = dict(stage)
    back: dict[str, Any] = dict(stage)
    if DEFAULT in wrong:
        change["DefaultRouteSettings"] = whole["default"] | {"LoggingLevel": level}
        back["DefaultRouteSettings"] = with_former_level("DefaultRouteSettings", whole["default"])
    for key in (key.removeprefix("route ") for key in wrong if key != DEFAULT):
        one = whole["routes"][key]
        change.setdefault("RouteSettings", {})[key] = one | {"LoggingLevel": level}
        back.setdefault("RouteSettings", {})[key] = with_former_level("RouteSettings." + json.dumps(key), one)
    undo = [call("apigatewayv2", "get_stage", stage, name="now"), call("apigatewayv2", "update_stage", back)]
    return call("apigatewayv2", "update_stage", change, undo=undo)


def with_former_level(path: str, old: dict[str, Any]) -> dict[str, Any]:
    level = json.dumps({"LoggingLevel": old.get("LoggingLevel") or "OFF"})
    return ref("now", "merge(not_null(" + path + ", `{}`), `" + level + "`)")
