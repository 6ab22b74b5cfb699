"""IAM.18: have a role with AWSSupportAccess, for those whom the user names; where anybody has the policy, nothing."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, as_json, call

NAME = "sharr-support-access"
TAG = {"Key": "sharr", "Value": "create_support_role"}
GONE = "NoSuchEntity"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read who has the policy: a user, a group with a user in it, or a role is enough; and what is there of our role.

    Sources: https://docs.aws.amazon.com/config/latest/developerguide/iam-policy-in-use.html (with usage ANY),
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html
    """
    iam = aws.client("iam")
    asked = {"PolicyArn": policy_arn(target), "PolicyUsageFilter": "PermissionsPolicy"}
    pages = list(iam.get_paginator("list_entities_for_policy").paginate(**asked))
    users, groups, roles = (
        [entity[name] for page in pages for entity in page[kind]]
        for kind, name in (("PolicyUsers", "UserName"), ("PolicyGroups", "GroupName"), ("PolicyRoles", "RoleName"))
    )
    used = bool(users or roles) or any(
        page["Users"] for group in groups for page in iam.get_paginator("get_group").paginate(GroupName=group)
    )
    try:
        role = "ours" if TAG in iam.get_role(RoleName=NAME)["Role"].get("Tags", []) else "another's"
    except iam.exceptions.NoSuchEntityException:
        role = "absent"
    config = {"role": role != "absent", "policy": NAME in roles}
    return {"config": config, "facts": {"used": used, "role": role}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that make the role, or give it the policy; [] where the policy is in use."""
    role, named = state["facts"]["role"], target["parameters"]["supportPrincipals"]
    if state["facts"]["used"]:
        return []
    if role == "another's":
        why = f"a role {NAME} is there, and not ours"
        raise CannotRepair(why, "attach AWSSupportAccess to a role of yours, or rename this one")
    attached = {"RoleName": NAME, "PolicyArn": policy_arn(target)}
    attach = call(
        "iam",
        "attach_role_policy",
        attached,
        undo=[call("iam", "detach_role_policy", attached, fine=[GONE])],
        retry=[GONE],  # a role made just now
    )
    if role == "ours":
        return [attach]
    if not named:
        raise CannotRepair(
            "nobody in the account may turn to AWS Support, and who may is for a person to say",
            "set supportPrincipals, or attach AWSSupportAccess to a role of yours",
        )
    new = {
        "RoleName": NAME,
        "Description": "For incidents: opens and manages cases with AWS Support",
        "AssumeRolePolicyDocument": as_json({"Version": "2012-10-17", "Statement": trust(named, target)}),
        "Tags": [TAG],
    }
    create = call(
        "iam",
        "create_role",
        new,
        undo=[call("iam", "delete_role", {"RoleName": NAME}, fine=[GONE])],
        explain={
            "MalformedPolicyDocument": "one of supportPrincipals does not exist: correct it",
            "LimitExceeded": "name fewer supportPrincipals, or delete roles that are not needed",
        },
    )
    return [create, attach]


def policy_arn(target: dict[str, Any]) -> str:
    return f"arn:{target['partition']}:iam::aws:policy/AWSSupportAccess"


def trust(named: list[str], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements: roles as they are (a role's session never tells MFA), users and accounts with MFA."""
    own = f"arn:{target['partition']}:iam::{target['account']}:"
    arns = sorted({one if one.startswith("arn:") else own + one for one in named})
    roles = [arn for arn in arns if arn.split(":")[5].startswith("role/")]
    people = [arn for arn in arns if arn not in roles]
    mfa = {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
    return [
        {"Effect": "Allow", "Principal": {"AWS": who}, "Action": "sts:AssumeRole", **condition}
        for who, condition in ((roles, {}), (people, mfa))
        if who
    ]
