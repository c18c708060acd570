"""The events of conversations, in their order, to be read again from a sequence number.

Their content is the conversation's; here each is a JSON object.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Float, Index, String, Table, func, select

from agent_orchestrator.stores.database import SEQUENCE, Database, Json, metadata

_EVENTS = Table(
    "thread_events",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("thread_id", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("event", Json, nullable=False),
    Index("thread_events_by_thread", "thread_id", "seq"),
)


class ThreadEventStore:
    """Appends and reads. Methods block and raise LockTimeout, StorageError or UnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def append_many(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> list[int]:
        """Keep events of threads, all or none, in their order; return each one's ``seq``.

        It is higher than that of any event before it.
        """
        at = self._clock()
        kept = []
        with self._database.write() as connection:
            for thread_id, event in events:
                values = {"thread_id": thread_id, "at": at, "event": dict(event)}
                key = connection.execute(_EVENTS.insert().values(values)).inserted_primary_key
                if key is None:
                    raise TypeError("The database returned no key.")
                kept.append(int(key[0]))
        return kept

    def after(self, thread_id: str, seq: int = 0, limit: int = 1000) -> Sequence[dict[str, Any]]:
        """Return a thread's events after ``seq``, oldest first, each with its ``seq``."""
        query = (
            select(_EVENTS.c.seq, _EVENTS.c.event)
            .where(_EVENTS.c.thread_id == thread_id, _EVENTS.c.seq > seq)
            .order_by(_EVENTS.c.seq)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [{**row.event, "seq": row.seq} for row in connection.execute(query)]

    def last(self, thread_id: str) -> int:
        """Return the ``seq`` of a thread's newest event, 0 without any."""
        query = select(func.max(_EVENTS.c.seq)).where(_EVENTS.c.thread_id == thread_id)
        with self._database.read() as connection:
            found: int | None = connection.execute(query).scalar()
        return found or 0

    def delete(self, thread_id: str) -> int:
        """Forget a thread's events; return how many there were."""
        with self._database.write() as connection:
            gone = connection.execute(_EVENTS.delete().where(_EVENTS.c.thread_id == thread_id))
        return gone.rowcount
