"""The floor of our gateway: aiohttp's server and client with nothing between them but the split.

Reads the request's JSON, replaces the model, forwards, passes the answer on. No sticky tasks, no
breaker, no validation, no outcome, no token. Ends when its standard input does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys

import aiohttp
from aiohttp import web
from contest.driver import CANDIDATE, STABLE, STABLE_SHARE

_JSON = {"Content-Type": "application/json"}


class Forwarder:
    """Forwards chat requests to one upstream."""

    def __init__(self, http: aiohttp.ClientSession, upstream: str) -> None:
        self._http = http
        self._url = f"{upstream}/chat/completions"

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Forward, whole or streamed."""
        body = json.loads(await request.read())
        (body["model"],) = random.choices(  # noqa: S311 - a split
            [STABLE, CANDIDATE], [STABLE_SHARE, 100 - STABLE_SHARE]
        )
        async with self._http.post(self._url, data=json.dumps(body), headers=_JSON) as answer:
            if not body.get("stream"):
                raw = await answer.read()
                return web.Response(body=raw, status=answer.status, headers=_JSON)
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            async for part in answer.content.iter_any():
                await response.write(part)
            await response.write_eof()
            return response


async def serve(upstream: str, port: int) -> None:
    """Serve until standard input ends."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", Forwarder(http, upstream).chat)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.to_thread(sys.stdin.buffer.read)
        await runner.cleanup()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("upstream", help="base URL up to /v1")
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    asyncio.run(serve(given.upstream, given.port))


if __name__ == "__main__":
    main()
