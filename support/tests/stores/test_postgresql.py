"""PostgreSQL as the state database: what a server and a network may do to it."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from tests.doubles.ports import free_port
from tests.postgres import PASSWORD, PostgresServer

from agent_orchestrator.errors import (
    ChefError,
    ConfigurationError,
    LockTimeout,
    StorageError,
    UnavailableError,
)
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.postgresql import _for_driver


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    """Return a fresh database."""
    database = Database(postgres_url, busy_seconds=5.0)
    yield database
    database.close()


def name_of(url: str) -> str:
    """Return the name of a URL's database."""
    return make_url(url).database


def test_the_same_stores_work(database: Database) -> None:
    """What is written is read back, numbered from one."""
    log = AuditLog(database)
    for number in range(3):
        log.append(float(number), "ada", "deploy", "feature_dev", {"n": number, "näme": "\n'%s"})
    assert [(entry.seq, entry.detail["n"]) for entry in log.tail(2)] == [(2, 1), (3, 2)]


def test_a_connection_that_the_server_ended_is_replaced(
    database: Database, postgres: PostgresServer, postgres_url: str
) -> None:
    """After the server cut all connections, the next transaction works."""
    log = AuditLog(database)
    log.append(1.0, "a", "b", "c", {})
    postgres.cut_off(postgres_url)
    log.append(2.0, "a", "b", "c", {})
    assert len(log.tail(9)) == 2


def test_a_writer_that_is_cut_off_leaves_nothing(
    database: Database, postgres: PostgresServer, postgres_url: str
) -> None:
    """A connection lost in a transaction is said to be unavailable, and the lock is free again."""
    log = AuditLog(database)
    log.append(1.0, "a", "b", "c", {})

    def write_and_lose_the_connection() -> None:
        with database.write() as connection:
            connection.exec_driver_sql("DELETE FROM audit")
            postgres.cut_off(postgres_url)
            connection.exec_driver_sql("DELETE FROM audit")

    with pytest.raises(UnavailableError, match="does not answer"):
        write_and_lose_the_connection()
    log.append(2.0, "a", "b", "c", {})
    assert [entry.at for entry in log.tail(9)] == [1.0, 2.0]


def test_a_busy_database_is_waited_for_only_so_long(postgres_url: str) -> None:
    """A writer that finds another one for too long gives up and says so."""
    database, other = Database(postgres_url, busy_seconds=0.05), Database(postgres_url)
    log = AuditLog(database)
    log.append(1.0, "a", "b", "c", {})
    with other.write(), pytest.raises(LockTimeout, match="is busy"):
        log.append(2.0, "a", "b", "c", {})
    log.append(2.0, "a", "b", "c", {})
    assert len(log.tail(9)) == 2
    database.close()
    other.close()


def test_a_server_that_takes_no_writes_is_a_storage_error(
    database: Database, postgres: PostgresServer, postgres_url: str
) -> None:
    """A read-only server (a replica, a full disk's remedy) is named as such; reading goes on."""
    AuditLog(database).append(1.0, "a", "b", "c", {})
    name = name_of(postgres_url)
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    fresh = Database(postgres_url)
    with pytest.raises(StorageError, match="read-only"):
        AuditLog(fresh).append(2.0, "a", "b", "c", {})
    fresh.close()
    postgres.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert len(AuditLog(database).tail(9)) == 1


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"password": "wrong-one"}, ConfigurationError, "refuses: password authentication failed"),
        ({"database": "no_such"}, ConfigurationError, "'no_such' .* does not exist"),
        ({"query": {"host": "/none"}}, UnavailableError, "'[a-z0-9_]+' on /none:5432 does not"),
        ({"query": {}, "host": "127.0.0.1", "port": 1}, UnavailableError, r"on 127\.0\.0\.1:1 "),
        ({"query": {}, "host": "no-such-host.invalid"}, UnavailableError, "does not answer"),
    ],
)
def test_trouble_names_the_server_and_never_the_password(
    postgres_url: str,
    change: dict,
    error: type[ChefError],
    says: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What a person must mend is said; a password is in no message and no log."""
    caplog.set_level(logging.DEBUG)
    url = make_url(postgres_url).set(**change).render_as_string(hide_password=False)
    database = Database(url)
    with pytest.raises(error, match=says) as refused:
        AuditLog(database).tail(1)
    database.close()
    shown = str(refused.value) + repr(refused.value.__cause__) + caplog.text
    assert PASSWORD not in shown
    assert "wrong-one" not in shown


def test_threads_write_in_the_order_of_their_numbers(database: Database) -> None:
    """A reader that follows by number while four threads write meets every row once."""
    log = AuditLog(database)
    seen: list[int] = []
    writers = [
        threading.Thread(target=lambda: [log.append(0.0, "", "", "", {}) for _ in range(25)])
        for _ in range(4)
    ]
    for writer in writers:
        writer.start()
    query = "SELECT seq FROM audit WHERE seq > {} ORDER BY seq"
    while len(seen) < 100:
        with database.read() as connection:
            rows = connection.exec_driver_sql(query.format(seen[-1] if seen else 0))
            seen += [row.seq for row in rows]
    for writer in writers:
        writer.join()
    assert seen == list(range(1, 101))


def test_urls_say_what_libpqs_say(tmp_path: Path) -> None:
    """A socket's folder, TLS and the application's name are understood as PostgreSQL's own do."""
    certificate = Path(ssl.get_default_verify_paths().openssl_cafile)

    def options(query: str) -> dict:
        url, options = _for_driver(make_url(f"postgres://u:p@h:5433/d?{query}"), 10.0)
        assert url.drivername == "postgresql+pg8000"
        assert not url.query
        return options

    assert options("")["ssl_context"] is None
    assert options("sslmode=disable")["ssl_context"] is False
    assert options("host=/run/pg")["unix_sock"] == "/run/pg/.s.PGSQL.5433"
    assert options("application_name=x")["application_name"] == "x"
    required = options("sslmode=require")["ssl_context"]
    assert (required.verify_mode, required.check_hostname) == (ssl.CERT_NONE, False)
    full = options("sslmode=verify-full")["ssl_context"]
    assert (full.verify_mode, full.check_hostname) == (ssl.CERT_REQUIRED, True)
    if certificate.exists():
        pinned = options(f"sslmode=verify-ca&sslrootcert={certificate}")["ssl_context"]
        assert (pinned.verify_mode, pinned.check_hostname) == (ssl.CERT_REQUIRED, False)
    with pytest.raises(ConfigurationError, match="sslrootcert"):
        options(f"sslmode=verify-full&sslrootcert={tmp_path / 'none.pem'}")


@pytest.fixture
def certificate() -> Iterator[Path]:
    """Return a self-signed certificate for localhost, its key beside it, readable to a server."""
    folder = Path(tempfile.mkdtemp(prefix="chef-tls-"))
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", folder / "key.pem", "-out", folder / "certificate.pem"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    folder.chmod(0o755)
    yield folder / "certificate.pem"
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_the_way_to_a_server_is_encrypted_as_asked(certificate: Path) -> None:
    """Over TCP, TLS is used when there is any, and with verify-full only to who is meant."""
    port = free_port()
    key = certificate.with_name("key.pem")
    if os.getuid() == 0:
        owner = pwd.getpwnam("postgres" if "postgres" in users() else "nobody")
        os.chown(key, owner.pw_uid, owner.pw_gid)

    def is_encrypted(host: str, query: str) -> bool:
        database = Database(f"postgresql://chef:{PASSWORD}@{host}:{port}/postgres?{query}")
        try:
            with database.read() as connection:
                mine = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
                return bool(connection.exec_driver_sql(mine).scalar())
        finally:
            database.close()

    options = {"listen_addresses": "127.0.0.1", "ssl": "on"}
    options |= {"ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
    arguments = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    verified = f"sslmode=verify-full&sslrootcert={certificate}"
    with PostgresServer.running(*arguments, port=port):
        assert is_encrypted("localhost", "")
        assert is_encrypted("localhost", "sslmode=require")
        assert is_encrypted("localhost", verified)
        assert not is_encrypted("localhost", "sslmode=disable")
        with pytest.raises(UnavailableError, match="self-signed"):
            is_encrypted("localhost", "sslmode=verify-full")
        with pytest.raises(UnavailableError, match="mismatch"):
            is_encrypted("127.0.0.1", verified)


def users() -> set[str]:
    """Return the names of this machine's users."""
    return {entry.pw_name for entry in pwd.getpwall()}
