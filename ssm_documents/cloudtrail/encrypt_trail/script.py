"""CloudTrail.2: have a trail encrypt its log files with the KMS key that the user names."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the trail where it was made, and where its bucket is: None where only CloudTrail can tell.

    Source: https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_Trail.html
    """
    arn, home = target["resource"]["id"], target["resource"]["home"]
    cloudtrail = aws.client("cloudtrail", home)
    try:
        trail = cloudtrail.get_trail(Name=arn)["Trail"]
    except cloudtrail.exceptions.TrailNotFoundException as error:
        raise ResourceGone(arn) from error
    key = trail.get("KmsKeyId") or None
    facts = {
        "owner": trail["TrailARN"].split(":")[4],
        "organization": bool(trail.get("IsOrganizationTrail")),
        "bucket_region": None if key else region_of(aws, home, trail["S3BucketName"], target["account"]),
    }
    return {"config": {"key": key}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that names the key; [] where the trail has one."""
    facts, arn, home = state["facts"], target["resource"]["id"], target["resource"]["home"]
    if state["config"]["key"]:
        return []
    if facts["owner"] != target["account"]:
        whose = "the organization's trail" if facts["organization"] else "the trail"
        to_do = f"let cloudtrail:UpdateTrail name a KMS key in account {facts['owner']}"
        raise CannotRepair(f"{whose} belongs to account {facts['owner']}", to_do)
    where = facts["bucket_region"] or "the Region of the trail's bucket"
    key, to_do = target["parameters"]["kmsKeyArn"], f"set kmsKeyArn to a key in {where} that CloudTrail may use"
    if not key:
        raise CannotRepair("no KMS key was chosen", to_do)
    region = key.split(":")[3] if key.startswith("arn:") else home  # an alias alone means the trail's own Region
    if facts["bucket_region"] not in (None, region):
        raise CannotRepair(f"the trail's bucket is in {facts['bucket_region']}, the key {key} in {region}", to_do)
    gone = ["TrailNotFoundException"]
    back = call("cloudtrail", "update_trail", {"Name": arn, "KmsKeyId": ""}, region=home, fine=gone, leaf=["key"])
    missing = f"{key} is not there, or not in the Region of the trail's bucket: {to_do}"
    policy = (
        "let the key's policy give cloudtrail.amazonaws.com kms:GenerateDataKey* and kms:DescribeKey for this trail"
    )
    return [
        call(
            "cloudtrail",
            "update_trail",
            {"Name": arn, "KmsKeyId": key},
            region=home,
            undo=[back],
            explain={
                "KmsKeyNotFoundException": missing,
                "InsufficientEncryptionPolicyException": policy,
                "KmsKeyDisabledException": "enable the key, and repair again",
                "KmsException": "look at the key's state and policy",
                "NotOrganizationMasterAccountException": "only the organization's management account can change it",
            },
        )
    ]


def region_of(aws: Any, home: str, bucket: str, account: str) -> str | None:
    """Return the bucket's Region, None where it is another account's or gone: then CloudTrail itself decides."""
    try:
        answer = aws.client("s3", home).get_bucket_location(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDenied", "NoSuchBucket"):
            raise
        return None
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
    place: str | None = answer["LocationConstraint"]
    return "us-east-1" if place is None else "eu-west-1" if place == "EU" else place
