"""The world as a whole: its clock, its jobs, its endpoint, its speed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox.assets import Assembly, AssetNotFound
from sandbox.clock import DeadlinePassed, TurnableClock
from sandbox.world import NeverIdle, Sandbox

ADMIN, MEMBER, HOME = "111111111111", "222222222222", "us-east-1"
START = datetime(2024, 5, 15, 9, 0, tzinfo=UTC)


@pytest.fixture
def world() -> Iterator[Sandbox]:
    with Sandbox(start=START) as world:
        yield world


def test_sleep_turns_the_clock_instead_of_waiting() -> None:
    began = time.perf_counter()
    with TurnableClock(START) as clock:
        time.sleep(3600)

        assert 3600 <= (clock.now() - START).total_seconds() < 3610
        assert abs(time.time() - clock.now().timestamp()) < 1
    assert time.perf_counter() - began < 10
    assert datetime.now(UTC).year > 2024


def test_the_nearest_deadline_ends_a_sleep_at_its_time() -> None:
    with TurnableClock(START) as clock, pytest.raises(DeadlinePassed), clock.deadline(100), clock.deadline(10) as end:
        time.sleep(50)
    assert (end - START).total_seconds() == pytest.approx(10, abs=1)


def test_jobs_are_done_when_due_and_in_order(world: Sandbox) -> None:
    done: list[str] = []
    world.later(60, lambda: done.append("second"))
    world.later(30, lambda: done.append("first"))
    world.later(0, lambda: done.append("now"))

    world.run()
    assert done == ["now"]
    world.advance(45)
    assert done == ["now", "first"]
    world.advance(45)
    assert done == ["now", "first", "second"]


def test_a_job_on_the_way_is_done_at_its_time(world: Sandbox) -> None:
    at: list[float] = []
    world.later(100, lambda: at.append((world.clock.now() - START).total_seconds()))

    world.advance(1000)

    assert at == [pytest.approx(100, abs=5)]
    assert (world.clock.now() - START).total_seconds() == pytest.approx(1000, abs=5)


def test_work_that_makes_work_for_itself_is_an_error(world: Sandbox) -> None:
    def again() -> None:
        world.later(0, again)

    again()
    with pytest.raises(NeverIdle, match="after 50 rounds"):
        world.run(max_rounds=50)


def test_a_world_leaves_nothing_behind() -> None:
    with Sandbox() as world:
        world.identity.client("sqs", ADMIN, HOME).create_queue(QueueName="q")
    with Sandbox() as world:
        assert "QueueUrls" not in world.identity.client("sqs", ADMIN, HOME).list_queues()


def raw(url: str, service: str, target: str, body: dict[str, Any]) -> Any:
    """Send a signed request as another process would, past this process's mocks."""
    import http.client
    from urllib.parse import urlsplit

    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    version = "1.0" if service == "sqs" else "1.1"
    headers = {"X-Amz-Target": target, "Content-Type": f"application/x-amz-json-{version}"}
    request = AWSRequest("POST", url + "/", headers=headers, data=json.dumps(body))
    SigV4Auth(Credentials("nobody", "x"), service, HOME).add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("POST", "/", request.body, dict(request.headers))
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, text
    return json.loads(text)


def test_the_endpoint_shares_state_and_is_the_admin_account(world: Sandbox) -> None:
    world.identity.client("sqs", ADMIN, HOME).create_queue(QueueName="in-process")
    with world.serve() as url:
        raw(url, "sqs", "AmazonSQS.CreateQueue", {"QueueName": "by-http"})
        listed = raw(url, "sqs", "AmazonSQS.ListQueues", {})["QueueUrls"]

    assert sorted(each.rsplit("/", 1)[1] for each in listed) == ["by-http", "in-process"]
    assert world.queues.find(f"arn:aws:sqs:{HOME}:{ADMIN}:by-http") is not None


def test_an_event_put_over_http_has_been_delivered_when_it_is_answered(world: Sandbox) -> None:
    rule_arn = f"arn:aws:events:{HOME}:{ADMIN}:rule/r"
    queue_arn = f"arn:aws:sqs:{HOME}:{ADMIN}:q"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    world.identity.client("sqs", ADMIN, HOME).create_queue(QueueName="q", Attributes={"Policy": policy})
    events = world.identity.client("events", ADMIN, HOME)
    events.put_rule(Name="r", EventPattern='{"source": ["my.app"]}')
    events.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": queue_arn}])
    entries = [
        {"Source": "my.app", "DetailType": "t", "Detail": "{}"},
        {"Source": "aws.ec2", "DetailType": "t", "Detail": "{}"},
    ]

    with world.serve() as url:
        answer = raw(url, "events", "AWSEvents.PutEvents", {"Entries": entries})

    assert answer["FailedEntryCount"] == 1
    assert len(world.queues.contents(queue_arn)) == 1


def test_the_endpoint_does_not_let_anyone_reset_the_world(world: Sandbox) -> None:
    import http.client
    from urllib.parse import urlsplit

    with world.serve() as url:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
        connection.request("POST", "/moto-api/reset")
        assert connection.getresponse().status == 403


HUNDRED: dict[str, Any] = {
    "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 60}},
    "QueuePolicy": {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {
            "Queues": [{"Ref": "Queue"}],
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"Service": "events.amazonaws.com"},
                        "Action": "sqs:SendMessage",
                        "Resource": {"Fn::GetAtt": ["Queue", "Arn"]},
                        "Condition": {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["Rule", "Arn"]}}},
                    }
                ],
            },
        },
    },
    "Rule": {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventPattern": {
                "source": ["aws.securityhub"],
                "detail": {"findings": {"Compliance": {"Status": ["FAILED"]}}},
            },
            "Targets": [{"Id": "q", "Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}],
        },
    },
    "Role": {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
                ],
            },
            "Policies": [
                {
                    "PolicyName": "p",
                    "PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [
                            {"Effect": "Allow", "Action": ["sqs:*", "dynamodb:*", "logs:*"], "Resource": "*"}
                        ],
                    },
                }
            ],
        },
    },
    "Table": {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        },
    },
    "Function": {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Handler": "index.handler",
            "Runtime": "python3.13",
            "Timeout": 30,
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Environment": {"Variables": {"TABLE": {"Ref": "Table"}}},
            "Code": {
                "ZipFile": """
import boto3, json, os
def handler(event, context):
    table = boto3.client("dynamodb")
    for record in event["Records"]:
        finding = json.loads(record["body"])["detail"]["findings"][0]
        table.put_item(TableName=os.environ["TABLE"], Item={"pk": {"S": finding["Id"]}})
        print(finding["Id"])
"""
            },
        },
    },
    "Mapping": {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
            "FunctionName": {"Ref": "Function"},
            "BatchSize": 5,
        },
    },
}


def test_a_hundred_findings_go_all_the_way_in_seconds(world: Sandbox, tmp_path: Path) -> None:
    template = json.dumps({"Resources": HUNDRED})
    stack = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "t.json", "stackName": "hundred"}}
    (tmp_path / "t.json").write_text(template)
    (tmp_path / "manifest.json").write_text(json.dumps({"artifacts": {"Hundred": stack}}))
    made = world.deploy(tmp_path, "Hundred", ADMIN, HOME)
    for number in range(100):
        finding = {"Id": f"f{number}", "Compliance": {"Status": "FAILED"}}
        world.emit(ADMIN, HOME, source="aws.securityhub", detail_type="t", detail={"findings": [finding]})

    began = time.perf_counter()
    world.run()
    seconds = time.perf_counter() - began

    items = world.identity.client("dynamodb", ADMIN, HOME).scan(TableName=made.resources["Table"], Select="COUNT")
    assert items["Count"] == 100
    assert world.troubles == []
    assert seconds < 15


def test_the_way_of_one_event_can_be_followed_to_the_function(world: Sandbox) -> None:
    world.cloudformation.create("way", json.dumps({"Resources": HUNDRED}), ADMIN, HOME, {}, lambda key: b"")
    finding = {"Id": "f", "Compliance": {"Status": "FAILED"}}
    world.emit(ADMIN, HOME, source="aws.securityhub", detail_type="t", detail={"findings": [finding]})

    world.run()

    hops = world.hops_of(world.router.seen[0].id)
    assert [hop.kind for hop in hops] == ["event to rule", "rule to target", "queue to function"]
    assert hops[2].request_id == world.functions.invocations[0].request_id
    assert world.functions.invocations[0].log == ["f"]


@pytest.mark.parametrize(("stack", "text"), [("None", "no stack 'None'"), ("Docker", "container images")])
def test_an_assembly_says_what_it_does_not_have(tmp_path: Path, stack: str, text: str) -> None:
    (tmp_path / "manifest.json").write_text('{"artifacts": {}}')
    if stack == "Docker":
        (tmp_path / "x.assets.json").write_text('{"files": {}, "dockerImages": {"a": {}}}')

    with pytest.raises(AssetNotFound, match=text):
        Assembly(tmp_path).template(stack)


def test_a_folder_is_an_asset_as_a_zip_that_is_always_the_same(tmp_path: Path) -> None:
    (tmp_path / "asset.1" / "sub").mkdir(parents=True)
    (tmp_path / "asset.1" / "sub" / "a.py").write_text("x = 1")
    asset = {"source": {"path": "asset.1", "packaging": "zip"}, "destinations": {"d": {"objectKey": "k.zip"}}}
    (tmp_path / "s.assets.json").write_text(json.dumps({"files": {"1": asset}}))

    assert Assembly(tmp_path).read("k.zip") == Assembly(tmp_path).read("k.zip")
    with pytest.raises(AssetNotFound, match="no asset has the object key 'other'"):
        Assembly(tmp_path).read("other")
