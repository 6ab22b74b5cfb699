"""Secrets Manager in the sandbox, held against AWS's documentation."""

from __future__ import annotations

import io
import zipfile
from typing import Any

from sandbox.additions.secretsmanager_rotation import ROTATING_SECONDS, fail_rotations
from tests.sandbox.fakes import a_world, error_of

ACCOUNT, REGION = "222222222222", "us-east-1"


def client(world: Any, service: str = "secretsmanager") -> Any:
    return world.identity.client(service, ACCOUNT, REGION)


def function(world: Any) -> str:
    role = client(world, "iam").create_role(RoleName="rotate", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context): ...")
    made = client(world, "lambda").create_function(
        FunctionName="rotate",
        Role=role,
        Runtime="python3.12",
        Handler="index.handler",
        Code={"ZipFile": code.getvalue()},
    )
    return str(made["FunctionArn"])


def invocable(world: Any) -> str:
    arn = function(world)
    client(world, "lambda").add_permission(
        FunctionName="rotate",
        StatementId="rotation",
        Action="lambda:InvokeFunction",
        Principal="secretsmanager.amazonaws.com",
    )
    return arn


def test_a_rotation_takes_its_time_and_ends_with_a_new_current_version() -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html"""
    with a_world() as world:
        secrets, arn = client(world), invocable(world)
        first = secrets.create_secret(Name="orders", SecretString="old")["VersionId"]

        rules = {"AutomaticallyAfterDays": 30}
        new = secrets.rotate_secret(SecretId="orders", RotationLambdaARN=arn, RotationRules=rules)["VersionId"]
        meanwhile = secrets.describe_secret(SecretId="orders")
        assert meanwhile["VersionIdsToStages"] == {first: ["AWSCURRENT"], new: ["AWSPENDING"]}
        assert "LastRotatedDate" not in meanwhile
        assert error_of(lambda: secrets.rotate_secret(SecretId="orders")) == "InvalidRequestException"

        world.clock.advance(ROTATING_SECONDS)
        ended = secrets.describe_secret(SecretId="orders")
        assert "AWSCURRENT" in ended["VersionIdsToStages"][new]
        assert ended["VersionIdsToStages"][first] == ["AWSPREVIOUS"]
        assert ended["LastRotatedDate"] == world.clock.now()
        assert ended["RotationRules"] == rules


def test_a_later_rotation_uses_the_function_and_schedule_that_are_stored() -> None:
    with a_world() as world:
        secrets, arn = client(world), invocable(world)
        secrets.create_secret(Name="orders", SecretString="old")
        rules = {"ScheduleExpression": "rate(10 days)", "Duration": "3h"}
        secrets.rotate_secret(SecretId="orders", RotationLambdaARN=arn, RotationRules=rules, RotateImmediately=False)
        assert len(secrets.describe_secret(SecretId="orders")["VersionIdsToStages"]) == 1

        secrets.rotate_secret(SecretId="orders")

        told = secrets.describe_secret(SecretId="orders")
        assert told["RotationLambdaARN"] == arn
        assert told["RotationRules"] == {**rules, "AutomaticallyAfterDays": 10}


def test_a_function_that_fails_leaves_the_version_pending() -> None:
    with a_world() as world:
        secrets, arn = client(world), invocable(world)
        secrets.create_secret(Name="orders", SecretString="old")
        fail_rotations(ACCOUNT, REGION, "orders")
        new = secrets.rotate_secret(SecretId="orders", RotationLambdaARN=arn)["VersionId"]

        world.clock.advance(3600)

        assert secrets.describe_secret(SecretId="orders")["VersionIdsToStages"][new] == ["AWSPENDING"]


def test_a_rotation_without_a_function_that_may_be_invoked_is_refused() -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html"""
    with a_world() as world:
        secrets = client(world)
        secrets.create_secret(Name="orders", SecretString="old")
        assert error_of(lambda: secrets.rotate_secret(SecretId="orders")) == "InvalidRequestException"

        missing = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:rotate"
        rotate = lambda: secrets.rotate_secret(SecretId="orders", RotationLambdaARN=missing)  # noqa: E731
        assert error_of(rotate) == "ResourceNotFoundException"
        function(world)
        assert error_of(rotate) == "AccessDeniedException"
        assert "RotationEnabled" not in secrets.describe_secret(SecretId="orders")


def test_reading_a_secret_is_dated_by_the_day() -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DescribeSecret.html"""
    with a_world() as world:
        secrets = client(world)
        secrets.create_secret(Name="orders", SecretString="old")
        assert "LastAccessedDate" not in secrets.describe_secret(SecretId="orders")

        secrets.get_secret_value(SecretId="orders")

        read = secrets.describe_secret(SecretId="orders")["LastAccessedDate"]
        assert read == world.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)


def test_a_secret_is_gone_when_its_recovery_window_is_over() -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html"""
    with a_world() as world:
        secrets = client(world)
        secrets.create_secret(Name="orders", SecretString="old")
        secrets.delete_secret(SecretId="orders", RecoveryWindowInDays=7)
        world.clock.advance(6 * 86400)
        assert "DeletedDate" in secrets.describe_secret(SecretId="orders")

        world.clock.advance(2 * 86400)

        assert error_of(lambda: secrets.describe_secret(SecretId="orders")) == "ResourceNotFoundException"
