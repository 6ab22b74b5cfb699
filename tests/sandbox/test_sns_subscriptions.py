"""Subscriptions that a person confirms, and topics that are made once, as AWS's pages (named in each test) say."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fakes import a_world

PAYMENTS = "222222222222"


def shown(sns: Any, arn: str) -> list[str]:
    return [one["SubscriptionArn"] for one in sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]]


def test_an_email_waits_for_its_reader_and_a_queue_for_nobody() -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html"""
    with a_world() as world:
        sns = world.identity.client("sns", PAYMENTS, "us-east-1")
        arn = sns.create_topic(Name="alarms")["TopicArn"]

        answered = sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="ann@example.com")["SubscriptionArn"]
        before, counts = shown(sns, arn), sns.get_topic_attributes(TopicArn=arn)["Attributes"]
        world.clock.advance(600)
        after = shown(sns, arn)
        queue = f"arn:aws:sqs:us-east-1:{PAYMENTS}:pager"
        at_once = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue)["SubscriptionArn"]

        assert (answered, before) == ("pending confirmation", ["PendingConfirmation"])
        assert (counts["SubscriptionsPending"], counts["SubscriptionsConfirmed"]) == ("1", "0")
        assert after[0].startswith(arn)
        assert at_once.startswith(arn)
        assert len(shown(sns, arn)) == 2


def test_what_nobody_confirms_in_48_hours_is_deleted() -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.confirm.html"""
    with a_world() as world:
        sns = world.identity.client("sns", PAYMENTS, "us-east-1")
        arn = sns.create_topic(Name="alarms")["TopicArn"]
        sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="nobody@example.com")

        world.clock.advance(47 * 3600)
        waiting = shown(sns, arn)
        world.clock.advance(3600)

        assert (waiting, shown(sns, arn)) == (["PendingConfirmation"], [])
        assert sns.list_subscriptions()["Subscriptions"] == []


def test_a_topic_that_is_there_is_given_back_unless_other_tags_are_asked_for() -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html"""
    with a_world() as world:
        sns = world.identity.client("sns", PAYMENTS, "us-east-1")
        tags = [{"Key": "a", "Value": "1"}]
        arn = sns.create_topic(Name="alarms", Tags=tags)["TopicArn"]

        assert sns.create_topic(Name="alarms", Tags=tags)["TopicArn"] == arn
        with pytest.raises(ClientError, match="different tags"):
            sns.create_topic(Name="alarms", Tags=[{"Key": "a", "Value": "2"}])


@pytest.mark.parametrize(
    ("region", "name", "code"), [("eu-west-1", "alarms", "InvalidParameter"), ("us-east-1", "none", "NotFound")]
)
def test_a_topic_of_another_region_and_one_that_is_not_there_cannot_be_listed(
    region: str, name: str, code: str
) -> None:
    """https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptionsByTopic.html"""
    with a_world() as world:
        world.identity.client("sns", PAYMENTS, region).create_topic(Name="alarms")
        sns = world.identity.client("sns", PAYMENTS, "us-east-1")

        with pytest.raises(ClientError) as caught:
            sns.list_subscriptions_by_topic(TopicArn=f"arn:aws:sns:{region}:{PAYMENTS}:{name}")

        assert caught.value.response["Error"]["Code"] == code
