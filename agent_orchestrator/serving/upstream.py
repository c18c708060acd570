"""Calls to the OpenAI-compatible servers where the models live.

aiohttp and not httpx: httpx's connection pool collapses under concurrent requests. One session for
the process keeps a pool of connections per server, and one more keeps those of the local model
server's unix socket.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any, Self

import aiohttp

from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.serving import json_bytes
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.http_failures import cut_off, failures_of, refusal
from agent_orchestrator.serving.wire import (
    Chunk,
    WireError,
    read_chunk,
    read_completion,
    split_events,
)

_DEFAULT_KEYS = {"openrouter": "OPENROUTER_API_KEY"}
_LOCAL_URL = "http://local/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long an upstream may take, seconds."""

    connect: float = 5.0
    """Until a connection stands."""
    first_byte: float = 120.0
    """Until a stream's first event with data."""
    idle: float = 60.0
    """Between two reads of a stream."""
    total: float = 600.0
    """The whole call."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole completion."""

    raw: bytes
    """The body as it came."""
    data: Mapping[str, Any]
    """Its JSON, checked by ``wire.read_completion``."""


class Upstream:
    """The way to every model. Belongs to the event loop that entered it (``async with``).

    Args:
        secret: value of an environment variable that holds a key, None when it is not set
            (``Settings.secret``).
        openrouter_base_url: base URL of OpenRouter up to and including ``/v1``.
        local_socket: unix socket of this machine's model server; None when there is none.
        timeouts: limits of every call.
        connections: most connections at a time to one server.
    """

    def __init__(
        self,
        *,
        secret: Callable[[str], str | None],
        openrouter_base_url: str,
        local_socket: Path | None = None,
        timeouts: Timeouts | None = None,
        connections: int = 256,
    ) -> None:
        self._secret = secret
        self._openrouter_base_url = openrouter_base_url
        self._local_socket = local_socket
        self._connections = connections
        limits = timeouts or Timeouts()
        self._first_byte = limits.first_byte
        self._whole = aiohttp.ClientTimeout(
            total=limits.total, connect=limits.connect, sock_connect=limits.connect
        )
        self._streamed = aiohttp.ClientTimeout(
            total=limits.total,
            connect=limits.connect,
            sock_connect=limits.connect,
            sock_read=limits.idle,
        )
        self._turn = count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = AsyncExitStack()
        self._remote: aiohttp.ClientSession | None = None
        self._local: aiohttp.ClientSession | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that entered it."""
        if self._loop is None:
            raise RuntimeError("Upstream is used outside of 'async with'.")
        return self._loop

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        tcp = aiohttp.TCPConnector(limit=0, limit_per_host=self._connections)
        self._remote = await self._closing.enter_async_context(_session(tcp))
        if self._local_socket is not None:
            unix = aiohttp.UnixConnector(str(self._local_socket), limit=self._connections)
            self._local = await self._closing.enter_async_context(_session(unix))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()
        self._loop = self._remote = self._local = None

    async def complete(self, endpoint: Endpoint, body: Mapping[str, Any]) -> Answer:
        """Return the completion of ``body`` with its ``model`` replaced. Raises UpstreamFailure."""
        with failures_of(endpoint.model):
            async with await self._post(endpoint, body, self._whole) as response:
                with cut_off(endpoint.model):
                    raw = await response.read()
            return Answer(raw, read_completion(raw))

    async def stream(self, endpoint: Endpoint, body: Mapping[str, Any]) -> ChunkStream:
        """Return the streamed completion of ``body`` once its first event with data is there.

        Raises UpstreamFailure, here or later from the stream (also when it ends unfinished).
        """
        chunks = self._chunks(endpoint, body)
        head: list[Chunk] = []
        try:
            async with asyncio.timeout(self._first_byte):
                async for chunk in chunks:
                    head.append(chunk)
                    if chunk.data is not None:
                        return ChunkStream(head, chunks)
        except BaseException as error:
            await chunks.aclose()
            if isinstance(error, TimeoutError):
                raise UpstreamFailure(
                    f"{endpoint.model} sent no first byte for {self._first_byte:g} s.",
                    kind="timeout",
                ) from None
            raise
        raise UpstreamFailure(f"{endpoint.model} sent an empty stream.", kind="protocol")

    async def _chunks(
        self, endpoint: Endpoint, body: Mapping[str, Any]
    ) -> AsyncGenerator[Chunk, None]:
        finished = False
        with failures_of(endpoint.model):
            async with await self._post(endpoint, body, self._streamed) as response:
                if response.content_type != "text/event-stream":
                    raise WireError(f"asked for a stream, got {response.content_type!r}")
                with cut_off(endpoint.model):
                    async for event in split_events(response.content.iter_any()):
                        chunk = read_chunk(event)
                        finished = finished or chunk.ends_answer
                        yield chunk
            if not finished:
                raise UpstreamFailure(f"{endpoint.model} broke off its answer.", kind="cut_off")

    async def _post(
        self, endpoint: Endpoint, body: Mapping[str, Any], limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """POST to the endpoint's servers in turn until one can be reached."""
        session, servers = self._servers(endpoint)
        payload = json_bytes.dumps({**body, "model": endpoint.model})
        key_name = endpoint.api_key_env or _DEFAULT_KEYS.get(endpoint.provider)
        key = self._secret(key_name) if key_name else None
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        turn = next(self._turn) % len(servers)
        *others, last = (f"{s.rstrip('/')}/chat/completions" for s in _rotated(servers, turn))
        for url in others:
            try:
                response = await _post_to(session, url, payload, headers, limits)
                break
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                continue
        else:
            response = await _post_to(session, last, payload, headers, limits)
        if response.status == HTTPStatus.OK:
            return response
        async with response:
            missing = f"Set the variable {key_name}." if key_name and not key else ""
            raise await refusal(endpoint.model, response, missing)

    def _servers(self, endpoint: Endpoint) -> tuple[aiohttp.ClientSession, tuple[str, ...]]:
        if self._remote is None:
            raise RuntimeError("Upstream is used outside of 'async with'.")
        if endpoint.provider == "local":
            if self._local is None:
                raise UpstreamFailure(
                    f"Model {endpoint.model!r} is local, but there is no local model server.",
                    kind="connection",
                    remedy="Start it with 'chef serve'.",
                )
            return self._local, (_LOCAL_URL,)
        if endpoint.provider == "openrouter":
            return self._remote, endpoint.endpoints or (self._openrouter_base_url,)
        if not endpoint.endpoints:
            raise UpstreamFailure(
                f"Model {endpoint.model!r} has no endpoints in models.yaml.",
                kind="connection",
                remedy=f"Add the base URL under models.{endpoint.model}.endpoints.",
            )
        return self._remote, endpoint.endpoints


class ChunkStream:
    """An iterator of a streamed completion whose first data have come. Always close it."""

    def __init__(self, head: Iterable[Chunk], rest: AsyncGenerator[Chunk, None]) -> None:
        self._head = deque(head)
        self._rest = rest

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        return self._head.popleft() if self._head else await anext(self._rest)

    async def aclose(self) -> None:
        """End the upstream call, finished or not."""
        await self._rest.aclose()


def _session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    # No cookies: one client's must not reach another's upstream call.
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def _post_to(
    session: aiohttp.ClientSession,
    url: str,
    payload: bytes,
    headers: Mapping[str, str],
    limits: aiohttp.ClientTimeout,
) -> aiohttp.ClientResponse:
    """POST; once more when the server closed the pool's idle connection while we wrote to it."""
    # A redirect would carry the key elsewhere: it is returned as the refusal that it is.
    send = partial(
        session.post, url, data=payload, headers=headers, timeout=limits, allow_redirects=False
    )
    try:
        return await send()
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
        return await send()


def _rotated(servers: tuple[str, ...], turn: int) -> tuple[str, ...]:
    return servers[turn:] + servers[:turn]
