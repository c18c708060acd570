"""The state database: SQLAlchemy Core over SQLite, PostgreSQL by URL with the same code.

SQLite runs in WAL mode with ``synchronous=FULL``: readers never wait for the writer, and a commit
is on the disk when it returns. Write transactions begin with BEGIN IMMEDIATE: one that reads
before it writes cannot find its snapshot stale.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    create_engine,
    event,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, OperationalError

from agent_orchestrator.errors import ConfigurationError, LockTimeout, StorageError
from agent_orchestrator.stores.files import locked

_BUSY_SECONDS: Final = 15.0
_IMMEDIATE: Final = "immediate"

#: Rises with every change of a table that old rows do not fit.
SCHEMA_VERSION: Final = 1

metadata = MetaData()
"""All tables; each store's module adds its own."""

_SCHEMA = Table("schema_version", metadata, Column("version", Integer, primary_key=True))


class Database:
    """One engine and its transactions. Safe to share between threads."""

    def __init__(self, url: str, *, busy_seconds: float = _BUSY_SECONDS) -> None:
        """Connect lazily; the first transaction makes the tables that are missing.

        ``busy_seconds`` is how long to wait for another process's transaction.
        """
        self._url = make_url(url)
        self._busy_seconds = busy_seconds
        self._engine = _engine(url, busy_seconds)
        self._writing = self._engine.execution_options(**{_IMMEDIATE: True})
        self._tables = 0
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
            with self._writing.connect() as connection, connection.begin():
                yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _make_tables(self) -> None:
        """Make what is missing, also for a store whose module was imported later."""
        if self._tables == len(metadata.tables):
            return
        with self._making:
            known = len(metadata.tables)
            if self._url.get_backend_name() == "sqlite" and self._url.database:
                # Two processes that begin at once must not both set up the file.
                with locked(Path(self._url.database), self._busy_seconds):
                    self._make_missing()
            else:
                self._make_missing()
            self._tables = known

    def _make_missing(self) -> None:
        with self._writing.connect() as connection, connection.begin():
            metadata.create_all(connection)
            version = connection.execute(select(_SCHEMA.c.version)).scalar()
            if version is None:
                connection.execute(_SCHEMA.insert().values(version=SCHEMA_VERSION))
            elif version != SCHEMA_VERSION:
                raise ConfigurationError(
                    f"The state database {self._url.database!r} has schema {version}; this program "
                    f"knows {SCHEMA_VERSION}.",
                    remedy="Use the program that made it, or another CHEF_STATE.",
                )


def _engine(url: str, busy_seconds: float) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", partial(_configure_sqlite, busy_seconds))
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(busy_seconds: float, connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions of its own
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {int(busy_seconds * 1000)}",
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
    """Turn the driver's errors about the file into ours; errors of a statement stay bugs."""
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
    except DatabaseError as error:
        if type(error) is not DatabaseError:
            raise
        raise StorageError(
            f"The state database {name!r} is damaged: {error.orig}.",
            remedy="Put it aside or restore a copy; the files in CHEF_CONFIG are not concerned.",
        ) from error
