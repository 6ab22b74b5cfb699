"""
The IAM policies of a remediation, from the permissions in its remediation.yaml: its role's and its sessions'.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html (2,048 characters a session policy),
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies.html#policies_session
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sharr.remediation import Kind, Permission, Remediation

SESSION_POLICY_CHARACTERS = 2048
# What a value may hold before it goes into a policy: nothing that IAM reads as a wildcard or a variable.
SAFE = r"[A-Za-z0-9+=,.@_/:#!-]{1,512}"


class UnsafeValue(Exception):
    """A value would mean more than itself inside a policy, or is not known."""


class PolicyTooLarge(Exception):
    """The session policy would not be accepted. It is never left out."""


def role_statements(remediation: Remediation) -> list[dict[str, Any]]:
    """
    Return the statements of the role: all that the remediation may ever do, on any resource of its kind in the account.

    `${AWS::Partition}` and `${AWS::AccountId}` are for CloudFormation's Fn::Sub; every other placeholder is `*`.
    """

    def any_resource(template: str) -> str:
        text = template.replace("{partition}", "${AWS::Partition}").replace("{account}", "${AWS::AccountId}")
        return re.sub(r"\*{2,}", "*", re.sub(r"\{[a-z_]+\}", "*", text))

    every = (*remediation.read, *remediation.write, *remediation.undo)
    return _statements(every, any_resource, _condition_templates(any_resource))


def session_policy(
    remediation: Remediation,
    kinds: Iterable[Kind],
    values: Mapping[str, Any],
    operations: Iterable[str] | None = None,
) -> str:
    """
    Return the policy of one session: read, and of the other kinds what the planned *operations* need, on one resource.

    Args:
        kinds: `read` is taken whole; `write` and `undo` only where an operation of theirs is planned.
        values: what placeholders stand for: the target's identity and resource, and names found by inspect.
        operations: boto3's names of the planned operations; None takes all.

    Raises UnsafeValue and PolicyTooLarge.
    """
    planned = None if operations is None else set(operations)
    chosen = [
        permission
        for kind in kinds
        for permission in remediation.permissions(kind)
        if (kind == "read" or planned is None or planned & set(permission.operations))
        and all(values.get(name) in allowed for name, allowed in permission.only.items())
    ]

    def filled(template: str) -> str:
        return re.sub(r"\{([a-z_]+)\}", lambda found: _safe(found[1], values), template)

    document = {
        "Version": "2012-10-17",
        "Statement": _statements(chosen, filled, _condition_templates(filled)),
    }
    text = json.dumps(document, separators=(",", ":"))
    if len(text) > SESSION_POLICY_CHARACTERS:
        raise PolicyTooLarge(f"the session policy has {len(text)} characters, {SESSION_POLICY_CHARACTERS} are allowed")
    return text


def _safe(name: str, values: Mapping[str, Any]) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not re.fullmatch(SAFE, value, re.ASCII):
        raise UnsafeValue(f"{name} is {str(value)[:60]!a}: cannot be written into a policy")
    return value


def _condition_templates(fill: Any) -> Any:
    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return fill(value)
        if isinstance(value, list):
            return [filled(v) for v in value]
        return {key: filled(v) for key, v in value.items()}

    return filled


def _statements(permissions: Iterable[Permission], fill: Any, fill_condition: Any) -> list[dict[str, Any]]:
    """One statement per set of resources and condition, actions and resources sorted: the same text every time."""
    grouped: dict[str, dict[str, Any]] = {}
    for permission in permissions:
        resources = sorted({fill(r) for r in permission.on})
        condition = fill_condition(dict(permission.when))
        statement = grouped.setdefault(
            json.dumps([resources, condition], sort_keys=True),
            {"Effect": "Allow", "Action": [], "Resource": resources[0] if len(resources) == 1 else resources}
            | ({"Condition": condition} if condition else {}),
        )
        statement["Action"] = sorted({*statement["Action"], permission.action})
    return list(grouped.values())
