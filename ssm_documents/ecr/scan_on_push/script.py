"""ECR.1: scan the images of a private repository when they are pushed."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the repository's own setting, and how it is scanned in effect: the registry's filters come before it.

    Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_RepositoryScanningConfiguration.html
    """
    ecr, name = aws.client("ecr"), target["resource"]["repository"]
    try:
        (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    except ecr.exceptions.RepositoryNotFoundException as error:
        raise ResourceGone(name) from error
    scanned = ecr.batch_get_repository_scanning_configuration(repositoryNames=[name])["scanningConfigurations"]
    registry = ecr.get_registry_scanning_configuration()["scanningConfiguration"]
    facts = {
        "frequency": scanned[0]["scanFrequency"] if scanned else None,
        "type": registry["scanType"],
        "filters": bool(registry.get("rules")),
    }
    own = repository.get("imageScanningConfiguration", {}).get("scanOnPush", False)
    return {"config": {"scan_on_push": own}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the call that has pushed images scanned; [] where they are, by whatever setting.

    The registry's scanning configuration is every repository's: it is never changed for the sake of one.
    Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning.html
    """
    facts = state["facts"]
    if facts["frequency"] in ("SCAN_ON_PUSH", "CONTINUOUS_SCAN"):
        return []
    add = "add a filter that takes it in to the scanning configuration of the private registry"
    if facts["type"] != "BASIC":
        raise CannotRepair("the registry uses enhanced scanning, and none of its filters takes this repository in", add)
    if facts["filters"]:
        raise CannotRepair("the registry scans by filters, and none of them takes this repository in", add)

    def put(value: bool, **more: Any) -> dict[str, Any]:
        parameters = {
            "repositoryName": target["resource"]["repository"],
            "imageScanningConfiguration": {"scanOnPush": value},
        }
        return call("ecr", "put_image_scanning_configuration", parameters, **more)

    return [put(True, undo=[put(state["config"]["scan_on_push"])])]
