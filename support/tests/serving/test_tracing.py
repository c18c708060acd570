"""What a trace says of a request: who answered, every call of a model, and how it ended."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

import anyio.to_thread
import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import (
    AGENT,
    CANDIDATE,
    FALLBACK,
    PATIENT,
    STABLE,
    Recording,
    Tables,
    ask,
    routing_table,
    settled,
    several_arms,
    upstream,
)

from agent_orchestrator.domain.outcomes import Feedback
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.router import NoAnswerError, RoutedStream, Router
from agent_orchestrator.serving.tracing import Span, Tracer, new_id, request_trace_id

REQUEST = str(uuid.UUID(int=7))


class Sink:
    """Keeps the spans of every trace."""

    def __init__(self) -> None:
        self.traces: list[list[Span]] = []
        self.judged: list[Feedback] = []

    def take(self, spans: Sequence[Span]) -> None:
        """Take a trace."""
        self.traces.append(list(spans))

    def judge(self, feedback: Feedback) -> None:
        """Take a judgement."""
        self.judged.append(feedback)

    @property
    def root(self) -> Span:
        """The only trace's root."""
        [[*_, root]] = self.traces
        return root

    @property
    def calls(self) -> list[Span]:
        """The only trace's model calls."""
        [[*calls, _]] = self.traces
        return calls


class Bench:
    """A traced router over three upstreams."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.servers = {m: OpenAIServer(Reply(m)) for m in (STABLE, CANDIDATE, FALLBACK)}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for server in self.servers.values():
            await self._stack.enter_async_context(server)
        self.urls = {model: server.url for model, server in self.servers.items()}
        models = await self._stack.enter_async_context(upstream())
        self.tables = Tables(routing_table(self.urls, weight=100, fallbacks=(FALLBACK,)))
        router = Router(self.tables, models, Recording(), breaker=PATIENT, tracer=Tracer(self.sink))
        self.router = await self._stack.enter_async_context(router)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def complete(self, **changes: Any) -> Any:
        """Send a request."""
        return await self.router.complete(
            AGENT, ask(**changes), task_id="task-1", request_id=REQUEST
        )

    async def stream(self, **changes: Any) -> Any:
        """Send a request for a stream."""
        body = ask(stream=True, **changes)
        return await self.router.stream(AGENT, body, task_id="task-1", request_id=REQUEST)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Return a bench."""
    async with Bench() as made:
        yield made


SERVED = {
    "agent": AGENT,
    "request_id": REQUEST,
    "thread_id": "task-1",
    "model": CANDIDATE,
    "arm": "candidate",
    "model_version": "v1.1.0",
    "rollout_id": "ro_1",
}


def says(span: Span, expected: Mapping[str, Any]) -> bool:
    """Return whether a span's metadata say all of this."""
    return {key: span.metadata.get(key) for key in expected} == expected


async def read(stream: RoutedStream) -> None:
    """Read a stream to its end."""
    async with stream:
        async for _ in stream:
            pass


async def test_an_answer_is_traced_with_who_gave_it(bench: Bench):
    """The root has question and answer; root and call name agent, version, arm and rollout."""
    await bench.complete(temperature=0)
    root, [call] = bench.sink.root, bench.sink.calls
    assert root.inputs == {"messages": ask()["messages"], "temperature": 0}
    assert root.outputs["choices"][0]["message"]["content"] == CANDIDATE
    assert (root.kind, root.error) == ("chain", None)
    assert says(root, SERVED)
    assert (call.kind, call.name, call.error) == ("llm", CANDIDATE, None)
    assert says(call, SERVED | {"attempt": 0, "role": "serve"})
    assert call.metadata["prompt_tokens"]
    assert call.path[0] == root.path[0]
    assert root.path[0].id == uuid.UUID(REQUEST)


async def test_a_failover_shows_both_calls(bench: Bench):
    """The arm that failed has its error, the one that took over its answer."""
    bench.servers[CANDIDATE].answer_with(Reply("broken", status=500))
    await bench.complete()
    assert says(bench.sink.root, {"arm": "stable", "model_version": "v1.0.0"})
    calls = bench.sink.calls
    assert [call.metadata["arm"] for call in calls][-1] == "stable"
    assert calls[0].error == "status"
    assert calls[-1].error is None


async def test_no_answer_is_an_error(bench: Bench):
    """When nobody answers, the root says why."""
    for server in bench.servers.values():
        server.answer_with(Reply("broken", status=500))
    with pytest.raises(NoAnswerError):
        await bench.complete()
    assert "NoAnswerError" in bench.sink.root.error
    assert all(call.error for call in bench.sink.calls)


async def test_a_stream_is_traced_whole(bench: Bench):
    """The chunks of a stream make one answer in the trace."""
    await read(await bench.stream())
    assert bench.sink.root.outputs["choices"][0]["message"]["content"] == CANDIDATE
    assert says(bench.sink.root, SERVED)
    assert len(bench.sink.calls) == 1


async def test_a_reader_that_leaves_is_traced_once(bench: Bench):
    """A stream that nobody read to its end has an error and no answer."""
    bench.servers[CANDIDATE].answer_with(Reply("one two three four", between=0.2))
    async with await bench.stream() as stream:
        await anext(stream)
    root = bench.sink.root
    assert "left" in root.error
    assert root.outputs is None


async def test_a_stream_that_breaks_off_is_an_error(bench: Bench):
    """A cut connection is the root's error."""
    bench.servers[CANDIDATE].answer_with(Reply("one two three four", cut_after=2))
    with pytest.raises(UpstreamFailure):
        await read(await bench.stream())
    assert bench.sink.root.error
    assert bench.sink.root.outputs is None


async def test_a_mirror_follows_its_request(bench: Bench):
    """A copy that is answered later belongs to the same trace."""
    arms = (Arm("stable", STABLE, "v1.0.0", 100), Arm("shadow", CANDIDATE, "v1.1.0", 0, mirror=100))
    bench.tables.current = several_arms(bench.urls, arms)
    await bench.complete()
    await settled(lambda: len(bench.sink.traces) == 2)
    [_, root], [mirrored] = bench.sink.traces
    assert mirrored.metadata["role"] == "mirror"
    assert mirrored.path[0] == root.path[0]


async def test_without_a_tracer_nothing_is_put_together(bench: Bench):
    """A router without a tracer leaves no trace on its requests."""
    async with upstream() as models:
        router = Router(bench.tables, models, Recording())
        await router.complete(AGENT, ask(), task_id="t", request_id=REQUEST)
    assert bench.sink.traces == []


async def test_spans_nest_through_tasks_and_threads():
    """What is opened inside a span, also in its threads, is its child, and comes with it."""
    sink = Sink()
    tracer = Tracer(sink)

    def in_thread() -> None:
        with tracer.span("inner", {}, {}, kind="tool"):
            assert threading.current_thread() is not threading.main_thread()

    async def in_task() -> None:
        await anyio.to_thread.run_sync(in_thread)

    with tracer.span("outer", {"a": 1}, {"agent": AGENT}) as outer:
        await asyncio.create_task(in_task())
        assert sink.traces == []
        outer.outputs = {"b": 2}
    [[inner, root]] = sink.traces
    assert (inner.name, root.name) == ("inner", "outer")
    assert inner.path == (root.path[0], inner.path[1])
    assert root.outputs == {"b": 2}


def test_a_dropped_trace_takes_its_children_with_it():
    """Nothing of a trace is handed on once its root has been dropped."""
    sink = Sink()
    tracer = Tracer(sink)
    with tracer.span("outer", {}, {}) as outer:
        with tracer.span("inner", {}, {}):
            pass
        outer.drop()
    assert sink.traces == []


def test_what_a_block_raises_is_its_error():
    """An exception ends the span as its error, and goes on."""
    sink = Sink()
    with pytest.raises(ValueError, match="no"), Tracer(sink).span("outer", {}, {}):
        raise ValueError("no")
    assert sink.root.error == "ValueError: no"


def test_ids_are_of_version_7_and_sort_by_time():
    """A later id is greater, and all carry RFC 9562's marks."""
    ids = [new_id(at) for at in (1.0, 2.0, 1_800_000_000.0)]
    assert ids == sorted(ids)
    assert {(one.version, one.variant) for one in ids} == {(7, uuid.RFC_4122)}


def test_a_requests_trace_is_known_by_its_id():
    """A UUID is its own trace; any other id gives the same trace each time."""
    assert request_trace_id(REQUEST) == uuid.UUID(REQUEST)
    assert request_trace_id("r-1") == request_trace_id("r-1") != request_trace_id("r-2")
