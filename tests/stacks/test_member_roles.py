"""The member-roles stack: who may assume what, and that it fits."""

from __future__ import annotations

import json
from typing import Any

import pytest
from policy_sentry.querying.actions import get_action_data

from sharr.loader import auxiliaries, load_all
from sharr.remediation import Remediation
from stacks.member_roles import filled
from tests.stacks.assembly import Assembly

OWN = {"sharr-reader", "sharr-starter", "sharr-events"}
DELIVERY = {name for auxiliary in auxiliaries() for name in auxiliary.roles}


@pytest.fixture(scope="module")
def roles(assembly: Assembly) -> dict[str, dict[str, Any]]:
    return {r["RoleName"]: r for r in assembly.resources("member-roles", "AWS::IAM::Role").values()}


def trusted(role: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each principal that may assume the role, as text, with its condition."""
    return {json.dumps(s["Principal"]): s["Condition"] for s in role["AssumeRolePolicyDocument"]["Statement"]}


def characters(document: Any) -> int:
    text = json.dumps(document, separators=(",", ":"))
    for name, value in {
        "AWS::Partition": "aws-us-gov",
        "AWS::AccountId": "1" * 12,
        "SecHubAdminAccount": "1" * 12,
    }.items():
        text = text.replace(f"${{{name}}}", value)
    return len(text)


def test_there_is_one_role_per_remediation_and_nothing_but_roles(
    assembly: Assembly, roles: dict[str, dict[str, Any]]
) -> None:
    assert roles.keys() == {r.role_name for r in load_all()} | DELIVERY | OWN
    assert {r["Type"] for r in assembly["member-roles"]["Resources"].values()} == {"AWS::IAM::Role"}
    assert all(role["Path"] == "/sharr/" for role in roles.values())


@pytest.mark.parametrize("remediation", load_all(), ids=lambda r: r.id)
def test_a_remediation_s_role_trusts_the_repair_role_and_ssm_where_it_may_be_a_runbook(
    roles: dict[str, dict[str, Any]], remediation: Remediation
) -> None:
    by = trusted(roles[remediation.role_name])
    admin = by.pop('{"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${SecHubAdminAccount}:root"}}')

    role = "arn:${AWS::Partition}:iam::${SecHubAdminAccount}:role/sharr/sharr-repair"
    assert admin["ArnEquals"] == {"aws:PrincipalArn": {"Fn::Sub": role}}
    assert admin["StringEquals"] == {
        "Fn::If": ["InOrganization", {"aws:PrincipalOrgID": {"Ref": "OrganizationId"}}, {"Ref": "AWS::NoValue"}]
    }
    if "runbook" not in remediation.places:
        assert by == {}
        return
    (condition,) = by.values()
    assert by.keys() == {'{"Service": "ssm.amazonaws.com"}'}
    executions = "arn:${AWS::Partition}:ssm:*:${AWS::AccountId}:automation-execution/*"
    assert condition == {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
        "ArnLike": {"aws:SourceArn": {"Fn::Sub": executions}},
    }


def test_the_reader_trusts_the_observe_role_and_reads_executions_only(roles: dict[str, dict[str, Any]]) -> None:
    reader = roles["sharr-reader"]
    (condition,) = trusted(reader).values()

    assert condition["ArnEquals"]["aws:PrincipalArn"]["Fn::Sub"].endswith(":role/sharr/sharr-observe")
    (statement,) = reader["Policies"][0]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "ssm:GetAutomationExecution"


def test_the_starter_starts_our_documents_in_both_arn_forms_and_passes_our_roles_to_ssm_only(
    roles: dict[str, dict[str, Any]],
) -> None:
    start, passing = roles["sharr-starter"]["Policies"][0]["PolicyDocument"]["Statement"]

    assert [r["Fn::Sub"].removeprefix("arn:${AWS::Partition}:ssm:*:${AWS::AccountId}:") for r in start["Resource"]] == [
        "document/SHARR-*",
        "automation-definition/SHARR-*:*",
        "automation-execution/*",
    ]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}}
    assert passing["Resource"]["Fn::Sub"].endswith(":role/sharr/sharr-*")


def test_the_events_role_is_for_our_rule_and_puts_on_the_admin_s_bus_only(
    assembly: Assembly, roles: dict[str, dict[str, Any]]
) -> None:
    ((principal, condition),) = trusted(roles["sharr-events"]).items()
    (statement,) = roles["sharr-events"]["Policies"][0]["PolicyDocument"]["Statement"]
    (rule,) = assembly.resources("member", "AWS::Events::Rule").values()

    assert principal == '{"Service": "events.amazonaws.com"}'
    assert condition["ArnLike"]["aws:SourceArn"]["Fn::Sub"].endswith(f":rule/{rule['Name']}")
    assert statement["Resource"] == {"Fn::Sub": "arn:${AWS::Partition}:events:*:${SecHubAdminAccount}:event-bus/sharr"}


@pytest.mark.parametrize("name", sorted(DELIVERY))
def test_a_delivery_role_is_for_its_service_and_for_this_account_only(
    roles: dict[str, dict[str, Any]], name: str
) -> None:
    ((principal, condition),) = trusted(roles[name]).items()

    assert principal.startswith('{"Service": ')
    assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def test_roles_fit_iam_s_limits(roles: dict[str, dict[str, Any]]) -> None:
    for name, role in roles.items():
        assert len(name) <= 64
        assert len(role["Description"]) <= 1000
        assert characters(role["AssumeRolePolicyDocument"]) <= 2048, name
        assert sum(characters(p["PolicyDocument"]) for p in role["Policies"]) <= 10_240, name


def test_a_star_as_resource_stands_only_with_actions_for_which_iam_knows_no_resource(
    roles: dict[str, dict[str, Any]],
) -> None:
    wrong = []
    for name, role in roles.items():
        for statement in role["Policies"][0]["PolicyDocument"]["Statement"]:
            every = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            assert not [a for a in every if "*" in a], name
            if statement["Resource"] == "*":
                wrong += [f"{name}: {a}" for a in every if takes_a_resource(a)]
    assert wrong == []


def takes_a_resource(action: str) -> bool:
    service, name = action.split(":")
    known = get_action_data(service, name)[service]
    return "*" not in {row["resource_arn_format"] for row in known}


def test_every_text_with_a_pseudo_parameter_is_filled_in_and_iam_s_own_variables_are_left(assembly: Assembly) -> None:
    assert filled("arn:${AWS::Partition}:s3:::x") == {"Fn::Sub": "arn:${AWS::Partition}:s3:::x"}
    assert filled({"a": ["${aws:username}", "*"]}) == {"a": ["${aws:username}", "*"]}
    assert filled("${AWS::Partition}/${aws:username}") == {"Fn::Sub": "${AWS::Partition}/${!aws:username}"}

    def bare(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [] if "Fn::Sub" in value else [t for inner in value.values() for t in bare(inner)]
        if isinstance(value, list):
            return [t for inner in value for t in bare(inner)]
        return [value] if isinstance(value, str) and "${" in value else []

    assert bare(assembly["member-roles"]["Resources"]) == []
