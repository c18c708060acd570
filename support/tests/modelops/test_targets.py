"""Places where models are served: looked at before anybody approves."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.doubles.model_servers import Kind, ModelServer

from agent_orchestrator.agents.infrastructure.modelops.targets import Placement
from agent_orchestrator.agents.infrastructure.modelops.targets.openrouter import (
    OpenRouterModels,
    OpenRouterTarget,
)
from agent_orchestrator.agents.infrastructure.modelops.targets.self_hosted import SelfHostedTarget
from agent_orchestrator.domain.expenses import TokenPrice
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.errors import (
    ChefError,
    ConfigurationError,
    InputError,
    UnavailableError,
)

MODEL = "acme/one"


async def look(plan: Callable[[Endpoint], Placement], *urls: str, **place: Any) -> Placement:
    """Plan as the coordinator does, in a thread."""
    provider = place.pop("provider", "self_hosted")
    return await asyncio.to_thread(plan, Endpoint(MODEL, provider, urls, **place))


def self_hosted(listed: Endpoint | None = None, **keys: str) -> Callable[[Endpoint], Placement]:
    """Return the way to plan, with an entry in models.yaml and these variables set."""
    return SelfHostedTarget(keys.get, {MODEL: listed}.get).plan


@pytest.mark.parametrize(
    ("kind", "listed", "named", "context"),
    [
        ("vllm", MODEL, "vLLM", 4096),
        ("llamacpp", MODEL, "llama.cpp", 4096),
        ("ollama", f"{MODEL}:latest", "Ollama", None),
        ("openrouter", MODEL, "an OpenAI-compatible server", None),
    ],
)
async def test_a_server_of_ones_own_is_asked_what_it_serves(
    kind: Kind, listed: str, named: str, context: int | None
) -> None:
    """Its kind is told where it says so, and what its model can read."""
    async with ModelServer(kind=kind, models=(listed, "acme/two")) as server:
        placement = await look(self_hosted(), server.url)
        assert placement.summary == f"It is served by {server.url} ({named})."
        assert placement.context_tokens == context
        assert placement.endpoint == Endpoint(MODEL, "self_hosted", (server.url,))
        async with SelfHostedTarget({}.get, {}.get).ready(placement) as endpoint:
            assert endpoint == placement.endpoint


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("vllm", "--served-model-name acme/one"),
        ("llamacpp", "--alias acme/one"),
        ("ollama", "ollama pull acme/one"),
        ("openrouter", "by that id: acme/one"),
    ],
)
async def test_a_model_that_is_not_served_there_is_refused(kind: Kind, remedy: str) -> None:
    """With near names, and how that kind of server is made to serve it."""
    tag = ":latest" if kind == "ollama" else ""
    async with ModelServer(kind=kind, models=(f"acme/ones{tag}", "x/y")) as server:
        with pytest.raises(
            InputError, match=r"has no model 'acme/one'. Near it: acme/ones"
        ) as found:
            await look(self_hosted(), server.url)
    assert remedy in found.value.remedy


async def test_a_further_name_of_a_model_is_one() -> None:
    """llama.cpp lists them as aliases."""
    async with ModelServer(kind="llamacpp", models=("acme/o",)) as server:
        place = Endpoint("acme/o-alias", "self_hosted", (server.url,))
        assert await asyncio.to_thread(SelfHostedTarget({}.get, {}.get).plan, place)


async def test_a_server_without_a_model_says_so() -> None:
    """An empty list of Ollama is null."""
    async with ModelServer(kind="ollama", models=()) as server:
        with pytest.raises(InputError, match=r"has no model 'acme/one'. It has none"):
            await look(self_hosted(), server.url)


async def test_a_listed_servers_key_is_sent_and_its_refusal_told() -> None:
    """The variable is named, never its value."""
    async with ModelServer(models=(MODEL,), key="s3cret") as server:
        place = Endpoint(MODEL, "self_hosted", (server.url,), "VLLM_KEY")
        placement = await asyncio.to_thread(self_hosted(place, VLLM_KEY="s3cret"), place)
        assert placement.context_tokens == 4096
        with pytest.raises(ConfigurationError, match="status 401: the key is missing") as found:
            await asyncio.to_thread(self_hosted(place, VLLM_KEY="wr0ng"), place)
        assert "VLLM_KEY" in found.value.remedy
        assert "wr0ng" not in str(found.value)
        with pytest.raises(ConfigurationError) as found:
            await look(self_hosted(), server.url)
        assert "api_key_env" in found.value.remedy


@pytest.mark.parametrize("listed", [None, Endpoint(MODEL, "self_hosted", ("http://mine/v1",))])
async def test_no_key_is_shown_to_a_place_that_nobody_has_approved(
    listed: Endpoint | None,
) -> None:
    """A request may name any URL and any variable; whoever approves it is told both."""
    async with ModelServer(models=(MODEL,), key="s3cret") as server:
        plan = self_hosted(listed, OPENROUTER_API_KEY="s3cret")
        placement = await look(plan, server.url, api_key_env="OPENROUTER_API_KEY")
    assert server.keys == [None]
    assert placement.summary == (
        f"It is served by {server.url} (which will be shown the key in OPENROUTER_API_KEY)."
    )


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (302, InputError, "no OpenAI-compatible server answers there"),
        (400, InputError, "is no list of models"),
        (500, UnavailableError, "status 500"),
    ],
)
async def test_what_is_no_such_server_is_told(
    status: int, error: type[ChefError], says: str
) -> None:
    """A redirect, a refusal, a fault."""
    async with ModelServer(models=(MODEL,), list_status=status) as server:
        with pytest.raises(error, match=says) as found:
            await look(self_hosted(), server.url)
    assert found.value.remedy


async def test_a_server_may_list_no_models() -> None:
    """The checklist will find out whether it serves this one; its context is not known."""
    async with ModelServer(models=(MODEL,), list_status=404) as server:
        placement = await look(self_hosted(), server.url)
    assert placement.summary == f"It is served by {server.url} (which lists no models)."
    assert placement.context_tokens is None


async def test_a_url_that_was_cut_short_is_noticed() -> None:
    """The list is one step further on, and the remedy says where."""
    async with ModelServer(models=(MODEL,)) as server:
        short = server.url.removesuffix("/v1")
        with pytest.raises(InputError, match=f"{short}/models answered with status 404") as found:
            await look(self_hosted(), short)
    assert f"listed at {server.url}:" in found.value.remedy


async def test_a_server_that_is_down_is_unavailable() -> None:
    """One line with the address."""
    async with ModelServer(models=(MODEL,)) as server:
        url = server.url
    with pytest.raises(UnavailableError, match=rf"{url}/models cannot be reached") as found:
        await look(self_hosted(), url)
    assert "Start that server" in found.value.remedy


@pytest.mark.slow
async def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    """Ten seconds, then one line."""
    async with ModelServer(models=(MODEL,), list_latency=60.0) as server:
        with pytest.raises(UnavailableError, match=r"/models did not answer within 10 s") as found:
            await look(self_hosted(), server.url)
    assert found.value.remedy


async def test_every_server_of_several_must_serve_it() -> None:
    """A replica without the model would fail its share of the traffic."""
    async with (
        ModelServer(models=(MODEL,), context=4096) as one,
        ModelServer(models=(MODEL,), context=8192) as two,
        ModelServer(models=("acme/two",)) as other,
    ):
        placement = await look(self_hosted(), one.url, two.url)
        assert placement.context_tokens == 8192
        with pytest.raises(InputError, match=f"{other.url} .vLLM. has no model"):
            await look(self_hosted(), one.url, other.url)


async def test_a_server_must_be_named() -> None:
    """There is no place to look."""
    with pytest.raises(InputError, match="Nobody said where acme/one is served") as found:
        await look(self_hosted())
    assert "(endpoint)" in found.value.remedy


# -- OpenRouter ----------------------------------------------------------------------------------


async def test_a_model_of_openrouter_is_looked_up_in_the_list() -> None:
    """Its context and its price are those of the list."""
    async with ModelServer(kind="openrouter", models=(MODEL,), key="or-key") as server:
        models = OpenRouterModels(server.url, "or-key")
        placement = await look(OpenRouterTarget(models).plan, provider="openrouter")
        assert placement.context_tokens == 4096
        assert placement.details["price"] == (
            "$0.5 a million prompt tokens, $1.5 a million completion tokens"
        )
        price = models.price(MODEL)
        assert price == TokenPrice(5e-7, 1.5e-6)
        assert price.of(1_000_000, 2_000_000) == pytest.approx(3.5)
        async with OpenRouterTarget(models).ready(placement) as endpoint:
            assert endpoint == Endpoint(MODEL)


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("acme/one", True),
        ("acme/one:free", True),
        ("acme/one:nitro", True),
        ("acme/one:online", True),
        ("acme/two:nitro", False),
        ("acme/one:thinking", False),
        ("acme/oen", False),
    ],
)
async def test_the_ids_of_openrouter(model: str, found: bool) -> None:
    """An ending that only says how to route is not in the list; every other one is."""
    async with ModelServer(kind="openrouter", models=(MODEL, f"{MODEL}:free")) as server:
        models = OpenRouterModels(server.url, None)
        if found:
            assert await asyncio.to_thread(models.entry, model)
            return
        with pytest.raises(InputError, match=f"OpenRouter has no model '{model}'. Near it: acme"):
            await asyncio.to_thread(models.entry, model)


async def test_the_list_is_read_once_in_five_minutes() -> None:
    """Every look in between costs nothing."""
    now = 1000.0
    async with ModelServer(kind="openrouter", models=(MODEL,)) as server:
        models = OpenRouterModels(server.url, None, timer=lambda: now)
        for _ in range(3):
            await asyncio.to_thread(models.price, MODEL)
        assert server.lists == 1
        now += 301
        await asyncio.to_thread(models.price, MODEL)
        assert server.lists == 2


async def test_openrouter_out_of_reach_or_with_a_wrong_key() -> None:
    """Nothing is deployed unseen; the remedy names the variable."""
    async with ModelServer(kind="openrouter", models=(MODEL,), key="right") as server:
        wrong = OpenRouterModels(server.url, "wrong")
        with pytest.raises(ConfigurationError) as refused:
            await asyncio.to_thread(wrong.entry, MODEL)
        assert "OPENROUTER_API_KEY" in refused.value.remedy
    with pytest.raises(UnavailableError, match="cannot be reached") as away:
        await asyncio.to_thread(OpenRouterModels(server.url, None).entry, MODEL)
    assert "OPENROUTER_BASE_URL" in away.value.remedy
