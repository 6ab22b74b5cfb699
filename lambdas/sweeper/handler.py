"""
The sweeper: every minute sends on what is due again, what was not told, digests whose quarter is over, and runbooks
whose end nobody reported.

It lets held attempts go on where a limit has room, and feeds backlog jobs.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from functools import cache
from typing import Any

from lambdas import wiring
from sharr.attempts import Attempt
from sharr.backlog import Backlog
from sharr.catalogue import compiled
from sharr.lines import released
from sharr.publishing import send_bodies, send_digests, send_ids
from sharr.runbooks import Runbooks

COUNTED = ("looks", "untold", "runbooks", "orphans", "failed", "released", "digests", "backlog")
SENT_AGAIN_AFTER = timedelta(minutes=15)
RUNBOOK_SEEN_AGAIN_AFTER = timedelta(minutes=5)

logger = wiring.logger


def sweep() -> dict[str, int]:
    """Send what is due, once; return how much of what. What was lost on its way is sent again after 15 minutes."""
    now = wiring.now()
    settings = wiring.settings()
    queues: dict[str, list[Attempt]] = defaultdict(list)
    counts = dict.fromkeys(COUNTED, 0)
    due = wiring.attempts().due(now)
    for start in range(0, len(due), 100):
        for attempt in wiring.attempts().get_many(due[start : start + 100]):
            in_runbook = attempt.in_runbook and not attempt.has_ended
            until = now + (RUNBOOK_SEEN_AGAIN_AFTER if in_runbook else SENT_AGAIN_AFTER)
            if not wiring.attempts().postpone(attempt, until):
                continue
            if in_runbook:
                counts["runbooks"] += 1
                try:
                    Runbooks(wiring.looks()).settle(attempt.id)
                except Exception:  # seen again in five minutes; the others must not wait for it
                    counts["failed"] += 1
                    logger.exception("a runbook's end could not be read", extra={"attempt": attempt.id})
            elif attempt.has_ended:
                counts["untold"] += 1
                queues[settings.outcome_queue].append(attempt)
            else:
                counts[_send_on(attempt, queues)] += 1
    for attempt in released(wiring.attempts(), wiring.limits(), now, now + SENT_AGAIN_AFTER):
        counts["released"] += _send_on(attempt, queues) == "looks"
    for queue, attempts in queues.items():
        send_ids(wiring.client("sqs"), queue, attempts)
    again = now + SENT_AGAIN_AFTER
    digests = [pk for pk, due_at in wiring.messages().due(now) if wiring.messages().postpone(pk, due_at, again)]
    send_digests(wiring.client("sqs"), settings.outcome_queue, digests)
    counts["digests"] = len(digests)
    counts["backlog"] = backlog().feed(now, lambda: wiring.limits().hour(now).room > 0)
    return counts


def _send_on(attempt: Attempt, queues: dict[str, list[Attempt]]) -> str:
    """Put an open attempt among what goes to its playbook's queue; tell of one whose playbook is not loaded."""
    there = wiring.settings().playbook_queues
    if attempt.playbook in there:
        queues[there[attempt.playbook]].append(attempt)
        return "looks"
    extra = {"attempt": attempt.id, "playbook": attempt.playbook}
    logger.error("the playbook of an open attempt is not loaded", extra=extra)
    return "orphans"


@cache
def backlog() -> Backlog:
    """Return what feeds backlog jobs."""
    settings = wiring.settings()
    return Backlog(
        client=wiring.client("dynamodb"),
        table=settings.table,
        hub=wiring.client("securityhub"),
        standards=compiled().standards,
        playbooks=settings.playbook_queues,
        account=settings.admin_account,
        region=settings.home_region,
        send=lambda queue, bodies: send_bodies(wiring.client("sqs"), queue, bodies),
        log=lambda text, extra: logger.info(text, extra=dict(extra)),
    )


def handler(_event: dict[str, Any], _context: Any) -> dict[str, int]:
    """Lambda's entry, on a schedule."""
    counts = sweep()
    if any(counts.values()):
        logger.info("swept", extra=counts)
    return counts
