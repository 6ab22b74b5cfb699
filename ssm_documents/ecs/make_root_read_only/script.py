"""
ECS.5: register the latest revision of a task definition anew, with read-only root file systems and all else as it is.

A task definition's environment may hold secrets, so the write takes it from a late read. A repair moves services only
where the user's `updateServices` is set, and only from a revision that differs in nothing else.
"""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call, ref

# What DescribeTaskDefinition adds of its own; everything else is given back to RegisterTaskDefinition.
ADDED = {
    "taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt", "registeredBy",
    "deregisteredAt", "deleteRequestedAt",
}  # fmt: skip
READ_ONLY = 'taskDefinition.containerDefinitions[*].merge(@, `{"readonlyRootFilesystem": true}`)'


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the latest active revision, whichever the finding names: the control evaluates no other.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskDefinition.html
    """
    ecs, family = aws.client("ecs"), target["resource"]["family"]
    try:
        answer = ecs.describe_task_definition(taskDefinition=family, include=["TAGS"])
    except ecs.exceptions.ClientException as error:
        if "Unable to describe" not in str(error):
            raise
        raise ResourceGone(family) from error
    latest = answer["taskDefinition"]
    roles = {name: latest.get(name) or "" for name in ("taskRoleArn", "executionRoleArn")}
    facts = {
        "arn": latest["taskDefinitionArn"],
        "next": 1 + max(latest["revision"], *(newest(ecs, family, s) for s in ("INACTIVE", "DELETE_IN_PROGRESS"))),
        "given": sorted(k for k in latest.keys() - ADDED - {"family", "containerDefinitions"} if latest[k]),
        "tagged": any(not tag["key"].startswith("aws:") for tag in answer.get("tags", [])),
        "windows": latest.get("runtimePlatform", {}).get("operatingSystemFamily", "").startswith("WINDOWS"),
        "roles": sorted(filter(None, roles.values())),
        # What the session's policy lets be passed; one role is named twice where there is no other.
        "task_role": role_of(roles["taskRoleArn"] or roles["executionRoleArn"]),
        "execution_role": role_of(roles["executionRoleArn"] or roles["taskRoleArn"]),
    }
    services = running(ecs, latest) if target["parameters"]["updateServices"] else []
    facts["clusters"] = {s["serviceArn"]: s["clusterArn"] for s in services}
    failed = {s["serviceName"] for s in services if rolled_back(ecs, s, latest)}
    deployed = set()
    for service, one in ((s["serviceName"], d) for s in services for d in s["deployments"]):
        if one["taskDefinition"] == facts["arn"] and fails(one):
            failed.add(service)  # not busy: without a circuit breaker it would be for ever, and block an undo
        elif one.get("rolloutState") == "IN_PROGRESS":
            deployed.add(service)
    facts["failed"] = sorted(failed)
    config = {
        "revision": latest["revision"],
        "containers": {c["name"]: c.get("readonlyRootFilesystem") for c in latest["containerDefinitions"]},
        "services": {s["serviceArn"]: s["taskDefinition"] for s in services},
    }
    return {
        "config": config,
        "facts": facts,
        "busy": f"a deployment of {min(deployed)} is under way" if deployed else None,
    }


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that register the revision and move the services; [] where both are done."""
    config, facts, family = state["config"], state["facts"], target["resource"]["family"]
    writable = sorted(name for name, read_only in config["containers"].items() if read_only is not True)
    behind = {s: arn for s, arn in sorted(config["services"].items()) if writable or arn != facts["arn"]}
    if facts["failed"] and writable:
        raise CannotRepair(
            f"tasks of {facts['failed'][0]} do not start as it is", "mend it first, or unset updateServices"
        )
    if facts["failed"]:
        why = f"tasks of {facts['failed'][0]} do not start with a read-only root file system"
        raise CannotRepair(why, "give its containers a volume where they write, or undo the repair")
    calls, current = [], facts["arn"]
    if writable:
        if facts["windows"]:
            raise CannotRepair("Windows containers cannot have a read-only root file system", "suppress the finding")
        own = f"arn:{target['partition']}:iam::{target['account']}:role/"
        foreign = [arn for arn in facts["roles"] if arn.startswith("arn:") and not arn.startswith(own)]
        if foreign:
            raise CannotRepair(f"the task definition's role {foreign[0]} is of another account", "repair it by hand")
        place = f"arn:{target['partition']}:ecs:{target['region']}:{target['account']}:task-definition"
        # Where the answer is lost, the number that the revision must have got is what an undo goes by.
        current = ref("new", f"taskDefinition.taskDefinitionArn || '{place}/{family}:{facts['next']}'")
        old = {"taskDefinition": facts["arn"], "include": ["TAGS"]}
        new = {"family": family, "containerDefinitions": ref("old", READ_ONLY)}
        new |= {name: ref("old", f"taskDefinition.{name}") for name in facts["given"]}
        if facts["tagged"]:
            new["tags"] = ref("old", "tags[?!starts_with(key, 'aws:')]")
        gone = ["ClientException", "InvalidParameterException"]
        undo = call("ecs", "deregister_task_definition", {"taskDefinition": current}, fine=gone, leaf=["revision"])
        calls = [
            call("ecs", "describe_task_definition", old, name="old", secret=True),
            call("ecs", "register_task_definition", new, name="new", undo=[undo]),
        ]
    for service, before in behind.items():
        which = {"cluster": facts["clusters"][service], "service": service}
        undo = call("ecs", "update_service", which | {"taskDefinition": before}, leaf=["services", service])
        calls.append(call("ecs", "update_service", which | {"taskDefinition": current}, undo=[undo]))
    return calls


def newest(ecs: Any, family: str, status: str) -> int:
    """The highest number among the family's revisions of that status, 0 where there is none: numbers are not reused."""
    found = ecs.list_task_definitions(familyPrefix=family, status=status, sort="DESC", maxResults=1)[
        "taskDefinitionArns"
    ]
    return int(found[0].rpartition(":")[2]) if found else 0


def running(ecs: Any, latest: dict[str, Any]) -> list[dict[str, Any]]:
    """The services that ECS itself deploys and that run *latest*, or a revision that differs in read-only alone."""
    same: dict[str, bool] = {}
    found = []
    family = latest["taskDefinitionArn"].rpartition(":")[0]
    for clusters in ecs.get_paginator("list_clusters").paginate():
        for cluster in clusters["clusterArns"]:
            pages = ecs.get_paginator("list_services").paginate(cluster=cluster)
            arns = [arn for page in pages for arn in page["serviceArns"]]
            for start in range(0, len(arns), 10):  # ten services a call
                answer = ecs.describe_services(cluster=cluster, services=arns[start : start + 10])
                found += [s for s in answer["services"] if s["status"] == "ACTIVE"]
    kept = []
    for service in found:
        arn, by = service.get("taskDefinition") or "", service.get("deploymentController", {}).get("type", "ECS")
        if by == "ECS" and arn.rpartition(":")[0] == family:
            if arn not in same:
                same[arn] = without_read_only(
                    ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
                ) == without_read_only(latest)
            kept += [service] if same[arn] else []
    return kept


def fails(deployment: dict[str, Any]) -> bool:
    """
    Whether a deployment failed, or goes on in vain: a circuit breaker gives up after three tasks at the earliest.

    Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeploymentCircuitBreaker.html
    """
    state = deployment.get("rolloutState")
    return state == "FAILED" or (state == "IN_PROGRESS" and deployment.get("failedTasks", 0) >= 3)


def rolled_back(ecs: Any, service: dict[str, Any], latest: dict[str, Any]) -> bool:
    """Whether a service that does not run *latest* was rolled back since: then it is not deployed again and again."""
    if service["taskDefinition"] == latest["taskDefinitionArn"]:
        return False
    answer = ecs.list_service_deployments(
        cluster=service["clusterArn"],
        service=service["serviceArn"],
        createdAt={"after": latest["registeredAt"]},
        status=["ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"],
    )
    return bool(answer["serviceDeployments"])


def without_read_only(definition: dict[str, Any]) -> dict[str, Any]:
    """A task definition without its number, and whether root file systems are read-only."""
    kept = {key: value for key, value in definition.items() if key not in ADDED}
    containers = definition["containerDefinitions"]
    kept["containerDefinitions"] = [{k: v for k, v in c.items() if k != "readonlyRootFilesystem"} for c in containers]
    return kept


def role_of(arn: str) -> str:
    """Path and name of a role, given by ARN or name; a policy wants one even where the task definition has none."""
    return arn.partition(":role/")[2] or arn or "none"
