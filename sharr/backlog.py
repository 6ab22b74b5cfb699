"""
Backlog jobs: a control's open findings, read from Security Hub and fed through the playbooks' queues, page by page.

A job is an item of the table, made by the command: pk `backlog#<id>`, sk `-`, with control, mode (`preview`: nothing is
changed and nothing is written on findings; `repair`: as automation would, whatever RepairFindingsSince says), accounts
(empty: all), most (0: all), state (open, done, cancelled, failed), cursor, read, sent, why, due_shard, due_at. The
sweeper feeds one page a minute. What came of each finding is an item beside it: sk `<attempt id>`.

Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_GetFindings.html (100 findings a page)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from sharr import table
from sharr.attempts import Attempt
from sharr.finding import BACKLOG, BACKLOG_JOB, JOB_TRIGGERS, OWN_SOURCE, MalformedFinding, parse_finding
from sharr.runtime.describing import reversibility
from sharr.standards import Standards
from sharr.table import stamp

PAGE = 100
JOBS_AT_ONCE = 10
SHARD = "backlog"
EVERY = timedelta(minutes=1)
ROWS_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is in the table; *read* findings were read, *sent* of them went to a playbook's queue."""

    id: str
    control: str
    mode: str
    accounts: frozenset[str]
    most: int
    cursor: str
    read: int
    sent: int


@dataclass(frozen=True, slots=True)
class Page:
    """What one page gave: messages by playbook, playbooks that are not loaded, and how the job stands after it."""

    messages: Mapping[str, Sequence[str]]
    not_loaded: Sequence[str]
    read: int
    sent: int
    cursor: str
    is_last: bool


def filters_of(job: Job) -> dict[str, Any]:
    """
    Return the filters of GetFindings: failed, new, active findings of the job's control.

    That they are Security Hub's own is for parse_finding: names of products change, and anybody can choose one.
    """

    def equals(value: str) -> list[dict[str, str]]:
        return [{"Value": value, "Comparison": "EQUALS"}]

    return {
        "ComplianceSecurityControlId": equals(job.control),
        "ComplianceStatus": equals("FAILED"),
        "WorkflowStatus": equals("NEW"),
        "RecordState": equals("ACTIVE"),
        # Twenty values are the most that a filter takes; what else is not asked for is left out here.
        **({"AwsAccountId": [*(equals(a)[0] for a in sorted(job.accounts))]} if 0 < len(job.accounts) <= 20 else {}),
    }


def page_of(
    job: Job, answer: Mapping[str, Any], standards: Standards, playbooks: Container[str], event: Mapping[str, Any]
) -> Page:
    """
    Return what a page of GetFindings means for the job.

    *playbooks* are loaded; *event* has account, region and time of the messages.
    """
    messages: dict[str, list[str]] = {}
    not_loaded: set[str] = set()
    sent = job.sent
    for raw in answer["Findings"]:
        try:
            finding = parse_finding(raw, standards)
        except MalformedFinding:
            continue  # not one that a playbook could take: a product that only says it is Security Hub
        wanted = not job.accounts or finding.account in job.accounts
        if finding.control != job.control or not wanted or (job.most and sent >= job.most):
            continue
        if finding.standard not in playbooks:
            not_loaded.add(finding.standard)
            continue
        body = {
            **event,
            "source": OWN_SOURCE,
            "detail-type": BACKLOG_JOB,
            "id": f"{BACKLOG}{job.id}",
            "detail": {"mode": job.mode, "findings": [raw]},
        }
        messages.setdefault(finding.standard, []).append(json.dumps(body, separators=(",", ":"), default=str))
        sent += 1
    cursor = str(answer.get("NextToken") or "")
    is_last = not cursor or bool(job.most and sent >= job.most)
    return Page(messages, sorted(not_loaded), job.read + len(answer["Findings"]), sent, cursor, is_last)


def row_of(attempt: Attempt, disruption: str) -> dict[str, Any]:
    """Return the item of the job's report that says what came of a finding."""
    plan = attempt.journal.get("open") or attempt.journal.get("plan") or []
    calls = [f"{c['client']}.{c['operation']}" for c in plan if "operation" in c]
    return {
        "pk": f"backlog#{attempt.job}",
        "sk": attempt.id,
        "account": attempt.finding["account"],
        "region": attempt.finding["region"],
        "resource": attempt.finding["resource"],
        "finding": attempt.finding["uid"],
        "remediation": attempt.remediation,
        "outcome": attempt.outcome,
        "why": attempt.why,
        "guard": attempt.guard,
        "calls": calls[:50],
        "undo": reversibility(plan) if plan else "",
        "disruption": disruption,
        "expires_at": int((datetime.fromisoformat(attempt.created_at) + ROWS_KEPT).timestamp()),
    }


@dataclass(frozen=True, slots=True)
class Backlog:
    """Feeds jobs. *send* puts messages into the queue of a playbook, and raises where one was not taken."""

    client: Any
    table: str
    hub: Any
    standards: Standards
    playbooks: Mapping[str, str]
    account: str
    region: str
    send: Callable[[str, Sequence[str]], None]
    log: Callable[[str, Mapping[str, Any]], None]

    def feed(self, now: datetime, may_repair: Callable[[], bool]) -> int:
        """Feed a page of each job that is due; return how many findings were sent. Repairs wait while limits do."""
        count = 0
        for job in list(self._due(now)):
            if job.mode == "repair" and not may_repair():
                self._save(job, now, {})
                continue
            try:
                count += self._feed(job, now)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                # A token that is too old: from the start again. What was looked at for this job is not looked at again.
                changes = {"cursor": ""} if code == "InvalidInputException" and job.cursor else {}
                self._save(job, now, changes | {"why": f"a page could not be read: {code}; tried again every minute"})
                self.log("a backlog job could not read a page", {"job": job.id, "code": code})
        return count

    def _feed(self, job: Job, now: datetime) -> int:
        if job.mode not in JOB_TRIGGERS:
            self._save(job, now, {"state": "failed", "why": "mode is neither preview nor repair"}, over=True)
            return 0
        token = {"NextToken": job.cursor} if job.cursor else {}
        sort = [{"Field": "CreatedAt", "SortOrder": "asc"}]
        answer = self.hub.get_findings(Filters=filters_of(job), SortCriteria=sort, MaxResults=PAGE, **token)
        event = {"account": self.account, "region": self.region, "time": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        page = page_of(job, answer, self.standards, self.playbooks, event)
        for standard, messages in page.messages.items():
            self.send(self.playbooks[standard], messages)
        why = f"not loaded, so left out: {', '.join(page.not_loaded)}" if page.not_loaded else ""
        changes = {"cursor": page.cursor, "read": page.read, "sent": page.sent, "why": why}
        self._save(job, now, changes | ({"state": "done"} if page.is_last else {}), over=page.is_last)
        return page.sent - job.sent

    def _due(self, now: datetime) -> Iterator[Job]:
        for key in table.due(self.client, self.table, SHARD, "due_at <= :now", {":now": stamp(now)}, JOBS_AT_ONCE):
            item = table.read(self.client, self.table, str(key["pk"]))
            if item.get("state") == "open":
                yield Job(
                    id=str(item["pk"]).removeprefix("backlog#"),
                    control=str(item["control"]),
                    mode=str(item["mode"]),
                    accounts=frozenset(map(str, item.get("accounts", ()))),
                    most=int(item.get("most", 0)),
                    cursor=str(item.get("cursor", "")),
                    read=int(item.get("read", 0)),
                    sent=int(item.get("sent", 0)),
                )

    def _save(self, job: Job, now: datetime, changes: Mapping[str, Any], *, over: bool = False) -> None:
        """Save how the job stands; one that was cancelled meanwhile stays so."""
        values = dict(changes) | ({} if over else {"due_at": stamp(now + EVERY)})
        sets = ", ".join(f"#{name} = :{name}" for name in values)
        expression = " ".join(
            filter(None, (f"SET {sets}" if values else "", "REMOVE due_at, due_shard" if over else ""))
        )
        try:
            self.client.update_item(
                TableName=self.table,
                Key=table.key(f"backlog#{job.id}"),
                UpdateExpression=expression,
                ConditionExpression="#state = :open",
                ExpressionAttributeNames={f"#{name}": name for name in (*values, "state")},
                ExpressionAttributeValues=table.item(
                    {f":{name}": value for name, value in values.items()} | {":open": "open"}
                ),
            )
        except self.client.exceptions.ConditionalCheckFailedException:
            self.log("a backlog job was cancelled", {"job": job.id})
