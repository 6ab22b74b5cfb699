"""
RDS: a copy of a snapshot takes time, is refused where AWS refuses it, and not every snapshot can be deleted.

moto copies at once, from whatever state, under any key, and deletes what belongs to AWS.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from moto.kms.models import kms_backends
from moto.rds.models import rds_backends
from moto.rds.responses import RDSResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

COPYING_SECONDS = 900
AWS_MANAGED_KEY = "alias/aws/rds"


def install(world: World, patches: Patches) -> None:
    """Make moto's copies of snapshots take their time on *world*'s clock, and refuse what AWS refuses."""
    original = RDSResponse.call_action

    def call_action(response: Any) -> Any:
        _settle(world, response.current_account, response.region)
        return original(response)

    patches.attribute(RDSResponse, "call_action", call_action)
    patches.around(RDSResponse, "CopyDBSnapshot", lambda *arguments: _copy(world, *arguments))
    patches.around(RDSResponse, "CopyDBClusterSnapshot", _copy_of_cluster)
    patches.around(RDSResponse, "DeleteDBSnapshot", _delete)


def _settle(world: World, account: str, region: str) -> None:
    now = world.clock.now()
    snapshots: Any = rds_backends[account][region].database_snapshots
    for snapshot in snapshots.values():
        due = getattr(snapshot, "copied_at", None)
        if due is not None and due <= now:
            snapshot.status, snapshot.copied_at = "available", None


def _copy(world: World, request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBSnapshot.html"""
    backend, asked = rds_backends[request.account][request.region], request.parameters
    source = backend.database_snapshots.get(re.sub(r"^arn:.*:snapshot:", "", asked["SourceDBSnapshotIdentifier"]))
    if source is None:
        raise Refused("DBSnapshotNotFound", f"DBSnapshot {asked['SourceDBSnapshotIdentifier']} not found.")
    if source.status != "available":
        raise Refused("InvalidDBSnapshotState", f"the snapshot is {source.status}, not available")
    if "KmsKeyId" in asked:
        _check_key(request, asked["KmsKeyId"])
    proceed()
    copy: Any = backend.database_snapshots[asked["TargetDBSnapshotIdentifier"]]
    copy.status, copy.copied_at = "creating", world.clock.now() + timedelta(seconds=COPYING_SECONDS)
    return {"DBSnapshot": copy}


def _copy_of_cluster(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBClusterSnapshot.html"""
    source = rds_backends[request.account][request.region].cluster_snapshots.get(
        re.sub(r"^arn:.*:cluster-snapshot:", "", request.parameters["SourceDBClusterSnapshotIdentifier"])
    )
    if source is not None and "KmsKeyId" in request.parameters and not source.storage_encrypted:
        raise Refused("InvalidParameterCombination", "KmsKeyId cannot be given for an unencrypted DB cluster snapshot.")
    return proceed()


def _delete(request: Request, proceed: Callable[[], Any]) -> Any:
    """
    Refuse AWS's own snapshots; a copy under way may be deleted, which cancels it.

    Sources: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBSnapshot.html and
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_CopySnapshot.html
    """
    id_ = request.parameters["DBSnapshotIdentifier"]
    snapshot = rds_backends[request.account][request.region].database_snapshots.get(id_)
    if snapshot is not None and snapshot.snapshot_type != "manual":
        raise Refused(
            "InvalidDBSnapshotState", f"only a manual snapshot can be deleted; this is {snapshot.snapshot_type}"
        )
    return proceed()


def _check_key(request: Request, key_id: str) -> None:
    """Raise Refused for a key that is not there or not enabled; RDS makes its AWS managed key when first needed."""
    if key_id == AWS_MANAGED_KEY:
        return
    region, account = request.region, request.account
    if key_id.startswith("arn:"):
        region, account = key_id.split(":")[3:5]
    backend = kms_backends[account][region]
    try:
        key = backend.describe_key(key_id)
    except KeyError:
        key = None
    if region != request.region or key is None or key.key_state != "Enabled":
        raise Refused("KMSKeyNotAccessibleFault", f"The KMS key {key_id} does not exist, is not enabled, or not yours.")
