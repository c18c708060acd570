"""Checkpoints in a SQLite file of their own, in the tables of LangGraph's saver for SQLite.

Beside the state database, whose writers would wait for those of every conversation. A killed
process loses nothing; a machine that loses its power may lose the last steps of a conversation:
what was spent and what serves is in the state database, which waits for the disk.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.errors import LockTimeout, StorageError
from agent_orchestrator.stores.checkpoints import (
    Change,
    CheckpointKey,
    CheckpointRow,
    WriteRow,
    Writes,
)

_BUSY_SECONDS: Final = 15.0
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS checkpoints (
    thread_id TEXT NOT NULL,
    checkpoint_ns TEXT NOT NULL DEFAULT '',
    checkpoint_id TEXT NOT NULL,
    parent_checkpoint_id TEXT,
    type TEXT,
    checkpoint BLOB,
    metadata BLOB,
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id)
);
CREATE TABLE IF NOT EXISTS writes (
    thread_id TEXT NOT NULL,
    checkpoint_ns TEXT NOT NULL DEFAULT '',
    checkpoint_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    idx INTEGER NOT NULL,
    channel TEXT NOT NULL,
    type TEXT,
    value BLOB,
    task_path TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
);
"""
_ADD_TASK_PATH: Final = "ALTER TABLE writes ADD COLUMN task_path TEXT NOT NULL DEFAULT ''"
_SELECT: Final = (
    "SELECT thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, "
    "metadata FROM checkpoints"
)
_NEWEST_FIRST: Final = "ORDER BY checkpoint_id DESC LIMIT ?"
_PUT: Final = (
    "INSERT OR REPLACE INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, "
    "parent_checkpoint_id, type, checkpoint, metadata) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_PUT_WRITES: Final = (
    "INTO writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, task_path, channel, type, "
    "value) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SURPLUS: Final = (
    "SELECT thread_id, count(*) - ? FROM checkpoints WHERE checkpoint_ns = '' "
    "GROUP BY thread_id HAVING count(*) > ?"
)
_STATES: Final = (
    "SELECT checkpoint_id FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = '' "
    "ORDER BY checkpoint_id DESC"
)
_DELETE_PAST: Final = (
    "DELETE FROM writes WHERE thread_id = ? AND checkpoint_id < ?",
    "DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_id < ?",
)
_REPLACE: Final = f"INSERT OR REPLACE {_PUT_WRITES}"
_IGNORE: Final = f"INSERT OR IGNORE {_PUT_WRITES}"


class CheckpointFile:
    """Keeps checkpoints in a file, made when it is not there; several processes may share it."""

    def __init__(self, path: Path, *, busy_seconds: float = _BUSY_SECONDS) -> None:
        """Raises StorageError when the file cannot be had."""
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._fault(error) from error
        with self._translated():
            self._connection = sqlite3.connect(
                path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL").close()
            self._connection.execute("PRAGMA synchronous = NORMAL").close()
            self._connection.executescript(_TABLES).close()
            columns = self._connection.execute("SELECT name FROM pragma_table_info('writes')")
            if ("task_path",) not in columns.fetchall():  # made by LangGraph's saver before 3.1.2
                self._connection.execute(_ADD_TASK_PATH).close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def keep(self, changes: Sequence[Change]) -> Sequence[None]:
        """Keep all in their order, or none."""
        with self._transaction() as connection:
            for statement, alike in groupby(map(_statement, changes), lambda pair: pair[0]):
                rows = [row for _, some in alike for row in some]
                connection.executemany(statement, rows).close()
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
        conditions = {
            "thread_id = ?": thread_id,
            "checkpoint_ns = ?": namespace,
            "checkpoint_id = ?": checkpoint_id,
            "checkpoint_id < ?": before,
        }
        given = {text: value for text, value in conditions.items() if value is not None}
        query = f"{_SELECT} WHERE {' AND '.join(['TRUE', *given])} {_NEWEST_FIRST}"
        rows = self._read(query, (*given.values(), -1 if limit is None else limit))
        return [
            CheckpointRow(
                CheckpointKey(thread, space, checkpoint),
                parent,
                kind,
                body,
                json.loads(metadata or b"{}"),
            )
            for thread, space, checkpoint, parent, kind, body, metadata in rows
        ]

    def writes(self, key: CheckpointKey) -> Sequence[WriteRow]:
        """Return what was written after a checkpoint."""
        query = (
            "SELECT task_id, idx, task_path, channel, type, value FROM writes "
            "WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?"
        )
        return [WriteRow(*row) for row in self._read(query, key)]

    def delete(self, thread_id: str) -> None:
        """Forget a thread."""
        with self._transaction() as connection:
            for table in ("writes", "checkpoints"):
                query = f"DELETE FROM {table} WHERE thread_id = ?"  # noqa: S608  # nosec B608 - our own names
                connection.execute(query, (thread_id,)).close()

    def surplus(self, states: int) -> Mapping[str, int]:
        """Return thread → how many more states of the conversation than so many are kept."""
        return dict(self._read(_SURPLUS, (states, states)))

    def keep_newest(self, thread_id: str, states: int) -> int:
        """Remove all but so many of a thread's states, and what belongs to them; count these."""
        with self._transaction() as connection:
            ids = [row[0] for row in connection.execute(_STATES, (thread_id,)).fetchall()]
            kept, old = ids[:states], ids[states:]
            if not old:
                return 0
            for statement in _DELETE_PAST:
                # What agents kept in a state's course came after it, and before the next state.
                connection.execute(statement, (thread_id, kept[-1])).close()
        return len(old)

    def _read(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._translated(), self._lock, closing(self._connection.cursor()) as cursor:
            return cursor.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated(), self._lock:
            self._connection.execute("BEGIN IMMEDIATE").close()
            with self._connection:  # commits, or rolls back
                yield self._connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
            raise self._fault(error) from error

    def _fault(self, error: Exception) -> StorageError | LockTimeout:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return LockTimeout(f"{self._path}: {error}.", remedy="Try again.")
        return StorageError(
            f"The conversations cannot be kept in {self._path}: {error}.",
            remedy="See that the disk has space and that the folder may be written.",
        )


def _statement(change: Change) -> tuple[str, list[tuple[Any, ...]]]:
    if isinstance(change, CheckpointRow):
        text = json.dumps(change.metadata, ensure_ascii=False)
        metadata = text.encode("utf-8", "ignore")
        return _PUT, [(*change.key, change.parent_id, change.kind, change.body, metadata)]
    return _REPLACE if change.replace else _IGNORE, _rows(change)


def _rows(given: Writes) -> list[tuple[Any, ...]]:
    return [
        (*given.key, row.task_id, row.position, row.task_path, row.channel, row.kind, row.body)
        for row in given.rows
    ]
