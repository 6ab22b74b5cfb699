"""Config.1: have a recorder that is on, has the service-linked role, and records what enabled controls are about."""

from __future__ import annotations

from typing import Any

from sharr.runtime.contract import auxiliary, call

LINKED = "aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig"
IAM_TYPES = {f"AWS::IAM::{kind}" for kind in ("Group", "Policy", "Role", "User")}
REFUSED, GLOBAL = "InsufficientDeliveryPolicyException", "includeGlobalResourceTypes"
ALL = {"allSupported": True, "recordingStrategy": {"useOnly": "ALL_SUPPORTED_RESOURCE_TYPES"}}
NEEDED = "ConfigRules[?CreatedBy=='securityhub.amazonaws.com'].Scope.ComplianceResourceTypes[]"


def inspect(aws: Any, target: dict[str, Any]) -> dict[str, Any]:
    """Read recorder and channel (lists: each is put whole), and which types enabled controls need."""
    # https://docs.aws.amazon.com/config/latest/APIReference/API_ConfigurationRecorder.html
    config = aws.client("config")
    # Asked without a name: the account's own, never a service's.
    recorder = [shown(one) for one in config.describe_configuration_recorders()["ConfigurationRecorders"]]
    status = config.describe_configuration_recorder_status()["ConfigurationRecordersStatus"]
    recording = any(one["recording"] for one in status)
    channel = config.describe_delivery_channels()["DeliveryChannels"]
    facts = {
        "needed": sorted(set(config.get_paginator("describe_config_rules").paginate().search(NEEDED))),
        "global_here": is_global_here(aws, target),
        "recorder_role": recorder[0]["roleARN"].partition(":role/")[2] if recorder else LINKED,
    }
    if not channel:
        facts["aux"] = {"log_bucket": aws.auxiliary("log_bucket")}
    return {"config": {"recorder": recorder, "channel": channel, "recording": recording}, "facts": facts, "busy": None}


def plan(state: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that make, change and start the recorder; [] where all is as the control wants it."""
    config, facts, calls = state["config"], state["facts"], []
    linked = f"arn:{target['partition']}:iam::{target['account']}:role/{LINKED}"
    old = config["recorder"][0] if config["recorder"] else None
    new = old or {"name": "default", "roleARN": linked, "recordingGroup": ALL | {GLOBAL: facts["global_here"]}}
    needed = set(facts["needed"]) - (set() if facts["global_here"] else IAM_TYPES)
    new = new | {"recordingGroup": widened(new["recordingGroup"], needed)}
    if target["parameters"]["requireServiceLinkedRole"]:
        new["roleARN"] = linked
    moved = not old or old["roleARN"] != linked == new["roleARN"]
    if moved:
        service = {"AWSServiceName": "config.amazonaws.com"}
        calls.append(call("iam", "create_service_linked_role", service, kept="the role stays", fine=["InvalidInput"]))
    which, gone = {"ConfigurationRecorderName": new["name"]}, ["NoSuchConfigurationRecorderException"]
    if new != old:
        unmade = call("config", "delete_configuration_recorder", which, fine=gone)
        back = put(old, leaf=["recorder"]) if old else unmade
        calls.append(put(new, undo=[back], retry=["InvalidRoleException"]))
    if not config["channel"] and not config["recording"]:
        made = {"name": "default", "s3BucketName": facts["aux"]["log_bucket"]["name"], "s3KeyPrefix": "config"}
        fine = ["NoSuchDeliveryChannelException"]
        back = call("config", "delete_delivery_channel", {"DeliveryChannelName": "default"}, fine=fine)
        calls += [auxiliary("log_bucket"), delivering(made, undo=[back])]
    elif moved and config["channel"]:
        # A put tries to deliver: the bucket may refuse this role.
        calls.append(delivering(config["channel"][0], kept="it is the one that was there"))
    if not config["recording"]:
        back = call("config", "stop_configuration_recorder", which, fine=gone)
        again = ["NoAvailableDeliveryChannelException"]
        calls.append(call("config", "start_configuration_recorder", which, undo=[back], retry=again))
    return calls


def put(recorder: dict[str, Any], **more: Any) -> dict[str, Any]:
    return call("config", "put_configuration_recorder", {"ConfigurationRecorder": recorder}, **more)


def delivering(channel: dict[str, Any], **more: Any) -> dict[str, Any]:
    explain = {REFUSED: "let config.amazonaws.com write there, or set requireServiceLinkedRole to false"}
    again = [REFUSED, "NoSuchBucketException"]
    return call("config", "put_delivery_channel", {"DeliveryChannel": channel}, retry=again, explain=explain, **more)


def widened(group: dict[str, Any], needed: set[str]) -> dict[str, Any]:
    """Return *group* with *needed* in it; what else it leaves out stays out."""
    if group.get("allSupported"):
        return group | {GLOBAL: True} if needed & IAM_TYPES else group
    if "exclusionByResourceTypes" in group:
        left = [kind for kind in group["exclusionByResourceTypes"]["resourceTypes"] if kind not in needed]
        return group | {"exclusionByResourceTypes": {"resourceTypes": left}} if left else ALL | {GLOBAL: True}
    there = group.get("resourceTypes", [])
    return group | {"resourceTypes": [*there, *sorted(needed - set(there))]}


def shown(recorder: dict[str, Any]) -> dict[str, Any]:
    """Return what PutConfigurationRecorder takes of a recorder."""
    group = recorder.get("recordingGroup") or ALL | {GLOBAL: False}
    group = {key: value for key, value in group.items() if value not in ([], {"resourceTypes": []})}
    return {key: recorder[key] for key in recorder if key not in ("arn", "recordingScope")} | {"recordingGroup": group}


def is_global_here(aws: Any, target: dict[str, Any]) -> bool:
    """Tell whether the control asks for IAM's types here: not where findings go elsewhere."""
    home, here, hub = target["parameters"]["globalTypesRegion"], target["region"], aws.client("securityhub")
    for one in [] if home else hub.list_finding_aggregators()["FindingAggregators"]:
        found = hub.get_finding_aggregator(**one)
        listed = here in found.get("Regions", [])
        linked = {"ALL_REGIONS": True, "ALL_REGIONS_EXCEPT_SPECIFIED": not listed}
        if linked.get(found["RegionLinkingMode"], listed):
            home = found["FindingAggregationRegion"]
    return home in (None, here)
