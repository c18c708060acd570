"""The upstream of all contestants: an OpenAI-compatible server with one small, fixed answer.

A process of its own. Prints its port as its first line; ends when its standard input does. A
streamed answer's first word is the monotonic time at which it was sent, in nanoseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

from aiohttp import web

_EVENTS = 6


class Mock:
    """Answers chat requests after ``delay`` seconds and counts them by model."""

    def __init__(self, delay: float, between: float) -> None:
        self._delay = delay
        self._between = between
        self._counts: Counter[str] = Counter()
        self._answers: dict[str, bytes] = {}

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer, whole or streamed."""
        body = json.loads(await request.read())
        model = body["model"]
        self._counts[model] += 1
        if self._delay:
            await asyncio.sleep(self._delay)
        if body.get("stream"):
            return await self._stream(request, model)
        answer = self._answers.get(model) or self._answers.setdefault(model, _whole(model))
        return web.Response(body=answer, content_type="application/json")

    async def _stream(self, request: web.Request, model: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(_EVENTS):
            if number:
                await asyncio.sleep(self._between)
            text = " ok" if number else str(time.monotonic_ns())
            await response.write(_event(model, {"role": "assistant", "content": text}))
        await response.write(_event(model, {}, "stop") + b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def counts(self, _request: web.Request) -> web.Response:
        """Say how many requests each model has had."""
        return web.json_response(self._counts)


def _whole(model: str) -> bytes:
    message = {"role": "assistant", "content": "ok"}
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    }
    return json.dumps(answer).encode()


def _event(model: str, delta: dict[str, Any], finish: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


async def serve(delay: float, between: float) -> None:
    """Serve on a free port of loopback until standard input ends."""
    mock = Mock(delay, between)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/v1/chat/completions", mock.chat)
    app.router.add_get("/counts", mock.counts)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    await runner.cleanup()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="before an answer")
    parser.add_argument("--between-ms", type=float, default=2.0, help="between a stream's events")
    given = parser.parse_args()
    asyncio.run(serve(given.delay_ms / 1000, given.between_ms / 1000))


if __name__ == "__main__":
    main()
