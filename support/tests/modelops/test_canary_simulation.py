"""What a canary would do, by the rollouts' own rules on simulated traffic."""

import math
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from tests.modelops.world import World

from agent_orchestrator.agents.infrastructure.modelops.simulation.canaries import (
    play_canary,
    simulate,
    summary,
)
from agent_orchestrator.agents.infrastructure.modelops.simulation.plots import draw
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import SimulateCanary
from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.domain.simulation import CanaryPlan, Simulation

POLICY = RolloutPolicy()


def run(policy: RolloutPolicy = POLICY, **changes: object) -> Simulation:
    """Simulate 400 canaries of an equal candidate, with some values changed."""
    given = {
        "stable_rate": 0.8,
        "candidate_rate": 0.8,
        "weight": 20,
        "max_requests": 500,
        "runs": 400,
        "seed": 1,
    }
    return summary(play_canary(CanaryPlan(**(given | changes)), policy))


@pytest.mark.untraced
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


@pytest.mark.untraced
def test_an_equal_candidate_is_seldom_rolled_back() -> None:
    """At most with the chance that the policy allows."""
    found = run(runs=1000)
    assert found.rollback_rate <= POLICY.alpha
    assert found.promotion_rate > 0.3
    assert (found.sprt_median, found.wald_requests) == (None, None)


def test_without_looks_a_run_goes_on_to_its_end() -> None:
    """Rollbacks alone: what is not rolled back has had all its requests."""
    found = run(rollback_only=True)
    assert found.promotion_rate == 0.0
    assert found.rollback_rate + found.undecided_rate == pytest.approx(1.0)
    assert found.expected_requests > run().expected_requests


@pytest.mark.parametrize(("rate", "most"), [(0.4, 15), (0.6, 50), (0.7, 165)])
def test_a_worse_candidate_is_rolled_back_soon(rate: float, most: int) -> None:
    """The worse, the sooner, and near to what a test that knew both rates needs."""
    found = run(candidate_rate=rate, max_requests=2000)
    assert found.rollback_rate > 0.99
    assert found.median_candidate_requests <= most
    assert found.median_candidate_requests <= found.p90_candidate_requests
    assert found.sprt_median < found.median_candidate_requests < 2 * found.sprt_median
    assert found.sprt_median < found.wald_requests


@pytest.mark.untraced
@pytest.mark.parametrize("base", [0.5, 0.8, 0.95])
def test_a_candidate_worse_by_the_margin_is_seldom_promoted(base: float) -> None:
    """At most with the chance that the policy allows, over all planned looks."""
    found = run(stable_rate=base, candidate_rate=base - 0.05, max_requests=1000, runs=1000)
    assert found.promotion_rate <= POLICY.alpha + 0.015  # the normal approximation, and chance


def test_a_hopeless_candidate_is_never_promoted() -> None:
    """All its answers are bad: gone after a handful."""
    found = run(candidate_rate=0.0, stable_rate=1.0)
    assert (found.rollback_rate, found.promotion_rate) == (1.0, 0.0)
    assert found.p90_candidate_requests < 15


def test_without_a_rollback_there_is_no_time_to_it() -> None:
    """Too few requests to say anything: undecided."""
    found = run(max_requests=3, candidate_rate=0.7)
    assert found.undecided_rate == 1.0
    assert found.median_candidate_requests is None
    assert found.p90_candidate_requests is None
    assert found.sprt_median is None


@pytest.mark.untraced
def test_guardrails_share_the_alpha_of_rollbacks_only() -> None:
    """With eight of them a rollback needs more evidence; a planned look stays what it was."""
    one, eight = run(candidate_rate=0.6), run(candidate_rate=0.6, guardrails=8)
    assert eight.median_candidate_requests > one.median_candidate_requests
    assert eight.sprt_median > one.sprt_median
    assert run(guardrails=8).promotion_rate == pytest.approx(run().promotion_rate, abs=0.07)


def test_the_policy_is_used() -> None:
    """A wider margin promotes more, a smaller alpha rolls back less."""
    assert run(replace(POLICY, margin=0.15)).promotion_rate > run().promotion_rate
    strict = run(replace(POLICY, alpha=0.001), candidate_rate=0.6)
    assert strict.median_candidate_requests > run(candidate_rate=0.6).median_candidate_requests


def test_more_runs_than_a_batch_are_different_runs() -> None:
    """Two batches are alike and do not repeat each other."""
    first, both = (run(runs=runs, max_requests=40) for runs in (2000, 4000))
    second = 2 * both.expected_requests - first.expected_requests
    assert second == pytest.approx(first.expected_requests, rel=0.02)
    assert second != first.expected_requests


def test_the_use_case_runs_the_configured_policy(world: World) -> None:
    """And the same seed gives the same answer."""
    request = SimulateCanary(candidate_rate=0.5, runs=20, seed=4)
    found = simulate(request, world.policy({}))
    assert found == simulate(request, world.policy({}))
    assert found.rollback_rate == 1.0
    assert found != simulate(request, world.policy({"alpha": 0.001}))


def test_days_follow_from_the_requests_a_day(world: World) -> None:
    """Both arms' requests over what a day brings; without it nobody knows."""
    request = SimulateCanary(candidate_rate=0.5, runs=20, requests_per_day=100.0)
    found = simulate(request, world.policy({}))
    assert found.expected_days == pytest.approx(found.expected_requests / 100.0)
    request = SimulateCanary(candidate_rate=0.5, runs=20)
    assert simulate(request, world.policy({})).expected_days is None


@pytest.mark.parametrize("candidate", [0.5, 0.8, 0.95])
def test_the_picture_is_an_svg_of_its_own(world: World, candidate: float) -> None:
    """The same bytes for the same seed, whatever ends the runs have."""
    request = SimulateCanary(candidate_rate=candidate, runs=40, max_requests=300, plot=True)
    svg = simulate(request, world.policy({}), draw).plot_svg
    root = ET.fromstring(svg)  # noqa: S314 - we wrote it
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert f"0.8 against {candidate}" in root.get("aria-label")
    assert svg == simulate(request, world.policy({}), draw).plot_svg
    assert simulate(request, world.policy({})).plot_svg is None


def test_paths_of_the_evidence_start_at_one_and_are_as_long_as_most_runs(world: World) -> None:
    """No request, no evidence; nine of ten runs fit."""
    plan = CanaryPlan(
        stable_rate=0.8, candidate_rate=0.6, weight=20, max_requests=5000, runs=200, seed=3
    )
    runs = play_canary(plan, POLICY)
    assert runs.paths.shape == (max(60, summary(runs).p90_candidate_requests), 12)
    assert (runs.paths > 0.0).all()
    assert runs.paths[0].max() < 5.0
    assert (runs.paths.max(axis=0) >= 20.0).sum() > 6
