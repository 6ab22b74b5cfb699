"""The mutation job in its quick form: a sample of each area; the whole is `make mutate`."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutations import member_roles, narrowing, parameters
from mutations.deployed import Deployed
from mutations.mutant import Mutant, Verdict, of_policy
from mutations.survivors import Reason, judge, load
from sandbox.world import Sandbox
from sharr.loader import load_all
from tests.harness import remediation_of

SAMPLE = ("kms/rotate_key", "s3/require_tls")


def assert_good(verdicts: list[Verdict]) -> None:
    judgement = judge(verdicts, load(), whole=False)
    assert judgement.is_good, "\n".join(judgement.lines())


@pytest.mark.parametrize("remediation_id", SAMPLE)
def test_every_permission_and_every_restriction_of_a_role_is_missed(remediation_id: str) -> None:
    verdicts = member_roles.judged(remediation_of(remediation_id))

    assert {v.mutant.kind for v in verdicts} >= {"permission", "resource"}
    assert_good(verdicts)


def test_every_restriction_in_front_of_the_queues_and_roles_is_missed() -> None:
    with Sandbox() as world:
        deployed = Deployed(world)
        for area in (deployed.patterns, deployed.resource_policies, deployed.trusts):
            verdicts = [verdict for group in area() for verdict in group()]
            assert verdicts
            assert_good(verdicts)


def test_every_check_of_a_parameter_is_missed() -> None:
    assert_good([*parameters.of_stacks(), *parameters.of_remediations(), *parameters.of_runbooks()])


def test_every_narrowing_of_a_session_is_missed() -> None:
    assert_good(narrowing.judged())


def test_a_role_that_may_do_what_no_case_needs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    (remediation,) = (r for r in load_all() if r.id == "kms/rotate_key")
    role = member_roles.roles()[remediation.role_name]
    (policy,) = (name for name in role if name)
    wide = [{**statement, "Resource": "*"} for statement in role[policy]["Statement"]]
    changed = {**member_roles.roles(), remediation.role_name: {**role, policy: {**role[policy], "Statement": wide}}}
    monkeypatch.setattr(member_roles, "roles", lambda: changed)

    with pytest.raises(member_roles.ProbeBroken, match="in another account"):
        member_roles.judged(remediation)


def test_a_policy_has_a_mutant_for_each_thing_in_it() -> None:
    statement = {
        "Effect": "Allow",
        "Action": ["a:B", "a:C"],
        "Resource": "arn:aws:a:::b",
        "Condition": {"StringEquals": {"k": "v", "l": "w"}},
    }

    kinds = [m.mutant.kind for m in of_policy({"Statement": [statement]}, "p")]

    assert kinds == ["permission", "permission", "statement", "condition", "condition", "resource"]


def test_the_list_of_survivors_is_held_to_what_happened(tmp_path: Path) -> None:
    alive, dead = Verdict(Mutant("k", "one: a"), ""), Verdict(Mutant("k", "two"), "a probe")

    assert judge([alive], [Reason("one: ...", "why")], whole=True).is_good
    assert judge([alive], [], whole=True).unlisted == (alive.mutant,)
    assert judge([dead], [Reason("two", "why")], whole=True).killed
    assert judge([dead], [Reason("gone", "why")], whole=True).idle
    (tmp_path / "list.yaml").write_text("- mutants: x\n  reason: ''\n")
    with pytest.raises(ValueError, match="reason"):
        load(tmp_path / "list.yaml")
