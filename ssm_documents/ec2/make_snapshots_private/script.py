"""EC2.1: take the permission of everybody off the account's EBS snapshots in one Region; shares with accounts stay."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import call

# One snapshot that may not be changed, or is gone, does not keep the others public. The verification afterwards sees
# what is public still: the attempt is then FAILED, and its state names the snapshots.
NOT_THIS_ONE = [
    "AuthFailure", "IncorrectState", "InvalidSnapshot.InUse", "InvalidSnapshot.NotFound", "OperationNotPermitted",
    "UnauthorizedOperation",
]  # fmt: skip
EVERYBODY = [{"Group": "all"}]


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read which of the account's own snapshots anybody may restore.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
    """
    pages = aws.client("ec2").get_paginator("describe_snapshots")
    public = pages.paginate(OwnerIds=["self"], RestorableByUserIds=["all"], PaginationConfig={"PageSize": 1000})
    return {
        "config": {"public": {one["SnapshotId"]: True for page in public for one in page["Snapshots"]}},
        "facts": {},
        "busy": None,
    }


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a call per public snapshot; [] where there is none."""
    return [
        call(
            "ec2",
            "modify_snapshot_attribute",
            permission(snapshot_id, "Remove"),
            skip=NOT_THIS_ONE,
            undo=[
                call(
                    "ec2",
                    "modify_snapshot_attribute",
                    permission(snapshot_id, "Add"),
                    fine=["InvalidSnapshot.NotFound"],
                    leaf=["public", snapshot_id],
                )
            ],
        )
        for snapshot_id in sorted(state["config"]["public"])
    ]


def permission(snapshot_id: str, change: str) -> dict[str, Any]:
    """Return the parameters that add everybody's permission to create volumes from a snapshot, or remove it."""
    return {
        "SnapshotId": snapshot_id,
        "Attribute": "createVolumePermission",
        "CreateVolumePermission": {change: EVERYBODY},
    }
