"""
The playbook function's own code, its handler to its botocore session, with what is around it recorded.

Real: handler, parser, guards, Looks, the table's code, sessions, driver, every remediation. In place of AWS: the table
is moto's, without wire; Security Hub answers with the findings of the event; a member account says of every call that
there is no such resource, or that it may not. So each finding goes as far as its first calls in the member account,
and each call of it is here to be judged.
"""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from unittest.mock import patch

from botocore.exceptions import ClientError
from moto.dynamodb import models
from moto.dynamodb.exceptions import MockValidationException, TransactionCanceledException
from moto.dynamodb.models import DynamoDBBackend

from hostile.grammar import ADMIN, EXCLUDED, HOME, MEMBERS, NOW
from lambdas import wiring
from lambdas.playbook import handler as playbook
from sandbox import samples
from sharr.attempts import Attempt, Attempts
from sharr.catalogue import Catalogue
from sharr.finding import Finding, Trigger
from sharr.findings_port import FindingsPort
from sharr.limits import Limits
from sharr.loader import load_all
from sharr.looks import Looks
from sharr.organization import Accounts
from sharr.publishing import send_ids
from sharr.sessions import Sessions
from sharr.settings import Settings, settings_from

TABLE: Final = "attempts"
OUTCOMES, DEAD_LETTERS = "outcomes", "dead-letters"
REFUSALS: Final = (
    ("ResourceNotFoundException", 400),
    ("NoSuchEntity", 404),
    ("AccessDenied", 403),
    ("InvalidParameterValue", 400),
    ("ThrottlingException", 400),
    ("InternalFailure", 500),
)


@dataclass(frozen=True, slots=True)
class Session:
    """One AssumeRole: the role, the session's name (the attempt's id), its policy."""

    role: str
    name: str
    policy: str | None


@dataclass(frozen=True, slots=True)
class Call:
    """One call in a member account, and the session that it was made with."""

    session: Session
    service: str
    region: str
    operation: str
    parameters: dict[str, Any]


@dataclass(slots=True)
class Records:
    """What one message led to."""

    sessions: list[Session] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    taken: list[tuple[Finding, Trigger, Attempt | None]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class _Refused(ClientError):  # type: ignore[misc]  # botocore has no types here
    """What botocore would raise."""

    def __init__(self, code: str, status: int, operation: str, **more: Any) -> None:
        answer: Any = {
            "Error": {"Code": code, "Message": "no"},
            "ResponseMetadata": {"HTTPStatusCode": status},
            **more,
        }
        super().__init__(answer, operation)


class _Exceptions:
    """A client's exceptions: every name is one, of the code of that name."""

    def __getattr__(self, name: str) -> type[ClientError]:
        return _BY_CODE.setdefault(name, type(name, (_Refused,), {}))


_BY_CODE: Final[dict[str, type[ClientError]]] = {}


class Table:
    """The calls of Attempts, by moto's DynamoDB without its wire."""

    exceptions = _Exceptions()

    def __init__(self) -> None:
        self._backend = DynamoDBBackend(HOME, ADMIN)
        names = ("pk", "sk")
        self._backend.create_table(
            TABLE,
            schema=[{"AttributeName": n, "KeyType": k} for n, k in zip(names, ("HASH", "RANGE"), strict=True)],
            throughput=None,
            attr=[{"AttributeName": n, "AttributeType": "S"} for n in names],
            global_indexes=None,
            indexes=None,
            streams=None,
            billing_mode="PAY_PER_REQUEST",
            sse_specification=None,
            tags=[],
            deletion_protection_enabled=False,
            warm_throughput=None,
        )

    def get_item(self, *, TableName: str, Key: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        item = self._backend.get_item(TableName, Key)
        return {"Item": _received(item.to_json()["Attributes"])} if item else {}

    def transact_get_items(self, *, TransactItems: Any) -> dict[str, Any]:  # noqa: N803
        return {"Responses": [self.get_item(**each["Get"]) for each in TransactItems]}

    def batch_get_item(self, *, RequestItems: Any) -> dict[str, Any]:  # noqa: N803
        found = {
            table: [i["Item"] for key in wanted["Keys"] if (i := self.get_item(TableName=table, Key=key))]
            for table, wanted in RequestItems.items()
        }
        return {"Responses": found}

    def transact_write_items(self, *, TransactItems: Any) -> dict[str, Any]:  # noqa: N803
        before = [self._before(operation) for each in TransactItems for operation in each.items()]
        try:
            self._backend.transact_write_items(_sent(TransactItems))
        except TransactionCanceledException as error:
            for pk, items in before:
                self._backend.tables[TABLE].items[pk] = items
            codes = [{"Code": reason.get("Code")} for reason in json.loads(error.description)["CancellationReasons"]]
            kind: Any = self.exceptions.TransactionCanceledException
            raise kind("TransactionCanceledException", 400, "TransactWriteItems", CancellationReasons=codes) from error
        except MockValidationException as error:
            raise _Refused("ValidationException", 400, f"TransactWriteItems: {error}") from error
        return {}

    def update_item(self, *, ReturnValuesOnConditionCheckFailure: str = "NONE", **update: Any) -> dict[str, Any]:  # noqa: N803
        there = self.get_item(TableName=update["TableName"], Key=update["Key"])
        try:
            self.transact_write_items(TransactItems=[{"Update": update}])
        except self.exceptions.TransactionCanceledException as error:
            kind: Any = self.exceptions.ConditionalCheckFailedException
            more = there if ReturnValuesOnConditionCheckFailure == "ALL_OLD" else {}
            raise kind("ConditionalCheckFailedException", 400, "UpdateItem", **more) from error
        return {}

    def _before(self, operation: tuple[str, Any]) -> tuple[str, Any]:
        """Return the key that an operation is about, and its item as it is now."""
        kind, wanted = operation
        pk = (wanted["Item"] if kind == "Put" else wanted["Key"])["pk"]["S"]
        items = self._backend.tables[TABLE].items.get(pk, {})
        return pk, copy.deepcopy(items) if kind == "Update" else dict(items)


class _Copies:
    """For moto: a transaction copies the whole of all tables first; Table itself keeps what a transaction is about."""

    @staticmethod
    def deepcopy(value: Any) -> Any:
        return dict(value) if isinstance(value, dict) and TABLE in value else copy.deepcopy(value)


def _sent(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"B"}:
            raw: Any = value["B"]
            return {"B": base64.b64encode(bytes(getattr(raw, "value", raw))).decode()}
        return {name: _sent(each) for name, each in value.items()}
    return [_sent(each) for each in value] if isinstance(value, list) else value


def _received(item: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"B": base64.b64decode(value["B"])} if value.keys() == {"B"} else value for name, value in item.items()
    }


@dataclass(slots=True)
class Stage:
    """The function of one playbook after another, each message with a table of its own."""

    records: Records = field(default_factory=Records)
    answers: dict[str, Any] = field(default_factory=dict)
    table: Table = field(default_factory=Table)
    catalogue: Catalogue = field(init=False)
    _settings: dict[str, Settings] = field(default_factory=dict)
    _playbook: str = "SC"
    _looks: Any = None

    def __post_init__(self) -> None:
        self.catalogue = Catalogue.of(load_all(), samples.standards(), "hostile")

    def message(self, body: str, playbook: str) -> list[str]:
        """Have the function of a playbook take a message; return the ids of what it could not take."""
        self._playbook, self._looks = playbook, _Recorded(self._made_looks(), self.records)
        record = {"messageId": "m", "body": body, "eventSource": "aws:sqs", "attributes": {}, "messageAttributes": {}}
        answer = _handler()({"Records": [record]}, None)
        return [failed["itemIdentifier"] for failed in answer["batchItemFailures"]]

    def clear(self, answers: dict[str, Any]) -> None:
        """Begin a new message: nothing recorded, an empty table; GetFindings will know *answers*, by Id."""
        self.records, self.answers, self.table = Records(), answers, Table()

    def attempt(self, attempt_id: str) -> Attempt | None:
        """Return an attempt by its id."""
        return Attempts(self.table, TABLE).get(attempt_id)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within: what the handler reaches for is here."""
        with (
            patch.object(models, "copy", _Copies),
            patch.object(wiring, "settings", self.settings),
            patch.object(wiring, "looks", lambda: self._looks),
            patch.object(wiring, "client", self.client),
            patch.object(playbook, "compiled", lambda: self.catalogue),
            patch.object(playbook, "logger", _Silent()),
            patch.object(playbook.processor, "failure_handler", self._note_failure(playbook.processor.failure_handler)),
        ):
            yield

    def settings(self) -> Settings:
        """Return the settings of the playbook whose turn it is: everything that can be on is on."""
        if self._playbook not in self._settings:
            self._settings[self._playbook] = settings_from(
                {
                    "AWS_REGION": HOME,
                    "ADMIN_ACCOUNT": ADMIN,
                    "HOME_REGION": HOME,
                    "ORGANIZATION_ID": "o-hostile000",
                    "TABLE_NAME": TABLE,
                    "OUTCOME_QUEUE_URL": OUTCOMES,
                    "DEAD_LETTER_QUEUE_URL": DEAD_LETTERS,
                    "PLAYBOOK": self._playbook,
                    "AUTOMATIC_CONTROLS": "*",
                    "BUTTON_REPAIRS": "any control",
                    "EXECUTION_MODE": "runbook" if self._playbook in ("AFSBP", "CIS300") else "by remediation",
                    "STACK_PARAMETERS": json.dumps({"automatic": "a", "excluded": "e", "choices": "c"}),
                }
            )
        return self._settings[self._playbook]

    def client(self, service: str) -> Any:
        """Return a client of the admin account."""
        return self.create_client(service, region_name=HOME)

    def create_client(self, service: str, *, region_name: str, config: Any = None, **credentials: Any) -> Any:
        """Make a client, as a botocore session does."""
        if credentials:
            return _Member(self, credentials["aws_session_token"], service, region_name)
        return self.table if service == "dynamodb" else _Own(self, service)

    def _made_looks(self) -> Looks:
        return Looks(
            catalogue=self.catalogue,
            settings=self.settings(),
            attempts=Attempts(self.table, TABLE),
            limits=Limits(self.table, TABLE, per_hour=1_000_000, first=10),
            accounts=Accounts(
                security_hub=lambda: self.client("securityhub"),
                ssm=lambda: self.client("ssm"),
                admin_account=ADMIN,
                organization_id="o-hostile000",
                parameters=self.settings().stack_parameters,
            ),
            findings=FindingsPort(self.client("securityhub"), self.catalogue.standards, sleep=_no_sleep),
            sessions=Sessions(self, HOME),
            publish=lambda attempts: send_ids(self.client("sqs"), OUTCOMES, attempts),
            now=_now,
            sleep=_no_sleep,
        )

    def _note_failure(self, real: Any) -> Any:
        def failure_handler(record: Any, exception: Any) -> Any:
            self.records.failed.append(f"{exception[0].__name__}: {str(exception[1])[:200]}")
            return real(record=record, exception=exception)

        return failure_handler


def _handler() -> Any:
    return playbook.handler


def _now() -> datetime:
    return NOW


def _no_sleep(_seconds: float) -> None:
    pass


class _Silent:
    def warning(self, *_: Any, **__: Any) -> None:
        pass


@dataclass(slots=True)
class _Recorded:
    """Looks that also note what became of each finding."""

    looks: Looks
    records: Records

    def on_finding(self, finding: Finding, trigger: Trigger, request: str, at: datetime) -> Attempt | None:
        attempt = self.looks.on_finding(finding, trigger, request, at)
        self.records.taken.append((finding, trigger, attempt))
        return attempt

    def again(self, attempt_id: str) -> Attempt | None:
        return self.looks.again(attempt_id)


@dataclass(slots=True)
class _Own:
    """A client of the function's own role."""

    stage: Stage
    service: str

    def assume_role(self, *, RoleArn: str, RoleSessionName: str, Policy: str | None = None, **_: Any) -> Any:  # noqa: N803
        sessions = self.stage.records.sessions
        sessions.append(Session(RoleArn, RoleSessionName, Policy))
        token = str(len(sessions) - 1)
        return {"Credentials": {"AccessKeyId": "A", "SecretAccessKey": "S", "SessionToken": token}}

    def send_message(self, **message: Any) -> Any:
        self.stage.records.sent.append(message)
        return {}

    def send_message_batch(self, *, QueueUrl: str, Entries: Any) -> Any:  # noqa: N803
        for entry in Entries:
            self.stage.records.sent.append({"QueueUrl": QueueUrl, "MessageBody": entry["MessageBody"]})
        return {}

    def get_findings(self, *, Filters: Any, **_: Any) -> Any:  # noqa: N803
        found = self.stage.answers.get(Filters["Id"][0]["Value"])
        return {"Findings": [] if found is None else [found]}

    def get_members(self, *, AccountIds: list[str]) -> Any:  # noqa: N803
        known = (*MEMBERS, EXCLUDED)
        return {"Members": [{"AccountId": a, "MemberStatus": "Enabled"} for a in AccountIds if a in known]}

    def get_parameters(self, **_: Any) -> Any:
        values = {"a": "automatic,", "e": f"excluded,{EXCLUDED}", "c": "parameters,"}
        return {"Parameters": [{"Name": name, "Value": value} for name, value in values.items()]}


@dataclass(slots=True)
class _Member:
    """A client in a member account: every call is recorded, and refused in one of a few ways."""

    stage: Stage
    token: str
    service: str
    region: str

    exceptions = _Exceptions()

    def __getattr__(self, operation: str) -> Any:
        if operation.startswith("_"):
            raise AttributeError(operation)

        def call(*args: Any, **parameters: Any) -> Any:
            if operation == "get_paginator":
                return _Pages(self, args[0])
            records = self.stage.records
            records.calls.append(
                Call(records.sessions[int(self.token)], self.service, self.region, operation, parameters)
            )
            code, status = REFUSALS[len(records.calls) % len(REFUSALS)]
            kind: Any = _BY_CODE.get(code, _Refused)
            raise kind(code, status, operation)

        return call


@dataclass(slots=True)
class _Pages:
    client: _Member
    operation: str

    def paginate(self, **parameters: Any) -> Any:
        return getattr(self.client, self.operation)(**parameters)
