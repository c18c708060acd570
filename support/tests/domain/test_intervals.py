"""Intervals that hold at every moment they are looked at."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.intervals import difference_interval, rate_interval
from agent_orchestrator.errors import InputError

counts = st.integers(0, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_the_estimate_lies_inside_the_interval(count: tuple[int, int]) -> None:
    """And the interval inside 0..1; without data it is all of that."""
    good, n = count
    low, high = rate_interval(good, n, 0.05)
    assert 0.0 <= low <= high <= 1.0
    if n:
        assert low - 1e-12 <= good / n <= high + 1e-12
    else:
        assert (low, high) == (0.0, 1.0)


@given(counts, counts)
def test_the_estimated_difference_lies_inside_too(
    candidate: tuple[int, int], stable: tuple[int, int]
) -> None:
    """And exchanging the arms turns the interval round."""
    low, high = difference_interval(*candidate, *stable, 0.05)
    assert -1.0 <= low <= high <= 1.0
    if candidate[1] and stable[1]:
        difference = candidate[0] / candidate[1] - stable[0] / stable[1]
        assert low - 1e-9 <= difference <= high + 1e-9
    turned = difference_interval(*stable, *candidate, 0.05)
    assert turned == pytest.approx((-high, -low), abs=1e-6)


def test_more_data_and_less_certainty_make_it_narrower() -> None:
    """At the same rates."""
    widths = [
        high - low
        for low, high in (
            difference_interval(8, 10, 32, 40, 0.05),
            difference_interval(80, 100, 320, 400, 0.05),
            difference_interval(80, 100, 320, 400, 0.20),
            difference_interval(800, 1000, 3200, 4000, 0.20),
        )
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.15


def test_it_is_narrower_than_two_intervals_together() -> None:
    """The pair's confidence set is tighter than a box of two intervals at half the level each."""
    low, high = difference_interval(150, 200, 640, 800, 0.05)
    (low_c, high_c), (low_s, high_s) = (
        rate_interval(150, 200, 0.025),
        rate_interval(640, 800, 0.025),
    )
    assert low > low_c - high_s
    assert high < high_c - low_s


def test_one_arm_alone_leaves_the_others_range() -> None:
    """No candidate yet: it may be anything."""
    low, high = difference_interval(0, 0, 90, 100, 0.05)
    low_s, high_s = rate_interval(90, 100, 0.05)
    assert (low, high) == (-high_s, 1.0 - low_s)
    assert difference_interval(0, 0, 0, 0, 0.05) == (-1.0, 1.0)


@pytest.mark.untraced
@pytest.mark.parametrize(("p_c", "p_s"), [(0.8, 0.8), (0.5, 0.6), (0.98, 0.95)])
def test_the_truth_is_covered_at_all_times_together(p_c: float, p_s: float) -> None:
    """300 runs of 150 candidate requests, read after every third: at most 5 % exclude the truth."""
    chance = random.Random(5)  # noqa: S311 - a simulation
    missed = 0
    for _ in range(300):
        good_c = good_s = 0
        for n in range(1, 151):
            good_c += chance.random() < p_c
            good_s += sum([chance.random() < p_s for _ in range(4)])
            if n % 3:
                continue
            low, high = difference_interval(good_c, n, good_s, 4 * n, 0.05)
            if not low <= p_c - p_s <= high:
                missed += 1
                break
    assert missed / 300 <= 0.05


@pytest.mark.parametrize(
    "bad", [(3, 2, 1, 1, 0.05), (1, 2, -1, 1, 0.05), (1, 2, 1, 2, 0.0), (1, 2, 1, 2, math.nan)]
)
def test_counts_that_cannot_be_are_refused(bad: tuple) -> None:
    """Named, with a remedy."""
    with pytest.raises(InputError) as caught:
        difference_interval(*bad)
    assert caught.value.remedy
