"""The model server's door: what it takes, refuses and streams, whatever answers behind it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from agent_orchestrator.trainer.generation import (
    Artifacts,
    BadPromptError,
    Generation,
    PromptTooLongError,
    Update,
)
from agent_orchestrator.trainer.model_server import create_app

ASKED: dict[str, Any] = {
    "model": "owner/model",
    "messages": [{"role": "user", "content": "Which defect?"}],
}
Pieces = Sequence[Update | Exception]
ANSWER = (Update("bare", 7, 1), Update("_except", 7, 2), Update("", 7, 2, "stop"))


class Scripted:
    """Answers every request with the same pieces, from a thread as the decoder does."""

    def __init__(self, pieces: Pieces = ANSWER, *, full: bool = False) -> None:
        self.pieces = pieces
        self.full = full
        self.seen: list[Generation] = []
        self.came = threading.Event()

    def submit(self, generation: Generation) -> bool:
        """Emit the pieces."""
        if self.full:
            return False
        self.seen.append(generation)
        self.came.set()
        threading.Thread(target=lambda: [generation.emit(piece) for piece in self.pieces]).start()
        return True


Connect = Callable[[Scripted], Any]


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Connect]:
    """Return a function that gives a client of a server with these answers."""
    (tmp_path / "owner" / "model").mkdir(parents=True)
    (tmp_path / "owner" / "model" / "config.json").write_text("{}")
    clients = []

    async def start(answers: Scripted) -> TestClient[Any, Any]:
        client = TestClient(TestServer(create_app(Artifacts(tmp_path), answers)))
        await client.start_server()
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()


async def complete(client: Any, **changes: Any) -> tuple[int, dict[str, Any]]:
    """Ask for a completion; return status and body."""
    async with client.post("/v1/chat/completions", json={**ASKED, **changes}) as response:
        return response.status, await response.json()


async def test_an_answer_has_openais_form(connect: Connect):
    """Text, finish reason and usage."""
    status, body = await complete(await connect(Scripted()))
    assert status == 200
    assert body["object"] == "chat.completion"
    assert body["model"] == "owner/model"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "bare_except"},
            "finish_reason": "stop",
        }
    ]
    assert body["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


async def test_a_streamed_answer_comes_in_pieces(connect: Connect):
    """Server-sent events, the usage at the end when it is asked for, then [DONE]."""
    client = await connect(Scripted())
    asked = {**ASKED, "stream": True, "stream_options": {"include_usage": True}}
    async with client.post("/v1/chat/completions", json=asked) as response:
        assert response.content_type == "text/event-stream"
        text = await response.text()
    events = text.strip().split("\n\n")
    assert all(event.startswith("data: ") for event in events)
    assert events[-1] == "data: [DONE]"
    assert '"content": "bare"' in events[1]
    assert '"finish_reason": "stop"' in events[3]
    assert '"total_tokens": 9' in events[-2]


async def test_what_is_asked_reaches_the_decoder(connect: Connect):
    """Limits, temperature, stop texts and seed; greedy only when temperature is 0."""
    answers = Scripted()
    client = await connect(answers)
    await complete(client, max_tokens=5, temperature=0, stop="\n", seed=0)
    await complete(client, max_completion_tokens=6, stop=["a", "b"])
    first, second = answers.seen
    assert (first.max_tokens, first.temperature, first.stop, first.seed) == (5, 0, ("\n",), 0)
    assert (second.max_tokens, second.temperature) == (6, 1.0)
    assert (second.stop, second.seed) == (("a", "b"), None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": 3}, "model is 3"),
        ({"messages": []}, "messages is []"),
        ({"messages": "hello"}, "messages is 'hello'"),
        ({"messages": [{"role": "user"}]}, "messages is"),
        ({"messages": [{"role": "user", "content": None}]}, "messages is"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_tokens": "5"}, "max_tokens is '5'"),
        ({"max_tokens": True}, "max_tokens is True"),
        ({"max_completion_tokens": -1}, "max_completion_tokens is -1"),
        ({"temperature": 3}, "temperature is 3"),
        ({"temperature": "hot"}, "temperature is 'hot'"),
        ({"stop": 7}, "stop is 7"),
        ({"stop": [""]}, "stop is ['']"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"n": 2}, "n is 2"),
        ({"n": [1]}, "n is [1]"),
        ({"stream_options": 1}, "stream_options is 1"),
        ({"stream": "yes"}, "stream is 'yes'"),
        ({"top_p": 0.5}, "top_p is 0.5"),
        ({"tools": [{"type": "function"}]}, "tools is [{'type': 'function'}]; it must be left out"),
        ({"logprobs": True}, "logprobs is True"),
        ({"response_format": {"type": "json_object"}}, "response_format is"),
    ],
)
async def test_a_wrong_value_is_refused_by_its_name(
    connect: Connect, change: dict[str, Any], said: str
):
    """400 in OpenAI's error form, naming the key and the value."""
    status, body = await complete(await connect(Scripted()), **change)
    assert status == 400
    assert body["error"]["type"] == "invalid_request_error"
    assert said in body["error"]["message"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff"])
async def test_a_body_that_is_no_object_is_refused(connect: Connect, content: bytes):
    """400, never a crash."""
    client = await connect(Scripted())
    async with client.post("/v1/chat/completions", data=content) as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == "bad_json"


async def test_an_unknown_model_is_not_found(connect: Connect):
    """404 with OpenAI's code, and nothing reaches the decoder."""
    answers = Scripted()
    status, body = await complete(await connect(answers), model="../../etc/passwd")
    assert (status, body["error"]["code"]) == (404, "model_not_found")
    assert answers.seen == []


async def test_a_full_queue_asks_to_come_again(connect: Connect):
    """503 with Retry-After."""
    client = await connect(Scripted(full=True))
    async with client.post("/v1/chat/completions", json=ASKED) as response:
        assert response.status == 503
        assert response.headers["Retry-After"] == "1"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PromptTooLongError("too long"), 400, "context_length_exceeded"),
        (BadPromptError("no system role"), 400, "invalid_value"),
        (RuntimeError("broken weights"), 500, "failed"),
    ],
)
async def test_an_error_before_the_first_piece_is_an_http_error(
    connect: Connect, error: Exception, status: int, code: str, stream: bool
):
    """Also of a stream: nothing has been sent yet."""
    found, body = await complete(await connect(Scripted([error])), stream=stream)
    assert (found, body["error"]["code"]) == (status, code)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_generation(tmp_path: Path, stream: bool):
    """The decoder is told within a moment."""
    (tmp_path / "owner" / "model").mkdir(parents=True)
    (tmp_path / "owner" / "model" / "config.json").write_text("{}")
    answers = Scripted([Update("bare", 7, 1)])
    server = TestServer(create_app(Artifacts(tmp_path), answers))
    await server.start_server()
    try:
        async with aiohttp.ClientSession() as session:
            url = server.make_url("/v1/chat/completions")
            asking = asyncio.create_task(session.post(url, json={**ASKED, "stream": stream}))
            assert await asyncio.to_thread(answers.came.wait, 30)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        stopped = await asyncio.to_thread(answers.seen[0].cancelled.wait, 30)
        assert stopped
    finally:
        await server.close()


async def test_health_and_models(connect: Connect):
    """What is there to ask for."""
    client = await connect(Scripted())
    async with client.get("/health") as response:
        assert await response.json() == {"status": "ok"}
    async with client.get("/v1/models") as response:
        assert [model["id"] for model in (await response.json())["data"]] == ["owner/model"]
