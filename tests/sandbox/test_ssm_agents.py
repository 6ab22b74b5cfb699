"""Agents on instances report once they may, as AWS's pages (named in each test) say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.additions.ssm_agents import CORE, REPORT_SECONDS, without_agent
from tests.sandbox.fakes import FakeWorld, a_world

ACCOUNT, REGION = "222222222222", "eu-west-1"
POLICY = f"arn:aws:iam::aws:policy/{CORE}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/r"


def client(world: FakeWorld, service: str) -> Any:
    return world.identity.client(service, ACCOUNT, REGION)


def instance(world: FakeWorld) -> str:
    """Start an instance with an instance profile whose role has no policy yet."""
    iam = client(world, "iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}))
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    asked = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1, "IamInstanceProfile": {"Name": "p"}}
    return str(client(world, "ec2").run_instances(**asked)["Instances"][0]["InstanceId"])


def attach(world: FakeWorld) -> None:
    client(world, "iam").attach_role_policy(RoleName="r", PolicyArn=POLICY)


def statuses(world: FakeWorld, instance_id: str) -> list[str]:
    asked = [{"Key": "InstanceIds", "Values": [instance_id]}]
    found = client(world, "ssm").describe_instance_information(Filters=asked)["InstanceInformationList"]
    return [one["PingStatus"] for one in found]


def later(world: FakeWorld, instance_id: str) -> list[str]:
    statuses(world, instance_id)
    world.clock.advance(REPORT_SECONDS)
    return statuses(world, instance_id)


def test_an_agent_reports_a_while_after_its_role_lets_it() -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html"""
    with a_world() as world:
        id_ = instance(world)
        before = later(world, id_)
        attach(world)
        at_once = statuses(world, id_)
        after = later(world, id_)

    assert (before, at_once, after) == ([], [], ["Online"])


def test_an_agent_that_loses_its_rights_is_lost_and_a_stopped_instance_is_not_told_of() -> None:
    with a_world() as world:
        id_ = instance(world)
        attach(world)
        later(world, id_)
        client(world, "iam").detach_role_policy(RoleName="r", PolicyArn=POLICY)
        lost = statuses(world, id_)
        client(world, "ec2").stop_instances(InstanceIds=[id_])
        stopped = statuses(world, id_)

    assert (lost, stopped) == (["ConnectionLost"], [])


@pytest.mark.parametrize("reason", ["no trust", "no agent"])
def test_an_agent_without_credentials_and_an_instance_without_agent_are_never_seen(reason: str) -> None:
    with a_world() as world:
        id_ = instance(world)
        attach(world)
        if reason == "no trust":
            world.services.refuse.add(ROLE)
        else:
            without_agent(ACCOUNT, REGION, id_)

        assert later(world, id_) == []


def test_an_agent_cannot_be_taken_off_an_instance_that_is_not_there() -> None:
    with a_world(), pytest.raises(KeyError):
        without_agent(ACCOUNT, REGION, "i-0")
