"""Lambda: one resource policy per function, version and alias, with its own revision, statements as AWS writes them."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.awslambda.responses import LambdaResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World


def install(world: World, patches: Patches) -> None:
    """Make moto's Lambda keep its resource policies as AWS does."""
    patches.answer(LambdaResponse, "AddPermission", _add_permission)
    patches.answer(LambdaResponse, "RemovePermission", _remove_permission)
    patches.answer(LambdaResponse, "GetPolicy", _get_policy)


def _add_permission(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html"""
    asked = request.parameters
    policy, arn = _policy(request)
    _check_revision(policy, arn, asked.get("RevisionId"))
    if any(statement["Sid"] == asked["StatementId"] for statement in _of(policy, arn)):
        raise Refused(
            "ResourceConflictException", f"The statement id ({asked['StatementId']}) provided already exists."
        )
    statement: dict[str, Any] = {
        "Sid": asked["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(request, asked["Principal"]),
        "Action": asked["Action"],
        "Resource": arn,
    }
    conditions: dict[str, dict[str, str]] = {}
    for parameter, operator, key in (
        ("SourceAccount", "StringEquals", "AWS:SourceAccount"),
        ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
        ("EventSourceToken", "StringEquals", "lambda:EventSourceToken"),
        ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
        ("InvokedViaFunctionUrl", "Bool", "lambda:InvokedViaFunctionUrl"),
        ("SourceArn", "ArnLike", "AWS:SourceArn"),
    ):
        value = asked.get(parameter)
        if value is not None:
            conditions.setdefault(operator, {})[key] = str(value).lower() if isinstance(value, bool) else value
    if conditions:
        statement["Condition"] = conditions
    policy.statements.append(statement)
    _new_revision(policy, arn)
    return {"Statement": json.dumps(statement)}


def _remove_permission(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/lambda/latest/api/API_RemovePermission.html"""
    asked = request.parameters
    policy, arn = _policy(request)
    _check_revision(policy, arn, asked.get("RevisionId"))
    statement = next((one for one in _of(policy, arn) if one["Sid"] == asked["StatementId"]), None)
    if statement is None:
        raise Refused("ResourceNotFoundException", f"Statement {asked['StatementId']} is not found in resource policy.")
    policy.statements.remove(statement)
    _new_revision(policy, arn)
    return {}


def _get_policy(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/lambda/latest/api/API_GetPolicy.html"""
    policy, arn = _policy(request)
    statements = _of(policy, arn)
    if not statements:
        raise Refused("ResourceNotFoundException", "The resource you requested does not exist.")
    document = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
    return {"Policy": json.dumps(document), "RevisionId": _revision(policy, arn)}


def _policy(request: Request) -> tuple[Any, str]:
    """Return moto's policy of the function, and the ARN of what is asked for: the function, a version or an alias."""
    asked = request.parameters
    name = asked["FunctionName"]
    found = re.fullmatch(r"(?:(?:arn:[^:]+:lambda:[^:]+:)?[0-9]{12}:function:)?([^:]+)(?::([^:]+))?", name)
    if found is None:
        raise Refused("InvalidParameterValueException", f"FunctionName {name!r} is not valid")
    qualifier = asked.get("Qualifier") or found[2]
    functions = lambda_backends[request.account][request.region]._lambdas
    function = functions._functions.get(found[1])
    if function is None or function["latest"] is None:
        raise Refused("ResourceNotFoundException", f"Function not found: {name}")
    latest = function["latest"]
    if qualifier in (None, "$LATEST"):
        return latest.policy, latest.function_arn
    versions = {str(version.version) for version in function["versions"]}
    if qualifier not in versions | {alias.name for alias in functions.list_aliases(found[1])}:
        raise Refused("ResourceNotFoundException", f"Function not found: {latest.function_arn}:{qualifier}")
    return latest.policy, f"{latest.function_arn}:{qualifier}"


def _of(policy: Any, arn: str) -> list[dict[str, Any]]:
    return [statement for statement in policy.statements if statement.get("Resource") == arn]


def _principal(request: Request, principal: str) -> Any:
    if re.fullmatch(r"[0-9]{12}", principal):
        return {"AWS": f"arn:{request.partition}:iam::{principal}:root"}
    if principal.startswith("arn:"):
        return {"AWS": principal}
    return principal if principal == "*" else {"Service": principal}


def _revisions(policy: Any) -> dict[str, str]:
    if not hasattr(policy, "revisions"):
        policy.revisions = {}
    revisions: dict[str, str] = policy.revisions
    return revisions


def _revision(policy: Any, arn: str) -> str:
    return _revisions(policy).setdefault(arn, str(uuid.uuid4()))


def _new_revision(policy: Any, arn: str) -> None:
    _revisions(policy)[arn] = str(uuid.uuid4())


def _check_revision(policy: Any, arn: str, wanted: str | None) -> None:
    if wanted is not None and wanted != _revision(policy, arn):
        raise Refused(
            "PreconditionFailedException",
            "The RevisionId provided does not match the latest RevisionId. Call the GetPolicy API to retrieve it.",
        )
