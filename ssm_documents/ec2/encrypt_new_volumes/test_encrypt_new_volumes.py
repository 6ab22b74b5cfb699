"""EC2.7: new volumes are encrypted in the finding's Region, with the wanted key where one is given, and back."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Attempt, Bench, Case, bench, remediation_of

ID = "ec2/encrypt_new_volumes"
AWS_KEY = "alias/aws/ebs"
Json = dict[str, Any]


def broken(b: Bench) -> str:
    b.client("ec2").disable_ebs_encryption_by_default()
    return f"AWS::::Account:{b.account}"


def encrypts(b: Bench, _resource_id: str) -> bool:
    return bool(b.client("ec2").get_ebs_encryption_by_default()["EbsEncryptionByDefault"])


CASES = [
    Case("EC2.7", "not encrypted", broken, encrypts),
    Case("EC2.7", "not encrypted in another Region", broken, encrypts, region="eu-west-1"),
]


class WithKey(Attempt):
    """An attempt whose parameter kmsKeyId is given, as to a runbook that was started by hand."""

    key = ""

    @property
    def target(self) -> Json:
        return super().target | {"parameters": {"kmsKeyId": self.key}}


def attempt_with(b: Bench, key: str) -> WithKey:
    attempt = WithKey(b, "EC2.7", broken(b), {}, {})
    attempt.key = key
    return attempt


def default_key(b: Bench) -> str:
    return str(b.client("ec2").get_ebs_default_kms_key_id()["KmsKeyId"])


def a_key(b: Bench, alias: str = "") -> str:
    key = b.client("kms").create_key()["KeyMetadata"]["Arn"]
    if alias:
        b.client("kms").create_alias(AliasName=alias, TargetKeyId=key)
    return str(key)


def test_a_key_by_alias_is_set_by_its_arn_and_the_aws_managed_one_comes_back() -> None:
    """cloud-custodian #5758: trouble with a default key by alias."""
    with bench(ID) as b:
        key = a_key(b, "alias/volumes")
        attempt = attempt_with(b, "alias/volumes")

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert (encrypts(b, ""), default_key(b)) == (True, key)
        assert attempt.undo()["outcome"] == "UNDONE"
        assert (encrypts(b, ""), default_key(b)) == (False, AWS_KEY)


def test_a_customers_former_default_key_comes_back() -> None:
    with bench(ID) as b:
        former, wanted = a_key(b), a_key(b)
        b.client("ec2").modify_ebs_default_kms_key_id(KmsKeyId=former)
        attempt = attempt_with(b, wanted)

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert default_key(b) == wanted
        assert attempt.undo()["outcome"] == "UNDONE"
        assert default_key(b) == former


def test_the_setting_of_another_region_stays() -> None:
    """cloud-custodian #6283: the setting is per Region."""
    with bench(ID, "eu-west-1") as b:
        resource_id = broken(b)
        b.remediate("EC2.7", resource_id)

        assert encrypts(b, "")
        assert not b.client("ec2", "us-east-1").get_ebs_encryption_by_default()["EbsEncryptionByDefault"]


def test_a_key_that_is_not_there_is_refused_before_any_write() -> None:
    with bench(ID) as b:
        attempt = attempt_with(b, b.arn("kms", "key/00000000-0000-0000-0000-000000000000"))
        with b.watched() as calls:
            result = attempt.look()

        assert result["outcome"] == "FAILED"
        assert not b.writes(calls)


OFF: Json = {"config": {"encrypted": False, "key": AWS_KEY}, "facts": {"key": None}, "busy": None}
KEY = {"arn": "the-arn", "spec": "SYMMETRIC_DEFAULT", "state": "Enabled"}


def plan(wanted: str, config: Json, key: Json | None) -> list[Json]:
    state = {"config": OFF["config"] | config, "facts": {"key": key}, "busy": None}
    target = {"region": "eu-west-1", "parameters": {"kmsKeyId": wanted}}
    calls: list[Json] = code_of(remediation_of(ID)).plan(state, target)
    return calls


@pytest.mark.parametrize(
    ("case", "wanted", "config", "operations"),
    [
        ("no key is wanted", "", {}, ["enable_ebs_encryption_by_default"]),
        ("a key is wanted", "alias/k", {}, ["modify_ebs_default_kms_key_id", "enable_ebs_encryption_by_default"]),
        ("it is the default already", "alias/k", {"key": "the-arn"}, ["enable_ebs_encryption_by_default"]),
        ("encrypted, with another key", "alias/k", {"encrypted": True}, []),
    ],
)
def test_plan(case: str, wanted: str, config: Json, operations: list[str]) -> None:
    assert [c["operation"] for c in plan(wanted, config, KEY)] == operations, case


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (None, "no KMS key alias/k in eu-west-1"),
        (KEY | {"state": "PendingDeletion"}, "PendingDeletion"),
        (KEY | {"spec": "RSA_2048"}, "RSA_2048"),
    ],
)
def test_a_key_that_volumes_cannot_use_is_refused(key: Json | None, why: str) -> None:
    """Amazon EC2 accepts it, and launches fail afterwards."""
    with pytest.raises(CannotRepair, match=why):
        plan("alias/k", {}, key)
