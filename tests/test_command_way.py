"""The operator's command on a deployed organization: what really gets stuck, and how it goes on."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from command.__main__ import main
from sandbox import samples
from sandbox.local import KEY
from sandbox.world import Sandbox
from sharr.loader import ROOT
from stacks.functions import VISIBILITY_SECONDS
from stacks.names import REPAIR_ROLE
from stacks.queues import RECEIVES
from tests.stage import Stage

OLD = "2026-01-05T10:00:00.000Z"
DENY = "deny-for-a-while"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Sandbox(start=datetime(2026, 3, 2, 9, 5, tzinfo=UTC)) as world:
        yield Stage(world, SCAutomaticControls="KMS.4,S3.8", FirstRepairsOneByOne="3", RepairFindingsSince="2026-03-01")
        assert world.not_known() == []


def run(stage: Stage, *arguments: str) -> int:
    organization = stage.organization
    return main(arguments, lambda name: stage.world.identity.client(name, organization.admin, organization.home))


def answer(stage: Stage, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """Return what a verb that is done prints as JSON."""
    capsys.readouterr()
    assert run(stage, *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def admin(stage: Stage, service: str) -> Any:
    return stage.world.identity.client(service, stage.organization.admin, stage.organization.home)


def queue_named(stage: Stage, logical: str) -> str:
    (url,) = [u for u in admin(stage, "sqs").list_queues()["QueueUrls"] if f"-{logical}-" in u and "Playbook" in u]
    return str(url)


def settled(stage: Stage) -> None:
    """Let all that was sent be done, and told: outcomes wait for others to be told together."""
    stage.world.run()
    stage.world.advance(60)


def minutes(stage: Stage, count: int) -> None:
    for _ in range(count):
        stage.world.advance(60)


@contextmanager
def without_table(stage: Stage) -> Iterator[None]:
    """Within: the playbooks' functions may not use the table."""
    denied = {"Effect": "Deny", "Action": "dynamodb:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
    iam = admin(stage, "iam")
    iam.put_role_policy(RoleName=REPAIR_ROLE, PolicyName=DENY, PolicyDocument=document)
    yield
    iam.delete_role_policy(RoleName=REPAIR_ROLE, PolicyName=DENY)


@contextmanager
def without_queue_policy(stage: Stage) -> Iterator[None]:
    """Within: rules may not send to the playbook's queue."""
    sqs, url = admin(stage, "sqs"), queue_named(stage, "Queue")
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    yield
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


def test_what_a_function_failed_on_is_explained_sent_again_and_repaired(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    with without_table(stage):
        finding = stage.publish(stage.finding(key := stage.key()))
        for _ in range(RECEIVES + 1):
            stage.world.advance(VISIBILITY_SECONDS)
    assert not stage.rotates(key)
    (letter,) = answer(stage, capsys, "redrive")["messages"]
    assert (letter["queue"], letter["kind"]) == ("SC", "failed")
    assert finding["Id"] in letter["about"]
    groups = [
        g["logGroupName"] for g in admin(stage, "logs").describe_log_groups()["logGroups"] if "Playbook" in str(g)
    ]
    assert any(name in letter["to_do"] for name in groups)

    assert answer(stage, capsys, "redrive", "--send")["sent"] == [letter["id"]]
    settled(stage)
    assert stage.rotates(key)
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"
    assert answer(stage, capsys, "redrive")["messages"] == []


def test_what_a_rule_could_not_deliver_is_explained_sent_again_and_repaired(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    with without_queue_policy(stage):
        finding = stage.publish(stage.finding(key := stage.key()))
    (letter,) = answer(stage, capsys, "redrive")["messages"]
    assert letter["kind"] == "not delivered"
    assert "Automatic" in letter["reason"]
    assert "NO_PERMISSIONS" in letter["reason"]

    assert run(stage, "redrive", "--send", "--reason", "NO_PERM") == 0
    settled(stage)
    assert stage.rotates(key)
    assert stage.now(finding)["Workflow"]["Status"] == "RESOLVED"
    attempt = stage.attempt(finding)

    event = samples.imported_event([finding], admin_account=stage.organization.admin, region=stage.organization.home)
    admin(stage, "sqs").send_message(QueueUrl=queue_named(stage, "QueueDead"), MessageBody=json.dumps(event))
    assert run(stage, "redrive", "--send") == 0
    settled(stage)
    assert stage.attempt(finding) == attempt, "sent twice, repaired once"


def test_what_makes_no_sense_is_left_with_what_to_do_until_it_is_deleted_on_purpose(
    stage: Stage, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    finding = {**stage.finding(stage.place.arn("kms", "key/1")), "Region": "us-nowhere-1\n\x1b[31mFORGED"}
    event = samples.imported_event([finding], admin_account=stage.organization.admin, region=stage.organization.home)
    stage.world.emit(
        stage.organization.admin,
        stage.organization.home,
        source=event["source"],
        detail_type=event["detail-type"],
        detail=event["detail"],
    )
    stage.world.run()

    assert run(stage, "redrive", "--send") == 0
    out = capsys.readouterr().out
    assert "SC: 1 message laid aside: Region is" in out
    assert "\x1b" not in out
    assert "\nFORGED" not in out
    assert "0 messages sent again" in out
    (letter,) = answer(stage, capsys, "redrive")["messages"]

    answer(stage, capsys, "redrive", "--send", "--laid-aside")
    stage.world.run()
    (again,) = answer(stage, capsys, "redrive")["messages"]
    assert again["id"] != letter["id"]
    assert again["reason"] == letter["reason"]

    file = tmp_path / "saved"
    assert run(stage, "redrive", "--delete", "--yes", "--id", again["id"], "--save", str(file)) == 0
    assert json.loads(json.loads(file.read_text())["body"])["detail"]["findings"][0]["Id"] == finding["Id"]
    assert answer(stage, capsys, "redrive")["messages"] == []


def test_a_control_that_stopped_is_shown_and_resumed(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    s3 = stage.place.client("s3", "us-east-1")
    for name in ("ops-1", "ops-2"):
        s3.create_bucket(Bucket=name)
    first, second = (
        stage.finding(f"arn:aws:s3:::{name}", control="S3.8", type="AwsS3Bucket", region="us-east-1")
        for name in ("ops-1", "ops-2")
    )
    identity: Any = stage.world.identity

    def refuse(call: Any) -> None:
        if call.operation == "PutPublicAccessBlock":
            raise ClientError({"Error": {"Code": "Refused", "Message": "made to fail"}}, call.operation)

    identity.before.append(refuse)
    stage.publish(first)
    settled(stage)
    identity.before.remove(refuse)
    stage.publish(second)
    assert (stage.attempt(first).outcome, stage.attempt(second).outcome) == ("FAILED", "HELD")

    shown = answer(stage, capsys, "limits")
    control = shown["controls"][0]
    assert (control["control"], control["held"]) == ("S3.8", 1)
    assert "made to fail" in control["stopped"]
    assert shown["parameters"]["FirstRepairsOneByOne"] == "3"
    assert {c["control"] for c in shown["controls"]} == {"KMS.4", "S3.8"}
    assert shown["hour"]["used"] >= 1
    assert run(stage, "limits", "S3.8") == 0
    assert "S3.8 goes on with: resume S3.8" in capsys.readouterr().out

    assert run(stage, "resume", "S3.8") == 0
    assert "made to fail" in capsys.readouterr().out
    minutes(stage, 2)
    assert stage.attempt(second).outcome == "REMEDIATED"
    assert run(stage, "resume", "S3.8") == 1


def test_a_backlog_is_previewed_then_repaired(stage: Stage, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    keys = [stage.key() for _ in range(3)]
    for key in keys:
        stage.publish(stage.finding(key, CreatedAt=OLD, FirstObservedAt=OLD))

    job = answer(stage, capsys, "backlog", "KMS.4", "--preview", "--accounts", stage.place.account)["id"]
    minutes(stage, 3)
    shown = answer(stage, capsys, "backlog", "show", job)
    assert (shown["job"]["state"], shown["job"]["sent"], shown["rows"]) == ("done", 3, 3)
    assert [o["outcome"] for o in shown["outcomes"]] == ["PREVIEWED"]
    assert not any(stage.rotates(key) for key in keys)
    file = tmp_path / "rows.csv"
    assert run(stage, "backlog", "show", job, "--csv", str(file)) == 0
    with file.open(newline="") as lines:
        assert {row["resource"] for row in csv.DictReader(lines)} == set(keys)

    job = answer(stage, capsys, "backlog", "KMS.4", "--repair", "--limit", "2")["id"]
    minutes(stage, 5)
    assert sum(stage.rotates(key) for key in keys) == 2
    assert answer(stage, capsys, "backlog", "list")[0]["id"] == job

    stage.world.advance(60)
    job = answer(stage, capsys, "backlog", "KMS.4", "--repair")["id"]
    assert answer(stage, capsys, "backlog", "cancel", job)["state"] == "cancelled"
    minutes(stage, 3)
    assert sum(stage.rotates(key) for key in keys) == 2


def test_it_runs_as_a_program_on_an_endpoint(stage: Stage) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with stage.world.serve() as url:
        exports = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_REGION": stage.organization.home,
            "AWS_DEFAULT_REGION": stage.organization.home,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

        def program(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "command", *arguments],
                cwd=ROOT,
                env={**own, **exports},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

        done = program("redrive", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["messages"] == []
        wrong = program("redrive", "--region", stage.organization.regions[1])
        assert wrong.returncode == 1
        assert f"no stack sharr-admin in account {stage.organization.admin}" in wrong.stderr
        assert "Traceback" not in wrong.stderr
