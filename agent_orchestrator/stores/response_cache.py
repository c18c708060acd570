"""A bounded store of answers by key, in an SQLite file of its own that may be deleted any time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from agent_orchestrator.errors import StorageError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, used_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_used_at ON answers (used_at);
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
            db.execute("REPLACE INTO answers VALUES (?, ?, ?)", (key, value, self._clock()))
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
        return int(db.execute("SELECT coalesce(sum(length(value)), 0) FROM answers").fetchone()[0])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open the file for one transaction."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=_WAIT_SECONDS)) as db:
                db.executescript(_SCHEMA)
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    yield db
        except (OSError, sqlite3.Error) as error:
            raise StorageError(
                f"The cache of answers {self._path} cannot be used: {error}.",
                remedy="Delete the file: nothing but time and money is lost with it.",
            ) from error
