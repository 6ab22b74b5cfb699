"""The dashboard: what was repaired, how fast, and whether something is stuck."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from stacks.intrinsics import Json, either, join, sub
from stacks.names import METRICS

SERVICE = ("service", "outcome")
"""The dimension that Powertools adds to every metric: the function's POWERTOOLS_SERVICE_NAME."""
Named = tuple[str | None, Json]
"""The condition on which a queue or function is there (None: always), and its name."""


def body(queues: Sequence[Named], dead: Sequence[Named], functions: Sequence[Named]) -> Json:
    """
    Return the dashboard as the Fn::Join that it has to be: it names nested stacks' resources, which may not be there.
    """
    outcomes = [f"SEARCH('{{{METRICS},Outcome,service}} MetricName=\"Outcomes\"', 'Sum', 3600)"]
    by_control = [f"SEARCH('{{{METRICS},Control,Outcome,service}} MetricName=\"Outcomes\"', 'Sum', 86400)"]
    rate: list[Any] = [
        [METRICS, "Outcomes", *SERVICE, "Outcome", "REMEDIATED", {"id": "good", "visible": False, "stat": "Sum"}],
        [METRICS, "Outcomes", *SERVICE, "Outcome", "FAILED", {"id": "bad", "visible": False, "stat": "Sum"}],
        [{"expression": "100 * FILL(good, 0) / (FILL(good, 0) + FILL(bad, 0))", "label": "repaired, %", "id": "rate"}],
    ]
    disagreed = f"SEARCH('{{{METRICS},Control,service}} MetricName=\"Disagreements\"', 'Sum', 86400)"
    trust: list[Any] = [
        [METRICS, "Outcomes", *SERVICE, "Outcome", "REMEDIATED", {"id": "good", "visible": False, "stat": "Sum"}],
        [{"expression": disagreed, "id": "d", "label": "disagreed with"}],
        [
            {
                "expression": "100 * SUM(d) / FILL(good, 1)",
                "label": "of a day's repairs, %",
                "id": "rate",
                "yAxis": "right",
            }
        ],
    ]
    repaired = [METRICS, "SecondsToOutcome", *SERVICE, "Outcome", "REMEDIATED"]
    seconds = [[*repaired, {"stat": stat}] for stat in ("p50", "p95")]
    widgets = [
        _widget("Outcomes an hour", 0, 0, {"metrics": [[{"expression": outcomes[0], "id": "o"}]], "stacked": True}),
        _widget("Repaired of what was tried", 12, 0, {"metrics": rate, "period": 3600, "yAxis": _percent()}),
        _widget("Seconds from finding to outcome", 0, 6, {"metrics": seconds, "period": 3600}),
        _widget("Outcomes a day, by control", 12, 6, {"metrics": [[{"expression": by_control[0], "id": "c"}]]}),
        _widget("Repairs that Security Hub disagrees with", 0, 24, {"metrics": trust, "period": 86400}),
    ]
    with_names = [
        ("Age of the oldest message, seconds", 0, 12, "Maximum", _lines("AWS/SQS", "ApproximateAgeOfOldestMessage",
                                                                          "QueueName", queues)),
        ("Dead letters", 12, 12, "Maximum", _lines("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", dead)),
        ("Errors of functions", 0, 18, "Sum", _lines("AWS/Lambda", "Errors", "FunctionName", functions)),
        ("Duration of functions, ms", 12, 18, "p95", _lines("AWS/Lambda", "Duration", "FunctionName", functions)),
    ]  # fmt: skip
    parts: list[Json] = ['{"widgets":[', sub(",".join(widgets))]
    for title, x, y, statistic, lines in with_names:
        before, after = _widget(title, x, y, {"metrics": "LINES", "stat": statistic, "period": 300}).split('"LINES"')
        parts += [sub(f",{before}["), join(",", lines), f"]{after}"]
    return join("", [*parts, "]}"])


def _lines(namespace: str, metric: str, dimension: str, named: Sequence[Named]) -> list[Json]:
    lines = []
    for condition, name in named:
        line = join("", [f'["{namespace}","{metric}","{dimension}","', name, '"]'])
        lines.append(line if condition is None else either(condition, line))
    return lines


def _widget(title: str, x: int, y: int, properties: Mapping[str, Any]) -> str:
    shown = {"region": "${AWS::Region}", "title": title, "view": "timeSeries", **properties}
    return json.dumps({"type": "metric", "x": x, "y": y, "width": 12, "height": 6, "properties": shown})


def _percent() -> dict[str, Any]:
    return {"left": {"min": 0, "max": 100}}
