"""Whether requests should come: while draining, and while nobody would judge by them."""

import asyncio
from dataclasses import dataclass

import aiohttp
import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import STABLE, TOKEN, MemorySink, ask, gateway, routing_table, settled

from agent_orchestrator.errors import ModelsYamlError, StorageError
from agent_orchestrator.serving.gateway import drain
from agent_orchestrator.serving.outcome_log import OutcomeLog
from agent_orchestrator.serving.readiness import Readiness


@dataclass
class Parts:
    """What readiness looks at."""

    last_error: ModelsYamlError | None = None
    failure: str = ""
    failing_since: float | None = None


@pytest.mark.parametrize(("since", "ready"), [(None, True), (41.0, True), (39.0, False)])
def test_a_store_that_fails_for_long_keeps_requests_away(since: float | None, ready: bool):
    """A short failure is nobody's business; a long one says for how long."""
    parts = Parts(failing_since=since)
    reasons = Readiness(parts, parts, store_patience=60.0, timer=lambda: 100.0).reasons()
    assert reasons == ([] if ready else ["outcomes cannot be stored for 61 s"])


def test_a_broken_table_is_a_problem_but_no_reason():
    """The last good one serves."""
    readiness = Readiness(Parts(last_error=ModelsYamlError("x")), Parts())
    assert readiness.problems() == ["models.yaml is broken; the last good table serves"]
    assert readiness.reasons() == []


async def test_a_log_knows_since_when_its_store_fails():
    """From the first failure in a row to the first success."""
    sink = MemorySink(fault=StorageError("full"))
    async with (
        OpenAIServer() as server,
        gateway(routing_table({STABLE: server.url}), sink=sink) as running,
    ):
        log: OutcomeLog = running.log
        assert log.failing_since is None
        await running.chat()
        with pytest.raises(StorageError):
            await log.flush()
        assert log.failing_since is not None
        sink.fault = None
        await log.flush()
        assert log.failing_since is None


async def test_a_gateway_that_drains_answers_what_it_heard_and_says_goodbye():
    """/ready turns 503, nobody is let in any more, requests under way and kept connections end."""
    arrived = asyncio.Event()

    def late(_body: object) -> Reply:
        arrived.set()
        return Reply("late", latency=3.2)

    async with (
        OpenAIServer(late) as server,
        gateway(routing_table({STABLE: server.url})) as running,
    ):
        ready, _ = await asyncio.gather(running.http.get("/ready"), running.http.get("/health"))
        assert (ready.status, await ready.json()) == (200, {"status": "ready", "reasons": []})
        call = asyncio.create_task(running.chat())
        await arrived.wait()
        draining = asyncio.create_task(drain(running.runner, notice_seconds=3.0))
        await settled(lambda: not running.runner.sites)
        said = await running.http.get("/ready")
        assert (said.status, said.headers["Connection"]) == (503, "close")
        assert "draining" in (await said.json())["reasons"][0]
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as other:
            with pytest.raises(aiohttp.ClientConnectorError):
                await other.post(f"{running.url}/v1/chat/completions", json=ask())
        answer = await call
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        await draining
    assert len(running.sink.outcomes) == 1
