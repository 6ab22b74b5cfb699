"""
The resource types that the sandbox's CloudFormation knows, one class each.

A class says which properties there are, which are needed and whose change replaces the resource; it makes, configures
and deletes by API calls. An unknown type and an unknown property are errors. Source of the property tables:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
"""

from __future__ import annotations

import http.client
import io
import json
import re
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar
from unittest.mock import patch
from urllib.parse import urlsplit

import urllib3.connection
from botocore.exceptions import ClientError
from moto.events.models import EventBusPolicyStatement, events_backends
from moto.s3.models import s3_backends

from sandbox.cloudformation import NotUpdatable, Place, Resource, ResourceFailed, TemplateError

Properties = dict[str, Any]
Made = tuple[str, dict[str, Any]]
"""Physical id and attributes."""

FIRST: Properties = {}
"""What configure() gets as the old properties of a resource that was just made; told by its identity."""

_TYPES: dict[str, ResourceType] = {}


def handler_for(type_name: str) -> ResourceType | None:
    """Return the handler of a resource type, None where it is not known."""
    if type_name.startswith("Custom::"):
        return _TYPES["AWS::CloudFormation::CustomResource"]
    return _TYPES.get(type_name)


class ResourceType:
    """What all types share. A subclass with a *name* is known by it from then on."""

    name: ClassVar[str] = ""
    known: ClassVar[frozenset[str]]
    needed: ClassVar[frozenset[str]] = frozenset()
    fixed: ClassVar[frozenset[str]] = frozenset()
    """Properties whose change needs a replacement."""

    def __init_subclass__(cls) -> None:
        if cls.name:
            _TYPES[cls.name] = cls()

    def check_names(self, logical_id: str, properties: Mapping[str, Any]) -> None:
        """Raise TemplateError where a property is unknown."""
        unknown = set(properties) - self.known
        if unknown:
            raise TemplateError(
                f"Resources/{logical_id}: {self.name} has no property {', '.join(sorted(unknown))} known to the sandbox"
            )

    def check(self, logical_id: str, properties: Properties) -> None:
        """Raise ResourceFailed where a needed property is missing after resolution."""
        missing = self.needed - set(properties)
        if missing:
            raise ResourceFailed(f"{self.name} needs {', '.join(sorted(missing))}")

    def create(self, place: Place, properties: Properties) -> Made:
        """Make and configure; what was made is deleted again where configuring fails."""
        physical, attributes = self.make(place, properties)
        try:
            self.configure(place, physical, FIRST, properties)
        except Exception:
            self.delete(place, Resource(place.logical_id, self.name, physical, attributes, properties))
            raise
        return physical, attributes

    def update(self, place: Place, before: Resource, properties: Properties) -> Made:
        """Change in place. Raises NotUpdatable where that needs a replacement."""
        if changed(before.properties, properties) & self.fixed:
            raise NotUpdatable
        self.configure(place, before.physical_id, before.properties, properties)
        return before.physical_id, before.attributes

    def always_updates(self, place: Place, before: Resource) -> bool:
        """Say whether an update is due though no property changed."""
        return False

    def make(self, place: Place, properties: Properties) -> Made:
        """Make the resource."""
        raise NotImplementedError(self.name)

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        """Bring what can be changed in place from *old* (FIRST at the creation) to *new*."""

    def delete(self, place: Place, resource: Resource) -> None:
        """Delete the resource; one that is gone is fine."""
        raise NotImplementedError(self.name)


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """Return the names of the properties that differ."""
    return {name for name in {*old, *new} if old.get(name) != new.get(name)}


def names(text: str) -> frozenset[str]:
    """Return the words of *text*."""
    return frozenset(text.split())


def picked(properties: Mapping[str, Any], wanted: str) -> dict[str, Any]:
    """Return those of the properties that are named in *wanted*."""
    return {name: properties[name] for name in wanted.split() if name in properties}


def call(place: Place, service: str, operation: str, **parameters: Any) -> Any:
    """Call an operation; scalars are brought to the type of the API, as CloudFormation takes "5" for 5 and so on."""
    client = place.client(service)
    api_name = client.meta.method_to_api_mapping[operation]
    shape = client.meta.service_model.operation_model(api_name).input_shape
    return getattr(client, operation)(**_coerced(parameters, shape, operation))


def _coerced(value: Any, shape: Any, where: str) -> Any:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        return {
            key: _coerced(inner, shape.members[key], f"{where}.{key}") if key in shape.members else inner
            for key, inner in value.items()
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_coerced(item, shape.member, where) for item in value]
    if shape.type_name == "map" and isinstance(value, Mapping):
        return {key: _coerced(inner, shape.value, f"{where}.{key}") for key, inner in value.items()}
    try:
        if shape.type_name in ("integer", "long") and isinstance(value, str):
            return int(value)
        if shape.type_name in ("float", "double") and isinstance(value, str):
            return float(value)
    except ValueError as error:
        raise ResourceFailed(f"{where}: {value!r} is no number") from error
    if shape.type_name == "boolean" and value in ("true", "false"):
        return value == "true"
    if shape.type_name == "string" and isinstance(value, bool | int | float):
        return scalar(value)
    return value


def scalar(value: Any) -> str:
    """Return a scalar as the text that CloudFormation makes of it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def document(value: Any, where: str) -> str:
    """Return a JSON document of a template as text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ResourceFailed(f"{where} is no JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise ResourceFailed(f"{where} is no object")
    return json.dumps(value, separators=(",", ":"))


def tag_map(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return Tags as {key: value}."""
    return {tag["Key"]: scalar(tag["Value"]) for tag in properties.get("Tags", [])}


def tag_list(properties: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return Tags as the APIs with Key and Value take them."""
    return [{"Key": key, "Value": value} for key, value in tag_map(properties).items()]


def tag_changes(old: Properties, new: Properties) -> tuple[dict[str, str], list[str]]:
    """Return the tags to set and the keys to take away."""
    before, after = tag_map(old), tag_map(new)
    return {key: value for key, value in after.items() if before.get(key) != value}, sorted(set(before) - set(after))


def refuse_existing(what: str, lookup: Callable[[], Any], *absent: str) -> None:
    """Raise ResourceFailed unless *lookup* fails with one of the error codes *absent*."""
    try:
        lookup()
    except ClientError as error:
        if error.response["Error"]["Code"] not in absent:
            raise
    else:
        raise ResourceFailed(f"{what} already exists")


@contextmanager
def unless_gone(*codes: str) -> Iterator[None]:
    """Within: an error with one of the codes means that the resource is gone already."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise


def bucket_and_key(url: str) -> tuple[str, str]:
    """Return bucket and key of an object's URL, in either form. Raises ResourceFailed."""
    host = r"s3[.-][a-z0-9-]+\.[a-z0-9.]+"
    for form in (rf"https://{host}/([^/]+)/(.+)", rf"https://([^/]+?)\.{host}/(.+)"):
        if match := re.fullmatch(form, url):
            return match[1], match[2]
    raise ResourceFailed(f"TemplateURL {url} is no URL of an object in S3")


def region_of_bucket(name: str) -> str | None:
    """Return the Region of one of the sandbox's buckets, None for one that is not there."""
    found = s3_backends.bucket_accounts.get(name)
    if found is None:
        return None
    partition, account = found
    return str(s3_backends[account][partition].buckets[name].region_name)


# ---------------------------------------------------------------------------------------------------------------- SQS
_NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
_QUEUE_DEFAULTS = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
    "KmsMasterKeyId": "",
    "KmsDataKeyReusePeriodSeconds": "300",
    "SqsManagedSseEnabled": "true",
    "RedrivePolicy": "",
    "RedriveAllowPolicy": "",
}


class Queue(ResourceType):
    name = "AWS::SQS::Queue"
    known = names(
        "QueueName DelaySeconds MaximumMessageSize MessageRetentionPeriod "
        "ReceiveMessageWaitTimeSeconds VisibilityTimeout "
        "RedrivePolicy RedriveAllowPolicy KmsMasterKeyId KmsDataKeyReusePeriodSeconds SqsManagedSseEnabled FifoQueue "
        "ContentBasedDeduplication DeduplicationScope FifoThroughputLimit Tags"
    )
    fixed = names("QueueName FifoQueue")

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties.get("QueueName") or place.physical_name(80)
        refuse_existing(f"queue {name}", lambda: call(place, "sqs", "get_queue_url", QueueName=name), *_NO_QUEUE)
        attributes = {
            key: document(value, key) if isinstance(value, Mapping) else scalar(value)
            for key, value in properties.items()
            if key not in ("QueueName", "Tags")
        }
        url = call(place, "sqs", "create_queue", QueueName=name, Attributes=attributes, tags=tag_map(properties))[
            "QueueUrl"
        ]
        return url, {"Arn": place.arn("sqs", name), "QueueName": name, "QueueUrl": url}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        if old is FIRST:
            return
        wanted: dict[str, str] = {}
        for key in changed(old, new) - {"Tags"}:
            if key in new:
                wanted[key] = document(new[key], key) if isinstance(new[key], Mapping) else scalar(new[key])
            elif key in _QUEUE_DEFAULTS:
                wanted[key] = _QUEUE_DEFAULTS[key]
            else:
                raise ResourceFailed(f"sandbox: {key} cannot be taken away from a queue")
        if wanted:
            call(place, "sqs", "set_queue_attributes", QueueUrl=physical, Attributes=wanted)
        added, removed = tag_changes(old, new)
        if added:
            call(place, "sqs", "tag_queue", QueueUrl=physical, Tags=added)
        if removed:
            call(place, "sqs", "untag_queue", QueueUrl=physical, TagKeys=removed)

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone(*_NO_QUEUE):
            call(place, "sqs", "delete_queue", QueueUrl=resource.physical_id)


class QueuePolicy(ResourceType):
    name = "AWS::SQS::QueuePolicy"
    known = needed = names("Queues PolicyDocument")

    def make(self, place: Place, properties: Properties) -> Made:
        physical = place.physical_name(255)
        return physical, {"Id": physical}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        policy = document(new["PolicyDocument"], "PolicyDocument")
        for url in new["Queues"]:
            call(place, "sqs", "set_queue_attributes", QueueUrl=url, Attributes={"Policy": policy})
        self._clear(place, set(old.get("Queues", [])) - set(new["Queues"]))

    def delete(self, place: Place, resource: Resource) -> None:
        self._clear(place, set(resource.properties["Queues"]))

    @staticmethod
    def _clear(place: Place, urls: set[str]) -> None:
        for url in sorted(urls):
            with unless_gone(*_NO_QUEUE):
                call(place, "sqs", "set_queue_attributes", QueueUrl=url, Attributes={"Policy": ""})


# ---------------------------------------------------------------------------------------------------------------- SNS
class Topic(ResourceType):
    name = "AWS::SNS::Topic"
    known = names(
        "TopicName DisplayName KmsMasterKeyId FifoTopic ContentBasedDeduplication SignatureVersion TracingConfig "
        "Subscription Tags"
    )
    fixed = names("TopicName FifoTopic")

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties.get("TopicName") or place.physical_name(255)
        arn = place.arn("sns", name)
        refuse_existing(
            f"topic {name}",
            lambda: call(place, "sns", "get_topic_attributes", TopicArn=arn),
            "NotFound",
            "NotFoundException",
        )
        attributes = {
            key: scalar(properties[key]) for key in properties if key not in ("TopicName", "Subscription", "Tags")
        }
        arn = call(place, "sns", "create_topic", Name=name, Attributes=attributes, Tags=tag_list(properties))[
            "TopicArn"
        ]
        return arn, {"TopicArn": arn, "TopicName": name}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        if old is not FIRST:
            for key in changed(old, new) - {"Tags", "Subscription"}:
                value = scalar(new.get(key, ""))
                call(place, "sns", "set_topic_attributes", TopicArn=physical, AttributeName=key, AttributeValue=value)
            added, removed = tag_changes(old, new)
            if added:
                tags = [{"Key": key, "Value": value} for key, value in added.items()]
                call(place, "sns", "tag_resource", ResourceArn=physical, Tags=tags)
            if removed:
                call(place, "sns", "untag_resource", ResourceArn=physical, TagKeys=removed)
        before, after = old.get("Subscription", []), new.get("Subscription", [])
        if [item for item in before if item not in after]:
            raise ResourceFailed("sandbox: a Subscription of a topic cannot be taken away; use AWS::SNS::Subscription")
        for item in after:
            if item not in before:
                call(place, "sns", "subscribe", TopicArn=physical, **picked(item, "Protocol Endpoint"))

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("NotFound", "NotFoundException"):
            call(place, "sns", "delete_topic", TopicArn=resource.physical_id)


class Subscription(ResourceType):
    name = "AWS::SNS::Subscription"
    known = names("TopicArn Protocol Endpoint FilterPolicy FilterPolicyScope RawMessageDelivery RedrivePolicy")
    needed = names("TopicArn Protocol")
    fixed = names("TopicArn Protocol Endpoint")

    def make(self, place: Place, properties: Properties) -> Made:
        attributes = {
            key: document(value, key) if isinstance(value, Mapping) else scalar(value)
            for key, value in properties.items()
            if key not in ("TopicArn", "Protocol", "Endpoint")
        }
        arn = call(
            place,
            "sns",
            "subscribe",
            **picked(properties, "TopicArn Protocol Endpoint"),
            Attributes=attributes,
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        return arn, {"Arn": arn}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        for key in changed(old, new) if old is not FIRST else ():
            value = new.get(key, "")
            text = document(value, key) if isinstance(value, Mapping) else scalar(value)
            call(
                place,
                "sns",
                "set_subscription_attributes",
                SubscriptionArn=physical,
                AttributeName=key,
                AttributeValue=text,
            )

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("NotFound", "NotFoundException"):
            call(place, "sns", "unsubscribe", SubscriptionArn=resource.physical_id)


class TopicPolicy(ResourceType):
    name = "AWS::SNS::TopicPolicy"
    known = needed = names("Topics PolicyDocument")

    def make(self, place: Place, properties: Properties) -> Made:
        physical = place.physical_name(255)
        return physical, {"Id": physical}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        policy = document(new["PolicyDocument"], "PolicyDocument")
        for arn in new["Topics"]:
            self._set(place, arn, policy)
        self._reset(place, set(old.get("Topics", [])) - set(new["Topics"]))

    def delete(self, place: Place, resource: Resource) -> None:
        self._reset(place, set(resource.properties["Topics"]))

    @staticmethod
    def _set(place: Place, arn: str, policy: str) -> None:
        call(place, "sns", "set_topic_attributes", TopicArn=arn, AttributeName="Policy", AttributeValue=policy)

    def _reset(self, place: Place, arns: set[str]) -> None:
        """Give topics the policy that SNS gives a new one: the owner may do what it likes."""
        for arn in sorted(arns):
            statement = {
                "Sid": "__default_statement_ID",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": ["SNS:Publish", "SNS:Subscribe", "SNS:GetTopicAttributes", "SNS:SetTopicAttributes"],
                "Resource": arn,
                "Condition": {"StringEquals": {"AWS:SourceOwner": place.account}},
            }
            with unless_gone("NotFound", "NotFoundException"):
                self._set(place, arn, json.dumps({"Version": "2008-10-17", "Statement": [statement]}))


# ---------------------------------------------------------------------------------------------------------------- KMS
class Key(ResourceType):
    name = "AWS::KMS::Key"
    known = names(
        "Description Enabled EnableKeyRotation RotationPeriodInDays KeyPolicy KeySpec KeyUsage MultiRegion Origin "
        "PendingWindowInDays BypassPolicyLockoutSafetyCheck Tags"
    )
    fixed = names("KeySpec KeyUsage MultiRegion Origin")

    def make(self, place: Place, properties: Properties) -> Made:
        given = picked(properties, "Description KeySpec KeyUsage MultiRegion Origin BypassPolicyLockoutSafetyCheck")
        if "KeyPolicy" in properties:
            given["Policy"] = document(properties["KeyPolicy"], "KeyPolicy")
        tags = [{"TagKey": key, "TagValue": value} for key, value in tag_map(properties).items()]
        made = call(place, "kms", "create_key", **given, Tags=tags)["KeyMetadata"]
        return made["KeyId"], {"Arn": made["Arn"], "KeyId": made["KeyId"]}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        differs = changed(old, new)
        if differs & {"EnableKeyRotation", "RotationPeriodInDays"}:
            if scalar(new.get("EnableKeyRotation", False)) == "true":
                call(place, "kms", "enable_key_rotation", KeyId=physical, **picked(new, "RotationPeriodInDays"))
            elif old is not FIRST:
                call(place, "kms", "disable_key_rotation", KeyId=physical)
        if "Enabled" in differs:
            enabled = scalar(new.get("Enabled", True)) == "true"
            call(place, "kms", "enable_key" if enabled else "disable_key", KeyId=physical)
        if old is FIRST:
            return
        if "KeyPolicy" in differs:
            policy = document(new["KeyPolicy"], "KeyPolicy")
            call(place, "kms", "put_key_policy", KeyId=physical, PolicyName="default", Policy=policy)
        if "Description" in differs:
            call(place, "kms", "update_key_description", KeyId=physical, Description=new.get("Description", ""))
        added, removed = tag_changes(old, new)
        if added:
            tags = [{"TagKey": key, "TagValue": value} for key, value in added.items()]
            call(place, "kms", "tag_resource", KeyId=physical, Tags=tags)
        if removed:
            call(place, "kms", "untag_resource", KeyId=physical, TagKeys=removed)

    def delete(self, place: Place, resource: Resource) -> None:
        days = resource.properties.get("PendingWindowInDays", 30)
        with unless_gone("NotFoundException", "KMSInvalidStateException"):
            call(place, "kms", "schedule_key_deletion", KeyId=resource.physical_id, PendingWindowInDays=days)


class Alias(ResourceType):
    name = "AWS::KMS::Alias"
    known = needed = names("AliasName TargetKeyId")
    fixed = names("AliasName")

    def make(self, place: Place, properties: Properties) -> Made:
        key_id = properties["TargetKeyId"].rsplit("/", 1)[-1]
        call(place, "kms", "create_alias", AliasName=properties["AliasName"], TargetKeyId=key_id)
        return properties["AliasName"], {}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        if old is not FIRST:
            call(place, "kms", "update_alias", AliasName=physical, TargetKeyId=new["TargetKeyId"].rsplit("/", 1)[-1])

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("NotFoundException"):
            call(place, "kms", "delete_alias", AliasName=resource.physical_id)


# ----------------------------------------------------------------------------------------------------------- DynamoDB
class Table(ResourceType):
    name = "AWS::DynamoDB::Table"
    known = names(
        "TableName AttributeDefinitions KeySchema BillingMode ProvisionedThroughput GlobalSecondaryIndexes "
        "LocalSecondaryIndexes SSESpecification StreamSpecification TableClass DeletionProtectionEnabled "
        "TimeToLiveSpecification PointInTimeRecoverySpecification ResourcePolicy Tags"
    )
    needed = names("KeySchema AttributeDefinitions")
    fixed = names("TableName KeySchema LocalSecondaryIndexes")

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties.get("TableName") or place.physical_name(255)
        given = picked(
            properties,
            "AttributeDefinitions KeySchema BillingMode ProvisionedThroughput GlobalSecondaryIndexes "
            "LocalSecondaryIndexes TableClass DeletionProtectionEnabled",
        )
        if "SSESpecification" in properties:
            given["SSESpecification"] = self._encryption(properties)
        if "StreamSpecification" in properties:
            given["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
        made = call(place, "dynamodb", "create_table", TableName=name, **given, Tags=tag_list(properties))[
            "TableDescription"
        ]
        attributes = {"Arn": made["TableArn"]}
        if "LatestStreamArn" in made:
            attributes["StreamArn"] = made["LatestStreamArn"]
        return name, attributes

    @staticmethod
    def _encryption(properties: Properties) -> dict[str, Any]:
        given = properties.get("SSESpecification", {"SSEEnabled": False})
        return {"Enabled": given["SSEEnabled"], **picked(given, "SSEType KMSMasterKeyId")}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        arn = place.arn("dynamodb", f"table/{physical}")
        differs = changed(old, new)
        if "TimeToLiveSpecification" in differs:
            wanted = new.get("TimeToLiveSpecification") or {**old["TimeToLiveSpecification"], "Enabled": False}
            call(place, "dynamodb", "update_time_to_live", TableName=physical, TimeToLiveSpecification=wanted)
        if "PointInTimeRecoverySpecification" in differs:
            wanted = new.get("PointInTimeRecoverySpecification", {"PointInTimeRecoveryEnabled": False})
            call(
                place,
                "dynamodb",
                "update_continuous_backups",
                TableName=physical,
                PointInTimeRecoverySpecification=wanted,
            )
        if "ResourcePolicy" in differs:
            if "ResourcePolicy" in new:
                policy = document(new["ResourcePolicy"]["PolicyDocument"], "ResourcePolicy")
                call(place, "dynamodb", "put_resource_policy", ResourceArn=arn, Policy=policy)
            else:
                call(place, "dynamodb", "delete_resource_policy", ResourceArn=arn)
        if old is FIRST:
            return
        if "StreamSpecification" in differs:
            raise ResourceFailed("sandbox: StreamSpecification of a table cannot be changed")
        simple = differs & names("BillingMode ProvisionedThroughput TableClass DeletionProtectionEnabled")
        defaults = {"BillingMode": "PROVISIONED", "TableClass": "STANDARD", "DeletionProtectionEnabled": False}
        for key in sorted(simple):
            if key not in new and key not in defaults:
                continue
            call(place, "dynamodb", "update_table", TableName=physical, **{key: new.get(key, defaults.get(key))})
        if "SSESpecification" in differs:
            call(place, "dynamodb", "update_table", TableName=physical, SSESpecification=self._encryption(new))
        self._change_indexes(place, physical, old, new)
        added, removed = tag_changes(old, new)
        if added:
            tags = [{"Key": key, "Value": value} for key, value in added.items()]
            call(place, "dynamodb", "tag_resource", ResourceArn=arn, Tags=tags)
        if removed:
            call(place, "dynamodb", "untag_resource", ResourceArn=arn, TagKeys=removed)

    @staticmethod
    def _change_indexes(place: Place, physical: str, old: Properties, new: Properties) -> None:
        before = {index["IndexName"]: index for index in old.get("GlobalSecondaryIndexes", [])}
        after = {index["IndexName"]: index for index in new.get("GlobalSecondaryIndexes", [])}
        updates: list[dict[str, Any]] = [{"Delete": {"IndexName": name}} for name in before if name not in after]
        updates += [{"Create": index} for name, index in after.items() if name not in before]
        if [name for name in before if name in after and before[name] != after[name]]:
            raise ResourceFailed("a global secondary index cannot be changed; give it another name")
        if len(updates) > 1:
            raise ResourceFailed("Cannot perform more than one GSI creation or deletion in a single update")
        if updates:
            call(
                place,
                "dynamodb",
                "update_table",
                TableName=physical,
                AttributeDefinitions=new["AttributeDefinitions"],
                GlobalSecondaryIndexUpdates=updates,
            )

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("ResourceNotFoundException"):
            call(place, "dynamodb", "delete_table", TableName=resource.physical_id)


# ------------------------------------------------------------------------------------------------------------- Lambda
_ENVIRONMENT_LIMIT = 4096  # bytes; https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html


class Function(ResourceType):
    name = "AWS::Lambda::Function"
    known = names(
        "FunctionName Code Handler Runtime Role Timeout MemorySize Environment Description "
        "Architectures EphemeralStorage "
        "ReservedConcurrentExecutions LoggingConfig DeadLetterConfig TracingConfig KmsKeyArn Layers RecursiveLoop Tags"
    )
    needed = names("Code Role Handler Runtime")
    fixed = names("FunctionName")
    _settings = "Handler Role Timeout MemorySize Environment Description Runtime EphemeralStorage TracingConfig"

    def check(self, logical_id: str, properties: Properties) -> None:
        super().check(logical_id, properties)
        variables = properties.get("Environment", {}).get("Variables", {})
        size = len(json.dumps(variables, separators=(",", ":")).encode())
        if size > _ENVIRONMENT_LIMIT:
            raise ResourceFailed(
                f"Lambda was unable to configure your environment variables: {size} bytes, 4096 at most"
            )
        reserved = [name for name in variables if name.startswith("AWS_LAMBDA") or name in ("AWS_REGION", "_HANDLER")]
        if reserved:
            raise ResourceFailed(f"environment variables {reserved} are Lambda's own")
        unknown_layers = [arn for arn in properties.get("Layers", []) if "Powertools" not in arn]
        if unknown_layers:
            raise ResourceFailed(f"sandbox: layers {unknown_layers} are not known; only those of Powertools")

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties.get("FunctionName") or place.physical_name(64)
        arn = place.arn("lambda", f"function:{name}")
        given = picked(properties, self._settings + " Architectures")
        if "KmsKeyArn" in properties:
            given["KMSKeyArn"] = properties["KmsKeyArn"]
        refuse_existing(
            f"function {name}",
            lambda: call(place, "lambda", "get_function", FunctionName=name),
            "ResourceNotFoundException",
        )
        call(
            place,
            "lambda",
            "create_function",
            FunctionName=name,
            Code={"ZipFile": self._zip(place, properties)},
            **given,
            Tags=tag_map(properties),
        )
        return name, {"Arn": arn}

    @staticmethod
    def _zip(place: Place, properties: Properties) -> bytes:
        code = properties["Code"]
        if set(code) == {"S3Bucket", "S3Key"}:
            content = place.read_object(code["S3Bucket"], code["S3Key"])
            # Source: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCode.html (S3Bucket)
            where = region_of_bucket(code["S3Bucket"])
            if where not in (None, place.region):
                raise ResourceFailed(f"The bucket is in {where}: it must be in the function's Region, {place.region}")
            return content
        if set(code) == {"ZipFile"}:
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr(zipfile.ZipInfo("index.py"), code["ZipFile"])
            return buffer.getvalue()
        raise ResourceFailed(f"sandbox: Code with {sorted(code)} is not known")

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        arn = place.arn("lambda", f"function:{physical}")
        differs = changed(old, new)
        beside = place.world.beside_moto(arn)
        for key in ("LoggingConfig", "DeadLetterConfig", "Layers", "RecursiveLoop"):
            beside.pop(key, None)
            if key in new:
                beside[key] = new[key]
        if old is FIRST:
            try:
                place.world.functions.credentials(arn)
            except ClientError as error:
                raise ResourceFailed(
                    f"The role defined for the function cannot be assumed by Lambda. ({error})"
                ) from error
        if "ReservedConcurrentExecutions" in differs:
            if "ReservedConcurrentExecutions" in new:
                count = new["ReservedConcurrentExecutions"]
                call(
                    place,
                    "lambda",
                    "put_function_concurrency",
                    FunctionName=physical,
                    ReservedConcurrentExecutions=count,
                )
            else:
                call(place, "lambda", "delete_function_concurrency", FunctionName=physical)
        if old is FIRST:
            return
        if differs & {"Architectures", "KmsKeyArn"}:
            raise ResourceFailed("sandbox: Architectures and KmsKeyArn of a function cannot be changed")
        if "Code" in differs:
            zipped = self._zip(place, new)
            call(place, "lambda", "update_function_code", FunctionName=physical, ZipFile=zipped)
        if differs & set(self._settings.split()):
            defaults = {"Timeout": 3, "MemorySize": 128, "Environment": {"Variables": {}}, "Description": ""}
            wanted = {**defaults, **picked(new, self._settings)}
            call(place, "lambda", "update_function_configuration", FunctionName=physical, **wanted)
        added, removed = tag_changes(old, new)
        if added:
            call(place, "lambda", "tag_resource", Resource=arn, Tags=added)
        if removed:
            call(place, "lambda", "untag_resource", Resource=arn, TagKeys=removed)

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("ResourceNotFoundException"):
            call(place, "lambda", "delete_function", FunctionName=resource.physical_id)
        place.world.beside_moto(resource.attributes["Arn"]).clear()


class Permission(ResourceType):
    name = "AWS::Lambda::Permission"
    known = names("FunctionName Action Principal SourceArn SourceAccount PrincipalOrgID EventSourceToken")
    needed = names("FunctionName Action Principal")
    fixed = known

    def make(self, place: Place, properties: Properties) -> Made:
        statement = place.physical_name(100)
        call(place, "lambda", "add_permission", StatementId=statement, **properties)
        return statement, {"Id": statement}

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("ResourceNotFoundException"):
            function = resource.properties["FunctionName"]
            call(place, "lambda", "remove_permission", FunctionName=function, StatementId=resource.physical_id)


class EventSourceMapping(ResourceType):
    name = "AWS::Lambda::EventSourceMapping"
    known = names(
        "EventSourceArn FunctionName BatchSize Enabled MaximumBatchingWindowInSeconds FunctionResponseTypes "
        "ScalingConfig Tags"
    )
    needed = names("EventSourceArn FunctionName")
    fixed = names("EventSourceArn Tags")

    def check(self, logical_id: str, properties: Properties) -> None:
        super().check(logical_id, properties)
        size, window = int(properties.get("BatchSize", 10)), int(properties.get("MaximumBatchingWindowInSeconds", 0))
        if size > 10 and window < 1:
            raise ResourceFailed(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
            )
        concurrency = properties.get("ScalingConfig", {}).get("MaximumConcurrency")
        if concurrency is not None and not 2 <= int(concurrency) <= 1000:
            raise ResourceFailed(f"ScalingConfig.MaximumConcurrency is {concurrency}: 2 to 1000")

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties["FunctionName"].rsplit(":", 1)[-1]
        arn = place.arn("lambda", f"function:{name}")
        place.world.queues.check_mapping(properties["EventSourceArn"], arn)
        made = call(
            place, "lambda", "create_event_source_mapping", **{k: v for k, v in properties.items() if k != "Tags"}
        )
        return made["UUID"], {
            "Id": made["UUID"],
            "EventSourceMappingArn": place.arn("lambda", f"event-source-mapping:{made['UUID']}"),
        }

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        if old is FIRST:
            return
        defaults: dict[str, Any] = {
            "BatchSize": 10,
            "Enabled": True,
            "MaximumBatchingWindowInSeconds": 0,
            "FunctionResponseTypes": [],
            "ScalingConfig": {},
        }
        wanted = {key: new.get(key, defaults.get(key)) for key in changed(old, new)}
        call(place, "lambda", "update_event_source_mapping", UUID=physical, **wanted)

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("ResourceNotFoundException"):
            call(place, "lambda", "delete_event_source_mapping", UUID=resource.physical_id)


class EventInvokeConfig(ResourceType):
    name = "AWS::Lambda::EventInvokeConfig"
    known = names("FunctionName Qualifier MaximumRetryAttempts MaximumEventAgeInSeconds DestinationConfig")
    needed = names("FunctionName Qualifier")
    fixed = names("FunctionName Qualifier")

    def check(self, logical_id: str, properties: Properties) -> None:
        super().check(logical_id, properties)
        if properties["Qualifier"] != "$LATEST":
            raise ResourceFailed(f"sandbox: Qualifier {properties['Qualifier']} is not known, only $LATEST")
        if "OnSuccess" in properties.get("DestinationConfig", {}):
            raise ResourceFailed("sandbox: DestinationConfig.OnSuccess is not known")

    def make(self, place: Place, properties: Properties) -> Made:
        return f"{properties['FunctionName']}|{properties['Qualifier']}", {}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        settings = {key: value for key, value in new.items() if key != "Qualifier"}
        call(place, "lambda", "put_function_event_invoke_config", **settings)

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("ResourceNotFoundException"):
            name = resource.properties["FunctionName"]
            call(place, "lambda", "delete_function_event_invoke_config", FunctionName=name)


# -------------------------------------------------------------------------------------------------------- EventBridge
_TARGET = names("Arn Id RoleArn Input DeadLetterConfig RetryPolicy")


def as_text(value: Any) -> Any:
    """
    Return a pattern as CloudFormation hands it on: numbers and booleans inside it have become texts.

    So `{"exists": true}` is refused by EventBridge, and `[true]` never matches: write neither in a template.
    """
    if isinstance(value, Mapping):
        return {key: as_text(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_text(item) for item in value]
    return value if value is None or isinstance(value, str) else scalar(value)


class Rule(ResourceType):
    name = "AWS::Events::Rule"
    known = names("Name Description EventBusName EventPattern ScheduleExpression State RoleArn Targets Tags")
    fixed = names("Name EventBusName")

    def check(self, logical_id: str, properties: Properties) -> None:
        super().check(logical_id, properties)
        for target in properties.get("Targets", []):
            unknown = set(target) - _TARGET
            if unknown:
                raise ResourceFailed(f"sandbox: target {target.get('Id')}: {', '.join(sorted(unknown))} is not known")
            if "Input" in target:
                try:
                    json.loads(target["Input"])
                except ValueError as error:
                    raise ResourceFailed(f"target {target.get('Id')}: Input is no JSON: {error}") from error
        if len(properties.get("Targets", [])) > 5:
            raise ResourceFailed("a rule has five targets at most")
        if ("EventPattern" in properties) == ("ScheduleExpression" in properties):
            raise ResourceFailed("a rule has an EventPattern or a ScheduleExpression")

    def make(self, place: Place, properties: Properties) -> Made:
        bus = properties.get("EventBusName", "default").rsplit("/", 1)[-1]
        name = properties.get("Name") or place.physical_name(64)
        refuse_existing(
            f"rule {name}",
            lambda: call(place, "events", "describe_rule", Name=name, EventBusName=bus),
            "ResourceNotFoundException",
        )
        self._put(place, name, bus, properties)
        inside = "" if bus == "default" else f"{bus}/"
        physical = name if bus == "default" else f"{bus}|{name}"
        return physical, {"Arn": place.arn("events", f"rule/{inside}{name}")}

    @staticmethod
    def _put(place: Place, name: str, bus: str, properties: Properties) -> None:
        given = picked(properties, "Description ScheduleExpression State RoleArn")
        if "EventPattern" in properties:
            pattern = properties["EventPattern"]
            given["EventPattern"] = document(
                as_text(pattern) if isinstance(pattern, Mapping) else pattern, "EventPattern"
            )
        call(place, "events", "put_rule", Name=name, EventBusName=bus, **given, Tags=tag_list(properties))

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        bus, _, name = physical.rpartition("|")
        bus = bus or "default"
        if old is not FIRST:
            self._put(place, name, bus, new)
        gone = {target["Id"] for target in old.get("Targets", [])} - {target["Id"] for target in new.get("Targets", [])}
        if gone:
            call(place, "events", "remove_targets", Rule=name, EventBusName=bus, Ids=sorted(gone))
        if new.get("Targets"):
            call(place, "events", "put_targets", Rule=name, EventBusName=bus, Targets=new["Targets"])

    def delete(self, place: Place, resource: Resource) -> None:
        bus, _, name = resource.physical_id.rpartition("|")
        bus = bus or "default"
        with unless_gone("ResourceNotFoundException"):
            targets = call(place, "events", "list_targets_by_rule", Rule=name, EventBusName=bus)["Targets"]
            if targets:
                ids = [target["Id"] for target in targets]
                call(place, "events", "remove_targets", Rule=name, EventBusName=bus, Ids=ids)
            call(place, "events", "delete_rule", Name=name, EventBusName=bus)


class EventBus(ResourceType):
    name = "AWS::Events::EventBus"
    known = names("Name Description KmsKeyIdentifier Tags")
    needed = names("Name")
    fixed = known

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties["Name"]
        given = picked(properties, "Name Description KmsKeyIdentifier")
        call(place, "events", "create_event_bus", **given, Tags=tag_list(properties))
        return name, {"Arn": place.arn("events", f"event-bus/{name}"), "Name": name}

    def delete(self, place: Place, resource: Resource) -> None:
        call(place, "events", "delete_event_bus", Name=resource.physical_id)


class EventBusPolicy(ResourceType):
    name = "AWS::Events::EventBusPolicy"
    known = names("StatementId EventBusName Statement Action Principal Condition")
    needed = names("StatementId")
    fixed = names("StatementId EventBusName")

    def make(self, place: Place, properties: Properties) -> Made:
        bus = properties.get("EventBusName", "default").rsplit("/", 1)[-1]
        return f"{bus}|{properties['StatementId']}", {}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        name, _, sid = physical.partition("|")
        bus = events_backends[place.account][place.region].event_buses.get(name)
        if bus is None:
            raise ResourceFailed(f"Event bus {name} does not exist.")
        if "Statement" in new:
            if set(new) & {"Action", "Principal", "Condition"}:
                raise ResourceFailed("Statement stands alone, or Action and Principal without it")
            statement = json.loads(document(new["Statement"], "Statement"))
        else:
            principal = new["Principal"]
            if principal != "*":
                principal = {"AWS": f"arn:{place.partition}:iam::{principal}:root"}
            statement = {"Effect": "Allow", "Principal": principal, "Action": new["Action"], "Resource": bus.arn}
            if "Condition" in new:
                given = new["Condition"]
                statement["Condition"] = {given["Type"]: {given["Key"]: given["Value"]}}
        # Not by PutPermission: moto's takes away other statements with the same principal, AWS's does not.
        bus._statements[sid] = EventBusPolicyStatement.from_dict({**statement, "Sid": sid})

    def delete(self, place: Place, resource: Resource) -> None:
        name, _, sid = resource.physical_id.partition("|")
        bus = events_backends[place.account][place.region].event_buses.get(name)
        if bus is not None:
            bus.remove_statement(sid)


# ---------------------------------------------------------------------------------------------------------------- IAM
# Characters without white space. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_TRUST_LIMIT, _INLINE_LIMIT, _MANAGED_LIMIT = 2048, 10_240, 6_144


def policy(value: Any, where: str, limit: int) -> str:
    """Return a policy document as text. Raises ResourceFailed where it is too long."""
    text = document(value, where)
    length = len(re.sub(r"\s", "", text))
    if length > limit:
        raise ResourceFailed(f"{where} has {length} characters without white space, more than {limit}")
    return text


class Role(ResourceType):
    name = "AWS::IAM::Role"
    known = names(
        "RoleName AssumeRolePolicyDocument Path Description MaxSessionDuration Policies ManagedPolicyArns "
        "PermissionsBoundary Tags"
    )
    needed = names("AssumeRolePolicyDocument")
    fixed = names("RoleName Path")

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties.get("RoleName") or place.physical_name(64)
        given = picked(properties, "Path Description MaxSessionDuration PermissionsBoundary")
        trust = policy(properties["AssumeRolePolicyDocument"], "AssumeRolePolicyDocument", _TRUST_LIMIT)
        made = call(
            place,
            "iam",
            "create_role",
            RoleName=name,
            AssumeRolePolicyDocument=trust,
            **given,
            Tags=tag_list(properties),
        )["Role"]
        return name, {"Arn": made["Arn"], "RoleId": made["RoleId"]}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        role = {"RoleName": physical}
        before = {item["PolicyName"]: item["PolicyDocument"] for item in old.get("Policies", [])}
        after = {item["PolicyName"]: item["PolicyDocument"] for item in new.get("Policies", [])}
        sizes = [len(re.sub(r"\s", "", document(value, "policy"))) for value in after.values()]
        if sum(sizes) > _INLINE_LIMIT:
            raise ResourceFailed(f"Maximum policy size of {_INLINE_LIMIT} bytes exceeded for role {physical}")
        for name, value in after.items():
            if before.get(name) != value:
                text = document(value, f"Policies/{name}")
                call(place, "iam", "put_role_policy", **role, PolicyName=name, PolicyDocument=text)
        for name in set(before) - set(after):
            call(place, "iam", "delete_role_policy", **role, PolicyName=name)
        attached, wanted = set(old.get("ManagedPolicyArns", [])), set(new.get("ManagedPolicyArns", []))
        for arn in sorted(wanted - attached):
            call(place, "iam", "attach_role_policy", **role, PolicyArn=arn)
        for arn in sorted(attached - wanted):
            call(place, "iam", "detach_role_policy", **role, PolicyArn=arn)
        if old is FIRST:
            return
        differs = changed(old, new)
        if "AssumeRolePolicyDocument" in differs:
            trust = policy(new["AssumeRolePolicyDocument"], "AssumeRolePolicyDocument", _TRUST_LIMIT)
            call(place, "iam", "update_assume_role_policy", **role, PolicyDocument=trust)
        if differs & {"Description", "MaxSessionDuration"}:
            settings = {
                "Description": new.get("Description", ""),
                "MaxSessionDuration": new.get("MaxSessionDuration", 3600),
            }
            call(place, "iam", "update_role", **role, **settings)
        if "PermissionsBoundary" in differs:
            if "PermissionsBoundary" in new:
                arn = new["PermissionsBoundary"]
                call(place, "iam", "put_role_permissions_boundary", **role, PermissionsBoundary=arn)
            else:
                call(place, "iam", "delete_role_permissions_boundary", **role)
        added, removed = tag_changes(old, new)
        if added:
            tags = [{"Key": key, "Value": value} for key, value in added.items()]
            call(place, "iam", "tag_role", **role, Tags=tags)
        if removed:
            call(place, "iam", "untag_role", **role, TagKeys=removed)

    def delete(self, place: Place, resource: Resource) -> None:
        role = {"RoleName": resource.physical_id}
        with unless_gone("NoSuchEntity"):
            # The stack's own only: what somebody else attached blocks the deletion, as in AWS.
            own = {item["PolicyName"] for item in resource.properties.get("Policies", [])}
            for name in call(place, "iam", "list_role_policies", **role)["PolicyNames"]:
                if name in own:
                    call(place, "iam", "delete_role_policy", **role, PolicyName=name)
            managed = set(resource.properties.get("ManagedPolicyArns", []))
            for item in call(place, "iam", "list_attached_role_policies", **role)["AttachedPolicies"]:
                if item["PolicyArn"] in managed:
                    call(place, "iam", "detach_role_policy", **role, PolicyArn=item["PolicyArn"])
            call(place, "iam", "delete_role", **role)


_HOLDERS = {"Roles": ("role", "RoleName"), "Users": ("user", "UserName"), "Groups": ("group", "GroupName")}


def holders(properties: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return who has a policy, as (property, name)."""
    return {(kind, name) for kind in _HOLDERS for name in properties.get(kind, [])}


class InlinePolicy(ResourceType):
    name = "AWS::IAM::Policy"
    known = names("PolicyName PolicyDocument Roles Users Groups")
    needed = names("PolicyName PolicyDocument")

    def check(self, logical_id: str, properties: Properties) -> None:
        super().check(logical_id, properties)
        if not holders(properties):
            raise ResourceFailed("At least one of [Groups,Roles,Users] must be non-empty.")

    def make(self, place: Place, properties: Properties) -> Made:
        physical = place.physical_name(128)
        return physical, {"Id": physical}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        text = policy(new["PolicyDocument"], "PolicyDocument", _INLINE_LIMIT)
        for kind, name in sorted(holders(new)):
            operation, parameter = _HOLDERS[kind]
            given = {parameter: name, "PolicyName": new["PolicyName"]}
            call(place, "iam", f"put_{operation}_policy", **given, PolicyDocument=text)
        kept = {(new["PolicyName"], *holder) for holder in holders(new)}
        for kind, name in sorted(holders(old)):
            if (old["PolicyName"], kind, name) not in kept:
                self._remove(place, old["PolicyName"], kind, name)

    def delete(self, place: Place, resource: Resource) -> None:
        for kind, name in sorted(holders(resource.properties)):
            self._remove(place, resource.properties["PolicyName"], kind, name)

    @staticmethod
    def _remove(place: Place, policy_name: str, kind: str, name: str) -> None:
        operation, parameter = _HOLDERS[kind]
        with unless_gone("NoSuchEntity"):
            call(place, "iam", f"delete_{operation}_policy", **{parameter: name}, PolicyName=policy_name)


class ManagedPolicy(ResourceType):
    name = "AWS::IAM::ManagedPolicy"
    known = names("ManagedPolicyName PolicyDocument Path Description Roles Users Groups")
    needed = names("PolicyDocument")
    fixed = names("ManagedPolicyName Path Description")

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties.get("ManagedPolicyName") or place.physical_name(128)
        text = policy(properties["PolicyDocument"], "PolicyDocument", _MANAGED_LIMIT)
        given = picked(properties, "Path Description")
        made = call(place, "iam", "create_policy", PolicyName=name, PolicyDocument=text, **given)["Policy"]
        return made["Arn"], {"PolicyArn": made["Arn"], "PolicyId": made["PolicyId"]}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        if old is not FIRST and old["PolicyDocument"] != new["PolicyDocument"]:
            text = policy(new["PolicyDocument"], "PolicyDocument", _MANAGED_LIMIT)
            call(place, "iam", "create_policy_version", PolicyArn=physical, PolicyDocument=text, SetAsDefault=True)
            self._delete_versions(place, physical)
        for kind, name in sorted(holders(new) - holders(old)):
            operation, parameter = _HOLDERS[kind]
            call(place, "iam", f"attach_{operation}_policy", **{parameter: name}, PolicyArn=physical)
        self._detach(place, physical, holders(old) - holders(new))

    def delete(self, place: Place, resource: Resource) -> None:
        self._detach(place, resource.physical_id, holders(resource.properties))
        with unless_gone("NoSuchEntity"):
            self._delete_versions(place, resource.physical_id)
            call(place, "iam", "delete_policy", PolicyArn=resource.physical_id)

    @staticmethod
    def _detach(place: Place, arn: str, gone: set[tuple[str, str]]) -> None:
        for kind, name in sorted(gone):
            operation, parameter = _HOLDERS[kind]
            with unless_gone("NoSuchEntity"):
                call(place, "iam", f"detach_{operation}_policy", **{parameter: name}, PolicyArn=arn)

    @staticmethod
    def _delete_versions(place: Place, arn: str) -> None:
        for version in call(place, "iam", "list_policy_versions", PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                call(place, "iam", "delete_policy_version", PolicyArn=arn, VersionId=version["VersionId"])


# ---------------------------------------------------------------------------------------------------------------- SSM
_DOCUMENT_LIMIT = 65_536  # bytes; https://docs.aws.amazon.com/general/latest/gr/ssm.html


class Document(ResourceType):
    name = "AWS::SSM::Document"
    known = names("Name Content DocumentType DocumentFormat UpdateMethod TargetType VersionName Tags")
    needed = names("Content")
    fixed = names("Name DocumentType TargetType")

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties.get("Name") or place.physical_name(128)
        given = {"DocumentType": "Command", "DocumentFormat": "JSON"}
        given |= picked(properties, "DocumentType DocumentFormat TargetType VersionName")
        content = self._content(properties)
        call(place, "ssm", "create_document", Name=name, Content=content, **given, Tags=tag_list(properties))
        return name, {}

    @staticmethod
    def _content(properties: Properties) -> str:
        content = properties["Content"]
        text = content if isinstance(content, str) else json.dumps(content, separators=(",", ":"))
        if len(text.encode()) > _DOCUMENT_LIMIT:
            raise ResourceFailed(f"MaxDocumentSizeExceeded: {len(text.encode())} bytes, {_DOCUMENT_LIMIT} at most")
        return text

    def update(self, place: Place, before: Resource, properties: Properties) -> Made:
        differs = changed(before.properties, properties)
        method = properties.get("UpdateMethod", "Replace")
        if differs & {"Content", "DocumentFormat", "VersionName"} and method == "Replace":
            raise NotUpdatable
        return super().update(place, before, properties)

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        if old is FIRST:
            return
        if changed(old, new) & {"Content", "DocumentFormat", "VersionName"}:
            version = call(
                place,
                "ssm",
                "update_document",
                Name=physical,
                Content=self._content(new),
                DocumentVersion="$LATEST",
                DocumentFormat=new.get("DocumentFormat", "JSON"),
                **picked(new, "VersionName"),
            )["DocumentDescription"]["DocumentVersion"]
            call(place, "ssm", "update_document_default_version", Name=physical, DocumentVersion=version)
        added, removed = tag_changes(old, new)
        where = {"ResourceType": "Document", "ResourceId": physical}
        if added:
            tags = [{"Key": key, "Value": value} for key, value in added.items()]
            call(place, "ssm", "add_tags_to_resource", **where, Tags=tags)
        if removed:
            call(place, "ssm", "remove_tags_from_resource", **where, TagKeys=removed)

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("InvalidDocument"):
            call(place, "ssm", "delete_document", Name=resource.physical_id)


class Parameter(ResourceType):
    name = "AWS::SSM::Parameter"
    known = names("Name Type Value Description Tier AllowedPattern DataType Tags")
    needed = names("Type Value")
    fixed = names("Name")

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties.get("Name") or place.physical_name(255)
        given = picked(properties, "Type Value Description Tier AllowedPattern DataType")
        tags = [{"Key": key, "Value": scalar(value)} for key, value in properties.get("Tags", {}).items()]
        call(place, "ssm", "put_parameter", Name=name, **given, **({"Tags": tags} if tags else {}))
        return name, {"Type": properties["Type"], "Value": properties["Value"]}

    def update(self, place: Place, before: Resource, properties: Properties) -> Made:
        differs = changed(before.properties, properties)
        if differs & self.fixed:
            raise NotUpdatable
        if "Tags" in differs:
            raise ResourceFailed("sandbox: Tags of a parameter cannot be changed")
        given = picked(properties, "Type Value Description Tier AllowedPattern DataType")
        call(place, "ssm", "put_parameter", Name=before.physical_id, **given, Overwrite=True)
        return before.physical_id, {"Type": properties["Type"], "Value": properties["Value"]}

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("ParameterNotFound"):
            call(place, "ssm", "delete_parameter", Name=resource.physical_id)


# --------------------------------------------------------------------------------------------------- logs and metrics
class LogGroup(ResourceType):
    name = "AWS::Logs::LogGroup"
    known = names("LogGroupName RetentionInDays KmsKeyId LogGroupClass Tags")
    fixed = names("LogGroupName LogGroupClass")

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties.get("LogGroupName") or place.physical_name(512)
        given = {"logGroupName": name}
        if "KmsKeyId" in properties:
            given["kmsKeyId"] = properties["KmsKeyId"]
        if "LogGroupClass" in properties:
            given["logGroupClass"] = properties["LogGroupClass"]
        if properties.get("Tags"):
            given["tags"] = tag_map(properties)
        call(place, "logs", "create_log_group", **given)
        return name, {"Arn": place.arn("logs", f"log-group:{name}:*")}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        differs = changed(old, new)
        if "RetentionInDays" in differs:
            if "RetentionInDays" in new:
                days = new["RetentionInDays"]
                call(place, "logs", "put_retention_policy", logGroupName=physical, retentionInDays=days)
            else:
                call(place, "logs", "delete_retention_policy", logGroupName=physical)
        if old is FIRST:
            return
        if "KmsKeyId" in differs:
            raise ResourceFailed("sandbox: KmsKeyId of a log group cannot be changed")
        added, removed = tag_changes(old, new)
        arn = place.arn("logs", f"log-group:{physical}")
        if added:
            call(place, "logs", "tag_resource", resourceArn=arn, tags=added)
        if removed:
            call(place, "logs", "untag_resource", resourceArn=arn, tagKeys=removed)

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("ResourceNotFoundException"):
            call(place, "logs", "delete_log_group", logGroupName=resource.physical_id)


class MetricFilter(ResourceType):
    name = "AWS::Logs::MetricFilter"
    known = names("FilterName FilterPattern LogGroupName MetricTransformations")
    needed = names("FilterPattern LogGroupName MetricTransformations")
    fixed = names("FilterName LogGroupName")
    _transformation: ClassVar[dict[str, str]] = {
        "MetricName": "metricName",
        "MetricNamespace": "metricNamespace",
        "MetricValue": "metricValue",
        "DefaultValue": "defaultValue",
        "Unit": "unit",
    }

    def make(self, place: Place, properties: Properties) -> Made:
        return properties.get("FilterName") or place.physical_name(512), {}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        transformations = []
        for given in new["MetricTransformations"]:
            unknown = set(given) - {*self._transformation, "Dimensions"}
            if unknown:
                raise ResourceFailed(f"MetricTransformations: unknown {sorted(unknown)}")
            wanted = {self._transformation[key]: value for key, value in given.items() if key != "Dimensions"}
            if "Dimensions" in given:
                wanted["dimensions"] = {item["Key"]: item["Value"] for item in given["Dimensions"]}
            transformations.append(wanted)
        call(
            place,
            "logs",
            "put_metric_filter",
            logGroupName=new["LogGroupName"],
            filterName=physical,
            filterPattern=new["FilterPattern"],
            metricTransformations=transformations,
        )

    def delete(self, place: Place, resource: Resource) -> None:
        with unless_gone("ResourceNotFoundException"):
            group = resource.properties["LogGroupName"]
            call(place, "logs", "delete_metric_filter", logGroupName=group, filterName=resource.physical_id)


class KeptBeside(ResourceType):
    """A type that moto has no operations for: its properties are kept by the world under an ARN of our own making."""

    service: ClassVar[str]
    kind: ClassVar[str]

    def _arn(self, place: Place, physical: str) -> str:
        return place.arn(self.service, f"{self.kind}:{physical}")

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        kept = place.world.beside_moto(self._arn(place, physical))
        kept.clear()
        kept.update(new)

    def delete(self, place: Place, resource: Resource) -> None:
        place.world.beside_moto(self._arn(place, resource.physical_id)).clear()


class QueryDefinition(KeptBeside):
    name = "AWS::Logs::QueryDefinition"
    known = names("Name QueryString LogGroupNames QueryLanguage")
    needed = names("Name QueryString")
    service, kind = "logs", "query-definition"

    def make(self, place: Place, properties: Properties) -> Made:
        identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{place.stack.id}/{place.logical_id}"))
        return identifier, {"QueryDefinitionId": identifier}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        for group in new.get("LogGroupNames", []):
            found = call(place, "logs", "describe_log_groups", logGroupNamePrefix=group)["logGroups"]
            if group not in [item["logGroupName"] for item in found]:
                raise ResourceFailed(f"The specified log group does not exist: {group}")
        super().configure(place, physical, old, new)


class Alarm(ResourceType):
    name = "AWS::CloudWatch::Alarm"
    known = names(
        "AlarmName AlarmDescription ActionsEnabled OKActions AlarmActions InsufficientDataActions MetricName Namespace "
        "Statistic ExtendedStatistic Dimensions Period Unit EvaluationPeriods DatapointsToAlarm "
        "Threshold ComparisonOperator "
        "TreatMissingData EvaluateLowSampleCountPercentile Metrics ThresholdMetricId Tags"
    )
    needed = names("ComparisonOperator EvaluationPeriods")
    fixed = names("AlarmName")

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties.get("AlarmName") or place.physical_name(255)
        if call(place, "cloudwatch", "describe_alarms", AlarmNames=[name])["MetricAlarms"]:
            raise ResourceFailed(f"alarm {name} already exists")
        return name, {"Arn": place.arn("cloudwatch", f"alarm:{name}")}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        call(place, "cloudwatch", "put_metric_alarm", **{**new, "AlarmName": physical})

    def delete(self, place: Place, resource: Resource) -> None:
        call(place, "cloudwatch", "delete_alarms", AlarmNames=[resource.physical_id])


class CompositeAlarm(KeptBeside):
    name = "AWS::CloudWatch::CompositeAlarm"
    known = names(
        "AlarmName AlarmRule AlarmDescription ActionsEnabled OKActions AlarmActions "
        "InsufficientDataActions ActionsSuppressor "
        "ActionsSuppressorExtensionPeriod ActionsSuppressorWaitPeriod Tags"
    )
    needed = names("AlarmRule")
    fixed = names("AlarmName")
    service, kind = "cloudwatch", "alarm"

    def make(self, place: Place, properties: Properties) -> Made:
        name = properties.get("AlarmName") or place.physical_name(255)
        return name, {"Arn": self._arn(place, name)}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        rule = new["AlarmRule"]
        if not 1 <= len(rule) <= 10_240:
            raise ResourceFailed("AlarmRule has 1 to 10240 characters")
        for quoted, plain in re.findall(
            r"\b(?:ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:\"([^\"]+)\"|([^)\s]+))\s*\)", rule
        ):
            alarm = (quoted or plain).rsplit(":alarm:", 1)[-1]
            metric = call(place, "cloudwatch", "describe_alarms", AlarmNames=[alarm])["MetricAlarms"]
            if not metric and not place.world.beside_moto(self._arn(place, alarm)):
                raise ResourceFailed(f"AlarmRule: alarm {alarm} does not exist")
        super().configure(place, physical, old, new)


class Dashboard(ResourceType):
    name = "AWS::CloudWatch::Dashboard"
    known = names("DashboardName DashboardBody")
    needed = names("DashboardBody")
    fixed = names("DashboardName")

    def make(self, place: Place, properties: Properties) -> Made:
        return properties.get("DashboardName") or place.physical_name(255), {}

    def configure(self, place: Place, physical: str, old: Properties, new: Properties) -> None:
        body = document(new["DashboardBody"], "DashboardBody")
        call(place, "cloudwatch", "put_dashboard", DashboardName=physical, DashboardBody=body)

    def delete(self, place: Place, resource: Resource) -> None:
        call(place, "cloudwatch", "delete_dashboards", DashboardNames=[resource.physical_id])


# ----------------------------------------------------------------------------------------------------- CloudFormation
class NestedStack(ResourceType):
    name = "AWS::CloudFormation::Stack"
    known = names("TemplateURL Parameters Tags TimeoutInMinutes")
    needed = names("TemplateURL")

    def make(self, place: Place, properties: Properties) -> Made:
        name = place.physical_name(128)
        made = place.engine.create(
            name,
            self._template(place, properties),
            place.account,
            place.region,
            self._parameters(properties),
            place.read_asset,
            parent=place.stack.id,
        )
        return made.stack_id, self._attributes(made.outputs)

    def update(self, place: Place, before: Resource, properties: Properties) -> Made:
        made = place.engine.update(
            before.physical_id,
            self._template(place, properties),
            place.account,
            place.region,
            self._parameters(properties),
            place.read_asset,
            keeps_parameters=False,
        )
        return made.stack_id, self._attributes(made.outputs)

    def delete(self, place: Place, resource: Resource) -> None:
        place.engine.delete(resource.physical_id, place.account, place.region)

    @staticmethod
    def _template(place: Place, properties: Properties) -> str:
        bucket, key = bucket_and_key(properties["TemplateURL"])
        return place.read_object(bucket, key).decode()

    @staticmethod
    def _parameters(properties: Properties) -> dict[str, str]:
        wrong = [key for key, value in properties.get("Parameters", {}).items() if isinstance(value, list | dict)]
        if wrong:
            raise ResourceFailed(
                "Value of property Parameters must be an object with String (or simple type) properties; "
                f"{', '.join(wrong)} is a list: join it"
            )
        return {key: scalar(value) for key, value in properties.get("Parameters", {}).items()}

    @staticmethod
    def _attributes(outputs: Mapping[str, str]) -> dict[str, Any]:
        return {f"Outputs.{name}": value for name, value in outputs.items()}


class CustomResource(ResourceType):
    """
    AWS::CloudFormation::CustomResource and Custom::*: a Lambda function makes what it likes and answers to a URL.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
    """

    name = "AWS::CloudFormation::CustomResource"
    known = frozenset()
    needed = names("ServiceToken")
    _response_limit = 4096  # bytes

    def check_names(self, logical_id: str, properties: Mapping[str, Any]) -> None:
        """Take every property: they are the function's."""

    def create(self, place: Place, properties: Properties) -> Made:
        physical, attributes, reason = self._ask(place, "Create", properties, {})
        if reason is not None:
            # As CloudFormation does: what failed to be created is asked to be deleted.
            _, _, second = self._ask(place, "Delete", properties, {"PhysicalResourceId": physical})
            raise ResourceFailed(reason if second is None else f"{reason}; and its Delete: {second}")
        return physical, attributes

    def update(self, place: Place, before: Resource, properties: Properties) -> Made:
        if properties["ServiceToken"] != before.properties["ServiceToken"]:
            raise ResourceFailed("Modifying service token is not allowed.")
        more = {"PhysicalResourceId": before.physical_id, "OldResourceProperties": as_text(before.properties)}
        physical, attributes, reason = self._ask(place, "Update", properties, more)
        if reason is not None:
            raise ResourceFailed(reason)
        return physical, attributes

    def delete(self, place: Place, resource: Resource) -> None:
        more = {"PhysicalResourceId": resource.physical_id}
        _, _, reason = self._ask(place, "Delete", resource.properties, more)
        if reason is not None:
            raise ResourceFailed(reason)

    def _ask(
        self, place: Place, request_type: str, properties: Properties, more: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any], str | None]:
        """Return physical id, attributes, and the reason where the function answered FAILED or not at all."""
        token = properties["ServiceToken"]
        if token.split(":")[2] != "lambda":
            raise ResourceFailed(f"sandbox: ServiceToken {token} is no Lambda function")
        declared = place.stack.template["Resources"].get(place.logical_id, {})
        request_id = str(uuid.uuid4())
        host = (
            f"cloudformation-custom-resource-response-{place.region.replace('-', '')}.s3.{place.region}.amazonaws.com"
        )
        url = f"https://{host}/{request_id}?X-Amz-Signature=sandbox"
        # Scalars are texts in a custom resource's properties, whatever the template has.
        event = {
            "RequestType": request_type,
            "ServiceToken": token,
            "ResponseURL": url,
            "StackId": place.stack.id,
            "RequestId": request_id,
            "LogicalResourceId": place.logical_id,
            "ResourceType": declared.get("Type", self.name),
            "ResourceProperties": as_text(properties),
            **more,
        }
        given_id = more.get("PhysicalResourceId", "")
        with answered_at(host) as answers:
            invocation = place.world.functions.invoke(token, event)
        if invocation.seconds > 60:
            return given_id, {}, f"the custom resource took {invocation.seconds:.0f} s, more than the sandbox waits"
        answer = answers.get(urlsplit(url).path)
        if answer is None:
            log = "\n".join(invocation.log[-20:])
            return given_id, {}, f"no response to ResponseURL; function error: {invocation.error_text}; its log:\n{log}"
        if len(answer) > self._response_limit:
            return given_id, {}, f"Response object is too long: {len(answer)} bytes"
        return self._read(answer, event, given_id)

    @staticmethod
    def _read(answer: bytes, event: Mapping[str, Any], given_id: str) -> tuple[str, dict[str, Any], str | None]:
        try:
            response = json.loads(answer)
        except ValueError as error:
            return given_id, {}, f"Invalid response: no JSON: {error}"
        for key in ("StackId", "RequestId", "LogicalResourceId"):
            if response.get(key) != event[key]:
                return given_id, {}, f"Invalid response: {key} is {response.get(key)!r}, not {event[key]!r}"
        physical = response.get("PhysicalResourceId")
        if not isinstance(physical, str) or not 1 <= len(physical.encode()) <= 1024:
            return given_id, {}, "Invalid PhysicalResourceId"
        if response.get("Status") != "SUCCESS":
            reason = response.get("Reason") or "no reason given"
            return physical, {}, f"Received response status [{response.get('Status')}] from custom resource: {reason}"
        data = response.get("Data") or {}
        return physical, {str(key): value for key, value in data.items()}, None


class _Line:
    """A connection that keeps what is sent and answers 200."""

    def __init__(self) -> None:
        self.sent = b""

    def sendall(self, data: Any) -> None:
        self.sent += bytes(data)

    def makefile(self, *args: Any, **kwargs: Any) -> io.BytesIO:
        return io.BytesIO(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def settimeout(self, seconds: Any) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """What was sent stays."""


@contextmanager
def answered_at(host: str) -> Iterator[dict[str, bytes]]:
    """
    Within: what is PUT to https://host by urllib, http.client or urllib3 goes into the dict given, body by path.

    Raises ConnectionError inside for every other host: the sandbox has no network.
    """
    lines: list[_Line] = []
    answers: dict[str, bytes] = {}

    def connect(connection: Any) -> None:
        if connection.host != host:
            raise ConnectionError(f"sandbox: there is no network; {connection.host} cannot be reached")
        connection.sock = _Line()
        connection.is_verified = True  # read by urllib3 only, which else warns
        lines.append(connection.sock)

    classes = (
        http.client.HTTPSConnection,
        http.client.HTTPConnection,
        urllib3.connection.HTTPSConnection,
        urllib3.connection.HTTPConnection,
    )
    patches = [patch.object(kind, "connect", connect) for kind in classes]
    for each in patches:
        each.start()
    try:
        yield answers
    finally:
        for each in reversed(patches):
            each.stop()
        for line in lines:
            head, _, body = line.sent.partition(b"\r\n\r\n")
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
            if method == "PUT":
                answers[urlsplit(path).path] = body
