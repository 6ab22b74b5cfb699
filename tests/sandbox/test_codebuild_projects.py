"""CodeBuild projects in the sandbox, held against AWS's documentation."""

from __future__ import annotations

from typing import Any

from tests.sandbox.fakes import a_world, error_of

ACCOUNT, REGION = "222222222222", "us-east-1"


def project(world: Any) -> Any:
    codebuild = world.identity.client("codebuild", ACCOUNT, REGION)
    codebuild.create_project(
        name="orders",
        description="kept",
        source={"type": "S3", "location": "bucket/source.zip"},
        artifacts={"type": "NO_ARTIFACTS"},
        serviceRole=f"arn:aws:iam::{ACCOUNT}:role/orders",
        environment={
            "type": "LINUX_CONTAINER",
            "image": "image",
            "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": "A", "value": "1"}],
        },
    )
    return codebuild


def test_an_update_replaces_what_it_names_and_keeps_the_rest() -> None:
    """https://docs.aws.amazon.com/codebuild/latest/APIReference/API_UpdateProject.html"""
    with a_world() as world:
        codebuild = project(world)
        environment = codebuild.batch_get_projects(names=["orders"])["projects"][0]["environment"]
        assert environment["environmentVariables"] == [{"name": "A", "value": "1", "type": "PLAINTEXT"}]

        variables = [{"name": "A", "value": "/a", "type": "PARAMETER_STORE"}]
        codebuild.update_project(name="orders", environment=environment | {"environmentVariables": variables})

        after = codebuild.batch_get_projects(names=["orders"])["projects"][0]
        assert after["environment"] == environment | {"environmentVariables": variables}
        assert after["description"] == "kept"


def test_what_aws_refuses_is_refused() -> None:
    with a_world() as world:
        codebuild = project(world)
        whole = {"type": "LINUX_CONTAINER", "image": "image", "computeType": "BUILD_GENERAL1_SMALL"}
        twice = whole | {"environmentVariables": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}
        wrong = whole | {"environmentVariables": [{"name": "A", "value": "1", "type": "CLEAR"}]}

        def update(name: str, environment: Any) -> str:
            return error_of(lambda: codebuild.update_project(name=name, environment=environment))

        assert update("nobody", whole) == "ResourceNotFoundException"
        assert update("orders", twice) == "InvalidInputException"
        assert update("orders", wrong) == "InvalidInputException"


def test_a_project_that_is_not_there_is_named() -> None:
    """https://docs.aws.amazon.com/codebuild/latest/APIReference/API_BatchGetProjects.html"""
    with a_world() as world:
        answer = project(world).batch_get_projects(names=["orders", "nobody"])

        assert [p["name"] for p in answer["projects"]] == ["orders"]
        assert answer["projectsNotFound"] == ["nobody"]
