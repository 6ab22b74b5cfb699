"""
What must hold for each hostile message, whatever it is: judged by what went over the seams, against the raw text.

The judge knows the raw findings and the remediations' own templates, and nothing of how the function got where it is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hostile.grammar import ADMIN, HOME, NOW, TEXTS, Case
from hostile.stage import DEAD_LETTERS, OUTCOMES, Call, Session, Stage
from sharr.attempts import ENDED, Attempt
from sharr.finding import MalformedEvent, MalformedFinding, Workflow, parse_event
from sharr.outcomes import log_line, message_for, note_for
from sharr.policies import SESSION_POLICY_CHARACTERS, PolicyTooLarge, UnsafeValue, session_policy
from sharr.remediation import Kind, Remediation

PASSES_ROLES: Final = "sharr-starter"
# What XML 1.0 has, so SQS: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
SQS_TEXT: Final = re.compile(r"[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
LONGEST_REASON: Final = 1000
OPENS: Final = (
    "REMEDIATED",
    "COMPLIANT",
    "PREVIEWED",
    "UNDONE",
    "SKIPPED",
    "FAILED",
    "PENDING",
    "WAITING",
    "HELD",
    "RETRY",
)
KINDS: Final[tuple[Kind, ...]] = ("read", "write", "undo")
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]+)\}")
_ARN: Final = re.compile(r"arn:([^:]*):([^:]*):([^:]*):([^:]*):")
_ACCOUNT_KEYS: Final = ("ExpectedBucketOwner", "AccountId", "SourceAccount", "RegistryId", "registryId", "CatalogId")


@dataclass(slots=True)
class Tally:
    """What became of the findings, and what must not have."""

    events: int = 0
    findings: int = 0
    sessions: int = 0
    calls: int = 0
    became: Counter[str] = field(default_factory=Counter)
    bends: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def __iadd__(self, other: Tally) -> Tally:
        self.events += other.events
        self.findings += other.findings
        self.sessions += other.sessions
        self.calls += other.calls
        self.became += other.became
        self.bends += other.bends
        self.violations += other.violations
        return self


def try_one(stage: Stage, case: Case, tally: Tally) -> None:
    """Send one case to each playbook that it is for, twice, and judge what came of it."""
    wrong: list[str] = []
    tally.events += 1
    tally.findings += case.findings
    tally.bends.update(set(case.bends))
    event = _json(case.body)
    raws = _raws(event)
    stage.clear({raw["Id"]: raw for raw in raws if isinstance(raw, dict) and isinstance(raw.get("Id"), str)})
    try:
        delivery = parse_event(event, stage.catalogue.standards, admin_account=ADMIN, region=HOME)
    except MalformedEvent as error:
        delivery, reason = None, _class_of(error)
    playbooks = sorted({f.standard for f in delivery.findings}) if delivery else []
    for playbook in playbooks or ["SC"]:
        wrong += [f"the handler raised: {why}" for why in _sent_to(stage, case.body, playbook)]
    dead = [m for m in stage.records.sent if m["QueueUrl"] == DEAD_LETTERS]
    wrong += [fault for message in dead for fault in _faults_of_dead_letter(message, case.body)]
    if _is_own_message(event):
        tally.became["dead letter: not an event" if dead else "no such attempt"] += max(case.findings, 1)
    elif delivery is None:
        wrong += [] if len(dead) == 1 else [f"{len(dead)} dead letters of an event that is malformed"]
        tally.became[f"dead letter: {reason}"] += case.findings or 1
    else:
        wanted = len(playbooks or ["SC"]) if delivery.malformed else 0
        wrong += [] if len(dead) == wanted else [f"{len(dead)} dead letters, not {wanted}"]
        for malformed in delivery.malformed:
            tally.became[f"dead letter: {_class_of(malformed)}"] += 1
        wrong += _judged(stage, raws, delivery, tally)
    wrong += [fault for session in stage.records.sessions for fault in _faults_of_session(stage, session, raws)]
    wrong += [fault for call in stage.records.calls for fault in _faults_of_call(stage, call, raws)]
    tally.sessions += len(stage.records.sessions)
    tally.calls += len(stage.records.calls)
    open_ones = {attempt.id for _, _, attempt in stage.records.taken if attempt and not attempt.has_ended}
    before = len(stage.records.sessions)
    for playbook in playbooks:
        wrong += [f"the second time the handler raised: {why}" for why in _sent_to(stage, case.body, playbook)]
    if any(session.name not in open_ones for session in stage.records.sessions[before:]):
        wrong.append("an attempt that ended was acted on again by the same message")
    tally.violations += [f"case {case.number}: {fault}" for fault in wrong]


def _sent_to(stage: Stage, body: str, playbook: str) -> list[str]:
    stage.records.failed.clear()
    try:
        failed = stage.message(body, playbook)
    except BaseException as error:  # whatever comes out of the handler is what is looked for
        if isinstance(error, KeyboardInterrupt):
            raise
        return [f"out of Lambda's entry: {type(error).__name__}: {error}"]
    return stage.records.failed if failed else []


def _judged(stage: Stage, raws: list[Any], delivery: Any, tally: Tally) -> list[str]:
    wrong = []
    taken = stage.records.taken
    if sorted(f.uid for f, _, _ in taken) != sorted(f.uid for f in delivery.findings):
        wrong.append("a finding was taken by no playbook, or by several")
    seen: dict[str, str] = {}
    told = Counter(json.loads(m["MessageBody"])["attempt"] for m in stage.records.sent if m["QueueUrl"] == OUTCOMES)
    last = {attempt.id: attempt for _, _, attempt in taken if attempt}
    for finding, trigger, attempt in taken:
        if attempt is None:
            again = finding.uid in seen
            # The rule lets it in only under a note of ours; it is looked at again only after a repair of ours.
            over = trigger == "automatic" and finding.workflow is Workflow.RESOLVED
            tally.became["the same finding again: one attempt"] += again
            tally.became["resolved already: left alone"] += over and not again
            wrong += [] if again or over else [f"{finding.uid} has no outcome"]
            continue
        seen[finding.uid] = attempt.id
        if attempt.outcome not in OPENS:
            wrong.append(f"outcome {attempt.outcome}")
        why = attempt.guard or ("unexpected" if attempt.why.startswith("unexpected") else "")
        tally.became[f"{attempt.outcome}{f': {why}' if why else ''}"] += 1
        stored = stage.attempt(attempt.id)
        attempt = last[attempt.id]  # twice in one event: it went on, where it had not ended
        if stored is None or stored.outcome != attempt.outcome or (attempt.outcome in ENDED) != stored.has_ended:
            wrong.append("the table does not say what the look said")
        if attempt.has_ended and told[attempt.id] != 1:
            wrong.append(f"an ended attempt was told {told[attempt.id]} times")
        wrong += _faults_of_target(attempt, raws)
        wrong += _faults_with_hostile_facts(stage, attempt)
        wrong += faults_of_words(attempt, stage.catalogue.remediations.get(attempt.remediation))
    return wrong


# --- what goes to member accounts


def _faults_of_target(attempt: Attempt, raws: list[Any]) -> Iterator[str]:
    if not attempt.target:
        return
    raw = _raw_of(attempt, raws)
    if raw is None:
        yield "an attempt on a finding that is not in the event"
        return
    target = attempt.target
    own = (raw["AwsAccountId"], raw["Region"], raw["Id"].split(":")[1])
    if (target["account"], target["region"], target["partition"]) != own:
        yield f"target {target['account']}/{target['region']} is not the finding's {own}"
    ids = [r["Id"] for r in raw["Resources"]]
    if target["resource"]["id"] not in ids:
        yield f"target {target['resource']['id']} is no resource of the finding"
    if attempt.finding["resource"] != target["resource"]["id"]:
        yield f"people are told of {attempt.finding['resource']}, not of what is repaired"
    if not attempt.lease_key.startswith(f"{own[0]}/"):
        yield f"the lease {attempt.lease_key} is another account's"
    yield from _faults_of_arns([target["resource"]["id"]], own)


def _faults_with_hostile_facts(stage: Stage, attempt: Attempt) -> Iterator[str]:
    """Say where the policy of a write or an undo lets through what inspect found: names that a member account chose."""
    if not attempt.target:
        return
    remediation, target = stage.catalogue.remediations[attempt.remediation], attempt.target
    own = (target["account"], target["region"], target["partition"])
    identity = {"account": own[0], "region": own[1], "partition": own[2]}
    names = {
        n for kind in KINDS for p in remediation.permissions(kind) for on in p.on for n in _PLACEHOLDER.findall(on)
    }
    text = TEXTS[int(attempt.id[:8], 16) % len(TEXTS)]
    both: tuple[tuple[Kind, ...], ...] = (("read", "write"), ("read", "undo"))
    for kinds in both:
        try:
            values = {**dict.fromkeys(names, text), **target["resource"], **identity}
            policy = session_policy(remediation, kinds, values)
        except (UnsafeValue, PolicyTooLarge):
            continue
        yield from faults_of_policy(policy, remediation, target, own)


def _faults_of_session(stage: Stage, session: Session, raws: list[Any]) -> Iterator[str]:
    attempt = stage.attempt(session.name)
    raw: Any = attempt and _raw_of(attempt, raws)
    if attempt is None or raw is None:
        yield f"a session {session.name} of no attempt"
        return
    account, region, partition = raw["AwsAccountId"], raw["Region"], raw["Id"].split(":")[1]
    remediation = stage.catalogue.remediations[attempt.remediation]
    base = f"arn:{partition}:iam::{account}:role/sharr/"
    if session.role not in (f"{base}{remediation.role_name}", f"{base}{PASSES_ROLES}"):
        yield f"role {session.role} assumed for {account}"
    if session.policy is None or len(session.policy) > SESSION_POLICY_CHARACTERS:
        yield "a session without policy, or a longer one than STS takes"
        return
    if session.role.endswith(PASSES_ROLES):
        named = json.dumps(json.loads(session.policy))
        yield from _faults_of_arns(re.findall(r'"(arn:[^"]*)"', named), (account, region, partition))
        return
    yield from faults_of_policy(session.policy, remediation, attempt.target, (account, region, partition))


def faults_of_policy(
    text: str, remediation: Remediation, target: Mapping[str, Any], own: tuple[str, str, str]
) -> Iterator[str]:
    """Say where a session policy is more than its templates with the target's own values in them."""
    document = json.loads(text)
    if document.keys() != {"Version", "Statement"} or document["Version"] != "2012-10-17":
        yield f"policy with {sorted(document)}"
    permissions = [p for kind in KINDS for p in remediation.permissions(kind)]
    actions = {p.action for p in permissions}
    values = {"account": own[0], "region": own[1], "partition": own[2]}
    groups = {k: v for k, v in target["resource"].items() if k not in ("id", "type")}
    for name, value in groups.items():
        if value not in target["resource"]["id"]:
            yield f"{name} is {value!r}, which is no part of the resource's id"
    for statement in document["Statement"]:
        if not statement.keys() <= {"Effect", "Action", "Resource", "Condition"} or statement["Effect"] != "Allow":
            yield f"statement with {sorted(statement)}"
        if not set(statement["Action"]) <= actions:
            yield f"actions {set(statement['Action']) - actions} that the remediation does not have"
        templates = {t for p in permissions if p.action in statement["Action"] for t in p.on}
        listed = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for resource in listed:
            if not any(_fills(template, resource, values | groups) for template in templates):
                yield f"resource {resource!r} is none of the templates with the finding's own values"
        yield from _faults_of_arns(listed, own)


def _fills(template: str, text: str, values: Mapping[str, str]) -> bool:
    """Tell whether *text* is the template with these values; what inspect found may stand for others, safely."""
    pattern = "".join(
        re.escape(part)
        if not part.startswith("{")
        else re.escape(values[part[1:-1]])
        if part[1:-1] in values
        else r"[^*?${}\"\\]+"
        for part in re.split(r"(\{[a-z_]+\})", template)
    )
    # A value with a character that IAM reads as more than itself makes the policy more than its template.
    return re.fullmatch(pattern, text) is not None and text.count("*") == template.count("*") and "${" not in text


def _faults_of_call(stage: Stage, call: Call, raws: list[Any]) -> Iterator[str]:
    attempt = stage.attempt(call.session.name)
    raw: Any = attempt and _raw_of(attempt, raws)
    if attempt is None or raw is None:
        yield f"{call.operation} of no attempt"
        return
    account, region, partition = raw["AwsAccountId"], raw["Region"], raw["Id"].split(":")[1]
    remediation = stage.catalogue.remediations[attempt.remediation]
    if call.region not in (region, remediation.regions) and remediation.regions not in ("bucket", "home", "any"):
        yield f"{call.operation} in {call.region}, the finding is of {region}"
    if not call.operation.startswith(("get_", "describe_", "list_", "batch_get_", "head_", "search_", "lookup_")):
        if call.operation != "start_automation_execution":
            yield f"the write {call.service}.{call.operation} on a resource that nobody has seen"
        else:
            yield from _faults_of_start(call, attempt, remediation)
    if call.service == "s3" and "Bucket" in call.parameters and call.parameters.get("ExpectedBucketOwner") != account:
        yield f"{call.operation} of a bucket whose owner is not checked"
    for key, value in _leaves(call.parameters):
        if key in _ACCOUNT_KEYS and value != account:
            yield f"{call.operation} with {key} {value}"
        if isinstance(value, str) and call.operation != "start_automation_execution":
            yield from _faults_of_arns(
                re.findall(r"arn:[^\s\"',]*", value), (account, region, partition), any_region=True
            )


def _faults_of_start(call: Call, attempt: Attempt, remediation: Remediation) -> Iterator[str]:
    """SSM gets the document of the remediation, and the finding's own resource as input."""
    if call.parameters["DocumentName"] != remediation.document_name or call.parameters["ClientToken"] != attempt.id:
        yield f"the runbook {call.parameters['DocumentName']} was started"
    inputs = call.parameters["Parameters"]
    if inputs["ResourceId"] != [attempt.target["resource"]["id"]] or inputs["Control"] != [attempt.control]:
        yield f"the runbook's inputs are {inputs}"
    allowed = [re.compile(form.allowed_pattern()) for form in remediation.resources]
    if not any(pattern.fullmatch(inputs["ResourceId"][0]) for pattern in allowed):
        yield "the runbook's own pattern does not take its input"
    if any(not value.isprintable() for values in inputs.values() for value in values):
        yield "control characters in the runbook's inputs"


def _faults_of_arns(texts: list[str], own: tuple[str, str, str], *, any_region: bool = False) -> Iterator[str]:
    for text in texts:
        found = _ARN.match(text)
        if found is None:
            continue
        partition, service, region, account = found.groups()
        if partition != own[2]:
            yield f"{text} is of another partition than {own[2]}"
        if account not in ("", own[0], "aws", "*"):
            yield f"{text} is of another account than {own[0]}"
        if region not in ("", own[1], "*") and not any_region and service not in ("cloudtrail", "kms", "s3", "logs"):
            yield f"{text} is of another Region than {own[1]}"


# --- what people and programs read


def faults_of_words(attempt: Attempt, remediation: Remediation | None) -> Iterator[str]:
    """Say where the text of a finding reaches a note, a mail, a message or the log as more than text."""
    note = note_for(attempt, remediation)
    if not 1 <= len(note) <= 512 or not _is_plain(note):
        yield f"the note is {ascii(note)[:200]}"
    message = message_for(attempt, remediation, HOME)
    subject = message["Subject"]
    if not re.fullmatch(r"[A-Za-z0-9][\x20-\x7e]{0,99}", subject):
        yield f"the subject is {subject!a}"
    parts = json.loads(message["Message"])
    text = parts["email"]
    if any(not _is_plain(line) for line in text.split("\n")) or parts["default"] != text:
        yield f"the mail is {ascii(text)[:300]}"
    if text.count("\n") > 30:
        yield f"the mail has {text.count(chr(10))} lines"
    if len(message["Message"].encode()) > 200_000:  # of the 262,144 bytes that SNS takes
        yield f"the message has {len(message['Message'])} characters"
    for value in (v for _, v in _leaves(json.loads(parts["sqs"]))):
        if isinstance(value, str) and not _is_plain(value):
            yield f"the message says {ascii(value)[:200]}"
    for name, attribute in message["MessageAttributes"].items():
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", attribute["StringValue"]):
            yield f"the attribute {name} is {attribute['StringValue']!a}"
    line = log_line(attempt, NOW)
    written = json.dumps(line, ensure_ascii=False)
    if not _is_plain(written) or len(written.encode()) > 256 * 1024:
        yield f"the log line is {ascii(written)[:300]}"


def _is_plain(text: str) -> bool:
    """Tell whether a text is one line of what can be seen: no control, format or default-ignorable characters."""
    return text.isprintable() and not re.search(
        r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0]", text
    )


def _faults_of_dead_letter(message: Mapping[str, Any], body: str) -> Iterator[str]:
    reason = message["MessageAttributes"]["reason"]["StringValue"]
    if not (1 <= len(reason) <= LONGEST_REASON and SQS_TEXT.fullmatch(reason) and reason.isprintable()):
        yield f"the reason of a dead letter is {ascii(reason)[:200]}"
    if message["MessageBody"] != body:
        yield "the dead letter is not the message"


# --- helpers


def _class_of(error: MalformedEvent | MalformedFinding) -> str:
    if isinstance(error, MalformedFinding):
        field_name = re.sub(r"\[[0-9]+\]", "[]", error.field)
        return "ProductFields" if field_name.startswith("ProductFields") else field_name
    return "the event: " + error.reason.partition(" is ")[0]


def _json(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _is_own_message(event: Any) -> bool:
    return isinstance(event, dict) and event.keys() == {"attempt"} and isinstance(event["attempt"], str)


def _raws(event: Any) -> list[Any]:
    detail = event.get("detail") if isinstance(event, dict) else None
    raws = detail.get("findings") if isinstance(detail, dict) else None
    return raws if isinstance(raws, list) else []


def _raw_of(attempt: Attempt, raws: list[Any]) -> Any:
    """Return the raw finding with the attempt's uid; the last one, as the table of answers has it."""
    return next((r for r in reversed(raws) if isinstance(r, dict) and r.get("Id") == attempt.finding["uid"]), None)


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _leaves(each, name)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each, key)
    else:
        yield key, value
