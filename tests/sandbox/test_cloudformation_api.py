"""CloudFormation's own calls about the stacks of the sandbox, as AWS's pages (named in each test) say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.assets import AssetNotFound
from sandbox.world import Sandbox

ADMIN, MEMBER, HOME = "111111111111", "222222222222", "us-east-1"
NESTED = {"Resources": {"Inner": {"Type": "AWS::SQS::Queue"}}, "Outputs": {"Url": {"Value": {"Ref": "Inner"}}}}
TEMPLATE: dict[str, Any] = {
    "Description": "two things",
    "Parameters": {
        "Size": {"Type": "Number", "Default": 5},
        "Secret": {"Type": "String", "NoEcho": True},
    },
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": {"Ref": "Size"}}},
        "Below": {
            "Type": "AWS::CloudFormation::Stack",
            "Properties": {"TemplateURL": "https://s3.us-east-1.amazonaws.com/assets/nested.json"},
        },
    },
    "Outputs": {"QueueUrl": {"Value": {"Ref": "Queue"}, "Description": "where to send"}},
}


def read_asset(key: str) -> bytes:
    if key != "nested.json":
        raise AssetNotFound(key)
    return json.dumps(NESTED).encode()


@pytest.fixture
def world() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def client(world: Sandbox, account: str = ADMIN, region: str = HOME) -> Any:
    return world.identity.client("cloudformation", account, region)


def create(world: Sandbox, template: dict[str, Any] = TEMPLATE, name: str = "two") -> str:
    given = {"Secret": "hidden"} if "Secret" in template.get("Parameters", {}) else {}
    return world.cloudformation.create(name, json.dumps(template), ADMIN, HOME, given, read_asset).stack_id


def code_and_text(do: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        do()
    return error.value.response["Error"]["Code"], error.value.response["Error"]["Message"]


def test_a_stack_is_described(world: Sandbox) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Stack.html"""
    arn = create(world)
    (stack,) = client(world).describe_stacks(StackName="two")["Stacks"]

    assert (stack["StackId"], stack["StackStatus"], stack["Description"]) == (arn, "CREATE_COMPLETE", "two things")
    assert {p["ParameterKey"]: p["ParameterValue"] for p in stack["Parameters"]} == {"Size": "5", "Secret": "****"}
    (output,) = stack["Outputs"]
    assert output["OutputKey"] == "QueueUrl"
    assert (
        output["OutputValue"]
        == world.identity.client("sqs", ADMIN, HOME).list_queues(QueueNamePrefix="two-Q")["QueueUrls"][0]
    )
    assert output["Description"] == "where to send"
    assert abs((stack["CreationTime"] - world.clock.now()).total_seconds()) < 60
    assert "LastUpdatedTime" not in stack
    assert "ParentId" not in stack


def test_nested_stacks_are_listed_and_name_their_parent(world: Sandbox) -> None:
    arn = create(world)
    shown = {s["StackName"]: s for s in client(world).describe_stacks()["Stacks"]}

    assert len(shown) == 2
    (nested,) = [s for name, s in shown.items() if name != "two"]
    assert (nested["ParentId"], nested["RootId"]) == (arn, arn)


def test_stacks_of_other_accounts_and_regions_are_not_seen(world: Sandbox) -> None:
    create(world)

    for elsewhere in (client(world, MEMBER), client(world, ADMIN, "eu-west-1")):
        assert elsewhere.describe_stacks()["Stacks"] == []
        assert code_and_text(lambda c=elsewhere: c.describe_stacks(StackName="two")) == (
            "ValidationError",
            "Stack with id two does not exist",
        )


def test_a_deleted_stack_is_found_by_its_arn_only(world: Sandbox) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html: StackName"""
    arn = create(world)
    world.delete("two", ADMIN, HOME)
    api = client(world)

    assert code_and_text(lambda: api.describe_stacks(StackName="two"))[0] == "ValidationError"
    (stack,) = api.describe_stacks(StackName=arn)["Stacks"]
    assert stack["StackStatus"] == "DELETE_COMPLETE"
    assert stack["DeletionTime"]
    listed = api.list_stacks(StackStatusFilter=["DELETE_COMPLETE"])["StackSummaries"]
    assert {s["StackStatus"] for s in listed} == {"DELETE_COMPLETE"}
    assert arn in {s["StackId"] for s in listed}


def test_an_update_shows_on_the_stack_and_on_what_changed(world: Sandbox) -> None:
    create(world)
    world.clock.advance(3600)
    given = {"Size": "6", "Secret": "hidden"}
    world.cloudformation.update("two", json.dumps(TEMPLATE), ADMIN, HOME, given, read_asset)
    api = client(world)

    (stack,) = api.describe_stacks(StackName="two")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_COMPLETE"
    assert (stack["LastUpdatedTime"] - stack["CreationTime"]).total_seconds() >= 3600
    detail = api.describe_stack_resource(StackName="two", LogicalResourceId="Queue")["StackResourceDetail"]
    assert detail["ResourceStatus"] == "UPDATE_COMPLETE"
    assert (detail["LastUpdatedTimestamp"] - stack["CreationTime"]).total_seconds() >= 3600
    assert detail["PhysicalResourceId"].startswith("https://")


def test_resources_come_a_hundred_at_a_time(world: Sandbox) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackResources.html"""
    names = [f"Alias{number}" for number in range(130)]
    log = {"Type": "AWS::Logs::LogGroup"}
    create(world, {"Resources": dict.fromkeys(names, log)}, "many")
    api = client(world)

    first = api.list_stack_resources(StackName="many")
    assert len(first["StackResourceSummaries"]) == 100
    pages = api.get_paginator("list_stack_resources").paginate(StackName="many")
    assert [r["LogicalResourceId"] for page in pages for r in page["StackResourceSummaries"]] == names
    assert len(api.describe_stack_resources(StackName="many")["StackResources"]) == 100
    (one,) = api.describe_stack_resources(StackName="many", LogicalResourceId="Alias120")["StackResources"]
    assert (one["ResourceType"], one["ResourceStatus"]) == ("AWS::Logs::LogGroup", "CREATE_COMPLETE")
    (owner,) = {
        r["StackName"]
        for r in api.describe_stack_resources(PhysicalResourceId=one["PhysicalResourceId"])["StackResources"]
    }
    assert owner == "many"


def test_moto_s_own_stacks_cannot_be_made(world: Sandbox) -> None:
    with pytest.raises(NotImplementedError, match="CreateChangeSet"):
        client(world).create_change_set(StackName="x", ChangeSetName="y", TemplateBody=json.dumps(NESTED))
