"""The admin stack: what runs in the delegated Security Hub administrator's account, in the home Region."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from aws_cdk import Acknowledgment, CfnCondition, CfnDeletionPolicy, CfnOutput, CfnResource, Stack, Token, Validations
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3_assets as assets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from sharr.finding import CUSTOM_ACTIONS
from sharr.patterns import chunks, unserved_pattern
from sharr.remediation import Remediation
from sharr.standards import Standard, Standards
from stacks import dashboard, names, parameters
from stacks.alarms import Alarm, Metric
from stacks.functions import Code, Function, policy, resource, trusts, writes_logs
from stacks.intrinsics import (
    ACCOUNT,
    NO_VALUE,
    Json,
    arn,
    attribute,
    either,
    equals,
    join,
    negated,
    ref,
    sub,
    text,
)
from stacks.playbook import Playbook
from stacks.queues import Queue

OUTCOME_BATCH: Final = 200
"""
BatchUpdateFindings takes 100 findings with the same note: of one control two calls a batch. Of many controls a batch
needs a call for each, and ten calls a second are all there is: `make flood` with 50 controls takes seven minutes with
batches of 100, five with 200.
"""
OUTCOME_WINDOW: Final = 20
"""
Seconds. Lambda may wait as long anyway where messages are few, whatever shorter window is set; and where they come at
50 a second or more, five pollers that gather apart from each other fill their batches.
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""
OUTCOME_CONCURRENCY: Final = 2
"""BatchUpdateFindings takes ten calls a second: two invocations at a time stay below."""
RUNBOOK_BATCH: Final = 5
SERVICE_SECONDS: Final = 60
HUB: Final = arn("securityhub", "hub/default")


class AdminStack(Stack):
    """Queues, functions, table, topic, event bus, buttons, dashboard, alarms; one nested stack per playbook."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        remediations: Iterable[Remediation],
        standards: Standards,
        package: Path,
        version: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id, description=f"SHARR {version}: admin account, home Region", **kwargs)
        self._remediations = list(remediations)
        self._standards = list(standards)
        parameters.declare(self, self._standards)
        self._declare_conditions()
        asset = assets.Asset(self, "Code", path=str(package))
        code = Code(bucket=asset.s3_bucket_name, key=asset.s3_object_key)

        topic_arn = self._topic()
        self._table()
        self._parameters_in_ssm()
        self._outcome_queue = Queue(self, "OutcomeQueue", topic_arn=topic_arn, window=OUTCOME_WINDOW)
        self._runbook_queue = Queue(self, "RunbookQueue", topic_arn=topic_arn)
        self._event_bus()
        self._unserved()
        self._outcome_queue.takes_from(["Unserved"])
        self._roles()
        common = {
            "ORGANIZATION_ID": ref("OrganizationId"),
            "TABLE_NAME": self._table_name,
            "OUTCOME_QUEUE_URL": self._outcome_queue.url,
        }
        outcome = Function(
            self,
            "Outcome",
            code=code,
            handler="lambdas.outcome.handler.handler",
            description="SHARR: writes outcomes on findings, into log, metrics and topic",
            role_arn=attribute("ObserveRole", "Arn"),
            environment={
                **common,
                "TOPIC_ARN": topic_arn,
                "NOTIFY": ref("Notify"),
                "LOADED_PLAYBOOKS": join(",", [either(self._loaded(s), s.name) for s in self._standards]),
            },
            retention_days=ref("LogRetentionDays"),
            topic_arn=topic_arn,
            keeps_log=True,
        )
        outcome.reads_from(
            self,
            self._outcome_queue.arn,
            batch=OUTCOME_BATCH,
            window=OUTCOME_WINDOW,
            concurrency=OUTCOME_CONCURRENCY,
            after=[],
        )
        # Each takes some 20 calls one after another: two hundred in one batch would outlast the function.
        outcome.reads_from(
            self,
            self._runbook_queue.arn,
            batch=RUNBOOK_BATCH,
            concurrency=ref("MaximumConcurrency"),
            after=[],
            id="Runbooks",
        )
        self._custom_actions(code, topic_arn)
        playbooks = [self._playbook(standard, code, topic_arn) for standard in self._standards]
        sweeper = self._sweeper(code, common, topic_arn)
        self._log_rights()
        self._dashboard(playbooks, [outcome, sweeper])
        self._outputs(outcome)

    # ------------------------------------------------------------------------------------------------------ conditions
    def _declare_conditions(self) -> None:
        conditions = {
            "InOrganization": negated(equals(ref("OrganizationId"), "")),
            "MakesKey": equals(ref("KmsKeyArn"), ""),
            "MakesTable": equals(ref("ExistingTable"), ""),
            "SendsEmail": negated(equals(ref("NotificationEmail"), "")),
        }
        for standard in self._standards:
            conditions[self._loaded(standard)] = equals(ref(parameters.load(standard)), "yes")
            if self.served(standard):
                conditions[self._takes_all(standard)] = equals(join(",", ref(parameters.automatic(standard))), "*")
        for name, expression in conditions.items():
            condition = CfnCondition(self, name)
            condition.expression = Token.as_any(expression)

    @staticmethod
    def _loaded(standard: Standard) -> str:
        return f"Loads{standard.name}"

    @staticmethod
    def _takes_all(standard: Standard) -> str:
        return f"Takes{standard.name}All"

    def _on(self, condition: str, made: CfnResource) -> None:
        found = self.node.find_child(condition)
        assert isinstance(found, CfnCondition)
        made.cfn_options.condition = found

    # ---------------------------------------------------------------------------------------------------------- pieces
    def _topic(self) -> Json:
        key = kms.CfnKey(
            self,
            "TopicKey",
            description="SHARR: encrypts notifications; CloudWatch cannot use the AWS managed key for alarms",
            enable_key_rotation=True,
            pending_window_in_days=30,
            key_policy=policy(
                {
                    "Sid": "ThisAccountByIam",
                    "Effect": "Allow",
                    "Principal": {"AWS": arn("iam", "root", region="")},
                    "Action": "kms:*",
                    "Resource": "*",
                },
                {
                    "Sid": "Alarms",
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudwatch.amazonaws.com"},
                    "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
                    "Resource": "*",
                    "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
                },
            ),
        )
        self._on("MakesKey", key)
        self._key_arn = either("MakesKey", attribute("TopicKey", "Arn"), ref("KmsKeyArn"))
        sns.CfnTopic(self, "Topic", display_name="SHARR", kms_master_key_id=text(self._key_arn))
        topic = ref("Topic")
        sns.CfnTopicPolicy(
            self,
            "TopicPolicy",
            topics=[text(topic)],
            policy_document=policy(
                {
                    "Sid": "TlsOnly",
                    "Effect": "Deny",
                    "Principal": "*",
                    "Action": "sns:Publish",
                    "Resource": topic,
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
                {
                    "Sid": "Alarms",
                    "Effect": "Allow",
                    "Principal": {"Service": "cloudwatch.amazonaws.com"},
                    "Action": "sns:Publish",
                    "Resource": topic,
                    "Condition": {
                        "StringEquals": {"aws:SourceAccount": ACCOUNT},
                        "ArnLike": {"aws:SourceArn": arn("cloudwatch", "alarm:*")},
                    },
                },
            ),
        )
        email = sns.CfnSubscription(
            self, "Email", topic_arn=text(topic), protocol="email", endpoint=text(ref("NotificationEmail"))
        )
        self._on("SendsEmail", email)
        return topic

    def _table(self) -> None:
        """
        Encrypted with DynamoDB's own key: the records hold no secret, and a KMS key would cost per request and could be
        disabled under us. Kept when the stack is deleted: undo and holds are in it; ExistingTable takes it up again.
        """
        definition = dynamodb.CfnTable.AttributeDefinitionProperty
        key = dynamodb.CfnTable.KeySchemaProperty
        table = dynamodb.CfnTable(
            self,
            "Table",
            attribute_definitions=[
                definition(attribute_name=name, attribute_type="S") for name in ("pk", "sk", "due_shard", "due_at")
            ],
            key_schema=[key(attribute_name="pk", key_type="HASH"), key(attribute_name="sk", key_type="RANGE")],
            global_secondary_indexes=[
                dynamodb.CfnTable.GlobalSecondaryIndexProperty(
                    index_name="due",
                    key_schema=[
                        key(attribute_name="due_shard", key_type="HASH"),
                        key(attribute_name="due_at", key_type="RANGE"),
                    ],
                    projection=dynamodb.CfnTable.ProjectionProperty(projection_type="KEYS_ONLY"),
                )
            ],
            billing_mode="PAY_PER_REQUEST",
            deletion_protection_enabled=True,
            point_in_time_recovery_specification=dynamodb.CfnTable.PointInTimeRecoverySpecificationProperty(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_specification=dynamodb.CfnTable.TimeToLiveSpecificationProperty(
                attribute_name="expires_at", enabled=True
            ),
        )
        # Not "except on create": a protected table cannot be deleted, so that the rollback itself would fail.
        table.cfn_options.deletion_policy = table.cfn_options.update_replace_policy = CfnDeletionPolicy.RETAIN
        self._table_resource = table
        self._on("MakesTable", table)
        self._table_name = either("MakesTable", ref("Table"), ref("ExistingTable"))
        # In a Sub of its own each: Fn::If may not stand inside one.
        self._table_arn = either("MakesTable", attribute("Table", "Arn"), arn("dynamodb", "table/${ExistingTable}"))
        self._index_arn = either(
            "MakesTable", sub("${Table.Arn}/index/due"), arn("dynamodb", "table/${ExistingTable}/index/due")
        )

    def _parameters_in_ssm(self) -> None:
        for which, word, about in (
            (
                "AutomaticAccounts",
                "accounts",
                "accounts with automation; the word accounts, then their ids, none: in all",
            ),
            (
                "ExcludedAccounts",
                "accounts",
                "accounts in which nothing is repaired; the word accounts, then their ids",
            ),
            (
                "RemediationParameters",
                "parameters",
                "values for the parameters of remediations; the word parameters, a comma, then the stack's parameter",
            ),
        ):
            ssm.CfnParameter(
                self,
                f"{which}List",
                type="String",
                tier="Intelligent-Tiering",
                # A parameter may not be empty, so the first word says nothing.
                value=text(join(",", [word, join(",", ref(which)) if word == "accounts" else ref(which)])),
                description=f"SHARR: {about}",
            )

    def _event_bus(self) -> None:
        events.CfnEventBus(
            self, "EventBus", name=names.EVENT_BUS, description="SHARR: ends of runbooks in member accounts"
        )
        ours = {"aws:PrincipalArn": arn("iam", f"role{names.PATH}{names.EVENTS_ROLE}", region="", account="*")}
        who = either(
            "InOrganization",
            {"aws:PrincipalOrgID": ref("OrganizationId")},
            {"aws:PrincipalAccount": ACCOUNT},
        )
        events.CfnEventBusPolicy(
            self,
            "EventBusPolicy",
            statement_id="MembersEvents",
            event_bus_name=text(ref("EventBus")),
            statement={
                "Effect": "Allow",
                "Principal": "*",
                "Action": "events:PutEvents",
                "Resource": attribute("EventBus", "Arn"),
                "Condition": {"StringEquals": who, "ArnLike": ours},
            },
        )
        events.CfnRule(
            self,
            "RunbookEnded",
            description="Ends of runbooks in member accounts",
            event_bus_name=text(ref("EventBus")),
            event_pattern=names.RUNBOOK_ENDED,
            state="ENABLED",
            targets=[self._runbook_queue.as_target()],
        )
        self._runbook_queue.takes_from(["RunbookEnded"])

    def _unserved(self) -> None:
        """A button on what no loaded playbook takes is answered with a note, never with silence."""

        def if_loaded(standard: Standard, then: Json, otherwise: Json) -> Json:
            return either(self._loaded(standard), then, otherwise)

        events.CfnRule(
            self,
            "Unserved",
            description="Findings that somebody pressed a button on, and no loaded playbook takes",
            event_pattern=unserved_pattern(self._standards, self.action_arns(), if_loaded),
            state="ENABLED",
            targets=[self._outcome_queue.as_target()],
        )

    def _roles(self) -> None:
        """Fixed names: member accounts trust them. Rights on what is in nested stacks are given there."""
        queue = self._outcome_queue
        lists = [self._list_arn(which) for which in ("AutomaticAccounts", "ExcludedAccounts", "RemediationParameters")]
        self._role(
            "RepairRole",
            names.REPAIR_ROLE,
            "SHARR: playbook functions; may assume remediations' roles in member accounts",
            self._assumes("sharr-*"),
            {
                "Effect": "Allow",
                "Action": [f"dynamodb:{a}" for a in ("GetItem", "PutItem", "UpdateItem", "ConditionCheckItem")],
                "Resource": self._table_arn,
            },
            {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.arn},
            {"Effect": "Allow", "Action": ["securityhub:GetFindings", "securityhub:GetMembers"], "Resource": HUB},
            {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": lists},
        )
        self._role(
            "ObserveRole",
            names.OBSERVE_ROLE,
            "SHARR: outcome function and sweeper; may assume the reader in member accounts only",
            self._assumes(names.READER_ROLE),
            {
                "Effect": "Allow",
                "Action": [f"dynamodb:{a}" for a in ("GetItem", "BatchGetItem", "PutItem", "UpdateItem", "Query")],
                "Resource": [self._table_arn, self._index_arn],
            },
            {
                "Effect": "Allow",
                "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
                "Resource": [queue.arn, self._runbook_queue.arn],
            },
            {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.arn},
            {
                "Effect": "Allow",
                "Action": ["securityhub:BatchUpdateFindings", "securityhub:GetFindings"],
                "Resource": HUB,
            },
            {"Effect": "Allow", "Action": "sns:Publish", "Resource": ref("Topic")},
            {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": self._key_arn},
        )

    def _role(self, id: str, name: str | None, description: str, *statements: Json) -> iam.CfnRole:
        return iam.CfnRole(
            self,
            id,
            role_name=name,
            path=names.PATH,
            description=description,
            assume_role_policy_document=trusts("lambda.amazonaws.com"),
            policies=[iam.CfnRole.PolicyProperty(policy_name="rights", policy_document=policy(*statements))],
        )

    @staticmethod
    def _assumes(role: str) -> Json:
        """In every account of the organization; without one, in this account."""
        anywhere = arn("iam", f"role{names.PATH}{role}", region="", account="*")
        here = arn("iam", f"role{names.PATH}{role}", region="")
        return {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Resource": either("InOrganization", anywhere, here),
            "Condition": either(
                "InOrganization", {"StringEquals": {"aws:ResourceOrgID": ref("OrganizationId")}}, NO_VALUE
            ),
        }

    @staticmethod
    def _list_arn(id: str) -> Json:
        return arn("ssm", f"parameter/${{{id}List}}")

    def _custom_actions(self, code: Code, topic_arn: Json) -> None:
        """The buttons, by a custom resource that also refuses a wrong Region and controls that nobody repairs."""
        self._role(
            "CustomActionsRole",
            None,
            "SHARR: makes and deletes the custom actions of Security Hub",
            {
                "Effect": "Allow",
                "Action": [f"securityhub:{verb}ActionTarget" for verb in ("Create", "Update", "Delete")]
                + ["securityhub:DescribeActionTargets"],
                "Resource": HUB,
            },
            # IAM knows no resource of ListFindingAggregators.
            {"Effect": "Allow", "Action": "securityhub:ListFindingAggregators", "Resource": "*"},
        )
        function = Function(
            self,
            "CustomActions",
            code=code,
            handler="lambdas.custom_actions.handler.handler",
            description="SHARR: the buttons in the Security Hub console",
            role_arn=attribute("CustomActionsRole", "Arn"),
            environment={},
            retention_days=ref("LogRetentionDays"),
            topic_arn=topic_arn,
            seconds=SERVICE_SECONDS,
        )
        resource(
            self,
            "Buttons",
            "Custom::SHARRCustomActions",
            {
                "ServiceToken": function.arn,
                "ServiceTimeout": SERVICE_SECONDS,
                # The function knows them; here they have an update call it when a name changes.
                "Actions": [{"Id": action.id, "Name": action.name} for action in CUSTOM_ACTIONS],
                "AutomaticControls": {
                    s.name: either(self._loaded(s), ref(parameters.automatic(s))) for s in self._standards
                },
                "RemediationParameters": ref("RemediationParameters"),
                "RepairFindingsSince": ref("RepairFindingsSince"),
            },
        )

    @staticmethod
    def action_arns() -> list[Json]:
        """Return the ARNs of the buttons, which follow from their ids."""
        return [arn("securityhub", f"action/custom/{action.id}") for action in CUSTOM_ACTIONS]

    def served(self, standard: Standard) -> list[str]:
        """Return the controls of a standard that have a remediation, in the order of their ids."""
        every = {control for remediation in self._remediations for control in remediation.controls}
        return sorted((c for c in every if standard.serves(c)), key=_by_service_and_number)

    def _playbook(self, standard: Standard, code: Code, topic_arn: Json) -> Playbook:
        chosen = join(",", ref(parameters.automatic(standard)))
        first, *more = chunks(standard, self.served(standard))
        playbook = Playbook(
            self,
            standard,
            code=code,
            more=more,
            given={
                "AutomaticControls": either(self._takes_all(standard), ",".join(first), chosen) if first else "",
                "TakesAll": either(self._takes_all(standard), "yes", "no") if first else "no",
                "ActionArns": join(",", self.action_arns()),
                "AutomaticAccountsParameter": ref("AutomaticAccountsList"),
                "ExcludedAccountsParameter": ref("ExcludedAccountsList"),
                "RemediationParametersParameter": ref("RemediationParametersList"),
                **{name: ref(name) for name in ("RepairsPerHour", "RepairFindingsSince", "FirstRepairsOneByOne")},
                "ButtonRepairs": ref("ButtonRepairs"),
                "ExecutionMode": ref("ExecutionMode"),
                "OrganizationId": ref("OrganizationId"),
                "TableName": self._table_name,
                "OutcomeQueueUrl": self._outcome_queue.url,
                "TopicArn": topic_arn,
                "RepairRoleArn": attribute("RepairRole", "Arn"),
                "LogRetentionDays": ref("LogRetentionDays"),
                "MaximumConcurrency": ref("MaximumConcurrency"),
            },
        )
        self._on(self._loaded(standard), playbook.resource)
        # By their names only; and no repair by itself where the custom resource refused the lists.
        for needed in ("ObserveRole", "Buttons"):
            playbook.resource.node.add_dependency(self.node.find_child(needed))
        return playbook

    def _sweeper(self, code: Code, common: dict[str, Json], topic_arn: Json) -> Function:
        queues = [
            either(
                self._loaded(s),
                join("", [f'"{s.name}":"', attribute(f"Playbook{s.name}", "Outputs.QueueUrl"), '"']),
            )
            for s in self._standards
        ]
        sweeper = Function(
            self,
            "Sweeper",
            code=code,
            handler="lambdas.sweeper.handler.handler",
            description="SHARR: sends on what waited, and takes up what died",
            role_arn=attribute("ObserveRole", "Arn"),
            environment={
                **common,
                "PLAYBOOK_QUEUES": join("", ["{", join(",", queues), "}"]),
                "REPAIRS_PER_HOUR": ref("RepairsPerHour"),
                "FIRST_ONE_BY_ONE": ref("FirstRepairsOneByOne"),
            },
            retention_days=ref("LogRetentionDays"),
            topic_arn=topic_arn,
        )
        events.CfnRule(
            self,
            "EveryMinute",
            description="Runs the sweeper",
            schedule_expression="rate(1 minute)",
            state="ENABLED",
            # No dead-letter queue: the next minute does what this one did not.
            targets=[events.CfnRule.TargetProperty(id="Sweeper", arn=text(sweeper.arn))],
        )
        resource(
            self,
            "EveryMinuteInvokes",
            "AWS::Lambda::Permission",
            {
                "Action": "lambda:InvokeFunction",
                "FunctionName": sweeper.name,
                "Principal": "events.amazonaws.com",
                "SourceArn": attribute("EveryMinute", "Arn"),
            },
        )
        resource(
            self,
            "SweeperRetries",
            "AWS::Lambda::EventInvokeConfig",
            {
                "FunctionName": sweeper.name,
                "Qualifier": "$LATEST",
                "MaximumRetryAttempts": 0,
                "MaximumEventAgeInSeconds": 60,
            },
        )
        Alarm(
            self,
            "SweeperStopped",
            description="The sweeper did not run for ten minutes: nothing that waits goes on. Is the rule EveryMinute "
            "enabled, and its function there?",
            metrics=[Metric("AWS/Lambda", "Invocations", {"FunctionName": sweeper.name}, "Sum")],
            threshold=1,
            below=True,
            missing="breaching",
            period=300,
            periods=2,
            topic_arn=topic_arn,
        )
        return sweeper

    def _log_rights(self) -> None:
        """Log groups in nested stacks have names that begin with this stack's: no right waits for a nested stack."""
        for name, role, groups in (
            ("RepairLogs", ref("RepairRole"), arn("logs", "log-group:${AWS::StackName}-Playbook*:*")),
            ("ObserveLogs", ref("ObserveRole"), [attribute("OutcomeLog", "Arn"), attribute("SweeperLog", "Arn")]),
            ("CustomActionsLogs", ref("CustomActionsRole"), attribute("CustomActionsLog", "Arn")),
        ):
            iam.CfnPolicy(
                self, name, policy_name="logs", roles=[text(role)], policy_document=policy(writes_logs(groups))
            )
        # What it says has to be seen. And it refuses before there is a table that a rollback would leave behind.
        self._table_resource.node.add_dependency(self.node.find_child("Buttons"))
        self.node.find_child("Buttons").node.add_dependency(self.node.find_child("CustomActionsLogs"))

    # -------------------------------------------------------------------------------------------------- to be looked at
    def _dashboard(self, playbooks: Sequence[Playbook], functions: Sequence[Function]) -> None:
        def of_playbooks(output: str) -> list[tuple[str | None, Json]]:
            return [(self._loaded(s), attribute(f"Playbook{s.name}", f"Outputs.{output}")) for s in self._standards]

        queues = (self._outcome_queue, self._runbook_queue)
        cloudwatch.CfnDashboard(
            self,
            "Dashboard",
            dashboard_body=text(
                dashboard.body(
                    [*((None, queue.name) for queue in queues), *of_playbooks("QueueName")],
                    [
                        *((None, name) for queue in queues for name in queue.dead_names),
                        *of_playbooks("DeadName"),
                        *of_playbooks("EventsDeadName"),
                    ],
                    [*((None, f.name) for f in functions), *of_playbooks("FunctionName")],
                )
            ),
        )

    def _outputs(self, outcome: Function) -> None:
        outputs: dict[str, tuple[Json, str]] = {
            "TopicArn": (ref("Topic"), "Outcomes and alarms"),
            "TableName": (self._table_name, "Attempts, holds, undo; kept when the stack is deleted"),
            "OutcomeLogGroup": (outcome.log_name, "One JSON line per outcome"),
            "RepairRoleArn": (attribute("RepairRole", "Arn"), "Trusted by the remediations' roles"),
            "ObserveRoleArn": (attribute("ObserveRole", "Arn"), "Trusted by the reader in member accounts"),
            "CustomActionArns": (join(",", self.action_arns()), "The buttons"),
            "EventBusArn": (attribute("EventBus", "Arn"), "Takes the ends of runbooks from member accounts"),
            "DashboardName": (ref("Dashboard"), "In CloudWatch"),
        }
        in_its_branch = "The output TableName refers to the table in the branch of a Fn::If in which it is made"
        Validations.of(self).acknowledge(Acknowledgment(id="CloudFormation-Validate::W1001", reason=in_its_branch))
        for name, (value, about) in outputs.items():
            CfnOutput(self, f"{name}Output", value=text(value), description=about).override_logical_id(name)


def _by_service_and_number(control: str) -> tuple[str, int]:
    service, number = control.split(".")
    return service, int(number)
