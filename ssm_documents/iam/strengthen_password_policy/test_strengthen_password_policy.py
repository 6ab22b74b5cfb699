"""IAM.7, IAM.10 to IAM.17: each changes its own fields, nothing gets weaker, and an undo puts the old policy back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharr.runtime.planning import leaves
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "iam/strengthen_password_policy"
WEAK: dict[str, Any] = {
    "MinimumPasswordLength": 6,
    "RequireLowercaseCharacters": False,
    "RequireNumbers": False,
    "RequireSymbols": False,
    "RequireUppercaseCharacters": False,
    "AllowUsersToChangePassword": True,
    "HardExpiry": False,
}
# What each control documents, apart from the yaml. Source: the Security Hub user guide, iam-controls.html
KINDS = {"RequireUppercaseCharacters": True, "RequireLowercaseCharacters": True, "RequireNumbers": True}
ASKED: dict[str, dict[str, Any]] = {
    "IAM.7": KINDS | {"RequireSymbols": True, "MinimumPasswordLength": 8},
    "IAM.10": KINDS | {"MinimumPasswordLength": 7, "PasswordReusePrevention": 4, "MaxPasswordAge": 90},
    "IAM.11": {"RequireUppercaseCharacters": True},
    "IAM.12": {"RequireLowercaseCharacters": True},
    "IAM.13": {"RequireSymbols": True},
    "IAM.14": {"RequireNumbers": True},
    "IAM.15": {"MinimumPasswordLength": 14},
    "IAM.16": {"PasswordReusePrevention": 24},
    "IAM.17": {"MaxPasswordAge": 90},
}


def account(b: Bench) -> str:
    return f"AWS::::Account:{b.account}"


def having(**policy: Any) -> Any:
    def put(b: Bench) -> str:
        b.client("iam").update_account_password_policy(**(WEAK | policy))
        return account(b)

    return put


def policy_of(b: Bench) -> dict[str, Any] | None:
    iam = b.client("iam")
    try:
        return dict(iam.get_account_password_policy()["PasswordPolicy"])
    except iam.exceptions.NoSuchEntityException:
        return None


def meeting(**asked: Any) -> Any:
    """The Config rule iam-password-policy; an account without a policy fails it."""

    def passes(b: Bench, _resource_id: str) -> bool:
        policy = policy_of(b)
        if policy is None:
            return False
        days = asked.get("MaxPasswordAge")
        return (days is None or 0 < (policy.get("MaxPasswordAge") or 0) <= days) and all(
            (policy.get(name) or 0) >= value for name, value in asked.items() if name != "MaxPasswordAge"
        )

    return passes


CASES = [
    *(
        # One code, and fields each: sweeping two of them sweeps all.
        Case(control, "a weak policy", having(), meeting(**asked), swept=control in ("IAM.7", "IAM.17"))
        for control, asked in ASKED.items()
    ),
    Case("IAM.7", "no policy", account, meeting(**ASKED["IAM.7"])),
    Case("IAM.17", "no policy", account, meeting(**ASKED["IAM.17"])),
    Case(
        "IAM.7",
        "values of the user's own",
        having(RequireSymbols=True, MaxPasswordAge=365, PasswordReusePrevention=5, MinimumPasswordLength=20),
        meeting(MinimumPasswordLength=16, MaxPasswordAge=60, PasswordReusePrevention=12),
        parameters={
            "RequireUppercaseCharacters": ["false"],
            "RequireLowercaseCharacters": ["false"],
            "RequireNumbers": ["false"],
            "RequireSymbols": ["true"],
            "MinimumPasswordLength": ["16"],
            "PasswordReusePrevention": ["12"],
            "MaxPasswordAge": ["60"],
        },
    ),
    Case("IAM.17", "an expiry that is too late", having(MaxPasswordAge=365), meeting(MaxPasswordAge=90)),
]


@pytest.mark.parametrize("control", sorted(ASKED))
def test_each_control_changes_its_own_fields_and_no_other(control: str) -> None:
    with bench(ID) as b:
        having()(b)
        before = policy_of(b)

        assert b.remediate(control, account(b))["outcome"] == "REMEDIATED"

        changed = {"/".join(path) for path in leaves(before, policy_of(b))} - {"ExpirePasswords"}
        assert changed == set(ASKED[control])


def test_a_policy_stricter_than_the_control_is_not_weakened() -> None:
    # ASR replaced the whole policy: a minimum of 20 characters and 24 passwords became its own defaults.
    strict = {"MinimumPasswordLength": 20, "PasswordReusePrevention": 24, "MaxPasswordAge": 30, "HardExpiry": True}
    with bench(ID) as b:
        having(**strict)(b)

        assert b.remediate("IAM.10", account(b))["outcome"] == "REMEDIATED"

        policy = policy_of(b)
        assert policy is not None
        assert {name: policy[name] for name in strict} == strict
        assert policy["AllowUsersToChangePassword"]


def test_the_nine_controls_one_after_the_other_do_not_undo_each_other() -> None:
    with bench(ID) as b:
        having()(b)
        for control in reversed(ASKED):
            assert b.remediate(control, account(b))["outcome"] in ("REMEDIATED", "COMPLIANT")

        assert all(meeting(**asked)(b, "") for asked in ASKED.values())
        assert all(b.remediate(control, account(b))["outcome"] == "COMPLIANT" for control in ASKED)


@pytest.mark.parametrize("control", sorted(ASKED))
def test_an_account_without_a_policy_never_gets_one_that_is_weaker_than_the_default(control: str) -> None:
    with bench(ID) as b:
        assert b.remediate(control, account(b))["outcome"] == "REMEDIATED"

        policy = policy_of(b)
        assert policy is not None
        kinds = [name for name in policy if name.startswith("Require") and policy[name]]
        assert policy["MinimumPasswordLength"] >= 8
        assert len(kinds) >= 3
        assert not policy["AllowUsersToChangePassword"]
        assert not policy["HardExpiry"]


def test_an_undo_does_not_run_over_another_field_that_somebody_changed_since() -> None:
    with bench(ID) as b:
        having()(b)
        attempt = b.attempt("IAM.11", account(b))
        attempt.finish()
        having(RequireUppercaseCharacters=True, MinimumPasswordLength=16)(b)

        assert attempt.undo()["outcome"] == "SKIPPED"
        policy = policy_of(b)
        assert policy is not None
        assert policy["MinimumPasswordLength"] == 16


def test_the_expiry_that_iam_reports_is_not_sent_back() -> None:
    with bench(ID) as b:
        having(MaxPasswordAge=30)(b)
        attempt = b.attempt("IAM.11", account(b))
        attempt.preview()
        (one,) = attempt.journal["open"]

        assert "ExpirePasswords" not in one["parameters"]
        assert one["parameters"]["MaxPasswordAge"] == 30


POLICIES = st.none() | st.fixed_dictionaries(
    {name: st.booleans() for name in WEAK if name != "MinimumPasswordLength"}
    | {"MinimumPasswordLength": st.integers(6, 128)},
    optional={"MaxPasswordAge": st.integers(1, 1095), "PasswordReusePrevention": st.integers(1, 24)},
)


@given(policy=POLICIES, control=st.sampled_from(sorted(ASKED)))
def test_no_field_ever_gets_weaker_and_a_second_plan_is_empty(policy: dict[str, Any] | None, control: str) -> None:
    remediation = remediation_of(ID)
    target = {"parameters": {p.name: p.value(control, {}, {}) for p in remediation.parameters}}
    code = code_of(remediation)

    def planned(now: dict[str, Any] | None) -> list[dict[str, Any]]:
        pairs = None if now is None else [[name, now[name]] for name in sorted(now)]
        made: list[dict[str, Any]] = code.plan({"config": {"policy": pairs}, "facts": {}, "busy": None}, target)
        return made

    for one in planned(policy):
        new = one["parameters"]
        for name, value in (policy or {}).items():
            if name in ("HardExpiry", "AllowUsersToChangePassword"):
                assert new[name] == value
            elif name == "MaxPasswordAge":
                assert new[name] <= value
            else:
                assert new[name] >= value
        assert planned(new) == []
