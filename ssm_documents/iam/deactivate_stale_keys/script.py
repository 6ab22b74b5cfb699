"""
IAM.3, IAM.8, IAM.22: deactivate the access keys of a user that are too old (IAM.3) or too long unused (the others).

IAM cannot disable a console password, only delete it. That needs the user's `deleteLoginProfile`; without it a
user whose password is unused is left as it is, keys too: the control could not pass, and a half repair helps nobody.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the user's keys and password; what changes by itself, the times, goes to facts.

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccessKeyLastUsed.html
    """
    iam = aws.client("iam")
    user = user_of(iam, target["resource"])
    name = {"UserName": user["UserName"]}
    pages = iam.get_paginator("list_access_keys").paginate(**name)
    keys = {key["AccessKeyId"]: key for page in pages for key in page["AccessKeyMetadata"]}
    used = {
        id_: iam.get_access_key_last_used(AccessKeyId=id_)["AccessKeyLastUsed"].get("LastUsedDate")
        for id_, key in keys.items()
        if key["Status"] == "Active"
    }
    try:
        password = iam.get_login_profile(**name)["LoginProfile"]
    except iam.exceptions.NoSuchEntityException:
        password = None
    facts = {
        "user_name": user["UserName"],
        "key_created": {id_: text(key["CreateDate"]) for id_, key in keys.items()},
        "key_used": {id_: text(at) for id_, at in used.items()},
        "password_created": text(password and password["CreateDate"]),
        "password_used": text(user.get("PasswordLastUsed")),
    }
    config = {"keys": {id_: key["Status"] for id_, key in keys.items()}, "password": password is not None}
    return {"config": config, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a call for each active key that violates the control, and the one that deletes an unused password."""
    config, facts, parameters = state["config"], state["facts"], target["parameters"]
    by_age = target["control"] == "IAM.3"
    days = parameters["maxAccessKeyAge" if by_age else "maxCredentialUsageAge"]
    limit = datetime.fromisoformat(target["now"]) - timedelta(days=days)

    def stale(*times: str | None) -> bool:
        """What counts is the latest: a key, or a password set anew, that was never used is as old as itself."""
        return max(datetime.fromisoformat(at) for at in times if at) < limit

    keys = [
        id_
        for id_, status in sorted(config["keys"].items())
        if status == "Active" and stale(facts["key_created"][id_], None if by_age else facts["key_used"].get(id_))
    ]
    unused = not by_age and config["password"] and stale(facts["password_created"], facts["password_used"])
    if unused and not target["parameters"]["deleteLoginProfile"]:
        raise CannotRepair(
            f"the console password was not used for {days} days, and IAM can only delete it, not disable it",
            "have the user sign in, delete the password by hand, or set deleteLoginProfile, and repair again",
        )
    name = {"UserName": facts["user_name"]}
    calls = [
        call(
            "iam",
            "update_access_key",
            name | {"AccessKeyId": id_, "Status": "Inactive"},
            undo=[
                call("iam", "update_access_key", name | {"AccessKeyId": id_, "Status": "Active"}, leaf=["keys", id_])
            ],
        )
        for id_ in keys
    ]
    if unused:
        lost = "the console password; give the user a new one with CreateLoginProfile"
        later = ["EntityTemporarilyUnmodifiable"]
        calls.append(call("iam", "delete_login_profile", name, lost=lost, fine=["NoSuchEntity"], retry=later))
    return calls


def user_of(iam: Any, resource: dict[str, Any]) -> dict[str, Any]:
    """Return the user that the finding names, by ARN or unique id. Another one of that name is not it: ResourceGone."""
    name = resource["user"]
    try:
        if resource["id"] == name:
            pages = iam.get_paginator("list_users").paginate()
            name = next((u["UserName"] for page in pages for u in page["Users"] if u["UserId"] == name), None)
        found = iam.get_user(UserName=name)["User"] if name else None
    except iam.exceptions.NoSuchEntityException as error:
        raise ResourceGone(resource["id"]) from error
    if not found or resource["id"] not in (found["Arn"], found["UserId"]):
        raise ResourceGone(resource["id"])
    return dict(found)


def text(at: Any) -> str | None:
    return at.isoformat() if at else None
