"""SecretsManager.4: rotate a secret now, by its own function and schedule, and wait until the rotation ended well."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call, ref


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read which versions are current and pending, and when the secret rotated last; never a value.

    Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
    """
    client = aws.client("secretsmanager")
    try:
        secret = client.describe_secret(SecretId=target["resource"]["id"])
    except client.exceptions.ResourceNotFoundException as error:
        raise ResourceGone(target["resource"]["id"]) from error
    versions = secret.get("VersionIdsToStages", {})
    current = next((id_ for id_, stages in versions.items() if "AWSCURRENT" in stages), None)
    # Both labels on one version, or no AWSPENDING at all, is what a rotation that ended well leaves.
    pending = next((id_ for id_, stages in versions.items() if "AWSPENDING" in stages and id_ != current), None)
    rotated, function = secret.get("LastRotatedDate"), secret.get("RotationLambdaARN")
    facts = {
        "rotated": rotated.isoformat() if rotated else None,
        "on": bool(secret.get("RotationEnabled")),
        "function": function,
        # A managed rotation has no function of ours to invoke; the policy wants a name.
        "function_name": function.split(":")[6] if function else "none",
        "deleted": "DeletedDate" in secret,
        "primary": secret.get("PrimaryRegion", target["region"]),
    }
    busy = "a rotation is under way, or did not end well: a version is AWSPENDING" if pending else None
    return {"config": {"current": current, "pending": pending}, "facts": facts, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that starts a rotation; [] where the last one is recent enough."""
    facts, days = state["facts"], target["parameters"]["maxDaysSinceRotation"]
    limit = datetime.fromisoformat(target["now"]) - timedelta(days=days)
    if facts["rotated"] and datetime.fromisoformat(facts["rotated"]) >= limit:
        return []
    if facts["deleted"]:
        raise CannotRepair("the secret is scheduled for deletion", "let it go, or restore it and repair again")
    if facts["primary"] != target["region"]:
        raise CannotRepair("the secret is a replica", f"rotate the primary secret in {facts['primary']}")
    if not facts["on"]:
        why = "the automatic rotation of the secret is off, so nothing is there that could rotate it"
        raise CannotRepair(why, "turn its rotation on (SecretsManager.1), or change its value by hand")
    place = f"arn:{target['partition']}:lambda:{target['region']}:{target['account']}:function:"
    if facts["function"] and not facts["function"].startswith(place):
        why = f"the rotation function {facts['function']} is not in the secret's account and Region"
        raise CannotRepair(why, "rotate the secret by hand")
    return [
        call(
            "secretsmanager",
            "rotate_secret",
            # No rules and no function: the secret's own stay.
            {"SecretId": target["resource"]["id"], "ClientRequestToken": ref("attempt", "token")},
            lost="the value that was in use is the version AWSPREVIOUS now",
            explain={
                "AccessDeniedException": "let secretsmanager.amazonaws.com invoke the rotation function",
                "ResourceNotFoundException": "the rotation function is gone: give the secret another one",
            },
        )
    ]
