"""Back-pressure: how many requests this process works on at a time, and how many may wait.

Whoever finds both full is told so at once, and when to come back: a refusal in a millisecond lets
a client go to another gateway, an answer after a minute does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from agent_orchestrator.errors import UnavailableError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process takes on."""

    concurrent: int = 512
    """Requests at a time, streams for as long as they last."""
    per_agent: int = 0
    """Of those, for one agent; 0 for no limit."""
    queue: int = 128
    """Requests that may wait for their turn."""
    queue_seconds: float = 1.0
    """Longest wait for it."""
    body_bytes: int = 16 * 1024 * 1024
    """Largest request body."""
    body_seconds: float = 30.0
    """Within which a body must have come."""
    write_seconds: float = 60.0
    """After which a client that takes nothing of its answer is given up."""


class OverloadedError(UnavailableError):
    """Too many requests at a time. ``retry_after_s`` is when to come back."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, remedy=f"Try again in {retry_after_s:g} s, or elsewhere.")
        self.retry_after_s = retry_after_s


class _Slots:
    """A bounded number of slots and a bounded queue for them, first come first served."""

    def __init__(self, what: str, limit: int, limits: Limits) -> None:
        self._what = what
        self._limits = limits
        self._free = asyncio.Semaphore(limit)
        self.waiting = 0

    async def take(self) -> None:
        """Take a slot. Raises OverloadedError."""
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()

    def give_back(self) -> None:
        """Let the next one in."""
        self._free.release()

    async def _wait(self) -> None:
        limits = self._limits
        full = f"Too many requests {self._what} at a time"
        if self.waiting >= limits.queue:
            raise OverloadedError(f"{full}; {self.waiting} wait.", limits.queue_seconds)
        self.waiting += 1
        try:
            async with asyncio.timeout(limits.queue_seconds):
                await self._free.acquire()
        except TimeoutError:
            message = f"{full}; none ended within {limits.queue_seconds:g} s."
            raise OverloadedError(message, limits.queue_seconds) from None
        finally:
            self.waiting -= 1


class Admission:
    """Lets requests in. Belongs to one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._all = _Slots("to this gateway", limits.concurrent, limits)
        self._agents: dict[str, _Slots] = {}
        self.in_flight = 0
        self.refused = 0
        """Requests that found everything full."""

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self._all.waiting + sum(slots.waiting for slots in self._agents.values())

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Work on a request, from before its body is read. Raises OverloadedError."""
        async with self._in(self._all):
            self.in_flight += 1
            try:
                yield
            finally:
                self.in_flight -= 1

    @asynccontextmanager
    async def of_agent(self, agent: str) -> AsyncIterator[None]:
        """Work on a request of an agent that exists. Raises OverloadedError."""
        if not self._limits.per_agent:
            yield
            return
        slots = self._agents.get(agent)
        if slots is None:
            what = f"for agent {agent!r}"
            slots = self._agents[agent] = _Slots(what, self._limits.per_agent, self._limits)
        async with self._in(slots):
            yield

    @asynccontextmanager
    async def _in(self, slots: _Slots) -> AsyncIterator[None]:
        try:
            await slots.take()
        except OverloadedError:
            self.refused += 1
            raise
        try:
            yield
        finally:
            slots.give_back()
