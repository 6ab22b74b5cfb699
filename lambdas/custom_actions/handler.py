"""
The custom resource that makes our buttons in Security Hub, and refuses a stack that could not work.

It answers within its time in every case: an error is an answer, too. Standard library, boto3 and our own parsing only.

Sources: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html,
https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_CreateActionTarget.html
"""

from __future__ import annotations

import difflib
import json
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from sharr.catalogue import compiled
from sharr.choices import check_choices
from sharr.finding import CUSTOM_ACTIONS, CustomAction, custom_action_arn
from sharr.patterns import chunks
from sharr.remediation import BadParameter

logger = Logger()

DESCRIPTIONS = {
    "SHARRRemediate": "SHARR repairs the resource of each chosen finding, verifies it, and writes a note.",
    "SHARRPreview": "SHARR writes on each chosen finding what a repair would do. Nothing is changed.",
    "SHARRUndo": "SHARR takes back its last repair of each chosen finding.",
}
PHYSICAL_ID = "SHARRCustomActions"
REASON_CHARACTERS = 1500


class Refused(Exception):
    """The stack cannot work like this: the text becomes the reason that CloudFormation shows."""


def respond_to(event: Mapping[str, Any], hub: Any, account: str, region: str) -> dict[str, str]:
    """Carry out a request and return the attributes (the ARNs of the actions). Raises Refused."""
    if event["RequestType"] == "Delete":
        for action in CUSTOM_ACTIONS:
            delete(hub, action, account, region)
        return {}
    properties = event["ResourceProperties"]
    check_controls(properties.get("AutomaticControls", {}))
    try:
        check_choices(compiled().remediations.values(), str(properties.get("RemediationParameters", "")))
    except BadParameter as error:
        raise Refused(str(error)) from error
    check_day(str(properties.get("RepairFindingsSince", "")))
    check_home_region(hub, region)
    return {action.id: ensure(hub, action, account, region) for action in CUSTOM_ACTIONS}


def check_controls(lists: Mapping[str, Iterable[str]]) -> None:
    """Raise Refused for a control that we do not serve; *lists* are standard -> control ids."""
    catalogue = compiled()
    wrong = []
    for standard, controls in lists.items():
        served = sorted(c for c in catalogue.by_control if catalogue.standards[standard].serves(c))
        wanted = [c.strip() for c in controls]
        if "*" in wanted and len(wanted) > 1:
            wrong.append(f"{standard}AutomaticControls: * stands alone, without other controls")
        if len(chunks(catalogue.standards[standard], wanted)) > 1:
            wrong.append(f"{standard}AutomaticControls: more controls than a rule's pattern holds: give fewer, or *")
        for control in wanted:
            if control in ("", "*", *served):
                continue
            theirs = [s.name for s in catalogue.standards if control in catalogue.by_control and s.serves(control)]
            near = difflib.get_close_matches(control, served, 3) or served[:3]
            hint = f"its findings come to {', '.join(theirs)}" if theirs else f"did you mean {', '.join(near)}?"
            wrong.append(f"{standard}AutomaticControls: {control[:40]!r} is not served; {hint}")
    if wrong:
        raise Refused(" ".join(wrong)[:1000])


def check_day(day: str) -> None:
    """Raise Refused for a day that no calendar has."""
    try:
        if day:
            date.fromisoformat(day)
    except ValueError as error:
        raise Refused(f"RepairFindingsSince: {day[:20]!r} is no day: {error}") from error


def check_home_region(hub: Any, region: str) -> None:
    """Raise Refused where findings are aggregated in another Region: this stack would see none of the others'."""
    try:
        aggregators = hub.list_finding_aggregators()["FindingAggregators"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("InvalidAccessException", "ResourceNotFoundException"):
            raise Refused(f"Security Hub is not enabled in {region}: enable it here first") from error
        raise
    for aggregator in aggregators:
        home = aggregator["FindingAggregatorArn"].split(":")[3]
        if home != region:
            raise Refused(f"findings are aggregated in {home}: create this stack there, not in {region}")


def ensure(hub: Any, action: CustomAction, account: str, region: str) -> str:
    """Make an action, or adopt the one that we made before; raise Refused for somebody else's of the same id."""
    arn = custom_action_arn(action, account=account, region=region)
    try:
        hub.create_action_target(Id=action.id, Name=action.name, Description=DESCRIPTIONS[action.id])
        return arn
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceConflictException":
            raise
    (there,) = hub.describe_action_targets(ActionTargetArns=[arn])["ActionTargets"]
    if there["Name"] != action.name:
        raise Refused(f"there is a custom action {action.id} called {there['Name'][:40]!r}: delete or rename it first")
    if there["Description"] != DESCRIPTIONS[action.id]:
        hub.update_action_target(ActionTargetArn=arn, Description=DESCRIPTIONS[action.id])
    return arn


def delete(hub: Any, action: CustomAction, account: str, region: str) -> None:
    """
    Delete an action, if it is ours: CloudFormation asks for that, too, after we refused somebody else's of the same id.

    One that is not there is deleted already, and so is one of a Security Hub that was disabled.
    """
    arn = custom_action_arn(action, account=account, region=region)
    try:
        there = hub.describe_action_targets(ActionTargetArns=[arn])["ActionTargets"]
        if any(one["Name"] == action.name for one in there):
            hub.delete_action_target(ActionTargetArn=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("ResourceNotFoundException", "InvalidAccessException"):
            raise


def handler(event: dict[str, Any], context: Any) -> None:
    """Lambda's entry: answers SUCCESS or FAILED, whatever happens."""
    reason, data, status = "", {}, "FAILED"
    try:
        account, region = context.invoked_function_arn.split(":")[4], context.invoked_function_arn.split(":")[3]
        config = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})
        hub = boto3.client("securityhub", region_name=region, config=config)
        data, status = respond_to(event, hub, account, region), "SUCCESS"
    except Refused as error:
        reason = str(error)
    except (ClientError, BotoCoreError) as error:
        reason = f"{type(error).__name__}: {error}"
    except Exception as error:  # CloudFormation would wait an hour for an answer that never comes
        logger.exception("unexpected")
        reason = f"unexpected {type(error).__name__}; see the log of this function"
    answer(event, status, reason, data)


def answer(event: Mapping[str, Any], status: str, reason: str, data: Mapping[str, str]) -> None:
    """Send the answer to the presigned URL of the request: at most 4,096 bytes, or CloudFormation waits for an hour."""
    text = "".join(c if c.isascii() and c.isprintable() else "?" for c in reason[:REASON_CHARACTERS])
    body = {
        "Status": status,
        "Reason": text or "done",
        "PhysicalResourceId": event.get("PhysicalResourceId") or PHYSICAL_ID,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
        "Data": data,
    }
    url = event["ResponseURL"]
    if not url.startswith("https://"):
        raise ValueError("ResponseURL is not https")
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": ""}, method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  # https, checked above
        logger.info("answered", extra={"status": status, "http": response.status})
