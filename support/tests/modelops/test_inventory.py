"""The versions an agent has had."""

import pytest
from tests.modelops.world import AGENT, STABLE_MODEL, World

from agent_orchestrator.agents.infrastructure.modelops.usecases.models import ListAgentModels
from agent_orchestrator.errors import InputError, UnknownAgentError


async def test_versions_come_newest_first_with_what_is_known(world: World) -> None:
    """Lineage, scores and status; what was not measured is null."""
    config = {"base_model": "acme/base", "training_method": "sft", "training_dataset": "d1"}
    world.registry.add_model_version(
        AGENT,
        model_id="acme/three",
        parent_version="v1.1.0",
        training_config=config,
        tags=["demo"],
    )
    await world.deploy("v1.0.0")
    found = await world.run("list_agent_models", ListAgentModels(agent=AGENT))
    assert (found.serving, found.current, found.canary) == (STABLE_MODEL, None, "v1.0.0")
    three, two, one = found.versions
    assert (three.version, three.parent, three.base_model, three.dataset, three.tags) == (
        "v1.2.0",
        "v1.1.0",
        "acme/base",
        "d1",
        ["demo"],
    )
    assert (three.accuracy, three.recommendation, three.status) == (None, None, "not_deployed")
    assert (two.accuracy, two.recommendation) == (0.9, "deploy")
    assert one.status == "canary_20pct"
    assert one.base_model is None


async def test_the_list_can_be_narrowed(world: World) -> None:
    """To the newest few, or to one status."""
    await world.deploy("v1.0.0")
    newest = await world.run("list_agent_models", ListAgentModels(agent=AGENT, limit=1))
    assert [version.version for version in newest.versions] == ["v1.1.0"]
    request = ListAgentModels(agent=AGENT, status="canary_20pct")
    canaries = await world.run("list_agent_models", request)
    assert [version.version for version in canaries.versions] == ["v1.0.0"]


async def test_bad_requests_are_refused(world: World) -> None:
    """Unknown agents and statuses, with what there is."""
    with pytest.raises(UnknownAgentError, match="Known agents"):
        await world.run("list_agent_models", ListAgentModels(agent="nobody"))
    with pytest.raises(InputError, match="Not a deployment status: 'live'"):
        await world.run("list_agent_models", ListAgentModels(agent=AGENT, status="live"))


async def test_an_agent_without_versions_has_an_empty_list(world: World) -> None:
    """What serves it is known all the same."""
    found = await world.run("list_agent_models", ListAgentModels(agent="cicd"))
    assert (found.versions, found.serving, found.current) == ([], "acme/builder", None)
