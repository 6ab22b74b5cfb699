"""Stages of API Gateway keep their settings as AWS's pages (named in each test) say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.fakes import FakeWorld, a_world, error_of

PAYMENTS, REGION = "222222222222", "eu-west-1"


@pytest.fixture
def world() -> Iterator[FakeWorld]:
    with a_world() as world:
        yield world


def client(world: FakeWorld, service: str) -> Any:
    return world.identity.client(service, PAYMENTS, REGION)


def rest_stage(world: FakeWorld) -> dict[str, str]:
    gateway = client(world, "apigateway")
    api = gateway.create_rest_api(name="orders")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    which = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
    gateway.put_method(**which, authorizationType="NONE")
    gateway.put_integration(**which, type="MOCK")
    deployment = gateway.create_deployment(restApiId=api)["id"]
    gateway.create_stage(restApiId=api, stageName="prod", deploymentId=deployment)
    return {"restApiId": api, "stageName": "prod"}


def document(statement: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [statement]}


def log_role(world: FakeWorld, service: str = "apigateway.amazonaws.com") -> str:
    iam = client(world, "iam")
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="logs", AssumeRolePolicyDocument=json.dumps(document(trust)))["Role"]
    policy = document({"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"})
    iam.put_role_policy(RoleName="logs", PolicyName="logs", PolicyDocument=json.dumps(policy))
    return str(role["Arn"])


def set_role(world: FakeWorld, arn: str) -> None:
    patch = {"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}
    client(world, "apigateway").update_account(patchOperations=[patch])


def patch(op: str, path: str, value: str | None = None) -> list[dict[str, str]]:
    return [{"op": op, "path": path} | ({} if value is None else {"value": value})]


def test_execution_logs_need_the_role_of_the_account(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html"""
    gateway, stage = client(world, "apigateway"), rest_stage(world)
    level = patch("replace", "/*/*/logging/loglevel", "ERROR")

    refused = error_of(lambda: gateway.update_stage(**stage, patchOperations=level))
    set_role(world, log_role(world))
    gateway.update_stage(**stage, patchOperations=level)

    assert refused == "BadRequestException"
    assert gateway.get_stage(**stage)["methodSettings"]["*/*"]["loggingLevel"] == "ERROR"


def test_a_role_that_the_service_cannot_assume_is_refused(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html"""
    role = log_role(world, service="ec2.amazonaws.com")
    set_it = patch("replace", "/cloudwatchRoleArn", role)

    assert error_of(lambda: client(world, "apigateway").update_account(patchOperations=set_it)) == "BadRequestException"


def test_method_settings_are_removed_as_a_whole_and_only_where_they_are(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html"""
    gateway, stage = client(world, "apigateway"), rest_stage(world)
    gateway.update_stage(**stage, patchOperations=patch("replace", "/~1orders/GET/caching/enabled", "true"))
    there = gateway.get_stage(**stage)["methodSettings"]

    gateway.update_stage(**stage, patchOperations=patch("remove", "/~1orders/GET"))

    again = error_of(lambda: gateway.update_stage(**stage, patchOperations=patch("remove", "/~1orders/GET")))
    assert there["~1orders/GET"]["cacheDataEncrypted"] is False
    assert "methodSettings" not in gateway.get_stage(**stage) or not gateway.get_stage(**stage)["methodSettings"]
    assert again == "BadRequestException"


def test_settings_of_a_web_socket_stage_are_replaced_route_by_route(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-stages-stagename.html"""
    gateway = client(world, "apigatewayv2")
    api = gateway.create_api(Name="chat", ProtocolType="WEBSOCKET", RouteSelectionExpression="$request.body.action")
    which = {"ApiId": api["ApiId"], "StageName": "prod"}
    gateway.create_stage(**which, RouteSettings={"send": {"ThrottlingBurstLimit": 7}, "join": {"LoggingLevel": "OFF"}})
    routes = {"send": {"LoggingLevel": "INFO"}}

    refused = error_of(lambda: gateway.update_stage(**which, RouteSettings=routes))
    set_role(world, log_role(world))
    gateway.update_stage(**which, RouteSettings=routes)

    assert refused == "BadRequestException"
    assert gateway.get_stage(**which)["RouteSettings"] == {
        "send": {"LoggingLevel": "INFO"},
        "join": {"LoggingLevel": "OFF"},
    }
