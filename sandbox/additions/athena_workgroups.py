"""Athena: changing a workgroup, and what is said of one that does not exist; moto has neither."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from moto.athena.models import athena_backends
from moto.athena.responses import AthenaResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

_PLAIN = (
    "BytesScannedCutoffPerQuery",
    "EnableMinimumEncryptionConfiguration",
    "EnforceWorkGroupConfiguration",
    "PublishCloudWatchMetricsEnabled",
    "RequesterPaysEnabled",
)
_RESULTS = {
    "RemoveOutputLocation": "OutputLocation",
    "RemoveEncryptionConfiguration": "EncryptionConfiguration",
    "RemoveExpectedBucketOwner": "ExpectedBucketOwner",
    "RemoveAclConfiguration": "AclConfiguration",
}


def install(world: World, patches: Patches) -> None:
    """Add the operation to moto's Athena."""
    patches.answer(AthenaResponse, "UpdateWorkGroup", _update)
    patches.around(AthenaResponse, "GetWorkGroup", _get)


def _get(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/athena/latest/APIReference/API_GetWorkGroup.html"""
    _group(request)
    return proceed()


def _update(request: Request) -> dict[str, Any]:
    """
    Change what is given, leave the rest.

    Source: https://docs.aws.amazon.com/athena/latest/APIReference/API_WorkGroupConfigurationUpdates.html
    """
    asked, group = request.parameters, _group(request)
    configuration = copy.deepcopy(group.configuration)
    for name, value in asked.get("ConfigurationUpdates", {}).items():
        if name == "RemoveBytesScannedCutoffPerQuery":
            if value:
                configuration.pop("BytesScannedCutoffPerQuery", None)
        elif name == "ResultConfigurationUpdates":
            results = configuration.setdefault("ResultConfiguration", {})
            for key, one in value.items():
                if key in _RESULTS:
                    if one:
                        results.pop(_RESULTS[key], None)
                else:
                    results[key] = one
        elif name == "EngineVersion":
            configuration["EngineVersion"] = {**configuration.get("EngineVersion", {}), **value}
        elif name in _PLAIN:
            configuration[name] = value
        else:
            raise NotImplementedError(f"athena.UpdateWorkGroup: {name} is not emulated")
    group.configuration = configuration
    group.description = asked.get("Description", group.description)
    group.state = asked.get("State", group.state)
    return {}


def _group(request: Request) -> Any:
    name = request.parameters["WorkGroup"]
    group = athena_backends[request.account][request.region].work_groups.get(name)
    if group is None:
        raise Refused("InvalidRequestException", f"WorkGroup {name} is not found.")
    return group
