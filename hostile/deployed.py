"""
The same messages through the deployed sandbox: rules, queues, functions, roles and IAM as the templates have them.

Most do not get past the rules, as in AWS; those that do meet resources that are not there, in accounts that are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hostile.grammar import ADMIN, HOME, Case, case
from hostile.judge import Tally
from sandbox import samples, scene
from sandbox.quick_clients import quick_clients
from sandbox.world import Sandbox

Json = dict[str, Any]


def run(numbers: Iterable[int], seed: int = 0, playbooks: Iterable[str] | None = None) -> Tally:
    """Deploy every playbook with every control switched on, put each case's event on the bus, and judge what came."""
    tally = Tally()
    names = [s.name for s in samples.standards()] if playbooks is None else list(playbooks)
    parameters = {f"{name}AutomaticControls": "*" for name in names} | {
        f"Load{name}AdminStack": "yes" for name in names
    }
    with quick_clients(), Sandbox() as world:
        if (world.organization.admin, world.organization.home) != (ADMIN, HOME):
            raise ValueError("the grammar's organization is not the sandbox's")
        scene.deploy(world, parameters=parameters)
        for number in numbers:
            one = case(number, seed)
            event = _event(one)
            if event is not None:
                _try_one(world, one, event, tally)
        if unknown := world.not_known():
            tally.violations.append(f"the sandbox does not know {unknown[:3]}")
    return tally


def _event(one: Case) -> Json | None:
    """Return the event of a case where it is one that Security Hub's event source could have: the bus sets the rest."""
    try:
        event = json.loads(one.body)
    except (ValueError, RecursionError):
        return None
    if not (
        isinstance(event, dict) and isinstance(event.get("detail"), dict) and isinstance(event.get("resources"), list)
    ):
        return None
    if not (isinstance(event.get("detail-type"), str) and all(isinstance(r, str) for r in event["resources"])):
        return None
    try:
        json.dumps(event, allow_nan=False)
    except ValueError:  # EventBridge's JSON has no NaN
        return None
    return event


def _try_one(world: Sandbox, one: Case, event: Json, tally: Tally) -> None:
    calls, invocations, dead = len(world.identity.calls), len(world.functions.invocations), _dead(world)
    world.emit(
        ADMIN,
        HOME,
        source="aws.securityhub",
        detail_type=event["detail-type"],
        detail=event["detail"],
        resources=event["resources"],
    )
    world.run()
    tally.events += 1
    tally.findings += one.findings
    tally.bends.update(set(one.bends))
    raws = event["detail"].get("findings")
    raws = [r for r in raws if isinstance(r, dict)] if isinstance(raws, list) else []
    own = {r["AwsAccountId"] for r in raws if isinstance(r.get("AwsAccountId"), str)}
    made, names = world.identity.calls[calls:], set()
    wrong = []
    for call in made:
        if call.operation == "AssumeRole" and call.principal.kind == "role":
            names.add(call.parameters["RoleSessionName"])
            tally.sessions += 1
            if call.parameters["RoleArn"].split(":")[4] not in own:
                wrong.append(f"{call.parameters['RoleArn']} assumed")
    for call in made:
        if call.principal.session_name in names:
            tally.calls += 1
            if call.account not in own:
                wrong.append(f"{call.operation} in {call.account}")
    ran = world.functions.invocations[invocations:]
    wrong += [f"{i.function_arn.split(':')[-1]}: {i.error}" for i in ran if i.error]
    lines = [json.loads(line) for i in ran for line in i.log if line.startswith("{")]
    tally.became.update(
        f"{line['outcome']}{': ' + line['guard'] if line['guard'] else ''}"
        for line in lines
        if line.get("message") == "outcome"
    )
    tally.became["dead letter"] += _dead(world) - dead
    if not ran:
        tally.became["no rule takes it"] += max(one.findings, 1)
    tally.violations += [f"case {one.number}, deployed: {fault}" for fault in wrong]


def _dead(world: Sandbox) -> int:
    found = [message for messages in world.dead_letters().values() for message in messages]
    without = [message["body"][:200] for message in found if not message["attributes"].get("reason")]
    if without:
        raise ValueError(f"dead letters without a reason: {without}")
    return len(found)
