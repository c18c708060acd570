"""The conversations that doors have begun: whose each is, and what clients noted about it.

What was said lies in ``thread_events`` and in the graph's checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Float, RowMapping, String, Table, select

from agent_orchestrator.errors import NotFoundError
from agent_orchestrator.stores.database import SEQUENCE, Database, Json, metadata

_THREADS = Table(
    "threads",
    metadata,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("owner", String, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("notes", Json, nullable=False),
)
_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """One conversation. Times are seconds since the epoch."""

    id: str
    owner: str
    """Who began it, and may go on with it."""
    created_at: float
    updated_at: float
    notes: Mapping[str, Any]
    """A client's own, JSON."""


class ThreadStore:
    """The table. Methods block and raise LockTimeout, StorageError or UnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self, thread_id: str, owner: str, now: float, notes: Mapping[str, Any] | None = None
    ) -> Thread:
        """Return the thread; one that is not there becomes the owner's."""
        with self._database.write() as connection:
            found = _find(connection, thread_id)
            if found is None:
                values = {"id": thread_id, "owner": owner, "created_at": now, "updated_at": now}
                connection.execute(_THREADS.insert().values(**values, notes=dict(notes or {})))
                found = _find(connection, thread_id)
        if found is None:
            raise TypeError("The database lost what it was told.")
        return found

    def get(self, thread_id: str) -> Thread:
        """Return a thread. Raises NotFoundError."""
        with self._database.read() as connection:
            found = _find(connection, thread_id)
        if found is None:
            raise NotFoundError(f"No conversation {thread_id!r}.", remedy="Begin one.")
        return found

    def note(self, thread_id: str, notes: Mapping[str, Any], now: float) -> Thread:
        """Add notes, those of the same names replaced, and return the thread. NotFoundError."""
        with self._database.write() as connection:
            found = _find(connection, thread_id)
            if found is None:
                raise NotFoundError(f"No conversation {thread_id!r}.", remedy="Begin one.")
            one = _THREADS.c.id == thread_id
            merged = {**found.notes, **notes}
            connection.execute(_THREADS.update().where(one).values(notes=merged, updated_at=now))
        return self.get(thread_id)

    def newest(
        self,
        *,
        notes: Mapping[str, Any] | None = None,
        ids: Sequence[str] | None = None,
        limit: int | None = 100,
        offset: int = 0,
    ) -> list[Thread]:
        """Return threads, the last changed first: all, or those of these notes and ids.

        ``limit`` None: as many as there are.
        """
        wanted = dict(notes or {})
        found: list[Thread] = []
        query = select(_THREADS).order_by(_THREADS.c.updated_at.desc(), _THREADS.c.seq.desc())
        if ids is not None:
            query = query.where(_THREADS.c.id.in_(ids))
        page = 0
        end = None if limit is None else offset + limit
        while end is None or len(found) < end:
            with self._database.read() as connection:
                rows = connection.execute(query.limit(_PAGE).offset(page)).mappings().all()
            threads = [_thread(row) for row in rows]
            found += [t for t in threads if all(t.notes.get(k) == v for k, v in wanted.items())]
            if len(rows) < _PAGE:
                break
            page += _PAGE
        return found[offset:end]

    def untouched_since(self, before: float) -> list[str]:
        """Return the threads of which nothing was noted since; events are no notes."""
        query = select(_THREADS.c.id).where(_THREADS.c.updated_at < before)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def delete(self, thread_id: str) -> None:
        """Forget a thread. Raises NotFoundError."""
        with self._database.write() as connection:
            gone = connection.execute(_THREADS.delete().where(_THREADS.c.id == thread_id))
        if not gone.rowcount:
            raise NotFoundError(f"No conversation {thread_id!r}.", remedy="Begin one.")


def _find(connection: Connection, thread_id: str) -> Thread | None:
    row = connection.execute(select(_THREADS).where(_THREADS.c.id == thread_id)).mappings().first()
    return None if row is None else _thread(row)


def _thread(row: RowMapping) -> Thread:
    return Thread(**{name: row[name] for name in row if name != "seq"})
