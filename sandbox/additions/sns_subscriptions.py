"""
SNS: a subscription by e-mail waits for somebody to confirm it, and a topic is made once.

moto confirms every subscription at once, and gives back a topic whatever it is asked for. Here a person reads the
e-mail CONFIRMED_SECONDS after it was sent; at an address that begins with `nobody`, nobody does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from moto.sns.models import Topic, sns_backends
from moto.sns.responses import SNSResponse

from sandbox.additions.wire import Patches, Refused, Request
from sandbox.ports import World

CONFIRMED_SECONDS = 600
DELETED_SECONDS = 48 * 3600
"""An unconfirmed subscription is deleted then. Source: https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.confirm.html"""

_PENDING = "PendingConfirmation"
_BY_PERSON = ("email", "email-json")


def install(world: World, patches: Patches) -> None:
    """Make subscriptions by e-mail wait, by *world*'s clock."""
    sns = _Sns(world)
    patches.around(SNSResponse, "CreateTopic", sns.create_topic)
    patches.around(SNSResponse, "Subscribe", sns.subscribe)
    patches.around(SNSResponse, "GetTopicAttributes", sns.topic)
    patches.answer(SNSResponse, "ListSubscriptionsByTopic", sns.by_topic)
    patches.answer(SNSResponse, "ListSubscriptions", sns.every)


class _Sns:
    def __init__(self, world: World) -> None:
        self.world = world

    def create_topic(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """Source: https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html"""
        asked = request.parameters
        arn = f"arn:{request.partition}:sns:{request.region}:{request.account}:{asked['Name']}"
        there = sns_backends[request.account][request.region].topics.get(arn)
        if there is not None:
            tags = {tag["Key"]: tag["Value"] for tag in asked.get("Tags") or []}
            if tags and tags != there._tags:
                raise Refused(
                    "InvalidParameter", "Invalid parameter: Tags Reason: Topic already exists with different tags"
                )
            return {"TopicArn": arn}
        return proceed()

    def subscribe(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """Source: https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html"""
        asked = request.parameters
        topic = self._topic(request)
        answer = proceed()
        if asked["Protocol"] not in _BY_PERSON:
            return answer
        (made,) = [
            one for one in self._of(topic) if (one.protocol, one.endpoint) == (asked["Protocol"], asked["Endpoint"])
        ]
        if not hasattr(made, "asked_at"):
            made.asked_at = self.world.clock.now()
        shown = asked.get("ReturnSubscriptionArn") or self._is_confirmed(made)
        return {"SubscriptionArn": made.arn if shown else "pending confirmation"}

    def topic(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """Source: https://docs.aws.amazon.com/sns/latest/api/API_GetTopicAttributes.html"""
        topic = self._topic(request)
        confirmed = [self._is_confirmed(one) for one in self._of(topic)]
        topic.subscriptions_confimed, topic.subscriptions_pending = confirmed.count(True), confirmed.count(False)
        return proceed()

    def by_topic(self, request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptionsByTopic.html (pages of 100)"""
        return self._page(request, list(self._of(self._topic(request))))

    def every(self, request: Request) -> dict[str, Any]:
        """Source: https://docs.aws.amazon.com/sns/latest/api/API_ListSubscriptions.html (pages of 100)"""
        backend = sns_backends[request.account][request.region]
        return self._page(request, [one for topic in backend.topics.values() for one in self._of(topic)])

    def _page(self, request: Request, found: list[Any]) -> dict[str, Any]:
        start = int(request.parameters.get("NextToken") or 0)
        shown = [self._shown(one) for one in found[start : start + 100]]
        more = {"NextToken": str(start + 100)} if start + 100 < len(found) else {}
        return {"Subscriptions": shown, **more}

    def _shown(self, one: Any) -> dict[str, Any]:
        return {
            "SubscriptionArn": one.arn if self._is_confirmed(one) else _PENDING,
            "Owner": one.owner,
            "Protocol": one.protocol,
            "Endpoint": one.endpoint,
            "TopicArn": one.topic_arn,
        }

    def _topic(self, request: Request) -> Topic:
        arn = request.parameters["TopicArn"]
        parts = arn.split(":")
        if len(parts) != 6 or parts[3] != request.region:
            raise Refused("InvalidParameter", "Invalid parameter: TopicArn")
        topic = sns_backends[parts[4]][parts[3]].topics.get(arn)
        if topic is None:
            raise Refused("NotFound", "Topic does not exist")
        return topic

    def _of(self, topic: Topic) -> Iterator[Any]:
        """Give the topic's subscriptions; those that nobody confirmed in time are deleted."""
        for arn, one in list(topic.sns_backend.subscriptions.items()):
            if one.topic.arn != topic.arn:
                continue
            if not self._is_confirmed(one) and self._age(one) >= DELETED_SECONDS:
                del topic.sns_backend.subscriptions[arn]
                continue
            yield one

    def _is_confirmed(self, one: Any) -> bool:
        if one.protocol not in _BY_PERSON or not hasattr(one, "asked_at"):
            return True
        return self._age(one) >= CONFIRMED_SECONDS and not one.endpoint.startswith("nobody")

    def _age(self, one: Any) -> float:
        return float((self.world.clock.now() - one.asked_at).total_seconds())
