"""An OpenAI-compatible upstream on loopback or a unix socket, with the real wire format.

What it answers is a script: a reply, replies in order (the last repeats), or a function of the
request's body.

    async with OpenAIServer(Reply("Hello")) as server:
        server.url  # http://127.0.0.1:49152/v1
        server.requests[0].body["messages"]
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from tests.doubles.runners import end

AGENTS = ("supervisor", "feature_dev", "code_review", "cicd", "documentation", "infrastructure")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, and what goes wrong with it."""

    text: str = "ok"
    _: KW_ONLY
    tool_calls: Sequence[Mapping[str, Any]] = ()
    body: bytes | None = None
    """Sent instead of a completion."""
    events: Sequence[bytes] | None = None
    """Sent instead of a streamed completion's events."""
    content_type: str | None = None
    status: int = 200
    refusal: str | None = None
    """Said instead of ``text``."""
    finish_reason: str | None = None
    """Instead of ``stop`` or ``tool_calls``."""
    pieces: int = 1
    """Deltas that the arguments of each call come in, in a stream; those of several calls mixed."""
    latency: float = 0.0
    """Before anything is sent, seconds."""
    held: asyncio.Event | None = None
    """Nothing is sent before it is set."""
    between: float = 0.0
    """Between two events of a stream, seconds."""
    disconnect: bool = False
    """Close the connection instead of answering."""
    cut_after: int | None = None
    """Events of a stream (bytes of a whole answer) after which the connection is cut."""
    end_after: int | None = None
    """Events after which a stream ends in good order, but unfinished."""


Script = Reply | Sequence[Reply] | Callable[[Mapping[str, Any]], Reply]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came."""

    headers: Mapping[str, str]
    body: Mapping[str, Any]


@dataclass
class OpenAIServer:
    """The server; an async context manager."""

    script: Script = field(default_factory=Reply)
    path: Path | None = None
    """Unix socket; None for a free port of loopback."""
    models: Sequence[str] = tuple(f"acme/{agent}" for agent in AGENTS)
    """What ``GET /v1/models`` lists; it answers to any name."""
    port: int = 0

    requests: list[Seen] = field(default_factory=list)
    client_left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client leaves before its answer is whole."""
    url: str = ""
    """Base URL up to and including ``/v1``."""
    _in_order: Iterator[Reply] | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_get("/v1/models", self._list)
        app.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        if self.path is not None:
            await web.UnixSite(self._runner, str(self.path)).start()
            self.url = "http://local/v1"
        else:
            await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
            self.port = self._runner.addresses[0][1]
            self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(self._runner)

    def answer_with(self, script: Script) -> None:
        """Change what is answered from now on."""
        self.script = script
        self._in_order = None

    def _next(self, body: Mapping[str, Any]) -> Reply:
        if isinstance(self.script, Reply):
            return self.script
        if callable(self.script):
            return self.script(body)
        if self._in_order is None:
            self._in_order = chain(self.script, repeat(self.script[-1]))
        return next(self._in_order)

    async def _list(self, _request: web.Request) -> web.Response:
        entry = {"object": "model", "created": 1_700_000_000, "owned_by": "acme"}
        data = [{"id": model, **entry} for model in self.models]
        return web.json_response({"object": "list", "data": data})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(Seen(dict(request.headers), body))
        if (fault := _fault(body)) is not None:
            return web.json_response({"error": fault}, status=400)
        reply = self._next(body)
        try:
            await asyncio.sleep(reply.latency)
            if reply.held is not None:
                await reply.held.wait()
            if reply.disconnect:
                return _hang_up(request)
            if reply.status != 200:
                error = {"error": {"message": reply.text, "type": "test", "code": reply.status}}
                raw = reply.body if reply.body is not None else json.dumps(error).encode()
                return web.Response(
                    status=reply.status,
                    body=raw,
                    content_type=reply.content_type or "application/json",
                    headers={"Location": "/v1/elsewhere"} if 300 <= reply.status < 400 else None,
                )
            if body.get("stream"):
                return await _send_stream(request, body, reply)
            return await _send_whole(request, body, reply)
        except (asyncio.CancelledError, ConnectionResetError):
            self.client_left.set()
            raise


def _fault(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the error object for what is no conversation."""
    for position, message in enumerate(body["messages"]):
        if not isinstance(message.get("content") or "", str | list):
            param = f"messages[{position}].content"
            text = f"Invalid type for '{param}': expected a string or an array."
            kind = "invalid_request_error"
            return {"message": text, "type": kind, "param": param, "code": "invalid_type"}
    return None


def _hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _send_whole(
    request: web.Request, body: Mapping[str, Any], reply: Reply
) -> web.StreamResponse:
    raw = reply.body if reply.body is not None else json.dumps(_completion(body, reply)).encode()
    if reply.cut_after is None:
        return web.Response(body=raw, content_type=reply.content_type or "application/json")
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(raw)
    await response.prepare(request)
    await response.write(raw[: reply.cut_after])
    return _hang_up(request)


async def _send_stream(
    request: web.Request, body: Mapping[str, Any], reply: Reply
) -> web.StreamResponse:
    kind = reply.content_type or "text/event-stream"
    response = web.StreamResponse(headers={"Content-Type": kind})
    await response.prepare(request)
    events = reply.events if reply.events is not None else list(_events(body, reply))
    for sent, event in enumerate(events):
        if sent == reply.cut_after:
            return _hang_up(request)
        if sent == reply.end_after:
            break
        if sent:
            await asyncio.sleep(reply.between)
        await response.write(event)
    await response.write_eof()
    return response


def _completion(body: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.refusal is not None:
        message |= {"content": None, "refusal": reply.refusal}
    if reply.tool_calls:
        message["tool_calls"] = list(reply.tool_calls)
    reason = reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": _usage(reply),
    }


def _events(body: Mapping[str, Any], reply: Reply) -> list[bytes]:
    """Role, one event a word, why it ended, usage where asked for, ``[DONE]``."""
    words = [word + " " for word in reply.text.split(" ")] if reply.text else []
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in words[:-1]]
    deltas += [{"content": words[-1].rstrip()}] if words else []
    deltas += [{"refusal": reply.refusal}] if reply.refusal is not None else []
    deltas += list(_call_deltas(reply))
    reason = reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")
    choices = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices.append([{"index": 0, "delta": {}, "finish_reason": reason}])
    head = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": body["model"],
    }
    chunks: list[dict[str, Any]] = [{**head, "choices": choice} for choice in choices]
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append({**head, "choices": [], "usage": _usage(reply)})
    return [b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks] + [b"data: [DONE]\n\n"]


def _call_deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    """Yield the calls: whole, or their arguments in pieces after the rest."""
    if reply.pieces == 1:
        yield from ({"tool_calls": [{"index": i, **c}]} for i, c in enumerate(reply.tool_calls))
        return
    for i, call in enumerate(reply.tool_calls):
        begun = {**call["function"], "arguments": ""}
        yield {"tool_calls": [{**call, "index": i, "function": begun}]}
    for piece in range(reply.pieces):
        for i, call in enumerate(reply.tool_calls):
            text = call["function"]["arguments"]
            size = -(-len(text) // reply.pieces)
            part = text[piece * size : (piece + 1) * size]
            yield {"tool_calls": [{"index": i, "function": {"arguments": part}}]}


def _usage(reply: Reply) -> dict[str, int]:
    words = len(reply.text.split())
    return {"prompt_tokens": 7, "completion_tokens": words, "total_tokens": 7 + words}
