"""The member stack: runbooks for the accounts and Regions that shall have them, and the word back when one ended."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aws_cdk import CfnParameter, CfnTag, NestedStack, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from sharr.remediation import Remediation
from stacks import names, parameters
from stacks.intrinsics import arn, text

SPLIT: Final[Mapping[str, int]] = {"ec2": 4, "iam": 2, "rds": 4, "s3": 2}
"""
Over how many nested stacks the documents of a service are spread, where one template (1 MB; a document has up to 64 KB)
may not hold them. Changing a number moves documents between stacks that are there: their names are fixed, so the one
stack cannot make what the other one has not deleted yet. Who changes it has users delete the member stack first.
"""

REGION: Final = "^[a-z]{2,6}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$"


class MemberStack(Stack):
    """An idle account pays nothing for it. *documents* are the composed runbooks by the remediation's id."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        remediations: Iterable[Remediation],
        documents: Mapping[str, Mapping[str, Any]],
        version: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, description=f"SHARR {version}: runbooks in a member account and Region", **kwargs)
        tells_admin_account(self)
        groups: dict[str, list[Remediation]] = defaultdict(list)
        for remediation in remediations:
            if remediation.id in documents:
                groups[stack_of(remediation.id)].append(remediation)
        for name, group in sorted(groups.items()):
            Documents(self, name, group, documents)


class Documents(NestedStack):
    """The runbooks of one service, or of a part of it."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        remediations: Iterable[Remediation],
        documents: Mapping[str, Mapping[str, Any]],
    ) -> None:
        super().__init__(scope, f"Documents{name}", description=f"SHARR: runbooks, {name}")
        for remediation in remediations:
            runbook(self, remediation, documents[remediation.id])
        resource = self.nested_stack_resource
        assert resource is not None
        resource.override_logical_id(f"Documents{name}")


def tells_admin_account(stack: Stack) -> None:
    """Give *stack* the rule that tells the admin account that a runbook ended, with the parameters it needs."""
    parameters.admin_account(stack)
    CfnParameter(
        stack,
        "HomeRegion",
        type="String",
        allowed_pattern=REGION,
        constraint_description="the id of a Region",
        description="The Region that the admin stack is in: where Security Hub's findings are aggregated",
    )
    bus = arn("events", f"event-bus/{names.EVENT_BUS}", region="${HomeRegion}", account="${SecHubAdminAccount}")
    events.CfnRule(
        stack,
        "RunbookEnded",
        # The role that EventBridge assumes for it trusts this name only.
        name=names.STATUS_RULE,
        description="SHARR: tells the admin account that a runbook ended",
        event_pattern=names.RUNBOOK_ENDED,
        state="ENABLED",
        targets=[
            events.CfnRule.TargetProperty(
                id="AdminAccount",
                arn=text(bus),
                role_arn=text(arn("iam", f"role{names.PATH}{names.EVENTS_ROLE}", region="")),
            )
        ],
    )


def runbook(scope: Construct, remediation: Remediation, content: Mapping[str, Any]) -> None:
    """Add the SSM document of a remediation."""
    ssm.CfnDocument(
        scope,
        names.camel("Document", remediation.id),
        name=remediation.document_name,
        document_type="Automation",
        document_format="JSON",
        content=content,
        # A replacement would want the same name while the old one is there.
        update_method="NewVersion",
        tags=[CfnTag(key="sharr", value=remediation.id)],
    )


def stack_of(remediation_id: str) -> str:
    """
    Return the name of the nested stack that a remediation's document is in.

    It depends on the id alone, so that a new remediation never moves another one's document.
    """
    service = remediation_id.split("/")[0]
    parts = SPLIT.get(service, 1)
    if parts == 1:
        return names.camel(service)
    return f"{names.camel(service)}{hashlib.sha256(remediation_id.encode()).digest()[0] % parts + 1}"
