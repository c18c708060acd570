"""Inference Endpoints of a deployment, by the real client against a loopback double."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.doubles.inference_endpoints import NAMESPACE, TOKEN, Cloud, huggingface_cloud
from tests.doubles.model_servers import ModelServer

from agent_orchestrator.agents.infrastructure.modelops.targets import Placement
from agent_orchestrator.agents.infrastructure.modelops.targets.endpoint_choice import endpoint_name
from agent_orchestrator.agents.infrastructure.modelops.targets.huggingface import HuggingFaceTarget
from agent_orchestrator.agents.infrastructure.modelops.targets.inference_endpoints import (
    InferenceEndpoints,
)
from agent_orchestrator.agents.infrastructure.modelops.targets.self_hosted import SelfHostedTarget
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.errors import (
    ChefError,
    ConfigurationError,
    FailedError,
    GateFailed,
    InputError,
    NotFoundError,
    UnavailableError,
)
from agent_orchestrator.stores.defaults import EndpointDefaults

MODEL = "acme/coder-v2"
PLACE = Endpoint(MODEL, "huggingface")
NAME = endpoint_name(MODEL)
DEFAULTS = EndpointDefaults(
    idle_minutes=15,
    poll_seconds=0.01,
    start_seconds=30,
    image={"vLLM": {"url": "vllm/vllm-openai:v1", "port": 8000}},
    arguments=("--served-model-name", "{model}"),
)


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    """Return the service, with the client pointed at it."""
    async with huggingface_cloud(monkeypatch) as cloud:
        yield cloud


def target(
    token: str | None = TOKEN, size: float = 7.6e9, defaults: EndpointDefaults = DEFAULTS
) -> HuggingFaceTarget:
    """Return the target of somebody with a token."""
    return HuggingFaceTarget(
        endpoints=lambda: InferenceEndpoints(token, None) if token else None,
        elsewhere=SelfHostedTarget({"HUGGINGFACE_TOKEN": token}.get, {}.get),
        size=lambda _model: size,
        defaults=defaults,
    )


async def plan(wanted: HuggingFaceTarget, place: Endpoint = PLACE) -> Placement:
    """Plan as the coordinator does, in a thread."""
    return await asyncio.to_thread(wanted.plan, place)


async def test_an_endpoint_is_planned_with_its_price_and_made_when_it_is_approved(
    cloud: Cloud,
) -> None:
    """The cheapest machine that holds the model; then it runs, and sleeps by itself when idle."""
    cloud.served_at = "http://127.0.0.1:1234"
    wanted = target()
    placement = await plan(wanted)
    assert placement.usd_per_hour == 0.80
    assert placement.summary == (
        f"The Inference Endpoint {NAME} is made for it on aws-us-east-1-nvidia-l4-x1: $0.80 an "
        "hour while it runs; it sleeps after 15 minutes without a request."
    )
    assert placement.resolved["usd_per_hour"] == 0.80
    assert cloud.calls == []
    async with wanted.ready(placement) as endpoint:
        assert endpoint == Endpoint(
            MODEL, "huggingface", ("http://127.0.0.1:1234/v1",), "HUGGINGFACE_TOKEN"
        )
        assert cloud.state(NAME) == "running"
    assert cloud.calls == [f"create {NAME}"]
    made = cloud.endpoints[NAME]
    assert made["compute"]["scaling"] == {
        "minReplica": 0,
        "maxReplica": 1,
        "scaleToZeroTimeout": 15,
    }
    assert made["model"]["repository"] == MODEL
    assert made["model"]["image"] == {"vLLM": {"url": "vllm/vllm-openai:v1", "port": 8000}}
    assert made["model"]["args"] == ["--served-model-name", MODEL]
    assert made["type"] == "authenticated"


@pytest.mark.parametrize("state", ["scaledToZero", "paused"])
async def test_an_endpoint_that_is_there_is_woken(cloud: Cloud, state: str) -> None:
    """By whatever name: it serves the model."""
    cloud.add("by-hand", MODEL, state, "nvidia-a10g")
    placement = await plan(target())
    assert placement.summary == (
        f"Its Inference Endpoint by-hand on aws-us-east-1-nvidia-a10g-x1 is {state} and will be "
        "woken: $1.00 an hour while it runs."
    )
    async with target().ready(placement):
        assert cloud.state("by-hand") == "running"
    assert cloud.calls == ["resume by-hand"]


async def test_an_endpoint_that_runs_is_used_as_it_is(cloud: Cloud) -> None:
    """And left alone when the deployment fails: others may use it."""
    cloud.add("by-hand", MODEL, "running")
    wanted = target()
    placement = await plan(wanted)
    with pytest.raises(GateFailed) as failed:
        async with wanted.ready(placement):
            raise GateFailed("No.", remedy="Mend it.")
    assert failed.value.remedy == "Mend it."
    assert cloud.calls == []
    assert cloud.state("by-hand") == "running"


@pytest.mark.parametrize("state", [None, "scaledToZero"])
async def test_what_was_woken_for_a_deployment_that_fails_sleeps_again(
    cloud: Cloud, state: str | None
) -> None:
    """Made or woken, it is scaled to zero, and the error says so."""
    if state is not None:
        cloud.add(NAME, MODEL, state)
    wanted = target()
    placement = await plan(wanted)
    with pytest.raises(GateFailed) as failed:
        async with wanted.ready(placement):
            raise GateFailed("It says nothing.", remedy="Mend it.")
    assert failed.value.remedy == f"Mend it. The Inference Endpoint {NAME} is scaled to zero again."
    assert cloud.state(NAME) == "scaledToZero"


async def test_what_cannot_be_put_to_sleep_is_told(cloud: Cloud) -> None:
    """It may cost money: the command that ends it is named."""
    cloud.refuse_sleep = True
    wanted = target()
    placement = await plan(wanted)
    with pytest.raises(GateFailed) as failed:
        async with wanted.ready(placement):
            raise GateFailed("It says nothing.")
    assert "Endpoint is updating" in failed.value.remedy
    assert f"`chef endpoints sleep {NAME}`" in failed.value.remedy


async def test_a_cancelled_deployment_leaves_nothing_running(cloud: Cloud) -> None:
    """Somebody pressed Ctrl-C during the gate."""
    wanted = target()
    placement = await plan(wanted)
    inside = asyncio.Event()

    async def deploy() -> None:
        async with wanted.ready(placement):
            inside.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(deploy())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cloud.state(NAME) == "scaledToZero"


async def test_an_endpoint_that_fails_to_start_ends_the_deployment(cloud: Cloud) -> None:
    """With what the service says, scaled to zero."""
    cloud.boot = ("initializing", "failed")
    wanted = target()
    with pytest.raises(FailedError, match=f"{NAME} failed: Endpoint is failed") as failed:
        async with wanted.ready(await plan(wanted)):
            pytest.fail("It runs.")
    assert "scaled to zero again" in failed.value.remedy


async def test_an_endpoint_that_does_not_start_in_time_ends_the_deployment(cloud: Cloud) -> None:
    """The limit and where to raise it are named."""
    cloud.boot = ("initializing",)
    wanted = target(defaults=DEFAULTS.model_copy(update={"start_seconds": 0.2}))
    with pytest.raises(FailedError, match=r"still (pending|initializing) after 0\.2 s") as failed:
        async with wanted.ready(await plan(wanted)):
            pytest.fail("It runs.")
    assert "start_seconds" in failed.value.remedy
    assert cloud.state(NAME) == "scaledToZero"


async def test_the_machine_that_was_approved_may_be_gone(cloud: Cloud) -> None:
    """Nothing is made on another one."""
    wanted = target()
    placement = await plan(wanted)
    cloud.unusable = ("nvidia-l4",)
    again = await plan(wanted)
    assert again.resolved != placement.resolved  # the approval does not cover it


async def test_without_a_token_nothing_can_be_made(cloud: Cloud) -> None:
    """A URL can still be used: it is looked at like a server of one's own."""
    with pytest.raises(ConfigurationError, match="HUGGINGFACE_TOKEN is not set"):
        await plan(target(token=None))
    async with ModelServer(models=(MODEL,)) as server:
        listed = Endpoint(MODEL, "huggingface", (server.url,))
        placement = await plan(target(token=None), listed)
        assert "vLLM" in placement.summary
        async with target(token=None).ready(placement) as endpoint:
            assert endpoint == listed
        placement = await plan(target(), listed)  # not one of ours: nothing is woken
        async with target().ready(placement) as endpoint:
            assert endpoint == listed
    assert cloud.calls == []


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"token": "wrong"}, ConfigurationError, "refused the token"),
        ({"size": 70e9}, InputError, "GB of GPU memory"),
    ],
)
async def test_what_cannot_be_planned_is_told(
    cloud: Cloud, change: dict, error: type[ChefError], says: str
) -> None:
    """One line and a remedy, before anybody is asked."""
    with pytest.raises(error, match=says) as found:
        await plan(target(**change))
    assert found.value.remedy


async def test_an_endpoint_on_an_unlisted_machine_has_no_known_price(cloud: Cloud) -> None:
    """What it costs is never guessed."""
    cloud.add(NAME, MODEL, "scaledToZero", "nvidia-h9000")
    with pytest.raises(FailedError, match="nvidia-h9000"):
        await plan(target())


async def test_the_client_tells_what_went_wrong(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown name, and a service that nobody reaches."""
    service = InferenceEndpoints(TOKEN, NAMESPACE)
    for act in (service.get, service.wake, service.sleep):
        with pytest.raises(NotFoundError, match="no Inference Endpoint 'nobody'"):
            await asyncio.to_thread(act, "nobody")
    own = InferenceEndpoints(TOKEN, None)
    assert await asyncio.to_thread(lambda: own.namespace) == NAMESPACE
    monkeypatch.setattr(
        "huggingface_hub.constants.INFERENCE_ENDPOINTS_ENDPOINT", "http://127.0.0.1:9/v2"
    )
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await asyncio.to_thread(service.list)
