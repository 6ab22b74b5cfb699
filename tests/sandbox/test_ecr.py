"""Amazon ECR in the sandbox: how a repository is scanned in effect."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.fakes import a_world

PAYMENTS = "222222222222"


@pytest.mark.parametrize(
    ("own", "type_", "filter_", "frequency"),
    [
        (False, "BASIC", None, "MANUAL"),
        (True, "BASIC", None, "SCAN_ON_PUSH"),
        (True, "BASIC", "other*", "MANUAL"),
        (False, "BASIC", "app*", "SCAN_ON_PUSH"),
        (True, "ENHANCED", None, "MANUAL"),
        (False, "ENHANCED", "app*", "SCAN_ON_PUSH"),
    ],
)
def test_filters_of_the_registry_decide_where_there_are_any(
    own: bool, type_: str, filter_: str | None, frequency: str
) -> None:
    """https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning.html"""
    with a_world() as world:
        ecr = world.identity.client("ecr", PAYMENTS, "eu-west-1")
        ecr.create_repository(repositoryName="app/web")
        ecr.put_image_scanning_configuration(repositoryName="app/web", imageScanningConfiguration={"scanOnPush": own})
        filters: list[Any] = [{"filter": filter_, "filterType": "WILDCARD"}]
        rules = [{"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": filters}] if filter_ else []
        ecr.put_registry_scanning_configuration(scanType=type_, rules=rules)

        answer = ecr.batch_get_repository_scanning_configuration(repositoryNames=["app/web", "gone"])

    assert [c["scanFrequency"] for c in answer["scanningConfigurations"]] == [frequency]
    assert [f["repositoryName"] for f in answer["failures"]] == ["gone"]
