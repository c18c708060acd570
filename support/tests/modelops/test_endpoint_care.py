"""Endpoints whose model serves nobody any more are put to sleep, once."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.doubles.inference_endpoints import TOKEN, Cloud, huggingface_cloud
from tests.modelops.world import AGENT, STABLE_MODEL, World

from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_care import EndpointCare
from agent_orchestrator.agents.infrastructure.modelops.targets.inference_endpoints import (
    InferenceEndpoints,
)
from agent_orchestrator.errors import FailedError

OLD, NEW = "http://127.0.0.1:1001", "http://127.0.0.1:1002"


@pytest.fixture
async def cloud(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    """Return a service that serves the stable model and the candidate, both running."""
    async with huggingface_cloud(monkeypatch) as cloud:
        cloud.served_at = OLD
        cloud.add("old", STABLE_MODEL, "running")
        cloud.served_at = NEW
        cloud.add("new", "acme/one", "running")
        places = "".join(
            f'  {model}: {{provider: huggingface, endpoints: ["{url}/v1"]}}\n'
            for model, url in ((STABLE_MODEL, OLD), ("acme/one", NEW))
        )
        world.edit("\nmodels:\n", f"\nmodels:\n{places}")
        yield cloud


@pytest.fixture
def care(world: World) -> EndpointCare:
    """Return what looks after them."""
    return new_care(world)


def new_care(world: World) -> EndpointCare:
    """Return what looks after them in a process that has just started."""
    service = InferenceEndpoints(TOKEN, None)
    return EndpointCare(lambda: service, world.yaml, world.rollouts, clock=world.clock)


async def tick(care: EndpointCare) -> None:
    """Tick as the timer's thread does."""
    await asyncio.to_thread(care.tick)


async def test_after_a_rollback_the_candidates_endpoint_sleeps(
    world: World, cloud: Cloud, care: EndpointCare
) -> None:
    """Not while it may still be wanted; the history says so."""
    await tick(care)
    await world.deploy()
    await tick(care)
    await world.roll_back()
    world.clock.pass_by(9)  # the guard period has 10 s
    await tick(care)
    assert cloud.calls == []
    world.clock.pass_by(2)
    await tick(care)
    assert cloud.calls == ["sleep new"]
    last = world.rollouts.decisions(world.state().id)[-1]
    assert (last.actor, last.kind) == ("timer", "sleep")
    assert "new of acme/one serves nobody" in last.message


async def test_after_a_promotion_and_its_guard_the_old_models_endpoint_sleeps(
    world: World, cloud: Cloud, care: EndpointCare
) -> None:
    """During the guard period it is the way back."""
    await world.deploy(strategy="immediate")
    await tick(care)
    assert cloud.calls == []
    world.send(50)
    world.clock.pass_by(20)
    world.timer.tick()
    assert world.state().phase == "promoted"
    await tick(care)
    assert cloud.calls == ["sleep old"]
    assert cloud.state("new") == "running"


async def test_what_a_person_wakes_again_stays_awake(
    world: World, cloud: Cloud, care: EndpointCare
) -> None:
    """Also for a process that was started since."""
    await world.deploy()
    await world.roll_back()
    world.clock.pass_by(20)
    await tick(care)
    cloud.add("new", "acme/one", "running")
    for again in (care, new_care(world)):
        await tick(again)
    assert cloud.calls == ["sleep new"]


async def test_an_endpoint_that_serves_another_agent_is_left_alone(
    world: World, cloud: Cloud, care: EndpointCare
) -> None:
    """As an arm, or as a fallback; until it no longer does."""
    await world.deploy()
    await world.roll_back()
    world.clock.pass_by(20)
    world.edit("default: [acme/spare]", "default: [acme/one]")
    await tick(care)
    assert cloud.calls == []
    world.edit("default: [acme/one]", "default: [acme/spare]")
    await tick(care)
    assert cloud.calls == ["sleep new"]


async def test_what_fails_is_tried_again(world: World, cloud: Cloud, care: EndpointCare) -> None:
    """The service refuses at first."""
    await world.deploy()
    await world.roll_back()
    world.clock.pass_by(20)
    cloud.refuse_sleep = True
    with pytest.raises(FailedError, match="Endpoint is updating"):
        await tick(care)
    cloud.refuse_sleep = False
    await tick(care)
    assert cloud.state("new") == "scaledToZero"
    assert AGENT in world.yaml.read().agent_models
