"""The state database: SQLAlchemy Core over SQLite, or over PostgreSQL by URL, with the same code.

There is one writer at a time, in either: rows are committed in the order of their keys, and a
transaction that reads before it writes finds what it read unchanged. ``sqlite`` and ``postgresql``
say how.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Table,
    event,
    inspect,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from agent_orchestrator.errors import ChefError, ConfigurationError
from agent_orchestrator.stores.postgresql import PostgreSQL
from agent_orchestrator.stores.sqlite import SQLite

_BUSY_SECONDS: Final = 15.0
_WRITES: Final = "chef_writes"

#: Rises with every change of a table that old rows do not fit.
SCHEMA_VERSION: Final = 2

metadata = MetaData()
"""All tables; each store's module adds its own."""

SEQUENCE = BigInteger().with_variant(Integer, "sqlite")
"""The type of a key that counts up; SQLite's own has 64 bits by the name of INTEGER."""

_SCHEMA = Table("schema_version", metadata, Column("version", Integer, primary_key=True))


class Backend(Protocol):
    """What SQLite and PostgreSQL do each in their own way."""

    name: str
    """How messages call the database; without a password."""

    def engine(self) -> Engine:
        """Return an engine; it connects when it is used."""

    def begin(self, connection: Connection, *, writes: bool) -> None:
        """Begin a transaction: as the one writer, or with a reader's snapshot."""

    def setting_up(self) -> AbstractContextManager[None]:
        """Keep other processes from making the tables meanwhile."""

    def fault(self, error: Exception) -> ChefError | None:
        """Return an error about the database as one of ours; None for a mistaken statement."""


class Database:
    """One engine and its transactions. Safe to share between threads."""

    def __init__(self, url: str, *, busy_seconds: float = _BUSY_SECONDS) -> None:
        """Connect lazily; the first transaction makes the tables that are missing.

        ``busy_seconds`` is how long to wait for another process's transaction. Raises
        ConfigurationError for a URL that cannot be used.
        """
        self._backend = _backend(_parsed(url), busy_seconds)
        self._engine = self._backend.engine()
        event.listen(self._engine, "begin", self._begin)
        self._writing = self._engine.execution_options(**{_WRITES: True})
        self._tables = 0
        self._making = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a transaction for reading: one snapshot.

        Raises LockTimeout, StorageError, UnavailableError.
        """
        with self._translated():
            self._make_tables()
            with self._engine.connect() as connection, connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction for writing: committed at the end, rolled back by an error.

        There is one writer at a time, so rows are committed in the order of their keys. Raises
        LockTimeout, StorageError, UnavailableError.
        """
        with self._translated():
            self._make_tables()
            with self._writing.connect() as connection, connection.begin():
                yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _begin(self, connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        self._backend.begin(connection, writes=writes)

    def _make_tables(self) -> None:
        """Make what is missing, also for a store whose module was imported later."""
        if self._tables == len(metadata.tables):
            return
        with self._making, self._backend.setting_up():
            known = len(metadata.tables)
            with self._writing.connect() as connection, connection.begin():
                self._check_schema(connection)
                metadata.create_all(connection)
            self._tables = known

    def _check_schema(self, connection: Connection) -> None:
        if not inspect(connection).has_table(_SCHEMA.name):
            _SCHEMA.create(connection)
            connection.execute(_SCHEMA.insert().values(version=SCHEMA_VERSION))
            return
        version = connection.execute(select(_SCHEMA.c.version)).scalar()
        if version != SCHEMA_VERSION:
            raise ConfigurationError(
                f"{self._backend.name} has schema {version}; this program knows {SCHEMA_VERSION}.",
                remedy="Use the program that made it, or another CHEF_STATE or CHEF_DATABASE_URL.",
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn errors about the database into ours; errors of a statement stay bugs."""
        try:
            yield
        except (DBAPIError, OSError) as error:
            fault = self._backend.fault(error)
            if fault is None:
                raise
            raise fault from error


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError(  # the value may hold a password: neither said nor chained
            "CHEF_DATABASE_URL is not a database's URL.",
            remedy="Write postgresql://user:password@host:5432/database.",
        ) from None


def _backend(url: URL, busy_seconds: float) -> Backend:
    match url.drivername.partition("+")[0]:
        case "sqlite":
            return SQLite(url, busy_seconds)
        case "postgresql" | "postgres":
            return PostgreSQL(url, busy_seconds)
        case other:
            raise ConfigurationError(
                f"CHEF_DATABASE_URL asks for {other!r}.",
                remedy="Use postgresql://…, or leave it empty for SQLite in the state folder.",
            )
