"""Metric filters, retentions and alarms, as AWS's pages (named in each test) say."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.fakes import a_world

PAYMENTS = "222222222222"
COUNTS = [{"metricName": "m", "metricNamespace": "n", "metricValue": "1"}]


def put(logs: Any, name: str, pattern: str = "x", group: str = "trail") -> None:
    logs.put_metric_filter(logGroupName=group, filterName=name, filterPattern=pattern, metricTransformations=COUNTS)


def test_a_filter_of_the_same_name_is_replaced() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutMetricFilter.html"""
    with a_world() as world:
        logs = world.identity.client("logs", PAYMENTS, "us-east-1")
        logs.create_log_group(logGroupName="trail")
        put(logs, "a", "first")
        put(logs, "a", "second")

        (one,) = logs.describe_metric_filters(logGroupName="trail")["metricFilters"]
        assert (one["filterPattern"], one["metricTransformations"]) == ("second", COUNTS)


def test_a_group_has_at_most_a_hundred_filters_given_page_by_page() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html"""
    with a_world() as world:
        logs = world.identity.client("logs", PAYMENTS, "us-east-1")
        logs.create_log_group(logGroupName="trail")
        for number in range(100):
            put(logs, f"f{number}")

        pages = list(logs.get_paginator("describe_metric_filters").paginate(logGroupName="trail"))
        with pytest.raises(ClientError, match="LimitExceededException"):
            put(logs, "one more")

        assert [len(page["metricFilters"]) for page in pages] == [50, 50]


def test_there_is_no_filter_without_its_group() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeMetricFilters.html"""
    with a_world() as world:
        logs = world.identity.client("logs", PAYMENTS, "us-east-1")
        logs.create_log_group(logGroupName="trail")
        put(logs, "a")
        logs.delete_log_group(logGroupName="trail")

        for refused in (
            lambda: put(logs, "a"),
            lambda: logs.describe_metric_filters(logGroupName="trail"),
            lambda: logs.delete_metric_filter(logGroupName="trail", filterName="a"),
        ):
            with pytest.raises(ClientError, match="ResourceNotFoundException"):
                refused()
        assert logs.describe_metric_filters()["metricFilters"] == []


def test_a_filter_is_deleted_once() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteMetricFilter.html"""
    with a_world() as world:
        logs = world.identity.client("logs", PAYMENTS, "us-east-1")
        logs.create_log_group(logGroupName="trail")
        put(logs, "a")
        logs.delete_metric_filter(logGroupName="trail", filterName="a")

        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            logs.delete_metric_filter(logGroupName="trail", filterName="a")


def test_a_retention_that_is_not_offered_is_refused() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""
    with a_world() as world:
        logs = world.identity.client("logs", PAYMENTS, "us-east-1")
        logs.create_log_group(logGroupName="app")
        logs.put_retention_policy(logGroupName="app", retentionInDays=120)

        with pytest.raises(ClientError, match="InvalidParameterException"):
            logs.put_retention_policy(logGroupName="app", retentionInDays=100)

        assert logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 120


def test_an_alarm_notifies_topics_of_its_own_region_and_is_deleted_once() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DeleteAlarms.html"""
    with a_world() as world:
        cloudwatch = world.identity.client("cloudwatch", PAYMENTS, "us-east-1")
        alarm = {
            "AlarmName": "a", "MetricName": "m", "Namespace": "n", "Statistic": "Sum", "Period": 300,
            "EvaluationPeriods": 1, "Threshold": 1, "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        }  # fmt: skip
        with pytest.raises(ClientError, match="Only us-east-1 is supported"):
            cloudwatch.put_metric_alarm(**alarm, AlarmActions=[f"arn:aws:sns:eu-west-1:{PAYMENTS}:alarms"])
        cloudwatch.put_metric_alarm(**alarm, AlarmActions=[f"arn:aws:sns:us-east-1:{PAYMENTS}:alarms"])
        cloudwatch.delete_alarms(AlarmNames=["a"])

        with pytest.raises(ClientError) as caught:
            cloudwatch.delete_alarms(AlarmNames=["a"])
        assert caught.value.response["Error"]["Code"] == "ResourceNotFound"
