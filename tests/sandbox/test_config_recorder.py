"""What AWS Config asks of a recorder's role and of a channel's bucket, as AWS's pages (named in each test) say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.additions.config_recorder import set_security_hub_rule
from sandbox.world import Sandbox

LINKED = "role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig"
DAILY = {"recordingFrequency": "DAILY", "recordingModeOverrides": []}


class Here:
    """One account with the service-linked role and a recorder that uses it."""

    def __init__(self, world: Sandbox) -> None:
        self.world, self.account = world, world.organization.members[0]
        self.config: Any = self.client("config")
        self.client("iam").create_service_linked_role(AWSServiceName="config.amazonaws.com")
        self.put()

    def client(self, service: str) -> Any:
        return self.world.identity.client(service, self.account, "us-east-1")

    def put(self, role: str = LINKED, **more: Any) -> None:
        arn = f"arn:aws:iam::{self.account}:{role}"
        self.config.put_configuration_recorder(ConfigurationRecorder={"name": "corp", "roleARN": arn, **more})

    def channel(self) -> None:
        self.config.put_delivery_channel(
            DeliveryChannel={"name": "c", "s3BucketName": "corp-config", "s3KeyPrefix": "config"}
        )

    def allow(self, *keys: str) -> None:
        def one(action: str, resource: str) -> dict[str, Any]:
            who = {"Effect": "Allow", "Principal": {"Service": "config.amazonaws.com"}, "Action": action}
            return {**who, "Resource": resource, "Condition": {"StringEquals": {"aws:SourceAccount": self.account}}}

        statements = [
            one("s3:GetBucketAcl", "arn:aws:s3:::corp-config"),
            *(one("s3:PutObject", f"arn:aws:s3:::corp-config/{k}") for k in keys),
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.client("s3").put_bucket_policy(Bucket="corp-config", Policy=policy)


def test_a_recorder_needs_a_role_that_is_there() -> None:
    """https://docs.aws.amazon.com/config/latest/APIReference/API_PutConfigurationRecorder.html"""
    with Sandbox() as world, pytest.raises(ClientError, match="InvalidRoleException"):
        Here(world).put("role/gone")


def test_a_recorder_keeps_its_mode_until_another_is_put() -> None:
    """https://docs.aws.amazon.com/config/latest/APIReference/API_ConfigurationRecorder.html"""
    with Sandbox() as world:
        here, seen = Here(world), []
        modes: list[dict[str, Any]] = [{}, {"recordingMode": DAILY}, {}]
        for more in modes:
            here.put(**more)
            (found,) = here.config.describe_configuration_recorders()["ConfigurationRecorders"]
            seen.append(found["recordingMode"]["recordingFrequency"])

        assert seen == ["CONTINUOUS", "DAILY", "DAILY"]


def test_a_channel_needs_a_bucket_whose_policy_lets_aws_config_write() -> None:
    """https://docs.aws.amazon.com/config/latest/developerguide/s3-bucket-policy.html"""
    with Sandbox() as world:
        here = Here(world)
        with pytest.raises(ClientError, match="NoSuchBucketException"):
            here.channel()
        here.client("s3").create_bucket(Bucket="corp-config")
        with pytest.raises(ClientError, match="InsufficientDeliveryPolicyException"):
            here.channel()
        here.allow("AWSLogs/*")
        with pytest.raises(ClientError, match="InsufficientDeliveryPolicyException"):
            here.channel()

        here.allow(f"config/AWSLogs/{here.account}/*")
        here.channel()

        assert here.config.describe_delivery_channels()["DeliveryChannels"][0]["s3KeyPrefix"] == "config"


def test_rules_of_security_hub_say_whose_they_are() -> None:
    """https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-setup-prereqs.html"""
    with Sandbox() as world:
        here = Here(world)
        set_security_hub_rule(here.account, "us-east-1", "S3_BUCKET_VERSIONING_ENABLED", ["AWS::S3::Bucket"])

        (rule,) = here.config.describe_config_rules()["ConfigRules"]

        assert rule["CreatedBy"] == "securityhub.amazonaws.com"
        assert rule["Scope"]["ComplianceResourceTypes"] == ["AWS::S3::Bucket"]
