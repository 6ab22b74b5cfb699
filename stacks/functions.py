"""A Lambda function of ours: one runtime, one zip, JSON logs in a log group of its own, and its alarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import CfnDeletionPolicy, CfnResource
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks import names
from stacks.alarms import Alarm, Metric
from stacks.intrinsics import ACCOUNT, REGION, Json, attribute, number, ref

RUNTIME: Final = "python3.14"
"""The newest that CDK offers; the code itself needs 3.11."""
ARCHITECTURE: Final = "arm64"
MEMORY_MB: Final = 512
"""
CPU comes with memory, and reading botocore's models is all CPU: below this a cold start takes several seconds, and what
is saved on memory is paid in time.
"""
SECONDS: Final = 120
"""A look takes one or two seconds, a batch has five; the rest is for resources that settle slowly."""
VISIBILITY_SECONDS: Final = 6 * SECONDS
"""
Six times the time-out; a queue whose reader has a batching window adds it.
Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""


@dataclass(frozen=True, slots=True)
class Code:
    """The zip as CloudFormation finds it."""

    bucket: str
    key: str


class Function(Construct):
    """
    A function and its log group.

    *environment* comes on top of what every function has. *keeps_log* is for the log group that is a record.
    Logical ids: `<id>Function`, `<id>Log`, `<id>Trouble`.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        code: Code,
        handler: str,
        description: str,
        role_arn: Json,
        environment: Mapping[str, Json],
        retention_days: Json,
        topic_arn: Json,
        seconds: int = SECONDS,
        keeps_log: bool = False,
    ) -> None:
        super().__init__(scope, id)
        self.log = logs.CfnLogGroup(self, "Log", retention_in_days=number(retention_days))
        self.log.override_logical_id(f"{id}Log")
        if keeps_log:
            self.log.cfn_options.deletion_policy = CfnDeletionPolicy.RETAIN_EXCEPT_ON_CREATE
            self.log.cfn_options.update_replace_policy = CfnDeletionPolicy.RETAIN
        self.function = resource(
            self,
            "Function",
            "AWS::Lambda::Function",
            {
                "Code": {"S3Bucket": code.bucket, "S3Key": code.key},
                "Role": role_arn,
                "Handler": handler,
                "Runtime": RUNTIME,
                "Architectures": [ARCHITECTURE],
                "Timeout": seconds,
                "MemorySize": MEMORY_MB,
                "Description": description,
                "Environment": {"Variables": {**self._common(id), **environment}},
                "LoggingConfig": {
                    "LogFormat": "JSON",
                    "ApplicationLogLevel": "INFO",
                    "SystemLogLevel": "WARN",
                    "LogGroup": ref(f"{id}Log"),
                },
                "Tags": [{"Key": "sharr", "Value": id.lower()}],
            },
        )
        self.function.override_logical_id(f"{id}Function")
        self.name = ref(f"{id}Function")
        self.arn = attribute(f"{id}Function", "Arn")
        self.log_name = ref(f"{id}Log")
        self.alarm = Alarm(
            scope,
            f"{id}Trouble",
            description=f"{description} fails or is throttled. Look into its log group; a message that failed three "
            "times is in the dead-letter queue.",
            metrics=[
                Metric("AWS/Lambda", "Errors", {"FunctionName": self.name}, "Sum"),
                Metric("AWS/Lambda", "Throttles", {"FunctionName": self.name}, "Sum"),
            ],
            threshold=1,
            # One error may be one throttled call that the next receive gets over.
            periods=3,
            topic_arn=topic_arn,
        )

    @staticmethod
    def _common(id: str) -> dict[str, Json]:
        return {
            "ADMIN_ACCOUNT": ACCOUNT,
            "HOME_REGION": REGION,
            "LOG_LEVEL": "INFO",
            "POWERTOOLS_SERVICE_NAME": id.lower(),
            "POWERTOOLS_METRICS_NAMESPACE": names.METRICS,
        }

    def reads_from(
        self,
        scope: Construct,
        queue_arn: Json,
        *,
        batch: int,
        concurrency: Json,
        after: Sequence[Construct],
        window: int = 0,
        id: str = "",
    ) -> None:
        """
        Have the function read from a queue once what it needs (*after*: its policy) is there.

        A batch of more than ten waits for *window* seconds at most until it is full. *id* parts a second queue.
        """
        mapping = resource(
            scope,
            f"{self.node.id}Reads{id}",
            "AWS::Lambda::EventSourceMapping",
            {
                "FunctionName": self.name,
                "EventSourceArn": queue_arn,
                "BatchSize": batch,
                **({"MaximumBatchingWindowInSeconds": window} if window else {}),
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "ScalingConfig": {"MaximumConcurrency": concurrency},
            },
        )
        for needed in after:
            mapping.node.add_dependency(needed)


def resource(scope: Construct, id: str, type: str, properties: Mapping[str, Json]) -> CfnResource:
    """
    Return a resource of AWS Lambda.

    Without aws_cdk.aws_lambda: that module imports EC2 and more, which takes as long as all the rest of a synth. That
    names and types of properties are right is seen by cfn-lint, by cdk-nag on the template, and by the sandbox.
    """
    return CfnResource(scope, id, type=type, properties=dict(properties))


def writes_logs(log_group_arns: Json) -> Json:
    """Return the statement that lets a role write to log groups; *log_group_arns* end in `:*`."""
    return {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": log_group_arns,
    }


def trusts(service: str) -> Json:
    """Return a trust policy for a service that assumes the role for resources of its own account only."""
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }


def policy(*statements: Json) -> Json:
    """Return a policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}
