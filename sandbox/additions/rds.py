"""
RDS: changes take time, and are refused where AWS refuses them.

moto changes everything at once. Here an instance or cluster is `modifying` for two minutes of the world's clock, or
waits for its maintenance window, before a change can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from moto.rds.models import DBInstance, rds_backends
from moto.rds.responses import RDSResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

MODIFYING_SECONDS = 120
_READY = ("available", "storage-full", "storage-optimization")
_INSTANT = (
    "AutoMinorVersionUpgrade",
    "CloudwatchLogsExportConfiguration",
    "CopyTagsToSnapshot",
    "DeletionProtection",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
)
_IN_MAINTENANCE_WINDOW = (
    "AllocatedStorage",
    "BackupRetentionPeriod",
    "CACertificateIdentifier",
    "DBInstanceClass",
    "DBSubnetGroupName",
    "EnableIAMDatabaseAuthentication",
    "EngineVersion",
    "Iops",
    "LicenseModel",
    "MultiAZ",
    "OptionGroupName",
    "ProcessorFeatures",
    "StorageThroughput",
    "StorageType",
)
"""
What waits for the window without ApplyImmediately; everything else, PubliclyAccessible above all, does not.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html
"""

_CLUSTERS_OWN = (
    "BackupRetentionPeriod",
    "DeletionProtection",
    "EnableIAMDatabaseAuthentication",
    "MasterUserPassword",
    "MultiAZ",
    "PreferredBackupWindow",
)
_MEMBERS_OF_THEIR_OWN = ("aurora", "docdb", "neptune")
"""
Engines whose clusters have instances that can be modified; those of a Multi-AZ DB cluster cannot.

Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/modify-multi-az-db-cluster.html
"""

_MONITORING_SERVICE = "monitoring.rds.amazonaws.com"
_MONITORING_SECONDS = (0, 1, 5, 10, 15, 30, 60)
_ATTRIBUTES = {"DBPortNumber": "port"}
_CLUSTER_ATTRIBUTES = {"EnableIAMDatabaseAuthentication": "iam_auth", "Port": "port"}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(slots=True)
class _Change:
    resource: Any
    attributes: dict[str, Any]
    due: datetime
    modifying: bool


class _Changes:
    def __init__(self, world: World) -> None:
        self.world = world
        self.open: dict[tuple[str, str], list[_Change]] = {}

    def settle(self, account: str, region: str) -> None:
        """Make every change visible whose time has come."""
        now = self.world.clock.now()
        waiting = self.open.get((account, region), [])
        for change in [change for change in waiting if change.due <= now]:
            waiting.remove(change)
            vars(change.resource).update(change.attributes)
            if change.modifying:
                change.resource.status = "available"
            self._show_pending(change.resource, waiting)

    def defer(self, request: Request, resource: Any, proceed: Callable[[], Any], names: Mapping[str, str]) -> None:
        """
        Let moto make a change, so that it checks it, then hide what takes time.

        *names* are moto's attributes where they are not the parameter's name in snake case.
        """
        before = dict(vars(resource))
        proceed()
        after = dict(vars(resource))
        wanted = {names.get(name, xform_name(name)): name for name in request.parameters}
        wanted |= {f"_{attribute}": name for attribute, name in wanted.items()}  # what moto keeps behind a property
        for name, value in request.parameters.items():
            if name in names:
                after[names[name]] = value
        changed = {k: v for k, v in after.items() if (k in before or k in wanted) and before.get(k) != v}
        changed.pop("apply_immediately", None)
        vars(resource).clear()
        vars(resource).update(before)
        instant = {k: v for k, v in changed.items() if wanted.get(k) in _INSTANT}
        vars(resource).update(instant)
        rest = {k: v for k, v in changed.items() if k not in instant}
        waiting = self.open.setdefault((request.account, request.region), [])
        self._supersede(resource, set(wanted), waiting)
        at_once = bool(request.parameters.get("ApplyImmediately"))
        late = {} if at_once else {k: v for k, v in rest.items() if wanted.get(k) in _IN_MAINTENANCE_WINDOW}
        now = {k: v for k, v in rest.items() if k not in late}
        if at_once:
            for change in [change for change in waiting if change.resource is resource]:
                now = {**change.attributes, **now}
                waiting.remove(change)
        clock = self.world.clock.now()
        if now:
            resource.status = "modifying"
            waiting.append(_Change(resource, now, clock + timedelta(seconds=MODIFYING_SECONDS), True))
        if late:
            window = next_window(resource.preferred_maintenance_window, clock)
            waiting.append(_Change(resource, late, window + timedelta(seconds=MODIFYING_SECONDS), False))
        self._show_pending(resource, waiting)

    def _supersede(self, resource: Any, asked: set[str], waiting: list[_Change]) -> None:
        """
        Let a new request for what waits for the window take its place; one for the value as it is takes it back.

        Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ModifyInstance.ApplyImmediately.html
        """
        for change in [change for change in waiting if change.resource is resource and not change.modifying]:
            change.attributes = {k: v for k, v in change.attributes.items() if k not in asked}
            if not change.attributes:
                waiting.remove(change)

    def _show_pending(self, resource: Any, waiting: list[_Change]) -> None:
        """Show what is still to come as PendingModifiedValues, as far as that structure has it."""
        mine = [change for change in waiting if change.resource is resource]
        pending = {k.removeprefix("_"): v for change in mine for k, v in change.attributes.items()}
        shown = {
            "allocated_storage": "AllocatedStorage",
            "backup_retention_period": "BackupRetentionPeriod",
            "ca_certificate_identifier": "CACertificateIdentifier",
            "db_instance_class": "DBInstanceClass",
            "engine_version": "EngineVersion",
            "iops": "Iops",
            "multi_az": "MultiAZ",
            "port": "Port",
            "storage_type": "StorageType",
        }
        resource.pending_modified_values = {name: pending[key] for key, name in shown.items() if key in pending}


def _monitoring_stream(instance: Any) -> str | None:
    """
    Return the ARN of the log stream that Enhanced Monitoring writes to, where it is on.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html
    """
    if not instance.monitoring_interval:
        return None
    where = f"{instance.region}:{instance.account_id}"
    return f"arn:{instance.partition}:logs:{where}:log-group:RDSOSMetrics:log-stream:{instance.dbi_resource_id}"


def install(world: World, patches: Patches) -> None:
    """Make moto's RDS take its time on *world*'s clock, and refuse what AWS refuses."""
    changes = _Changes(world)
    original = RDSResponse.call_action

    def call_action(response: Any) -> Any:
        changes.settle(response.current_account, response.region)
        return original(response)

    patches.attribute(RDSResponse, "call_action", call_action)
    patches.attribute(DBInstance, "enhanced_monitoring_resource_arn", property(_monitoring_stream))
    patches.around(RDSResponse, "ModifyDBInstance", lambda *arguments: _modify_instance(changes, *arguments))
    patches.around(RDSResponse, "ModifyDBCluster", lambda *arguments: _modify_cluster(changes, *arguments))
    patches.around(RDSResponse, "CreateDBSnapshot", _create_snapshot)
    patches.around(RDSResponse, "ModifyDBSnapshotAttribute", _modify_snapshot)
    patches.around(RDSResponse, "ModifyDBClusterSnapshotAttribute", _modify_cluster_snapshot)


def next_window(window: str, now: datetime) -> datetime:
    """Return when a maintenance window such as `wed:06:38-wed:07:08` (UTC) opens next."""
    day, hour, minute = window.split("-")[0].split(":")
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = (_DAYS.index(day) - midnight.weekday()) % 7
    start = midnight + timedelta(days=days, hours=int(hour), minutes=int(minute))
    return start if start > now else start + timedelta(days=7)


def _modify_instance(changes: _Changes, request: Request, proceed: Callable[[], Any]) -> Any:
    """
    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBInstance.html and, for a stopped
    instance, https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html
    """
    instance = _instance(request)
    if instance is None or "NewDBInstanceIdentifier" in request.parameters:
        return proceed()
    _check_ready(instance)
    if instance.db_cluster_identifier:
        if not instance.engine.startswith(_MEMBERS_OF_THEIR_OWN):
            raise Refused(
                "InvalidParameterCombination",
                "The DB instance is part of a Multi-AZ DB cluster: modify the cluster with ModifyDBCluster.",
            )
        for name in _CLUSTERS_OWN:
            if name in request.parameters:
                raise Refused(
                    "InvalidParameterCombination",
                    f"The DB instance is a member of a cluster: change {name} of the cluster with ModifyDBCluster.",
                )
    _check_monitoring(changes.world, request, instance)
    changes.defer(request, instance, proceed, _ATTRIBUTES)
    return {"DBInstance": instance}


def _check_monitoring(world: World, request: Request, instance: Any) -> None:
    """Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Monitoring.OS.Enabling.html"""
    interval = request.parameters.get("MonitoringInterval", instance.monitoring_interval)
    role = request.parameters.get("MonitoringRoleArn")
    if interval not in _MONITORING_SECONDS:
        raise Refused("InvalidParameterValue", f"Invalid monitoring interval: {interval}")
    if role and not interval:
        raise Refused("InvalidParameterCombination", "MonitoringRoleArn needs a MonitoringInterval other than 0.")
    if interval and not (role or instance.monitoring_role_arn):
        raise Refused("InvalidParameterCombination", "A MonitoringInterval other than 0 needs a MonitoringRoleArn.")
    if role is None:
        return
    context = {"aws:SourceAccount": request.account, "aws:SourceArn": instance.db_instance_arn}
    try:
        world.identity.service_assumes_role(_MONITORING_SERVICE, role, "rds-monitoring", context)
    except ClientError as error:
        raise Refused(
            "InvalidParameterValue",
            "The IAM role ARN value is invalid or does not include the required permissions for: ENHANCED_MONITORING",
        ) from error


def _modify_cluster(changes: _Changes, request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBCluster.html"""
    backend = rds_backends[request.account][request.region]
    id_ = request.parameters["DBClusterIdentifier"].rsplit(":", 1)[-1]
    cluster = backend.clusters.get(id_)
    if cluster is None:
        raise Refused("DBClusterNotFoundFault", f"DBCluster {id_} not found.")
    if "NewDBClusterIdentifier" in request.parameters:
        return proceed()
    if cluster.status not in _READY:
        raise Refused("InvalidDBClusterStateFault", f"DB cluster {id_} is in {cluster.status} state.")
    changes.defer(request, cluster, proceed, _CLUSTER_ATTRIBUTES)
    if "AutoMinorVersionUpgrade" in request.parameters and not cluster.engine.startswith(_MEMBERS_OF_THEIR_OWN):
        for member in cluster.members:
            member.auto_minor_version_upgrade = cluster.auto_minor_version_upgrade
    return {"DBCluster": cluster}


def _create_snapshot(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSnapshot.html"""
    instance = _instance(request)
    if instance is not None:
        _check_ready(instance)
    return proceed()


def _modify_snapshot(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBSnapshotAttribute.html"""
    id_ = request.parameters["DBSnapshotIdentifier"]
    snapshot = rds_backends[request.account][request.region].database_snapshots.get(id_)
    _check_shareable(snapshot, request, "InvalidDBSnapshotState")
    return proceed()


def _modify_cluster_snapshot(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBClusterSnapshotAttribute.html"""
    id_ = request.parameters["DBClusterSnapshotIdentifier"]
    snapshot = rds_backends[request.account][request.region].cluster_snapshots.get(id_)
    _check_shareable(snapshot, request, "InvalidDBClusterSnapshotStateFault")
    return proceed()


def _check_shareable(snapshot: Any, request: Request, code: str) -> None:
    if snapshot is None:
        return
    if snapshot.snapshot_type != "manual":
        raise Refused(code, f"only a manual snapshot can be shared, and this one is {snapshot.snapshot_type}")
    encrypted = any(getattr(part, "storage_encrypted", False) for part in _parts(snapshot))
    if encrypted and "all" in request.parameters.get("ValuesToAdd", []):
        raise Refused(code, "an encrypted snapshot cannot be shared with 'all'")


def _parts(snapshot: Any) -> Iterator[Any]:
    """Give a snapshot and what it was made of, whichever of them moto keeps the encryption on."""
    yield snapshot
    for name in ("database", "cluster"):
        if hasattr(snapshot, name):
            yield getattr(snapshot, name)


def _instance(request: Request) -> Any:
    id_ = request.parameters["DBInstanceIdentifier"].rsplit(":", 1)[-1]
    return rds_backends[request.account][request.region].databases.get(id_)


def _check_ready(instance: Any) -> None:
    if instance.status not in _READY:
        raise Refused(
            "InvalidDBInstanceState",
            f"Database instance {instance.db_instance_identifier} is {instance.status}, not available.",
        )
