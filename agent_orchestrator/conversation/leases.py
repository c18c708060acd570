"""Turns of this process among those of others: one turn of a thread at a time, wherever it runs.

Like LangGraph's ``multitask_strategy``: who comes second waits (``enqueue``) or is refused
(``reject``). Who waits for another process's turn tells it so, and it stops following its job.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from anyio.to_thread import run_sync

from agent_orchestrator.conversation.gathered import Gathered
from agent_orchestrator.errors import ChefError, ConflictError
from agent_orchestrator.stores.turns import Begun, Change, Ended, TurnStore

log = logging.getLogger("chef.conversation")

_RENEWALS: Final = 5
LEASE_SECONDS: Final = 15.0
"""How long a thread stays taken by a process that was killed."""
LOOK_SECONDS: Final = 0.2
"""How often to look whether another process's turn goes on."""


@dataclass(slots=True)
class _Lease:
    let_go: Callable[[], None]
    renewed_at: float
    """By the clock that no one sets; a suspended process's goes on."""
    taken: bool = False


class TurnLeases:
    """The turns that this process runs. Belongs to one event loop."""

    def __init__(self, store: TurnStore) -> None:
        self._store = store
        self._changes = Gathered[Change, bool](store.change, "turns")
        self._holder = uuid.uuid4().hex
        self._leases: dict[str, _Lease] = {}
        self._renewing: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def held(
        self, thread_id: str, let_go: Callable[[], None], *, wait: bool
    ) -> AsyncIterator[None]:
        """Keep others from running turns of the thread; raises as ``begin`` does."""
        await self.begin(thread_id, let_go, wait=wait)
        try:
            yield
        finally:
            await self.end(thread_id)

    async def begin(self, thread_id: str, let_go: Callable[[], None], *, wait: bool) -> None:
        """Return when the turn may run; ``let_go`` is called when another process waits for it.

        Waits for another process's turn for two leases: one that was killed has lost its own by
        then. Raises ConflictError when that goes on, or at once unless it shall ``wait``.
        """
        until = time.monotonic() + (2 * self._store.seconds if wait else 0.0)
        while True:
            now = time.monotonic()
            if await self._changes.do(Begun(thread_id, self._holder, wait)):
                break
            if now >= until:
                raise taken(thread_id)
            await asyncio.sleep(LOOK_SECONDS)
        self._leases[thread_id] = _Lease(let_go, now)
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(), name="turns")

    def check(self, thread_id: str) -> None:
        """Raise ConflictError when another process may have taken the thread over."""
        lease = self._leases[thread_id]
        if lease.taken or time.monotonic() - lease.renewed_at > self._store.seconds:
            raise ConflictError(
                f"The turn of thread {thread_id!r} was cut off: this process could not say for "
                f"{self._store.seconds:g} s that it runs.",
                remedy="Look at what was done, then say it again.",
            )

    async def end(self, thread_id: str) -> None:
        """Let others run turns of the thread."""
        del self._leases[thread_id]
        try:
            await self._changes.do(Ended(thread_id, self._holder))
        except ChefError as error:
            log.warning("Thread %s stays taken for %g s: %s", thread_id, self._store.seconds, error)

    async def elsewhere(self, thread_id: str) -> bool:
        """Return whether another process runs a turn of the thread."""
        return thread_id not in self._leases and await run_sync(self._store.runs, thread_id)

    async def aclose(self) -> None:
        """Wait until everything is kept."""
        if self._renewing is not None:
            self._renewing.cancel()
        await self._changes.aclose()

    async def _renew(self) -> None:
        while self._leases:
            await asyncio.sleep(self._store.seconds / _RENEWALS)
            leases, now = dict(self._leases), time.monotonic()
            try:
                mine = await run_sync(self._store.renew, self._holder)
            except ChefError as error:
                log.warning("The turns' leases cannot be renewed: %s", error)
                continue
            for thread_id, lease in leases.items():
                lease.renewed_at = now
                lease.taken = thread_id not in mine
                if mine.get(thread_id):
                    lease.let_go()
        self._renewing = None


def taken(thread_id: str) -> ConflictError:
    """Return what is said to who comes second."""
    return ConflictError(
        f"A turn of thread {thread_id!r} runs.",
        remedy="Wait for its end, or begin another conversation.",
    )
