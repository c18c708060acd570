"""The events of all conversations on their way to the store: what comes together is kept together.

A commit waits for the disk. With a hundred conversations at once, each event's own commit would be
most of what a turn takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol


class EventSink(Protocol):
    """Keeps events (``stores.thread_events``). Blocking; called in a thread, one call at a time."""

    def append_many(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> Sequence[int]:
        """Keep events of threads, all or none; return their numbers, which rise."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    thread_id: str
    event: Mapping[str, Any]
    number: asyncio.Future[int]


class EventLog:
    """Belongs to one event loop. What was begun is finished, whoever stops waiting for it."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="thread-events")

    async def append(self, thread_id: str, event: Mapping[str, Any]) -> int:
        """Keep an event and return its number; raises what the sink raises."""
        number: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(thread_id, event, number))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="event log")
        return await number

    async def aclose(self) -> None:
        """Wait until everything is kept."""
        if self._writer is not None:
            await asyncio.wait([self._writer])
        self._thread.shutdown(wait=False)

    async def _write(self) -> None:
        """Write what waits until nothing does; while one batch is written, the next one gathers."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            events = [(one.thread_id, one.event) for one in batch]
            try:
                numbers = await loop.run_in_executor(self._thread, self._sink.append_many, events)
            except Exception as error:  # noqa: BLE001 - each of those who wait is told
                for one in batch:
                    if not one.number.done():
                        one.number.set_exception(error)
                continue
            for one, number in zip(batch, numbers, strict=True):
                if not one.number.done():
                    one.number.set_result(number)
        self._writer = None
