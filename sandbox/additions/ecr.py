"""
Amazon ECR: how a repository is scanned in effect.

moto answers with what the registry's filters say, and forgets the repository's own setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.ecr.models import ecr_backends
from moto.ecr.responses import ECRResponse

from sandbox.additions.wire import Patches, Request
from sandbox.ports import World


def install(_world: World, patches: Patches) -> None:
    """Have BatchGetRepositoryScanningConfiguration tell what is in effect."""
    patches.answer(ECRResponse, "BatchGetRepositoryScanningConfiguration", _scanning)


def _scanning(request: Request) -> Mapping[str, Any]:
    """
    Where the registry has filters, they alone decide; without any, basic scanning follows the repository's own setting.

    Source: https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning.html (Using filters) and
    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetRepositoryScanningConfiguration.html
    """
    backend = ecr_backends[request.account][request.region]
    registry = backend.registry_scanning_configuration
    found, failures = [], []
    for name in request.parameters["repositoryNames"]:
        repository = backend.repositories.get(name)
        if repository is None:
            failures.append({"repositoryName": name, "failureCode": "REPOSITORY_NOT_FOUND"})
            continue
        config = dict(repository.scanning_config)
        setting: Any = repository.image_scanning_configuration
        own = bool(setting.get("scanOnPush"))
        if own and registry["scanType"] == "BASIC" and not registry["rules"]:
            config["scanFrequency"] = "SCAN_ON_PUSH"
        config["scanOnPush"] = config["scanFrequency"] == "SCAN_ON_PUSH"
        found.append(config)
    return {"scanningConfigurations": found, "failures": failures}
