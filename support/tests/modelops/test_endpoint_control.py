"""Inference Endpoints by hand."""

from collections.abc import AsyncIterator

import pytest
from tests.doubles.inference_endpoints import TOKEN, Cloud, huggingface_cloud
from tests.modelops.world import AGENT, World

from agent_orchestrator.agents.infrastructure.modelops.targets.inference_endpoints import (
    InferenceEndpoints,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.endpoints import (
    EndpointList,
    EndpointReport,
    EndpointStatus,
    ListEndpoints,
    SleepEndpoint,
    WakeEndpoint,
)
from agent_orchestrator.errors import (
    ApprovalRequired,
    ConfigurationError,
    ConflictError,
    FailedError,
    NotFoundError,
)

URL = "http://127.0.0.1:1234"


@pytest.fixture
async def cloud(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    """Return a service with an endpoint that serves cicd, and one that sleeps."""
    async with huggingface_cloud(monkeypatch) as cloud:
        world.endpoints = InferenceEndpoints(TOKEN, None)
        cloud.served_at = URL
        cloud.add("busy", "acme/elsewhere", "running")
        cloud.served_at = "http://127.0.0.1:1235"
        cloud.add("idle", "acme/one", "scaledToZero", "nvidia-a10g")
        world.edit("http://127.0.0.1:9/v1", f"{URL}/v1")
        world.edit("cicd: acme/builder", "cicd: acme/elsewhere")
        yield cloud


async def test_what_runs_and_what_it_costs_is_listed(world: World, cloud: Cloud) -> None:
    """With the agents that each endpoint serves."""
    found = await world.run("list_endpoints", ListEndpoints())
    assert isinstance(found, EndpointList)
    assert found.namespace == "acme"
    busy, idle = found.endpoints
    assert (busy.name, busy.status, busy.usd_per_hour, busy.serves) == (
        "busy",
        "running",
        0.80,
        ["cicd"],
    )
    assert (idle.name, idle.status, idle.usd_per_hour, idle.serves) == (
        "idle",
        "scaledToZero",
        1.00,
        [],
    )
    assert await world.run("endpoint_status", EndpointStatus(name="idle")) == idle


async def test_waking_costs_money_and_is_approved(world: World, cloud: Cloud) -> None:
    """At the price that was shown."""
    with pytest.raises(ApprovalRequired, match=r"Wake .* idle .*: \$1\.00 an hour while it runs"):
        await world.run("wake_endpoint", WakeEndpoint(name="idle"))
    assert cloud.calls == []
    report = await world.do("wake_endpoint", WakeEndpoint(name="idle"))
    assert isinstance(report, EndpointReport)
    assert report.status in {"pending", "initializing"}
    assert cloud.calls == ["resume idle"]
    audit = world.audit.tail(1)[0]
    assert (audit.action, audit.subject) == ("endpoint_woken", "idle")


async def test_an_idle_endpoint_is_put_to_sleep_without_ado(world: World, cloud: Cloud) -> None:
    """That costs nothing and takes nothing from anybody."""
    cloud.add("forgotten", "acme/old", "running")
    report = await world.run("sleep_endpoint", SleepEndpoint(name="forgotten"))
    assert report.status == "scaledToZero"
    assert world.audit.tail(1)[0].action == "endpoint_put_to_sleep"


async def test_what_serves_is_not_put_to_sleep(world: World, cloud: Cloud) -> None:
    """Nor is what runs woken."""
    with pytest.raises(ConflictError, match="busy serves cicd") as refused:
        await world.run("sleep_endpoint", SleepEndpoint(name="busy"))
    assert refused.value.remedy
    with pytest.raises(ConflictError, match="busy runs already"):
        await world.run("wake_endpoint", WakeEndpoint(name="busy"))
    assert cloud.calls == []


async def test_a_price_that_nobody_knows_is_not_agreed_to(world: World, cloud: Cloud) -> None:
    """The machine is not listed."""
    cloud.add("odd", "acme/odd", "paused", "nvidia-h9000")
    assert (await world.run("endpoint_status", EndpointStatus(name="odd"))).usd_per_hour is None
    with pytest.raises(FailedError, match="What odd costs is not known"):
        await world.run("wake_endpoint", WakeEndpoint(name="odd"))


async def test_an_unknown_endpoint_is_bad_input(world: World, cloud: Cloud) -> None:
    """The remedy lists what there is."""
    with pytest.raises(NotFoundError, match="no Inference Endpoint 'nobody'") as found:
        await world.run("wake_endpoint", WakeEndpoint(name="nobody"))
    assert "chef endpoints list" in found.value.remedy


async def test_without_a_token_there_is_nothing_to_see(world: World) -> None:
    """The variable is named."""
    assert AGENT in world.yaml.read().agent_models
    with pytest.raises(ConfigurationError, match="HUGGINGFACE_TOKEN is not set"):
        await world.run("list_endpoints", ListEndpoints())
