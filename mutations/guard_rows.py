"""
Each row of the guards' table for each of its triggers: without it, what has to be SKIPPED for that reason is not.

The functions run as deployed; where a mutant is tried, GUARDS is another one in each process that they start.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError

from mutations.deployed import Deployed
from mutations.member_roles import ProbeBroken
from mutations.mutant import Mutant, Verdict
from sandbox import samples
from sandbox.functions import _Instance
from sandbox.place import Place
from sandbox.ports import Call
from sharr.attempts import Attempts
from sharr.finding import CUSTOM_ACTIONS
from sharr.guards import GUARDS
from tests.stage import Stage

Json = dict[str, Any]
Scene = Callable[["Acted", str], tuple[Json, str]]
"""Plays a scene for a trigger; returns the finding and the guard that must have refused its last attempt."""


class Acted(Stage):
    """The deployed organization, without another deployment."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed
        self.world = deployed.world
        self.organization = deployed.organization
        self.outputs = deployed.demo.deployment.admin
        self.hub = self.world.identity.client("securityhub", deployed.admin, deployed.home)
        dynamodb = self.world.identity.client("dynamodb", deployed.admin, deployed.home)
        self.attempts = Attempts(dynamodb, self.outputs["TableName"])
        self.place = Place(self.world, region=self.organization.regions[1])

    def fire(self, trigger: str, finding: Json, **changes: Any) -> Json:
        """Let a trigger happen: an event, or a button; *changes* is how the event has the finding, if it is old."""
        if trigger == "recheck":
            return self.disagree(finding, **changes)
        if trigger != "automatic":
            self.press(next(a for a in CUSTOM_ACTIONS if a.trigger == trigger), finding)
            return finding
        self.send({**finding, **changes}, is_old=bool(changes))
        return finding

    def disagree(self, finding: Json, **changes: Any) -> Json:
        """Security Hub checks a repaired finding an hour later, and says FAILED."""
        self.world.advance(3600)
        there = self.now(finding)
        again = self.finding(finding["Resources"][0]["Id"])
        self.send({**again, "Workflow": there["Workflow"], "Note": there["Note"], **changes}, is_old=bool(changes))
        return finding

    def send(self, finding: Json, *, is_old: bool) -> None:
        """Put the event of a finding into the playbook's queue, as a rule does."""
        event = samples.imported_event([finding], admin_account=self.deployed.admin, region=self.deployed.home)
        at = self.world.clock.now() - (timedelta(minutes=10) if is_old else timedelta())
        self.world.queues.send(self.queue, json.dumps({**event, "time": at.strftime("%Y-%m-%dT%H:%M:%SZ")}))
        self.world.settle()

    @property
    def queue(self) -> str:
        """The queue of the playbook of consolidated control findings."""
        (arn,) = (a for a in self.deployed._feeds() if "PlaybookSC" in a and "EventsDead" not in a)
        return arn

    def setting(self, name: str, value: str) -> None:
        """Change a variable of the playbook's function, as an update of the stack would."""
        for function in self.functions():
            if "PlaybookSC" in function.function_name:
                function.environment_vars[name] = value

    def functions(self) -> list[Any]:
        """Every function in the admin account."""
        from moto.awslambda.models import lambda_backends

        return list(lambda_backends[self.deployed.admin][self.deployed.home].list_functions())

    def listed(self, which: str, text: str) -> None:
        """Write a list into its SSM parameter; the functions start anew, which reads it at once."""
        ssm = self.world.identity.client("ssm", self.deployed.admin, self.deployed.home)
        (name,) = [p["Name"] for p in ssm.describe_parameters()["Parameters"] if which in p["Name"]]
        ssm.put_parameter(Name=name, Value=text, Overwrite=True)
        self.world.functions.cold()

    def forget_members(self) -> None:
        """Have the functions ask Security Hub whether the account is a member."""
        key = {"pk": {"S": f"member#{self.place.account}"}, "sk": {"S": "-"}}
        dynamodb = self.world.identity.client("dynamodb", self.deployed.admin, self.deployed.home)
        dynamodb.delete_item(TableName=self.outputs["TableName"], Key=key)
        self.world.functions.cold()

    def stored(self, **changes: Any) -> Json:
        """Return a finding of a new key that Security Hub has; rules saw its event only if it is to be repaired."""
        return self.publish(self.finding(self.key(), Workflow={"Status": "NOTIFIED"}, **changes))


def _no_remediation(on: Acted, trigger: str) -> tuple[Json, str]:
    finding = on.finding(on.key(), control="IAM.6")
    on.publish(finding)
    return on.fire(trigger, finding), "no-remediation"


def _unknown_account(on: Acted, trigger: str) -> tuple[Json, str]:
    finding = _ready(on, trigger)
    if trigger == "recheck":
        on.world.advance(3600)  # what the table remembers of members is older than that
    on.forget_members()

    def refuse(call: Call) -> None:
        if call.operation == "GetMembers":
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, call.operation)

    on.deployed.identity.before.append(refuse)
    try:
        return on.fire(trigger, finding), "unknown-account"
    finally:
        on.deployed.identity.before.remove(refuse)


def _excluded(on: Acted, trigger: str) -> tuple[Json, str]:
    finding = _ready(on, trigger)
    on.listed("ExcludedAccounts", f"accounts,{on.place.account}")
    try:
        return on.fire(trigger, finding), "account-excluded"
    finally:
        on.listed("ExcludedAccounts", "accounts,")


def _not_automatic(on: Acted, trigger: str) -> tuple[Json, str]:
    finding = _ready(on, trigger)
    on.listed("AutomaticAccounts", f"accounts,{on.organization.members[2]}")
    try:
        return on.fire(trigger, finding), "account-not-automatic"
    finally:
        on.listed("AutomaticAccounts", "accounts,")


def _suppressed(on: Acted, trigger: str) -> tuple[Json, str]:
    finding = on.publish(on.finding(on.key(), Workflow={"Status": "SUPPRESSED"}))
    return on.fire(trigger, finding, Workflow={"Status": "NEW"}), "suppressed"


def _over(on: Acted, trigger: str) -> tuple[Json, str]:
    if trigger == "recheck":
        finding = _ready(on, trigger)
        passed = on.finding(finding["Resources"][0]["Id"])
        passed["Compliance"]["Status"] = "PASSED"
        on.publish(passed)
        old = {"Workflow": {"Status": "RESOLVED"}, "Note": on.now(finding)["Note"]}
        return on.fire(trigger, finding, **old), "not-failed"
    finding = on.publish(on.finding(on.key(), RecordState="ARCHIVED"))
    return on.fire(trigger, finding, RecordState="ACTIVE"), "archived"


def _seen(on: Acted, trigger: str) -> tuple[Json, str]:
    return on.fire(trigger, on.stored(), Workflow={"Status": "NEW"}), "not-new"


def _off(on: Acted, trigger: str) -> tuple[Json, str]:
    on.setting("AUTOMATIC_CONTROLS", "S3.8")
    try:
        return on.fire(trigger, on.finding(on.key())), "not-switched-on"
    finally:
        on.setting("AUTOMATIC_CONTROLS", "*")


def _in_backlog(on: Acted, trigger: str) -> tuple[Json, str]:
    on.setting("REPAIR_SINCE", (on.world.clock.now() + timedelta(days=1)).date().isoformat())
    try:
        return on.fire(trigger, on.finding(on.key())), "in-backlog"
    finally:
        on.setting("REPAIR_SINCE", "")


def _limited(on: Acted, trigger: str) -> tuple[Json, str]:
    on.setting("BUTTON_REPAIRS", "preview only")
    try:
        return on.fire(trigger, on.stored()), "button-limited"
    finally:
        on.setting("BUTTON_REPAIRS", "any control")


def _held(on: Acted, trigger: str) -> tuple[Json, str]:
    finding = on.publish(on.finding(key := on.key()))
    on.fire("undo", finding)
    on.world.advance(3600)
    on.regress(key)
    return finding, "hold"


def _too_often(on: Acted, trigger: str) -> tuple[Json, str]:
    finding = on.publish(on.finding(key := on.key()))
    for _ in range(3):
        on.world.advance(3600)
        on.place.client("kms").disable_key_rotation(KeyId=key)
        on.regress(key)
    return finding, "too-often"


def _nothing(on: Acted, trigger: str) -> tuple[Json, str]:
    return on.fire(trigger, on.stored()), "nothing-to-undo"


def _not_last(on: Acted, trigger: str) -> tuple[Json, str]:
    first = on.publish(on.finding(key := on.key()))
    on.world.advance(3600)
    on.place.client("kms").disable_key_rotation(KeyId=key)
    on.publish(on.finding(key, standard="CIS140"))
    on.world.advance(60)
    return on.fire(trigger, first), "not-last"


def _ready(on: Acted, trigger: str) -> Json:
    """Return a finding that the trigger would do something for."""
    if trigger in ("undo", "recheck"):
        return on.publish(on.finding(on.key()))
    return on.finding(on.key()) if trigger == "automatic" else on.stored()


SCENES: dict[str, Scene] = {
    "no_remediation": _no_remediation,
    "unknown_account": _unknown_account,
    "account_excluded": _excluded,
    "not_automatic_account": _not_automatic,
    "suppressed": _suppressed,
    "over_by_now": _over,
    "handled_already": _seen,
    "not_switched_on": _off,
    "in_backlog": _in_backlog,
    "button_limited": _limited,
    "held_after_undo": _held,
    "too_often": _too_often,
    "nothing_to_undo": _nothing,
    "not_last": _not_last,
}


def groups(deployed: Deployed) -> Iterator[tuple[str, Callable[[], list[Verdict]]]]:
    """Yield a group per row and trigger. A row without a scene is a survivor."""
    for guard, triggers in GUARDS:
        for trigger in triggers:
            yield f"guard {guard.__name__} {trigger}", _group(deployed, guard.__name__, trigger)


def _group(deployed: Deployed, guard: str, trigger: str) -> Callable[[], list[Verdict]]:
    def tried() -> list[Verdict]:
        mutant = Mutant("guard", f"guard {guard} for {trigger}")
        if guard not in SCENES or (guard, trigger) == ("no_remediation", "recheck"):
            return [Verdict(mutant, "")]
        if wrong := played(deployed, guard, trigger):
            raise ProbeBroken(f"{mutant.name}: {wrong}")
        with without(deployed, guard, trigger):
            return [Verdict(mutant, played(deployed, guard, trigger))]

    return tried


def played(deployed: Deployed, guard: str, trigger: str) -> str:
    """Play the scene; return "" where the guard refused and nothing was written, else what happened."""
    on = Acted(deployed)
    finding, wanted = SCENES[guard](on, trigger)
    known = on.attempts.known(finding["Id"], "-").finding
    attempt = on.attempts.get(known["attempt"]) if known.get("attempt") else None
    if attempt is None:
        return "no attempt"
    if trigger == "recheck":  # what is refused leaves no attempt: the repair's stays the finding's current one
        return f"looked again: {attempt.outcome}" if attempt.trigger == "recheck" else ""
    if (attempt.outcome, attempt.guard) != ("SKIPPED", wanted):
        return f"{attempt.outcome} {attempt.guard or ''}".strip() or "it goes on"
    return ""


@contextmanager
def without(deployed: Deployed, guard: str, trigger: str) -> Iterator[None]:
    """Within: the functions' guards lack one row for one trigger."""
    load = _Instance._load

    def loaded(instance: _Instance) -> Any:
        handler = load(instance)
        guards: Any = sys.modules.get("sharr.guards")
        if guards is not None:
            guards.GUARDS = tuple(
                (check, tuple(t for t in triggers if (check.__name__, t) != (guard, trigger)))
                for check, triggers in guards.GUARDS
            )
        return handler

    deployed.world.functions.cold()
    with patch.object(_Instance, "_load", loaded):
        yield
    deployed.world.functions.cold()
