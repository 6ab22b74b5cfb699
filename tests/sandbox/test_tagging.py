"""The Resource Groups Tagging API over every service: what it tags, lists, refuses, and whose rights it takes."""

from __future__ import annotations

from collections.abc import Iterator
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


def test_a_tag_is_kept_by_the_resources_own_service(place: Place) -> None:
    arn = topic(place, team="a")

    assert api(place).tag_resources(ResourceARNList=[arn], Tags={"Owner": "b"})["FailedResourcesMap"] == {}
    assert place.client("sns").list_tags_for_resource(ResourceArn=arn)["Tags"] == [
        {"Key": "team", "Value": "a"},
        {"Key": "Owner", "Value": "b"},
    ]
    api(place).untag_resources(ResourceARNList=[arn], TagKeys=["team", "never"])
    assert place.client("sns").list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "Owner", "Value": "b"}]


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
