"""The rules that watch many simulated runs at once, against those that watch a rollout."""

import math

import numpy as np
import pytest

from agent_orchestrator.agents.infrastructure.modelops.simulation.streams import (
    NOTHING,
    PROMOTION,
    ROLLBACK,
    KnowingSprt,
    PlannedLooks,
    Rollout,
    Rule,
    TwoSampleEvidence,
    play,
)
from agent_orchestrator.domain.eprocess import MAX_WAITING
from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.domain.watches import StepWatch

POLICY = RolloutPolicy(guardrails=("quality",), look_every=50)


def rollout_rule(runs: int, weight: int) -> Rollout:
    """Return the rule of POLICY for so many runs."""
    return Rollout(TwoSampleEvidence(runs, weight, 1.0 / POLICY.alpha), planned_looks(runs, weight))


def planned_looks(runs: int, weight: int) -> PlannedLooks:
    """Return the looks of POLICY."""
    return PlannedLooks(
        runs,
        weight,
        margin=POLICY.margin,
        looks=POLICY.looks,
        look_every=POLICY.look_every,
        alpha=POLICY.alpha,
    )


def watched(candidate: np.ndarray, good: np.ndarray, weight: int) -> list[tuple[int, float]]:
    """Return what a rollout's own watch says after each request of one run: code, evidence."""
    watch = StepWatch("quality", POLICY, weight)
    seen = []
    for to_candidate, answer in zip(candidate, good, strict=True):
        watch.observe(bool(to_candidate), bool(answer))
        code = ROLLBACK if watch.failed else PROMOTION if watch.passed else NOTHING
        seen.append((code, watch.process.e_value))
    return seen


@pytest.mark.parametrize("weight", [20, 50, 30, 85])
@pytest.mark.parametrize("rates", [(0.8, 0.8), (0.8, 0.6), (0.95, 0.97)])
def test_the_rules_are_those_of_a_rollout(weight: int, rates: tuple[float, float]) -> None:
    """Same streams, same decision after the same request, same evidence on the way to it."""
    rng = np.random.default_rng(7)
    runs, requests = 12, 1500
    candidate = rng.random((requests, runs)) < weight / 100
    good = rng.random((requests, runs)) < np.array(rates)[candidate.astype(int)]
    evidence_rule = TwoSampleEvidence(runs, weight, 1.0 / POLICY.alpha)
    rule = Rollout(evidence_rule, planned_looks(runs, weight))
    codes = np.zeros((requests, runs), int)
    evidence = np.zeros((requests, runs))
    for i in range(requests):
        codes[i] = rule.observe(candidate[i], good[i])
        evidence[i] = evidence_rule.total
    for run in range(runs):
        expected = watched(candidate[:, run], good[:, run], weight)
        first = next((i for i, (code, _) in enumerate(expected) if code), requests - 1)
        assert list(codes[: first + 1, run]) == [code for code, _ in expected[: first + 1]]
        assert evidence[: first + 1, run] == pytest.approx(
            [e_value for _, e_value in expected[: first + 1]], rel=1e-9
        )


def test_what_waits_too_long_is_dropped_as_in_a_rollout() -> None:
    """More than 4,096 stable outcomes without one of the candidate: the oldest go."""
    rule = TwoSampleEvidence(1, 20, 20.0)
    watch = StepWatch("quality", POLICY, 20)
    outcomes = [(False, i >= 500) for i in range(MAX_WAITING + 500)] + [(True, False)] * 5
    for candidate, good in outcomes:
        rule.observe(np.array([candidate]), np.array([good]))
        watch.observe(candidate, good)
    assert rule.total[0] == pytest.approx(watch.process.e_value)
    assert rule.total[0] > 1.0


def played(rules: list[Rule], runs: int, **changes: object) -> list:
    """Play so many runs of a candidate 20 points worse, with some values changed."""
    given = {
        "rates": (0.8, 0.6),
        "weight": 20,
        "max_requests": 400,
        "rng": np.random.default_rng(3),
    }
    return play(rules, runs, **(given | changes))


def test_each_rule_has_its_own_first_decision() -> None:
    """Both see the same streams; a run goes on until both have decided."""
    runs = 300
    rollout, sprt = played([rollout_rule(runs, 20), KnowingSprt(runs, 20, (0.8, 0.6), 20.0)], runs)
    assert set(rollout.code) == {ROLLBACK}
    assert (sprt.code == ROLLBACK).all()
    assert sprt.median() < rollout.median()
    assert (rollout.bad <= rollout.requests).all()
    assert (rollout.candidate_requests < rollout.requests).all()


def test_a_run_that_decides_nothing_ends_with_the_candidates_last_request() -> None:
    """Its counts are those at that moment."""
    (decision,) = played([TwoSampleEvidence(50, 20, math.inf)], 50)
    assert (decision.code == NOTHING).all()
    assert (decision.candidate_requests == 400).all()
    assert decision.requests.mean() == pytest.approx(2000, rel=0.05)
    assert decision.median() is None


def test_a_test_that_knows_both_rates_is_seldom_wrong() -> None:
    """At the pooled rate, where it is hardest, it reaches 20 in at most 5 % of the runs."""
    runs = 1000
    rule = KnowingSprt(runs, 20, (0.8, 0.6), 20.0)
    (decision,) = played([rule], runs, rates=(0.76, 0.76), max_requests=1000)
    assert (decision.code == ROLLBACK).mean() <= 0.05


def test_outcomes_that_a_rate_rules_out_rule_it_out() -> None:
    """A candidate that is never good: one good answer and the test never decides."""
    rule = KnowingSprt(1, 50, (1.0, 0.0), 20.0)
    rule.observe(np.array([True]), np.array([True]))
    for _ in range(50):
        decided = rule.observe(np.array([True]), np.array([False]))
    assert not decided[0]


def test_counts_that_wrap_round_do_no_harm() -> None:
    """After 65,536 good outcomes of an arm its blocks are counted as before."""
    fresh, old = (TwoSampleEvidence(1, 20, 20.0) for _ in range(2))
    old._good[:] = old._cumulative[:] = 65_530
    rng = np.random.default_rng(2)
    for _ in range(200):
        candidate, good = rng.random(1) < 0.2, rng.random(1) < 0.8
        fresh.observe(candidate, good)
        old.observe(candidate, good)
    assert old._good[0, 0] < 65_530
    assert (old.total == fresh.total).all()
