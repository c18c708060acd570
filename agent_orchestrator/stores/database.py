"""The state database: SQLAlchemy Core over SQLite, or over PostgreSQL by URL, with the same code.

There is one writer at a time, in either: rows are committed in the order of their keys, and a
transaction that reads before it writes finds what it read unchanged. ``sqlite`` and ``postgresql``
say how.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final, get_args

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    inspect,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.stores.backend import PURPOSE, Backend, Purpose, Rows
from agent_orchestrator.stores.migrations import FIRST_VERSION, MIGRATIONS
from agent_orchestrator.stores.postgresql import PostgreSQL
from agent_orchestrator.stores.sqlite import SQLite

_BUSY_SECONDS: Final = 15.0

#: Rises with every migration.
SCHEMA_VERSION: Final = FIRST_VERSION + len(MIGRATIONS)

metadata = MetaData()
"""All tables; each store's module adds its own."""

SEQUENCE = BigInteger().with_variant(Integer, "sqlite")
"""The type of a key that counts up; SQLite's own has 64 bits by the name of INTEGER."""


class Json(TypeDecorator[Any]):
    """JSON as text. It holds all that Python writes; PostgreSQL's own type has no infinity."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: object) -> str | None:
        """Write."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, _dialect: object) -> Any:
        """Read."""
        return None if value is None else json.loads(value)


_SCHEMA = Table("schema_version", metadata, Column("version", Integer, primary_key=True))


class Database:
    """One engine and its transactions. Safe to share between threads."""

    def __init__(self, url: str, *, busy_seconds: float = _BUSY_SECONDS) -> None:
        """Connect lazily; the first transaction makes the tables that are missing.

        It also brings those of an older version of this program up to date, all or none.

        ``busy_seconds`` is how long to wait for another process's transaction. Raises
        ConfigurationError for a URL that cannot be used.
        """
        self._backend = _backend(_parsed(url), busy_seconds)
        self._busy_seconds = busy_seconds
        self._engines = {
            purpose: self._backend.engine.execution_options(**{PURPOSE: purpose})
            for purpose in get_args(Purpose)
        }
        self._tables = 0
        self._making = threading.Lock()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a transaction for reading: one snapshot.

        Raises LockTimeout, StorageError, UnavailableError.
        """
        with self._translated():
            self._make_tables()
            with self._engines["read"].connect() as connection, connection.begin():
                yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction for writing: committed at the end, rolled back by an error.

        There is one writer at a time, so rows are committed in the order of their keys. Raises
        LockTimeout, StorageError, UnavailableError.
        """
        with self._translated():
            self._make_tables()
            with self._engines["write"].connect() as connection, connection.begin():
                yield connection

    def insert_new(
        self, connection: Connection, table: Table, key: Sequence[str], rows: Rows
    ) -> int:
        """Insert many rows in their order and return how many were new.

        Those whose values in the columns ``key``, which are unique, are there already stay as they
        are. SQLAlchemy's own way costs several times more for each row.
        """
        return self._backend.insert_new(connection, table, key, rows) if rows.values else 0

    @contextmanager
    def exclusive(self, name: str, timeout: float) -> Iterator[Callable[[], None]]:
        """Hold the lock ``name`` against everybody who uses this database; a dead holder's is free.

        Gives a check that raises UnavailableError when the lock was lost on the way (the connection
        to a server broke). Not reentrant. Raises LockTimeout after ``timeout`` seconds,
        StorageError, UnavailableError.
        """
        with ExitStack() as held:
            with self._translated():
                still_held = held.enter_context(self._backend.exclusive(name, timeout))

            def check() -> None:
                with self._translated():
                    still_held()

            yield check

    def close(self) -> None:
        """Close all connections."""
        self._backend.engine.dispose()

    def _make_tables(self) -> None:
        """Make what is missing, also for a store whose module was imported later."""
        if self._tables == len(metadata.tables):
            return
        with self._making, self._backend.exclusive("tables", self._busy_seconds):
            known = len(metadata.tables)
            with self._engines["write"].connect() as connection, connection.begin():
                self._check_schema(connection)
                metadata.create_all(connection)
            self._tables = known

    def _check_schema(self, connection: Connection) -> None:
        if not inspect(connection).has_table(_SCHEMA.name):
            _SCHEMA.create(connection)
            connection.execute(_SCHEMA.insert().values(version=SCHEMA_VERSION))
            return
        version = connection.execute(select(_SCHEMA.c.version)).scalar_one()
        if FIRST_VERSION <= version < SCHEMA_VERSION:
            for migrate in MIGRATIONS[version - FIRST_VERSION :]:
                migrate(connection)
            connection.execute(_SCHEMA.update().values(version=SCHEMA_VERSION))
        elif version != SCHEMA_VERSION:
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
