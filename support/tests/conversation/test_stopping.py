"""Turns that their person stops while an agent works."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.agents.samples import BROKEN, MENDED, sample_repository
from tests.agents.scripts import call
from tests.conversation.conftest import ADA, say, texts
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents._shared.stopping import StopSign
from agent_orchestrator.conversation.events import AgentWorks, Event, Problem
from agent_orchestrator.errors import Stopped
from agent_orchestrator.wiring.orchestrator import Orchestrator, open_orchestrator

SLOW = Reply("word " * 500, between=0.05)
WRITES = call("write_file", path="stats.py", text=MENDED)


@asynccontextmanager
async def working(
    workspace: Workspace, root: Path, *developer: Reply
) -> AsyncIterator[tuple[Orchestrator, OpenAIServer]]:
    """Open an installation whose feature_dev's model answers these, the last one ever after."""
    left = list(developer)
    workspace.variables["CHEF_WORKSPACE"] = str(sample_repository(root))

    def script(body: Mapping[str, Any]) -> Reply:
        if body["model"] == "acme/supervisor":
            piece = {"agent": "feature_dev", "task": "mend it"}
            return call("Route", pieces=[piece], answer="")
        return left.pop(0) if len(left) > 1 else left[0]

    async with OpenAIServer(script) as server:
        workspace.serve_elsewhere(supervisor=server.url, feature_dev=server.url)
        async with open_orchestrator(workspace.settings()) as chef:
            yield chef, server


async def stopped_at(chef: Orchestrator, kind: str) -> list[Event]:
    """Return the events of a turn that is stopped at the first event of a kind."""
    events: list[Event] = []
    async for event in chef.conversation.send("t1", "Mend the mean", ADA):
        events.append(event)
        if event.type == kind or (event.type == "agent" and event.tool == kind):
            assert chef.conversation.stop("t1", "ada")
    return events


async def test_a_model_that_writes_is_cut_off(workspace: Workspace, tmp_path: Path):
    """The upstream sees its client leave, the conversation says who stopped it and goes on."""
    async with working(workspace, tmp_path / "sample", SLOW) as (chef, server):
        events = await stopped_at(chef, "token")
        async with asyncio.timeout(60):
            await server.client_left.wait()
        [problem] = [event for event in events if isinstance(event, Problem)]
        assert (problem.error, problem.message) == ("Stopped", "Stopped by 'ada'.")
        assert events[-1].type == "end"
        assert "is served by" in texts(await say(chef, "list the models of code_review"))


async def test_a_turn_does_not_outlast_its_process(workspace: Workspace, tmp_path: Path):
    """Agents that go on after the others are stopped: who comes back learns what became of it."""
    async with working(workspace, tmp_path / "sample", SLOW) as (chef, server):
        async with aclosing(chef.conversation.send("t1", "Mend the mean", ADA)) as events:
            async for event in events:
                if event.type == "token":
                    break
        await chef.conversation.aclose(grace=0.01)
        async with asyncio.timeout(60):
            await server.client_left.wait()
        told = [event async for event in chef.conversation.listen("t1")]
    assert [event.error for event in told if isinstance(event, Problem)] == ["Stopped"]
    assert told[-1].type == "end"


async def test_a_tool_that_runs_is_finished_and_nothing_is_begun_after_it(
    workspace: Workspace, tmp_path: Path
):
    """The file is written; what the model would have said to it is not waited for."""
    async with working(workspace, tmp_path / "sample", WRITES, SLOW) as (chef, _server):
        events = await stopped_at(chef, "write_file")
    assert (tmp_path / "sample" / "stats.py").read_text() == MENDED
    assert [e.tool for e in events if isinstance(e, AgentWorks)] == [None, "write_file"]
    assert [e.error for e in events if isinstance(e, Problem)] == ["Stopped"]


async def test_who_stops_while_it_is_decided_who_works_sets_nobody_to_work(
    workspace: Workspace, tmp_path: Path
):
    """No agent's model is asked, no file is touched."""
    async with working(workspace, tmp_path / "sample", WRITES) as (chef, server):
        await stopped_at(chef, "said")
        assert "acme/feature_dev" not in [seen.body["model"] for seen in server.requests]
    assert (tmp_path / "sample" / "stats.py").read_text() == BROKEN


async def test_the_infrastructure_agents_model_is_cut_off_too(workspace: Workspace):
    """It looks at nothing more, and proposes nothing."""

    def script(body: Mapping[str, Any]) -> Reply:
        piece = {"agent": "infrastructure", "task": "look"}
        routes = body["model"] == "acme/supervisor"
        return call("Route", pieces=[piece], answer="") if routes else SLOW

    async with OpenAIServer(script) as server:
        workspace.serve_elsewhere(supervisor=server.url, infrastructure=server.url)
        async with open_orchestrator(workspace.settings()) as chef:
            events = await stopped_at(chef, "token")
            async with asyncio.timeout(60):
                await server.client_left.wait()
    assert [event.error for event in events if isinstance(event, Problem)] == ["Stopped"]


async def test_the_sign_cuts_off_what_it_is_asked_to_and_nothing_that_has_ended():
    """What has ended in the same moment has its result; who is cut off has ended before it says."""
    sign = StopSign()
    left = asyncio.Event()

    async def long() -> None:
        try:
            asyncio.get_running_loop().call_soon(sign.give, "bob")
            await asyncio.Event().wait()
        finally:
            left.set()

    with pytest.raises(Stopped, match="Stopped by 'bob'"):
        await sign.unless(long())
    assert left.is_set()
    other = StopSign()

    async def short() -> str:
        other.give("ada")
        return "done"

    assert await other.unless(short()) == "done"


async def test_nothing_is_begun_after_the_sign():
    """Not even up to the first moment at which it would wait."""
    sign = StopSign()
    sign.give("ada")
    begun: list[str] = []

    async def late() -> None:
        begun.append("it")

    with pytest.raises(Stopped, match="Stopped by 'ada'"):
        await sign.unless(late())
    assert begun == []
