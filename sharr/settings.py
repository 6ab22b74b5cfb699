"""What the stack's parameters say, read once at the edge."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

ButtonRepairs = Literal["any control", "switched-on controls", "preview only"]
ExecutionMode = Literal["by remediation", "lambda", "runbook"]
Notify = Literal["digest", "each"]


class MissingSetting(Exception):
    """An environment variable that the stack sets is not there."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of one function; what another function's environment has is empty."""

    region: str
    admin_account: str
    home_region: str
    organization_id: str
    table: str
    outcome_queue: str
    playbook: str
    queue: str
    dead_letter_queue: str
    automatic_controls: frozenset[str]
    stack_parameters: Mapping[str, str]
    repairs_per_hour: int
    first_one_by_one: int
    repair_since: str
    button_repairs: ButtonRepairs
    execution_mode: ExecutionMode
    topic_arn: str
    playbook_queues: Mapping[str, str]
    notify: Notify
    log_group: str
    loaded: frozenset[str]


def own_region(environment: Mapping[str, str] = os.environ) -> str:
    """Return the function's Region. Raises MissingSetting: there is no default that would be right."""
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        raise MissingSetting("AWS_REGION is not set: run in AWS Lambda, or set it")
    return region


def settings_from(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings. Raises MissingSetting, naming the variable."""

    def wanted(name: str) -> str:
        if name not in environment:
            raise MissingSetting(f"{name} is not set")
        return environment[name]

    return Settings(
        region=own_region(environment),
        admin_account=wanted("ADMIN_ACCOUNT"),
        home_region=wanted("HOME_REGION"),
        organization_id=environment.get("ORGANIZATION_ID", ""),
        table=wanted("TABLE_NAME"),
        outcome_queue=wanted("OUTCOME_QUEUE_URL"),
        playbook=environment.get("PLAYBOOK", ""),
        queue=environment.get("QUEUE_URL", ""),
        dead_letter_queue=environment.get("DEAD_LETTER_QUEUE_URL", ""),
        automatic_controls=frozenset(c for c in environment.get("AUTOMATIC_CONTROLS", "").split(",") if c),
        stack_parameters=json.loads(environment.get("STACK_PARAMETERS", "{}")),
        repairs_per_hour=int(environment.get("REPAIRS_PER_HOUR", "0")),
        first_one_by_one=int(environment.get("FIRST_ONE_BY_ONE", "0")),
        repair_since=environment.get("REPAIR_SINCE", ""),
        button_repairs=cast("ButtonRepairs", environment.get("BUTTON_REPAIRS", "preview only")),
        execution_mode=cast("ExecutionMode", environment.get("EXECUTION_MODE", "by remediation")),
        topic_arn=environment.get("TOPIC_ARN", ""),
        playbook_queues=json.loads(environment.get("PLAYBOOK_QUEUES", "{}")),
        notify=cast("Notify", environment.get("NOTIFY", "digest")),
        log_group=environment.get("AWS_LAMBDA_LOG_GROUP_NAME", ""),
        loaded=frozenset(name for name in environment.get("LOADED_PLAYBOOKS", "").split(",") if name),
    )
