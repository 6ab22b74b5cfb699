"""
Redshift: changes of a cluster take time, and what AWS refuses is refused.

moto changes everything at once and delivers logs into buckets that are not there. Here a change is first pending, then
the cluster is `modifying`, and then the change can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from moto.redshift.models import Cluster, redshift_backends
from moto.redshift.responses import RedshiftResponse
from moto.s3.models import s3_backends

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

PENDING_SECONDS = 5
MODIFYING_SECONDS = 120
_SERVICE = "redshift.amazonaws.com"
_SLOW = ("PubliclyAccessible", "EnhancedVpcRouting", "AutomatedSnapshotRetentionPeriod")
_EXPORTS = ("connectionlog", "userlog", "useractivitylog")


@dataclass(slots=True)
class _Change:
    begins: datetime
    ends: datetime
    shown: dict[str, Any]
    attributes: dict[str, Any]


@dataclass(slots=True)
class _Clusters:
    world: World
    open: dict[str, _Change] = field(default_factory=dict)

    def settle(self, account: str, region: str) -> None:
        """Bring every cluster of the account and Region to where it is by now."""
        now = self.world.clock.now()
        for cluster in redshift_backends[account][region].clusters.values():
            change = self.open.get(cluster.arn)
            if change is None:
                continue
            if now >= change.ends:
                vars(cluster).update(change.attributes)
                cluster.status = "available"
                del self.open[cluster.arn]
            elif now >= change.begins:
                cluster.status = "modifying"


def install(world: World, patches: Patches) -> None:
    """Make moto's Redshift take its time on *world*'s clock, and refuse what AWS refuses."""
    clusters = _Clusters(world)
    original = RedshiftResponse.call_action

    def call_action(response: Any) -> Any:
        clusters.settle(response.current_account, response.region)
        return original(response)

    def pending(cluster: Cluster) -> dict[str, Any]:
        change = clusters.open.get(cluster.arn)
        return dict(change.shown) if change else {}

    patches.attribute(RedshiftResponse, "call_action", call_action)
    patches.attribute(Cluster, "pending_modified_values", property(pending))
    patches.around(RedshiftResponse, "CreateCluster", _create)
    patches.around(RedshiftResponse, "ModifyCluster", lambda *arguments: _modify(clusters, *arguments))
    patches.answer(RedshiftResponse, "EnableLogging", lambda request: _enable_logging(clusters, request))
    patches.answer(RedshiftResponse, "DisableLogging", _disable_logging)
    patches.answer(RedshiftResponse, "DescribeLoggingStatus", lambda request: _logging(_cluster(request)))


def _create(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_CreateCluster.html"""
    days = request.parameters.get("AutomatedSnapshotRetentionPeriod", 1)
    _check_days(days, request.parameters["NodeType"])
    answer = proceed()
    cluster: Any = _cluster(request)
    cluster.automated_snapshot_retention_period = days
    _set_address(cluster, request.parameters.get("ElasticIp"))
    return answer


def _modify(clusters: _Clusters, request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_ModifyCluster.html"""
    cluster: Any = _cluster(request)
    _check_available(cluster, clusters)
    given = request.parameters
    if "AutomatedSnapshotRetentionPeriod" in given:
        _check_days(given["AutomatedSnapshotRetentionPeriod"], cluster.node_type)
    if given.get("ElasticIp") and not given.get("PubliclyAccessible", cluster.publicly_accessible):
        raise Refused("InvalidElasticIpFault", "The Elastic IP is for publicly accessible clusters")
    before = dict(vars(cluster))
    proceed()
    after = dict(vars(cluster))
    shown = {name: given[name] for name in _SLOW if name in given and before.get(xform_name(name)) != given[name]}
    late = {xform_name(name): after[xform_name(name)] for name in shown}
    vars(cluster).update({name: before[name] for name in late})
    if "PubliclyAccessible" in shown:
        late["elastic_ip_status"] = _address(given.get("ElasticIp") if given["PubliclyAccessible"] else None)
    if late:
        begins = clusters.world.clock.now() + timedelta(seconds=PENDING_SECONDS)
        ends = begins + timedelta(seconds=MODIFYING_SECONDS)
        clusters.open[cluster.arn] = _Change(begins, ends, shown, late)
    return {"Cluster": cluster}


def _enable_logging(clusters: _Clusters, request: Request) -> Mapping[str, Any]:
    """
    Sources: https://docs.aws.amazon.com/redshift/latest/APIReference/API_EnableLogging.html and, for the bucket's
    policy, https://docs.aws.amazon.com/redshift/latest/mgmt/db-auditing.html
    """
    cluster, given = _cluster(request), request.parameters
    _check_available(cluster, clusters)
    if given.get("LogDestinationType", "s3") == "cloudwatch":
        exports = given.get("LogExports", [])
        if not exports or set(exports) - set(_EXPORTS):
            raise Refused("UnsupportedOperation", f"LogExports is {exports}: wanted some of {', '.join(_EXPORTS)}")
        status: dict[str, Any] = {"LogDestinationType": "cloudwatch", "LogExports": exports}
    else:
        bucket, prefix = given.get("BucketName", ""), given.get("S3KeyPrefix", "")
        _check_bucket(clusters.world, request, bucket, prefix, cluster.arn)
        status = {"LogDestinationType": "s3", "BucketName": bucket, "S3KeyPrefix": prefix}
    vars(cluster)["logging_details"] = {"LoggingEnabled": True, **status}
    return _logging(cluster)


def _disable_logging(request: Request) -> Mapping[str, Any]:
    """Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_DisableLogging.html"""
    cluster = _cluster(request)
    vars(cluster)["logging_details"] = {"LoggingEnabled": False}
    return _logging(cluster)


def _logging(cluster: Cluster) -> Mapping[str, Any]:
    details = cluster.logging_details
    return details if details["LoggingEnabled"] is True else {"LoggingEnabled": False}


def _check_bucket(world: World, request: Request, bucket: str, prefix: str, cluster_arn: str) -> None:
    if bucket not in s3_backends[request.account][request.partition].buckets:
        raise Refused("BucketNotFoundFault", f"Could not find bucket {bucket!r}.")
    bucket_arn = f"arn:{request.partition}:s3:::{bucket}"
    context = {"aws:SourceAccount": request.account, "aws:SourceArn": cluster_arn}
    log = f"{bucket_arn}/{prefix}AWSLogs/{request.account}/redshift/{request.region}/log.gz"
    for action, resource in (("s3:GetBucketAcl", bucket_arn), ("s3:PutObject", log)):
        try:
            world.identity.authorize_service(_SERVICE, action, resource, context)
        except ClientError as error:
            raise Refused(
                "InsufficientS3BucketPolicyFault",
                f"The policy of bucket {bucket} does not let Redshift look at it and write into it ({action}).",
            ) from error


def _cluster(request: Request) -> Cluster:
    name = request.parameters["ClusterIdentifier"]
    cluster = redshift_backends[request.account][request.region].clusters.get(name)
    if cluster is None:
        raise Refused("ClusterNotFound", f"Cluster {name} not found.")
    return cluster


def _check_available(cluster: Cluster, clusters: _Clusters) -> None:
    if cluster.status != "available" or cluster.arn in clusters.open:
        raise Refused("InvalidClusterState", f"Cluster {cluster.cluster_identifier} is not in available state.")


def _check_days(days: int, node_type: str) -> None:
    if not 0 <= days <= 35 or (days == 0 and node_type.startswith("ra3.")):
        raise Refused(
            "InvalidParameterValue",
            f"The retention period of automated snapshots cannot be {days} days for node type {node_type}.",
        )


def _set_address(cluster: Any, address: str | None) -> None:
    cluster.elastic_ip_status = _address(address)


def _address(address: str | None) -> dict[str, str] | None:
    return {"ElasticIp": address, "Status": "active"} if address else None
