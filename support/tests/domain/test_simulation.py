"""What a simulated canary is asked, and what a test that knew both rates needs."""

import math

import pytest

from agent_orchestrator.domain.simulation import (
    MOST_REQUESTS,
    CanaryPlan,
    log_ratios,
    wald_requests,
)
from agent_orchestrator.errors import InputError

PLAN = {
    "stable_rate": 0.8,
    "candidate_rate": 0.8,
    "weight": 20,
    "max_requests": 500,
    "runs": 200,
    "seed": 1,
}


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
        CanaryPlan(**(PLAN | change))
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


@pytest.mark.parametrize("weight", [5, 20, 50])
def test_at_the_pooled_rate_the_likelihood_ratio_expects_no_gain(weight: int) -> None:
    """For each arm E[ratio] = 1 when its rate is the pooled one: a valid test of it."""
    rates = (0.9, 0.7)
    pooled = (weight * rates[1] + (100 - weight) * rates[0]) / 100
    for bad, good in log_ratios(*rates, weight):
        assert pooled * math.exp(good) + (1 - pooled) * math.exp(bad) == pytest.approx(1.0)
