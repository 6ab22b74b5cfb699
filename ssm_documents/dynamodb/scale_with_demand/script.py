"""DynamoDB.1: let the capacity of a table and its global secondary indexes follow demand."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import CannotRepair, ResourceGone, call

# Every other status but ACTIVE passes by itself.
STUCK = ("ARCHIVED", "INACCESSIBLE_ENCRYPTION_CREDENTIALS", "REPLICATION_NOT_AUTHORIZED")
POLICY = "sharr-target-tracking"
UTILIZATION_PERCENT = 70
MOST_UNITS = 40_000
KINDS = ("Read", "Write")


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """
    Read the billing mode, and the scalable targets and policies of the table and of each index.

    Units are facts, no config: auto scaling moves them by itself. A table that never was on demand has no BillingMode.
    Source: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_ScalableTarget.html
    """
    dynamodb, name = aws.client("dynamodb"), target["resource"]["table"]
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
    except dynamodb.exceptions.ResourceNotFoundException as error:
        raise ResourceGone(name) from error
    own = f"table/{name}"
    parts = {own: table} | {f"{own}/index/{i['IndexName']}": i for i in table.get("GlobalSecondaryIndexes", [])}
    scaling: dict[str, Any] = {part: {} for part in parts}
    autoscaling = aws.client("application-autoscaling")
    pages = autoscaling.get_paginator("describe_scalable_targets").paginate(
        ServiceNamespace="dynamodb", ResourceIds=list(parts)
    )
    for one in (t for page in pages for t in page["ScalableTargets"]):
        limits = {"min": one["MinCapacity"], "max": one["MaxCapacity"]}
        scaling[one["ResourceId"]][one["ScalableDimension"]] = {"limits": limits, "policies": {}}
    for part in [p for p in parts if scaling[p]]:
        found = autoscaling.get_paginator("describe_scaling_policies").paginate(
            ServiceNamespace="dynamodb", ResourceId=part
        )
        for one in (p for page in found for p in page["ScalingPolicies"]):
            tracking = one.get("TargetTrackingScalingPolicyConfiguration")
            if tracking and one["ScalableDimension"] in scaling[part]:
                scaling[part][one["ScalableDimension"]]["policies"][one["PolicyName"]] = tracking
    status = table["TableStatus"]
    at_work = [i["IndexName"] for i in table.get("GlobalSecondaryIndexes", []) if i["IndexStatus"] != "ACTIVE"]
    busy = None if status == "ACTIVE" or status in STUCK else f"the table is {status}"
    facts = {
        "status": status,
        "replicas": sorted(r["RegionName"] for r in table.get("Replicas", [])),
        "units": {
            part: {kind: found["ProvisionedThroughput"][f"{kind}CapacityUnits"] for kind in KINDS}
            for part, found in parts.items()
        },
    }
    return {
        "config": {"mode": table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"), "scaling": scaling},
        "facts": facts,
        "busy": busy or (f"index {at_work[0]} is being changed" if at_work else None),
    }


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """
    Return the calls that let capacity follow demand; [] where reads and writes of the table and every index scale.

    Sources: https://docs.aws.amazon.com/config/latest/developerguide/dynamodb-autoscaling-enabled.html and
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-switching-capacity-modes.html
    """
    if state["config"]["mode"] == "PAY_PER_REQUEST":
        return []
    calls = [c for part in state["facts"]["units"] for kind in KINDS for c in scaled(state, target, part, kind)]
    if not calls:
        return []
    if state["facts"]["status"] in STUCK:
        raise CannotRepair(f"the table is {state['facts']['status']}", "restore its key or access, or delete it")
    if state["facts"]["replicas"]:
        where = ", ".join(state["facts"]["replicas"])
        raise CannotRepair(
            f"a change of this global table's capacity changes its replicas too ({where})",
            "set on-demand mode, or auto scaling of all replicas, by hand",
        )
    # Where the owner has auto scaling for a part of it already, it is completed: the mode is the owner's choice then.
    begun = any(state["config"]["scaling"].values())
    return calls if begun or target["parameters"]["scaling"] == "auto-scaling" else [on_demand(state, target)]


def on_demand(state: dict[str, Any], target: dict[str, Any]) -> dict[str, Any]:
    """Return the call that has the table paid by request; the undo gives every index its units back."""
    table = {"TableName": target["resource"]["table"]}
    units = {
        part: {f"{kind}CapacityUnits": found[kind] for kind in KINDS} for part, found in state["facts"]["units"].items()
    }
    own = units.pop(f"table/{table['TableName']}")
    back: dict[str, Any] = table | {"BillingMode": "PROVISIONED", "ProvisionedThroughput": own}
    if units:
        back["GlobalSecondaryIndexUpdates"] = [
            {"Update": {"IndexName": part.rsplit("/", 1)[1], "ProvisionedThroughput": found}}
            for part, found in units.items()
        ]
    explain = {
        "LimitExceededException": "a table can go on demand four times in 24 hours: repair again tomorrow",
        "ResourceInUseException": "wait until the table is ACTIVE, then repair again",
    }
    # A second undo may meet the first one's update: then the table is on its way already.
    undo = call("dynamodb", "update_table", back, leaf=["mode"], fine=["ResourceInUseException"])
    forward = table | {"BillingMode": "PAY_PER_REQUEST"}
    return call("dynamodb", "update_table", forward, undo=[undo], retry=["ResourceInUseException"], explain=explain)


def scaled(state: dict[str, Any], target: dict[str, Any], part: str, kind: str) -> list[dict[str, Any]]:
    """
    Return the calls that have one dimension scaled; [] where it is, as the control's parameters want it.

    Limits that are there are only moved as far as the wanted minimum needs it. A new target's range holds today's
    units, since registering it moves them into the range at once.
    Source: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
    """
    level = "index" if "/index/" in part else "table"
    dimension = f"dynamodb:{level}:{kind}CapacityUnits"
    there = state["config"]["scaling"][part].get(dimension, {"limits": None, "policies": {}})
    least = target["parameters"][f"minProvisioned{kind}Capacity"]
    percent = target["parameters"][f"target{kind}Utilization"]
    units, limits, policies = state["facts"]["units"][part][kind], there["limits"], there["policies"]
    who = {"ServiceNamespace": "dynamodb", "ResourceId": part, "ScalableDimension": dimension}
    again, gone = ["ConcurrentUpdateException"], ["ObjectNotFoundException"]

    def register(low: int, high: int, **more: Any) -> dict[str, Any]:
        wanted = who | {"MinCapacity": low, "MaxCapacity": high}
        return call("application-autoscaling", "register_scalable_target", wanted, retry=again, **more)

    def put(name: str, tracking: dict[str, Any], **more: Any) -> dict[str, Any]:
        policy = {"PolicyName": name, "PolicyType": "TargetTrackingScaling"}
        wanted = who | policy | {"TargetTrackingScalingPolicyConfiguration": tracking}
        return call("application-autoscaling", "put_scaling_policy", wanted, retry=[*again, *gone], **more)

    calls = []
    if limits is None:
        low = least or units
        high = max(low, units, min(units * target["parameters"]["maxCapacityFactor"], MOST_UNITS))
        away = call("application-autoscaling", "deregister_scalable_target", who, fine=gone, retry=again)
        calls.append(register(low, high, undo=[away]))
    elif least and limits["min"] < least:
        calls.append(register(least, max(least, limits["max"]), undo=[register(limits["min"], limits["max"])]))
    if not policies:
        metric = {"PredefinedMetricSpecification": {"PredefinedMetricType": f"DynamoDB{kind}CapacityUtilization"}}
        away = call(
            "application-autoscaling", "delete_scaling_policy", who | {"PolicyName": POLICY}, fine=gone, retry=again
        )
        calls.append(put(POLICY, metric | {"TargetValue": percent or UTILIZATION_PERCENT}, undo=[away]))
    for name, tracking in policies.items():
        # The target of a metric that somebody chose is no percentage.
        if percent and "PredefinedMetricSpecification" in tracking and tracking["TargetValue"] != percent:
            calls.append(put(name, tracking | {"TargetValue": percent}, undo=[put(name, tracking)]))
    return calls
