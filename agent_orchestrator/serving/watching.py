"""Files that a running process follows: models.yaml, the clients' keys."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from agent_orchestrator.errors import ChefError

log = logging.getLogger(__name__)

_PAUSE = 1.0


class WatchedFile(Protocol):
    """A file that a running process follows."""

    @property
    def last_error(self) -> ChefError | None:
        """Why it cannot be read; what it said last still holds."""

    async def watch(self) -> None:
        """Follow it until cancelled."""


@asynccontextmanager
async def followed(file: WatchedFile, name: str) -> AsyncIterator[None]:
    """Follow a file meanwhile, whatever happens to its watch."""

    async def watch() -> None:
        while True:
            try:
                await file.watch()
            except Exception:
                log.exception("Following %s broke off; it begins again.", name)
            await asyncio.sleep(_PAUSE)

    watching = asyncio.create_task(watch(), name=name)
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
