"""Which process runs a turn of which thread: one at a time, for as long as it renews its lease.

A process that is killed, suspended or cut off renews nothing; its threads are free when the lease
is over. The processes' clocks must agree to a fraction of that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from sqlalchemy import Boolean, Column, Connection, Float, String, Table, select

from agent_orchestrator.stores.database import Database, metadata

_TURNS = Table(
    "turns",
    metadata,
    Column("thread_id", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("asked", Boolean, nullable=False),
)


class Begun(NamedTuple):
    """A turn that is to begin."""

    thread_id: str
    holder: str
    waits: bool
    """Whether the holder of another one is told that somebody waits."""


class Ended(NamedTuple):
    """A turn that is over."""

    thread_id: str
    holder: str


Change: TypeAlias = Begun | Ended


class TurnStore:
    """The table. Methods block and raise LockTimeout, StorageError or UnavailableError."""

    def __init__(
        self, database: Database, seconds: float, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``seconds`` is how long a lease lasts."""
        self.seconds = seconds
        self._database = database
        self._clock = clock

    def change(self, changes: Sequence[Change]) -> Sequence[bool]:
        """Begin and end turns, all in one transaction; return for each whether it was done.

        A turn of a thread in which another holder's runs is not begun. What is done already may be
        done again.
        """
        now = self._clock()
        with self._database.write() as connection:
            held = _holders(connection, [one.thread_id for one in changes], now)
            done = [held.get(one.thread_id, one.holder) == one.holder for one in changes]
            mine = [one for one, is_done in zip(changes, done, strict=True) if is_done]
            _delete(connection, [one.thread_id for one in mine])
            _insert(connection, [one for one in mine if isinstance(one, Begun)], now + self.seconds)
            refused = [one for one, is_done in zip(changes, done, strict=True) if not is_done]
            _ask(
                connection,
                [one.thread_id for one in refused if isinstance(one, Begun) and one.waits],
            )
        return done

    def renew(self, holder: str) -> Mapping[str, bool]:
        """Renew all leases of a holder; return its threads, and whether somebody waits for each."""
        mine = _TURNS.c.holder == holder
        with self._database.write() as connection:
            until = self._clock() + self.seconds
            connection.execute(_TURNS.update().where(mine).values(expires_at=until))
            rows = connection.execute(select(_TURNS.c.thread_id, _TURNS.c.asked).where(mine)).all()
        return {row.thread_id: row.asked for row in rows}

    def running(self) -> set[str]:
        """Return the threads of which a turn runs, in whatever process."""
        query = select(_TURNS.c.thread_id).where(_TURNS.c.expires_at > self._clock())
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def runs(self, thread_id: str) -> bool:
        """Return whether a turn of the thread runs, in whatever process."""
        with self._database.read() as connection:
            return thread_id in _holders(connection, [thread_id], self._clock())


def _holders(connection: Connection, threads: Sequence[str], now: float) -> dict[str, str]:
    query = select(_TURNS.c.thread_id, _TURNS.c.holder).where(
        _TURNS.c.thread_id.in_(threads), _TURNS.c.expires_at > now
    )
    return {row.thread_id: row.holder for row in connection.execute(query)}


def _delete(connection: Connection, threads: Sequence[str]) -> None:
    if threads:
        connection.execute(_TURNS.delete().where(_TURNS.c.thread_id.in_(threads)))


def _insert(connection: Connection, turns: Sequence[Begun], until: float) -> None:
    rows = {
        one.thread_id: {
            "thread_id": one.thread_id,
            "holder": one.holder,
            "expires_at": until,
            "asked": False,
        }
        for one in turns
    }
    if rows:
        connection.execute(_TURNS.insert(), list(rows.values()))


def _ask(connection: Connection, threads: Sequence[str]) -> None:
    if threads:
        query = _TURNS.update().where(_TURNS.c.thread_id.in_(threads)).values(asked=True)
        connection.execute(query)
