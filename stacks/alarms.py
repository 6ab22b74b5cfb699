"""Alarms: each tells the topic itself, so that the mail names the playbook, and says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from stacks.intrinsics import Json, text


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of CloudWatch and the statistic of it that an alarm looks at."""

    namespace: str
    name: str
    dimensions: Mapping[str, Json]
    statistic: str


class Alarm(cloudwatch.CfnAlarm):
    """An alarm on the sum of *metrics* (one that has no data counts as 0), each minute or *period* seconds."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        description: str,
        metrics: Sequence[Metric],
        threshold: float,
        topic_arn: Json,
        periods: int = 1,
        period: int = 60,
        below: bool = False,
        missing: str = "notBreaching",
    ) -> None:
        queries = [
            cloudwatch.CfnAlarm.MetricDataQueryProperty(
                id=f"m{index}",
                return_data=False,
                metric_stat=cloudwatch.CfnAlarm.MetricStatProperty(
                    metric=cloudwatch.CfnAlarm.MetricProperty(
                        namespace=metric.namespace,
                        metric_name=metric.name,
                        dimensions=[
                            cloudwatch.CfnAlarm.DimensionProperty(name=name, value=text(value))
                            for name, value in metric.dimensions.items()
                        ],
                    ),
                    period=period,
                    stat=metric.statistic,
                ),
            )
            for index, metric in enumerate(metrics)
        ]
        total = cloudwatch.CfnAlarm.MetricDataQueryProperty(
            id="total",
            expression=" + ".join(f"FILL(m{index}, 0)" for index in range(len(queries))),
            label="total",
            return_data=True,
        )
        super().__init__(
            scope,
            id,
            alarm_description=description,
            alarm_actions=[text(topic_arn)],
            ok_actions=[text(topic_arn)],
            metrics=[*queries, total],
            comparison_operator="LessThanThreshold" if below else "GreaterThanOrEqualToThreshold",
            threshold=threshold,
            evaluation_periods=periods,
            datapoints_to_alarm=periods,
            treat_missing_data=missing,
        )
