"""The way of one finding, end to end: the synthesized templates, deployed to the emulated organization."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox import samples
from sandbox.additions import securityhub
from sandbox.place import Place
from sandbox.world import Sandbox
from sharr.finding import PREVIEW, REMEDIATE, UNDO
from tests.stage import Stage


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """KMS.4 and EC2.7 are switched on; the module's tests use resources of their own."""
    with Sandbox() as world:
        yield Stage(
            world, SCAutomaticControls="KMS.4,EC2.7", LoadCIS140AdminStack="yes", CIS140AutomaticControls="KMS.4"
        )
        assert world.not_known() == []


def test_a_control_that_is_switched_on_is_repaired_by_itself(stage: Stage) -> None:
    finding = stage.publish(stage.finding(key := stage.key()))

    assert stage.rotates(key)
    now = stage.now(finding)
    assert now["Workflow"]["Status"] == "RESOLVED"
    assert now["Note"]["UpdatedBy"] == "SHARR"
    assert "kms/rotate_key" in now["Note"]["Text"]


def test_a_finding_in_its_standards_own_shape_is_repaired_by_its_own_playbook(stage: Stage) -> None:
    finding = stage.publish(stage.finding(key := stage.key(), standard="CIS140"))

    assert stage.rotates(key)
    assert stage.attempt(finding).playbook == "CIS140"


def test_a_control_that_is_not_switched_on_costs_nothing_until_the_button_is_pressed(stage: Stage) -> None:
    bucket = f"way-{len(stage.world.identity.calls)}"
    stage.place.client("s3", "us-east-1").create_bucket(Bucket=bucket)
    before = len(stage.world.functions.invocations)
    finding = stage.publish(
        stage.finding(f"arn:aws:s3:::{bucket}", control="S3.8", type="AwsS3Bucket", region="us-east-1")
    )
    assert len(stage.world.functions.invocations) == before
    assert stage.now(finding)["Workflow"]["Status"] == "NEW"

    stage.press(REMEDIATE, finding)

    block = stage.place.client("s3", "us-east-1").get_public_access_block(Bucket=bucket)
    assert all(block["PublicAccessBlockConfiguration"].values())
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"


def test_preview_writes_a_note_and_nothing_else(stage: Stage) -> None:
    place = Place(stage.world, stage.organization.members[1], stage.place.region)
    finding = stage.finding(key := stage.key(place), account=place.account, Workflow={"Status": "NOTIFIED"})
    stage.publish(finding)
    before = stage.writes_in(place.account)

    stage.press(PREVIEW, finding)

    assert stage.writes_in(place.account) == before
    assert not place.client("kms").get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    assert "enable_key_rotation" in stage.now(finding)["Note"]["Text"]
    assert stage.attempt(finding).outcome == "PREVIEWED"


def test_undo_takes_the_repair_back_and_automation_leaves_the_resource_alone(stage: Stage) -> None:
    finding = stage.publish(stage.finding(key := stage.key()))
    stage.press(UNDO, finding)
    assert not stage.rotates(key)
    assert stage.now(finding)["Workflow"]["Status"] == "NOTIFIED"

    stage.world.advance(3600)
    stage.regress(key)
    assert not stage.rotates(key)
    assert stage.attempt(finding).guard == "hold"

    stage.press(REMEDIATE, finding)
    assert stage.rotates(key)


def test_a_resource_that_is_compliant_is_not_written_to_and_security_hub_decides(stage: Stage) -> None:
    key = stage.key()
    stage.place.client("kms").enable_key_rotation(KeyId=key)
    before = stage.writes_in(stage.place.account)

    finding = stage.publish(stage.finding(key))

    assert stage.writes_in(stage.place.account) == before
    assert stage.attempt(finding).outcome == "COMPLIANT"
    assert stage.now(finding)["Workflow"]["Status"] == "NOTIFIED"


def test_a_resource_that_is_gone_is_compliant_and_its_status_is_left_alone(stage: Stage) -> None:
    gone = stage.place.arn("kms", "key/00000000-0000-4000-8000-000000000000")

    finding = stage.publish(stage.finding(gone))

    assert stage.attempt(finding).outcome == "COMPLIANT"
    assert stage.now(finding)["Workflow"]["Status"] == "NEW"


@pytest.mark.parametrize(
    "changes",
    [
        {"Workflow": {"Status": "SUPPRESSED"}},
        {"Workflow": {"Status": "RESOLVED"}},
        {"Workflow": {"Status": "NOTIFIED"}},
        {"RecordState": "ARCHIVED"},
    ],
)
def test_findings_that_nobody_waits_for_start_nothing(stage: Stage, changes: dict[str, Any]) -> None:
    before = len(stage.world.functions.invocations)

    stage.publish(stage.finding(key := stage.key(), **changes))

    assert not stage.rotates(key)
    assert len(stage.world.functions.invocations) == before


def test_a_passed_finding_starts_nothing(stage: Stage) -> None:
    finding = stage.finding(key := stage.key())
    finding["Compliance"]["Status"] = "PASSED"

    stage.publish(finding)

    assert not stage.rotates(key)


def test_a_button_on_a_suppressed_finding_answers_with_a_note_and_leaves_its_status(stage: Stage) -> None:
    finding = stage.publish(stage.finding(key := stage.key(), Workflow={"Status": "SUPPRESSED"}))

    stage.press(REMEDIATE, finding)

    now = stage.now(finding)
    assert not stage.rotates(key)
    assert now["Workflow"]["Status"] == "SUPPRESSED"
    assert "suppressed" in now["Note"]["Text"]


def test_the_same_event_twice_is_one_repair(stage: Stage) -> None:
    finding = stage.finding(key := stage.key())
    securityhub.publish(stage.world, finding)
    securityhub.publish(stage.world, finding)
    stage.world.settle()

    enabled = [
        c
        for c in stage.world.identity.calls
        if c.operation == "EnableKeyRotation" and key.endswith(c.parameters["KeyId"])
    ]
    assert len(enabled) == 1


def test_a_button_with_findings_of_two_standards_is_answered_once_for_each(stage: Stage) -> None:
    one = stage.publish(stage.finding(stage.key(), Workflow={"Status": "NOTIFIED"}))
    other = stage.publish(stage.finding(stage.key(), standard="CIS140", Workflow={"Status": "NOTIFIED"}))

    stage.press(REMEDIATE, one, other)

    assert stage.now(one)["Workflow"]["Status"] == "RESOLVED"
    assert stage.now(other)["Workflow"]["Status"] == "RESOLVED"
    assert (stage.attempt(one).playbook, stage.attempt(other).playbook) == ("SC", "CIS140")


def test_a_regression_of_a_repaired_finding_is_repaired_again_until_it_is_too_often(stage: Stage) -> None:
    key = stage.key()
    finding = stage.publish(stage.finding(key))
    for number in range(1, 4):
        stage.world.advance(3600)
        stage.place.client("kms").disable_key_rotation(KeyId=key)
        stage.regress(key)
        assert stage.rotates(key) == (number < 3), number
    assert stage.attempt(finding).guard == "too-often"


def test_a_person_s_note_is_kept_behind_ours(stage: Stage) -> None:
    finding = stage.publish(stage.finding(stage.key(), Workflow={"Status": "NOTIFIED"}))
    stage.hub.batch_update_findings(
        FindingIdentifiers=[{"Id": finding["Id"], "ProductArn": finding["ProductArn"]}],
        Note={"Text": "ticket 4711", "UpdatedBy": "ann"},
    )

    stage.press(REMEDIATE, finding)

    assert "ann: ticket 4711" in stage.now(finding)["Note"]["Text"]


def test_the_switch_holds_every_repair_and_loses_none(stage: Stage) -> None:
    table = stage.world.identity.client("dynamodb", stage.organization.admin, stage.organization.home)
    name = stage.outputs["TableName"]
    table.put_item(TableName=name, Item={"pk": {"S": "switch"}, "sk": {"S": "-"}, "stopped": {"BOOL": True}})
    finding = stage.publish(stage.finding(key := stage.key()))
    assert not stage.rotates(key)
    assert stage.attempt(finding).outcome == "HELD"
    by_hand = stage.publish(stage.finding(stage.key(), Workflow={"Status": "NOTIFIED"}))
    stage.press(REMEDIATE, by_hand)
    assert "stopped" in stage.now(by_hand)["Note"]["Text"]

    table.delete_item(TableName=name, Key={"pk": {"S": "switch"}, "sk": {"S": "-"}})
    stage.world.advance(1200)

    assert stage.rotates(key)
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"


def test_two_findings_of_one_resource_wait_for_each_other_and_both_end(stage: Stage) -> None:
    key = stage.key()
    consolidated, own = stage.finding(key), stage.finding(key, standard="CIS140")
    securityhub.publish(stage.world, consolidated)
    securityhub.publish(stage.world, own)
    stage.world.settle()
    stage.world.advance(180)

    outcomes = {stage.attempt(consolidated).outcome, stage.attempt(own).outcome}
    assert outcomes == {"REMEDIATED", "COMPLIANT"}


def test_hostile_findings_get_one_outcome_or_a_dead_letter_with_a_reason_and_no_call(stage: Stage) -> None:
    home, member = stage.organization.home, stage.organization.members[2]
    key = stage.place.arn("kms", "key/00000000-0000-4000-8000-000000000000", account=member)
    good = stage.finding(key, account=member)
    resource = good["Resources"][0]
    hostile: list[dict[str, Any]] = [
        {**good, "Resources": "none"},
        {**good, "Resources": []},
        {**good, "Resources": [{**resource, "Id": f"{key}{n}"} for n in range(32)]},
        {**good, "Resources": [{**resource, "Id": "x" * 512}]},
        {**good, "Resources": [{**resource, "Id": f"{key}\n"}]},
        {**good, "Resources": [{**resource, "Id": key.replace(member, "999999999999")}]},
        {**good, "Resources": [{**resource, "Id": key.replace("arn:aws:", "arn:aws-cn:")}]},
        {**good, "AwsAccountId": "٢" * 12},
        {**good, "Region": "us-nowhere-1"},
        {**good, "ProductArn": good["ProductArn"].replace("arn:aws:", "arn:aws-us-gov:")},
    ]
    for finding in hostile:
        before, start = len(stage.dead()), len(stage.world.identity.calls)
        event = samples.imported_event([finding], admin_account=stage.organization.admin, region=home)
        stage.world.emit(
            stage.organization.admin,
            home,
            source=event["source"],
            detail_type=event["detail-type"],
            detail=event["detail"],
        )
        stage.world.settle()
        assumed = [c for c in stage.world.identity.calls[start:] if c.operation == "AssumeRole"]
        assert assumed == [], finding
        skipped = any('"outcome":"SKIPPED"' in line for i in stage.world.functions.invocations[-3:] for line in i.log)
        assert len(stage.dead()) == before + 1 or skipped, finding
    assert all(m.get("MessageAttributes", m.get("attributes")) for m in stage.dead())


def test_a_bad_neighbour_in_the_batch_does_no_harm(stage: Stage) -> None:
    home = stage.organization.home
    finding = stage.finding(key := stage.key())
    securityhub.publish(stage.world, finding)
    bad = samples.imported_event([{**finding, "Resources": 7}], admin_account=stage.organization.admin, region=home)
    stage.world.emit(
        stage.organization.admin, home, source=bad["source"], detail_type=bad["detail-type"], detail=bad["detail"]
    )
    stage.world.settle()

    assert stage.rotates(key)
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"


def test_a_repair_that_needs_minutes_is_pending_and_then_resolved(stage: Stage) -> None:
    finding = stage.publish(stage.public_database("way-db"))

    stage.press(REMEDIATE, finding)
    assert stage.attempt(finding).outcome == "PENDING"
    assert stage.now(finding)["Workflow"]["Status"] == "NOTIFIED"
    stage.world.advance(900)

    assert stage.attempt(finding).outcome == "REMEDIATED"
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"


def test_a_button_pressed_while_an_attempt_is_not_over_is_answered_and_does_no_harm(stage: Stage) -> None:
    finding = stage.publish(stage.public_database("busy-db"))
    stage.press(REMEDIATE, finding)
    pending = stage.attempt(finding)

    stage.press(UNDO, finding)

    assert "not over yet" in stage.now(finding)["Note"]["Text"]
    assert stage.attempt(finding).id == pending.id
    stage.world.advance(900)
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"


def test_every_outcome_is_told_to_the_topic_with_attributes_and_a_link(stage: Stage) -> None:
    admin, home = stage.organization.admin, stage.organization.home
    sqs, sns = stage.world.identity.client("sqs", admin, home), stage.world.identity.client("sns", admin, home)
    url = sqs.create_queue(QueueName="listener")["QueueUrl"]
    queue = f"arn:aws:sqs:{home}:{admin}:listener"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=stage.outputs["TopicArn"], Protocol="sqs", Endpoint=queue)
    finding = stage.publish(stage.finding(stage.key()))

    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    envelope = json.loads(message["Body"])
    body = json.loads(envelope["Message"])

    assert body["outcome"] == "REMEDIATED"
    assert body["finding"] == finding["Id"]
    assert body["link"].startswith("https://")
    assert body["differences"] == [{"property": "rotates", "before": "false", "after": "true"}]
    assert envelope["MessageAttributes"]["control"]["Value"] == "KMS.4"


def test_the_dashboard_shows_metrics_that_the_outcome_function_really_emits(stage: Stage) -> None:
    stage.publish(stage.finding(stage.key()))
    lines = [line for i in stage.world.functions.invocations for line in i.log if '"_aws"' in line]
    emitted = {
        (metric["Name"], frozenset(dimensions))
        for line in lines
        for directive in json.loads(line)["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    }
    cloudwatch = stage.world.identity.client("cloudwatch", stage.organization.admin, stage.organization.home)
    body = cloudwatch.get_dashboard(DashboardName=stage.outputs["DashboardName"])["DashboardBody"]
    shown: set[tuple[str, frozenset[str]]] = set()
    for widget in json.loads(body)["widgets"]:
        for metric in widget["properties"]["metrics"]:
            if metric[0] == "SHARR":
                shown.add((metric[1], frozenset(name for name in metric[2::2] if isinstance(name, str))))
            elif isinstance(metric[0], dict) and 'MetricName="Outcomes"' in metric[0].get("expression", ""):
                inside = re.search(r"\{SHARR,([A-Za-z,]+)\}", metric[0]["expression"])
                assert inside
                shown.add(("Outcomes", frozenset(inside[1].split(","))))

    assert shown
    assert shown <= emitted
