"""
Lambda.1: remove the statements of a function's policy that are public, and no other.

Public is what AWS Config's rule calls so: a principal that is empty or holds a wildcard, or Amazon S3; and no condition
that limits who. Which conditions do is said at LIMITS. FunctionUrlAuthType, InvokedViaFunctionUrl and SourceIp do not.
Source: https://docs.aws.amazon.com/config/latest/developerguide/lambda-function-public-access-prohibited.html
"""

from __future__ import annotations

import json
import re
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# Condition keys that limit who, where all their values are fixed: no wildcard, no policy variable. A bucket's ARN names
# no account, and who calls for Amazon S3 is the service itself: there only the account or organization counts.
LIMITS_S3 = {"aws:sourceaccount", "aws:sourceorgid"}
LIMITS = LIMITS_S3 | {f"aws:{key}" for key in ("sourcearn", "sourcevpc", "sourcevpce")}
LIMITS |= {f"aws:principal{key}" for key in ("orgid", "account", "arn")}
# Not ...IfExists or ForAllValues: they hold where the key is absent, too.
OPERATORS = "(ForAnyValue:)?(String(Equals|EqualsIgnoreCase|Like)|Arn(Equals|Like))"
TOKEN = "lambda:eventsourcetoken"  # noqa: S105  # a condition key; its value is a secret
# What AddPermission can write into a condition: parameter, and the form that it takes.
PARAMETERS = {
    ("StringEquals", "aws:principalorgid"): ("PrincipalOrgID", "o-[a-z0-9]{10,32}"),
    ("StringEquals", "lambda:functionurlauthtype"): ("FunctionUrlAuthType", "NONE|AWS_IAM"),
    ("Bool", "lambda:invokedviafunctionurl"): ("InvokedViaFunctionUrl", "true"),
    ("ArnLike", "aws:sourcearn"): ("SourceArn", "arn:[a-z0-9-]+:[A-Za-z0-9-]+:[a-z0-9-]*:([0-9]{12})?:.*"),
}
DENIED = "look for a service control policy that denies it, and whether the role is up to date"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the public statements by their Sid, in one spelling: condition keys in lower case, lists of one as the one.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_GetPolicy.html
    """
    function = named_function(target)
    awslambda = aws.client("lambda")
    try:
        answer = awslambda.get_policy(**function)
    except awslambda.exceptions.ResourceNotFoundException:
        # Said of a function without a policy, too.
        try:
            awslambda.get_function_configuration(**function)
        except awslambda.exceptions.ResourceNotFoundException as error:
            raise ResourceGone(target["resource"]["function"]) from error
        return {"config": {}, "facts": {"revision": None}, "busy": None}
    there = json.loads(answer["Policy"]).get("Statement", [])
    there = [there] if isinstance(there, dict) else there
    public = {s.get("Sid") or f"#{number}": one_spelling(s) for number, s in enumerate(there, 1) if is_public(s)}
    return {"config": public, "facts": {"revision": answer["RevisionId"]}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a call per public statement; raises CannotRepair where AddPermission could not give one of them back."""
    function = named_function(target)
    calls: list[dict[str, Any]] = []
    for sid, statement in sorted(state["config"].items()):
        back = function | {"StatementId": sid} | as_permission(sid, statement, target)
        # The revision says that the policy is as it was read. The first call changes it, and its answer has no new one.
        revision = {} if calls else {"RevisionId": state["facts"]["revision"]}
        undo = call(
            "lambda", "add_permission", back, fine=["ResourceConflictException"], leaf=[sid],
            explain={
                "AccessDeniedException": DENIED,
                "PublicPolicyException": "public policies are blocked for the function; add a statement that is not",
            },
        )  # fmt: skip
        calls.append(
            call(
                "lambda", "remove_permission", function | {"StatementId": sid} | revision, undo=[undo],
                fine=["ResourceNotFoundException"],
                explain={
                    "AccessDeniedException": DENIED,
                    "PreconditionFailedException": "somebody changed the policy just now; run again",
                },
            )
        )  # fmt: skip
    return calls


def is_public(statement: dict[str, Any]) -> bool:
    """Tell whether a statement lets anybody, or a bucket of any account, use the function."""
    if statement.get("Effect") != "Allow":
        return False
    principal = statement.get("Principal", "")  # absent where the statement has NotPrincipal: all but a few
    principals = principal if isinstance(principal, dict) else {"AWS": principal}
    named = [name for names in principals.values() for name in listed(names)]
    everybody = not named or any(not name or "*" in name for name in named)
    s3 = any(name.lower().startswith("s3.") for name in listed(principals.get("Service", [])))
    limits = LIMITS_S3 if s3 else LIMITS
    return (everybody or s3) and not any(
        re.fullmatch(OPERATORS, operator, re.IGNORECASE) and key.lower() in limits and is_fixed(listed(values))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def is_fixed(values: list[Any]) -> bool:
    return bool(values) and not any(re.search(r"[*?]|\$", str(value)) for value in values)


def as_permission(sid: str, statement: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    """
    Return the parameters with which AddPermission writes the statement. Raises CannotRepair where it cannot.

    Source: https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
    """
    identity = [target[part] for part in ("partition", "region", "account")]
    arn = "arn:{}:lambda:{}:{}:function:{}".format(*identity, target["resource"]["function"])
    principal = statement.get("Principal")
    if principal == {"Service": "s3.amazonaws.com"}:
        principal = "s3.amazonaws.com"
    action = statement.get("Action")
    given: dict[str, Any] = {"Action": action, "Principal": principal}
    cannot = sorted(statement.keys() - {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"})
    cannot += [] if re.fullmatch("[A-Za-z0-9_-]{1,100}", sid) else ["Sid"]
    cannot += [] if principal in ("*", "s3.amazonaws.com") else ["Principal"]
    cannot += [] if isinstance(action, str) and re.fullmatch(r"(lambda:)?\*|lambda:[A-Za-z]+", action) else ["Action"]
    cannot += [] if statement.get("Resource") == arn else ["Resource"]
    for operator, keys in statement.get("Condition", {}).items():
        for key, value in keys.items():
            name, form = PARAMETERS.get((operator, key), (None, ""))
            if name and isinstance(value, str) and re.fullmatch(form, value):
                given[name] = True if name == "InvokedViaFunctionUrl" else value
            else:
                cannot.append(f"{operator} {key}")
    if cannot:
        raise CannotRepair(
            f"statement {sid} is public, and could not be given back as it is ({', '.join(cannot)})",
            "remove it by hand, or replace it by a statement for an account or organization",
        )
    return given


def one_spelling(statement: dict[str, Any]) -> dict[str, Any]:
    """Return the statement with what means the same written the same way, and without an event source token."""
    plain = {part: single(value) for part, value in statement.items()}
    principal = plain.get("Principal")
    if isinstance(principal, dict):
        principal = {kind: single(names) for kind, names in principal.items()}
        plain["Principal"] = "*" if principal == {"AWS": "*"} else principal
    if plain.get("Condition"):
        plain["Condition"] = {
            operator: {k.lower(): "(not kept)" if k.lower() == TOKEN else single(v) for k, v in keys.items()}
            for operator, keys in plain["Condition"].items()
        }
    return plain


def named_function(target: dict[str, Any]) -> dict[str, str]:
    """Return FunctionName, and Qualifier where the finding is of a version or an alias."""
    name, _, qualifier = target["resource"]["function"].partition(":")
    return {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
