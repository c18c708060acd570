"""What a canary would do, by the rollouts' own tests on simulated traffic."""

import math
from dataclasses import replace

import pytest

from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.domain.simulation import (
    MOST_REQUESTS,
    Simulation,
    simulate_canary,
    wald_requests,
)
from agent_orchestrator.errors import InputError

POLICY = RolloutPolicy()


def run(**changes: object) -> Simulation:
    """Simulate 200 canaries of an equal candidate, with some values changed."""
    given = {
        "stable_rate": 0.8,
        "candidate_rate": 0.8,
        "weight": 20,
        "max_requests": 500,
        "runs": 200,
        "seed": 1,
        "policy": POLICY,
    }
    return simulate_canary(**(given | changes))


def test_the_same_seed_gives_the_same_answer() -> None:
    """And another seed another one."""
    assert run() == run()
    assert run() != run(seed=2)


def test_every_run_ends_somehow() -> None:
    """Rolled back, promoted or undecided; the means are of both arms."""
    found = run()
    shares = (found.rollback_rate, found.promotion_rate, found.undecided_rate)
    assert math.fsum(shares) == pytest.approx(1.0)
    assert 0 < found.expected_requests <= 500 / 0.2 * 1.5
    assert found.expected_errors == pytest.approx(0.2 * found.expected_requests, rel=0.1)


def test_an_equal_candidate_is_seldom_rolled_back() -> None:
    """At most with the chance that the policy allows."""
    found = run(runs=500)
    assert found.rollback_rate <= POLICY.alpha
    assert found.promotion_rate > 0.3
    assert found.sprt_median is None


@pytest.mark.parametrize(("rate", "most"), [(0.4, 25), (0.6, 80), (0.7, 250)])
def test_a_worse_candidate_is_rolled_back_soon(rate: float, most: int) -> None:
    """The worse, the sooner, and near to what a test that knew both rates needs."""
    found = run(candidate_rate=rate)
    assert found.rollback_rate > 0.95
    assert found.median_candidate_requests < most
    assert found.median_candidate_requests <= found.p90_candidate_requests
    assert found.median_candidate_requests < 2 * found.sprt_median + 10


def test_a_hopeless_candidate_is_never_promoted() -> None:
    """All its answers are bad: gone after a handful."""
    found = run(candidate_rate=0.0, stable_rate=1.0)
    assert (found.rollback_rate, found.promotion_rate) == (1.0, 0.0)
    assert found.p90_candidate_requests < 15


def test_without_a_rollback_there_is_no_time_to_it() -> None:
    """Too few requests to say anything: undecided."""
    found = run(max_requests=3)
    assert found.undecided_rate == 1.0
    assert found.median_candidate_requests is None
    assert found.p90_candidate_requests is None


def test_guardrails_share_the_alpha_of_rollbacks_only() -> None:
    """With eight of them a rollback needs more evidence; a planned look stays what it was."""
    one, eight = run(candidate_rate=0.6), run(candidate_rate=0.6, guardrails=8)
    assert eight.median_candidate_requests > one.median_candidate_requests
    assert eight.sprt_median > one.sprt_median
    assert run(guardrails=8).promotion_rate == pytest.approx(run().promotion_rate, abs=0.05)


def test_the_policy_is_used() -> None:
    """A wider margin promotes more, a smaller alpha rolls back less."""
    assert run(policy=replace(POLICY, margin=0.15)).promotion_rate > run().promotion_rate
    strict = run(candidate_rate=0.6, policy=replace(POLICY, alpha=0.001))
    assert strict.median_candidate_requests > run(candidate_rate=0.6).median_candidate_requests


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stable_rate": -0.1}, "stable_rate is -0.1"),
        ({"candidate_rate": 1.1}, "candidate_rate is 1.1"),
        ({"candidate_rate": math.nan}, "candidate_rate is nan"),
        ({"weight": 0}, "weight is 0"),
        ({"weight": 100}, "weight is 100"),
        ({"weight": 140}, "weight is 140"),
        ({"runs": 0}, "runs is 0"),
        ({"max_requests": 0}, "max_requests is 0"),
        ({"guardrails": 0}, "guardrails is 0"),
        ({"runs": 100_000, "max_requests": 1_000_000}, f"more than {MOST_REQUESTS} requests"),
    ],
)
def test_bad_input_is_named(change: dict, says: str) -> None:
    """Field, value and remedy; nothing runs for hours by mistake."""
    with pytest.raises(InputError, match=says) as caught:
        run(**change)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("stable", "candidate", "weight", "needed"),
    [
        (0.8, 0.6, 20, 37),
        (0.8, 0.4, 20, 10),
        (0.95, 0.75, 20, 19),
        (0.5, 0.45, 20, 747),
        (1.0, 0.0, 50, 2),  # ln 20 / 2 ln 2
    ],
)
def test_walds_number(stable: float, candidate: float, weight: int, needed: float) -> None:
    """Known values."""
    assert wald_requests(stable, candidate, weight, 0.05) == pytest.approx(needed, abs=0.5)


def test_walds_number_needs_a_difference() -> None:
    """An equal or better candidate is never found worse."""
    assert wald_requests(0.8, 0.8, 20, 0.05) is None
    assert wald_requests(0.8, 0.9, 20, 0.05) is None
