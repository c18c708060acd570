"""Back-pressure: a bound on what is worked on, a short queue, and a clear no beyond it."""

import asyncio

import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import STABLE, gateway, routing_table, settled

from agent_orchestrator.serving.admission import Admission, Limits, OverloadedError


async def test_the_queue_is_bounded():
    """One is worked on, one waits, the third is told to come back."""
    admission = Admission(Limits(concurrent=1, queue=1, queue_seconds=60))
    order: list[str] = []

    async def work(name: str) -> None:
        async with admission.request():
            order.append(name)

    async with admission.request():
        waiting = asyncio.create_task(work("second"))
        await asyncio.sleep(0)
        assert (admission.in_flight, admission.waiting) == (1, 1)
        with pytest.raises(OverloadedError, match="1 wait"):
            await work("third")
    await waiting
    assert order == ["second"]
    assert (admission.in_flight, admission.waiting, admission.refused) == (0, 0, 1)


async def test_nobody_waits_for_long():
    """Who is not let in after a while is told so; the slot stays whole."""
    admission = Admission(Limits(concurrent=1, queue=5, queue_seconds=0.02))
    async with admission.request():
        with pytest.raises(OverloadedError, match="none ended"):
            async with admission.request():
                raise AssertionError
    async with admission.request():
        assert admission.in_flight == 1


async def test_who_leaves_the_queue_takes_no_slot():
    """A client that gives up while it waits is forgotten."""
    admission = Admission(Limits(concurrent=1, queue=5, queue_seconds=60))

    async def work() -> None:
        async with admission.request():
            pass

    async with admission.request():
        waiting = asyncio.create_task(work())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert admission.waiting == 0
    await work()


async def test_one_agent_cannot_take_every_slot():
    """Its own limit leaves room for the others."""
    admission = Admission(Limits(concurrent=10, per_agent=1, queue=0))
    async with admission.of_agent("docs"), admission.of_agent("cicd"):
        with pytest.raises(OverloadedError, match="'docs'"):
            async with admission.of_agent("docs"):
                raise AssertionError


async def test_a_full_gateway_says_when_to_come_back():
    """503 in OpenAI's form with Retry-After; what was let in is answered."""
    limits = Limits(concurrent=2, queue=0, queue_seconds=1.5)
    arrived = asyncio.Semaphore(0)
    enough = asyncio.Event()

    def slow(_body: object) -> Reply:
        arrived.release()
        return Reply(held=enough)

    async with (
        OpenAIServer(slow) as server,
        gateway(routing_table({STABLE: server.url}), limits=limits) as running,
    ):
        calls = [asyncio.create_task(running.chat(stream=s)) for s in (False, True)]
        await arrived.acquire()
        await arrived.acquire()
        refused = await running.chat()
        error = (await refused.json())["error"]
        assert (refused.status, refused.headers["Retry-After"]) == (503, "2")
        assert (error["type"], error["code"]) == ("server_error", "overloaded")
        assert (await running.http.get("/ready")).status == 200
        enough.set()
        assert [(await call).status for call in calls] == [200, 200]
        assert len(server.requests) == 2


async def test_a_slow_reader_holds_the_upstream_back():
    """What a client does not take is not collected here; at last it is given up."""
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % (b"x" * 60_000)
    limits = Limits(write_seconds=0.5)
    async with (
        OpenAIServer(Reply(events=[event] * 1000)) as server,
        gateway(routing_table({STABLE: server.url}), limits=limits) as running,
    ):
        response = await running.chat(stream=True)
        await asyncio.wait_for(server.client_left.wait(), 60)  # 60 MB were not read ahead
        response.close()
        await settled(lambda: bool(running.sink.outcomes))
        errors = [outcome.error for outcome in running.sink.outcomes]
        assert errors == ["abandoned"], "the arm is not to blame"


async def test_a_body_that_does_not_come_is_given_up():
    """A client cannot hold a slot by sending slowly."""
    done = asyncio.Event()

    async def slow():
        yield b"{"
        await done.wait()

    async with (
        OpenAIServer() as server,
        gateway(routing_table({STABLE: server.url}), limits=Limits(body_seconds=0.1)) as running,
    ):
        response = await running.http.post("/v1/chat/completions", data=slow())
        assert response.status == 408
        assert (await response.json())["error"]["code"] == "request_timeout"
        done.set()


async def test_oversized_headers_are_refused():
    """And the process goes on."""
    async with (
        OpenAIServer() as server,
        gateway(routing_table({STABLE: server.url})) as running,
    ):
        response = await running.http.get("/v1/models", headers={"X-Long": "x" * 100_000})
        assert response.status == 400
        assert (await running.http.get("/v1/models")).status == 200
