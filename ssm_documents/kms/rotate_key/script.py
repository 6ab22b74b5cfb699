"""KMS.4: turn on the automatic rotation of a customer managed key's material."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the key and whether it rotates.

    Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_GetKeyRotationStatus.html
    """
    kms, key_id = aws.client("kms"), target["resource"]["key_id"]
    try:
        key = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    except kms.exceptions.NotFoundException as error:
        raise ResourceGone(key_id) from error
    primary = key.get("MultiRegionConfiguration", {}).get("PrimaryKey", {}).get("Region", target["region"])
    rotates = aws.client("kms", primary).get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"]
    facts = {
        "spec": key["KeySpec"],
        "state": key["KeyState"],
        "origin": key["Origin"],
        "manager": key["KeyManager"],
        "primary": primary,
    }
    return {"config": {"rotates": rotates}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that turns rotation on; [] where it is on. Only symmetric keys with AWS's own material rotate."""
    facts = state["facts"]
    if state["config"]["rotates"]:
        return []
    if facts["state"] in ("PendingDeletion", "PendingReplicaDeletion"):
        raise CannotRepair("the key is scheduled for deletion", "let it go, or cancel the deletion and repair again")
    if facts["manager"] != "CUSTOMER":
        raise CannotRepair("AWS manages this key and its rotation", "suppress the finding")
    if facts["spec"] != "SYMMETRIC_DEFAULT":
        raise CannotRepair(f"AWS KMS rotates symmetric keys only; this is {facts['spec']}", "rotate it by hand")
    if facts["origin"] != "AWS_KMS":
        raise CannotRepair(f"AWS KMS cannot rotate material of origin {facts['origin']}", "rotate it by hand")
    if facts["state"] != "Enabled":
        raise CannotRepair(f"the key is {facts['state']}", "enable it, or schedule its deletion, then repair again")
    key = {"KeyId": target["resource"]["key_id"]}
    denied = "the key policy does not let IAM decide: let the account's root or this role manage the key"
    return [
        call(
            "kms",
            "enable_key_rotation",
            key | {"RotationPeriodInDays": target["parameters"]["rotationPeriodDays"]},
            region=facts["primary"],
            undo=[call("kms", "disable_key_rotation", key, region=facts["primary"])],
            explain={"AccessDeniedException": denied},
        )
    ]
