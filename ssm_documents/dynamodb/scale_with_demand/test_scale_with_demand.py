"""DynamoDB.1: capacity follows demand, by request or by auto scaling, and no table gets less than it has."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "dynamodb/scale_with_demand"
NAME = "fixed-for-dynamodb-1"
AUTO = {"scaling": "auto-scaling"}


def fixed(b: Bench, name: str = NAME, index: bool = False, **more: Any) -> str:
    attributes = ["id", "city"] if index else ["id"]
    if index:
        more["GlobalSecondaryIndexes"] = [
            {
                "IndexName": "by.city",
                "KeySchema": [{"AttributeName": "city", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": {"ReadCapacityUnits": 40, "WriteCapacityUnits": 30},
            }
        ]
    made = b.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": a, "AttributeType": "S"} for a in attributes],
        **({"ProvisionedThroughput": {"ReadCapacityUnits": 200, "WriteCapacityUnits": 100}} | more),
    )
    return str(made["TableDescription"]["TableArn"])


def indexed(b: Bench) -> str:
    return fixed(b, "indexed-for-dynamodb-1", index=True)


def half_scaled(b: Bench) -> str:
    """Reads scale, with limits and a policy of the owner's; writes have limits and no policy."""
    arn = fixed(b, "half-scaled-for-dynamodb-1")
    register(b, "half-scaled-for-dynamodb-1", "Read", 100, 300)
    policy(b, "half-scaled-for-dynamodb-1", "Read", "owners", 55)
    register(b, "half-scaled-for-dynamodb-1", "Write", 50, 900)
    return arn


def unlike_wanted(b: Bench) -> str:
    """Both scale, but not as the organization wants it."""
    arn = fixed(b, "unlike-for-dynamodb-1")
    for kind in ("Read", "Write"):
        register(b, "unlike-for-dynamodb-1", kind, 2, 300)
        policy(b, "unlike-for-dynamodb-1", kind, "owners", 55)
    return arn


def register(b: Bench, table: str, kind: str, low: int, high: int) -> None:
    b.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="dynamodb",
        ResourceId=f"table/{table}",
        ScalableDimension=f"dynamodb:table:{kind}CapacityUnits",
        MinCapacity=low,
        MaxCapacity=high,
    )


def policy(b: Bench, table: str, kind: str, name: str, percent: int) -> None:
    b.client("application-autoscaling").put_scaling_policy(
        ServiceNamespace="dynamodb",
        ResourceId=f"table/{table}",
        ScalableDimension=f"dynamodb:table:{kind}CapacityUnits",
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": percent,
            "ScaleInCooldown": 17,
            "PredefinedMetricSpecification": {"PredefinedMetricType": f"DynamoDB{kind}CapacityUtilization"},
        },
    )


def described(b: Bench, resource_id: str) -> dict[str, Any]:
    return dict(b.client("dynamodb").describe_table(TableName=resource_id.rsplit("/", 1)[1])["Table"])


def units(b: Bench, resource_id: str) -> list[tuple[int, int]]:
    table = described(b, resource_id)
    every = [table, *table.get("GlobalSecondaryIndexes", [])]
    return [(t["ReadCapacityUnits"], t["WriteCapacityUnits"]) for t in (e["ProvisionedThroughput"] for e in every)]


def targets(b: Bench) -> dict[tuple[str, str], tuple[int, int]]:
    found = b.client("application-autoscaling").describe_scalable_targets(ServiceNamespace="dynamodb")
    return {
        (t["ResourceId"], t["ScalableDimension"].split(":")[2]): (t["MinCapacity"], t["MaxCapacity"])
        for t in found["ScalableTargets"]
    }


def policies(b: Bench) -> dict[tuple[str, str, str], float]:
    found = b.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="dynamodb")
    return {
        (p["ResourceId"], p["ScalableDimension"].split(":")[2], p["PolicyName"]): p[
            "TargetTrackingScalingPolicyConfiguration"
        ]["TargetValue"]
        for p in found["ScalingPolicies"]
    }


def follows_demand(b: Bench, resource_id: str) -> bool:
    table = described(b, resource_id)
    if table.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST":
        return True
    name = table["TableName"]
    parts = [
        f"table/{name}",
        *(f"table/{name}/index/{i['IndexName']}" for i in table.get("GlobalSecondaryIndexes", [])),
    ]
    wanted = {(part, f"{kind}CapacityUnits") for part in parts for kind in ("Read", "Write")}
    return wanted <= targets(b).keys() and wanted <= {key[:2] for key in policies(b)}


def as_wanted(b: Bench, resource_id: str) -> bool:
    return set(policies(b).values()) == {60} and all(low >= 5 for low, _ in targets(b).values())


CUSTOM = {
    "minProvisionedReadCapacity": ["5"],
    "minProvisionedWriteCapacity": ["5"],
    "targetReadUtilization": ["60"],
    "targetWriteUtilization": ["60"],
}
CASES = [
    Case("DynamoDB.1", "a table with fixed capacity, to on-demand", fixed, follows_demand),
    Case("DynamoDB.1", "a table with an index, to auto scaling", indexed, follows_demand, settings=AUTO),
    Case("DynamoDB.1", "limits unlike those wanted", unlike_wanted, as_wanted, parameters=CUSTOM),
]


def test_on_demand_takes_the_indexes_with_it_and_an_undo_gives_all_units_back() -> None:
    with bench(ID) as b:
        arn = indexed(b)
        attempt = b.attempt("DynamoDB.1", arn)
        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert units(b, arn) == [(0, 0), (0, 0)]

        assert attempt.undo()["outcome"] == "UNDONE"
        assert units(b, arn) == [(200, 100), (40, 30)]


def test_the_repair_is_pending_until_the_table_is_active_again() -> None:
    with bench(ID) as b:
        arn = fixed(b)
        attempt = b.attempt("DynamoDB.1", arn)

        assert attempt.look()["outcome"] == "PENDING"
        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_auto_scaling_never_cuts_a_table_and_the_maximum_follows_from_what_it_has() -> None:
    with bench(ID) as b:
        arn = indexed(b)
        assert b.attempt("DynamoDB.1", arn, settings=AUTO).finish()["outcome"] == "REMEDIATED"

        assert units(b, arn) == [(200, 100), (40, 30)]
        own = "table/indexed-for-dynamodb-1"
        assert targets(b) == {
            (own, "ReadCapacityUnits"): (200, 800),
            (own, "WriteCapacityUnits"): (100, 400),
            (f"{own}/index/by.city", "ReadCapacityUnits"): (40, 160),
            (f"{own}/index/by.city", "WriteCapacityUnits"): (30, 120),
        }
        assert set(policies(b).values()) == {70}


def test_reads_and_writes_each_get_their_own_limits() -> None:
    with bench(ID) as b:
        arn = fixed(b)
        given = {
            "minProvisionedReadCapacity": ["11"],
            "minProvisionedWriteCapacity": ["22"],
            "targetReadUtilization": ["33"],
            "targetWriteUtilization": ["44"],
        }
        assert b.attempt("DynamoDB.1", arn, parameters=given, settings=AUTO).finish()["outcome"] == "REMEDIATED"

        assert [low for low, _ in targets(b).values()] == [11, 22]
        assert list(policies(b).values()) == [33, 44]
        assert units(b, arn) == [(200, 100)]


def test_auto_scaling_that_the_owner_began_is_completed_and_what_is_there_stays_as_it_is() -> None:
    with bench(ID) as b:
        arn = half_scaled(b)
        attempt = b.attempt("DynamoDB.1", arn)
        assert attempt.finish()["outcome"] == "REMEDIATED"

        own = "table/half-scaled-for-dynamodb-1"
        kept = {(own, "ReadCapacityUnits"): (100, 300), (own, "WriteCapacityUnits"): (50, 900)}
        assert targets(b) == kept
        assert policies(b)[own, "ReadCapacityUnits", "owners"] == 55
        assert follows_demand(b, arn)

        assert attempt.undo()["outcome"] == "UNDONE"
        assert targets(b) == kept
        assert list(policies(b)) == [(own, "ReadCapacityUnits", "owners")]


def test_what_else_a_policy_says_is_kept_when_its_target_changes() -> None:
    with bench(ID) as b:
        arn = unlike_wanted(b)
        b.attempt("DynamoDB.1", arn, parameters=CUSTOM).finish()

        found = b.client("application-autoscaling").describe_scaling_policies(ServiceNamespace="dynamodb")
        cooldowns = {p["TargetTrackingScalingPolicyConfiguration"]["ScaleInCooldown"] for p in found["ScalingPolicies"]}
        assert cooldowns == {17}


def test_a_table_that_went_on_demand_four_times_today_says_when_it_can_again() -> None:
    with bench(ID) as b:
        arn = fixed(b)
        for _ in range(4):
            attempt = b.attempt("DynamoDB.1", arn)
            assert attempt.finish()["outcome"] == "REMEDIATED"
            assert attempt.undo()["outcome"] == "UNDONE"

        result = b.attempt("DynamoDB.1", arn).finish()

        assert result["outcome"] == "FAILED"
        assert result["restored"]
        assert "tomorrow" in result["to_do"]


def test_a_table_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("DynamoDB.1", b.arn("dynamodb", "table/gone"))["outcome"] == "COMPLIANT"


PARAMETERS: dict[str, Any] = {
    "scaling": "auto-scaling",
    "maxCapacityFactor": 4,
    "minProvisionedReadCapacity": None,
    "minProvisionedWriteCapacity": None,
    "targetReadUtilization": None,
    "targetWriteUtilization": None,
}


def plan(units: int = 10, facts: dict[str, Any] | None = None, **parameters: Any) -> list[dict[str, Any]]:
    state = {
        "config": {"mode": "PROVISIONED", "scaling": {"table/t": {}}},
        "facts": {"status": "ACTIVE", "replicas": [], "units": {"table/t": {"Read": units, "Write": units}}}
        | (facts or {}),
        "busy": None,
    }
    target = {"resource": {"table": "t"}, "parameters": PARAMETERS | parameters}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(state, target)
    return made


@pytest.mark.parametrize(
    ("units", "parameters", "limits"),
    [
        (10, {}, (10, 40)),
        (10, {"maxCapacityFactor": 1}, (10, 10)),
        (10, {"minProvisionedReadCapacity": 5}, (5, 40)),
        (10, {"minProvisionedReadCapacity": 90}, (90, 90)),
        (30_000, {}, (30_000, 40_000)),
        (50_000, {}, (50_000, 50_000)),
    ],
)
def test_todays_units_are_always_within_the_limits(
    units: int, parameters: dict[str, Any], limits: tuple[int, int]
) -> None:
    first = plan(units, **parameters)[0]["parameters"]

    assert (first["MinCapacity"], first["MaxCapacity"]) == limits


def test_a_wanted_percentage_is_not_written_where_the_metric_is_no_percentage() -> None:
    custom = {"CustomizedMetricSpecification": {"MetricName": "Queue", "Namespace": "Shop"}, "TargetValue": 9000}
    usual = {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
        "TargetValue": 80,
    }
    scaling = {
        f"dynamodb:table:{kind}CapacityUnits": {"limits": {"min": 5, "max": 50}, "policies": {"owners": tracking}}
        for kind, tracking in (("Read", custom), ("Write", usual))
    }
    state = {
        "config": {"mode": "PROVISIONED", "scaling": {"table/t": scaling}},
        "facts": {"status": "ACTIVE", "replicas": [], "units": {"table/t": {"Read": 10, "Write": 10}}},
        "busy": None,
    }
    wanted = PARAMETERS | {"targetReadUtilization": 60, "targetWriteUtilization": 60}

    (one,) = code_of(remediation_of(ID)).plan(state, {"resource": {"table": "t"}, "parameters": wanted})

    assert one["parameters"]["ScalableDimension"] == "dynamodb:table:WriteCapacityUnits"
    assert one["parameters"]["TargetTrackingScalingPolicyConfiguration"] == usual | {"TargetValue": 60}


@pytest.mark.parametrize("scaling", ["on-demand", "auto-scaling"])
def test_a_global_table_and_a_table_that_nobody_can_change_are_left_to_a_person(scaling: str) -> None:
    with pytest.raises(CannotRepair, match="eu-west-1"):
        plan(facts={"replicas": ["eu-west-1"]}, scaling=scaling)
    with pytest.raises(CannotRepair, match="ARCHIVED"):
        plan(facts={"status": "ARCHIVED"}, scaling=scaling)
