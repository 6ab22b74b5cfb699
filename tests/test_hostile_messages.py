"""Hostile messages by the thousand (`make hostile` sends many more), and that the judge sees what is wrong."""

from __future__ import annotations

import dataclasses
import json
import random
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostile import deployed
from hostile.grammar import ADMIN, BENDS, HOME, MEMBERS, NOW, STRANGER, TEXTS, Case, case, sample_of
from hostile.judge import Tally, faults_of_policy, faults_of_words, try_one
from hostile.stage import DEAD_LETTERS, Stage
from sandbox import samples
from sharr import outcomes
from sharr.attempts import Attempt
from sharr.finding import Finding, parse_finding
from sharr.loader import load_all
from sharr.looks import finding_record
from sharr.policies import session_policy
from sharr.runtime.planning import new_journal
from sharr.targets import target_for, target_of
from tests.harness import remediation_of

MESSAGES, ANOTHER_SEED = 900, 7
QUEUE = f"arn:aws:sqs:{HOME}:{MEMBERS[0]}:orders"


def tried(*cases: Case) -> Tally:
    tally, on = Tally(), Stage()
    with on.installed():
        for one in cases:
            try_one(on, one, tally)
    return tally


def message(**changes: Any) -> Case:
    """Return one right finding, or one with changes, as a message."""
    finding = samples.finding(
        "SC", "SQS.1", account=MEMBERS[0], region=HOME, resource_id=QUEUE, resource_type="AwsSqsQueue", now=NOW
    )
    event = samples.imported_event([{**finding, **changes}], admin_account=ADMIN, region=HOME)
    return Case(0, json.dumps({**event, "time": "2026-01-31T11:59:58Z"}), 1)


def test_hostile_messages_have_one_outcome_each_and_lead_nowhere_else() -> None:
    tally = tried(*(case(number, ANOTHER_SEED) for number in range(MESSAGES)))

    assert tally.violations == []
    assert sum(tally.became.values()) >= tally.findings
    assert len(tally.bends) >= len(set(BENDS))
    assert {"SKIPPED: not-a-target", "SKIPPED: bad-parameter", "dead letter: Resources[].Id"} <= tally.became.keys()
    assert tally.calls > 50


def test_hostile_messages_through_the_deployed_sandbox() -> None:
    tally = deployed.run(range(25), ANOTHER_SEED, playbooks=["SC"])

    assert tally.violations == []
    assert tally.became["dead letter"]
    assert tally.events > 15


def test_a_case_is_always_the_same() -> None:
    assert case(11, 3) == case(11, 3)
    assert case(11, 3).body != case(12, 3).body


@pytest.mark.parametrize("form", sorted({f.pattern for r in load_all() for f in r.resources}))
def test_the_grammar_makes_resources_that_the_remediations_take(form: str) -> None:
    text = form.replace("{partition}", "aws").replace("{account}", MEMBERS[0])
    text = text.replace("{region}", HOME).replace("{any_region}", HOME)
    for seed in range(20):
        assert re.fullmatch(text, sample_of(text, random.Random(seed)))


# --- regressions: what the first runs found


@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 50_000])
def test_a_text_that_is_nested_too_deep_is_laid_aside_with_a_reason(body: str) -> None:
    on = Stage()
    with on.installed():
        on.clear({})
        assert on.message(body, "SC") == []
    (dead,) = on.records.sent
    assert dead["QueueUrl"] == DEAD_LETTERS
    assert dead["MessageAttributes"]["reason"]["StringValue"] == "the message is not JSON"


@pytest.mark.parametrize(
    "unseen", ["\u202e", "\u2066", "\u200b", "\ufeff", "\u00ad", "\u3164", "\u115f", "\u034f", "\ufe0f", "\U000e0041"]
)
def test_characters_that_nobody_sees_are_left_out_of_what_people_read(unseen: str) -> None:
    attempt = told(title=f"pay{unseen}ments", note=f"see{unseen}n", name=f"pay{unseen}ments")

    note = outcomes.note_for(attempt, None)
    sent = json.loads(outcomes.message_for(attempt, None, HOME)["Message"])

    assert "seen" in note
    assert unseen not in note
    assert all(unseen not in part and "payments" in part for part in (sent["email"], sent["sqs"]))
    assert json.loads(sent["sqs"])["title"] == json.loads(sent["sqs"])["account_name"] == "payments"


def test_a_parameter_that_is_refused_is_named_in_ascii() -> None:
    parameters = [{"Name": "authorizedUdpPorts", "Value": ["\u202e\u3164"]}]
    finding = samples.finding(
        "SC", "EC2.18", account=MEMBERS[0], region=HOME,
        resource_id=f"arn:aws:ec2:{HOME}:{MEMBERS[0]}:security-group/sg-12345678",
        resource_type="AwsEc2SecurityGroup", now=NOW,
    )  # fmt: skip
    finding["Compliance"]["SecurityControlParameters"] = parameters
    parsed = parse_finding(finding, samples.standards())
    on = Stage()
    with on.installed():
        on.clear({})
        on.message(json.dumps({**json.loads(message().body), "detail": {"findings": [finding]}}), "SC")
    ((_, _, attempt),) = on.records.taken
    assert parsed.parameters
    assert attempt is not None
    assert attempt.guard == "bad-parameter"
    assert "\\u202e" in attempt.why
    assert attempt.why.isascii()


def test_what_people_are_told_of_is_the_resource_that_is_repaired_not_the_first_one() -> None:
    listed = [{"Type": "Other", "Id": "arn:aws:ec2:us-east-1::image/ami-1"}, {"Type": "AwsSqsQueue", "Id": QUEUE}]
    on = Stage()
    with on.installed():
        on.clear({})
        on.message(message(Resources=listed).body, "SC")
    ((_, _, attempt),) = on.records.taken

    assert attempt is not None
    assert attempt.finding["resource"] == attempt.target["resource"]["id"] == QUEUE


# --- what people read


def told(*, title: str = "x", note: str | None = None, name: str | None = None, **changes: Any) -> Attempt:
    raw = json.loads(message().body)["detail"]["findings"][0]
    finding: Finding = parse_finding(raw, samples.standards())
    record = {**finding_record(finding), "title": title, "account_name": name}
    record["note"] = None if note is None else {"text": note, "author": note}
    made = Attempt(
        id="0b0b0b0b-0000-5000-8000-000000000000", finding=record, trigger="automatic", request="r", playbook="SC",
        remediation="sqs/encrypt_queue", control="SQS.1", lease_key="k", target={}, created_at=NOW.isoformat(),
        event_at=NOW.isoformat(), outcome="FAILED", why="w", ended_at=NOW.isoformat(), journal=new_journal("t"),
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


hostile_texts = st.one_of(
    st.sampled_from(TEXTS), st.text(max_size=300), st.text("\r\n\x00\u202e<>&*[]()`|", max_size=600)
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    title=hostile_texts, note=hostile_texts, name=hostile_texts, why=hostile_texts, to_do=hostile_texts,
    before=hostile_texts, after=hostile_texts,
    outcome=st.sampled_from(["FAILED", "SKIPPED", "COMPLIANT", "UNDONE", "REMEDIATED", "PREVIEWED"]),
)  # fmt: skip
def test_no_text_reaches_note_mail_message_or_log_as_more_than_text(
    title: str, note: str, name: str, why: str, to_do: str, before: str, after: str, outcome: Any
) -> None:
    journal = {
        **new_journal("t"),
        "before": {"config": {"Policy": before}, "facts": {}, "busy": None},
        "after": {"config": {"Policy": after}, "facts": {}, "busy": None},
    }
    attempt = told(title=title, note=note, name=name, why=why, to_do=to_do, outcome=outcome, journal=journal)

    assert list(faults_of_words(attempt, remediation_of("sqs/encrypt_queue"))) == []


def test_the_metrics_dimensions_are_outcomes_and_controls_never_texts_of_findings() -> None:
    controls = {control for r in load_all() for control in r.controls}
    tally = tried(message(Compliance={"Status": "FAILED", "SecurityControlId": "SQS.1\nEvil"}))

    assert all(re.fullmatch(r"[A-Za-z0-9]+\.[0-9]+", c) for c in controls | set(samples.controls()))
    assert dict(tally.became) == {"dead letter: Compliance.SecurityControlId": 1}


# --- the judge sees what is wrong


def violations_with(monkeypatch: pytest.MonkeyPatch, target: str, new: Any, one: Case | None = None) -> str:
    monkeypatch.setattr(target, new)
    return " ".join(tried(one or message()).violations)


def test_the_judge_sees_a_role_of_another_account(monkeypatch: pytest.MonkeyPatch) -> None:
    other = property(lambda self: f"arn:aws:iam::{STRANGER}:role/sharr/{self._remediation.role_name}")

    assert f"::{STRANGER}:role" in violations_with(monkeypatch, "sharr.sessions.RoleAccess.role_arn", other)


def test_the_judge_sees_a_target_of_another_account(monkeypatch: pytest.MonkeyPatch) -> None:
    real = target_for

    def elsewhere(*args: Any) -> Any:
        return {**real(*args), "account": MEMBERS[1]}

    assert "is not the finding's" in violations_with(monkeypatch, "sharr.looks.target_for", elsewhere)


def test_the_judge_sees_a_session_without_a_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "without policy" in violations_with(monkeypatch, "sharr.sessions.Sessions.open", _open)


def _open(self: Any, role_arn: str, name: str, policy: str | None) -> Any:
    answer = self.own("sts").assume_role(RoleArn=role_arn, RoleSessionName=name)
    token = answer["Credentials"]["SessionToken"]
    return lambda service, region: self._botocore.create_client(service, region_name=region, aws_session_token=token)


def test_the_judge_sees_an_exception_that_comes_out_of_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("broken")

    assert "KeyError" in violations_with(monkeypatch, "lambdas.playbook.handler.parse_event", broken)


def test_the_judge_sees_a_finding_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "dead letters" in violations_with(
        monkeypatch, "lambdas.playbook.handler.lay_aside", lambda *_: None, message(Region="x")
    )
    monkeypatch.undo()
    assert "has no outcome" in violations_with(monkeypatch, "sharr.looks.Looks.on_finding", lambda *_: None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (QUEUE, "*"),
        (QUEUE, f"{QUEUE}*"),
        (QUEUE, QUEUE.replace(MEMBERS[0], STRANGER)),
        (QUEUE, f"{QUEUE}${{aws:username}}"),
        ("sqs:GetQueueAttributes", "sqs:*"),
        ('"Allow"', '"Deny"'),
    ],
)
def test_the_judge_sees_a_policy_that_is_more_than_its_template(old: str, new: str) -> None:
    remediation = remediation_of("sqs/encrypt_queue")
    identity = {"account": MEMBERS[0], "region": HOME, "partition": "aws"}
    target = target_of(remediation, control="SQS.1", resource_id=QUEUE, identity=identity, given={}, now=NOW, chosen={})
    text = session_policy(remediation, ("read", "write"), {**target["resource"], **identity})
    own = (MEMBERS[0], HOME, "aws")

    assert list(faults_of_policy(text, remediation, target, own)) == []
    assert old in text
    assert list(faults_of_policy(text.replace(old, new), remediation, target, own))


def test_the_judge_sees_a_name_that_a_policy_takes_for_more_than_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharr.policies.SAFE", r"[\s\S]{0,512}")

    violations = tried(*(case(number, ANOTHER_SEED) for number in range(60))).violations

    assert any("none of the templates" in violation for violation in violations)


def test_the_judge_sees_words_that_are_more_than_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "printable", lambda text: text)

    assert list(faults_of_words(told(title="a\r\nBcc: x", note="\u202ex", name="\u200b"), None))
