"""Where conversations are kept between turns.

In the state database where that is a server, else in a file of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from agent_orchestrator.conversation.saver import GatheredSaver
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.checkpoint_file import CheckpointFile
from agent_orchestrator.stores.checkpoints import Checkpoints, CheckpointStore
from agent_orchestrator.stores.database import Database


@asynccontextmanager
async def open_checkpoints(settings: Settings, database: Database) -> AsyncIterator[GatheredSaver]:
    """Open the checkpoints, made when they are not there; several processes may share them.

    ``database`` is the one that the settings name. Raises StorageError.
    """
    if not settings.database.startswith("sqlite"):
        async with _saving(CheckpointStore(database)) as saver:
            yield saver
        return
    with closing(CheckpointFile(settings.checkpoints)) as file:
        async with _saving(file) as saver:
            yield saver


@asynccontextmanager
async def _saving(store: Checkpoints) -> AsyncIterator[GatheredSaver]:
    saver = GatheredSaver(store)
    try:
        yield saver
    finally:
        await saver.aclose()
