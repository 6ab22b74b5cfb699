"""CloudWatch.1 to .14: what is counted, who is alarmed, and what is left to a person before anything is made."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from moto.cloudtrail.models import cloudtrail_backends

from sharr.remediation import BadParameter
from sharr.runtime.contract import CannotRepair
from sharr.runtime.planning import plan_of
from sharr.scripts import code_of
from tests.harness import Bench, Case, bench, remediation_of
from tests.resources import trail_bucket

ID = "cloudwatch/alarm_on_events"
ACCOUNT = "222222222222"
GROUP, TOPIC = "/trail/for-cloudwatch", "for-cloudwatch-alarms"
TRAIL = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/for-cloudwatch"

# As https://docs.aws.amazon.com/securityhub/latest/userguide/cloudwatch-controls.html has them to copy, not as made.
PATTERNS = {
    1: '{$.userIdentity.type="Root" && $.userIdentity.invokedBy NOT EXISTS && $.eventType !="AwsServiceEvent"}',
    2: '{($.errorCode="*UnauthorizedOperation") || ($.errorCode="AccessDenied*")}',
    3: '{ ($.eventName = "ConsoleLogin") && ($.additionalEventData.MFAUsed != "Yes") && '
    '($.userIdentity.type = "IAMUser") && ($.responseElements.ConsoleLogin = "Success") }',
    4: "{($.eventSource=iam.amazonaws.com) && (($.eventName=DeleteGroupPolicy) || ($.eventName=DeleteRolePolicy) || "
    "($.eventName=DeleteUserPolicy) || ($.eventName=PutGroupPolicy) || ($.eventName=PutRolePolicy) || "
    "($.eventName=PutUserPolicy) || ($.eventName=CreatePolicy) || ($.eventName=DeletePolicy) || "
    "($.eventName=CreatePolicyVersion) || ($.eventName=DeletePolicyVersion) || ($.eventName=AttachRolePolicy) || "
    "($.eventName=DetachRolePolicy) || ($.eventName=AttachUserPolicy) || ($.eventName=DetachUserPolicy) || "
    "($.eventName=AttachGroupPolicy) || ($.eventName=DetachGroupPolicy))}",
    5: "{($.eventName=CreateTrail) || ($.eventName=UpdateTrail) || ($.eventName=DeleteTrail) || "
    "($.eventName=StartLogging) || ($.eventName=StopLogging)}",
    6: '{($.eventName=ConsoleLogin) && ($.errorMessage="Failed authentication")}',
    7: "{($.eventSource=kms.amazonaws.com) && (($.eventName=DisableKey) || ($.eventName=ScheduleKeyDeletion))}",
    8: "{($.eventSource=s3.amazonaws.com) && (($.eventName=PutBucketAcl) || ($.eventName=PutBucketPolicy) || "
    "($.eventName=PutBucketCors) || ($.eventName=PutBucketLifecycle) || ($.eventName=PutBucketReplication) || "
    "($.eventName=DeleteBucketPolicy) || ($.eventName=DeleteBucketCors) || ($.eventName=DeleteBucketLifecycle) || "
    "($.eventName=DeleteBucketReplication))}",
    9: "{($.eventSource=config.amazonaws.com) && (($.eventName=StopConfigurationRecorder) || "
    "($.eventName=DeleteDeliveryChannel) || ($.eventName=PutDeliveryChannel) || "
    "($.eventName=PutConfigurationRecorder))}",
    10: "{($.eventName=AuthorizeSecurityGroupIngress) || ($.eventName=AuthorizeSecurityGroupEgress) || "
    "($.eventName=RevokeSecurityGroupIngress) || ($.eventName=RevokeSecurityGroupEgress) || "
    "($.eventName=CreateSecurityGroup) || ($.eventName=DeleteSecurityGroup)}",
    11: "{($.eventName=CreateNetworkAcl) || ($.eventName=CreateNetworkAclEntry) || ($.eventName=DeleteNetworkAcl) || "
    "($.eventName=DeleteNetworkAclEntry) || ($.eventName=ReplaceNetworkAclEntry) || "
    "($.eventName=ReplaceNetworkAclAssociation)}",
    12: "{($.eventName=CreateCustomerGateway) || ($.eventName=DeleteCustomerGateway) || "
    "($.eventName=AttachInternetGateway) || ($.eventName=CreateInternetGateway) || "
    "($.eventName=DeleteInternetGateway) || ($.eventName=DetachInternetGateway)}",
    13: "{($.eventSource=ec2.amazonaws.com) && (($.eventName=CreateRoute) || ($.eventName=CreateRouteTable) || "
    "($.eventName=ReplaceRoute) || ($.eventName=ReplaceRouteTableAssociation) || ($.eventName=DeleteRouteTable) || "
    "($.eventName=DeleteRoute) || ($.eventName=DisassociateRouteTable))}",
    14: "{($.eventName=CreateVpc) || ($.eventName=DeleteVpc) || ($.eventName=ModifyVpcAttribute) || "
    "($.eventName=AcceptVpcPeeringConnection) || ($.eventName=CreateVpcPeeringConnection) || "
    "($.eventName=DeleteVpcPeeringConnection) || ($.eventName=RejectVpcPeeringConnection) || "
    "($.eventName=AttachClassicLinkVpc) || ($.eventName=DetachClassicLinkVpc) || "
    "($.eventName=DisableVpcClassicLink) || ($.eventName=EnableVpcClassicLink)}",
}


def account(b: Bench) -> str:
    return f"AWS::::Account:{b.account}"


def trail(
    b: Bench,
    name: str = "for-cloudwatch",
    *,
    group: str | None = GROUP,
    owner: str | None = None,
    region: str | None = None,
    **more: Any,
) -> str:
    """Make and start a trail for all Regions that delivers to *group*, and return its ARN."""
    owner, region = owner or b.account, region or b.region
    bucket = trail_bucket(b, f"{name}-{owner}-{region}", region, owner)
    if group:
        b.client("logs", region, owner).create_log_group(logGroupName=group)
        trust = [{"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}, "Action": "sts:AssumeRole"}]
        document = json.dumps({"Version": "2012-10-17", "Statement": trust})
        role = b.client("iam", account=owner).create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]
        more["CloudWatchLogsLogGroupArn"] = b.arn("logs", f"log-group:{group}:*", region=region, account=owner)
        more["CloudWatchLogsRoleArn"] = role["Arn"]
    cloudtrail = b.client("cloudtrail", region, owner)
    made = str(cloudtrail.create_trail(Name=name, S3BucketName=bucket, IsMultiRegionTrail=True, **more)["TrailARN"])
    cloudtrail.start_logging(Name=made)
    return made


def topic(b: Bench, *, heard: bool = True, owner: str = "") -> str:
    """Make the topic that the user chose and return its ARN; a queue's subscription needs no confirmation."""
    owner = owner or b.account
    sns = b.client("sns", account=owner)
    arn = str(sns.create_topic(Name=TOPIC)["TopicArn"])
    if heard:
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=b.arn("sqs", "pager", account=owner))
    return arn


def unwatched(b: Bench) -> str:
    """A trail without a filter, and a topic that somebody hears."""
    trail(b)
    topic(b)
    return account(b)


def no_topic(b: Bench) -> str:
    trail(b)
    return account(b)


def counted_by_somebody(b: Bench, pattern: str = PATTERNS[10], name: str = "security-groups", **metric: Any) -> str:
    """A trail with somebody's filter, which nothing alarms on; its pattern has other spaces."""
    unwatched(b)
    counts = {"metricName": "theirs", "metricNamespace": "Theirs", "metricValue": "1", **metric}
    b.client("logs").put_metric_filter(
        logGroupName=GROUP, filterName=name, filterPattern=pattern.replace(" || ", "||"), metricTransformations=[counts]
    )
    return account(b)


def passes(b: Bench, control: int) -> bool:
    """CIS's own audit: a filter of this pattern on the trail's group, an alarm on its metric, a subscriber to it."""
    for one in b.client("cloudtrail").describe_trails()["trailList"]:
        group = one.get("CloudWatchLogsLogGroupArn", "").split(":")
        if not one["IsMultiRegionTrail"] or len(group) < 7:
            continue
        for found in b.client("logs").describe_metric_filters(logGroupName=group[6])["metricFilters"]:
            if found["filterPattern"].replace(" ", "") != PATTERNS[control].replace(" ", ""):
                continue
            metric = found["metricTransformations"][0]
            if any(alarms(b, metric["metricNamespace"], metric["metricName"])):
                return True
    return False


def alarms(b: Bench, namespace: str, name: str) -> list[str]:
    """The endpoints that hear an alarm on the metric."""
    found = b.client("cloudwatch").describe_alarms_for_metric(MetricName=name, Namespace=namespace)["MetricAlarms"]
    topics = [to for alarm in found if alarm["ActionsEnabled"] for to in alarm["AlarmActions"]]
    sns = b.client("sns")
    heard = [one for to in topics for one in sns.list_subscriptions_by_topic(TopicArn=to)["Subscriptions"]]
    return [one["Endpoint"] for one in heard if one["SubscriptionArn"].startswith("arn:")]


def check(number: int) -> Any:
    return lambda b, _: passes(b, number)


CHOSEN = {"alarmTopicArn": TOPIC}
EMAIL = {"alarmEmail": "security@example.com"}
CASES = [
    *(
        # One code, and a pattern each: sweeping two of them sweeps all.
        Case(
            f"CloudWatch.{number}",
            "events that nobody counts",
            unwatched,
            check(number),
            settings=CHOSEN,
            swept=number in (1, 14),
        )
        for number in PATTERNS
    ),
    Case("CloudWatch.1", "nobody but an e-mail address to alarm", no_topic, check(1), settings=EMAIL, turns=(3600,)),
    Case("CloudWatch.10", "a filter of somebody's without alarm", counted_by_somebody, check(10), settings=CHOSEN),
]


def state(**facts: Any) -> dict[str, Any]:
    config = {"filter": facts.pop("filter", None), "alarm": facts.pop("alarm", None)}
    lacks = facts.pop("lacks", None)
    theirs = {"arn": f"arn:aws:sns:us-east-1:{ACCOUNT}:{TOPIC}", "is": "theirs", "heard": True, "asked": []}
    given = {
        "trails": {TRAIL: {"lacks": lacks, "group": GROUP}}, "log_group": GROUP, "metric": None, "heard": False,
        "aux": {"alarm_topic": theirs | facts.pop("topic", {})}, **facts,
    }  # fmt: skip
    return {"config": config, "facts": given, "busy": None}


def plan(before: dict[str, Any], control: int = 5, **parameters: str) -> list[dict[str, Any]]:
    target = {
        "partition": "aws", "account": ACCOUNT, "region": "us-east-1", "control": f"CloudWatch.{control}",
        "resource": {"id": f"AWS::::Account:{ACCOUNT}"},
        "parameters": {"alarmTopicArn": None, "alarmEmail": None, **parameters},
    }  # fmt: skip
    return plan_of(code_of(remediation_of(ID)), before, target)


@pytest.mark.parametrize("control", PATTERNS)
def test_the_pattern_is_the_one_that_security_hub_asks_for(control: int) -> None:
    """ASR 16: "The multi-region CloudTrail does not have a valid metric filter" after a run that succeeded."""
    put, _ = plan(state(), control)

    assert put["parameters"]["filterPattern"] == PATTERNS[control]
    assert put["parameters"]["logGroupName"] == GROUP


def test_the_alarm_is_on_the_filters_own_metric_and_rings_at_the_first_event() -> None:
    """ASR 17: an alarm with 240 of 240 periods of five minutes rings after twenty hours."""
    put, alarm = plan(state())

    (counts,) = put["parameters"]["metricTransformations"]
    asked = alarm["parameters"]
    assert (asked["MetricName"], asked["Namespace"]) == (counts["metricName"], counts["metricNamespace"])
    assert (asked["Threshold"], asked["ComparisonOperator"]) == (1, "GreaterThanOrEqualToThreshold")
    assert (asked["Period"], asked["EvaluationPeriods"], asked["Statistic"]) == (300, 1, "Sum")
    assert "ActionsEnabled" not in asked, "they are on unless one says otherwise"
    assert counts["metricValue"] == "1"


def test_the_names_of_all_controls_differ() -> None:
    names = {plan(state(), control)[1]["parameters"]["AlarmName"] for control in PATTERNS}

    assert len(names) == len(PATTERNS)


@pytest.mark.parametrize(
    ("facts", "why", "to_do"),
    [
        ({"trails": {}}, "no trail covers all Regions", "CloudTrail.1"),
        ({"lacks": [1, "delivers to no log group", "repair CloudTrail.5"]}, "to no log group", "repair CloudTrail.5"),
        ({"filter": "{x}"}, "the metric filter sharr-CloudTrail-changes has another pattern", "delete it"),
        ({"alarm": ["LogMetrics", "x", []]}, "nobody hears the alarm sharr-CloudTrail-changes", "subscribe"),
        ({"topic": {"heard": False}}, "no confirmed subscriber that we can see", "must be in us-east-1"),
        ({"topic": {"heard": False, "asked": ["a@b"]}}, "no confirmed subscriber", "subscribe and confirm"),
        ({"topic": {"is": "absent", "heard": False}}, "there is nobody to alarm", "set alarmTopicArn .* or alarmEmail"),
        ({"topic": {"is": "another's", "heard": False}}, "is not ours", "delete it"),
    ],
)
def test_what_a_person_must_do_is_said_before_the_first_call(facts: dict[str, Any], why: str, to_do: str) -> None:
    with pytest.raises(CannotRepair, match=why) as caught:
        plan(state(**facts))

    assert re.search(to_do, caught.value.to_do)


def test_the_trail_that_lacks_least_is_named() -> None:
    trails = {
        "arn:aws:cloudtrail:us-east-1:1:trail/a": {"lacks": [5, "belongs to account 1", "look there"], "group": None},
        "arn:aws:cloudtrail:us-east-1:2:trail/b": {"lacks": [3, "does not log", "start it"], "group": None},
    }
    with pytest.raises(CannotRepair, match="trail/b does not log"):
        plan(state(trails=trails))


def test_events_that_somebody_is_alarmed_about_are_left_alone() -> None:
    assert plan(state(heard=True, alarm=["LogMetrics", "x", []])) == []


def test_while_a_confirmation_is_waited_for_nobody_is_asked_twice() -> None:
    asked = {"is": "ours", "heard": False, "asked": ["security@example.com"]}

    (pause,) = plan(state(topic=asked), alarmEmail="security@example.com")

    assert "nobody confirmed" in pause["wait"]


def test_a_topic_of_another_address_asks_the_one_that_was_chosen() -> None:
    ours = {"is": "ours", "heard": False, "asked": ["old@example.com"]}

    asks, _ = plan(state(topic=ours), alarmEmail="security@example.com")

    assert (asks["operation"], asks["parameters"]["Endpoint"]) == ("subscribe", "security@example.com")


@pytest.mark.parametrize("given", [{"alarmTopicArn": "a:b"}, {"alarmTopicArn": ""}, {"alarmEmail": "x"}])
def test_what_is_no_topic_and_no_address_is_refused(given: dict[str, str]) -> None:
    with bench(ID) as b, pytest.raises(BadParameter):
        b.target("CloudWatch.1", account(b), settings=given)


# --- in the emulated organization


def failed(b: Bench, control: int = 5, settings: dict[str, str] = CHOSEN) -> dict[str, Any]:
    """Repair, see that it failed and that nothing was written, and return the result."""
    with b.watched() as calls:
        result = b.remediate(f"CloudWatch.{control}", account(b), settings=settings)
    assert result["outcome"] == "FAILED", result
    assert not b.writes(calls)
    return result


def test_the_organizations_trail_is_left_to_the_account_that_owns_it() -> None:
    with bench(ID) as b:
        management = b.world.organization.management
        trail(b, "org", group=None, owner=management, IsOrganizationTrail=True)
        topic(b)

        result = failed(b)

        assert f"belongs to account {management}" in result["why"]
        assert f"repair the finding of account {management}" in result["to_do"]


def test_a_trail_without_log_group_is_sent_to_its_own_control_and_no_group_is_made() -> None:
    """AWS's own solution makes an empty log group that no trail delivers to."""
    with bench(ID) as b:
        trail(b, group=None)
        topic(b)

        assert "CloudTrail.5" in failed(b)["to_do"]
        assert not b.client("logs").describe_log_groups()["logGroups"]


def test_a_log_group_in_another_account_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(ID) as b:
        trail(b)
        topic(b)
        theirs = b.arn("logs", "log-group:central:*", account="333333333333")
        monkeypatch.setattr(
            cloudtrail_backends[b.account][b.region].trails["for-cloudwatch"], "cw_log_group_arn", theirs
        )

        result = failed(b)

        assert "log group in account 333333333333" in result["why"]
        assert "in account 333333333333" in result["to_do"]


def test_a_trail_of_another_region_is_looked_at_there() -> None:
    with bench(ID) as b:
        trail(b, region="eu-west-1")
        topic(b)

        result = failed(b)

        assert "was made in eu-west-1" in result["why"]
        assert "repair the finding of eu-west-1" in result["to_do"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda c: c.stop_logging(Name="for-cloudwatch"), "does not log"),
        (
            lambda c: c.put_event_selectors(
                TrailName="for-cloudwatch",
                EventSelectors=[{"ReadWriteType": "WriteOnly", "IncludeManagementEvents": True, "DataResources": []}],
            ),
            "leaves out management events",
        ),
    ],
)
def test_a_trail_that_does_not_record_all_is_not_enough(change: Any, why: str) -> None:
    with bench(ID) as b:
        unwatched(b)
        change(b.client("cloudtrail"))

        assert why in failed(b)["why"]


def test_advanced_selectors_of_all_management_events_are_enough() -> None:
    with bench(ID) as b:
        unwatched(b)
        fields = [{"Field": "eventCategory", "Equals": ["Management"]}]
        b.client("cloudtrail").put_event_selectors(
            TrailName="for-cloudwatch", AdvancedEventSelectors=[{"Name": "all", "FieldSelectors": fields}]
        )

        assert b.remediate("CloudWatch.5", account(b), settings=CHOSEN)["outcome"] == "REMEDIATED"


def test_a_topic_that_nobody_confirmed_is_refused_before_anything_is_made() -> None:
    """ASR 16: the alarm is made, and the control still fails, because the topic has no subscriber."""
    with bench(ID) as b:
        trail(b)
        arn = topic(b, heard=False)
        b.client("sns").subscribe(TopicArn=arn, Protocol="email", Endpoint="nobody@example.com")

        assert "no confirmed subscriber" in failed(b)["why"]


@pytest.mark.parametrize("chosen", [f"arn:aws:sns:eu-west-1:{ACCOUNT}:{TOPIC}", "not-there"])
def test_a_topic_of_another_region_or_that_is_not_there_is_refused(chosen: str) -> None:
    with bench(ID) as b:
        unwatched(b)

        result = failed(b, settings={"alarmTopicArn": chosen})

        assert "no confirmed subscriber that we can see" in result["why"]
        assert "must be in us-east-1" in result["to_do"]


@pytest.mark.parametrize("admits", [True, False])
def test_a_topic_of_another_account_will_do_where_its_subscriptions_may_be_seen(admits: bool) -> None:
    """https://docs.aws.amazon.com/securityhub/latest/userguide/cloudwatch-controls.html: else a warning is found."""
    with bench(ID) as b:
        central = b.world.organization.admin
        arn = topic(b, owner=central)
        trail(b)
        action = "sns:ListSubscriptionsByTopic" if admits else "sns:Subscribe"
        who = {"AWS": b.arn("iam", "root", region="")}
        allow = {"Effect": "Allow", "Principal": who, "Action": action, "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        sns = b.client("sns", account=central)
        sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)

        result = b.remediate("CloudWatch.5", account(b), settings={"alarmTopicArn": arn})

        assert result["outcome"] == ("REMEDIATED" if admits else "FAILED"), result


def test_until_an_address_is_confirmed_there_is_no_filter_and_no_alarm() -> None:
    with bench(ID) as b:
        no_topic(b)
        attempt = b.attempt("CloudWatch.1", account(b), settings={"alarmEmail": "nobody@example.com"})

        for _ in range(3):
            result = attempt.look()
            b.world.advance(3 * 3600)

        assert result["outcome"] == "PENDING"
        assert "nobody confirmed" in result["why"]
        assert not b.client("logs").describe_metric_filters(logGroupName=GROUP)["metricFilters"]
        assert not b.client("cloudwatch").describe_alarms()["MetricAlarms"]
        assert len(b.client("sns").list_subscriptions()["Subscriptions"]) == 1


def test_a_confirmation_is_waited_for_as_long_as_amazon_sns_does() -> None:
    assert remediation_of(ID).settings["pending"]["at_most"] == 48 * 3600


def test_our_topic_lets_the_accounts_own_alarms_publish_and_serves_the_next_control_too() -> None:
    """ASR 17, 36: the policy of the topic must admit cloudwatch.amazonaws.com, of this account alone."""
    with bench(ID) as b:
        no_topic(b)
        b.attempt("CloudWatch.1", account(b), settings=EMAIL).finish()
        arn = b.arn("sns", "sharr-alarms")

        identity, source = b.world.identity, {"aws:SourceAccount": b.account}
        identity.authorize_service("cloudwatch.amazonaws.com", "sns:Publish", arn, source)
        with pytest.raises(Exception, match="AccessDenied"):
            identity.authorize_service("cloudwatch.amazonaws.com", "sns:Publish", arn, {"aws:SourceAccount": "1" * 12})
        assert b.remediate("CloudWatch.5", account(b), settings=EMAIL)["outcome"] == "REMEDIATED"


def test_a_filter_and_an_alarm_of_somebody_are_used_and_left_as_they_are() -> None:
    with bench(ID) as b:
        counted_by_somebody(b)
        before = b.client("logs").describe_metric_filters(logGroupName=GROUP)["metricFilters"]

        result = b.remediate("CloudWatch.10", account(b), settings=CHOSEN)

        assert result["outcome"] == "REMEDIATED"
        assert b.client("logs").describe_metric_filters(logGroupName=GROUP)["metricFilters"] == before
        (alarm,) = b.client("cloudwatch").describe_alarms()["MetricAlarms"]
        assert (alarm["Namespace"], alarm["MetricName"]) == ("Theirs", "theirs")


def test_a_filter_by_dimensions_does_not_count_for_one_alarm() -> None:
    with bench(ID) as b:
        counted_by_somebody(b, dimensions={"who": "$.userIdentity.arn"})

        b.remediate("CloudWatch.10", account(b), settings=CHOSEN)

        (alarm,) = b.client("cloudwatch").describe_alarms()["MetricAlarms"]
        assert alarm["MetricName"] == "sharr-security-group-changes"


def test_a_filter_of_our_name_that_somebody_changed_is_not_overwritten() -> None:
    with bench(ID) as b:
        counted_by_somebody(b, "{($.eventName=CreateVpc)}", "sharr-security-group-changes")

        assert "another pattern" in failed(b, 10)["why"]


def test_an_alarm_whose_actions_are_off_is_not_heard() -> None:
    """ASR 16: ActionsEnabled off."""
    with bench(ID) as b:
        unwatched(b)
        b.remediate("CloudWatch.5", account(b), settings=CHOSEN)
        b.client("cloudwatch").disable_alarm_actions(AlarmNames=["sharr-CloudTrail-changes"])

        assert "nobody hears the alarm sharr-CloudTrail-changes" in failed(b)["why"]


def test_of_two_trails_the_one_that_is_alarmed_on_counts() -> None:
    with bench(ID) as b:
        unwatched(b)
        b.remediate("CloudWatch.5", account(b), settings=CHOSEN)
        trail(b, "another", group="another")

        with b.watched() as calls:
            assert b.remediate("CloudWatch.5", account(b), settings=CHOSEN)["outcome"] == "COMPLIANT"
        assert not b.writes(calls)


def test_a_filter_behind_many_others_is_found() -> None:
    with bench(ID) as b:
        unwatched(b)
        counts = [{"metricName": "m", "metricNamespace": "n", "metricValue": "1"}]
        for number in range(60):
            b.client("logs").put_metric_filter(
                logGroupName=GROUP, filterName=f"a{number}", filterPattern="x", metricTransformations=counts
            )
        b.remediate("CloudWatch.14", account(b), settings=CHOSEN)

        assert b.remediate("CloudWatch.14", account(b), settings=CHOSEN)["outcome"] == "COMPLIANT"
