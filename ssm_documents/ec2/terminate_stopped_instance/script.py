"""EC2.4: terminate an instance that is stopped for too long, after an image was made, where the user wants that."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, ResourceGone, call, wait

GROUP, STACK = "aws:autoscaling:groupName", "aws:cloudformation:stack-name"
MAKING = "the image is being made"
OURS = {"Key": "sharr", "Value": "terminate_stopped_instance"}


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the instance: since when it is stopped, who holds on to it, and our image of it.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html
    """
    ec2, instance_id = aws.client("ec2"), target["resource"]["instance_id"]
    try:
        instance = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidInstanceID.NotFound":
            raise
        raise ResourceGone(instance_id) from error
    status = instance["State"]["Name"]
    facts: dict[str, Any] = {"state": status}
    busy = "the instance is being terminated" if status == "shutting-down" else None
    if status == "stopped":
        since = stopped_since(instance.get("StateTransitionReason", ""))
        name = f"sharr-{instance_id}-{since:%Y%m%d-%H%M%S}" if since else None
        image = image_named(ec2, name) if name else None
        tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
        facts |= {
            "since": since and since.isoformat(),
            "group": tags.get(GROUP),
            "stack": tags.get(STACK),
            "kept": target["parameters"]["keepTag"] in tags,
            "lifecycle": instance.get("InstanceLifecycle"),
            "operator": operator_of(instance),
            "protected": [
                attribute
                for attribute in ("disableApiTermination", "disableApiStop")
                if is_set(ec2, instance_id, attribute)
            ],
            "name": name,
            "image": image,
        }
        busy = MAKING if image and image["state"] == "pending" else None
    return {"config": {"exists": status != "terminated"}, "facts": facts, "busy": busy}


def stopped_since(reason: str) -> datetime | None:
    """Return the time in a text like `User initiated (2026-01-31 10:00:00 GMT)`; None where it has none."""
    found = re.search(r"\(([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}) (?:GMT|UTC)\)", reason)
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None


def operator_of(instance: dict[str, Any]) -> str | None:
    """Return the service that manages the instance: Amazon EC2 lets nobody else terminate it."""
    operator = instance.get("Operator", {})
    return operator.get("Principal", "an AWS service") if operator.get("Managed") else None


def image_named(ec2: Any, name: str) -> dict[str, Any] | None:
    """Return id, state and reason of our own image of this name, None where there is none."""
    pages = ec2.get_paginator("describe_images").paginate(Owners=["self"], Filters=[{"Name": "name", "Values": [name]}])
    for one in (image for page in pages for image in page["Images"]):
        if OURS in one.get("Tags", []):
            reason = one.get("StateReason", {}).get("Message", "no reason given")
            return {"id": one["ImageId"], "state": one["State"], "reason": reason}
    return None


def is_set(ec2: Any, instance_id: str, attribute: str) -> bool:
    """Tell whether a protection of the instance is on. Stop protection keeps it from being terminated, too."""
    answer = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute=attribute)
    return bool(answer[attribute[0].upper() + attribute[1:]]["Value"])


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls: an image, and when that is there the end of the instance; [] where it may stay."""
    facts, parameters = state["facts"], target["parameters"]
    if facts["state"] != "stopped":
        return []
    days = age_days(facts["since"], target["now"])
    if days is not None and days <= parameters["AllowedDays"]:
        return []
    if days is None:
        raise CannotRepair(
            "the instance does not tell since when it is stopped", "start and stop it, or decide by hand"
        )
    refuse(facts, parameters, int(days))
    image = facts["image"]
    if image and image["state"] not in ("pending", "available"):
        raise CannotRepair(f"the image {image['id']} is {image['state']}: {image['reason']}", "make one by hand")
    instance_id = target["resource"]["instance_id"]
    request = {
        "InstanceId": instance_id,
        "Name": facts["name"],
        "Description": f"{instance_id}, stopped since {facts['since']}, before it was terminated",
        "NoReboot": True,
        "TagSpecifications": [{"ResourceType": kind, "Tags": [OURS]} for kind in ("image", "snapshot")],
    }
    made = (
        []
        if image
        else [call("ec2", "create_image", request, kept="the image of the instance stays"), wait(MAKING, 120)]
    )
    lost = "the instance, its id and address, and volumes that are deleted with it; an image of it stays"
    return [*made, call("ec2", "terminate_instances", {"InstanceIds": [instance_id]}, final=lost)]


def age_days(since: str | None, now: str) -> float | None:
    """Return for how many days the instance is stopped."""
    return (datetime.fromisoformat(now) - datetime.fromisoformat(since)).total_seconds() / 86400 if since else None


def refuse(facts: dict[str, Any], parameters: dict[str, Any], days: int) -> None:
    """Raise CannotRepair where somebody or something holds on to the instance, or the user's switch is off."""
    if facts["group"]:
        raise CannotRepair(f"the instance is of Auto Scaling group {facts['group']}", "let the group replace it")
    if facts["stack"]:
        raise CannotRepair(f"the instance is of CloudFormation stack {facts['stack']}", "take it out of the template")
    if facts["kept"]:
        raise CannotRepair(
            f"the instance has the tag {parameters['keepTag']}", "remove the tag, or suppress the finding"
        )
    if facts["lifecycle"]:
        raise CannotRepair(
            f"the instance is a {facts['lifecycle']} one", "cancel its request, then terminate it by hand"
        )
    if facts["operator"]:
        raise CannotRepair(f"the instance is managed by {facts['operator']}", "have that service terminate it")
    if facts["protected"]:
        raise CannotRepair(f"the instance is protected: {', '.join(facts['protected'])}", "turn the protection off")
    if not parameters["terminate"]:
        raise CannotRepair(
            f"the instance is stopped for {days} days; to repair that is to terminate it",
            "start it, or make an image and terminate it by hand, or set terminate",
        )
