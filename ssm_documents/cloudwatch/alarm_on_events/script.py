"""CloudWatch.1 to .14: count events of a trail by a metric filter on its log group, and alarm a topic that is heard."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sharr.runtime.contract import CannotRepair, auxiliary, call, wait

# Per control: a name, then the pattern, or source ("-": any) and names of the events that make it.
# https://docs.aws.amazon.com/securityhub/latest/userguide/cloudwatch-controls.html
EVENTS = """
1 root-user-use {$.userIdentity.type="Root" && $.userIdentity.invokedBy NOT EXISTS && $.eventType !="AwsServiceEvent"};
2 unauthorized-API-calls {($.errorCode="*UnauthorizedOperation") || ($.errorCode="AccessDenied*")};
3 sign-in-without-MFA { ($.eventName = "ConsoleLogin") && ($.additionalEventData.MFAUsed != "Yes") &&
  ($.userIdentity.type = "IAMUser") && ($.responseElements.ConsoleLogin = "Success") };
4 IAM-policy-changes iam DeleteGroupPolicy DeleteRolePolicy DeleteUserPolicy PutGroupPolicy PutRolePolicy PutUserPolicy
  CreatePolicy DeletePolicy CreatePolicyVersion DeletePolicyVersion AttachRolePolicy DetachRolePolicy AttachUserPolicy
  DetachUserPolicy AttachGroupPolicy DetachGroupPolicy;
5 CloudTrail-changes - CreateTrail UpdateTrail DeleteTrail StartLogging StopLogging;
6 sign-in-failures {($.eventName=ConsoleLogin) && ($.errorMessage="Failed authentication")};
7 KMS-key-disabling-and-deletion kms DisableKey ScheduleKeyDeletion;
8 S3-bucket-policy-changes s3 PutBucketAcl PutBucketPolicy PutBucketCors PutBucketLifecycle PutBucketReplication
  DeleteBucketPolicy DeleteBucketCors DeleteBucketLifecycle DeleteBucketReplication;
9 Config-changes config StopConfigurationRecorder DeleteDeliveryChannel PutDeliveryChannel PutConfigurationRecorder;
10 security-group-changes - AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress
  RevokeSecurityGroupEgress CreateSecurityGroup DeleteSecurityGroup;
11 network-ACL-changes - CreateNetworkAcl CreateNetworkAclEntry DeleteNetworkAcl DeleteNetworkAclEntry
  ReplaceNetworkAclEntry ReplaceNetworkAclAssociation;
12 network-gateway-changes - CreateCustomerGateway DeleteCustomerGateway AttachInternetGateway CreateInternetGateway
  DeleteInternetGateway DetachInternetGateway;
13 route-table-changes ec2 CreateRoute CreateRouteTable ReplaceRoute ReplaceRouteTableAssociation DeleteRouteTable
  DeleteRoute DisassociateRouteTable;
14 VPC-changes - CreateVpc DeleteVpc ModifyVpcAttribute AcceptVpcPeeringConnection CreateVpcPeeringConnection
  DeleteVpcPeeringConnection RejectVpcPeeringConnection AttachClassicLinkVpc DetachClassicLinkVpc DisableVpcClassicLink
  EnableVpcClassicLink
"""

Facts = dict[str, Any]


def inspect(aws: Any, target: Facts) -> Facts:
    """Read the trails for all Regions, and of one of ours the filters on its group, their alarms, and who hears."""
    name, pattern = wanted(target["control"])
    trails = trails_of(aws, target)
    seen = [filters_of(aws, trails[arn], name, pattern) for arn in sorted(trails) if trails[arn]["group"]]
    best = max(seen, key=lambda one: one["rank"], default={"mine": None})
    found = aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    alarm = [found[0].get(key) for key in ("Namespace", "MetricName", "AlarmActions")] if found else None
    topic = aws.auxiliary("alarm_topic")
    topic["heard"], topic["asked"] = ears_of(aws, topic["arn"])
    facts = {"trails": trails, "aux": {"alarm_topic": topic}, **best}
    return {"config": {"filter": facts.pop("mine"), "alarm": alarm}, "facts": facts, "busy": None}


def plan(state: Facts, target: Facts) -> list[Facts]:
    """Return the calls that count the events and alarm somebody; [] where somebody is alarmed already."""
    facts, config, topic = state["facts"], state["config"], state["facts"]["aux"]["alarm_topic"]
    lacking = sorted([*trail["lacks"], arn] for arn, trail in facts["trails"].items() if trail["lacks"])
    if not facts["trails"]:
        raise CannotRepair("no trail covers all Regions", "repair CloudTrail.1, then CloudTrail.5, then this")
    if len(lacking) == len(facts["trails"]):
        _, why, to_do, arn = lacking[0]
        raise CannotRepair(f"the trail {arn} {why}", f"{to_do}, then repair this")
    if facts["heard"]:
        return []
    name, pattern = wanted(target["control"])
    if config["filter"] and not facts["metric"]:
        raise CannotRepair(f"the metric filter {name} has another pattern than we give it", "delete it")
    if config["alarm"]:
        raise CannotRepair(f"nobody hears the alarm {name}", "subscribe to a topic that it notifies, or delete it")
    if not topic["heard"]:
        return [auxiliary("alarm_topic"), wait(f"nobody confirmed a subscription to {topic['arn']} yet", 3600)]
    calls, metric = [auxiliary("alarm_topic")], facts["metric"]
    if not metric:
        metric = {"Namespace": "LogMetrics", "MetricName": name}
        which = {"logGroupName": facts["log_group"], "filterName": name}
        counts = {"metricName": name, "metricNamespace": "LogMetrics", "metricValue": "1", "defaultValue": 0}
        back = call("logs", "delete_metric_filter", which, fine=["ResourceNotFoundException"])
        which = {**which, "filterPattern": pattern, "metricTransformations": [counts]}
        calls.append(call("logs", "put_metric_filter", which, undo=[back]))
    when = {"ComparisonOperator": "GreaterThanOrEqualToThreshold", "Threshold": 1, "TreatMissingData": "notBreaching"}
    alarm = {"AlarmName": name, "AlarmDescription": f"{target['control']} of AWS Security Hub", **metric, **when}
    alarm |= {"Statistic": "Sum", "Period": 300, "EvaluationPeriods": 1, "AlarmActions": [topic["arn"]]}
    back = call("cloudwatch", "delete_alarms", {"AlarmNames": [name]}, fine=["ResourceNotFound"])
    return [*calls, call("cloudwatch", "put_metric_alarm", alarm, undo=[back])]


def trails_of(aws: Any, target: Facts) -> Facts:
    """Return, by ARN, what each lacks (rank, why, what to do; or None), and its group where that is ours."""
    trails, cloudtrail, account = {}, aws.client("cloudtrail"), target["account"]
    for one in cloudtrail.describe_trails()["trailList"]:
        arn, home, lacks = one["TrailARN"], one["HomeRegion"], None
        group = (one.get("CloudWatchLogsLogGroupArn") or "::::::").split(":")
        owner, holder = arn.split(":")[4], group[4]
        if not one["IsMultiRegionTrail"]:
            continue
        if owner != account:
            lacks = [5, f"belongs to account {owner}", f"repair the finding of account {owner}"]
        elif home != target["region"]:  # Security Hub judges a trail there alone
            lacks = [4, f"was made in {home}", f"repair the finding of {home}"]
        elif not cloudtrail.get_trail_status(Name=arn)["IsLogging"]:
            lacks = [3, "does not log", "start it"]
        elif not is_whole(cloudtrail.get_event_selectors(TrailName=arn)):
            lacks = [2, "leaves out management events", "let it log them"]
        elif not holder:
            lacks = [1, "delivers to no log group", "repair CloudTrail.5"]
        elif holder != account:
            lacks = [0, f"has its log group in account {holder}", f"make filter and alarm in account {holder}"]
        ours = owner == holder == account and home == target["region"]
        trails[arn] = {"lacks": lacks, "group": group[6] if ours else None}
    return trails


def filters_of(aws: Any, trail: Facts, name: str, pattern: str) -> Facts:
    """Return mine (the pattern under our name), metric (that counts the events), heard (by somebody)."""
    mine, metric, heard = None, None, False
    pages = aws.client("logs").get_paginator("describe_metric_filters").paginate(logGroupName=trail["group"])
    for one in (found for page in pages for found in page["metricFilters"]):
        counts = one["metricTransformations"][0]
        has = one.get("filterPattern", "")
        mine = has if one["filterName"] == name else mine
        if "".join(has.split()) == "".join(pattern.split()) and not counts.get("dimensions"):
            metric = {"MetricName": counts["metricName"], "Namespace": counts["metricNamespace"]}
            for alarm in aws.client("cloudwatch").describe_alarms_for_metric(**metric)["MetricAlarms"]:
                topics = [to for to in alarm["AlarmActions"] if alarm["ActionsEnabled"] and ":sns:" in to]
                heard = heard or any(ears_of(aws, to)[0] for to in topics)
    rank = [not trail["lacks"], heard, bool(metric)]
    return {"log_group": trail["group"], "mine": mine, "metric": metric, "heard": heard, "rank": rank}


def ears_of(aws: Any, topic: str) -> tuple[bool, list[str]]:
    """Tell whether we see a confirmed subscription, and who has not confirmed one yet."""
    try:
        pages = list(aws.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic))
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NotFound", "AuthorizationError", "InvalidParameter"):
            raise
        return False, []
    every = [(one["SubscriptionArn"], one["Endpoint"]) for page in pages for one in page["Subscriptions"]]
    return any(arn.startswith("arn:") for arn, _ in every), [who for arn, who in every if arn == "PendingConfirmation"]


def is_whole(selectors: Facts) -> bool:
    for one in selectors.get("AdvancedEventSelectors") or selectors["EventSelectors"]:
        fields = {field["Field"]: field.get("Equals") for field in one.get("FieldSelectors", [])}
        if fields.get("eventCategory") == ["Management"] and "readOnly" not in fields:
            return True
        if one.get("IncludeManagementEvents") and one.get("ReadWriteType") == "All":
            return True
    return False


def wanted(control: str) -> tuple[str, str]:
    """Return our name, and the pattern that Security Hub asks for."""
    rows = (" ".join(row.split()).split(" ", 2) for row in EVENTS.split(";"))
    name, rest = {f"CloudWatch.{number}": (f"sharr-{name}", rest) for number, name, rest in rows}[control]
    if rest[0] == "{":
        return name, rest
    source, *names = rest.split()
    events = " || ".join(f"($.eventName={one})" for one in names)
    if source != "-":
        events = f"($.eventSource={source}.amazonaws.com) && ({events})"
    return name, "{" + events + "}"
