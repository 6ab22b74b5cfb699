"""`backlog` and `limits` on a table of moto's: counts, files, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from command.__main__ import main
from command.backlog import is_switched_on, job_id
from command.controls import all_controls
from command.table import Job, Table
from sharr.backlog import SHARD
from sharr.finding import BACKLOG
from tests.test_attempts import TABLE, make_table

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PARAMETERS = {"RepairsPerHour": "100", "FirstRepairsOneByOne": "10", "LoadSCAdminStack": "yes"}


class Stack:
    """CloudFormation's answer for an admin stack."""

    def __init__(self, **parameters: str) -> None:
        self.parameters = {**PARAMETERS, **parameters}

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        parameters = [{"ParameterKey": k, "ParameterValue": v} for k, v in self.parameters.items()]
        outputs = [{"OutputKey": "TableName", "OutputValue": TABLE}]
        shown = {"StackId": "s", "StackStatus": "UPDATE_COMPLETE", "Parameters": parameters, "Outputs": outputs}
        return {"Stacks": [shown]}


@pytest.fixture
def client() -> Iterator[Any]:
    with mock_aws(), time_machine.travel(NOW, tick=False):
        yield make_table()


@cache
def sts() -> Any:
    return boto3.client("sts", region_name="eu-west-1", aws_access_key_id="a", aws_secret_access_key="b")


def run(client: Any, *arguments: str, **parameters: str) -> int:
    clients: dict[str, Any] = {"dynamodb": client, "sts": sts(), "cloudformation": Stack(**parameters)}
    try:
        return main(arguments, clients.__getitem__)
    except SystemExit as stopped:
        return int(stopped.code or 0)


def started(client: Any, id: str = "kms-4-one", at: datetime = NOW) -> None:
    Table(client, TABLE).start(Job(id, "KMS.4", "preview", (), 0, at.isoformat(), "arn:aws:iam::1:user/x"), at)


def row(client: Any, job: str, attempt: str, **values: Any) -> None:
    texts = {
        "account": "222222222222",
        "region": "eu-west-1",
        "resource": "arn:aws:kms:eu-west-1:222222222222:key/1",
        "remediation": "kms/rotate_key",
        "outcome": "PREVIEWED",
        "why": "",
        "undo": "yes",
        "disruption": "none",
        **values,
    }
    calls = texts.pop("calls", ["kms.enable_key_rotation"])
    item = {name: {"S": value} for name, value in texts.items()}
    item |= {"pk": {"S": f"backlog#{job}"}, "sk": {"S": attempt}, "calls": {"L": [{"S": c} for c in calls]}}
    client.put_item(TableName=TABLE, Item=item)


def item_of(client: Any, pk: str) -> dict[str, Any]:
    answer = client.get_item(TableName=TABLE, Key={"pk": {"S": pk}, "sk": {"S": "-"}})
    return dict(answer.get("Item", {}))


def test_a_job_is_made_as_the_sweeper_wants_it(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    accounts = "222222222222, 333333333333,222222222222"
    assert run(client, "backlog", "kms.4", "--preview", "--accounts", accounts, "--limit", "7") == 0

    assert "job kms-4-20260302-093000: at most 7 open findings of KMS.4" in capsys.readouterr().out
    item = item_of(client, "backlog#kms-4-20260302-093000")
    assert (item["control"]["S"], item["mode"]["S"], item["state"]["S"]) == ("KMS.4", "preview", "open")
    assert item["accounts"]["L"] == [{"S": "222222222222"}, {"S": "333333333333"}]
    assert (item["most"]["N"], item["due_shard"]["S"]) == ("7", SHARD)
    assert item["started_by"]["S"].startswith("arn:aws:sts::")
    in_a_minute = (NOW + timedelta(minutes=1)).isoformat(timespec="milliseconds")
    due = client.query(
        TableName=TABLE,
        IndexName="due",
        KeyConditionExpression="due_shard = :shard AND due_at <= :now",
        ExpressionAttributeValues={
            ":shard": {"S": SHARD},
            ":now": {"S": in_a_minute},
        },
    )["Items"]
    assert [i["pk"]["S"] for i in due] == ["backlog#kms-4-20260302-093000"], "the listing is not fed"
    assert int(item["expires_at"]["N"]) > (NOW + timedelta(days=30)).timestamp()


def test_a_second_job_in_the_same_second_is_refused_and_the_first_stays(
    client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with time_machine.travel(NOW, tick=False):
        assert run(client, "backlog", "KMS.4", "--preview", "--limit", "7") == 0
        assert run(client, "backlog", "KMS.4", "--preview") == 1
    assert "there already" in capsys.readouterr().err
    assert item_of(client, "backlog#kms-4-20260302-093000")["most"]["N"] == "7"


@given(st.sampled_from(all_controls()), st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)))  # noqa: DTZ001
def test_every_control_gives_an_id_that_events_take(control: str, now: datetime) -> None:
    from command.backlog import _JOB
    from sharr.finding import _REQUEST

    assert _JOB.fullmatch(job_id(control, now))
    assert _REQUEST.fullmatch(f"{BACKLOG}{job_id(control, now)}")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"LoadSCAdminStack": "yes", "SCAutomaticControls": "S3.5, KMS.4"}, True),
        ({"LoadSCAdminStack": "yes", "SCAutomaticControls": "*"}, True),
        ({"LoadSCAdminStack": "no", "SCAutomaticControls": "*"}, False),
        ({"LoadSCAdminStack": "yes", "SCAutomaticControls": "KMS.41"}, False),
        ({"LoadSCAdminStack": "yes", "CTAutomaticControls": "KMS.4", "LoadCTAdminStack": "no"}, False),
        ({}, False),
    ],
)
def test_a_control_is_switched_on_by_a_playbook_that_is_loaded(parameters: dict[str, str], expected: bool) -> None:
    assert is_switched_on("KMS.4", parameters) is expected


def test_a_repair_of_what_is_not_switched_on_is_refused(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(client, "backlog", "KMS.4", "--repair") == 1
    assert "not switched on" in capsys.readouterr().err
    assert run(client, "backlog", "KMS.4", "--repair", SCAutomaticControls="KMS.4") == 0


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["backlog", "KMS.44", "--preview"], "perhaps KMS.4"),
        (["backlog", "KMS\x1b", "--preview"], "no control that SHARR repairs"),
        (["backlog", "KMS.4"], "wanted --preview or --repair"),
        (["backlog", "KMS.4", "--preview", "--repair"], "not allowed with"),
        (["backlog", "KMS.4", "more", "--preview"], "one argument too many"),
        (["backlog", "KMS.4", "--preview", "--accounts", "12"], "twelve digits"),
        (["backlog", "KMS.4", "--preview", "--accounts", "٢" * 12], "twelve digits"),
        (["backlog", "KMS.4", "--preview", "--limit", "0"], "from 1 to"),
        (["backlog", "KMS.4", "--preview", "--csv", "f"], "--csv goes with"),
        (["backlog", "show"], "wanted a job's id"),
        (["backlog", "show", "UP"], "wanted a job's id"),
        (["backlog", "list", "--limit", "3"], "takes none of"),
        (["limits", "XYZ.1"], "no control that SHARR repairs"),
        (["resume", "KMS"], "no control that SHARR repairs"),
        (["resume"], "required: CONTROL"),
        (["fly"], "invalid choice"),
    ],
)
def test_wrong_usage_says_what_was_wanted(
    client: Any, arguments: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(client, *arguments) == 2
    error = capsys.readouterr().err
    assert wanted in error
    assert "\x1b" not in error


def test_jobs_are_listed_the_latest_first(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(client, "backlog", "list") == 0
    assert capsys.readouterr().out == "no jobs\n"
    for n in range(120):
        started(client, f"kms-4-{n:03}", at=NOW + timedelta(minutes=n))
    assert run(client, "backlog", "list", "--json") == 0
    ids = [job["id"] for job in json.loads(capsys.readouterr().out)]
    assert len(ids) == 120
    assert ids == sorted(ids, reverse=True)


def test_a_job_is_shown_by_counts_and_as_csv(client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    started(client)
    for n in range(30):
        row(client, "kms-4-one", f"a{n:02}", account=f"{n % 3:012}")
    row(client, "kms-4-one", "b1", outcome="SKIPPED", why="the account is excluded\nFORGED LINE", calls=[])
    row(client, "kms-4-one", "b2", resource='=HYPERLINK("http://x")', disruption="restarts")
    file = tmp_path / "rows.csv"

    assert run(client, "backlog", "show", "kms-4-one", "--csv", str(file)) == 0

    out = capsys.readouterr().out
    assert "0 findings read, 0 sent to a playbook, 32 known" in out
    assert "31        PREVIEWED" in out
    assert "1         SKIPPED    the account is excluded\\nFORGED LINE" in out
    assert "000000000001  10 PREVIEWED" in out
    assert "1         restarts" in out
    assert "and 12 more" in out
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 32
    assert rows[-1]["resource"] == '\'=HYPERLINK("http://x")'
    assert rows[0]["calls"] == "kms.enable_key_rotation"
    assert rows[-2]["why"] == "the account is excluded\\nFORGED LINE"
    assert file.stat().st_mode & 0o077 == 0

    assert run(client, "backlog", "show", "kms-4-one", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["rows"], shown["disruption"]) == (32, {"none": 30, "restarts": 1})
    assert len(shown["first"]) == 20


def test_a_job_is_cancelled_once_and_is_not_due_any_more(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    started(client)
    assert run(client, "backlog", "cancel", "kms-4-one") == 0
    item = item_of(client, "backlog#kms-4-one")
    assert item["state"]["S"] == "cancelled"
    assert not {"due_at", "due_shard"} & item.keys()
    assert run(client, "backlog", "cancel", "kms-4-one") == 1
    assert "is cancelled: there is nothing to cancel" in capsys.readouterr().err
    assert run(client, "backlog", "cancel", "kms-4-none") == 1
    assert "there is no job kms-4-none" in capsys.readouterr().err
    assert item_of(client, "backlog#kms-4-none") == {}


def test_limits_of_an_earlier_hour_count_nothing_now(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for hour, used in (("2026-03-02T08", "0"), ("2026-03-02T09", "42")):
        item = {"pk": {"S": "limits"}, "sk": {"S": "-"}, "hour": {"S": hour}, "used": {"N": "42"}}
        client.put_item(TableName=TABLE, Item=item)
        assert run(client, "limits") == 0
        assert f"{used} of 100 repairs made in this hour" in capsys.readouterr().out


def test_a_control_is_resumed_only_as_it_was_seen(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(client, "resume", "KMS.4") == 1
    assert "is not stopped" in capsys.readouterr().err
    assert item_of(client, "control#KMS.4") == {}

    stopped = {"pk": {"S": "control#KMS.4"}, "sk": {"S": "-"}, "verified": {"N": "3"}}
    stopped |= {"stopped": {"S": "AccessDenied\nx"}, "stopped_at": {"S": "2026-03-02T09:00:00.000+00:00"}}
    client.put_item(TableName=TABLE, Item=stopped)
    (seen,) = Table(client, TABLE).controls(["KMS.4"])
    client.put_item(TableName=TABLE, Item=stopped | {"stopped_at": {"S": "2026-03-02T09:29:00.000+00:00"}})
    with pytest.raises(LookupError, match="meanwhile"):
        Table(client, TABLE).resume(seen, "me", NOW)
    assert "stopped" in item_of(client, "control#KMS.4")

    assert run(client, "resume", "kms.4") == 0
    out = capsys.readouterr().out
    assert "KMS.4 had stopped at 2026-03-02T09:29:00.000+00:00: AccessDenied\\nx" in out
    assert "until 10 repairs are verified (3 are)" in out
    item = item_of(client, "control#KMS.4")
    assert "stopped" not in item
    assert "stopped_at" not in item
    assert item["verified"]["N"] == "3"
    assert item["resumed_by"]["S"].startswith("arn:aws:sts::")
