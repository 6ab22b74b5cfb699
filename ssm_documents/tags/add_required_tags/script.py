"""Add the tags that a control of the tagging standard asks for, by the Resource Groups Tagging API; none is changed."""

from __future__ import annotations

import re
from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# Control, service, and the rest of the ARN after the account; * is a name, ** a path or a name with colons.
# Source: the services' pages in https://docs.aws.amazon.com/service-authorization/latest/reference/
KINDS = """
ACM.3 acm certificate/*
Amplify.1 amplify apps/*
Amplify.2 amplify apps/*/branches/**
AppConfig.1 appconfig application/*
AppConfig.2 appconfig application/*/configurationprofile/*
AppConfig.3 appconfig application/*/environment/*
AppConfig.4 appconfig extensionassociation/*
AppFlow.1 appflow flow/*
AppRunner.1 apprunner service/**
AppRunner.2 apprunner vpcconnector/**
AppSync.4 appsync apis/*
Athena.2 athena datacatalog/*
Athena.3 athena workgroup/*
AutoScaling.10 autoscaling autoScalingGroup:*:autoScalingGroupName/**
Backup.2 backup recovery-point:*
Backup.3 backup backup-vault:*
Backup.4 backup report-plan:*
Backup.5 backup backup-plan:*
Batch.1 batch job-queue/*
Batch.2 batch scheduling-policy/*
Batch.3 batch compute-environment/*
CloudFront.14 cloudfront distribution/*
CloudTrail.9 cloudtrail trail/*
CodeArtifact.1 codeartifact repository/**
CodeGuruProfiler.1 codeguru-profiler profilingGroup/*
CodeGuruReviewer.1 codeguru-reviewer association:*
Connect.1 profile domains/*/object-types/*
DataSync.2 datasync task/*
Detective.1 detective graph:*
DMS.2 dms cert:*
DMS.3 dms es:*
DMS.4 dms rep:*
DMS.5 dms subgrp:*
DynamoDB.5 dynamodb table/*
EC2.33 ec2 transit-gateway-attachment/*
EC2.34 ec2 transit-gateway-route-table/*
EC2.35 ec2 network-interface/*
EC2.36 ec2 customer-gateway/*
EC2.37 ec2 elastic-ip/*
EC2.38 ec2 instance/*
EC2.39 ec2 internet-gateway/*
EC2.40 ec2 natgateway/*
EC2.41 ec2 network-acl/*
EC2.42 ec2 route-table/*
EC2.43 ec2 security-group/*
EC2.44 ec2 subnet/*
EC2.45 ec2 volume/*
EC2.46 ec2 vpc/*
EC2.47 ec2 vpc-endpoint-service/*
EC2.48 ec2 vpc-flow-log/*
EC2.49 ec2 vpc-peering-connection/*
EC2.50 ec2 vpn-gateway/*
EC2.52 ec2 transit-gateway/*
EC2.174 ec2 dhcp-options/*
EC2.175 ec2 launch-template/*
EC2.176 ec2 prefix-list/*
EC2.177 ec2 traffic-mirror-session/*
EC2.178 ec2 traffic-mirror-filter/*
EC2.179 ec2 traffic-mirror-target/*
ECR.4 ecr-public repository/**
ECS.13 ecs service/**
ECS.14 ecs cluster/*
ECS.15 ecs task-definition/**
EFS.5 elasticfilesystem access-point/*
EKS.6 eks cluster/*
EKS.7 eks identityproviderconfig/**
ES.9 es domain/*
EventBridge.2 events event-bus/**
FraudDetector.1 frauddetector entity-type/*
FraudDetector.2 frauddetector label/*
FraudDetector.3 frauddetector outcome/*
FraudDetector.4 frauddetector variable/*
GlobalAccelerator.1 globalaccelerator accelerator/*
Glue.1 glue job/*
GuardDuty.2 guardduty detector/*/filter/*
GuardDuty.3 guardduty detector/*/ipset/*
GuardDuty.4 guardduty detector/*
IAM.23 access-analyzer analyzer/*
IAM.24 iam role/**
IAM.25 iam user/**
IoT.1 iot securityprofile/*
IoT.2 iot mitigationaction/*
IoT.3 iot dimension/*
IoT.4 iot authorizer/*
IoT.5 iot rolealias/*
IoT.6 iot policy/*
IoTSiteWise.1 iotsitewise asset-model/*
IoTSiteWise.2 iotsitewise dashboard/*
IoTSiteWise.3 iotsitewise gateway/*
IoTSiteWise.4 iotsitewise portal/*
IoTSiteWise.5 iotsitewise project/*
IoTTwinMaker.1 iottwinmaker workspace/*/sync-job/*
IoTTwinMaker.2 iottwinmaker workspace/*
IoTTwinMaker.3 iottwinmaker workspace/*/scene/*
IoTTwinMaker.4 iottwinmaker workspace/*/entity/*
IoTWireless.1 iotwireless MulticastGroup/*
IoTWireless.2 iotwireless ServiceProfile/*
IoTWireless.3 iotwireless FuotaTask/*
IVS.1 ivs playback-key/*
IVS.2 ivs recording-configuration/*
IVS.3 ivs channel/*
Keyspaces.1 cassandra /keyspace/*/
Kinesis.2 kinesis stream/*
Lambda.6 lambda function:*
MQ.4 mq broker:**
NetworkFirewall.7 network-firewall firewall/*
NetworkFirewall.8 network-firewall firewall-policy/*
Opensearch.9 es domain/*
PCA.2 acm-pca certificate-authority/*
RDS.28 rds cluster:*
RDS.29 rds cluster-snapshot:**
RDS.30 rds db:*
RDS.31 rds secgrp:*
RDS.32 rds snapshot:**
RDS.33 rds subgrp:*
Redshift.11 redshift cluster:*
Redshift.12 redshift eventsubscription:*
Redshift.13 redshift snapshot:**
Redshift.14 redshift subnetgroup:*
Redshift.17 redshift parametergroup:*
Route53.1 route53 healthcheck/*
SageMaker.6 sagemaker app-image-config/*
SageMaker.7 sagemaker image/*
SecretsManager.5 secretsmanager secret:*
SES.1 ses contact-list/*
SES.2 ses configuration-set/*
SNS.3 sns *
SQS.2 sqs *
SSM.5 ssm document/*
StepFunctions.2 states activity:*
Transfer.1 transfer workflow/*
Transfer.4 transfer agreement/**
Transfer.5 transfer certificate/*
Transfer.6 transfer connector/*
Transfer.7 transfer profile/*
"""
GLOBAL = ("cloudfront", "ecr-public", "globalaccelerator", "iam", "route53")
GLOBAL_REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}
MOST = 50
REFUSED = "FailedResourcesMap.*.[ErrorMessage || ErrorCode || 'refused'][] | [0]"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the tags; what GetResources does not list is asked for at its service.

    Source: https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/supported-services.html
    """
    arn, region = target["resource"]["id"], region_of(target)
    service, name = target["resource"]["service"], target["resource"]["path"].split("/")[-1]
    if service == "iam":
        kind = target["resource"]["path"].split("/")[0]
        iam = aws.client("iam", region)
        pages = iam.get_paginator(f"list_{kind}_tags").paginate(**{f"{kind.title()}Name": name})
        try:
            tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
        except iam.exceptions.NoSuchEntityException as error:
            raise ResourceGone(arn) from error
    elif service == "autoscaling":
        only = [
            {"Name": "auto-scaling-group", "Values": [target["resource"]["path"].split("autoScalingGroupName/")[1]]}
        ]
        pages = aws.client("autoscaling", region).get_paginator("describe_tags").paginate(Filters=only)
        tags = {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}
    else:
        tagging = aws.client("resourcegroupstaggingapi", region)
        found = tagging.get_resources(ResourceARNList=[arn])["ResourceTagMappingList"]
        tags = {tag["Key"]: tag["Value"] for one in found for tag in one["Tags"]}
    own = [key for key in tags if not key.startswith("aws:")]
    config = {key: tags.get(key) for key in wanted(target)}
    return {"config": {"tags": config}, "facts": {"own": len(own), "all": len(tags)}, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the call that adds missing tags; [] where all keys are there, or any where the control requires none."""
    facts, tags = state["facts"], state["config"]["tags"]
    required, values, other = (
        target["parameters"]["requiredTagKeys"],
        chosen(target),
        target["parameters"]["otherValue"],
    )
    if not required and facts["own"]:
        return []
    missing = [key for key, value in tags.items() if value is None]
    if required and not missing:
        return []
    if not missing:
        raise CannotRepair("the control asks for any tag, and none was chosen", "set values, as Owner=platform")
    unknown = [key for key in missing if key not in values and other is None]
    if unknown:
        raise CannotRepair(
            f"no value was chosen for {', '.join(unknown)}", "set values or otherValue, or tag it by hand"
        )
    if any(key.lower().startswith("aws:") for key in missing):
        raise CannotRepair("keys that begin with aws: are AWS's own", "take them out of the control's parameter")
    if facts["own"] + len(missing) > MOST:
        raise CannotRepair(f"the resource has {facts['own']} tags, of {MOST} that it may have", "take tags away")
    arn, region = target["resource"]["id"], region_of(target)
    new = {key: values.get(key, other) for key in missing}
    untag = [
        call(
            "resourcegroupstaggingapi",
            "untag_resources",
            {"ResourceARNList": [arn], "TagKeys": [key]},
            region=region,
            fail_if=REFUSED,
            leaf=["tags", key],
        )
        for key in new
    ]
    return [
        call(
            "resourcegroupstaggingapi",
            "tag_resources",
            {"ResourceARNList": [arn], "Tags": new},
            region=region,
            fail_if=REFUSED,
            undo=untag,
        )
    ]


def region_of(target: dict[str, Any]) -> Any:
    """Return the Region to ask, after a look at the ARN: is it of the control's type, and of the finding's identity?"""
    service, path, arn = target["resource"]["service"], target["resource"]["path"], target["resource"]["id"]
    rows = (line.split(" ") for line in KINDS.split("\n") if line)
    of, form = next((kind, form) for control, kind, form in rows if control == target["control"])
    text = re.escape(form).replace(r"\*\*", "[!-~]{1,512}").replace(r"\*", "[^/:]{1,256}")
    here = "" if of in GLOBAL else target["region"]
    account = "" if of == "route53" else target["account"]
    expected = f"arn:{target['partition']}:{of}:{here}:{account}:{path}"
    if service != of or arn != expected or not re.fullmatch(text, path):
        raise CannotRepair(f"{arn[:200]} is not what {target['control']} is about", "tag it by hand")
    if of == "globalaccelerator":
        return "us-west-2"
    return GLOBAL_REGIONS.get(target["partition"], target["region"]) if of in GLOBAL else target["region"]


def chosen(target: dict[str, Any]) -> dict[str, str]:
    """Return the user's key -> value."""
    return dict(pair.split("=", 1) for pair in target["parameters"]["values"])


def wanted(target: dict[str, Any]) -> list[str]:
    """Return the keys that the control requires; where it requires none, the ones that the user chose."""
    return list(dict.fromkeys(target["parameters"]["requiredTagKeys"] or chosen(target)))
