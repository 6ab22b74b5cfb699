"""
The ways in which one call fails, as the caller sees them once boto3 has made its own retries.

Codes are those of each service's own documentation; a refusal has the code of the service's protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from botocore.exceptions import ClientError, ReadTimeoutError

from sandbox.ports import Call
from sharr.runtime.planning import READS

Kind = Literal[
    "refused", "throttled", "5xx", "5xx after it took effect", "time-out before it took effect",
    "time-out after it took effect", "errors within a 200", "process killed before", "process killed after",
    "another function at the same time", "another finding at the same time", "message again, late", "message twice",
]  # fmt: skip
Proceed = Callable[[], Any]

READ_ACTIONS = tuple(prefix.title().replace("_", "") for prefix in READS)
OF_A_READ: tuple[Kind, ...] = ("refused", "throttled", "5xx", "time-out before it took effect")
"""A read has no effect: a time-out after it, or a process that dies after it, is the same as before it."""
OF_A_WRITE: tuple[Kind, ...] = (
    "refused",
    "throttled",
    "5xx",
    "5xx after it took effect",
    "time-out before it took effect",
    "time-out after it took effect",
    "process killed before",
    "process killed after",
)
LOST_ANSWER: tuple[Kind, ...] = ("5xx after it took effect", "time-out after it took effect", "process killed after")
"""Kinds in which the call took effect and the caller did not learn of it."""
OF_TWO: tuple[Kind, ...] = ("another function at the same time", "another finding at the same time")
PASSING: tuple[Kind, ...] = (
    *(kind for kind in OF_A_WRITE if kind != "refused"),
    "errors within a 200",
    *OF_TWO,
    "message again, late",
    "message twice",
)
"""Kinds that end by themselves: what was lost is made up for later."""

# Sources: the pages "Common Errors" and "Errors" of each service's API reference
_THROTTLED: Mapping[str, tuple[str, int]] = {
    "ec2": ("RequestLimitExceeded", 503),
    "s3": ("SlowDown", 503),
    "lambda": ("TooManyRequestsException", 429),
    "apigateway": ("TooManyRequestsException", 429),
    "securityhub": ("TooManyRequestsException", 429),
    "sqs": ("RequestThrottled", 400),
    "sns": ("Throttled", 429),
}
_QUERY = (
    "autoscaling", "cloudformation", "cloudwatch", "ec2", "elasticache", "elb", "elbv2", "iam", "rds", "redshift",
    "sns", "sts", "s3", "sqs", "cloudfront",
)  # fmt: skip
_REFUSED = {"ec2": "UnauthorizedOperation", "sns": "AuthorizationError"}


class Killed(SystemExit):
    """The process of a function, or of a runbook's script, was killed. The runtime sees an exit."""


def is_write(call: Call) -> bool:
    """Tell whether the call changes something."""
    return not call.operation.startswith(READ_ACTIONS) and call.operation not in ("AssumeRole", "Query", "Scan")


def kinds_of(call: Call) -> tuple[Kind, ...]:
    """Return every kind in which the call can fail."""
    kinds = OF_A_WRITE if is_write(call) or call.operation == "AssumeRole" else OF_A_READ
    return (*kinds, "errors within a 200") if refused_within(call) is not None else kinds


def refused_within(call: Call) -> dict[str, Any] | None:
    """Return the answer, a 200, that says that nothing of a batch was done; None where the API has no such answer."""
    asked = call.parameters
    if call.operation == "BatchUpdateFindings":
        refused = [
            {"FindingIdentifier": one, "ErrorCode": "InternalException", "ErrorMessage": "made to fail"}
            for one in asked["FindingIdentifiers"]
        ]
        return {"ProcessedFindings": [], "UnprocessedFindings": refused}
    if call.operation == "BatchGetItem":
        return {"Responses": {}, "UnprocessedKeys": asked["RequestItems"]}
    entries = {"SendMessageBatch": "Entries", "PublishBatch": "PublishBatchRequestEntries"}.get(call.operation)
    if entries:
        failed = [{"Id": e["Id"], "SenderFault": False, "Code": "InternalError"} for e in asked[entries]]
        return {"Successful": [], "Failed": failed}
    return None


def fail(call: Call, kind: Kind, proceed: Proceed) -> Any:
    """Make the call fail in this way: raise what the caller sees, or return what it is answered."""
    if kind in LOST_ANSWER:
        proceed()
    if kind == "errors within a 200":
        return refused_within(call)
    if kind.startswith("process killed"):
        raise Killed(137)
    if kind.startswith("time-out"):
        raise ReadTimeoutError(endpoint_url=f"https://{call.service}.{call.region}.amazonaws.com")
    raise _answered(call, kind)


def _answered(call: Call, kind: Kind) -> ClientError:
    query = call.service in _QUERY
    if kind == "refused":
        code, status = _REFUSED.get(call.service, "AccessDenied" if query else "AccessDeniedException"), 403
    elif kind == "throttled":
        code, status = _THROTTLED.get(call.service, ("Throttling" if query else "ThrottlingException", 400))
    else:
        code, status = "InternalFailure" if query else "InternalServerError", 500
    if call.service == "dynamodb" and call.operation == "TransactWriteItems" and kind == "throttled":
        reasons = [{"Code": "ThrottlingError", "Message": "made to fail"} for _ in call.parameters["TransactItems"]]
        return _error(call, "TransactionCanceledException", 400, CancellationReasons=reasons)
    return _error(call, code, status)


def _error(call: Call, code: str, status: int, **more: Any) -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "made to fail"},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "00000000-0000-4000-8000-000000000000"},
        **more,
    }
    return ClientError(response, call.operation)
