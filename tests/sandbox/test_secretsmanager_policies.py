"""Secrets Manager's names, deleted secrets and resource policies in the sandbox, held against AWS's documentation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sandbox.fakes import a_world, error_of

ACCOUNT, REGION = "222222222222", "us-east-1"


def client(world: Any, service: str = "secretsmanager") -> Any:
    return world.identity.client(service, ACCOUNT, REGION)


def policy(principal: Any, **more: Any) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | more]})


@pytest.mark.parametrize("name", ["a:b", "a b", "a*", "ä"])
def test_a_name_with_other_characters_is_refused(name: str) -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html"""
    with a_world() as world:
        assert error_of(lambda: client(world).create_secret(Name=name, SecretString="s")) == "InvalidParameterException"
        assert client(world).create_secret(Name="a/_+=.@-b", SecretString="s")["Name"] == "a/_+=.@-b"


def test_a_secret_that_is_scheduled_for_deletion_takes_nothing_and_keeps_its_name() -> None:
    with a_world() as world:
        secrets, one = client(world), {"SecretId": "orders"}
        secrets.create_secret(Name="orders", SecretString="s")
        secrets.delete_secret(**one)

        refused = {
            error_of(lambda: secrets.create_secret(Name="orders", SecretString="s")),
            error_of(lambda: secrets.put_secret_value(**one, SecretString="s")),
            error_of(lambda: secrets.get_resource_policy(**one)),
            error_of(lambda: secrets.put_resource_policy(**one, ResourcePolicy=policy({"AWS": ACCOUNT}))),
            error_of(lambda: secrets.delete_resource_policy(**one)),
        }

        assert refused == {"InvalidRequestException"}


def test_a_policy_names_principals_that_are_there() -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutResourcePolicy.html"""
    with a_world() as world:
        secrets, one = client(world), {"SecretId": "orders"}
        secrets.create_secret(Name="orders", SecretString="s")
        role = client(world, "iam").create_role(RoleName="build", AssumeRolePolicyDocument="{}")["Role"]["Arn"]

        def put(text: str) -> str:
            return error_of(lambda: secrets.put_resource_policy(**one, ResourcePolicy=text, BlockPublicPolicy=True))

        assert put(policy({"AWS": f"arn:aws:iam::{ACCOUNT}:role/nobody"})) == "MalformedPolicyDocumentException"
        assert put("{") == "MalformedPolicyDocumentException"
        assert put("[]") == "MalformedPolicyDocumentException"
        secrets.put_resource_policy(**one, ResourcePolicy=policy({"AWS": role}), BlockPublicPolicy=True)
        assert json.loads(secrets.get_resource_policy(**one)["ResourcePolicy"]) == json.loads(policy({"AWS": role}))


def test_a_public_policy_is_refused_where_that_is_asked() -> None:
    with a_world() as world:
        secrets, one = client(world), {"SecretId": "orders"}
        secrets.create_secret(Name="orders", SecretString="s")

        def put(text: str, blocked: bool) -> Any:
            return secrets.put_resource_policy(**one, ResourcePolicy=text, BlockPublicPolicy=blocked)

        for everybody in ("*", {"AWS": "*"}, {"AWS": ["*", ACCOUNT]}):
            text = policy(everybody)
            assert error_of(lambda: put(text, True)) == "PublicPolicyException"  # noqa: B023  # called at once
        put(policy("*"), False)
        put(policy("*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}), True)
