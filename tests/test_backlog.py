"""Backlog jobs: old findings through the same queue, page by page; first as a preview that leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.world import Sandbox
from sharr.backlog import Job, filters_of, page_of
from sharr.loader import ROOT
from sharr.standards import load_standards
from sharr.table import stamp
from tests.stage import Stage

OLD = "2026-01-05T10:00:00.000Z"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Sandbox(start=datetime(2026, 3, 2, 9, 5, tzinfo=UTC)) as world:
        yield Stage(world, SCAutomaticControls="KMS.4", RepairFindingsSince="2026-03-01", LoadCIS140AdminStack="no")
        assert world.not_known() == []


def table(stage: Stage) -> Any:
    return stage.world.identity.client("dynamodb", stage.organization.admin, stage.organization.home)


def start(stage: Stage, id: str, mode: str, **more: Any) -> None:
    item: dict[str, Any] = {
        "pk": {"S": f"backlog#{id}"},
        "sk": {"S": "-"},
        "control": {"S": "KMS.4"},
        "mode": {"S": mode},
        "state": {"S": "open"},
        "due_shard": {"S": "backlog"},
        "due_at": {"S": stamp(stage.world.clock.now())},
        **more,
    }
    table(stage).put_item(TableName=stage.outputs["TableName"], Item=item)


def job(stage: Stage, id: str) -> dict[str, Any]:
    key = {"pk": {"S": f"backlog#{id}"}, "sk": {"S": "-"}}
    item = table(stage).get_item(TableName=stage.outputs["TableName"], Key=key)["Item"]
    return {name: next(iter(value.values())) for name, value in item.items()}


def minutes(stage: Stage, count: int) -> None:
    for _ in range(count):
        stage.world.advance(60)


def test_a_preview_of_the_backlog_tells_what_would_be_done_and_leaves_no_trace_on_findings(stage: Stage) -> None:
    findings = [stage.publish(stage.finding(stage.key(), CreatedAt=OLD, FirstObservedAt=OLD)) for _ in range(3)]
    before = [stage.now(f) for f in findings]
    messages = len([c for c in stage.world.identity.calls if c.operation == "PublishBatch"])
    writes = len(stage.writes_in(stage.place.account))

    start(stage, "kms-4-preview", "preview")
    minutes(stage, 4)

    done = job(stage, "kms-4-preview")
    assert (done["state"], done["read"], done["sent"]) == ("done", "3", "3")
    assert "due_at" not in done
    assert [stage.now(f) for f in findings] == before
    assert len([c for c in stage.world.identity.calls if c.operation == "PublishBatch"]) == messages
    assert len(stage.writes_in(stage.place.account)) == writes
    rows = table(stage).query(
        TableName=stage.outputs["TableName"],
        KeyConditionExpression="pk = :pk AND sk > :dash",
        ExpressionAttributeValues={":pk": {"S": "backlog#kms-4-preview"}, ":dash": {"S": "-"}},
    )["Items"]
    assert len(rows) == 3
    assert {r["outcome"]["S"] for r in rows} == {"PREVIEWED"}
    assert {r["calls"]["L"][0]["S"] for r in rows} == {"kms.enable_key_rotation"}
    assert {r["resource"]["S"] for r in rows} == {f["Resources"][0]["Id"] for f in findings}


def test_a_repair_of_the_backlog_repairs_what_automation_leaves_alone(stage: Stage) -> None:
    key = stage.key()
    finding = stage.publish(stage.finding(key, CreatedAt=OLD, FirstObservedAt=OLD))
    assert stage.attempt(finding).guard == "in-backlog"

    start(stage, "kms-4-repair", "repair")
    minutes(stage, 4)

    assert stage.rotates(key)
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"
    assert stage.attempt(finding).job == "kms-4-repair"
    assert job(stage, "kms-4-repair")["state"] == "done"


def test_a_repair_of_the_backlog_needs_the_control_switched_on_and_obeys_the_other_guards(stage: Stage) -> None:
    bucket = "backlog-not-on"
    stage.place.client("s3", "us-east-1").create_bucket(Bucket=bucket)
    finding = stage.publish(
        stage.finding(f"arn:aws:s3:::{bucket}", control="S3.8", type="AwsS3Bucket", region="us-east-1")
    )
    start(stage, "s3-8-repair", "repair", control={"S": "S3.8"})
    minutes(stage, 3)
    assert stage.attempt(finding).guard == "not-switched-on"


def test_only_the_accounts_and_as_many_as_asked_for(stage: Stage) -> None:
    other = stage.organization.members[1]
    for _ in range(2):
        stage.publish(stage.finding(stage.key(), CreatedAt=OLD, FirstObservedAt=OLD))
    start(stage, "kms-4-one", "preview", most={"N": "1"})
    start(stage, "kms-4-none", "preview", accounts={"L": [{"S": other}]})
    minutes(stage, 3)
    assert job(stage, "kms-4-one")["sent"] == "1"
    assert job(stage, "kms-4-none")["sent"] == "0"


def test_a_job_of_a_mode_that_is_not_known_fails_and_says_so(stage: Stage) -> None:
    start(stage, "kms-4-odd", "destroy")
    minutes(stage, 2)
    assert job(stage, "kms-4-odd")["state"] == "failed"


def test_a_cancelled_job_reads_nothing_more(stage: Stage) -> None:
    start(stage, "kms-4-cancelled", "preview", state={"S": "cancelled"})
    minutes(stage, 2)
    assert "read" not in job(stage, "kms-4-cancelled")


def test_a_page_takes_only_what_the_job_asks_for_and_a_playbook_is_loaded_for(stage: Stage) -> None:
    this = Job("j", "KMS.4", "preview", frozenset({"222222222222"}), 2, "", 0, 0)
    good = stage.finding(stage.place.arn("kms", "key/1"))
    answer = {
        "Findings": [
            good,
            stage.finding(stage.place.arn("kms", "key/2", account="333333333333"), account="333333333333"),
            stage.finding(stage.place.arn("kms", "key/3"), standard="CIS140"),
            {**good, "ProductArn": "arn:aws:securityhub:eu-west-1:222222222222:product/222222222222/default"},
            "nonsense",
            good,
            good,
        ],
        "NextToken": "more",
    }
    page = page_of(this, answer, load_standards(ROOT), {"SC"}, {"account": "1"})
    assert {name: len(bodies) for name, bodies in page.messages.items()} == {"SC": 2}
    assert (page.read, page.sent, page.is_last, list(page.not_loaded)) == (7, 2, True, ["CIS140"])
    assert filters_of(this)["AwsAccountId"] == [{"Value": "222222222222", "Comparison": "EQUALS"}]
    many = Job("j", "KMS.4", "preview", frozenset(f"{n:012}" for n in range(21)), 0, "", 0, 0)
    assert "AwsAccountId" not in filters_of(many)
