"""
RDS.4: replace an unencrypted manual DB snapshot by an encrypted copy with the same tags.

An automated snapshot and one of AWS Backup cannot be deleted here, one of a cluster cannot be encrypted by copying it.
"""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call, wait

# AWS's own snapshots, by the first part of their id: describing one asks for its type, too.
OWN = {"rds": "automated", "awsbackup": "awsbackup"}
SUFFIX, LONGEST = "-encrypted", 255
MANAGED = "alias/aws/"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the snapshot, its copy by name, whom it is shared with, and the key for the copy.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBSnapshot.html
    """
    rds, name = aws.client("rds"), target["resource"]["snapshot"]
    if of_cluster(target):
        found = one(rds, name, cluster=True)
        if found is None:
            raise ResourceGone(name)
        facts = {"encrypted": found["StorageEncrypted"], "type": found["SnapshotType"]}
        return {"config": {"original": True, "copy": False}, "facts": facts, "busy": None}
    copy_name = name.partition(":")[2] or name
    copy_name = copy_name[: LONGEST - len(SUFFIX)].rstrip("-") + SUFFIX
    found, copy = one(rds, name), one(rds, copy_name)
    if found is None and not (copy and copy["Encrypted"]):
        raise ResourceGone(name)
    facts = {"copy_name": copy_name, "copy": None, "key_account": target["account"], "key_id": "none"}
    config = {"original": found is not None, "copy": copy is not None}
    if found is None:
        return {"config": config, "facts": facts, "busy": None}
    facts |= {"encrypted": found["Encrypted"], "type": found["SnapshotType"], "status": found["Status"], "shared": []}
    if not found["Encrypted"] and found["SnapshotType"] == "manual":
        facts["shared"] = shared_with(rds, name)
        facts |= {} if copy else key_of(aws, target)
    if copy:
        facts["copy"] = {
            "encrypted": copy["Encrypted"],
            "status": copy["Status"],
            "same": made_of(copy) == made_of(found),
            "tags": tags_of(found).items() <= tags_of(copy).items(),
        }
    names = ((name, found), (copy_name, copy or found))
    at_work = [f"the snapshot {n} is {s['Status']}" for n, s in names if s["Status"] not in ("available", "failed")]
    return {"config": config, "facts": facts, "busy": at_work[0] if at_work else None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return copy, wait and deletion, or what is left of them; [] where the snapshot is encrypted or replaced.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_CopySnapshot.html
    """
    facts, name = state["facts"], target["resource"]["snapshot"]
    if not state["config"]["original"] or facts["encrypted"]:
        return []
    refuse(facts, target)
    copy, copy_name = facts["copy"], facts["copy_name"]
    delete = call(
        "rds",
        "delete_db_snapshot",
        {"DBSnapshotIdentifier": name},
        final="the unencrypted snapshot is deleted; its encrypted copy stays",
        fine=["DBSnapshotNotFound"],
    )
    if copy:
        return [delete]
    key = target["parameters"]["kmsKeyId"]
    own = f"let this role use {key}: kms:CreateGrant and kms:DescribeKey in the key's policy"
    no_own = "make any encrypted database in this Region once, which makes that key, or set kmsKeyId"
    explain = {
        "KMSKeyNotAccessibleFault": no_own if key.startswith(MANAGED) else own,
        "SnapshotQuotaExceeded": "delete manual snapshots that nobody needs, or have the quota raised",
    }
    back = call("rds", "delete_db_snapshot", {"DBSnapshotIdentifier": copy_name}, fine=["DBSnapshotNotFound"])
    request = {
        "SourceDBSnapshotIdentifier": name,
        "TargetDBSnapshotIdentifier": copy_name,
        "KmsKeyId": key,
        "CopyTags": True,
    }
    made = call("rds", "copy_db_snapshot", request, undo=[back | {"leaf": ["copy"]}], explain=explain)
    return [made, wait(f"the encrypted copy {copy_name} is being made", 60), delete]


def refuse(facts: dict[str, Any], target: dict[str, Any]) -> None:
    """Raise CannotRepair for a snapshot that must not, or cannot, be replaced by its copy."""
    if of_cluster(target):
        raise CannotRepair(
            "Amazon RDS cannot encrypt a snapshot of a cluster by copying it",
            "restore it with a KMS key into a new cluster, make a snapshot of that, then delete both by hand",
        )
    if facts["type"] == "awsbackup":
        raise CannotRepair(
            "the snapshot belongs to AWS Backup, and only AWS Backup can delete it",
            "encrypt the database, then delete this recovery point from its vault",
        )
    if facts["type"] != "manual":
        raise CannotRepair(
            f"a snapshot that is {facts['type']} cannot be deleted, it goes when its retention ends",
            "encrypt the database: its next snapshots are encrypted, too",
        )
    if not target["parameters"]["deleteOriginal"]:
        raise CannotRepair(
            "the control fails while the unencrypted snapshot exists, and nothing is deleted without being asked",
            "copy it with a KMS key and delete it by hand, or set deleteOriginal",
        )
    if facts["shared"]:
        raise CannotRepair(
            f"the snapshot is shared with {', '.join(facts['shared'][:5])}, and its copy would not be",
            "share a copy under a key that they may use, or stop sharing it; repair again",
        )
    copy, name = facts["copy"], facts["copy_name"]
    if copy is None and facts["key"] != "usable":
        key = facts["key"]
        raise CannotRepair(
            f"{target['parameters']['kmsKeyId']} is {key}", "set kmsKeyId to an enabled key of this Region"
        )
    if "failed" in (facts["status"], copy and copy["status"]):
        raise CannotRepair("the snapshot, or its copy, failed", f"delete {name} if it is there, and repair again")
    if copy and not (copy["encrypted"] and copy["same"]):
        raise CannotRepair(f"{name} exists, and is no encrypted copy of it", "rename or delete that one, repair again")
    if copy and copy["status"] == "available" and not copy["tags"]:
        raise CannotRepair(f"the copy {name} lacks tags of it", "give it the same tags, or delete it; repair again")


def one(rds: Any, name: str, cluster: bool = False) -> Any:
    """Return the snapshot, None where there is none."""
    prefix = name.partition(":")[0] if ":" in name else ""
    asked = {"SnapshotType": OWN[prefix]} if prefix in OWN else {}
    try:
        if cluster:
            answer = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name, **asked)["DBClusterSnapshots"]
        else:
            answer = rds.describe_db_snapshots(DBSnapshotIdentifier=name, **asked)["DBSnapshots"]
    except (rds.exceptions.DBSnapshotNotFoundFault, rds.exceptions.DBClusterSnapshotNotFoundFault):
        return None
    return answer[0] if answer else None


def made_of(snapshot: Any) -> tuple[Any, ...]:
    """Return what a snapshot and its copies have in common: of which instance, and when it was made first."""
    first = snapshot.get("OriginalSnapshotCreateTime") or snapshot.get("SnapshotCreateTime")
    return snapshot["DBInstanceIdentifier"], snapshot.get("DbiResourceId"), first


def tags_of(snapshot: Any) -> dict[str, str]:
    tags = {tag["Key"]: tag["Value"] for tag in snapshot.get("TagList", [])}
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}


def shared_with(rds: Any, name: str) -> list[str]:
    answer = rds.describe_db_snapshot_attributes(DBSnapshotIdentifier=name)
    attributes = answer["DBSnapshotAttributesResult"]["DBSnapshotAttributes"]
    return [v for one in attributes if one["AttributeName"] == "restore" for v in one.get("AttributeValues", [])]


def key_of(aws: Any, target: dict[str, Any]) -> dict[str, str]:
    """Return key (`usable`, or what it is instead), and its account and id, for the session's policy."""
    wanted = target["parameters"]["kmsKeyId"]
    if wanted.startswith(MANAGED):
        return {"key": "usable" if wanted == MANAGED + "rds" else "the key of another service"}
    if wanted.startswith("arn:") and wanted.split(":")[1:4:2] != [target["partition"], target["region"]]:
        return {"key": "not of this Region"}
    kms = aws.client("kms")
    try:
        found = kms.describe_key(KeyId=wanted)["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        return {"key": "not there"}
    good = found["KeyState"] == "Enabled" and found["KeySpec"] == "SYMMETRIC_DEFAULT"
    state = "usable" if good else f"{found['KeyState']} and {found['KeySpec']}"
    return {"key": state, "key_account": found["Arn"].split(":")[4], "key_id": found["KeyId"]}


def of_cluster(target: dict[str, Any]) -> bool:
    return bool(target["resource"]["type"] == "AwsRdsDbClusterSnapshot")
