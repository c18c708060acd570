"""A real PostgreSQL server in a folder of its own, for as long as the tests run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

SCRIPT = Path(__file__).parents[1] / "scripts" / "postgres_for_tests.sh"
PASSWORD = "let-nobody-see-this"
_TESTS = "tests"
_START_SECONDS = 60.0
#: Many times quicker than a new database; whoever is still connected is cut off.
_EMPTY = """DO $$ BEGIN
PERFORM pg_terminate_backend(pid, 30000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
END $$"""


@dataclass(frozen=True)
class PostgresServer:
    """A server that listens on a socket in its folder."""

    folder: Path
    port: int = 5432
    """Part of the socket's name; a TCP port only with the option ``listen_addresses``."""

    @classmethod
    @contextmanager
    def running(cls, *options: str, port: int = 5432) -> Iterator[PostgresServer]:
        """Start a server that forgets at a power cut, or skip; ``options`` go to the server."""
        found = subprocess.run([SCRIPT, "find"], capture_output=True, text=True, check=False)
        if found.returncode:
            reason = found.stderr.strip()
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI runs these tests against PostgreSQL too. {reason}")
            pytest.skip(reason)
        # Not in pytest's folders: those only their owner may enter, and their paths are long.
        folder = Path(tempfile.mkdtemp(prefix="chef-pg-"))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [SCRIPT, "run", folder, "-c", "fsync=off", "-p", str(port), *options],
                env=os.environ | {"PGPASSWORD": PASSWORD},
                stderr=log,
            )
        try:
            server = cls(folder, port)
            server._wait_for(process)
            server.execute(f"CREATE DATABASE {_TESTS}")
            yield server
        finally:
            process.send_signal(2)  # SIGINT: end at once, in good order
            process.wait()
            shutil.rmtree(folder)

    def url(self, name: str = "postgres", *, password: str = PASSWORD) -> str:
        """Return the URL of a database."""
        return f"postgresql://chef:{password}@:{self.port}/{name}?host={self.folder}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """Give the URL of an empty database; one at a time, for it is emptied for the next."""
        self.execute(_EMPTY, _TESTS)
        yield self.url(_TESTS)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as a person at the server would."""
        url = make_url("postgresql+pg8000://").set(
            username="chef", password=PASSWORD, database=database
        )
        arguments = {"unix_sock": f"{self.folder}/.s.PGSQL.{self.port}"}
        engine = create_engine(url, connect_args=arguments, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                result = connection.exec_driver_sql(statement)
                return [tuple(row) for row in result] if result.returns_rows else []
        finally:
            engine.dispose()

    def cut_off(self, url: str) -> None:
        """End all connections to a database."""
        name = make_url(url).database
        query = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = '{}'"
        self.execute(query.format(name))

    def _wait_for(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.execute("SELECT 1")
            except DBAPIError:
                if process.poll() is not None or time.monotonic() > until:
                    pytest.fail(f"No server: {(self.folder / 'log').read_text()}")
                time.sleep(0.05)
            else:
                return
