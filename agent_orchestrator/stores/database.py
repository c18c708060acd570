"""The state database: SQLAlchemy Core over SQLite, PostgreSQL by URL with the same code.

SQLite runs in WAL mode with ``synchronous=FULL``: readers never wait for the writer, and a commit
is on the disk when it returns. Write transactions begin with BEGIN IMMEDIATE: one that reads
before it writes cannot find its snapshot stale.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from agent_orchestrator.errors import LockTimeout, StorageError
from agent_orchestrator.stores.files import locked

_BUSY_SECONDS: Final = 15.0
_IMMEDIATE: Final = "immediate"

metadata = MetaData()
"""All tables; each store's module adds its own."""


class Database:
    """One engine and its transactions. Safe to share between threads."""

    def __init__(self, url: str) -> None:
        """Connect lazily; the first transaction makes the tables that are missing."""
        self._url = make_url(url)
        self._engine = _engine(url)
        self._ready = False
        self._making = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a transaction for reading: one snapshot. Raises LockTimeout, StorageError."""
        with _translated(self._url.database):
            self._make_tables()
            with self._engine.connect() as connection, connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction for writing: committed at the end, rolled back by an error.

        There is one writer at a time, so rows are committed in the order of their keys. Raises
        LockTimeout, StorageError.
        """
        with _translated(self._url.database):
            self._make_tables()
            engine = self._engine.execution_options(**{_IMMEDIATE: True})
            with engine.connect() as connection, connection.begin():
                yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _make_tables(self) -> None:
        if self._ready:
            return
        with self._making:
            if self._url.get_backend_name() == "sqlite" and self._url.database:
                path = Path(self._url.database)
                # Two processes that begin at once must not both make a table.
                with locked(path, _BUSY_SECONDS):
                    metadata.create_all(self._engine)
            else:
                metadata.create_all(self._engine)
            self._ready = True


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {int(_BUSY_SECONDS * 1000)}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(_IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def _translated(name: str | None) -> Iterator[None]:
    """Turn the driver's operational errors into ours."""
    try:
        yield
    except OperationalError as error:
        text = str(error.orig)
        if "locked" in text or "busy" in text:
            raise LockTimeout(
                f"The state database {name!r} is busy: {text}.", remedy="Try again."
            ) from error
        raise StorageError(
            f"The state database {name!r}: {text}.",
            remedy="See that the disk has space and that the folder may be written.",
        ) from error
