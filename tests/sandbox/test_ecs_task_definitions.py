"""ECS in the sandbox, held against AWS's documentation."""

from __future__ import annotations

from typing import Any

from sandbox.additions.ecs_task_definitions import DEPLOYING_SECONDS, FAILED_TASKS, fail_deployments
from tests.sandbox.fakes import a_world, error_of

CONTAINER = {"name": "web", "image": "nginx", "memory": 128}


def ecs_of(world: Any, revisions: int) -> Any:
    ecs = world.identity.client("ecs", "222222222222", "us-east-1")
    for _ in range(revisions):
        ecs.register_task_definition(family="orders", containerDefinitions=[CONTAINER], enableFaultInjection=True)
    return ecs


def test_a_family_means_its_latest_active_revision_and_numbers_are_not_used_again() -> None:
    """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTaskDefinition.html"""
    with a_world() as world:
        ecs = ecs_of(world, 2)
        ecs.deregister_task_definition(taskDefinition="orders:2")
        assert ecs.describe_task_definition(taskDefinition="orders")["taskDefinition"]["revision"] == 1

        ecs_of(world, 1)
        latest = ecs.describe_task_definition(taskDefinition="orders")["taskDefinition"]
        assert latest["revision"] == 3
        assert latest["enableFaultInjection"] is True

        ecs.deregister_task_definition(taskDefinition="orders:1")
        ecs.deregister_task_definition(taskDefinition="orders:3")
        assert error_of(lambda: ecs.describe_task_definition(taskDefinition="orders")) == "ClientException"


def test_revisions_are_listed_by_status_and_order() -> None:
    """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTaskDefinitions.html"""
    with a_world() as world:
        ecs = ecs_of(world, 11)
        ecs.deregister_task_definition(taskDefinition="orders:4")

        newest = ecs.list_task_definitions(familyPrefix="orders", sort="DESC", maxResults=1)
        inactive = ecs.list_task_definitions(familyPrefix="orders", status="INACTIVE")["taskDefinitionArns"]

        assert [arn.rpartition(":")[2] for arn in newest["taskDefinitionArns"]] == ["11"]
        assert newest["nextToken"]
        assert [arn.rpartition(":")[2] for arn in inactive] == ["4"]


def test_what_aws_refuses_is_refused() -> None:
    with a_world() as world:
        ecs = ecs_of(world, 0)
        read_only = [{**CONTAINER, "readonlyRootFilesystem": True}]
        windows = {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}
        tags = [{"key": "aws:cloudformation:stack-name", "value": "x"}]

        def register(**more: Any) -> str:
            return error_of(lambda: ecs.register_task_definition(family="a", containerDefinitions=read_only, **more))

        assert register(runtimePlatform=windows) == "ClientException"
        assert register(tags=tags) == "InvalidParameterException"


def test_a_service_that_gets_another_task_definition_is_deployed_for_a_while() -> None:
    """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html"""
    with a_world() as world:
        ecs = ecs_of(world, 2)
        ecs.create_cluster(clusterName="shop")
        ecs.create_service(cluster="shop", serviceName="web", taskDefinition="orders:1", desiredCount=0)

        ecs.update_service(cluster="shop", service="web", taskDefinition="orders:2")
        during = ecs.describe_services(cluster="shop", services=["web"])["services"][0]
        world.clock.advance(DEPLOYING_SECONDS)
        after = ecs.describe_services(cluster="shop", services=["web"])["services"][0]

        assert during["taskDefinition"].endswith(":task-definition/orders:2")
        assert [(d["status"], d["rolloutState"]) for d in during["deployments"]] == [
            ("PRIMARY", "IN_PROGRESS"),
            ("ACTIVE", "COMPLETED"),
        ]
        assert [d["rolloutState"] for d in after["deployments"]] == ["COMPLETED"]


def test_a_service_that_codedeploy_deploys_gets_no_task_definition() -> None:
    """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html"""
    with a_world() as world:
        ecs = ecs_of(world, 2)
        ecs.create_cluster(clusterName="shop")
        by = {"type": "CODE_DEPLOY"}
        ecs.create_service(
            cluster="shop", serviceName="web", taskDefinition="orders:1", desiredCount=0, deploymentController=by
        )
        update = lambda: ecs.update_service(cluster="shop", service="web", taskDefinition="orders:2")  # noqa: E731

        assert error_of(update) == "InvalidParameterException"


def test_a_deployment_whose_tasks_do_not_start_goes_on_or_is_rolled_back() -> None:
    """https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html"""
    for roll_back in (False, True):
        with a_world() as world:
            ecs = ecs_of(world, 2)
            ecs.create_cluster(clusterName="shop")
            made = ecs.create_service(cluster="shop", serviceName="web", taskDefinition="orders:1", desiredCount=0)
            first = made["service"]["taskDefinition"]
            second = first.removesuffix(":1") + ":2"
            fail_deployments("222222222222", "us-east-1", "web", second, roll_back=roll_back)
            ecs.update_service(cluster="shop", service="web", taskDefinition=second)

            world.clock.advance(DEPLOYING_SECONDS)

            (web,) = ecs.describe_services(cluster="shop", services=["web"])["services"]
            told = ecs.list_service_deployments(cluster="shop", service="web", status=["ROLLBACK_SUCCESSFUL"])
            newest = web["deployments"][0]
            state = (newest["rolloutState"], newest["failedTasks"], len(told["serviceDeployments"]))
            assert web["taskDefinition"] == (first if roll_back else second)
            assert state == (("COMPLETED", 0, 1) if roll_back else ("IN_PROGRESS", FAILED_TASKS, 0))
