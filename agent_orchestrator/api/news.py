"""Tells all streams at once that something is new, by one look at the database for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeVar

import anyio.to_thread

from agent_orchestrator.errors import ChefError

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5

T = TypeVar("T")


class News:
    """Wakes who waits when ``look`` returns something else than before."""

    def __init__(self, look: Callable[[], object], *, seconds: float = _LOOK_SECONDS) -> None:
        self._look = look
        self._seconds = seconds
        self._next = asyncio.Event()

    async def watch(self) -> None:
        """Look until cancelled."""
        seen: object = None
        while True:
            try:
                found = await anyio.to_thread.run_sync(self._look)
            except ChefError as error:
                log.warning("Streams wait: %s", error)
            else:
                if found != seen:
                    seen, before, self._next = found, self._next, asyncio.Event()
                    before.set()
            await asyncio.sleep(self._seconds)

    async def follow(
        self, read: Callable[[int], Sequence[T]], number: Callable[[T], int], after: int
    ) -> AsyncGenerator[T, None]:
        """Yield what ``read`` returns after a number, then what comes, without end."""
        while True:
            woken = self._next
            while found := await anyio.to_thread.run_sync(read, after):
                for one in found:
                    yield one
                after = number(found[-1])
            await woken.wait()
