"""Outcomes on their way to the store, off the requests' path."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Protocol, Self

import anyio.to_thread

from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.errors import StorageError

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 5.0


class OutcomeSink(Protocol):
    """Keeps outcomes and feedback. Blocking; called in threads.

    ``append_many`` keeps all or none, and an outcome it already has only once: after a failure the
    same outcomes come again.
    """

    def append_many(self, outcomes: list[Outcome]) -> object:
        """Keep ``outcomes`` in this order."""

    def add_feedback(self, feedback: Feedback) -> object:
        """Keep ``feedback``. Raises NotFoundError for an unknown request id."""


class OutcomeLog:
    """A bounded queue in memory and the task that empties it into the sink, in batches.

    Belongs to the event loop that entered it (``async with``); leaving flushes. When the sink
    fails, the queue is kept and tried again; when it is full, new outcomes are dropped and counted.

    Args:
        sink: where outcomes end up.
        capacity: most outcomes kept in memory.
        batch: most outcomes per append.
        interval: longest time that an outcome waits, seconds, while the sink works.
        alert: told in one line when the sink fails, when outcomes are dropped, and when it works
            again; logs by default.
    """

    def __init__(
        self,
        sink: OutcomeSink,
        *,
        capacity: int = 20_000,
        batch: int = 256,
        interval: float = 0.1,
        alert: Callable[[str], None] = log.error,
    ) -> None:
        self._sink = sink
        self._capacity = capacity
        self._batch = batch
        self._interval = interval
        self._alert = alert
        self._queue: deque[Outcome] = deque()
        self._flushes: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self._failure = ""
        self.dropped = 0
        """Outcomes lost because the queue was full."""

    @property
    def waiting(self) -> int:
        """Outcomes that the sink does not have yet."""
        return len(self._queue)

    @property
    def failure(self) -> str:
        """Why the sink's last append failed; empty when it went well."""
        return self._failure

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write_on(), name="outcome log")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def record(self, outcome: Outcome) -> None:
        """Take an outcome; returns at once."""
        if len(self._queue) >= self._capacity:
            if self.dropped % self._capacity == 0:
                self._alert(f"Outcomes are being lost: {self._capacity} wait for the store.")
            self.dropped += 1
            return
        self._queue.append(outcome)
        if len(self._queue) == self._batch:
            self._wake.set()

    async def flush(self) -> None:
        """Wait until the sink has every outcome recorded so far.

        Raises StorageError when it does not take them; they are kept and tried again.
        """
        if self._writer is None:
            raise RuntimeError("OutcomeLog is used outside of 'async with'.")
        if self._queue:
            flushed = asyncio.get_running_loop().create_future()
            self._flushes.append(flushed)
            self._wake.set()
            await flushed

    async def add_feedback(self, feedback: Feedback) -> None:
        """Hand a feedback to the sink, after the outcomes recorded so far.

        Raises StorageError, and NotFoundError for a request id that the sink does not know.
        """
        await self.flush()
        await anyio.to_thread.run_sync(self._sink.add_feedback, feedback)

    async def close(self) -> None:
        """Write what waits and end; what the sink does not take now is lost, with an alert."""
        if self._writer is None:
            return
        self._closing = True
        self._wake.set()
        await self._writer
        self._writer = None
        if self._queue:
            self.dropped += len(self._queue)
            self._alert(f"{len(self._queue)} outcomes are lost: {self._failure}")

    async def _write_on(self) -> None:
        pause = self._interval
        while not self._closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            pause = self._interval if await self._write() else min(2 * pause, _LONGEST_PAUSE)
        await self._write()

    async def _write(self) -> bool:
        """Bring to the sink what waits now; tell who waits for it. Returns whether it went well."""
        self._wake.clear()
        flushes, self._flushes = self._flushes, []
        left = len(self._queue)
        try:
            while left > 0:
                batch = list(islice(self._queue, min(left, self._batch)))
                await anyio.to_thread.run_sync(self._sink.append_many, batch)
                left -= len(batch)
                for _ in batch:
                    self._queue.popleft()
        except Exception as error:  # noqa: BLE001 - whatever the store's trouble, outcomes are kept
            self._note_failure(f"{type(error).__name__}: {error}", flushes)
            return False
        if self._failure:
            self._failure = ""
            self._alert("The outcome store works again.")
        for flush in flushes:
            if not flush.done():
                flush.set_result(None)
        return True

    def _note_failure(self, failure: str, flushes: list[asyncio.Future[None]]) -> None:
        if not self._failure:
            self._alert(f"Outcomes cannot be stored, {self.waiting} wait: {failure}")
        self._failure = failure
        for flush in flushes:
            if not flush.done():
                flush.set_exception(
                    StorageError(f"Outcomes cannot be stored: {failure}", remedy="Try again later.")
                )
