"""The AWS Security Finding Format: what is wrong with a finding, told from botocore's model and AWS's documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

LARGEST_FINDING = 240 * 1024
"""Bytes. Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchImportFindings.html"""

SEVERITY = {"INFORMATIONAL": 0, "LOW": 1, "MEDIUM": 40, "HIGH": 70, "CRITICAL": 90}
"""Severity.Normalized by label. Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_Severity.html"""

_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:?[0-9]{2}|[+-][0-9]{6})"
)
_DATES = ("CreatedAt", "UpdatedAt", "FirstObservedAt", "LastObservedAt", "ProcessedAt")
_LENGTHS = {"Id": 512, "GeneratorId": 512, "Title": 256, "Description": 1024, "ProductName": 128, "CompanyName": 128}
_CHOICES = {
    ("Workflow", "Status"): ("NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED"),
    ("Compliance", "Status"): ("PASSED", "WARNING", "FAILED", "NOT_AVAILABLE"),
    ("Severity", "Label"): tuple(SEVERITY),
    ("RecordState",): ("ACTIVE", "ARCHIVED"),
    ("VerificationState",): ("UNKNOWN", "TRUE_POSITIVE", "FALSE_POSITIVE", "BENIGN_POSITIVE"),
}


@cache
def service_model() -> ServiceModel:
    """Return botocore's model of Security Hub."""
    return botocore.session.Session().get_service_model("securityhub")


def faults(finding: Mapping[str, Any]) -> list[str]:
    """
    Return what makes *finding* no valid ASFF finding, in words; empty where it is valid.

    Source: https://docs.aws.amazon.com/securityhub/latest/userguide/asff-required-attributes.html and
    https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_AwsSecurityFinding.html
    """
    return list(_faults(finding))


def _faults(finding: Mapping[str, Any]) -> Iterator[str]:
    report = ParamValidator().validate(dict(finding), service_model().shape_for("AwsSecurityFinding"))
    if report.has_errors():
        yield report.generate_report()
        return
    if finding["SchemaVersion"] != "2018-10-08":
        yield f"SchemaVersion is {finding['SchemaVersion']!r}: expected '2018-10-08'"
    if not re.fullmatch(r"[0-9]{12}", finding["AwsAccountId"]):
        yield f"AwsAccountId is {finding['AwsAccountId']!r}: expected twelve digits"
    if "Severity" not in finding and "Severity" not in finding.get("FindingProviderFields", {}):
        yield "Severity is required, here or in FindingProviderFields"
    if not 1 <= len(finding["Resources"]) <= 32:
        yield "Resources must have 1 to 32 entries"
    for field in ("Id", "ProductArn", "GeneratorId", "Title", "Description"):
        if not finding[field].strip():
            yield f"{field} is empty"
    for field, most in _LENGTHS.items():
        if len(finding.get(field, "")) > most:
            yield f"{field} is longer than {most} characters"
    for field in _DATES:
        if field in finding and not is_date(finding[field]):
            yield f"{field} is {finding[field]!r}: expected an ISO 8601 time with its zone"
    for path, choices in _CHOICES.items():
        value: Any = finding
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None and value not in choices:
            yield f"{'.'.join(path)} is {value!r}: expected one of {', '.join(choices)}"
    if len(json.dumps(finding).encode()) > LARGEST_FINDING:
        yield f"the finding is larger than {LARGEST_FINDING} bytes"


def is_date(text: str) -> bool:
    """Tell whether *text* is a point in time as Security Hub takes it."""
    if not _DATE.fullmatch(text):
        return False
    try:
        when(text)
    except ValueError:
        return False
    return True


def when(text: str) -> datetime:
    """Return the point in time that *text* names; raises ValueError where it names none."""
    # datetime keeps microseconds only, Security Hub takes nanoseconds
    value = datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text))
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def written(moment: datetime) -> str:
    """Return a point in time as Security Hub writes it: UTC, milliseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
