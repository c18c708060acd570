"""Whether a candidate is slower than the stable arm."""

import math
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.eprocess import TwoSampleEProcess
from agent_orchestrator.domain.latency_reference import LatencyReference
from agent_orchestrator.errors import InputError


def taught(latencies: list[float], quantile: float = 0.95, tolerance: float = 1.25):
    """Return a reference that has learnt these stable latencies."""
    reference = LatencyReference(quantile, tolerance)
    for latency in latencies:
        reference.learn(latency)
    return reference


def test_nothing_is_judged_before_enough_is_known() -> None:
    """A quantile of 0.95 needs 40 stable latencies."""
    reference = taught([100.0] * 39)
    assert reference.within(True, 1e9) is None
    assert reference.learn(100.0)
    assert reference.within(True, 1e9) is False


def test_a_candidate_has_the_tolerance_the_stable_arm_has_not() -> None:
    """The candidate may be a quarter slower."""
    reference = taught([100.0] * 40)
    assert reference.limit_ms == pytest.approx(100.0, rel=0.011)
    assert (reference.within(False, 110.0), reference.within(True, 110.0)) == (False, True)
    assert reference.within(True, 130.0) is False


@given(st.lists(st.floats(0.1, 1e6), min_size=40, max_size=300), st.randoms())
def test_the_reference_is_the_quantile_in_any_order(
    latencies: list[float], chance: random.Random
) -> None:
    """To the width of a bucket, of what was known when it was last set."""
    shuffled = latencies[:40]
    chance.shuffle(shuffled)
    assert taught(latencies[:40]).limit_ms == taught(shuffled).limit_ms
    exact = sorted(latencies[:40])[math.ceil(0.95 * 40) - 1]
    assert taught(latencies[:40]).limit_ms == pytest.approx(exact, rel=0.0101)


def test_it_is_set_anew_ever_more_rarely() -> None:
    """Each time with half as many latencies again: less than 20 times in 50,000."""
    chance = dice(3)
    reference = LatencyReference(0.95, 1.25)
    moves = sum(reference.learn(chance.lognormvariate(5.0, 1.0)) for _ in range(50_000))
    assert 5 < moves < 20
    assert len(reference._buckets) < 1300


def test_impossible_latencies_need_no_more_memory() -> None:
    """0 and beyond ten days are the ends of the scale."""
    reference = taught([0.0, 1e300] * 20)
    assert len(reference._buckets) == 2


@pytest.mark.parametrize(("quantile", "tolerance"), [(0.4, 1.2), (1.0, 1.2), (0.9, 0.5)])
def test_a_reference_that_says_nothing_is_refused(quantile: float, tolerance: float) -> None:
    """Named, with a remedy."""
    with pytest.raises(InputError, match="Latency") as caught:
        LatencyReference(quantile, tolerance)
    assert caught.value.remedy


def dice(seed: int) -> random.Random:
    """Return a chance that falls the same way every time."""
    return random.Random(seed)  # noqa: S311 - a simulation


def evidence(slowness: float, requests: int, chance: random.Random) -> Iterator[float]:
    """Yield the evidence after each candidate request; it takes ``slowness`` times as long."""
    reference = LatencyReference(0.95, 1.25)
    process = TwoSampleEProcess((1, 4))
    seen = 0
    while seen < requests:
        candidate = chance.random() < 0.2
        latency = chance.lognormvariate(5.0, 0.8) * (slowness if candidate else 1.0)
        within = reference.within(candidate, latency)
        if within is not None:
            process.observe(candidate, within)
        if not candidate and reference.learn(latency):
            process.drop_waiting()
        seen += candidate
        if candidate:
            yield process.peak


@pytest.mark.untraced
def test_a_candidate_as_slow_as_it_may_be_is_seldom_accused() -> None:
    """200 rollouts at exactly the tolerance, looked at 500 times: at most 5 % ever reach 20."""
    chance = dice(21)
    alarms = sum(any(e >= 20.0 for e in evidence(1.25, 500, chance)) for _ in range(200))
    assert alarms / 200 <= 0.05


def test_a_candidate_three_times_as_slow_is_caught_soon() -> None:
    """Within 120 candidate requests, in the median, though it never exceeds a fixed limit."""
    chance = dice(22)
    found = sorted(
        next((n for n, e in enumerate(evidence(3.0, 1000, chance), 1) if e >= 20.0), 1000)
        for _ in range(41)
    )
    assert found[20] <= 120
