"""AWS's quotas as token buckets, and what the simulation assumes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

QUOTAS = Path(__file__).with_name("quotas.yaml")


@dataclass(slots=True)
class Bucket:
    """A token bucket: *rate* tokens a second, *burst* at most. Times never go back. *taken* counts by second."""

    rate: float
    burst: float
    _tokens: float = field(init=False)
    _at: float = 0.0
    taken: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._tokens = self.burst

    def take(self, now: float, count: float = 1.0) -> bool:
        """Take *count* tokens, or none where so many are not there."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < count:
            return False
        self._tokens -= count
        self.taken[int(now)] += count  # type: ignore[assignment]  # units of the table are no whole numbers
        return True


@dataclass(frozen=True, slots=True)
class Quotas:
    """The quotas, as quotas.yaml has them; bucket() makes a fresh one."""

    buckets: Mapping[str, Mapping[str, Any]]
    table: Mapping[str, Mapping[str, float]]
    first_pollers: int
    more_pollers_each_minute: int
    concurrency: int
    environments_in_10_seconds: int
    seconds_per_call: Mapping[str, float]
    assumed: Mapping[str, float]


def load(path: Path = QUOTAS) -> Quotas:
    """Return the quotas."""
    data = yaml.safe_load(path.read_text("utf-8"))
    return Quotas(
        buckets=data["buckets"],
        table=data["table"],
        first_pollers=data["pollers"]["first"]["value"],
        more_pollers_each_minute=data["pollers"]["more_each_minute"]["value"],
        concurrency=data["functions"]["concurrency_of_account"]["value"],
        environments_in_10_seconds=data["functions"]["environments_in_10_seconds"]["value"],
        seconds_per_call=data["seconds_per_call"],
        assumed=data["assumed"],
    )
