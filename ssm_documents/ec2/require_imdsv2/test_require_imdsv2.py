"""EC2.8: which instances must use IMDSv2 from now on, that nobody who still needs IMDSv1 loses it, and the way back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "ec2/require_imdsv2"
Json = dict[str, Any]


def instance(b: Bench, **options: Any) -> str:
    """Start an instance; return its ARN."""
    asked = {"HttpTokens": "optional", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled", **options}
    made = b.client("ec2").run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, MetadataOptions=asked)
    return b.arn("ec2", f"instance/{made['Instances'][0]['InstanceId']}")


def optional(b: Bench) -> str:
    return instance(b)


def stopped(b: Bench) -> str:
    resource_id = instance(b)
    b.client("ec2").stop_instances(InstanceIds=[resource_id.split("/")[1]])
    return resource_id


def options(b: Bench, resource_id: str) -> Json:
    asked = [resource_id.split("/")[1]]
    found: Json = b.client("ec2").describe_instances(InstanceIds=asked)["Reservations"][0]["Instances"][0]
    shown: Json = found["MetadataOptions"]
    return shown


def passes(b: Bench, resource_id: str) -> bool:
    return bool(options(b, resource_id)["HttpTokens"] == "required")


def used_imdsv1(b: Bench, resource_id: str, times: float, days_ago: float) -> None:
    """Record what Amazon EC2 itself reports every five minutes."""
    b.client("cloudwatch").put_metric_data(
        Namespace="AWS/EC2",
        MetricData=[
            {
                "MetricName": "MetadataNoToken",
                "Dimensions": [{"Name": "InstanceId", "Value": resource_id.split("/")[1]}],
                "Timestamp": b.world.clock.now() - timedelta(days=days_ago),
                "Value": times,
            }
        ],
    )


CASES = [
    Case("EC2.8", "a running instance", optional, passes),
    Case("EC2.8", "a stopped instance, and a wider hop limit", stopped, passes, settings={"hopLimit": "2"}),
]

STATE: Json = {
    "config": {"tokens": "optional", "hop_limit": 1},
    "facts": {"endpoint": "enabled", "uses": 0},
    "busy": None,
}
INSTANCE = "i-0123456789abcdef0"


def plan(facts: Json | None = None, **parameters: Any) -> list[Json]:
    target = {"resource": {"instance_id": INSTANCE}, "parameters": {"quietDays": 7, "hopLimit": None, **parameters}}
    made: list[Json] = code_of(remediation_of(ID)).plan({**STATE, "facts": STATE["facts"] | (facts or {})}, target)
    return made


@pytest.mark.parametrize(
    ("case", "facts", "parameters", "changes", "back"),
    [
        ("tokens alone", {}, {}, {"HttpTokens": "required"}, {"HttpTokens": "optional"}),
        (
            "an endpoint that is off",
            {"endpoint": "disabled"},
            {},
            {"HttpTokens": "required"},
            {"HttpTokens": "optional"},
        ),
        (
            "a host of containers",
            {},
            {"hopLimit": 2},
            {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
            {"HttpTokens": "optional", "HttpPutResponseHopLimit": 1},
        ),
        ("a limit that is as wide", {}, {"hopLimit": 1}, {"HttpTokens": "required"}, {"HttpTokens": "optional"}),
    ],
)
def test_the_plan_names_what_it_changes_and_never_the_endpoint(
    case: str, facts: Json, parameters: Json, changes: Json, back: Json
) -> None:
    """ASR turned the endpoint on."""
    (one,) = plan(facts, **parameters)

    assert one["parameters"] == {"InstanceId": INSTANCE, **changes}, case
    assert one["undo"][0]["parameters"] == {"InstanceId": INSTANCE, **back}, case


def test_an_instance_on_which_imdsv1_is_used_is_left_to_a_person() -> None:
    with pytest.raises(CannotRepair, match="used 12 times in the last 7 days") as caught:
        plan({"uses": 12})

    assert "quietDays" in caught.value.to_do


@pytest.mark.parametrize(("days_ago", "outcome"), [(0.1, "FAILED"), (6.5, "FAILED"), (8, "REMEDIATED")])
def test_recent_use_of_imdsv1_stops_the_repair_and_old_use_does_not(days_ago: float, outcome: str) -> None:
    with bench(ID) as b:
        resource_id = optional(b)
        used_imdsv1(b, resource_id, 3, days_ago)
        with b.watched() as calls:
            result = b.attempt("EC2.8", resource_id).finish()

        assert result["outcome"] == outcome
        assert bool(b.writes(calls)) == (outcome == "REMEDIATED")


def test_the_use_is_not_looked_at_where_the_user_said_so() -> None:
    with bench(ID) as b:
        resource_id = optional(b)
        used_imdsv1(b, resource_id, 3, 0.1)
        with b.watched() as calls:
            result = b.attempt("EC2.8", resource_id, settings={"quietDays": "0"}).finish()

        assert result["outcome"] == "REMEDIATED"
        assert "GetMetricStatistics" not in [c.operation for c in calls]


def test_a_wider_hop_limit_of_the_owners_is_not_lowered() -> None:
    with bench(ID) as b:
        resource_id = instance(b, HttpPutResponseHopLimit=3)

        assert b.attempt("EC2.8", resource_id, settings={"hopLimit": "2"}).finish()["outcome"] == "REMEDIATED"
        assert options(b, resource_id)["HttpPutResponseHopLimit"] == 3


def test_an_endpoint_that_its_owner_turned_off_stays_off_through_repair_and_undo() -> None:
    with bench(ID) as b:
        resource_id = instance(b, HttpEndpoint="disabled", HttpPutResponseHopLimit=3)
        before = options(b, resource_id)
        attempt = b.attempt("EC2.8", resource_id)

        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert options(b, resource_id) == before | {"HttpTokens": "required"}
        assert attempt.undo()["outcome"] == "UNDONE"
        assert options(b, resource_id) == before


@pytest.mark.parametrize("terminated", [True, False])
def test_an_instance_that_is_gone_is_compliant(terminated: bool) -> None:
    with bench(ID) as b:
        resource_id = b.arn("ec2", "instance/i-00000000000000000")
        if terminated:
            resource_id = optional(b)
            b.client("ec2").terminate_instances(InstanceIds=[resource_id.split("/")[1]])

        assert b.remediate("EC2.8", resource_id)["outcome"] == "COMPLIANT"
