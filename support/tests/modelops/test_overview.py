"""What serves whom, at a glance."""

import pytest
from tests.modelops.world import AGENT, STABLE_MODEL, World

from agent_orchestrator.agents.infrastructure.modelops.overview import (
    OverviewReader,
    ProcessState,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.deployment import PromoteCanary
from agent_orchestrator.domain.jobs import Job
from agent_orchestrator.errors import ModelsYamlError
from agent_orchestrator.stores.jobs import JobStore


def reader(world: World) -> OverviewReader:
    """Return the reader of a world's overview."""
    return OverviewReader(
        models_yaml=world.yaml,
        catalogue=world.catalogue,
        approvals=world.approvals,
        jobs=JobStore(world.database),
        journal=world.journal,
        processes=lambda: [ProcessState("timer", "stopped")],
        clock=world.clock,
    )


def test_without_anything_going_on(world: World) -> None:
    """Each agent with its model; nothing waits, runs or was cut off."""
    overview = reader(world).read()
    assert [(a.agent, a.model, a.version, a.rollout_id) for a in overview.agents] == [
        (AGENT, STABLE_MODEL, None, None),
        ("cicd", "acme/builder", None, None),
    ]
    assert overview.processes == (ProcessState("timer", "stopped"),)
    counts = (overview.pending_approvals, overview.running_jobs, overview.unfinished_intents)
    assert counts == (0, 0, 0)


async def test_a_rollout_an_approval_and_a_job(world: World) -> None:
    """The split, and how much there is of everything else."""
    await world.deploy("v1.0.0", strategy="immediate")
    world.clock.pass_by(20)
    world.timer.tick()
    result = await world.deploy("v1.1.0")
    approval_id = await world.ask("promote_canary", PromoteCanary(agent=AGENT))
    job = Job(
        id="job_1",
        kind="training",
        agent=AGENT,
        status="running",
        backend="local",
        request={},
        requester="ada",
        created_at=1.0,
        updated_at=1.0,
    )
    JobStore(world.database).create(job)
    overview = reader(world).read()
    serving = overview.agents[0]
    assert (serving.model, serving.version) == ("acme/one", "v1.0.0")
    assert [agent.newest for agent in overview.agents] == ["v1.1.0", None]
    assert (serving.rollout_id, serving.phase) == (result.rollout_id, "running")
    assert [(arm.version, arm.weight) for arm in serving.arms] == [("v1.0.0", 80), ("v1.1.0", 20)]
    assert (overview.pending_approvals, overview.running_jobs) == (1, 1)
    await world.approve(approval_id)
    assert reader(world).read().pending_approvals == 0


async def test_what_was_cut_off_shows(world: World) -> None:
    """Until somebody finishes it."""
    world.tripwire.arm(1, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        await world.deploy()
    assert reader(world).read().unfinished_intents == 1
    world.timer.tick()
    assert reader(world).read().unfinished_intents == 0


def test_a_broken_file_is_told(world: World) -> None:
    """Not an empty overview."""
    world.edit("openrouter:", "openrouter")
    with pytest.raises(ModelsYamlError):
        reader(world).read()
