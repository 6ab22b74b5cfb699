"""
CloudFormation's own API over the sandbox's engine: a script that lists or describes stacks sees what was deployed.

moto has an engine of its own, of which the sandbox's stacks know nothing: what is not answered here is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from moto.cloudformation.responses import CloudFormationResponse
from moto.core.utils import camelcase_to_underscores, get_service_model

from sandbox.additions.wire import Answer, Patches, Refused, Request, page
from sandbox.cloudformation import Engine, Resource, StackRecord

Json = dict[str, Any]
Asked = Callable[[Engine, Request], Mapping[str, Any]]

DESCRIBED_AT_ONCE = 100
"""Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResources.html"""
PAGE = 100
SUMMARY = (
    "StackId",
    "StackName",
    "TemplateDescription",
    "CreationTime",
    "LastUpdatedTime",
    "DeletionTime",
    "StackStatus",
    "ParentId",
    "RootId",
    "DriftInformation",
)
"""Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_StackSummary.html"""


@contextmanager
def installed(engine: Engine) -> Iterator[None]:
    """Within: CloudFormation's API answers for the stacks of *engine*; moto's own stacks cannot be made."""
    patches = Patches()
    try:
        # They turn moto's own objects into what the API has.
        patches.attribute(CloudFormationResponse, "RESPONSE_KEY_PATH_TO_TRANSFORMER", {})
        for operation in get_service_model("cloudformation").operation_names:
            if operation in ANSWERS:
                patches.answer(CloudFormationResponse, operation, _answered(engine, operation))
            elif hasattr(CloudFormationResponse, camelcase_to_underscores(operation)):
                patches.answer(CloudFormationResponse, operation, _not_emulated)
        yield
    finally:
        patches.undo()


def _answered(engine: Engine, operation: str) -> Answer:
    return lambda request: ANSWERS[operation](engine, request)


def _not_emulated(request: Request) -> Mapping[str, Any]:
    raise NotImplementedError(f"CloudFormation's {request.operation} is not known to the sandbox")


def describe_stacks(engine: Engine, request: Request) -> Json:
    """
    Return one stack, by its name or by its ARN (also when it is deleted), or all that are there.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
    """
    name = request.parameters.get("StackName")
    if name:
        return {"Stacks": [described(engine, _stack(engine, request, name))]}
    stacks, token = _page([s for s in engine.stacks.values() if _is_here(s, request)], request)
    return {"Stacks": [described(engine, stack) for stack in stacks], "NextToken": token}


def list_stacks(engine: Engine, request: Request) -> Json:
    """
    Return the stacks in short, the deleted ones too.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStacks.html
    """
    wanted = request.parameters.get("StackStatusFilter")
    every = [*engine.stacks.values(), *engine.deleted.values()]
    found = [s for s in every if _is_here(s, request) and (not wanted or s.status in wanted)]
    stacks, token = _page(found, request)
    shown = [described(engine, s) | {"TemplateDescription": s.template.get("Description")} for s in stacks]
    return {"StackSummaries": [{k: s[k] for k in SUMMARY if s.get(k) is not None} for s in shown], "NextToken": token}


def list_stack_resources(engine: Engine, request: Request) -> Json:
    """
    Return what a stack has, a hundred at a time.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStackResources.html
    """
    stack = _stack(engine, request, request.parameters["StackName"])
    resources, token = _page(list(stack.resources.values()), request)
    return {"StackResourceSummaries": [_resource(r, "LastUpdatedTimestamp") for r in resources], "NextToken": token}


def describe_stack_resources(engine: Engine, request: Request) -> Json:
    """
    Return the first hundred resources of a stack, or of the one that a physical id belongs to.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResources.html
    """
    name, physical = (request.parameters.get(key) for key in ("StackName", "PhysicalResourceId"))
    logical = request.parameters.get("LogicalResourceId")
    if bool(name) == bool(physical):
        raise Refused("ValidationError", "You must specify either StackName or PhysicalResourceId, but not both")
    if name:
        stack = _stack(engine, request, name)
    else:
        here = [s for s in engine.stacks.values() if _is_here(s, request)]
        owners = [s for s in here if any(r.physical_id == physical for r in s.resources.values())]
        if not owners:
            raise Refused("ValidationError", f"Stack for {physical} does not exist")
        stack = owners[0]
    found = [r for r in stack.resources.values() if not logical or r.logical_id == logical]
    return {"StackResources": [_of_stack(stack) | _resource(r, "Timestamp") for r in found[:DESCRIBED_AT_ONCE]]}


def describe_stack_resource(engine: Engine, request: Request) -> Json:
    """
    Return one resource of a stack.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResource.html
    """
    stack = _stack(engine, request, request.parameters["StackName"])
    logical = request.parameters["LogicalResourceId"]
    if logical not in stack.resources:
        raise Refused("ValidationError", f"Resource {logical} does not exist for stack {stack.name}")
    shown = _of_stack(stack) | _resource(stack.resources[logical], "LastUpdatedTimestamp")
    return {"StackResourceDetail": shown}


def get_template(engine: Engine, request: Request) -> Json:
    """
    Return a stack's template as it was given.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_GetTemplate.html
    """
    stack = _stack(engine, request, request.parameters["StackName"])
    return {"TemplateBody": json.dumps(stack.template), "StagesAvailable": ["Original", "Processed"]}


ANSWERS: dict[str, Asked] = {
    "DescribeStacks": describe_stacks,
    "ListStacks": list_stacks,
    "ListStackResources": list_stack_resources,
    "DescribeStackResources": describe_stack_resources,
    "DescribeStackResource": describe_stack_resource,
    "GetTemplate": get_template,
}


# --- details


def described(engine: Engine, stack: StackRecord) -> Json:
    """Return a stack as DescribeStacks shows it."""
    declared = stack.template.get("Parameters", {})
    parameters = []
    for name, parameter in declared.items():
        value = stack.parameters.get(name, parameter.get("Default", ""))
        hidden = str(parameter.get("NoEcho", False)).lower() == "true"
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        parameters.append({"ParameterKey": name, "ParameterValue": "****" if hidden else shown})
    outputs = []
    for name, value in stack.outputs.items():
        about = stack.template["Outputs"][name]
        outputs.append({"OutputKey": name, "OutputValue": value})
        if "Description" in about:
            outputs[-1]["Description"] = about["Description"]
    optional = {
        "Description": stack.template.get("Description"),
        "LastUpdatedTime": stack.updated_at,
        "DeletionTime": stack.deleted_at,
        "ParentId": stack.parent,
        "RootId": _root(engine, stack),
    }
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "Parameters": parameters,
        "CreationTime": stack.created_at,
        "RollbackConfiguration": {},
        "StackStatus": stack.status,
        "DisableRollback": False,
        "NotificationARNs": [],
        "Capabilities": [],
        "Outputs": outputs,
        "Tags": [],
        "EnableTerminationProtection": False,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        **{key: value for key, value in optional.items() if value is not None},
    }


def _root(engine: Engine, stack: StackRecord) -> str | None:
    root = stack.parent
    by_id = {s.id: s for s in (*engine.stacks.values(), *engine.deleted.values())}
    while root is not None and root in by_id and by_id[root].parent is not None:
        root = by_id[root].parent
    return root


def _stack(engine: Engine, request: Request, name: str) -> StackRecord:
    """Return a stack by name or ARN; one that was deleted by its ARN only."""
    every = [*engine.stacks.values()]
    if name.startswith("arn:"):
        every += engine.deleted.values()
    for stack in every:
        if _is_here(stack, request) and name in (stack.name, stack.id):
            return stack
    raise Refused("ValidationError", f"Stack with id {name} does not exist")


def _is_here(stack: StackRecord, request: Request) -> bool:
    return (stack.account, stack.region) == (request.account, request.region)


def _of_stack(stack: StackRecord) -> Json:
    return {"StackName": stack.name, "StackId": stack.id}


def _resource(resource: Resource, timestamp: str) -> Json:
    return {
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": resource.physical_id,
        "ResourceType": resource.type,
        timestamp: resource.changed_at,
        "ResourceStatus": resource.status,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }


def _page(items: list[Any], request: Request) -> tuple[list[Any], str | None]:
    return page(items, request.parameters, most=PAGE, invalid="ValidationError")
