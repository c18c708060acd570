"""The events of conversations, in their order, to be read again from a sequence number.

Their content is the conversation's; here each is a JSON object.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

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


class LastEvent(NamedTuple):
    """The newest event of a thread."""

    thread_id: str
    at: float
    """Seconds since the epoch."""
    event: dict[str, Any]


class ThreadEventStore:
    """Appends and reads. Methods block and raise LockTimeout, StorageError or UnavailableError."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def append_many(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> list[int]:
        """Keep events of threads, all or none, in their order; return each one's ``seq``.

        It is higher than that of any event before it.
        """
        if not events:
            return []
        at = self._clock()
        rows = [{"thread_id": thread, "at": at, "event": dict(event)} for thread, event in events]
        with self._database.write() as connection:
            before = connection.execute(select(func.max(_EVENTS.c.seq))).scalar() or 0
            connection.execute(_EVENTS.insert(), rows)
            # There is one writer at a time: what is higher now is ours, in the order of the rows.
            query = select(_EVENTS.c.seq).where(_EVENTS.c.seq > before).order_by(_EVENTS.c.seq)
            return list(connection.execute(query).scalars())

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

    def recent(self, thread_id: str, limit: int) -> list[dict[str, Any]]:
        """Return a thread's last events, newest first."""
        query = (
            select(_EVENTS.c.event)
            .where(_EVENTS.c.thread_id == thread_id)
            .order_by(_EVENTS.c.seq.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def lasts(
        self, *, thread_id: str | None = None, before: float | None = None, limit: int | None = None
    ) -> list[LastEvent]:
        """Return the newest event of each thread or of one, newest first.

        With ``before`` only of threads in which nothing has happened since.
        """
        newest = select(func.max(_EVENTS.c.seq)).group_by(_EVENTS.c.thread_id)
        if thread_id is not None:
            newest = newest.where(_EVENTS.c.thread_id == thread_id)
        columns = (_EVENTS.c.thread_id, _EVENTS.c.at, _EVENTS.c.event)
        query = select(*columns).where(_EVENTS.c.seq.in_(newest))
        if before is not None:
            query = query.where(_EVENTS.c.at < before)
        query = query.order_by(_EVENTS.c.seq.desc()).limit(limit)
        with self._database.read() as connection:
            return [LastEvent(*row) for row in connection.execute(query)]

    def delete(self, thread_id: str) -> int:
        """Forget a thread's events; return how many there were."""
        with self._database.write() as connection:
            gone = connection.execute(_EVENTS.delete().where(_EVENTS.c.thread_id == thread_id))
        return gone.rowcount
