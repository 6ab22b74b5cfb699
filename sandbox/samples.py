"""
Findings and events of Security Hub as they really look: every standard, every shape, every partition.

Deterministic but for the time: the same account, Region, standard, control and resource give the same finding Id, as a
new check of the same resource does. ARNs here are of the partition that is asked for.

Source: https://docs.aws.amazon.com/securityhub/latest/userguide/sample-control-findings.html,
https://docs.aws.amazon.com/securityhub/latest/userguide/asff-changes-consolidation.html and
https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

from sharr.arns import arn
from sharr.finding import CUSTOM_ACTION, IMPORTED, PRODUCT, SOURCE, CustomAction, custom_action_arn
from sharr.standards import CONTROLS_FILE, Standard, Standards, load_standards

Shape = Literal["consolidated", "standard"]

_ROOT = Path(__file__).resolve().parent.parent
_NORMALIZED = {"INFORMATIONAL": 0, "LOW": 1, "MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}


@cache
def standards() -> Standards:
    """Return the standards of this repository's playbooks."""
    return load_standards(_ROOT)


@cache
def controls() -> dict[str, dict[str, Any]]:
    """Return what sharr/data/controls.json says of every control."""
    data: dict[str, dict[str, Any]] = json.loads(CONTROLS_FILE.read_text("utf-8"))
    return data


def own_ids(standard: str, control: str) -> tuple[str, ...]:
    """Return every id under which *standard* may list *control*, as GeneratorId and Id have it."""
    ids = standards()[standard].ids
    return (control,) if ids is None else tuple(own for own, meant in ids.items() if control in meant)


def finding(
    standard: str,
    control: str,
    *,
    account: str,
    region: str,
    partition: str = "aws",
    resource_id: str,
    resource_type: str,
    shape: Shape | None = None,
    own_id: str | None = None,
    now: datetime | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """
    Return a failed, new, active finding of *control* by *standard* (a playbook's name) in AWS's own format.

    *shape* is the standard's own if left out; `consolidated` makes of any standard's finding the one that Security Hub
    writes with consolidated control findings on: it is of all standards that have the control, and a control of the
    tagging standard gives a finding of Tagging always. *own_id* is the id of the control where a standard has several.
    *overrides* replace whole top-level fields; None leaves one out. Raises KeyError for what is no standard or control.
    """
    of = standards()[standard]
    shape = shape or of.shape
    if shape == "standard" and of.shape == "consolidated":
        raise ValueError(f"{standard} has no findings in a shape of its own")
    own = control if shape == "consolidated" else own_id or own_ids(standard, control)[0]
    facts = controls()[control]
    seen = now or datetime.now(UTC)
    made = _shape_of(of, own, control, shape, partition)
    finding_uuid = uuid5(NAMESPACE_URL, "/".join((account, region, made["path"], resource_id)))
    uid = arn(partition, "securityhub", region, account, f"{made['path']}/finding/{finding_uuid}")
    product_arn = arn(partition, "securityhub", region, "", PRODUCT)
    result: dict[str, Any] = {
        "SchemaVersion": "2018-10-08",
        "Id": uid,
        "ProductArn": product_arn,
        "ProductName": "Security Hub CSPM",
        "CompanyName": "AWS",
        "Region": region,
        "GeneratorId": made["generator"],
        "AwsAccountId": account,
        "AwsAccountName": f"account-{account[-4:]}",
        "Types": ["Software and Configuration Checks/Industry and Regulatory Standards"],
        "FirstObservedAt": _timestamp(seen - timedelta(days=1)),
        "LastObservedAt": _timestamp(seen),
        "CreatedAt": _timestamp(seen - timedelta(days=1)),
        "UpdatedAt": _timestamp(seen),
        "ProcessedAt": _timestamp(seen),
        "Severity": {
            "Label": facts["severity"],
            "Normalized": _NORMALIZED[facts["severity"]],
            "Original": facts["severity"],
        },
        "Title": f"{made['title']}{facts['title']}"[:256],
        "Description": f"Security Hub's check of {control}: {facts['title']}."[:1024],
        "Remediation": {
            "Recommendation": {
                "Text": "For what to do about it, see the documentation of the control.",
                "Url": f"https://docs.aws.amazon.com/console/securityhub/{control}/remediation",
            }
        },
        "ProductFields": {
            **made["product_fields"],
            "RelatedAWSResources:0/name": f"securityhub-{control.lower().replace('.', '-')}-{finding_uuid.hex[:8]}",
            "RelatedAWSResources:0/type": "AWS::Config::ConfigRule",
            "aws/securityhub/ProductName": "Security Hub CSPM",
            "aws/securityhub/CompanyName": "AWS",
            "Resources:0/Id": resource_id,
            "aws/securityhub/FindingId": f"{product_arn}/{uid}",
        },
        "Resources": [{"Type": resource_type, "Id": resource_id, "Partition": partition, "Region": region}],
        "Compliance": {
            "Status": "FAILED",
            "SecurityControlId": control,
            "AssociatedStandards": [{"StandardsId": each} for each in _associated(of, control, shape)],
        },
        "WorkflowState": "NEW",
        "Workflow": {"Status": "NEW"},
        "RecordState": "ACTIVE",
        "FindingProviderFields": {
            "Severity": {"Label": facts["severity"], "Original": facts["severity"]},
            "Types": ["Software and Configuration Checks/Industry and Regulatory Standards"],
        },
    }
    return {name: value for name, value in {**result, **overrides}.items() if value is not None}


def imported_event(findings: Sequence[Mapping[str, Any]], *, admin_account: str, region: str) -> dict[str, Any]:
    """Return the event that Security Hub sends for new and updated findings; it sends one finding an event."""
    return _event(IMPORTED, findings, [str(each["Id"]) for each in findings], {}, admin_account, region)


def custom_action_event(
    action: CustomAction, findings: Sequence[Mapping[str, Any]], *, admin_account: str, region: str
) -> dict[str, Any]:
    """Return the event that Security Hub sends when somebody presses *action* with *findings* selected."""
    detail = {"actionName": action.name, "actionDescription": f"{action.name}."}
    resources = [custom_action_arn(action, account=admin_account, region=region)]
    return _event(CUSTOM_ACTION, findings, resources, detail, admin_account, region)


def _shape_of(of: Standard, own: str, control: str, shape: Shape, partition: str) -> dict[str, Any]:
    """Return what differs by shape: path (of the Id), generator, title (its beginning), product_fields."""
    if shape == "consolidated":
        path = f"security-control/{control}"
        return {"path": path, "generator": path, "title": "", "product_fields": {}}
    kind, _, name = str(of.standards_arn).partition("/")
    guide = "Guide" if kind == "ruleset" else ""
    generator = of.generators[0]
    # As AWS writes it: the only generator that is an ARN, with the commercial partition in it in the guide's sample.
    generator_id = generator.text.replace("*", partition, 1).removesuffix("*") if guide else generator.text
    shown = f"{of.control_prefix}{own}"
    standards_arn = arn(partition, "securityhub", "", "", str(of.standards_arn))
    return {
        "path": f"subscription/{name}/{own}",
        "generator": f"{generator_id}{own}",
        "title": f"{shown} ",
        "product_fields": {
            f"Standards{guide}Arn": standards_arn,
            "RuleId" if guide else "ControlId": shown,
            "RecommendationUrl": f"https://docs.aws.amazon.com/console/securityhub/{control}/remediation",
        },
    }


def _associated(of: Standard, control: str, shape: Shape) -> list[str]:
    """Return the StandardsId of each standard that the finding is of."""
    if shape == "standard" or (of.standards_arn is not None and of.shape == "consolidated"):
        return [str(of.standards_arn)]
    listed = [str(standards()[name].standards_arn) for name in controls()[control]["standards"]]
    return listed or [str(standards()["CT"].standards_arn)]  # what is in no other list is Control Tower's


def _event(
    kind: str,
    findings: Sequence[Mapping[str, Any]],
    resources: list[str],
    detail: Mapping[str, Any],
    admin_account: str,
    region: str,
) -> dict[str, Any]:
    """Return the envelope of EventBridge around *findings*."""
    request = uuid5(NAMESPACE_URL, json.dumps([kind, resources, findings], sort_keys=True))
    return {
        "version": "0",
        "id": str(request),
        "detail-type": kind,
        "source": SOURCE,
        "account": admin_account,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": resources,
        "detail": {**detail, "findings": [dict(each) for each in findings]},
    }


def _timestamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
