"""IAM.7, IAM.10 to IAM.17: make the account's password policy as strict as the control asks, and weaker in nothing."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import call

# The fields that UpdateAccountPasswordPolicy takes; ExpirePasswords is output only.
SWITCHES = (
    "AllowUsersToChangePassword", "HardExpiry", "RequireLowercaseCharacters", "RequireNumbers", "RequireSymbols",
    "RequireUppercaseCharacters",
)  # fmt: skip
NUMBERS = ("MaxPasswordAge", "MinimumPasswordLength", "PasswordReusePrevention")
# An account without a policy has AWS's default one: 8 characters, three of the four kinds. A policy of its own cannot
# say "three of four", and UpdateAccountPasswordPolicy's own defaults (6 characters, no kind) would be a step back.
# Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_passwords_account-policy.html
NOT_WEAKER_THAN_DEFAULT = dict.fromkeys(SWITCHES, False) | {
    "MinimumPasswordLength": 8,
    "RequireLowercaseCharacters": True,
    "RequireNumbers": True,
    "RequireUppercaseCharacters": True,
}


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the policy: sorted [name, value] pairs, or None where the account has none.

    A list, so that it is one leaf: as it is put whole, an undo must not run over another field that was changed since.
    A number that is not set is left out, a switch that is not set is false; to AWS both are the same.

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccountPasswordPolicy.html
    """
    iam = aws.client("iam")
    try:
        found = iam.get_account_password_policy()["PasswordPolicy"]
    except iam.exceptions.NoSuchEntityException:
        return {"config": {"policy": None}, "facts": {}, "busy": None}
    policy = {name: bool(found.get(name)) for name in SWITCHES} | {n: found[n] for n in NUMBERS if found.get(n)}
    return {"config": {"policy": [[name, policy[name]] for name in sorted(policy)]}, "facts": {}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that puts the policy with the stricter value of each field that the control is about."""
    wanted = {name: value for name, value in target["parameters"].items() if value}
    there = state["config"]["policy"]
    old = NOT_WEAKER_THAN_DEFAULT if there is None else dict(there)
    new = old | {name: stricter(name, value, old.get(name)) for name, value in wanted.items()}
    if there is not None and new == old:
        return []
    back = (
        call("iam", "delete_account_password_policy", {}, fine=["NoSuchEntity"])
        if there is None
        else call("iam", "update_account_password_policy", old)
    )
    return [call("iam", "update_account_password_policy", new, undo=[back])]


def stricter(name: str, wanted: Any, there: Any) -> Any:
    """Return the stricter of two values; a number that is not there is no rule at all."""
    if not there:
        return wanted
    return min(wanted, there) if name == "MaxPasswordAge" else max(wanted, there)
