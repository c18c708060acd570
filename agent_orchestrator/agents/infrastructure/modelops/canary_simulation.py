"""What a canary would do: the rollouts' own rules on simulated traffic.

Importing this module loads numpy.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from agent_orchestrator.agents.infrastructure.modelops.canary_streams import (
    PROMOTION,
    ROLLBACK,
    Decisions,
    KnowingSprt,
    PlannedLooks,
    Rollout,
    Rule,
    TwoSampleEvidence,
    play,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases import (
    CanarySimulated,
    SimulateCanary,
)
from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.domain.simulation import CanaryPlan, Simulation, wald_requests

_BATCH = 2000
"""Runs that are played at once: outcomes that wait for the other arm take about 34 kB a run."""


def simulate(request: SimulateCanary, policy: RolloutPolicy) -> CanarySimulated:
    """Simulate a canary under a policy."""
    values = request.model_dump(exclude={"requests_per_day"})
    found = simulate_canary(CanaryPlan(**values), policy)
    days = found.expected_requests / request.requests_per_day if request.requests_per_day else None
    return CanarySimulated(**asdict(found), expected_days=days)


def simulate_canary(plan: CanaryPlan, policy: RolloutPolicy) -> Simulation:
    """Return what a canary's step with one guardrail of good and bad answers would do.

    A run ends when the evidence rolls back, when a planned look passes, or after the plan's
    candidate requests.
    """
    alpha = policy.alpha / plan.guardrails
    worse = plan.candidate_rate < plan.stable_rate
    rollouts, tests = [], []
    for runs, rng in _batches(plan):
        rules: list[Rule] = [rollout_rule(plan, policy, runs)]
        if worse:
            rules.append(KnowingSprt(runs, plan.weight, plan.rates, 1.0 / alpha))
        decisions = play(
            rules,
            runs,
            rates=plan.rates,
            weight=plan.weight,
            max_requests=plan.max_requests,
            rng=rng,
        )
        rollouts.append(decisions[0])
        tests.extend(decisions[1:])
    rollout = Decisions.joined(rollouts)
    to_rollback = rollout.candidate_requests[rollout.code == ROLLBACK]
    return Simulation(
        rollback_rate=to_rollback.size / plan.runs,
        promotion_rate=float(np.mean(rollout.code == PROMOTION)),
        undecided_rate=float(np.mean(rollout.code == 0)),
        median_candidate_requests=float(np.median(to_rollback)) if to_rollback.size else None,
        p90_candidate_requests=(
            float(np.quantile(to_rollback, 0.9, method="inverted_cdf"))
            if to_rollback.size
            else None
        ),
        expected_requests=float(np.mean(rollout.requests)),
        expected_errors=float(np.mean(rollout.bad)),
        sprt_median=Decisions.joined(tests).median() if tests else None,
        wald_requests=wald_requests(*plan.rates, plan.weight, alpha),
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


def _batches(plan: CanaryPlan) -> list[tuple[int, np.random.Generator]]:
    """Return the runs and the chance of each batch."""
    full, rest = divmod(plan.runs, _BATCH)
    sizes = [_BATCH] * full + [rest] * bool(rest)
    seeds = np.random.SeedSequence(plan.seed).spawn(len(sizes))
    return [(n, np.random.default_rng(seed)) for n, seed in zip(sizes, seeds, strict=True)]
