"""
Judges the synthesized templates by cfn-lint and cdk-nag: `python -m stacks.check` synthesizes, then says what is wrong.

Both see the templates as they are deployed, whatever they were made with. A finding of cdk-nag that is accepted has a
reason here that is true for each resource it is about; an acceptance that nothing needs any more is an error, too.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Before jsii starts: CDK's own validation would judge by the same rules as cfn-lint does here.
os.environ.setdefault("CDK_VALIDATION", "false")

import app  # tells jsii which Node to use


@dataclass(frozen=True, slots=True)
class Accepted:
    """A rule (its finding in brackets) and a construct (stack/logical id), both as patterns, and why it is fine."""

    rule: str
    construct: str
    reason: str


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule of cdk-nag, and the construct that breaks it."""

    rule: str
    construct: str


ACCEPTED: Final = (
    Accepted(
        r"AwsSolutions-SQS3",
        r".*/(Outcome|Runbook)?QueueEventsDead",
        "It is a dead-letter queue itself, of EventBridge's targets, which the rule does not look at",
    ),
    Accepted(
        r"AwsSolutions-IAM5\[Resource::.*:role/sharr/sharr-(\*|reader)\"}.*\]",
        r"sharr-admin/(Repair|Observe)Role",
        "The roles in all member accounts: their trust policies, and aws:ResourceOrgID here, say which accounts",
    ),
    Accepted(
        r"AwsSolutions-IAM5\[Action::kms:GenerateDataKey\*\]",
        r"sharr-admin/ObserveRole",
        "What Amazon SNS documents for publishers to an encrypted topic; on that one key",
    ),
    Accepted(
        r"AwsSolutions-IAM5\[Resource::\*\]",
        r"sharr-admin/CustomActionsRole",
        "securityhub:ListFindingAggregators takes no resource",
    ),
    Accepted(
        r"AwsSolutions-IAM5\[Resource::.*:log-group:<AWS::StackName>-Playbook\*:\*\]",
        r"sharr-admin/RepairLogs",
        "The log groups of this stack's own nested stacks; CloudFormation makes up the rest of their names",
    ),
    Accepted(
        r"AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:.*\]",
        r"sharr-member-roles/Role.*",
        "Which resource is repaired says the finding: the session policy of each attempt has that one in it",
    ),
    Accepted(
        r"AwsSolutions-IAM5\[Resource::\*\]",
        r"sharr-member-roles/(Role|Delivery).*",
        "Actions for which IAM knows no resource: a test compares them with the service authorization reference",
    ),
    Accepted(
        r"AwsSolutions-IAM5\[Resource::arn:<AWS::Partition>:.*\]",
        r"sharr-member-roles/Delivery.*",
        "What a service delivers for any resource of this account goes below one name of ours",
    ),
    Accepted(
        r"AwsSolutions-IAM5\[Resource::.*:(automation-execution/\*|document/SHARR-\*|automation-definition/SHARR-\*:\*)\]",
        r"sharr-member-roles/(Reader|Starter)",
        "Any of our runbooks in any Region; an execution's id is not known before it is there",
    ),
    Accepted(
        r"AwsSolutions-IAM5\[Resource::.*:role/sharr/sharr-\*\]",
        r"sharr-member-roles/Starter",
        "Any role of ours, to SSM only, which only the roles of remediations trust",
    ),
    Accepted(
        r"AwsSolutions-IAM5\[Resource::.*:event-bus/sharr\]",
        r"sharr-member-roles/Events",
        "The admin account's bus, in the home Region, which this stack does not know",
    ),
)


def templates(folder: Path) -> list[Path]:
    """Return the templates of a cloud assembly, nested ones too."""
    return sorted(folder.glob("*.template.json"))


def lint(paths: Iterable[Path]) -> list[str]:
    """Return what cfn-lint finds, with all its rules at their defaults."""
    from cfnlint import api  # type: ignore[import-untyped]

    found = [match for path in paths for match in api.lint_file(path)]
    return [f"{Path(m.filename).name}: {m.rule.id} {m.message} at {'/'.join(map(str, m.path or ()))}" for m in found]


def violations(folder: Path) -> set[Violation]:
    """Return what cdk-nag's AwsSolutions rules find."""
    from aws_cdk import App, Stack, Validations
    from aws_cdk.cloudformation_include import CfnInclude
    from cdk_nag import AwsSolutionsChecks
    from jsii.errors import JSIIError

    with tempfile.TemporaryDirectory() as scratch:
        nag = App(outdir=scratch, analytics_reporting=False, tree_metadata=False)
        for path in templates(folder):
            # Ids of nested stacks end in a hash of their path.
            name = re.sub(r"^sharradmin|^sharrmember|[0-9A-F]{8}$", "", path.name.split(".")[0])
            CfnInclude(Stack(nag, name), "Template", template_file=str(path))
        Validations.of(nag).add_plugins(AwsSolutionsChecks(nag))
        report = Path(scratch) / "validation-report.json"
        try:
            # It prints its findings, accepted ones too; they are read from the report.
            with contextlib.redirect_stderr(io.TextIOWrapper(io.BytesIO())):
                nag.synth()
        except (JSIIError, RuntimeError):
            # What jsii makes of "there are violations": then there is a report of them.
            if not report.is_file():
                raise
        said = json.loads(report.read_text())
    (plugin,) = [each for each in said["pluginReports"] if each["pluginName"] == "AwsSolutions"]
    return {
        Violation(found["ruleName"], where["constructPath"].replace("/Template/", "/"))
        for found in plugin["violations"]
        for where in found["violatingConstructs"]
    }


def judged(found: Iterable[Violation], accepted: Iterable[Accepted] = ACCEPTED) -> list[str]:
    """Return what is wrong: violations that nothing accepts, acceptances that nothing needs."""
    needed: set[Accepted] = set()
    wrong = []
    for violation in sorted(found, key=lambda v: (v.construct, v.rule)):
        by = [
            a
            for a in accepted
            if re.fullmatch(a.rule, violation.rule) and re.fullmatch(a.construct, violation.construct)
        ]
        needed.update(by)
        if not by:
            wrong.append(f"{violation.construct}: {violation.rule}")
    wrong += [f"nothing needs the acceptance of {a.rule} on {a.construct}" for a in accepted if a not in needed]
    return wrong


def main() -> int:
    """Synthesize, judge, print; return 1 where something is wrong."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "cdk.out"
        app.build(folder).synth()
        wrong = [*lint(templates(folder)), *judged(violations(folder))]
    print("\n".join(wrong) or "cfn-lint and cdk-nag: nothing that is not accepted with a reason")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
