"""Where conversations are kept between turns: SQLite in the state folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from agent_orchestrator.settings import Settings

_BUSY_SECONDS = 15.0


@asynccontextmanager
async def open_checkpoints(settings: Settings) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Open the checkpoints, made when they are not there; several processes may share them."""
    settings.checkpoints.parent.mkdir(parents=True, exist_ok=True)
    async with aiosqlite.connect(settings.checkpoints, timeout=_BUSY_SECONDS) as connection:
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        yield saver
