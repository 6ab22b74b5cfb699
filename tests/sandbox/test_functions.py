"""How the sandbox runs handlers: isolation, environment, errors, time."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.functions import Invocation
from sandbox.world import Sandbox

ADMIN, HOME = "111111111111", "us-east-1"
LOGS = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "*",
}


@pytest.fixture(scope="module")
def world() -> Iterator[Sandbox]:
    with Sandbox(start=datetime(2024, 5, 15, 9, 0, tzinfo=UTC)) as world:
        yield world


def zipped(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def function(
    world: Sandbox, name: str, files: Mapping[str, str] | str, *, statements: list[Any] | None = None, **settings: Any
) -> str:
    """Make a function and its role; return its ARN."""
    iam = world.identity.client("iam", ADMIN, HOME)
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    for index, statement in enumerate(statements or []):
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=name, PolicyName=f"p{index}", PolicyDocument=policy)
    code = zipped({"index.py": files} if isinstance(files, str) else files)
    settings = {"Handler": "index.handler", "Runtime": "python3.13", "Timeout": 10} | settings
    client = world.identity.client("lambda", ADMIN, HOME)
    made = client.create_function(FunctionName=name, Role=role, Code={"ZipFile": code}, **settings)
    return str(made["FunctionArn"])


def run(world: Sandbox, name: str, code: Mapping[str, str] | str, event: Any = None, **settings: Any) -> Invocation:
    return world.functions.invoke(function(world, name, code, **settings), event)


def test_event_and_result_are_json(world: Sandbox) -> None:
    result = run(world, "json", "def handler(event, context):\n    return {'got': event, 't': (1, 2)}", {"a": [1]})

    assert result.payload == {"got": {"a": [1]}, "t": [1, 2]}
    assert result.error is None


# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
def test_the_environment_is_lambdas_and_the_templates_and_nothing_else(world: Sandbox, monkeypatch: Any) -> None:
    monkeypatch.setenv("SECRET_OF_THE_MACHINE", "x")
    code = "import os\ndef handler(event, context):\n    return dict(os.environ)"

    environment = run(world, "environment", code, Environment={"Variables": {"MINE": "1"}}).payload

    assert environment["AWS_LAMBDA_FUNCTION_NAME"] == "environment"
    assert environment["AWS_REGION"] == HOME
    assert environment["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert environment["MINE"] == "1"
    assert "SECRET_OF_THE_MACHINE" not in environment


def test_a_call_of_the_handler_is_made_and_judged_as_the_functions_role(world: Sandbox) -> None:
    code = """
import boto3
def handler(event, context):
    arn = boto3.client("sts").get_caller_identity()["Arn"]
    try:
        boto3.client("sns").publish(TopicArn="arn:aws:sns:us-east-1:111111111111:t", Message="m")
    except Exception as error:
        return arn, str(error)
"""
    arn, error = run(world, "identity", code).payload

    assert arn == f"arn:aws:sts::{ADMIN}:assumed-role/identity/identity"
    assert "not authorized to perform: SNS:Publish" in error or "sns:Publish" in error


# https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
def test_the_context_tells_name_request_and_time_left(world: Sandbox) -> None:
    code = """
import time
def handler(event, context):
    before = context.get_remaining_time_in_millis()
    time.sleep(4)
    return context.function_name, context.aws_request_id, before, context.get_remaining_time_in_millis()
"""
    result = run(world, "context", code)

    name, request_id, before, after = result.payload
    assert (name, request_id) == ("context", result.request_id)
    assert 8000 < before <= 10_000
    assert 4000 <= before - after < 6000


# https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html and, for the names, the runtime's own messages
@pytest.mark.parametrize(
    ("kind", "code", "handler", "message"),
    [
        ("ValueError", "def handler(e, c):\n    raise ValueError('bad')", "index.handler", "bad"),
        ("Runtime.ImportModuleError", "import no_such", "index.handler", "No module named 'no_such'"),
        ("Runtime.ImportModuleError", "", "other.handler", "Unable to import module 'other'"),
        ("Runtime.HandlerNotFound", "", "index.handler", "Handler 'handler' missing on module 'index'"),
        ("Runtime.UserCodeSyntaxError", "def", "index.handler", "Syntax error in module 'index'"),
        ("Runtime.MalformedHandlerName", "", "index", "Bad handler 'index'"),
        (
            "Runtime.MarshalError",
            "def handler(e, c):\n    return {1, 2}",
            "index.handler",
            "Unable to marshal response",
        ),
        ("Runtime.ExitError", "def handler(e, c):\n    raise SystemExit(1)", "index.handler", "Runtime exited"),
    ],
)
def test_errors_are_reported_as_lambda_reports_them(
    world: Sandbox, kind: str, code: str, handler: str, message: str
) -> None:
    name = f"error-{abs(hash((kind, handler)))}"

    error = run(world, name, code, Handler=handler).error

    assert error is not None
    assert error["errorType"] == kind
    assert message in error["errorMessage"]


def test_an_errors_stack_starts_in_the_handler(world: Sandbox) -> None:
    error = run(world, "stack", "def handler(e, c):\n    return 1 / 0").error

    assert error is not None
    assert "index.py" in error["stackTrace"][0]


def test_a_sleep_beyond_the_timeout_ends_the_function(world: Sandbox) -> None:
    code = """
import time
def handler(event, context):
    try:
        time.sleep(60)
    except Exception:
        return "caught"
"""
    before = world.clock.now()

    result = run(world, "slow", code, Timeout=5)

    assert result.error is not None
    assert "Task timed out after 5.00 seconds" in result.error["errorMessage"]
    assert 4 < (world.clock.now() - before).total_seconds() < 20


def test_modules_stay_warm_until_cold_and_are_not_shared(world: Sandbox) -> None:
    files = {
        "index.py": "from counter import count\ndef handler(e, c):\n    count.append(1)\n    return len(count)",
        "counter.py": "count = []",
    }
    one, two = function(world, "one", files), function(world, "two", files)

    assert [world.functions.invoke(arn, None).payload for arn in (one, one, two)] == [1, 2, 1]
    world.functions.cold()
    assert world.functions.invoke(one, None).payload == 1


def test_new_code_is_imported(world: Sandbox) -> None:
    arn = function(world, "updated", "def handler(e, c):\n    return 'old'")
    assert world.functions.invoke(arn, None).payload == "old"

    code = zipped({"index.py": "def handler(e, c):\n    return 'new'"})
    world.identity.client("lambda", ADMIN, HOME).update_function_code(FunctionName="updated", ZipFile=code)

    assert world.functions.invoke(arn, None).payload == "new"


def test_what_the_process_has_but_lambda_has_not_cannot_be_imported(world: Sandbox) -> None:
    error = run(world, "unshipped", "import sandbox\ndef handler(e, c):\n    return 1").error

    assert error is not None
    assert error["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'sandbox'" in error["errorMessage"]


def test_the_sdk_of_the_process_is_used_though_the_zip_ships_one(world: Sandbox) -> None:
    files = {
        "index.py": "import boto3\ndef handler(e, c):\n    return boto3.__file__",
        "boto3/__init__.py": "raise RuntimeError('the copy of the zip')",
    }

    assert "site-packages" in run(world, "shipped", files).payload


def test_the_process_keeps_its_own_modules(world: Sandbox) -> None:
    import sandbox.organization as own

    files = {
        "index.py": "import sandbox\ndef handler(e, c):\n    return sandbox.NAME",
        "sandbox/__init__.py": "NAME = 'zip'",
    }

    assert run(world, "same-name", files).payload == "zip"
    import sandbox.organization as after

    assert after is own


POWERTOOLS = """
from aws_lambda_powertools import Logger
logger = Logger(service="s")
def handler(event, context):
    logger.append_keys(name=context.function_name)
    logger.info("hello")
"""


def test_powertools_logs_of_two_functions_are_captured_and_kept_apart(world: Sandbox) -> None:
    files = {"index.py": POWERTOOLS, "aws_lambda_powertools/__init__.py": ""}
    names = ["logger-one", "logger-two"]

    logs = [run(world, name, files).log for name in names]

    assert [[json.loads(line)["name"] for line in lines] for lines in logs] == [["logger-one"], ["logger-two"]]


# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
@pytest.mark.parametrize(("statements", "written"), [([LOGS], True), ([], False)])
def test_lines_get_to_the_log_group_with_the_roles_permission_only(
    world: Sandbox, statements: list[Any], written: bool
) -> None:
    name = f"logging-{written}"

    result = run(world, name, "def handler(e, c):\n    print('a line')", statements=statements)

    logs = world.identity.client("logs", ADMIN, HOME)
    groups = logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{name}")["logGroups"]
    assert result.log == ["a line"]
    assert bool(groups) is written
    assert (result.log_error is None) is written
    if written:
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        assert [event["message"] for event in events] == ["a line"]


def test_a_role_that_lambda_may_not_assume_runs_nothing(world: Sandbox) -> None:
    arn = function(world, "untrusted", "def handler(e, c):\n    return 1")
    trust = {"Effect": "Allow", "Principal": {"Service": "ssm.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    iam = world.identity.client("iam", ADMIN, HOME)
    iam.update_assume_role_policy(RoleName="untrusted", PolicyDocument=document)

    with pytest.raises(ClientError, match="AccessDenied"):
        world.functions.invoke(arn, None)


def test_invoke_by_a_client_gives_payload_error_and_log(world: Sandbox) -> None:
    function(world, "by-client", "def handler(e, c):\n    print('x')\n    return {'e': e} if e else 1 / 0")
    client = world.identity.client("lambda", ADMIN, HOME)

    good = client.invoke(FunctionName="by-client", Payload=b'{"a": 1}')
    bad = client.invoke(FunctionName="by-client", Payload=b"0")

    assert json.loads(good["Payload"].read()) == {"e": {"a": 1}}
    assert "FunctionError" not in good
    assert bad["FunctionError"] == "Unhandled"
    assert json.loads(bad["Payload"].read())["errorType"] == "ZeroDivisionError"


def test_reserved_concurrency_of_zero_throttles(world: Sandbox) -> None:
    arn = function(world, "stopped", "def handler(e, c):\n    return 1")
    client = world.identity.client("lambda", ADMIN, HOME)
    client.put_function_concurrency(FunctionName="stopped", ReservedConcurrentExecutions=0)

    with pytest.raises(ClientError, match="TooManyRequests"):
        world.functions.invoke(arn, None)


# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
def test_an_asynchronous_invocation_is_retried_twice_then_goes_to_the_failure_queue(world: Sandbox) -> None:
    queue_arn = f"arn:aws:sqs:{HOME}:{ADMIN}:failures"
    world.identity.client("sqs", ADMIN, HOME).create_queue(QueueName="failures")
    allow = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue_arn}
    arn = function(world, "async", "def handler(e, c):\n    raise ValueError(e['n'])", statements=[allow])
    client = world.identity.client("lambda", ADMIN, HOME)
    client.put_function_event_invoke_config(
        FunctionName="async", DestinationConfig={"OnFailure": {"Destination": queue_arn}}
    )
    before = len(world.functions.invocations)

    client.invoke(FunctionName="async", InvocationType="Event", Payload=b'{"n": "7"}')
    world.run()
    assert len(world.functions.invocations) - before == 1
    world.advance(61)
    assert len(world.functions.invocations) - before == 2
    world.advance(121)

    assert len(world.functions.invocations) - before == 3
    (message,) = world.queues.contents(queue_arn)
    body = json.loads(message["body"])
    assert body["requestPayload"] == {"n": "7"}
    assert body["requestContext"]["functionArn"] == f"{arn}:$LATEST"
    assert body["requestContext"]["approximateInvokeCount"] == 3
