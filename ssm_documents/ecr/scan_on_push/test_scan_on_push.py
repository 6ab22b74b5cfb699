"""ECR.1: a repository is scanned on push, and where the registry decides, a person is told."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "ecr/scan_on_push"


def repository(b: Bench, name: str = "unscanned-for-ecr-1") -> str:
    return str(b.client("ecr").create_repository(repositoryName=name)["repository"]["repositoryArn"])


def nested(b: Bench) -> str:
    return repository(b, "team/unscanned-for-ecr-1/web.app")


def scanned(b: Bench, resource_id: str) -> bool:
    name = resource_id.split(":repository/")[1]
    found = b.client("ecr").batch_get_repository_scanning_configuration(repositoryNames=[name])
    return found["scanningConfigurations"][0]["scanFrequency"] in ("SCAN_ON_PUSH", "CONTINUOUS_SCAN")


def registry(b: Bench, type_: str, frequency: str, filter_: str) -> None:
    rule = {
        "scanFrequency": frequency,
        "repositoryFilters": [{"filter": filter_, "filterType": "WILDCARD"}],
    }
    b.client("ecr").put_registry_scanning_configuration(scanType=type_, rules=[rule])


CASES = [
    Case("ECR.1", "a repository that is not scanned", repository, scanned),
    Case("ECR.1", "a repository with slashes in its name", nested, scanned, region="eu-west-1"),
]


@pytest.mark.parametrize(("type_", "frequency"), [("BASIC", "SCAN_ON_PUSH"), ("ENHANCED", "CONTINUOUS_SCAN")])
def test_a_repository_that_the_registry_has_scanned_is_compliant(type_: str, frequency: str) -> None:
    with bench(ID) as b:
        arn = repository(b)
        registry(b, type_, frequency, "*")

        assert b.remediate("ECR.1", arn)["outcome"] == "COMPLIANT"


@pytest.mark.parametrize("type_", ["BASIC", "ENHANCED"])
def test_where_the_registrys_filters_leave_the_repository_out_a_person_is_told_and_nothing_is_written(
    type_: str,
) -> None:
    with bench(ID) as b:
        arn = repository(b)
        registry(b, type_, "SCAN_ON_PUSH", "another*")
        with b.watched() as calls:
            result = b.remediate("ECR.1", arn)

        assert result["outcome"] == "FAILED"
        assert "filter" in result["to_do"]
        assert not b.writes(calls)


def test_the_registrys_configuration_is_left_alone() -> None:
    with bench(ID) as b:
        arn = repository(b)
        before = b.client("ecr").get_registry_scanning_configuration()["scanningConfiguration"]

        assert b.remediate("ECR.1", arn)["outcome"] == "REMEDIATED"
        assert b.client("ecr").get_registry_scanning_configuration()["scanningConfiguration"] == before


def test_a_repository_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("ECR.1", b.arn("ecr", "repository/gone"))["outcome"] == "COMPLIANT"


def plan(frequency: str | None, type_: str = "BASIC", filters: bool = False, own: bool = False) -> list[dict[str, Any]]:
    state = {
        "config": {"scan_on_push": own},
        "facts": {"frequency": frequency, "type": type_, "filters": filters},
        "busy": None,
    }
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, {"resource": {"repository": "r"}})
    return made


@pytest.mark.parametrize(
    ("frequency", "calls"), [("MANUAL", 1), (None, 1), ("SCAN_ON_PUSH", 0), ("CONTINUOUS_SCAN", 0)]
)
def test_plan_goes_by_what_is_in_effect(frequency: str | None, calls: int) -> None:
    assert len(plan(frequency)) == calls


def test_a_setting_that_has_no_effect_yet_is_not_called_compliant() -> None:
    (one,) = plan("MANUAL", own=True)

    assert one["undo"][0]["parameters"]["imageScanningConfiguration"] == {"scanOnPush": True}


@pytest.mark.parametrize(("type_", "filters"), [("ENHANCED", False), ("ENHANCED", True), ("BASIC", True)])
def test_what_the_registry_decides_is_not_repaired_here(type_: str, filters: bool) -> None:
    with pytest.raises(CannotRepair, match="filter"):
        plan("MANUAL", type_, filters)
