"""`redrive`: why dead letters are there, sending them again, and that nothing is lost wherever it is interrupted."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import time_machine
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from moto.sqs.models import sqs_backends

from command.__main__ import main
from command.dead_letters import HIDDEN_SECONDS, about, why
from command.deployment import Queue
from command.showing import FORMULA_STARTS, csv_cell, one_line

REGION = "us-east-1"
SC = Queue("SC", "u", "d", "e", "/sharr/sc-log")
FINDING = "arn:aws:securityhub:us-east-1:222222222222:security-control/KMS.4/finding/1"
EVENT = {
    "detail-type": "Security Hub Findings - Imported",
    "detail": {
        "findings": [
            {"Id": FINDING, "AwsAccountId": "222222222222", "Compliance": {"SecurityControlId": "KMS.4"}},
        ]
    },
}


class Watched:
    """A client that tells *seen* of each call, before and after it; long polls do not wait."""

    def __init__(self, client: Any, seen: Callable[[str, str], None]) -> None:
        self._client = client
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)

        def call(**parameters: Any) -> Any:
            parameters.pop("WaitTimeSeconds", None)
            self._seen("before", name)
            answer = real(**parameters)
            self._seen("after", name)
            return answer

        return call


class Deployed:
    """The admin stack's queues in moto, and the command run on them."""

    def __init__(self) -> None:
        def queues(prefix: str) -> dict[str, Any]:
            return {f"{prefix}{kind}": {"Type": "AWS::SQS::Queue"} for kind in ("", "Dead", "EventsDead")}

        nested = {"Resources": {**queues("Queue"), "PlaybookLog": {"Type": "AWS::Logs::LogGroup"}}}
        below = {"TemplateURL": "https://s3.amazonaws.com/assets/nested.json"}
        top = {
            "Resources": {
                **queues("OutcomeQueue"),
                "OutcomeLog": {"Type": "AWS::Logs::LogGroup"},
                "PlaybookSC": {"Type": "AWS::CloudFormation::Stack", "Properties": below},
            },
            "Outputs": {"TableName": {"Value": "attempts"}},
        }
        s3 = self.client("s3")
        s3.create_bucket(Bucket="assets")
        s3.put_object(Bucket="assets", Key="nested.json", Body=json.dumps(nested))
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(StackName="sharr-admin", TemplateBody=json.dumps(top))
        self.sqs = self.client("sqs")
        urls = self.sqs.list_queues()["QueueUrls"]
        self.urls = {url.split("-")[-2]: url for url in urls}

    @staticmethod
    @cache
    def client(service: str) -> Any:
        return boto3.client(
            service, region_name=REGION, aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x"
        )

    def empty(self) -> None:
        """Empty all queues; PurgeQueue does so once a minute only."""
        for regions in sqs_backends.values():
            for queue in regions[REGION].queues.values():
                queue._messages.clear()

    def put(self, queue: str, body: Any, **attributes: str) -> str:
        """Put a message on a queue, by its logical id."""
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        text = body if isinstance(body, str) else json.dumps(body)
        sent = self.sqs.send_message(QueueUrl=self.urls[queue], MessageBody=text, MessageAttributes=typed)
        return str(sent["MessageId"])

    def bodies(self, queue: str, *, hidden: bool = True) -> list[str]:
        """Return what is in a queue, without receiving it."""
        name = self.urls[queue].split("/")[-1]
        (found,) = (q for regions in sqs_backends.values() for q in regions[REGION].queues.values() if q.name == name)
        return sorted(m.body for m in found._messages if hidden or m.visible)

    def run(self, *arguments: str, seen: Callable[[str, str], None] = lambda when, name: None) -> int:
        def clients(service: str) -> Any:
            client = self.client(service)
            return Watched(client, seen) if service == "sqs" else client

        return main(["redrive", *arguments], clients)


@pytest.fixture(scope="module")
def made() -> Iterator[Deployed]:
    with mock_aws():
        yield Deployed()


@pytest.fixture
def deployed(made: Deployed) -> Deployed:
    made.empty()
    return made


def printed(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


# --- what a dead letter says


@pytest.mark.parametrize(
    ("attributes", "kind", "reason", "to_do"),
    [
        ({"reason": "Region is 'x'"}, "laid aside", "Region is 'x'", "upgrade"),
        (
            {"RULE_ARN": "arn:aws:events:r:1:rule/a-rule", "ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "no\nway"},
            "not delivered",
            "a-rule could not deliver: NO_PERMISSIONS: no\\nway",
            "policy",
        ),
        ({}, "failed", "the function of SC failed on it each time that the queue let it try", "/sharr/sc-log"),
    ],
)
def test_why_a_message_is_there_and_what_to_do(
    attributes: Mapping[str, str], kind: str, reason: str, to_do: str
) -> None:
    found = why(attributes, SC)
    assert found[:2] == (kind, reason)
    assert to_do in found[2]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (EVENT, f"KMS.4 222222222222 {FINDING}"),
        ({"attempt": "b7e2a3c4-6f0d-5b1e-9a57-5ec0bf1d0001"}, "attempt b7e2a3c4-6f0d-5b1e-9a57-5ec0bf1d0001"),
        ({"detail": {"ExecutionId": "e-1"}}, "runbook e-1"),
        ({"detail": {"actionName": "Undo with SHARR", "findings": [1] * 7}}, "and 2 more"),
        ("no JSON \x1b[31m\n\u202e", "not JSON: no JSON \\x1b[31m\\n\\u202e"),
        ("[" * 100_000, "not JSON"),
        ([], "not an event: []"),
        ({"detail": {"findings": [{"Id": "a\ncontrol\u2028"}]}}, "? ? a\\ncontrol\\u2028"),
    ],
)
def test_what_a_message_is_about(body: Any, shown: str) -> None:
    assert shown in about(body if isinstance(body, str) else json.dumps(body))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=7)
        | st.dictionaries(st.sampled_from(["attempt", "detail", "findings", "Id", "Compliance", "x"]), inner)
    ),
)


@given(json_values.map(json.dumps) | st.text())
def test_whatever_a_body_is_it_is_shown_on_one_line(body: str) -> None:
    shown = about(body)
    assert shown
    assert shown.isprintable()
    assert len(shown) < 2000


@given(st.text(), st.integers(1, 50))
def test_no_text_leaves_its_line_or_makes_a_spreadsheet_count(text: str, most: int) -> None:
    assert one_line(text).isprintable()
    assert len(one_line(text, most)) <= most
    assert not csv_cell(text).lstrip().startswith(FORMULA_STARTS)
    assert csv_cell(text).isprintable()


# --- showing


def test_all_are_shown_by_reason_and_nothing_is_changed(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(25):
        deployed.put("QueueDead", {**EVENT, "n": n}, reason="Region is\nwrong")
    deployed.put("QueueEventsDead", EVENT, ERROR_CODE="NO_PERMISSIONS", RULE_ARN="arn:x:rule/buttons")
    deployed.put("OutcomeQueueDead", {"attempt": "x"})
    before = {name: deployed.bodies(name) for name in deployed.urls}

    assert deployed.run() == 0

    out = capsys.readouterr().out
    assert "SC: 25 messages laid aside: Region is\\nwrong" in out
    assert "and 5 more" in out
    assert "SC: 1 message not delivered: buttons could not deliver: NO_PERMISSIONS" in out
    assert "outcomes: 1 message failed" in out
    assert FINDING in out
    assert "27 messages in all" in out
    time.sleep(0.002)  # to moto a message is visible after its time, not at it
    assert {name: deployed.bodies(name, hidden=False) for name in deployed.urls} == before, "visible again at once"


def test_json_has_what_a_program_needs(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    message = deployed.put("QueueDead", EVENT, reason="r")
    assert deployed.run("--json") == 0
    (shown,) = printed(capsys)["messages"]
    assert (shown["id"], shown["queue"], shown["kind"], shown["reason"]) == (message, "SC", "laid aside", "r")
    kept = datetime.fromisoformat(shown["lost_at"]) - datetime.fromisoformat(shown["sent_at"])
    assert kept == timedelta(days=14)


def test_none_is_said(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    assert deployed.run() == 0
    assert "no dead letters" in capsys.readouterr().out


# --- sending


def test_each_is_sent_to_the_queue_it_was_meant_for_and_what_was_laid_aside_is_left(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.put("QueueDead", "failed")
    deployed.put("QueueDead", "malformed", reason="r")
    deployed.put("QueueEventsDead", "not delivered", ERROR_CODE="X")
    deployed.put("OutcomeQueueDead", "told nobody")
    deployed.put("OutcomeQueueEventsDead", "runbook", ERROR_CODE="X")

    assert deployed.run("--send") == 0

    out = capsys.readouterr().out
    assert "4 messages sent again" in out
    assert "1 message left, laid aside before" in out
    assert deployed.bodies("Queue") == ["failed", "not delivered"]
    assert deployed.bodies("OutcomeQueue") == ["runbook", "told nobody"]
    assert deployed.bodies("QueueDead") == ["malformed"]

    assert deployed.run("--send") == 0
    assert deployed.bodies("Queue") == ["failed", "not delivered"], "again is harmless"
    assert deployed.run("--send", "--laid-aside") == 0
    assert deployed.bodies("Queue") == ["failed", "malformed", "not delivered"]
    assert deployed.bodies("QueueDead") == []


def test_only_those_that_are_asked_for(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    deployed.put("QueueEventsDead", "1", ERROR_CODE="NO_PERMISSIONS")
    deployed.put("QueueEventsDead", "2", ERROR_CODE="THROTTLED")
    three = deployed.put("OutcomeQueueDead", "3")
    deployed.put("OutcomeQueueDead", "4")

    assert deployed.run("--send", "--queue", "sc", "--reason", "no_perm") == 0
    assert (deployed.bodies("Queue"), deployed.bodies("QueueEventsDead")) == (["1"], ["2"])
    assert deployed.run("--send", "--id", three) == 0
    assert (deployed.bodies("OutcomeQueue"), deployed.bodies("OutcomeQueueDead")) == (["3"], ["4"])


def test_a_limit_takes_the_oldest_first(deployed: Deployed) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    for n in (3, 1, 2):
        with time_machine.travel(now + timedelta(minutes=n)):
            deployed.put("QueueDead", str(n))
    with time_machine.travel(now + timedelta(hours=1)):
        assert deployed.run("--send", "--limit", "2") == 0
        assert (deployed.bodies("Queue"), deployed.bodies("QueueDead")) == (["1", "2"], ["3"])


def test_long_bodies_are_sent_in_calls_that_sqs_takes(deployed: Deployed) -> None:
    bodies = [str(n) * 100_000 for n in range(7)]
    for body in bodies:
        deployed.put("QueueDead", body)
    assert deployed.run("--send") == 0
    assert deployed.bodies("Queue") == bodies
    assert deployed.bodies("QueueDead") == []


def test_what_sqs_does_not_take_stays_and_is_told(
    deployed: Deployed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(3):
        deployed.put("QueueDead", str(n))
    send = Watched.__getattr__

    def refusing(watched: Watched, name: str) -> Any:
        if name != "send_message_batch":
            return send(watched, name)

        def call(QueueUrl: str, Entries: list[dict[str, Any]]) -> Any:  # noqa: N803
            refused = {"Id": Entries[0]["Id"], "Code": "InternalError", "SenderFault": False}
            answer = send(watched, name)(QueueUrl=QueueUrl, Entries=Entries[1:])
            return {**answer, "Failed": [refused]}

        return call

    monkeypatch.setattr(Watched, "__getattr__", refusing)
    assert deployed.run("--send") == 1
    assert "not sent: InternalError" in capsys.readouterr().out
    assert len(deployed.bodies("Queue")) == 2
    assert sorted([*deployed.bodies("Queue"), *deployed.bodies("QueueDead")]) == ["0", "1", "2"]


CALLS = ("receive_message", "send_message_batch", "delete_message_batch", "change_message_visibility_batch")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("nth", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, None])
def test_nothing_is_lost_wherever_it_is_interrupted(
    deployed: Deployed, when: str, name: str, nth: int, error: type[BaseException] | None
) -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    bodies = sorted(f"m{n}" for n in range(12))
    count = 0

    def broken(at: str, call: str) -> None:
        nonlocal count
        if (at, call) == (when, name):
            count += 1
            if count >= nth:
                raise error() if error else ClientError({"Error": {"Code": "ExpiredToken", "Message": "late"}}, call)

    with time_machine.travel(now) as clock:
        for body in bodies:
            deployed.put("QueueDead", body)
        deployed.put("QueueDead", "malformed", reason="r")
        assert deployed.run("--send", seen=broken) in (0, 1, 130)
        assert {*deployed.bodies("Queue"), *deployed.bodies("QueueDead")} == {*bodies, "malformed"}
        clock.shift(HIDDEN_SECONDS + 1)
        assert deployed.run("--send") == 0
        assert set(deployed.bodies("Queue")) == set(bodies)
        assert deployed.bodies("QueueDead") == ["malformed"]


# --- deleting


def test_deleted_is_only_what_was_saved_before(
    deployed: Deployed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.put("QueueDead", EVENT, reason="forged")
    deployed.put("QueueDead", "other", reason="r")
    file = tmp_path / "saved.jsonl"
    saved_before: list[bool] = []

    def seen(when: str, name: str) -> None:
        if (when, name) == ("before", "delete_message_batch"):
            saved_before.append(bool(file.read_text()))

    assert deployed.run("--delete", "--yes", "--reason", "FORGED", "--save", str(file), seen=seen) == 0

    assert "1 message deleted" in capsys.readouterr().out
    assert saved_before == [True]
    (saved,) = map(json.loads, file.read_text().splitlines())
    assert json.loads(saved["body"]) == EVENT
    assert saved["attributes"] == {"reason": "forged"}
    assert saved["queue_url"] == deployed.urls["Queue"]
    assert file.stat().st_mode & 0o077 == 0
    assert deployed.bodies("QueueDead") == ["other"]

    assert deployed.run("--delete", "--yes", "--reason", "r", "--save", str(file)) == 1
    assert "there already" in capsys.readouterr().err
    assert deployed.bodies("QueueDead") == ["other"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--delete"], "--delete needs"),
        (["--delete", "--yes", "--reason", "r"], "--save FILE"),
        (["--delete", "--save", "f", "--reason", "r"], "--yes"),
        (["--delete", "--save", "f", "--yes"], "--id ID or --reason"),
        (["--send", "--delete"], "not both"),
        (["--laid-aside"], "goes with --send"),
        (["--queue", "CIS\x1b"], "wanted one of outcomes, SC"),
        (["--limit", "0"], "from 1 to"),
        (["--limit", "ten"], "from 1 to"),
    ],
)
def test_wrong_usage_says_what_was_wanted_and_does_nothing(
    deployed: Deployed, arguments: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.put("QueueDead", "m")
    try:
        code = deployed.run(*arguments)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code == 2
    error = capsys.readouterr().err
    assert wanted in error
    assert "\x1b" not in error
    assert deployed.bodies("QueueDead") == ["m"]


# --- errors that are expected


def test_a_stack_that_is_not_there_is_said_with_account_and_region(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployed.run("--stack", "elsewhere") == 1
    error = capsys.readouterr().err
    assert "no stack elsewhere in account 123456789012, Region us-east-1" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("environment", "arguments", "said"),
    [
        ({"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}, [], "Unable to locate credentials"),
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, [], "You must specify a region"),
        ({}, ["--profile", "nobody"], "nobody"),
    ],
)
def test_missing_credentials_region_and_profile_are_said_without_a_trace(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: Mapping[str, str],
    arguments: list[str],
    said: str,
) -> None:
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["redrive", *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert error.startswith("command redrive: ")


def test_a_refused_call_is_said_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    class Refused:
        class meta:  # noqa: N801
            region_name = REGION

        def describe_stacks(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not\nyou"}}, "DescribeStacks")

    assert main(["redrive"], lambda _: Refused()) == 1
    assert capsys.readouterr().err == "command redrive: DescribeStacks: AccessDenied: not\\nyou\n"
