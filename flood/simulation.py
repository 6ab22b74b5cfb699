"""
The flood: messages, environments, calls and outcomes as events in time. No handler runs here: their profiles do.

A call that finds its bucket empty is throttled, and made again as botocore's standard mode does: four attempts, a
random part of 1, 2, 4 seconds between them. What is throttled after that ends as the handlers end it: a call in the
member account or to STS is RETRY, anything else returns the message to its queue.

Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from flood.profiles import Profile, Profiles, Step
from flood.quotas import Bucket, Quotas

ATTEMPTS = 4
LONGEST_BACKOFF = 20.0
RETRIES = 3
RECEIVES = 3
UPDATED_AT_ONCE = 100
"""Findings in one BatchUpdateFindings: sharr.findings_port.AT_ONCE."""
ADMIN = ("admin", "")
ACCOUNTS_KEPT_SECONDS, PARAMETERS_KEPT_SECONDS = 900, 300
GET_MEMBERS = Step("securityhub", "GetMembers", False)
GET_MEMBER_ITEM = Step("dynamodb", "GetItem", False)
PUT_MEMBER_ITEM = Step("dynamodb", "PutItem", False)
GET_PARAMETERS = Step("ssm", "GetParameters", False)
Process = Generator[float, None, None]
Answer = Generator[float, None, bool]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the stack sets: batches, windows, concurrency."""

    batch: int
    concurrency: int
    outcome_batch: int
    outcome_window: float
    outcome_concurrency: int
    visibility_seconds: float


@dataclass(slots=True)
class Message:
    """A finding's event. *tries* are RETRYs so far, *receives* how often the queue got it back."""

    number: int
    profile: Profile
    place: tuple[str, str]
    tries: int = 0
    receives: int = 0


@dataclass(slots=True)
class Environment:
    """One of the function's processes: what it remembers."""

    warm: bool = False
    members: dict[str, float] = field(default_factory=dict)
    parameters: float = -math.inf


@dataclass(slots=True)
class Result:
    """What came of a flood. Times in seconds since it began."""

    told: dict[int, float] = field(default_factory=dict)
    seen_again: int = 0
    skipped: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)
    retried: int = 0
    received_again: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    throttled: Counter[str] = field(default_factory=Counter)
    invocations: int = 0
    environments: int = 0
    seconds_in_functions: float = 0.0
    sent: int = 0
    received: int = 0
    write_units: float = 0.0
    read_units: float = 0.0
    log_bytes: float = 0.0
    running: list[tuple[float, int]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    buckets: dict[str, list[Bucket]] = field(default_factory=dict)

    @property
    def drained(self) -> float:
        """When the last finding was told."""
        return max(self.told.values(), default=0.0)

    def within(self, share: float) -> float:
        """When this share of the findings was told."""
        times = sorted(self.told.values())
        return times[max(0, math.ceil(len(times) * share) - 1)]


class Flood:
    """One flood: all messages are in the queue when it begins."""

    def __init__(self, profiles: Profiles, quotas: Quotas, deployment: Deployment, *, seed: int = 1) -> None:
        self.profiles, self.quotas, self.deployment = profiles, quotas, deployment
        self.now = 0.0
        self.result = Result()
        self._assumed = quotas.assumed
        self._random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._buckets: dict[tuple[str, tuple[str, str]], Bucket] = {}
        self._table = {kind: Bucket(values["rate"], values["burst"]) for kind, values in quotas.table.items()}
        self._environments_made = Bucket(quotas.environments_in_10_seconds / 10, quotas.environments_in_10_seconds)
        self._queue: deque[Message] = deque()
        self._idle: list[Environment] = []
        self._running = self._telling = 0
        self._polls_again = False
        self._seen: set[int] = set()
        self._members: dict[str, float] = {}
        self._gathering: list[list[Message]] = [[] for _ in range(quotas.first_pollers)]
        self._closed: set[int] = set()
        self._ready: deque[int] = deque()
        self._overflow: deque[Message] = deque()
        self._windows = [0] * quotas.first_pollers
        self._vcpu = profiles.memory_mb * 0.000565

    def run(self, messages: Sequence[Message]) -> Result:
        """Return what comes of these messages, when nothing is left to happen."""
        self._queue.extend(messages)
        self._poll()
        while self._events:
            self.now, _, happen = heapq.heappop(self._events)
            happen()
        self.result.buckets = {"table": list(self._table.values())}
        for (name, _), bucket in self._buckets.items():
            self.result.buckets.setdefault(name, []).append(bucket)
        return self.result

    # ------------------------------------------------------------------------------------------------------------ time
    def _later(self, seconds: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), happen))

    def _start(self, process: Process) -> None:
        def go_on() -> None:
            try:
                self._later(next(process), go_on)
            except StopIteration:
                return

        go_on()

    # ----------------------------------------------------------------------------------------------------------- calls
    def _bucket(self, step: Step, place: tuple[str, str]) -> Bucket | None:
        quota = self.quotas.buckets.get(step.name)
        if quota is None:
            return None
        key = (step.name, place if quota["per"] == "member" else ADMIN)
        if key not in self._buckets:
            self._buckets[key] = Bucket(quota["rate"], quota["burst"])
        return self._buckets[key]

    def _call(self, step: Step, place: tuple[str, str], writes: float = 0.0, reads: float = 0.0) -> Answer:
        """Make a call; False where it is still throttled after the last attempt."""
        spread = self._assumed["spread_of_call"]
        for attempt in range(ATTEMPTS):
            self.result.calls[step.name] += 1
            bucket = self._bucket(step, place)
            passed = bucket is None or bucket.take(self.now)
            if passed and step.service == "dynamodb":
                passed = self._table["write_units"].take(self.now, writes)
                passed = passed and self._table["read_units"].take(self.now, reads)
            seconds = self.quotas.seconds_per_call.get(step.service, self.quotas.seconds_per_call["others"])
            yield seconds * self._random.uniform(1 - spread, 1 + spread)
            if passed:
                self.result.write_units += writes
                self.result.read_units += reads
                return True
            self.result.throttled[step.name] += 1
            if attempt < ATTEMPTS - 1:
                yield self._random.random() * min(LONGEST_BACKOFF, 2.0**attempt)
        return False

    # ------------------------------------------------------------------------------------------------ playbook function
    def _poll(self) -> None:
        """Start what the mapping's concurrency, the pollers and the account allow by now; look again in a second."""
        pollers = self.quotas.first_pollers + self.now / 60 * self.quotas.more_pollers_each_minute
        allowed = int(min(self.deployment.concurrency, pollers, self.quotas.concurrency - self._telling))
        while self._queue and self._running < allowed:
            if not self._idle and not self._environments_made.take(self.now):
                break
            environment = self._idle.pop() if self._idle else self._made()
            size = min(self.deployment.batch, len(self._queue))
            batch = [self._queue.popleft() for _ in range(size)]
            self._running += 1
            self.result.running.append((self.now, self._running))
            self._start(self._invocation(environment, batch))
        if self._queue and self._running < self.deployment.concurrency and not self._polls_again:
            self._polls_again = True
            self._later(1.0, self._poll_again)

    def _poll_again(self) -> None:
        self._polls_again = False
        self._poll()

    def _made(self) -> Environment:
        self.result.environments += 1
        return Environment()

    def _invocation(self, environment: Environment, batch: list[Message]) -> Process:
        self.result.invocations += 1
        self.result.received += 1
        yield self._assumed["seconds_per_receive"]
        begin = self.now
        if not environment.warm:
            environment.warm = True
            yield self._assumed["seconds_of_cold_start"]
        for message in batch:
            if not (yield from self._finding(environment, message)):
                message.receives += 1
                if message.receives == RECEIVES:
                    self.result.dead.append(message.number)
                    continue
                self.result.received_again += 1
                left = begin + self.deployment.visibility_seconds - self.now
                self._later(left, lambda message=message: self._enqueue(message))  # type: ignore[misc]
        self.result.seconds_in_functions += self.now - begin
        self._running -= 1
        self.result.running.append((self.now, self._running))
        self._idle.append(environment)
        self._poll()

    def _enqueue(self, message: Message) -> None:
        self._queue.append(message)
        self._poll()

    def _finding(self, environment: Environment, message: Message) -> Answer:
        """Handle one finding; False where its message returns to the queue."""
        profile = self.profiles.duplicate if message.number in self._seen else message.profile
        self._seen.add(message.number)
        if self.now - environment.parameters > PARAMETERS_KEPT_SECONDS:
            if not (yield from self._call(GET_PARAMETERS, ADMIN)):
                self.result.skipped.append(message.number)
                return True
            environment.parameters = self.now
        if not (yield from self._is_member(environment, message.place[0])):
            self.result.skipped.append(message.number)
            return True
        yield profile.cpu_seconds / self._vcpu
        tables = sum(step.service == "dynamodb" for step in profile.steps) or 1
        for step in profile.steps:
            at = message.place if step.in_member else ADMIN
            units = (profile.write_units / tables, profile.read_units / tables) if step.service == "dynamodb" else ()
            if not (yield from self._call(step, at, *units)):
                return self._given_up(message, step)
        self.result.log_bytes += profile.log_bytes
        if profile.note is None:
            self.result.seen_again += 1
        else:
            self.result.sent += 1
            self._gather(message)
        return True

    def _is_member(self, environment: Environment, account: str) -> Answer:
        """Ask as sharr.organization.Accounts does: itself, the table, Security Hub."""
        if self.now - environment.members.get(account, -math.inf) < ACCOUNTS_KEPT_SECONDS:
            return True
        yield from self._call(GET_MEMBER_ITEM, ADMIN, reads=0.5)
        if self.now - self._members.get(account, -math.inf) < ACCOUNTS_KEPT_SECONDS:
            environment.members[account] = self._members[account]
            return True
        if not (yield from self._call(GET_MEMBERS, ADMIN)):
            return False
        environment.members[account] = self._members[account] = self.now
        yield from self._call(PUT_MEMBER_ITEM, ADMIN, writes=1.0)
        return True

    def _given_up(self, message: Message, step: Step) -> bool:
        self._seen.discard(message.number)
        if not step.in_member and step.service != "sts":
            return False
        if message.tries == RETRIES:
            self.result.failed.append(message.number)
        else:
            message.tries += 1
            self.result.retried += 1
            self._later(self._assumed["seconds_until_retry"], lambda: self._enqueue(message))
        return True

    # ------------------------------------------------------------------------------------------------- outcome function
    def _gather(self, message: Message) -> None:
        """An id comes into the outcome queue, and to one of the pollers that still gather."""
        open_ones = [n for n in range(len(self._gathering)) if n not in self._closed]
        if not open_ones:
            self._overflow.append(message)
            return
        number = self._random.choice(open_ones)
        gathered = self._gathering[number]
        gathered.append(message)
        if len(gathered) == 1:
            window = self._windows[number] = self._windows[number] + 1
            self._later(self.deployment.outcome_window, lambda: self._close(number, window))
        if len(gathered) >= self.deployment.outcome_batch:
            self._close(number, self._windows[number])

    def _close(self, number: int, window: int) -> None:
        if window != self._windows[number] or number in self._closed or not self._gathering[number]:
            return
        self._closed.add(number)
        self._ready.append(number)
        self._tell()

    def _tell(self) -> None:
        while self._ready and self._telling < self.deployment.outcome_concurrency:
            number = self._ready.popleft()
            batch, self._gathering[number] = self._gathering[number], []
            self._windows[number] += 1
            self._closed.discard(number)
            self._telling += 1
            self._start(self._telling_of(batch))
            for _ in range(len(self._overflow)):
                self._gather(self._overflow.popleft())

    def _telling_of(self, batch: list[Message]) -> Process:
        self.result.invocations += 1
        self.result.received += math.ceil(len(batch) / 10)
        self.result.batches.append(len(batch))
        measured, begin = self.profiles.outcomes, self.now
        share = len(batch) / measured.size
        groups = Counter(message.profile.note for message in batch)
        updates = sum(math.ceil(count / UPDATED_AT_ONCE) for count in groups.values())
        tables = sum(count for step, count in measured.calls if step.service == "dynamodb")
        units = (measured.write_units * share / tables, measured.read_units * share / tables)
        yield self._assumed["seconds_per_receive"]
        yield measured.cpu_seconds * share / self._vcpu
        told = True
        for step, count in measured.calls:
            wanted = updates if step.operation == "BatchUpdateFindings" else math.ceil(count * share)
            for _ in range(wanted):
                at_table = units if step.service == "dynamodb" else ()
                told = told and (yield from self._call(step, ADMIN, *at_table))
        self.result.seconds_in_functions += self.now - begin
        self._telling -= 1
        if told:
            self.result.log_bytes += measured.log_bytes * share
            for message in batch:
                self.result.told.setdefault(message.number, self.now)
        else:
            self.result.received_again += len(batch)
            again = self._assumed["seconds_until_told_again"]
            for message in batch:
                self._later(again, lambda message=message: self._gather(message))  # type: ignore[misc]
        self._tell()
