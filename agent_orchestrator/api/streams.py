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
from typing import Annotated, Any, Final, Self

from fastapi import Header
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event
from pydantic_core import to_json

from agent_orchestrator.api import problems
from agent_orchestrator.errors import ChefError

HEARTBEAT_SECONDS: Final = 15.0
_RETRY: Final = b"retry: 1000\n\n"
_ALIVE: Final = b": alive\n\n"

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


async def begun(events: AsyncGenerator[Sent, None]) -> AsyncGenerator[Sent, None]:
    """Return the events once there is a first one; what they raise before it is raised here."""
    first = await anext(events, None)

    async def whole() -> AsyncGenerator[Sent, None]:
        async with aclosing(events):
            if first is not None:
                yield first
            async for event in events:
                yield event

    return whole()


async def _encoded(
    events: AsyncGenerator[Sent, None], closing: asyncio.Event, heartbeat: float
) -> AsyncIterator[bytes]:
    yield _RETRY
    async with aclosing(events), _Waiting(events, closing) as waiting:
        try:
            while (sent := await waiting.next(heartbeat)) is not None:
                yield sent.encode() if isinstance(sent, Sent) else sent
        except ChefError as error:
            yield Sent("error", problems.of_error(error)).encode()


class _Waiting:
    """Waits for the next event, for the server's end, or until it is time for a heartbeat."""

    def __init__(self, events: AsyncIterator[Sent], closing: asyncio.Event) -> None:
        self._events = events
        self._closes = asyncio.create_task(closing.wait())
        self._coming: asyncio.Task[Sent | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in (self._closes, self._coming):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def next(self, heartbeat: float) -> Sent | bytes | None:
        """Return the next event, a heartbeat, or None at the end; raises what the events raise."""
        if self._coming is None:
            self._coming = asyncio.create_task(_next(self._events))
        done, _ = await asyncio.wait(
            {self._coming, self._closes}, timeout=heartbeat, return_when=asyncio.FIRST_COMPLETED
        )
        if self._coming in done:
            task, self._coming = self._coming, None
            return task.result()
        return None if done else _ALIVE


async def _next(events: AsyncIterator[Sent]) -> Sent | None:
    return await anext(events, None)
