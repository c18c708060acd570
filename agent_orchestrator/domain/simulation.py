"""What a canary would do: the rollouts' own tests on simulated traffic."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import dataclass, replace
from typing import Literal

from agent_orchestrator.domain.evidence import StepWatch
from agent_orchestrator.domain.rollout import FULL, Guardrail, RolloutPolicy
from agent_orchestrator.errors import InputError

MOST_REQUESTS = 100_000_000
"""Requests of both arms over all runs that one simulation may come to: minutes of work."""


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
    """See ``wald_requests``."""


@dataclass(frozen=True, slots=True)
class _Run:
    end: Literal["rollback", "promotion", "undecided"]
    candidate_requests: int
    requests: int
    bad: int


def simulate_canary(
    *,
    stable_rate: float,
    candidate_rate: float,
    weight: int,
    max_requests: int,
    runs: int,
    seed: int,
    policy: RolloutPolicy,
    guardrails: int = 1,
) -> Simulation:
    """Simulate a canary's step with one guardrail of good and bad answers.

    Each request goes to the candidate with probability ``weight`` percent and is good with its
    arm's rate. A run ends when the evidence rolls back, when a planned look passes, or after
    ``max_requests`` candidate requests. ``guardrails`` is the number that share the policy's alpha:
    with more of them a rollback needs more evidence. Raises InputError for a rate outside 0..1, a
    weight outside 1..99, a count below 1, or more work than a request may ask for.
    """
    for name, rate in (("stable_rate", stable_rate), ("candidate_rate", candidate_rate)):
        if not 0.0 <= rate <= 1.0:
            raise InputError(f"{name} is {rate!r}.", remedy="Use a rate from 0 to 1.")
    _check_work(weight, runs=runs, max_requests=max_requests, guardrails=guardrails)
    rng = random.Random(seed)  # noqa: S311 - simulated traffic, not a secret
    quality: Guardrail = "quality"
    shared = replace(policy, guardrails=(quality,) * guardrails)  # their number is what counts
    rates = (stable_rate, candidate_rate)
    results = [_run(rng, rates, weight, max_requests, shared) for _ in range(runs)]
    to_rollback = sorted(r.candidate_requests for r in results if r.end == "rollback")
    p90 = float(to_rollback[math.ceil(0.9 * len(to_rollback)) - 1]) if to_rollback else None
    return Simulation(
        rollback_rate=len(to_rollback) / runs,
        promotion_rate=sum(r.end == "promotion" for r in results) / runs,
        undecided_rate=sum(r.end == "undecided" for r in results) / runs,
        median_candidate_requests=statistics.median(to_rollback) if to_rollback else None,
        p90_candidate_requests=p90,
        expected_requests=statistics.fmean(r.requests for r in results),
        expected_errors=statistics.fmean(r.bad for r in results),
        sprt_median=wald_requests(stable_rate, candidate_rate, weight, policy.alpha / guardrails),
    )


def _check_work(weight: int, *, runs: int, max_requests: int, guardrails: int) -> None:
    """Raise InputError for a weight or a count out of range, and for hours of work."""
    if not 1 <= weight < FULL:
        raise InputError(f"weight is {weight!r}.", remedy="Use 1 to 99 percent.")
    for name, count in (("runs", runs), ("max_requests", max_requests), ("guardrails", guardrails)):
        if count < 1:
            raise InputError(f"{name} is {count!r}.", remedy="Use 1 or more.")
    if runs * max_requests * FULL > MOST_REQUESTS * weight:
        raise InputError(
            f"{runs} runs of {max_requests} candidate requests at {weight} % may take more than "
            f"{MOST_REQUESTS} requests in all.",
            remedy="Use fewer runs or a smaller max_requests.",
        )


def wald_requests(
    stable_rate: float, candidate_rate: float, weight: int, alpha: float
) -> float | None:
    """Return the candidate requests that a test which knew both rates would need, about.

    Wald's approximation (1945): the log of 1/alpha over the information a candidate request and
    its share of stable ones carry, each against the pooled rate. None unless the candidate is
    worse.
    """
    if candidate_rate >= stable_rate:
        return None
    stable_share = (100 - weight) / weight
    pooled = (candidate_rate + stable_share * stable_rate) / (1.0 + stable_share)
    information = _divergence(candidate_rate, pooled) + stable_share * _divergence(
        stable_rate, pooled
    )
    return math.log(1.0 / alpha) / information


def _divergence(rate: float, reference: float) -> float:
    """Kullback-Leibler divergence of two Bernoulli rates, in nats."""
    terms = ((rate, reference), (1.0 - rate, 1.0 - reference))
    return sum(p * math.log(p / q) for p, q in terms if p > 0.0)


def _run(
    rng: random.Random,
    rates: tuple[float, float],
    weight: int,
    max_requests: int,
    policy: RolloutPolicy,
) -> _Run:
    watch = StepWatch("quality", policy, weight)
    share = weight / 100
    of_candidate = requests = bad = 0
    end: Literal["rollback", "promotion", "undecided"] = "undecided"
    while of_candidate < max_requests:
        candidate = rng.random() < share
        good = rng.random() < rates[candidate]
        watch.observe(candidate, good)
        requests += 1
        of_candidate += candidate
        bad += not good
        if watch.failed:
            end = "rollback"
            break
        if watch.passed:
            end = "promotion"
            break
    return _Run(end, of_candidate, requests, bad)
