"""What a simulated canary is asked and what it answers; what a test that knew both rates needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agent_orchestrator.domain.rollout import FULL
from agent_orchestrator.errors import InputError

MOST_REQUESTS = 1_000_000_000
"""Requests of both arms over all runs that one simulation may come to: minutes of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryPlan:
    """A step of a canary with one guardrail of good and bad answers, to be simulated.

    Each request goes to the candidate with probability ``weight`` percent and is good with its
    arm's rate. Raises InputError for a rate outside 0..1, a weight outside 1..99, a count below 1,
    or more work than a request may ask for.
    """

    stable_rate: float
    """Rate of good requests, 0..1."""
    candidate_rate: float
    weight: int
    """Candidate's share, percent."""
    max_requests: int
    """Candidate requests after which a run ends undecided."""
    runs: int
    seed: int
    guardrails: int = 1
    """Guardrails that share the policy's alpha: with more a rollback needs more evidence."""
    rollback_only: bool = False
    """Whether no planned look ends a run."""

    def __post_init__(self) -> None:
        for name in ("stable_rate", "candidate_rate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(
                    f"{name} is {getattr(self, name)!r}.", remedy="Use a rate from 0 to 1."
                )
        if not 1 <= self.weight < FULL:
            raise InputError(f"weight is {self.weight!r}.", remedy="Use 1 to 99 percent.")
        for name in ("runs", "max_requests", "guardrails"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)!r}.", remedy="Use 1 or more.")
        if self.runs * self.max_requests * FULL > MOST_REQUESTS * self.weight:
            raise InputError(
                f"{self.runs} runs of {self.max_requests} candidate requests at {self.weight} % "
                f"may take more than {MOST_REQUESTS} requests in all.",
                remedy="Use fewer runs or a smaller max_requests.",
            )

    @property
    def rates(self) -> tuple[float, float]:
        """Good rates of the stable arm and the candidate."""
        return self.stable_rate, self.candidate_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """What the runs did. Rates are shares of the runs, 0..1."""

    rollback_rate: float
    promotion_rate: float
    """Runs in which a planned look passed before anything else."""
    undecided_rate: float
    median_candidate_requests: float | None
    """To the rollback, among the runs that rolled back; None without one."""
    p90_candidate_requests: float | None
    expected_requests: float
    """Mean requests of both arms until a run ended."""
    expected_errors: float
    """Mean bad answers of both arms until a run ended."""
    sprt_median: float | None
    """Median candidate requests that Wald's test, knowing both rates, needed for the same evidence
    on the same streams; None unless the candidate is worse and half the runs got there."""
    wald_requests: float | None
    """Wald's approximation of its mean."""


def log_ratios(
    stable_rate: float, candidate_rate: float, weight: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the log-likelihood ratio of both rates to their pooled rate: [candidate][good].

    The pooled rate is the point of "the candidate is not worse" that is hardest to tell from these
    rates when the candidate has ``weight`` percent of the requests.
    """
    pooled = (weight * candidate_rate + (FULL - weight) * stable_rate) / FULL

    def of(rate: float) -> tuple[float, float]:
        return _log_ratio(1.0 - rate, 1.0 - pooled), _log_ratio(rate, pooled)

    return of(stable_rate), of(candidate_rate)


def _log_ratio(p: float, q: float) -> float:
    """Log of p / q; what cannot happen (p = 0) is impossible for the alternative."""
    return math.log(p / q) if p > 0.0 else -math.inf


def wald_requests(
    stable_rate: float, candidate_rate: float, weight: int, alpha: float
) -> float | None:
    """Return the candidate requests that a test which knew both rates would need, about, in mean.

    Wald's approximation (1945): the log of 1/alpha over the information that a candidate request
    and its share of stable ones carry; by how much the last step exceeds the threshold is left out.
    None unless the candidate is worse.
    """
    if candidate_rate >= stable_rate:
        return None
    of_stable, of_candidate = log_ratios(stable_rate, candidate_rate, weight)
    information = _mean(candidate_rate, of_candidate)
    information += (FULL - weight) / weight * _mean(stable_rate, of_stable)
    return math.log(1.0 / alpha) / information


def _mean(rate: float, of: tuple[float, float]) -> float:
    """Mean of what a bad and a good outcome say."""
    return math.fsum(p * value for p, value in zip((1.0 - rate, rate), of, strict=True) if p > 0.0)
