"""Redshift.4: turn audit logging of a cluster on, into the account's log bucket or into CloudWatch Logs."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, auxiliary, call

# Every other status but these passes by itself.
# Source: https://docs.aws.amazon.com/redshift/latest/mgmt/rs-mgmt_cluster-status.html
READY = ("available", "storage-full")
STUCK = (
    "paused", "hardware-failure", "incompatible-hsm", "incompatible-network", "incompatible-parameters",
    "incompatible-restore",
)  # fmt: skip
EXPORTS = ["connectionlog", "useractivitylog", "userlog"]


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read where the cluster logs to, if anywhere; when it last could is no configuration.

    Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_DescribeLoggingStatus.html
    """
    redshift, name = aws.client("redshift"), target["resource"]["cluster"]
    try:
        (found,) = redshift.describe_clusters(ClusterIdentifier=name)["Clusters"]
        status = redshift.describe_logging_status(ClusterIdentifier=name)
    except redshift.exceptions.ClusterNotFoundFault as error:
        raise ResourceGone(name) from error
    logging = None
    if status["LoggingEnabled"]:
        logging = {
            "destination": status.get("LogDestinationType", "s3"),
            "bucket": status.get("BucketName"),
            "prefix": status.get("S3KeyPrefix"),
            "exports": sorted(status.get("LogExports", [])),
        }
    facts: dict[str, Any] = {"status": found["ClusterStatus"]}
    if target["parameters"]["destination"] == "s3":
        facts["aux"] = {"log_bucket": aws.auxiliary("log_bucket")}
    busy = None if facts["status"] in READY + STUCK else f"the cluster is {facts['status']}"
    return {"config": {"logging": logging}, "facts": facts, "busy": busy}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the calls that turn logging on; [] where it is on, wherever to.

    Source: https://docs.aws.amazon.com/redshift/latest/APIReference/API_EnableLogging.html
    """
    if state["config"]["logging"]:
        return []
    facts, name = state["facts"], target["resource"]["cluster"]
    if facts["status"] in STUCK:
        to_do = "resume it, and repair again" if facts["status"] == "paused" else "mend or delete it"
        raise CannotRepair(f"the cluster is {facts['status']}", to_do)
    who, before = {"ClusterIdentifier": name}, []
    if target["parameters"]["destination"] == "s3":
        before.append(auxiliary("log_bucket"))
        where = {"BucketName": facts["aux"]["log_bucket"]["name"], "S3KeyPrefix": f"redshift/{name}/"}
        goes = {"LogDestinationType": "s3", **where}
    else:
        goes = {"LogDestinationType": "cloudwatch", "LogExports": EXPORTS}
    enable = call(
        "redshift",
        "enable_logging",
        who | goes,
        undo=[call("redshift", "disable_logging", who, leaf=["logging"], retry=["InvalidClusterState"])],
        # A bucket or a policy that is new may not be seen yet.
        retry=["BucketNotFoundFault", "InsufficientS3BucketPolicyFault", "InvalidClusterState"],
        explain={"InvalidClusterState": "wait until the cluster is available, and repair again"},
    )
    return [*before, enable]
