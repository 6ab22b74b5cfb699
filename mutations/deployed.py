"""
The deployed organization, and what must be refused in it: by rules, by resource policies, by trust policies.

A probe is a question that must be answered yes or no. Each mutant is put into what moto holds, the questions about that
resource are asked again, and what was there is put back.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from moto.awslambda.models import lambda_backends
from moto.events.models import events_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from mutations.member_roles import ProbeBroken
from mutations.mutant import SAME, Mutant, Verdict, of_policy
from sandbox import samples
from sandbox.demo import Demo
from sandbox.events import Pattern
from sandbox.iam import evaluate
from sandbox.identity import IdentityCenter
from sandbox.world import Sandbox
from sharr.finding import CUSTOM_ACTIONS, custom_action_arn

Json = Any
STRANGER = "999999999999"
WITHOUT_TLS = {"aws:SecureTransport": "false"}
PLACE = "us-east-1"


@dataclass(frozen=True, slots=True)
class Probe:
    """A question about the deployed world; *wanted* is the answer that protects, or that lets a repair happen."""

    what: str
    wanted: bool
    ask: Callable[[], bool]


def red(probes: Iterable[Probe]) -> str:
    """Return the first probe whose answer is wrong, "" where all are right."""
    return next((probe.what for probe in probes if probe.ask() != probe.wanted), "")


class Deployed:
    """The organization with every playbook loaded and every control switched on; who may attack it is there, too."""

    def __init__(self, world: Sandbox) -> None:
        self.world = world
        self.demo = Demo(world)
        self.demo.deploy(every_playbook=True, automatic=["*"])
        self.organization = world.organization
        self.admin, self.home = world.organization.admin, world.organization.home
        self.member = world.organization.members[0]
        self.identity = cast("IdentityCenter", world.identity)
        self._sessions: dict[tuple[str, str], Any] = {}

    # ------------------------------------------------------------------------------------------------------- questions
    def role_arn(self, account: str, name: str) -> str:
        """Return the ARN of a role of ours (or one that is called so)."""
        return f"arn:aws:iam::{account}:role/sharr/{name}"

    def session(self, account: str, name: str) -> Any:
        """Return a session of a role; where there is none of that name, an intruder's who may do everything there."""
        if (account, name) not in self._sessions:
            iam = self.identity.client("iam", account, self.home)
            trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
            if all(role.name != name for role in iam_backends[account]["aws"].roles.values()):
                iam.create_role(
                    RoleName=name,
                    Path="/sharr/",
                    AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
                )
                if name != "bystander":
                    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
                    text = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
                    iam.put_role_policy(RoleName=name, PolicyName="everything", PolicyDocument=text)
            role = next(r for r in iam_backends[account]["aws"].roles.values() if r.name == name)
            kept = role.assume_role_policy_document
            role.assume_role_policy_document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
            credentials = self.identity.service_assumes_role(
                "lambda.amazonaws.com", self.role_arn(account, name), "probe", {}
            )
            role.assume_role_policy_document = kept
            self._sessions[account, name] = self.identity._keys[credentials.access_key_id]
        return self._sessions[account, name]

    def may(self, account: str, name: str, action: str, resource: str, **context: Any) -> bool:
        """Tell whether a session of a role may do something; *context* has `__` for the colon of a condition key."""
        key = self.session(account, name)
        given = {k.replace("__", ":"): v for k, v in context.items()}
        base = self.identity._base_context(key, self.home)
        return self.identity._decide(action, resource, key, {**base, **given}).allowed

    def outside(self, account: str, name: str, action: str, resource: str) -> bool:
        """Ask for the same role after its account has gone to another organization."""
        key = self.session(account, name)
        moved = replace(key, context={**key.context, "aws:PrincipalOrgID": "o-elsewhere01"})
        base = self.identity._base_context(moved, self.home)
        return self.identity._decide(action, resource, moved, base).allowed

    def service_may(self, service: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Tell whether the policy of a resource, or a role's trust, lets an AWS service do something."""
        request = self.identity._service_request(service, action, resource, context, self.home)
        is_trust = action.startswith("sts:")
        policies = (
            self.identity._trust_policies(resource)
            if is_trust
            else self.identity._resource_policies(resource, for_service=True)
        )
        return evaluate(request, resource=policies, resource_decides=is_trust).allowed

    # -------------------------------------------------------------------------------------------------------- patterns
    def patterns(self) -> Iterator[Callable[[], list[Verdict]]]:
        """Yield, for each rule that takes events, what tries its pattern without each of its fields."""
        for account, region, bus in (
            (self.admin, self.home, "default"),
            (self.admin, self.home, "sharr"),
            (self.member, self.home, "default"),
        ):
            for rule in events_backends[account][region].event_buses[bus].rules.values():
                text = rule.event_pattern.dump()
                if not text or rule.state == "DISABLED" or (account != self.admin and "sharr" not in rule.name):
                    continue
                pattern = json.loads(text)
                where = self._rule_name(rule)
                if "aws.ssm" in text:
                    probes = self._runbook_events()
                elif "$or" in pattern["detail"]["findings"]:
                    probes = self._unserved_events()
                else:
                    probes = self._finding_events(rule, pattern)
                yield _job(self._tried, where, pattern, probes)

    def _rule_name(self, rule: Any) -> str:
        return f"rule {plain(rule.name)} of bus {rule.event_bus_name} ({str(rule.description).partition(':')[0]})"

    def _tried(self, where: str, pattern: Json, probes: list[tuple[str, bool, Json]]) -> list[Verdict]:
        def asked(of: Json) -> str:
            parsed = Pattern.parse(json.dumps(of, separators=(",", ":")))
            return next((what for what, wanted, event in probes if parsed.matches(event) != wanted), "")

        if broken := asked(pattern):
            raise ProbeBroken(f"{where}: {broken}")
        found = []
        for path in _fields(pattern):
            mutant = Mutant("pattern field", f"{where}: {'.'.join(path)}")
            found.append(Verdict(mutant, asked(_without(pattern, path))))
        branches = pattern["detail"].get("findings", {}).get("$or", [])
        for number in range(len(branches) if len(branches) > 2 else 0):
            changed = copy.deepcopy(pattern)
            del changed["detail"]["findings"]["$or"][number]
            found.append(Verdict(Mutant("pattern field", f"{where}: branch {number}"), asked(changed)))
        if "aws.ssm" in json.dumps(pattern):
            for status in pattern["detail"]["Status"]:
                changed = copy.deepcopy(pattern)
                changed["detail"]["Status"].remove(status)
                found.append(Verdict(Mutant("pattern field", f"{where}: detail.Status {status}"), asked(changed)))
        return found

    def _runbook_events(self) -> list[tuple[str, bool, Json]]:
        def ended(**changes: Any) -> Json:
            event = {
                "source": "aws.ssm",
                "detail-type": "EC2 Automation Execution Status-change Notification",
                "detail": {"ExecutionId": "x" * 36, "Definition": "SHARR-kms-rotate-key", "Status": "Success"},
            }
            return {**event, **changes}

        def detail(**changes: str) -> Json:
            return ended(detail={**ended()["detail"], **changes})

        ends = ("Success", "Failed", "TimedOut", "Cancelled", "CompletedWithSuccess", "CompletedWithFailure")
        return [
            *((f"a runbook that ended {status} is told", True, detail(Status=status)) for status in ends),
            ("an event that anybody put", False, ended(source="evil.app")),
            (
                "another event of Systems Manager",
                False,
                ended(**{"detail-type": "EC2 Automation Step Status-change Notification"}),
            ),
            ("somebody else's runbook", False, detail(Definition="AWS-StopEC2Instance")),
            ("a runbook that still runs", False, detail(Status="InProgress")),
        ]

    def _unserved_events(self) -> list[tuple[str, bool, Json]]:
        served = self._found("SC", "KMS.4")
        guard_duty = {**served, "ProductArn": served["ProductArn"].replace("/aws/securityhub", "/aws/guardduty")}
        unknown = {**served, "GeneratorId": "nobody/knows/v/1.0.0/1.1"}

        def pressed(finding: Json) -> Json:
            return samples.custom_action_event(CUSTOM_ACTIONS[0], [finding], admin_account=self.admin, region=self.home)

        action = custom_action_arn(CUSTOM_ACTIONS[0], account=self.admin, region=self.home)
        return [
            ("a button on another product's finding", True, pressed(guard_duty)),
            ("a button on a finding of no loaded playbook", True, pressed(unknown)),
            ("a button on what a playbook serves", False, pressed(served)),
            ("an event that anybody put", False, {**pressed(guard_duty), "source": "evil.app"}),
            (
                "another event of Security Hub",
                False,
                {**pressed(guard_duty), "detail-type": "Security Hub Insight Results"},
            ),
            ("somebody else's button", False, {**pressed(guard_duty), "resources": [action + "X"]}),
        ]

    def _found(self, standard: str, control: str) -> Json:
        return samples.finding(
            standard,
            control,
            account=self.member,
            region=self.home,
            resource_id=f"arn:aws:kms:{self.home}:{self.member}:key/00000000-0000-4000-8000-000000000000",
            resource_type="AwsKmsKey",
        )

    def _finding_events(self, rule: Any, pattern: Json) -> list[tuple[str, bool, Json]]:
        standard = samples.standards()[str(rule.description).partition(":")[0]]
        wanted = pattern["detail"]["findings"]
        is_button = "resources" in pattern
        tagging = samples.standards()["Tagging"]
        listed = wanted.get("Compliance", {}).get("SecurityControlId") or sorted(samples.controls())
        control = next(
            c
            for c in listed
            if standard.serves(c)
            and samples.own_ids(standard.name, c)
            and (standard.associated_except is None or not tagging.serves(c))
        )
        made = self._found(standard.name, control)
        is_recheck = "Note" in wanted
        if is_recheck:
            note = {"Text": "ours", "UpdatedBy": "SHARR", "UpdatedAt": made["UpdatedAt"]}
            made |= {"Workflow": {"Status": "RESOLVED"}, "Note": note}
        compliance = made["Compliance"]

        def event(**changes: Any) -> Json:
            findings = [{**made, **changes}]
            if is_button:
                return samples.custom_action_event(
                    CUSTOM_ACTIONS[0], findings, admin_account=self.admin, region=self.home
                )
            return samples.imported_event(findings, admin_account=self.admin, region=self.home)

        product = f"arn:aws:securityhub:{self.home}:{STRANGER}:product/{STRANGER}/default"
        events = [
            ("a finding that is to be taken", True, event()),
            ("an event that anybody put", False, {**event(), "source": "evil.app"}),
            ("another event of Security Hub", False, {**event(), "detail-type": "Security Hub Insight Results"}),
            ("a custom product's finding", False, event(ProductArn=product)),
            ("another standard's finding", False, event(GeneratorId="nobody/knows/1.1")),
        ]
        if standard.associated_only or standard.associated_except:
            other = standard.associated_except or "standards/aws-foundational-security-best-practices/v/1.0.0"
            mixed = {**compliance, "AssociatedStandards": [{"StandardsId": other}]}
            events.append(("a finding of the playbook beside", False, event(Compliance=mixed)))
        if is_button:
            action = custom_action_arn(CUSTOM_ACTIONS[0], account=self.admin, region=self.home)
            events.append(("somebody else's button", False, {**event(), "resources": [action + "X"]}))
            return events
        if is_recheck:
            events.append(("another author's note", False, event(Note={**made["Note"], "UpdatedBy": "ann"})))
        else:
            switched_off = event(Compliance={**compliance, "SecurityControlId": "IAM.6"})
            events.append(("a control that is not switched on", False, switched_off))
        return [
            *events,
            ("a check that passed", False, event(Compliance={**compliance, "Status": "PASSED"})),
            *(
                (f"a finding that is {status}", False, event(Workflow={"Status": status}))
                for status in ("NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED")
                if status != made["Workflow"]["Status"]
            ),
            ("an archived finding", False, event(RecordState="ARCHIVED")),
        ]

    # ------------------------------------------------------------------------------------------------ resource policies
    def resource_policies(self) -> Iterator[Callable[[], list[Verdict]]]:
        """Yield, for each queue, the topic, its key, the bus and the sweeper, what tries its policy."""
        queues = sqs_backends[self.admin][self.home].queues
        feeds = self._feeds()
        for name, queue in queues.items():
            if not queue.policy:
                continue
            policy = queue.policy

            def put(text: str, queue: Any = queue) -> None:
                queue.policy = text

            yield _job(self._judged, f"queue {plain(name)}", policy, put, self._queue_probes(queue.queue_arn, feeds))
        (topic,) = sns_backends[self.admin][self.home].topics.values()

        def put_topic(text: str) -> None:
            topic.policy = text

        yield _job(self._judged, "topic", topic.policy, put_topic, self._topic_probes(topic.arn))
        key = next(
            k for k in kms_backends[self.admin][self.home].keys.values() if "notifications" in str(k.description)
        )

        def put_key(text: str) -> None:
            key.policy = text

        yield _job(self._judged, "key of the topic", key.policy, put_key, self._key_probes(key.arn))
        bus = events_backends[self.admin][self.home].event_buses["sharr"]

        yield _job(self._judged_bus, bus)
        for function in lambda_backends[self.admin][self.home].list_functions():
            if function.policy.statements:
                yield _job(self._judged_function, function)

    def _feeds(self) -> dict[str, list[str]]:
        """Return queue ARN -> the rules that send to it, as a target or as its dead-letter queue."""
        found: dict[str, list[str]] = {}
        for bus in events_backends[self.admin][self.home].event_buses.values():
            for rule in bus.rules.values():
                for target in rule.targets:
                    for arn in (target["Arn"], target.get("DeadLetterConfig", {}).get("Arn")):
                        if arn:
                            found.setdefault(arn, []).append(rule.arn)
        return found

    def _judged(self, where: str, text: str, put: Callable[[str], None], probes: list[Probe]) -> list[Verdict]:
        if broken := red(probes):
            raise ProbeBroken(f"{where}: {broken}")
        found = []
        for mutant in of_policy(json.loads(text), where, permissions=where.startswith("key")):
            put(json.dumps(mutant.document))
            # The policy of a resource counts for that resource alone, whatever it names.
            killer = SAME if mutant.mutant.kind == "resource" else red(probes)
            found.append(Verdict(_plainly(mutant.mutant), killer))
            put(text)
        return found

    def _judged_bus(self, bus: Any) -> list[Verdict]:
        arn = bus.arn
        probes = [
            Probe(
                "a member's role tells of a runbook",
                True,
                lambda: self.may(self.member, "sharr-events", "events:PutEvents", arn),
            ),
            Probe(
                "another role of a member puts events",
                False,
                lambda: self.may(self.member, "intruder", "events:PutEvents", arn),
            ),
            Probe(
                "a stranger's role of the same name",
                False,
                lambda: self.may(STRANGER, "sharr-events", "events:PutEvents", arn),
            ),
            Probe(
                "a member that left puts events",
                False,
                lambda: self.outside(self.member, "sharr-events", "events:PutEvents", arn),
            ),
        ]
        if broken := red(probes):
            raise ProbeBroken(f"bus: {broken}")
        text, found = bus.policy, []
        events = self.identity.client("events", self.admin, self.home)
        for mutant in of_policy(json.loads(text), "event bus", permissions=False):
            policy = mutant.document if mutant.document["Statement"] else None
            if policy is None:
                events.remove_permission(EventBusName="sharr", RemoveAllPermissions=True)
            else:
                events.put_permission(EventBusName="sharr", Policy=json.dumps(policy))
            killer = SAME if mutant.mutant.kind == "resource" else red(probes)
            found.append(Verdict(mutant.mutant, killer))
            events.put_permission(EventBusName="sharr", Policy=text)
        return found

    def _judged_function(self, function: Any) -> list[Verdict]:
        arn = function.function_arn
        rule = next(a for a, r in self._rules().items() if any(t["Arn"] == arn for t in r.targets))
        service = "events.amazonaws.com"

        def ask(source: str, account: str) -> Callable[[], bool]:
            context = {"aws:SourceArn": source, "aws:SourceAccount": account}
            return lambda: self.service_may(service, "lambda:InvokeFunction", arn, context)

        probes = [
            Probe("the schedule runs the function", True, ask(rule, self.admin)),
            Probe("another rule runs the function", False, ask(rule + "x", self.admin)),
            Probe("a stranger's rule runs it", False, ask(rule.replace(self.admin, STRANGER), STRANGER)),
        ]
        if broken := red(probes):
            raise ProbeBroken(f"{arn}: {broken}")
        kept, found = list(function.policy.statements), []
        where = f"function {plain(function.function_name)}"
        for mutant in of_policy({"Version": "2012-10-17", "Statement": kept}, where, permissions=False):
            function.policy.statements = mutant.document["Statement"]
            killer = SAME if mutant.mutant.kind == "resource" else red(probes)
            found.append(Verdict(_plainly(mutant.mutant), killer))
            function.policy.statements = kept
        return found

    def _rules(self) -> dict[str, Any]:
        buses = events_backends[self.admin][self.home].event_buses.values()
        return {rule.arn: rule for bus in buses for rule in bus.rules.values()}

    def _queue_probes(self, arn: str, feeds: Mapping[str, list[str]]) -> list[Probe]:
        def rule_sends(rule: str, account: str, **more: str) -> Callable[[], bool]:
            context = {"aws:SourceArn": rule, "aws:SourceAccount": account, **more}
            return lambda: self.service_may("events.amazonaws.com", "sqs:SendMessage", arn, context)

        evil = f"arn:aws:events:{self.home}:{self.admin}:rule/evil"
        probes = [
            Probe("another rule sends", False, rule_sends(evil, self.admin)),
            Probe("a stranger's rule sends", False, rule_sends(evil.replace(self.admin, STRANGER), STRANGER)),
            Probe("a member's role sends", False, lambda: self.may(self.member, "intruder", "sqs:SendMessage", arn)),
            Probe(
                "a bystander of the account reads",
                False,
                lambda: self.may(self.admin, "bystander", "sqs:ReceiveMessage", arn),
            ),
            Probe(
                "an administrator's role sends without TLS",
                False,
                lambda: self.may(self.admin, "intruder", "sqs:SendMessage", arn, aws__SecureTransport="false"),
            ),
            Probe(
                "an administrator's role sends with TLS",
                True,
                lambda: self.may(self.admin, "intruder", "sqs:SendMessage", arn),
            ),
        ]
        for rule in feeds.get(arn, ()):
            probes.append(Probe("its own rule sends", True, rule_sends(rule, self.admin)))
            probes.append(Probe("its own rule without TLS", False, rule_sends(rule, self.admin, **WITHOUT_TLS)))
        return probes

    def _topic_probes(self, arn: str) -> list[Probe]:
        alarm = f"arn:aws:cloudwatch:{self.home}:{self.admin}:alarm:trouble"

        def alarms(source: str, account: str, **more: str) -> Callable[[], bool]:
            context = {"aws:SourceArn": source, "aws:SourceAccount": account, **more}
            return lambda: self.service_may("cloudwatch.amazonaws.com", "sns:Publish", arn, context)

        return [
            Probe("outcomes are told", True, lambda: self.may(self.admin, "sharr-observe", "sns:Publish", arn)),
            Probe(
                "outcomes are told without TLS",
                False,
                lambda: self.may(self.admin, "sharr-observe", "sns:Publish", arn, aws__SecureTransport="false"),
            ),
            Probe("a bystander publishes", False, lambda: self.may(self.admin, "bystander", "sns:Publish", arn)),
            Probe("a member's role publishes", False, lambda: self.may(self.member, "intruder", "sns:Publish", arn)),
            Probe("an alarm is told", True, alarms(alarm, self.admin)),
            Probe("a stranger's alarm is told", False, alarms(alarm.replace(self.admin, STRANGER), STRANGER)),
            Probe(
                "CloudWatch for something else", False, alarms(alarm.replace(":alarm:", ":insight-rule/"), self.admin)
            ),
        ]

    def _key_probes(self, arn: str) -> list[Probe]:
        def alarms(action: str, account: str) -> Callable[[], bool]:
            return lambda: self.service_may("cloudwatch.amazonaws.com", action, arn, {"aws:SourceAccount": account})

        return [
            *(Probe(f"an alarm does {a}", True, alarms(a, self.admin)) for a in ("kms:Decrypt", "kms:GenerateDataKey")),
            Probe("a stranger's alarm decrypts", False, alarms("kms:Decrypt", STRANGER)),
            Probe(
                "outcomes are encrypted",
                True,
                lambda: self.may(self.admin, "sharr-observe", "kms:GenerateDataKey", arn),
            ),
            Probe("a bystander decrypts", False, lambda: self.may(self.admin, "bystander", "kms:Decrypt", arn)),
            Probe("a member's role decrypts", False, lambda: self.may(self.member, "intruder", "kms:Decrypt", arn)),
        ]

    # ----------------------------------------------------------------------------------------------------------- trust
    def trusts(self) -> Iterator[Callable[[], list[Verdict]]]:
        """Yield, for each role in the admin account and in a member account, what tries its trust policy."""
        for account in (self.admin, self.member):
            for role in list(iam_backends[account]["aws"].roles.values()):
                if role.path != "/sharr/" or not (_of_admin(role) if account == self.admin else "sharr-" in role.name):
                    continue
                yield _job(self._judged_trust, account, role)

    def _judged_trust(self, account: str, role: Any) -> list[Verdict]:
        document = role.assume_role_policy_document
        text = document if isinstance(document, str) else json.dumps(document)
        where = f"trust of {plain(role.name)}"
        probes = self._trust_probes(account, role)
        if broken := red(probes):
            raise ProbeBroken(f"{where}: {broken}")
        found = []
        for mutant in of_policy(json.loads(text), where, permissions=False):
            role.assume_role_policy_document = json.dumps(mutant.document)
            found.append(Verdict(_plainly(mutant.mutant), red(probes)))
            role.assume_role_policy_document = text
        return found

    def _trust_probes(self, account: str, role: Any) -> list[Probe]:
        arn, name = role.arn, str(role.name)
        assume = "sts:AssumeRole"

        def person(of: str, who: str) -> Callable[[], bool]:
            return lambda: self.may(of, who, assume, arn)

        def service(which: str, source: str = "", owner: str = account) -> Callable[[], bool]:
            context = {"aws:SourceAccount": owner, **({"aws:SourceArn": source} if source else {})}
            return lambda: self.service_may(which, assume, arn, context)

        probes = [
            Probe("an intruder in the admin account", False, person(self.admin, "intruder")),
            Probe("an intruder in another member account", False, person(self.organization.members[1], "intruder")),
            Probe("a stranger's role called sharr-repair", False, person(STRANGER, "sharr-repair")),
            Probe("a member's role called sharr-repair", False, person(self.organization.members[1], "sharr-repair")),
            Probe("a stranger's role called sharr-observe", False, person(STRANGER, "sharr-observe")),
            Probe("EC2", False, service("ec2.amazonaws.com")),
        ]
        if account == self.admin and _of_admin(role):
            return [*probes, Probe("Lambda runs the function", True, service("lambda.amazonaws.com"))]
        probes.append(Probe("Lambda in the member account", False, service("lambda.amazonaws.com")))
        ours = {"sharr-reader": "sharr-observe", "sharr-starter": "sharr-repair"}
        known = {r.role_name: r for r in self.demo.remediations}
        who = ours.get(name) or ("sharr-repair" if name in known else "")
        if who:
            other = "sharr-observe" if who == "sharr-repair" else "sharr-repair"
            probes += [
                Probe(f"{who} takes the role", True, person(self.admin, who)),
                Probe(f"{other} takes the role", False, person(self.admin, other)),
                Probe(f"{who} after the admin account left", False, lambda: self.outside(self.admin, who, assume, arn)),
            ]
        source = SOURCES.get(name)
        if name in known and "runbook" in known[name].places:
            source = ("ssm.amazonaws.com", "arn:aws:ssm:us-east-1:{account}:automation-execution/x")
        if source:
            which, form = source
            own = form.format(account=account)
            probes += [
                Probe(f"{which} works for this account", True, service(which, own)),
                Probe(f"{which} for a stranger", False, service(which, own.replace(account, STRANGER), STRANGER)),
            ]
            if form:
                elsewhere = ":".join([*own.split(":", 5)[:5], "something-else/x"])
                probes.append(Probe(f"{which} for something else", False, service(which, elsewhere)))
        elif name in known:
            probes.append(Probe("Systems Manager", False, service("ssm.amazonaws.com")))
        return probes


SOURCES = {
    "sharr-events": ("events.amazonaws.com", "arn:aws:events:us-east-1:{account}:rule/sharr-runbook-ended"),
    "sharr-flow-log-delivery": ("vpc-flow-logs.amazonaws.com", "arn:aws:ec2:us-east-1:{account}:vpc-flow-log/fl-1"),
    "sharr-trail-log-delivery": ("cloudtrail.amazonaws.com", "arn:aws:cloudtrail:us-east-1:{account}:trail/x"),
    "sharr-rds-monitoring": ("monitoring.rds.amazonaws.com", "arn:aws:rds:us-east-1:{account}:db:x"),
    "sharr-api-gateway-logging": ("apigateway.amazonaws.com", ""),
}
"""Roles that AWS's services take: the service, and for what ("": it says nothing but the account)."""


def _plainly(mutant: Mutant) -> Mutant:
    return Mutant(mutant.kind, plain(mutant.name))


def _of_admin(role: Any) -> bool:
    return role.name in ("sharr-repair", "sharr-observe") or "CustomActions" in role.name


def _job(do: Callable[..., list[Verdict]], *args: Any) -> Callable[[], list[Verdict]]:
    return lambda: do(*args)


def plain(name: str) -> str:
    """Return a name without the letters that CloudFormation adds, which differ from deployment to deployment."""
    return re.sub(r"(?<!sharr-admin)-[A-Za-z0-9]{12}(?=[-:/ ]|$)", "", name)


def _fields(pattern: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in pattern.items():
        if isinstance(value, dict):
            yield from _fields(value, (*path, key))
        else:
            yield (*path, key)


def _without(pattern: Json, path: tuple[str, ...]) -> Json:
    first, *rest = path
    if not rest:
        return {key: value for key, value in pattern.items() if key != first}
    inner = _without(pattern[first], tuple(rest))
    kept = {**pattern, first: inner}
    return kept if inner else {key: value for key, value in pattern.items() if key != first}
