"""Outcomes and judgements on their way to the store, off the requests' path."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, Self, TypeVar

from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.domain.wording import counted
from agent_orchestrator.errors import ChefError, NotFoundError, StorageError

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 5.0

T = TypeVar("T")
U = TypeVar("U")


class OutcomeSink(Protocol):
    """Keeps outcomes and feedback. Blocking; called in a thread, one call at a time.

    Each method keeps all it is given or nothing, and what it has already only once: after a failure
    the same comes again.
    """

    def append_many(self, outcomes: Sequence[Outcome]) -> object:
        """Keep ``outcomes`` in this order."""

    def add_feedback_many(self, judgements: Sequence[Feedback]) -> Sequence[ChefError | None]:
        """Keep ``judgements``; return for each None, or why it is refused.

        NotFoundError says that the request, or the arm's attempt at it, is not known (yet).
        """


@dataclass(slots=True)
class _Judgement:
    """A feedback on its way."""

    feedback: Feedback
    until: float
    """When to give up on an unknown request, by the loop's clock."""
    kept: asyncio.Future[None] | None
    """For whom waits for it."""

    def settle(self, refused: ChefError | None) -> None:
        if self.kept is not None:
            _tell([self.kept], refused)


class OutcomeLog:
    """Bounded queues in memory and the task that empties them into the sink, in batches.

    Belongs to the event loop that entered it (``async with``); leaving flushes. When the sink
    fails, the queues are kept and tried again; when one is full, what is new is dropped and
    counted. A process that is killed loses what it recorded in the last ``interval``.

    Judgements follow the outcomes recorded before them. One on a request that the sink does not
    know is tried again for ``patience``: another process may have served it, and may not have
    written its outcome yet.

    Args:
        sink: where outcomes end up.
        capacity: most outcomes kept in memory, and most judgements.
        batch: most outcomes or judgements per call of the sink.
        interval: longest time that an outcome waits, seconds, while the sink works.
        patience: how long an unknown request may become known, seconds.
        alert: told in one line when the sink fails, when outcomes are dropped, and when it works
            again; logs by default.
    """

    def __init__(
        self,
        sink: OutcomeSink,
        *,
        capacity: int = 20_000,
        batch: int = 500,
        interval: float = 0.1,
        patience: float = 5.0,
        alert: Callable[[str], None] = log.error,
    ) -> None:
        self._sink = sink
        self._capacity = capacity
        self._batch = batch
        self._interval = interval
        self._patience = patience
        self._alert = alert
        self._outcomes: deque[Outcome] = deque()
        self._judgements: deque[_Judgement] = deque()
        self._flushes: list[asyncio.Future[None]] = []
        self._work = asyncio.Event()
        self._hurry = asyncio.Event()
        # Its own: it waits for no other work, and the memory that the allocator keeps for the
        # largest batch ever written is kept for one thread, not for each that once wrote.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outcomes")
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self._failure = ""
        self.failing_since: float | None = None
        """Monotonic seconds of the first of the sink's failures in a row; None while it works."""
        self.dropped = 0
        """Outcomes lost because the queue was full."""
        self.feedback_dropped = 0
        """Judgements lost because the queue was full or their request stayed unknown."""

    @property
    def waiting(self) -> int:
        """Outcomes that the sink does not have yet."""
        return len(self._outcomes)

    @property
    def failure(self) -> str:
        """Why the sink's last call failed; empty when it went well."""
        return self._failure

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write_on(), name="outcome log")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def record(self, outcome: Outcome) -> None:
        """Take an outcome; returns at once."""
        if len(self._outcomes) >= self._capacity:
            if self.dropped % self._capacity == 0:
                self._alert(f"Outcomes are being lost: {self._capacity} wait for the store.")
            self.dropped += 1
            return
        self._outcomes.append(outcome)
        self._work.set()
        if len(self._outcomes) == self._batch:
            self._hurry.set()

    def record_feedback(self, feedback: Feedback) -> None:
        """Take a judgement that nobody waits for (a judge's on a mirrored answer)."""
        self._take(feedback, None)

    async def add_feedback(self, feedback: Feedback) -> None:
        """Take a judgement and wait until the sink has it.

        Raises StorageError, and what the sink refuses it with: NotFoundError for a request id that
        stayed unknown for ``patience``.
        """
        self._check_open()
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take(feedback, kept)
        self._hurry.set()
        await kept

    async def flush(self) -> None:
        """Wait until the sink has every outcome recorded so far.

        Raises StorageError when it does not take them; they are kept and tried again.
        """
        self._check_open()
        if self._outcomes:
            flushed = asyncio.get_running_loop().create_future()
            self._flushes.append(flushed)
            self._hurry.set()
            await flushed

    async def close(self) -> None:
        """Write what waits and end; what the sink does not take now is lost, with an alert."""
        if self._writer is None:
            return
        self._closing = True
        self._work.set()
        self._hurry.set()
        await self._writer
        self._writer = None
        self._thread.shutdown(wait=False)
        if self._outcomes:
            self.dropped += len(self._outcomes)
            self._alert(
                f"{counted(len(self._outcomes), '[outcome is|outcomes are]')} lost: {self._failure}"
            )
        while self._judgements:
            self._judgements.popleft().settle(
                StorageError("The outcome log has ended.", remedy="Send it again.")
            )
            self.feedback_dropped += 1

    def _check_open(self) -> None:
        if self._writer is None:
            raise RuntimeError("OutcomeLog is used outside of 'async with'.")

    def _take(self, feedback: Feedback, kept: asyncio.Future[None] | None) -> None:
        until = asyncio.get_running_loop().time() + self._patience
        judgement = _Judgement(feedback, until, kept)
        if len(self._judgements) >= self._capacity:
            self.feedback_dropped += 1
            judgement.settle(StorageError("Too many judgements wait.", remedy="Try again later."))
            return
        self._judgements.append(judgement)
        self._work.set()

    # -- the writer -----------------------------------------------------------------------------

    async def _write_on(self) -> None:
        """Write what comes, soon after it came; with nothing to do, sleep."""
        pause = self._interval
        while not self._closing:
            await self._work.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            self._hurry.clear()
            pause = self._interval if await self._write() else min(2 * pause, _LONGEST_PAUSE)
            if not (self._outcomes or self._judgements or self._flushes):
                self._work.clear()
        await self._write()

    async def _write(self) -> bool:
        """Bring to the sink what waits now; tell who waits for it. Returns whether it went well."""
        flushes, self._flushes = self._flushes, []
        judgements = len(self._judgements)  # the outcomes before them go first
        try:
            await self._write_outcomes(len(self._outcomes))
            _tell(flushes)
            await self._write_judgements(judgements)
        except Exception as error:  # noqa: BLE001 - whatever the store's trouble, outcomes are kept
            self._note_failure(f"{type(error).__name__}: {error}", flushes)
            return False
        if self._failure:
            self._failure = ""
            self.failing_since = None
            self._alert("The outcome store works again.")
        return True

    async def _write_outcomes(self, count: int) -> None:
        while count > 0:
            batch = list(islice(self._outcomes, min(count, self._batch)))
            await self._in_thread(self._sink.append_many, batch)
            count -= len(batch)
            for _ in batch:
                self._outcomes.popleft()

    async def _write_judgements(self, count: int) -> None:
        now = asyncio.get_running_loop().time()
        while count > 0:
            batch = list(islice(self._judgements, min(count, self._batch)))
            refusals = await self._in_thread(
                self._sink.add_feedback_many, [j.feedback for j in batch]
            )
            count -= len(batch)
            for judgement, refused in zip(batch, refusals, strict=True):
                self._judgements.popleft()
                if isinstance(refused, NotFoundError):
                    if now < judgement.until and not self._closing:
                        self._judgements.append(judgement)
                        continue
                    self.feedback_dropped += 1
                judgement.settle(refused)

    async def _in_thread(self, call: Callable[[T], U], argument: T) -> U:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, argument)

    def _note_failure(self, failure: str, flushes: list[asyncio.Future[None]]) -> None:
        """Tell everybody who waits; what somebody waited for is theirs to bring again."""
        if not self._failure:
            self.failing_since = time.monotonic()
            self._alert(f"Outcomes cannot be stored, {self.waiting} wait: {failure}")
        self._failure = failure
        error = StorageError(f"Outcomes cannot be stored: {failure}", remedy="Try again later.")
        _tell(flushes, error)
        for _ in range(len(self._judgements)):
            judgement = self._judgements.popleft()
            if judgement.kept is None:
                self._judgements.append(judgement)
            judgement.settle(error)


def _tell(waiting: Sequence[asyncio.Future[None]], error: ChefError | None = None) -> None:
    """Let those go on who still wait."""
    for future in waiting:
        if not future.done():
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
