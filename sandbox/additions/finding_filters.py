"""Which findings GetFindings gives, and in which order: filters and sort criteria as pure functions."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sandbox.additions.asff import is_date, when

_Finding = Mapping[str, Any]
_PATHS = {
    "Type": "Types",
    "SeverityProduct": "Severity.Product",
    "SeverityNormalized": "Severity.Normalized",
    "SeverityLabel": "Severity.Label",
    "RecommendationText": "Remediation.Recommendation.Text",
    "MalwareName": "Malware.Name",
    "MalwareType": "Malware.Type",
    "MalwarePath": "Malware.Path",
    "MalwareState": "Malware.State",
    "NetworkDirection": "Network.Direction",
    "NetworkProtocol": "Network.Protocol",
    "NetworkSourceIpV4": "Network.SourceIpV4",
    "NetworkSourceIpV6": "Network.SourceIpV6",
    "NetworkSourcePort": "Network.SourcePort",
    "NetworkSourceDomain": "Network.SourceDomain",
    "NetworkSourceMac": "Network.SourceMac",
    "NetworkDestinationIpV4": "Network.DestinationIpV4",
    "NetworkDestinationIpV6": "Network.DestinationIpV6",
    "NetworkDestinationPort": "Network.DestinationPort",
    "NetworkDestinationDomain": "Network.DestinationDomain",
    "ProcessName": "Process.Name",
    "ProcessPath": "Process.Path",
    "ProcessPid": "Process.Pid",
    "ProcessParentPid": "Process.ParentPid",
    "ProcessLaunchedAt": "Process.LaunchedAt",
    "ProcessTerminatedAt": "Process.TerminatedAt",
    "ThreatIntelIndicatorType": "ThreatIntelIndicators.Type",
    "ThreatIntelIndicatorValue": "ThreatIntelIndicators.Value",
    "ThreatIntelIndicatorCategory": "ThreatIntelIndicators.Category",
    "ThreatIntelIndicatorLastObservedAt": "ThreatIntelIndicators.LastObservedAt",
    "ThreatIntelIndicatorSource": "ThreatIntelIndicators.Source",
    "ThreatIntelIndicatorSourceUrl": "ThreatIntelIndicators.SourceUrl",
    "ResourceType": "Resources.Type",
    "ResourceId": "Resources.Id",
    "ResourcePartition": "Resources.Partition",
    "ResourceRegion": "Resources.Region",
    "ResourceTags": "Resources.Tags",
    "ResourceAwsEc2InstanceType": "Resources.Details.AwsEc2Instance.Type",
    "ResourceAwsEc2InstanceImageId": "Resources.Details.AwsEc2Instance.ImageId",
    "ResourceAwsEc2InstanceIpV4Addresses": "Resources.Details.AwsEc2Instance.IpV4Addresses",
    "ResourceAwsEc2InstanceIpV6Addresses": "Resources.Details.AwsEc2Instance.IpV6Addresses",
    "ResourceAwsEc2InstanceKeyName": "Resources.Details.AwsEc2Instance.KeyName",
    "ResourceAwsEc2InstanceIamInstanceProfileArn": "Resources.Details.AwsEc2Instance.IamInstanceProfileArn",
    "ResourceAwsEc2InstanceVpcId": "Resources.Details.AwsEc2Instance.VpcId",
    "ResourceAwsEc2InstanceSubnetId": "Resources.Details.AwsEc2Instance.SubnetId",
    "ResourceAwsEc2InstanceLaunchedAt": "Resources.Details.AwsEc2Instance.LaunchedAt",
    "ResourceAwsS3BucketOwnerId": "Resources.Details.AwsS3Bucket.OwnerId",
    "ResourceAwsS3BucketOwnerName": "Resources.Details.AwsS3Bucket.OwnerName",
    "ResourceAwsIamAccessKeyUserName": "Resources.Details.AwsIamAccessKey.UserName",
    "ResourceAwsIamAccessKeyPrincipalName": "Resources.Details.AwsIamAccessKey.PrincipalName",
    "ResourceAwsIamAccessKeyStatus": "Resources.Details.AwsIamAccessKey.Status",
    "ResourceAwsIamAccessKeyCreatedAt": "Resources.Details.AwsIamAccessKey.CreatedAt",
    "ResourceAwsIamUserUserName": "Resources.Details.AwsIamUser.UserName",
    "ResourceContainerName": "Resources.Details.Container.Name",
    "ResourceContainerImageId": "Resources.Details.Container.ImageId",
    "ResourceContainerImageName": "Resources.Details.Container.ImageName",
    "ResourceContainerLaunchedAt": "Resources.Details.Container.LaunchedAt",
    "ResourceDetailsOther": "Resources.Details.Other",
    "ResourceApplicationName": "Resources.ApplicationName",
    "ResourceApplicationArn": "Resources.ApplicationArn",
    "ComplianceStatus": "Compliance.Status",
    "ComplianceSecurityControlId": "Compliance.SecurityControlId",
    "ComplianceAssociatedStandardsId": "Compliance.AssociatedStandards.StandardsId",
    "ComplianceSecurityControlParametersName": "Compliance.SecurityControlParameters.Name",
    "ComplianceSecurityControlParametersValue": "Compliance.SecurityControlParameters.Value",
    "VulnerabilitiesExploitAvailable": "Vulnerabilities.ExploitAvailable",
    "VulnerabilitiesFixAvailable": "Vulnerabilities.FixAvailable",
    "WorkflowStatus": "Workflow.Status",
    "RelatedFindingsProductArn": "RelatedFindings.ProductArn",
    "RelatedFindingsId": "RelatedFindings.Id",
    "NoteText": "Note.Text",
    "NoteUpdatedAt": "Note.UpdatedAt",
    "NoteUpdatedBy": "Note.UpdatedBy",
    "FindingProviderFieldsConfidence": "FindingProviderFields.Confidence",
    "FindingProviderFieldsCriticality": "FindingProviderFields.Criticality",
    "FindingProviderFieldsRelatedFindingsId": "FindingProviderFields.RelatedFindings.Id",
    "FindingProviderFieldsRelatedFindingsProductArn": "FindingProviderFields.RelatedFindings.ProductArn",
    "FindingProviderFieldsSeverityLabel": "FindingProviderFields.Severity.Label",
    "FindingProviderFieldsSeverityOriginal": "FindingProviderFields.Severity.Original",
    "FindingProviderFieldsTypes": "FindingProviderFields.Types",
}
_UNKNOWN = ("ResourceOwnerAccountId", "ResourceOwnerOrgId", "ResourceProvider")
"""Filters on attributes that ASFF findings do not carry; refused rather than guessed."""

_EXCLUSIVE = (
    ({"CONTAINS"}, {"EQUALS", "PREFIX", "NOT_EQUALS", "PREFIX_NOT_EQUALS", "NOT_CONTAINS", "CONTAINS_WORD"}),
    ({"NOT_CONTAINS"}, {"EQUALS", "PREFIX", "NOT_EQUALS", "PREFIX_NOT_EQUALS", "CONTAINS", "CONTAINS_WORD"}),
    ({"EQUALS"}, {"NOT_EQUALS", "PREFIX_NOT_EQUALS"}),
)


class BadFilter(ValueError):
    """A filter or sort criterion that Security Hub refuses."""


def matches(finding: _Finding, filters: Mapping[str, Sequence[Mapping[str, Any]]], now: datetime) -> bool:
    """
    Tell whether *finding* passes every one of *filters* (AwsSecurityFindingFilters).

    Filters of different attributes are joined by AND. Raises BadFilter for what Security Hub refuses.

    Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_AwsSecurityFindingFilters.html
    """
    return all(_matches(finding, attribute, given, now) for attribute, given in filters.items() if given)


def check(filters: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Raise BadFilter where Security Hub would refuse *filters*, whatever findings there are."""
    for attribute, given in filters.items():
        if attribute in _UNKNOWN:
            raise BadFilter(f"{attribute}: the sandbox has no such attribute in its findings")
        if len(given) > 20:
            raise BadFilter(f"{attribute}: more than 20 values")
        comparisons = {one["Comparison"] for one in given if "Comparison" in one}
        for these, others in _EXCLUSIVE:
            if comparisons & these and comparisons & others:
                raise BadFilter(f"{attribute}: {', '.join(sorted(comparisons))} cannot be combined")
        for one in given:
            for bound in (one.get("Start"), one.get("End")):
                if bound is not None and not is_date(bound):
                    raise BadFilter(f"{attribute}: {bound!r} is not an ISO 8601 time with its zone")


def ordered(findings: Iterable[_Finding], criteria: Sequence[Mapping[str, str]]) -> list[_Finding]:
    """Return *findings* sorted by *criteria*, the first one foremost; absent values come last."""
    result = list(findings)
    for criterion in reversed(criteria):
        name, down = criterion["Field"], criterion.get("SortOrder", "asc") == "desc"
        path = _PATHS.get(name, name)

        def key(finding: _Finding, path: str = path) -> tuple[str, Any]:
            value = next(_values(finding, path.split(".")))
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            return ("number", value) if number else ("text", str(value))

        there = [finding for finding in result if next(_values(finding, path.split(".")), None) is not None]
        absent = [finding for finding in result if next(_values(finding, path.split(".")), None) is None]
        result = sorted(there, key=key, reverse=down) + absent
    return result


def _matches(finding: _Finding, attribute: str, given: Sequence[Mapping[str, Any]], now: datetime) -> bool:
    if attribute == "Keyword":
        text = json.dumps(finding).lower()
        return any(one["Value"].lower() in text for one in given)
    values = list(_values(finding, _PATHS.get(attribute, attribute).split(".")))
    first = given[0]
    if "Key" in first:
        return _compared(given, lambda one: [str(v[one["Key"]]) for v in values if one["Key"] in v])
    if "Cidr" in first:
        return any(_inside(str(value), one["Cidr"]) for value in values for one in given)
    if {"Start", "End", "DateRange"} & first.keys():
        return any(_in_range(str(value), one, now) for value in values for one in given)
    if {"Gte", "Lte", "Eq", "Gt", "Lt"} & first.keys():
        return any(_measured(float(value), one) for value in values for one in given)
    if isinstance(first.get("Value"), bool):
        return any(value is one["Value"] for value in values for one in given)
    texts = [str(value) for value in values]
    return _compared(given, lambda one: texts)


def _compared(given: Sequence[Mapping[str, Any]], texts_for: Callable[[Mapping[str, Any]], list[str]]) -> bool:
    """Join positive comparisons by OR, negative ones by AND, as StringFilter and MapFilter say."""
    wanted, barred = [], []
    for one in given:
        comparison, value = one.get("Comparison", "EQUALS"), one.get("Value", "")
        positive = comparison.replace("NOT_", "").replace("_EQUALS", "")
        here = [_compares(text, positive, value) for text in texts_for(one)]
        if "NOT" in comparison:
            barred.append(any(here))
        else:
            wanted.append(any(here))
    return (any(wanted) if wanted else True) and not any(barred)


def _compares(text: str, comparison: str, value: str) -> bool:
    if comparison == "PREFIX":
        return text.startswith(value)
    if comparison == "CONTAINS":
        return value in text
    if comparison == "CONTAINS_WORD":
        return value.lower() in re.findall(r"\w+", text.lower())
    if comparison == "EQUALS":
        return text == value
    raise BadFilter(f"Comparison {comparison!r} is unknown")


def _measured(value: float, one: Mapping[str, float]) -> bool:
    return (
        value >= one.get("Gte", value)
        and value <= one.get("Lte", value)
        and value == one.get("Eq", value)
        and ("Gt" not in one or value > one["Gt"])
        and ("Lt" not in one or value < one["Lt"])
    )


def _in_range(value: str, one: Mapping[str, Any], now: datetime) -> bool:
    moment = when(value)
    if "DateRange" in one:
        since = now - timedelta(days=one["DateRange"]["Value"])
        older = one["DateRange"].get("Comparison") == "OLDER_THAN"
        return moment < since if older else since <= moment <= now
    return ("Start" not in one or when(one["Start"]) <= moment) and ("End" not in one or moment <= when(one["End"]))


def _inside(value: str, cidr: str) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(cidr, strict=False)
    except ValueError as error:
        raise BadFilter(f"Cidr {cidr!r}: {error}") from error


def _values(node: Any, path: Sequence[str]) -> Iterator[Any]:
    """Give every value at *path*; lists on the way are looked through."""
    if isinstance(node, list):
        for item in node:
            yield from _values(item, path)
    elif not path:
        if node is not None:
            yield node
    elif isinstance(node, Mapping) and path[0] in node:
        yield from _values(node[path[0]], path[1:])
