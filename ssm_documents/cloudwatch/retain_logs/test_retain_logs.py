"""CloudWatch.16: which retention is too short, what it becomes, and which names of log groups are understood."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharr.remediation import BadParameter
from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from sharr.targets import NotATarget
from tests.harness import Bench, Case, bench, remediation_of

ID = "cloudwatch/retain_logs"


def group(b: Bench, name: str, days: int | None, **more: Any) -> str:
    logs = b.client("logs")
    logs.create_log_group(logGroupName=name, **more)
    if days:
        logs.put_retention_policy(logGroupName=name, retentionInDays=days)
    return b.arn("logs", f"log-group:{name}")


def days_of(b: Bench, resource_id: str) -> int | None:
    name = resource_id.split(":log-group:")[1].removesuffix(":*")
    groups = b.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    found: int | None = next(one for one in groups if one["logGroupName"] == name).get("retentionInDays")
    return found


def two_weeks(b: Bench) -> str:
    return group(b, "/app/for-cloudwatch.16", 14) + ":*"


def a_year(b: Bench) -> str:
    return group(b, "for-cloudwatch-16", 365)


CASES = [
    Case("CloudWatch.16", "events kept for two weeks", two_weeks, lambda b, r: (days_of(b, r) or 0) >= 365),
    Case(
        "CloudWatch.16",
        "a year where the finding asks for more",
        a_year,
        lambda b, r: (days_of(b, r) or 0) >= 500,
        parameters={"minRetentionTime": ["500"]},
    ),
]


def plan(days: int | None, least: int = 365, group_class: str = "STANDARD") -> list[dict[str, Any]]:
    state = {"config": {"days": days}, "facts": {"class": group_class}, "busy": None}
    target = {"resource": {"log_group": "g"}, "parameters": {"minRetentionTime": least}}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize(
    ("days", "least", "becomes"),
    [
        (364, 365, 365),
        (1, 100, 120),  # 100 days are not offered
        (180, 366, 400),
        (400, 1000, 1096),
        (14, 3653, 3653),
        (365, 365, None),
        (3653, 365, None),
        (None, 3653, None),  # never expires
    ],
)
def test_the_next_number_of_days_that_is_offered(days: int | None, least: int, becomes: int | None) -> None:
    calls = plan(days, least)

    assert [one["parameters"]["retentionInDays"] for one in calls] == ([becomes] if becomes else [])


@given(st.one_of(st.none(), st.integers(1, 3653)), st.integers(1, 3653))
def test_a_retention_is_never_shortened_and_always_enough(days: int | None, least: int) -> None:
    calls = plan(days, least)

    assert bool(calls) == (days is not None and days < least)
    for one in calls:
        assert one["parameters"]["retentionInDays"] >= least
        assert one["undo"][0]["parameters"]["retentionInDays"] == days


def test_a_log_group_of_the_delivery_class_is_left_to_a_person() -> None:
    with pytest.raises(CannotRepair, match="class DELIVERY"):
        plan(2, group_class="DELIVERY")


@pytest.mark.parametrize("ending", ["", ":*"])
@pytest.mark.parametrize("name", ["/aws/lambda/f", "a.b", "x" * 512, "a_b-c/D9", "#a"])
def test_both_forms_of_the_arn_give_the_name(name: str, ending: str) -> None:
    with bench(ID) as b:
        found = b.target("CloudWatch.16", b.arn("logs", f"log-group:{name}{ending}"))

        assert found["resource"]["log_group"] == name


@pytest.mark.parametrize("name", ["a:b", "a*", "a:*:*", "", "x" * 513, "a\n"])
def test_what_is_no_log_group_is_no_target(name: str) -> None:
    with bench(ID) as b, pytest.raises(NotATarget):
        b.target("CloudWatch.16", b.arn("logs", f"log-group:{name}"))


def test_a_log_group_that_is_gone_is_compliant_though_a_longer_name_is_there() -> None:
    with bench(ID) as b:
        group(b, "web-access", 14)

        result = b.remediate("CloudWatch.16", b.arn("logs", "log-group:web"))

        assert result["outcome"] == "COMPLIANT"
        assert days_of(b, b.arn("logs", "log-group:web-access")) == 14


def test_a_log_group_behind_many_of_the_same_beginning_is_found() -> None:
    with bench(ID) as b:
        arn = group(b, "web", 14)
        for number in range(60):
            group(b, f"web{number}", 14)

        assert b.remediate("CloudWatch.16", arn)["outcome"] == "REMEDIATED"
        assert (days_of(b, arn), days_of(b, b.arn("logs", "log-group:web0"))) == (365, 14)


@pytest.mark.parametrize("given_days", ["0", "3654", "a year"])
def test_a_minimum_that_no_retention_can_meet_is_refused(given_days: str) -> None:
    with bench(ID) as b, pytest.raises(BadParameter):
        b.target("CloudWatch.16", b.arn("logs", "log-group:g"), {"minRetentionTime": [given_days]})
