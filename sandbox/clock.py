"""The one clock of the sandbox: everything in this process that asks for the time gets its time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any
from unittest.mock import patch

import time_machine


class DeadlinePassed(BaseException):
    """
    Emulated code slept beyond its time limit (a Lambda function's time-out).

    Not an Exception: code under a time limit is stopped from outside and cannot catch it.
    """


class TurnableClock:
    """
    A clock that runs on by itself and can be turned forward; a context manager.

    Within it datetime.now(), time.time() and their like tell its time, and time.sleep() turns it instead of waiting.
    *start* is a time with its zone; None starts it at the real time.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._travel = time_machine.travel(start or datetime.now(UTC), tick=True)
        self._traveller: Any = None
        self._sleep = patch.object(time, "sleep", self.advance)
        self._deadlines: list[datetime] = []

    def __enter__(self) -> TurnableClock:
        self._traveller = self._travel.start()
        self._sleep.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sleep.stop()
        self._travel.stop()

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)

    def advance(self, seconds: float) -> None:
        """
        Turn the clock forward.

        Raises ValueError for negative seconds, DeadlinePassed where this leads beyond the nearest deadline().
        """
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if self._deadlines and self.now() + timedelta(seconds=seconds) > (end := min(self._deadlines)):
            self._traveller.shift(max(timedelta(0), end - self.now()))
            raise DeadlinePassed(f"the time limit ends at {end.isoformat()}")
        self._traveller.shift(timedelta(seconds=seconds))

    @contextmanager
    def deadline(self, seconds: float) -> Iterator[datetime]:
        """Within: a sleep that would end later than in *seconds* raises DeadlinePassed. Gives the time of the end."""
        end = self.now() + timedelta(seconds=seconds)
        self._deadlines.append(end)
        try:
            yield end
        finally:
            self._deadlines.pop()
