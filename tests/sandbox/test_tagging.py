"""The Resource Groups Tagging API over every service: what it tags, lists, refuses, and whose rights it takes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.additions import tagging
from sandbox.place import Place
from sandbox.quick_clients import quick_clients
from sandbox.world import Sandbox


@pytest.fixture
def place() -> Iterator[Place]:
    with quick_clients(), Sandbox() as world:
        yield Place(world)


def api(place: Place) -> Any:
    return place.client("resourcegroupstaggingapi")


def topic(place: Place, **tags: str) -> str:
    given = [{"Key": key, "Value": value} for key, value in tags.items()]
    return str(place.client("sns").create_topic(Name="t", Tags=given)["TopicArn"])


def flat(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def of_topic(place: Place) -> tuple[str, Callable[[], dict[str, str]]]:
    arn = topic(place)
    return arn, lambda: flat(place.client("sns").list_tags_for_resource(ResourceArn=arn)["Tags"])


def of_table(place: Place) -> tuple[str, Callable[[], dict[str, str]]]:
    key = {"AttributeName": "k"}
    made = place.client("dynamodb").create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{**key, "AttributeType": "S"}],
        KeySchema=[{**key, "KeyType": "HASH"}],
    )
    arn = made["TableDescription"]["TableArn"]
    return arn, lambda: flat(place.client("dynamodb").list_tags_of_resource(ResourceArn=arn)["Tags"])


def of_subnet_group(place: Place) -> tuple[str, Callable[[], dict[str, str]]]:
    rds = place.client("rds")
    made = rds.create_db_subnet_group(
        DBSubnetGroupName="g",
        DBSubnetGroupDescription="g",
        SubnetIds=[s["SubnetId"] for s in place.client("ec2").describe_subnets()["Subnets"]],
    )
    arn = made["DBSubnetGroup"]["DBSubnetGroupArn"]
    return arn, lambda: flat(rds.list_tags_for_resource(ResourceName=arn)["TagList"])


def of_vpc(place: Place) -> tuple[str, Callable[[], dict[str, str]]]:
    ec2 = place.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    return place.arn("ec2", f"vpc/{vpc}"), lambda: flat(ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0].get("Tags", []))


def of_function(place: Place) -> tuple[str, Callable[[], dict[str, str]]]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("f.py", "def handler(event, context): ...")
    iam, trust = place.client("iam"), '{"Version":"2012-10-17","Statement":[]}'
    role = iam.create_role(RoleName="f", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    made = place.client("lambda").create_function(
        FunctionName="f", Runtime="python3.11", Role=role, Handler="f.handler", Code={"ZipFile": archive.getvalue()}
    )
    arn = made["FunctionArn"]
    return arn, lambda: dict(place.client("lambda").list_tags(Resource=arn)["Tags"])


@pytest.mark.parametrize("make", [of_topic, of_table, of_subnet_group, of_vpc, of_function])
def test_a_tag_is_kept_by_the_resources_own_service(
    place: Place, make: Callable[[Place], tuple[str, Callable[[], dict[str, str]]]]
) -> None:
    arn, tags = make(place)

    assert api(place).tag_resources(ResourceARNList=[arn], Tags={"Owner": "b", "team": "a"})["FailedResourcesMap"] == {}
    assert tags() == {"Owner": "b", "team": "a"}
    (found,) = api(place).get_resources(ResourceARNList=[arn])["ResourceTagMappingList"]
    assert flat(found["Tags"]) == tags()
    api(place).untag_resources(ResourceARNList=[arn], TagKeys=["team", "never"])
    assert tags() == {"Owner": "b"}


def test_a_vpc_that_is_not_there_is_not_tagged(place: Place) -> None:
    arn = place.arn("ec2", "vpc/vpc-0123456789abcdef0")

    assert arn in api(place).tag_resources(ResourceARNList=[arn], Tags={"a": "1"})["FailedResourcesMap"]
    assert api(place).get_resources(ResourceARNList=[arn])["ResourceTagMappingList"] == []


def test_what_never_had_a_tag_is_not_listed_and_what_lost_its_tags_is(place: Place) -> None:
    never, once = topic(place), tagging.enlist(place.account, place.arn("glue", "job/j"), {"a": "1"})
    api(place).untag_resources(ResourceARNList=[once], TagKeys=["a"])

    found = api(place).get_resources(ResourceARNList=[never, once, place.arn("sns", "gone")])

    assert found["ResourceTagMappingList"] == [{"ResourceARN": once, "Tags": []}]


def test_roles_are_tagged_but_never_listed(place: Place) -> None:
    place.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}')
    arn = place.arn("iam", "role/r", region="")

    assert api(place).tag_resources(ResourceARNList=[arn], Tags={"a": "1"})["FailedResourcesMap"] == {}
    assert place.client("iam").list_role_tags(RoleName="r")["Tags"] == [{"Key": "a", "Value": "1"}]
    assert api(place).get_resources(ResourceARNList=[arn])["ResourceTagMappingList"] == []


def test_what_cannot_be_tagged_is_in_an_answer_that_is_200(place: Place) -> None:
    there = topic(place)
    others = [place.arn("sns", "gone"), place.arn("sns", "t", region="eu-west-1"), place.arn("glue", "job/gone")]

    failed = api(place).tag_resources(ResourceARNList=[there, *others], Tags={"a": "1"})["FailedResourcesMap"]

    assert failed.keys() == set(others)
    assert {one["StatusCode"] for one in failed.values()} == {400}


def test_a_resource_has_at_most_fifty_tags(place: Place) -> None:
    arn = tagging.enlist(place.account, place.arn("glue", "job/j"), {f"k{n}": "v" for n in range(50)})

    failed = api(place).tag_resources(ResourceARNList=[arn], Tags={"one-more": "1"})["FailedResourcesMap"]

    assert "at most 50" in failed[arn]["ErrorMessage"]
    assert api(place).tag_resources(ResourceARNList=[arn], Tags={"k1": "new"})["FailedResourcesMap"] == {}


@pytest.mark.parametrize(
    "request_",
    [
        {"ResourceARNList": ["not-an-arn"], "Tags": {"a": "1"}},
        {"ResourceARNList": ["arn:aws:sns:us-east-1:222222222222:t"] * 21, "Tags": {"a": "1"}},
        {"ResourceARNList": ["arn:aws:sns:us-east-1:222222222222:t"], "Tags": {"aws:x": "1"}},
    ],
)
def test_a_request_that_the_api_does_not_take_is_refused_whole(place: Place, request_: Any) -> None:
    with pytest.raises(ClientError):
        api(place).tag_resources(**request_)
