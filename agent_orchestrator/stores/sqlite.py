"""SQLite as the state database: one file, many readers, one writer at a time.

In WAL mode readers never wait for the writer; with ``synchronous=FULL`` a commit is on the disk
when it returns. Write transactions begin with BEGIN IMMEDIATE: one that reads before it writes
cannot find its snapshot stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Table, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from agent_orchestrator.errors import ChefError, LockTimeout, StorageError
from agent_orchestrator.stores.backend import Rows, purpose_of
from agent_orchestrator.stores.files import locked


class SQLite:
    """What is particular to SQLite. ``busy_seconds``: how long to wait for another's write."""

    def __init__(self, url: URL, busy_seconds: float) -> None:
        self.name = f"The state database {url.database!r}"
        self.engine = create_engine(url)
        self._file = url.database  # None or empty: in memory
        self._busy_seconds = busy_seconds
        event.listen(self.engine, "connect", self._configure)
        event.listen(self.engine, "begin", _begin)

    def insert_new(
        self, connection: Connection, table: Table, key: Sequence[str], rows: Rows
    ) -> int:
        """Insert rows by the driver's own loop."""
        names, marks = ", ".join(rows.columns), ", ".join("?" * len(rows.columns))
        statement = (
            f"INSERT INTO {table.name} ({names}) VALUES ({marks}) "  # noqa: S608  # nosec B608 - our own names
            f"ON CONFLICT ({', '.join(key)}) DO NOTHING"
        )
        return connection.exec_driver_sql(statement, list(rows.values)).rowcount

    @contextmanager
    def exclusive(self, name: str, timeout: float) -> Iterator[Callable[[], None]]:
        """Hold the lock of a file beside the database, which the kernel takes from the dead."""
        if not self._file:
            yield lambda: None
            return
        with locked(Path(f"{self._file}.{name}"), timeout):
            yield lambda: None

    def fault(self, error: Exception) -> ChefError | None:
        """Return the driver's error about the file as one of ours; None for a statement's."""
        if isinstance(error, OperationalError):
            text = str(error.orig)
            if "locked" in text or "busy" in text:
                return LockTimeout(f"{self.name} is busy: {text}.", remedy="Try again.")
            return StorageError(
                f"{self.name}: {text}.",
                remedy="See that the disk has space and that the folder may be written.",
            )
        if type(error) is DatabaseError:
            return StorageError(
                f"{self.name} is damaged: {error.orig}.",
                remedy="Put it aside or restore a copy; the files in CHEF_CONFIG are not "
                "concerned.",
            )
        return None

    def _configure(self, connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {int(self._busy_seconds * 1000)}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _begin(connection: Connection) -> None:
    writes = purpose_of(connection) == "write"
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
