"""Sessions of the roles in member accounts: one attempt, one resource, no more rights than its plan needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from sharr import arns
from sharr.policies import session_policy
from sharr.remediation import Kind, Remediation
from sharr.runtime.planning import Aws

SESSION_SECONDS = 900
CLIENT_CONFIG = Config(
    connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 4}, user_agent_extra="sharr"
)
MakeClient = Callable[[str, str], Any]


class RoleNotAssumed(Exception):
    """The role in the member account cannot be assumed: it is missing, or it does not trust us."""


class Sessions:
    """Opens sessions from the function's own role. One botocore session for all: its models are read once."""

    def __init__(self, botocore_session: Any, region: str) -> None:
        self._botocore = botocore_session
        self._region = region
        self._sts: Any = None

    def own(self, service: str, region: str | None = None) -> Any:
        """Return a client with the function's own role."""
        return self._botocore.create_client(service, region_name=region or self._region, config=CLIENT_CONFIG)

    def open(self, role_arn: str, name: str, policy: str | None) -> MakeClient:
        """Return what makes clients with the role's credentials. Raises RoleNotAssumed, and STS's other errors."""
        self._sts = self._sts or self.own("sts")
        try:
            answer = self._sts.assume_role(
                RoleArn=role_arn,
                RoleSessionName=name,
                DurationSeconds=SESSION_SECONDS,
                **({"Policy": policy} if policy else {}),
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "AccessDenied":
                raise RoleNotAssumed(role_arn) from error
            raise
        credentials = answer["Credentials"]

        def make_client(service: str, region: str) -> Any:
            return self._botocore.create_client(
                service,
                region_name=region,
                config=CLIENT_CONFIG,
                aws_access_key_id=credentials["AccessKeyId"],
                aws_secret_access_key=credentials["SecretAccessKey"],
                aws_session_token=credentials["SessionToken"],
            )

        return make_client


class RoleAccess:
    """The driver's access in a function: three sessions of the remediation's role, each opened when first needed."""

    def __init__(
        self, sessions: Sessions, remediation: Remediation, code: Any, target: Mapping[str, Any], attempt: str
    ) -> None:
        self._sessions = sessions
        self._remediation = remediation
        self._code = code
        self._target = dict(target)
        self._attempt = attempt
        self._reader: Aws | None = None

    @property
    def role_arn(self) -> str:
        """The role in the target's account."""
        name = f"role/sharr/{self._remediation.role_name}"
        return arns.arn(self._target["partition"], "iam", "", self._target["account"], name)

    def read(self) -> Aws:
        """Return an Aws that cannot write."""
        if self._reader is None:
            self._reader = self._open(("read",), {}, None)
        return self._reader

    def write(self, plan: Sequence[Mapping[str, Any]], state: Mapping[str, Any]) -> Aws:
        """Return an Aws that may read, and make the writes that *plan* contains."""
        return self._open(("read", "write"), state["facts"], plan)

    def undo(self, calls: Sequence[Mapping[str, Any]], state: Mapping[str, Any]) -> Aws:
        """Return an Aws that may read, and make the writes of an undo that *calls* contain."""
        return self._open(("read", "undo"), state["facts"], calls)

    def _open(
        self, kinds: tuple[Kind, ...], facts: Mapping[str, Any], calls: Sequence[Mapping[str, Any]] | None
    ) -> Aws:
        target = self._target
        identity = {name: target[name] for name in ("partition", "region", "account")}
        values = {**facts, **target["resource"], **identity}
        operations = None if calls is None else [c["operation"] for c in calls if "operation" in c]
        policy = session_policy(self._remediation, kinds, values, operations)
        make_client = self._sessions.open(self.role_arn, self._attempt, policy)
        return Aws(make_client, target, self._remediation.regions, self._code.auxiliaries)
