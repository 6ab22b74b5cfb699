"""
One finding's attempt in a function: guards, claim, a look (or a runbook's start), and what the table is told.

Decisions are in guards.py, driver.py and attempts.py; this module puts them in order and calls AWS through ports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from sharr import arns, guards
from sharr.attempts import (
    LOOK_LEASE,
    PUT_BACK,
    Attempt,
    Attempts,
    Conflict,
    Known,
    Lease,
    LeaseLost,
    Stopped,
    attempt_id,
    wants_attempt,
)
from sharr.backlog import row_of
from sharr.catalogue import Catalogue
from sharr.choices import chosen_for
from sharr.errors import may_pass
from sharr.finding import BACKLOG, Finding, MalformedFinding, Trigger, Workflow
from sharr.findings_port import FindingsPort, NoSuchFinding
from sharr.guards import Facts, Refusal
from sharr.limits import Held, Limits
from sharr.organization import Accounts
from sharr.outcomes import AUTHOR
from sharr.policies import PolicyTooLarge, UnsafeValue
from sharr.remediation import BadParameter, Remediation
from sharr.runtime.driver import remediate
from sharr.runtime.planning import new_journal, preview
from sharr.runtime.undoing import undo
from sharr.scripts import code_of
from sharr.sessions import RoleAccess, RoleNotAssumed, Sessions
from sharr.settings import Settings
from sharr.table import stamp
from sharr.targets import NotATarget, lease_key, target_for

RETRIES = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=6))
HELD_FOR = timedelta(minutes=15)
CLAIM_TRIES = 5
LONGEST_TEXT = 1000
NO_SUCH_FINDING = Refusal("no-such-finding", "Security Hub does not have the finding (any more)")


@dataclass(frozen=True, slots=True)
class Looks:
    """What looks need of the world."""

    catalogue: Catalogue
    settings: Settings
    attempts: Attempts
    limits: Limits
    accounts: Accounts
    findings: FindingsPort
    sessions: Sessions
    publish: Callable[[list[Attempt]], None]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]

    def on_finding(self, finding: Finding, trigger: Trigger, request: str, event_at: datetime) -> Attempt | None:
        """
        Take up a finding of an event. Return its attempt, None where the event is an old one or another's.

        An imported finding that is RESOLVED is looked at again if the check disagrees with our repair.
        """
        if trigger == "automatic" and finding.workflow is Workflow.RESOLVED:
            if not guards.disagrees(finding, AUTHOR):
                return None
            trigger = "recheck"
        for number in range(CLAIM_TRIES):
            try:
                return self._on_finding(
                    finding, trigger, request, event_at, is_new=number == 0 and trigger == "automatic"
                )
            except Conflict:
                if number + 1 == CLAIM_TRIES:
                    raise
                self.sleep(0.1 * 2 ** (number - 1) if number else 0)
        raise AssertionError("unreachable")

    def again(self, attempt_id: str) -> Attempt | None:
        """Look again at an attempt that is due; None where it ended, or is being looked at."""
        attempt = self.attempts.get(attempt_id)
        if attempt is None or attempt.has_ended:
            return None
        taken = self.attempts.take_over(attempt, self.now())
        if taken is None:
            return None
        attempt, lease = taken
        refusal = self._refusal_by_now(attempt, lease)
        if refusal:
            return self.settle(attempt, lease, refusal)
        if attempt.line:
            attempt = replace(attempt, line="", due_at=stamp(self.now() + LOOK_LEASE))
        return self._look(attempt, lease)

    def _refusal_by_now(self, attempt: Attempt, lease: Lease) -> Mapping[str, Any] | None:
        """
        Return why an attempt that waited is not to begin any more, None where it is.

        It may have waited for days: then the finding is read again, and all guards are asked again, too.
        """
        if attempt.trigger not in ("automatic", "remediate") or attempt.journal["plan"] or attempt.journal["open"]:
            return None
        known = Known({}, lease.resource)
        now = self.now()
        refusal = guards.TAKEN_BACK if attempt.trigger == "automatic" and known.hold(attempt.remediation) else None
        if now - datetime.fromisoformat(attempt.created_at) > guards.FRESH and not attempt.execution:
            try:
                finding = self.findings.read_again(attempt.finding["uid"], attempt.finding["product_arn"])
            except NoSuchFinding:
                refusal = NO_SUCH_FINDING
            except MalformedFinding as error:
                refusal = Refusal("malformed", str(error))
            except (ClientError, BotoCoreError) as error:
                return _failed_call(error)
            else:
                if attempt.published and finding.workflow is Workflow.NOTIFIED:
                    finding = replace(finding, workflow=Workflow.NEW)  # we told that we are at work
                # Whether it is of the backlog was decided when it came.
                facts = self._facts(finding, attempt.trigger, now, attempt.remediation, known, asked=True)
                refusal = guards.refusal_for(facts)
        if refusal is None:
            return None
        return {"outcome": "SKIPPED", "guard": refusal.guard, "why": refusal.why, "to_do": refusal.to_do}

    def _facts(
        self, finding: Finding, trigger: Trigger, now: datetime, remediation: str, known: Known, *, asked: bool
    ) -> Facts:
        return Facts(
            finding=finding,
            trigger=trigger,
            now=now,
            remediation=remediation or None,
            is_member=self.accounts.is_member(finding.account, now),
            automatic_accounts=self.accounts.listed("automatic", now),
            excluded_accounts=self.accounts.listed("excluded", now),
            automatic_controls=self.settings.automatic_controls,
            repair_since=self.settings.repair_since,
            asked=asked,
            button_repairs=self.settings.button_repairs,
            hold=known.hold(remediation),
            repairs=known.repairs(remediation),
            last_on_resource=known.last(remediation),
            last_of_finding=known.finding.get("last_repair") or None,
        )

    # --- from a finding to a look

    def _on_finding(
        self, finding: Finding, trigger: Trigger, request: str, event_at: datetime, *, is_new: bool
    ) -> Attempt | None:
        """
        *is_new*: take it that neither finding nor resource was seen before, which is true of most, and saves a read.
        Where it is not, the claim's conditions fail: Conflict, and the next try reads.
        """
        now = self.now()
        this = attempt_id(finding, trigger, request)
        refusal: Refusal | None = None
        if guards.needs_rereading(trigger, event_at, now):
            try:
                finding = self.findings.read_again(finding.uid, finding.product_arn)
            except NoSuchFinding:
                refusal = NO_SUCH_FINDING
            except MalformedFinding as error:
                refusal = Refusal("malformed", str(error))
        remediation = self.catalogue.by_control.get(finding.control)
        target: dict[str, Any] = {}
        key = f"{finding.account}/{finding.region}/{finding.resources[0].id}"
        if remediation:
            try:
                target = self._target(finding, remediation, trigger, now)
                key = lease_key(remediation, target)
            except NotATarget as error:
                refusal = refusal or Refusal("not-a-target", str(error), "repair it by hand")
            except BadParameter as error:
                to_do = "mend the control's parameters in Security Hub, or RemediationParameters of the stack"
                refusal = refusal or Refusal("bad-parameter", str(error), to_do)
        known = Known({}, {}) if is_new else self.attempts.known(finding.uid, key)
        busy = False
        if not wants_attempt(known, this, trigger, finding, request):
            busy = trigger != "automatic" and not known.finding.get("ended_at") and known.finding["attempt"] != this
            if not busy or request in known.finding.get("requests", ()):
                return None
            why = "another attempt on this finding is not over yet"
            refusal = Refusal("at-work", why, "press again when its outcome is on the finding")
        elif known.finding.get("attempt") == this:
            return self.again(this)
        attempt = Attempt(
            id=this,
            finding=finding_record(finding, target["resource"]["id"] if target else None),
            trigger=trigger,
            request=request,
            playbook=self.settings.playbook,
            remediation=remediation.id if remediation else "",
            control=finding.control,
            lease_key=key,
            target=target,
            created_at=stamp(now),
            event_at=stamp(event_at),
            code=remediation.code if remediation else "",
            place=self._place(remediation, trigger),
            journal=new_journal(this),
        )
        last = known.finding.get("last_repair") or None
        if trigger == "recheck" and last is None:
            return None  # somebody else resolved it, under a note of ours
        refusal = refusal or guards.refusal_for(
            self._facts(finding, trigger, now, attempt.remediation, known, asked=request.startswith(BACKLOG))
        )
        if refusal and trigger == "recheck":
            return None
        if refusal:
            skipped = replace(
                attempt, guard=refusal.guard, why=refusal.why, to_do=refusal.to_do, quiet=attempt.is_survey
            )
            row = self._row(replace(skipped, outcome="SKIPPED"))
            done = self.attempts.skip(skipped, known, now, beside=busy, row=row)
            if done:
                self.publish([done])
            return done
        told = known.finding.get("skip") or ""
        attempt = replace(attempt, undo_of=last if trigger == "undo" else None, told_guard=told)
        attempt, lease = self.attempts.claim(attempt, known, now, lift_hold=trigger == "remediate")
        if lease is None:
            return attempt
        return self._look(attempt, lease)

    def _target(self, finding: Finding, remediation: Remediation, trigger: Trigger, now: datetime) -> dict[str, Any]:
        """Return the target with the values of today; an undo goes by those of the repair, whatever they are today."""
        if trigger == "undo":
            return target_for(replace(finding, parameters={}), remediation, now, {})
        choices = self.accounts.choices(now)
        if choices is None:
            raise BadParameter("RemediationParameters could not be read: look at the SSM parameter")
        return target_for(finding, remediation, now, chosen_for(remediation, finding.control, choices))

    def _row(self, attempt: Attempt) -> dict[str, Any] | None:
        """Return what the report of the attempt's backlog job has of it, None where no job asked for it."""
        remediation = self.catalogue.remediations.get(attempt.remediation)
        return row_of(attempt, remediation.risk.disruption if remediation else "") if attempt.job else None

    def _place(self, remediation: Remediation | None, trigger: Trigger) -> str:
        """Previews and undos run in the function; a repair where the stack says, if the remediation may run there."""
        if remediation is None or trigger not in ("automatic", "remediate"):
            return "lambda"
        wanted = self.settings.execution_mode
        return wanted if wanted in remediation.places else remediation.places[0]

    # --- the look

    def _look(self, attempt: Attempt, lease: Lease) -> Attempt:
        remediation = self.catalogue.remediations.get(attempt.remediation)
        if remediation is None:  # an attempt of an earlier release, which had it
            why = f"this release has no remediation {attempt.remediation}"
            return self.settle(attempt, lease, {"outcome": "FAILED", "why": why, "to_do": "look at the resource"})
        attempt = replace(attempt, looks=attempt.looks + 1, code=remediation.code)
        try:
            if self._is_limited(attempt):
                self.limits.expect(attempt.control, self.now(), automatic=attempt.trigger == "automatic")
        except Held as error:
            return self.settle(attempt, lease, _held(error))
        if attempt.place == "runbook" and not attempt.execution:
            return self._start_runbook(remediation, attempt, lease)
        journal: dict[str, Any] = json.loads(json.dumps(attempt.journal))
        marks: dict[str, Any] = {}
        result = self._result_of(remediation, attempt, lease, journal, marks)
        return self.settle(replace(attempt, journal=journal, **marks), lease, result)

    def _is_limited(self, attempt: Attempt) -> bool:
        """Whether the attempt is a repair that has to be admitted by the limits before its first write."""
        repairs = attempt.trigger in ("automatic", "remediate")
        return repairs and not (attempt.journal["plan"] or attempt.journal["open"] or attempt.execution)

    def _admit(self, attempt: Attempt, marks: dict[str, Any]) -> None:
        """Ask the limits; *marks* gets what the attempt has from then on. Raises Held, and what DynamoDB raises."""
        if not self._is_limited(attempt):
            return
        automatic = attempt.trigger == "automatic"
        try:
            turn = self.limits.admit(
                attempt.id, attempt.control, self.now(), automatic=automatic, reserved=attempt.reserved
            )
        except Held:
            raise
        except Exception:
            marks["turn"] = automatic  # the answer may have got lost: what it may have is given back
            raise
        marks |= {"turn": turn, "reserved": True}

    def settle(self, attempt: Attempt, lease: Lease, result: Mapping[str, Any]) -> Attempt:
        """Save what a look (or a runbook) gave, and tell it. Raises LeaseLost: then another tells it."""
        now = self.now()
        result = _with_denial(result, attempt)
        attempt = replace(
            attempt,
            outcome=result["outcome"],
            why=result["why"][:LONGEST_TEXT],
            to_do=(result.get("to_do") or "")[:LONGEST_TEXT],
            guard=result.get("guard", ""),
            gone=bool(result.get("gone")),
        )
        if attempt.turn and attempt.outcome in ("RETRY", "HELD"):
            self.limits.give_back(attempt.id, attempt.control)
            attempt = replace(attempt, turn=False)
        if attempt.outcome == "RETRY" and attempt.tries >= len(RETRIES):
            attempt = replace(attempt, outcome="FAILED", why=f"tried {attempt.tries + 1} times: {attempt.why}")
        if attempt.outcome == "RETRY":
            due = now + RETRIES[attempt.tries]
            return self.attempts.suspend(replace(attempt, tries=attempt.tries + 1), lease, due, keep_lease=False)
        if attempt.outcome == "HELD":
            if result.get("line"):
                held = self.attempts.hold(replace(attempt, line=result["line"]), lease)
            else:
                held = self.attempts.suspend(attempt, lease, now + HELD_FOR, keep_lease=False)
            if attempt.trigger != "automatic" and attempt.looks == 1:
                self.publish([held])  # a button is answered
            return held
        if attempt.outcome == "PENDING":
            due = now + timedelta(seconds=result["seconds"])
            saved = self.attempts.suspend(attempt, lease, due, keep_lease=True)
            if attempt.looks == 1:
                self.publish([saved])
            return saved
        again = attempt.outcome == "SKIPPED" and attempt.trigger == "automatic" and attempt.guard == attempt.told_guard
        tripped = ""
        if attempt.turn and attempt.outcome == "FAILED":
            tripped = f"automation of {attempt.control} stopped: one of its first repairs failed"
        attempt = replace(attempt, quiet=again or attempt.is_survey, tripped=tripped)
        ended = self.attempts.end(attempt, lease, now, self._row(attempt))
        self.publish([ended])
        return ended

    def _result_of(
        self,
        remediation: Remediation,
        attempt: Attempt,
        lease: Lease,
        journal: dict[str, Any],
        marks: dict[str, Any],
    ) -> Mapping[str, Any]:
        """Take the look. *marks* gets what the limits gave the attempt."""
        target = {**attempt.target, "now": self.now().isoformat()}
        code = code_of(remediation)
        access = RoleAccess(self.sessions, remediation, code, target, attempt.id)

        def save(journal: dict[str, Any]) -> None:
            self._admit(attempt, marks)
            self.attempts.save_open(replace(attempt, journal=journal, **marks), lease)

        try:
            if attempt.trigger == "preview":
                return preview(code, access, target, journal)
            if attempt.trigger == "recheck":
                return _rechecked(preview(code, access, target, journal), journal)
            if attempt.trigger == "undo":
                repaired = self.attempts.get(attempt.undo_of or "")
                if repaired is None:
                    return {"outcome": "SKIPPED", "guard": "nothing-to-undo", "why": "its record is gone by now"}
                target["parameters"] = repaired.target["parameters"]
                return undo(code, access, target, dict(repaired.journal), journal, save, sleep=self.sleep)
            return remediate(code, access, target, journal, save, sleep=self.sleep)
        except LeaseLost:
            raise
        except Held as error:
            return _held(error)
        except Stopped as error:
            return {
                "outcome": "HELD",
                "why": str(error),
                "to_do": "delete the item switch of the table, and it goes on",
            }
        except RoleNotAssumed as error:
            return _no_role(error, target["account"])
        except (PolicyTooLarge, UnsafeValue) as error:
            return {"outcome": "FAILED", "why": str(error), "to_do": "repair it by hand"}
        except (ClientError, BotoCoreError) as error:
            return _failed_call(error)
        except Exception as error:  # noqa: BLE001  # the outermost frame of a look: a surprise becomes an outcome
            return {
                "outcome": "FAILED",
                "why": f"unexpected {type(error).__name__} in {attempt.remediation}",
                "to_do": "report it",
            }

    # --- runbooks

    def _start_runbook(self, remediation: Remediation, attempt: Attempt, lease: Lease) -> Attempt:
        """Start the runbook in the member account; its end comes back as an event, and the sweeper looks after it."""
        marks: dict[str, Any] = {}
        try:
            try:
                self._admit(attempt, marks)
            finally:
                attempt = replace(attempt, **marks)
            self.attempts.save_open(attempt, lease)
            ssm = self._starter(remediation, attempt)
            execution = ssm.start_automation_execution(
                DocumentName=remediation.document_name,
                ClientToken=attempt.id,
                Parameters=_inputs(attempt),
            )["AutomationExecutionId"]
        except Held as error:
            return self.settle(attempt, lease, _held(error))
        except Stopped as error:
            return self.settle(attempt, lease, {"outcome": "HELD", "why": str(error)})
        except RoleNotAssumed as error:
            return self.settle(attempt, lease, _no_role(error, attempt.target["account"]))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("AutomationDefinitionNotFoundException", "InvalidDocument"):
                where = f"account {attempt.target['account']}, Region {attempt.target['region']}"
                result = {
                    "outcome": "SKIPPED",
                    "guard": "no-runbook",
                    "why": f"{remediation.document_name} is not in {where}",
                    "to_do": f"deploy the stack member or member-flat to {where}, or set ExecutionMode to lambda",
                }
                return self.settle(attempt, lease, result)
            return self.settle(attempt, lease, _failed_call(error))
        except BotoCoreError as error:
            return self.settle(attempt, lease, _failed_call(error))
        why = f"the runbook {remediation.document_name} runs"
        attempt = replace(attempt, outcome="PENDING", why=why, execution=execution, in_runbook=True)
        started = self.attempts.runbook_started(attempt, lease, self.now())
        self.publish([started])
        return started

    def _starter(self, remediation: Remediation, attempt: Attempt) -> Any:
        target = attempt.target
        role = arns.arn(target["partition"], "iam", "", target["account"], "role/sharr/sharr-starter")
        ssm = [
            arns.arn(target["partition"], "ssm", target["region"], target["account"], form)
            for form in (
                f"document/{remediation.document_name}",
                f"automation-definition/{remediation.document_name}:*",
                "automation-execution/*",
            )
        ]
        passed = arns.arn(target["partition"], "iam", "", target["account"], f"role/sharr/{remediation.role_name}")
        statements = [
            {"Effect": "Allow", "Action": "ssm:StartAutomationExecution", "Resource": ssm},
            {"Effect": "Allow", "Action": "iam:PassRole", "Resource": passed},
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
        return self.sessions.open(role, attempt.id, policy)("ssm", target["region"])


def finding_record(finding: Finding, resource: str | None = None) -> dict[str, Any]:
    """
    Return what an attempt keeps of its finding: enough for the note, the message and the update.

    *resource* is the one that is repaired; where none is, the finding's first stands for it.
    """
    return {
        "uid": finding.uid,
        "product_arn": finding.product_arn,
        "partition": finding.partition,
        "account": finding.account,
        "account_name": finding.account_name,
        "region": finding.region,
        "standard": finding.standard,
        "standard_control": finding.standard_control,
        "severity": finding.severity.value,
        "title": finding.title,
        "workflow": finding.workflow.value,
        "resource": resource or finding.resources[0].id,
        "observed_at": stamp(finding.observed_at),
        "note": {"text": finding.note.text, "author": finding.note.author} if finding.note else None,
    }


def _inputs(attempt: Attempt) -> dict[str, list[str]]:
    """Return the runbook's inputs; what is empty is left out, and the document's default holds."""
    target = attempt.target
    inputs = {
        "ResourceId": target["resource"]["id"],
        "Control": attempt.control,
        "AttemptId": attempt.id,
        "Parameters": json.dumps(target["parameters"]) if target["parameters"] else "",
    }
    return {name: [value] for name, value in inputs.items() if value}


def _held(error: Held) -> dict[str, Any]:
    return {"outcome": "HELD", "why": str(error), "to_do": error.to_do, "line": error.line}


def _rechecked(result: dict[str, Any], journal: dict[str, Any]) -> dict[str, Any]:
    """
    Return what a look says that was taken because a later check disagrees with our repair.

    Something to repair: somebody put it back. Nothing: we and Security Hub see it differently, and both views are told.
    """
    journal["open"] = None
    if result["outcome"] == "PREVIEWED":
        return {"outcome": "SKIPPED", "guard": PUT_BACK, "why": "somebody put it back since our repair", "to_do": ""}
    if result["outcome"] == "COMPLIANT" and not result.get("gone"):
        return result | {"to_do": "compare the resource with the control's own description"}
    return result


DENIED = re.compile(r"\b(AccessDenied(Exception)?|UnauthorizedOperation|AuthorizationError)\b")
"""How services spell it. Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""


def _with_denial(result: Mapping[str, Any], attempt: Attempt) -> Mapping[str, Any]:
    """Say where a right may be missing: the roles of a member account may be of another release than the functions."""
    if result["outcome"] != "FAILED" or not attempt.target or not DENIED.search(result["why"]):
        return result
    account = attempt.target["account"]
    hint = (
        f"update the stack member-roles of account {account} to the release of the admin stack, or find what denies it"
    )
    return {**result, "to_do": f"{hint}; then {result['to_do']}" if result.get("to_do") else hint}


def _failed_call(error: ClientError | BotoCoreError) -> dict[str, Any]:
    if isinstance(error, ClientError):
        said = error.response["Error"]
        text = f"{error.operation_name}: {said['Code']}: {said.get('Message', '')}"[:400]
    else:
        text = f"{type(error).__name__}: {error}"
    return {"outcome": "RETRY" if may_pass(error) else "FAILED", "why": text, "to_do": ""}


def _no_role(error: RoleNotAssumed, account: str) -> dict[str, Any]:
    return {
        "outcome": "SKIPPED",
        "guard": "no-role",
        "why": f"{error} cannot be assumed",
        "to_do": f"deploy the stack member-roles to account {account} with this admin account",
    }
