"""SNS.1: encrypt a topic at rest with a KMS key that those who publish to it may use."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

ANYBODY = "anybody whom the topic's policy lets"
USES = ("kms:generatedatakey", "kms:decrypt")
GRANT = "kms:GenerateDataKey* and kms:Decrypt"
OWN = ("aws:sourceowner", "aws:principalaccount")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the topic's key; where it has none: who publishes besides this account's own principals, and the key to use.

    Source: https://docs.aws.amazon.com/sns/latest/api/API_GetTopicAttributes.html
    """
    sns, arn, account = aws.client("sns"), target["resource"]["id"], target["account"]
    try:
        attributes = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    except sns.exceptions.NotFoundException as error:
        raise ResourceGone(arn) from error
    key, facts = attributes.get("KmsMasterKeyId") or None, {}
    if not key:
        found = publishers(json.loads(attributes["Policy"]), account)
        # Under the default policy alarms publish without a statement that names CloudWatch.
        pages = (
            aws.client("cloudwatch")
            .get_paginator("describe_alarms")
            .paginate(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        )
        lists = ("AlarmActions", "OKActions", "InsufficientDataActions")
        for alarm in (a for page in pages for a in page.get("MetricAlarms", []) + page.get("CompositeAlarms", [])):
            if any(arn in alarm.get(name, []) for name in lists):
                found.add("cloudwatch.amazonaws.com")
        facts = {"publishers": sorted(found), "key": key_of(aws, target)}
    return {"config": {"key": key}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that sets the key; [] where the topic has one. Nobody who publishes may be shut out by it."""
    if state["config"]["key"]:
        return []
    publishing, wanted = state["facts"]["publishers"], target["parameters"]["kmsKey"]
    if wanted:
        check(wanted, state["facts"]["key"], publishing)
    elif publishing:
        raise CannotRepair(
            f"{some(publishing)} may publish to this topic, but cannot use the AWS managed key",
            f"set kmsKey to a customer managed key whose policy allows them {GRANT}",
        )
    topic = {"TopicArn": target["resource"]["id"], "AttributeName": "KmsMasterKeyId"}
    back = call("sns", "set_topic_attributes", {**topic, "AttributeValue": ""})
    return [call("sns", "set_topic_attributes", {**topic, "AttributeValue": wanted or "alias/aws/sns"}, undo=[back])]


def check(wanted: str, key: dict[str, Any] | None, publishing: list[str]) -> None:
    """Raise CannotRepair where the key is not there, cannot encrypt a topic, or does not let them all use it."""
    if key is None:
        raise CannotRepair(f"there is no key {wanted} in this Region", "make it, or set kmsKey to one that is there")
    if key["spec"] != "SYMMETRIC_DEFAULT" or key["state"] != "Enabled":
        to_do = "set kmsKey to a symmetric key that is enabled"
        raise CannotRepair(f"the key {wanted} is {key['state']} and {key['spec']}", to_do)
    shut_out = [who for who in publishing if not lets(key["policy"], who)]
    if shut_out:
        unread = "; the policy of another account's key cannot be read" if key["policy"] is None else ""
        raise CannotRepair(
            f"{some(shut_out)} may publish to this topic, but not use the key {wanted}{unread}",
            f"allow them {GRANT} in the policy of the key",
        )


def key_of(aws: Any, target: dict[str, Any]) -> dict[str, Any] | None:
    """Return spec, state and policy (None: another account's) of the key that the user chose; None: not there."""
    kms, wanted = aws.client("kms"), target["parameters"]["kmsKey"]
    if not wanted or (wanted.startswith("arn:") and wanted.split(":")[3] != target["region"]):
        return None
    try:
        found = kms.describe_key(KeyId=wanted)["KeyMetadata"]
    except kms.exceptions.NotFoundException:
        return None
    policy = None
    if found["AWSAccountId"] == target["account"]:
        policy = json.loads(kms.get_key_policy(KeyId=found["KeyId"], PolicyName="default")["Policy"])
    return {"spec": found["KeySpec"], "state": found["KeyState"], "policy": policy}


def publishers(policy: dict[str, Any], account: str) -> set[str]:
    """Return the services, principals of other accounts, and ANYBODY, whom a topic's policy lets publish."""
    found = set()
    for one in many(policy.get("Statement", [])):
        if one["Effect"] != "Allow" or not covers(one, "sns:publish"):
            continue
        kinds = principals(one)
        found |= set(kinds.pop("Service", []))
        for who in kinds.pop("AWS", []):
            if who == "*":
                found |= behind(one.get("Condition", {}), account)
            elif owner(who) not in (account, None):
                found.add(who)
        if kinds:
            found.add(ANYBODY)
    return found


def behind(condition: dict[str, Any], account: str) -> set[str]:
    """Return who is let in by a principal * under *condition*: nobody but this account, some services, or ANYBODY."""
    tests = {
        key.lower(): many(values)
        for operator, keys in condition.items()
        if re.fullmatch(r"(String|Arn)(Equals|Like)(IgnoreCase)?", operator)
        for key, values in keys.items()
    }
    if any(tests.get(key) == [account] for key in OWN):
        return set()
    services = {arn.split(":")[2] for arn in tests.get("aws:sourcearn", []) if arn.count(":") >= 5}
    named = services and all(re.fullmatch(r"[a-z0-9-]+", service) for service in services)
    return {f"{service}.amazonaws.com" for service in services} if named else {ANYBODY}


def lets(policy: dict[str, Any] | None, who: str) -> bool:
    """Tell whether a key's policy lets a service, a principal of another account, or ANYBODY encrypt and decrypt."""
    uses: dict[str, set[str]] = {"Allow": set(), "Deny": set()}
    for one in many((policy or {}).get("Statement", [])):
        kinds, condition = principals(one), one.get("Condition")
        named = who in kinds.get("Service", []) or any(stands_for(given, who) for given in kinds.get("AWS", []))
        everybody = "*" in kinds.get("AWS", []) and not condition
        if everybody or (named and not (condition and one["Effect"] == "Deny")):
            uses[one["Effect"]] |= {use for use in USES if covers(one, use)}
    return uses["Allow"] - uses["Deny"] == set(USES)


def stands_for(given: str, who: str) -> bool:
    """Tell whether a principal of a key's policy is *who*, or the whole account that *who* is of."""
    whole = given.isdigit() or given.endswith(":root")
    return given == who or (whole and owner(who) is not None and owner(given) == owner(who))


def some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def principals(statement: dict[str, Any]) -> dict[str, list[str]]:
    given = statement.get("Principal", "*")
    return {"AWS": ["*"]} if given == "*" else {kind: many(ids) for kind, ids in given.items()}


def owner(principal: str) -> str | None:
    """Return the account of an AWS principal; None for * and for the id of one that was deleted."""
    found = re.fullmatch(r"(?:arn:[a-z-]+:(?:iam|sts)::)?([0-9]{12})(?::.*)?", principal)
    return found[1] if found else None


def covers(statement: dict[str, Any], action: str) -> bool:
    named = "NotAction" not in statement
    patterns = many(statement["Action" if named else "NotAction"])
    return any(fnmatchcase(action, pattern.lower()) for pattern in patterns) == named


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
