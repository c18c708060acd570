"""Server-sent events: numbered where they are kept, with heartbeats, and taken up again.

A client that comes back names the last number that it has seen in ``Last-Event-ID``; what has
come since is sent first. ``: alive`` is sent when nothing else is; ``error`` carries a problem and
ends the stream; a stream that ends without it is to be taken up again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self, TypeVar

from fastapi import Header
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic_core import to_json

from agent_orchestrator.api import problems
from agent_orchestrator.errors import ChefError

HEARTBEAT_SECONDS: Final = 15.0
_RETRY: Final = b"retry: 1000\n\n"
_ALIVE: Final = b": alive\n\n"
_AHEAD: Final = 64

T = TypeVar("T")

LastEventId = Annotated[
    int | None,
    Header(alias="Last-Event-ID", ge=0, description="The last number that was seen."),
]


def streamed(data: Any) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route whose events carry this type as their data."""
    return {200: {"model": data, "description": "Server-sent events; this is the data of each."}}


@dataclass(frozen=True, slots=True)
class Sent:
    """One event."""

    event: str
    data: Any
    """A model, or what JSON can say."""
    id: int | None = None
    """Its number; None for what is not kept, so that nobody comes back to it."""

    def encode(self) -> bytes:
        """Return it as it goes over the wire."""
        number = None if self.id is None else str(self.id)
        text = to_json(self.data, inf_nan_mode="null").decode()
        return format_sse_event(data_str=text, event=self.event, id=number)


class EventStream(StreamingResponse):
    """An answer that goes on until its events end, the client leaves or the server closes."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[Sent, None],
        closing: asyncio.Event,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        # Proxies of nginx's kind then pass events on at once.
        every = {"X-Accel-Buffering": "no", **(headers or {})}
        super().__init__(_encoded(events, closing, heartbeat), status_code, every)


async def begun(events: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """Return the events once there is a first one; what they raise before it is raised here."""
    first = await anext(events, None)

    async def whole() -> AsyncGenerator[T, None]:
        async with aclosing(events):
            if first is not None:
                yield first
            async for event in events:
                yield event

    return whole()


async def _encoded(
    events: AsyncGenerator[Sent, None], closing: asyncio.Event, heartbeat: float
) -> AsyncIterator[bytes]:
    """Yield what goes over the wire; what has come since the last time is one piece."""
    yield _RETRY
    async with _Ahead(events, closing) as ahead:
        while True:
            try:
                async with asyncio.timeout(heartbeat):
                    piece = await ahead.next()
            except TimeoutError:
                yield _ALIVE
                continue
            if not piece:
                return
            yield piece


class _Ahead:
    """Reads ahead of the client, a few events: who reads slowly holds up the rest."""

    def __init__(self, events: AsyncGenerator[Sent, None], closing: asyncio.Event) -> None:
        self._events = events
        self._closing = closing
        self._encoded: asyncio.Queue[bytes] = asyncio.Queue(_AHEAD)

    async def __aenter__(self) -> Self:
        self._reading = asyncio.create_task(self._read())
        self._closes = asyncio.create_task(self._closing.wait())
        self._closes.add_done_callback(lambda _: self._reading.cancel())
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in (self._closes, self._reading):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def next(self) -> bytes:
        """Wait for events; return all that are there, nothing at the end."""
        if self._reading.done() and self._encoded.empty():
            return b""
        pieces = [await self._encoded.get()]
        while not self._encoded.empty():
            pieces.append(self._encoded.get_nowait())
        return b"".join(pieces)

    async def _read(self) -> None:
        try:
            async with aclosing(self._events):
                async for sent in self._events:
                    await self._encoded.put(sent.encode())
        except ChefError as error:
            await self._encoded.put(Sent("error", problems.of_error(error)).encode())
        finally:
            if self._encoded.empty():
                self._encoded.put_nowait(b"")  # the end, for who waits
