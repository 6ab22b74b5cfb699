"""
ECS: a family's name means its latest active revision, revisions are listed as asked, and a deployment takes its time.

moto takes the last revision even where it was deregistered, forgets some fields of a task definition, and gives a
service its new task definition without a deployment. Here one is IN_PROGRESS for DEPLOYING_SECONDS of the world's
clock; where fail_deployments() said so its tasks do not start, and the service stays so or is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.core.utils import utcnow
from moto.ecs.models import ecs_backends
from moto.ecs.responses import EC2ContainerServiceResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

DEPLOYING_SECONDS = 120
FAILED_TASKS = 3
_ROLLED_BACK = "ROLLBACK_SUCCESSFUL"
_FORGOTTEN = {"enableFaultInjection": "enable_fault_injection"}


def install(world: World, patches: Patches) -> None:
    """Make moto's ECS keep task definitions and deploy services as AWS does, on *world*'s clock."""

    def settle(request: Request) -> None:
        """End the deployments whose time is over."""
        now = world.clock.now()
        services: dict[str, Any] = ecs_backends[request.account][request.region].services
        for service in services.values():
            deployments: list[Any] = service.deployments
            for one in deployments:
                begun = one["createdAt"].replace(tzinfo=UTC)
                if one["rolloutState"] != "IN_PROGRESS" or begun + timedelta(seconds=DEPLOYING_SECONDS) > now:
                    continue
                breaker = getattr(service, "failing", {}).get(one["taskDefinition"])
                if breaker is None:
                    one |= {"rolloutState": "COMPLETED", "runningCount": one["desiredCount"], "pendingCount": 0}
                    continue
                one["failedTasks"] = FAILED_TASKS
                if breaker and one["status"] == "PRIMARY":
                    service.rolled_back.append(one["createdAt"])
                    service.deployments = [d | {"status": "PRIMARY"} for d in deployments[1:2]]
                    service.task_definition = service.deployments[0]["taskDefinition"]
            if service.deployments and service.deployments[0]["rolloutState"] == "COMPLETED":
                service.deployments = service.deployments[:1]

    def update_service(request: Request, proceed: Callable[[], Any]) -> Any:
        """Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html"""
        settle(request)
        asked, backend = request.parameters, ecs_backends[request.account][request.region]
        if not asked.get("taskDefinition"):
            return proceed()
        definition = _definition(request, asked["taskDefinition"])
        service = backend._get_service(asked.get("cluster", "default"), asked["service"].rpartition("/")[2])
        if service.deployment_controller["type"] != "ECS":
            kind = service.deployment_controller["type"]
            text = f"Unable to update task definition on services with a {kind} deployment controller."
            raise Refused("InvalidParameterException", text)
        before = service.task_definition
        answer = proceed()
        service.task_definition = definition.arn
        if before != definition.arn:
            new = {"createdAt": utcnow(), "taskDefinition": definition.arn, "rolloutState": "IN_PROGRESS"}
            older = [one | {"status": "ACTIVE"} for one in service.deployments]
            service.deployments = [service.deployments[0] | new | {"status": "PRIMARY"}, *older]
        return answer

    def list_deployments(request: Request) -> Mapping[str, Any]:
        """Only those that were rolled back: who asks for others is told so."""
        settle(request)
        asked, backend = request.parameters, ecs_backends[request.account][request.region]
        if not asked.get("status") or not all(status.startswith("ROLLBACK_") for status in asked["status"]):
            raise NotImplementedError("ListServiceDeployments of other deployments than those rolled back")
        service = backend._get_service(asked.get("cluster", "default"), asked["service"].rpartition("/")[2])
        after = (asked.get("createdAt") or {}).get("after")
        told = [
            {"serviceArn": service.arn, "clusterArn": service.cluster_arn, "createdAt": at, "status": _ROLLED_BACK}
            for at in getattr(service, "rolled_back", [])
            if after is None or at.replace(tzinfo=UTC) >= _instant(after)
        ]
        return {"serviceDeployments": told if _ROLLED_BACK in asked["status"] else []}

    def describe_services(request: Request, proceed: Callable[[], Any]) -> Any:
        settle(request)
        return proceed()

    patches.around(EC2ContainerServiceResponse, "RegisterTaskDefinition", _register)
    patches.answer(EC2ContainerServiceResponse, "DescribeTaskDefinition", _describe)
    patches.answer(EC2ContainerServiceResponse, "ListTaskDefinitions", _list)
    patches.around(EC2ContainerServiceResponse, "UpdateService", update_service)
    patches.around(EC2ContainerServiceResponse, "DescribeServices", describe_services)
    patches.answer(EC2ContainerServiceResponse, "ListServiceDeployments", list_deployments)


def fail_deployments(account: str, region: str, service: str, task_definition: str, *, roll_back: bool) -> None:
    """From now on tasks of that task definition's ARN do not start; *roll_back*: by a circuit breaker."""
    services: dict[str, Any] = ecs_backends[account][region].services
    (one,) = (s for s in services.values() if s.name == service)
    one.failing, one.rolled_back = {task_definition: roll_back}, []


def _instant(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(float(value), UTC)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _register(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html"""
    asked = request.parameters
    for tag in asked.get("tags") or ():
        if tag["key"].lower().startswith("aws:"):
            raise Refused("InvalidParameterException", "Tags can not be prefixed with aws:.")
    windows = (asked.get("runtimePlatform") or {}).get("operatingSystemFamily", "LINUX").startswith("WINDOWS")
    if windows and any(c.get("readonlyRootFilesystem") for c in asked["containerDefinitions"]):
        raise Refused("ClientException", "readonlyRootFilesystem is not supported on Windows container")
    answer = proceed()
    revisions: dict[int, Any] = ecs_backends[request.account][request.region].task_definitions[asked["family"]]
    revisions[max(revisions)].registered_at = utcnow()
    for name, attribute in _FORGOTTEN.items():
        if asked.get(name) is not None:
            setattr(revisions[max(revisions)], attribute, asked[name])
    return answer


def _describe(request: Request) -> Mapping[str, Any]:
    """Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTaskDefinition.html"""
    definition = _definition(request, request.parameters["taskDefinition"])
    told: dict[str, Any] = {"taskDefinition": definition}
    if "TAGS" in (request.parameters.get("include") or ()):
        told["tags"] = definition.tags
    return told


def _definition(request: Request, named: str) -> Any:
    """What `family`, `family:revision` or an ARN means; of a family the latest ACTIVE revision."""
    family, _, revision = named.rpartition("/")[2].partition(":")
    revisions = ecs_backends[request.account][request.region].task_definitions.get(family, {})
    if revision:
        found = revisions.get(int(revision))
    else:
        active = [number for number, one in revisions.items() if one.status == "ACTIVE"]
        found = revisions[max(active)] if active else None
    if found is None:
        raise Refused("ClientException", "Unable to describe task definition.")
    return found


def _list(request: Request) -> Mapping[str, Any]:
    """Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTaskDefinitions.html"""
    asked = request.parameters
    families = ecs_backends[request.account][request.region].task_definitions
    wanted = asked.get("status", "ACTIVE")
    arns = [
        one.arn
        for family in sorted(families)
        for _, one in sorted(families[family].items())
        if asked.get("familyPrefix") in (None, family) and one.status == wanted
    ]
    if asked.get("sort") == "DESC":
        arns.reverse()
    size = asked.get("maxResults") or 100
    if not 1 <= size <= 100:
        raise Refused("InvalidParameterException", "maxResults must be between 1 and 100")
    start = int(asked.get("nextToken") or 0)
    more = {"nextToken": str(start + size)} if start + size < len(arns) else {}
    return {"taskDefinitionArns": arns[start : start + size], **more}
