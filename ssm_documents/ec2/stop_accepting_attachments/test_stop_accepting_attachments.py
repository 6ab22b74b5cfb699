"""EC2.23: a transit gateway stops to accept by itself; the outcome waits until the service is done with it."""

from __future__ import annotations

from typing import Any

import pytest

from sharr.runtime.contract import CannotRepair
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "ec2/stop_accepting_attachments"
Json = dict[str, Any]


def accepting(b: Bench) -> str:
    options = {"AutoAcceptSharedAttachments": "enable", "DnsSupport": "disable"}
    made = b.client("ec2").create_transit_gateway(Description="for EC2.23", Options=options)["TransitGateway"]
    return b.arn("ec2", f"transit-gateway/{made['TransitGatewayId']}")


def described(b: Bench, resource_id: str) -> Json:
    asked = [resource_id.split("/")[1]]
    found: Json = b.client("ec2").describe_transit_gateways(TransitGatewayIds=asked)["TransitGateways"][0]
    return found


def passes(b: Bench, resource_id: str) -> bool:
    return bool(described(b, resource_id)["Options"]["AutoAcceptSharedAttachments"] == "disable")


CASES = [
    Case("EC2.23", "a gateway that accepts by itself", accepting, passes, turns=(60, 60)),
]

STATE: Json = {"config": {"accepts": "enable"}, "facts": {"owner": "1" * 12}, "busy": None}
TARGET: Json = {"account": "1" * 12, "resource": {"gateway_id": "tgw-0123456789abcdef0"}}


def plan(state: Json) -> list[Json]:
    made: list[Json] = code_of(remediation_of(ID)).plan(state, TARGET)
    return made


def test_the_plan_changes_that_one_option() -> None:
    (one,) = plan(STATE)

    assert one["parameters"]["Options"] == {"AutoAcceptSharedAttachments": "disable"}
    assert one["undo"][0]["parameters"]["Options"] == {"AutoAcceptSharedAttachments": "enable"}


def test_a_gateway_that_accepts_none_by_itself_is_compliant() -> None:
    assert plan({**STATE, "config": {"accepts": "disable"}}) == []


def test_a_gateway_shared_by_another_account_is_left_to_it() -> None:
    with pytest.raises(CannotRepair, match="shared by account 222222222222"):
        plan({**STATE, "facts": {"owner": "2" * 12}})


@pytest.mark.parametrize(
    ("partition", "region"),
    [("aws-us-gov", "us-gov-east-1"), ("aws-cn", "cn-northwest-1"), ("aws", "ap-southeast-1")],
)
def test_gateways_of_every_partition_are_targets(partition: str, region: str) -> None:
    """ASR's pattern did not take Regions of GovCloud."""
    pattern = remediation_of(ID).resources[0].compiled(partition, region, "1" * 12)

    assert pattern.fullmatch(f"arn:{partition}:ec2:{region}:{'1' * 12}:transit-gateway/tgw-0123456789abcdef0")


def test_the_outcome_waits_until_the_gateway_is_available_and_other_options_stay() -> None:
    """ASR looked at once, saw the old value, and counted it as done."""
    with bench(ID) as b:
        resource_id = accepting(b)
        attempt = b.attempt("EC2.23", resource_id)

        first = attempt.look()
        assert first["outcome"] == "PENDING"
        assert "being modified" in first["why"]
        assert attempt.finish()["outcome"] == "REMEDIATED"
        assert described(b, resource_id)["Options"]["DnsSupport"] == "disable"


def test_a_gateway_that_somebody_is_modifying_is_waited_for() -> None:
    with bench(ID) as b:
        resource_id = accepting(b)
        gateway_id = resource_id.split("/")[1]
        b.client("ec2").modify_transit_gateway(TransitGatewayId=gateway_id, Options={"DnsSupport": "enable"})
        attempt = b.attempt("EC2.23", resource_id)

        with b.watched() as calls:
            assert attempt.look()["outcome"] == "PENDING"
        assert not b.writes(calls)
        assert attempt.finish()["outcome"] == "REMEDIATED"


def test_a_gateway_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        gone = b.arn("ec2", "transit-gateway/tgw-00000000000000000")

        assert b.remediate("EC2.23", gone)["outcome"] == "COMPLIANT"
