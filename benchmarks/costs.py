"""What a remediation and an idle stack cost at list prices: counted calls, measured sizes, assumed durations."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.scenes import Measured
from sandbox.ports import Call

FREE = ("AWS::CloudFormation::Stack", "AWS::Events::Rule", "AWS::IAM::Policy", "AWS::IAM::Role", "AWS::SSM::Document")
Item = Mapping[str, Any]
PRICES = Path(__file__).with_name("prices.yaml")


@dataclass(frozen=True, slots=True)
class Prices:
    """The price list, and what is assumed beside it."""

    date: str
    per_million: Mapping[str, float]
    per_month: Mapping[str, float]
    assumed: Mapping[str, float]

    @property
    def custom_metric(self) -> float:
        """Dollars a month of one metric."""
        return self.per_month["custom_metric"]

    def usd(self, units: Mapping[str, float]) -> dict[str, float]:
        """Return dollars by kind for these units. Raises KeyError for a kind that has no price."""
        return {kind: count * self.per_million[kind] / 1e6 for kind, count in units.items()}


def load(path: Path = PRICES) -> Prices:
    """Return the price list."""
    data = yaml.safe_load(path.read_text("utf-8"))
    per_million, per_month = (
        {name: float(price["usd"]) for name, price in data[kind].items()} for kind in ("per_million", "per_month")
    )
    return Prices(str(data["date"]), per_million, per_month, data["assumed"])


def units_of(measured: Measured, items: Iterable[Item], prices: Prices, *, memory_mb: int, steps: int) -> Counter[str]:
    """
    Return what is billed for each remediation of a scene; *steps* are those of its runbook, 0 in the function.

    The time of the repair's own calls is in it where they are made in the function; their price is of_repair()'s.
    """
    count, assumed = measured.findings, prices.assumed
    writes, reads = capacity(measured.raw, items)
    handled = [s for s in measured.samples if "sweeper" not in s.handler]
    cpu = sum(s.ours + s.client_side for s in handled) / (memory_mb * assumed["vcpu_per_mb"])
    in_functions = sum(measured.calls.values()) + (0 if steps else sum(measured.repairs_own.values()))
    seconds = cpu + in_functions * assumed["seconds_per_call"]
    told = measured.calls["sharr-observe", "PublishBatch"]
    sent = sum(n for (_, operation), n in measured.calls.items() if operation.startswith("SendMessage"))
    into_queues = count + measured.to_other_accounts  # by EventBridge: the finding, and the end of its runbook
    requests = {
        "lambda_requests": len(handled),
        "lambda_gb_seconds": seconds * memory_mb / 1024,
        "sqs_requests": sent + into_queues + _polls(measured),
        "dynamodb_write_units": writes,
        "dynamodb_read_units": reads,
        "sns_publishes": told,
        "kms_requests": told * assumed["kms_requests_per_publish"],
        "log_megabytes": measured.log_bytes / 1e6,
        "events_to_other_accounts": measured.to_other_accounts,
        "automation_steps": steps * count,
        "automation_script_seconds": steps * count * assumed["script_seconds_per_step"],
    }
    return Counter({name: value / count for name, value in requests.items() if value})


def of_repair(measured: Measured, prices: Prices) -> float:
    """Return dollars for the repair's own calls, each remediation: KMS bills all, others' control planes are free."""
    requests = sum(n for (service, _), n in measured.repairs_own.items() if service == "kms")
    return sum(prices.usd({"kms_requests": requests / measured.findings}).values())


def of_member(templates: Iterable[Path]) -> float:
    """Return dollars a month of what member accounts get: 0. Raises NotImplementedError for a type that may cost."""
    for template in templates:
        for name, resource in json.loads(template.read_text("utf-8"))["Resources"].items():
            if resource["Type"] not in FREE:
                raise NotImplementedError(f"{template.name}: {name}: what {resource['Type']} costs is not known here")
    return 0.0


def monthly(prices: Prices, *, alarm_metrics: int, queues: int, queries: int, memory_mb: int) -> dict[str, float]:
    """Return dollars a month of an admin stack in which nothing happens."""
    minutes, assumed = prices.assumed["minutes_per_month"], prices.assumed
    sweeper = prices.usd(
        {
            "lambda_requests": minutes,
            "lambda_gb_seconds": minutes * queries * assumed["seconds_per_call"] * memory_mb / 1024,
            "dynamodb_read_units": minutes * queries * 0.5,  # an empty, eventually consistent query
        }
    )
    polls = prices.usd({"sqs_requests": minutes * queues * assumed["polls_per_minute_per_queue"]})
    return {
        "KMS key": prices.per_month["kms_key"],
        "alarms": alarm_metrics * prices.per_month["alarm_metric"],
        "dashboard": prices.per_month["dashboard"],
        "sweeper": sum(sweeper.values()),
        "polling of queues": sum(polls.values()),
    }


def capacity(calls: Iterable[Call], items: Iterable[Item]) -> tuple[float, float]:
    """
    Return the write and read request units of calls to the table.

    Where a call does not carry its item (Update, Get, ConditionCheck) its size is the one that it has in the end.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html (transactions
    count twice, a condition check as a write; an index is written outside of them)
    """
    sizes = {item["pk"]["S"]: item_bytes(item) for item in items}
    due: dict[str, Any] = {}
    writes = reads = 0.0
    for call in (c for c in calls if c.service == "dynamodb"):
        parameters = call.parameters
        if call.operation == "TransactGetItems":
            keys = [entry["Get"]["Key"]["pk"]["S"] for entry in parameters["TransactItems"]]
            reads += sum(2 * _units(sizes.get(key, 0), 4096) for key in keys)
        elif call.operation == "BatchGetItem":
            keys = [key["pk"]["S"] for table in parameters["RequestItems"].values() for key in table["Keys"]]
            reads += sum(_units(sizes.get(key, 0), 4096) for key in keys)
        elif call.operation == "GetItem":
            consistent = 1.0 if parameters.get("ConsistentRead") else 0.5
            reads += consistent * _units(sizes.get(parameters["Key"]["pk"]["S"], 0), 4096)
        elif call.operation == "PutItem":
            writes += _units(item_bytes(parameters["Item"]), 1024)
        elif call.operation == "TransactWriteItems":
            for entry in parameters["TransactItems"]:
                ((kind, what),) = entry.items()
                key = (what.get("Item") or what["Key"])["pk"]["S"]
                size = item_bytes(what["Item"]) if kind == "Put" else sizes.get(key, 0)
                writes += 2 * _units(size, 1024) + _index_writes(kind, key, what, due)
        elif call.operation == "UpdateItem":
            key = parameters["Key"]["pk"]["S"]
            writes += _units(sizes.get(key, 0), 1024) + _index_writes("Update", key, parameters, due)
        elif call.operation != "Query":
            raise NotImplementedError(f"what {call.operation} takes is not known here")
    return writes, reads


def item_bytes(item: Item) -> int:
    """
    Return the size of an item in DynamoDB's JSON.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "B":
        return len(bytes(content))
    if kind == "N":
        return math.ceil(len(content.strip("-.")) / 2) + 1
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "L":
        return 3 + sum(1 + _value_bytes(one) for one in content)
    if kind == "M":
        return 3 + len(content) + item_bytes(content)
    raise NotImplementedError(f"the size of DynamoDB's type {kind} is not known here")


def _units(size: int, block: int) -> int:
    return max(1, math.ceil(size / block))


def _index_writes(kind: str, key: str, what: Mapping[str, Any], due: dict[str, Any]) -> int:
    """The index `due` holds keys: it is written where due_at comes, goes (1) or changes (2: out and in again)."""
    if not key.startswith("attempt#") or kind == "ConditionCheck":
        return 0
    before = due.get(key)
    if kind == "Put":
        due[key] = what["Item"].get("due_at", {}).get("S")
    elif "REMOVE due_at" in what["UpdateExpression"]:
        due[key] = None
    elif "SET due_at" in what["UpdateExpression"]:
        due[key] = what["ExpressionAttributeValues"][":until"]["S"]
    after = due.get(key)
    return 0 if before == after else 2 if before and after else 1


def _polls(measured: Measured) -> int:
    """One receive and one delete for each batch; the sandbox's second receive, which finds nothing, is monthly()'s."""
    return 2 * measured.by_lambda["DeleteMessageBatch"]
