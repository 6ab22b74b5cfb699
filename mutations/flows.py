"""
The roles that the functions and the services work with: each permission is needed for something to be told or repaired.

A flow is what the organization does all day; it goes red where something of it does not happen. What each flow asks of
IAM is recorded, so that a mutant is tried with the flows that need what it lost. Conditions and narrowed resources are
tried as those of the remediations' roles are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import ClientError
from moto.iam.models import iam_backends

from mutations.deployed import STRANGER, Deployed, plain
from mutations.guard_rows import Acted
from mutations.member_roles import Asked, Attack, ProbeBroken, Recorder, allowed, attacks, documents, roles_in
from mutations.mutant import Mutant, PolicyMutant, Verdict, of_policy
from sandbox import samples, scene
from sandbox.additions import securityhub
from sandbox.every import in_copies
from sandbox.ports import Call
from sharr.finding import PREVIEW, UNDO

Flow = Callable[[Acted], str]
NOT_BY_WAY_OF_SNS = ("kms:Decrypt with kms:ViaService None", "kms:GenerateDataKey with kms:ViaService None")
"""The role may use the topic's key by itself, too: it decrypts nothing but messages, which the role writes."""
MEMBERS = ("sharr-reader", "sharr-starter", "sharr-events")


def repair(on: Acted) -> str:
    """A finding is repaired, told, taken back; another one is previewed; every function writes its log."""
    finding = on.publish(on.finding(key := on.key()))
    if not on.rotates(key) or on.now(finding)["Workflow"]["Status"] != "RESOLVED":
        return "a finding is not repaired, or not RESOLVED"
    on.press(UNDO, finding)
    if on.rotates(key):
        return "a repair is not taken back"
    other = on.stored()
    on.press(PREVIEW, other)
    if "enable_key_rotation" not in on.now(other).get("Note", {}).get("Text", ""):
        return "a preview writes no note"
    if _unlogged(on):
        return "a function cannot write its log"
    told = [c for c in on.deployed.identity.calls if c.service == "sns" and c.operation.startswith("Publish")]
    if not told or any(call.error for call in told):
        return "nobody is told of an outcome"
    return _unmapped(on, "OutcomeQueue")


def _unmapped(on: Acted, name: str) -> str:
    """Return the queue of that name that Lambda would not read from, as it asks when the mapping is made."""
    for mapping in on.world.queues.mappings():
        if name in mapping.event_source_arn:
            try:
                on.world.queues.check_mapping(mapping.event_source_arn, mapping.function_arn)
            except ClientError as error:
                return f"{plain(mapping.event_source_arn)} cannot be read: {error}"[:200]
    return ""


def runbook(on: Acted) -> str:
    """A finding is repaired in a runbook, whose end comes as an event."""
    on.setting("EXECUTION_MODE", "runbook")
    finding = on.publish(on.finding(key := on.key()))
    repaired = on.rotates(key) and on.now(finding)["Workflow"]["Status"] == "RESOLVED"
    return "" if repaired else "a runbook does not repair, or its end is not known"


def switch(on: Acted) -> str:
    """What the stop switch held is repaired when it is gone; and the sweeper writes its log."""
    table = on.world.identity.client("dynamodb", on.deployed.admin, on.deployed.home)
    key = {"pk": {"S": "switch"}, "sk": {"S": "-"}}
    table.put_item(TableName=on.outputs["TableName"], Item={**key, "stopped": {"BOOL": True}})
    on.publish(on.finding(resource := on.key()))
    if on.rotates(resource):
        return "the switch stops nothing"
    table.delete_item(TableName=on.outputs["TableName"], Key=key)
    on.world.advance(1800)
    if _unlogged(on):
        return "a function cannot write its log"
    return "" if on.rotates(resource) else "what was held is forgotten"


def buttons(on: Acted) -> str:
    """An update of the stack makes a button that is gone, and mends one; the stack's end takes them away."""
    hub = on.hub
    on.world.functions.cold()
    actions = [t["ActionTargetArn"] for t in hub.describe_action_targets()["ActionTargets"]]
    hub.delete_action_target(ActionTargetArn=actions[0])
    hub.update_action_target(ActionTargetArn=actions[1], Description="somebody's words")
    given = {"RemediationParameters": "KMS.4:rotationPeriodDays=180"}
    files, place = scene.assembly(), (on.deployed.admin, on.deployed.home)
    try:
        on.world.update(files, "sharr-admin", *place, given)
    except Exception as error:  # noqa: BLE001  # however it fails, it fails
        return f"the stack cannot be updated: {type(error).__name__}"
    now = {t["ActionTargetArn"]: t["Description"] for t in hub.describe_action_targets()["ActionTargets"]}
    if set(now) != set(actions) or "somebody's words" in now.values():
        return "buttons are not as they should be"
    role = next(r for r in iam_backends[on.deployed.admin]["aws"].roles.values() if "CustomActions" in r.name)
    try:
        on.world.delete("sharr-admin", *place)
    except Exception:  # noqa: BLE001  # seen below
        return f"the stack cannot be deleted with {role.name}"
    if hub.describe_action_targets()["ActionTargets"]:
        return "buttons are left behind"
    return "the function of the buttons cannot write its log" if _unlogged(on) else ""


def untold(on: Acted) -> str:
    """The message with an outcome is lost; the sweeper sends it again."""
    finding = on.finding(key := on.key())
    securityhub.publish(on.world, finding)
    on.world.run()
    sqs = on.world.identity.client("sqs", on.deployed.admin, on.deployed.home)
    (url,) = (u for u in sqs.list_queues()["QueueUrls"] if "-OutcomeQueue-" in u)
    sqs.purge_queue(QueueUrl=url)
    on.world.advance(600)
    told = on.rotates(key) and on.now(finding)["Workflow"]["Status"] == "RESOLVED"
    return "" if told else "an outcome whose message was lost is never told"


def backlog(on: Acted) -> str:
    """A job reads the findings of a control."""
    table = on.world.identity.client("dynamodb", on.deployed.admin, on.deployed.home)
    key = {"pk": {"S": "backlog#mutation-job"}, "sk": {"S": "-"}}
    job = {"control": "KMS.4", "mode": "preview", "state": "open", "due_shard": "backlog", "due_at": "2000"}
    table.put_item(TableName=on.outputs["TableName"], Item={**key, **{n: {"S": v} for n, v in job.items()}})
    on.world.advance(180)
    state = table.get_item(TableName=on.outputs["TableName"], Key=key)["Item"]["state"]["S"]
    return "" if state == "done" else f"a backlog job is {state}"


def _unlogged(on: Acted) -> bool:
    return any(invocation.log_error for invocation in on.world.functions.invocations)


def playbook(name: str) -> Flow:
    """Return the flow of one playbook: an event is handled, tried again when due; what is malformed is laid aside."""

    def flow(on: Acted) -> str:
        standard = samples.standards()[name]
        tagging = samples.standards()["Tagging"]
        served = [c for r in on.deployed.demo.remediations for c in r.controls]
        listed = sorted(c for c in samples.controls() if standard.serves(c) and samples.own_ids(name, c))
        listed = [c for c in listed if standard.associated_except is None or not tagging.serves(c)]
        control = next((c for c in listed if c in served), listed[0])

        (queue,) = (a for a in on.deployed._feeds() if f"Playbook{name}-" in a and "EventsDead" not in a)
        remediation = next((r for r in on.deployed.demo.remediations if control in r.controls), None)
        finding = on.finding(_gone(on, remediation), standard=name, control=control)
        event = samples.imported_event([finding], admin_account=on.deployed.admin, region=on.deployed.home)

        def throttle(call: Call) -> None:
            if call.operation == "AssumeRole":
                raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "m"}}, call.operation)

        on.world.functions.cold()  # a new environment makes a log stream
        on.deployed.identity.before.append(throttle)
        on.world.queues.send(queue, json.dumps(event))
        on.world.queues.send(queue, "no JSON")
        on.world.run()
        on.deployed.identity.before.remove(throttle)
        dead = [m for arn, ms in on.world.dead_letters().items() for m in ms if f"Playbook{name}-" in arn]
        if on.world.queues.contents(queue):
            return "a message is not taken from the queue"
        if [m.get("Body", m.get("body")) for m in dead] != ["no JSON"]:
            return "what is malformed is not laid aside"
        if _unlogged(on):
            return "a function cannot write its log"
        if wrong := _unmapped(on, f"Playbook{name}-"):
            return wrong
        if remediation is None:
            return ""
        if on.attempt(finding).outcome != "RETRY":
            return f"a finding is not tried again: {on.attempt(finding).outcome}"
        on.world.advance(600)
        return "" if on.attempt(finding).has_ended else "an attempt that is due is not looked at"

    return flow


def _gone(on: Acted, remediation: Any) -> str:
    """Return the id of a resource that the remediation could repair, if it were there."""
    if remediation is None:
        return on.place.arn("kms", "key/00000000-0000-4000-8000-000000000000")
    from sandbox.demo import cases

    return str(cases(remediation)[0].break_it(on.place))


def flows() -> dict[str, Flow]:
    """Return every flow by its name."""
    by_standard = {f"playbook {s.name}": playbook(s.name) for s in samples.standards()}
    mine = {"repair": repair, "runbook": runbook, "switch": switch, "untold": untold, "backlog": backlog}
    return {**mine, "buttons": buttons, **by_standard}


def groups(deployed: Deployed) -> Iterator[tuple[str, Callable[[], list[Verdict]]]]:
    """Yield a group for each permission that flows are run for, and one for all that IAM alone answers."""
    needed = _needed(deployed)
    for account, name in _roles(deployed):
        role = roles_in(deployed.world, account)[name]
        for policy, document in role.items():
            if not policy:
                continue
            where = f"{plain(name)} {policy}" if account == deployed.admin else name
            for mutant in of_policy(document, where):
                yield mutant.mutant.name, _group(deployed, account, name, policy, mutant, needed)


def _roles(deployed: Deployed) -> list[tuple[str, str]]:
    admin = [
        n
        for n in roles_in(deployed.world, deployed.admin)
        if n in ("sharr-repair", "sharr-observe") or "CustomActions" in n
    ]
    known = {r.role_name for r in deployed.demo.remediations}
    member = [n for n in roles_in(deployed.world, deployed.member) if n not in known]
    return [*((deployed.admin, n) for n in admin), *((deployed.member, n) for n in member)]


Needed = dict[str, dict[str, set[Asked]]]


def _needed(deployed: Deployed) -> Needed:
    """Return flow -> role's ARN -> what IAM was asked for. Raises ProbeBroken where a flow is red without a mutant."""
    every = flows()
    arns = [f"arn:aws:iam::{account}:role/sharr/{name}" for account, name in _roles(deployed)]

    def record(flow: str) -> tuple[str, dict[str, set[Asked]]]:
        recorders = [Recorder(arn) for arn in arns]
        from contextlib import ExitStack

        with ExitStack() as stack:
            for recorder in recorders:
                stack.enter_context(recorder.of(deployed.identity))
            wrong = every[flow](Acted(deployed))
        return wrong, {recorder.role_arn: set(recorder.asked) for recorder in recorders}

    found: Needed = {}
    for flow, result in in_copies(list(every), record):
        if isinstance(result, str):
            raise ProbeBroken(f"{flow}: {result}")
        wrong, asked = result
        if wrong:
            raise ProbeBroken(f"{flow}: {wrong}")
        found[flow] = asked
    return found


def _group(
    deployed: Deployed, account: str, name: str, policy: str, mutant: PolicyMutant, needed: Needed
) -> Callable[[], list[Verdict]]:
    def tried() -> list[Verdict]:
        arn = f"arn:aws:iam::{account}:role/sharr/{name}"
        texts = documents(roles_in(deployed.world, account)[name])
        changed = {**texts, policy: json.dumps(mutant.document)}
        named = Mutant(mutant.mutant.kind, plain(mutant.mutant.name))
        if mutant.mutant.kind in ("permission", "statement"):
            role = next(r for r in iam_backends[account]["aws"].roles.values() if r.name == name)
            role.policies[policy] = changed[policy]
            lost = {action.lower().rstrip("*") for action in mutant.actions}
            for flow, asked in needed.items():
                if any(one.action.lower().startswith(tuple(lost)) for one in asked.get(arn, ())):
                    if (
                        flow.startswith("playbook")
                        and policy.startswith("playbook")
                        and policy.split("-")[1] not in flow
                    ):
                        continue
                    try:
                        wrong = flows()[flow](Acted(deployed))
                    except Exception as error:  # noqa: BLE001  # a flow that cannot even be played is red
                        wrong = f"{type(error).__name__}: {error}"[:200]
                    if wrong:
                        return [Verdict(named, f"{flow}: {wrong}")]
            return [Verdict(named, "")]
        every = {one for asked in needed.values() for one in asked.get(arn, ())}
        elsewhere = (("aws:ResourceOrgID", "o-elsewhere01"),)
        stranger = f"arn:aws:iam::{STRANGER}:role/sharr/sharr-reader"
        theirs = f"arn:aws:iam::{deployed.member}:role/administrator"
        here = (("aws:ResourceOrgID", deployed.organization.id),)
        special = [
            Attack("a stranger's role is taken", "sts:AssumeRole", stranger, elsewhere, STRANGER),
            Attack("a member's own role is taken", "sts:AssumeRole", theirs, here, deployed.member),
        ]
        tries = [t for t in (*attacks(every, mutant.actions, account), *special) if t.what not in NOT_BY_WAY_OF_SNS]
        if broken := [one for one in tries if allowed(one, texts, arn, account)]:
            raise ProbeBroken(f"{name} may do what no flow needs: {broken}")
        for one in tries:
            if allowed(one, changed, arn, account):
                return [Verdict(named, one.what)]
        return [Verdict(named, "")]

    return tried
