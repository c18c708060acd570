"""The deployment journal: what is about to be done, until it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, Column, Float, String, Table, select

from agent_orchestrator.stores.database import SEQUENCE, Database, Json, metadata

_INTENTS = Table(
    "intents",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("agent", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("payload", Json, nullable=False),
    Column("at", Float, nullable=False),
    Column("done", Boolean, nullable=False, default=False, index=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """An intent that has been written down. ``at`` is seconds since the epoch."""

    id: str
    agent: str
    kind: str
    payload: Mapping[str, Any]
    at: float


class IntentJournal:
    """The intents' table. When ``write`` returns, the intent survives a crash."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, entry: JournalEntry) -> None:
        """Add an intent that is not done yet."""
        with self._database.write() as connection:
            connection.execute(
                _INTENTS.insert().values(
                    id=entry.id,
                    agent=entry.agent,
                    kind=entry.kind,
                    payload=dict(entry.payload),
                    at=entry.at,
                    done=False,
                )
            )

    def complete(self, intent_id: str) -> None:
        """Mark an intent as done; repeatable."""
        with self._database.write() as connection:
            connection.execute(
                _INTENTS.update().where(_INTENTS.c.id == intent_id).values(done=True)
            )

    def pending(self) -> list[JournalEntry]:
        """Return the intents that are not done, oldest first."""
        columns = (_INTENTS.c.id, _INTENTS.c.agent, _INTENTS.c.kind, _INTENTS.c.payload)
        query = select(*columns, _INTENTS.c.at).where(~_INTENTS.c.done).order_by(_INTENTS.c.seq)
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [JournalEntry(**row) for row in rows]
