"""IAM.18: who may take the support role on, when none is made, and whose role is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sharr.remediation import BadParameter
from sharr.runtime.contract import CannotRepair
from sharr.runtime.driver import resolve
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of

ID = "iam/create_support_role"
NAME = "sharr-support-access"
WHO = {"supportPrincipals": "role/incident-managers"}


def account(b: Bench) -> str:
    return f"AWS::::Account:{b.account}"


def policy(b: Bench) -> str:
    return b.arn("iam", "policy/AWSSupportAccess", region="", account="aws")


def nobody(b: Bench) -> str:
    """A group has the policy, and nobody is in it."""
    group = "empty-group-for-iam-18"
    b.client("iam").create_group(GroupName=group)
    b.client("iam").attach_group_policy(GroupName=group, PolicyArn=policy(b))
    return account(b)


def role(b: Bench, name: str, **tags: str) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": b.account}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    given = [{"Key": key, "Value": value} for key, value in tags.items()]
    b.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document, Tags=given)


def used_by_a_role(b: Bench, _: str) -> bool:
    return bool(b.client("iam").list_entities_for_policy(PolicyArn=policy(b))["PolicyRoles"])


CASES = [
    Case("IAM.18", "an account where nobody has the policy", nobody, used_by_a_role, settings=WHO),
]


def state(role: str = "absent", used: bool = False) -> dict[str, Any]:
    config = {"role": role != "absent", "policy": False}
    return {"config": config, "facts": {"used": used, "role": role}, "busy": None}


def plan(given: dict[str, Any], *named: str, partition: str = "aws") -> list[dict[str, Any]]:
    target = {"partition": partition, "account": "222222222222", "parameters": {"supportPrincipals": [*named] or None}}
    made: list[dict[str, Any]] = code_of(remediation_of(ID)).plan(given, target)
    return made


def statements(*named: str, partition: str = "aws") -> list[dict[str, Any]]:
    create = plan(state(), *named, partition=partition)[0]
    document = json.loads(resolve(create["parameters"], {}, {})["AssumeRolePolicyDocument"])
    found: list[dict[str, Any]] = document["Statement"]
    return found


@pytest.mark.parametrize(
    ("case", "given", "operations"),
    [
        ("nobody", state(), ["create_role", "attach_role_policy"]),
        ("half made", state("ours"), ["attach_role_policy"]),
        ("in use", state(used=True), []),
        ("in use, and a role of our name", state("another's", used=True), []),
    ],
)
def test_plan(case: str, given: dict[str, Any], operations: list[str]) -> None:
    assert operations == [one["operation"] for one in plan(given, "root")], case


def test_nobody_is_let_in_unless_the_user_names_them() -> None:
    with pytest.raises(CannotRepair) as caught:
        plan(state())

    assert "supportPrincipals" in caught.value.to_do


def test_another_role_of_our_name_is_left_alone() -> None:
    with pytest.raises(CannotRepair, match="not ours"):
        plan(state("another's"), "root")


def test_users_and_accounts_need_mfa_and_roles_cannot_show_it() -> None:
    """The predecessor's role trusts the whole account, without MFA."""
    roles, people = statements("role/a", "user/b", "arn:aws:iam::111111111111:root", "arn:aws:iam::111111111111:role/c")

    own = "arn:aws:iam::222222222222:"
    assert roles["Principal"] == {"AWS": ["arn:aws:iam::111111111111:role/c", f"{own}role/a"]}
    assert "Condition" not in roles
    assert people["Principal"] == {"AWS": ["arn:aws:iam::111111111111:root", f"{own}user/b"]}
    assert people["Condition"] == {"Bool": {"aws:MultiFactorAuthPresent": "true"}}


def test_a_user_whose_name_starts_like_a_role_still_needs_mfa() -> None:
    (one,) = statements("user/role/x")

    assert one["Condition"]


@pytest.mark.parametrize("partition", ["aws-us-gov", "aws-cn", "aws-eusc"])
def test_arns_are_of_the_accounts_partition(partition: str) -> None:
    create, attach = plan(state(), "root", partition=partition)

    assert attach["parameters"]["PolicyArn"] == f"arn:{partition}:iam::aws:policy/AWSSupportAccess"
    assert f"arn:{partition}:iam::222222222222:root" in json.dumps(create)


@pytest.mark.parametrize("who", ["*", "arn:aws:iam::1:root", "arn:aws:s3:::b", "group/g", "role/{x}", "role/*"])
def test_what_is_no_principal_is_not_taken(who: str) -> None:
    with bench(ID) as b, pytest.raises(BadParameter):
        b.target("IAM.18", account(b), settings={"supportPrincipals": f"root,{who}"})


@pytest.mark.parametrize("members", [True, False])
def test_a_group_counts_where_somebody_is_in_it(members: bool) -> None:
    with bench(ID) as b:
        iam = b.client("iam")
        iam.create_group(GroupName="incidents")
        iam.attach_group_policy(GroupName="incidents", PolicyArn=policy(b))
        if members:
            iam.create_user(UserName="ada")
            iam.add_user_to_group(GroupName="incidents", UserName="ada")

        result = b.remediate("IAM.18", account(b), settings=WHO)

        assert result["outcome"] == ("COMPLIANT" if members else "REMEDIATED")


@pytest.mark.parametrize("kind", ["user", "role"])
def test_somebody_elses_user_or_role_with_the_policy_is_enough(kind: str) -> None:
    with bench(ID) as b:
        if kind == "user":
            b.client("iam").create_user(UserName="ada")
            b.client("iam").attach_user_policy(UserName="ada", PolicyArn=policy(b))
        else:
            role(b, "theirs")
            b.client("iam").attach_role_policy(RoleName="theirs", PolicyArn=policy(b))

        with b.watched() as calls:
            assert b.remediate("IAM.18", account(b), settings=WHO)["outcome"] == "COMPLIANT"

        assert not b.writes(calls)


def test_the_remediations_role_can_give_no_other_policy_to_the_role_it_made() -> None:
    (write,) = [p for p in remediation_of(ID).write if p.action == "iam:AttachRolePolicy"]

    assert write.when["ArnEquals"]["iam:PolicyARN"] == "arn:{partition}:iam::aws:policy/AWSSupportAccess"
    assert write.on == ("arn:{partition}:iam::{account}:role/sharr-support-access",)


def test_a_role_that_an_attempt_left_half_made_is_completed() -> None:
    with bench(ID) as b:
        role(b, NAME, sharr="create_support_role")

        assert b.remediate("IAM.18", account(b))["outcome"] == "REMEDIATED"

        assert used_by_a_role(b, "")


def test_an_undo_leaves_no_role_behind() -> None:
    with bench(ID) as b:
        attempt = b.attempt("IAM.18", account(b), settings=WHO)
        attempt.finish()

        assert attempt.undo()["outcome"] == "UNDONE"

        names = [one["RoleName"] for one in b.client("iam").list_roles()["Roles"]]
        assert NAME not in names
