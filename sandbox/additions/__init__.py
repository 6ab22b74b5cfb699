"""What moto lacks or fakes too kindly, added to moto's own backends so that every client reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.additions import (
    apigateway_stages,
    application_autoscaling,
    athena_workgroups,
    autoscaling_groups,
    cloudfront_distributions,
    cloudtrail,
    cloudtrail_keys,
    cloudwatch_alarms,
    codebuild_projects,
    config_recorder,
    dynamodb,
    dynamodb_more,
    ec2,
    ec2_ebs_defaults,
    ec2_endpoints,
    ec2_more,
    ecr,
    ecs_task_definitions,
    elasticache,
    guardduty,
    iam,
    iam_roles,
    iam_users,
    kms,
    lambda_,
    logs_filters,
    macie,
    organizations,
    rds,
    rds_snapshots,
    redshift,
    s3,
    s3_access_logging,
    s3_bucket_documents,
    s3_bucket_tags,
    secretsmanager_policies,
    secretsmanager_rotation,
    securityhub,
    sns_subscriptions,
    sqs_attributes,
    ssm_agents,
    ssm_automation,
    ssm_documents,
    tagging,
)
from sandbox.additions.wire import Patches
from sandbox.ports import World

_PARTS = (
    secretsmanager_rotation,
    secretsmanager_policies,
    codebuild_projects,
    cloudfront_distributions,
    ecs_task_definitions,
    securityhub,
    sns_subscriptions,
    ssm_agents,
    ssm_automation,
    ssm_documents,
    organizations,
    rds,
    rds_snapshots,
    cloudtrail,
    cloudtrail_keys,
    cloudwatch_alarms,
    dynamodb,
    ec2,
    ec2_ebs_defaults,
    ec2_endpoints,
    ec2_more,
    s3,
    s3_access_logging,
    s3_bucket_documents,
    s3_bucket_tags,
    iam,
    iam_users,
    kms,
    lambda_,
    logs_filters,
    ecr,
    athena_workgroups,
    sqs_attributes,
    apigateway_stages,
    dynamodb_more,
    application_autoscaling,
    iam_roles,
    redshift,
    guardduty,
    autoscaling_groups,
    macie,
    config_recorder,
    elasticache,
    tagging,
)
_installed: list[Patches] = []


def install(world: World) -> None:
    """
    Add the operations to moto, with fresh state for *world*; moto's mock must be active.

    Raises RuntimeError where they are installed already: there is one moto in a process, so one world.
    """
    if _installed:
        raise RuntimeError("the additions are installed for another world; uninstall() them first")
    patches = Patches()
    try:
        for part in _PARTS:
            part.install(world, patches)
    except BaseException:
        patches.undo()
        raise
    _installed.append(patches)


def uninstall() -> None:
    """Take everything out again: moto is as it was imported. Without an installation nothing happens."""
    while _installed:
        _installed.pop().undo()


@contextmanager
def installed(world: World) -> Iterator[None]:
    """Within: the additions are installed for *world*."""
    install(world)
    try:
        yield
    finally:
        uninstall()
