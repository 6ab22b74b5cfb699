"""
The findings as Security Hub has them now: read one again, write many at once.

Source: https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchUpdateFindings.html (100 findings, 10 calls/s)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sharr.finding import Finding, parse_finding
from sharr.standards import Standards

AT_ONCE = 100
PAUSES_SECONDS = (0.2, 0.5, 1.0)
# Of these a later call may succeed; other codes (FindingNotFound, ...) stay as they are.
PASSING = ("InternalException", "LimitExceededException", "ThrottlingException", "ConcurrentUpdateError")


class NoSuchFinding(Exception):
    """Security Hub does not know the finding: it was archived long ago, or it was never Security Hub's."""


class FindingsPort:
    """GetFindings and BatchUpdateFindings of the home Region, which sees all Regions by aggregation."""

    def __init__(self, client: Any, standards: Standards, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._standards = standards
        self._sleep = sleep

    def read_again(self, uid: str, product_arn: str) -> Finding:
        """Return the finding as it is now. Raises NoSuchFinding, MalformedFinding."""
        filters = {
            "Id": [{"Value": uid, "Comparison": "EQUALS"}],
            "ProductArn": [{"Value": product_arn, "Comparison": "EQUALS"}],
        }
        found = self._client.get_findings(Filters=filters, MaxResults=2)["Findings"]
        if len(found) != 1:
            raise NoSuchFinding(uid)
        return parse_finding(found[0], self._standards)

    def update(
        self, identifiers: Iterable[Mapping[str, str]], note: str, author: str, status: str | None
    ) -> dict[str, str]:
        """
        Write the same note (1 to 512 characters) and workflow status (None: leave it) on findings.

        Returns what was not written: finding id -> error code. Answers with UnprocessedFindings are HTTP 200.
        """
        left = [{"Id": i["Id"], "ProductArn": i["ProductArn"]} for i in identifiers]
        failed: dict[str, str] = {}
        workflow = {"Workflow": {"Status": status}} if status else {}
        for start in range(0, len(left), AT_ONCE):
            batch = left[start : start + AT_ONCE]
            for pause in (*PAUSES_SECONDS, None):
                answer = self._client.batch_update_findings(
                    FindingIdentifiers=batch, Note={"Text": note, "UpdatedBy": author}, **workflow
                )
                refused = answer["UnprocessedFindings"]
                failed |= {
                    u["FindingIdentifier"]["Id"]: u["ErrorCode"] for u in refused if u["ErrorCode"] not in PASSING
                }
                batch = [u["FindingIdentifier"] for u in refused if u["ErrorCode"] in PASSING]
                if not batch:
                    break
                if pause is None:
                    failed |= {i["Id"]: "still refused after retries" for i in batch}
                else:
                    self._sleep(pause)
        return failed
