"""CloudTrail: the KMS key of a trail is in the Region of its bucket, and is shown by its ARN however it was named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.cloudtrail.models import cloudtrail_backends
from moto.cloudtrail.responses import CloudTrailResponse
from moto.kms.models import kms_backends
from moto.s3.models import s3_backends

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World


def install(_world: World, patches: Patches) -> None:
    """
    Make CreateTrail and UpdateTrail look where the key is; moto stores whatever text it is given.

    Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_UpdateTrail.html (KmsKeyNotFoundException)
    """
    patches.around(CloudTrailResponse, "CreateTrail", _keyed)
    patches.around(CloudTrailResponse, "UpdateTrail", _keyed)


def _keyed(request: Request, proceed: Callable[[], Any]) -> Any:
    wanted = request.parameters.get("KmsKeyId")
    if not wanted:
        return proceed()
    key = _key(request, wanted)
    if key is None:
        raise Refused("KmsKeyNotFoundException", f"KMS key {wanted} was not found")
    trails = cloudtrail_backends[request.account][request.region].trails
    name = request.parameters["Name"].rsplit("/", 1)[-1]
    bucket = request.parameters.get("S3BucketName") or (trails[name].bucket_name if name in trails else None)
    region = _region_of(request, bucket) if bucket else None
    if region and region != key.arn.split(":")[3]:
        raise Refused("KmsKeyNotFoundException", f"KMS key {wanted} and S3 bucket {bucket} are not in the same Region")
    proceed()
    trail: Any = trails[name]
    trail.kms_key_id = key.arn
    return trail.description()


def _key(request: Request, wanted: str) -> Any:
    """Return the key that an ID, an ARN or an alias means; None where there is none."""
    region = wanted.split(":")[3] if wanted.startswith("arn:") else request.region
    account = wanted.split(":")[4] if wanted.startswith("arn:") else request.account
    backend = kms_backends[account][region]
    if "alias/" in wanted and backend.get_key_id_from_alias(wanted) is None:
        return None
    return backend.keys.get(backend.any_id_to_key_id(wanted))


def _region_of(request: Request, bucket: str) -> str | None:
    """Return the Region of a bucket of any account; None where there is none."""
    partition, account = s3_backends.bucket_accounts.get(bucket, (request.partition, request.account))
    found = s3_backends[account][partition].buckets.get(bucket)
    return found.region_name if found else None
