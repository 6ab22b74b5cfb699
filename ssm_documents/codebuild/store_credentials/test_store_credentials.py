"""CodeBuild.2: credentials go to Secrets Manager and are seen nowhere on the way; every other variable stays."""

from __future__ import annotations

import json
from typing import Any, cast

import jmespath
import pytest
from botocore.exceptions import ClientError

from sandbox.iam import Request, Subject, evaluate, parse_policy
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


def role_of(b: Bench, name: str, path: str = "/") -> str:
    trust = {"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}
    made = b.client("iam").create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trust))
    return str(made["Role"]["Arn"])


def project(b: Bench, *variables: dict[str, str], name: str = NAME, path: str = "/service-role/") -> str:
    role = role_of(b, name, path)
    made = b.client("codebuild").create_project(
        name=name,
        source={"type": "S3", "location": "bucket/source.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        serviceRole=role,
        environment={**ENVIRONMENT, "environmentVariables": list(variables)},
    )
    return str(made["project"]["arn"])


def both(b: Bench) -> str:
    return project(b, STAGE, KEY, SECRET, STORED)


def token_too(b: Bench) -> str:
    """With the secret of an earlier repair, which another role may read."""
    arn = project(b, KEY, TOKEN, name=f"{NAME}-token", path="/teams/orders/")
    a_secret(b, f"{NAME}-token")
    b.client("secretsmanager").put_resource_policy(
        SecretId=secret_of(f"{NAME}-token"),
        ResourcePolicy=document(statement("SharrProjectRole", role_of(b, f"{NAME}-earlier")), other(b)),
    )
    return arn


def other(b: Bench) -> dict[str, Any]:
    return statement("Owner", b.arn("iam", "root", region=""))


def secret_of(name: str = NAME) -> str:
    return f"sharr/codebuild/{name}/variables"


def a_secret(b: Bench, name: str = NAME, tag: str = "store_credentials") -> None:
    value = json.dumps({"AWS_ACCESS_KEY_ID": "stale"})
    tags = [{"Key": "sharr", "Value": tag}]
    b.client("secretsmanager").create_secret(Name=secret_of(name), SecretString=value, Tags=tags)


def statement(sid: str, principal: str) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
    }


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def policy_of(b: Bench, name: str = NAME) -> dict[str, Any]:
    text = b.client("secretsmanager").get_resource_policy(SecretId=secret_of(name))["ResourcePolicy"]
    found: dict[str, Any] = json.loads(text)
    return found


def value_of(b: Bench, name: str = NAME, **version: str) -> dict[str, str]:
    text = b.client("secretsmanager").get_secret_value(SecretId=secret_of(name), **version)["SecretString"]
    found: dict[str, str] = json.loads(text)
    return found


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
        "one key and what the user named, into the secret of an earlier repair",
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
    "empty": [],
    "refers": [],
    "is": "absent",
}
TARGET: dict[str, Any] = {
    "partition": "aws",
    "account": "222222222222",
    "region": "us-east-1",
    "resource": {"project": "orders"},
    "parameters": {"moreVariables": []},
}


def plan(facts: dict[str, Any] | None = None, **config: Any) -> list[dict[str, Any]]:
    whole = {"variables": {"AWS_ACCESS_KEY_ID": "PLAINTEXT"}, "secret": None, "policy": None} | config
    state = {"config": whole, "facts": FACTS | (facts or {}), "busy": None}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, TARGET)
    return made


@pytest.mark.parametrize("variables", [{}, {"AWS_ACCESS_KEY_ID": "PARAMETER_STORE", "X": "SECRETS_MANAGER"}])
def test_a_project_without_clear_text_gets_no_secret(variables: dict[str, str]) -> None:
    assert plan(variables=variables) == []


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"role_arn": ""}, "is not of its account"),
        ({"role_arn": ROLE.replace("222222222222", "333333333333")}, "is not of its account"),
        ({"role_arn": ROLE.replace("arn:aws:", "arn:aws-cn:")}, "is not of its account"),
        ({"empty": ["AWS_ACCESS_KEY_ID"]}, "AWS_ACCESS_KEY_ID has no value"),
        ({"is": "another's"}, "is not ours"),
        ({"is": "deleted"}, "scheduled for deletion"),
        ({"is": "keyed"}, "has a KMS key that we may not use"),
        ({"is": "ours", "refers": ["AWS_SECRET_ACCESS_KEY"]}, "in use for AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_what_cannot_be_moved_whole_is_not_begun(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(facts)


def test_a_value_that_is_empty_for_another_variable_does_not_matter() -> None:
    assert plan({"empty": ["AWS_SESSION_TOKEN"]})


def test_a_policy_that_lets_the_role_read_already_is_left_alone() -> None:
    policy = json.loads(document(statement("SharrProjectRole", ROLE)))

    calls = plan({"is": "ours"}, secret="v1", policy=policy)

    assert [c["operation"] for c in calls] == ["batch_get_projects", "put_secret_value", "update_project"]


def test_the_role_may_do_nothing_in_iam_but_pass_a_role_to_codebuild_and_read_no_secret() -> None:
    remediation = remediation_of(ID)
    permissions = [*remediation.read, *remediation.write, *remediation.undo]

    of_iam = [p for p in permissions if p.action.startswith("iam:")]

    assert [p.action for p in of_iam] == ["iam:PassRole"]
    assert of_iam[0].when == {"StringEquals": {"iam:PassedToService": "codebuild.amazonaws.com"}}
    assert "secretsmanager:GetSecretValue" not in {p.action for p in permissions}


def test_every_variable_is_kept_and_the_values_are_those_that_were_in_use() -> None:
    with bench(ID) as b:
        arn = both(b)

        assert b.remediate("CodeBuild.2", arn)["outcome"] == "REMEDIATED"

        after = environment(b, arn)
        variables = {v["name"]: v for v in after.pop("environmentVariables")}
        assert after == ENVIRONMENT
        assert {"STAGE": variables["STAGE"], "PASSWORD": variables["PASSWORD"]} == {"STAGE": STAGE, "PASSWORD": STORED}
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            value = f"{secret_of()}:{name}"
            assert variables[name] == {"name": name, "value": value, "type": "SECRETS_MANAGER"}
        assert value_of(b) == {"AWS_ACCESS_KEY_ID": CANARY[0], "AWS_SECRET_ACCESS_KEY": CANARY[1]}


def test_a_value_with_quotes_and_line_ends_arrives_as_it_was() -> None:
    with bench(ID) as b:
        value = 'a"b\\c\n{ü}'
        arn = project(b, KEY | {"value": value})

        assert b.remediate("CodeBuild.2", arn)["outcome"] == "REMEDIATED"

        assert value_of(b) == {"AWS_ACCESS_KEY_ID": value}


def test_exactly_the_role_of_the_project_may_read_the_secret_and_nothing_else() -> None:
    with bench(ID) as b:
        b.remediate("CodeBuild.2", both(b))
        arn = b.client("secretsmanager").describe_secret(SecretId=secret_of())["ARN"]
        policy = parse_policy(json.dumps(policy_of(b)), "secret", "resource")

        def may(role: str, action: str) -> bool:
            role_arn = b.arn("iam", f"role/{role}", region="")
            session = b.arn("sts", f"assumed-role/{role.rpartition('/')[2]}/build", region="")
            who = Subject(account=b.account, arn=session, role_arn=role_arn)
            asked = Request(who, action, arn, resource_account=b.account)
            return evaluate(asked, resource=policy).allowed

        assert may(f"service-role/{NAME}", "secretsmanager:GetSecretValue")
        assert not may(f"service-role/{NAME}", "secretsmanager:PutSecretValue")
        assert not may("service-role/another", "secretsmanager:GetSecretValue")
        assert not may(NAME, "secretsmanager:GetSecretValue")


def test_a_public_policy_would_be_refused() -> None:
    puts = [c for c in plan() if c["operation"] == "put_resource_policy"]

    assert [c["parameters"]["BlockPublicPolicy"] for c in puts] == [True]


def test_a_secret_of_an_earlier_repair_gets_the_values_in_use_and_keeps_what_others_wrote_into_its_policy() -> None:
    with bench(ID) as b:
        arn = token_too(b)

        assert b.remediate("CodeBuild.2", arn)["outcome"] == "REMEDIATED"

        name = f"{NAME}-token"
        role = b.arn("iam", f"role/teams/orders/{name}", region="")
        assert value_of(b, name) == {"AWS_ACCESS_KEY_ID": CANARY[0]}
        assert value_of(b, name, VersionStage="AWSPREVIOUS") == {"AWS_ACCESS_KEY_ID": "stale"}
        assert policy_of(b, name)["Statement"] == [other(b), statement("SharrProjectRole", role)]


def another_tag(b: Bench) -> str:
    a_secret(b, tag="trail_bucket")
    return "is not ours"


def to_be_deleted(b: Bench) -> str:
    a_secret(b)
    b.client("secretsmanager").delete_secret(SecretId=secret_of())
    return "scheduled for deletion"


def by_a_key(b: Bench) -> str:
    a_secret(b)
    key = b.client("kms").create_key()["KeyMetadata"]["Arn"]
    b.client("secretsmanager").update_secret(SecretId=secret_of(), KmsKeyId=key)
    return "has a KMS key that we may not use"


@pytest.mark.parametrize("make", [another_tag, to_be_deleted, by_a_key])
def test_a_secret_of_that_name_that_cannot_be_used_stops_the_repair_before_the_first_call(make: Any) -> None:
    with bench(ID) as b:
        arn, why = both(b), make(b)

        with b.watched() as calls:
            result = b.remediate("CodeBuild.2", arn)

        assert result["outcome"] == "FAILED"
        assert why in result["why"]
        assert b.writes(calls) == []


@pytest.mark.parametrize("by_arn", [False, True])
def test_a_secret_that_the_project_uses_already_is_not_written_over(by_arn: bool) -> None:
    with bench(ID) as b:
        a_secret(b)
        named = b.client("secretsmanager").describe_secret(SecretId=secret_of())["ARN"] if by_arn else secret_of()
        arn = project(b, KEY, {"name": "OTHER", "value": f"{named}:OTHER", "type": "SECRETS_MANAGER"})

        with b.watched() as calls:
            result = b.remediate("CodeBuild.2", arn)

        assert result["outcome"] == "FAILED"
        assert "in use for OTHER" in result["why"]
        assert f"{secret_of()}:AWS_ACCESS_KEY_ID" in result["to_do"]
        assert b.writes(calls) == []


@pytest.mark.parametrize("value", ["orders:KEY", f"{NAME}/variables:KEY", f"sharr/codebuild/{NAME}-b/variables:KEY"])
def test_another_secret_that_the_project_uses_does_not_stop_the_repair(value: str) -> None:
    with bench(ID) as b:
        arn = project(b, KEY, {"name": "OTHER", "value": value, "type": "SECRETS_MANAGER"})

        assert b.remediate("CodeBuild.2", arn)["outcome"] == "REMEDIATED"


def test_a_repair_that_fails_half_way_leaves_no_secret() -> None:
    with bench(ID) as b:
        arn = both(b)

        refuse_update(b)
        result = b.remediate("CodeBuild.2", arn)

        assert result["outcome"] == "FAILED"
        assert result["restored"]
        assert b.client("secretsmanager").list_secrets(IncludePlannedDeletion=True)["SecretList"] == []
        assert not passes(b, arn)


def test_a_role_that_is_gone_is_told_and_leaves_no_secret() -> None:
    with bench(ID) as b:
        arn = both(b)
        b.client("iam").delete_role(RoleName=NAME)

        result = b.remediate("CodeBuild.2", arn)

        assert result["outcome"] == "FAILED"
        assert result["restored"]
        assert "give the project a role that is there" in result["to_do"]
        assert b.client("secretsmanager").list_secrets(IncludePlannedDeletion=True)["SecretList"] == []


def test_the_earlier_policy_of_a_secret_comes_back_when_a_repair_fails_half_way() -> None:
    with bench(ID) as b:
        arn = token_too(b)
        earlier = policy_of(b, f"{NAME}-token")

        refuse_update(b)
        b.remediate("CodeBuild.2", arn)

        assert policy_of(b, f"{NAME}-token") == earlier


def test_an_undo_does_not_write_clear_text_and_says_so() -> None:
    with bench(ID) as b:
        arn = both(b)
        attempt = b.attempt("CodeBuild.2", arn)
        attempt.finish()

        result = attempt.undo()

        assert result["outcome"] == "FAILED"
        assert "clear text is not written back" in result["why"]
        assert passes(b, arn)
        assert value_of(b).keys() == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_a_project_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("CodeBuild.2", b.arn("codebuild", "project/gone"))["outcome"] == "COMPLIANT"


def test_a_variable_that_comes_between_the_look_and_the_write_is_kept() -> None:
    update = plan()[-1]["parameters"]["environment"]["path"]
    answer = {"projects": [{"environment": {**ENVIRONMENT, "environmentVariables": [STAGE, KEY, TOKEN]}}]}

    written = jmespath.search(update, answer)

    assert [v["name"] for v in written["environmentVariables"]] == ["STAGE", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"]
