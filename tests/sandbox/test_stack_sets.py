"""StackSets with service-managed permissions, and stacks from buckets, as AWS's pages (named in each test) say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.cloudformation import DeployError
from sandbox.endpoint import make_administrator
from sandbox.identity import client_with
from sandbox.local import ADMINISTRATOR_ROLE
from sandbox.ports import Credentials
from sandbox.stack_sets import PRINCIPAL, no_assets
from sandbox.world import Sandbox

MANAGEMENT, ADMIN, HOME, ELSEWHERE = "100000000001", "111111111111", "us-east-1", "eu-west-1"
ONE, TWO, THREE = "222222222222", "333333333333", "444444444444"
QUEUE = {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "of-the-set"}}}}
ROLE = {
    "Resources": {
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": "named",
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                },
            },
        }
    }
}
NESTED = {
    "Resources": {
        "Below": {
            "Type": "AWS::CloudFormation::Stack",
            "Properties": {"TemplateURL": "https://bucket.s3.us-east-1.amazonaws.com/t.json"},
        }
    }
}


class Place:
    """An organization with a unit that has two accounts, and a set to be made in it."""

    def __init__(self, world: Sandbox, *, trusted: bool = True) -> None:
        self.world = world
        self.organizations = world.identity.client("organizations", MANAGEMENT, HOME)
        self.root = self.organizations.list_roots()["Roots"][0]["Id"]
        self.unit = self.new_unit(self.root, "unit")
        for account in (ONE, TWO):
            self.move(account, self.root, self.unit)
        if trusted:
            world.identity.client("cloudformation", MANAGEMENT, HOME).activate_organizations_access()

    def new_unit(self, parent: str, name: str) -> str:
        made = self.organizations.create_organizational_unit(ParentId=parent, Name=name)
        return str(made["OrganizationalUnit"]["Id"])

    def move(self, account: str, source: str, destination: str) -> None:
        self.organizations.move_account(AccountId=account, SourceParentId=source, DestinationParentId=destination)
        self.world.run()

    def properties(self, template: dict[str, Any] = QUEUE, **changes: Any) -> dict[str, Any]:
        made = {
            "StackSetName": "set",
            "PermissionModel": "SERVICE_MANAGED",
            "TemplateBody": json.dumps(template),
            "AutoDeployment": {"Enabled": True, "RetainStacksOnAccountRemoval": False},
            "StackInstancesGroup": [
                {"DeploymentTargets": {"OrganizationalUnitIds": [self.unit]}, "Regions": [HOME, ELSEWHERE]}
            ],
            **changes,
        }
        return {key: value for key, value in made.items() if value is not None}

    def create(self, properties: dict[str, Any], account: str = MANAGEMENT, name: str = "rollout") -> dict[str, Any]:
        client = self.as_role(account, "cloudformation")
        client.create_stack(StackName=name, TemplateBody=rollout(properties))
        return dict(client.describe_stacks(StackName=name)["Stacks"][0])

    def update(self, properties: dict[str, Any]) -> dict[str, Any]:
        client = self.as_role(MANAGEMENT, "cloudformation")
        client.update_stack(StackName="rollout", TemplateBody=rollout(properties))
        return dict(client.describe_stacks(StackName="rollout")["Stacks"][0])

    def as_role(self, account: str, service: str, region: str = HOME) -> Any:
        roles = self.world.identity.client("iam", account, HOME).list_roles()["Roles"]
        if ADMINISTRATOR_ROLE not in {role["RoleName"] for role in roles}:
            make_administrator(self.world, account)
        arn = f"arn:aws:iam::{account}:role/{ADMINISTRATOR_ROLE}"
        sts = self.world.identity.client("sts", ADMIN, HOME)
        found = sts.assume_role(RoleArn=arn, RoleSessionName="deployer")["Credentials"]
        credentials = Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
        return client_with(credentials, service, region)

    def queues(self) -> set[tuple[str, str]]:
        """Return where the queue of the set is."""
        return {
            (account, region)
            for account in self.world.organization.accounts
            for region in (HOME, ELSEWHERE)
            if self.world.identity.client("sqs", account, region)
            .list_queues(QueueNamePrefix="of-the-set")
            .get("QueueUrls")
        }

    def instances(self) -> dict[tuple[str, str], str]:
        client = self.world.identity.client("cloudformation", MANAGEMENT, HOME)
        found = client.list_stack_instances(StackSetName="set")["Summaries"]
        return {(one["Account"], one["Region"]): one["Status"] for one in found}


def rollout(properties: dict[str, Any]) -> str:
    return json.dumps({"Resources": {"Set": {"Type": "AWS::CloudFormation::StackSet", "Properties": properties}}})


def everywhere(*accounts: str) -> set[tuple[str, str]]:
    return {(account, region) for account in accounts for region in (HOME, ELSEWHERE)}


@pytest.fixture
def place() -> Iterator[Place]:
    with Sandbox() as world:
        yield Place(world)


def test_it_deploys_to_the_accounts_of_the_unit_and_of_those_below(place: Place) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-associate-stackset-with-org.html"""
    place.move(THREE, place.root, place.new_unit(place.unit, "below"))

    assert place.create(place.properties())["StackStatus"] == "CREATE_COMPLETE"

    assert place.queues() == everywhere(ONE, TWO, THREE)
    assert place.instances() == dict.fromkeys(everywhere(ONE, TWO, THREE), "CURRENT")


def test_it_never_deploys_to_the_management_account(place: Place) -> None:
    """The same page: also where that is in the unit, or the root is the target."""
    root = [{"DeploymentTargets": {"OrganizationalUnitIds": [place.root]}, "Regions": [HOME]}]

    place.create(place.properties(StackInstancesGroup=root))

    assert place.queues() == {(account, HOME) for account in (ADMIN, ONE, TWO, THREE)}


@pytest.mark.parametrize("retains", [False, True])
def test_accounts_that_come_and_go(place: Place, retains: bool) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-manage-auto-deployment.html"""
    automatic = {"Enabled": True, "RetainStacksOnAccountRemoval": retains}
    place.create(place.properties(AutoDeployment=automatic))
    place.move(THREE, place.root, place.unit)
    assert place.queues() == everywhere(ONE, TWO, THREE)

    place.move(TWO, place.unit, place.root)

    assert place.queues() == (everywhere(ONE, TWO, THREE) if retains else everywhere(ONE, THREE))
    assert place.instances().keys() == everywhere(ONE, THREE)


def test_without_auto_deployment_nothing_comes_by_itself(place: Place) -> None:
    place.create(place.properties(AutoDeployment={"Enabled": False}))
    place.move(THREE, place.root, place.unit)

    assert place.queues() == everywhere(ONE, TWO)


def test_what_a_set_waits_for_is_deployed_first_to_a_new_account(place: Place) -> None:
    """.../TemplateReference/aws-properties-cloudformation-stackset-autodeployment.html"""
    place.create(place.properties(StackSetName="second-by-name"), name="a")
    first = place.world.cloudformation.stack_sets.sets["second-by-name"].arn
    topic = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "after"}}}}
    automatic = {"Enabled": True, "RetainStacksOnAccountRemoval": False, "DependsOn": [first]}
    place.create(place.properties(topic, StackSetName="first-by-name", AutoDeployment=automatic), name="b")
    start = len(place.world.identity.calls)

    place.move(THREE, place.root, place.unit)

    made = [c.operation for c in place.world.identity.calls[start:] if c.operation in ("CreateQueue", "CreateTopic")]
    assert made == ["CreateQueue", "CreateQueue", "CreateTopic", "CreateTopic"]


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("another account", ADMIN, {}, "must be the management account or delegated admin"),
    (
        "a delegated administrator who is none",
        ADMIN,
        {"CallAs": "DELEGATED_ADMIN"},
        "must be the management account",
    ),
    ("nesting", MANAGEMENT, {"TemplateBody": json.dumps(NESTED)}, "do not take templates with nested stacks"),
    (
        "a transform",
        MANAGEMENT,
        {"TemplateBody": json.dumps({"Transform": "AWS::Serverless-2016-10-31", **QUEUE})},
        "Transform",
    ),
    ("named roles", MANAGEMENT, {"TemplateBody": json.dumps(ROLE)}, r"\[CAPABILITY_NAMED_IAM\]"),
    ("two templates", MANAGEMENT, {"TemplateURL": "https://b.s3.us-east-1.amazonaws.com/k"}, "not both"),
    (
        "no permission model",
        MANAGEMENT,
        {"PermissionModel": "SELF_MANAGED"},
        "sandbox: only StackSets",
    ),
    (
        "a unit that is not there",
        MANAGEMENT,
        {
            "StackInstancesGroup": [
                {"DeploymentTargets": {"OrganizationalUnitIds": ["ou-abcd-12345678"]}, "Regions": [HOME]}
            ]
        },
        "organizational unit ou-abcd-12345678",
    ),
]


def test_what_is_refused(place: Place) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-associate-stackset-with-org.html"""
    for number, (case, account, changes, said) in enumerate(REFUSED):
        stack = place.create(place.properties(**changes), account, f"refused-{number}")

        assert stack["StackStatus"] == "ROLLBACK_COMPLETE", case
        assert re.search(said, stack["StackStatusReason"]), (case, stack["StackStatusReason"])
        assert place.queues() == set(), case
        assert place.world.cloudformation.stack_sets.sets == {}, case


def test_a_large_template_is_taken_from_s3_only(place: Place) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""
    large = {"Metadata": {"x": "x" * 51_200}, **QUEUE}
    bucket(place, MANAGEMENT, None, top=large)
    url = "https://templates-here.s3.us-east-1.amazonaws.com/top.json"

    text = rollout(place.properties(large))

    with pytest.raises(DeployError, match="more than 51200"):
        place.world.cloudformation.create("x", text, MANAGEMENT, HOME, {}, no_assets)
    with pytest.raises(ClientError, match="templateBody"):
        place.as_role(ONE, "cloudformation").create_stack(StackName="x", TemplateBody=json.dumps(large))
    assert place.create(place.properties(TemplateBody=None, TemplateURL=url))["StackStatus"] == "CREATE_COMPLETE"


def test_stack_sets_may_not_look_at_the_organization_until_they_are_let() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-activate-trusted-access.html"""
    with Sandbox() as world:
        place = Place(world, trusted=False)
        reason = place.create(place.properties())["StackStatusReason"]
        with pytest.raises(ClientError, match="InvalidOperation"):
            world.identity.client("cloudformation", ONE, HOME).activate_organizations_access()

    assert "You must enable organizations access" in reason


def test_a_delegated_administrator_deploys_too(place: Place) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stacksets-orgs-delegated-admin.html"""
    place.organizations.register_delegated_administrator(AccountId=ADMIN, ServicePrincipal=PRINCIPAL)

    stack = place.create(place.properties(CallAs="DELEGATED_ADMIN"), ADMIN)

    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    assert place.queues() == everywhere(ONE, TWO)
    (made,) = place.world.cloudformation.stack_sets.sets.values()
    assert made.arn.split(":")[4] == MANAGEMENT, "the sets of a delegated administrator are the management account's"


def test_an_update_reaches_every_stack_and_a_delete_takes_all_away(place: Place) -> None:
    place.create(place.properties())
    other = json.loads(json.dumps(QUEUE))
    other["Resources"]["Queue"]["Properties"]["VisibilityTimeout"] = 77
    place.update(place.properties(other))
    seen = set()
    for account, region in everywhere(ONE, TWO):
        sqs = place.world.identity.client("sqs", account, region)
        url = sqs.get_queue_url(QueueName="of-the-set")["QueueUrl"]
        seen.add(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["VisibilityTimeout"])
    assert seen == {"77"}
    fewer = [{"DeploymentTargets": {"OrganizationalUnitIds": [place.unit]}, "Regions": [HOME]}]
    place.update(place.properties(other, StackInstancesGroup=fewer))
    assert place.queues() == {(ONE, HOME), (TWO, HOME)}

    place.as_role(MANAGEMENT, "cloudformation").delete_stack(StackName="rollout")

    assert place.queues() == set()


@pytest.mark.parametrize(("tolerance", "status"), [(0, "ROLLBACK_COMPLETE"), (50, "CREATE_COMPLETE")])
def test_a_stack_that_fails_is_tolerated_as_the_preferences_say(place: Place, tolerance: int, status: str) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stackset-ops-options.html"""
    place.world.identity.client("sqs", ONE, HOME).create_queue(QueueName="of-the-set")
    home = [{"DeploymentTargets": {"OrganizationalUnitIds": [place.unit]}, "Regions": [HOME]}]
    given: dict[str, Any] = {
        "OperationPreferences": {"FailureTolerancePercentage": tolerance},
        "StackInstancesGroup": home,
    }

    assert place.create(place.properties(**given))["StackStatus"] == status

    if tolerance:
        assert place.instances() == {(ONE, HOME): "OUTDATED", (TWO, HOME): "CURRENT"}
    assert [hop.kind for hop in place.world.troubles] == ["stack set"]


# --------------------------------------------------------------------------------------------------- stacks by a URL
def bucket(place: Place, account: str, policy: dict[str, Any] | None, **contents: Any) -> None:
    s3 = place.world.identity.client("s3", account, HOME)
    s3.create_bucket(Bucket="templates-here")
    if policy is not None:
        document = {"Version": "2012-10-17", "Statement": [policy]}
        s3.put_bucket_policy(Bucket="templates-here", Policy=json.dumps(document))
    for key, content in contents.items():
        s3.put_object(Bucket="templates-here", Key=f"{key}.json", Body=json.dumps(content).encode())


READ = {
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::templates-here/*",
    "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-sandbox0001"}},
}


@pytest.mark.parametrize(
    ("case", "policy", "status"),
    [
        ("the organization may read", READ, "CREATE_COMPLETE"),
        (
            "another one may",
            {**READ, "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-another00001"}}},
            "denied",
        ),
        ("nobody may", None, "denied"),
    ],
)
@pytest.mark.parametrize(
    "url", ["https://templates-here.s3.us-east-1.amazonaws.com/", "https://s3.us-east-1.amazonaws.com/templates-here/"]
)
def test_a_template_is_read_with_the_rights_of_who_deploys(
    place: Place, case: str, policy: dict[str, Any] | None, status: str, url: str
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html: TemplateURL"""
    bucket(place, ADMIN, policy, top=QUEUE)
    client = place.as_role(ONE, "cloudformation")

    if status == "denied":
        with pytest.raises(ClientError, match="S3 error: AccessDenied"):
            client.create_stack(StackName="of-a-url", TemplateURL=f"{url}top.json")
        assert client.describe_stacks()["Stacks"] == []
    else:
        client.create_stack(StackName="of-a-url", TemplateURL=f"{url}top.json")
        (stack,) = client.describe_stacks(StackName="of-a-url")["Stacks"]
        assert stack["StackStatus"] == status


def test_a_stack_that_fails_stays_until_it_is_deleted(place: Place) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html: ROLLBACK_COMPLETE"""
    place.world.identity.client("sqs", ONE, HOME).create_queue(QueueName="of-the-set")
    client = place.as_role(ONE, "cloudformation")
    client.create_stack(StackName="x", TemplateBody=json.dumps(QUEUE))
    (stack,) = client.describe_stacks(StackName="x")["Stacks"]

    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "already exists" in stack["StackStatusReason"]
    with pytest.raises(ClientError, match="ROLLBACK_COMPLETE state and can not be updated"):
        client.update_stack(StackName="x", TemplateBody=json.dumps({**QUEUE, "Description": "other"}))
    with pytest.raises(ClientError, match="AlreadyExists"):
        client.create_stack(StackName="x", TemplateBody=json.dumps(QUEUE))
    client.delete_stack(StackName="x")
    client.delete_stack(StackName="x")
    assert client.describe_stacks()["Stacks"] == []


def test_an_update_keeps_what_it_is_told_to(place: Place) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_Parameter.html: UsePreviousValue"""
    template = {
        "Parameters": {"A": {"Type": "String", "Default": "a"}, "B": {"Type": "String", "Default": "b"}},
        "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"Both": {"Value": {"Fn::Sub": "${A}${B}"}}},
    }
    client = place.as_role(ONE, "cloudformation")
    given = [{"ParameterKey": "A", "ParameterValue": "1"}, {"ParameterKey": "B", "ParameterValue": "2"}]
    client.create_stack(StackName="x", TemplateBody=json.dumps(template), Parameters=given)

    client.update_stack(
        StackName="x",
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": "A", "UsePreviousValue": True}],
    )

    (output,) = client.describe_stacks(StackName="x")["Stacks"][0]["Outputs"]
    assert output["OutputValue"] == "1b"
    with pytest.raises(ClientError, match="No updates are to be performed"):
        client.update_stack(
            StackName="x",
            UsePreviousTemplate=True,
            Parameters=[{"ParameterKey": "A", "UsePreviousValue": True}],
        )


def test_a_function_takes_code_from_its_own_region_only(place: Place) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCode.html: S3Bucket"""
    template = {
        "Resources": {
            **ROLE["Resources"],
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"S3Bucket": "templates-here", "S3Key": "top.json"},
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                    "Runtime": "python3.12",
                    "Handler": "x.y",
                },
            },
        }
    }
    bucket(place, ADMIN, READ, top=QUEUE)
    client = place.as_role(ONE, "cloudformation", ELSEWHERE)

    client.create_stack(StackName="x", TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"])

    reason = client.describe_stacks(StackName="x")["Stacks"][0]["StackStatusReason"]
    assert "The bucket is in us-east-1" in reason


def test_named_roles_need_to_be_acknowledged(place: Place) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html: Capabilities"""
    client = place.as_role(ONE, "cloudformation")

    with pytest.raises(ClientError, match="InsufficientCapabilities"):
        client.create_stack(StackName="x", TemplateBody=json.dumps(ROLE), Capabilities=["CAPABILITY_IAM"])
