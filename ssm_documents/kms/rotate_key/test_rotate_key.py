"""KMS.4: which keys get rotation, which are left to a person, and what an undo gives back."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "kms/rotate_key"


def broken(b: Bench) -> str:
    return str(b.client("kms").create_key()["KeyMetadata"]["Arn"])


def rotates(b: Bench, resource_id: str) -> bool:
    return bool(b.client("kms").get_key_rotation_status(KeyId=resource_id)["KeyRotationEnabled"])


CASES = [
    Case("KMS.4", "a key without rotation", broken, rotates),
]

STILL: dict[str, Any] = {
    "config": {"rotates": False},
    "facts": {
        "spec": "SYMMETRIC_DEFAULT",
        "state": "Enabled",
        "origin": "AWS_KMS",
        "manager": "CUSTOMER",
        "primary": "eu-west-1",
    },
    "busy": None,
}
TARGET = {"resource": {"key_id": "k"}, "parameters": {"rotationPeriodDays": 365}, "region": "us-east-1"}


def plan(facts: dict[str, Any]) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan({**STILL, "facts": STILL["facts"] | facts}, TARGET)
    return made


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"spec": "RSA_2048"}, "symmetric keys only"),
        ({"origin": "EXTERNAL"}, "origin EXTERNAL"),
        ({"state": "Disabled"}, "the key is Disabled"),
        ({"state": "PendingDeletion"}, "scheduled for deletion"),
        ({"manager": "AWS"}, "AWS manages this key"),
    ],
)
def test_a_key_that_cannot_rotate_is_left_to_a_person(facts: dict[str, str], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(facts)


def test_a_replica_is_changed_at_its_primary() -> None:
    (one,) = plan({})

    assert one["region"] == "eu-west-1"
    assert one["undo"][0]["region"] == "eu-west-1"


def test_a_key_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        gone = b.arn("kms", "key/00000000-0000-0000-0000-000000000000")

        assert b.remediate("KMS.4", gone)["outcome"] == "COMPLIANT"
