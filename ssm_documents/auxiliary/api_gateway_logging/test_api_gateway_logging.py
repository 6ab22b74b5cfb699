"""The role for API Gateway's logs: set where none is, never taken from another, and never made here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.loader import DOCUMENTS, load_auxiliary
from sharr.runtime.contract import CannotRepair
from sharr.scripts import load_script
from tests.harness import bench

FOLDER = DOCUMENTS / "auxiliary" / "api_gateway_logging"
ROLE = "sharr-api-gateway-logging"
TARGET: dict[str, Any] = {"partition": "aws-cn", "account": "222222222222", "region": "cn-north-1"}


def script() -> Any:
    return load_script(FOLDER / "script.py")


def test_our_role_is_set_where_none_is_and_stays() -> None:
    (one,) = script().make({"is": None, "role": True}, TARGET)

    (patch,) = one["parameters"]["patchOperations"]
    assert patch["value"] == "arn:aws-cn:iam::222222222222:role/sharr/sharr-api-gateway-logging"
    assert one["kept"]


def test_a_role_that_is_set_stays_whosever_it_is() -> None:
    assert script().make({"is": "arn:aws-cn:iam::222222222222:role/theirs", "role": False}, TARGET) == []


def test_a_missing_role_is_said_first() -> None:
    with pytest.raises(CannotRepair, match="no role /sharr/sharr-api-gateway-logging") as caught:
        script().make({"is": None, "role": False}, TARGET)

    assert "member-roles" in caught.value.to_do


@pytest.mark.parametrize(("path", "there"), [(None, False), ("/sharr/", True), ("/", False)])
def test_look_tells_whether_our_role_is_there(path: str | None, there: bool) -> None:
    with bench("apigateway/log_execution") as b:
        if path:
            document = json.dumps({"Version": "2012-10-17", "Statement": []})
            b.client("iam").create_role(RoleName=ROLE, Path=path, AssumeRolePolicyDocument=document)

        assert script().look(b, TARGET) == {"is": None, "role": there}


@pytest.mark.parametrize("path", [None, "/"])
def test_a_person_is_told_that_our_role_is_missing_and_not_that_a_read_was_denied(path: str | None) -> None:
    """With the remediation's own role: IAM judges a role that does not exist by its name without a path."""
    with bench("apigateway/log_execution") as b:
        if path:
            document = json.dumps({"Version": "2012-10-17", "Statement": []})
            b.client("iam").create_role(RoleName=ROLE, Path=path, AssumeRolePolicyDocument=document)
        gateway = b.client("apigateway")
        api = gateway.create_rest_api(name="orders")["id"]
        method = {"restApiId": api, "resourceId": gateway.get_resources(restApiId=api)["items"][0]["id"]}
        gateway.put_method(**method, httpMethod="GET", authorizationType="NONE")
        gateway.put_integration(**method, httpMethod="GET", type="MOCK")
        deployment = gateway.create_deployment(restApiId=api)["id"]
        gateway.create_stage(restApiId=api, stageName="prod", deploymentId=deployment)
        stage = b.arn("apigateway", f"/restapis/{api}/stages/prod", account="")

        with b.watched() as calls:
            result = b.remediate("APIGateway.1", stage, settings={"setAccountRole": "true"})

    assert (result["outcome"], result["why"]) == ("FAILED", f"the account has no role /sharr/{ROLE}")
    assert result["to_do"] == "deploy the member-roles stack in this account"
    assert not b.writes(calls)


def test_the_role_is_api_gateways_alone_and_writes_in_the_own_account_only() -> None:
    (role,) = load_auxiliary(FOLDER).roles.values()

    assert role["service"] == "apigateway.amazonaws.com"
    assert all(on.startswith("arn:{partition}:logs:*:{account}:") for on in role["allow"].values())
    assert {"logs:CreateLogStream", "logs:PutLogEvents"} <= set(role["allow"])
    assert not any("Delete" in action for action in role["allow"])
