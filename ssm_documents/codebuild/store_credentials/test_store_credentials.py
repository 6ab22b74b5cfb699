"""CodeBuild.2: credentials go to Parameter Store and are seen nowhere on the way; every other variable stays."""

from __future__ import annotations

import json
from typing import Any, cast

import jmespath
import pytest
from botocore.exceptions import ClientError

from sandbox.identity import IdentityCenter
from sandbox.ports import Call
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "codebuild/store_credentials"
NAME = "orders-for-codebuild-2"
CANARY = ("AKIAIOSFODNN7CANARY1", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYcanary2Key", "canary-token-3")
ENVIRONMENT: dict[str, Any] = {
    "type": "LINUX_CONTAINER",
    "image": "aws/codebuild/standard:7.0",
    "computeType": "BUILD_GENERAL1_SMALL",
    "privilegedMode": True,
}
STAGE = {"name": "STAGE", "value": "test", "type": "PLAINTEXT"}
STORED = {"name": "PASSWORD", "value": "/orders/password", "type": "PARAMETER_STORE"}
KEY = {"name": "AWS_ACCESS_KEY_ID", "value": CANARY[0], "type": "PLAINTEXT"}
SECRET = {"name": "AWS_SECRET_ACCESS_KEY", "value": CANARY[1]}
TOKEN = {"name": "AWS_SESSION_TOKEN", "value": CANARY[2], "type": "PLAINTEXT"}


def project(b: Bench, *variables: dict[str, str], name: str = NAME, path: str = "/service-role/") -> str:
    trust = {"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = b.client("iam").create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trust))
    made = b.client("codebuild").create_project(
        name=name,
        source={"type": "S3", "location": "bucket/source.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        serviceRole=role["Role"]["Arn"],
        environment={**ENVIRONMENT, "environmentVariables": list(variables)},
    )
    return str(made["project"]["arn"])


def both(b: Bench) -> str:
    return project(b, STAGE, KEY, SECRET, STORED)


def token_too(b: Bench) -> str:
    return project(b, KEY, TOKEN, name=f"{NAME}-token", path="/teams/orders/")


def environment(b: Bench, resource_id: str) -> dict[str, Any]:
    found: dict[str, Any] = b.client("codebuild").batch_get_projects(names=[resource_id])["projects"][0]["environment"]
    return found


def passes(b: Bench, resource_id: str) -> bool:
    """The Config rule codebuild-project-envvar-awscred-check."""
    return not any(
        v["name"] in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") and v["type"] == "PLAINTEXT"
        for v in environment(b, resource_id)["environmentVariables"]
    )


def refuse_update(b: Bench) -> None:
    """From now on CodeBuild refuses to change a project."""

    def refuse(one: Call) -> None:
        if one.operation == "UpdateProject":
            raise ClientError({"Error": {"Code": "InvalidInputException", "Message": "no"}}, one.operation)

    cast("IdentityCenter", b.world.identity).before.append(refuse)


NOT_BACK = "clear text is not written back"
CASES = [
    Case("CodeBuild.2", "both keys in clear text", both, passes, secrets=CANARY[:2], irreversible=NOT_BACK),
    Case(
        "CodeBuild.2",
        "one key and what the user named",
        token_too,
        passes,
        settings={"moreVariables": "AWS_SESSION_TOKEN"},
        secrets=CANARY,
        irreversible=NOT_BACK,
    ),
]

ROLE = "arn:aws:iam::222222222222:role/service-role/orders"
FACTS: dict[str, Any] = {
    "role_arn": ROLE,
    "role": "service-role/orders",
    "role_found": True,
    "empty": [],
    "readable": [],
}
TARGET: dict[str, Any] = {
    "partition": "aws",
    "account": "222222222222",
    "region": "us-east-1",
    "resource": {"project": "orders"},
    "parameters": {"moreVariables": []},
}


def plan(facts: dict[str, Any] | None = None, project: str = "orders", **config: Any) -> list[dict[str, Any]]:
    whole = {"variables": {"AWS_ACCESS_KEY_ID": "PLAINTEXT"}, "parameters": {}, "policy": None} | config
    state = {"config": whole, "facts": FACTS | (facts or {}), "busy": None}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, TARGET | {"resource": {"project": project}})
    return made


@pytest.mark.parametrize("variables", [{}, {"AWS_ACCESS_KEY_ID": "PARAMETER_STORE", "X": "SECRETS_MANAGER"}])
def test_a_project_without_clear_text_gets_no_policy_and_no_parameter(variables: dict[str, str]) -> None:
    assert plan(variables=variables) == []


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"role_found": False}, "is not there"),
        ({"role_arn": ROLE.replace("222222222222", "333333333333")}, "is not there"),
        ({"role_arn": ROLE, "role": "sharr/sharr-repair"}, "must not be changed"),
        ({"empty": ["AWS_ACCESS_KEY_ID"]}, "AWS_ACCESS_KEY_ID is empty"),
    ],
)
def test_what_cannot_be_moved_whole_is_not_begun(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(facts)


def test_names_of_policies_fit_and_tell_long_projects_apart() -> None:
    def named(project: str) -> str:
        (one,) = (c for c in plan(project=project) if c["operation"] == "put_role_policy")
        return str(one["parameters"]["PolicyName"])

    first, second = named("p" * 254 + "a"), named("p" * 254 + "b")

    assert first != second
    assert len(first) <= 128
    assert named("orders") == "sharr-codebuild-us-east-1-orders"


def test_every_variable_is_kept_and_the_values_are_those_that_were_in_use() -> None:
    with bench(ID) as b:
        arn = both(b)

        assert b.remediate("CodeBuild.2", arn)["outcome"] == "REMEDIATED"

        after = environment(b, arn)
        variables = {v["name"]: v for v in after.pop("environmentVariables")}
        assert after == ENVIRONMENT
        assert {"STAGE": variables["STAGE"], "PASSWORD": variables["PASSWORD"]} == {"STAGE": STAGE, "PASSWORD": STORED}
        for name, value in (("AWS_ACCESS_KEY_ID", CANARY[0]), ("AWS_SECRET_ACCESS_KEY", CANARY[1])):
            assert variables[name]["type"] == "PARAMETER_STORE"
            stored = b.client("ssm").get_parameter(Name=variables[name]["value"], WithDecryption=True)["Parameter"]
            assert (stored["Type"], stored["Value"]) == ("SecureString", value)
        policies = b.client("iam").list_role_policies(RoleName=NAME)["PolicyNames"]
        assert policies == [f"sharr-codebuild-{b.region}-{NAME}"]


def test_a_stale_parameter_of_an_earlier_repair_gets_the_value_in_use() -> None:
    with bench(ID) as b:
        arn, ssm = both(b), b.client("ssm")
        name = f"/sharr/codebuild/{NAME}/AWS_ACCESS_KEY_ID"
        ssm.put_parameter(Name=name, Value="stale", Type="SecureString")

        assert b.remediate("CodeBuild.2", arn)["outcome"] == "REMEDIATED"

        assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == CANARY[0]


def test_a_parameter_of_that_name_that_anybody_may_read_stops_the_repair_before_the_first_call() -> None:
    with bench(ID) as b:
        arn, ssm = both(b), b.client("ssm")
        ssm.put_parameter(Name=f"/sharr/codebuild/{NAME}/AWS_SECRET_ACCESS_KEY", Value="stale", Type="String")

        with b.watched() as calls:
            result = b.remediate("CodeBuild.2", arn)

        assert result["outcome"] == "FAILED"
        assert "is no SecureString" in result["why"]
        assert b.writes(calls) == []


def test_a_repair_that_fails_half_way_leaves_no_parameter_and_no_policy() -> None:
    with bench(ID) as b:
        arn = both(b)

        refuse_update(b)
        result = b.remediate("CodeBuild.2", arn)

        assert result["outcome"] == "FAILED"
        assert result["restored"]
        assert b.client("ssm").describe_parameters()["Parameters"] == []
        assert b.client("iam").list_role_policies(RoleName=NAME)["PolicyNames"] == []


def test_an_earlier_policy_of_that_name_comes_back_when_a_repair_fails_half_way() -> None:
    with bench(ID) as b:
        arn, iam = both(b), b.client("iam")
        earlier = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
        }
        name = {"RoleName": NAME, "PolicyName": f"sharr-codebuild-{b.region}-{NAME}"}
        iam.put_role_policy(**name, PolicyDocument=json.dumps(earlier))

        refuse_update(b)
        result = b.remediate("CodeBuild.2", arn)

        assert result["restored"], result
        assert iam.get_role_policy(**name)["PolicyDocument"] == earlier


def test_an_undo_does_not_write_clear_text_and_says_so() -> None:
    with bench(ID) as b:
        arn = both(b)
        attempt = b.attempt("CodeBuild.2", arn)
        attempt.finish()

        result = attempt.undo()

        assert result["outcome"] == "FAILED"
        assert "clear text is not written back" in result["why"]
        assert passes(b, arn)
        assert len(b.client("ssm").describe_parameters()["Parameters"]) == 2


def test_a_project_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("CodeBuild.2", b.arn("codebuild", "project/gone"))["outcome"] == "COMPLIANT"


def test_a_variable_that_comes_between_the_look_and_the_write_is_kept() -> None:
    update = plan()[-1]["parameters"]["environment"]["path"]
    answer = {"projects": [{"environment": {**ENVIRONMENT, "environmentVariables": [STAGE, KEY, TOKEN]}}]}

    written = jmespath.search(update, answer)

    assert [v["name"] for v in written["environmentVariables"]] == ["STAGE", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"]
