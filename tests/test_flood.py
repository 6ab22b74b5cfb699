"""The simulator of `make flood`, on small floods with made-up profiles: nothing lost, no quota exceeded."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flood import clients, plots, quotas
from flood.__main__ import Scenario, deployment, markdown, messages
from flood.profiles import Batch, Profile, Profiles, Step
from flood.quotas import Bucket
from flood.simulation import Deployment, Flood, Result

CLAIM, SEND = Step("dynamodb", "TransactWriteItems", False), Step("sqs", "SendMessage", False)
ASSUME, REPAIR = Step("sts", "AssumeRole", False), Step("kms", "EnableKeyRotation", True)
UPDATE = Step("securityhub", "BatchUpdateFindings", False)
QUOTAS = quotas.load()
DEPLOYMENT = Deployment(5, 20, 200, 20.0, 2, 720.0)


def profiles(controls: int = 1, repair: Step = REPAIR, write_units: float = 27.0) -> Profiles:
    """Return profiles of so many controls, each with a note of its own."""
    steps = (CLAIM, ASSUME, repair, CLAIM, SEND)
    found = tuple(
        Profile(f"C.{n}", steps, 0.01, write_units, 2.0, 10, ("RESOLVED", f"note {n}")) for n in range(controls)
    )
    batch = Batch(100, ((CLAIM, 1), (UPDATE, 1)), 0.1, 400.0, 100.0, 1000)
    return Profiles(found, Profile("C.0", (CLAIM,), 0.004, 9.0, 4.0, 0, None), batch, 512)


def flood(measured: Profiles, count: int, under: quotas.Quotas = QUOTAS, seed: int = 1, **how: int) -> Result:
    concurrency = how.pop("concurrency", DEPLOYMENT.concurrency)
    simulated = Flood(measured, under, replace(DEPLOYMENT, concurrency=concurrency), seed=seed)
    return simulated.run(messages(measured, count, **{"accounts": 10, **how}))  # type: ignore[arg-type]


def within(bucket: Bucket) -> bool:
    """Whether no stretch of seconds took more than the rate and the burst allow."""
    seconds = sorted(bucket.taken)
    sums = list(itertools.accumulate((bucket.taken[s] for s in seconds), initial=0))
    return all(
        sums[j + 1] - sums[i] <= bucket.burst + bucket.rate * (seconds[j] - seconds[i] + 1) + 1e-6
        for i in range(len(seconds))
        for j in range(i, len(seconds))
    )


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(1, 300),
    accounts=st.integers(1, 20),
    controls=st.integers(1, 20),
    times=st.integers(1, 3),
    concurrency=st.integers(2, 60),
    seed=st.integers(0, 9),
)
def test_nothing_is_lost_and_no_quota_is_exceeded(
    count: int, accounts: int, controls: int, times: int, concurrency: int, seed: int
) -> None:
    measured = profiles(controls)

    came = flood(measured, count, seed=seed, accounts=accounts, controls=controls, times=times, concurrency=concurrency)

    ended = Counter([*came.told, *came.skipped, *came.failed, *came.dead])
    assert set(ended) == set(range(count))
    assert not came.skipped
    assert sum(came.batches) >= len(came.told)
    assert max(came.batches) <= DEPLOYMENT.outcome_batch
    assert max(running for _, running in came.running) <= concurrency
    for name, found in came.buckets.items():
        assert all(map(within, found)), name


def test_a_second_flood_of_the_same_makes_two_calls_each_and_tells_nothing() -> None:
    measured = profiles()

    once, twice = flood(measured, 500), flood(measured, 500, times=2)

    assert twice.sent == once.sent == 500
    assert twice.seen_again == 500
    assert twice.calls[REPAIR.name] == once.calls[REPAIR.name] == 500
    assert twice.calls[CLAIM.name] - once.calls[CLAIM.name] <= 500 + len(twice.batches)


def test_a_throttled_repair_is_tried_again_minutes_later() -> None:
    came = flood(profiles(), 400, accounts=1, concurrency=100)

    assert came.throttled[REPAIR.name] > 0
    assert came.retried > 0
    assert len(came.told) == 400
    assert came.drained > QUOTAS.assumed["seconds_until_retry"]


def test_a_table_too_slow_sends_messages_back_and_in_the_end_to_the_dead_letters() -> None:
    slow = replace(QUOTAS, table={"write_units": {"rate": 1, "burst": 20}, "read_units": {"rate": 100, "burst": 100}})

    came = flood(profiles(), 60, slow)

    assert came.throttled[CLAIM.name] > 0
    assert came.dead
    assert len(came.told) + len(set(came.dead)) == 60
    assert came.drained == 0 or came.drained > DEPLOYMENT.visibility_seconds


def test_security_hub_is_asked_once_for_an_account_whoever_asks() -> None:
    """Each environment asked for itself: throttled, a hundred of them refused half of the findings of 100 accounts."""
    came = flood(profiles(), 3000, accounts=100, concurrency=100)

    assert not came.skipped
    assert came.calls["securityhub.GetMembers"] < 130


def test_findings_of_one_control_share_their_updates_and_those_of_many_do_not() -> None:
    one, many = flood(profiles(), 1000, concurrency=100), flood(profiles(50), 1000, controls=50, concurrency=100)

    assert one.calls[UPDATE.name] <= 1000 / 100 + 2 * len(one.batches)
    assert many.calls[UPDATE.name] > 2 * one.calls[UPDATE.name]


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(10, 30)

    assert [bucket.take(0.0) for _ in range(31)] == [True] * 30 + [False]
    assert [bucket.take(0.25) for _ in range(3)] == [True, True, False]
    assert within(bucket)


def test_the_deployment_is_read_from_the_templates() -> None:
    found = deployment()

    assert found.batch == 5
    assert found.outcome_batch > 100
    assert found.concurrency >= 50
    assert found.outcome_window == DEPLOYMENT.outcome_window


@pytest.mark.parametrize("seconds", [1, 10_000])
def test_a_missed_goal_is_said(seconds: int) -> None:
    came = flood(profiles(), 20)
    scenario = Scenario("small", 20, 20, came, 0.01, (100, seconds))

    text = markdown([scenario], [], "about")

    assert scenario.misses is (seconds == 1)
    assert ("MISS" in text) is (seconds == 1)


def test_clients_that_are_made_and_dropped_leave_nothing_behind() -> None:
    resident = clients.measure(["kms", "s3", "sts"])

    assert resident.first > resident.before
    assert resident.last - resident.first < 15


def test_a_chart_is_well_formed_and_stays_within_its_frame() -> None:
    lines = [plots.Line("a < b", [(0, 0), (7, 3), (12, 99)]), plots.Line("steps", [(0, 1), (5, 2)], steps=True)]

    root = ET.fromstring(plots.chart("told & untold", "s", "n", lines))

    drawn = [e.attrib["points"] for e in root if e.tag.endswith("polyline")]
    assert len(drawn) == 2
    for x, y in (map(float, point.split(",")) for points in drawn for point in points.split()):
        assert plots.LEFT <= x <= plots.WIDTH - plots.RIGHT
        assert plots.TOP <= y <= plots.HEIGHT - plots.BOTTOM
