"""
What a remediation's own test gets for free: an emulated account, its role, and the driver with nothing but that role.

Each folder's test module has `CASES`; tests/test_sweeps.py runs every sweep of the contract over all of them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import botocore.session

from sandbox.place import Place
from sandbox.ports import Call
from sandbox.quick_clients import quick_clients
from sandbox.world import Sandbox
from sharr import arns
from sharr.loader import ROOT, load
from sharr.policies import role_statements
from sharr.remediation import Remediation
from sharr.runtime.driver import remediate
from sharr.runtime.planning import READS, new_journal, preview
from sharr.runtime.undoing import undo
from sharr.scripts import code_of
from sharr.sessions import RoleAccess, Sessions
from sharr.targets import target_of

Json = dict[str, Any]
READ_ACTIONS = tuple(r.title().replace("_", "") for r in READS)


@dataclass(frozen=True, eq=False)
class Case:
    """
    One broken resource.

    Args:
        control: the control it fails.
        name: a sentence part, for the test's id.
        break_it: makes the resource and returns its id as the finding would name it.
        passes: the control's own documented predicate, read without the remediation's code.
        parameters: values as the finding's SecurityControlParameters would give them: name -> list of texts.
        settings: the user's choices of parameters, as texts.
        turns: seconds to turn the clock before each further look, where the repair is PENDING first.
        not_restored: config paths (joined by /) that an undo does not give back, each with the reason.
        secrets: texts planted by break_it that may be seen nowhere.
        region: another Region than the home Region.
        irreversible: why the repair cannot be undone at all; then undo is not swept.
        swept: False where the case differs from another one in the resource's name alone: it is repaired, not swept.
    """

    control: str
    name: str
    break_it: Callable[[Bench], str]
    passes: Callable[[Bench, str], bool]
    parameters: dict[str, list[str]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    turns: tuple[int, ...] = ()
    not_restored: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    region: str | None = None
    irreversible: str | None = None
    swept: bool = True


class Bench(Place):
    """One member account and Region, and a remediation's role in it."""

    def __init__(self, world: Sandbox, remediation: Remediation, region: str | None = None) -> None:
        super().__init__(world, region=region)
        self.remediation = remediation
        self.role_arn = self._make_roles()
        self.sleeps: list[float] = []

    def target(
        self,
        control: str,
        resource_id: str,
        parameters: dict[str, list[str]] | None = None,
        settings: dict[str, str] | None = None,
    ) -> Json:
        """Return the target as the playbook would make it."""
        return target_of(
            self.remediation,
            control=control,
            resource_id=resource_id,
            identity={"partition": self.partition, "account": self.account, "region": self.region},
            given={k: tuple(v) for k, v in (parameters or {}).items()},
            now=self.world.clock.now(),
            chosen=settings or {},
        )

    def attempt(
        self,
        control: str,
        resource_id: str,
        parameters: dict[str, list[str]] | None = None,
        settings: dict[str, str] | None = None,
    ) -> Attempt:
        """Return an attempt on the resource, before its first look."""
        return Attempt(self, control, resource_id, parameters or {}, settings or {})

    def remediate(self, control: str, resource_id: str, **more: Any) -> Json:
        """Take one look, and return its result."""
        return self.attempt(control, resource_id, **more).look()

    @contextmanager
    def watched(self) -> Iterator[list[Call]]:
        """Yield the list of calls that the remediation's role makes meanwhile."""
        start = len(self.world.identity.calls)
        seen: list[Call] = []
        yield seen
        seen += [c for c in self.world.identity.calls[start:] if c.principal.role_arn == self.role_arn]

    def writes(self, calls: list[Call]) -> list[Call]:
        """Those of the calls that change something."""
        return [c for c in calls if not c.operation.startswith(READ_ACTIONS)]

    def sleep(self, seconds: float) -> None:
        """The driver's sleep: turns the clock."""
        self.sleeps.append(seconds)
        self.world.clock.advance(seconds)

    def _make_roles(self) -> str:
        admin = self.world.organization.admin
        caller = arns.arn(self.partition, "iam", "", admin, "role/sharr/sharr-repair")
        self._role(admin, "sharr-repair", {"Service": "lambda.amazonaws.com"}, [_allow("sts:AssumeRole", "*")])
        text = json.dumps(role_statements(self.remediation)).replace("${AWS::Partition}", self.partition)
        statements = json.loads(text.replace("${AWS::AccountId}", self.account))
        self._role(self.account, self.remediation.role_name, {"AWS": caller}, statements)
        credentials = self.world.identity.service_assumes_role("lambda.amazonaws.com", caller, "playbook", {})
        session = botocore.session.Session()
        session.set_credentials(credentials.access_key_id, credentials.secret_access_key, credentials.session_token)
        self.sessions = Sessions(session, self.world.organization.home)
        return arns.arn(self.partition, "iam", "", self.account, f"role/sharr/{self.remediation.role_name}")

    def _role(self, account: str, name: str, trusted: Json, statements: list[Json]) -> None:
        iam = self.world.identity.client("iam", account, self.world.organization.home)
        trust = {"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}
        iam.create_role(
            RoleName=name,
            Path="/sharr/",
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName="repair", PolicyDocument=policy)


class Attempt:
    """An attempt's looks, with its journal kept as the table would keep it: as JSON."""

    def __init__(
        self,
        bench: Bench,
        control: str,
        resource_id: str,
        parameters: dict[str, list[str]],
        settings: dict[str, str],
    ) -> None:
        self.bench = bench
        self._of = (control, resource_id, parameters, settings)
        self.id = str(uuid.uuid4())
        self.journal = new_journal(self.id)
        self.saved: list[str] = []
        self.undo_journal = new_journal(str(uuid.uuid4()))

    @property
    def target(self) -> Json:
        """The target as of now."""
        control, resource_id, parameters, settings = self._of
        return self.bench.target(control, resource_id, parameters, settings)

    def _access(self, target: Json) -> RoleAccess:
        remediation = self.bench.remediation
        return RoleAccess(self.bench.sessions, remediation, code_of(remediation), target, self.id)

    def _save(self, journal: Json) -> None:
        self.saved.append(json.dumps(journal))

    def look(self) -> Json:
        """Take one look and return its result."""
        target = self.target
        code = code_of(self.bench.remediation)
        return remediate(code, self._access(target), target, self.journal, self._save, sleep=self.bench.sleep)

    def preview(self) -> Json:
        """Preview and return the result; the plan is in journal["open"] then."""
        target = self.target
        return preview(code_of(self.bench.remediation), self._access(target), target, self.journal)

    def finish(self, turns: tuple[int, ...] = ()) -> Json:
        """Look until the attempt ended, turning the clock as *turns* says, else as the result asks."""
        result = self.look()
        for number in range(20):
            if result["outcome"] != "PENDING":
                return result
            self.bench.world.advance(turns[number] if number < len(turns) else result["seconds"])
            result = self.look()
        raise AssertionError(f"still pending after 20 looks: {result}")

    def undo(self) -> Json:
        """Undo until it ended, and return the result."""
        for _ in range(20):
            target = self.target
            code = code_of(self.bench.remediation)
            access = self._access(target)
            result = undo(code, access, target, self.journal, self.undo_journal, self._save, sleep=self.bench.sleep)
            if result["outcome"] != "PENDING":
                return result
            self.bench.world.advance(result["seconds"])
        raise AssertionError(f"undo still pending after 20 looks: {result}")


@contextmanager
def bench(remediation_id: str, region: str | None = None) -> Iterator[Bench]:
    """Yield a bench for one remediation in a world of its own."""
    with quick_clients(), Sandbox() as world:
        yield Bench(world, remediation_of(remediation_id), region)


@cache
def remediation_of(remediation_id: str) -> Remediation:
    """Return a remediation by its id."""
    return load(ROOT / "ssm_documents" / remediation_id)


def _allow(action: str, resource: str) -> Json:
    return {"Effect": "Allow", "Action": action, "Resource": resource}
