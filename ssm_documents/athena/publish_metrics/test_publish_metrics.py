"""Athena.4: the metrics go on, everything else of the workgroup stays, and an undo turns them off again."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "athena/publish_metrics"
NAME = "reports-for-athena-4"


def silent(b: Bench) -> str:
    configuration = {"ResultConfiguration": {"OutputLocation": "s3://results/"}, "EnforceWorkGroupConfiguration": True}
    b.client("athena").create_work_group(Name=NAME, Configuration=configuration, Description="monthly reports")
    return b.arn("athena", f"workgroup/{NAME}")


def publishes(b: Bench, resource_id: str) -> bool:
    group = b.client("athena").get_work_group(WorkGroup=resource_id.rsplit("/", 1)[1])["WorkGroup"]
    return group["Configuration"]["PublishCloudWatchMetricsEnabled"] is True


CASES = [Case("Athena.4", "a workgroup without metrics", silent, publishes)]
TARGET: dict[str, Any] = {"resource": {"work_group": "w"}, "parameters": {}, "control": "Athena.4"}


@pytest.mark.parametrize(("on", "operations"), [(True, []), (False, ["update_work_group"])])
def test_plan(on: bool, operations: list[str]) -> None:
    state = {"config": {"publishes": on}, "facts": {}, "busy": None}

    made = code_of(remediation_of(ID)).plan(state, TARGET)

    assert operations == [one["operation"] for one in made]


def test_everything_else_of_the_workgroup_stays() -> None:
    with bench(ID) as b:
        resource_id = silent(b)
        before = b.client("athena").get_work_group(WorkGroup=NAME)["WorkGroup"]

        b.remediate("Athena.4", resource_id)

        after = b.client("athena").get_work_group(WorkGroup=NAME)["WorkGroup"]
    assert after["Configuration"] == before["Configuration"] | {"PublishCloudWatchMetricsEnabled": True}
    assert (after["Description"], after["State"]) == ("monthly reports", before["State"])


def test_a_workgroup_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("Athena.4", b.arn("athena", "workgroup/nobody"))["outcome"] == "COMPLIANT"
