"""
What one run in the sandbox costs: CPU of the handlers, calls, waits. A meter hooks the sandbox from outside.

CPU is process time of a handler (its import is not in it) in four parts:
    calls       within botocore's _make_api_call: left out of ours, since the sandbox answers in this process
    client side what botocore itself does for the calls besides the repair's own (serialize, sign, parse), without moto
                and the judging of rights
    clients     making clients: part of ours
    ours        all the rest and the clients
"""

from __future__ import annotations

import cProfile
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import botocore.client
import botocore.session
from moto.core.botocore_stubber import BotocoreStubber

from sandbox.functions import Functions, _Instance
from sandbox.identity import IdentityCenter

BESIDES_THE_REPAIR = ("dynamodb", "securityhub", "sns", "sqs", "ssm", "sts")


@dataclass(slots=True)
class Sample:
    """One invocation. Seconds of CPU."""

    handler: str
    messages: int
    total: float = 0.0
    calls: float = 0.0
    passed_on: float = 0.0
    emulated: float = 0.0
    clients: float = 0.0

    @property
    def ours(self) -> float:
        """Our code, its libraries, and making clients."""
        return self.total - self.calls

    @property
    def client_side(self) -> float:
        """What botocore does for the calls besides the repair's own."""
        return self.passed_on - self.emulated

    @property
    def outside_the_repair(self) -> float:
        """Ours, and what botocore does for our calls."""
        return self.ours + self.client_side


@dataclass(slots=True)
class Meter:
    """Samples and sleeps since it was installed; take(n) gives what came after the first n."""

    samples: list[Sample] = field(default_factory=list)
    sleeps: list[float] = field(default_factory=list)
    profile: cProfile.Profile | None = None
    _now: Sample | None = None
    _within: set[str] = field(default_factory=set)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Within (a running sandbox, before functions are loaded): everything is measured."""
        sleep, load = time.sleep, _Instance._load

        def sleeping(seconds: float) -> None:
            self.sleeps.append(seconds)
            sleep(seconds)

        def loaded(instance: _Instance) -> Callable[[Any, Any], Any]:
            return self._measured(instance._handler_name, load(instance))

        parts: tuple[tuple[Any, str, str], ...] = (
            (botocore.client.BaseClient, "_make_api_call", "calls"),
            (IdentityCenter, "_pass_on", "passed_on"),
            (BotocoreStubber, "__call__", "emulated"),
            (botocore.session.Session, "create_client", "clients"),
        )
        with ExitStack() as patches:
            patches.enter_context(patch.object(time, "sleep", sleeping))
            patches.enter_context(patch.object(_Instance, "_load", loaded))
            for owner, name, part in parts:
                patches.enter_context(patch.object(owner, name, self._timed(getattr(owner, name), part)))
            yield

    def _measured(self, name: str, handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def measured(event: Any, context: Any) -> Any:
            outer, self._now = self._now, Sample(name, len(event.get("Records", ())) or 1)
            sample, within, self._within = self._now, self._within, set()
            start = time.process_time()
            try:
                if self.profile:
                    self.profile.enable()
                return handler(event, context)
            finally:
                if self.profile:
                    self.profile.disable()
                sample.total = time.process_time() - start
                self.samples.append(sample)
                self._now, self._within = outer, within

        return measured

    def _timed(self, real: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            sample = self._now
            if part == "passed_on" and args[1].meta.service_model.service_name not in BESIDES_THE_REPAIR:
                sample = None
            if part == "emulated" and "passed_on" not in self._within:
                sample = None
            # Only the outermost: the sandbox itself makes calls and clients while it answers one.
            if sample is None or part in self._within or (part == "clients" and "calls" in self._within):
                return real(*args, **kwargs)
            self._within.add(part)
            if self.profile and part == "calls":
                self.profile.disable()
            start = time.process_time()
            try:
                return real(*args, **kwargs)
            finally:
                setattr(sample, part, getattr(sample, part) + time.process_time() - start)
                self._within.discard(part)
                if self.profile and part == "calls":
                    self.profile.enable()

        return timed


def reference_seconds(tries: int = 7) -> float:
    """Return the CPU seconds of a fixed piece of work, the best of some tries: what this machine's speed is today."""
    findings = [{"Id": f"arn:{n}", "Resources": [{"Id": str(n), "Tags": {"a": n}}]} for n in range(200)]

    def once() -> float:
        start = time.process_time()
        for _ in range(10):
            again = json.loads(json.dumps(findings))
            assert sorted(finding["Id"] for finding in again) == sorted(str(finding["Id"]) for finding in findings)
        return time.process_time() - start

    return min(once() for _ in range(tries))


def log_bytes(functions: Functions, start: int) -> int:
    """Return what the invocations from *start* on wrote to CloudWatch Logs, as it is billed: 26 bytes more a line."""
    return sum(len(line.encode()) + 26 for run in functions.invocations[start:] for line in run.log)
