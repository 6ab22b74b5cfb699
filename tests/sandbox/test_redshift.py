"""Redshift in the sandbox: changes take time, and what AWS refuses is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.fakes import FakeWorld, a_world, error_of

PAYMENTS = "222222222222"
ORDERS = {"ClusterIdentifier": "orders"}


def client(world: FakeWorld, **more: Any) -> Any:
    redshift = world.identity.client("redshift", PAYMENTS, "eu-west-1")
    given = {"NodeType": "ra3.large", "MasterUsername": "owner", "MasterUserPassword": "Not-a-secret-1"}
    redshift.create_cluster(**ORDERS, **(given | more))
    return redshift


def test_a_change_is_pending_first_then_the_cluster_is_modifying_and_then_it_is_seen() -> None:
    """https://docs.aws.amazon.com/redshift/latest/APIReference/API_ModifyCluster.html"""
    seen = []
    with a_world() as world:
        redshift = client(world, PubliclyAccessible=True, ElasticIp="203.0.113.7")
        redshift.modify_cluster(**ORDERS, PubliclyAccessible=False)
        for seconds in (1, 10, 120):
            world.clock.advance(seconds)
            (cluster,) = redshift.describe_clusters(**ORDERS)["Clusters"]
            pending = cluster.get("PendingModifiedValues", {}).get("PubliclyAccessible")
            address = cluster.get("ElasticIpStatus", {}).get("ElasticIp")
            seen.append((cluster["ClusterStatus"], cluster["PubliclyAccessible"], pending, address))

    assert seen == [
        ("available", True, False, "203.0.113.7"),
        ("modifying", True, False, "203.0.113.7"),
        ("available", False, None, None),
    ]


def test_a_cluster_that_is_not_available_takes_no_change() -> None:
    """https://docs.aws.amazon.com/redshift/latest/APIReference/API_ModifyCluster.html"""
    with a_world() as world:
        redshift = client(world)
        redshift.modify_cluster(**ORDERS, AutomatedSnapshotRetentionPeriod=9)
        during = error_of(lambda: redshift.modify_cluster(**ORDERS, AllowVersionUpgrade=False))
        logging = error_of(
            lambda: redshift.enable_logging(**ORDERS, LogDestinationType="cloudwatch", LogExports=["userlog"])
        )
        world.clock.advance(200)
        redshift.describe_clusters()
        redshift.pause_cluster(**ORDERS)
        paused = error_of(lambda: redshift.modify_cluster(**ORDERS, AllowVersionUpgrade=False))

    assert {during, logging, paused} == {"InvalidClusterState"}


@pytest.mark.parametrize(
    ("node", "days", "refused"), [("ra3.large", 0, True), ("dc2.large", 0, False), ("dc2.large", 36, True)]
)
def test_snapshots_of_ra3_nodes_cannot_be_turned_off(node: str, days: int, refused: bool) -> None:
    """https://docs.aws.amazon.com/redshift/latest/APIReference/API_ModifyCluster.html"""
    with a_world() as world:
        redshift = client(world, NodeType=node)

        def modify() -> Any:
            return redshift.modify_cluster(**ORDERS, AutomatedSnapshotRetentionPeriod=days)

        if refused:
            assert error_of(modify) == "InvalidParameterValue"
        else:
            assert modify()["Cluster"]["PendingModifiedValues"]["AutomatedSnapshotRetentionPeriod"] == days


def test_logging_needs_a_bucket_that_lets_redshift_in_and_tells_nothing_when_it_is_off() -> None:
    """https://docs.aws.amazon.com/redshift/latest/mgmt/db-auditing.html"""
    with a_world() as world:
        redshift = client(world)
        off = redshift.describe_logging_status(**ORDERS)
        absent = error_of(lambda: redshift.enable_logging(**ORDERS, BucketName="audit-trail", S3KeyPrefix="p/"))
        world.identity.client("s3", PAYMENTS, "us-east-1").create_bucket(Bucket="audit-trail")
        world.services.refuse.add("arn:aws:s3:::audit-trail")
        denied = error_of(lambda: redshift.enable_logging(**ORDERS, BucketName="audit-trail", S3KeyPrefix="p/"))
        world.services.refuse.clear()
        on = redshift.enable_logging(**ORDERS, BucketName="audit-trail", S3KeyPrefix="p/")
        asked = {(service, action) for service, action, _, _ in world.services.asked}
        redshift.disable_logging(**ORDERS)
        again = redshift.describe_logging_status(**ORDERS)

    assert (absent, denied) == ("BucketNotFoundFault", "InsufficientS3BucketPolicyFault")
    assert (on["LoggingEnabled"], on["BucketName"], on["S3KeyPrefix"]) == (True, "audit-trail", "p/")
    assert asked == {("redshift.amazonaws.com", "s3:GetBucketAcl"), ("redshift.amazonaws.com", "s3:PutObject")}
    for one in (off, again):
        assert {k: v for k, v in one.items() if k != "ResponseMetadata"} == {"LoggingEnabled": False}
