"""SSM Automation of the sandbox, held against AWS's documentation (pages named in each test)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.sandbox.fakes import FakeWorld, a_world, error_of

ACCOUNT, REGION = "222222222222", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/sharr/s3-require_tls"


@pytest.fixture
def world() -> Iterator[FakeWorld]:
    with a_world() as world:
        yield world


def ssm(world: FakeWorld, region: str = REGION) -> Any:
    return world.identity.client("ssm", ACCOUNT, region)


def script(body: str, **changes: Any) -> dict[str, Any]:
    source = "\n".join(["def handler(events, context):", *(f"    {line}" for line in body.splitlines())])
    inputs = {"Runtime": "python3.11", "Handler": "handler", "Script": source}
    inputs |= {"InputPayload": changes.pop("payload")} if "payload" in changes else {}
    return {"name": "Run", "action": "aws:executeScript", "inputs": inputs} | changes


def document(*steps: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"schemaVersion": "0.3", "assumeRole": ROLE, "mainSteps": list(steps)} | changes


def created(world: FakeWorld, content: dict[str, Any], name: str = "repair") -> str:
    ssm(world).create_document(Name=name, DocumentType="Automation", DocumentFormat="JSON", Content=json.dumps(content))
    return name


def ran(world: FakeWorld, content: dict[str, Any], **parameters: list[str]) -> dict[str, Any]:
    """Return the execution of a document, after it ended."""
    asked = {"Parameters": parameters} if parameters else {}
    id_ = ssm(world).start_automation_execution(DocumentName=created(world, content), **asked)["AutomationExecutionId"]
    world.run()
    execution: dict[str, Any] = ssm(world).get_automation_execution(AutomationExecutionId=id_)["AutomationExecution"]
    return execution


def statuses(execution: dict[str, Any]) -> list[str]:
    return [step["StepStatus"] for step in execution["StepExecutions"]]


# --- starting


def test_start_returns_before_the_runbook_runs(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartAutomationExecution.html"""
    id_ = ssm(world).start_automation_execution(DocumentName=created(world, document(script("return 1"))))[
        "AutomationExecutionId"
    ]
    at_once = ssm(world).get_automation_execution(AutomationExecutionId=id_)["AutomationExecution"]
    world.run()
    later = ssm(world).get_automation_execution(AutomationExecutionId=id_)["AutomationExecution"]

    assert (at_once["AutomationExecutionStatus"], statuses(at_once)) == ("Pending", ["Pending"])
    assert (later["AutomationExecutionStatus"], statuses(later)) == ("Success", ["Success"])
    assert later["DocumentVersion"] == "1"
    assert later["ExecutedBy"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/administrator/sandbox"


def test_ssm_assumes_the_role_in_the_context_of_the_execution(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/cross-service-confused-deputy-prevention.html"""
    execution = ran(world, document(script("import boto3\nreturn boto3.client('sts').get_caller_identity()['Arn']")))

    id_ = execution["AutomationExecutionId"]
    source = f"arn:aws:ssm:{REGION}:{ACCOUNT}:automation-execution/{id_}"
    context = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": source}
    assert world.services.assumed == [("ssm.amazonaws.com", ROLE, f"Automation-{id_}", context)]
    assert execution["StepExecutions"][0]["Outputs"]["Payload"][0].startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/")


def test_a_role_that_cannot_be_assumed_is_told_at_the_start(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-troubleshooting.html"""
    world.services.refuse.add(ROLE)
    name = created(world, document(script("return 1")))

    code = error_of(lambda: ssm(world).start_automation_execution(DocumentName=name))

    assert code == "InvalidAutomationExecutionParametersException"
    assert ssm(world).describe_automation_executions()["AutomationExecutionMetadataList"] == []


def test_a_token_starts_one_execution(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartAutomationExecution.html"""
    name = created(world, document(script("return 1"), parameters={"A": {"type": "String", "default": "x"}}))
    token = str(uuid.uuid4())

    def start(**changes: Any) -> Any:
        return ssm(world).start_automation_execution(**{"DocumentName": name, "ClientToken": token} | changes)

    first, second = start(), start()
    world.run()

    assert first["AutomationExecutionId"] == second["AutomationExecutionId"] == start()["AutomationExecutionId"]
    assert len(world.events) == 1
    assert error_of(lambda: start(Parameters={"A": ["y"]})) == "IdempotentParameterMismatch"
    assert error_of(lambda: start(ClientToken="z" * 36)) == "ValidationException"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"DocumentName": "nowhere"}, "AutomationDefinitionNotFoundException"),
        ({"DocumentName": "command"}, "AutomationDefinitionNotFoundException"),
        ({"DocumentName": "repair", "DocumentVersion": "7"}, "AutomationDefinitionVersionNotFoundException"),
        ({"DocumentName": "repair", "Parameters": {"Bucket": ["b"]}}, None),
        ({"DocumentName": "repair"}, "InvalidAutomationExecutionParametersException"),
        ({"Parameters": {"Bucket": ["b"], "Other": ["x"]}}, "InvalidAutomationExecutionParametersException"),
        ({"Parameters": {"Bucket": ["UPPER"]}}, "InvalidAutomationExecutionParametersException"),
        ({"Parameters": {"Bucket": ["a", "b"]}}, "InvalidAutomationExecutionParametersException"),
        ({"Parameters": {"Bucket": ["b" * 513]}}, "ValidationException"),
        ({"Parameters": {"Bucket": ["b" * 512]}}, None),
        ({"Parameters": {"Bucket": ["b"], "Mode": ["other"]}}, "InvalidAutomationExecutionParametersException"),
        ({"Parameters": {"Bucket": ["b"], "Days": ["x"]}}, "InvalidAutomationExecutionParametersException"),
    ],
)
def test_what_is_asked_for_is_checked(world: FakeWorld, asked: dict[str, Any], code: str | None) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartAutomationExecution.html"""
    parameters = {
        "Bucket": {"type": "String", "allowedPattern": "^[a-z]+$"},
        "Mode": {"type": "String", "default": "remediate", "allowedValues": ["remediate", "preview"]},
        "Days": {"type": "Integer", "default": 3},
    }
    created(world, document(script("return 1"), parameters=parameters))
    command = {"schemaVersion": "2.2", "description": "d", "mainSteps": []}
    ssm(world).create_document(Name="command", DocumentType="Command", Content=json.dumps(command))

    def start() -> Any:
        return ssm(world).start_automation_execution(**{"DocumentName": "repair"} | asked)

    if code is None:
        assert start()["AutomationExecutionId"]
    else:
        assert error_of(start) == code


def test_documents_are_of_one_region(world: FakeWorld) -> None:
    created(world, document(script("return 1")))
    elsewhere = ssm(world, "us-east-1")

    code = error_of(lambda: elsewhere.start_automation_execution(DocumentName="repair"))

    assert code == "AutomationDefinitionNotFoundException"


def test_the_chosen_version_runs(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartAutomationExecution.html"""
    name = created(world, document(script("return 'old'")))
    ssm(world).update_document(
        Name=name,
        Content=json.dumps(document(script("return 'new'"))),
        DocumentVersion="$LATEST",
        DocumentFormat="JSON",
    )
    got = []
    for version in ("$DEFAULT", "$LATEST", "2"):
        id_ = ssm(world).start_automation_execution(DocumentName=name, DocumentVersion=version)["AutomationExecutionId"]
        world.run()
        execution = ssm(world).get_automation_execution(AutomationExecutionId=id_)["AutomationExecution"]
        got.append((execution["DocumentVersion"], execution["StepExecutions"][0]["Outputs"]["Payload"]))

    assert got == [("1", ["old"]), ("2", ["new"]), ("2", ["new"])]


@pytest.mark.parametrize(
    "asked", [{"Mode": "Interactive"}, {"MaxErrors": "1"}, {"Targets": [{"Key": "k", "Values": []}]}]
)
def test_what_is_not_emulated_is_refused_loudly(world: FakeWorld, asked: dict[str, Any]) -> None:
    name = created(world, document(script("return 1")))

    with pytest.raises(NotImplementedError):
        ssm(world).start_automation_execution(DocumentName=name, **asked)


# --- scripts


def test_a_script_gets_json_and_gives_json_and_its_prints_are_its_log(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-executeScript.html"""
    step = script(
        "print('hello')\nreturn {'got': events['name'], 'account': context['global:ACCOUNT_ID']}",
        payload={"name": "{{ Name }}"},
        outputs=[{"Name": "Got", "Selector": "$.Payload.got", "Type": "String"}],
    )
    execution = ran(
        world,
        document(step, parameters={"Name": {"type": "String"}}, outputs=["Run.Got", "Run.OutputPayload"]),
        Name=["bucket"],
    )

    assert execution["StepExecutions"][0]["Outputs"]["ExecutionLog"] == ["hello\n"]
    assert execution["Outputs"]["Run.Got"] == ["bucket"]
    assert json.loads(execution["Outputs"]["Run.OutputPayload"][0])["Payload"] == {"got": "bucket", "account": ACCOUNT}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no bucket')", "ValueError - no bucket"),
        ("import datetime\nreturn datetime.datetime.now()", "not JSON serializable"),
        ("return 'x' * 102401", "larger than"),
        ("import sys\nsys.exit(3)", "SystemExit"),
        ("import time\ntime.sleep", None),
    ],
)
def test_a_script_that_fails_fails_its_step(world: FakeWorld, body: str, message: str | None) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-executeScript.html"""
    execution = ran(world, document(script(body)))

    if message is None:
        assert execution["AutomationExecutionStatus"] == "Success"
    else:
        assert execution["AutomationExecutionStatus"] == "Failed"
        assert message in execution["StepExecutions"][0]["FailureMessage"]
        assert message in execution["FailureMessage"]


def test_a_script_has_six_hundred_seconds(world: FakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-executeScript.html"""
    monkeypatch.setattr("time.sleep", world.clock.advance)  # as the real world does
    step = script("import time\ntime.sleep(events['seconds'])", payload={"seconds": 601}, timeoutSeconds=900)

    execution = ran(world, document(step))

    assert (execution["AutomationExecutionStatus"], statuses(execution)) == ("TimedOut", ["TimedOut"])


def test_scripts_do_not_share_names_and_leave_nothing_behind(world: FakeWorld) -> None:
    import sys

    first = script("global SEEN\nSEEN = 1\nreturn __name__", name="First")
    second = script("return 'SEEN' in globals()", name="Second")
    execution = ran(world, document(first, second))

    assert execution["StepExecutions"][1]["Outputs"]["Payload"] == ["false"]
    assert execution["StepExecutions"][0]["Outputs"]["Payload"][0] not in sys.modules


# --- substitution


def test_a_reference_alone_keeps_its_type_and_in_a_text_is_written(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-variables.html"""
    parameters = {"List": {"type": "StringList"}, "On": {"type": "Boolean"}, "Days": {"type": "Integer"}}
    payload = {
        "list": "{{ List }}",
        "on": "{{On}}",
        "days": "{{ Days }}",
        "text": "{{ Days }} days, {{ List }} in {{ global:REGION }}",
        "hostile": ["{{ List }}"],
    }
    execution = ran(
        world,
        document(script("return events", payload=payload), parameters=parameters),
        List=["a", "{{ Days }}"],
        On=["true"],
        Days=["7"],
    )

    assert json.loads(execution["StepExecutions"][0]["Outputs"]["Payload"][0]) == {
        "list": ["a", "{{ Days }}"],
        "on": True,
        "days": 7,
        "text": f'7 days, ["a", "{{{{ Days }}}}"] in {REGION}',
        "hostile": [["a", "{{ Days }}"]],
    }


def test_system_variables(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-variables.html"""
    names = ["global:DATE", "global:DATE_TIME", "global:ACCOUNT_ID", "global:AWS_PARTITION", "automation:EXECUTION_ID"]
    execution = ran(world, document(script("return events", payload={n: f"{{{{ {n} }}}}" for n in names})))

    values = list(json.loads(execution["StepExecutions"][0]["Outputs"]["Payload"][0]).values())
    assert values == ["2026-03-02", "2026-03-02_09.00.00", ACCOUNT, "aws", execution["AutomationExecutionId"]]


# --- flow


def test_what_succeeded_before_a_failure_keeps_its_outputs(world: FakeWorld) -> None:
    plan = script(
        "return {'plan': 1}", name="Plan", outputs=[{"Name": "P", "Selector": "$.Payload.plan", "Type": "Integer"}]
    )
    apply = script("raise RuntimeError('throttled')", name="Apply")
    never = script("return 1", name="Never")
    execution = ran(world, document(plan, apply, never, outputs=["Plan.P", "Apply.Payload"]))

    assert statuses(execution) == ["Success", "Failed", "Pending"]
    assert execution["AutomationExecutionStatus"] == "Failed"
    assert execution["StepExecutions"][0]["Outputs"]["P"] == ["1"]
    assert execution["Outputs"]["Plan.P"] == ["1"]
    assert execution["Outputs"]["Apply.Payload"][0].startswith("No output available yet")


@pytest.mark.parametrize(
    ("changes", "status", "steps"),
    [
        ({}, "Failed", ["Failed", "Pending", "Pending"]),
        ({"onFailure": "Continue"}, "Success", ["Failed", "Success", "Success"]),
        ({"onFailure": "Continue", "isCritical": True}, "Failed", ["Failed", "Success", "Success"]),
        ({"onFailure": "step:Third"}, "Failed", ["Failed", "Pending", "Success"]),
        ({"onFailure": "step:Third", "isCritical": False}, "Success", ["Failed", "Pending", "Success"]),
        ({"onFailure": "Continue", "isEnd": True}, "Success", ["Failed", "Pending", "Pending"]),
        ({"onFailure": "Continue", "nextStep": "Third"}, "Success", ["Failed", "Pending", "Success"]),
    ],
)
def test_what_a_failure_leads_to(world: FakeWorld, changes: dict[str, Any], status: str, steps: list[str]) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-actions.html#automation-common"""
    first = script("raise ValueError", name="First", **changes)
    execution = ran(world, document(first, script("return 2", name="Second"), script("return 3", name="Third")))

    assert (execution["AutomationExecutionStatus"], statuses(execution)) == (status, steps)


def test_next_step_and_is_end(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-actions.html#automation-common"""
    first = script("return 1", name="First", nextStep="Third")
    third = script("return 3", name="Third", isEnd=True)
    execution = ran(world, document(first, script("return 2", name="Second"), third, script("return 4", name="Fourth")))

    assert statuses(execution) == ["Success", "Pending", "Success", "Pending"]


def test_a_step_is_tried_as_often_as_it_says(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-actions.html#automation-common"""
    body = "import boto3\ns3 = boto3.client('s3')\nn = len(s3.list_buckets()['Buckets'])\n"
    body += "s3.create_bucket(Bucket=f'try-{n}', CreateBucketConfiguration={'LocationConstraint': 'eu-west-1'})\n"
    execution = ran(world, document(script(body + "assert n == 2", maxAttempts=3)))

    assert statuses(execution) == ["Success"]
    assert len(world.identity.client("s3", ACCOUNT, REGION).list_buckets()["Buckets"]) == 3


@pytest.mark.parametrize(
    ("choice", "taken"),
    [
        ({"Variable": "{{ P }}", "StringEquals": "apple"}, True),
        ({"Variable": "{{ P }}", "EqualsIgnoreCase": "APPLE"}, True),
        ({"Variable": "{{ P }}", "StartsWith": "app"}, True),
        ({"Variable": "{{ P }}", "EndsWith": "app"}, False),
        ({"Variable": "{{ P }}", "Contains": "ppl"}, True),
        ({"Variable": "{{ N }}", "NumericGreater": 4}, True),
        ({"Variable": "{{ N }}", "NumericLesserOrEquals": 4}, False),
        ({"Variable": "{{ B }}", "BooleanEquals": True}, True),
        ({"Not": {"Variable": "{{ P }}", "StringEquals": "apple"}}, False),
        ({"And": [{"Variable": "{{ N }}", "NumericEquals": 5}, {"Variable": "{{ P }}", "StartsWith": "x"}]}, False),
        ({"Or": [{"Variable": "{{ N }}", "NumericEquals": 5}, {"Variable": "{{ P }}", "StartsWith": "x"}]}, True),
    ],
)
def test_branches(world: FakeWorld, choice: dict[str, Any], taken: bool) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-branch.html"""
    branch = {"Choices": [{"NextStep": "Yes", **choice}], "Default": "No"}
    parameters = {
        "P": {"type": "String", "default": "apple"},
        "N": {"type": "Integer", "default": 5},
        "B": {"type": "Boolean", "default": True},
    }
    execution = ran(
        world,
        document(
            {"name": "Branch", "action": "aws:branch", "inputs": branch},
            script("return 1", name="Yes", isEnd=True),
            script("return 1", name="No", isEnd=True),
            parameters=parameters,
        ),
    )

    assert statuses(execution)[1:] == (["Success", "Pending"] if taken else ["Pending", "Success"])


# --- calls, assertions, waiting


def api(name: str, action: str = "aws:executeAwsApi", **inputs: Any) -> dict[str, Any]:
    return {"name": name, "action": action, "inputs": inputs}


def test_an_api_is_called_as_the_role_and_its_outputs_go_on(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-executeAwsApi.html"""
    make = api("Make", Service="sqs", Api="CreateQueue", QueueName="q-{{ global:REGION }}")
    make["outputs"] = [{"Name": "Url", "Selector": "$.QueueUrl", "Type": "String"}]
    read = api("Read", Service="sqs", Api="GetQueueAttributes", QueueUrl="{{ Make.Url }}", AttributeNames=["QueueArn"])
    read["outputs"] = [{"Name": "Arn", "Selector": "$.Attributes.QueueArn"}]
    execution = ran(world, document(make, read, outputs=["Read.Arn"]))

    assert execution["Outputs"] == {"Read.Arn": [f"arn:aws:sqs:{REGION}:{ACCOUNT}:q-{REGION}"]}


def test_an_api_error_is_the_steps_failure(world: FakeWorld) -> None:
    execution = ran(world, document(api("Read", Service="s3", Api="GetBucketPolicy", Bucket="nowhere")))

    assert execution["AutomationExecutionStatus"] == "Failed"
    assert "NoSuchBucket" in execution["FailureMessage"]


@pytest.mark.parametrize(("desired", "status"), [("Enabled", "Success"), ("Disabled", "Failed")])
def test_assertions(world: FakeWorld, desired: str, status: str) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-assertAwsResourceProperty.html"""
    key = world.identity.client("kms", ACCOUNT, REGION).create_key()["KeyMetadata"]["KeyId"]
    step = api(
        "Assert",
        "aws:assertAwsResourceProperty",
        Service="kms",
        Api="DescribeKey",
        KeyId=key,
        PropertySelector="$.KeyMetadata.KeyState",
        DesiredValues=[desired],
    )

    assert ran(world, document(step))["AutomationExecutionStatus"] == status


@pytest.mark.parametrize(("enabled_after", "status", "seconds"), [(50, "Success", 60), (9999, "TimedOut", 120)])
def test_waiting_for_a_property_takes_the_worlds_time(
    world: FakeWorld, enabled_after: int, status: str, seconds: int
) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-waitForAwsResourceProperty.html"""
    kms = world.identity.client("kms", ACCOUNT, REGION)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=key)
    world.later(enabled_after, lambda: kms.enable_key(KeyId=key))
    step = api(
        "Wait",
        "aws:waitForAwsResourceProperty",
        Service="kms",
        Api="DescribeKey",
        KeyId=key,
        PropertySelector="$.KeyMetadata.KeyState",
        DesiredValues=["Enabled"],
    ) | {"timeoutSeconds": 120}
    execution = ran(world, document(step))

    took = execution["ExecutionEndTime"] - execution["ExecutionStartTime"]
    assert (execution["AutomationExecutionStatus"], took.total_seconds()) == (status, seconds)


def test_sleeping_holds_nothing_up_and_can_be_stopped(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StopAutomationExecution.html"""
    sleep = {"name": "Sleep", "action": "aws:sleep", "inputs": {"Duration": "PT10M"}}
    id_ = ssm(world).start_automation_execution(DocumentName=created(world, document(sleep, script("return 1"))))[
        "AutomationExecutionId"
    ]
    seen: list[tuple[str, str]] = []

    def stop() -> None:
        execution = ssm(world).get_automation_execution(AutomationExecutionId=id_)["AutomationExecution"]
        seen.append((execution["AutomationExecutionStatus"], execution["CurrentStepName"]))
        ssm(world).stop_automation_execution(AutomationExecutionId=id_)

    world.later(60, stop)
    world.run()
    execution = ssm(world).get_automation_execution(AutomationExecutionId=id_)["AutomationExecution"]

    assert seen == [("InProgress", "Sleep")]
    assert (execution["AutomationExecutionStatus"], statuses(execution)) == ("Cancelled", ["Cancelled", "Pending"])
    again = error_of(lambda: ssm(world).stop_automation_execution(AutomationExecutionId=id_))
    assert again == "InvalidAutomationStatusUpdateException"


# --- events and lists


def test_the_end_is_an_event_in_the_account_and_region(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/monitoring-systems-manager-event-examples.html"""
    sleep = {"name": "Sleep", "action": "aws:sleep", "inputs": {"Duration": "PT5S"}}
    execution = ran(world, document(sleep, script("raise ValueError")))

    (event,) = world.events
    id_ = execution["AutomationExecutionId"]
    assert (event["account"], event["region"], event["source"]) == (ACCOUNT, REGION, "aws.ssm")
    assert event["detail-type"] == "EC2 Automation Execution Status-change Notification"
    assert event["resources"] == [
        f"arn:aws:ssm:{REGION}:{ACCOUNT}:automation-execution/{id_}",
        f"arn:aws:ssm:{REGION}:{ACCOUNT}:automation-definition/repair:1",
    ]
    assert event["detail"] == {
        "ExecutionId": id_,
        "Definition": "repair",
        "DefinitionVersion": 1.0,
        "Status": "Failed",
        "StartTime": "Mar 2, 2026 9:00:00 AM",
        "EndTime": "Mar 2, 2026 9:00:05 AM",
        "Time": 5000.0,
        "ExecutedBy": f"arn:aws:sts::{ACCOUNT}:assumed-role/administrator/sandbox",
    }


def test_executions_and_steps_are_listed_filtered_and_paged(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeAutomationExecutions.html"""
    content = document(script("return 1", name="First"), script("raise ValueError", name="Second"))
    first = ran(world, content)
    ssm(world).start_automation_execution(DocumentName="repair")
    pages = ssm(world).get_paginator("describe_automation_executions").paginate(PaginationConfig={"PageSize": 1})
    failed = ssm(world).describe_automation_executions(Filters=[{"Key": "ExecutionStatus", "Values": ["Failed"]}])
    steps = ssm(world).describe_automation_step_executions(
        AutomationExecutionId=first["AutomationExecutionId"],
        Filters=[{"Key": "StepExecutionStatus", "Values": ["Failed"]}],
    )["StepExecutions"]

    assert [len(p["AutomationExecutionMetadataList"]) for p in pages] == [1, 1]
    listed = [e["AutomationExecutionId"] for e in failed["AutomationExecutionMetadataList"]]
    assert listed == [first["AutomationExecutionId"]]
    assert [step["StepName"] for step in steps] == ["Second"]
    missing = error_of(lambda: ssm(world).get_automation_execution(AutomationExecutionId="0" * 36))
    assert missing == "AutomationExecutionNotFoundException"


# --- documents


def refused(world: FakeWorld, content: str, format_: str = "JSON") -> str:
    def create() -> Any:
        return ssm(world).create_document(
            Name="bad", DocumentType="Automation", DocumentFormat=format_, Content=content
        )

    return error_of(create)


@pytest.mark.parametrize(
    "content",
    [
        document(script("return 1"), schemaVersion="0.2"),
        document(script("return 1"), surprise=1),
        document(),
        document(script("return 1"), script("return 1")),
        document(script("return 1", name="with-dash")),
        document(script("return 1", nextStep="Nowhere")),
        document(script("return 1", onFailure="step:Nowhere")),
        document(script("return 1", onFailure="Ignore")),
        document(script("return 1", onCancel="step:Run")),
        document(script("return 1", maxAttempts=0)),
        document(script("return '{{ Run.Payload }}'")),
        document(script("return 1", payload={"a": "{{ Nowhere }}"})),
        document(script("return 1", payload={"a": "{{ Run.Nothing }}"})),
        document(script("return 1", outputs=[{"Name": "X", "Selector": "$..x", "Type": "String"}])),
        document(script("return 1", outputs=[{"Name": "X", "Selector": "$.x", "Type": "Text"}])),
        document({"name": "Run", "action": "aws:runInstances", "inputs": {}}),
        document({"name": "Run", "action": "aws:sleep", "inputs": {"Timestamp": "2026-01-01T00:00:00Z"}}),
        document(script("return 1"), outputs=["Run.Nothing"]),
        document(script("return 1"), parameters={"A": {"type": "Text"}}),
        document(script("return 1"), parameters={"A": {"type": "String", "allowedPattern": "("}}),
        document(script("return 1"), parameters=["A"]),
        document(script("return 1"), assumeRole=""),
    ],
)
def test_a_document_that_is_wrong_or_not_emulated_cannot_be_created(world: FakeWorld, content: dict[str, Any]) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html"""
    assert refused(world, json.dumps(content)) == "InvalidDocumentContent"
    assert refused(world, yaml.safe_dump(content), "YAML") == "InvalidDocumentContent"


def test_the_size_and_the_format_of_a_document_are_checked(world: FakeWorld) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CreateDocument.html"""
    assert (
        refused(world, json.dumps(document(script("return 1"), description="x" * 65536))) == "MaxDocumentSizeExceeded"
    )
    assert refused(world, "{") == "InvalidDocumentContent"
    assert refused(world, "a: [", "YAML") == "InvalidDocumentContent"


def test_a_yaml_document_runs(world: FakeWorld) -> None:
    content = yaml.safe_dump(document(script("return 1")))
    ssm(world).create_document(Name="repair", DocumentType="Automation", DocumentFormat="YAML", Content=content)
    id_ = ssm(world).start_automation_execution(DocumentName="repair")["AutomationExecutionId"]
    world.run()

    assert (
        ssm(world).get_automation_execution(AutomationExecutionId=id_)["AutomationExecution"][
            "AutomationExecutionStatus"
        ]
        == "Success"
    )


def test_a_bad_update_of_a_document_is_refused(world: FakeWorld) -> None:
    name = created(world, document(script("return 1")))

    def update() -> Any:
        return ssm(world).update_document(Name=name, Content=json.dumps(document()), DocumentVersion="$LATEST")

    assert error_of(update) == "InvalidDocumentContent"
