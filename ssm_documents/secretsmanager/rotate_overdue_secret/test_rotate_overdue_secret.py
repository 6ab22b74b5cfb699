"""SecretsManager.4: a rotation is started by the secret's own function, and waited for."""

from __future__ import annotations

import io
import zipfile
from datetime import timedelta
from typing import Any

import pytest

from sandbox.additions.secretsmanager_rotation import fail_rotations, set_dates
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "secretsmanager/rotate_overdue_secret"
NAME = "orders-for-secretsmanager-4"
CANARY = "canary-9e3f"


def rotating(b: Bench, name: str = NAME, days: int = 7) -> str:
    """Make a secret whose rotation is on, and which was never rotated; return its ARN."""
    role = b.client("iam").create_role(RoleName=f"{name}-rotation", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): ...")
    awslambda, client = b.client("lambda"), b.client("secretsmanager")
    awslambda.create_function(
        FunctionName=f"{name}-rotation",
        Role=role,
        Runtime="python3.12",
        Handler="index.handler",
        Code={"ZipFile": code.getvalue()},
    )
    awslambda.add_permission(
        FunctionName=f"{name}-rotation",
        StatementId="rotation",
        Action="lambda:InvokeFunction",
        Principal="secretsmanager.amazonaws.com",
    )
    arn = str(client.create_secret(Name=name, SecretString=CANARY)["ARN"])
    client.rotate_secret(
        SecretId=arn,
        RotationLambdaARN=b.arn("lambda", f"function:{name}-rotation"),
        RotationRules={"AutomaticallyAfterDays": days},
        RotateImmediately=False,
    )
    return arn


def overdue(b: Bench) -> str:
    arn = rotating(b)
    set_dates(b.account, b.region, NAME, rotated=b.world.clock.now() - timedelta(days=120))
    return arn


def never_rotated(b: Bench) -> str:
    return rotating(b, f"{NAME}-never")


def passes(days: int) -> Any:
    """The Config rule secretsmanager-secret-periodic-rotation."""

    def check(b: Bench, resource_id: str) -> bool:
        rotated = b.client("secretsmanager").describe_secret(SecretId=resource_id).get("LastRotatedDate")
        return bool(rotated and rotated >= b.world.clock.now() - timedelta(days=days))

    return check


LOST = "the value in use becomes the previous version"
CASES = [
    Case("SecretsManager.4", "not rotated for long", overdue, passes(90), secrets=(CANARY,), irreversible=LOST),
    Case(
        "SecretsManager.4",
        "never rotated",
        never_rotated,
        passes(30),
        parameters={"maxDaysSinceRotation": ["30"]},
        secrets=(CANARY,),
        irreversible=LOST,
    ),
]

FACTS: dict[str, Any] = {
    "rotated": "2025-11-01T00:00:00+00:00",
    "on": True,
    "function": "arn:aws:lambda:us-east-1:222222222222:function:rotate",
    "function_name": "rotate",
    "deleted": False,
    "primary": "us-east-1",
}


def plan(**facts: Any) -> list[dict[str, Any]]:
    state = {"config": {"current": "a", "pending": None}, "facts": FACTS | facts, "busy": None}
    target = {
        "partition": "aws",
        "account": "222222222222",
        "region": "us-east-1",
        "resource": {"id": "the-arn"},
        "now": "2026-03-02T09:00:00+00:00",
        "parameters": {"maxDaysSinceRotation": 90},
    }
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"on": False, "function": None}, "rotation of the secret is off"),
        ({"on": False}, "rotation of the secret is off"),
        ({"primary": "eu-west-1"}, "replica"),
        ({"deleted": True}, "scheduled for deletion"),
        ({"function": "arn:aws:lambda:us-east-1:333333333333:function:rotate"}, "not in the secret's account"),
    ],
)
def test_what_cannot_rotate_is_left_to_a_person(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(**facts)


def test_a_rotation_that_is_recent_enough_is_compliant() -> None:
    assert plan(rotated="2025-12-03T00:00:00+00:00") == []


def test_a_managed_rotation_needs_no_function() -> None:
    assert [c["operation"] for c in plan(function=None)] == ["rotate_secret"]


def test_a_shorter_schedule_is_not_made_longer() -> None:
    with bench(ID) as b:
        arn = overdue(b)

        result = b.attempt("SecretsManager.4", arn).finish()

        assert result["outcome"] == "REMEDIATED"
        told = b.client("secretsmanager").describe_secret(SecretId=arn)
        assert told["RotationRules"] == {"AutomaticallyAfterDays": 7}
        assert b.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"] != CANARY


def test_a_rotation_that_never_ends_is_not_called_a_success() -> None:
    with bench(ID) as b:
        arn = overdue(b)
        fail_rotations(b.account, b.region, NAME)
        attempt = b.attempt("SecretsManager.4", arn)

        first = attempt.look()
        b.world.advance(3 * 3600)
        last = attempt.look()

        assert first["outcome"] == "PENDING"
        assert last["outcome"] == "FAILED"
        assert "AWSPENDING" in last["why"]
