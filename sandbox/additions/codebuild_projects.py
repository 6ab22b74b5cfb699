"""CodeBuild: projects can be updated, and say what moto leaves out of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from moto.codebuild.models import codebuild_backends
from moto.codebuild.responses import CodeBuildResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

_VARIABLE_TYPES = ("PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER")
_ENVIRONMENT_NEEDS = ("type", "image", "computeType")


def install(world: World, patches: Patches) -> None:
    """Add UpdateProject, on *world*'s clock, and have BatchGetProjects tell each variable's type."""

    def update(request: Request) -> Mapping[str, Any]:
        """
        Replace what is given, whole; what is not given stays.

        Source: https://docs.aws.amazon.com/codebuild/latest/APIReference/API_UpdateProject.html
        """
        asked = dict(request.parameters)
        project = codebuild_backends[request.account][request.region].codebuild_projects.get(asked.pop("name"))
        if project is None:
            raise Refused("ResourceNotFoundException", f"Project cannot be found: {request.parameters['name']}")
        _check_environment(asked.get("environment"))
        badge = asked.pop("badgeEnabled", None)
        if badge is not None:
            project.project_metadata["badge"] = {"badgeEnabled": badge}
        project.project_metadata.update(copy.deepcopy(asked))
        project.project_metadata["lastModified"] = world.clock.now().timestamp()
        return {"project": _told(project)}

    patches.answer(CodeBuildResponse, "UpdateProject", update)
    patches.answer(CodeBuildResponse, "BatchGetProjects", _batch_get)


def _batch_get(request: Request) -> Mapping[str, Any]:
    """Source: https://docs.aws.amazon.com/codebuild/latest/APIReference/API_BatchGetProjects.html"""
    projects = codebuild_backends[request.account][request.region].codebuild_projects
    by_name = projects | {project.arn: project for project in projects.values()}
    names = request.parameters["names"]
    if not 1 <= len(names) <= 100:
        raise Refused("InvalidInputException", "names must have 1 to 100 items")
    return {
        "projects": [_told(by_name[name]) for name in names if name in by_name],
        "projectsNotFound": [name for name in names if name not in by_name],
    }


def _told(project: Any) -> dict[str, Any]:
    """A variable without a type is PLAINTEXT, and CodeBuild says so. Source: API_EnvironmentVariable.html"""
    told: dict[str, Any] = copy.deepcopy(project.project_metadata)
    told.setdefault("lastModified", told.pop("lastModifiedDate", told["created"]))
    for variable in told["environment"].setdefault("environmentVariables", []):
        variable.setdefault("type", "PLAINTEXT")
    return told


def _check_environment(environment: Mapping[str, Any] | None) -> None:
    if environment is None:
        return
    for name in _ENVIRONMENT_NEEDS:
        if name not in environment:
            raise Refused("InvalidInputException", f"environment {name} is required")
    names = [variable["name"] for variable in environment.get("environmentVariables", ())]
    if len(names) != len(set(names)):
        raise Refused("InvalidInputException", "environment variable names must be unique")
    for variable in environment.get("environmentVariables", ()):
        if variable.get("type", "PLAINTEXT") not in _VARIABLE_TYPES:
            raise Refused("InvalidInputException", f"environment variable type {variable['type']} is not valid")
