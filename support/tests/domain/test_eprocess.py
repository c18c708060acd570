import math
import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.eprocess import (
    OneSampleEProcess,
    TwoSampleEProcess,
    block_factors,
    block_shape,
    split_evidence,
)
from agent_orchestrator.errors import InputError


def dice(seed: int) -> random.Random:
    """Return a chance that falls the same way every time."""
    return random.Random(seed)  # noqa: S311 - a simulation


shapes = st.sampled_from([(1, 1), (1, 4), (1, 19), (3, 7), (4, 1), (2, 3)])


@pytest.mark.parametrize(
    ("weight", "shape"),
    [
        (20, (1, 4)),
        (50, (1, 1)),
        (5, (1, 19)),
        (1, (1, 99)),
        (25, (1, 3)),
        (30, (3, 7)),
        (37, (7, 12)),
        (80, (4, 1)),
        (90, (9, 1)),
    ],
)
def test_blocks_follow_the_weight(weight: int, shape: tuple[int, int]) -> None:
    """The smallest block whose shape is (nearly) the split."""
    assert block_shape(weight) == shape


@given(st.integers(1, 99))
def test_no_arm_is_left_waiting(weight: int) -> None:
    """For any weight the block's split is the asked one to 5 %; the rarer arm gives up to 9."""
    candidate, stable = block_shape(weight)
    assert 1 <= min(candidate, stable) <= 9
    assert candidate / stable == pytest.approx(weight / (100 - weight), rel=0.05)


@pytest.mark.parametrize("weight", [0, 100, -5])
def test_one_arm_alone_has_no_block(weight: int) -> None:
    """Without a second arm there is nothing to compare."""
    with pytest.raises(InputError, match=str(weight)):
        block_shape(weight)


@given(shapes, st.integers(-60, 60), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_block_expects_no_gain_under_the_null(
    shape: tuple[int, int], level: int, one: float, other: float
) -> None:
    """Σ P(outcomes) · factor ≤ 1 for all rates with the candidate not below: an e-variable.

    This is the whole proof obligation: exact sums over all outcomes of a block, for any pooled rate
    that the past suggested.
    """
    n_c, n_s = shape
    p_s, p_c = sorted((one, other))
    expected = [0.0] * 4
    for good_c, good_s in product(range(n_c + 1), range(n_s + 1)):
        chance = (
            math.comb(n_c, good_c)
            * math.comb(n_s, good_s)
            * p_c**good_c
            * (1 - p_c) ** (n_c - good_c)
            * p_s**good_s
            * (1 - p_s) ** (n_s - good_s)
        )
        for i, factor in enumerate(block_factors(n_c, n_s, good_c, good_s, level)):
            expected[i] += chance * factor
    assert max(expected) <= 1.0 + 1e-9


@given(st.floats(0.01, 0.99), st.floats(0.0, 1.0))
def test_a_bet_against_a_reference_expects_no_gain_under_the_null(
    null_rate: float, share: float
) -> None:
    """For every rate p from the reference up, p · factor(good) + (1 − p) · factor(bad) ≤ 1."""
    rate = null_rate + share * (1.0 - null_rate)
    bad, good = OneSampleEProcess(null_rate)._factors
    for factor_bad, factor_good in zip(bad, good, strict=True):
        assert rate * factor_good + (1.0 - rate) * factor_bad <= 1.0 + 1e-9


def run(
    process: TwoSampleEProcess, rates: tuple[float, float], candidates: int, chance: random.Random
) -> int | None:
    """Give the candidate a fifth of the requests; return how many of its own the alarm took.

    ``rates`` are the good rates of candidate and stable arm; the alarm is evidence of 20. None when
    ``candidates`` requests raised no alarm.
    """
    seen = 0
    while seen < candidates:
        candidate = chance.random() < 0.2
        seen += candidate
        process.observe(candidate, chance.random() < rates[0 if candidate else 1])
        if process.peak >= 20.0:
            return seen
    return None


@pytest.mark.untraced
@pytest.mark.parametrize("rate", [0.5, 0.8, 0.95])
def test_an_equal_candidate_is_seldom_accused(rate: float) -> None:
    """300 rollouts, looked at after each of 1,000 candidate requests: at most 5 % ever reach 20."""
    chance = dice(11)
    alarms = sum(
        run(TwoSampleEProcess((1, 4)), (rate, rate), 1000, chance) is not None for _ in range(300)
    )
    assert alarms / 300 <= 0.05


@pytest.mark.untraced
def test_a_better_candidate_is_never_accused() -> None:
    """One-sided: 60 rollouts of a candidate 10 points better raise no alarm."""
    chance = dice(12)
    assert all(run(TwoSampleEProcess((1, 4)), (0.9, 0.8), 1000, chance) is None for _ in range(60))


@pytest.mark.parametrize(
    ("loss", "median"), [(0.10, 150), (0.20, 45), (0.40, 15)], ids=["-10", "-20", "-40"]
)
def test_a_worse_candidate_is_caught_in_time(loss: float, median: int) -> None:
    """Median candidate requests from a stable rate of 0.80 at 20 % of the traffic."""
    chance = dice(13)
    found = sorted(
        run(TwoSampleEProcess((1, 4)), (0.8 - loss, 0.8), 5000, chance) or 5000 for _ in range(201)
    )
    assert found[100] <= median


def test_a_late_degradation_is_caught_too() -> None:
    """3,000 healthy candidate requests first: the reserve keeps the gambler solvent."""
    chance = dice(14)
    found = []
    for _ in range(15):
        process = TwoSampleEProcess((1, 4))
        if run(process, (0.8, 0.8), 3000, chance) is None:
            found.append(run(process, (0.6, 0.8), 5000, chance))
    assert sorted(found)[len(found) // 2] <= 200


def test_evidence_goes_on_through_a_change_of_the_weight() -> None:
    """The factors of blocks of both shapes multiply, and outcomes that wait are not lost."""
    process = TwoSampleEProcess((1, 4))
    for _ in range(10):
        process.observe(True, False)
        for _ in range(4):
            process.observe(False, True)
    before = process.e_value
    process.observe(False, True)
    process.reshape((1, 1))
    process.observe(True, False)
    assert before > 20.0
    assert process.e_value > before


def test_the_peak_is_the_largest_evidence_so_far() -> None:
    """What was reached once stays reached, even if the evidence falls again."""
    process = TwoSampleEProcess((1, 1))
    values = []
    chance = dice(15)
    for _ in range(500):
        process.observe(True, chance.random() < 0.7)
        process.observe(False, chance.random() < 0.8)
        values.append(process.e_value)
    assert process.peak == max(1.0, *values)
    assert process.peak > process.e_value


def test_evidence_neither_overflows_nor_dies() -> None:
    """It stops at 1e100, and 20,000 healthy blocks leave more than nothing."""
    hopeless, healthy = TwoSampleEProcess((1, 1)), TwoSampleEProcess((1, 1))
    for _ in range(20_000):
        hopeless.observe(True, False)
        hopeless.observe(False, True)
        healthy.observe(True, True)
        healthy.observe(False, False)
    assert 1e100 <= hopeless.e_value < 1e120
    assert 1e-6 < healthy.e_value < 1.0


def test_an_arm_that_waits_for_the_other_needs_no_more_memory() -> None:
    """Feedback for one arm only is no evidence, and what waits is bounded."""
    process = TwoSampleEProcess((1, 1))
    for _ in range(10_000):
        process.observe(True, False)
    assert process.e_value == 1.0
    assert len(process._candidate) == 4096


@given(shapes, st.lists(st.tuples(st.booleans(), st.booleans()), max_size=200))
def test_the_order_between_the_arms_does_not_matter(
    shape: tuple[int, int], outcomes: list[tuple[bool, bool]]
) -> None:
    """Only the order within each arm counts, so a slow arm is no evidence by itself."""
    mixed, sorted_by_arm = TwoSampleEProcess(shape), TwoSampleEProcess(shape)
    for candidate, good in outcomes:
        mixed.observe(candidate, good)
    for candidate, good in sorted(outcomes, key=lambda outcome: outcome[0]):
        sorted_by_arm.observe(candidate, good)
    assert mixed.e_value == sorted_by_arm.e_value
    assert mixed.peak == sorted_by_arm.peak


def test_a_block_needs_both_arms() -> None:
    """A shape without one of the arms is refused."""
    with pytest.raises(InputError, match="shape"):
        TwoSampleEProcess((0, 4))


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.2, math.nan])
def test_a_reference_that_cannot_be_undercut_is_refused(rate: float) -> None:
    """Nothing lies below 0, and 1 would make the first bad outcome infinite evidence."""
    with pytest.raises(InputError, match="Reference"):
        OneSampleEProcess(rate)


@pytest.mark.untraced
@pytest.mark.parametrize("null_rate", [0.5, 0.9])
def test_a_candidate_at_the_reference_is_seldom_accused(null_rate: float) -> None:
    """300 runs of 1,000 requests at exactly the reference: at most 5 % ever reach 20."""
    chance = dice(16)
    alarms = 0
    for _ in range(300):
        process = OneSampleEProcess(null_rate)
        for _ in range(1000):
            process.observe(chance.random() < null_rate)
        alarms += process.peak >= 20.0
    assert alarms / 300 <= 0.05


def test_a_fall_below_the_reference_is_seen() -> None:
    """From 0.9 to 0.5 within 30 requests, also after 2,000 good ones within 150."""
    fresh, old = OneSampleEProcess(0.9), OneSampleEProcess(0.9)
    for index in range(2000):
        old.observe(index % 20 != 0)
    for index in range(30):
        fresh.observe(index % 2 == 0)
    for index in range(150):
        old.observe(index % 2 == 0)
    assert fresh.peak >= 20.0
    assert old.peak >= 20.0
    assert fresh.e_value > 1.0


@pytest.mark.parametrize("weights", [(20, 80), (1, 1, 2), (37, 63)])
def test_an_honest_split_is_no_evidence_in_expectation(weights: tuple[int, ...]) -> None:
    """Exact sums over all sequences of seven tasks: the e-value expects 1 under the asked split."""
    total = sum(weights)
    expected = 0.0
    for arms in product(range(len(weights)), repeat=7):
        chance = math.prod(weights[arm] / total for arm in arms)
        expected += chance * split_evidence([arms.count(i) for i in range(len(weights))], weights)
    assert expected == pytest.approx(1.0)


def test_a_wrong_split_is_found_and_an_honest_one_left_alone() -> None:
    """30 % for 20 % is found within 1,000 tasks; 100 honest splits of as many tasks never are."""
    chance = dice(17)
    for share, honest in ((0.30, False), (0.20, True)):
        for _ in range(100 if honest else 20):
            of_candidate, found = 0, False
            for n in range(1, 1001):
                of_candidate += chance.random() < share
                found = found or split_evidence((of_candidate, n - of_candidate), (20, 80)) >= 1000
            assert found is not honest


def test_an_arm_that_should_have_nothing_has_nothing() -> None:
    """One task there is proof; none is not."""
    assert split_evidence((1, 5), (0, 100)) == math.inf
    assert split_evidence((0, 5), (0, 100)) == 1.0
    assert split_evidence((0, 10**7), (50, 50)) > 1e300


@pytest.mark.parametrize(("counts", "weights"), [((1,), (1, 2)), ((1, 2), (0, 0)), ((), ())])
def test_a_split_that_cannot_be_is_refused(counts: tuple, weights: tuple) -> None:
    """Named, with a remedy."""
    with pytest.raises(InputError, match="Split"):
        split_evidence(counts, weights)
