"""
The sweeps of the contract over every remediation folder, from the CASES in its test module.

A folder gets all of them without a line of its own but its cases; docs/contract.md says what each proves.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError, ReadTimeoutError
from policy_sentry.querying.actions import get_action_data

from sandbox.identity import IdentityCenter
from sandbox.ports import Call
from sharr import attempts
from sharr.compose import document
from sharr.loader import ROOT, folders, load
from sharr.policies import SESSION_POLICY_CHARACTERS, session_policy
from sharr.remediation import Remediation
from sharr.runbooks import Runbooks
from sharr.runtime.describing import reversibility
from sharr.runtime.planning import Aws, leaves, new_journal, plan_of
from sharr.runtime.runbook_plan import unpack
from sharr.scripts import code_of
from sharr.table import stamp
from tests.harness import Attempt, Bench, Case, bench

FOLDERS = [f"{folder.parent.name}/{folder.name}" for folder in folders()]


@cache
def cases_of(remediation_id: str) -> tuple[Case, ...]:
    """Return CASES of the folder's test module."""
    name = remediation_id.split("/")[1]
    path = ROOT / "ssm_documents" / remediation_id / f"test_{name}.py"
    if not path.is_file():
        return ()  # test_every_control_of_the_folder_has_a_case tells; the other folders' sweeps go on
    spec = importlib.util.spec_from_file_location(f"cases_{remediation_id.replace('/', '_')}", path)
    assert spec
    assert spec.loader
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return tuple(module.CASES)


EVERY = [
    pytest.param(remediation_id, case, id=f"{remediation_id}-{case.control}-{case.name}".replace(" ", "_"))
    for remediation_id in FOLDERS
    for case in cases_of(remediation_id)
]
every_case = pytest.mark.parametrize(("remediation_id", "case"), EVERY)
every_swept_case = pytest.mark.parametrize(
    ("remediation_id", "case"),
    [one for one in EVERY if one.values[1].swept],  # type: ignore[union-attr]
)
every_folder = pytest.mark.parametrize("remediation_id", FOLDERS)


def begin(b: Bench, case: Case) -> tuple[str, Attempt]:
    """Break the resource; return its id and an attempt on it."""
    resource_id = case.break_it(b)
    return resource_id, b.attempt(case.control, resource_id, case.parameters, case.settings)


def config_now(b: Bench, attempt: Attempt) -> Any:
    """Return `config` as the remediation sees it, read with an administrator's rights."""
    code = code_of(b.remediation)
    target = attempt.target
    aws = Aws(lambda service, region: b.client(service, region), target, b.remediation.regions, code.auxiliaries)
    return json.loads(json.dumps(code.inspect(aws, target)))["config"]


@every_case
def test_a_broken_resource_is_repaired_and_its_control_passes(remediation_id: str, case: Case) -> None:
    with bench(remediation_id, case.region) as b:
        resource_id, attempt = begin(b, case)
        assert not case.passes(b, resource_id), "the case does not break the control"

        result = attempt.finish(case.turns)

        assert result["outcome"] == "REMEDIATED", result
        assert case.passes(b, resource_id)


@every_swept_case
def test_a_second_attempt_makes_no_write(remediation_id: str, case: Case) -> None:
    with bench(remediation_id, case.region) as b:
        resource_id, attempt = begin(b, case)
        attempt.finish(case.turns)

        with b.watched() as calls:
            again = b.remediate(case.control, resource_id, parameters=case.parameters, settings=case.settings)

        assert again["outcome"] == "COMPLIANT", again
        assert not b.writes(calls)


@every_swept_case
def test_a_preview_writes_nothing_and_opens_no_session_that_could(remediation_id: str, case: Case) -> None:
    with bench(remediation_id, case.region) as b:
        _, attempt = begin(b, case)
        before = config_now(b, attempt)

        with b.watched() as calls:
            result = attempt.preview()

        assert result["outcome"] == "PREVIEWED", result
        assert not b.writes(calls)
        assert config_now(b, attempt) == before
        writable = {p.action for p in (*b.remediation.write, *b.remediation.undo)} - {
            p.action for p in b.remediation.read
        }
        for one in calls:
            assert not writable & set(re.findall(r"[a-z0-9-]+:[A-Za-z]+", json.dumps(one.principal.session_policy)))


@every_swept_case
def test_an_undo_gives_the_configuration_back(remediation_id: str, case: Case) -> None:
    if case.irreversible:
        assert b_reversible(remediation_id).startswith("none"), "the risk card does not say that it cannot be undone"
        return
    with bench(remediation_id, case.region) as b:
        _, attempt = begin(b, case)
        before = config_now(b, attempt)
        attempt.finish(case.turns)

        result = attempt.undo()

        assert result["outcome"] == "UNDONE", result
        differs = {"/".join(path) for path in leaves(before, config_now(b, attempt))}
        assert differs == set(case.not_restored)


@every_swept_case
def test_an_undo_whose_process_dies_is_taken_up(remediation_id: str, case: Case) -> None:
    """The calls that it made are made again by the next look, or are seen to be in effect."""
    if case.irreversible:
        return
    died, number = True, 0
    while died:
        with bench(remediation_id, case.region) as b:
            _, attempt = begin(b, case)
            before = config_now(b, attempt)
            attempt.finish(case.turns)
            with failing_write(b, number, "dies after it took effect"):
                try:
                    attempt.undo()
                    died = False
                except ProcessDied:
                    attempt.undo_journal = json.loads(attempt.saved[-1])  # what the table holds

            result = attempt.undo() if died else {"outcome": "UNDONE"}

            assert result["outcome"] == "UNDONE", (number, result)
            assert {"/".join(path) for path in leaves(before, config_now(b, attempt))} == set(case.not_restored), number
        number += 1
    assert number > 1, "the undo makes no call"


@every_swept_case
def test_whichever_call_fails_the_resource_is_as_before_or_the_outcome_says_so(remediation_id: str, case: Case) -> None:
    for number in range(writes_of(remediation_id, case)):
        for kind in ("refused", "timed out after it took effect"):
            with bench(remediation_id, case.region) as b:
                _, attempt = begin(b, case)
                before = config_now(b, attempt)
                with failing_write(b, number, kind):
                    result = attempt.finish(case.turns)
                if "not known yet" in result["why"]:
                    # The service was still at work: the next look decides, and nothing was forgotten meanwhile.
                    b.world.advance(600)
                    assert attempt.finish(case.turns)["outcome"] == "REMEDIATED", (number, kind)
                    assert attempt.undo()["outcome"] == "UNDONE", (number, kind)
                    assert config_now(b, attempt) == before, (number, kind)
                    continue
                after = config_now(b, attempt)
                if result["outcome"] == "REMEDIATED":
                    continue  # the call that failed was one whose failure the plan calls fine
                assert result["outcome"] in ("FAILED", "RETRY"), (number, kind, result)
                if result.get("restored"):
                    assert after == before, (number, kind, result)
                else:
                    assert after != before, (number, kind, result)
                    assert "not taken back" in result["why"], (number, kind, result)


@every_swept_case
def test_a_process_that_dies_is_taken_up_and_can_be_undone(remediation_id: str, case: Case) -> None:
    for number in range(writes_of(remediation_id, case)):
        with bench(remediation_id, case.region) as b:
            resource_id, attempt = begin(b, case)
            before = config_now(b, attempt)
            with failing_write(b, number, "dies after it took effect"):
                try:
                    attempt.finish(case.turns)
                except ProcessDied:
                    attempt.journal = json.loads(attempt.saved[-1])  # what the table holds
            result = attempt.finish(case.turns)
            assert result["outcome"] == "REMEDIATED", (number, result)
            assert case.passes(b, resource_id)
            if case.irreversible:
                continue
            undone = attempt.undo()
            assert undone["outcome"] == "UNDONE", (number, undone)
            assert {"/".join(p) for p in leaves(before, config_now(b, attempt))} == set(case.not_restored), number


@every_swept_case
def test_the_plan_is_pure_and_the_risk_card_is_true(remediation_id: str, case: Case) -> None:
    with bench(remediation_id, case.region) as b:
        _, attempt = begin(b, case)
        attempt.preview()
        state, target, code = attempt.journal["before"], attempt.target, code_of(b.remediation)
        frozen = copy.deepcopy((state, target))

        first, second = plan_of(code, state, target), plan_of(code, state, target)

        assert first == second
        assert (state, target) == frozen
        assert state.keys() == {"config", "facts", "busy"}
        assert json.loads(json.dumps(first)) == first, "a plan is JSON"
        assert isinstance(state["config"], dict)
        worst = ["none", "partly", "full"]
        assert worst.index(reversibility(first).split(":")[0]) >= worst.index(
            b.remediation.risk.reversible.split(":")[0]
        )


@every_swept_case
def test_the_runbook_does_the_same_as_the_function(remediation_id: str, case: Case) -> None:
    with bench(remediation_id, case.region) as b:
        resource_id, attempt = begin(b, case)

        plan, applied = run_as_runbook(b, case, resource_id)

        assert plan["outcome"] == "PREVIEWED", plan
        assert applied["outcome"] in ("REMEDIATED", "PENDING"), applied
        journal, believed = as_the_outcome_function_takes_it(b, attempt.target, plan, applied)
        assert believed["outcome"] == applied["outcome"], believed
        assert journal["undo"] == unpack(applied["record"])["journal"]["undo"]
        if applied["outcome"] == "PENDING":
            attempt.journal = unpack(applied["record"])["journal"]
            assert attempt.finish(case.turns)["outcome"] == "REMEDIATED"
        assert case.passes(b, resource_id)


@every_swept_case
def test_no_secret_is_seen_anywhere(remediation_id: str, case: Case) -> None:
    if not case.secrets:
        return
    with bench(remediation_id, case.region) as b:
        _, attempt = begin(b, case)
        seen = json.dumps(
            [attempt.finish(case.turns), attempt.journal, attempt.saved, attempt.undo(), attempt.undo_journal]
        )
        for secret in case.secrets:
            assert secret not in seen


@every_folder
def test_permissions_are_real_actions_of_their_kind(remediation_id: str) -> None:
    remediation = remediation_of(remediation_id)
    for kind in ("read", "write", "undo"):
        for permission in remediation.permissions(kind):  # type: ignore[arg-type]
            service, name = permission.action.split(":")
            found = get_action_data(service, name)
            assert found, f"{permission.action} is not an IAM action"
            rows = [row for row in found[service] if row["action"].lower() == permission.action.lower()]
            levels = {row["access_level"] for row in rows}
            if kind == "read":
                assert levels <= {"Read", "List"}, f"{permission.action} is {levels}, not a read"
            elif not permission.because:
                assert not levels & {"Read", "List"}, f"{permission.action} is a read: it belongs to read"
            if permission.on == ("*",):
                resources = {row["resource_arn_format"] for row in rows}
                assert resources == {"*"}, f"{permission.action} takes resources {resources}: * is too wide"


@every_folder
def test_every_permission_is_used_and_every_call_is_permitted(remediation_id: str) -> None:
    remediation = remediation_of(remediation_id)
    used: dict[str, set[str]] = {"read": set(), "write": set(), "undo": set()}
    for case in cases_of(remediation_id):
        if not case.swept:
            continue
        with bench(remediation_id, case.region) as b:
            _, attempt = begin(b, case)
            with b.watched() as calls:
                attempt.finish(case.turns)
            for one in calls:
                operation = xform_name(one.operation)
                kind = "write" if b.writes([one]) else "read"
                used[kind].add(operation)
                assert operation in operations(remediation, kind), (
                    f"{one.service}.{operation} has no permission of its own"
                )
            if not case.irreversible:
                with b.watched() as calls:
                    attempt.undo()
                used["undo"] |= {xform_name(c.operation) for c in b.writes(calls)}
            for one in calls:
                if (one.service, one.operation) == ("macie2", "GetMacieSession"):
                    continue  # the answer of Macie where it is off; a denied read is no success in the other sweeps
                assert one.error is None or one.error not in (
                    "AccessDenied",
                    "AccessDeniedException",
                    "UnauthorizedOperation",
                ), one
    for kind, seen in used.items():
        for permission in remediation.permissions(kind):  # type: ignore[arg-type]
            assert permission.because or seen & set(permission.operations), (
                f"{kind}: {permission.action} is used by no case: add a case, say because, or take it away"
            )


@every_folder
def test_session_policies_fit_with_the_longest_values(remediation_id: str) -> None:
    remediation = remediation_of(remediation_id)
    values = {"partition": "aws-us-gov", "region": "ap-southeast-15", "account": "1" * 12}
    for form in remediation.resources:
        pattern = form.compiled(values["partition"], values["region"], values["account"])
        groups = {name: "x" * longest(pattern.pattern, name) for name in pattern.groupindex}
        names = set(
            re.findall(
                r"\{([a-z_]+)\}",
                json.dumps([p.on for k in ("read", "write", "undo") for p in remediation.permissions(k)]),
            )
        )  # type: ignore[arg-type]
        filled = dict.fromkeys(names, "x" * 64) | values | groups | {"type": form.type}
        for kinds in (("read",), ("read", "write"), ("read", "undo")):
            text = session_policy(remediation, kinds, filled)  # type: ignore[arg-type]
            assert len(text) <= SESSION_POLICY_CHARACTERS


@every_folder
def test_the_document_can_be_composed_within_its_limit(remediation_id: str) -> None:
    content = document(remediation_of(remediation_id))
    assert [step["name"] for step in content["mainSteps"]] == ["Plan", "Apply", "Verdict"]


@every_folder
def test_every_control_of_the_folder_has_a_case(remediation_id: str) -> None:
    assert {c.control for c in cases_of(remediation_id)} == set(remediation_of(remediation_id).controls)


# --- how it is done


class ProcessDied(BaseException):
    """The function's process was killed."""


@cache
def remediation_of(remediation_id: str) -> Remediation:
    return load(ROOT / "ssm_documents" / remediation_id)


def b_reversible(remediation_id: str) -> str:
    return remediation_of(remediation_id).risk.reversible


@cache
def writes_of(remediation_id: str, case: Case) -> int:
    """How many writes the repair makes when all goes well."""
    with bench(remediation_id, case.region) as b:
        _, attempt = begin(b, case)
        with b.watched() as calls:
            attempt.finish(case.turns)
        assert b.writes(calls), "the case needs no write"
        return len(b.writes(calls))


def failing_write(b: Bench, number: int, kind: str) -> Any:
    """The role's write with this number (0 first) fails, once."""
    from contextlib import contextmanager

    identity = cast("IdentityCenter", b.world.identity)
    seen = [0]

    def is_it(one: Call) -> bool:
        if one.principal.role_arn != b.role_arn or not b.writes([one]):
            return False
        seen[0] += 1
        return seen[0] == number + 1

    def refuse(one: Call) -> None:
        if is_it(one):
            raise ClientError({"Error": {"Code": "Refused", "Message": "made to fail"}}, one.operation)

    def time_out(one: Call) -> None:
        if is_it(one):
            raise ReadTimeoutError(endpoint_url="https://made-to-fail")

    def die(one: Call) -> None:
        if is_it(one):
            raise ProcessDied

    @contextmanager
    def hooked() -> Iterator[None]:
        hooks, hook = {
            "refused": (identity.before, refuse),
            "timed out after it took effect": (identity.after, time_out),
            "dies after it took effect": (identity.after, die),
        }[kind]
        hooks.append(hook)
        try:
            yield
        finally:
            hooks.remove(hook)

    return hooked()


def run_as_runbook(b: Bench, case: Case, resource_id: str) -> tuple[dict[str, str], dict[str, str]]:
    """Run the composed scripts of Plan and Apply under the role, as Automation would."""
    target = b.target(case.control, resource_id, case.parameters, case.settings)
    payload = {
        "ResourceId": resource_id,
        "Control": case.control,
        "AttemptId": "",
        "Parameters": json.dumps(target["parameters"]) if target["parameters"] else "",
        "account": b.account,
        "region": b.region,
        "partition": b.partition,
    }
    steps = document(b.remediation)["mainSteps"]
    trust = {"Effect": "Allow", "Principal": {"Service": "ssm.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = b.client("iam").get_role(RoleName=b.remediation.role_name)["Role"]["AssumeRolePolicyDocument"]
    trusts = {"Version": "2012-10-17", "Statement": [*role["Statement"], trust]}  # later looks are the function's
    b.client("iam").update_assume_role_policy(RoleName=b.remediation.role_name, PolicyDocument=json.dumps(trusts))
    credentials = b.world.identity.service_assumes_role("ssm.amazonaws.com", b.role_arn, "runbook", {})
    with b.world.identity.run_as(credentials, b.region, {}):
        plan = run_script(steps[0], payload)
        return plan, run_script(steps[1], payload | {"Record": plan["record"]})


def as_the_outcome_function_takes_it(
    b: Bench, target: dict[str, Any], plan: dict[str, str], applied: dict[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a runbook said is checked against the plan that is made again from its state."""
    now = b.world.clock.now()
    attempt = attempts.Attempt(
        id="",
        finding={},
        trigger="automatic",
        request="",
        playbook="",
        remediation=b.remediation.id,
        control=target["control"],
        lease_key="",
        target=target,
        created_at=stamp(now),
        event_at=stamp(now),
        journal=new_journal(""),
    )
    execution = {
        "DocumentName": b.remediation.document_name,
        "Parameters": {"AttemptId": [""]},
        "AutomationExecutionStatus": "Success",
        "StepExecutions": [
            {"StepName": name, "Outputs": {"record": [said["record"]]}}
            for name, said in (("Plan", plan), ("Apply", applied))
        ],
    }
    looks: Any = SimpleNamespace(catalogue=SimpleNamespace(remediations={b.remediation.id: b.remediation}))
    return Runbooks(looks).result_of(attempt, execution)


def run_script(step: dict[str, Any], payload: dict[str, str]) -> dict[str, str]:
    namespace: dict[str, Any] = {"__name__": "runbook"}
    exec(compile(step["inputs"]["Script"], step["name"], "exec"), namespace)
    answer = namespace[step["inputs"]["Handler"]](payload, {})
    return json.loads(json.dumps(answer))  # type: ignore[no-any-return]


def operations(remediation: Remediation, kind: str) -> set[str]:
    kinds = ("read",) if kind == "read" else ("write", "undo")
    return {o for k in kinds for p in remediation.permissions(k) for o in p.operations}  # type: ignore[arg-type]


def longest(pattern: str, group: str) -> int:
    """The length of the longest text that the named group can match, from the pattern's own parse tree."""
    from re import _parser as parser  # type: ignore[attr-defined]  # the one place that knows a pattern's tree

    tree = parser.parse(pattern)
    number = tree.state.groupdict[group]
    found: list[int] = []

    def width(items: Any) -> int:
        total = 0
        for op, value in items:
            name = str(op)
            if name == "SUBPATTERN":
                inner = width(value[3])
                if value[0] == number:
                    found.append(inner)
                total += inner
            elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
                times = int(value[1])
                assert times < 4000, f"{pattern}: a repeat without an end"
                total += times * width(value[2])
            elif name == "BRANCH":
                total += max(width(branch) for branch in value[1])
            elif name in ("AT", "ASSERT", "ASSERT_NOT"):
                continue
            else:
                total += 1
        return total

    width(tree)
    return found[0]
