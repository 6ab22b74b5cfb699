"""EC2.7: turn on the encryption of new EBS volumes in one Region, with a key of the user's choice if there is one."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether new volumes are encrypted, the default key, and the key that a parameter asks for.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetEbsDefaultKmsKeyId.html
    """
    ec2, wanted = aws.client("ec2"), target["parameters"]["kmsKeyId"]
    config = {
        "encrypted": ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"],
        "key": ec2.get_ebs_default_kms_key_id()["KmsKeyId"],
    }
    key = None
    if wanted:
        kms = aws.client("kms")
        try:
            found = kms.describe_key(KeyId=wanted)["KeyMetadata"]
            key = {"arn": found["Arn"], "spec": found["KeySpec"], "state": found["KeyState"]}
        except kms.exceptions.NotFoundException:
            key = None
    return {"config": config, "facts": {"key": key}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the calls that set the key and turn encryption on; [] where it is on, whatever its key.

    Amazon EC2 accepts a key that it cannot use, and launches fail later: so the key is judged here.
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyEbsDefaultKmsKeyId.html
    """
    config, key, wanted = state["config"], state["facts"]["key"], target["parameters"]["kmsKeyId"]
    if config["encrypted"]:
        return []
    calls = []
    if wanted:
        if key is None:
            raise CannotRepair(f"there is no KMS key {wanted} in {target['region']}", "correct the parameter kmsKeyId")
        if (key["spec"], key["state"]) != ("SYMMETRIC_DEFAULT", "Enabled"):
            raise CannotRepair(
                f"EBS needs an enabled symmetric key; {wanted} is {key['spec']} and {key['state']}",
                "enable it, or name another in the parameter kmsKeyId",
            )
        if config["key"] != key["arn"]:
            back = call("ec2", "modify_ebs_default_kms_key_id", {"KmsKeyId": config["key"]}, leaf=["key"])
            if config["key"].endswith("alias/aws/ebs"):
                back = call("ec2", "reset_ebs_default_kms_key_id", {}, leaf=["key"])
            calls.append(call("ec2", "modify_ebs_default_kms_key_id", {"KmsKeyId": key["arn"]}, undo=[back]))
    off = call("ec2", "disable_ebs_encryption_by_default", {}, leaf=["encrypted"])
    return [*calls, call("ec2", "enable_ebs_encryption_by_default", {}, undo=[off])]
