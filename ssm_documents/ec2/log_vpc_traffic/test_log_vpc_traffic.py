"""EC2.6: which VPCs get a flow log, that it is seen to deliver, and what becomes of one that cannot."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.remediation import BadParameter
from sharr.runtime.contract import CannotRepair
from sharr.runtime.planning import plan_of
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of
from tests.resources import delivery_role

ID = "ec2/log_vpc_traffic"
ROLE = "sharr-flow-log-delivery"
VPC = "vpc-0123456789abcdef0"


def vpc(b: Bench) -> str:
    """Make a VPC and return its ARN."""
    return b.arn("ec2", f"vpc/{b.client('ec2').create_vpc(CidrBlock='10.0.0.0/16')['Vpc']['VpcId']}")


def no_flow_log(b: Bench) -> str:
    delivery_role(b, "flow_log_group")
    return vpc(b)


def only_accepted(b: Bench) -> str:
    """A VPC whose flow log holds accepted traffic only."""
    resource_id = no_flow_log(b)
    flow_log(b, resource_id, "ACCEPT")
    return resource_id


def half_made_group(b: Bench) -> str:
    """A VPC whose log group is ours already, without a retention."""
    resource_id = no_flow_log(b)
    b.client("logs").create_log_group(logGroupName=group(resource_id), tags={"sharr": "flow_log_group"})
    return resource_id


def group(resource_id: str) -> str:
    return f"/sharr/vpc/{resource_id.split('/')[1]}"


def flow_log(b: Bench, resource_id: str, traffic: str, *, kind: str = "VPC", of: str | None = None) -> None:
    """Make somebody else's flow log, to a bucket."""
    b.client("s3").create_bucket(Bucket="flow-records")
    b.client("ec2").create_flow_logs(
        ResourceType=kind,
        ResourceIds=[of or resource_id.split("/")[1]],
        TrafficType=traffic,
        LogDestinationType="s3",
        LogDestination=b.arn("s3", "flow-records", region="", account=""),
    )


def logged(b: Bench, resource_id: str) -> list[dict[str, Any]]:
    asked = [{"Name": "resource-id", "Values": [resource_id.split("/")[1]]}]
    found: list[dict[str, Any]] = b.client("ec2").describe_flow_logs(Filter=asked)["FlowLogs"]
    return found


def passes(b: Bench, resource_id: str) -> bool:
    return any(
        one["FlowLogStatus"] == "ACTIVE" and one["TrafficType"] in ("REJECT", "ALL") for one in logged(b, resource_id)
    )


CASES = [
    Case("EC2.6", "a VPC without a flow log", no_flow_log, passes),
    Case("EC2.6", "a VPC whose accepted traffic only is logged", only_accepted, passes),
    Case("EC2.6", "a VPC whose log group was half made", half_made_group, passes),
    Case("EC2.6", "a VPC in another Region", no_flow_log, passes, region="eu-west-1"),
]

MINE = {"id": "fl-1", "traffic": "REJECT", "status": "SUCCESS", "noted": None, "age": 900}
AUX = {"flow_log_group": {"name": f"/sharr/vpc/{VPC}", "role": True, "group": None}}

MAKES = ["create_log_group", "put_retention_policy", "create_flow_logs", None]


def state(**facts: Any) -> dict[str, Any]:
    given = {"owner": "222222222222", "mine": None, "others": [], "aux": AUX, **facts}
    mine = given["mine"]
    return {"config": {"flow_log": mine and mine["traffic"]}, "facts": given, "busy": None}


def target(partition: str = "aws", region: str = "us-east-1", **parameters: Any) -> dict[str, Any]:
    return {
        "partition": partition,
        "account": "222222222222",
        "region": region,
        "resource": {"vpc_id": VPC},
        "parameters": {"trafficType": "REJECT", "aggregationSeconds": "600", "retentionDays": "365", **parameters},
    }


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    return plan_of(code_of(remediation_of(ID)), state, target)


@pytest.mark.parametrize(
    ("case", "facts", "operations"),
    [
        ("nothing is logged", {}, MAKES),
        ("accepted only", {"others": ["ACCEPT"]}, MAKES),
        ("somebody's flow log of rejected traffic", {"others": ["REJECT"]}, []),
        ("somebody's flow log of all traffic", {"others": ["ACCEPT", "ALL"]}, []),
        ("ours, seen to deliver", {"mine": MINE | {"noted": "seen"}}, []),
        ("ours, and nothing to deliver", {"mine": MINE | {"noted": "no records"}}, []),
        ("ours delivers", {"mine": MINE}, ["create_tags"]),
        ("ours has no record yet", {"mine": MINE | {"status": None}}, ["create_tags"]),
        ("ours cannot deliver", {"mine": MINE | {"status": "FAILED"}}, ["create_tags", "describe_flow_logs"]),
    ],
)
def test_plan(case: str, facts: dict[str, Any], operations: list[str | None]) -> None:
    assert operations == [one.get("operation") for one in plan(state(**facts), target())], case


@pytest.mark.parametrize(
    ("partition", "region"),
    [("aws", "ap-southeast-1"), ("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-north-1")],
)
def test_the_role_is_of_the_targets_own_partition(partition: str, region: str) -> None:
    made = next(c for c in plan(state(), target(partition, region)) if c.get("operation") == "create_flow_logs")

    role = f"arn:{partition}:iam::222222222222:role/sharr/{ROLE}"
    assert made["parameters"]["DeliverLogsPermissionArn"] == role
    assert '"arn:aws:' not in json.dumps(made) or partition == "aws"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"owner": "333333333333"}, "shared by account 333333333333"),
        ({"aux": {"flow_log_group": AUX["flow_log_group"] | {"role": False}}}, "has no role /sharr/" + ROLE),
    ],
)
def test_what_cannot_work_is_said_before_the_first_write(facts: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        plan(state(**facts), target())


@pytest.mark.parametrize(
    ("name", "value"),
    [("aggregationSeconds", "300"), ("retentionDays", "100"), ("retentionDays", "0"), ("trafficType", "ACCEPT")],
)
def test_a_value_that_aws_does_not_take_is_refused_beforehand(name: str, value: str) -> None:
    parameter = next(p for p in remediation_of(ID).parameters if p.name == name)

    with pytest.raises(BadParameter, match=value):
        parameter.typed(value)


def test_every_retention_that_cloudwatch_logs_offers_is_taken() -> None:
    parameter = next(p for p in remediation_of(ID).parameters if p.name == "retentionDays")
    days = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
    offered = [str(number) for number in days]

    assert [parameter.typed(text) for text in offered] == offered


def test_the_outcome_waits_until_the_flow_log_delivers() -> None:
    with bench(ID) as b:
        attempt = b.attempt("EC2.6", no_flow_log(b))

        first = attempt.look()
        too_early = attempt.look()
        b.world.advance(first["seconds"])
        last = attempt.look()

        assert (first["outcome"], first["seconds"]) == ("PENDING", 900)
        assert too_early["outcome"] == "PENDING"
        assert "not delivered" in too_early["why"]
        assert last["outcome"] == "REMEDIATED"


def test_a_role_that_trusts_another_service_is_access_error_and_the_flow_log_goes() -> None:
    with bench(ID) as b:
        delivery_role(b, "flow_log_group", service="cloudtrail.amazonaws.com")
        resource_id = vpc(b)

        result = b.attempt("EC2.6", resource_id).finish()

        assert result["outcome"] == "FAILED"
        assert "nothing is delivered: Access error" in result["why"]
        assert result["restored"]
        assert not logged(b, resource_id)


def test_a_vpc_without_traffic_is_not_waited_for_longer_than_half_an_hour() -> None:
    with bench(ID) as b:
        resource_id = no_flow_log(b)
        attempt = b.attempt("EC2.6", resource_id)
        attempt.look()
        silent(b)

        result = attempt.finish(turns=(900, 900, 900))

        assert result["outcome"] == "REMEDIATED"
        (one,) = logged(b, resource_id)
        assert {"Key": "sharr:delivery", "Value": "no records"} in one["Tags"]


def silent(b: Bench) -> None:
    """No record is delivered: the flow log never gets a delivery status."""
    from moto.ec2.models import ec2_backends

    made: dict[str, Any] = ec2_backends[b.account][b.region].flow_logs
    for one in made.values():
        del one.born


def test_an_item_in_unsuccessful_is_a_failure() -> None:
    with bench(ID) as b:
        attempt = b.attempt("EC2.6", no_flow_log(b))
        attempt.preview()
        made = next(c for c in attempt.journal["open"] if c["operation"] == "create_flow_logs")

        assert made["fail_if"] == "Unsuccessful[0].Error.Message"


@pytest.mark.parametrize("traffic", ["REJECT", "ALL"])
def test_a_flow_log_that_somebody_made_is_enough(traffic: str) -> None:
    with bench(ID) as b:
        resource_id = no_flow_log(b)
        flow_log(b, resource_id, traffic)

        with b.watched() as calls:
            result = b.remediate("EC2.6", resource_id)

        assert result["outcome"] == "COMPLIANT"
        assert not b.writes(calls)


def test_a_subnets_flow_log_is_not_the_vpcs() -> None:
    with bench(ID) as b:
        resource_id = no_flow_log(b)
        ec2 = b.client("ec2")
        subnet = ec2.create_subnet(VpcId=resource_id.split("/")[1], CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        flow_log(b, resource_id, "ALL", kind="Subnet", of=subnet)

        assert b.remediate("EC2.6", resource_id)["outcome"] == "PENDING"


def test_all_traffic_and_a_shorter_interval_by_parameter() -> None:
    given = plan(state(), target(trafficType="ALL", aggregationSeconds="60"))
    made = next(c for c in given if c.get("operation") == "create_flow_logs")["parameters"]

    assert (made["TrafficType"], made["MaxAggregationInterval"]) == ("ALL", 60)


def test_an_undo_keeps_the_log_group_and_its_records() -> None:
    with bench(ID) as b:
        resource_id = no_flow_log(b)
        attempt = b.attempt("EC2.6", resource_id)
        attempt.finish()

        assert attempt.undo()["outcome"] == "UNDONE"
        assert not logged(b, resource_id)
        (found,) = b.client("logs").describe_log_groups(logGroupNamePrefix=group(resource_id))["logGroups"]
        assert found["retentionInDays"] == 365


def test_a_vpc_that_is_gone_is_compliant() -> None:
    with bench(ID) as b:
        assert b.remediate("EC2.6", b.arn("ec2", f"vpc/{VPC}"))["outcome"] == "COMPLIANT"
