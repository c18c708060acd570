"""Which answers are kept, for whom, and for how long."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import AGENT, STABLE, Recording, Tables, ask, routing_table, upstream

from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.serving.cache import CachePolicy, ResponseCache
from agent_orchestrator.serving.completion import Completion
from agent_orchestrator.serving.router import Router
from agent_orchestrator.serving.upstream import Answer
from agent_orchestrator.serving.validation import Usage
from agent_orchestrator.settings import load_settings
from agent_orchestrator.wiring.gateway_process import response_cache

PLACE = Endpoint("m")
POLICY = CachePolicy(most_bytes=10_000, most_entries=3, seconds=60)


def completion(text: str = "x", *, reason: str = "stop", valid: bool = True) -> Completion:
    """Return an answer."""
    data = {"choices": [{"message": {"content": text}, "finish_reason": reason}]}
    return Completion("m", Answer(json.dumps(data).encode(), data), 1.0, valid, Usage(1, 2))


class Kept:
    """A cache and its clock."""

    def __init__(self, policy: CachePolicy = POLICY) -> None:
        self.now = 0.0
        self.cache = ResponseCache(policy, lambda: self.now)

    def put(self, name: str, said: Completion | None = None) -> None:
        """Keep an answer."""
        self.cache.put(name.encode(), said or completion())

    def has(self, name: str) -> bool:
        """Return whether there is one."""
        return self.cache.get(name.encode(), "m") is not None


def test_an_answer_comes_back_as_it_was_until_its_time_is_over():
    """Bytes, words and usage."""
    kept = Kept()
    kept.put("a", completion("hello"))
    found = kept.cache.get(b"a", "m")
    assert (found.text, found.answer.raw) == ("hello", completion("hello").answer.raw)
    assert (found.usage, found.valid_output) == (Usage(1, 2), True)
    kept.now = 60
    assert not kept.has("a")
    assert (len(kept.cache), kept.cache.size, kept.cache.hits, kept.cache.misses) == (0, 0, 1, 1)


def test_the_least_recently_used_goes_first():
    """By number of entries."""
    kept = Kept()
    for name in "abc":
        kept.put(name)
    assert kept.has("a")
    kept.put("d")
    assert [kept.has(name) for name in "abcd"] == [True, False, True, True]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 6000))))
def test_memory_stays_within_its_bound(puts: list[tuple[str, int]]):
    """Whatever comes, in whatever size; an answer that is too large alone is not kept."""
    kept = Kept()
    for name, size in puts:
        kept.put(name, completion("x" * size))
        assert kept.cache.size <= POLICY.most_bytes
        assert len(kept.cache) <= POLICY.most_entries
    sizes = [len(entry.raw) + 512 for entry in kept.cache._entries.values()]
    assert kept.cache.size == sum(sizes)


@pytest.mark.parametrize(
    "said",
    [completion(reason="length"), completion(reason="content_filter"), completion(valid=False)],
)
def test_only_whole_and_valid_answers_are_kept(said: Completion):
    """One that was cut off would be cut off for ever."""
    kept = Kept()
    kept.put("a", said)
    assert not kept.has("a")


def test_the_key_is_what_can_change_the_answer():
    """Order of fields, the client's bookkeeping and streaming do not; all else does."""
    cache = Kept().cache
    body = {**ask(temperature=0), "max_tokens": 5}
    key = cache.key(PLACE, body, "auto")
    same = {**dict(reversed(body.items())), "user": "u", "stream": True, "metadata": {"a": 1}}
    assert cache.key(PLACE, same, "auto") == key
    others = [
        cache.key(PLACE, {**body, "max_tokens": 6}, "auto"),
        cache.key(PLACE, {**body, "unknown_field": 1}, "auto"),
        cache.key(
            PLACE, ask(temperature=0, messages=[{"role": "user", "content": "\ud800"}]), "auto"
        ),
        cache.key(Endpoint("n"), body, "auto"),
        cache.key(Endpoint("m", "self_hosted", ("http://x/v1",)), body, "auto"),
    ]
    assert len({key, *others}) == 6
    assert None not in others


def test_sampled_answers_are_kept_only_where_somebody_allows_it():
    """The client by a request, the operator for all."""
    cache, free = Kept().cache, Kept(CachePolicy(most_bytes=1, sampled=True)).cache
    assert cache.key(PLACE, ask(), "auto") is None
    assert cache.key(PLACE, ask(temperature=0.1), "auto") is None
    assert cache.key(PLACE, ask(), "allow") is not None
    assert free.key(PLACE, ask(), "auto") is not None
    assert free.key(PLACE, ask(temperature=0), "off") is None


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[Router, OpenAIServer]]:
    """A router with a cache, and its upstream."""
    async with OpenAIServer(Reply("a b c")) as server, upstream() as models:
        table = routing_table({STABLE: server.url, "team/candidate": server.url}, **options)
        cache = ResponseCache(CachePolicy(most_bytes=1_000_000), lambda: 0.0)
        yield Router(Tables(table), models, Recording(), cache=cache), server


async def test_a_hit_asks_nobody_and_leaves_no_outcome():
    """Said to be a hit; also replayed as a stream."""
    async with serving() as (router, server):
        body = ask(temperature=0)
        first = await router.complete(AGENT, body, task_id="a", request_id=str(uuid4()))
        again = await router.complete(AGENT, body, task_id="b", request_id=str(uuid4()))
        assert (first.served.cached, again.served.cached) == (False, True)
        assert again.completion.answer.raw == first.completion.answer.raw
        body = {**body, "stream": True}
        stream = await router.stream(AGENT, body, task_id="c", request_id=str(uuid4()))
        async with stream:
            chunks = [chunk async for chunk in stream]
        assert stream.served.cached
        assert b"a b c" in chunks[0].raw
        assert chunks[-1].is_done
        assert len(server.requests) == 1
        recorder: Any = router._tools.recorder
        assert len(recorder.outcomes) == 1


async def test_an_agent_with_a_rollout_is_served_without_the_cache():
    """Verdicts need every request."""
    async with serving(weight=50) as (router, server):
        for _ in range(2):
            routed = await router.complete(AGENT, ask(temperature=0), task_id="t", request_id="r")
            assert not routed.served.cached
        assert len(server.requests) == 2


async def test_what_a_stand_in_said_is_not_kept_for_the_arm():
    """A fallback's answer is not the model's."""
    async with (
        OpenAIServer(Reply(status=500)) as down,
        OpenAIServer() as spare,
        upstream() as models,
    ):
        urls = {STABLE: down.url, "team/fallback": spare.url}
        tables = Tables(routing_table(urls, fallbacks=("team/fallback",)))
        cache = ResponseCache(CachePolicy(most_bytes=1_000_000), lambda: 0.0)
        router = Router(tables, models, Recording(), cache=cache)
        for _ in range(2):
            await router.complete(AGENT, ask(temperature=0), task_id="t", request_id=str(uuid4()))
        assert len(spare.requests) == 2


def test_the_settings_say_whether_there_is_a_cache():
    """None by default."""
    assert response_cache(load_settings({})) is None
    given = load_settings({"CHEF_CACHE_MB": "2", "CHEF_CACHE_SAMPLED": "true"})
    assert response_cache(given)._policy == CachePolicy(most_bytes=2 * 1024 * 1024, sampled=True)
