"""Every bucket is encrypted by S3 itself, whether or not somebody asked for it."""

from __future__ import annotations

from sandbox.place import Place
from sandbox.quick_clients import quick_clients
from sandbox.world import Sandbox


def test_a_new_bucket_is_encrypted_and_what_somebody_sets_goes_before() -> None:
    with quick_clients(), Sandbox() as world:
        s3 = Place(world).client("s3")
        s3.create_bucket(Bucket="plain")

        def algorithm() -> str:
            (rule,) = s3.get_bucket_encryption(Bucket="plain")["ServerSideEncryptionConfiguration"]["Rules"]
            return str(rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"])

        assert algorithm() == "AES256"
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
        s3.put_bucket_encryption(Bucket="plain", ServerSideEncryptionConfiguration={"Rules": [rule]})
        assert algorithm() == "aws:kms"
        s3.delete_bucket_encryption(Bucket="plain")
        assert algorithm() == "AES256"
