"""SecretsManager.3: schedule the deletion of a secret that nobody reads; only where the user's deleteSecret is set."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read when the secret was made and read last, and whether its deletion is scheduled already.

    Source: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html
    """
    client = aws.client("secretsmanager")
    try:
        secret = client.describe_secret(SecretId=target["resource"]["id"])
    except client.exceptions.ResourceNotFoundException as error:
        raise ResourceGone(target["resource"]["id"]) from error
    read = secret.get("LastAccessedDate")
    facts = {
        "created": secret["CreatedDate"].isoformat(),
        "read": read.isoformat() if read else None,
        "owner": secret.get("OwningService"),
        "primary": secret.get("PrimaryRegion", target["region"]),
        "replicas": sorted(replica["Region"] for replica in secret.get("ReplicationStatus", [])),
    }
    return {"config": {"deletion_scheduled": "DeletedDate" in secret}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that schedules the deletion; [] where the secret is in use, or on its way out already."""
    facts, parameters = state["facts"], target["parameters"]
    limit = datetime.fromisoformat(target["now"]) - timedelta(days=parameters["unusedForDays"])
    # The last read is a day without a time: a secret that was read on the day it was made is as old as itself.
    latest = max(datetime.fromisoformat(at) for at in (facts["created"], facts["read"]) if at)
    if state["config"]["deletion_scheduled"] or latest >= limit:
        return []
    if facts["owner"]:
        raise CannotRepair(
            f"{facts['owner']} manages this secret", "delete the resource it belongs to, if unused, there"
        )
    if facts["primary"] != target["region"]:
        raise CannotRepair(
            "the secret is a replica", f"take the replica away at the primary secret in {facts['primary']}"
        )
    if facts["replicas"]:
        regions = ", ".join(facts["replicas"])
        raise CannotRepair(
            f"the secret has replicas in {regions}", "if these are unused, too, delete the replicas first"
        )
    if not parameters["deleteSecret"]:
        raise CannotRepair(
            f"nobody read the secret for {parameters['unusedForDays']} days, and only its deletion would end that",
            "delete it by hand if nobody needs it, or set deleteSecret",
        )
    secret = {"SecretId": target["resource"]["id"]}
    # Restoring a secret that is not scheduled for deletion is what an undo played twice would do.
    restore = call(
        "secretsmanager", "restore_secret", secret, fine=["InvalidRequestException"], leaf=["deletion_scheduled"]
    )
    window = {"RecoveryWindowInDays": parameters["recoveryWindowDays"]}
    return [call("secretsmanager", "delete_secret", secret | window, undo=[restore])]
