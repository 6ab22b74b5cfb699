"""
Application Auto Scaling, where moto is kinder than AWS.

What is missing has an error of its own, a target's policies go with it, and a table's capacity is brought into the
target's range at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.dynamodb.models import dynamodb_backends

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

_ROLE = (
    "role/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
)


def install(_world: World, patches: Patches) -> None:
    """Make moto's Application Auto Scaling refuse what AWS refuses."""
    for operation, do in {
        "RegisterScalableTarget": _register,
        "DeregisterScalableTarget": _deregister,
        "PutScalingPolicy": _put_policy,
        "DeleteScalingPolicy": _delete_policy,
    }.items():
        patches.around(ApplicationAutoScalingResponse, operation, do)


def _register(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: API_RegisterScalableTarget.html; the role is the service-linked one where none is named."""
    given = request.parameters
    known = _target(request)
    least = given.get("MinCapacity", known.min_capacity if known else None)
    most = given.get("MaxCapacity", known.max_capacity if known else None)
    if least is None or most is None:
        raise Refused("ValidationException", "Both the MinCapacity and the MaxCapacity are needed at first")
    if least > most:
        raise Refused("ValidationException", "Maximum capacity cannot be less than minimum capacity")
    scaled = _scaled(request) if given["ServiceNamespace"] == "dynamodb" else None
    answer = proceed()
    target = _target(request)
    if scaled is not None:
        target.role_arn = target.role_arn or f"arn:{request.partition}:iam::{request.account}:{_ROLE}"
        units = given["ScalableDimension"].rsplit(":", 1)[1]
        scaled[units] = max(least, min(most, scaled[units]))
    return answer


def _deregister(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: API_DeregisterScalableTarget.html: the target's scaling policies are deleted with it."""
    if _target(request) is None:
        raise Refused("ObjectNotFoundException", f"No scalable target found for {_named(request)}")
    backend = applicationautoscaling_backends[request.account][request.region]
    for policy in [p for p in backend.policies.values() if _named(request) == _policy_of(p)]:
        backend.delete_scaling_policy(
            policy.policy_name, policy.service_namespace, policy.resource_id, policy.scalable_dimension
        )
    return proceed()


def _put_policy(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: API_PutScalingPolicy.html"""
    if _target(request) is None:
        raise Refused("ObjectNotFoundException", f"No scalable target registered for {_named(request)}")
    tracking = request.parameters.get("TargetTrackingScalingPolicyConfiguration", {})
    metric = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    reads = request.parameters["ScalableDimension"].endswith(":ReadCapacityUnits")
    wanted = "DynamoDBReadCapacityUtilization" if reads else "DynamoDBWriteCapacityUtilization"
    if metric and request.parameters["ServiceNamespace"] == "dynamodb" and metric != wanted:
        raise Refused("ValidationException", f"Metric {metric} is not for {_named(request)}")
    return proceed()


def _delete_policy(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: API_DeleteScalingPolicy.html"""
    backend = applicationautoscaling_backends[request.account][request.region]
    name = request.parameters["PolicyName"]
    if not any(p.policy_name == name and _policy_of(p) == _named(request) for p in backend.policies.values()):
        raise Refused("ObjectNotFoundException", f"No scaling policy {name} found for {_named(request)}")
    return proceed()


def _target(request: Request) -> Any:
    backend = applicationautoscaling_backends[request.account][request.region]
    return backend.targets.get(request.parameters["ScalableDimension"], {}).get(request.parameters["ResourceId"])


def _named(request: Request) -> tuple[str, str, str]:
    given: Mapping[str, str] = request.parameters
    return given["ServiceNamespace"], given["ResourceId"], given["ScalableDimension"]


def _policy_of(policy: Any) -> tuple[str, str, str]:
    return policy.service_namespace, policy.resource_id, policy.scalable_dimension


def _scaled(request: Request) -> dict[str, int]:
    """Return the throughput of the table or index that is to be scaled, to be changed in place."""
    id_ = request.parameters["ResourceId"]
    parts = id_.split("/")
    table = dynamodb_backends[request.account][request.region].tables.get(parts[1])
    if table is not None and len(parts) == 2:
        return table.throughput
    found = [i for i in (table.global_indexes if table else []) if i.name == parts[-1]]
    if not found:
        raise Refused("ValidationException", f"DynamoDB resource does not exist: {id_}")
    return found[0].throughput
