"""
CloudTrail: trails with their home Region, shadows, organization, bucket policy and default event selectors.

moto deletes by name only, keeps no default selectors, looks at no policy and updates from anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError
from moto.cloudtrail.models import Trail, cloudtrail_backends
from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.utils import unix_time
from moto.kms.models import kms_backends
from moto.logs.models import logs_backends
from moto.s3.models import s3_backends

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

MOST_TRAILS = 5
"""Per Region. Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/WhatIsCloudTrail-Limits.html"""

LOGS_DELIVERY_SECONDS = 300
"""After this time the first delivery to CloudWatch Logs is seen in the trail's status."""

_SERVICE = "cloudtrail.amazonaws.com"
_OWNED = ("UpdateTrail", "DeleteTrail", "StartLogging", "StopLogging", "PutEventSelectors", "PutInsightSelectors")


def install(world: World, patches: Patches) -> None:
    """Make moto's CloudTrail behave as AWS documents it, in *world*'s organization."""
    cloudtrail = _CloudTrail(world)
    original = Trail.description

    def description(trail: Any, include_region: bool = False) -> dict[str, Any]:
        shown = original(trail, include_region=include_region)
        shown["HasCustomEventSelectors"] = getattr(trail, "has_custom_selectors", False)
        return {key: value for key, value in shown.items() if value not in (None, "")}

    # the bucket may belong to another account, so this is looked at in _check_bucket
    patches.attribute(Trail, "check_bucket_exists", lambda trail: None)
    patches.attribute(Trail, "description", description)
    patches.around(CloudTrailResponse, "CreateTrail", cloudtrail.create)
    for operation in _OWNED:
        patches.around(CloudTrailResponse, operation, cloudtrail.owned)
    patches.answer(CloudTrailResponse, "DescribeTrails", cloudtrail.describe)
    patches.answer(CloudTrailResponse, "GetTrail", cloudtrail.get)
    patches.answer(CloudTrailResponse, "GetTrailStatus", cloudtrail.status)
    patches.answer(CloudTrailResponse, "GetEventSelectors", cloudtrail.selectors)
    patches.answer(CloudTrailResponse, "ListTrails", cloudtrail.list)


class _CloudTrail:
    def __init__(self, world: World) -> None:
        self.world = world

    def create(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_CreateTrail.html"""
        name = request.parameters["Name"]
        seen = list(self._seen(request, shadows=True))
        if name in cloudtrail_backends[request.account][request.region].trails:
            raise Refused("TrailAlreadyExistsException", f"Trail {name} already exists for customer: {request.account}")
        if sum(trail.account_id == request.account for trail in seen) >= MOST_TRAILS:
            raise Refused("MaximumNumberOfTrailsExceededException", f"at most {MOST_TRAILS} trails in a Region")
        arn = f"arn:{request.partition}:cloudtrail:{request.region}:{request.account}:trail/{name}"
        self._check(request, arn, request.parameters.get("S3KeyPrefix"))
        answer = proceed()
        trail: Any = cloudtrail_backends[request.account][request.region].trails[name]
        trail.event_selectors = [_default_selector()]
        trail.logs_since = self.world.clock.now() if trail.cw_log_group_arn else None
        return answer

    def owned(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """
        Do what only the trail's own account may do, in its home Region.

        Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_UpdateTrail.html
        """
        asked = request.parameters
        trail = self._own(request, asked.get("Name") or asked["TrailName"])
        if request.operation == "DeleteTrail":
            del cloudtrail_backends[request.account][request.region].trails[trail.trail_name]
            return {}
        if request.operation == "UpdateTrail":
            self._check(request, trail.arn, asked.get("S3KeyPrefix", trail.s3_key_prefix), trail)
        answer = proceed()
        if request.operation == "UpdateTrail" and "CloudWatchLogsLogGroupArn" in asked:
            trail.logs_since = self.world.clock.now() if trail.cw_log_group_arn else None
        if request.operation == "PutEventSelectors":
            trail.has_custom_selectors = True
            if asked.get("EventSelectors"):
                trail.advanced_event_selectors = []
        return answer

    # --- reading

    def describe(self, request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_DescribeTrails.html"""
        wanted = request.parameters.get("trailNameList") or []
        shadows = request.parameters.get("includeShadowTrails", True)
        trails = [
            trail
            for trail in self._seen(request, shadows=shadows or any(name.startswith("arn:") for name in wanted))
            if not wanted or trail.arn in wanted or (self._is_at_home(trail, request) and trail.trail_name in wanted)
        ]
        return {"trailList": [trail.description(include_region=True) for trail in trails]}

    def get(self, request: Request) -> dict[str, Any]:
        return {"Trail": self._visible(request, request.parameters["Name"]).description(include_region=True)}

    def status(self, request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_GetTrailStatus.html"""
        trail = self._visible(request, request.parameters["Name"])
        status: dict[str, Any] = trail.status.description()
        since, now = getattr(trail, "logs_since", None), self.world.clock.now()
        if since is not None and trail.status.is_logging and (now - since).total_seconds() >= LOGS_DELIVERY_SECONDS:
            status["LatestCloudWatchLogsDeliveryTime"] = unix_time(now.replace(tzinfo=None))
        return {key: value for key, value in status.items() if value not in (None, "")}

    def selectors(self, request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_GetEventSelectors.html"""
        trail = self._visible(request, request.parameters["TrailName"])
        if trail.advanced_event_selectors:
            return {"TrailARN": trail.arn, "AdvancedEventSelectors": trail.advanced_event_selectors}
        return {"TrailARN": trail.arn, "EventSelectors": trail.event_selectors}

    def list(self, request: Request) -> dict[str, Any]:
        own = [trail for backend in cloudtrail_backends[request.account].values() for trail in backend.trails.values()]
        return {"Trails": [trail.short() for trail in [*own, *self._organizations(request)]]}

    # --- which trails there are

    def _seen(self, request: Request, *, shadows: bool) -> Iterator[Any]:
        """
        Give the trails that are seen in the request's account and Region.

        A shadow is a multi-Region trail seen from another Region, or an organization's trail seen by a member.
        """
        backends = cloudtrail_backends[request.account]
        yield from backends[request.region].trails.values()
        if shadows:
            for region, backend in backends.items():
                if region != request.region:
                    yield from (trail for trail in backend.trails.values() if trail.is_multi_region)
            for trail in self._organizations(request):
                if trail.is_multi_region or trail.region_name == request.region:
                    yield trail

    def _organizations(self, request: Request) -> Iterator[Any]:
        organization = self.world.organization
        if request.account in organization.accounts and request.account != organization.management:
            for backend in cloudtrail_backends[organization.management].values():
                yield from (trail for trail in backend.trails.values() if trail.is_org_trail)

    def _visible(self, request: Request, name: str) -> Any:
        for trail in self._seen(request, shadows=True):
            if name == trail.arn or (self._is_at_home(trail, request) and name == trail.trail_name):
                return trail
        raise _not_found(request, name)

    def _own(self, request: Request, name: str) -> Any:
        """Return the trail for a change; raises Refused where it is another account's or another Region's."""
        for backend in cloudtrail_backends[request.account].values():
            for trail in backend.trails.values():
                here = trail.region_name == request.region
                if name == trail.arn or (name == trail.trail_name and (here or trail.is_multi_region)):
                    if here:
                        return trail
                    raise Refused(
                        "InvalidHomeRegionException",
                        f"Trail {trail.arn} is changed in Region {request.region}, its home is {trail.region_name}",
                    )
        if any(name in (trail.arn, trail.trail_name) for trail in self._organizations(request)):
            raise Refused(
                "NotOrganizationMasterAccountException",
                f"Account {request.account} is not the management account of the organization that owns {name}",
            )
        raise _not_found(request, name)

    @staticmethod
    def _is_at_home(trail: Any, request: Request) -> bool:
        return bool(trail.account_id == request.account and trail.region_name == request.region)

    # --- what a trail needs

    def _check(self, request: Request, arn: str, prefix: str | None, trail: Any = None) -> None:
        """Raise Refused where CloudTrail could not write to the bucket, use the key, or write to the log group."""
        asked = request.parameters
        organizations = asked.get("IsOrganizationTrail", trail.is_org_trail if trail else False)
        if organizations and request.account != self.world.organization.management:
            raise Refused(
                "NotOrganizationMasterAccountException", f"Account {request.account} is not the management account"
            )
        context = {"aws:SourceArn": arn, "aws:SourceAccount": request.account}
        if "S3BucketName" in asked or "S3KeyPrefix" in asked or organizations:
            bucket = asked.get("S3BucketName") or trail.bucket_name
            self._check_bucket(request, bucket, prefix, context, bool(organizations))
        if asked.get("KmsKeyId"):
            self._check_key(request, asked["KmsKeyId"], context)
        group = asked.get("CloudWatchLogsLogGroupArn", trail.cw_log_group_arn if trail else None)
        role = asked.get("CloudWatchLogsRoleArn", trail.cw_role_arn if trail else None)
        if group or role:
            self._check_logs(request, group or "", role or "", context)

    def _check_bucket(
        self, request: Request, bucket: str, prefix: str | None, context: dict[str, str], organizations: bool
    ) -> None:
        """
        Source:
        https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-s3-bucket-policy-for-cloudtrail.html
        """
        if not _bucket_exists(request, bucket):
            raise Refused("S3BucketDoesNotExistException", f"S3 bucket {bucket} does not exist!")
        bucket_arn = f"arn:{request.partition}:s3:::{bucket}"
        folder = f"{bucket_arn}/{prefix}/AWSLogs" if prefix else f"{bucket_arn}/AWSLogs"
        owners = [request.account, self.world.organization.id] if organizations else [request.account]
        written = {**context, "s3:x-amz-acl": "bucket-owner-full-control"}
        wanted = [("s3:GetBucketAcl", bucket_arn, context)]
        wanted += [("s3:PutObject", f"{folder}/{owner}/CloudTrail/log.json.gz", written) for owner in owners]
        for action, resource, given in wanted:
            try:
                self.world.identity.authorize_service(_SERVICE, action, resource, given)
            except ClientError as error:
                raise Refused(
                    "InsufficientS3BucketPolicyException",
                    f"Incorrect S3 bucket policy is detected for bucket: {bucket} ({action}: {error})",
                ) from error

    def _check_key(self, request: Request, key_id: str, context: dict[str, str]) -> None:
        """
        Source:
        https://docs.aws.amazon.com/awscloudtrail/latest/userguide/create-kms-key-policy-for-cloudtrail.html
        """
        region = key_id.split(":")[3] if key_id.startswith("arn:") else request.region
        account = key_id.split(":")[4] if key_id.startswith("arn:") else request.account
        backend = kms_backends[account][region]
        key = backend.keys.get(backend.any_id_to_key_id(key_id))
        if key is None:
            raise Refused("KmsKeyNotFoundException", f"KMS key {key_id} was not found")
        encryption = {**context, "kms:EncryptionContext:aws:cloudtrail:arn": context["aws:SourceArn"]}
        try:
            self.world.identity.authorize_service(_SERVICE, "kms:GenerateDataKey", key.arn, encryption)
            self.world.identity.authorize_service(_SERVICE, "kms:DescribeKey", key.arn, context)
        except ClientError as error:
            raise Refused("InsufficientEncryptionPolicyException", f"policy of key {key_id}: {error}") from error

    def _check_logs(self, request: Request, group_arn: str, role_arn: str, context: dict[str, str]) -> None:
        """
        Source:
        https://docs.aws.amazon.com/awscloudtrail/latest/userguide/send-cloudtrail-events-to-cloudwatch-logs.html
        """
        found = re.fullmatch(
            rf"arn:{request.partition}:logs:{request.region}:{request.account}:log-group:([^:]+):\*", group_arn
        )
        if found is None or found[1] not in logs_backends[request.account][request.region].groups:
            raise Refused("InvalidCloudWatchLogsLogGroupArnException", f"log group {group_arn!r} cannot be used")
        try:
            if not role_arn:
                raise Refused("InvalidCloudWatchLogsRoleArnException", "a role is needed to write to a log group")
            self.world.identity.service_assumes_role(_SERVICE, role_arn, "CLOUDTRAIL", context)
        except ClientError as error:
            raise Refused("InvalidCloudWatchLogsRoleArnException", f"role {role_arn}: {error}") from error


def _default_selector() -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-management-events-with-cloudtrail.html"""
    return {
        "ReadWriteType": "All",
        "IncludeManagementEvents": True,
        "DataResources": [],
        "ExcludeManagementEventSources": [],
    }


def _bucket_exists(request: Request, bucket: str) -> bool:
    partition, account = s3_backends.bucket_accounts.get(bucket, (request.partition, request.account))
    return bucket in s3_backends[account][partition].buckets


def _not_found(request: Request, name: str) -> Refused:
    return Refused("TrailNotFoundException", f"Unknown trail: {name} for the user: {request.account}")
