"""S3: whether a log bucket's policy lets access logs in is decided by its statements, with patterns and conditions."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from moto.s3.models import FakeBucket

from sandbox.additions.wire import Patches
from sandbox.ports import World

_SERVICE = "logging.s3.amazonaws.com"


def install(world: World, patches: Patches) -> None:
    """
    Make moto's PutBucketLogging read the target's policy as IAM does; it compares resources letter by letter.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    """

    def log_permissions_enabled_policy(target_bucket: Any, target_prefix: str | None) -> bool:
        if not target_bucket.policy:
            return False
        policy = json.loads(target_bucket.policy)
        arn = f"arn:{target_bucket.partition}:s3:::{target_bucket.name}/{target_prefix or ''}log"
        return admits(policy, arn, target_bucket.account_id)

    patches.attribute(FakeBucket, "_log_permissions_enabled_policy", staticmethod(log_permissions_enabled_policy))


def admits(policy: dict[str, Any], arn: str, account: str) -> bool:
    """Tell whether a bucket policy lets S3 deliver a log as the object *arn*, for a bucket of *account*."""
    return any(
        statement["Effect"] == "Allow"
        and _SERVICE in _service(statement)
        and any(fnmatchcase("s3:putobject", action.lower()) for action in _list(statement.get("Action", [])))
        and any(fnmatchcase(arn, pattern) for pattern in _list(statement.get("Resource", [])))
        and account in _accounts(statement, account)
        for statement in _list(policy["Statement"])
    )


def _service(statement: dict[str, Any]) -> list[str]:
    principal = statement.get("Principal", {})
    return _list(principal.get("Service", [])) if isinstance(principal, dict) else []


def _accounts(statement: dict[str, Any], default: str) -> list[str]:
    equals = {k.lower(): v for k, v in statement.get("Condition", {}).get("StringEquals", {}).items()}
    return _list(equals.get("aws:sourceaccount", default))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
