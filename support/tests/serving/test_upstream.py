"""Calls to upstreams: where they go, what they carry, and every way they can fail."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.ports import free_port
from tests.serving.harness import QUICK, settled, upstream

from agent_orchestrator.domain.outcomes import ErrorKind
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.serving.balancing import BalancePolicy
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.upstream import Timeouts, Upstream
from agent_orchestrator.serving.wire import Chunk

MODEL = "team/model"
BODY: dict[str, Any] = {"model": "agent/x", "messages": [{"role": "user", "content": "ß"}], "n": 1}
NOWHERE = "http://127.0.0.1:9/v1"


def at(*urls: str, key: str | None = None) -> Endpoint:
    """Return where the model lives."""
    return Endpoint(MODEL, "self_hosted", urls, key)


async def streamed(models: Upstream, endpoint: Endpoint) -> list[Chunk]:
    """Return all chunks of a stream."""
    stream = await models.stream(endpoint, {**BODY, "stream": True})
    try:
        return [chunk async for chunk in stream]
    finally:
        await stream.aclose()


async def test_the_body_passes_untouched_but_for_the_model():
    """Fields that we don't know reach the upstream; the model is the arm's."""
    body = {**BODY, "logit_bias": {"50256": -100}, "x": [1.5, None, "\ud800"]}
    async with OpenAIServer(Reply("Hi")) as server, upstream() as models:
        answer = await models.complete(at(server.url), body)
    assert server.requests[0].body == {**body, "model": MODEL}
    assert json.loads(answer.raw) == answer.data
    assert answer.data["choices"][0]["message"]["content"] == "Hi"


async def test_keys_come_from_the_environment_by_name():
    """Only the model's own key is sent; OpenRouter's has a fixed name; without one, no header."""
    keys = {"TEAM_KEY": "k1", "OPENROUTER_API_KEY": "k2"}
    async with OpenAIServer() as server, upstream(keys=keys) as models:
        await models.complete(at(server.url, key="TEAM_KEY"), BODY)
        await models.complete(Endpoint(MODEL, "openrouter", (server.url,)), BODY)
        await models.complete(at(server.url), BODY)
        await models.complete(at(server.url, key="UNSET"), BODY)
    sent = [request.headers.get("Authorization") for request in server.requests]
    assert sent == ["Bearer k1", "Bearer k2", None, None]


async def test_models_that_nobody_listed_go_to_openrouter():
    """An Endpoint without URLs of OpenRouter uses the configured base URL."""
    async with OpenAIServer() as server:
        models = Upstream(secret={}.get, openrouter_base_url=server.url + "/")
        async with models:
            await models.complete(Endpoint("qwen/coder"), BODY)
    assert server.requests[0].body["model"] == "qwen/coder"


async def test_a_local_model_is_called_over_its_unix_socket(tmp_path: Path):
    """The model server of this machine needs no port."""
    socket = tmp_path / "models.sock"
    async with OpenAIServer(Reply("local"), path=socket), upstream(socket=socket) as models:
        endpoint = Endpoint(MODEL, "local")
        assert (await models.complete(endpoint, BODY)).data["choices"]
        assert len(await streamed(models, endpoint)) == 4


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (Endpoint(MODEL, "local"), "no local model server"),
        (Endpoint(MODEL, "huggingface"), "no endpoints in models.yaml"),
    ],
)
async def test_a_model_without_a_place_fails_with_the_remedy(endpoint: Endpoint, message: str):
    """What is missing in the configuration is named; the other arms still serve."""
    async with upstream() as models:
        with pytest.raises(UpstreamFailure, match=message) as caught:
            await models.complete(endpoint, BODY)
    assert caught.value.remedy
    assert caught.value.retryable


FAILURES: list[tuple[Reply, ErrorKind, str]] = [
    (Reply("slow", latency=5), "timeout", "in time|first byte"),
    (Reply(disconnect=True), "connection", "cannot be reached"),
    (Reply("no key", status=401), "status", "status 401: no key"),
    (Reply("who?", status=403), "status", "403"),
    (Reply("gone", status=404), "status", "404"),
    (Reply("busy", status=429), "status", "429"),
    (Reply("broken", status=500), "status", "500"),
    (Reply(body=b"<html>\nBad gateway</html>", status=502), "status", "<html> Bad gateway"),
    (Reply(status=307), "status", "307"),
    (Reply(body=b"[" * 100_000, status=503), "status", "503"),
]


@pytest.mark.parametrize(("reply", "kind", "message"), FAILURES)
@pytest.mark.parametrize("streams", [False, True])
async def test_every_failure_is_one_exception_of_a_kind(
    reply: Reply, kind: ErrorKind, message: str, *, streams: bool
):
    """Callers handle one type; another model may be tried after each of these."""
    timeouts = QUICK if kind == "timeout" else None
    async with OpenAIServer(reply) as server, upstream(timeouts=timeouts) as models:
        call = streamed if streams else lambda m, e: m.complete(e, BODY)
        with pytest.raises(UpstreamFailure, match=message) as caught:
            await call(models, at(server.url))
    assert caught.value.kind == kind
    assert caught.value.retryable
    assert MODEL in caught.value.message


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_at_fault_is_no_failing_of_the_model(status: int):
    """These keep the upstream's own answer for the client, and say: don't try elsewhere."""
    async with OpenAIServer(Reply("too long", status=status)) as server, upstream() as models:
        with pytest.raises(UpstreamFailure) as caught:
            await models.complete(at(server.url), BODY)
    assert not caught.value.retryable
    assert caught.value.status == status
    assert json.loads(caught.value.body)["error"]["message"] == "too long"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(body=b"hello"), "protocol"),
        (Reply(body=b'{"choices": []}'), "protocol"),
        (Reply(body=b'{"error": {"message": "overloaded"}}'), "status"),
        (Reply("x" * 5000, cut_after=100), "cut_off"),
    ],
)
async def test_a_spoilt_answer_is_a_failure(reply: Reply, kind: ErrorKind):
    """No JSON, no choices, an error with status 200, a body cut short."""
    async with OpenAIServer(reply) as server, upstream() as models:
        with pytest.raises(UpstreamFailure) as caught:
            await models.complete(at(server.url), BODY)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(content_type="application/json"), "protocol"),
        (Reply(events=[]), "cut_off"),
        (Reply(events=[b"data: [DONE]\n\n"]), "protocol"),
        (Reply(events=[b"data: nonsense\n\n"]), "protocol"),
        (Reply(events=[b'data: {"error": {"message": "overloaded"}}\n\n']), "status"),
        (Reply("a b c", cut_after=2), "cut_off"),
        (Reply("a b c", end_after=2), "cut_off"),
        (Reply("a b c", between=5), "timeout"),
        (Reply(events=[b": wait\n\n"] * 3, between=0.2), "timeout"),
    ],
)
async def test_a_spoilt_stream_is_a_failure(reply: Reply, kind: ErrorKind):
    """Not a stream, an empty one, one that breaks off, stalls or never begins."""
    timeouts = QUICK if kind == "timeout" else None
    async with OpenAIServer(reply) as server, upstream(timeouts=timeouts) as models:
        with pytest.raises(UpstreamFailure) as caught:
            await streamed(models, at(server.url))
    assert caught.value.kind == kind


async def test_a_stream_passes_byte_for_byte():
    """What the upstream sent is what the client gets, comments and all."""
    events = [
        b": waiting\n\n",
        b'data: {"choices":[{"delta":{"content":"x"},"index":0}],  "odd":true}\n\n',
        b'event: custom\r\ndata: {"choices": []}\r\n\r\n',
        b"data: [DONE]\n\n",
    ]
    async with OpenAIServer(Reply(events=events)) as server, upstream() as models:
        chunks = await streamed(models, at(server.url))
    assert [chunk.raw for chunk in chunks] == events


async def test_a_stream_may_end_with_its_finish_reason():
    """Servers that send no [DONE] are complete once a choice says why it ended."""
    events = [b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n']
    async with OpenAIServer(Reply(events=events)) as server, upstream() as models:
        assert len(await streamed(models, at(server.url))) == 1


async def test_closing_a_stream_ends_the_upstream_call():
    """The model stops working for a reader that has left."""
    async with OpenAIServer(Reply("a b c", between=5)) as server, upstream() as models:
        stream = await models.stream(at(server.url), {**BODY, "stream": True})
        await stream.aclose()
        await asyncio.wait_for(server.client_left.wait(), 60)


async def test_a_replica_that_is_down_is_passed_over():
    """With two servers for a model, the one that refuses connections costs no request."""
    async with OpenAIServer() as server, upstream() as models:
        for _ in range(4):
            await models.complete(at(NOWHERE, server.url), BODY)
        with pytest.raises(UpstreamFailure, match="cannot be reached"):
            await models.complete(at(NOWHERE, NOWHERE), BODY)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("streams", [False, True])
async def test_an_overloaded_replica_is_replaced_by_another(status: int, *, streams: bool):
    """Before the first byte, when the status says that nothing was generated."""
    bad, good = OpenAIServer(Reply(status=status)), OpenAIServer()
    async with bad, good, upstream() as models:
        for _ in range(6):
            call = streamed if streams else lambda m, e: m.complete(e, BODY)
            await call(models, at(bad.url, good.url))
    assert 1 <= len(bad.requests) <= 3
    assert len(good.requests) == 6


@pytest.mark.parametrize("reply", [Reply(status=500), Reply(status=400), Reply(body=b"x")])
async def test_what_another_replica_would_not_do_better_is_not_tried_there(reply: Reply):
    """A server's own error, the request's and a spoilt answer go no rounds."""
    async with OpenAIServer(reply) as one, OpenAIServer(reply) as other, upstream() as models:
        with pytest.raises(UpstreamFailure):
            await models.complete(at(one.url, other.url), BODY)
    assert len(one.requests) + len(other.requests) == 1


async def test_retries_end_with_their_budget():
    """An outage of all replicas is not multiplied: few requests are sent twice."""
    busy = Reply(status=503)
    policy = BalancePolicy(reserve=2, failures=10_000)
    async with OpenAIServer(busy) as one, OpenAIServer(busy) as other:
        made = Upstream(secret={}.get, openrouter_base_url=NOWHERE, balance=policy)
        async with made as models:
            made._lane(at(one.url, other.url)).pool.budget._clock = lambda: 0.0
            for _ in range(20):
                with pytest.raises(UpstreamFailure):
                    await models.complete(at(one.url, other.url), BODY)
    sent = len(one.requests) + len(other.requests)
    assert 20 < sent <= 20 + 2 + 4
    assert made.retries == sent - 20  # also when its connections are gone


async def test_the_less_busy_replica_gets_the_call():
    """A slow server holds its call while the quick one works on."""
    slow, quick = OpenAIServer(Reply(latency=60)), OpenAIServer()
    async with slow, quick, upstream() as models:
        place = at(slow.url, quick.url)
        calls = [asyncio.create_task(models.complete(place, BODY)) for _ in range(2)]
        await settled(lambda: bool(slow.requests and quick.requests))
        for _ in range(5):
            await models.complete(place, BODY)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert (len(slow.requests), len(quick.requests)) == (1, 6)


async def test_replicas_take_turns():
    """Two servers of one model share its requests."""
    async with OpenAIServer() as one, OpenAIServer() as other, upstream() as models:
        for _ in range(10):
            await models.complete(at(one.url, other.url), BODY)
    assert len(one.requests) == len(other.requests) == 5


async def test_a_connection_that_went_stale_costs_no_request():
    """A restarted server has closed the pool's idle connection: the call is made anew."""
    async with upstream() as models:
        async with OpenAIServer(port=free_port()) as first:
            await models.complete(at(first.url), BODY)
        async with OpenAIServer(port=first.port):
            await models.complete(at(first.url), BODY)


async def test_many_calls_share_few_connections():
    """More calls at a time than connections are allowed: they wait and are all answered."""
    async with OpenAIServer(Reply(latency=0.01)) as server:
        models = Upstream(secret={}.get, openrouter_base_url=server.url, connections=2)
        async with models:
            answers = await asyncio.gather(
                *(models.complete(Endpoint(MODEL), BODY) for _ in range(20))
            )
    assert len(answers) == 20


async def test_an_upstream_is_used_inside_its_context_only():
    """Before and after, calls raise at once instead of leaking connections."""
    models = Upstream(secret={}.get, openrouter_base_url=NOWHERE, timeouts=QUICK)
    with pytest.raises(RuntimeError, match="async with"):
        await models.complete(Endpoint(MODEL), BODY)
    with pytest.raises(RuntimeError, match="async with"):
        _ = models.loop


def test_the_default_timeouts_let_a_model_think():
    """A first byte may take minutes, a connection may not."""
    limits = Timeouts()
    assert limits.connect < limits.idle <= limits.first_byte < limits.total


async def test_ways_to_models_that_are_gone_are_forgotten():
    """Models come and go with every rollout; what is known of their servers stays bounded."""
    async with upstream() as models:
        for n in range(3000):
            models._lane(Endpoint(f"m{n}", "self_hosted", (NOWHERE,)))
        assert len(models._lanes) <= 1024
