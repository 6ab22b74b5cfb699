"""APIGateway.5: encrypt what a REST stage caches, for each method that caches."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import ResourceGone, call

AT_WORK = ("CREATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "FLUSH_IN_PROGRESS")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read for each method with settings of its own (`*/*` is all others) whether its cached data are encrypted.

    Source: https://docs.aws.amazon.com/apigateway/latest/api/API_MethodSetting.html
    """
    gateway, which = aws.client("apigateway"), target["resource"]
    try:
        stage = gateway.get_stage(restApiId=which["api_id"], stageName=which["stage"])
    except gateway.exceptions.NotFoundException as error:
        raise ResourceGone(which["id"]) from error
    settings = stage.get("methodSettings", {})
    status = stage.get("cacheClusterStatus")
    return {
        "config": {"encrypted": {key: bool(one.get("cacheDataEncrypted")) for key, one in settings.items()}},
        "facts": {"caches": sorted(key for key, one in settings.items() if one.get("cachingEnabled"))},
        "busy": f"the cache cluster is in status {status}" if status in AT_WORK else None,
    }


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one call with a patch for each method that caches without encryption; [] where there is none."""
    encrypted = state["config"]["encrypted"]
    wrong = [key for key in state["facts"]["caches"] if not encrypted[key]]
    if not wrong:
        return []
    stage = {"restApiId": target["resource"]["api_id"], "stageName": target["resource"]["stage"]}

    def patched(value: str) -> dict[str, Any]:
        operations = [{"op": "replace", "path": path_of(key), "value": value} for key in wrong]
        return {**stage, "patchOperations": operations}

    undo = call("apigateway", "update_stage", patched("false"))
    return [call("apigateway", "update_stage", patched("true"), undo=[undo])]


def path_of(key: str) -> str:
    """The setting as a JSON pointer: only the last slash of the key is not part of the resource's path."""
    resource, method = key.rsplit("/", 1)
    return "/" + resource.replace("/", "~1") + "/" + method + "/caching/dataEncrypted"
