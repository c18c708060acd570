"""Direct calls with aiohttp, and the contestants that are called with it over HTTP."""

from __future__ import annotations

import argparse
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from contest.driver import DIRECT, MESSAGES, Driver, run, sent_at


class AiohttpCalls(Driver):
    """Calls to one URL with a session of its own."""

    client = f"aiohttp {aiohttp.__version__}"

    def __init__(self, session: aiohttp.ClientSession, upstream: str) -> None:
        self._session = session
        self._direct_url = f"{upstream}/chat/completions"

    async def direct(self) -> None:
        """Call the upstream."""
        await self._call(self._direct_url, DIRECT, {})

    async def direct_stream(self) -> int:
        """Call the upstream for a stream."""
        return await self._call_stream(self._direct_url, DIRECT, {})

    async def through(self, task_id: str) -> None:
        """Call the upstream as ``direct`` does: the difference is the method's own noise."""
        await self.direct()

    async def through_stream(self, task_id: str) -> int:
        """Call the upstream as ``direct_stream`` does."""
        return await self.direct_stream()

    async def _call(self, url: str, model: str, headers: Mapping[str, str]) -> None:
        body = {"model": model, "messages": MESSAGES}
        async with self._session.post(url, json=body, headers=headers) as response:
            if response.status != 200:
                raise RuntimeError(f"status {response.status}: {await response.text()}")
            assert (await response.json())["choices"]

    async def _call_stream(self, url: str, model: str, headers: Mapping[str, str]) -> int:
        body = {"model": model, "messages": MESSAGES, "stream": True}
        seen, lag = bytearray(), None
        async with self._session.post(url, json=body, headers=headers) as response:
            if response.status != 200:
                raise RuntimeError(f"status {response.status}: {await response.text()}")
            async for part in response.content.iter_any():
                now = time.monotonic_ns()
                seen += part
                if lag is None and (begun := sent_at(seen)) is not None:
                    lag = now - begun
        if lag is None:
            raise RuntimeError(f"no first word in {bytes(seen)!r}")
        return lag


class OverHttp(AiohttpCalls):
    """A contestant that is a server, called by the same session as the upstream."""

    def __init__(self, session: aiohttp.ClientSession, given: argparse.Namespace) -> None:
        super().__init__(session, given.upstream)
        self._url = f"{given.url}/chat/completions"
        self._headers: Mapping[str, str] = given.headers
        self._model: str = given.model

    async def through(self, task_id: str) -> None:
        """Call the server."""
        await self._call(self._url, self._model, {**self._headers, "X-Task-Id": task_id})

    async def through_stream(self, task_id: str) -> int:
        """Call the server for a stream."""
        headers = {**self._headers, "X-Task-Id": task_id}
        return await self._call_stream(self._url, self._model, headers)


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Give a session without cookies and without a limit to its connections."""
    # Idle connections end here first: after 5 seconds uvicorn and Node close them under a request.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    cookies = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=cookies) as made:
        yield made


@asynccontextmanager
async def enter(given: argparse.Namespace) -> AsyncIterator[Driver]:
    """Make the driver: of a server if there is one."""
    async with session() as made:
        yield OverHttp(made, given) if given.url else AiohttpCalls(made, given.upstream)


if __name__ == "__main__":
    run(enter)
