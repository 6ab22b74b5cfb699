"""A queue of ours with its dead-letter queues: encrypted, TLS only, filled by named rules and by our own roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aws_cdk import aws_events as events
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stacks.alarms import Alarm, Metric
from stacks.functions import VISIBILITY_SECONDS
from stacks.intrinsics import Json, attribute, ref, text

DAYS_14: Final = 14 * 24 * 3600
"""Seconds, the longest that SQS keeps a message: a weekend and a holiday fit before something is lost."""
RECEIVES: Final = 3
OLD_SECONDS: Final = 1800


class Queue(Construct):
    """
    A queue, the dead-letter queue of its messages, and the dead-letter queue of the rules that send to it.

    *window*: seconds for which its reader gathers a batch, in which a message is received already.
    Logical ids: `<id>`, `<id>Dead`, `<id>EventsDead`.
    """

    def __init__(self, scope: Construct, id: str, *, topic_arn: Json, window: int = 0) -> None:
        super().__init__(scope, f"{id}Queues")
        self.id = id
        self._queue(
            id,
            visibility_timeout=VISIBILITY_SECONDS + window,
            redrive_policy={"deadLetterTargetArn": attribute(f"{id}Dead", "Arn"), "maxReceiveCount": RECEIVES},
            # Nobody else's queue may use it as a dead-letter queue.
            redrive_allow_policy={"redrivePermission": "denyAll"},
        )
        # Not "byQueue": the two queues would name each other. Source queues of this account only can use it anyway.
        self._queue(f"{id}Dead")
        self._queue(f"{id}EventsDead", redrive_allow_policy={"redrivePermission": "denyAll"})
        self.arn, self.url = attribute(id, "Arn"), ref(id)
        self.name = attribute(id, "QueueName")
        self.dead_arn, self.dead_url = attribute(f"{id}Dead", "Arn"), ref(f"{id}Dead")
        self.events_dead_arn = attribute(f"{id}EventsDead", "Arn")
        self.dead_names = [attribute(f"{id}{kind}", "QueueName") for kind in ("Dead", "EventsDead")]
        Alarm(
            scope,
            f"{id}DeadLetters",
            description="Messages that could not be handled, or that a rule could not deliver. Read them in the "
            "dead-letter queue; send them to the queue again once the reason is gone: nothing is done twice.",
            metrics=[
                Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": name}, "Maximum")
                for name in self.dead_names
            ],
            threshold=1,
            topic_arn=topic_arn,
        )
        Alarm(
            scope,
            f"{id}Old",
            description="The oldest message waits for more than 30 minutes: more findings than MaximumConcurrency "
            "lets through, or the function fails.",
            metrics=[Metric("AWS/SQS", "ApproximateAgeOfOldestMessage", {"QueueName": self.name}, "Maximum")],
            threshold=OLD_SECONDS,
            periods=5,
            topic_arn=topic_arn,
        )

    def _queue(self, id: str, **properties: object) -> None:
        queue = sqs.CfnQueue(
            self,
            id,
            sqs_managed_sse_enabled=True,
            message_retention_period=DAYS_14,
            **properties,  # type: ignore[arg-type]
        )
        queue.override_logical_id(id)

    def takes_from(self, rules: Sequence[str]) -> None:
        """Let EventBridge send for the rules with these logical ids, and nobody without TLS. Call it once."""
        of_rules = {"ArnEquals": {"aws:SourceArn": [attribute(rule, "Arn") for rule in rules]}}
        for queue, arn, by_rules in (
            (self.id, self.arn, bool(rules)),
            (f"{self.id}EventsDead", self.events_dead_arn, bool(rules)),
            (f"{self.id}Dead", self.dead_arn, False),
        ):
            statements: list[Json] = [
                {
                    "Sid": "TlsOnly",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sqs:*",
                    "Resource": arn,
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ]
            if by_rules:
                statements.append(
                    {
                        "Sid": "OurRules",
                        "Effect": "Allow",
                        "Principal": {"Service": "events.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": arn,
                        "Condition": of_rules,
                    }
                )
            policy = sqs.CfnQueuePolicy(
                self,
                f"{queue}Policy",
                queues=[text(ref(queue))],
                policy_document={"Version": "2012-10-17", "Statement": statements},
            )
            policy.override_logical_id(f"{queue}Policy")

    def as_target(self) -> events.CfnRule.TargetProperty:
        """Return the queue as a rule's target, with retries for a day and its dead-letter queue after them."""
        return events.CfnRule.TargetProperty(
            id="Queue",
            arn=text(self.arn),
            dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=text(self.events_dead_arn)),
            retry_policy=events.CfnRule.RetryPolicyProperty(
                maximum_event_age_in_seconds=86_400, maximum_retry_attempts=185
            ),
        )
