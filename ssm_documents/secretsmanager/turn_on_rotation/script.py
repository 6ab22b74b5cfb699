"""SecretsManager.1: turn on a secret's rotation, or make it as frequent as wanted. Nothing rotates at once."""

from __future__ import annotations

import re
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call, ref


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read how the secret rotates, never its value. A rotation that is off is None, whatever is still noted of it.

    Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
    """
    client = aws.client("secretsmanager")
    try:
        secret = client.describe_secret(SecretId=target["resource"]["id"])
    except client.exceptions.ResourceNotFoundException as error:
        raise ResourceGone(target["resource"]["id"]) from error
    rules, own = secret.get("RotationRules") or {}, secret.get("RotationLambdaARN")
    noted = {"function": own, "rules": as_given(rules)}
    function = own or target["parameters"]["rotationFunctionArn"]
    pending = [stages for stages in secret.get("VersionIdsToStages", {}).values() if "AWSPENDING" in stages]
    facts = {
        "noted": noted,
        "function": function,
        "function_name": function.split(":")[6] if function else None,
        "days": days_between(rules),
        "deleted": "DeletedDate" in secret,
        "owner": secret.get("OwningService"),
        "primary": secret.get("PrimaryRegion", target["region"]),
    }
    rotating = any("AWSCURRENT" not in stages for stages in pending)
    busy = "a rotation is under way, or did not end well: a version is AWSPENDING" if rotating else None
    return {"config": {"rotation": noted if secret.get("RotationEnabled") else None}, "facts": facts, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that turns rotation on, or shortens it; [] where it is on and frequent enough."""
    before, facts, parameters = state["config"]["rotation"], state["facts"], target["parameters"]
    most = parameters["maximumAllowedRotationFrequency"]
    # A schedule of its own whose days AWS does not tell is kept where the control sets no limit.
    said = facts["days"] or facts["noted"]["rules"].get("ScheduleExpression")
    frequent = bool(facts["days"] and facts["days"] <= most) if most else bool(said)
    if before and (frequent or not most):
        return []
    if before and not facts["days"]:
        raise CannotRepair(
            "how often its schedule rotates the secret cannot be told", f"give it a rate, at most {most} days"
        )
    if facts["deleted"]:
        raise CannotRepair("the secret is scheduled for deletion", "let it go, or restore it and repair again")
    if facts["owner"]:
        raise CannotRepair(f"{facts['owner']} manages this secret", "turn its rotation on there")
    if facts["primary"] != target["region"]:
        raise CannotRepair("the secret is a replica", f"repair the primary secret in {facts['primary']}")
    if not facts["function"]:
        why = "the secret has no rotation function, and which one fits is known to its owner only"
        raise CannotRepair(why, "give the secret a rotation function, or set rotationFunctionArn")
    place = f"arn:{target['partition']}:lambda:{target['region']}:{target['account']}:function:"
    if not facts["function"].startswith(place):
        raise CannotRepair(
            f"the rotation function {facts['function']} is not in the secret's account and Region",
            "turn rotation on by hand, or set rotationFunctionArn to a function there",
        )
    secret = {"SecretId": target["resource"]["id"]}
    days = min(parameters["rotateAfterDays"], most or 365)
    rules = facts["noted"]["rules"] if frequent else shortened(facts["noted"]["rules"], most if before else days)
    later = {"RotationLambdaARN": facts["function"], "RotateImmediately": False}
    if before:
        undo = call("secretsmanager", "rotate_secret", secret | later | {"RotationRules": before["rules"]})
    else:
        undo = call("secretsmanager", "cancel_rotate_secret", secret, fine=["InvalidRequestException"])
    return [
        call(
            "secretsmanager",
            "rotate_secret",
            secret | later | {"RotationRules": rules, "ClientRequestToken": ref("attempt", "token")},
            undo=[undo],
            explain={
                "AccessDeniedException": "let secretsmanager.amazonaws.com invoke the rotation function",
                "ResourceNotFoundException": "the rotation function is gone: give the secret another one",
            },
        )
    ]


def as_given(rules: dict[str, Any]) -> dict[str, Any]:
    """The rules as RotateSecret takes them: beside a schedule expression the days are only calculated."""
    unsaid = "AutomaticallyAfterDays" if rules.get("ScheduleExpression") else "ScheduleExpression"
    return {name: value for name, value in rules.items() if name != unsaid}


def days_between(rules: dict[str, Any]) -> int | None:
    """Days between two rotations, part of a day counted as one; None where they are not known (yet)."""
    rate = re.fullmatch(r"rate\(([0-9]{1,6}) (hour|day)s?\)", rules.get("ScheduleExpression") or "")
    if rate:
        return -(-int(rate[1]) // 24) if rate[2] == "hour" else int(rate[1])
    return rules.get("AutomaticallyAfterDays")


def shortened(rules: dict[str, Any], days: int) -> dict[str, Any]:
    """The rules with *days* between two rotations; the length of the window stays."""
    if "ScheduleExpression" not in rules:
        return {**rules, "AutomaticallyAfterDays": days}
    return {**rules, "ScheduleExpression": f"rate({days} {'day' if days == 1 else 'days'})"}
