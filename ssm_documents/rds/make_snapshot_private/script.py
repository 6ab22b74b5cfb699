"""
RDS.1: stop sharing a DB snapshot or DB cluster snapshot with every AWS account.

Accounts that it is shared with by id keep it. Cluster snapshots of DocumentDB and Neptune are the same to this API.
"""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import ResourceGone, call

# AWS's own snapshots, by the first part of their id: describing one asks for its type, too.
OWN = {"rds": "automated", "awsbackup": "awsbackup"}


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read whether every account may restore the snapshot. An automated snapshot cannot be shared.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBSnapshotAttributes.html
    """
    rds, snapshot = aws.client("rds"), target["resource"]["snapshot"]
    type_ = OWN.get(snapshot.partition(":")[0]) if ":" in snapshot else None
    asked = {"SnapshotType": type_} if type_ else {}
    try:
        if of_cluster(target):
            (found,) = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=snapshot, **asked)[
                "DBClusterSnapshots"
            ]
        else:
            (found,) = rds.describe_db_snapshots(DBSnapshotIdentifier=snapshot, **asked)["DBSnapshots"]
    except (rds.exceptions.DBSnapshotNotFoundFault, rds.exceptions.DBClusterSnapshotNotFoundFault) as error:
        raise ResourceGone(snapshot) from error
    shared = [] if found["SnapshotType"] == "automated" else shared_with(rds, target)
    status = found["Status"]
    busy = None if status in ("available", "failed") else f"the snapshot is {status}"
    return {"config": {"public": "all" in shared}, "facts": {"type": found["SnapshotType"]}, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that takes `all` out of who may restore the snapshot; [] where it is not there."""
    if not state["config"]["public"]:
        return []
    name, kind = ("DBClusterSnapshotIdentifier", "cluster_") if of_cluster(target) else ("DBSnapshotIdentifier", "")
    restore = {name: target["resource"]["snapshot"], "AttributeName": "restore"}
    operation = f"modify_db_{kind}snapshot_attribute"
    back = call("rds", operation, restore | {"ValuesToAdd": ["all"]}, leaf=["public"])
    return [call("rds", operation, restore | {"ValuesToRemove": ["all"]}, undo=[back])]


def shared_with(rds: Any, target: dict[str, Any]) -> list[str]:
    """Return the ids of the accounts that may restore the snapshot; `all` is every account."""
    snapshot = target["resource"]["snapshot"]
    if of_cluster(target):
        answer = rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=snapshot)
        attributes = answer["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
    else:
        answer = rds.describe_db_snapshot_attributes(DBSnapshotIdentifier=snapshot)
        attributes = answer["DBSnapshotAttributesResult"]["DBSnapshotAttributes"]
    return [
        value for one in attributes if one["AttributeName"] == "restore" for value in one.get("AttributeValues", [])
    ]


def of_cluster(target: dict[str, Any]) -> bool:
    return bool(target["resource"]["type"] == "AwsRdsDbClusterSnapshot")
