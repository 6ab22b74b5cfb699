"""Backlog jobs on the table alone: what a page that cannot be read does to a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from moto import mock_aws

from sharr import table
from sharr.backlog import Backlog
from sharr.loader import ROOT
from sharr.standards import load_standards
from sharr.table import read, stamp
from tests.test_attempts import TABLE, make_table


class Hub:
    """GetFindings that forgets a token, once."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get_findings(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked.get("NextToken", ""))
        if self.asked == ["old"]:
            error = {"Code": "InvalidInputException", "Message": "the token is too old"}
            raise ClientError({"Error": error}, "GetFindings")  # type: ignore[typeddict-item]
        return {"Findings": []}


def test_a_token_that_is_too_old_begins_the_job_anew_and_says_so_meanwhile() -> None:
    with mock_aws():
        client, hub, said = make_table(), Hub(), []
        job = {"control": "KMS.4", "mode": "preview", "state": "open", "cursor": "old", "due_shard": "backlog"}
        now = datetime(2026, 3, 2, tzinfo=UTC)
        client.put_item(TableName=TABLE, Item=table.item({"pk": "backlog#j", "sk": "-", "due_at": stamp(now), **job}))
        feeder = Backlog(
            client, TABLE, hub, load_standards(ROOT), {}, "1" * 12, "eu-west-1", lambda *_: None,
            lambda text, _extra: said.append(text),
        )  # fmt: skip

        feeder.feed(now, lambda: True)
        assert "InvalidInputException" in str(read(client, TABLE, "backlog#j")["why"])
        assert said
        feeder.feed(now + timedelta(minutes=1), lambda: True)

        assert hub.asked == ["old", ""]
        assert (read(client, TABLE, "backlog#j")["state"], read(client, TABLE, "backlog#j")["why"]) == ("done", "")
