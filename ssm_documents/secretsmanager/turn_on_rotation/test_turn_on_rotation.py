"""SecretsManager.1: which secrets get a rotation, by which function and schedule, and what an undo gives back."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "secretsmanager/turn_on_rotation"
NAME = "orders-for-secretsmanager-1"
CANARY = "canary-5a1b"


def function(b: Bench, name: str = NAME) -> str:
    """Make a rotation function, which Secrets Manager may invoke; return its ARN."""
    name = f"{name}-rotation"
    role = b.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): ...")
    awslambda = b.client("lambda")
    awslambda.create_function(
        FunctionName=name, Role=role, Runtime="python3.12", Handler="index.handler", Code={"ZipFile": code.getvalue()}
    )
    awslambda.add_permission(
        FunctionName=name,
        StatementId="rotation",
        Action="lambda:InvokeFunction",
        Principal="secretsmanager.amazonaws.com",
    )
    return b.arn("lambda", f"function:{name}")


def secret(b: Bench, name: str = NAME) -> str:
    return str(b.client("secretsmanager").create_secret(Name=name, SecretString=CANARY)["ARN"])


def switched_off(b: Bench) -> str:
    """A secret whose rotation was cancelled: function and schedule are still noted on it."""
    arn, client = secret(b), b.client("secretsmanager")
    client.rotate_secret(
        SecretId=arn,
        RotationLambdaARN=function(b),
        RotationRules={"ScheduleExpression": "rate(30 days)", "Duration": "3h"},
        RotateImmediately=False,
    )
    client.cancel_rotate_secret(SecretId=arn)
    return arn


def too_seldom(b: Bench) -> str:
    arn = secret(b, f"{NAME}-seldom")
    b.client("secretsmanager").rotate_secret(
        SecretId=arn,
        RotationLambdaARN=function(b, f"{NAME}-seldom"),
        RotationRules={"ScheduleExpression": "rate(200 days)", "Duration": "3h"},
        RotateImmediately=False,
    )
    return arn


def passes(b: Bench, resource_id: str) -> bool:
    return bool(b.client("secretsmanager").describe_secret(SecretId=resource_id).get("RotationEnabled"))


def passes_at_90(b: Bench, resource_id: str) -> bool:
    told = b.client("secretsmanager").describe_secret(SecretId=resource_id)
    return passes(b, resource_id) and told["RotationRules"]["AutomaticallyAfterDays"] <= 90


CASES = [
    Case("SecretsManager.1", "a rotation that was switched off", switched_off, passes, secrets=(CANARY,)),
    Case(
        "SecretsManager.1",
        "a schedule that is too long",
        too_seldom,
        passes_at_90,
        parameters={"maximumAllowedRotationFrequency": ["90"]},
        secrets=(CANARY,),
    ),
]

FUNCTION = "arn:aws:lambda:us-east-1:222222222222:function:rotate"
NEVER: dict[str, Any] = {"function": None, "rules": {}}
FACTS: dict[str, Any] = {
    "noted": NEVER,
    "function": FUNCTION,
    "function_name": "rotate",
    "days": None,
    "deleted": False,
    "owner": None,
    "primary": "us-east-1",
}


def plan(rotation: dict[str, Any] | None = None, most: int | None = None, **facts: Any) -> list[dict[str, Any]]:
    state = {"config": {"rotation": rotation}, "facts": FACTS | facts, "busy": None}
    target = {
        "partition": "aws",
        "account": "222222222222",
        "region": "us-east-1",
        "resource": {"id": "the-arn"},
        "parameters": {"maximumAllowedRotationFrequency": most, "rotateAfterDays": 60},
    }
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


def rules(calls: list[dict[str, Any]]) -> Any:
    (one,) = calls
    assert one["parameters"]["RotateImmediately"] is False
    return one["parameters"]["RotationRules"]


@pytest.mark.parametrize(
    ("case", "rotation", "most", "facts", "wanted"),
    [
        ("never rotated", None, None, {}, {"AutomaticallyAfterDays": 60}),
        ("never rotated, wanted more often", None, 30, {}, {"AutomaticallyAfterDays": 30}),
        (
            "off, its schedule is good enough",
            None,
            90,
            {"noted": {"function": FUNCTION, "rules": {"AutomaticallyAfterDays": 7}}, "days": 7},
            {"AutomaticallyAfterDays": 7},
        ),
        (
            "off, its schedule is too long",
            None,
            90,
            {"noted": {"function": FUNCTION, "rules": {"AutomaticallyAfterDays": 300}}, "days": 300},
            {"AutomaticallyAfterDays": 60},
        ),
        (
            "off, its schedule is a cron that says no days",
            None,
            None,
            {"noted": {"function": FUNCTION, "rules": {"ScheduleExpression": "cron(0 4 1 * ? *)", "Duration": "2h"}}},
            {"ScheduleExpression": "cron(0 4 1 * ? *)", "Duration": "2h"},
        ),
        (
            "on, its schedule is too long",
            {"function": FUNCTION, "rules": {"ScheduleExpression": "rate(2 days)", "Duration": "2h"}},
            1,
            {
                "noted": {"function": FUNCTION, "rules": {"ScheduleExpression": "rate(2 days)", "Duration": "2h"}},
                "days": 2,
            },
            {"ScheduleExpression": "rate(1 day)", "Duration": "2h"},
        ),
    ],
)
def test_the_schedule_is_the_secrets_own_as_far_as_it_is_frequent_enough(
    case: str, rotation: Any, most: int | None, facts: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert rules(plan(rotation, most, **facts)) == wanted, case


@pytest.mark.parametrize(("days", "most"), [(400, None), (90, 90), (7, 90), (None, None)])
def test_a_secret_that_rotates_often_enough_is_compliant(days: int | None, most: int | None) -> None:
    noted = {"function": FUNCTION, "rules": {"AutomaticallyAfterDays": days}}

    assert plan(noted, most, noted=noted, days=days) == []


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"function": None}, "no rotation function"),
        ({"function": FUNCTION.replace("us-east-1", "eu-west-1")}, "not in the secret's account and Region"),
        ({"function": FUNCTION.replace("222222222222", "333333333333")}, "not in the secret's account and Region"),
        ({"owner": "redshift"}, "redshift manages"),
        ({"primary": "eu-west-1"}, "replica"),
        ({"deleted": True}, "scheduled for deletion"),
    ],
)
def test_a_secret_that_cannot_be_helped_is_left_to_a_person(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(**facts)


def test_a_cron_schedule_whose_days_are_not_known_is_left_to_a_person() -> None:
    noted = {"function": FUNCTION, "rules": {"ScheduleExpression": "cron(0 16 1 * ? *)"}}

    with pytest.raises(CannotRepair, match="how often"):
        plan(noted, 90, noted=noted, days=None)


def test_a_secret_without_a_function_gets_the_one_that_the_user_named_and_no_new_value() -> None:
    with bench(ID) as b:
        arn, client = secret(b), b.client("secretsmanager")
        settings = {"rotationFunctionArn": function(b)}

        refused = b.remediate("SecretsManager.1", arn)
        result = b.remediate("SecretsManager.1", arn, settings=settings)

        assert "set rotationFunctionArn" in refused["to_do"]
        assert result["outcome"] == "REMEDIATED", result
        told = client.describe_secret(SecretId=arn)
        assert told["RotationRules"] == {"AutomaticallyAfterDays": 60}
        assert client.get_secret_value(SecretId=arn)["SecretString"] == CANARY


def test_a_rotation_that_fails_to_start_is_not_called_a_success_because_a_longer_schedule_was_on() -> None:
    with bench(ID) as b:
        arn = too_seldom(b)
        b.client("lambda").remove_permission(FunctionName=f"{NAME}-seldom-rotation", StatementId="rotation")

        result = b.remediate("SecretsManager.1", arn, parameters={"maximumAllowedRotationFrequency": ["90"]})

        assert result["outcome"] == "FAILED"
        assert "AccessDeniedException" in result["why"]
        assert "let secretsmanager.amazonaws.com invoke" in result["to_do"]
        rules = b.client("secretsmanager").describe_secret(SecretId=arn)["RotationRules"]
        assert rules["ScheduleExpression"] == "rate(200 days)"


def test_a_rotation_under_way_is_waited_for() -> None:
    with bench(ID) as b:
        arn = switched_off(b)
        client = b.client("secretsmanager")
        client.rotate_secret(SecretId=arn)
        client.cancel_rotate_secret(SecretId=arn)

        assert b.remediate("SecretsManager.1", arn)["outcome"] == "PENDING"


def test_a_secret_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        gone = b.arn("secretsmanager", "secret:orders-AbCdEf")

        assert b.remediate("SecretsManager.1", gone)["outcome"] == "COMPLIANT"


def test_the_state_holds_no_value_of_the_secret() -> None:
    with bench(ID) as b:
        attempt = b.attempt("SecretsManager.1", too_seldom(b), {"maximumAllowedRotationFrequency": ["90"]})
        attempt.preview()

        assert "VersionIdsToStages" not in json.dumps(attempt.journal)
        assert CANARY not in json.dumps(attempt.journal)
