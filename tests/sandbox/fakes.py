"""A small world for tests of what moto lacks: a clock, a queue of things to do later, a record of events."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import boto3
import moto.settings
import time_machine
from botocore.exceptions import ClientError
from moto import mock_aws

from sandbox import additions
from sandbox.identity import client_with
from sandbox.organization import Organization
from sandbox.ports import Call, Clock, Credentials, Identity
from sandbox.quick_clients import quick_clients

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class FakeClock:
    def __init__(self, traveller: Any) -> None:
        self._traveller = traveller

    def now(self) -> datetime:
        return datetime.now(UTC)

    def advance(self, seconds: float) -> None:
        self._traveller.shift(timedelta(seconds=seconds))


class FakeIdentity:
    """Everybody is an administrator; remembers which service assumed which role, in what context."""

    def __init__(self, organization: Organization) -> None:
        self.calls: list[Call] = []
        self.assumed: list[tuple[str, str, str, dict[str, str]]] = []
        self.asked: list[tuple[str, str, str, dict[str, str]]] = []
        self.refuse: set[str] = set()
        self._organization = organization
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._credentials: dict[str, Credentials] = {}

    def client(self, service: str, account: str, region: str) -> Any:
        key = (service, account, region)
        if key not in self._clients:
            self._clients[key] = client_with(self.credentials(account), service, region)
        return self._clients[key]

    def credentials(self, account: str) -> Credentials:
        if account not in self._credentials:
            self._credentials[account] = self._assume(f"arn:aws:iam::{account}:role/administrator", "sandbox")
        return self._credentials[account]

    def service_assumes_role(
        self, service: str, role_arn: str, session_name: str, context: Mapping[str, str]
    ) -> Credentials:
        if role_arn in self.refuse:
            raise _denied("AssumeRole")
        self.assumed.append((service, role_arn, session_name, dict(context)))
        return self._assume(role_arn, session_name)

    def authorize_service(self, service: str, action: str, resource_arn: str, context: Mapping[str, str]) -> None:
        self.asked.append((service, action, resource_arn, dict(context)))
        if resource_arn in self.refuse:
            raise _denied(action)

    @contextmanager
    def run_as(self, credentials: Credentials, region: str, environment: Mapping[str, str]) -> Iterator[None]:
        before, session = dict(os.environ), boto3.DEFAULT_SESSION
        os.environ.clear()
        os.environ.update(
            environment,
            AWS_ACCESS_KEY_ID=credentials.access_key_id,
            AWS_SECRET_ACCESS_KEY=credentials.secret_access_key,
            AWS_SESSION_TOKEN=credentials.session_token,
            AWS_DEFAULT_REGION=region,
            AWS_REGION=region,
        )
        boto3.DEFAULT_SESSION = None
        try:
            yield
        finally:
            boto3.DEFAULT_SESSION = session
            os.environ.clear()
            os.environ.update(before)

    def _assume(self, role_arn: str, session_name: str) -> Credentials:
        sts = client_with(Credentials("AKIAIOSFODNN7EXAMPLE", "x", ""), "sts", "us-east-1")
        given = sts.assume_role(RoleArn=role_arn, RoleSessionName=session_name)["Credentials"]
        return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


class FakeWorld:
    """The ports of the sandbox, as far as the additions use them."""

    def __init__(self, traveller: Any) -> None:
        self.organization = Organization()
        self.clock: Clock = FakeClock(traveller)
        self.services = FakeIdentity(self.organization)
        self.identity: Identity = self.services
        self.events: list[dict[str, Any]] = []
        self._later: list[tuple[datetime, int, Callable[[], None]]] = []
        self._number = 0

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
        self.events.append(
            {
                "account": account,
                "region": region,
                "source": source,
                "detail-type": detail_type,
                "detail": detail,
                "resources": list(resources),
            }
        )

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        self._number += 1
        self._later.append((self.clock.now() + timedelta(seconds=seconds), self._number, do))

    def run(self) -> None:
        """Do what is due, turning the clock to what is due next, until nothing is left."""
        while self._later:
            due = min(self._later, key=lambda entry: entry[:2])
            self._later.remove(due)
            self.clock.advance(max(0.0, (due[0] - self.clock.now()).total_seconds()))
            due[2]()


@contextmanager
def a_world() -> Iterator[FakeWorld]:
    """Within: moto is active with the additions installed, and time stands at START until it is turned."""
    saved = dict(os.environ)
    os.environ.update(AWS_ACCESS_KEY_ID="AKIAIOSFODNN7EXAMPLE", AWS_SECRET_ACCESS_KEY="x")
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    try:
        no_images = patch.object(moto.settings, "ec2_load_default_amis", return_value=False)  # as in the Sandbox
        with quick_clients(), no_images, time_machine.travel(START, tick=False) as traveller, mock_aws():
            world = FakeWorld(traveller)
            with additions.installed(world):
                yield world
    finally:
        os.environ.clear()
        os.environ.update(saved)


def error_of(call: Callable[[], Any]) -> str:
    """Return the code of the error that *call* ends with; fails where it ends well."""
    try:
        answer = call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    raise AssertionError(f"expected an error, got {answer!r}")


def _denied(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorized"}}, operation)
