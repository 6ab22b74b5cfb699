"""EC2: the default key for new EBS volumes, which moto lets one set but not read or reset."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.responses import EC2Response

from sandbox.additions.wire import Patches, Request
from sandbox.ports import World

AWS_MANAGED_KEY = "alias/aws/ebs"
"""What the service answers until another key is set, and after a reset."""


def install(world: World, patches: Patches) -> None:
    """Add the two operations to moto's EC2."""
    patches.answer(EC2Response, "GetEbsDefaultKmsKeyId", _get)
    patches.answer(EC2Response, "ResetEbsDefaultKmsKeyId", _reset)


def _get(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/cli/latest/reference/ec2/get-ebs-default-kms-key-id.html"""
    return {"KmsKeyId": ec2_backends[request.account][request.region].default_kms_key_id or AWS_MANAGED_KEY}


def _reset(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ResetEbsDefaultKmsKeyId.html"""
    ec2_backends[request.account][request.region].default_kms_key_id = ""
    return {"KmsKeyId": AWS_MANAGED_KEY}
