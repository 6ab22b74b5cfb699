"""What an error of AWS means for what comes next."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as ConnectionFailed

from sharr.runtime.planning import is_passing


def may_pass(error: ClientError | BotoCoreError) -> bool:
    """Tell whether the same call may succeed later: throttled, 5xx, a time-out; not one that is refused."""
    if isinstance(error, ClientError):
        return is_passing(error) or "Throttl" in error.response["Error"]["Code"]
    return isinstance(error, HTTPClientError | ConnectionFailed)
