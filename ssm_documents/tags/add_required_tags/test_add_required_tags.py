"""Tags that a control asks for: added with the user's values, none changed, on whatever type the control is about."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import jmespath
import pytest
from policy_sentry.querying.arns import get_arn_type_details

from sandbox.additions import tagging
from sharr.loader import DOCUMENTS
from sharr.runtime.contract import CannotRepair
from sharr.scripts import load_script
from sharr.standards import load_standards
from sharr.targets import NotATarget
from tests.harness import Bench, Case, bench, remediation_of

ID = "tags/add_required_tags"
REQUIRED = {"requiredTagKeys": ["Owner", "CostCenter"]}
VALUES = {"values": "Owner=platform,CostCenter=4711"}
NOT_SERVED = {"Batch.4", "CloudFormation.2", "ElasticBeanstalk.4", "IoTEvents.1", "IoTEvents.2", "IoTEvents.3"}
# Control -> the service's and the resource's name in the Service Authorization Reference, which knows the ARN.
NAMED = """
ACM.3 acm certificate|Amplify.1 amplify apps|Amplify.2 amplify branches|AppConfig.1 appconfig application
AppConfig.2 appconfig configurationprofile|AppConfig.3 appconfig environment
AppConfig.4 appconfig extensionassociation|AppFlow.1 appflow flow|AppRunner.1 apprunner service
AppRunner.2 apprunner vpcconnector|Athena.2 athena datacatalog|Athena.3 athena workgroup
AutoScaling.10 autoscaling autoScalingGroup|Backup.3 backup backupVault|Backup.4 backup reportPlan
Backup.5 backup backupPlan|Batch.1 batch job-queue|Batch.2 batch scheduling-policy|Batch.3 batch compute-environment
CloudFront.14 cloudfront distribution|CloudTrail.9 cloudtrail trail|CodeArtifact.1 codeartifact repository
CodeGuruProfiler.1 codeguru-profiler ProfilingGroup|CodeGuruReviewer.1 codeguru-reviewer association
Connect.1 profile object-types|DataSync.2 datasync task|Detective.1 detective Graph|DMS.2 dms Certificate
DMS.3 dms EventSubscription|DMS.4 dms ReplicationInstance|DMS.5 dms ReplicationSubnetGroup|DynamoDB.5 dynamodb table
EC2.33 ec2 transit-gateway-attachment|EC2.34 ec2 transit-gateway-route-table|EC2.35 ec2 network-interface
EC2.36 ec2 customer-gateway|EC2.37 ec2 elastic-ip|EC2.38 ec2 instance|EC2.39 ec2 internet-gateway|EC2.40 ec2 natgateway
EC2.41 ec2 network-acl|EC2.42 ec2 route-table|EC2.43 ec2 security-group|EC2.44 ec2 subnet|EC2.45 ec2 volume
EC2.46 ec2 vpc|EC2.47 ec2 vpc-endpoint-service|EC2.48 ec2 vpc-flow-log|EC2.49 ec2 vpc-peering-connection
EC2.50 ec2 vpn-gateway|EC2.52 ec2 transit-gateway|EC2.174 ec2 dhcp-options|EC2.175 ec2 launch-template
EC2.176 ec2 prefix-list|EC2.177 ec2 traffic-mirror-session|EC2.178 ec2 traffic-mirror-filter
EC2.179 ec2 traffic-mirror-target|ECR.4 ecr-public repository|ECS.13 ecs service|ECS.14 ecs cluster
ECS.15 ecs task-definition|EFS.5 elasticfilesystem access-point|EKS.6 eks cluster|EKS.7 eks identityproviderconfig
ES.9 es domain|EventBridge.2 events event-bus|FraudDetector.1 frauddetector entity-type
FraudDetector.2 frauddetector label
FraudDetector.3 frauddetector outcome|FraudDetector.4 frauddetector variable
GlobalAccelerator.1 globalaccelerator accelerator|Glue.1 glue job|GuardDuty.2 guardduty filter
GuardDuty.3 guardduty ipset
GuardDuty.4 guardduty detector|IAM.23 access-analyzer Analyzer|IAM.24 iam role|IAM.25 iam user|IoT.1 iot securityprofile
IoT.2 iot mitigationaction|IoT.3 iot dimension|IoT.4 iot authorizer|IoT.5 iot rolealias|IoT.6 iot policy
IoTSiteWise.1 iotsitewise asset-model|IoTSiteWise.2 iotsitewise dashboard|IoTSiteWise.3 iotsitewise gateway
IoTSiteWise.4 iotsitewise portal|IoTSiteWise.5 iotsitewise project|IoTTwinMaker.1 iottwinmaker syncJob
IoTTwinMaker.2 iottwinmaker workspace|IoTTwinMaker.3 iottwinmaker scene|IoTTwinMaker.4 iottwinmaker entity
IoTWireless.1 iotwireless MulticastGroup|IoTWireless.2 iotwireless ServiceProfile|IoTWireless.3 iotwireless FuotaTask
IVS.1 ivs Playback-Key-Pair|IVS.2 ivs Recording-Configuration|IVS.3 ivs Channel|Keyspaces.1 cassandra keyspace
Kinesis.2 kinesis stream|Lambda.6 lambda function|MQ.4 mq brokers|NetworkFirewall.7 network-firewall Firewall
NetworkFirewall.8 network-firewall FirewallPolicy|Opensearch.9 es domain|PCA.2 acm-pca certificate-authority
RDS.28 rds cluster|RDS.29 rds cluster-snapshot|RDS.30 rds db|RDS.31 rds secgrp|RDS.32 rds snapshot|RDS.33 rds subgrp
Redshift.11 redshift cluster|Redshift.12 redshift eventsubscription|Redshift.13 redshift snapshot
Redshift.14 redshift subnetgroup|Redshift.17 redshift parametergroup|Route53.1 route53 healthcheck
SageMaker.6 sagemaker app-image-config|SageMaker.7 sagemaker image|SecretsManager.5 secretsmanager Secret
SES.1 ses contact-list|SES.2 ses configuration-set|SNS.3 sns topic|SQS.2 sqs queue|SSM.5 ssm document
StepFunctions.2 states activity|Transfer.1 transfer workflow|Transfer.4 transfer agreement
Transfer.5 transfer certificate|Transfer.6 transfer connector|Transfer.7 transfer profile
"""
PLACES = {
    line.split(" ")[0]: (line.split(" ")[1], line.split(" ")[2]) for line in NAMED.replace("\n", "|").split("|") if line
}
# Two that the reference gives in another form: recovery points have their own service's, GraphQL APIs are there twice.
FORMS = {
    "Backup.2": "arn:aws:backup:{region}:{account}:recovery-point:11111111-2222-3333-4444-555555555555",
    "AppSync.4": "arn:aws:appsync:{region}:{account}:apis/abcdefghijklmnopqrstuvwxyz",
}


def example(control: str, region: str, account: str) -> str:
    """Return an ARN of the control's type."""
    if control in FORMS:
        return FORMS[control].format(region=region, account=account)
    raw = get_arn_type_details(*PLACES[control])["raw_arn"]
    known = {"Partition": "aws", "Region": region, "Account": account, "AccountId": account}
    text = re.sub(r"\$\{([A-Za-z]+)\}", lambda m: known.get(m[1], f"{m[1].lower()}-1"), raw)
    return text.replace("*", "ABCDEFGH")


def has(*keys: str) -> Callable[[Bench, str], bool]:
    """The control's predicate: all keys are there, or any key of the owner's where none is required."""

    def passes(b: Bench, arn: str) -> bool:
        own = {key for key in tags_of(b, arn) if not key.startswith("aws:")}
        return own >= set(keys) if keys else bool(own)

    return passes


def tags_of(b: Bench, arn: str) -> dict[str, str]:
    """Read the tags without the remediation's code."""
    service, path = arn.split(":")[2], arn.split(":", 5)[5]
    if arn in tagging.state(b.account).enlisted:
        return dict(tagging.state(b.account).enlisted[arn])
    if service == "iam":
        iam, kind = b.client("iam"), path.split("/")[0]
        found = getattr(iam, f"list_{kind}_tags")(**{f"{kind.title()}Name": path.split("/")[-1]})["Tags"]
    elif service == "autoscaling":
        name = path.split("autoScalingGroupName/")[1]
        found = b.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        found = found["AutoScalingGroups"][0]["Tags"]
    elif service == "dynamodb":
        found = b.client("dynamodb").list_tags_of_resource(ResourceArn=arn)["Tags"]
    else:
        found = b.client("sns").list_tags_for_resource(ResourceArn=arn)["Tags"]
    return {tag["Key"]: tag["Value"] for tag in found}


def table(b: Bench) -> str:
    made = b.client("dynamodb").create_table(
        TableName="name-for-dynamodb-5",
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=[{"Key": "Owner", "Value": "payments"}, {"Key": "team", "Value": "a"}],
    )
    return str(made["TableDescription"]["TableArn"])


def topic(b: Bench) -> str:
    return str(b.client("sns").create_topic(Name="name-for-sns-3")["TopicArn"])


def role(b: Bench) -> str:
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    made = b.client("iam").create_role(
        RoleName="name-for-iam-24",
        Path="/team/payments/",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        Tags=[{"Key": "CostCenter", "Value": "1"}],
    )
    return str(made["Role"]["Arn"])


def user(b: Bench) -> str:
    return str(b.client("iam").create_user(UserName="name-for-iam-25")["User"]["Arn"])


def group(b: Bench) -> str:
    autoscaling = b.client("autoscaling")
    image = b.client("ec2").describe_images()["Images"]
    name = "name-for-autoscaling-10"
    autoscaling.create_launch_configuration(
        LaunchConfigurationName=name,
        ImageId=image[0]["ImageId"] if image else "ami-12c6146b",
        InstanceType="t3.micro",
    )
    zone = f"{b.region}a"
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name, LaunchConfigurationName=name, MinSize=0, MaxSize=0, AvailabilityZones=[zone]
    )
    found = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return str(found[0]["AutoScalingGroupARN"])


def listed(control: str, **tags: str) -> Callable[[Bench], str]:
    """A resource of a type that moto does not have: the Tagging API alone shows it."""
    return lambda b: tagging.enlist(b.account, example(control, b.region, b.account), tags)


REAL = {"AutoScaling.10", "DynamoDB.5", "IAM.24", "IAM.25", "SNS.3"}
CASES = [
    Case("DynamoDB.5", "a table with one of two keys", table, has("Owner", "CostCenter"), REQUIRED, VALUES),
    Case("SNS.3", "a topic without a tag, and no key required", topic, has(), settings=VALUES),
    Case(
        "IAM.24", "a role with a path", role, has("Owner", "CostCenter"), {"requiredKeyTags": ["Owner", "CostCenter"]},
        {"values": "Owner=platform", "otherValue": "unknown"},
    ),
    Case("IAM.25", "a user", user, has("Owner", "CostCenter"), REQUIRED, VALUES),
    Case("AutoScaling.10", "a group", group, has("Owner", "CostCenter"), REQUIRED, VALUES),
    Case("CloudFront.14", "a global resource", listed("CloudFront.14"), has("Owner", "CostCenter"), REQUIRED, VALUES),
    *[
        Case(control, "its ARN", listed(control, team="a"), has("Owner", "CostCenter"), REQUIRED, VALUES, swept=False)
        for control in [*PLACES, *FORMS]
        if control not in REAL
    ],
]  # fmt: skip


def script() -> Any:
    return load_script(DOCUMENTS / "tags" / "add_required_tags" / "script.py")


def target(arn: str = "arn:aws:sns:us-east-1:222222222222:t", control: str = "SNS.3", **parameters: Any) -> Any:
    parts = arn.split(":", 5)
    return {
        "partition": "aws",
        "account": "222222222222",
        "region": "us-east-1",
        "control": control,
        "resource": {"id": arn, "type": "x", "service": parts[2], "path": parts[5]},
        "parameters": {"requiredTagKeys": [], "values": [], "otherValue": None, **parameters},
    }


def state(own: int = 0, **tags: str | None) -> dict[str, Any]:
    return {"config": {"tags": tags}, "facts": {"own": own, "all": own}, "busy": None}


def test_every_control_of_the_tagging_standard_is_served_but_the_named_ones() -> None:
    from sandbox import samples
    from sharr.loader import ROOT

    standard = load_standards(ROOT)["Tagging"]
    served = set(remediation_of(ID).controls)

    assert {c for c in samples.controls() if standard.serves(c)} - served <= NOT_SERVED
    assert set(PLACES) | set(FORMS) == served


@pytest.mark.parametrize(
    ("parameters", "now", "wanted"),
    [
        ({}, state(1), []),
        ({"values": ["Owner=a"]}, state(0, Owner=None), [{"Owner": "a"}]),
        ({"requiredTagKeys": ["Owner"]}, state(1, Owner="x"), []),
        ({"requiredTagKeys": ["Owner"], "values": ["Owner=a=b"]}, state(1, Owner=None), [{"Owner": "a=b"}]),
        ({"requiredTagKeys": ["owner"], "otherValue": ""}, state(1, owner=None), [{"owner": ""}]),
        (
            {"requiredTagKeys": ["A", "B", "C"], "values": ["A=1"], "otherValue": "?"},
            state(2, A=None, B="kept", C=None),
            [{"A": "1", "C": "?"}],
        ),
    ],
)
def test_only_what_is_missing_is_added(parameters: Any, now: Any, wanted: Any) -> None:
    calls = script().plan(now, target(**parameters))

    assert [one["parameters"]["Tags"] for one in calls] == wanted


@pytest.mark.parametrize(
    ("parameters", "now", "why"),
    [
        ({}, state(0), "asks for any tag, and none was chosen"),
        ({"requiredTagKeys": ["Owner", "Team"], "values": ["Owner=a"]}, state(0, Owner=None, Team=None), "for Team"),
        ({"requiredTagKeys": ["aws:x"], "otherValue": "1"}, state(0, **{"aws:x": None}), "AWS's own"),
        ({"requiredTagKeys": ["Owner"], "otherValue": "1"}, state(50, Owner=None), "has 50 tags"),
    ],
)
def test_what_it_cannot_do_is_said_before_the_first_call(parameters: Any, now: Any, why: str) -> None:
    with pytest.raises(CannotRepair, match=why):
        script().plan(now, target(**parameters))


@pytest.mark.parametrize(
    ("control", "arn"),
    [
        ("SNS.3", "arn:aws:sqs:us-east-1:222222222222:t"),
        ("SNS.3", "arn:aws:sns:us-east-1:222222222222:t:subscription"),
        ("SNS.3", "arn:aws:sns::222222222222:t"),
        ("EC2.44", "arn:aws:ec2:us-east-1:222222222222:vpc/vpc-1"),
        ("Amplify.1", "arn:aws:amplify:us-east-1:222222222222:apps/a/branches/b"),
        ("AppConfig.1", "arn:aws:appconfig:us-east-1:222222222222:application/a/environment/e"),
        ("GuardDuty.4", "arn:aws:guardduty:us-east-1:222222222222:detector/d/filter/f"),
        ("CloudFront.14", "arn:aws:cloudfront:us-east-1:222222222222:distribution/E1"),
        ("Route53.1", "arn:aws:route53::222222222222:healthcheck/1"),
        ("IAM.24", "arn:aws:iam::222222222222:user/u"),
    ],
)
def test_an_arn_of_another_type_than_the_controls_is_refused(control: str, arn: str) -> None:
    with pytest.raises(CannotRepair, match="is not what"):
        script().region_of(target(arn, control))


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:sns:us-east-1:333333333333:t",
        "arn:aws:sns:eu-west-1:222222222222:t",
        "arn:aws-cn:sns:us-east-1:222222222222:t",
        "arn:aws:sns:us-east-1:222222222222:t\n",
        "arn:aws:sns:us-east-1:222222222222:*",
        "arn:aws:sns:us-east-1:222222222222:${aws:username}",
    ],
)
def test_an_arn_of_another_account_region_or_form_is_no_target(arn: str) -> None:
    with bench(ID) as b, pytest.raises(NotATarget):
        b.target("SNS.3", arn)


@pytest.mark.parametrize(
    ("arn", "control", "partition", "region"),
    [
        ("arn:aws:cloudfront::222222222222:distribution/E1", "CloudFront.14", "aws", "us-east-1"),
        ("arn:aws:globalaccelerator::222222222222:accelerator/a", "GlobalAccelerator.1", "aws", "us-west-2"),
        ("arn:aws-us-gov:iam::222222222222:role/a/b", "IAM.24", "aws-us-gov", "us-gov-west-1"),
        ("arn:aws-eusc:iam::222222222222:role/b", "IAM.24", "aws-eusc", "eu-central-1"),
        ("arn:aws:sns:eu-central-1:222222222222:t", "SNS.3", "aws", "eu-central-1"),
    ],
)
def test_global_resources_are_tagged_in_the_partitions_home_region(
    arn: str, control: str, partition: str, region: str
) -> None:
    here = target(arn, control) | {"partition": partition, "region": "eu-central-1"}

    assert script().region_of(here) == region


def test_values_that_are_there_stay_and_an_undo_takes_away_only_what_was_added() -> None:
    with bench(ID) as b:
        arn = table(b)
        attempt = b.attempt("DynamoDB.5", arn, REQUIRED, VALUES)
        attempt.finish()
        assert tags_of(b, arn) == {"Owner": "payments", "team": "a", "CostCenter": "4711"}
        b.client("dynamodb").tag_resource(ResourceArn=arn, Tags=[{"Key": "later", "Value": "1"}])

        attempt.undo()

        assert tags_of(b, arn) == {"Owner": "payments", "team": "a", "later": "1"}


def test_a_resource_that_the_api_refuses_is_told_with_its_reason() -> None:
    with bench(ID) as b:
        result = b.attempt("Glue.1", b.arn("glue", "job/gone"), REQUIRED, VALUES).finish()

        assert result["outcome"] == "FAILED"
        assert "does not exist" in result["why"]


@pytest.mark.parametrize("why", [{"ErrorMessage": "no"}, {"ErrorCode": "no"}])
def test_a_refusal_is_seen_whichever_way_it_is_told(why: dict[str, str]) -> None:
    (one,) = script().plan(state(0, Owner=None), target(values=["Owner=a"]))

    for made in (one, *one["undo"]):
        assert jmespath.search(made["fail_if"], {"FailedResourcesMap": {"the-arn": why}}) == "no"
        assert jmespath.search(made["fail_if"], {"FailedResourcesMap": {}}) is None


@pytest.mark.parametrize(("control", "path"), [("IAM.24", "role/gone"), ("IAM.25", "user/gone")])
def test_a_role_or_user_that_is_gone_is_compliant(control: str, path: str) -> None:
    with bench(ID) as b:
        result = b.remediate(control, b.arn("iam", path, region=""), parameters=REQUIRED, settings=VALUES)

        assert result["outcome"] == "COMPLIANT"
        assert result["gone"]


def test_system_tags_are_not_the_owners() -> None:
    with bench(ID) as b:
        arn = tagging.enlist(b.account, b.arn("glue", "job/j"), {"aws:cloudformation:stack-name": "s"})

        result = b.attempt("Glue.1", arn, {}, VALUES).finish()

        assert result["outcome"] == "REMEDIATED"
        assert tags_of(b, arn)["Owner"] == "platform"
