"""
No role of ours can get itself more rights, but where docs/security.md says so: by tools that others wrote.

cloudsplaining knows the ways to escalate (Rhino Security Labs, pathfinding.cloud) and what else a policy should not
have; least_privilege.yaml adds ways, and lists what is accepted. Constraints and conditions count for nothing here: an
action that stands in a policy is taken as allowed, and what bounds it is tested by itself.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from cloudsplaining.scan.policy_document import PolicyDocument
from cloudsplaining.shared.constants import PRIVILEGE_ESCALATION_METHODS

from sandbox import scene
from sharr.loader import load_all

Json = dict[str, Any]
HERE = Path(__file__).parent
AGREED: Json = yaml.safe_load((HERE / "least_privilege.yaml").read_text("utf-8"))
METHODS: dict[str, list[str]] = {**PRIVILEGE_ESCALATION_METHODS, **AGREED["more_methods"]}
PSEUDO = {"AWS::Partition": "aws", "AWS::AccountId": "111111111111", "AWS::Region": "eu-west-1"}


@cache
def roles() -> dict[str, list[Json]]:
    """Return the statements of every role in the synthesized templates, policies of nested stacks with them."""
    found: dict[str, list[Json]] = defaultdict(list)
    names: dict[str, str] = {}
    templates = [json.loads(p.read_text("utf-8")) for p in sorted(scene.assembly().glob("*.template.json"))]
    resources = [
        (logical, r["Type"], resolved(r.get("Properties", {}), t))
        for t in templates
        for logical, r in t["Resources"].items()
    ]
    for logical, kind, properties in resources:
        if kind == "AWS::IAM::Role":
            names[logical] = properties.get("RoleName", logical)
            assert "ManagedPolicyArns" not in properties, logical
            for each in properties.get("Policies", ()):
                found[names[logical]] += each["PolicyDocument"]["Statement"]
    for _, kind, properties in resources:
        if kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
            for role in properties["Roles"]:
                found[names.get(role, role)] += properties["PolicyDocument"]["Statement"]
    return dict(found)


def resolved(value: Any, template: Json) -> Any:
    """Return a value as CloudFormation would make it, in account 111111111111; for what it makes up, logical ids."""
    if isinstance(value, list):
        return [resolved(each, template) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Fn::Sub":
            text, more = argument if isinstance(argument, list) else (argument, {})
            return re.sub(r"\$\{([A-Za-z0-9:.]+)\}", lambda m: str(resolved(more.get(m[1], ref(m[1])), template)), text)
        if function == "Fn::Join":
            return argument[0].join(str(resolved(each, template)) for each in argument[1])
        if function == "Ref":
            return ref(argument)
        if function == "Fn::GetAtt":
            return argument[0] if isinstance(argument, list) else argument
        if function == "Fn::If":
            return resolved(argument[1], template)
    return {name: resolved(each, template) for name, each in value.items()}


def ref(name: str) -> str:
    return PSEUDO.get(name, name)


def allowed(statements: list[Json]) -> set[str]:
    """Return every action that the statements name, wildcards written out, whatever bounds it."""
    assert not any("NotAction" in s or "NotResource" in s for s in statements)
    document = PolicyDocument({"Version": "2012-10-17", "Statement": statements})
    return {action.lower() for action in document.all_allowed_actions}


def ways_up(statements: list[Json]) -> set[str]:
    actions = allowed(statements)
    return {name for name, needed in METHODS.items() if set(needed) <= actions}


def test_the_roles_are_all_there() -> None:
    found = roles()

    assert {r.role_name for r in load_all()} <= found.keys()
    assert {"sharr-repair", "sharr-observe", "sharr-reader", "sharr-starter", "sharr-events"} <= found.keys()
    assert all(found.values())


def test_no_role_has_a_way_to_more_rights_but_those_that_are_listed_with_a_reason() -> None:
    found = {role: ways for role, statements in roles().items() if (ways := ways_up(statements))}
    agreed = {role: set(reasons) for role, reasons in AGREED["exceptions"].items()}
    new = {role: ways - agreed.get(role, set()) for role, ways in found.items() if ways - agreed.get(role, set())}
    gone = {role: ways - found.get(role, set()) for role, ways in agreed.items() if ways - found.get(role, set())}

    assert new == {}
    assert gone == {}
    assert all(len(why) > 7 for reasons in AGREED["exceptions"].values() for why in reasons.values())


@pytest.mark.parametrize("way", sorted(METHODS))
def test_each_way_is_found_in_a_role_that_has_it(way: str) -> None:
    statements = [{"Effect": "Allow", "Action": METHODS[way], "Resource": "arn:aws:x:::one"}]

    assert way in ways_up(statements)


def test_wildcards_are_ways_too() -> None:
    assert "AttachRolePolicy" in ways_up([{"Effect": "Allow", "Action": "iam:Attach*", "Resource": "*"}])
    assert len(ways_up([{"Effect": "Allow", "Action": "*", "Resource": "*"}])) > 60


def test_the_security_model_names_each_role_that_leads_on_and_no_other() -> None:
    text = (HERE.parent / "docs" / "security.md").read_text("utf-8")
    paragraph = re.search(r"\*\*Three of the roles lead on.*?\n\n", text, re.DOTALL)
    assert paragraph
    by_id = {r.id: r.role_name for r in load_all()}
    named = {by_id[id_] for id_ in re.findall(r"`([a-z0-9]+/[a-z0-9_]+)`", paragraph[0])}

    assert named == set(AGREED["leads_on"])
    assert named <= AGREED["exceptions"].keys()
    assert all(role in paragraph[0] for role in AGREED["passes_any_role"])
    # Those that lead nowhere else are named elsewhere on the page.
    assert all(f"`{role}`" in text for role in AGREED["exceptions"])
    assert "`sharr-support-access`, which has AWS's policy for support cases and no other" in " ".join(text.split())


def statements_with(action: str) -> Iterator[tuple[str, Json]]:
    for role, statements in roles().items():
        for statement in statements:
            listed = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            if action in listed:
                yield role, statement


@pytest.mark.parametrize("action", sorted(AGREED["bounds"]))
def test_what_could_lead_on_is_bounded_wherever_it_stands(action: str) -> None:
    found = list(statements_with(action))
    assert found
    for role, statement in found:
        for key, pattern in AGREED["bounds"][action].items():
            if key == "resources":
                values = statement["Resource"]
            else:
                conditions = {
                    k: v
                    for operator, c in statement["Condition"].items()
                    if "IfExists" not in operator
                    for k, v in c.items()
                }
                values = conditions[key]
            for value in values if isinstance(values, list) else [values]:
                assert re.fullmatch(pattern, value), (role, value)


def test_no_role_passes_any_role_it_likes_but_those_that_lead_on() -> None:
    ours = re.compile(r"arn:aws:iam::111111111111:role/(sharr/|aws-service-role/).+")
    passing = {
        role
        for role, statement in statements_with("iam:PassRole")
        for resource in (statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]])
        if not ours.fullmatch(resource)
    }

    assert passing == {*AGREED["leads_on"], *AGREED["passes_any_role"]}


def test_no_role_has_what_cloudsplaining_rates_medium_or_worse() -> None:
    """Escalation is above. Resource exposure, a service's every action, reading data or credentials, without bounds."""
    wrong: Json = {}
    for role, statements in roles().items():
        document = PolicyDocument({"Version": "2012-10-17", "Statement": statements})
        found = {
            "escalates": document.allows_privilege_escalation,
            "exposes": document.permissions_management_without_constraints,
            "reads data": document.allows_data_exfiltration_actions,
            "reads credentials": document.credentials_exposure,
            "whole services": document.service_wildcard,
            "writes anything": document.write_actions_without_constraints,
            "tags anything": document.tagging_actions_without_constraints,
            "all but": document.contains_statement_using_not_action,
        }
        wrong |= {f"{role} {what}": seen for what, seen in found.items() if seen}

    assert wrong == {}
