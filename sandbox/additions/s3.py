"""S3: policies that are blocked or too long, public ACLs that are blocked, ExpectedBucketOwner, default encryption."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, S3Backend, s3_backends
from moto.s3.responses import S3Response
from moto.s3control.models import s3control_backends

from sandbox.additions.wire import Patches
from sandbox.ports import World

LARGEST_POLICY = 20 * 1024
"""Bytes. Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html"""

_NARROWING = (
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
)
"""
Condition keys that make a statement not public, where their value is fixed.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
"""

_ENCRYPTED = {"Rule": {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": "false"}}
"""
What every bucket has where nothing else was set.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-encryption-faq.html
"""

_EVERYBODY = "http://acs.amazonaws.com/groups/"


def install(world: World, patches: Patches) -> None:
    """Make moto's S3 refuse what AWS refuses."""
    put_policy, put_acl = S3Backend.put_bucket_policy, S3Backend.put_bucket_acl
    get_encryption = S3Backend.get_bucket_encryption

    def get_bucket_encryption(backend: Any, bucket_name: str) -> Any:
        return get_encryption(backend, bucket_name) or _ENCRYPTED

    get_permission = FakeBucket.get_permission

    def without_conditions(bucket: Any, action: str, resource: str) -> Any:
        """
        moto knows no conditions, so that "Deny unless TLS" denies all. Who may is decided where all calls go through.
        """
        judged = get_permission(bucket, action, resource)
        return PermissionResult.NEUTRAL if judged is PermissionResult.DENIED else judged

    patches.attribute(FakeBucket, "get_permission", without_conditions)
    on_bucket, on_key = S3Response._bucket_response, S3Response._key_response

    def put_bucket_policy(backend: Any, bucket_name: str, policy: Any) -> None:
        text = policy.decode() if isinstance(policy, bytes) else policy
        _check_policy(text, _blocks(backend, bucket_name, "block_public_policy"))
        put_policy(backend, bucket_name, policy)

    def put_bucket_acl(backend: Any, bucket_name: str, acl: Any) -> None:
        if acl is not None and _is_public_acl(acl) and _blocks(backend, bucket_name, "block_public_acls"):
            raise S3ClientError("AccessDenied", "Access Denied")
        put_acl(backend, bucket_name, acl)

    def bucket_response(response: Any, request: Any, full_url: str) -> Any:
        _check_owner(response, response.parse_bucket_name_from_url(request, full_url))
        return on_bucket(response, request, full_url)

    def key_response(response: Any, request: Any, full_url: str) -> Any:
        _check_owner(response, response.parse_bucket_name_from_url(request, full_url))
        return on_key(response, request, full_url)

    patches.attribute(S3Backend, "get_bucket_encryption", get_bucket_encryption)
    patches.attribute(S3Backend, "put_bucket_policy", put_bucket_policy)
    patches.attribute(S3Backend, "put_bucket_acl", put_bucket_acl)
    patches.attribute(S3Response, "_bucket_response", bucket_response)
    patches.attribute(S3Response, "_key_response", key_response)


def is_public(policy: Mapping[str, Any]) -> bool:
    """
    Tell whether S3 holds a bucket policy for public: an Allow for everybody that no fixed condition narrows.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    """
    statements = policy.get("Statement", [])
    statements = [statements] if isinstance(statements, dict) else statements
    return any(
        statement.get("Effect") == "Allow"
        and ("NotPrincipal" in statement or _is_everybody(statement.get("Principal")))
        and not any(_narrows(*one) for one in _conditions(statement))
        for statement in statements
    )


def _check_policy(text: str, blocked: bool) -> None:
    """Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html"""
    if len(text.encode()) > LARGEST_POLICY:
        raise S3ClientError("MalformedPolicy", "Policies must be valid JSON and at most 20 KB")
    try:
        policy = json.loads(text)
    except json.JSONDecodeError as error:
        raise S3ClientError("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'") from error
    if not isinstance(policy, dict) or not policy.get("Statement"):
        raise S3ClientError("MalformedPolicy", "Missing required field Statement")
    if blocked and is_public(policy):
        raise S3ClientError(
            "AccessDenied", "public policies are blocked by the BlockPublicPolicy block public access setting."
        )


def _blocks(backend: Any, bucket_name: str, setting: str) -> bool:
    """Tell whether the bucket's or its account's public access block has this setting on."""
    bucket = backend.get_bucket(bucket_name)
    account = s3control_backends[bucket.account_id][bucket.partition].public_access_block
    blocks = [block for block in (bucket.public_access_block, account) if block is not None]
    return any(str(getattr(block, setting)).lower() == "true" for block in blocks)


def _is_public_acl(acl: Any) -> bool:
    return any(grantee.uri.startswith(_EVERYBODY) for grant in acl.grants for grantee in grant.grantees if grantee.uri)


def _check_owner(response: Any, bucket_name: str | None) -> None:
    """Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html"""
    expected = response.headers.get("x-amz-expected-bucket-owner")
    if expected and bucket_name in s3_backends.bucket_accounts:
        owner = s3_backends.bucket_accounts[bucket_name][1]
        if owner != expected:
            raise S3ClientError("AccessDenied", "Access Denied")


def _is_everybody(principal: Any) -> bool:
    if isinstance(principal, dict):
        principal = principal.get("AWS")
    return "*" in principal if isinstance(principal, list) else principal == "*"


def _conditions(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    for operator, pairs in (statement.get("Condition") or {}).items():
        for key, values in pairs.items():
            yield operator, key.lower(), [str(v) for v in (values if isinstance(values, list) else [values])]


def _narrows(operator: str, key: str, values: list[str]) -> bool:
    if key not in _NARROWING or "Not" in operator or operator in ("Null", "NullIfExists"):
        return False
    if key == "aws:sourceip":
        return all(int(value.partition("/")[2] or 32) >= (32 if ":" in value else 8) for value in values)
    if key in ("aws:sourcearn", "s3:dataaccesspointarn"):
        # an ARN is fixed where it names an account
        return all(len(value.split(":")) > 4 and value.split(":")[4].isdigit() for value in values)
    return all("*" not in value and "?" not in value and "${" not in value for value in values)
