"""The gateway as its clients see it: over real sockets, with the real ``openai`` client too."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import openai
import pytest
from aiohttp import ClientSession, web
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import (
    AGENT,
    CANDIDATE,
    PATIENT,
    QUICK,
    STABLE,
    TOKEN,
    Gateway,
    MemorySink,
    Tables,
    ask,
    gateway,
    routing_table,
    settled,
)

from agent_orchestrator.errors import ModelsYamlError, StorageError
from agent_orchestrator.serving.admission import Limits
from agent_orchestrator.serving.breaker import BreakerPolicy
from agent_orchestrator.serving.cache import CachePolicy, ResponseCache
from agent_orchestrator.serving.gateway import create_app, start

TOOL_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "read_file", "arguments": '{"path": "a.py"}'},
}


@asynccontextmanager
async def serving(
    reply: Reply | None = None, **options: Any
) -> AsyncIterator[tuple[Gateway, OpenAIServer]]:
    """Serve the agent from one upstream."""
    async with (
        OpenAIServer(reply or Reply("Hello there")) as server,
        gateway(routing_table({STABLE: server.url}), **options) as running,
    ):
        yield running, server


def alarms(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return all that was said, but by threads that look after services of earlier tests."""
    others = {"chef-traces", "job-log", "job-metrics"}
    return [record.getMessage() for record in caplog.records if record.threadName not in others]


def client_of(running: Gateway, **options: Any) -> openai.AsyncOpenAI:
    """Return OpenAI's own client for the gateway."""
    return openai.AsyncOpenAI(base_url=f"{running.url}/v1", api_key=TOKEN, max_retries=0, **options)


MESSAGES: Any = [{"role": "user", "content": "Hello"}]


async def test_the_openai_client_gets_an_answer():
    """A client needs nothing but the base URL, the token and the agent's name."""
    async with serving() as (running, server), client_of(running) as client:
        raw = await client.chat.completions.with_raw_response.create(
            model=f"agent/{AGENT}", messages=MESSAGES, temperature=0.5
        )
        completion = raw.parse()
        assert completion.choices[0].message.content == "Hello there"
        assert completion.usage.completion_tokens == 2
        assert raw.headers["X-Chef-Arm"] == "stable"
        assert "X-Chef-Version" not in raw.headers, "an unregistered model has no version"
        assert UUID(raw.headers["X-Request-Id"]).version == 4
        assert server.requests[0].body["temperature"] == 0.5
        assert "Authorization" not in server.requests[0].headers, "our token is not the upstream's"
        await running.log.flush()
        assert running.sink.outcomes[0].request_id == raw.headers["X-Request-Id"]


async def test_the_openai_client_streams():
    """Chunks come one by one, with tool calls and usage, until [DONE]."""
    reply = Reply("one two three", tool_calls=[TOOL_CALL])
    async with serving(reply) as (running, _), client_of(running) as client:
        stream = await client.chat.completions.create(
            model=f"agent/{AGENT}",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert text == "one two three"
        calls = [c.choices[0].delta.tool_calls for c in chunks if c.choices]
        assert [c[0].function.name for c in calls if c] == ["read_file"]
        assert chunks[-1].usage.completion_tokens == 3
        await running.log.flush()
        [outcome] = running.sink.outcomes
        assert (outcome.error, outcome.valid_output, outcome.completion_tokens) == (None, True, 3)


async def test_the_openai_client_lists_the_agents():
    """Agents are the gateway's models."""
    async with serving() as (running, _), client_of(running) as client:
        assert [model.id async for model in client.models.list()] == [f"agent/{AGENT}"]


async def test_a_stream_is_not_held_back():
    """The first event reaches the client while the upstream still writes the second."""
    async with serving(Reply("a b", between=0.2)) as (running, _):
        response = await running.chat(stream=True)
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["X-Chef-Arm"] == "stable"
        first = await response.content.readuntil(b"\n\n")
        assert b'"role"' in first
        assert b"[DONE]" not in first
        assert not response.content.at_eof()
        assert b"[DONE]" in await response.read()


async def test_a_cut_stream_ends_with_an_error_event():
    """The client is told; OpenAI's client raises; the outcome says 'cut_off'."""
    async with serving(Reply("a b c", cut_after=3)) as (running, _), client_of(running) as client:
        response = await running.chat(stream=True)
        assert response.status == 200
        last = (await response.text()).strip().rpartition("data: ")[2]
        error = json.loads(last)["error"]
        assert (error["type"], error["code"]) == ("upstream_error", "cut_off")
        assert STABLE in error["message"]
        with pytest.raises(openai.APIError, match="broke off"):
            async for _ in await client.chat.completions.create(
                model=f"agent/{AGENT}", messages=MESSAGES, stream=True
            ):
                pass
        await running.log.flush()
        assert [outcome.error for outcome in running.sink.outcomes] == ["cut_off"] * 2


@pytest.mark.parametrize("streams", [False, True])
async def test_a_client_that_leaves_ends_the_upstream_call(
    caplog: pytest.LogCaptureFixture, *, streams: bool
):
    """No model works for nobody, the arm is not blamed for it, and nobody is alarmed."""
    reply = Reply("a b c d", between=0.25) if streams else Reply(latency=60)
    async with serving(reply) as (running, server):
        if streams:
            response = await running.chat(stream=True)
            response.close()
        else:
            call = asyncio.create_task(running.chat())
            await settled(lambda: bool(server.requests))
            call.cancel()
            await asyncio.wait([call])
        await asyncio.wait_for(server.client_left.wait(), 60)
        await running.log.flush()
        assert [outcome.error for outcome in running.sink.outcomes] == ["abandoned"]
    assert alarms(caplog) == []


async def test_a_task_is_found_where_clients_put_it():
    """Header first, then metadata, then the user field, then the request itself."""
    async with serving() as (running, _):
        tagged = {"task_id": "from-task", "thread_id": "from-thread"}
        await running.chat(headers={"X-Task-Id": "from-header"}, metadata=tagged, user="u")
        await running.chat(metadata=tagged, user="u")
        await running.chat(metadata={"thread_id": "from-thread"}, user="u")
        await running.chat(user="u", metadata=None)
        response = await running.chat()
        await running.log.flush()
        assert [outcome.task_id for outcome in running.sink.outcomes] == [
            "from-header",
            "from-task",
            "from-thread",
            "u",
            response.headers["X-Request-Id"],
        ]


async def test_a_request_id_is_the_clients_once():
    """A client's UUID is used; the same one again, and anything else, is replaced."""
    own = str(uuid4())
    async with serving() as (running, _):
        given = [
            (await running.chat(headers={"X-Request-Id": proposed})).headers["X-Request-Id"]
            for proposed in (own, own, "not-a-uuid")
        ]
        await running.log.flush()
    assert given[0] == own
    assert len(set(given)) == 3
    assert all(map(UUID, given))
    assert [outcome.request_id for outcome in running.sink.outcomes] == given


async def test_feedback_is_kept_by_request_id():
    """A score or a thumb, with its source, even right after the answer."""
    async with serving() as (running, _):
        ids = [(await running.chat()).headers["X-Request-Id"] for _ in range(3)]
        bodies = (
            {"request_id": ids[0], "score": 0.25, "source": "tests"},
            {"request_id": ids[1], "thumbs": "up"},
            {"request_id": ids[2], "thumbs": "down", "source": "review"},
        )
        for body in bodies:
            response = await running.http.post("/v1/feedback", json=body)
            assert response.status == 200
            assert (await response.json())["request_id"] == body["request_id"]
    kept = [(f.request_id, f.score, f.source) for f in running.sink.feedback]
    assert kept == [(ids[0], 0.25, "tests"), (ids[1], 1.0, "user"), (ids[2], 0.0, "review")]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"request_id": "unknown", "score": 1}, 404, "unknown"),
        ({"request_id": "r"}, 400, "score"),
        ({"request_id": "r", "score": 1, "thumbs": "up"}, 400, "either"),
        ({"request_id": "r", "score": 1.5}, 400, "score"),
        ({"request_id": "r", "score": True}, 400, "score"),
        ({"request_id": "r", "thumbs": "sideways"}, 400, "thumbs"),
        ({"request_id": "r", "score": 1, "mood": "good"}, 400, "mood"),
        ({"score": 1}, 400, "request_id"),
        ([], 400, "object"),
    ],
)
async def test_bad_feedback_is_refused(body: object, status: int, said: str):
    """The field at fault is named."""
    async with serving() as (running, _):
        response = await running.http.post("/v1/feedback", json=body)
        assert response.status == status
        assert said in (await response.json())["error"]["message"]
    assert running.sink.feedback == []


async def test_a_failing_store_refuses_feedback_but_not_requests():
    """Requests are answered, /health says what is wrong, feedback is asked for again."""
    sink = MemorySink(fault=StorageError("Disk full."))
    async with serving(sink=sink) as (running, _):
        response = await running.chat()
        feedback = {"request_id": response.headers["X-Request-Id"], "score": 1}
        refused = await running.http.post("/v1/feedback", json=feedback)
        assert (response.status, refused.status) == (200, 503)
        health = await (await running.http.get("/health")).json()
        assert (health["status"], health["outcomes_waiting"]) == ("degraded", 1)
        sink.fault = None
        assert (await running.http.post("/v1/feedback", json=feedback)).status == 200


@pytest.mark.parametrize(
    ("changes", "status", "code", "param"),
    [
        ({"model": "agent/nobody"}, 404, "model_not_found", None),
        ({"model": STABLE}, 404, "model_not_found", "model"),
        ({"model": None}, 404, "model_not_found", "model"),
        ({"messages": []}, 400, "invalid_request", "messages"),
        ({"messages": "hi"}, 400, "invalid_request", "messages"),
        ({"stream": "yes"}, 400, "invalid_request", "stream"),
        ({"user": "x" * 300}, 400, "invalid_request", "metadata.task_id"),
        ({"metadata": {"task_id": 7}}, 400, "invalid_request", "metadata.task_id"),
    ],
)
async def test_a_bad_request_is_refused_in_openais_form(
    changes: dict[str, Any], status: int, code: str, param: str | None
):
    """One error object with message, type, code and param; the upstream is not called."""
    async with serving() as (running, server):
        response = await running.chat(**changes)
        error = (await response.json())["error"]
        assert response.status == status
        assert (error["type"], error["code"]) == ("invalid_request_error", code)
        assert error["param"] == param
        assert UUID(response.headers["X-Request-Id"])
        assert server.requests == []


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b"\xff", b"3", b"[NaN]"])
async def test_a_body_that_is_no_json_object_is_refused(raw: bytes):
    """Whatever the bytes are, the answer is 400."""
    async with serving() as (running, _):
        response = await running.http.post("/v1/chat/completions", data=raw)
        assert response.status == 400
        assert "JSON" in (await response.json())["error"]["message"]


async def test_an_oversized_body_is_refused():
    """A body above the limit ends with 413, whether or not it declares its length."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 1000

    async with serving(limits=Limits(body_bytes=5000)) as (running, _):
        for data in (b"x" * 10_000, endless()):
            response = await running.http.post("/v1/chat/completions", data=data)
            assert response.status == 413
            assert (await response.json())["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \udcff"],
)
async def test_without_the_token_nothing_is_served(authorization: str):
    """Only /health is open."""
    async with serving() as (running, server), ClientSession(running.url) as stranger:
        headers = {"Authorization": authorization} if authorization else {}
        for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models")):
            response = await stranger.request(method, path, json=ask(), headers=headers)
            assert response.status == 401
            assert "Bearer" in (await response.json())["error"]["remedy"]
        assert (await stranger.get("/health")).status == 200
        assert server.requests == []


async def test_the_schemes_name_may_be_in_any_case():
    """RFC 9110: authentication schemes are case-insensitive."""
    async with serving() as (running, _), ClientSession(running.url) as client:
        headers = {"Authorization": f"bearer {TOKEN}"}
        assert (await client.get("/v1/models", headers=headers)).status == 200


async def test_no_token_is_needed_when_told_so():
    """An embedded gateway may be open to everybody on this machine."""
    async with serving(token=None) as (running, _), ClientSession(running.url) as client:
        assert (await client.post("/v1/chat/completions", json=ask())).status == 200


async def test_a_request_that_the_upstream_refuses_is_passed_on():
    """The client reads the upstream's own words."""
    async with serving(Reply("prompt too long", status=400)) as (running, _):
        response = await running.chat()
        assert response.status == 400
        assert (await response.json())["error"]["message"] == "prompt too long"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error": "x"}', b"[" * 100_000])
async def test_a_refusal_without_openais_form_gets_it(body: bytes):
    """Whatever the upstream sends, the client gets an error object."""
    async with serving(Reply(status=422, body=body)) as (running, _):
        response = await running.chat()
        assert response.status == 422
        assert STABLE in (await response.json())["error"]["message"]


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [(Reply(status=500), 502, "status"), (Reply(latency=5), 504, "timeout")],
)
async def test_no_answer_from_any_arm_is_a_gateway_error(reply: Reply, status: int, code: str):
    """502 or 504, with what was tried."""
    async with serving(reply, timeouts=QUICK) as (running, _):
        response = await running.chat()
        error = (await response.json())["error"]
        assert (response.status, error["code"]) == (status, code)
        assert STABLE in error["message"]


async def test_an_open_breaker_says_when_to_come_back():
    """503 with Retry-After while nothing may be called."""
    policy = BreakerPolicy(minimum=2, cooldown_seconds=30)
    async with serving(Reply(status=500), breaker=policy) as (running, server):
        for _ in range(2):
            assert (await running.chat()).status == 502
        response = await running.chat()
        assert response.status == 503
        assert 1 <= int(response.headers["Retry-After"]) <= 31
        assert len(server.requests) == 2


async def test_errors_of_http_have_openais_form():
    """An unknown path and a wrong method are JSON errors too."""
    async with serving() as (running, _):
        for response in (
            await running.http.get("/v1/nowhere"),
            await running.http.delete("/v1/models"),
        ):
            error = (await response.json())["error"]
            assert response.status in {404, 405}
            assert error["code"] in {"not_found", "method_not_allowed"}


async def test_a_bug_is_answered_with_500_and_logged(caplog: pytest.LogCaptureFixture):
    """The client learns that it is not its fault; the log has the traceback."""
    async with serving() as (running, _):
        running.tables.current = None
        response = await running.chat()
        assert response.status == 500
        assert (await response.json())["error"]["type"] == "server_error"
    assert "Traceback" in caplog.text


async def test_health_tells_of_a_broken_table():
    """The last good table serves; /health says so without saying where the file is."""
    async with serving() as (running, _):
        assert (await (await running.http.get("/health")).json())["status"] == "ok"
        running.tables.last_error = ModelsYamlError("/secret/path is broken")
        health = await (await running.http.get("/health")).json()
        assert health["status"] == "degraded"
        assert "secret" not in json.dumps(health)


class Unsteady(Tables):
    """Tables whose watch breaks off once, and then goes on."""

    def __init__(self, table: Any) -> None:
        super().__init__(table)
        self.watches = 0
        self.again = asyncio.Event()

    async def watch(self) -> None:
        """Break off the first time."""
        self.watches += 1
        if self.watches == 1:
            raise OSError("no more watches")
        self.again.set()
        await super().watch()


async def test_following_the_table_begins_again_when_it_breaks_off():
    """A rollback must reach this process, whatever happened to its watch before."""
    tables = Unsteady(routing_table({}))
    async with gateway(tables):
        await asyncio.wait_for(tables.again.wait(), 5)
    assert tables.watches == 2


async def test_shutdown_lets_requests_end_and_keeps_their_outcomes():
    """Requests under way are answered; nothing recorded is lost."""
    arrived = asyncio.Event()

    def answer(_: Mapping[str, Any]) -> Reply:
        arrived.set()
        return Reply("late", latency=0.3)

    async with (
        OpenAIServer(answer) as server,
        gateway(routing_table({STABLE: server.url})) as running,
    ):
        call = asyncio.create_task(running.chat())
        await asyncio.wait_for(arrived.wait(), 60)
        await running.runner.cleanup()
        assert (await call).status == 200
    assert len(running.sink.outcomes) == 1


async def test_a_taken_port_is_an_error_that_leaves_nothing_behind():
    """The application that could not start is cleaned up."""
    async with serving() as (running, _):
        port = int(running.url.rpartition(":")[2])
        app = create_app(running.router, running.tables, running.log, None)
        app.cleanup_ctx.clear()
        closed = asyncio.Event()

        async def on_cleanup(_: web.Application) -> None:
            closed.set()

        app.on_cleanup.append(on_cleanup)
        with pytest.raises(OSError, match="in use"):
            await start(app, host="127.0.0.1", port=port)
        assert closed.is_set()


def test_the_gateway_loads_neither_langgraph_nor_torch():
    """A fresh interpreter with the gateway has no LangChain, no LangGraph and no torch."""
    code = (
        "import sys, agent_orchestrator.serving.gateway\n"
        "print(sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    loaded = set(json.loads(printed.replace("'", '"')))
    assert "aiohttp" in loaded
    assert not loaded & {"langchain_core", "langgraph", "langsmith", "torch"}


async def test_while_one_arm_is_healthy_no_request_fails():
    """50 clients while one arm dies and comes back: every request is answered."""
    async with OpenAIServer(Reply("s")) as stable, OpenAIServer(Reply("c")) as candidate:
        urls = {STABLE: stable.url, CANDIDATE: candidate.url}
        policy = BreakerPolicy(minimum=5, cooldown_seconds=0.05)
        async with gateway(routing_table(urls, weight=50), breaker=policy) as running:
            answers: list[int] = []

            async def client(name: int) -> None:
                for number in range(12):
                    response = await running.chat(user=f"{name}-{number}", stream=number % 2 == 0)
                    await response.read()
                    answers.append(response.status)

            clients = asyncio.gather(*(client(name) for name in range(50)))
            for reply in (Reply(status=500), Reply(disconnect=True), Reply(cut_after=0), Reply()):
                await asyncio.sleep(0.1)
                candidate.answer_with(reply)
            await clients
            await running.log.flush()
    assert answers == [200] * 600
    keys = [(o.request_id, o.attempt) for o in running.sink.outcomes]
    assert len(keys) == len(set(keys))
    answered = {o.request_id for o in running.sink.outcomes if o.error is None}
    assert len(answered) == 600


async def test_the_realised_split_is_the_one_asked_for():
    """400 tasks at 20 %: within four standard deviations, and each task on one arm."""
    async with OpenAIServer(Reply("s")) as stable, OpenAIServer(Reply("c")) as candidate:
        urls = {STABLE: stable.url, CANDIDATE: candidate.url}
        async with gateway(routing_table(urls, weight=20), breaker=PATIENT) as running:
            seen: dict[str, set[str]] = {}
            for task in [*map(str, range(400)), *map(str, range(100))]:
                response = await running.chat(headers={"X-Task-Id": task})
                arm = response.headers["X-Chef-Arm"]
                assert (
                    response.headers["X-Chef-Version"]
                    == {
                        "stable": "v1.0.0",
                        "candidate": "v1.1.0",
                    }[arm]
                )
                seen.setdefault(task, set()).add(arm)
    assert all(len(arms) == 1 for arms in seen.values())
    on_candidate = sum(arms == {"candidate"} for arms in seen.values())
    assert abs(on_candidate - 80) <= 32


async def test_a_client_that_vanishes_while_it_is_written_to_alarms_nobody(
    caplog: pytest.LogCaptureFixture,
):
    """The connection is gone before the handler hears of it: no traceback in the log."""
    async with serving(Reply(" ".join(["word" * 1000] * 200))) as (running, _):
        for _ in range(20):
            response = await running.chat(stream=True)
            response.connection.transport.abort()
            response.close()
        assert (await running.chat()).status == 200
    assert alarms(caplog) == []


async def test_a_client_says_how_long_it_waits():
    """504 when the time is over; a time that is none is refused."""
    async with (
        OpenAIServer(Reply(latency=60)) as server,
        gateway(routing_table({STABLE: server.url})) as served,
    ):
        answer = await served.chat(headers={"X-Request-Timeout": "0.2"})
        assert answer.status == 504
        assert (await answer.json())["error"]["code"] == "timeout"
        for odd in ("soon", "0", "-1", "nan", "inf"):
            assert (await served.chat(headers={"X-Request-Timeout": odd})).status == 400


async def test_a_kept_answer_says_hit_and_a_client_may_decline_it():
    """X-Chef-Cache, both ways."""
    cache = ResponseCache(CachePolicy(most_bytes=1_000_000), lambda: 0.0)
    async with (
        OpenAIServer(Reply("x")) as server,
        gateway(routing_table({STABLE: server.url}), cache=cache) as served,
    ):
        asked = [{}, {"X-Chef-Cache": "allow"}, {"X-Chef-Cache": "allow"}, {"X-Chef-Cache": "off"}]
        answers = [await served.chat(headers=headers) for headers in asked]
        assert [a.headers.get("X-Chef-Cache") for a in answers] == [None, None, "hit", None]
        assert len(server.requests) == 3
        assert (await served.chat(headers={"X-Chef-Cache": "please"})).status == 400
