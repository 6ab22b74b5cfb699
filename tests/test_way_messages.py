"""Messages and unserved buttons, end to end: the synthesized templates, deployed to the emulated organization."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox import samples
from sandbox.additions import securityhub
from sandbox.world import Sandbox
from sharr.digests import QUARTER, quarter
from sharr.finding import PREVIEW, REMEDIATE
from tests.stage import Stage


class Listener:
    """A queue that is subscribed to the topic, with a filter if one is given."""

    def __init__(self, stage: Stage, name: str, wanted: dict[str, list[str]] | None = None) -> None:
        admin, home = stage.organization.admin, stage.organization.home
        self._sqs = stage.world.identity.client("sqs", admin, home)
        self._url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        queue = f"arn:aws:sqs:{home}:{admin}:{name}"
        allowed = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{**allowed, "Resource": queue}]})
        self._sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": policy})
        attributes = {"FilterPolicy": json.dumps(wanted)} if wanted else {}
        stage.world.identity.client("sns", admin, home).subscribe(
            TopicArn=stage.outputs["TopicArn"], Protocol="sqs", Endpoint=queue, Attributes=attributes
        )

    def heard(self) -> list[dict[str, Any]]:
        """Return what came since it was last asked."""
        found: list[dict[str, Any]] = []
        while messages := self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(json.loads(message["Body"])["Message"]))
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """KMS.4 is switched on; SC alone is loaded."""
    with Sandbox() as world:
        yield Stage(world, SCAutomaticControls="KMS.4")
        assert world.not_known() == []


@pytest.fixture(scope="module")
def listener(stage: Stage) -> Listener:
    return Listener(stage, "listener")


def at_start_of_quarter(stage: Stage) -> None:
    """Turn the clock until a quarter of an hour has just begun."""
    now = stage.world.clock.now()
    stage.world.advance((quarter(now) + QUARTER - now).total_seconds() + 1)


def outcome_queue(stage: Stage) -> str:
    sqs = stage.world.identity.client("sqs", stage.organization.admin, stage.organization.home)
    (url,) = [u for u in sqs.list_queues()["QueueUrls"] if "OutcomeQueue" in u and "Dead" not in u]
    return str(url)


def lines_of(stage: Stage, message: str) -> list[dict[str, Any]]:
    """Return the lines of the outcome function's log group with this message."""
    logs = stage.world.identity.client("logs", stage.organization.admin, stage.organization.home)
    events = logs.filter_log_events(logGroupName=stage.outputs["OutcomeLogGroup"])["events"]
    lines = [json.loads(e["message"]) for e in events if e["message"].startswith("{")]
    return [line for line in lines if line.get("message") == message]


def test_repairs_by_themselves_are_one_message_after_the_quarter_and_a_button_is_answered_at_once(
    stage: Stage, listener: Listener
) -> None:
    at_start_of_quarter(stage)
    findings = [stage.publish(stage.finding(stage.key())) for _ in range(3)]
    assert listener.heard() == []
    # The queue gives each of them a second time, and one of them a third.
    sqs = stage.world.identity.client("sqs", stage.organization.admin, stage.organization.home)
    for finding in [*findings, findings[0]]:
        body = json.dumps({"attempt": stage.attempt(finding).id})
        sqs.send_message(QueueUrl=outcome_queue(stage), MessageBody=body)
    stage.press(PREVIEW, findings[0])
    assert [body["outcome"] for body in listener.heard()] == ["COMPLIANT"]

    stage.world.advance(960)

    (digest,) = listener.heard()
    assert (digest["kind"], digest["control"], digest["counts"]) == ("digest", "KMS.4", {"REMEDIATED": 3})
    assert {r["resource"] for r in digest["resources"]} == {f["Resources"][0]["Id"] for f in findings}
    assert digest["log_group"] == stage.outputs["OutcomeLogGroup"]
    counted = {line["attempt"] for line in lines_of(stage, "outcome") if line["digest"] == digest["digest"]}
    assert counted == {stage.attempt(f).id for f in findings[1:]} | {
        line["attempt"] for line in lines_of(stage, "outcome") if line["finding"] == findings[0]["Id"]
        and line["trigger"] == "automatic"
    }  # fmt: skip
    stage.world.advance(3600)
    assert listener.heard() == []


def test_what_fails_is_heard_at_once_and_a_filter_finds_it_in_the_digest_too(stage: Stage, listener: Listener) -> None:
    at_start_of_quarter(stage)
    failures = Listener(stage, "failures", {"outcome": ["FAILED"]})
    stage.publish(stage.finding(stage.key()))
    key = stage.key()
    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{stage.place.account}:root"},
                 "Action": "kms:*", "Resource": "*"},
                {"Effect": "Deny", "Principal": "*", "Action": "kms:EnableKeyRotation", "Resource": "*"},
            ],
        }
    )  # fmt: skip
    stage.place.client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    failed = stage.publish(stage.finding(key))
    assert stage.attempt(failed).outcome == "FAILED"

    (at_once,) = failures.heard()
    assert (at_once["kind"], at_once["finding"]) == ("outcome", failed["Id"])
    assert [body["finding"] for body in listener.heard()] == [failed["Id"]]

    stage.world.advance(960)

    assert [body["counts"] for body in failures.heard()] == [{"FAILED": 1, "REMEDIATED": 1}]
    assert len(listener.heard()) == 1


def queues_of(stage: Stage, start: int) -> list[str]:
    """Return the queues that rules sent events of buttons to since the delivery with number *start*."""
    hops = [h for h in stage.world.deliveries[start:] if h.kind == "rule to target"]
    buttons = [h for h in hops if "-Buttons-" in str(h.source) or "-Unserved-" in str(h.source)]
    return [str(h.destination).split(":")[-1] for h in buttons]


@pytest.mark.parametrize(
    ("standard", "product", "wanted"),
    [("CIS140", None, "LoadCIS140AdminStack"), ("SC", "guardduty", "of another product")],
)
def test_a_button_on_what_nobody_serves_is_answered_with_a_note_alone(
    stage: Stage, listener: Listener, standard: str, product: str | None, wanted: str
) -> None:
    finding = stage.finding(key := stage.key(), standard=standard)
    if product:
        arn = finding["ProductArn"].replace("/aws/securityhub", f"/aws/{product}")
        finding = {**finding, "ProductArn": arn, "GeneratorId": product, "Id": f"{product}/{key}"}
    finding["Workflow"] = {"Status": "NEW"}
    securityhub.publish(stage.world, finding)
    stage.world.run()
    before, calls = len(stage.world.deliveries), len(stage.world.identity.calls)

    stage.press(REMEDIATE, finding)

    (queue,) = queues_of(stage, before)
    assert "OutcomeQueue" in queue
    now = stage.now(finding)
    assert wanted in now["Note"]["Text"]
    assert (now["Note"]["UpdatedBy"], now["Workflow"]["Status"]) == ("SHARR", "NEW")
    assert not stage.rotates(key)
    assert [line["finding"] for line in lines_of(stage, "unserved")][-1:] == [finding["Id"]]
    made = [c.operation for c in stage.world.identity.calls[calls:] if c.account == stage.place.account]
    assert "AssumeRole" not in made
    assert listener.heard() == []
    assert stage.dead() == []


def test_a_button_on_what_a_loaded_playbook_serves_is_left_to_it(stage: Stage, listener: Listener) -> None:
    finding = stage.publish(stage.finding(stage.key(), control="KMS.4"))
    before, lines = len(stage.world.deliveries), len(lines_of(stage, "unserved"))

    stage.press(PREVIEW, finding)

    (queue,) = queues_of(stage, before)
    assert "PlaybookSC" in queue
    assert len(lines_of(stage, "unserved")) == lines
    listener.heard()


def test_a_press_that_comes_twice_is_answered_and_harms_nobody(stage: Stage) -> None:
    finding = stage.publish(stage.finding(stage.key(), standard="CIS140"))
    event = samples.custom_action_event(
        REMEDIATE, [finding], admin_account=stage.organization.admin, region=stage.organization.home
    )
    sqs = stage.world.identity.client("sqs", stage.organization.admin, stage.organization.home)
    for _ in range(2):
        sqs.send_message(QueueUrl=outcome_queue(stage), MessageBody=json.dumps(event))
    stage.world.settle()

    assert "LoadCIS140AdminStack" in stage.now(finding)["Note"]["Text"]
    assert stage.dead() == []
