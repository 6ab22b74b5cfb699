"""What a runbook's end is taken for: a member account's word, which may be anything."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from sharr.attempts import Attempt, Lease
from sharr.looks import Looks
from sharr.runbooks import RUNNING, RUNS_AT_MOST, Runbooks
from sharr.runtime.driver import remediate
from sharr.runtime.planning import new_journal, preview
from sharr.runtime.runbook_plan import pack
from sharr.scripts import code_of
from sharr.sessions import RoleNotAssumed
from sharr.table import stamp
from tests.harness import remediation_of

Json = dict[str, Any]
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ID = "a2f1c5f0-0000-5000-8000-000000000001"
ACCOUNT, REGION, NAME = "222222222222", "eu-west-1", "payments-archive"
OLD = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:Get*"}]}
BEFORE = {"config": {"policy": [OLD]}, "facts": {"region": REGION}, "busy": None}
VPC = "vpc-0123456789abcdef0"
NO_LOG: Json = {
    "config": {},
    "facts": {
        "others": [],
        "mine": None,
        "owner": ACCOUNT,
        "aux": {"flow_log_group": {"name": f"/sharr/vpc/{VPC}", "role": True, "group": None}},
    },
    "busy": None,
}


def attempt(remediation: str = "s3/require_tls", **changes: Any) -> Attempt:
    target: Json = {
        "partition": "aws",
        "account": ACCOUNT,
        "region": REGION,
        "control": "S3.5",
        "resource": {"id": f"arn:aws:s3:::{NAME}", "type": "AwsS3Bucket", "bucket": NAME},
        "parameters": {},
        "now": NOW.isoformat(),
    }
    if remediation == "ec2/log_vpc_traffic":
        parameters = {p.name: p.value("EC2.6", {}, {}) for p in remediation_of(remediation).parameters}
        target |= {"control": "EC2.6", "resource": {"id": VPC, "vpc_id": VPC}, "parameters": parameters}
    values: Json = {
        "id": ID,
        "finding": {"uid": "finding-1", "workflow": "NEW"},
        "trigger": "automatic",
        "request": "event-1",
        "playbook": "SC",
        "remediation": remediation,
        "control": target["control"],
        "lease_key": "key",
        "target": target,
        "created_at": stamp(NOW),
        "event_at": stamp(NOW),
        "outcome": "PENDING",
        "place": "runbook",
        "execution": "e-1",
        "in_runbook": True,
        "looks": 1,
        "journal": new_journal(ID),
    }
    return Attempt(**values | changes)


class Bucket:
    """Access and clients of a service that takes every call."""

    def read(self) -> Bucket:
        return self

    def write(self, _plan: Any, _state: Any) -> Bucket:
        return self

    undo = write

    def client(self, _service: str, _region: str | None = None) -> Bucket:
        return self

    def __getattr__(self, operation: str) -> Callable[..., Json]:
        return lambda **_: {"FlowLogIds": ["fl-0123456789abcdef0"]} if operation == "create_flow_logs" else {}


def honest(one: Attempt, before: Json, after: Json) -> Json:
    """Return what the driver writes into the record where it finds *before*, then *after*."""
    code = code_of(remediation_of(one.remediation))
    states = iter([before, after])
    script = SimpleNamespace(
        inspect=lambda _aws, _target: next(states),
        plan=code.plan,
        auxiliaries=code.auxiliaries,
        settings=code.settings,
    )
    journal = new_journal(ID)
    result = remediate(script, Bucket(), dict(one.target), journal, lambda _: None, sleep=lambda _: None)
    code_hash = remediation_of(one.remediation).code
    made: Json = json.loads(json.dumps({"code": code_hash, "journal": journal, "result": result}))
    return made


def after_of(one: Attempt, before: Json) -> Json:
    (put,) = code_of(remediation_of(one.remediation)).plan(before, one.target)
    return {**before, "config": {"policy": [put["parameters"]["Policy"]["$json"]]}}


def repaired() -> Json:
    return honest(attempt(), BEFORE, after_of(attempt(), BEFORE))


def planned(one: Attempt | None = None, before: Json = BEFORE) -> Json:
    """Return what the step Plan writes."""
    one = one or attempt()
    code = code_of(remediation_of(one.remediation))
    script = SimpleNamespace(
        inspect=lambda _aws, _target: before, plan=code.plan, auxiliaries=code.auxiliaries, settings=code.settings
    )
    journal = new_journal(ID)
    result = preview(script, Bucket(), dict(one.target), journal)
    return {"code": remediation_of(one.remediation).code, "journal": journal, "result": result}


def execution(one: Attempt, apply: Any = None, plan: Any = None, **changes: Any) -> Json:
    """Return an execution as Systems Manager gives it; *apply* and *plan* are records, texts are put in as they are."""
    steps = [
        {"StepName": name, "StepStatus": "Success", "Outputs": {"record": [r if isinstance(r, str) else pack(r)]}}
        for name, r in (("Plan", plan), ("Apply", apply))
        if r is not None
    ]
    return {
        "AutomationExecutionId": "e-1",
        "DocumentName": remediation_of(one.remediation).document_name,
        "Parameters": {"AttemptId": [one.id], "ResourceId": [one.target["resource"]["id"]]},
        "AutomationExecutionStatus": "Success",
        "StepExecutions": steps,
    } | changes


@dataclass
class World:
    """What Runbooks need of looks; remembers what was settled."""

    said: Any = None
    stored: Attempt | None = None
    is_free: bool = True
    settled: list[tuple[Attempt, Json]] = field(default_factory=list)
    kept: list[datetime] = field(default_factory=list)
    opened: list[tuple[str, str, str | None]] = field(default_factory=list)
    now: datetime = NOW

    def runbooks(self) -> Runbooks:
        every = {i: remediation_of(i) for i in ("s3/require_tls", "ec2/log_vpc_traffic")}
        looks = SimpleNamespace(
            catalogue=SimpleNamespace(remediations=every),
            attempts=SimpleNamespace(
                get=lambda _: self.stored,
                of_execution=lambda e: self.stored.id if self.stored and e == self.stored.execution else None,
                take_over=lambda a, _now: (a, Lease("f", {})) if self.is_free else None,
                keep=lambda _, now: self.kept.append(now),
            ),
            sessions=SimpleNamespace(open=self._open),
            now=lambda: self.now,
            settle=self._settle,
        )
        return Runbooks(cast("Looks", looks))

    def _open(self, role: str, name: str, policy: str | None) -> Any:
        self.opened.append((role, name, policy))
        if isinstance(self.said, RoleNotAssumed):
            raise self.said
        return lambda _service, _region: self

    def get_automation_execution(self, **_: Any) -> Json:
        if isinstance(self.said, Exception):
            raise self.said
        return {"AutomationExecution": self.said}

    def _settle(self, one: Attempt, _lease: Lease, result: Json) -> Attempt:
        self.settled.append((one, result))
        return dataclasses.replace(one, outcome=result["outcome"], why=result["why"])


def judged(one: Attempt, said: Json) -> tuple[Json, Json]:
    return World().runbooks().result_of(one, said)


# --- what an honest runbook says


def test_the_record_of_a_repair_is_taken_with_the_undo_that_its_plan_has() -> None:
    record = repaired()

    journal, result = judged(attempt(), execution(attempt(), record))

    assert result["outcome"] == "REMEDIATED"
    assert [c["operation"] for c in journal["plan"]] == ["put_bucket_policy"]
    (back,) = journal["undo"]
    assert (back["operation"], json.loads(back["parameters"]["Policy"])) == ("put_bucket_policy", OLD)
    assert back["parameters"] == record["journal"]["undo"][0]["parameters"]
    assert (journal["before"], journal["after"]) == (BEFORE, record["journal"]["after"])
    assert journal["open"] is None


def test_an_answer_of_an_earlier_call_is_kept_in_the_undo() -> None:
    """The id of what was made is known to the runbook only."""
    one = attempt("ec2/log_vpc_traffic")
    record = honest(one, NO_LOG, NO_LOG)

    journal, result = judged(one, execution(one, record))

    assert result["outcome"] == "PENDING"
    assert [c["parameters"] for c in journal["undo"]] == [{"FlowLogIds": ["fl-0123456789abcdef0"]}]


def test_a_long_record_is_read_as_it_was_packed() -> None:
    statements = [{"Effect": "Allow", "Principal": "*", "Action": f"s3:Get{n}"} for n in range(150)]
    before = {**BEFORE, "config": {"policy": [{"Version": "2012-10-17", "Statement": statements}]}}
    record = honest(attempt(), before, after_of(attempt(), before))
    record["journal"]["after"]["facts"]["more"] = "x" * 20_000
    assert pack(record).startswith("z:")

    assert judged(attempt(), execution(attempt(), record))[1]["outcome"] == "REMEDIATED"


def test_where_only_plan_has_spoken_everything_planned_may_be_done_and_is_looked_at_again() -> None:
    said = execution(attempt(), plan=planned(), AutomationExecutionStatus="TimedOut", FailureMessage="Step\ntimed out")

    journal, result = judged(attempt(), said)

    assert result["outcome"] == "RETRY"
    assert "TimedOut" in result["why"]
    assert "Step timed out" in result["why"]
    assert [c["operation"] for c in journal["plan"]] == ["put_bucket_policy"]
    assert [json.loads(c["parameters"]["Policy"]) for c in journal["undo"]] == [OLD]
    assert journal["open"] is None


@pytest.mark.parametrize("outcome", ["COMPLIANT", "FAILED", "RETRY"])
def test_what_plan_found_is_the_result_where_it_left_nothing_to_apply(outcome: str) -> None:
    result = {"outcome": outcome, "why": "as it is", "gone": True}
    record = {"code": remediation_of("s3/require_tls").code, "journal": new_journal(ID), "result": result}

    journal, result = judged(attempt(), execution(attempt(), plan=record))

    assert (result["outcome"], result["why"], result["gone"]) == (outcome, "as it is", True)
    assert (journal["plan"], journal["undo"]) == ([], [])


def test_an_execution_without_any_record_failed_with_its_own_message() -> None:
    said = execution(attempt(), AutomationExecutionStatus="Failed", FailureMessage="AssumeRole was denied")

    assert "AssumeRole was denied" in judged(attempt(), said)[1]["why"]


# --- what a hostile one says


def altered(change: Callable[[Json], object]) -> Json:
    record = copy.deepcopy(repaired())
    change(record)
    return record


def undo_call(record: Json) -> Json:
    call: Json = record["journal"]["undo"][0]
    return call


HOSTILE_RECORDS: dict[str, Callable[[Json], object]] = {
    "an undo of another bucket": lambda r: undo_call(r)["parameters"].update(Bucket="another"),
    "an undo of another owner": lambda r: undo_call(r)["parameters"].update(ExpectedBucketOwner="333333333333"),
    "an undo with one more parameter": lambda r: undo_call(r)["parameters"].update(ChecksumAlgorithm="CRC32"),
    "an undo with one parameter less": lambda r: undo_call(r)["parameters"].pop("ExpectedBucketOwner"),
    "an undo to another policy": lambda r: undo_call(r)["parameters"].update(Policy='{"Statement":[]}'),
    "an undo whose policy is no JSON": lambda r: undo_call(r)["parameters"].update(Policy="{"),
    "an undo whose policy is no text": lambda r: undo_call(r)["parameters"].update(Policy=OLD),
    "an undo whose policy is deep": lambda r: undo_call(r)["parameters"].update(Policy="[" * 100_000),
    "an undo by another call": lambda r: undo_call(r).update(operation="delete_bucket"),
    "an undo by another service": lambda r: undo_call(r).update(client="iam"),
    "an undo in another Region": lambda r: undo_call(r).update(region="us-east-1"),
    "an undo without parameters": lambda r: undo_call(r).pop("parameters"),
    "one undo more": lambda r: r["journal"]["undo"].append(undo_call(r)),
    "an undo that is a text": lambda r: r["journal"].update(undo=["delete_bucket"]),
    "undos in an object": lambda r: r["journal"].update(undo={"0": undo_call(r)}),
    "no undos": lambda r: r["journal"].update(undo=None),
    "a call more than planned": lambda r: r["journal"]["plan"].append({"client": "s3", "operation": "delete_bucket"}),
    "another call than planned": lambda r: r["journal"]["plan"][0].update(operation="delete_bucket"),
    "calls that are texts": lambda r: r["journal"].update(plan="put"),
    "calls that are a number": lambda r: r["journal"].update(plan=7),
    "no journal": lambda r: r.pop("journal"),
    "a journal that is a list": lambda r: r.update(journal=[]),
    "no state before": lambda r: r["journal"].pop("before"),
    "a state before of another shape": lambda r: r["journal"].update(before={"config": {}}),
    "a state with one field more": lambda r: r["journal"]["before"].update(more=1),
    "a state before that is a text": lambda r: r["journal"].update(before="policy"),
    "a state after that is a list": lambda r: r["journal"].update(after=[]),
    "no state after": lambda r: r["journal"].update(after=None),
    "a policy before that is a number": lambda r: r["journal"]["before"]["config"].update(policy=[7]),
    "no facts before": lambda r: r["journal"]["before"].update(facts=None),
    "a state that is compliant already": lambda r: r["journal"].update(before=r["journal"]["after"]),
    "a repair without a call": lambda r: r["journal"].update(plan=[], undo=[]),
    "no result": lambda r: r.pop("result"),
    "a result that is a text": lambda r: r.update(result="REMEDIATED"),
    "no outcome": lambda r: r["result"].pop("outcome"),
    "no why": lambda r: r["result"].pop("why"),
}


@pytest.mark.parametrize("change", HOSTILE_RECORDS.values(), ids=HOSTILE_RECORDS.keys())
def test_a_record_that_does_not_fit_the_plan_is_failed_and_gives_no_undo(change: Callable[[Json], object]) -> None:
    journal, result = judged(attempt(), execution(attempt(), altered(change)))

    assert result["outcome"] == "FAILED", result
    assert result["why"].startswith("the runbook failed: ")
    assert len(result["why"]) <= 500
    assert journal == attempt().journal


@pytest.mark.parametrize(
    "outcome",
    [
        *("UNDONE", "PREVIEWED", "SKIPPED", "WAITING", "HELD", "remediated", "", None, 1, []),
        pytest.param("R" * 9999, id="long"),
    ],
)
def test_an_outcome_that_a_runbook_cannot_have_is_failed(outcome: Any) -> None:
    _, result = judged(attempt(), execution(attempt(), altered(lambda r: r["result"].update(outcome=outcome))))

    assert result["outcome"] == "FAILED"
    assert len(result["why"]) <= 500


def bomb(size: int) -> str:
    return "z:" + base64.b64encode(zlib.compress(b'"' + b"x" * size + b'"', 9)).decode()


HOSTILE_TEXTS = {
    "no JSON": "repaired",
    "a number": "7",
    "null": "null",
    "a list": "[]",
    "not packed as it says": "z:bm90IHBhY2tlZA==",
    "not base64": "z:\u00e4\u00f6\u00fc",
    "cut": pack({"journal": {"x": "y" * 30_000}})[:-40],
    "not UTF-8": "z:" + base64.b64encode(zlib.compress(b"\xff\xfe")).decode(),
    "a bomb": bomb(200 * 1024 * 1024),
    "very long": '"' + "x" * 2_000_000 + '"',
    "very deep": "[" * 200_000 + "]" * 200_000,
    "deep": '{"a":' * 500 + "1" + "}" * 500,
    "deep and packed": "z:" + base64.b64encode(zlib.compress(b"[" * 1_000_000)).decode(),
}


@pytest.mark.parametrize("step", ["apply", "plan"])
@pytest.mark.parametrize("text", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS.keys())
def test_a_record_that_cannot_be_read_is_failed(text: str, step: str) -> None:
    journal, result = judged(attempt(), execution(attempt(), **{step: text}))

    assert result["outcome"] == "FAILED"
    assert len(result["why"]) <= 500
    assert result["why"].isprintable()
    assert journal == attempt().journal


@pytest.mark.parametrize(
    ("case", "changes", "wanted"),
    [
        ("another document", {"DocumentName": "SHARR-kms-rotate-key"}, "another document"),
        ("no document", {"DocumentName": None}, "another document"),
        ("another attempt", {"Parameters": {"AttemptId": ["another"]}}, "another attempt"),
        ("two attempts", {"Parameters": {"AttemptId": [ID, ID]}}, "another attempt"),
        ("no attempt", {"Parameters": {}}, "another attempt"),
        ("parameters in a list", {"Parameters": [ID]}, "cannot be trusted"),
        ("parameters that are null", {"Parameters": None}, "cannot be trusted"),
        ("steps that are a text", {"StepExecutions": "Apply"}, "cannot be trusted"),
        ("steps that are null", {"StepExecutions": None}, "cannot be trusted"),
        ("a step without a name", {"StepExecutions": [{"Outputs": {"record": ["{}"]}}]}, "cannot be trusted"),
        ("outputs in a list", {"StepExecutions": [{"StepName": "Apply", "Outputs": ["{}"]}]}, "cannot be trusted"),
        ("no outputs", {"StepExecutions": [{"StepName": "Apply"}]}, "ended Success"),
        ("no record", {"StepExecutions": [{"StepName": "Apply", "Outputs": {"record": []}}]}, "ended Success"),
        (
            "a record of bytes",
            {"StepExecutions": [{"StepName": "Apply", "Outputs": {"record": [b"{}"]}}]},
            "cannot be trusted",
        ),
    ],
)
def test_an_execution_of_another_or_of_another_shape_is_failed(case: str, changes: Json, wanted: str) -> None:
    journal, result = judged(attempt(), execution(attempt(), repaired(), **changes))

    assert result["outcome"] == "FAILED", case
    assert wanted in result["why"]
    assert journal == attempt().journal


def test_texts_of_a_member_account_become_one_printable_line() -> None:
    text = "done\r\n\x1b[31mERROR \u202e" + "x" * 100_000
    record = altered(lambda r: r["result"].update(outcome="FAILED", why=text, to_do=text))

    _, result = judged(attempt(), execution(attempt(), record))

    for name in ("why", "to_do"):
        assert result[name].startswith("done   [31mERROR  xxx")
        assert len(result[name]) == 400
        assert result[name].isprintable()


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [(90, 90), (0.1, 60), (-5, 60), (10**400, 60), (float("nan"), 60), (float("inf"), 60), ("5", 60), (None, 60)],
)
def test_the_time_of_the_next_look_is_a_time(seconds: Any, wanted: float) -> None:
    """NaN became a due time, which no clock has."""
    record = altered(lambda r: r["result"].update(outcome="PENDING", seconds=seconds))

    assert judged(attempt(), execution(attempt(), record))[1]["seconds"] == wanted


@pytest.mark.parametrize("gone", [1, "yes", [0], None])
def test_gone_is_true_or_not(gone: Any) -> None:
    record = altered(lambda r: r["result"].update(outcome="PENDING", gone=gone))

    assert judged(attempt(), execution(attempt(), record))[1]["gone"] is False


def test_true_was_taken_for_one_in_an_undo() -> None:
    before = {**BEFORE, "config": {"policy": [{**OLD, "Id": 1}]}}
    record = honest(attempt(), before, after_of(attempt(), before))
    parameters = undo_call(record)["parameters"]
    parameters["Policy"] = json.dumps({**json.loads(parameters["Policy"]), "Id": True})

    assert judged(attempt(), execution(attempt(), record))[1]["outcome"] == "FAILED"


@pytest.mark.parametrize("answer", ["", "x" * 513, "fl-1\n", "fl-\u00fc", None, ["fl-1"], 7])
def test_an_answer_that_is_no_short_text_is_no_undo(answer: Any) -> None:
    one = attempt("ec2/log_vpc_traffic")
    record = honest(one, NO_LOG, NO_LOG)
    record["journal"]["undo"][0]["parameters"]["FlowLogIds"] = [answer]

    journal, result = judged(one, execution(one, record))

    assert (result["outcome"], journal["undo"]) == ("FAILED", [])


def test_a_record_larger_than_the_table_takes_is_failed() -> None:
    noise = base64.b64encode(random.Random(1).randbytes(360_000)).decode()
    record = altered(lambda r: r["journal"]["after"]["facts"].update(noise=noise))

    journal, result = judged(attempt(), execution(attempt(), record))

    assert (result["outcome"], journal) == ("FAILED", attempt().journal)


def test_an_attempt_of_a_release_that_had_the_remediation_does_not_stay_open() -> None:
    one = attempt(remediation="s3/no_longer", target=attempt().target)

    journal, result = World().runbooks().result_of(one, execution(attempt(), repaired()))

    assert result["outcome"] == "FAILED"
    assert "no remediation s3/no_longer" in result["why"]
    assert journal == one.journal


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just(OLD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(p for key, v in inner for p in paths(v, (*path, key)))]


RECORD = repaired()
PLACES = [p for p in paths(RECORD) if p]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(PLACES), anything), min_size=1, max_size=3), st.booleans())
def test_whatever_stands_anywhere_in_a_record_no_undo_comes_of_it_that_the_plan_does_not_have(
    changes: list[tuple[tuple[Any, ...], Any]], is_plan: bool
) -> None:
    record: Any = copy.deepcopy(RECORD)
    for path, value in changes:
        where = record
        try:
            for key in path[:-1]:
                where = where[key]
            where[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # another change took the place away
    said = execution(attempt(), **{"plan" if is_plan else "apply": json.dumps(record)})

    journal, result = judged(attempt(), said)

    assert result["outcome"] in ("REMEDIATED", "COMPLIANT", "PENDING", "RETRY", "FAILED")
    assert result["why"].isprintable()
    for back in journal["undo"]:
        assert back["operation"] in ("put_bucket_policy", "delete_bucket_policy")
        assert (back["client"], back["parameters"]["Bucket"]) == ("s3", NAME)
        assert back["parameters"]["ExpectedBucketOwner"] == ACCOUNT
        if "Policy" in back["parameters"]:
            assert json.loads(back["parameters"]["Policy"]) == journal["before"]["config"]["policy"][0]


# --- settling


def test_the_attempt_that_started_an_execution_is_settled_and_goes_on_in_the_function() -> None:
    world = World(execution(attempt(), repaired()), attempt())

    assert world.runbooks().on_end("e-1")

    ((one, result),) = world.settled
    assert result["outcome"] == "REMEDIATED"
    assert not one.in_runbook
    assert one.journal["undo"]
    assert world.opened == [(f"arn:aws:iam::{ACCOUNT}:role/sharr/sharr-reader", ID, None)]


def test_an_execution_of_somebody_else_is_not_even_read() -> None:
    world = World(execution(attempt(), repaired()), attempt())

    assert world.runbooks().on_end("e-2") is None
    assert (world.opened, world.settled) == ([], [])


@pytest.mark.parametrize(
    "changes", [{"ended_at": stamp(NOW)}, {"in_runbook": False}], ids=["it has ended", "its runbook was settled"]
)
def test_what_was_settled_is_not_settled_again(changes: Json) -> None:
    world = World(execution(attempt(), repaired()), attempt(**changes))

    assert world.runbooks().settle(ID) is None
    assert (world.opened, world.settled) == ([], [])


def test_an_attempt_that_is_not_there_is_not_settled() -> None:
    assert World(execution(attempt(), repaired())).runbooks().settle(ID) is None


def test_what_another_holds_is_left_to_the_sweeper() -> None:
    world = World(execution(attempt(), repaired()), attempt(), is_free=False)

    assert world.runbooks().settle(ID) is None
    assert world.settled == []


@pytest.mark.parametrize("status", RUNNING)
def test_a_runbook_that_waits_in_a_queue_keeps_its_resource(status: str) -> None:
    """Its lease was of 30 minutes, and an execution may be queued for longer: another attempt wrote meanwhile."""
    said = execution(attempt(), AutomationExecutionStatus=status, ExecutionStartTime=NOW)
    world = World(said, attempt(), now=NOW + timedelta(minutes=25))

    assert world.runbooks().settle(ID) is None

    assert (world.kept, world.settled) == ([world.now], [])


def test_a_runbook_that_runs_for_a_day_is_given_up() -> None:
    said = execution(attempt(), AutomationExecutionStatus="InProgress", ExecutionStartTime=NOW)
    world = World(said, attempt(), now=NOW + RUNS_AT_MOST)

    world.runbooks().settle(ID)

    assert [result["outcome"] for _, result in world.settled] == ["FAILED"]


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetAutomationExecution")


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (refusal("AutomationExecutionNotFoundException"), "not there"),
        (RoleNotAssumed("arn:aws:iam::222222222222:role/sharr/sharr-reader"), "cannot be read"),
    ],
)
def test_an_end_that_nobody_can_read_is_failed_with_the_reason(error: Exception, wanted: str) -> None:
    world = World(error, attempt())

    world.runbooks().settle(ID)

    ((_, result),) = world.settled
    assert result["outcome"] == "FAILED"
    assert wanted in result["why"]


def test_an_end_that_cannot_be_read_just_now_is_read_later() -> None:
    world = World(refusal("ThrottlingException"), attempt())

    with pytest.raises(ClientError):
        world.runbooks().settle(ID)

    assert world.settled == []


RELEASES = [
    ("this release", None, False),
    ("another", "0123456789ab", True),
    ("one before the documents told", "absent", True),
    ("no hash", "<script>", False),
]


@pytest.mark.parametrize(("case", "code", "told"), RELEASES, ids=[r[0] for r in RELEASES])
def test_a_failure_in_a_document_of_another_release_says_so(case: str, code: str | None, told: bool) -> None:
    one = attempt()
    said = honest(one, BEFORE, after_of(one, BEFORE))
    said["result"] = said["result"] | {"outcome": "FAILED", "why": "it broke", "to_do": "look"}
    if code == "absent":
        del said["code"]
    elif code is not None:
        said["code"] = code

    _, result = World().runbooks().result_of(one, execution(one, said))

    assert result["outcome"] == "FAILED"
    assert ("is there of another release" in result["why"]) is told
    assert ("update the stack member or member-flat in account 222222222222" in result["to_do"]) is told
    assert "<script>" not in json.dumps(result)


def test_a_repair_by_a_document_of_another_release_counts_where_its_calls_are_ours() -> None:
    one = attempt()
    said = honest(one, BEFORE, after_of(one, BEFORE)) | {"code": "0123456789ab"}

    _, result = World().runbooks().result_of(one, execution(one, said))

    assert result["outcome"] == "REMEDIATED"
