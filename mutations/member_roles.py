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
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

from policy_sentry.querying.actions import get_action_data

from mutations.mutant import SAME, PolicyMutant, Verdict, as_list, of_policy
from sandbox import scene
from sandbox.demo import cases
from sandbox.iam import Request, Subject, evaluate, parse_policy
from sandbox.identity import IdentityCenter
from sandbox.world import Sandbox
from sharr.remediation import Remediation
from sharr.runtime.planning import Aws, leaves
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench

Json = Any
STRANGER = "999999999999"
REGION = "us-east-1"
NAME = "crown-jewels"
PARTNER = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}],
}
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
    "ecs:CreateAction": (None, "CreateCluster"),
    "ecs:task-definition": (f"arn:aws:ecs:{REGION}:{STRANGER}:task-definition/evil:1",),
    "ec2:LaunchTemplate": (f"arn:aws:ec2:{REGION}:{STRANGER}:launch-template/lt-0123456789abcdef0",),
}
TAGGING = ("ec2:CreateTags", "ec2:DeleteTags")
"""The actions that put single tags on resources which others made."""
PASSED_TO = ("lambda.amazonaws.com", "ec2.amazonaws.com", "codebuild.amazonaws.com")
"""Whom a role may be passed to where no case passes one: nobody's role to Lambda, no stranger's role to the others."""
AMBIENT = ("aws:CurrentTime", "aws:EpochTime", "aws:SourceIp", "aws:ViaAWSService", "aws:PrincipalIsAWSService")
"""What every request has and no policy of ours asks for."""


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
                kept = tuple(sorted((k, v) for k, v in context.items() if k not in key.context and k not in AMBIENT))
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


def fails(remediation: Remediation, case: Case, role: Mapping[str, str], recorder: Recorder | None = None) -> str:
    """
    Preview, repair and take back one case with the role's policy as given; return what went wrong, "" for nothing.

    *role* is policy name -> text.
    """
    with bench(remediation.id, case.region) as b:
        iam = b.client("iam")
        iam.delete_role_policy(RoleName=remediation.role_name, PolicyName="repair")
        for name, text in role.items():
            if json.loads(text)["Statement"]:
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


def type_of(arn: str) -> str:
    """Return service and type of a resource, from its ARN or a format of such: `rds:snapshot`, `apigateway:apis`."""
    service, resource = arn.split(":", 5)[2::3]
    head = re.split(r"[:/]", resource.lstrip("/"), maxsplit=1)
    return f"{service}:{head[0]}" if len(head) > 1 or service == "apigateway" else f"{service}:"


def attacks(needed: Iterable[Asked], actions: Iterable[str], account: str) -> list[Attack]:
    """Return what must be refused to a role that needs *needed* and has been given *actions*."""
    needed = list(needed)
    found: list[Attack] = []
    for action in sorted(set(actions)):
        mine = [asked for asked in needed if asked.action.lower() == action.lower()]
        contexts = list(dict.fromkeys(asked.context for asked in mine)) or [()]
        for format_ in formats(action):
            if "${Account}" in format_:
                arn = filled(format_, STRANGER)
                found.append(Attack(f"{action} in another account", action, arn, contexts[0], STRANGER))
            elif action.startswith("s3:"):
                arn = filled(format_, STRANGER)
                found.append(Attack(f"{action} on another account's bucket", action, arn, contexts[0], STRANGER))
            theirs = {type_of(asked.resource) for asked in mine if asked.whose == "theirs"}
            if mine and type_of(format_) not in theirs:
                arn = filled(format_, account)
                found += [Attack(f"{action} on somebody's resource", action, arn, c, account) for c in contexts]
        if action == "iam:PassRole" and not mine:
            for service in PASSED_TO:
                owner = account if service == "lambda.amazonaws.com" else STRANGER
                arn = f"arn:aws:iam::{owner}:role/{NAME}"
                passed = (("iam:PassedToService", service),)
                found.append(Attack(f"a role of {owner} passed to {service}", action, arn, passed, owner))
        for asked in mine:
            making = any(key == "ec2:CreateAction" for key, _ in asked.context)
            for key, _ in asked.context:
                if key == "aws:TagKeys" and (making or action not in TAGGING):
                    continue  # the tags of what is being made
                seen = {dict(other.context).get(key) for other in mine if other.resource == asked.resource}
                for hostile in HOSTILE.get(key, ()):
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
    request = Request(subject, attack.action, attack.resource, context, attack.owner, None)
    decision = evaluate(
        request,
        identity=[parse_policy(text, name) for name, text in documents_.items()],
        resource=[parse_policy(json.dumps(PARTNER), "of the owner", "resource")] if attack.owner != account else (),
    )
    return decision.allowed


WIDE: dict[tuple[str, str], str] = {
    (
        "sharr-autoscaling-replace-launch-configuration",
        r"ec2:RunInstances on somebody's resource",
    ): "Auto Scaling tries whether its caller may start all that the launch template names",
    (
        "sharr-cloudtrail-create-trail",
        r"cloudtrail:Get(EventSelectors|TrailStatus) in another account",
    ): "an organization's trail belongs to its management account",
    ("sharr-cloudwatch-alarm-on-events", r"cloudwatch:DescribeAlarms on .*"): "it looks for an alarm of theirs",
    (
        "sharr-cloudwatch-alarm-on-events",
        r"sns:ListSubscriptionsByTopic in another account",
    ): "an alarm may tell a topic of another account",
    (
        "sharr-ec2-(empty-default-security-group|revoke-open-ingress)",
        r"ec2:AuthorizeSecurityGroup(Ingress|Egress) on somebody's resource",
    ): "the rule that is put back gets an id of its own",
    ("sharr-ec2-revoke-open-ingress", r"ec2:GetManagedPrefixListEntries in another account"): "prefix lists are shared",
    (
        "sharr-(rds-encrypt-snapshot|sns-encrypt-topic)",
        r"kms:(DescribeKey|CreateGrant) in another account",
    ): "keys are shared",
    ("sharr-tags-add-required-tags", r".* on somebody's resource"): "it tags any kind of resource",
    (
        "sharr-(?!cloudfront-set-default-root-object).*",
        r"s3:.* on another account's bucket",
    ): "an ARN of S3 names no account; a session of ours names the bucket",
}
"""(role, attack) -> why the role may do this though no case needs it."""


class ProbeBroken(Exception):
    """A probe goes red without a mutant: nothing can be said about mutants before that is mended."""


def judged(remediation: Remediation, only: str = "") -> list[Verdict]:
    """Return what became of every mutant of a remediation's role; *only* takes those whose name has this text."""
    role = roles()[remediation.role_name]
    texts = documents(role)
    account = Sandbox().organization.members[0]
    arn = f"arn:aws:iam::{account}:role/sharr/{remediation.role_name}"
    needs: list[tuple[float, Case, dict[Asked, None]]] = []
    for case in cases(remediation):
        recorder = Recorder("")
        start = time.process_time()
        if wrong := fails(remediation, case, texts, recorder):
            raise ProbeBroken(f"{remediation.id}, {case.control} {case.name}: {wrong}")
        needs.append((time.process_time() - start, case, recorder.asked))
    needs.sort(key=lambda need: need[0])
    granted = {a for name in texts for s in role[name]["Statement"] for a in as_list(s["Action"])}
    every = attacks({asked for _, _, known in needs for asked in known}, granted, account)
    refused = [one for one in every if not is_wide(remediation.role_name, one)]
    if broken := [one for one in refused if allowed(one, texts, arn, account)]:
        raise ProbeBroken(f"{remediation.role_name} may do what no case needs: {broken}")
    found = []
    for name in texts:
        for mutant in of_policy(role[name], remediation.role_name):
            if only not in mutant.mutant.name:
                continue
            changed = {**texts, name: json.dumps(mutant.document)}
            killer = (
                _missed(remediation, mutant, changed, needs)
                if mutant.mutant.kind in ("permission", "statement")
                else _opened(mutant, changed, texts, refused, arn, account)
            )
            found.append(Verdict(mutant.mutant, killer))
    return found


def is_wide(role: str, attack: Attack) -> bool:
    """Tell whether the role is known to be able to do this."""
    return any(re.fullmatch(r, role) and re.fullmatch(what, attack.what) for r, what in WIDE)


def _missed(
    remediation: Remediation,
    mutant: PolicyMutant,
    changed: Mapping[str, str],
    needs: Sequence[tuple[float, Case, Mapping[Asked, None]]],
) -> str:
    """Return the first case that fails without a permission; only those are tried for which IAM was asked for it."""
    lost = {action.lower() for action in mutant.actions}
    for _, case, asked in needs:
        if lost & {one.action.lower() for one in asked} and (wrong := fails(remediation, case, changed)):
            return f"{case.control}, {case.name}: {wrong}"
    return ""


def _opened(
    mutant: PolicyMutant,
    changed: Mapping[str, str],
    texts: Mapping[str, str],
    refused: Iterable[Attack],
    arn: str,
    account: str,
) -> str:
    """Return the first attack that succeeds; SAME where the wider resource names nothing that was not named before."""
    for attack in refused:
        if attack.action in mutant.actions and allowed(attack, changed, arn, account):
            return attack.what
    if mutant.mutant.kind == "resource":
        anywhere = [
            Attack("", action, filled(format_, owner), (), owner)
            for action in mutant.actions
            for format_ in formats(action)
            for owner in (account, STRANGER)
        ]
        if anywhere and all(allowed(one, texts, arn, account) for one in anywhere):
            return SAME
    return ""
