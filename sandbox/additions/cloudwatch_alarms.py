"""CloudWatch: an alarm notifies topics of its own Region, and one that is not there cannot be deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.cloudwatch.responses import CloudWatchResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World


def install(_world: World, patches: Patches) -> None:
    """Make moto refuse what CloudWatch refuses."""
    patches.around(CloudWatchResponse, "PutMetricAlarm", _put)
    patches.around(CloudWatchResponse, "DeleteAlarms", _delete)


def _put(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""
    for action in request.parameters.get("AlarmActions") or []:
        service, region = action.split(":")[2:4]
        if service == "sns" and region != request.region:
            raise Refused("ValidationError", f"Invalid region {region} specified. Only {request.region} is supported.")
    return proceed()


def _delete(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DeleteAlarms.html"""
    backend = cloudwatch_backends[request.account][request.region]
    for name in request.parameters["AlarmNames"]:
        if name not in backend.alarms:
            raise Refused("ResourceNotFound", f"The alarm {name} does not exist")
    return proceed()
