"""The admin stack's parameters, as a person meets them in the console: grouped, labelled, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from aws_cdk import CfnParameter, Stack

from sharr.standards import Standard

CONTROLS: Final = r"^$|^\*$|^[A-Z][A-Za-z0-9]{1,31}\.[0-9]{1,4}$"
ACCOUNTS: Final = r"^$|^[0-9]{12}$"
ORGANIZATION: Final = r"^$|^o-[a-z0-9]{10,32}$"
LOG_DAYS: Final = (
    *("1", "3", "5", "7", "14", "30", "60", "90", "120", "150", "180", "365"),
    *("400", "545", "731", "1096", "1827", "2192", "2557", "2922", "3288", "3653"),
)
"""Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""


def admin_account(stack: Stack) -> None:
    """Declare the parameter by which the stacks of member accounts know the admin account."""
    CfnParameter(
        stack,
        "SecHubAdminAccount",
        type="String",
        allowed_pattern="^[0-9]{12}$",
        constraint_description="an account id of twelve digits",
        description="The account that the admin stack is in: the delegated administrator of Security Hub",
    )


def load(standard: Standard) -> str:
    """Return the name of the parameter that says whether the standard's playbook is there."""
    return f"Load{standard.name}AdminStack"


def automatic(standard: Standard) -> str:
    """Return the name of the parameter that lists the controls to repair without being asked."""
    return f"{standard.name}AutomaticControls"


def declare(stack: Stack, standards: Iterable[Standard]) -> None:
    """Declare every parameter of the admin stack, and how the console shows them."""
    groups: list[dict[str, Any]] = []
    labels: dict[str, dict[str, str]] = {}

    def group(label: str, *parameters: tuple[str, str, dict[str, Any]]) -> None:
        for name, shown, properties in parameters:
            CfnParameter(stack, name, **{"type": "String", **properties})
            labels[name] = {"default": shown}
        groups.append({"Label": {"default": label}, "Parameters": [name for name, _, _ in parameters]})

    standards = list(standards)
    group(
        "Which playbooks to load (SC if consolidated control findings are on in Security Hub; else your standards)",
        *(
            (
                load(standard),
                standard.title,
                {
                    "default": "yes" if standard.name == "SC" else "no",
                    "allowed_values": ["yes", "no"],
                    "description": f"Load the playbook of {standard.title}: buttons work on its findings",
                },
            )
            for standard in standards
        ),
    )
    group(
        "What is repaired without being asked: control ids parted by commas, * for all that have a remediation",
        *(
            (
                automatic(standard),
                standard.title,
                {
                    "type": "CommaDelimitedList",
                    "default": "",
                    "allowed_pattern": CONTROLS,
                    "constraint_description": "control ids as Security Hub writes them (S3.5,KMS.4), or *, or nothing",
                    "description": f"Controls of {standard.title} to repair by themselves; empty: none",
                },
            )
            for standard in standards
        ),
    )
    accounts = {
        "type": "CommaDelimitedList",
        "default": "",
        "allowed_pattern": ACCOUNTS,
        "constraint_description": "account ids of twelve digits, parted by commas",
    }
    group(
        "Where, and how",
        (
            "AutomaticAccounts",
            "Only in these accounts",
            {**accounts, "description": "Accounts in which findings are repaired by themselves; empty: in all"},
        ),
        (
            "ExcludedAccounts",
            "Never in these accounts",
            {**accounts, "description": "Accounts in which nothing is repaired, not by a button either"},
        ),
        (
            "RemediationParameters",
            "Parameters of remediations",
            {
                "default": "",
                "max_length": 4000,
                "allowed_pattern": r"^[ -~]*$",
                "constraint_description": "CONTROL:parameter=value, parted by semicolons",
                "description": "Values that remediations decide by, as RDS.4:deleteOriginal=true; docs/controls.md "
                "has them all; a finding's own parameters go first",
            },
        ),
        (
            "RepairsPerHour",
            "Repairs an hour, at most",
            {
                "type": "Number",
                "default": 100,
                "min_value": 0,
                "max_value": 100_000,
                "description": "Of all controls, by rule or button, in a clock hour; the rest waits, the oldest first; "
                "0: nothing is repaired (undo still works)",
            },
        ),
        (
            "RepairFindingsSince",
            "Only findings from this day on",
            {
                "default": "",
                "allowed_pattern": r"^$|^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
                "constraint_description": "a day as 2026-01-31 (UTC), or nothing",
                "description": "Automation leaves findings alone that Security Hub first reported before; empty: none. "
                "Set today when you begin: what is older is a backlog, for a job or a button",
            },
        ),
        (
            "FirstRepairsOneByOne",
            "First repairs of a control, one by one",
            {
                "type": "Number",
                "default": 10,
                "min_value": 0,
                "max_value": 1000,
                "description": "So many verified repairs of each control are made one at a time by automation, which "
                "stops for this control at the first that FAILED; 0: no such limit",
            },
        ),
        (
            "ButtonRepairs",
            "What the Remediate button may repair",
            {
                "default": "any control",
                "allowed_values": ["any control", "switched-on controls", "preview only"],
                "description": "Any control, only those listed above, or none (Preview works, Remediate is refused)",
            },
        ),
        (
            "ExecutionMode",
            "Where repairs run",
            {
                "default": "by remediation",
                "allowed_values": ["by remediation", "lambda", "runbook"],
                "description": "As each remediation says; or always in the function (seconds, no member stack needed); "
                "or wherever it can in an SSM Automation runbook in the member account",
            },
        ),
        (
            "MaximumConcurrency",
            "Findings at a time",
            {
                "type": "Number",
                "default": 100,
                "min_value": 2,
                "max_value": 1000,
                "description": "Invocations of a playbook's function at a time, five findings each; keep the sum "
                "below the account's Lambda concurrency; far beyond 100, raise the table's warm throughput first",
            },
        ),
    )
    group(
        "Organization, notification, records",
        (
            "OrganizationId",
            "Organization",
            {
                "default": "",
                "allowed_pattern": ORGANIZATION,
                "constraint_description": "an organization's id (o-exampleorgid), or nothing",
                "description": "Members' roles and events are taken from this organization only; empty: this account",
            },
        ),
        (
            "NotificationEmail",
            "E-mail address",
            {
                "default": "",
                "allowed_pattern": r"^$|^[^\s@,]{1,64}@[^\s@,]{3,250}$",
                "constraint_description": "one e-mail address, or nothing",
                "description": "Told of outcomes and alarms, once it confirmed; empty: nobody, subscribe later",
            },
        ),
        (
            "Notify",
            "Messages of what is repaired by itself",
            {
                "default": "digest",
                "allowed_values": ["digest", "each"],
                "description": "digest: one per control and 15 minutes, and what is new at once; each: one per "
                "outcome. Buttons: one each, always. At most 60 messages an hour",
            },
        ),
        (
            "LogRetentionDays",
            "Days to keep logs",
            {
                "type": "Number",
                "default": "365",
                "allowed_values": list(LOG_DAYS),
                "description": "Of all log groups of this stack; the one with the outcomes stays when it is deleted",
            },
        ),
        (
            "KmsKeyArn",
            "KMS key of the topic",
            {
                "default": "",
                "allowed_pattern": r"^$|^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]{36,40}$",
                "constraint_description": "the ARN of a KMS key, or nothing",
                "description": "A key whose policy lets cloudwatch.amazonaws.com use it; empty: one is made",
            },
        ),
        (
            "ExistingTable",
            "Table of an earlier deployment",
            {
                "default": "",
                "allowed_pattern": r"^$|^[A-Za-z0-9_.-]{3,255}$",
                "constraint_description": "the name of a DynamoDB table, or nothing",
                "description": "Attempts, holds and undo go on from this table, which was kept; empty: one is made",
            },
        ),
    )
    stack.template_options.metadata = {
        "AWS::CloudFormation::Interface": {"ParameterGroups": groups, "ParameterLabels": labels}
    }
