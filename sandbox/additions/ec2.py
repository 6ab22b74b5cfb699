"""
EC2: flow logs that are delivered after a while, rules revoked by id, snapshots filtered by who may restore them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.responses import EC2Response
from moto.logs.models import logs_backends

from sandbox.additions.wire import Patches, Refused, Request, page
from sandbox.ports import World

FLOW_LOG_SECONDS = 600
"""After this time DeliverLogsStatus is there: the aggregation interval of ten minutes, which is the default."""

_FLOW_LOG_SERVICE = "vpc-flow-logs.amazonaws.com"
_RESOURCES = {
    "VPC": ("vpcs", "InvalidVpcID.NotFound"),
    "Subnet": ("subnets", "InvalidSubnetID.NotFound"),
    "NetworkInterface": ("enis", "InvalidNetworkInterfaceID.NotFound"),
}


def install(world: World, patches: Patches) -> None:
    """Make moto's EC2 behave as AWS documents it, on *world*'s clock."""
    flow_logs = _FlowLogs(world)
    patches.around(EC2Response, "CreateFlowLogs", flow_logs.create)
    patches.around(EC2Response, "DescribeFlowLogs", flow_logs.describe)
    patches.answer(EC2Response, "RevokeSecurityGroupIngress", lambda request: _revoke(request, egress=False))
    patches.answer(EC2Response, "RevokeSecurityGroupEgress", lambda request: _revoke(request, egress=True))
    patches.answer(EC2Response, "DescribeSecurityGroupRules", _describe_rules)
    patches.answer(EC2Response, "DescribeSnapshots", _describe_snapshots)
    patches.around(EC2Response, "ModifySnapshotAttribute", _modify_snapshot_attribute)
    patches.answer(EC2Response, "GetManagedPrefixListEntries", _prefix_list_entries)


# --- flow logs


class _FlowLogs:
    def __init__(self, world: World) -> None:
        self.world = world
        self.tokens: dict[tuple[str, str, str], tuple[str, list[str]]] = {}

    def create(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateFlowLogs.html"""
        asked = request.parameters
        token, fingerprint = asked.get("ClientToken"), json.dumps(asked, sort_keys=True)
        key = (request.account, request.region, token or "")
        if token and key in self.tokens:
            before, ids = self.tokens[key]
            if before != fingerprint:
                raise Refused("IdempotentParameterMismatch", "the token was used with other parameters")
            return {"ClientToken": token, "FlowLogIds": ids, "Unsuccessful": []}
        backend = ec2_backends[request.account][request.region]
        table, code = _RESOURCES.get(asked["ResourceType"], (None, ""))
        missing = [one for one in asked["ResourceIds"] if table and one not in getattr(backend, table)]
        if missing:
            # one bad resource makes the others fail with it here: the callers of the sandbox ask for one at a time
            errors = [
                {"ResourceId": one, "Error": {"Code": code, "Message": f"{one} does not exist"}} for one in missing
            ]
            return {"ClientToken": token, "FlowLogIds": [], "Unsuccessful": errors}
        known = set(backend.flow_logs)
        proceed()
        made: list[Any] = [flow_log for id_, flow_log in backend.flow_logs.items() if id_ not in known]
        for flow_log in made:
            flow_log.born = self.world.clock.now()
            flow_log.deliver_logs_status = flow_log.deliver_logs_error_message = None
        ids = [flow_log.id for flow_log in made]
        if token:
            self.tokens[key] = (fingerprint, ids)
        return {"ClientToken": token, "FlowLogIds": ids, "Unsuccessful": []}

    def describe(self, request: Request, proceed: Callable[[], Any]) -> Any:
        """
        Show the delivery status once records have had time to arrive.

        Source: https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-troubleshooting.html
        """
        now = self.world.clock.now()
        for flow_log in ec2_backends[request.account][request.region].flow_logs.values():
            born = getattr(flow_log, "born", None)
            if born is None or flow_log.log_destination_type == "s3":
                continue
            if (now - born).total_seconds() >= FLOW_LOG_SECONDS:
                delivered = self._delivers(request, flow_log)
                flow_log.deliver_logs_status = "SUCCESS" if delivered else "FAILED"
                flow_log.deliver_logs_error_message = None if delivered else "Access error"
        return proceed()

    def _delivers(self, request: Request, flow_log: Any) -> bool:
        name = flow_log.log_group_name or flow_log.log_destination.split(":log-group:")[1].removesuffix(":*")
        if name not in logs_backends[request.account][request.region].groups:
            return False
        arn = f"arn:{request.partition}:ec2:{request.region}:{request.account}:vpc-flow-log/{flow_log.id}"
        context = {"aws:SourceAccount": request.account, "aws:SourceArn": arn}
        role = flow_log.deliver_logs_permission_arn
        try:
            self.world.identity.service_assumes_role(_FLOW_LOG_SERVICE, role, "flow-logs", context)
        except ClientError:
            return False  # this is what AWS shows of it: FAILED, with "Access error"
        return True


# --- security group rules


def _revoke(request: Request, *, egress: bool) -> dict[str, Any]:
    """
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RevokeSecurityGroupIngress.html
    """
    asked = request.parameters
    if asked.get("DryRun"):
        raise Refused("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
    backend = ec2_backends[request.account][request.region]
    name = asked.get("GroupId") or asked.get("GroupName") or ""
    group = backend.get_security_group_by_name_or_id(name, None)
    if group is None:
        raise Refused("InvalidGroup.NotFound", f"The security group '{name}' does not exist")
    rules = group.egress_rules if egress else group.ingress_rules
    ids = asked.get("SecurityGroupRuleIds") or []
    known = {rule.id: rule for rule in rules}
    for id_ in ids:
        if id_ not in known:
            raise Refused("InvalidSecurityGroupRuleId.NotFound", f"The security group rule ID '{id_}' does not exist")
    removed = [known[id_] for id_ in ids]
    unknown = []
    for permission in asked.get("IpPermissions") or _flat_permission(asked):
        for one, source in _sources(permission):
            found = next((rule for rule in rules if _is(rule, permission, source)), None)
            if found is None:
                unknown.append(one)
            elif found not in removed:
                removed.append(found)
    in_default_vpc = any(vpc.id == group.vpc_id and vpc.is_default for vpc in backend.vpcs.values())
    if unknown and not in_default_vpc:
        raise Refused("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
    gone = {rule.id for rule in removed}
    kept = [rule for rule in rules if rule.id not in gone]
    setattr(group, "egress_rules" if egress else "ingress_rules", kept)
    return {
        "Return": True,
        "UnknownIpPermissions": unknown,
        "RevokedSecurityGroupRules": [
            {
                "SecurityGroupRuleId": rule.id,
                "GroupId": group.id,
                "IsEgress": egress,
                "IpProtocol": rule.ip_protocol,
                "FromPort": -1 if rule.from_port is None else rule.from_port,
                "ToPort": -1 if rule.to_port is None else rule.to_port,
                "CidrIpv4": rule.cidr_ipv4,
                "CidrIpv6": rule.cidr_ipv6,
                "PrefixListId": rule.prefix_list_id,
                "ReferencedGroupId": rule.source_group.get("GroupId"),
                "Description": _description(rule),
            }
            for rule in removed
        ],
    }


def _flat_permission(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "IpProtocol" not in asked and "CidrIp" not in asked:
        return []
    permission = {name: asked[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in asked}
    return [permission | {"IpRanges": [{"CidrIp": asked["CidrIp"]}] if "CidrIp" in asked else []}]


def _sources(permission: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], tuple[str, str]]]:
    """Give each source of a permission: as a permission of its own, and as (kind, value)."""
    head = {name: permission[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in permission}
    for list_, key in (
        ("IpRanges", "CidrIp"),
        ("Ipv6Ranges", "CidrIpv6"),
        ("PrefixListIds", "PrefixListId"),
        ("UserIdGroupPairs", "GroupId"),
    ):
        for one in permission.get(list_) or []:
            yield head | {list_: [one]}, (key, one[key])


def _is(rule: Any, permission: Mapping[str, Any], source: tuple[str, str]) -> bool:
    """Tell whether *rule* has this protocol, these ports and this source; descriptions do not count."""
    protocol = {"6": "tcp", "17": "udp", "1": "icmp", "all": "-1"}.get(
        permission["IpProtocol"].lower(), permission["IpProtocol"].lower()
    )
    if rule.ip_protocol != protocol:
        return False
    if protocol != "-1" and (rule.from_port, rule.to_port) != (permission.get("FromPort"), permission.get("ToPort")):
        return False
    key, value = source
    there = {
        "CidrIp": rule.cidr_ipv4,
        "CidrIpv6": rule.cidr_ipv6,
        "PrefixListId": rule.prefix_list_id,
        "GroupId": rule.source_group.get("GroupId"),
    }
    return bool(there[key] == value)


def _describe_rules(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html"""
    asked = request.parameters
    backend = ec2_backends[request.account][request.region]
    filters = {one["Name"]: one["Values"] for one in asked.get("Filters") or []}
    found = backend.describe_security_group_rules(asked.get("SecurityGroupRuleIds") or [], filters)
    shown, token = page(
        [_shown_rule(request, rule) for rule in found], asked, most=1000, invalid="InvalidParameterValue"
    )
    return {"SecurityGroupRules": shown, "NextToken": token}


def _shown_rule(request: Request, rule: Any) -> dict[str, Any]:
    return {
        "SecurityGroupRuleId": rule.id,
        "GroupId": rule.group_id,
        "GroupOwnerId": request.account,
        "IsEgress": rule.is_egress,
        "IpProtocol": rule.ip_protocol,
        "FromPort": -1 if rule.from_port is None else rule.from_port,
        "ToPort": -1 if rule.to_port is None else rule.to_port,
        "CidrIpv4": rule.cidr_ipv4,
        "CidrIpv6": rule.cidr_ipv6,
        "PrefixListId": rule.prefix_list_id,
        "ReferencedGroupInfo": {
            "GroupId": rule.source_group["GroupId"],
            "UserId": rule.source_group.get("UserId", request.account),
        }
        if rule.source_group.get("GroupId")
        else None,
        "Description": _description(rule),
        "Tags": rule.get_tags(),
        "SecurityGroupRuleArn": f"arn:{request.partition}:ec2:{request.region}:{request.account}:"
        f"security-group-rule/{rule.id}",
    }


def _description(rule: Any) -> str | None:
    text = rule.ip_range.get("Description") or rule.source_group.get("Description")
    return str(text) if text else getattr(rule, "prefix_list_description", None)


# --- snapshots and prefix lists


def _describe_snapshots(request: Request) -> dict[str, Any]:
    """
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
    """
    asked = request.parameters
    backend = ec2_backends[request.account][request.region]
    filters = {one["Name"]: one["Values"] for one in asked.get("Filters") or []}
    found = backend.describe_snapshots(asked.get("SnapshotIds") or None, filters)
    owners = [request.account if owner == "self" else owner for owner in asked.get("OwnerIds") or []]
    if owners:
        found = [s for s in found if s.owner_id in owners or ("amazon" in owners and s.from_ami)]
    restorers = [request.account if one == "self" else one for one in asked.get("RestorableByUserIds") or []]
    if restorers:
        found = [snapshot for snapshot in found if _is_restorable(snapshot, restorers)]
    items = [{"snapshot": snapshot} for snapshot in found]
    if "MaxResults" in asked or "NextToken" in asked:
        if "MaxResults" in asked and asked["MaxResults"] < 5:
            raise Refused("InvalidParameterValue", "MaxResults must be at least 5")
        items, token = page(items, {**asked}, most=1000, invalid="InvalidParameterValue")
    else:
        token = None
    return {"Snapshots": [item["snapshot"] for item in items], "NextToken": token}


def _is_restorable(snapshot: Any, who: list[str]) -> bool:
    groups, users = snapshot.create_volume_permission_groups, snapshot.create_volume_permission_userids
    return bool(("all" in who and "all" in groups) or set(who) & users or snapshot.owner_id in who)


def _modify_snapshot_attribute(request: Request, proceed: Callable[[], Any]) -> Any:
    """
    Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html and
    https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html
    """
    asked = request.parameters
    backend = ec2_backends[request.account][request.region]
    snapshot = backend.snapshots.get(asked["SnapshotId"])
    if snapshot is None:
        raise Refused("InvalidSnapshot.NotFound", f"The snapshot '{asked['SnapshotId']}' does not exist.")
    if snapshot.owner_id != request.account or snapshot.from_ami:
        raise Refused("AuthFailure", f"Not authorized to modify snapshot {snapshot.id}")
    changes = asked.get("CreateVolumePermission") or {}
    added, removed = changes.get("Add") or [], changes.get("Remove") or []
    adds_all = any(one.get("Group") == "all" for one in added)
    adds_all = adds_all or (asked.get("OperationType") == "add" and "all" in asked.get("GroupNames", []))
    if adds_all and snapshot.encrypted:
        raise Refused("OperationNotPermitted", "Encrypted snapshots cannot be made public")
    for one in added:
        backend.add_create_volume_permission(snapshot.id, *_permission(one))
    for one in removed:
        backend.remove_create_volume_permission(snapshot.id, *_permission(one))
    return {} if added or removed else proceed()


def _permission(one: Mapping[str, str]) -> tuple[list[str], list[str]]:
    return [one["UserId"]] if "UserId" in one else [], [one["Group"]] if "Group" in one else []


def _prefix_list_entries(request: Request) -> dict[str, Any]:
    """Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListEntries.html"""
    asked = request.parameters
    backend = ec2_backends[request.account][request.region]
    prefix_list = backend.managed_prefix_lists.get(asked["PrefixListId"])
    if prefix_list is None:
        raise Refused("InvalidPrefixListID.NotFound", f"The prefix list ID '{asked['PrefixListId']}' does not exist")
    versions = prefix_list.entries
    version = asked.get("TargetVersion") or max(versions, default=0)
    entries, token = page(list(versions.get(version) or []), asked, most=100, invalid="InvalidParameterValue")
    return {"Entries": entries, "NextToken": token}
