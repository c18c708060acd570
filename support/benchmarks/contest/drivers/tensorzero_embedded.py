"""TensorZero's gateway embedded in the caller's process, without a database.

It is written in Rust and brings its own HTTP client, which Python cannot call: compared with direct
calls of aiohttp, the quickest of Python's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from contest.driver import CANDIDATE, MESSAGES, STABLE, STABLE_SHARE, Driver, run
from contest.drivers.aiohttp_calls import AiohttpCalls, session
from tensorzero import AsyncTensorZeroGateway

_CONFIG = """
[gateway]
observability.enabled = false

{models}
[functions.chat]
type = "chat"

[functions.chat.variants.stable]
type = "chat_completion"
model = "stable"

[functions.chat.variants.candidate]
type = "chat_completion"
model = "candidate"

[functions.chat.experimentation]
type = "static"
candidate_variants = {{ stable = {stable}, candidate = {candidate} }}
"""
_MODEL = """
[models.{name}]
routing = ["mock"]

[models.{name}.providers.mock]
type = "openai"
api_base = "{upstream}"
model_name = "{model}"
api_key_location = "none"
"""


class TensorzeroEmbedded(AiohttpCalls):
    """AsyncTensorZeroGateway.inference."""

    def __init__(
        self, http: aiohttp.ClientSession, upstream: str, gateway: AsyncTensorZeroGateway
    ) -> None:
        super().__init__(http, upstream)
        self._gateway = gateway

    async def through(self, task_id: str) -> None:
        """Call the gateway; every call is an episode of its own."""
        given = {"messages": MESSAGES}
        answer = await self._gateway.inference(function_name="chat", input=given)
        assert answer.content[0].text

    async def through_stream(self, task_id: str) -> int:
        """Call the gateway for a stream."""
        given = {"messages": MESSAGES}
        stream = await self._gateway.inference(function_name="chat", input=given, stream=True)
        lag = None
        async for chunk in stream:
            now = time.monotonic_ns()
            if lag is None and chunk.content:
                lag = now - int(chunk.content[0].text)
        if lag is None:
            raise RuntimeError("no first word came")
        return lag


def _config(upstream: str) -> str:
    named = (("stable", STABLE), ("candidate", CANDIDATE))
    models = "".join(_MODEL.format(name=n, model=m, upstream=f"{upstream}/") for n, m in named)
    return _CONFIG.format(
        models=models, stable=STABLE_SHARE / 100, candidate=(100 - STABLE_SHARE) / 100
    )


@asynccontextmanager
async def enter(given: argparse.Namespace) -> AsyncIterator[Driver]:
    """Make the driver."""
    path = given.folder / "tensorzero.toml"
    path.write_text(_config(given.upstream), encoding="utf-8")
    building = AsyncTensorZeroGateway.build_embedded(config_file=str(path))
    async with await building as gateway, session() as http:
        yield TensorzeroEmbedded(http, given.upstream, gateway)


if __name__ == "__main__":
    run(enter)
