"""Names that one stack gives and another one trusts. They are fixed: a trust policy in a member account names them."""

from __future__ import annotations

import re
from typing import Final

PATH: Final = "/sharr/"
"""IAM path of every role of ours."""
REPAIR_ROLE: Final = "sharr-repair"
"""Admin account: the playbook functions' role; may assume the remediations' roles and the starter."""
OBSERVE_ROLE: Final = "sharr-observe"
"""Admin account: the role of the outcome function and the sweeper; may assume the reader only."""
READER_ROLE: Final = "sharr-reader"
STARTER_ROLE: Final = "sharr-starter"
EVENTS_ROLE: Final = "sharr-events"
EVENT_BUS: Final = "sharr"
STATUS_RULE: Final = "sharr-runbook-ended"
"""The member stack's rule; EVENTS_ROLE trusts EventBridge for it alone."""
DOCUMENT_PREFIX: Final = "SHARR-"
METRICS: Final = "SHARR"

RUNBOOK_ENDED: Final = {
    "source": ["aws.ssm"],
    "detail-type": ["EC2 Automation Execution Status-change Notification"],
    "detail": {
        "Definition": [{"prefix": DOCUMENT_PREFIX}],
        "Status": ["Success", "Failed", "TimedOut", "Cancelled", "CompletedWithSuccess", "CompletedWithFailure"],
    },
}
"""
The end of one of our runbooks.

Sources: https://docs.aws.amazon.com/systems-manager/latest/userguide/monitoring-systems-manager-event-examples.html,
https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-statuses.html
"""


def camel(*words: str) -> str:
    """Return words as a logical id: `kms/rotate_key` -> `KmsRotateKey`."""
    return "".join(part[:1].upper() + part[1:] for word in words for part in re.split(r"[^A-Za-z0-9]+", word))
