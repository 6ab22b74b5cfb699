"""The role of Enhanced Monitoring: looked for, never made, and good for the account's own instances only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.loader import DOCUMENTS, load_auxiliary
from sharr.runtime.contract import CannotRepair
from sharr.scripts import load_script
from tests.harness import bench

FOLDER = DOCUMENTS / "auxiliary" / "rds_monitoring"
ROLE = "sharr-rds-monitoring"


def script() -> Any:
    return load_script(FOLDER / "script.py")


@pytest.mark.parametrize(("path", "there"), [(None, False), ("/sharr/", True), ("/", False)])
def test_look_tells_whether_the_role_is_there(path: str | None, there: bool) -> None:
    with bench("rds/monitor_instance") as b:
        if path:
            document = json.dumps({"Version": "2012-10-17", "Statement": []})
            b.client("iam").create_role(RoleName=ROLE, Path=path, AssumeRolePolicyDocument=document)

        assert script().look(b, {}) == {"role": there}


def test_nothing_is_made_where_the_role_is_there() -> None:
    assert script().make({"role": True}, {}) == []


def test_a_missing_role_is_told_with_the_stack_that_makes_it() -> None:
    with pytest.raises(CannotRepair, match=f"no role /sharr/{ROLE}") as caught:
        script().make({"role": False}, {})

    assert "member-roles" in caught.value.to_do


def test_the_role_serves_enhanced_monitoring_of_the_own_account_only() -> None:
    (role,) = load_auxiliary(FOLDER).roles.values()

    assert role["service"] == "monitoring.rds.amazonaws.com"
    assert role["source_arn"] == "arn:{partition}:rds:*:{account}:db:*"
    assert all(":log-group:RDSOSMetrics:" in on for on in role["allow"].values())
