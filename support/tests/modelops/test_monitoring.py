"""Outcomes into verdicts: live, in batches, and again from the start."""

import random
import threading

import pytest
from tests.modelops.world import AGENT, World

from agent_orchestrator.agents.infrastructure.modelops.rollouts.monitoring import (
    RolloutMonitor,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import LatencyQuantiles
from agent_orchestrator.domain.outcomes import Outcome
from agent_orchestrator.domain.rollout import RolloutVerdict
from agent_orchestrator.domain.rollout_machine import roll_back
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import UnknownAgentError
from agent_orchestrator.stores.health import BreakerReport

JUDGED = {"guardrails": ["error", "quality"]}


def replayed(world: World) -> RolloutVerdict:
    """Return the verdict of a monitor that has just been started."""
    fresh = RolloutMonitor(world.outcomes, world.rollouts)
    return fresh.verdict(world.state(), world.clock())


def live(world: World) -> RolloutVerdict:
    """Return the verdict of the monitor that has followed all along."""
    return world.monitor.verdict(world.state(), world.clock())


async def test_a_restarted_monitor_finds_the_same_evidence(world: World) -> None:
    """Across people's and the timer's steps, a hand edit and the guard period."""
    chance = random.Random(3)  # noqa: S311
    await world.deploy(policy=JUDGED)

    def traffic() -> None:
        for _ in range(chance.randint(1, 4)):
            world.clock.pass_by(1)
            seed = chance.randrange(10**6)
            rates = {"stable": 0.9, "candidate": 0.9}
            world.send(chance.randint(1, 60), good=rates, seed=seed, judged=True)
            if chance.random() < 0.6:
                assert live(world) == replayed(world)

    traffic()
    await world.promote(40)
    traffic()
    world.edit("weight: 60", "weight: 45")
    world.edit("weight: 40", "weight: 55")
    traffic()
    world.timer.tick()
    assert world.state().weight == 55
    traffic()
    await world.promote()
    assert world.state().phase == "guard"
    traffic()
    assert live(world) == replayed(world)
    positions = [d.evidence["position"] for d in world.rollouts.decisions(world.state().id)]
    assert [p["outcome"] for p in positions] == sorted(p["outcome"] for p in positions)


async def test_a_step_begins_where_it_was_decided(world: World) -> None:
    """What was recorded before counts for the old step, what comes after for the new one."""
    await world.deploy()
    world.send(100, seed=1)
    assert live(world).details["step_tasks"] == 100
    await world.promote()
    assert live(world).details["step_tasks"] == 0
    assert live(world).asked_share == 0.5
    world.send(30, seed=2)
    assert live(world).details["step_tasks"] == 30
    assert live(world).candidate_requests + live(world).stable_requests == 130
    assert live(world) == replayed(world)


async def test_a_monitor_that_ran_ahead_of_a_decision_begins_again(world: World) -> None:
    """It had folded outcomes into the old step that came after the place of the decision."""
    await world.deploy()
    world.send(50, seed=1)
    early = world.transitions._position
    place = early()
    world.send(50, seed=2)
    assert live(world).details["step_tasks"] == 100
    world.transitions._position = lambda: place  # decided before the second fifty came in
    await world.promote()
    world.transitions._position = early
    assert live(world).details["step_tasks"] == 50
    assert live(world) == replayed(world)


async def test_batches_make_no_difference(world: World) -> None:
    """Read in sevens, everything is read, and to the same evidence."""
    await world.deploy(policy=JUDGED)
    world.send(100, seed=1, good={"candidate": 0.8}, judged=True)
    await world.promote()
    world.send(105, seed=2, good={"candidate": 0.8}, judged=True)
    whole = replayed(world)
    in_sevens = RolloutMonitor(world.outcomes, world.rollouts, batch=7)
    assert in_sevens.verdict(world.state(), world.clock()) == whole
    assert whole.details["step_tasks"] == 105


async def test_threads_share_a_monitor(world: World) -> None:
    """Eight that ask at once fold every outcome once."""
    await world.deploy()
    world.send(400, seed=1, good={"candidate": 0.9, "stable": 0.9})
    found: list[RolloutVerdict] = []
    threads = [threading.Thread(target=lambda: found.append(live(world))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [replayed(world)] * 8


async def test_outcomes_of_other_rollouts_do_not_count(world: World) -> None:
    """Each rollout has its own evidence; traffic without a rollout has none."""
    world.send(20, seed=1)
    await world.deploy()
    world.send(20, seed=2)
    first = world.state()
    await world.roll_back()
    await world.deploy("v1.1.0")
    world.send(30, seed=3)
    assert live(world).details["step_tasks"] == 30
    assert world.monitor.verdict(first, world.clock()).details["step_tasks"] == 20


async def test_feedback_decides_about_quality(world: World) -> None:
    """Answers that are judged bad roll the candidate back, though none failed."""
    await world.deploy(policy={"guardrails": ["error", "quality"], "steps": [50, 100]})
    world.send(150, seed=1, good={"stable": 0.95, "candidate": 0.2}, judged=True)
    verdict = live(world)
    assert verdict.verdict is Verdict.FAIL
    assert verdict.reason.startswith("quality:")
    error = next(rail for rail in verdict.guardrails if rail.guardrail == "error")
    assert error.verdict is not Verdict.FAIL


async def test_silence_is_no_verdict(world: World) -> None:
    """Without outcomes, and when they have become stale, nothing is said either way."""
    await world.deploy()
    assert live(world).verdict is Verdict.INCONCLUSIVE
    assert "No request for the candidate yet" in live(world).reason
    world.send(1500, seed=1)
    assert live(world).verdict is Verdict.PASS
    world.clock.pass_by(61)
    assert live(world).verdict is Verdict.INCONCLUSIVE
    assert live(world).reason == "Stale: no request for the candidate for 61 s."


async def test_an_ended_rollout_is_judged_as_of_its_end(world: World) -> None:
    """Months later it has not become stale."""
    await world.deploy()
    world.send(1500, seed=1)
    await world.roll_back()
    world.clock.pass_by(10**7)
    report = world.reports.report(AGENT)
    assert report.phase == "rolled_back"
    assert "Stale" not in report.verdict_reason


async def test_before_its_first_decision_a_rollout_has_no_evidence(world: World) -> None:
    """The row is there a moment earlier than its history: nothing is folded from a wrong place."""
    await world.deploy()
    world.send(50, seed=1)
    state = world.state()
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE decisions SET rollout_id = 'later'")
    assert world.monitor.verdict(state, world.clock()).candidate_requests == 0
    ended, _ = roll_back(state, "x", world.clock())
    assert world.monitor.verdict(ended, world.clock()).verdict is Verdict.INCONCLUSIVE
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE decisions SET rollout_id = ?", (state.id,))
    assert live(world) == replayed(world)
    assert live(world).details["step_tasks"] == 50


# -- reports --------------------------------------------------------------------------------------


async def test_an_agent_that_never_had_a_rollout(world: World) -> None:
    """Says so; an unknown agent is refused."""
    report = world.reports.report(AGENT)
    assert (report.rollout_id, report.verdict, report.arms) == (None, None, [])
    with pytest.raises(UnknownAgentError):
        world.reports.report("nobody")


async def test_a_report_shows_split_health_and_evidence(world: World) -> None:
    """What was asked and what came of it, for each arm, with the whole history."""
    await world.deploy()
    world.send(200, seed=1, good={"stable": 1.0, "candidate": 0.0})
    reports = [BreakerReport(AGENT, "candidate", "open", "5 failures in a row")]
    world.health.report("gateway-1", reports, world.clock())
    report = world.reports.report(AGENT)
    stable, candidate = report.arms
    assert (stable.asked_pct, candidate.asked_pct) == (80, 20)
    assert stable.requests + candidate.requests == 200
    assert candidate.errors == candidate.requests > 0
    assert stable.errors == 0
    assert candidate.realised_pct == pytest.approx(100 * candidate.requests / 200)
    assert stable.realised_pct + candidate.realised_pct == pytest.approx(100)
    assert (candidate.health, candidate.trip_reason) == ("open", "5 failures in a row")
    assert stable.health == "unknown"
    assert report.verdict is Verdict.FAIL
    (rail,) = report.guardrails
    assert rail.guardrail == "error"
    assert rail.e_value >= rail.threshold
    assert [decision.kind for decision in report.decisions] == ["start"]
    assert report.steps == [20, 50, 100]


async def test_only_first_attempts_count_in_a_report(world: World) -> None:
    """What failed over counts against the arm that failed, once."""
    await world.deploy()
    state = world.state()
    outcomes = [
        Outcome(
            request_id="r1",
            attempt=attempt,
            at=world.clock(),
            agent=AGENT,
            task_id="t1",
            model="m",
            arm=arm,
            version=None,
            rollout_id=state.id,
            latency_ms=1.0,
            error=error,
        )
        for attempt, arm, error in ((0, "candidate", "status"), (1, "stable", None))
    ]
    world.outcomes.append_many(outcomes)
    stable, candidate = world.reports.report(AGENT).arms
    assert (stable.requests, candidate.requests, candidate.errors) == (0, 1, 1)


async def test_a_report_says_how_fast_each_arm_answers_in_this_step(world: World) -> None:
    """p50, p95 and p99 of its answers; a new step begins anew."""
    await world.deploy()
    assert {arm.latency_ms for arm in world.reports.report(AGENT).arms} == {None}
    world.send(50)
    for arm in world.reports.report(AGENT).arms:
        assert arm.latency_ms == LatencyQuantiles(p50=20.0, p95=20.0, p99=20.0)
    await world.promote()
    assert {arm.latency_ms for arm in world.reports.report(AGENT).arms} == {None}
