"""An action that the sandbox does not know is an error of the service to the caller, and one line on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.parsers import create_parser
from moto.sqs.responses import SQSResponse

from sandbox.not_emulated import INTERNAL_FAILURE, NOT_IMPLEMENTED, Asked, refusal
from sandbox.world import Sandbox

JSON = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.fixture(scope="module")
def world() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def error_seen(world: Sandbox, service: str, method: str, path: str, headers: dict[str, str], body: str) -> Any:
    """Send a signed request; return status, code and message as botocore reads them for this service."""
    model = botocore.session.Session().get_service_model(service)
    with world.serve() as url:
        request = AWSRequest(method, url + path, headers=headers, data=body)
        SigV4Auth(Credentials("nobody", "x"), model.signing_name, "us-east-1").add_auth(request)
        connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
        connection.request(method, path, body, dict(request.headers))
        answer = connection.getresponse()
        told = {"status_code": answer.status, "headers": dict(answer.getheaders()), "body": answer.read()}
    parsed = create_parser(model.resolved_protocol).parse(told, None)
    return answer.status, parsed["Error"]["Code"], parsed["Error"]["Message"]


@pytest.mark.parametrize(
    ("service", "request_", "shown"),
    [
        ("dynamodb", ("POST", "/", {"X-Amz-Target": "DynamoDB_20120810.ListImports"}, "{}"), "ListImports"),
        ("iam", ("POST", "/", {"Content-Type": FORM}, "Action=NoSuch&Version=2010-05-08"), "NoSuch"),
        ("ec2", ("POST", "/", {"Content-Type": FORM}, "Action=No<Such%0A&Version=2016-11-15"), "No<Such?"),
        ("securityhub", ("POST", "/insights/get", {"Content-Type": "application/json"}, "{}"), "POST /insights/get"),
        ("route53", ("GET", "/2013-04-01/trafficpolicies", {}, ""), "GET /2013-04-01/trafficpolicies"),
        ("apprunner", ("POST", "/", {"X-Amz-Target": "AppRunner.ListServices"}, "{}"), "ListServices"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_action_that_nobody_emulates_is_not_implemented_in_every_protocol(
    world: Sandbox, capfd: pytest.CaptureFixture[str], service: str, request_: tuple[Any, ...], shown: str
) -> None:
    method, path, headers, body = request_
    if "X-Amz-Target" in headers:
        headers = {**headers, "Content-Type": JSON}

    status, code, message = error_seen(world, service, method, path, headers, body)

    assert (status, code) == (501, NOT_IMPLEMENTED)
    assert message.startswith(f"the sandbox does not emulate {service} {shown}")
    assert capfd.readouterr() == ("", f"{message}\n")


def test_a_service_that_breaks_is_an_internal_failure_and_says_why_on_one_line(
    world: Sandbox, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Any) -> None:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(SQSResponse, "list_queues", broken)

    headers = {"X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": "application/x-amz-json-1.0"}
    status, code, message = error_seen(world, "sqs", "POST", "/", headers, "{}")

    assert (status, code) == (500, INTERNAL_FAILURE)
    assert "RuntimeError" in message
    assert capfd.readouterr().err == f"{message}\n"


def test_what_a_service_says_itself_is_passed_on(world: Sandbox, capfd: pytest.CaptureFixture[str]) -> None:
    status, code, _ = error_seen(world, "s3", "GET", "/no-such-bucket", {}, "")

    assert (status, code) == (404, "NoSuchBucket")
    assert capfd.readouterr().err == ""


def test_s3_has_its_error_bare_and_the_answer_to_head_has_no_body() -> None:
    get, head = (Asked("s3", "GET /b", "", is_head) for is_head in (False, True))
    answer = refusal(get, NOT_IMPLEMENTED, "a < b")
    told = {"status_code": 501, "headers": dict(answer.headers), "body": answer.body}

    assert create_parser("rest-xml").parse(told, None)["Error"] == {"Code": NOT_IMPLEMENTED, "Message": "a < b"}
    assert refusal(head, NOT_IMPLEMENTED, "a < b").body == b""


def test_a_bucket_that_is_not_there_is_s3_s_own_404(world: Sandbox) -> None:
    with world.serve() as url:
        request = AWSRequest("HEAD", f"{url}/no-such-bucket")
        SigV4Auth(Credentials("nobody", "x"), "s3", "us-east-1").add_auth(request)
        connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
        connection.request("HEAD", "/no-such-bucket", headers=dict(request.headers))

        assert connection.getresponse().status == 404
