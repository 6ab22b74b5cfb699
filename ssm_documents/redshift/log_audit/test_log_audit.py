"""Redshift.4: a cluster is logged, each under a prefix of its own, and a target that is set already stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.policies import session_policy
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "redshift/log_audit"
NAME = "silent-for-redshift-4"


def cluster(b: Bench, name: str = NAME) -> str:
    b.client("redshift").create_cluster(
        ClusterIdentifier=name, NodeType="ra3.large", MasterUsername="owner", MasterUserPassword="Not-a-secret-1"
    )
    return b.arn("redshift", f"cluster:{name}")


def to_cloudwatch(b: Bench) -> str:
    return cluster(b, "silent-group-for-redshift-4")


def status(b: Bench, resource_id: str) -> dict[str, Any]:
    name = resource_id.rsplit(":", 1)[-1]
    found = b.client("redshift").describe_logging_status(ClusterIdentifier=name)
    return {key: value for key, value in found.items() if key != "ResponseMetadata"}


def logged(b: Bench, resource_id: str) -> bool:
    return bool(status(b, resource_id)["LoggingEnabled"])


CASES = [
    Case("Redshift.4", "a cluster without logging", cluster, logged),
    Case(
        "Redshift.4",
        "to CloudWatch Logs, in another Region",
        to_cloudwatch,
        logged,
        settings={"destination": "cloudwatch"},
        region="eu-west-1",
    ),
]


def test_each_cluster_logs_under_a_prefix_of_its_own_into_one_private_bucket() -> None:
    with bench(ID) as b:
        arns = [cluster(b), cluster(b, "another-for-redshift-4")]
        for arn in arns:
            assert b.attempt("Redshift.4", arn).finish()["outcome"] == "REMEDIATED"

        bucket = f"sharr-logs-{b.account}-{b.region}"
        assert [status(b, arn)["BucketName"] for arn in arns] == [bucket] * 2
        prefixes = [status(b, arn)["S3KeyPrefix"] for arn in arns]
        assert prefixes == [f"redshift/{NAME}/", "redshift/another-for-redshift-4/"]
        assert b.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["Expiration"] == {
            "Days": 365
        }
        statements = json.loads(b.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        redshift = [s for s in statements if s["Sid"].startswith("SharrRedshift")]
        assert {s["Condition"]["StringEquals"]["aws:SourceAccount"] for s in redshift} == {b.account}


def test_all_logs_go_to_cloudwatch_where_that_was_chosen_and_no_bucket_is_made() -> None:
    with bench(ID) as b:
        arn = cluster(b)
        settings = {"destination": "cloudwatch"}

        assert b.attempt("Redshift.4", arn, settings=settings).finish()["outcome"] == "REMEDIATED"
        assert set(status(b, arn)["LogExports"]) == {"connectionlog", "userlog", "useractivitylog"}
        assert b.client("s3").list_buckets()["Buckets"] == []


def test_a_log_target_that_is_set_already_is_not_overwritten() -> None:
    with bench(ID) as b:
        arn = cluster(b)
        b.client("redshift").enable_logging(
            ClusterIdentifier=NAME, LogDestinationType="cloudwatch", LogExports=["userlog"]
        )
        with b.watched() as calls:
            result = b.remediate("Redshift.4", arn)

        assert result["outcome"] == "COMPLIANT"
        assert not b.writes(calls)
        assert status(b, arn)["LogExports"] == ["userlog"]


def test_an_undo_keeps_the_bucket_and_leaves_the_target_of_somebody_else_alone() -> None:
    with bench(ID) as b:
        arn = cluster(b)
        attempt = b.attempt("Redshift.4", arn)
        attempt.finish()
        b.client("redshift").enable_logging(
            ClusterIdentifier=NAME, LogDestinationType="cloudwatch", LogExports=["userlog"]
        )

        assert attempt.undo()["outcome"] == "SKIPPED"
        assert status(b, arn)["LogExports"] == ["userlog"]
        assert [one["Name"] for one in b.client("s3").list_buckets()["Buckets"]]


def test_a_bucket_that_is_not_ours_is_refused_before_the_first_call() -> None:
    with bench(ID) as b:
        arn = cluster(b)
        b.client("s3").create_bucket(Bucket=f"sharr-logs-{b.account}-{b.region}")
        with b.watched() as calls:
            result = b.remediate("Redshift.4", arn)

        assert result["outcome"] == "FAILED"
        assert "not ours" in result["why"]
        assert not b.writes(calls)


def test_the_role_may_put_objects_below_the_clusters_own_prefix_and_nowhere_else() -> None:
    """Redshift asks it of who turns logging on: https://docs.aws.amazon.com/redshift/latest/mgmt/db-auditing.html"""
    with bench(ID) as b:
        resource = b.target("Redshift.4", cluster(b))["resource"]
        values = {"partition": b.partition, "account": b.account, "region": b.region, **resource}
        policy = json.loads(session_policy(b.remediation, ("read", "write"), values, ["enable_logging"]))

        on = [s["Resource"] for s in policy["Statement"] if "s3:PutObject" in s["Action"]]
        assert on == [f"arn:aws:s3:::sharr-logs-{b.account}-{b.region}/redshift/{NAME}/*"]


def test_a_paused_cluster_is_left_to_a_person_at_once() -> None:
    with bench(ID) as b:
        arn = cluster(b)
        b.client("redshift").pause_cluster(ClusterIdentifier=NAME)
        with b.watched() as calls:
            result = b.remediate("Redshift.4", arn)

        assert result["outcome"] == "FAILED"
        assert "resume" in result["to_do"]
        assert not b.writes(calls)


def test_a_cluster_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("Redshift.4", b.arn("redshift", "cluster:gone"))["outcome"] == "COMPLIANT"


ON = {"destination": "s3", "bucket": "theirs", "prefix": "", "exports": []}


def plan(logging: Any, status: str = "available", destination: str = "s3") -> list[str]:
    aux = {"log_bucket": {"name": "b", "is": "ours"}}
    state = {"config": {"logging": logging}, "facts": {"status": status, "aux": aux}, "busy": None}
    target = {"resource": {"cluster": NAME}, "parameters": {"destination": destination, "keepDays": 365}}
    made = code_of(remediation_of(ID)).plan(state, target)
    return [one.get("auxiliary") or one["operation"] for one in made]


@pytest.mark.parametrize(
    ("logging", "destination", "calls"),
    [
        (None, "s3", ["log_bucket", "enable_logging"]),
        (None, "cloudwatch", ["enable_logging"]),
        (ON, "s3", []),
        (ON, "cloudwatch", []),
    ],
)
def test_plan(logging: Any, destination: str, calls: list[str]) -> None:
    assert plan(logging, destination=destination) == calls


@pytest.mark.parametrize("status", ["paused", "incompatible-network"])
def test_what_cannot_be_changed_is_refused_before_the_first_call(status: str) -> None:
    assert plan(ON, status) == []
    with pytest.raises(CannotRepair, match=status):
        plan(None, status)
