import math
import random
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.statistics import (
    Look,
    non_inferiority_look,
    obrien_fleming_boundaries,
    srm_p_value,
    wilson_lower_bound,
)
from agent_orchestrator.errors import InputError


def dice(seed: int) -> random.Random:
    """Return a chance that falls the same way every time."""
    return random.Random(seed)  # noqa: S311 - a simulation


# --- group-sequential non-inferiority -------------------------------------------------------------


@pytest.mark.parametrize(
    ("looks", "alpha", "published"),
    [
        # Lan & DeMets' spending of the O'Brien-Fleming type, as in Jennison & Turnbull and gsDesign
        (1, 0.025, (1.9600,)),
        (2, 0.025, (2.9626, 1.9686)),
        (3, 0.025, (3.7103, 2.5114, 1.9930)),
        (4, 0.025, (4.3326, 2.9631, 2.3590, 2.0141)),
        (5, 0.025, (4.8769, 3.3569, 2.6803, 2.2898, 2.0310)),
    ],
)
def test_boundaries_are_the_published_ones(
    looks: int, alpha: float, published: tuple[float, ...]
) -> None:
    """As the tables and programs give them; they differ by 1 in the fourth decimal themselves."""
    assert obrien_fleming_boundaries(looks, alpha) == pytest.approx(published, abs=1.5e-4)


def test_the_second_boundary_solves_its_equation() -> None:
    """P(Z₁ < b₁, Z₂ ≥ b₂) = α(2/5) − α(1/5) for five looks; b₂ from an independent quadrature."""
    assert obrien_fleming_boundaries(5, 0.025)[1] == pytest.approx(3.3570119, abs=1e-6)


def test_boundaries_fall_towards_the_level_of_a_single_look() -> None:
    """Early looks ask for much, the last one for little more than a test without looks."""
    boundaries = obrien_fleming_boundaries(20, 0.05)
    assert list(boundaries) == sorted(boundaries, reverse=True)
    assert NormalDist().inv_cdf(0.95) < boundaries[-1] < 1.9


@pytest.mark.parametrize(("looks", "alpha"), [(0, 0.05), (21, 0.05), (5, 0.0), (5, 0.5)])
def test_a_plan_that_cannot_be_is_refused(looks: int, alpha: float) -> None:
    """The message names the value."""
    with pytest.raises(InputError):
        obrien_fleming_boundaries(looks, alpha)


def look(
    candidate: tuple[int, int], stable: tuple[int, int], number: int = 5, margin: float = 0.05
) -> Look:
    """Take look ``number`` of five at (good, all) of both arms."""
    return non_inferiority_look(
        *candidate, *stable, margin=margin, look=number, looks=5, alpha=0.05
    )


def test_farrington_and_manning_by_hand() -> None:
    """p₁ − p₂ = −0.2 with 15 of 20 and 18 of 20: the restricted rates are 0.71391 and 0.91391.

    0.71391 is where 15 ln p + 5 ln(1 − p) + 18 ln(p + 0.2) + 2 ln(0.8 − p) is largest.
    """
    found = look((15, 20), (18, 20), margin=0.2)
    p_1, p_2 = 0.713905, 0.913905
    expected = (0.75 - 0.9 + 0.2) / math.sqrt((p_1 * (1 - p_1) + p_2 * (1 - p_2)) / 20)
    assert found.z == pytest.approx(expected, abs=1e-5)


@given(
    st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.floats(0.01, 0.5),
    st.integers(1, 5),
)
def test_a_look_passes_exactly_when_its_bound_is_above_the_margin(
    candidate: tuple[int, int], stable: tuple[int, int], margin: float, number: int
) -> None:
    """The decision and the interval that is shown never contradict each other."""
    found = look(candidate, stable, number, margin)
    difference = candidate[0] / candidate[1] - stable[0] / stable[1]
    assert -1.0 <= found.lower_bound <= difference + 1e-9
    if abs(found.z - found.boundary) > 1e-6:
        assert found.passed == (found.lower_bound > -margin)


@pytest.mark.parametrize(("n", "passed"), [(5, False), (20, False), (50, False), (70, True)])
def test_arms_without_a_bad_outcome_pass_only_with_enough_of_them(n: int, passed: bool) -> None:
    """5 of 5 and 20 of 20 prove nothing, although their variance is 0."""
    assert look((n, n), (4 * n, 4 * n)).passed is passed


def test_a_worse_and_a_better_candidate_are_told_apart() -> None:
    """−20 points never passes, +10 points passes at an early look."""
    assert not look((350, 500), (1800, 2000)).passed
    assert look((200, 200), (720, 800), number=2).passed


def test_the_bound_is_minus_one_where_nothing_is_known() -> None:
    """One bad outcome against one good one leaves every difference possible."""
    assert look((0, 1), (1, 1)).lower_bound == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("counts", "number"),
    [
        ((1, 0, 1, 1), 1),
        ((2, 1, 1, 1), 1),
        ((-1, 1, 1, 1), 1),
        ((1, 1, 1, 0), 1),
        ((1, 1, 1, 1), 0),
        ((1, 1, 1, 1), 6),
    ],
)
def test_counts_and_looks_that_cannot_be_are_refused(
    counts: tuple[int, int, int, int], number: int
) -> None:
    """More good than all, no outcome, a look outside the plan."""
    with pytest.raises(InputError):
        look(counts[:2], counts[2:], number)


@pytest.mark.untraced
@pytest.mark.parametrize("stable_rate", [0.55, 0.85, 0.95])
def test_a_candidate_worse_by_the_margin_seldom_passes(stable_rate: float) -> None:
    """1,000 rollouts of five looks: at most α = 5 % pass, with the slack of the simulation."""
    chance = dice(20261120)
    margin, step, passes, runs = 0.05, 50, 0, 1000
    for _ in range(runs):
        good_c = good_s = 0
        for number in range(1, 6):
            good_c += sum(chance.random() < stable_rate - margin for _ in range(step))
            good_s += sum(chance.random() < stable_rate for _ in range(4 * step))
            n = number * step
            if look((good_c, n), (good_s, 4 * n), number, margin).passed:
                passes += 1
                break
    assert passes / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


# --- one rate, realised split ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "weights", "p_value"),
    [
        ([20, 80], [20, 80], 1.0),
        ([60, 40], [50, 50], 0.0455002638963584),  # χ² = 4, one degree
        ([30, 30, 40], [1, 1, 1], 0.36787944117144233),  # χ² = 2, two degrees: 1/e
        ([10, 20, 30, 40], [1, 1, 1, 1], 0.00016974243555282632),  # χ² = 20, three degrees
        ([40, 10, 20, 20, 10], [1, 1, 1, 1, 1], 4.894437128029214e-06),  # χ² = 30, four degrees
        ([0, 0], [20, 80], 1.0),
        ([7, 0], [100, 0], 1.0),
        ([7, 1], [100, 0], 0.0),
    ],
)
def test_the_p_value_of_a_split(counts: list[int], weights: list[float], p_value: float) -> None:
    """Literals of Pearson's chi-square test; an arm without weight must stay empty."""
    assert srm_p_value(counts, weights) == pytest.approx(p_value, rel=1e-9)


@pytest.mark.parametrize(("counts", "weights"), [([1], [1, 2]), ([], []), ([1, 2], [0, 0])])
def test_a_split_without_weights_is_refused(counts: list[int], weights: list[float]) -> None:
    """There is nothing to compare with."""
    with pytest.raises(InputError):
        srm_p_value(counts, weights)


def test_negative_weights_are_refused() -> None:
    """Expected counts below 0 mean nothing."""
    with pytest.raises(InputError):
        srm_p_value([1, 2], [-1, 3])


@pytest.mark.parametrize(
    ("good", "n", "alpha", "bound"),
    [
        (81, 263, 0.025, 0.2553),  # Newcombe 1998, table I, method 3 (Wilson)
        (15, 148, 0.025, 0.0624),
        (0, 20, 0.025, 0.0),
        (1, 29, 0.025, 0.0061),
    ],
)
def test_wilsons_bound_is_the_published_one(good: int, n: int, alpha: float, bound: float) -> None:
    """Newcombe's examples, to four decimals."""
    assert wilson_lower_bound(good, n, alpha) == pytest.approx(bound, abs=1e-4)


def test_a_rate_of_nothing_is_refused() -> None:
    """No rate without a count."""
    with pytest.raises(InputError):
        wilson_lower_bound(0, 0, 0.05)
