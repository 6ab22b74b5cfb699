"""What the functions share: one botocore session, the logger, and their parts put together once per process."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
from aws_lambda_powertools import Logger

from sharr.attempts import Attempt, Attempts
from sharr.catalogue import compiled
from sharr.findings_port import FindingsPort
from sharr.limits import Limits
from sharr.looks import Looks
from sharr.messages import Messages
from sharr.organization import Accounts, Members
from sharr.publishing import send_ids
from sharr.sessions import Sessions
from sharr.settings import Settings, settings_from

logger = Logger()


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


@cache
def settings() -> Settings:
    """Return the function's settings, read once."""
    return settings_from()


@cache
def sessions() -> Sessions:
    """Return the sessions, all from one botocore session: its models are read once."""
    return Sessions(botocore.session.Session(), settings().region)


@cache
def client(service: str) -> Any:
    """Return a client with the function's own role, made when first needed."""
    return sessions().own(service)


@cache
def attempts() -> Attempts:
    """Return the table."""
    return Attempts(client("dynamodb"), settings().table)


@cache
def limits() -> Limits:
    """Return the limits on repairs, in the same table."""
    return Limits(client("dynamodb"), settings().table, settings().repairs_per_hour, settings().first_one_by_one)


@cache
def messages() -> Messages:
    """Return what the table remembers of messages."""
    return Messages(client("dynamodb"), settings().table)


@cache
def findings() -> FindingsPort:
    """Return the findings of the home Region."""
    return FindingsPort(client("securityhub"), compiled().standards)


@cache
def looks() -> Looks:
    """Return what takes up findings and looks at resources."""
    return Looks(
        catalogue=compiled(),
        settings=settings(),
        attempts=attempts(),
        limits=limits(),
        accounts=Accounts(
            security_hub=lambda: client("securityhub"),
            ssm=lambda: client("ssm"),
            admin_account=settings().admin_account,
            organization_id=settings().organization_id,
            parameters=settings().stack_parameters,
            shared=Members(client("dynamodb"), settings().table),
        ),
        findings=findings(),
        sessions=sessions(),
        publish=publish,
        now=now,
        sleep=time.sleep,
    )


def publish(changed: list[Attempt]) -> None:
    """Tell the outcome function which attempts have something to say."""
    send_ids(client("sqs"), settings().outcome_queue, changed)
