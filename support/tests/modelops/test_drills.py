"""Rollback drills: measured in every process that serves, and the split is back afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.modelops.tripwire import Killed, Tripwire
from tests.modelops.world import ADA, AGENT, STABLE_MODEL, World

from agent_orchestrator.agents.infrastructure.modelops.rollouts.drills import DrillLimits
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import RollbackDeployment
from agent_orchestrator.domain.routing import RoutingTable
from agent_orchestrator.domain.verdict import Verdict
from agent_orchestrator.errors import ConflictError, LockTimeout, RegistryError, StorageError
from agent_orchestrator.serving.periods import Periods


@contextmanager
def serving(
    world: World,
    *names: str,
    on_table: Callable[[RoutingTable], object] = lambda _table: None,
    pause: float = 0.005,
) -> Iterator[list[Periods]]:
    """Let processes follow models.yaml as gateways do, and report, for as long as a block takes.

    They look at it every ``pause`` seconds, and once more when the block is over.
    """
    followers = [Periods(world.yaml.read(), world.clock()) for _ in names]
    over = threading.Event()

    def report() -> None:
        for name, periods in zip(names, followers, strict=True):
            world.serving.report(name, periods.report(), world.clock())

    def follow(before: RoutingTable) -> None:
        last = False
        while not last:
            last = over.is_set()
            table = world.yaml.read()
            if table != before:
                on_table(table)
                for periods in followers:
                    periods.follow(table, world.clock())
                before = table
            report()
            over.wait(pause)

    report()
    world.processes = [*names]
    thread = threading.Thread(target=follow, args=(world.yaml.read(),))
    thread.start()
    try:
        yield followers
    finally:
        over.set()
        thread.join(60)


def kinds(world: World) -> list[str]:
    """Return what was decided on the newest rollout."""
    return [decision.kind for decision in world.rollouts.decisions(world.state().id)]


async def drill(world: World) -> Any:
    """Drill, approved."""
    request = RollbackDeployment(agent=AGENT, drill=True)
    return await world.do("rollback_deployment", request)


@pytest.mark.parametrize("promotions", [0, 1, 2])
async def test_a_drill_measures_every_process_and_puts_the_split_back(
    world: World, promotions: int
) -> None:
    """From any step and from the guard period; file, state and registry are what they were."""
    await world.deploy()
    for _ in range(promotions):
        await world.promote()
    before = (world.yaml.path.read_text(), world.state(), world.registry.agent(AGENT))
    with serving(world, "gateway-1", "gateway-2"):
        result = await drill(world)
    assert (result.model, result.drill.verdict) == (STABLE_MODEL, Verdict.PASS)
    assert [p.process for p in result.drill.processes] == ["gateway-1", "gateway-2"]
    assert all(p.in_effect_s >= 0 for p in result.drill.processes)
    assert (world.yaml.path.read_text(), world.state(), world.registry.agent(AGENT)) == before
    assert kinds(world)[-2:] == ["drill", "drilled"]
    assert [entry.action for entry in world.audit.tail(2)] == ["drill", "drilled"]
    assert world.reports.report(AGENT).drilled == result.drill
    world.check_agreement()


async def test_the_split_is_really_away_meanwhile(world: World) -> None:
    """Every process sees the table that a rollback would have left: the old model, no split."""
    await world.deploy()
    seen: list[RoutingTable] = []
    with serving(world, "gateway-1", on_table=seen.append):
        await drill(world)
    away, back = seen
    assert (away.agent_models[AGENT], away.rollouts) == (STABLE_MODEL, {})
    assert back.rollouts[AGENT].id == world.state().id


async def test_the_last_answer_of_the_old_arm_is_waited_for(world: World) -> None:
    """The arm's last answer is timed; those of the stable arm do not matter."""
    await world.deploy()

    def end_later(table: RoutingTable) -> None:
        if table.rollouts:
            world.clock.pass_by(2.5)
            old.end(world.clock())

    with serving(world, "gateway-1", on_table=end_later) as [periods]:
        old = periods.present(AGENT).flights("candidate")
        old.begin()
        periods.present(AGENT).flights("stable").begin()
        result = await drill(world)
    [process] = result.drill.processes
    assert (process.last_answer_s, process.under_way) == (2.5, 0)
    assert result.drill.verdict is Verdict.PASS


async def test_answers_under_way_at_the_limit_leave_the_drill_inconclusive(world: World) -> None:
    """The split is back all the same; how many were left is said."""
    await world.deploy()
    with serving(world, "gateway-1") as [periods]:
        periods.present(AGENT).flights("candidate").begin()
        world.drills._limits = DrillLimits(in_effect=60.0, last_answer=0.1)
        result = await drill(world)
    assert result.drill.verdict is Verdict.INCONCLUSIVE
    assert "1 answers of the old arm were still under way" in result.drill.message
    assert result.drill.processes[0].under_way == 1
    world.check_agreement()


async def test_a_process_that_does_not_follow_fails_the_drill_by_name(world: World) -> None:
    """It is not passed over in silence, and the split comes back."""
    await world.deploy()
    deaf = Periods(world.yaml.read(), world.clock())
    world.serving.report("gateway-9", deaf.report(), world.clock())
    with serving(world, "gateway-1"):
        world.processes.append("gateway-9")
        world.drills._limits = DrillLimits(in_effect=0.2)
        result = await drill(world)
    assert result.drill.verdict is Verdict.FAIL
    assert "gateway-9" in result.drill.message
    assert {p.process: p.in_effect_s for p in result.drill.processes}["gateway-9"] is None
    world.check_agreement()


async def test_a_process_that_dies_during_a_drill_is_not_waited_for(world: World) -> None:
    """It serves nobody any more; the others decide."""
    await world.deploy()

    def die(table: RoutingTable) -> None:
        if not table.rollouts:
            world.processes.remove("gateway-9")

    dying = Periods(world.yaml.read(), world.clock())
    world.serving.report("gateway-9", dying.report(), world.clock())
    with serving(world, "gateway-1", on_table=die):
        world.processes.append("gateway-9")
        result = await drill(world)
    assert result.drill.verdict is Verdict.PASS
    assert [process.process for process in result.drill.processes] == ["gateway-1"]


async def test_where_nothing_serves_nothing_is_drilled(world: World) -> None:
    """That is said and recorded; models.yaml is not touched."""
    await world.deploy()
    before = world.yaml.path.stat()
    result = await drill(world)
    assert result.drill.verdict is Verdict.INCONCLUSIVE
    assert result.drill.message == "Nothing serves: not drilled."
    assert kinds(world) == ["start", "drilled"]
    assert world.yaml.path.stat() == before


async def test_a_deployment_is_drilled_when_its_policy_says_so(world: World) -> None:
    """The deployment's result has the drill's."""
    with serving(world, "gateway-1"):
        result = await world.deploy(policy={"drill": True})
    assert result.drill.verdict is Verdict.PASS
    assert kinds(world) == ["start", "drill", "drilled"]
    assert world.state().weight == result.rollout_pct
    world.check_agreement()


async def test_a_process_that_has_not_taken_up_the_split_is_waited_for(world: World) -> None:
    """One that looks rarely would else see the split neither come nor go, and seem to be deaf."""
    with serving(world, "gateway-1", pause=0.2):
        result = await world.deploy(policy={"drill": True})
    assert result.drill.verdict is Verdict.PASS
    world.check_agreement()


async def test_a_drill_that_cannot_be_held_does_not_undo_the_deployment(world: World) -> None:
    """What was in the way is in the result."""
    after_the_start = 8
    world.tripwire.arm(after_the_start, StorageError, where="before")
    with serving(world, "gateway-1"):
        result = await world.deploy(policy={"drill": True})
    assert world.tripwire.passed[-1] == "before IntentJournal.write"
    assert result.deployed
    assert result.drill.verdict is Verdict.ERROR
    world.check_agreement()


async def test_a_drill_leaves_no_trace_in_the_evidence(world: World) -> None:
    """What comes while the split is away belongs to no rollout: the verdict is the same."""
    await world.deploy()
    world.send(200, seed=1)
    before = world.monitor.verdict(world.state(), world.clock())

    def traffic(table: RoutingTable) -> None:
        if not table.rollouts:
            world.send(500, seed=2)

    with serving(world, "gateway-1", on_table=traffic):
        await drill(world)
    assert world.outcomes.position()[0] == 700
    assert world.monitor.verdict(world.state(), world.clock()) == before
    world.send(100, seed=3)
    after = world.monitor.verdict(world.state(), world.clock())
    assert after.candidate_requests + after.stable_requests == 300
    assert after.split_p_value > 0.001


POINTS = [
    f"{when} {effect}"
    for effect in (
        "IntentJournal.write",
        "ModelsYaml.update",
        "ModelsYaml.update",
        "RolloutStore.save",
        "RolloutStore.append_decision",
        "ModelRegistry.set_serving",
        "AuditLog.append",
        "IntentJournal.complete",
    )
    for when in ("before", "after")
]


@pytest.mark.parametrize("point", range(2, len(POINTS) + 1), ids=lambda n: POINTS[n - 1])
async def test_a_drill_that_is_killed_leaves_a_split_that_comes_back(
    world: World, tmp_path: Path, point: int
) -> None:
    """Whoever takes the lock next puts back the split of before, to the byte."""
    await world.deploy()
    before = (world.yaml.path.read_text(), world.state())
    wire = Tripwire(point, Killed, where="before after")
    world.close()
    dying = World(tmp_path, clock=world.clock, tripwire=wire)
    with serving(dying, "gateway-1"), pytest.raises(Killed):
        dying.drills.run(dying.state().id, AGENT, ADA.name)
    assert wire.passed == POINTS[:point]
    dying.close()
    heir = World(tmp_path, clock=world.clock)
    heir.transitions.recover()
    assert (heir.yaml.path.read_text(), heir.state()) == before
    heir.check_agreement()
    heir.close()


async def test_a_hand_edit_during_a_drill_stands(world: World) -> None:
    """Another model for the agent ends the rollout; the drill says why the split is not back."""
    await world.deploy()

    def edit(table: RoutingTable) -> None:
        if not table.rollouts and table.agent_models[AGENT] == STABLE_MODEL:
            world.edit(f"{AGENT}: {STABLE_MODEL}", f"{AGENT}: acme/by-hand")

    with serving(world, "gateway-1", on_table=edit), pytest.raises(ConflictError, match="by-hand"):
        world.drills.run(world.state().id, AGENT, ADA.name)
    world.timer.tick()
    assert world.yaml.read().agent_models[AGENT] == "acme/by-hand"
    assert world.state().phase == "rolled_back"
    assert world.journal.pending() == []


async def test_a_drill_needs_a_rollout_that_runs(world: World) -> None:
    """Planned without one, or carried out after its end, it is refused and touches nothing."""
    with pytest.raises(ConflictError, match="no split to drill"):
        world.rollbacks.plan(RollbackDeployment(agent=AGENT, drill=True), ADA)
    await world.deploy()
    state = world.state()
    await world.roll_back()
    with pytest.raises(ConflictError, match="is over"):
        world.drills.run(state.id, AGENT, ADA.name)
    world.check_agreement()


async def test_a_drill_waits_for_records_that_are_in_order(world: World) -> None:
    """With a broken registry the split could not be written down again: nothing is touched."""
    await world.deploy()
    (world.folder / "config" / "models" / "registry.json").write_text("{")
    before = world.yaml.path.read_text()
    with serving(world, "gateway-1"), pytest.raises(RegistryError):
        world.drills.run(world.state().id, AGENT, ADA.name)
    assert world.yaml.path.read_text() == before
    assert world.journal.pending() == []


async def test_others_wait_while_a_drill_holds_the_lock(world: World) -> None:
    """A change that comes while the split is away finds it back, or says that it waited in vain."""
    await world.deploy()
    found: list[object] = []

    def interfere(table: RoutingTable) -> None:
        if not table.rollouts:
            with pytest.raises(LockTimeout), world.database.exclusive("deployment", 0.05):
                pass
            found.append(world.journal.pending()[0].kind)

    with serving(world, "gateway-1", on_table=interfere):
        await drill(world)
    assert found == ["drill"]
