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
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn, Self

import aiohttp
from yarl import URL

from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.serving import json_bytes
from agent_orchestrator.serving.balancing import BalancePolicy, Pool, Replica
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
_CHAT = "chat/completions"
_OVERLOADED = {429, 502, 503, 504}
"""Statuses after which another server of the model may do better."""
_REFUSED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_KEPT_LANES = 1024


def key_variable(endpoint: Endpoint) -> str | None:
    """Return the environment variable that holds an endpoint's key, None where it has none."""
    return endpoint.api_key_env or _DEFAULT_KEYS.get(endpoint.provider)


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
        idle_connection: how long an unused connection is kept, seconds.
        balance: how the servers of one model share its calls.
    """

    def __init__(
        self,
        *,
        secret: Callable[[str], str | None],
        openrouter_base_url: str,
        local_socket: Path | None = None,
        timeouts: Timeouts | None = None,
        connections: int = 256,
        idle_connection: float = 15.0,
        balance: BalancePolicy | None = None,
    ) -> None:
        self._secret = secret
        self._openrouter_base_url = openrouter_base_url
        self._local_socket = local_socket
        self._connections = connections
        self._idle_connection = idle_connection
        self._balance = balance or BalancePolicy()
        self._lanes: dict[Endpoint, _Lane] = {}
        self._retries_of_old_lanes = 0
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

    @property
    def retries(self) -> int:
        """Calls that were made once more, to another server or on a new connection."""
        return self._retries_of_old_lanes + sum(
            lane.pool.budget.spent for lane in self._lanes.values()
        )

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        tcp = aiohttp.TCPConnector(
            limit=0, limit_per_host=self._connections, keepalive_timeout=self._idle_connection
        )
        self._remote = await self._closing.enter_async_context(_session(tcp))
        if self._local_socket is not None:
            unix = aiohttp.UnixConnector(
                str(self._local_socket),
                limit=self._connections,
                keepalive_timeout=self._idle_connection,
            )
            self._local = await self._closing.enter_async_context(_session(unix))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._closing.aclose()
        self._loop = self._remote = self._local = None
        self._retries_of_old_lanes = self.retries
        self._lanes.clear()

    async def complete(self, endpoint: Endpoint, body: Mapping[str, Any]) -> Answer:
        """Return the completion of ``body`` with its ``model`` replaced. Raises UpstreamFailure."""
        with failures_of(endpoint.model):
            replica, response = await self._begin(endpoint, body, self._whole)
            with _Ending(replica):
                async with response:
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
            replica, response = await self._begin(endpoint, body, self._streamed)
            with _Ending(replica):
                async with response:
                    if response.content_type != "text/event-stream":
                        raise WireError(f"asked for a stream, got {response.content_type!r}")
                    with cut_off(endpoint.model):
                        async for event in split_events(response.content.iter_any()):
                            chunk = read_chunk(event)
                            finished = finished or chunk.ends_answer
                            yield chunk
                if not finished:
                    raise UpstreamFailure(f"{endpoint.model} broke off its answer.", kind="cut_off")

    async def _begin(
        self, endpoint: Endpoint, body: Mapping[str, Any], limits: aiohttp.ClientTimeout
    ) -> tuple[Replica, aiohttp.ClientResponse]:
        """POST to the endpoint's servers until one answers with 200; its call is to be ended."""
        lane = self._lanes.get(endpoint) or self._lane(endpoint)
        payload = json_bytes.dumps({**body, "model": endpoint.model})
        key = self._secret(lane.key_name) if lane.key_name else None
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        pool = lane.pool
        pool.budget.request()
        tried: list[Replica] = []
        replica = pool.pick()
        while replica is not None:
            replica.begin()
            try:
                response = await _post(lane, replica.url, payload, headers, limits)
                if response.status == HTTPStatus.OK:
                    return replica, response
                await _refuse(endpoint.model, response, "" if key else lane.key_name)
            except BaseException as error:
                _end(replica, error)
                tried.append(replica)
                replica = pool.pick(tried) if _is_worth_a_retry(error) else None
                if replica is None or not pool.budget.spend():
                    raise
        raise RuntimeError("A pool has servers.")

    def _lane(self, endpoint: Endpoint) -> _Lane:
        """Return the new way to ``endpoint``. Raises UpstreamFailure for one without a place."""
        session, servers = self._servers(endpoint)
        if len(self._lanes) >= _KEPT_LANES:
            idle = [e for e, lane in self._lanes.items() if not lane.is_busy()]
            for old in idle:
                self._retries_of_old_lanes += self._lanes.pop(old).pool.budget.spent
        urls = [URL(f"{server.rstrip('/')}/{_CHAT}") for server in servers]
        lane = self._lanes[endpoint] = _Lane(
            session,
            Pool(urls, self._balance, self.loop.time),
            key_variable(endpoint),
        )
        return lane

    def _servers(self, endpoint: Endpoint) -> tuple[aiohttp.ClientSession, tuple[str, ...]]:
        if self._remote is None:
            raise RuntimeError("Upstream is used outside of 'async with'.")
        if endpoint.provider == "local":
            if self._local is None:
                raise UpstreamFailure(
                    f"Model {endpoint.model!r} is local, but there is no local model server.",
                    kind="connection",
                    remedy="Start the serving processes (`chef serve`).",
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


@dataclass(frozen=True, slots=True)
class _Lane:
    """The way to one model, worked out once."""

    session: aiohttp.ClientSession
    pool: Pool
    key_name: str | None
    """Variable that holds the key."""

    def is_busy(self) -> bool:
        return any(replica.outstanding for replica in self.pool.replicas)


class _Ending:
    """Ends a server's call by how its block ends."""

    __slots__ = ("_replica",)

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._replica.went_well()
        else:
            _end(self._replica, error)


async def _refuse(
    model: str, response: aiohttp.ClientResponse, missing_key: str | None
) -> NoReturn:
    async with response:
        remedy = f"Set the variable {missing_key}." if missing_key else ""
        raise await refusal(model, response, remedy)


def _end(replica: Replica, error: BaseException) -> None:
    if isinstance(error, UpstreamFailure) and not error.retryable:
        replica.went_well()
    elif isinstance(error, Exception):
        replica.failed(refused=isinstance(error, _REFUSED))
    else:
        replica.let_go()


def _is_worth_a_retry(error: BaseException) -> bool:
    """Return whether another server of the model may be asked: nothing has been generated here."""
    if isinstance(error, UpstreamFailure):
        return error.status in _OVERLOADED
    return isinstance(error, _REFUSED)


async def _post(
    lane: _Lane,
    url: URL,
    payload: bytes,
    headers: Mapping[str, str],
    limits: aiohttp.ClientTimeout,
) -> aiohttp.ClientResponse:
    """POST; once more when the server closed the pool's idle connection while we wrote to it."""
    # A redirect would carry the key elsewhere: it is returned as the refusal that it is.
    again = False
    while True:
        try:
            return await lane.session.post(
                url, data=payload, headers=headers, timeout=limits, allow_redirects=False
            )
        except _REFUSED:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if again or not lane.pool.budget.spend():
                raise
            again = True
