"""S3: a bucket's lifecycle and notification configuration are kept as they were sent; moto forgets parts of them."""

from __future__ import annotations

import uuid
from typing import Any
from xml.etree import ElementTree

from moto.awslambda.models import lambda_backends
from moto.core.responses import ActionResult
from moto.core.utils import get_service_model
from moto.s3.exceptions import S3ClientError
from moto.s3.responses import S3Response
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from sandbox.additions.wire import Patches
from sandbox.ports import World

Json = dict[str, Any]
MOST_RULES = 1000
"""Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/how-to-set-lifecycle-configuration-intro.html"""

_DESTINATIONS = {
    "TopicConfigurations": "TopicArn",
    "QueueConfigurations": "QueueArn",
    "LambdaFunctionConfigurations": "LambdaFunctionArn",
}
_SIZE = "TransitionDefaultMinimumObjectSize"
_SIZE_HEADER = "x-amz-transition-default-minimum-object-size"
_SKIP_HEADER = "x-amz-skip-destination-validation"


def install(world: World, patches: Patches) -> None:
    """Make moto's S3 keep, give back and check the two documents as AWS does."""
    put, get_lifecycle = S3Response._bucket_response_put, S3Response.get_bucket_lifecycle

    def bucket_response_put(response: Any, request: Any, bucket_name: str, querystring: Json) -> Any:
        if "lifecycle" in querystring:
            rules = _read(response.body, "BucketLifecycleConfiguration").get("Rules", [])
            check_rules(rules)
            answer = put(response, request, bucket_name, querystring)
            kept = [{"ID": uuid.uuid4().hex, **rule} for rule in rules]
            size = response.headers.get(_SIZE_HEADER, "all_storage_classes_128K")
            response.backend.get_bucket(bucket_name).sent_lifecycle = {"Rules": kept, _SIZE: size}
            return answer
        if "notification" in querystring:
            document = _read(response.body, "NotificationConfiguration")
            check_notifications(document)
            bucket = response.backend.get_bucket(bucket_name)
            if response.headers.get(_SKIP_HEADER, "false").lower() != "true":
                _check_destinations(document)
            answer = put(response, request, bucket_name, querystring)
            for kind in _DESTINATIONS:
                document[kind] = [{"Id": uuid.uuid4().hex, **one} for one in document.get(kind, [])]
            bucket.sent_notifications = {k: v for k, v in document.items() if v or k == "EventBridgeConfiguration"}
            return answer
        return put(response, request, bucket_name, querystring)

    def get_bucket_lifecycle(response: Any) -> Any:
        bucket = response.backend.get_bucket(response.bucket_name)
        if not bucket.rules or not hasattr(bucket, "sent_lifecycle"):
            return get_lifecycle(response)
        response.data["Action"] = "GetBucketLifecycleConfiguration"
        return response.serialized(ActionResult(bucket.sent_lifecycle))

    def get_bucket_notification(response: Any) -> Any:
        bucket = response.backend.get_bucket(response.bucket_name)
        response.data["Action"] = "GetBucketNotificationConfiguration"
        return response.serialized(ActionResult(getattr(bucket, "sent_notifications", {})))

    patches.attribute(S3Response, "_bucket_response_put", bucket_response_put)
    patches.attribute(S3Response, "get_bucket_lifecycle", get_bucket_lifecycle)
    patches.attribute(S3Response, "get_bucket_notification", get_bucket_notification)


def check_rules(rules: list[Json]) -> None:
    """
    Raise S3ClientError for lifecycle rules that S3 refuses.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html,
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html
    """
    names = [rule["ID"] for rule in rules if rule.get("ID")]
    if len(rules) > MOST_RULES:
        raise S3ClientError("InvalidRequest", f"The number of lifecycle rules must not exceed {MOST_RULES}")
    if len(names) != len(set(names)):
        raise S3ClientError("InvalidArgument", "Rule ID must be unique. Found same ID for more than one rule")
    if any("Filter" in rule for rule in rules) and any("Prefix" in rule for rule in rules):
        raise S3ClientError(
            "InvalidRequest",
            "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.",
        )
    for rule in rules:
        expires = rule.get("Expiration", {}).get("Days")
        for move in rule.get("Transitions", []):
            if move["StorageClass"] in ("STANDARD_IA", "ONEZONE_IA") and move.get("Days", 30) < 30:
                raise S3ClientError(
                    "InvalidArgument",
                    "'Days' in Transition action must be greater than or equal to 30 for storageClass "
                    f"'{move['StorageClass']}'",
                )
            if expires and move.get("Days", 0) >= expires:
                raise S3ClientError(
                    "InvalidArgument",
                    "'Days' in the Expiration action for filter must be greater than 'Days' in the Transition action",
                )


def check_notifications(document: Json) -> None:
    """
    Raise S3ClientError where two configurations without filters share an event.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    """
    seen: list[str] = []
    for one in (one for kind in _DESTINATIONS for one in document.get(kind, [])):
        for event in one["Events"] if "Filter" not in one else ():
            if any(_overlap(event, other) for other in seen):
                raise S3ClientError(
                    "InvalidArgument",
                    "Configurations overlap. Configurations on the same bucket cannot share a common event type.",
                )
            seen.append(event)


def _overlap(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return one == other or (short.endswith("*") and long.startswith(short[:-1]))


def _check_destinations(document: Json) -> None:
    """A destination that S3 cannot reach is refused; only that it exists is looked at here, not its policy."""
    for kind, key in _DESTINATIONS.items():
        for one in document.get(kind, []):
            if not _exists(one[key]):
                raise S3ClientError("InvalidArgument", "Unable to validate the following destination configurations")


def _exists(arn: str) -> bool:
    _, _, service, region, account, name = arn.split(":", 5)
    if service == "sns":
        return arn in sns_backends[account][region].topics
    if service == "sqs":
        return name in sqs_backends[account][region].queues
    return name.removeprefix("function:") in {
        f.function_name for f in lambda_backends[account][region].list_functions()
    }


def _read(body: Any, shape: str) -> Json:
    found: Json = _shaped(ElementTree.fromstring(body), get_service_model("s3").shape_for(shape))
    return found


def _shaped(element: Any, shape: Any) -> Any:
    """Return an XML element as boto3 would have been given it, by botocore's model."""
    if shape.type_name == "structure":
        found = {}
        for name, member in shape.members.items():
            tag = member.serialization.get("name", name)
            children = element.findall("{*}" + tag)
            if children and member.type_name == "list":
                flat = member.serialization.get("flattened")
                items = children if flat else [inner for child in children for inner in child]
                found[name] = [_shaped(item, member.member) for item in items]
            elif children:
                found[name] = _shaped(children[0], member)
        return found
    text = element.text or ""
    if shape.type_name in ("integer", "long"):
        return int(text)
    return text.lower() == "true" if shape.type_name == "boolean" else text
