"""S3: a bucket gets the tags of its CreateBucketConfiguration as it is created; moto drops them."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from moto.s3.models import s3_backends
from moto.s3.responses import S3Response

from sandbox.additions.wire import Patches
from sandbox.ports import World


def install(world: World, patches: Patches) -> None:
    """
    Make moto's CreateBucket keep the tags it is given.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketConfiguration.html
    """
    put = S3Response._bucket_response_put

    def bucket_response_put(response: Any, request: Any, bucket_name: str, querystring: dict[str, Any]) -> Any:
        is_new = not querystring and bucket_name not in s3_backends.bucket_accounts
        answer = put(response, request, bucket_name, querystring)
        tags = _tags(response.body) if is_new else {}
        if tags:
            response.backend.put_bucket_tagging(bucket_name, tags)
        return answer

    patches.attribute(S3Response, "_bucket_response_put", bucket_response_put)


def _tags(body: Any) -> dict[str, str]:
    if not body:
        return {}
    found = ElementTree.fromstring(body).iterfind("./{*}Tags/{*}Tag")
    return {tag.findtext("{*}Key", ""): tag.findtext("{*}Value", "") for tag in found}
