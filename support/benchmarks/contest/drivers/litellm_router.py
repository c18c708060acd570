"""LiteLLM's Router in the caller's process: two deployments of one model, weighted.

Compared with direct calls of httpx, whose interface its own calls go through; the transport that it
puts under that interface is aiohttp's, which is quicker, so this comparison is in its favour.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import litellm
from contest.driver import CANDIDATE, MESSAGES, STABLE, STABLE_SHARE, Driver, run
from contest.drivers.httpx_calls import HttpxCalls, client


class LitellmRouter(Driver):
    """Router.acompletion."""

    client = HttpxCalls.client

    def __init__(self, http: httpx.AsyncClient, upstream: str, router: litellm.Router) -> None:
        self._calls = HttpxCalls(http, upstream)
        self._router = router

    async def direct(self) -> None:
        """Call the upstream."""
        await self._calls.call()

    async def direct_stream(self) -> int:
        """Call the upstream for a stream."""
        return await self._calls.call_stream()

    async def through(self, task_id: str) -> None:
        """Call the router; it knows no tasks."""
        answer = await self._router.acompletion(model="chat", messages=MESSAGES)
        assert answer.choices[0].message.content

    async def through_stream(self, task_id: str) -> int:
        """Call the router for a stream."""
        stream = await self._router.acompletion(model="chat", messages=MESSAGES, stream=True)
        lag = None
        async for chunk in stream:
            now = time.monotonic_ns()
            word = chunk.choices[0].delta.content if chunk.choices else None
            if lag is None and word:
                lag = now - int(word)
        if lag is None:
            raise RuntimeError("no first word came")
        return lag


def deployment(upstream: str, model: str, weight: int) -> dict[str, object]:
    """Return one entry of its model list."""
    place = {"api_base": upstream, "api_key": "none", "weight": weight}
    return {"model_name": "chat", "litellm_params": {"model": f"openai/{model}", **place}}


@asynccontextmanager
async def enter(given: argparse.Namespace) -> AsyncIterator[Driver]:
    """Make the driver."""
    litellm.telemetry = False
    models = [
        deployment(given.upstream, STABLE, STABLE_SHARE),
        deployment(given.upstream, CANDIDATE, 100 - STABLE_SHARE),
    ]
    async with client() as http:
        yield LitellmRouter(http, given.upstream, litellm.Router(model_list=models))


if __name__ == "__main__":
    run(enter)
