"""The log group of a trail's events: made with a retention, completed where half made, never taken from another."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.loader import DOCUMENTS, load_auxiliary
from sharr.runtime.contract import CannotRepair
from sharr.scripts import load_script
from tests.harness import bench

FOLDER = DOCUMENTS / "auxiliary" / "trail_log_group"
HOME = "eu-west-1"
NAME = "/sharr/trail/audit"


def script() -> Any:
    return load_script(FOLDER / "script.py")


def target() -> dict[str, Any]:
    return {
        "partition": "aws",
        "account": "222222222222",
        "region": "us-east-1",
        "resource": {"home": HOME, "trail": "audit"},
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
    calls = script().make({"name": NAME, "home": HOME, "role": True, "group": group}, target())

    assert operations == [one["operation"] for one in calls], case
    assert all(one["kept"] and one["region"] == HOME for one in calls)


def test_a_log_group_without_our_tag_is_refused() -> None:
    with pytest.raises(CannotRepair, match="is not ours"):
        script().make({"name": NAME, "home": HOME, "role": True, "group": {"ours": False, "days": None}}, target())


def test_a_missing_delivery_role_is_said_first() -> None:
    with pytest.raises(CannotRepair, match="no role /sharr/sharr-trail-log-delivery") as caught:
        script().make({"name": NAME, "home": HOME, "role": False, "group": None}, target())

    assert "member-roles" in caught.value.to_do


@pytest.mark.parametrize(
    ("region", "name", "tags", "found"),
    [
        (HOME, NAME, {"sharr": "trail_log_group"}, {"ours": True, "days": None}),
        (HOME, NAME, {"team": "audit"}, {"ours": False, "days": None}),
        (HOME, f"{NAME}-more", {"sharr": "trail_log_group"}, None),
        ("us-east-1", NAME, {"sharr": "trail_log_group"}, None),  # of another Region's trail
    ],
)
def test_look_takes_the_group_of_exactly_that_name_and_region(
    region: str, name: str, tags: dict[str, str], found: Any
) -> None:
    with bench("cloudtrail/deliver_to_log_group") as b:
        b.client("logs", region).create_log_group(logGroupName=name, tags=tags)

        facts = script().look(Eyes(b), target())

        assert facts == {"name": NAME, "home": HOME, "role": False, "group": found}


@pytest.mark.parametrize(("path", "is_there"), [("/sharr/", True), ("/", False)])
def test_a_role_of_that_name_is_the_delivery_role_on_our_path_only(path: str, is_there: bool) -> None:
    with bench("cloudtrail/deliver_to_log_group") as b:
        trust = '{"Version": "2012-10-17", "Statement": []}'
        iam = b.client("iam", account=target()["account"])
        iam.create_role(RoleName="sharr-trail-log-delivery", Path=path, AssumeRolePolicyDocument=trust)

        assert script().look(Eyes(b), target())["role"] is is_there


def test_the_delivery_role_serves_trails_of_the_own_account_only() -> None:
    (role,) = load_auxiliary(FOLDER).roles.values()

    assert role["service"] == "cloudtrail.amazonaws.com"
    assert role["source_arn"] == "arn:{partition}:cloudtrail:*:{account}:trail/*"
    assert set(role["allow"]) == {"logs:CreateLogStream", "logs:PutLogEvents"}


class Eyes:
    """An administrator's clients, in the target's account."""

    def __init__(self, b: Any) -> None:
        self.b = b

    def client(self, service: str, region: str | None = None) -> Any:
        return self.b.client(service, region, target()["account"])
