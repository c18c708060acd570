"""Checkpoints of conversations as rows of the state database; what is in them is LangGraph's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    LargeBinary,
    String,
    Table,
    delete,
    func,
    select,
    tuple_,
)

from agent_orchestrator.stores.database import Database, Json, metadata

_CHECKPOINTS = Table(
    "checkpoints",
    metadata,
    Column("thread_id", String, primary_key=True),
    Column("namespace", String, primary_key=True),
    Column("checkpoint_id", String, primary_key=True),
    Column("parent_id", String),
    Column("kind", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("metadata", Json, nullable=False),
)
_WRITES = Table(
    "checkpoint_writes",
    metadata,
    Column("thread_id", String, primary_key=True),
    Column("namespace", String, primary_key=True),
    Column("checkpoint_id", String, primary_key=True),
    Column("task_id", String, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("task_path", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
)


class CheckpointKey(NamedTuple):
    """Names one checkpoint; their ids rise with time."""

    thread_id: str
    namespace: str
    checkpoint_id: str


class CheckpointRow(NamedTuple):
    """One checkpoint."""

    key: CheckpointKey
    parent_id: str | None
    kind: str
    """How the body was serialised."""
    body: bytes
    metadata: dict[str, Any]


class WriteRow(NamedTuple):
    """What a task wrote before the next checkpoint was made."""

    task_id: str
    position: int
    task_path: str
    channel: str
    kind: str
    body: bytes


class Writes(NamedTuple):
    """What a task wrote after a checkpoint."""

    key: CheckpointKey
    rows: Sequence[WriteRow]
    replace: bool
    """Whether one of the same task and position is replaced, or else stays."""


Change: TypeAlias = CheckpointRow | Writes
"""What is to be kept; a checkpoint takes the place of one of its key."""


class Checkpoints(Protocol):
    """Where checkpoints are kept. Methods block.

    They raise LockTimeout, StorageError or UnavailableError.
    """

    def keep(self, changes: Sequence[Change]) -> Sequence[None]:
        """Keep all in their order, or none; repeatable. Returns a None for each."""

    def find(
        self,
        *,
        thread_id: str | None = None,
        namespace: str | None = None,
        checkpoint_id: str | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> Sequence[CheckpointRow]:
        """Return checkpoints, newest first; ``before`` is a checkpoint's id."""

    def writes(self, key: CheckpointKey) -> Sequence[WriteRow]:
        """Return what was written after a checkpoint."""

    def delete(self, thread_id: str) -> None:
        """Forget a thread."""


class CheckpointStore:
    """Keeps checkpoints in the tables of the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, changes: Sequence[Change]) -> Sequence[None]:
        """Keep all in their order, or none."""
        with self._database.write() as connection:
            for change in changes:
                if isinstance(change, CheckpointRow):
                    self._put(connection, change)
                else:
                    self._put_writes(connection, change)
        return [None] * len(changes)

    def find(
        self,
        *,
        thread_id: str | None = None,
        namespace: str | None = None,
        checkpoint_id: str | None = None,
        before: str | None = None,
        limit: int | None = None,
    ) -> Sequence[CheckpointRow]:
        """Return checkpoints, newest first; ``before`` is a checkpoint's id."""
        query = select(_CHECKPOINTS).order_by(_CHECKPOINTS.c.checkpoint_id.desc()).limit(limit)
        for name, value in (
            ("thread_id", thread_id),
            ("namespace", namespace),
            ("checkpoint_id", checkpoint_id),
        ):
            if value is not None:
                query = query.where(_CHECKPOINTS.c[name] == value)
        if before is not None:
            query = query.where(_CHECKPOINTS.c.checkpoint_id < before)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [CheckpointRow(CheckpointKey(*row[:3]), *row[3:]) for row in rows]

    def writes(self, key: CheckpointKey) -> Sequence[WriteRow]:
        """Return what was written after a checkpoint."""
        columns = (_WRITES.c[name] for name in WriteRow._fields)
        query = select(*columns).where(*_is(_WRITES, key))
        with self._database.read() as connection:
            return [WriteRow(*row) for row in connection.execute(query)]

    def delete(self, thread_id: str) -> None:
        """Forget a thread."""
        with self._database.write() as connection:
            for table in (_WRITES, _CHECKPOINTS):
                connection.execute(delete(table).where(table.c.thread_id == thread_id))

    def surplus(self, states: int) -> Mapping[str, int]:
        """Return thread → how many more states of the conversation than so many are kept."""
        count = func.count()
        query = (
            select(_CHECKPOINTS.c.thread_id, count)
            .where(_CHECKPOINTS.c.namespace == "")
            .group_by(_CHECKPOINTS.c.thread_id)
            .having(count > states)
        )
        with self._database.read() as connection:
            return {thread: n - states for thread, n in connection.execute(query)}

    def keep_newest(self, thread_id: str, states: int) -> int:
        """Remove all but so many of a thread's states, and what belongs to them; count these."""
        ids = select(_CHECKPOINTS.c.checkpoint_id).where(
            _CHECKPOINTS.c.thread_id == thread_id, _CHECKPOINTS.c.namespace == ""
        )
        with self._database.write() as connection:
            found = connection.execute(ids.order_by(_CHECKPOINTS.c.checkpoint_id.desc())).scalars()
            kept, old = (all_ids := list(found))[:states], all_ids[states:]
            if not old:
                return 0
            for table in (_WRITES, _CHECKPOINTS):
                # What agents kept in a state's course came after it, and before the next state.
                past = (table.c.thread_id == thread_id, table.c.checkpoint_id < kept[-1])
                connection.execute(delete(table).where(*past))
        return len(old)

    def _put(self, connection: Connection, row: CheckpointRow) -> None:
        values = {**row.key._asdict(), **row._asdict()}
        del values["key"]
        connection.execute(_CHECKPOINTS.delete().where(*_is(_CHECKPOINTS, row.key)))
        connection.execute(_CHECKPOINTS.insert().values(values))

    def _put_writes(self, connection: Connection, given: Writes) -> None:
        key, rows, replace = given
        known = self._positions(connection, key)
        for row in rows:
            there = (row.task_id, row.position) in known
            if there and not replace:
                continue
            if there:
                same = (_WRITES.c.task_id == row.task_id, _WRITES.c.position == row.position)
                connection.execute(_WRITES.delete().where(*_is(_WRITES, key), *same))
            connection.execute(_WRITES.insert().values({**key._asdict(), **row._asdict()}))

    def _positions(self, connection: Connection, key: CheckpointKey) -> set[tuple[str, int]]:
        query = select(_WRITES.c.task_id, _WRITES.c.position).where(*_is(_WRITES, key))
        return {(row.task_id, row.position) for row in connection.execute(query)}


def _is(table: Table, key: CheckpointKey) -> tuple[Any, ...]:
    names = tuple_(*(table.c[name] for name in CheckpointKey._fields))
    return (names == tuple_(*key),)
