"""The whole loop of a rollout with the state in PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.modelops.tripwire import Killed
from tests.modelops.world import AGENT, World

pytestmark = pytest.mark.slow

QUALITY = {"guardrails": ["error", "quality"], "margin": 0.2, "alpha": 0.001}


@pytest.fixture
def world(tmp_path: Path, postgres_url: str) -> Iterator[World]:
    """Return an installation with two versions."""
    world = World(tmp_path, database_url=postgres_url)
    world.add_version("acme/one")
    world.add_version("acme/two")
    yield world
    world.close()


async def test_a_good_candidate_is_promoted_and_a_bad_one_is_rolled_back(world: World) -> None:
    """Approvals, steps by the verdicts, the guard period, a rollback, and the records of it all."""
    await world.deploy(policy=QUALITY)
    seen = [world.state().weight]
    for second in range(60):
        world.clock.pass_by(5)
        world.send(60, good={"stable": 0.95, "candidate": 0.95}, seed=second, judged=True)
        world.timer.tick()
        world.check_agreement()
        if world.state().weight != seen[-1]:
            seen.append(world.state().weight)
        if world.state().ended_at is not None:
            break
    assert (seen, world.state().phase) == ([20, 50, 100], "promoted")
    await world.deploy("v1.1.0")
    world.send(300, good={"candidate": 0.1})
    world.timer.tick()
    world.check_agreement()
    assert world.state().phase == "rolled_back"
    assert world.yaml.read().agent_models[AGENT] == "acme/one"
    assert [state.phase for state in world.rollouts.of(AGENT)] == ["promoted", "rolled_back"]
    assert world.alerts == []


async def test_another_process_goes_on_where_one_was_cut_off(
    world: World, tmp_path: Path, postgres_url: str
) -> None:
    """What one wrote down and did not do, the next one that holds the lock does."""
    world.tripwire.arm(2)
    with pytest.raises(Killed):
        await world.deploy()
    [left] = world.journal.pending()
    other = World(tmp_path, clock=world.clock, database_url=postgres_url)
    assert other.transitions.recover().settled == (
        f"Change {left.id} of {AGENT} (start) had been cut off and is finished now.",
    )
    other.check_agreement()
    assert other.state().weight == 20
    other.close()
