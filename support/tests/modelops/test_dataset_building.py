"""Building a data set as a use case."""

import json
from pathlib import Path

import pytest
from tests.modelops.world import AGENT, World

from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import BuildDataset
from agent_orchestrator.errors import DatasetError, UnknownAgentError


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Return a file of forty tasks with answers."""
    path = tmp_path / "tasks.jsonl"
    rows = [
        {
            "inputs": {"task": f"Say {number} in words, politely."},
            "outputs": {"answer": f"It is {number}."},
            "metadata": {"team": "a" if number % 2 else "b"},
        }
        for number in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


async def test_a_file_becomes_a_data_set(world: World, source: str) -> None:
    """Split, hashed, on disk, in the audit log; nobody has to approve."""
    request = BuildDataset(agent=AGENT, source=source, name="words")
    built = await world.run("build_dataset", request)
    assert built.agent == AGENT
    assert sum(built.counts.values()) == 40
    assert built.counts["eval"] > 0
    dataset = world.datasets.get("words")
    assert (dataset.hash, str(dataset.folder)) == (built.dataset_hash, built.path)
    entry = world.audit.tail(1)[0]
    assert (entry.action, entry.detail) == ("dataset_built", {"dataset": built.dataset})


async def test_a_dry_run_builds_nothing(world: World, source: str) -> None:
    """It says how many examples the source has."""
    request = BuildDataset(agent=AGENT, source=source, filters={"team": "a"}, dry_run=True)
    planned = await world.run("build_dataset", request)
    assert planned.details["examples"] == sum(planned.details["counts"].values()) == 20
    assert not planned.approval_needed
    assert world.datasets.list() == []


async def test_no_more_examples_are_taken_than_were_wished(world: World, source: str) -> None:
    """The first ones that are wanted; a wish for more than there are takes all."""
    for wished, taken in ((10, 10), (20, 20), (30, 20)):
        wanted = {"filters": {"team": "a"}, "max_examples": wished}
        built = await world.run("build_dataset", BuildDataset(agent=AGENT, source=source, **wanted))
        assert sum(built.counts.values()) == taken


async def test_bad_requests_are_refused(world: World, source: str) -> None:
    """An unknown agent, a file that is not there."""
    with pytest.raises(UnknownAgentError):
        await world.run("build_dataset", BuildDataset(agent="nobody", source=source))
    with pytest.raises(DatasetError):
        await world.run("build_dataset", BuildDataset(agent=AGENT, source=source + "x"))
    assert world.datasets.list() == []
