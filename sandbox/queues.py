"""
Amazon SQS in the sandbox: how messages get from queues to functions, and what waits in dead-letter queues.

Queues and event source mappings are moto's. moto's own delivery is switched off: it invokes once per message, deletes
what a function reports as failed, and asks nobody for permission.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from botocore.exceptions import ClientError
from moto.awslambda.models import EventSourceMapping, lambda_backends
from moto.sns.models import Subscription
from moto.sqs.models import Queue, SQSBackend, sqs_backends

from sandbox.functions import Invocation

if TYPE_CHECKING:
    from sandbox.world import Sandbox

RECEIVE_LIMIT = 10
"""Messages in one ReceiveMessage or DeleteMessageBatch."""
PAYLOAD_BYTES = 6_000_000
"""Of messages in one invocation."""


@dataclass(slots=True)
class Queues:
    """
    The queues of the whole organization. installed() hooks moto; deliver() is one poll of every mapping.

    A mapping with a batching window has one poller here, which gathers from the first message that it sees until the
    batch or the payload is full or the window is over. What is gathered stays in the queue until then: nobody else
    reads it.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html#invocation-eventsourcemapping-batching
    """

    world: Sandbox
    _windows: dict[str, datetime] = field(default_factory=dict)
    """When the window ends, by the mapping's UUID; of those that gather."""
    _clients: dict[tuple[str, str], tuple[datetime, Any]] = field(default_factory=dict)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within: moto neither invokes functions for messages nor waits in a long poll, and topics ask queues."""
        add_message, receive_message = Queue.add_message, SQSBackend.receive_message

        def add_without_delivery(queue: Queue, message: Any) -> None:
            mappings, queue.lambda_event_source_mappings = queue.lambda_event_source_mappings, {}
            try:
                add_message(queue, message)
            finally:
                queue.lambda_event_source_mappings = mappings
            if message.approximate_receive_count:
                reason = f"received {message.approximate_receive_count} times"
                self.world.record("dead letter", message.id, None, queue.queue_arn, message_id=message.id, error=reason)

        def receive_without_waiting(
            backend: SQSBackend, queue_name: str, count: int, wait_seconds_timeout: int, *args: Any, **kwargs: Any
        ) -> Any:
            return receive_message(backend, queue_name, count, 0, *args, **kwargs)

        publish = Subscription.publish

        def publish_with_permission(subscription: Subscription, *args: Any, **kwargs: Any) -> None:
            if subscription.protocol == "sqs":
                context = {"aws:SourceArn": subscription.topic.arn, "aws:SourceAccount": subscription.account_id}
                queue_arn = subscription.endpoint
                try:
                    self.world.identity.authorize_service("sns.amazonaws.com", "sqs:SendMessage", queue_arn, context)
                except ClientError as error:
                    self.world.trouble("topic to queue", None, subscription.topic.arn, queue_arn, error=str(error))
                    return
            publish(subscription, *args, **kwargs)

        with (
            patch.object(Subscription, "publish", publish_with_permission),
            patch.object(Queue, "add_message", add_without_delivery),
            patch.object(SQSBackend, "receive_message", receive_without_waiting),
        ):
            yield

    def send(self, queue_arn: str, body: str, attributes: Mapping[str, str] | None = None) -> str:
        """
        Put a message on a queue as an AWS service that was authorized before; return the message's id.

        Raises ClientError (AWS.SimpleQueueService.NonExistentQueue).
        """
        queue = self.find(queue_arn)
        if queue is None:
            code, text = "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist."
            raise ClientError({"Error": {"Code": code, "Message": f"{text} ({queue_arn})"}}, "SendMessage")
        message = sqs_backends[queue.account_id][queue.region].send_message(
            queue.name,
            body,
            message_attributes={
                name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()
            },
        )
        return str(message.id)

    def contents(self, queue_arn: str) -> list[dict[str, Any]]:
        """
        Return what is in a queue without receiving it: id, body, attributes, received (count), visible.

        Raises LookupError where there is no such queue.
        """
        queue = self.find(queue_arn)
        if queue is None:
            raise LookupError(f"there is no queue {queue_arn}")
        return [
            {
                "id": message.id,
                "body": message.body,
                "attributes": {name: value["StringValue"] for name, value in message.message_attributes.items()},
                "received": message.approximate_receive_count,
                "visible": message.visible and not message.delayed,
            }
            for message in queue._messages
        ]

    def dead_letters(self) -> dict[str, list[dict[str, Any]]]:
        """Return contents() of every queue that is a dead-letter queue: of a queue, a rule's target or a function."""
        arns = {
            queue.redrive_policy["deadLetterTargetArn"]
            for regions in list(sqs_backends.values())
            for backend in list(regions.values())
            for queue in backend.queues.values()
            if queue.redrive_policy
        }
        arns |= self.world.dead_letter_arns()
        return {arn: self.contents(arn) for arn in sorted(arns) if self.find(arn) is not None}

    @staticmethod
    def find(queue_arn: str) -> Queue | None:
        """Return moto's queue, None where there is none."""
        _, _, service, region, account, name = queue_arn.split(":")
        if service != "sqs":
            raise NotImplementedError(f"sandbox: {queue_arn} is no SQS queue")
        return sqs_backends[account][region].queues.get(name)

    def mappings(self) -> list[EventSourceMapping]:
        """Return the enabled event source mappings of queues."""
        return [
            mapping
            for regions in list(lambda_backends.values())
            for backend in list(regions.values())
            for mapping in list(backend._event_source_mappings.values())
            if mapping.enabled and mapping.event_source_arn.split(":")[2] == "sqs"
        ]

    def next_visible(self) -> datetime | None:
        """Return when the next message that is hidden or delayed now can be received by a function."""
        times: list[float] = []
        for mapping in self.mappings():
            queue = self.find(mapping.event_source_arn)
            times += [
                max(message.visible_at, message.delayed_until)
                for message in (queue._messages if queue else ())
                if not message.visible or message.delayed
            ]
        # One millisecond more: to moto a message is visible after its time, not at it.
        return datetime.fromtimestamp(min(times) / 1000 + 0.001, UTC) if times else None

    def next_window(self) -> datetime | None:
        """Return when the first of the windows ends in which messages are gathered now."""
        return min(self._windows.values(), default=None)

    def deliver(self) -> int:
        """Have each mapping take one batch to its function, if it is time; return how many messages went."""
        mappings = self.mappings()
        self._windows = {uuid: end for uuid, end in self._windows.items() if uuid in {m.uuid for m in mappings}}
        return sum(self._deliver(mapping) for mapping in mappings if self._is_gathered(mapping))

    def _is_gathered(self, mapping: EventSourceMapping) -> bool:
        """Whether a batch goes now; opens the window with the first message, and closes it with the batch."""
        queue, window = self.find(mapping.event_source_arn), int(mapping.max_batch_window or 0)
        waiting = queue.messages if queue else []
        if not waiting:
            self._windows.pop(mapping.uuid, None)
            return False
        if not window:
            return True
        now = self.world.clock.now()
        end = self._windows.setdefault(mapping.uuid, now + timedelta(seconds=window))
        is_full = len(waiting) >= mapping.batch_size or sum(len(m.body.encode()) for m in waiting) >= PAYLOAD_BYTES
        if now < end and not is_full:
            return False
        del self._windows[mapping.uuid]
        return True

    def _deliver(self, mapping: EventSourceMapping) -> int:
        """
        Receive a batch, invoke the function, delete what succeeded; all but the invocation with the function's role.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
        """
        queue = self.find(mapping.event_source_arn)
        if queue is None or not queue.messages or self.world.functions.is_throttled(mapping.function_arn):
            return 0
        try:
            client = self._client(mapping)
            url = queue_url(queue.queue_arn)
            messages = self._receive(client, url, _batch_size(queue, mapping.batch_size))
        except ClientError as error:
            self.world.trouble("queue to function", None, queue.queue_arn, mapping.function_arn, error=str(error))
            return 0
        if not messages:
            return 0
        event = {"Records": [_record(message, queue.queue_arn) for message in messages]}
        try:
            invocation = self.world.functions.invoke(mapping.function_arn, event)
        except ClientError as error:
            self.world.trouble("queue to function", None, queue.queue_arn, mapping.function_arn, error=str(error))
            return 0
        ids = [message["MessageId"] for message in messages]
        partial = "ReportBatchItemFailures" in (mapping.function_response_types or ())
        failed = failed_ids(invocation, ids, partial)
        for message_id in ids:
            self.world.record(
                "queue to function",
                message_id,
                queue.queue_arn,
                mapping.function_arn,
                message_id=message_id,
                request_id=invocation.request_id,
                error=(invocation.error_text or "reported as failed") if message_id in failed else None,
            )
        self._delete(client, url, [message for message in messages if message["MessageId"] not in failed])
        return len(messages)

    def _client(self, mapping: EventSourceMapping) -> Any:
        """Return an SQS client with the function's role, kept for an hour."""
        role_arn = self.world.functions.role_of(mapping.function_arn)
        key = (mapping.function_arn, role_arn)
        kept = self._clients.get(key)
        if kept is None or kept[0] <= self.world.clock.now():
            credentials = self.world.functions.credentials(mapping.function_arn)
            client = self.world.client_with(credentials, "sqs", mapping.event_source_arn.split(":")[3])
            kept = self._clients[key] = (self.world.clock.now() + timedelta(hours=1), client)
        return kept[1]

    @staticmethod
    def _receive(client: Any, url: str, batch_size: int) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        while len(messages) < batch_size:
            got = client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(RECEIVE_LIMIT, batch_size - len(messages)),
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            messages += got
            if not got:
                break
        return messages

    def _delete(self, client: Any, url: str, messages: Sequence[Mapping[str, Any]]) -> None:
        for start in range(0, len(messages), RECEIVE_LIMIT):
            entries = [
                {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                for index, message in enumerate(messages[start : start + RECEIVE_LIMIT])
            ]
            try:
                failed = client.delete_message_batch(QueueUrl=url, Entries=entries).get("Failed", [])
            except ClientError as error:
                self.world.trouble("delete from queue", None, url, None, error=str(error))
            else:
                for entry in failed:
                    self.world.trouble("delete from queue", None, url, None, error=json.dumps(entry))

    def check_mapping(self, queue_arn: str, function_arn: str) -> None:
        """
        Check what Lambda checks when it creates an event source mapping; raises ClientError as Lambda does.

        Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
        """
        queue = self.find(queue_arn)

        def refuse(text: str) -> ClientError:
            error = {"Code": "InvalidParameterValueException", "Message": text}
            return ClientError({"Error": error}, "CreateEventSourceMapping")

        if queue is None:
            raise refuse(f"Error occurred while ReceiveMessage. The queue {queue_arn} does not exist.")
        if queue_arn.endswith(".fifo"):
            raise NotImplementedError(f"sandbox: event source mappings of FIFO queues are not known ({queue_arn})")
        timeout = self.world.functions.timeout_of(function_arn)
        visibility = int(queue.attributes["VisibilityTimeout"])
        if visibility < timeout:
            raise refuse(
                f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {timeout} seconds"
            )
        client = self.world.client_with(self.world.functions.credentials(function_arn), "sqs", queue_arn.split(":")[3])
        url = queue_url(queue_arn)
        calls: dict[str, Callable[[], Any]] = {
            "GetQueueAttributes": lambda: client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]),
            # The batch of one with a receipt that is not there: authorized like any other, and deletes nothing.
            "DeleteMessage": lambda: client.delete_message_batch(
                QueueUrl=url, Entries=[{"Id": "0", "ReceiptHandle": "no-receipt"}]
            ),
        }
        if not queue.messages:
            calls["ReceiveMessage"] = lambda: client.receive_message(QueueUrl=url)
        for action, call in calls.items():
            try:
                call()
            except ClientError as error:
                if "AccessDenied" not in error.response["Error"]["Code"]:
                    raise
                raise refuse(
                    f"The provided execution role does not have permissions to call {action} on SQS ({error})"
                ) from error


def _batch_size(queue: Queue, batch_size: int) -> int:
    """Return how many of a queue's messages fit into one invocation: one at least."""
    payload = 0
    for number, message in enumerate(queue.messages[:batch_size]):
        payload += len(message.body.encode())
        if payload > PAYLOAD_BYTES:
            return max(1, number)
    return batch_size


def queue_url(queue_arn: str) -> str:
    """Return the URL of a queue as moto makes it in every partition."""
    _, _, _, region, account, name = queue_arn.split(":")
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://sqs.{region}.{suffix}/{account}/{name}"


def failed_ids(invocation: Invocation, ids: Sequence[str], partial: bool) -> set[str]:
    """
    Return the ids of the messages that stay in the queue after an invocation.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
    """
    if invocation.error is not None:
        return set(ids)
    if not partial or invocation.payload in (None, {}, ""):
        return set()
    payload = invocation.payload
    if not isinstance(payload, Mapping):
        return set(ids)
    failures = payload.get("batchItemFailures")
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return set(ids)
    failed: set[str] = set()
    for failure in failures:
        identifier = failure.get("itemIdentifier") if isinstance(failure, Mapping) else None
        if identifier not in ids:  # empty, null, under another name, or of no message in the batch
            return set(ids)
        failed.add(str(identifier))
    return failed


def _record(message: Mapping[str, Any], queue_arn: str) -> dict[str, Any]:
    """
    Return the message as Lambda hands it to a function.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event
    """
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: {
                "stringValue": value.get("StringValue"),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": value["DataType"],
            }
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(":")[3],
    }
