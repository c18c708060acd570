"""Where conversations are kept between turns.

In the state database where that is a server, else in a file of their own by LangGraph's own saver.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from agent_orchestrator.conversation.database_saver import DatabaseSaver
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.checkpoints import CheckpointStore
from agent_orchestrator.stores.database import Database

_BUSY_SECONDS = 15.0


@asynccontextmanager
async def open_checkpoints(
    settings: Settings, database: Database
) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Open the checkpoints, made when they are not there; several processes may share them.

    ``database`` is the one that the settings name.
    """
    if not settings.database.startswith("sqlite"):
        yield DatabaseSaver(CheckpointStore(database))
        return
    settings.checkpoints.parent.mkdir(parents=True, exist_ok=True)
    async with aiosqlite.connect(settings.checkpoints, timeout=_BUSY_SECONDS) as connection:
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        # A killed process loses nothing; a machine that loses its power may lose the last steps of
        # a conversation. What was spent and what serves is in the state database, which waits for
        # the disk, and an approval is looked up there: no step that comes again spends twice.
        await connection.execute("PRAGMA synchronous = NORMAL")
        yield saver
