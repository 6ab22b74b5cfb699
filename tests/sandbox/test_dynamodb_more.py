"""DynamoDB's UpdateTable and its auto scaling in the sandbox, as AWS's pages (named in each test) say."""

from __future__ import annotations

from typing import Any

from tests.sandbox.fakes import FakeWorld, a_world, error_of

PAYMENTS = "222222222222"
UNITS = {"ReadCapacityUnits": 20, "WriteCapacityUnits": 10}
SCALED = {
    "ServiceNamespace": "dynamodb",
    "ResourceId": "table/orders",
    "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
}


def clients(world: FakeWorld) -> tuple[Any, Any]:
    dynamodb = world.identity.client("dynamodb", PAYMENTS, "eu-west-1")
    dynamodb.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        ProvisionedThroughput=UNITS,
    )
    return dynamodb, world.identity.client("application-autoscaling", PAYMENTS, "eu-west-1")


def test_an_update_is_seen_when_the_table_is_active_again_and_no_other_is_taken_meanwhile() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html"""
    with a_world() as world:
        dynamodb, _ = clients(world)
        table: dict[str, Any] = {"TableName": "orders"}
        dynamodb.update_table(**table, DeletionProtectionEnabled=True)
        during = dynamodb.describe_table(**table)["Table"]
        refused = error_of(lambda: dynamodb.update_table(**table, DeletionProtectionEnabled=False))
        world.clock.advance(61)
        after = dynamodb.describe_table(**table)["Table"]

    assert (during["TableStatus"], during["DeletionProtectionEnabled"]) == ("UPDATING", False)
    assert refused == "ResourceInUseException"
    assert (after["TableStatus"], after["DeletionProtectionEnabled"]) == ("ACTIVE", True)


def test_capacity_and_billing_mode_must_agree() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html"""
    with a_world() as world:
        dynamodb, _ = clients(world)

        def update(**more: Any) -> Any:
            return dynamodb.update_table(TableName="orders", **more)

        same = error_of(lambda: update(ProvisionedThroughput=UNITS))
        both = error_of(lambda: update(BillingMode="PAY_PER_REQUEST", ProvisionedThroughput=UNITS))
        assert "BillingModeSummary" not in dynamodb.describe_table(TableName="orders")["Table"]
        update(BillingMode="PAY_PER_REQUEST")
        world.clock.advance(61)
        on_demand = dynamodb.describe_table(TableName="orders")["Table"]
        without = error_of(lambda: update(BillingMode="PROVISIONED"))

    assert {same, both, without} == {"ValidationException"}
    assert on_demand["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert on_demand["ProvisionedThroughput"]["ReadCapacityUnits"] == 0


def test_a_table_goes_on_demand_four_times_in_a_day() -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-switching-capacity-modes.html"""
    with a_world() as world:
        dynamodb, _ = clients(world)
        for _ in range(4):
            dynamodb.update_table(TableName="orders", BillingMode="PAY_PER_REQUEST")
            world.clock.advance(61)
            dynamodb.update_table(TableName="orders", BillingMode="PROVISIONED", ProvisionedThroughput=UNITS)
            world.clock.advance(61)
        fifth = error_of(lambda: dynamodb.update_table(TableName="orders", BillingMode="PAY_PER_REQUEST"))
        world.clock.advance(86_400)
        dynamodb.update_table(TableName="orders", BillingMode="PAY_PER_REQUEST")

    assert fifth == "LimitExceededException"


def test_registering_a_target_moves_capacity_into_its_range_at_once() -> None:
    """https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html"""
    with a_world() as world:
        dynamodb, autoscaling = clients(world)
        first = error_of(lambda: autoscaling.register_scalable_target(**SCALED, MinCapacity=1))
        unknown = error_of(
            lambda: autoscaling.register_scalable_target(
                **(SCALED | {"ResourceId": "table/other"}), MinCapacity=1, MaxCapacity=2
            )
        )
        autoscaling.register_scalable_target(**SCALED, MinCapacity=1, MaxCapacity=5)
        units = dynamodb.describe_table(TableName="orders")["Table"]["ProvisionedThroughput"]
        found = autoscaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]

    assert {first, unknown} == {"ValidationException"}
    assert (units["ReadCapacityUnits"], units["WriteCapacityUnits"]) == (5, 10)
    assert found[0]["RoleARN"].endswith("AWSServiceRoleForApplicationAutoScaling_DynamoDBTable")


def test_what_is_not_there_has_an_error_of_its_own_and_policies_go_with_their_target() -> None:
    """https://docs.aws.amazon.com/autoscaling/application/APIReference/API_DeregisterScalableTarget.html"""
    tracking = {
        "TargetValue": 70,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
    }
    policy = {**SCALED, "PolicyName": "p", "PolicyType": "TargetTrackingScaling"}
    with a_world() as world:
        _, autoscaling = clients(world)

        def put(metric: str = "DynamoDBReadCapacityUtilization") -> Any:
            wanted = {**tracking, "PredefinedMetricSpecification": {"PredefinedMetricType": metric}}
            return autoscaling.put_scaling_policy(**policy, TargetTrackingScalingPolicyConfiguration=wanted)

        errors = {
            error_of(put),
            error_of(lambda: autoscaling.deregister_scalable_target(**SCALED)),
            error_of(lambda: autoscaling.delete_scaling_policy(**SCALED, PolicyName="p")),
        }
        autoscaling.register_scalable_target(**SCALED, MinCapacity=1, MaxCapacity=50)
        wrong = error_of(lambda: put("DynamoDBWriteCapacityUtilization"))
        put()
        autoscaling.deregister_scalable_target(**SCALED)
        left = autoscaling.describe_scaling_policies(ServiceNamespace="dynamodb")["ScalingPolicies"]

    assert errors == {"ObjectNotFoundException"}
    assert wrong == "ValidationException"
    assert left == []
