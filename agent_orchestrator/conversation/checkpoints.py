"""Where conversations are kept between turns: SQLite in the state folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

_BUSY_SECONDS = 15.0


@asynccontextmanager
async def open_sqlite_checkpoints(path: Path) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Open a file of checkpoints, made when it is not there; several processes may share it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    async with aiosqlite.connect(path, timeout=_BUSY_SECONDS) as connection:
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        yield saver
