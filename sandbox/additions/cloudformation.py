"""
CloudFormation's own API over the sandbox's engine: a script that lists or describes stacks sees what was deployed.

moto has an engine of its own, of which the sandbox's stacks know nothing: what is not answered here is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.utils import camelcase_to_underscores, get_service_model
from moto.organizations.models import FakeDelegatedAdministrator
from moto.organizations.responses import OrganizationsResponse
from moto.sts.models import sts_backends

from sandbox.additions.wire import Answer, Around, Patches, Refused, Request, page
from sandbox.cloudformation import (
    Buckets,
    DeployError,
    Engine,
    Resource,
    ResourceFailed,
    StackRecord,
    TemplateError,
    read_template,
)
from sandbox.identity import client_with
from sandbox.ports import Credentials
from sandbox.resource_types import bucket_and_key
from sandbox.stack_sets import BODY_LIMIT, PRINCIPAL, OrganizationsAccess, check_capabilities

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
        services = [*FakeDelegatedAdministrator.SUPPORTED_SERVICES, PRINCIPAL]
        patches.attribute(FakeDelegatedAdministrator, "SUPPORTED_SERVICES", services)
        patches.around(OrganizationsResponse, "MoveAccount", _noticed(engine))
        yield
    finally:
        patches.undo()


def _answered(engine: Engine, operation: str) -> Answer:
    return lambda request: ANSWERS[operation](engine, request)


def _noticed(engine: Engine) -> Around:
    """StackSets hear of it when an account comes to another unit, and deploy by themselves; a little later."""

    def around(_request: Request, proceed: Any) -> Any:
        answer = proceed()
        engine.world.later(0, engine.stack_sets.account_moved)
        return answer

    return around


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


def create_stack(engine: Engine, request: Request) -> Json:
    """
    Create a stack, its files read from S3 with the caller's credentials; it has been made when this is answered.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
    """
    given, reader = _given(request), _reader(engine, request)
    text = _template(request, reader)
    name = given["StackName"]
    values = {p["ParameterKey"]: p["ParameterValue"] for p in given.get("Parameters", [])}
    if (request.account, request.region, name) in engine.stacks:
        raise Refused("AlreadyExistsException", f"Stack [{name}] already exists")
    with _as_answer():
        engine.create(name, text, request.account, request.region, values, reader, keeps_failed=True)
    return {"StackId": engine.find(name, request.account, request.region).id}


def update_stack(engine: Engine, request: Request) -> Json:
    """
    Update a stack; a parameter keeps its value by UsePreviousValue only, else it gets its default.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_UpdateStack.html
    """
    given, reader = _given(request), _reader(engine, request)
    stack = _stack(engine, request, given["StackName"])
    text = json.dumps(stack.template) if given.get("UsePreviousTemplate") else _template(request, reader)
    values: dict[str, str] = {}
    for parameter in given.get("Parameters", []):
        key = parameter["ParameterKey"]
        if not parameter.get("UsePreviousValue"):
            values[key] = parameter["ParameterValue"]
        elif key in stack.parameters:
            values[key] = stack.parameters[key]
    if json.loads(text) == stack.template and values == stack.parameters:
        raise Refused("ValidationError", "No updates are to be performed.")
    with _as_answer():
        engine.update(stack.id, text, request.account, request.region, values, reader, keeps_parameters=False)
    return {"StackId": stack.id}


def delete_stack(engine: Engine, request: Request) -> Json:
    """
    Delete a stack; one that is not there is fine.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html
    """
    name = _given(request)["StackName"]
    there = [s for s in engine.stacks.values() if _is_here(s, request) and name in (s.name, s.id)]
    for stack in there:
        try:
            engine.delete(stack.id, request.account, request.region)
        except DeployError as error:
            stack.status, stack.reason = "DELETE_FAILED", str(error)
    return {}


def activate_organizations_access(engine: Engine, request: Request) -> Json:
    """
    Let StackSets work with the organization.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ActivateOrganizationsAccess.html
    """
    if request.account != engine.world.organization.management:
        raise Refused("InvalidOperationException", "Only the management account activates organizations access")
    engine.stack_sets.has_trusted_access = True
    return {}


def describe_organizations_access(engine: Engine, request: Request) -> Json:
    """Source: .../AWSCloudFormation/latest/APIReference/API_DescribeOrganizationsAccess.html"""
    return {"Status": "ENABLED" if engine.stack_sets.has_trusted_access else "DISABLED_PERMANENTLY"}


def list_stack_instances(engine: Engine, request: Request) -> Json:
    """Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ListStackInstances.html"""
    name, asked = request.parameters["StackSetName"], request.parameters
    try:
        engine.stack_sets.check_caller(request.account, asked.get("CallAs") or "SELF")
    except OrganizationsAccess as error:
        raise Refused("ValidationError", str(error)) from error
    found = engine.stack_sets.sets.get(name.split(":")[0])
    if found is None or found.region != request.region:
        raise Refused("StackSetNotFoundException", f"StackSet {name} not found")
    instances = [
        {
            "StackSetId": found.id,
            "Region": one.region,
            "Account": one.account,
            "Status": one.status,
            **({"StackId": one.stack_id} if one.stack_id else {}),
            **({"StatusReason": one.reason} if one.reason else {}),
        }
        for one in found.instances.values()
        if one.account == (asked.get("StackInstanceAccount") or one.account)
    ]
    shown, token = _page(instances, request)
    return {"Summaries": shown, "NextToken": token}


ANSWERS: dict[str, Asked] = {
    "CreateStack": create_stack,
    "UpdateStack": update_stack,
    "DeleteStack": delete_stack,
    "ActivateOrganizationsAccess": activate_organizations_access,
    "DescribeOrganizationsAccess": describe_organizations_access,
    "ListStackInstances": list_stack_instances,
    "DescribeStacks": describe_stacks,
    "ListStacks": list_stacks,
    "ListStackResources": list_stack_resources,
    "DescribeStackResources": describe_stack_resources,
    "DescribeStackResource": describe_stack_resource,
    "GetTemplate": get_template,
}


# --- details

_KNOWN = {
    "StackName",
    "TemplateBody",
    "TemplateURL",
    "UsePreviousTemplate",
    "Parameters",
    "Capabilities",
    "ClientRequestToken",
}


def _given(request: Request) -> Json:
    """Return the parameters of a call. Raises NotImplementedError for those that would be ignored."""
    given = {key: value for key, value in request.parameters.items() if value is not None}
    if unknown := set(given) - _KNOWN:
        raise NotImplementedError(f"{request.operation} with {', '.join(sorted(unknown))} is not known to the sandbox")
    return given


def _template(request: Request, reader: Buckets) -> str:
    body, url = request.parameters.get("TemplateBody"), request.parameters.get("TemplateURL")
    if bool(body) == bool(url):
        raise Refused("ValidationError", "Either Template URL or Template Body must be specified.")
    if url:
        try:
            bucket, key = bucket_and_key(url)
            text = reader.read(bucket, key, request.region).decode()
        except ResourceFailed as error:
            raise Refused("ValidationError", str(error)) from error
        except ClientError as error:
            said = error.response["Error"]
            raise Refused("ValidationError", f"S3 error: {said['Code']}: {said.get('Message')}") from error
    else:
        text = str(body)
        if len(text.encode()) > BODY_LIMIT:
            raise Refused("ValidationError", f"templateBody: length less than or equal to {BODY_LIMIT}")
    with _as_answer():
        wrong = check_capabilities(read_template(text), request.parameters.get("Capabilities") or [])
    if wrong:
        raise Refused("InsufficientCapabilitiesException", wrong)
    return text


def _reader(engine: Engine, request: Request) -> Buckets:
    """
    Return what reads templates and code as the caller.

    Raises NotImplementedError for who is no role: administrators of the sandbox are not judged, so that a bucket policy
    would not be, either.
    """
    roles = (backend.get_assumed_role_from_access_key(request.access_key_id) for backend in _sts(request.account))
    role = next((one for one in roles if one is not None), None)

    def client(region: str) -> Any:
        if role is None:
            raise NotImplementedError("sandbox: deploy from a bucket with a role's credentials, not an administrator's")
        found = Credentials(role.access_key_id, role.secret_access_key, role.session_token)
        return client_with(found, "s3", region)

    return Buckets(client)


def _sts(account: str) -> list[Any]:
    return list(sts_backends[account].values())


@contextmanager
def _as_answer() -> Iterator[None]:
    """Within: a template that is wrong is refused; a stack that could not be made shows it in its status."""
    try:
        yield
    except TemplateError as error:
        raise Refused("ValidationError", str(error)) from error
    except DeployError:
        return


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
        "StackStatusReason": stack.reason,
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
