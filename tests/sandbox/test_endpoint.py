"""The endpoint as a person meets it: another process, an AWS client without any of our patches, and the commands."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.__main__ import main
from sandbox.organization import Organization

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120
"""Ten times what it takes alone on a machine: templates may have to be synthesized first."""


def clean(exports: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with nothing of AWS's but *exports*."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return {**own, **nowhere, "AWS_EC2_METADATA_DISABLED": "true", **exports}


class Served:
    """A sandbox in a process of its own, and what it told a person."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.said = ""
        for line in process.stdout:
            self.said += line
            if " enter " in line:
                break
        self.exports = dict(re.findall(r"(AWS_[A-Z_]+)=(\S+)", self.said))
        self.url = self.exports["AWS_ENDPOINT_URL"]

    def client(self, code: str, exports: Mapping[str, str] | None = None) -> Any:
        """Run *code* in a new process, with boto3 and the exports that were printed; return what it prints, as JSON."""
        whole = "import boto3, json\n" + textwrap.dedent(code)
        return json.loads(self._run([sys.executable, "-c", whole], exports or self.exports))

    def command(self, *arguments: str) -> str:
        """Run `python -m sandbox` with *arguments*; return what it prints."""
        return self._run([sys.executable, "-m", "sandbox", *arguments], self.exports)

    def post(self, control: str, body: str, content_type: str = "application/json", method: str = "POST") -> int:
        """Return the status that the control path answers with."""
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        connection.request(method, f"/sharr-sandbox/{control}", body, {"Content-Type": content_type})
        return connection.getresponse().status

    def _run(self, arguments: list[str], exports: Mapping[str, str]) -> str:
        done = subprocess.run(
            arguments, env=clean(exports), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--port", "0"],
        env=clean({}),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Served(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


SHOWN = """
    pages = boto3.client("securityhub").get_paginator("get_findings")
    wanted = {"RecordState": [{"Value": "ACTIVE", "Comparison": "EQUALS"}]}
    findings = [f for page in pages.paginate(Filters=wanted) for f in page["Findings"]]
    print(json.dumps({f["Compliance"]["SecurityControlId"]: [f["Workflow"]["Status"], f["Id"]] for f in findings}))
"""


@pytest.fixture(scope="module")
def findings(served: Served) -> dict[str, list[str]]:
    """Workflow status and id of the finding of each control, at the beginning."""
    return dict(served.client(SHOWN))


def test_any_client_finds_what_is_broken_and_what_a_rule_repaired(findings: dict[str, list[str]]) -> None:
    remediations = {path.parent for path in (ROOT / "ssm_documents").glob("*/*/remediation.yaml")}
    assert len(findings) == len(remediations)
    assert findings["KMS.4"][0] == "RESOLVED"
    assert findings["S3.2"][0] == "NEW"


def test_pressing_the_button_repairs_the_resource_and_resolves_the_finding(
    served: Served, findings: dict[str, list[str]]
) -> None:
    status, finding_id = findings["S3.5"]
    assert status == "NEW"

    said = served.command("press", "remediate", finding_id)

    assert said.startswith("RESOLVED")
    region, owner = finding_id.split(":")[3:5]
    inside = dict(re.findall(r"export (AWS_[A-Z_]+)=(\S+)", served.command("enter", Organization().names[owner])))
    account, policy, now = served.client(
        f"""
        account = boto3.client("sts").get_caller_identity()["Account"]
        hub = boto3.client("securityhub", "{region}")
        wanted = {{"Id": [{{"Value": "{finding_id}", "Comparison": "EQUALS"}}]}}
        (finding,) = hub.get_findings(Filters=wanted)["Findings"]
        bucket = finding["Resources"][0]["Id"].split(":")[-1]
        policy = boto3.client("s3", "{region}").get_bucket_policy(Bucket=bucket)["Policy"]
        print(json.dumps([account, policy, finding["Workflow"]["Status"]]))
        """,
        {**served.exports, **inside},
    )
    assert account == owner
    assert "aws:SecureTransport" in policy
    assert now == "RESOLVED"


def test_all_findings_of_a_control_can_be_pressed_and_a_wait_brings_what_takes_time(served: Served) -> None:
    assert served.command("press", "remediate", "RDS.2").startswith("NOTIFIED")

    served.command("wait", "1200")

    assert served.client(SHOWN)["RDS.2"][0] == "RESOLVED"


def test_a_finding_can_be_updated_by_any_client(served: Served, findings: dict[str, list[str]]) -> None:
    finding_id = findings["EC2.2"][1]

    answer = served.client(
        f"""
        hub = boto3.client("securityhub")
        wanted = {{"Id": [{{"Value": "{finding_id}", "Comparison": "EQUALS"}}]}}
        (finding,) = hub.get_findings(Filters=wanted)["Findings"]
        unprocessed = hub.batch_update_findings(
            FindingIdentifiers=[{{"Id": finding["Id"], "ProductArn": finding["ProductArn"]}}],
            Workflow={{"Status": "SUPPRESSED"}},
            Note={{"Text": "by hand", "UpdatedBy": "a person"}},
        )["UnprocessedFindings"]
        (finding,) = hub.get_findings(Filters=wanted)["Findings"]
        print(json.dumps([unprocessed, finding["Workflow"]["Status"], finding["Note"]["Text"]]))
        """
    )

    assert answer == [[], "SUPPRESSED", "by hand"]


def test_events_of_aws_cannot_be_forged_over_the_api(served: Served) -> None:
    codes = served.client(
        """
        entries = [{"Source": source, "DetailType": "t", "Detail": "{}"} for source in ("aws.securityhub", "my.app")]
        answer = boto3.client("events").put_events(Entries=entries)
        print(json.dumps([entry.get("ErrorCode") for entry in answer["Entries"]]))
        """
    )

    assert codes == ["NotAuthorizedForSourceException", None]


@pytest.mark.parametrize(
    ("control", "body", "more", "status"),
    [
        ("press", '{"action": "delete", "findings": []}', {}, 400),
        ("press", '{"action": "remediate", "findings": "all"}', {}, 400),
        ("press", '{"action": "remediate", "findings": ["no such finding"]}', {}, 400),
        ("press", '{"action": ["remediate"], "findings": []}', {}, 400),
        ("press", "[]", {}, 400),
        ("press", "{", {}, 400),
        ("wait", '{"seconds": -1}', {}, 400),
        ("wait", '{"seconds": NaN}', {}, 400),
        ("press", "a" * 100_001, {}, 413),
        ("press", "{}", {"content_type": "text/plain"}, 415),
        ("press", "{}", {"method": "GET"}, 405),
        ("reset", "{}", {}, 404),
    ],
)
def test_what_the_control_path_does_not_take_is_refused(
    served: Served, control: str, body: str, more: dict[str, str], status: int
) -> None:
    assert served.post(control, body, **more) == status


def test_it_listens_on_this_machine_only(served: Served) -> None:
    port = urlsplit(served.url).port
    own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in own - {"127.0.0.1"}:
        with socket.socket() as probe:
            assert probe.connect_ex((str(address), port or 0)), address
    assert urlsplit(served.url).hostname == "127.0.0.1"


@pytest.mark.parametrize("url", ["https://securityhub.us-east-1.amazonaws.com", "http://127.0.0.1:1", "ftp://x"])
def test_commands_talk_to_a_sandbox_or_to_nobody(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wait", "--url", url, "1"]) == 1

    assert url in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_at_once(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", str(urlsplit(served.url).port)]) == 1

    assert "is taken" in capsys.readouterr().err


def test_ctrl_c_ends_it_well(served: Served) -> None:
    served.process.send_signal(signal.SIGINT)

    assert served.process.wait(timeout=20) == 0
