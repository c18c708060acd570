"""Work that nobody waits for: a bounded number of tasks, the rest dropped and counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)


class Background:
    """Tasks off the requests' path. Belongs to one event loop.

    Args:
        limit: most tasks at a time.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tasks: set[asyncio.Task[object]] = set()
        self._closed = False
        self.dropped = 0
        """Tasks that were not begun because too many ran."""

    @property
    def running(self) -> int:
        """Tasks under way."""
        return len(self._tasks)

    def has_room(self) -> bool:
        """Return whether a task may begin; if not, one is counted as dropped."""
        if self._closed or len(self._tasks) >= self._limit:
            self.dropped += 1
            return False
        return True

    def start(self, work: Coroutine[Any, Any, object], name: str) -> None:
        """Run ``work``; what it raises is logged."""
        self.adopt(asyncio.create_task(work, name=name))

    def adopt(self, task: asyncio.Task[object]) -> None:
        """Take over a task that runs already."""
        self._tasks.add(task)
        task.add_done_callback(self._end)

    async def close(self, grace: float) -> None:
        """Let what is under way end for ``grace`` seconds and cancel the rest."""
        self._closed = True
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _end(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed.", task.get_name(), exc_info=error)
