"""CloudWatch Logs: metric filters that belong to a log group and are replaced by name, and retentions that exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.logs.models import logs_backends
from moto.logs.responses import LogsResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

MOST_FILTERS = 100
"""Per log group. Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html"""

PAGE = 50
OFFERED_DAYS = {
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
}  # fmt: skip


def install(world: World, patches: Patches) -> None:
    """Make metric filters and retentions behave as AWS documents them; moto adds a second filter of the same name."""

    def put(request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutMetricFilter.html"""
        asked, every = request.parameters, _filters(request)
        there = [one for one in every if one["logGroupName"] == asked["logGroupName"]]
        same = next((one for one in there if one["filterName"] == asked["filterName"]), None)
        if same is None and len(there) >= MOST_FILTERS:
            raise Refused("LimitExceededException", "Resource limit exceeded.")
        made = {
            **{name: asked[name] for name in ("filterName", "filterPattern", "logGroupName", "metricTransformations")},
            "creationTime": int(world.clock.now().timestamp() * 1000),
        }
        if same is None:
            every.append(made)
        else:
            every[every.index(same)] = made
        return {}

    patches.answer(LogsResponse, "PutMetricFilter", put)
    patches.answer(LogsResponse, "DescribeMetricFilters", _describe)
    patches.answer(LogsResponse, "DeleteMetricFilter", _delete)
    patches.around(LogsResponse, "DeleteLogGroup", _delete_group)
    patches.around(LogsResponse, "PutRetentionPolicy", _retain)


def _describe(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeMetricFilters.html"""
    asked = request.parameters

    def is_asked(one: dict[str, Any]) -> bool:
        metric = one["metricTransformations"][0]
        return (
            asked.get("logGroupName") in (None, one["logGroupName"])
            and one["filterName"].startswith(asked.get("filterNamePrefix") or "")
            and asked.get("metricName") in (None, metric["metricName"])
            and asked.get("metricNamespace") in (None, metric["metricNamespace"])
        )

    found = sorted(filter(is_asked, _filters(request)), key=lambda one: str(one["filterName"]))
    start, size = int(asked.get("nextToken") or 0), asked.get("limit") or PAGE
    more = {"nextToken": str(start + size)} if start + size < len(found) else {}
    return {"metricFilters": found[start : start + size], **more}


def _delete(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteMetricFilter.html"""
    asked, every = request.parameters, _filters(request)
    for one in every:
        if (one["logGroupName"], one["filterName"]) == (asked["logGroupName"], asked["filterName"]):
            every.remove(one)
            return {}
    raise Refused("ResourceNotFoundException", "The specified metric filter does not exist.")


def _delete_group(request: Request, proceed: Callable[[], Any]) -> Any:
    answer, every = proceed(), logs_backends[request.account][request.region].filters.metric_filters
    every[:] = [one for one in every if one["logGroupName"] != request.parameters["logGroupName"]]
    return answer


def _retain(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""
    days = request.parameters["retentionInDays"]
    if days not in OFFERED_DAYS:
        raise Refused("InvalidParameterException", f"{days} is not a valid retention: {sorted(OFFERED_DAYS)}")
    return proceed()


def _filters(request: Request) -> list[dict[str, Any]]:
    """Return moto's own list; raises Refused for a log group that is not there."""
    backend = logs_backends[request.account][request.region]
    group = request.parameters.get("logGroupName")
    if group is not None and group not in backend.groups:
        raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
    return backend.filters.metric_filters
