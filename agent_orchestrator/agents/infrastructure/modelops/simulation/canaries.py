"""What a canary would do: the rollouts' own rules on simulated traffic.

Importing this module loads numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from agent_orchestrator.agents.infrastructure.modelops.simulation.streams import (
    NOTHING,
    PROMOTION,
    ROLLBACK,
    Decisions,
    Floats,
    Ints,
    KnowingSprt,
    PlannedLooks,
    Rollout,
    Rule,
    TwoSampleEvidence,
    play,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import (
    CanaryCurves,
    CanarySimulated,
    SimulateCanary,
)
from agent_orchestrator.domain.rollout import FULL, RolloutPolicy
from agent_orchestrator.domain.simulation import CanaryPlan, Simulation, wald_requests

_BATCH = 2000
"""Runs that are played at once: outcomes that wait for the other arm take about 17 kB a run."""
_PATHS = 12
_SHORTEST = 60
"""Candidate requests that a picture shows at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRuns:
    """The runs of a simulated canary, one by one."""

    plan: CanaryPlan
    threshold: float
    """Evidence that rolls back."""
    rollout: Decisions
    sprt: Decisions | None
    """Of the test that knows both rates; None unless the candidate is worse."""
    paths: Floats
    """Evidence of some runs of their own: [candidate request, run]."""


def simulate(
    request: SimulateCanary,
    policy: RolloutPolicy,
    draw: Callable[[CanaryRuns], str] | None = None,
    trace: Callable[[CanaryRuns], CanaryCurves] | None = None,
) -> CanarySimulated:
    """Simulate a canary under a policy; ``draw`` makes its picture, ``trace`` its points."""
    plan = CanaryPlan(**request.model_dump(exclude={"requests_per_day", "plot", "curves"}))
    runs = play_canary(plan, policy)
    found = summary(runs)
    days = found.expected_requests / request.requests_per_day if request.requests_per_day else None
    return CanarySimulated(
        **asdict(found),
        expected_days=days,
        plot_svg=draw(runs) if draw else None,
        curves=trace(runs) if trace else None,
    )


def play_canary(plan: CanaryPlan, policy: RolloutPolicy) -> CanaryRuns:
    """Play a canary's step with one guardrail of good and bad answers.

    A run ends when the evidence rolls back, when a planned look passes, or after the plan's
    candidate requests.
    """
    threshold = plan.guardrails / policy.alpha
    worse = plan.candidate_rate < plan.stable_rate
    *seeds, seed_of_paths = np.random.SeedSequence(plan.seed).spawn(-(-plan.runs // _BATCH) + 1)
    rollouts, tests = [], []
    for i, seed in enumerate(seeds):
        runs = min(_BATCH, plan.runs - i * _BATCH)
        rules: list[Rule] = [rollout_rule(plan, policy, runs)]
        if worse:
            rules.append(KnowingSprt(runs, plan.weight, plan.rates, threshold))
        rollout, *test = play(
            rules,
            runs,
            rates=plan.rates,
            weight=plan.weight,
            max_requests=plan.max_requests,
            rng=np.random.default_rng(seed),
        )
        rollouts.append(rollout)
        tests.extend(test)
    joined = Decisions.joined(rollouts)
    return CanaryRuns(
        plan=plan,
        threshold=threshold,
        rollout=joined,
        sprt=Decisions.joined(tests) if tests else None,
        paths=_paths(plan, threshold, joined, np.random.default_rng(seed_of_paths)),
    )


def summary(runs: CanaryRuns) -> Simulation:
    """Return what the runs did in numbers."""
    plan, rollout = runs.plan, runs.rollout
    to_rollback = rollout.candidate_requests[rollout.code == ROLLBACK]
    return Simulation(
        rollback_rate=to_rollback.size / plan.runs,
        promotion_rate=float(np.mean(rollout.code == PROMOTION)),
        undecided_rate=float(np.mean(rollout.code == NOTHING)),
        median_candidate_requests=float(np.median(to_rollback)) if to_rollback.size else None,
        p90_candidate_requests=_p90(to_rollback) if to_rollback.size else None,
        expected_requests=float(np.mean(rollout.requests)),
        expected_errors=float(np.mean(rollout.bad)),
        sprt_median=runs.sprt.median() if runs.sprt else None,
        wald_requests=wald_requests(*plan.rates, plan.weight, 1.0 / runs.threshold),
    )


def rollout_rule(plan: CanaryPlan, policy: RolloutPolicy, runs: int) -> Rollout:
    """Return the rule of a rollout's step, for so many runs."""
    evidence = TwoSampleEvidence(runs, plan.weight, plan.guardrails / policy.alpha)
    if plan.rollback_only:
        return Rollout(evidence, None)
    looks = PlannedLooks(
        runs,
        plan.weight,
        margin=policy.margin,
        looks=policy.looks,
        look_every=policy.look_every,
        alpha=policy.alpha,
    )
    return Rollout(evidence, looks)


def _p90(values: Ints) -> float:
    return float(np.quantile(values, 0.9, method="inverted_cdf"))


def _paths(
    plan: CanaryPlan, threshold: float, rollout: Decisions, rng: np.random.Generator
) -> Floats:
    """Return some runs' evidence after each candidate request, for as long as most runs take."""
    length = min(plan.max_requests, max(_SHORTEST, int(_p90(rollout.candidate_requests))))
    evidence = TwoSampleEvidence(_PATHS, plan.weight, threshold)
    paths = np.ones((length, _PATHS))
    seen = np.zeros(_PATHS, np.int64)
    rate_of = np.array(plan.rates)
    while seen.min() <= length:
        candidate = rng.random(_PATHS) < plan.weight / FULL
        evidence.observe(candidate, rng.random(_PATHS) < rate_of[candidate.astype(np.intp)])
        seen += candidate
        going = np.flatnonzero((seen >= 1) & (seen <= length))
        paths[seen[going] - 1, going] = evidence.total[going]
    return paths
