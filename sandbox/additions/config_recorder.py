"""AWS Config: a recorder keeps its mode and has a role that exists; a channel's bucket lets AWS Config write."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from botocore.exceptions import ClientError
from moto.config.models import config_backends
from moto.config.responses import ConfigResponse

from sandbox.additions import iam
from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

LINKED_ROLE = "/aws-service-role/config.amazonaws.com/"
CONTINUOUS = {"recordingFrequency": "CONTINUOUS", "recordingModeOverrides": []}


def install(world: World, patches: Patches) -> None:
    """Make moto's AWS Config check roles and buckets of *world*, and keep how often a recorder records."""

    def put_channel(request: Request, proceed: Callable[[], Any]) -> Any:
        _check_delivery(world, request)
        return proceed()

    patches.around(ConfigResponse, "PutConfigurationRecorder", _put)
    patches.around(ConfigResponse, "DescribeConfigurationRecorders", _describe)
    patches.around(ConfigResponse, "PutDeliveryChannel", put_channel)


def set_security_hub_rule(account: str, region: str, identifier: str, resource_types: Iterable[str]) -> None:
    """
    Make the service-linked rule of a control that Security Hub has enabled; nobody else can make one.

    Source: https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-setup-prereqs.html
    """
    backend = config_backends[account][region]
    name = f"securityhub-{identifier.lower().replace('_', '-')}-12345"
    source = {"Owner": "AWS", "SourceIdentifier": identifier}
    scope = {"ComplianceResourceTypes": [*resource_types]}
    backend.put_config_rule({"ConfigRuleName": name, "Source": source, "Scope": scope})
    backend.config_rules[name].created_by = "securityhub.amazonaws.com"


def _put(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/config/latest/APIReference/API_PutConfigurationRecorder.html"""
    given = request.parameters["ConfigurationRecorder"]
    if given.get("roleARN") not in {role.arn for role in iam.backend(request.account).roles.values()}:
        raise Refused("InvalidRoleException", f"the role {given.get('roleARN')} cannot be assumed by AWS Config")
    recorders = config_backends[request.account][request.region].recorders
    there = recorders.get(given.get("name"))
    mode = given.get("recordingMode") or (vars(there).get("_mode") if there else None) or CONTINUOUS
    answer = proceed()
    vars(recorders[given["name"]])["_mode"] = mode
    return answer


def _describe(request: Request, proceed: Callable[[], Any]) -> Any:
    """Source: https://docs.aws.amazon.com/config/latest/APIReference/API_ConfigurationRecorder.html"""
    proceed()
    names = request.parameters.get("ConfigurationRecorderNames")
    where = f"arn:{request.partition}:config:{request.region}:{request.account}:configuration-recorder"
    return {
        "ConfigurationRecorders": [
            recorder.to_dict()
            | {"arn": f"{where}/{name}/1", "recordingMode": vars(recorder)["_mode"], "recordingScope": "PAID"}
            for name, recorder in config_backends[request.account][request.region].recorders.items()
            if not names or name in names
        ]
    }


def _check_delivery(world: World, request: Request) -> None:
    """
    Ask the bucket's policy, as AWS Config does with a file that it writes first. What a role of the account's own may
    is not judged here.

    Source: https://docs.aws.amazon.com/config/latest/developerguide/s3-bucket-policy.html
    """
    channel = request.parameters["DeliveryChannel"]
    recorders = [*config_backends[request.account][request.region].recorders.values()]
    bucket = f"arn:{request.partition}:s3:::{channel.get('s3BucketName')}"
    if not recorders or LINKED_ROLE not in recorders[0].role_arn:
        return
    try:
        world.identity.client("s3", request.account, request.region).head_bucket(Bucket=channel["s3BucketName"])
    except ClientError as error:
        if error.response["Error"]["Code"] == "404":
            raise Refused("NoSuchBucketException", f"Cannot find a S3 bucket {channel['s3BucketName']}") from error
        raise
    prefix = f"{channel['s3KeyPrefix']}/" if channel.get("s3KeyPrefix") else ""
    key = f"{bucket}/{prefix}AWSLogs/{request.account}/Config/ConfigWritabilityCheckFile"
    account = {"aws:SourceAccount": request.account}
    try:
        world.identity.authorize_service("config.amazonaws.com", "s3:GetBucketAcl", bucket, account)
        full = {"s3:x-amz-acl": "bucket-owner-full-control"}
        world.identity.authorize_service("config.amazonaws.com", "s3:PutObject", key, account | full)
    except ClientError as error:
        raise Refused("InsufficientDeliveryPolicyException", f"Insufficient delivery policy to {bucket}") from error
