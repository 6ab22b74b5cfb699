"""
What narrows a session of a remediation's role: without it, a script could do what its plan does not say.

The attacker is the remediation's own code: it has the session that the driver opened, and tries something else with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError

from mutations.member_roles import ProbeBroken
from mutations.mutant import Mutant, Verdict
from sharr import policies, sessions
from sharr.remediation import Remediation
from sharr.runtime.planning import Aws
from sharr.scripts import code_of
from tests.harness import Bench, bench

Policy = Callable[..., str | None]


def _none(*_: Any, **__: Any) -> str | None:
    return None


def _every_kind(remediation: Remediation, kinds: Iterable[Any], values: Any, operations: Any = None) -> str:
    return policies.session_policy(remediation, ("read", "write", "undo"), values, None)


def _every_operation(remediation: Remediation, kinds: Iterable[Any], values: Any, operations: Any = None) -> str:
    return policies.session_policy(remediation, kinds, values, None)


def _every_resource(remediation: Remediation, kinds: Iterable[Any], values: Any, operations: Any = None) -> str:
    text = policies.session_policy(remediation, kinds, values, operations)
    return re.sub(r'"Resource":(?:"[^"]*"|\[[^]]*\])', '"Resource":"*"', text)


def _every_type(remediation: Remediation, kinds: Iterable[Any], values: Any, operations: Any = None) -> str:
    def free(permissions: Iterable[Any]) -> Any:
        return tuple(replace(permission, only={}) for permission in permissions)

    wide = replace(remediation, read=free(remediation.read), write=free(remediation.write), undo=free(remediation.undo))
    return policies.session_policy(wide, kinds, values, operations)


MUTANTS: Mapping[str, Policy] = {
    "no session policy": _none,
    "a session that reads may write": _every_kind,
    "operations that are not planned": _every_operation,
    "any resource": _every_resource,
    "another type of resource": _every_type,
}


def refused(do: Callable[..., Any], **parameters: Any) -> bool:
    """Tell whether a call was denied."""
    try:
        do(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
    return False


def probes() -> str:
    """Return the first thing that a session lets its code do beside the plan, "" where it lets nothing."""
    with bench("kms/rotate_key") as b:
        mine, other = (b.client("kms").create_key()["KeyMetadata"] for _ in range(2))
        read, write = _opened(b, "KMS.4", mine["Arn"], "enable_key_rotation")
        if not refused(_client(read, "kms").enable_key_rotation, KeyId=mine["KeyId"]):
            return "a session that reads writes"
        if not refused(_client(write, "kms").enable_key_rotation, KeyId=other["Arn"]):
            return "a session writes to another resource"
        if not refused(_client(write, "kms").disable_key_rotation, KeyId=mine["KeyId"]):
            return "a session that repairs takes back"
    with bench("s3/log_server_access") as b:
        b.client("s3").create_bucket(Bucket="a-bucket")
        _, write = _opened(b, "S3.9", "arn:aws:s3:::a-bucket", "put_bucket_logging")
        name = f"sharr-logs-{b.account}-{b.region}"
        if not refused(_client(write, "s3").create_bucket, Bucket=name):
            return "a session does what is not planned"
    with bench("rds/protect_from_deletion") as b:
        b.client("rds").create_db_cluster(
            DBClusterIdentifier="same", Engine="aurora-mysql", MasterUsername="admin", MasterUserPassword="not-secret-1"
        )
        _, write = _opened(b, "RDS.8", b.arn("rds", "db:same"), "modify_db_instance", "modify_db_cluster")
        if not refused(_client(write, "rds").modify_db_cluster, DBClusterIdentifier="same", DeletionProtection=True):
            return "a session for an instance writes to a cluster"
    return ""


def _opened(b: Bench, control: str, resource_id: str, *operations: str) -> tuple[Aws, Aws]:
    access = sessions.RoleAccess(
        b.sessions, b.remediation, code_of(b.remediation), b.target(control, resource_id), "x" * 36
    )
    plan = [{"client": "", "operation": operation} for operation in operations]
    return access.read(), access.write(plan, {"facts": {}})


def _client(aws: Aws, service: str) -> Any:
    return aws._make_client(service, "us-east-1")


def judged() -> list[Verdict]:
    """Return what became of every mutant of the sessions."""
    if wrong := probes():
        raise ProbeBroken(wrong)
    found = []
    for name, policy in MUTANTS.items():
        with patch.object(sessions, "session_policy", policy):
            try:
                wrong = probes()
            except policies.UnsafeValue as error:
                wrong = f"a session cannot be opened: {error}"
        found.append(Verdict(Mutant("session", f"session: {name}"), wrong))
    return found
