"""SQLite as the state database: one file, many readers, one writer at a time.

In WAL mode readers never wait for the writer; with ``synchronous=FULL`` a commit is on the disk
when it returns. Write transactions begin with BEGIN IMMEDIATE: one that reads before it writes
cannot find its snapshot stale.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from agent_orchestrator.errors import ChefError, LockTimeout, StorageError
from agent_orchestrator.stores.files import locked


class SQLite:
    """What is particular to SQLite. ``busy_seconds``: how long to wait for another's write."""

    def __init__(self, url: URL, busy_seconds: float) -> None:
        self.name = f"The state database {url.database!r}"
        self._url = url
        self._busy_seconds = busy_seconds

    def engine(self) -> Engine:
        """Return an engine; it connects when it is used."""
        engine = create_engine(self._url)
        event.listen(engine, "connect", self._configure)
        return engine

    def begin(self, connection: Connection, *, writes: bool) -> None:
        """Begin a transaction: of the one writer, or a reader's snapshot."""
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    def setting_up(self) -> AbstractContextManager[None]:
        """Keep other processes from setting up the same file meanwhile."""
        if not self._url.database:  # in memory
            return nullcontext()
        return locked(Path(self._url.database), self._busy_seconds)

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
