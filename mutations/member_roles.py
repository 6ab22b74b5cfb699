"""
What the roles in member accounts may do: each permission is needed by a case, and no more is given than cases need.

The role is the one of the synthesized member-roles stack. Two directions: without a permission, a preview, repair or
undo of the remediation's CASES must fail. With a condition or a narrowed resource taken away, IAM must let the role do
something that no case needs: on another kind of resource, on a resource that is not ours, in another account whose
owner opened it, for another service. What the cases need is recorded once, from every decision that IAM made for them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from policy_sentry.querying.actions import get_action_data

from mutations.mutant import Mutant, PolicyMutant, Verdict, of_policy
from sandbox.demo import cases
from sandbox.iam import Request, Subject, evaluate, parse_policy
from sandbox.identity import IdentityCenter
from sandbox.actions import is_unsupplied
from sandbox.world import Sandbox
from sandbox import scene
from sharr.loader import load_all
from sharr.remediation import Remediation
from sharr.runtime.planning import Aws, leaves
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench

Json = Any
STRANGER = "999999999999"
REGION = "us-east-1"
NAME = "crown-jewels"
PARTNER = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}
"""What the owner of a resource in another account may have said, in the worst case."""
"""Context key -> values that an attacker would like; None: the key is absent."""
HOSTILE: dict[str, tuple[Any, ...]] = {
    "iam:PassedToService": ("lambda.amazonaws.com", "cloudformation.amazonaws.com", "ecs-tasks.amazonaws.com"),
    "ec2:CreateAction": (None, "RunInstances"),
    "aws:TagKeys": (("owner",), None),
    "iam:AWSServiceName": ("spot.amazonaws.com",),
    "iam:PolicyARN": ("arn:aws:iam::aws:policy/AdministratorAccess",),
    "sns:Protocol": ("https",),
    "lambda:Principal": (STRANGER,),
    "kms:ViaService": (None,),
    "application-autoscaling:service-namespace": ("ecs",),
    "ec2:LaunchTemplate": (None,),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One decision of IAM: an action, on a resource, in a context."""

    action: str
    resource: str
    context: tuple[tuple[str, Any], ...]

    @property
    def whose(self) -> str:
        """Return "ours" where the resource has a name of ours."""
        return "ours" if "sharr" in self.resource else "theirs"


@dataclass(slots=True)
class Recorder:
    """Every decision that IAM makes for one role, with the case that it was made for."""

    role_arn: str
    asked: dict[Asked, None] = field(default_factory=dict)

    @contextmanager
    def of(self, identity: IdentityCenter) -> Iterator[None]:
        """Within: decisions are recorded."""
        decide = identity._decide

        def recorded(action: str, arn: str, key: Any, context: Mapping[str, Any]) -> Any:
            decision = decide(action, arn, key, context)
            if key.principal.role_arn == self.role_arn and decision.allowed:
                kept = tuple(sorted((k, v) for k, v in context.items() if k in HOSTILE))
                self.asked[Asked(action, arn, kept)] = None
            return decision

        identity._decide = recorded  # type: ignore[method-assign]
        try:
            yield
        finally:
            identity._decide = decide  # type: ignore[method-assign]


def config_now(b: Bench, target: Json) -> Json:
    """Return `config` as the remediation sees it, read with an administrator's rights."""
    code = code_of(b.remediation)
    aws = Aws(lambda service, region: b.client(service, region), target, b.remediation.regions, code.auxiliaries)
    return json.loads(json.dumps(code.inspect(aws, target)))["config"]


def fails(
    remediation: Remediation, case: Case, role: Mapping[str, str], recorder: Recorder | None = None
) -> str:
    """
    Preview, repair and take back one case with the role's policy as given; return what went wrong, "" for nothing.

    *role* is policy name -> text.
    """
    with bench(remediation.id, case.region) as b:
        iam = b.client("iam")
        iam.delete_role_policy(RoleName=remediation.role_name, PolicyName="repair")
        for name, text in role.items():
            iam.put_role_policy(RoleName=remediation.role_name, PolicyName=name, PolicyDocument=text)
        resource_id = case.break_it(b)
        attempt = b.attempt(case.control, resource_id, case.parameters, case.settings)
        before = config_now(b, attempt.target)
        identity = cast("IdentityCenter", b.world.identity)
        if recorder is None:
            return _run(b, case, attempt, resource_id, before)
        recorder.role_arn = b.role_arn
        with recorder.of(identity):
            return _run(b, case, attempt, resource_id, before)


def _run(b: Bench, case: Case, attempt: Any, resource_id: str, before: Json) -> str:
    looked = b.attempt(case.control, resource_id, case.parameters, case.settings).preview()
    if looked["outcome"] != "PREVIEWED":
        return f"preview: {looked['outcome']}"
    done = attempt.finish(case.turns)
    if done["outcome"] != "REMEDIATED":
        return f"repair: {done['outcome']}"
    if not case.passes(b, resource_id):
        return "repair: the control fails"
    if not case.swept or case.irreversible:
        return ""
    undone = attempt.undo()
    if undone["outcome"] != "UNDONE":
        return f"undo: {undone['outcome']}"
    differs = {"/".join(path) for path in leaves(before, config_now(b, attempt.target))}
    return "" if differs == set(case.not_restored) else "undo: not as before"


@cache
def roles() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the roles of the member-roles stack as they are deployed: name -> policy name -> document; `` is trust."""
    with Sandbox() as world:
        organization = world.organization
        given = {"SecHubAdminAccount": organization.admin, "OrganizationId": organization.id}
        account = organization.members[0]
        world.deploy(scene.assembly(), "sharr-member-roles", account, organization.home, given)
        return roles_in(world, account)


def roles_in(world: Sandbox, account: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the roles of ours in an account."""
    iam = world.identity.client("iam", account, world.organization.home)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for page in iam.get_paginator("list_roles").paginate(PathPrefix="/sharr/"):
        for role in page["Roles"]:
            name = role["RoleName"]
            found[name] = {"": role["AssumeRolePolicyDocument"]}
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                found[name][policy] = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    return found


def documents(role: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return a role's inline policies as texts."""
    return {name: json.dumps(document) for name, document in role.items() if name}


# ------------------------------------------------------------------------------------------------------------- attacks
@dataclass(frozen=True, slots=True)
class Attack:
    """Something that the role must not be able to do."""

    what: str
    action: str
    resource: str
    context: tuple[tuple[str, Any], ...]
    owner: str


@cache
def formats(action: str) -> tuple[str, ...]:
    """Return the ARN formats of the resources that an action takes, from the Service Authorization Reference."""
    service, _, name = action.partition(":")
    rows = (get_action_data(service, name) or {}).get(service, [])
    return tuple(sorted({str(r["resource_arn_format"]) for r in rows if r["action"].lower() == action.lower()} - {"*"}))


def filled(format_: str, account: str) -> str:
    """Return an ARN of a format, in an account, with names that nobody asked for."""
    text = format_.replace("${Partition}", "aws").replace("${Region}", REGION).replace("${Account}", account)
    return re.sub(r"\$\{[^}]+\}", NAME, text)


def fits(arn: str, format_: str) -> bool:
    """Tell whether an ARN is of a format."""
    pattern = re.sub(r"\\\$\\\{[^}]+\\\}", "[^:]*", re.escape(format_))
    return re.fullmatch(pattern, arn) is not None


def attacks(needed: Iterable[Asked], actions: Iterable[str], account: str) -> list[Attack]:
    """Return what must be refused to a role that needs *needed* and has been given *actions*."""
    needed = list(needed)
    found: list[Attack] = []
    for action in sorted(set(actions)):
        mine = [asked for asked in needed if asked.action.lower() == action.lower()]
        contexts = list(dict.fromkeys(asked.context for asked in mine)) or [()]
        for format_ in formats(action):
            context = contexts[0]
            if "${Account}" in format_:
                arn = filled(format_, STRANGER)
                found.append(Attack(f"{action} in another account", action, arn, context, STRANGER))
            if not any(asked.whose == "theirs" and fits(asked.resource, format_) for asked in mine):
                arn = filled(format_, account)
                for context in contexts:
                    found.append(Attack(f"{action} on somebody's resource", action, arn, context, account))
        for asked in mine:
            for key, value in asked.context:
                seen = {dict(other.context).get(key) for other in mine if other.resource == asked.resource}
                for hostile in HOSTILE[key]:
                    if hostile in seen:
                        continue
                    context = tuple((k, v) for k, v in asked.context if k != key)
                    if hostile is not None:
                        context = (*context, (key, hostile))
                    found.append(Attack(f"{action} with {key} {hostile}", action, asked.resource, context, account))
    return list(dict.fromkeys(found))


def allowed(attack: Attack, documents_: Mapping[str, str], role_arn: str, account: str) -> bool:
    """Tell what IAM answers to an attack, with the role's policies and the most open policy of another account."""
    context: dict[str, Any] = {
        "aws:PrincipalArn": role_arn,
        "aws:PrincipalAccount": account,
        "aws:RequestedRegion": REGION,
        "aws:ResourceAccount": attack.owner,
        "aws:SecureTransport": "true",
        **dict(attack.context),
    }
    subject = Subject(account, role_arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/"), role_arn)
    request = Request(subject, attack.action, attack.resource, context, attack.owner, is_unsupplied)
    decision = evaluate(
        request,
        identity=[parse_policy(text, name) for name, text in documents_.items()],
        resource=[parse_policy(json.dumps(PARTNER), "of the owner", "resource")] if attack.owner != account else (),
    )
    return decision.allowed
