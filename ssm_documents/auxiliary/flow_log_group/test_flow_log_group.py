"""The log group of a VPC's flow logs: made with a retention, completed where half made, never taken from another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.loader import DOCUMENTS, load_auxiliary
from sharr.runtime.contract import CannotRepair
from sharr.scripts import load_script
from tests.harness import bench

FOLDER = DOCUMENTS / "auxiliary" / "flow_log_group"
ROLE = "sharr-flow-log-delivery"
VPC = "vpc-0123456789abcdef0"
NAME = f"/sharr/vpc/{VPC}"


def script() -> Any:
    return load_script(FOLDER / "script.py")


def target() -> dict[str, Any]:
    return {
        "partition": "aws",
        "account": "222222222222",
        "region": "us-east-1",
        "resource": {"vpc_id": VPC},
        "parameters": {"retentionDays": "365"},
    }


@pytest.mark.parametrize(
    ("case", "group", "operations"),
    [
        ("absent", None, ["create_log_group", "put_retention_policy"]),
        ("half made", {"ours": True, "days": None}, ["put_retention_policy"]),
        ("complete", {"ours": True, "days": 365}, []),
        ("with a retention that somebody chose", {"ours": True, "days": 30}, []),
    ],
)
def test_make(case: str, group: dict[str, Any] | None, operations: list[str]) -> None:
    calls = script().make({"name": NAME, "role": True, "group": group}, target())

    assert operations == [one["operation"] for one in calls], case
    assert all(one["kept"] for one in calls)


def test_a_log_group_without_our_tag_is_refused() -> None:
    with pytest.raises(CannotRepair, match="is not ours"):
        script().make({"name": NAME, "role": True, "group": {"ours": False, "days": None}}, target())


def test_a_missing_delivery_role_is_said_first() -> None:
    with pytest.raises(CannotRepair, match="no role /sharr/sharr-flow-log-delivery") as caught:
        script().make({"name": NAME, "role": False, "group": None}, target())

    assert "member-roles" in caught.value.to_do


@pytest.mark.parametrize(
    ("name", "tags", "found"),
    [
        (NAME, {"sharr": "flow_log_group"}, {"ours": True, "days": None}),
        (NAME, {"team": "network"}, {"ours": False, "days": None}),
        (f"{NAME}-more", {"sharr": "flow_log_group"}, None),
    ],
)
def test_look_takes_the_group_of_exactly_that_name(name: str, tags: dict[str, str], found: Any) -> None:
    with bench("ec2/log_vpc_traffic") as b:
        b.client("logs").create_log_group(logGroupName=name, tags=tags)

        facts = script().look(b, target())

        assert facts == {"name": NAME, "role": False, "group": found}


@pytest.mark.parametrize(("path", "there"), [("/sharr/", True), ("/", False)])
def test_a_role_under_another_path_is_not_ours(path: str, there: bool) -> None:
    with bench("ec2/log_vpc_traffic") as b:
        document = json.dumps({"Version": "2012-10-17", "Statement": []})
        b.client("iam").create_role(RoleName=ROLE, Path=path, AssumeRolePolicyDocument=document)

        assert script().look(b, target())["role"] is there


def test_a_person_is_told_that_our_role_is_missing_and_not_that_a_read_was_denied() -> None:
    """With the remediation's own role: IAM judges a role that does not exist by its name without a path."""
    with bench("ec2/log_vpc_traffic") as b:
        vpc = b.client("ec2").create_vpc(CidrBlock="10.6.0.0/16")["Vpc"]["VpcId"]

        with b.watched() as calls:
            result = b.remediate("EC2.6", b.arn("ec2", f"vpc/{vpc}"))

    assert (result["outcome"], result["why"]) == ("FAILED", f"the account has no role /sharr/{ROLE}")
    assert result["to_do"] == "deploy the member-roles stack in this account"
    assert not b.writes(calls)


def test_the_delivery_role_serves_flow_logs_of_the_own_account_only() -> None:
    (role,) = load_auxiliary(FOLDER).roles.values()

    assert role["service"] == "vpc-flow-logs.amazonaws.com"
    assert role["source_arn"] == "arn:{partition}:ec2:*:{account}:vpc-flow-log/*"
    assert set(role["allow"]) >= {"logs:CreateLogStream", "logs:PutLogEvents"}
    # a group that somebody deleted must not come back by itself, without its retention
    assert "logs:CreateLogGroup" not in role["allow"]
