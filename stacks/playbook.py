"""The nested stack of one playbook: its rules, its queue, its function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import CfnCondition, CfnParameter, NestedStack, Token
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from constructs import Construct

from sharr.outcomes import AUTHOR
from sharr.patterns import automatic_pattern, button_pattern, recheck_pattern
from sharr.standards import Standard
from stacks import names
from stacks.functions import Code, Function, policy
from stacks.intrinsics import Json, attribute, either, equals, join, negated, ref, text
from stacks.queues import Queue

BATCH: Final = 5
PARAMETERS: Final = {
    "AutomaticControls": "CommaDelimitedList",
    "TakesAll": "String",
    "ActionArns": "CommaDelimitedList",
    "AutomaticAccountsParameter": "String",
    "ExcludedAccountsParameter": "String",
    "RemediationParametersParameter": "String",
    "RepairsPerHour": "Number",
    "RepairFindingsSince": "String",
    "FirstRepairsOneByOne": "Number",
    "ButtonRepairs": "String",
    "ExecutionMode": "String",
    "OrganizationId": "String",
    "TableName": "String",
    "OutcomeQueueUrl": "String",
    "TopicArn": "String",
    "RepairRoleArn": "String",
    "LogRetentionDays": "Number",
    "MaximumConcurrency": "Number",
}


class Playbook(NestedStack):
    """
    What serves one standard. *given* has a value for each of PARAMETERS; lists are joined by commas.

    *more* are the controls that `*` means and one rule's pattern cannot hold, a list for each further rule.
    """

    def __init__(
        self,
        scope: Construct,
        standard: Standard,
        *,
        code: Code,
        given: Mapping[str, Json],
        more: Sequence[Sequence[str]] = (),
    ) -> None:
        super().__init__(
            scope,
            f"Playbook{standard.name}",
            parameters={name: text(given[name]) for name in PARAMETERS},
            description=f"SHARR: playbook of {standard.title}",
        )
        for name, kind in PARAMETERS.items():
            CfnParameter(self, name, type=kind)
        condition = CfnCondition(self, "HasAutomaticControls")
        # A list parameter that is empty is a list with one empty text.
        condition.expression = Token.as_any(negated(equals(join(",", ref("AutomaticControls")), "")))

        CfnCondition(self, "TakesAllControls").expression = Token.as_any(equals(ref("TakesAll"), "yes"))

        topic_arn = ref("TopicArn")
        queue = Queue(self, "Queue", topic_arn=topic_arn)
        events.CfnRule(
            self,
            "Automatic",
            description=f"{standard.name}: failed findings of the controls that are switched on",
            event_pattern=automatic_pattern(standard, ref("AutomaticControls")),
            state=text(either("HasAutomaticControls", "ENABLED", "DISABLED")),
            targets=[queue.as_target()],
        )
        events.CfnRule(
            self,
            "Buttons",
            description=f"{standard.name}: findings that somebody pressed a button on",
            event_pattern=button_pattern(standard, ref("ActionArns")),
            state="ENABLED",
            targets=[queue.as_target()],
        )
        events.CfnRule(
            self,
            "Recheck",
            description=f"{standard.name}: findings that fail though we resolved them",
            event_pattern=recheck_pattern(standard, AUTHOR),
            state="ENABLED",
            targets=[queue.as_target()],
        )
        further = [f"Automatic{number}" for number in range(2, len(more) + 2)]
        for name, controls in zip(further, more, strict=True):
            events.CfnRule(
                self,
                name,
                description=f"{standard.name}: failed findings of more controls, where all are switched on",
                event_pattern=automatic_pattern(standard, list(controls)),
                state=text(either("TakesAllControls", "ENABLED", "DISABLED")),
                targets=[queue.as_target()],
            )
        queue.takes_from(["Automatic", *further, "Buttons", "Recheck"])
        rights = iam.CfnPolicy(
            self,
            "RepairRights",
            policy_name=f"playbook-{standard.name}",
            roles=[names.REPAIR_ROLE],
            policy_document=policy(
                {
                    "Effect": "Allow",
                    "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
                    "Resource": queue.arn,
                },
                # What nobody can act on is laid aside, with the reason.
                {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.dead_arn},
            ),
        )
        iam.CfnPolicy(
            self,
            "ObserveRights",
            policy_name=f"playbook-{standard.name}",
            roles=[names.OBSERVE_ROLE],
            policy_document=policy({"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.arn}),
        )
        function = Function(
            self,
            "Playbook",
            code=code,
            handler="lambdas.playbook.handler.handler",
            description=f"SHARR: repairs findings of {standard.title}",
            role_arn=ref("RepairRoleArn"),
            environment={
                "ORGANIZATION_ID": ref("OrganizationId"),
                "TABLE_NAME": ref("TableName"),
                "OUTCOME_QUEUE_URL": ref("OutcomeQueueUrl"),
                "PLAYBOOK": standard.name,
                "QUEUE_URL": queue.url,
                "DEAD_LETTER_QUEUE_URL": queue.dead_url,
                "AUTOMATIC_CONTROLS": either("TakesAllControls", "*", join(",", ref("AutomaticControls"))),
                "STACK_PARAMETERS": {
                    "Fn::Sub": '{"automatic":"${AutomaticAccountsParameter}","excluded":"${ExcludedAccountsParameter}",'
                    '"choices":"${RemediationParametersParameter}"}'
                },
                "REPAIRS_PER_HOUR": ref("RepairsPerHour"),
                "REPAIR_SINCE": ref("RepairFindingsSince"),
                "FIRST_ONE_BY_ONE": ref("FirstRepairsOneByOne"),
                "BUTTON_REPAIRS": ref("ButtonRepairs"),
                "EXECUTION_MODE": ref("ExecutionMode"),
            },
            retention_days=ref("LogRetentionDays"),
            topic_arn=topic_arn,
        )
        function.reads_from(self, queue.arn, batch=BATCH, concurrency=ref("MaximumConcurrency"), after=[rights])
        for name, value in (
            ("QueueUrl", queue.url),
            ("QueueName", queue.name),
            ("DeadName", queue.dead_names[0]),
            ("EventsDeadName", queue.dead_names[1]),
            ("FunctionName", function.name),
            ("QueueArn", attribute("Queue", "Arn")),
        ):
            self._output(name, value)
        resource = self.nested_stack_resource
        assert resource is not None
        resource.override_logical_id(f"Playbook{standard.name}")
        self.resource = resource

    def _output(self, name: str, value: Json) -> None:
        from aws_cdk import CfnOutput

        CfnOutput(self, f"{name}Output", value=text(value)).override_logical_id(name)
