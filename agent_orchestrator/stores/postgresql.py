"""PostgreSQL as the state database: for several machines, or for a team's own server.

The driver is pg8000 unless the URL names another (``postgresql+<driver>://``). All writers of a
database take one advisory lock for the length of their transaction, so that they commit in the
order in which sequence numbers are given, as with SQLite. Such transactions are a few statements
long. Readers take no lock; a transaction that reads has one snapshot (REPEATABLE READ).
"""

from __future__ import annotations

import json
import logging
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, NoSuchModuleError

from agent_orchestrator.errors import (
    ChefError,
    ConfigurationError,
    LockTimeout,
    StorageError,
    UnavailableError,
)
from agent_orchestrator.stores.backend import Rows, purpose_of

_DRIVER: Final = "pg8000"
#: The advisory locks of this program: first key; the second says which.
LOCK_SPACE: Final = 0x43686566  # "Chef"
_WRITER: Final = 0
_POLL_SECONDS: Final = 0.05
#: How much longer than for a lock to wait for the server to say anything, seconds.
_GRACE_SECONDS: Final = 15.0
#: A writer that stops in its midst (a suspended process, a lost machine) is cut off then, seconds.
_IDLE_SECONDS: Final = 60.0

_BUSY = ("55P03", "40P01", "40001")  # lock timeout, deadlock, serialisation
_UNREACHABLE = ("08", "57P", "53300", "25P03")  # connection, shutdown, too many, cut off
_REFUSED = ("28", "3D", "42501")  # authentication, no such database, no privilege
_NO_ROOM = ("53", "58", "25006")  # resources, the system, read-only


class PostgreSQL:
    """What is particular to PostgreSQL. ``busy_seconds``: how long to wait for another's write.

    Raises ConfigurationError for a URL that cannot be used and for a driver that is not installed.
    """

    def __init__(self, url: URL, busy_seconds: float) -> None:
        self.name = f"The state database {url.database!r} on {_server(url)}"
        self._busy_seconds = busy_seconds
        self.engine = _engine(*_for_driver(url, busy_seconds))
        event.listen(self.engine, "connect", self._configure)
        event.listen(self.engine, "begin", _begin)

    def insert_new(
        self, connection: Connection, table: Table, key: Sequence[str], rows: Rows
    ) -> int:
        """Insert rows by one statement, which gets them as one JSON text: one way to the server."""
        names = ", ".join(rows.columns)
        types = ", ".join(
            f"{name} {table.c[name].type.compile(connection.dialect)}" for name in rows.columns
        )
        statement = (
            f"INSERT INTO {table.name} ({names}) SELECT {names} "  # noqa: S608  # nosec B608 - our own names
            "FROM ROWS FROM "
            f"(json_to_recordset(%s::json) AS ({types})) WITH ORDINALITY ORDER BY ordinality "
            f"ON CONFLICT ({', '.join(key)}) DO NOTHING"
        )
        text = json.dumps(
            [dict(zip(rows.columns, row, strict=True)) for row in rows.values], allow_nan=False
        )
        return connection.exec_driver_sql(statement, (text,)).rowcount

    @contextmanager
    def exclusive(self, name: str, timeout: float) -> Iterator[Callable[[], None]]:
        """Hold an advisory lock of a connection of its own, which the server takes from the dead.

        The connection must be one to the server itself, or to a pooler that gives a session each.
        """
        key = f"{LOCK_SPACE}, {zlib.crc32(name.encode()) >> 1 | 1}"  # not the writers'
        until = time.monotonic() + timeout
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
            while not session.exec_driver_sql(f"SELECT pg_try_advisory_lock({key})").scalar():
                if time.monotonic() >= until:
                    raise LockTimeout(
                        f"Another process has held the lock {name!r} of {self.name[0].lower()}"
                        f"{self.name[1:]} for more than {timeout:g} s.",
                        remedy="Try again; end that process if it hangs.",
                    )
                time.sleep(_POLL_SECONDS)

            def check() -> None:
                if session.invalidated:
                    raise self._unreachable("the connection was lost")
                session.exec_driver_sql("SELECT 1").close()

            try:
                yield check
            finally:
                try:
                    if not session.invalidated:
                        session.exec_driver_sql(f"SELECT pg_advisory_unlock({key})")
                except (DBAPIError, OSError):
                    session.invalidate()  # with the connection goes the lock

    def fault(self, error: Exception) -> ChefError | None:
        """Return the server's or the connection's error as one of ours; None for a statement's."""
        if isinstance(error, OSError):  # pg8000 lets a timed out socket's through
            return self._unreachable(str(error))
        if not isinstance(error, DBAPIError):
            return None
        code, text = _code_and_text(error.orig)
        if not code and (error.connection_invalidated or isinstance(error, InterfaceError)):
            return self._unreachable(text)
        return self._said(code, text)

    def _said(self, code: str, text: str) -> ChefError | None:
        """Return what the server's SQLSTATE means to us."""
        if code.startswith(_BUSY):
            return LockTimeout(f"{self.name} is busy: {text}.", remedy="Try again.")
        if code.startswith(_UNREACHABLE):
            return self._unreachable(text)
        if code.startswith(_REFUSED):
            return ConfigurationError(
                f"{self.name} refuses: {text}.",
                remedy="Set user, password and database in CHEF_DATABASE_URL.",
            )
        if code.startswith(_NO_ROOM):
            return StorageError(f"{self.name}: {text}.", remedy="Look at the server's log.")
        return None

    def _unreachable(self, text: str) -> ChefError:
        return UnavailableError(
            f"{self.name} does not answer: {text}.",
            remedy="See that the server runs and that CHEF_DATABASE_URL says where.",
        )

    def _configure(self, connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for name, seconds in (
            ("lock_timeout", self._busy_seconds),
            ("idle_in_transaction_session_timeout", _IDLE_SECONDS),
        ):
            cursor.execute(f"SET {name} = {int(seconds * 1000)}")
        cursor.close()
        connection.commit()


def _engine(url: URL, options: dict[str, Any]) -> Engine:
    # A connection that cannot be closed any more is no news: what it was needed for says so.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    try:
        # A connection may have died while it lay in the pool: the server was restarted.
        return create_engine(url, connect_args=options, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise ConfigurationError(
            f"CHEF_DATABASE_URL asks for {url.drivername!r}; its driver is not installed "
            f"({error}).",
            remedy="Install it: pip install 'code-chef[postgres]', and begin the URL with "
            "postgresql://.",
        ) from error


def _begin(connection: Connection) -> None:
    match purpose_of(connection):
        case "write":
            # Statements after it see what the writer before has committed (READ COMMITTED).
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK_SPACE}, {_WRITER})")
        case "read":
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def _server(url: URL) -> str:
    return f"{url.host or url.query.get('host') or 'localhost'}:{url.port or 5432}"


def _for_driver(url: URL, busy_seconds: float) -> tuple[URL, dict[str, Any]]:
    """Return the URL with its driver, and pg8000's arguments for what libpq's URLs can say."""
    _, _, driver = url.drivername.partition("+")
    if driver not in ("", _DRIVER):
        return url, {}
    query = dict(url.query)
    options: dict[str, Any] = {"timeout": busy_seconds + _GRACE_SECONDS}
    folder = query.pop("host", "")
    if isinstance(folder, str) and folder.startswith("/"):
        options["unix_sock"] = f"{folder}/.s.PGSQL.{url.port or 5432}"
    mode, root = query.pop("sslmode", "prefer"), query.pop("sslrootcert", None)
    options["ssl_context"] = _tls(str(mode), None if root is None else str(root))
    options["application_name"] = query.pop("application_name", "chef")
    if query:
        raise ConfigurationError(
            f"CHEF_DATABASE_URL has the option {next(iter(query))!r}.",
            remedy="Known: host (a socket's folder), sslmode, sslrootcert, application_name.",
        )
    return url.set(drivername=f"postgresql+{_DRIVER}", query={}), options


def _tls(mode: str, root_certificate: str | None) -> ssl.SSLContext | bool | None:
    """Return pg8000's form of libpq's ``sslmode``; None tries TLS and goes on without."""
    match mode:
        case "disable":
            return False
        case "allow" | "prefer":
            return None
        case "require" | "verify-ca" | "verify-full":
            try:
                context = ssl.create_default_context(cafile=root_certificate)
            except OSError as error:
                raise ConfigurationError(
                    f"CHEF_DATABASE_URL has sslrootcert {root_certificate!r}: {error}.",
                    remedy="Name the file of the certificates that you trust.",
                ) from error
            context.check_hostname = mode == "verify-full"
            if mode == "require" and root_certificate is None:
                context.verify_mode = ssl.CERT_NONE
            return context
        case _:
            raise ConfigurationError(
                f"CHEF_DATABASE_URL has sslmode {mode!r}.",
                remedy="Use disable, prefer, require, verify-ca or verify-full.",
            )


def _code_and_text(error: BaseException | None) -> tuple[str, str]:
    """Return the SQLSTATE (empty when it is not the server that speaks) and the message.

    When a server refuses a connection and hangs up, pg8000 fails once more in saying goodbye: the
    refusal is what that error came from.
    """
    text = str(error).strip()
    while error is not None:
        if error.args and isinstance(error.args[0], dict):  # pg8000: the server's fields
            return str(error.args[0].get("C", "")), str(error.args[0].get("M", ""))
        code = getattr(error, "sqlstate", None)
        if code:
            return str(code), str(error).strip()
        error = error.__cause__ or error.__context__
    return "", text
