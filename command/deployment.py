"""Finds the deployment: the admin stack's outputs and parameters, and the queues of it and of its playbooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from command.showing import Wrong

STACK: Final = "sharr-admin"
OUTCOMES: Final = "outcomes"
"""The name of the queue of outcomes; a playbook's queue has the playbook's name."""
Clients = Callable[[str], Any]
"""Makes the client of a service, with the credentials and in the Region that were chosen."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue with its two dead-letter queues (URLs), and the log group of the function that reads it."""

    name: str
    url: str
    dead_url: str
    events_dead_url: str
    log_group: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """An admin stack: its outputs, its parameters, and its queues by name."""

    stack: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    queues: Mapping[str, Queue]

    @property
    def table(self) -> str:
        """The name of the table of attempts."""
        return self.outputs["TableName"]


def find(clients: Clients, stack: str, *, queues: bool = False) -> Deployment:
    """
    Return the deployment; its queues only if asked for: one call more for the stack, and one for each playbook.

    Raises Wrong where the stack is not there, or not deployed. Source:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
    """
    cloudformation = clients("cloudformation")
    try:
        (shown,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            account = clients("sts").get_caller_identity()["Account"]
            place = f"account {account}, Region {cloudformation.meta.region_name}"
            raise Wrong(
                f"there is no stack {stack} in {place}: choose the admin account and the home Region by --profile and "
                "--region, or the stack by --stack"
            ) from error
        raise
    outputs = {output["OutputKey"]: output["OutputValue"] for output in shown.get("Outputs", ())}
    if "TableName" not in outputs:
        raise Wrong(f"the stack {stack} has no output TableName: it is {shown['StackStatus']}, or not SHARR's")
    parameters = {p["ParameterKey"]: p["ParameterValue"] for p in shown.get("Parameters", ())}
    return Deployment(stack, outputs, parameters, _queues(cloudformation, shown["StackId"]) if queues else {})


def _queues(cloudformation: Any, stack: str) -> dict[str, Queue]:
    own = _resources(cloudformation, stack)
    found = {OUTCOMES: _queue(OUTCOMES, "OutcomeQueue", own, "OutcomeLog")}
    for name, (type_, physical) in sorted(own.items()):
        if type_ == "AWS::CloudFormation::Stack" and name.startswith("Playbook"):
            playbook = name.removeprefix("Playbook")
            found[playbook] = _queue(playbook, "Queue", _resources(cloudformation, physical), "PlaybookLog")
    return found


def _queue(name: str, logical: str, resources: Mapping[str, tuple[str, str]], log_group: str) -> Queue:
    try:
        url, dead_url, events_dead_url = (resources[f"{logical}{kind}"][1] for kind in ("", "Dead", "EventsDead"))
        return Queue(name, url, dead_url, events_dead_url, resources[log_group][1])
    except KeyError as error:
        raise Wrong(f"the stack of {name} has no resource {error}: is it another release's?") from error


def _resources(cloudformation: Any, stack: str) -> dict[str, tuple[str, str]]:
    """Return logical id -> type and physical id of what a stack has now."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
    return {
        resource["LogicalResourceId"]: (resource["ResourceType"], resource["PhysicalResourceId"])
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource.get("PhysicalResourceId") and resource["ResourceStatus"] != "DELETE_COMPLETE"
    }
