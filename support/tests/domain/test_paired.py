"""Paired differences, their corrections and their power."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.paired import (
    Paired,
    adjusted,
    corrected,
    examples_for_power,
    holm,
    paired_difference,
    power,
)
from agent_orchestrator.domain.student import t_quantile, t_test_power, two_sided_p
from agent_orchestrator.errors import InputError

PEERS = json.loads((Path(__file__).parents[1] / "data" / "statistics_peers.json").read_text())


def dice(seed: int) -> random.Random:
    """Return a chance that falls the same way every time."""
    return random.Random(seed)  # noqa: S311 - a simulation


@pytest.mark.parametrize(
    ("p", "df", "quantile"),
    [
        (0.975, 1, 12.706204736),
        (0.975, 2, 4.302652730),
        (0.975, 3, 3.182446305),
        (0.975, 10, 2.228138852),
        (0.95, 5, 2.015048373),
        (0.995, 29, 2.756385904),
        (0.9995, 7, 5.407882521),
        (0.975, 100, 1.983971519),
        (0.975, 200, 1.971896224),
        (0.975, 201, 1.971836507),
        (0.975, 1000, 1.962339081),
        (0.025, 10, -2.228138852),
        (0.5, 4, 0.0),
    ],
)
def test_quantiles_of_t_are_the_tabulated_ones(p: float, df: int, quantile: float) -> None:
    """To nine decimals, on both sides of the change of method."""
    assert t_quantile(p, df) == pytest.approx(quantile, abs=2e-9)


@pytest.mark.parametrize(("p", "df"), [(0.0, 5), (1.0, 5), (0.9, 0)])
def test_a_quantile_that_does_not_exist_is_refused(p: float, df: int) -> None:
    """The message names both numbers."""
    with pytest.raises(InputError):
        t_quantile(p, df)


def test_independent_differences_give_the_ordinary_t_interval() -> None:
    """Five differences, one a cluster: mean 0.3, s = 0.2738613, t(4) = 2.776445."""
    found = paired_difference([0.0, 0.5, 0.5, 0.0, 0.5], "abcde")
    assert found.mean == pytest.approx(0.3)
    assert found.se == pytest.approx(0.27386128 / math.sqrt(5))
    half = 2.7764451 * 0.27386128 / math.sqrt(5)
    assert found.interval == pytest.approx((0.3 - half, 0.3 + half))
    assert (found.n, found.n_clusters, found.supported) == (5, 5, False)


def test_a_cluster_counts_as_one_where_its_examples_agree() -> None:
    """Copying every example ten times within its cluster leaves the interval as it was."""
    once = paired_difference([1, 0, 0, 1, 1, 1], range(6))
    copies = paired_difference([1, 0, 0, 1, 1, 1] * 10, list(range(6)) * 10)
    assert copies.interval == pytest.approx(once.interval)
    assert copies.n == 60
    as_if_independent = paired_difference([1, 0, 0, 1, 1, 1] * 10, range(60))
    assert as_if_independent.se < 0.4 * copies.se


def test_clustered_error_by_hand() -> None:
    """Residual sums +1, −1, 0 of three clusters of two: √(2 · 3/2) / 6."""
    found = paired_difference([1, 1, 0, 0, 1, 0], "aabbcc")
    assert found.se == pytest.approx(math.sqrt(3) / 6)


@pytest.mark.parametrize(
    ("differences", "clusters", "se"),
    [
        ([0.2], "a", None),
        ([0.2, -0.1, 0.4], "aaa", None),
        ([0.2, 0.2, 0.2], "abc", 0.0),
        ([0, 0, 0], "abc", 0.0),
    ],
)
def test_data_that_do_not_vary_give_no_interval(
    differences: list[float], clusters: str, se: float | None
) -> None:
    """One cluster, or clusters that are all alike, do not tell how sure one may be."""
    found = paired_difference(differences, clusters)
    assert (found.se, found.interval, found.supported, found.examples_needed) == (
        se,
        None,
        None,
        None,
    )


def test_the_examples_needed_settle_the_matter_when_they_come() -> None:
    """Repeating the data up to the promised number settles it, a round less does not."""
    pattern = [1, 0, -1, 0, 1, 0, 1, -1, 0, 0]
    start = paired_difference(pattern * 4, range(40))
    total = start.n + start.examples_needed
    assert start.supported is False
    repeats = math.ceil(total / 10)
    assert paired_difference(pattern * repeats, range(10 * repeats)).supported
    assert not paired_difference(
        pattern * (total // 10 - 1), range(10 * (total // 10 - 1))
    ).supported


def test_a_settled_change_needs_no_more_examples() -> None:
    """The interval excludes 0 on either side."""
    for sign in (1, -1):
        found = paired_difference([sign, sign, 0, sign] * 10, range(40))
        assert (found.supported, found.examples_needed) == (True, None)


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), min_size=2, max_size=60), st.integers(1, 9))
def test_intervals_are_symmetric_and_widen_with_confidence(
    differences: list[float], size: int
) -> None:
    """For any data: the mean lies in the middle, and more confidence costs width."""
    clusters = [index // size for index in range(len(differences))]
    narrow = paired_difference(differences, clusters, 0.8)
    wide = paired_difference(differences, clusters, 0.99)
    if narrow.interval is not None:
        assert sum(narrow.interval) / 2 == pytest.approx(narrow.mean, abs=1e-9)
        assert wide.interval[0] < narrow.interval[0] < narrow.interval[1] < wide.interval[1]


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """400 evaluations of 30 clusters of different sizes: 95 % cover, within the slack of chance."""
    chance = dice(7)
    covered, runs = 0, 400
    for _ in range(runs):
        differences, clusters = [], []
        for cluster in range(30):
            common = chance.gauss(0.1, 0.2)
            size = 3 + cluster % 4
            differences += [common + chance.gauss(0, 0.1) for _ in range(size)]
            clusters += [cluster] * size
        low, high = paired_difference(differences, clusters).interval
        covered += low < 0.1 < high
    assert 0.91 < covered / runs < 0.985


@pytest.mark.parametrize(
    ("differences", "clusters", "confidence"),
    [
        ([], [], 0.95),
        ([1.0], [], 0.95),
        ([math.nan, 1.0], "ab", 0.95),
        ([1.0, 0.0], "ab", 1.0),
    ],
)
def test_differences_that_cannot_be_are_refused(
    differences: list[float], clusters: str, confidence: float
) -> None:
    """Nothing, lengths that differ, NaN, certainty."""
    with pytest.raises(InputError):
        paired_difference(differences, clusters, confidence)


# --- as others compute it -------------------------------------------------------------------------


@pytest.mark.parametrize("case", PEERS["clustered"], ids=lambda case: case["name"])
def test_clustered_errors_are_those_of_inspect_ai(case: dict[str, Any]) -> None:
    """Mean and standard error of the same differences, to 1e-6 and better."""
    found = paired_difference(case["differences"], case["clusters"])
    assert found.mean == pytest.approx(case["mean"], abs=1e-9)
    assert found.se == pytest.approx(case["inspect_ai_stderr"], abs=1e-9)


@pytest.mark.parametrize("case", PEERS["paired_t"], ids=lambda case: case["name"])
def test_unclustered_tests_are_those_of_scipy(case: dict[str, Any]) -> None:
    """Interval and p-value of a paired t test, one example a cluster."""
    found = paired_difference(case["differences"], range(len(case["differences"])))
    assert found.p_value == pytest.approx(case["scipy_p"], abs=1e-9)
    assert found.interval == pytest.approx(tuple(case["scipy_interval"]), abs=1e-8)


@pytest.mark.parametrize("case", PEERS["power"], ids=str)
def test_power_is_that_of_statsmodels(case: dict[str, Any]) -> None:
    """Of a two-sided one-sample t test, from two observations to thousands."""
    n = case["n"]
    found = t_test_power(case["effect"] * math.sqrt(n), n - 1, case["alpha"])
    assert found == pytest.approx(case["statsmodels_power"], abs=1e-5)


@pytest.mark.parametrize("case", PEERS["holm"], ids=str)
def test_adjusted_p_values_are_those_of_statsmodels(case: dict[str, Any]) -> None:
    """Holm's, in the order that they were given."""
    named = dict(enumerate(case["p"]))
    assert list(map(adjusted(named).get, named)) == pytest.approx(case["statsmodels_holm"])
    levels = holm(named, case["alpha"])
    assert [named[k] <= levels[k] for k in named] == case["statsmodels_rejects"]


# --- corrected for several ------------------------------------------------------------------------


def test_an_interval_excludes_0_exactly_where_holm_rejects() -> None:
    """Three differences, of which two are there and one is chance."""
    chance = dice(3)
    family = {
        shift: Paired([shift + chance.gauss(0, 1) for _ in range(80)], range(80))
        for shift in (0.0, 0.45, 0.8)
    }
    found = corrected(family)
    p = adjusted({name: pairs.test().p_value for name, pairs in family.items()})
    assert {name: result.supported for name, result in found.items()} == {
        name: value <= 0.05 for name, value in p.items()
    }
    assert [found[shift].supported for shift in (0.0, 0.45, 0.8)] == [False, True, True]


def test_a_correction_widens_and_never_moves() -> None:
    """Alone, nothing changes; in company the mean stays and the interval grows."""
    pairs = Paired([1, 0, 0, 1, -1, 0, 1, 0], range(8))
    alone = corrected({"a": pairs})["a"]
    assert alone == pairs.test()
    three = corrected({"a": pairs, "b": pairs, "c": pairs})["a"]
    assert three.mean == alone.mean
    assert three.interval[1] - three.interval[0] > alone.interval[1] - alone.interval[0]


def test_what_has_no_p_value_costs_the_others_nothing() -> None:
    """A metric without spread says nothing, and does not make it harder for the rest."""
    pairs = Paired([1, 0, 0, 1, -1, 0, 1, 0], range(8))
    flat = Paired([0.0] * 8, range(8))
    assert corrected({"a": pairs, "flat": flat}) == {"a": pairs.test(), "flat": flat.test()}


@given(st.dictionaries(st.integers(), st.floats(0, 1), min_size=1, max_size=8))
def test_adjusted_p_values_and_levels_say_the_same(p_values: dict[int, float]) -> None:
    """Rejected at its level is an adjusted p-value of at most alpha; adjusting never lowers one."""
    levels, after = holm(p_values, 0.05), adjusted(p_values)
    for name, p in p_values.items():
        assert p <= after[name] <= 1.0
        if abs(after[name] - 0.05) > 1e-9:
            assert (p <= levels[name]) == (after[name] <= 0.05)


# --- power ----------------------------------------------------------------------------------------


def test_the_examples_for_a_power_have_it() -> None:
    """One example less has not."""
    found = paired_difference([1, 0, -1, 0, 1, 0, 0, 0] * 5, range(40))
    total = examples_for_power(0.05, found)
    assert total is not None

    def reached(n: int) -> float:
        return power(0.05, found.se * math.sqrt(40 / n), n)

    assert reached(total) >= 0.8 > reached(total - 1)


def test_power_grows_with_the_effect_and_starts_at_alpha() -> None:
    """Of nothing it is alpha, of much it is 1, on either side."""
    assert power(0.0, 0.1, 50) == pytest.approx(0.05, abs=1e-6)
    assert power(0.2, 0.1, 50) == pytest.approx(power(-0.2, 0.1, 50))
    assert power(0.1, 0.1, 50) < power(0.2, 0.1, 50) < power(1.0, 0.1, 50) <= 1.0


def test_power_without_an_error_is_refused() -> None:
    """Without spread, with one cluster, and for no effect there is nothing to plan by."""
    for se, clusters in ((0.0, 50), (0.1, 1)):
        with pytest.raises(InputError):
            power(0.1, se, clusters)
    flat = paired_difference([0.0] * 8, range(8))
    assert examples_for_power(0.1, flat) is None
    spread = paired_difference([1.0, 0.0, 1.0], range(3))
    assert examples_for_power(0.0, spread) is None


@pytest.mark.parametrize(("t", "df"), [(math.nan, 5), (1.0, 0)])
def test_a_p_value_that_does_not_exist_is_refused(t: float, df: int) -> None:
    """The message names both numbers."""
    with pytest.raises(InputError):
        two_sided_p(t, df)


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=2, max_size=12))
def test_no_difference_of_scores_is_thought_possible_that_is_not(differences: list[float]):
    """The interval ends at ±1; that decides nothing else, and the mean stays inside."""
    clusters = range(len(differences))
    cut = Paired(differences, clusters).test()
    whole = paired_difference(differences, clusters)
    assert (cut.mean, cut.supported, cut.examples_needed) == (
        whole.mean,
        whole.supported,
        whole.examples_needed,
    )
    if cut.interval is not None:
        low, high = cut.interval
        assert -1.0 <= low <= cut.mean <= high <= 1.0
