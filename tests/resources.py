"""What the cases of several folders need beside the resource that they break."""

from __future__ import annotations

import json

from sandbox.place import Place
from sharr.loader import DOCUMENTS, load_auxiliary


def delivery_role(b: Place, auxiliary: str, service: str | None = None) -> None:
    """
    Make the one delivery role of an auxiliary as the member-roles stack does, from the auxiliary's own data.

    Where the stack made it already, as in the demo, it stays. With *service* it trusts that one instead, a wrong one.
    """
    ((name, role),) = load_auxiliary(DOCUMENTS / "auxiliary" / auxiliary).roles.items()
    source = role["source_arn"].replace("{partition}", b.partition).replace("{account}", b.account)
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": service or role["service"]},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": b.account}, "ArnLike": {"aws:SourceArn": source}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam = b.client("iam")
    try:
        iam.create_role(RoleName=name, Path="/sharr/", AssumeRolePolicyDocument=document)
    except iam.exceptions.EntityAlreadyExistsException:
        if service:
            raise


def trail_bucket(b: Place, name: str, region: str, account: str) -> str:
    """Make a bucket that CloudTrail may write to, and return its name."""
    s3 = b.client("s3", region, account)
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **place)
    arn, principal = b.arn("s3", name, region="", account=""), {"Service": "cloudtrail.amazonaws.com"}
    statements = [
        {"Effect": "Allow", "Principal": principal, "Action": "s3:GetBucketAcl", "Resource": arn},
        {"Effect": "Allow", "Principal": principal, "Action": "s3:PutObject", "Resource": f"{arn}/*"},
    ]
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    return name
