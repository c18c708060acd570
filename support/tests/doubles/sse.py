"""Server-sent events as a client reads them, after the WHATWG's rules."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class SseEvent:
    """One event that was dispatched."""

    event: str
    data: Any
    id: str


class SseReader:
    """Takes pieces of a stream, cut anywhere; gives events."""

    def __init__(self) -> None:
        self.comments = 0
        self._rest = b""
        self._event = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, piece: bytes) -> list[SseEvent]:
        """Return the events that a piece completes."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        found = (self._line(line.decode()) for line in lines)
        return [event for event in found if event is not None]

    def _line(self, line: str) -> SseEvent | None:
        if line == "":
            return self._dispatched()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments += 1
        elif name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
        return None

    def _dispatched(self) -> SseEvent | None:
        data, event = "\n".join(self._data), self._event or "message"
        self._data, self._event = [], ""
        return SseEvent(event, json.loads(data), self._id) if data else None


@asynccontextmanager
async def following(
    client: httpx.AsyncClient, method: str, path: str, **options: Any
) -> AsyncIterator[AsyncIterator[SseEvent]]:
    """Open a stream; yield its events."""
    async with client.stream(method, path, **options) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")

        async def events() -> AsyncIterator[SseEvent]:
            reader = SseReader()
            async for piece in answer.aiter_raw():
                for event in reader.feed(piece):
                    yield event

        yield events()
