"""The default key for new EBS volumes, as AWS's pages (named in each test) say."""

from __future__ import annotations

from tests.sandbox.fakes import a_world

PAYMENTS = "222222222222"


def test_the_default_key_is_the_aws_managed_one_until_another_is_set_and_after_a_reset() -> None:
    """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ResetEbsDefaultKmsKeyId.html"""
    with a_world() as world:
        ec2 = world.identity.client("ec2", PAYMENTS, "eu-west-1")
        key = world.identity.client("kms", PAYMENTS, "eu-west-1").create_key()["KeyMetadata"]["Arn"]
        seen = [ec2.get_ebs_default_kms_key_id()["KmsKeyId"]]
        seen.append(ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)["KmsKeyId"])
        seen.append(ec2.get_ebs_default_kms_key_id()["KmsKeyId"])
        elsewhere = world.identity.client("ec2", PAYMENTS, "us-east-1").get_ebs_default_kms_key_id()["KmsKeyId"]
        seen.append(ec2.reset_ebs_default_kms_key_id()["KmsKeyId"])
        seen.append(ec2.get_ebs_default_kms_key_id()["KmsKeyId"])

    assert seen == ["alias/aws/ebs", key, key, "alias/aws/ebs", "alias/aws/ebs"]
    assert elsewhere == "alias/aws/ebs", "the setting is one Region's"
