"""ECS.5: a revision that differs in nothing but read-only; services move only where the user says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jmespath
import pytest

from sandbox.additions.ecs_task_definitions import fail_deployments
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "ecs/make_root_read_only"
CANARY = "canary-environment-ecs-5"
TAGS = [{"key": "team", "value": "orders"}]
MOVE = {"updateServices": "true"}


def register(b: Bench, family: str, **more: Any) -> str:
    """Register a revision with two containers, of which one is read-only already; return its ARN."""
    iam = b.client("iam")
    name = f"{family}-tasks"
    try:
        role = iam.get_role(RoleName=name)["Role"]["Arn"]
    except iam.exceptions.NoSuchEntityException:
        role = iam.create_role(RoleName=name, Path="/teams/", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    secret = [{"name": "PASSWORD", "value": CANARY}]
    given: dict[str, Any] = {
        "family": family,
        "containerDefinitions": [
            {"name": "web", "image": "nginx", "memory": 128, "environment": secret},
            {"name": "log", "image": "fluentd", "memory": 64, "readonlyRootFilesystem": True},
        ],
        "taskRoleArn": role,
        "volumes": [{"name": "scratch", "host": {}}],
        "enableFaultInjection": True,
        "tags": TAGS,
    }
    return str(b.client("ecs").register_task_definition(**given | more)["taskDefinition"]["taskDefinitionArn"])


def broken(b: Bench) -> str:
    return register(b, "web-for-ecs-5")


def service(b: Bench, arn: str, name: str = "web", **more: Any) -> str:
    ecs = b.client("ecs")
    ecs.create_cluster(clusterName="shop-for-ecs-5")
    made = ecs.create_service(cluster="shop-for-ecs-5", serviceName=name, taskDefinition=arn, desiredCount=0, **more)
    return str(made["service"]["serviceArn"])


def served(b: Bench) -> str:
    arn = register(b, "served-for-ecs-5")
    service(b, arn)
    return arn


def left_behind(b: Bench) -> str:
    """A service runs a revision that differs in nothing from the latest one."""
    family = "behind-for-ecs-5"
    service(b, register(b, family), "behind")
    return register(b, family)


def definition(b: Bench, named: str) -> dict[str, Any]:
    found: dict[str, Any] = b.client("ecs").describe_task_definition(taskDefinition=named)["taskDefinition"]
    return found


def passes(b: Bench, resource_id: str) -> bool:
    """The Config rule ecs-containers-readonly-access: the latest active revision of the family, absent is false."""
    latest = definition(b, resource_id.rpartition("/")[2].partition(":")[0])
    return all(c.get("readonlyRootFilesystem") for c in latest["containerDefinitions"])


CASES = [
    Case("ECS.5", "a container that may write", broken, passes, secrets=(CANARY,)),
    Case("ECS.5", "a service that shall move", left_behind, passes, settings=MOVE, secrets=(CANARY,)),
]

PLACE = "arn:aws:ecs:us-east-1:222222222222:task-definition"
FACTS: dict[str, Any] = {
    "arn": f"{PLACE}/web:9",
    "next": 10,
    "given": ["cpu"],
    "tagged": False,
    "windows": False,
    "roles": ["arn:aws:iam::222222222222:role/tasks"],
    "clusters": {},
    "failed": [],
}


def plan(
    containers: dict[str, bool | None], services: dict[str, str] | None = None, **facts: Any
) -> list[dict[str, Any]]:
    config = {"revision": 9, "containers": containers, "services": services or {}}
    target = {
        "partition": "aws",
        "account": "222222222222",
        "region": "us-east-1",
        "resource": {"family": "web", "revision": "9"},
        "parameters": {"updateServices": bool(services)},
    }
    state = {"config": config, "facts": FACTS | facts, "busy": None}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize(
    ("containers", "registers"),
    [({"a": True}, False), ({"a": None}, True), ({"a": False}, True), ({"a": True, "b": None}, True)],
)
def test_absent_counts_as_writable(containers: dict[str, bool | None], registers: bool) -> None:
    assert ("register_task_definition" in [c["operation"] for c in plan(containers)]) == registers


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"windows": True}, "Windows"),
        ({"roles": ["arn:aws:iam::333333333333:role/tasks"]}, "another account"),
    ],
)
def test_what_cannot_be_registered_is_left_to_a_person(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan({"a": None}, **facts)


def test_tasks_that_do_not_start_with_it_are_told_instead_of_deployed_again() -> None:
    moved = {"services": {"the-service": f"{PLACE}/web:8"}, "clusters": {"the-service": "the-cluster"}}

    assert [c["operation"] for c in plan({"a": True}, **moved)] == ["update_service"]
    with pytest.raises(CannotRepair, match="tasks of web do not start with"):
        plan({"a": True}, **moved, failed=["web"])
    with pytest.raises(CannotRepair, match="tasks of web do not start as it is"):
        plan({"a": None}, **moved, failed=["web"])


def test_an_undo_whose_revision_was_not_told_goes_by_the_number_it_must_have() -> None:
    undo = plan({"a": None})[1]["undo"][0]["parameters"]["taskDefinition"]

    assert jmespath.search(undo["path"], None) == f"{PLACE}/web:10"
    assert jmespath.search(undo["path"], {"taskDefinition": {"taskDefinitionArn": "told"}}) == "told"


def test_everything_but_read_only_is_as_it_was_tags_too() -> None:
    with bench(ID) as b:
        arn = broken(b)
        before = definition(b, arn)

        assert b.remediate("ECS.5", arn)["outcome"] == "REMEDIATED"

        answer = b.client("ecs").describe_task_definition(taskDefinition="web-for-ecs-5", include=["TAGS"])
        after = answer["taskDefinition"]
        assert answer["tags"] == TAGS
        assert (before["revision"], after["revision"]) == (1, 2)
        for one in (before, after):
            for name in ("taskDefinitionArn", "revision", "registeredAt"):
                one.pop(name, None)
        before["containerDefinitions"][0]["readonlyRootFilesystem"] = True
        assert after == before


def test_a_task_definition_without_roles_is_repaired_too() -> None:
    with bench(ID) as b:
        containers = [{"name": "web", "image": "nginx", "memory": 128}]
        made = b.client("ecs").register_task_definition(family="bare-for-ecs-5", containerDefinitions=containers)

        result = b.remediate("ECS.5", made["taskDefinition"]["taskDefinitionArn"])

        assert result["outcome"] == "REMEDIATED", result


def test_a_revision_of_two_digits_is_taken() -> None:
    with bench(ID) as b:
        arn = [broken(b) for _ in range(11)][-1]
        assert arn.endswith(":11")

        assert b.remediate("ECS.5", arn)["outcome"] == "REMEDIATED"


def test_a_finding_of_an_older_revision_is_answered_by_the_latest_one() -> None:
    with bench(ID) as b:
        old = broken(b)
        register(b, "web-for-ecs-5", containerDefinitions=[
            {"name": "web", "image": "nginx", "memory": 128, "readonlyRootFilesystem": True}
        ])  # fmt: skip

        assert b.remediate("ECS.5", old)["outcome"] == "COMPLIANT"


def test_a_number_that_an_undone_revision_used_is_counted() -> None:
    with bench(ID) as b:
        arn = broken(b)
        first = b.attempt("ECS.5", arn)
        first.finish()
        assert first.undo()["outcome"] == "UNDONE"

        again = b.attempt("ECS.5", arn)
        again.preview()

        assert again.journal["before"]["facts"]["next"] == 3


def test_services_stay_without_the_switch() -> None:
    with bench(ID) as b:
        arn = served(b)

        assert b.remediate("ECS.5", arn)["outcome"] == "REMEDIATED"

        (one,) = b.client("ecs").describe_services(cluster="shop-for-ecs-5", services=["web"])["services"]
        assert one["taskDefinition"] == arn


@pytest.mark.parametrize(
    ("name", "arrange"),
    [
        ("of another application version", lambda b: service(b, register(b, "served-for-ecs-5", cpu="512"), "other")),
        (
            "that CodeDeploy deploys",
            lambda b: service(
                b, register(b, "served-for-ecs-5"), "other", deploymentController={"type": "CODE_DEPLOY"}
            ),
        ),
        ("of another family", lambda b: service(b, register(b, "different-for-ecs-5"), "other")),
    ],
)
def test_only_services_of_that_revision_move(name: str, arrange: Callable[[Bench], Any]) -> None:
    with bench(ID) as b:
        arn = register(b, "served-for-ecs-5")
        arrange(b)
        latest = register(b, "served-for-ecs-5")
        service(b, latest)
        ecs = b.client("ecs")
        (before,) = ecs.describe_services(cluster="shop-for-ecs-5", services=["other"])["services"]

        result = b.attempt("ECS.5", arn, settings=MOVE).finish()

        assert result["outcome"] == "REMEDIATED", result
        web, other = ecs.describe_services(cluster="shop-for-ecs-5", services=["web", "other"])["services"]
        assert passes(b, arn)
        assert web["taskDefinition"] == definition(b, "served-for-ecs-5")["taskDefinitionArn"]
        assert other["taskDefinition"] == before["taskDefinition"], name


def test_a_deployment_is_waited_for() -> None:
    with bench(ID) as b:
        attempt = b.attempt("ECS.5", served(b), settings=MOVE)

        first = attempt.look()

        assert first["outcome"] == "PENDING"
        assert "deployment of web" in first["why"]
        assert attempt.finish()["outcome"] == "REMEDIATED"


@pytest.mark.parametrize("roll_back", [False, True])
def test_tasks_that_fail_end_the_repair_and_do_not_stop_its_undo(roll_back: bool) -> None:
    with bench(ID) as b:
        arn, ecs = served(b), b.client("ecs")
        attempt = b.attempt("ECS.5", arn, settings=MOVE)
        new = arn.removesuffix(":1") + ":2"
        fail_deployments(b.account, b.region, "web", new, roll_back=roll_back)
        assert attempt.look()["outcome"] == "PENDING"
        b.world.advance(300)

        with b.watched() as calls:
            result = attempt.look()

        assert (result["outcome"], b.writes(calls)) == ("FAILED", []), result
        assert "tasks of web do not start" in result["why"]
        assert attempt.undo()["outcome"] == "UNDONE"
        (web,) = ecs.describe_services(cluster="shop-for-ecs-5", services=["web"])["services"]
        assert web["taskDefinition"] == arn
        assert not passes(b, arn)


def test_a_role_that_is_given_by_name_is_of_the_account() -> None:
    assert plan({"a": None}, roles=["tasks"])


def test_a_family_without_an_active_revision_is_gone() -> None:
    with bench(ID) as b:
        arn = broken(b)
        b.client("ecs").deregister_task_definition(taskDefinition=arn)

        assert b.remediate("ECS.5", arn)["outcome"] == "COMPLIANT"


def test_the_state_holds_no_environment() -> None:
    with bench(ID) as b:
        attempt = b.attempt("ECS.5", served(b), settings=MOVE)
        attempt.preview()

        assert CANARY not in json.dumps(attempt.journal)
