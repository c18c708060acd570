"""Direct calls with httpx, beside direct calls with aiohttp."""

from __future__ import annotations

import argparse
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import httpx
from contest.driver import DIRECT, MESSAGES, Driver, run, sent_at
from contest.drivers.aiohttp_calls import AiohttpCalls, session


class HttpxCalls:
    """Calls to the upstream with a client of its own."""

    client = f"httpx {httpx.__version__}"

    def __init__(self, http: httpx.AsyncClient, upstream: str) -> None:
        self._http = http
        self._url = f"{upstream}/chat/completions"

    async def call(self) -> None:
        """Call the upstream."""
        response = await self._http.post(self._url, json={"model": DIRECT, "messages": MESSAGES})
        assert response.raise_for_status().json()["choices"]

    async def call_stream(self) -> int:
        """Call the upstream for a stream; return when its first word came after its sending, ns."""
        body = {"model": DIRECT, "messages": MESSAGES, "stream": True}
        seen, lag = bytearray(), None
        async with self._http.stream("POST", self._url, json=body) as response:
            async for part in response.raise_for_status().aiter_bytes():
                now = time.monotonic_ns()
                seen += part
                if lag is None and (begun := sent_at(seen)) is not None:
                    lag = now - begun
        if lag is None:
            raise RuntimeError(f"no first word in {bytes(seen)!r}")
        return lag


def client() -> httpx.AsyncClient:
    """Return a client without a limit to its connections."""
    return httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None))


class HttpxBesideAiohttp(AiohttpCalls):
    """The contestant is httpx itself."""

    def __init__(self, aio: aiohttp.ClientSession, http: httpx.AsyncClient, upstream: str) -> None:
        super().__init__(aio, upstream)
        self._calls = HttpxCalls(http, upstream)

    async def through(self, task_id: str) -> None:
        """Call the upstream with httpx."""
        await self._calls.call()

    async def through_stream(self, task_id: str) -> int:
        """Call the upstream with httpx for a stream."""
        return await self._calls.call_stream()


@asynccontextmanager
async def enter(given: argparse.Namespace) -> AsyncIterator[Driver]:
    """Make the driver."""
    async with session() as aio, client() as http:
        yield HttpxBesideAiohttp(aio, http, given.upstream)


if __name__ == "__main__":
    run(enter)
