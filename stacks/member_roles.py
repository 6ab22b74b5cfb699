"""The member-roles stack: once per account, what the admin account may do in it, one role per remediation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aws_cdk import CfnCondition, CfnParameter, CfnTag, Stack, Token
from aws_cdk import aws_iam as iam
from constructs import Construct

from sharr.loader import Auxiliary
from sharr.policies import role_statements
from sharr.remediation import Remediation
from stacks import names, parameters
from stacks.functions import policy
from stacks.intrinsics import ACCOUNT, Json, arn, either, equals, negated, ref
from stacks.parameters import ORGANIZATION

SESSION_SECONDS: Final = 3600
ADMIN: Final = "${SecHubAdminAccount}"


class MemberRolesStack(Stack):
    """Nothing here costs anything, and nobody but the admin account's two roles (and SSM, for runbooks) is trusted."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        remediations: Iterable[Remediation],
        auxiliaries: Iterable[Auxiliary],
        version: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            scope, id, description=f"SHARR {version}: roles in a member account, once per account", **kwargs
        )
        parameters.admin_account(self)
        CfnParameter(
            self,
            "OrganizationId",
            type="String",
            default="",
            allowed_pattern=ORGANIZATION,
            constraint_description="an organization's id (o-exampleorgid), or nothing",
            description="The roles are assumed from this organization only; empty: the admin account is enough",
        )
        condition = CfnCondition(self, "InOrganization")
        condition.expression = Token.as_any(negated(equals(ref("OrganizationId"), "")))
        for remediation in remediations:
            self._remediation(remediation)
        for auxiliary in auxiliaries:
            for name, role in auxiliary.roles.items():
                self._delivery(name, auxiliary.title, role)
        self._reader()
        self._starter()
        self._events()

    def _remediation(self, remediation: Remediation) -> None:
        trust = [_trusts_admin(names.REPAIR_ROLE)]
        if "runbook" in remediation.places:
            trust.append(_trusts_service("ssm.amazonaws.com", arn("ssm", "automation-execution/*", region="*")))
        self._role(
            names.camel("Role", remediation.id),
            remediation.role_name,
            f"SHARR: {remediation.title} ({', '.join(remediation.controls)})",
            trust,
            [filled(statement) for statement in role_statements(remediation)],
            remediation.id,
        )

    def _delivery(self, name: str, title: str, role: Mapping[str, Any]) -> None:
        source = role.get("source_arn")
        self._role(
            names.camel("Delivery", name.removeprefix("sharr-")),
            name,
            f"SHARR: {title}",
            [_trusts_service(role["service"], None if source is None else filled(_placeholders(source)))],
            [
                {"Effect": "Allow", "Action": action, "Resource": filled(_placeholders(on))}
                for action, on in role["allow"].items()
            ],
            "auxiliary",
        )

    def _reader(self) -> None:
        self._role(
            "Reader",
            names.READER_ROLE,
            "SHARR: reads how a runbook ended",
            [_trusts_admin(names.OBSERVE_ROLE)],
            [
                {
                    "Effect": "Allow",
                    "Action": "ssm:GetAutomationExecution",
                    "Resource": arn("ssm", "automation-execution/*", region="*"),
                }
            ],
            "reader",
        )

    def _starter(self) -> None:
        documents = [
            arn("ssm", f"document/{names.DOCUMENT_PREFIX}*", region="*"),
            arn("ssm", f"automation-definition/{names.DOCUMENT_PREFIX}*:*", region="*"),
            arn("ssm", "automation-execution/*", region="*"),
        ]
        self._role(
            "Starter",
            names.STARTER_ROLE,
            "SHARR: starts our runbooks, under our roles",
            [_trusts_admin(names.REPAIR_ROLE)],
            [
                {"Effect": "Allow", "Action": "ssm:StartAutomationExecution", "Resource": documents},
                {
                    "Effect": "Allow",
                    "Action": "iam:PassRole",
                    "Resource": arn("iam", f"role{names.PATH}sharr-*", region=""),
                    "Condition": {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}},
                },
            ],
            "starter",
        )

    def _events(self) -> None:
        self._role(
            "Events",
            names.EVENTS_ROLE,
            "SHARR: tells the admin account that a runbook ended",
            [_trusts_service("events.amazonaws.com", arn("events", f"rule/{names.STATUS_RULE}", region="*"))],
            [
                {
                    "Effect": "Allow",
                    "Action": "events:PutEvents",
                    "Resource": arn("events", f"event-bus/{names.EVENT_BUS}", region="*", account=ADMIN),
                }
            ],
            "events",
        )

    def _role(self, id: str, name: str, description: str, trust: list[Json], statements: list[Json], tag: str) -> None:
        iam.CfnRole(
            self,
            id,
            role_name=name,
            path=names.PATH,
            description=description if len(description) <= 1000 else f"{description[:997]}...",
            max_session_duration=SESSION_SECONDS,
            assume_role_policy_document=policy(*trust),
            policies=[iam.CfnRole.PolicyProperty(policy_name="rights", policy_document=policy(*statements))],
            tags=[CfnTag(key="sharr", value=tag)],
        )


def _trusts_admin(role: str) -> Json:
    """One role of the admin account, by its ARN; the account as principal outlives a role that is made anew."""
    return {
        "Effect": "Allow",
        "Principal": {"AWS": arn("iam", "root", region="", account=ADMIN)},
        "Action": "sts:AssumeRole",
        "Condition": {
            "ArnEquals": {"aws:PrincipalArn": arn("iam", f"role{names.PATH}{role}", region="", account=ADMIN)},
            "StringEquals": either("InOrganization", {"aws:PrincipalOrgID": ref("OrganizationId")}),
        },
    }


def _trusts_service(service: str, source_arn: Json | None) -> Json:
    """
    A service that works for a resource of this account.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    return {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
            **({} if source_arn is None else {"ArnLike": {"aws:SourceArn": source_arn}}),
        },
    }


def filled(value: Any) -> Json:
    """Return *value* with a Fn::Sub around each text with an `${AWS::...}`; IAM's own `${...}` stay as they are."""
    if isinstance(value, str):
        if "${AWS::" not in value:
            return value
        return {"Fn::Sub": "${!".join(_split_variables(value))}
    if isinstance(value, list):
        return [filled(item) for item in value]
    if isinstance(value, Mapping):
        return {key: filled(item) for key, item in value.items()}
    return value


def _split_variables(value: str) -> list[str]:
    """Part a text before each `${` that is IAM's, not CloudFormation's."""
    parts = value.split("${")
    joined = [parts[0]]
    for part in parts[1:]:
        if part.startswith("AWS::"):
            joined[-1] += "${" + part
        else:
            joined.append(part)
    return joined


def _placeholders(value: Any) -> Any:
    """Return the placeholders of an auxiliary.yaml as CloudFormation's."""
    if isinstance(value, list):
        return [_placeholders(item) for item in value]
    return str(value).replace("{partition}", "${AWS::Partition}").replace("{account}", "${AWS::AccountId}")
