"""What the parts of the sandbox ask of each other, so that each can be read and tested alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from sandbox.organization import Organization


@dataclass(frozen=True, slots=True)
class Credentials:
    """Temporary credentials as STS gives them."""

    access_key_id: str
    secret_access_key: str
    session_token: str


@dataclass(frozen=True, slots=True)
class Principal:
    """
    Who makes a call.

    An *administrator* is the sandbox itself or a person at the endpoint: not judged. A *role* is a session of an IAM
    role: judged by identity policies, session policy and resource policies. A *service* is an AWS service principal,
    judged by resource and trust policies only.
    """

    kind: Literal["administrator", "role", "service"]
    arn: str
    account: str
    role_arn: str | None = None
    session_name: str | None = None
    session_policy: Mapping[str, Any] | None = None
    service: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """One API call as the choke point saw it. *error* is the error code, None where it succeeded."""

    at: datetime
    principal: Principal
    account: str
    region: str
    service: str
    operation: str
    parameters: Mapping[str, Any]
    error: str | None = None
    milliseconds: float = 0.0


class Clock(Protocol):
    """The one clock of the sandbox: what datetime.now() and time.time() say in this process."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...

    def advance(self, seconds: float) -> None:
        """Turn the clock forward. time.sleep() in emulated code does just this."""
        ...


class Identity(Protocol):
    """Who is who, and who may do what."""

    calls: list[Call]

    def client(self, service: str, account: str, region: str) -> Any:
        """Return a boto3 client with an administrator's credentials in *account*; made once, then reused."""
        ...

    def service_assumes_role(
        self, service: str, role_arn: str, session_name: str, context: Mapping[str, str]
    ) -> Credentials:
        """
        Return credentials of the role for an AWS service (`lambda.amazonaws.com`, `ssm.amazonaws.com`).

        Raises botocore's ClientError (AccessDenied) where the role is not there or its trust policy refuses the
        service in this context (`aws:SourceAccount`, `aws:SourceArn`).
        """
        ...

    def authorize_service(self, service: str, action: str, resource_arn: str, context: Mapping[str, str]) -> None:
        """Raise ClientError (AccessDenied) unless the resource's own policy lets the service do *action*."""
        ...

    def run_as(
        self, credentials: Credentials, region: str, environment: Mapping[str, str]
    ) -> AbstractContextManager[None]:
        """Within: os.environ is *environment* plus credentials and Region, and boto3's default session is new."""
        ...


class World(Protocol):
    """The whole sandbox, as its parts see it."""

    organization: Organization
    clock: Clock
    identity: Identity

    def emit(
        self,
        account: str,
        region: str,
        *,
        source: str,
        detail_type: str,
        detail: Mapping[str, Any],
        resources: Sequence[str] = (),
    ) -> None:
        """Put an event of an AWS service on the default event bus; it is routed when the world runs next."""
        ...

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        """Have *do* called by run() as soon as the clock is *seconds* further (0: at the next run)."""
        ...
