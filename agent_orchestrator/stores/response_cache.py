"""A bounded store of answers by key, in an SQLite file of its own that may be deleted any time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from agent_orchestrator.errors import StorageError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, used_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_used_at ON answers (used_at);
CREATE TABLE IF NOT EXISTS held (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL);
INSERT OR IGNORE INTO held SELECT 1, coalesce(sum(length(value)), 0) FROM answers;
CREATE TRIGGER IF NOT EXISTS kept AFTER INSERT ON answers
    BEGIN UPDATE held SET bytes = bytes + length(new.value); END;
CREATE TRIGGER IF NOT EXISTS gone AFTER DELETE ON answers
    BEGIN UPDATE held SET bytes = bytes - length(old.value); END;
"""
_WAIT_SECONDS = 30.0


class ResponseCache:
    """Keeps the answers used last, up to a size. Several processes may share the file.

    All methods raise StorageError when the file cannot be read or written.
    """

    def __init__(
        self, path: Path, max_bytes: int, *, clock: Callable[[], float] = time.time
    ) -> None:
        """``max_bytes``: of the values together."""
        self._path = path
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def get(self, key: str) -> bytes | None:
        """Return what is kept under a key."""
        with self._open() as db:
            row = db.execute("SELECT value FROM answers WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            db.execute("UPDATE answers SET used_at = ? WHERE key = ?", (self._clock(), key))
            return bytes(row[0])

    def put(self, key: str, value: bytes) -> None:
        """Keep a value; those used longest ago give way."""
        if len(value) > self._max_bytes:
            return
        with self._open() as db:
            db.execute("DELETE FROM answers WHERE key = ?", (key,))  # REPLACE fires no trigger
            db.execute("INSERT INTO answers VALUES (?, ?, ?)", (key, value, self._clock()))
            over = self._size(db) - self._max_bytes
            while over > 0:
                old = db.execute(
                    "SELECT key, length(value) FROM answers WHERE key != ?"
                    " ORDER BY used_at LIMIT 64",
                    (key,),
                ).fetchall()
                for name, size in old:
                    if over <= 0:
                        break
                    db.execute("DELETE FROM answers WHERE key = ?", (name,))
                    over -= size

    def clear(self) -> int:
        """Forget everything; return how many answers there were."""
        with self._open() as db:
            return db.execute("DELETE FROM answers").rowcount

    def _size(self, db: sqlite3.Connection) -> int:
        return int(db.execute("SELECT bytes FROM held").fetchone()[0])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction."""
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                with self._connection as db:
                    db.execute("BEGIN IMMEDIATE")
                    yield db
            except (OSError, sqlite3.Error) as error:
                raise StorageError(
                    f"The cache of answers {self._path} cannot be used: {error}.",
                    remedy="Delete the file: nothing but time and money is lost with it.",
                ) from error

    def _connect(self) -> sqlite3.Connection:
        """Return a connection that waits for no disk at a commit.

        An answer outlives this process; only a machine that loses power may forget the last ones.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        return connection
