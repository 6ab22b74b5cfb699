"""APIGateway.1: levels are set and nothing else, only where API Gateway can write logs, and an undo gives them back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.loader import DOCUMENTS, load_auxiliary
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "apigateway/log_execution"
ROLE = "sharr-api-gateway-logging"
ALL = "*/*"


def delivery_role(b: Bench) -> str:
    """Make the role as the member-roles stack does, from the auxiliary's own data; return its ARN."""
    allow = load_auxiliary(DOCUMENTS / "auxiliary" / "api_gateway_logging").roles[ROLE]["allow"]
    trust = {"Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam = b.client("iam")
    try:
        iam.create_role(RoleName=ROLE, Path="/sharr/", AssumeRolePolicyDocument=document(trust))
        iam.put_role_policy(RoleName=ROLE, PolicyName="logs", PolicyDocument=document({"Action": list(allow)}))
    except iam.exceptions.EntityAlreadyExistsException:
        pass  # the stack made it
    return b.arn("iam", f"role/sharr/{ROLE}", region="")


def document(statement: dict[str, Any]) -> str:
    more = {} if "Principal" in statement else {"Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement, **more}]})


def with_account_role(b: Bench) -> None:
    patch = {"op": "replace", "path": "/cloudwatchRoleArn", "value": delivery_role(b)}
    b.client("apigateway").update_account(patchOperations=[patch])


def rest_stage(b: Bench, name: str) -> tuple[str, dict[str, str]]:
    """Make a REST API with a stage; return the stage's id and its parameters."""
    gateway = b.client("apigateway")
    api = gateway.create_rest_api(name=name)["id"]
    method = {"restApiId": api, "resourceId": gateway.get_resources(restApiId=api)["items"][0]["id"]}
    gateway.put_method(**method, httpMethod="GET", authorizationType="NONE")
    gateway.put_integration(**method, httpMethod="GET", type="MOCK")
    deployment = gateway.create_deployment(restApiId=api)["id"]
    gateway.create_stage(restApiId=api, stageName="prod", deploymentId=deployment)
    arn = b.arn("apigateway", f"/restapis/{api}/stages/prod", account="")
    return arn, {"restApiId": api, "stageName": "prod"}


def patch(b: Bench, stage: dict[str, str], **values: str) -> None:
    operations = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    b.client("apigateway").update_stage(**stage, patchOperations=operations)


def without_settings(b: Bench) -> str:
    with_account_role(b)
    return rest_stage(b, "orders-for-apigateway-1")[0]


def with_a_silent_method(b: Bench) -> str:
    """Metrics and throttling are set; the account has no role yet."""
    delivery_role(b)
    arn, stage = rest_stage(b, "offers-for-apigateway-1")
    patch(b, stage, **{"/*/*/metrics/enabled": "true", "/~1offers~1{id}/GET/throttling/burstLimit": "7"})
    return arn


def web_socket(b: Bench) -> str:
    with_account_role(b)
    gateway, selects = b.client("apigatewayv2"), "$request.body.action"
    name = "chat-for-apigateway-1"
    api = gateway.create_api(Name=name, ProtocolType="WEBSOCKET", RouteSelectionExpression=selects)["ApiId"]
    gateway.create_stage(
        ApiId=api,
        StageName="prod",
        DefaultRouteSettings={"LoggingLevel": "OFF", "DataTraceEnabled": False, "ThrottlingBurstLimit": 11},
        RouteSettings={
            "send": {"LoggingLevel": "OFF", "ThrottlingBurstLimit": 7, "DetailedMetricsEnabled": True},
            "join": {"LoggingLevel": "INFO", "ThrottlingBurstLimit": 5},
        },
    )
    return b.arn("apigateway", f"/apis/{api}/stages/prod", account="")


def settings_of(b: Bench, resource_id: str) -> dict[str, dict[str, Any]]:
    _, kind, api, _, stage = resource_id.split(":")[5].split("/")
    if kind == "restapis":
        found = b.client("apigateway").get_stage(restApiId=api, stageName=stage)
        return dict(found.get("methodSettings", {}))
    found = b.client("apigatewayv2").get_stage(ApiId=api, StageName=stage)
    return {"default": found["DefaultRouteSettings"], **found["RouteSettings"]}


def logs(b: Bench, resource_id: str) -> bool:
    settings = settings_of(b, resource_id)
    level = {one.get("loggingLevel", one.get("LoggingLevel")) for one in settings.values()}
    return bool(settings) and level <= {"ERROR", "INFO"}


def logs_at_info(b: Bench, resource_id: str) -> bool:
    return logs(b, resource_id) and settings_of(b, resource_id)[ALL]["loggingLevel"] == "INFO"


CASES = [
    Case("APIGateway.1", "a REST stage without settings", without_settings, logs),
    Case(
        "APIGateway.1",
        "a REST stage with a silent method and no account role",
        with_a_silent_method,
        logs_at_info,
        parameters={"loggingLevel": ["INFO"]},
        settings={"setAccountRole": "true"},
    ),
    Case("APIGateway.1", "a WebSocket stage", web_socket, logs),
]


def plan(
    levels: dict[str, str], asked: str | None = None, protocol: str = "REST", role: str | None = "arn", **chosen: bool
) -> list[dict[str, Any]]:
    state = {
        "config": {"levels": levels},
        "facts": {"protocol": protocol, "whole": {}, "aux": {"api_gateway_logging": {"is": role, "role": False}}},
        "busy": None,
    }
    target = {
        "resource": {"api_id": "a", "stage": "s"},
        "parameters": {"loggingLevel": asked, "setAccountRole": False} | chosen,
    }
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize(
    ("case", "levels", "asked", "set_to"),
    [
        ("no settings", {}, None, {"/*/*": "ERROR"}),
        ("off", {ALL: "OFF"}, None, {"/*/*": "ERROR"}),
        ("either level will do", {ALL: "INFO", "~1a/GET": "ERROR"}, None, {}),
        ("the finding asks for one", {ALL: "INFO"}, "ERROR", {"/*/*": "ERROR"}),
        ("one method is silent", {ALL: "INFO", "~1a/GET": "OFF"}, None, {"/~1a/GET": "ERROR"}),
        ("methods log, the default does not", {"~1a/GET": "ERROR"}, None, {"/*/*": "ERROR"}),
        ("a key with plain slashes", {ALL: "INFO", "a/b/GET": "OFF"}, None, {"/a~1b/GET": "ERROR"}),
    ],
)
def test_levels(case: str, levels: dict[str, str], asked: str | None, set_to: dict[str, str]) -> None:
    made = [one for one in plan(levels, asked) if "operation" in one]

    patches = [patch for one in made for patch in one["parameters"]["patchOperations"]]
    assert {p["path"].removesuffix("/logging/loglevel"): p["value"] for p in patches} == set_to, case


def test_settings_that_the_repair_made_are_removed_and_others_get_their_level_back() -> None:
    *_, one = plan({"~1a/GET": "OFF"})

    replaced, removed = one["undo"]
    assert replaced["parameters"]["patchOperations"] == [
        {"op": "replace", "path": "/~1a/GET/logging/loglevel", "value": "OFF"}
    ]
    assert removed["parameters"]["patchOperations"] == [{"op": "remove", "path": "/*/*"}]


def test_without_a_role_of_the_account_nothing_is_tried_unless_the_user_lets_us_set_it() -> None:
    with pytest.raises(CannotRepair, match="no role to write logs with") as caught:
        plan({}, role=None)

    assert "setAccountRole" in caught.value.to_do
    assert plan({}, role=None, setAccountRole=True)[0] == {"auxiliary": "api_gateway_logging"}


def test_an_http_api_is_left_to_a_person() -> None:
    with pytest.raises(CannotRepair, match="HTTP APIs have no execution logs"):
        plan({}, protocol="HTTP")


def test_other_settings_of_methods_stay() -> None:
    with bench(ID) as b:
        arn = with_a_silent_method(b)
        before = settings_of(b, arn)

        b.remediate("APIGateway.1", arn, settings={"setAccountRole": "true"})

        assert settings_of(b, arn) == {key: one | {"loggingLevel": "ERROR"} for key, one in before.items()}


def test_an_undo_does_not_remove_what_somebody_put_into_the_settings_since() -> None:
    with bench(ID) as b:
        arn = without_settings(b)
        attempt = b.attempt("APIGateway.1", arn)
        attempt.look()
        _, _, api, _, stage = arn.split(":")[5].split("/")
        patch(b, {"restApiId": api, "stageName": stage}, **{"/*/*/throttling/burstLimit": "3"})

        result = attempt.undo()

        assert result["outcome"] == "SKIPPED", result
        assert settings_of(b, arn)[ALL]["throttlingBurstLimit"] == 3


def test_other_settings_of_routes_stay_and_a_route_that_logs_is_not_touched() -> None:
    with bench(ID) as b:
        arn = web_socket(b)
        before = settings_of(b, arn)

        b.remediate("APIGateway.1", arn)

        after = settings_of(b, arn)
    assert after["join"] == before["join"]
    assert after["send"] == before["send"] | {"LoggingLevel": "ERROR"}
    assert after["default"] == before["default"] | {"LoggingLevel": "ERROR"}


def test_an_undo_gives_routes_their_level_back_and_nothing_else() -> None:
    """Their settings are written whole: what somebody else has changed in them since must stay."""
    with bench(ID) as b:
        arn = web_socket(b)
        gateway = b.client("apigatewayv2")
        stage = {"ApiId": arn.split("/")[2], "StageName": "prod"}
        odd = 'say "hi" to `you`'
        gateway.update_stage(**stage, RouteSettings={odd: {"DataTraceEnabled": True}})
        attempt = b.attempt("APIGateway.1", arn)
        attempt.look()
        send = settings_of(b, arn)["send"] | {"ThrottlingBurstLimit": 70}
        default = settings_of(b, arn)["default"] | {"ThrottlingBurstLimit": 110}
        gateway.update_stage(**stage, DefaultRouteSettings=default, RouteSettings={"send": send})

        result = attempt.undo()

        after = settings_of(b, arn)
    assert result["outcome"] == "UNDONE", result
    assert after["send"] == send | {"LoggingLevel": "OFF"}
    assert after["default"] == default | {"LoggingLevel": "OFF"}
    assert after[odd] == {"DataTraceEnabled": True, "LoggingLevel": "OFF"}


@pytest.mark.parametrize("path", ["/restapis/abcdefghij/stages/prod", "/apis/abcdefghij/stages/prod"])
def test_a_stage_that_is_gone_is_compliant(path: str) -> None:
    with bench(ID) as b:
        assert b.remediate("APIGateway.1", b.arn("apigateway", path, account=""))["outcome"] == "COMPLIANT"
