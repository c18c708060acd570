"""LangChain's traces and ours are one tree where an agent calls its model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tracers.langchain import LangChainTracer
from langsmith import Client
from tests.doubles.langsmith import KEY, LangSmith
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import (
    AGENT,
    CANDIDATE,
    PATIENT,
    STABLE,
    Recording,
    Tables,
    routing_table,
    upstream,
)

from agent_orchestrator.agents.infrastructure.modelops.tracing.export import (
    TraceDestination,
    TraceExport,
)
from agent_orchestrator.agents.infrastructure.modelops.tracing.redaction import Redaction
from agent_orchestrator.serving.chat_model import RoutedChatModel
from agent_orchestrator.serving.langchain_runs import path_of
from agent_orchestrator.serving.router import Router
from agent_orchestrator.serving.tracing import Tracer, new_id

PROJECT = "agents"


@pytest.fixture
def export(langsmith: LangSmith) -> Iterator[TraceExport]:
    """Return the way of our traces, to another project than LangChain's."""
    made = TraceExport(
        TraceDestination(endpoint=langsmith.url, key=KEY, project="chef"), Redaction([])
    )
    yield made
    made.close(10)


@asynccontextmanager
async def serving(export: TraceExport) -> AsyncIterator[RoutedChatModel]:
    """Serve AGENT's model, traced."""
    async with OpenAIServer(Reply("Hello there")) as server, upstream() as models:
        tables = Tables(routing_table({CANDIDATE: server.url, STABLE: server.url}, weight=100))
        router = Router(tables, models, Recording(), breaker=PATIENT, tracer=Tracer(export))
        yield RoutedChatModel(agent=AGENT, router=router)


@pytest.fixture
def client(langsmith: LangSmith) -> Iterator[Client]:
    """Return the client by which LangChain sends its traces; its thread ends before the service."""
    client = Client(langsmith.url, api_key=KEY)
    yield client
    client.close(timeout=10)


def tracing(client: Client) -> RunnableConfig:
    """Return a config under which LangChain traces."""
    return {"callbacks": [LangChainTracer(project_name=PROJECT, client=client)]}


def check_tree(langsmith: LangSmith, *, streamed: bool = False) -> None:
    """Check that one trace holds the chain, the model's run, our request and its call.

    A stream's request stands beside the model's run: LangChain does not say which one that is.
    """
    [chain] = langsmith.runs_named("work")
    [model] = langsmith.runs_named("RoutedChatModel")
    [request] = langsmith.runs_named(f"agent/{AGENT}")
    [call] = langsmith.runs_named(CANDIDATE)
    parents = [run.get("parent_run_id") for run in (chain, model, request, call)]
    above_request = chain if streamed else model
    assert parents == [None, chain["id"], above_request["id"], request["id"]]
    assert {run["trace_id"] for run in (model, request, call)} == {chain["id"]}
    for above, below in ((chain, model), (above_request, request), (request, call)):
        assert below["dotted_order"].startswith(f"{above['dotted_order']}.")
    projects = {run["session_id"] for run in (chain, model, request, call)}
    assert [langsmith.sessions[project]["name"] for project in projects] == [PROJECT]
    assert metadata(request)["request_id"] == request["id"]
    assert metadata(model).get("request_id") == (None if streamed else request["id"])


def metadata(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a run's metadata."""
    found: Mapping[str, Any] = run["extra"]["metadata"]
    return found


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
async def test_a_request_is_part_of_the_agents_own_trace(
    langsmith: LangSmith, client: Client, export: TraceExport, *, streams: bool
) -> None:
    """Inside a run that LangChain traces, our request and its calls stand below the model's run."""
    config = tracing(client)
    async with serving(export) as model:

        async def work(task: str) -> str:
            if streams:
                return "".join([str(chunk.content) async for chunk in model.astream(task)])
            return str((await model.ainvoke(task)).content)

        chain = RunnableLambda(work)
        assert await chain.ainvoke("Hello", config) == "Hello there"
    client.flush()
    assert export.flush(20)
    check_tree(langsmith, streamed=streams)


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
def test_a_synchronous_agent_is_traced_alike(
    langsmith: LangSmith, client: Client, export: TraceExport, *, streams: bool
) -> None:
    """The router's loop runs in another thread, and knows the run all the same."""
    config = tracing(client)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(export)) as model,
    ):

        def work(task: str) -> str:
            if streams:
                return "".join(str(chunk.content) for chunk in model.stream(task))
            return str(model.invoke(task).content)

        assert RunnableLambda(work).invoke("Hello", config) == "Hello there"
    client.flush()
    assert export.flush(20)
    check_tree(langsmith, streamed=streams)


async def test_without_langchains_tracer_a_request_is_a_trace_of_its_own(
    langsmith: LangSmith, export: TraceExport
) -> None:
    """Nothing is above it, and it goes to our project."""
    async with serving(export) as model:
        await RunnableLambda(lambda task: task).ainvoke("Hello")
        await model.ainvoke("Hello")
    assert export.flush(20)
    [request] = langsmith.runs_named(f"agent/{AGENT}")
    assert request.get("parent_run_id") is None
    assert request["trace_id"] == request["id"]
    assert langsmith.sessions[request["session_id"]]["name"] == "chef"


@given(st.lists(st.integers(10**15, 2 * 10**15), min_size=1, max_size=4))
def test_the_order_of_a_run_is_read_as_it_is_written(moments: list[int]) -> None:
    """To the microsecond: LangSmith takes a child whose path differs from its parent's for lost."""
    parts = []
    for micros in moments:
        at = datetime.fromtimestamp(micros // 10**6, UTC).replace(microsecond=micros % 10**6)
        parts.append(f"{at:%Y%m%dT%H%M%S%fZ}{new_id(micros / 10**6)}")
    order = ".".join(parts)
    steps = path_of(order)
    written = (f"{datetime.fromtimestamp(s.begun, UTC):%Y%m%dT%H%M%S%fZ}{s.id}" for s in steps)
    assert ".".join(written) == order
