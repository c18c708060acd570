"""The state database: set-up by several processes, transactions, and what the file may suffer."""

import multiprocessing
import sqlite3
import threading
import traceback
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, Table
from sqlalchemy.exc import IntegrityError

from agent_orchestrator.errors import ConfigurationError, LockTimeout, StorageError
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import SCHEMA_VERSION, Database, metadata


def append(url: str, actor: str, times: int) -> None:
    """Write audit entries from a process of its own."""
    database = Database(url)
    log = AuditLog(database)
    for number in range(times):
        log.append(float(number), actor, "test", "x", {})
    database.close()


def test_processes_that_begin_at_once_set_up_one_database(database_url: str) -> None:
    """Several processes make the tables and write at the same time; no row is lost."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append, args=(database_url, f"p{n}", 25)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    database = Database(database_url)
    entries = AuditLog(database).tail(1000)
    assert [entry.seq for entry in entries] == list(range(1, 101))
    database.close()


def test_sqlite_commits_are_durable(tmp_path: Path) -> None:
    """The file is in WAL mode, commits reach the disk, and references are enforced."""
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    with database.read() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.close()


def test_readers_do_not_wait_for_the_writer(database: Database) -> None:
    """While a transaction writes, others read what was there before it."""
    log = AuditLog(database)
    table = metadata.tables["audit"]
    with database.write() as connection:
        row = {"at": 1.0, "actor": "a", "action": "b", "subject": "c", "detail": {}}
        connection.execute(table.insert().values(row))
        assert log.tail(1) == []
    assert len(log.tail(1)) == 1


def test_a_reader_has_one_snapshot(database: Database) -> None:
    """What is committed while a transaction reads is not in its later queries either."""
    log = AuditLog(database)
    query = metadata.tables["audit"].select()
    with database.read() as connection:
        assert connection.execute(query).all() == []
        log.append(1.0, "a", "b", "c", {})
        assert connection.execute(query).all() == []
    assert len(log.tail(1)) == 1


def test_an_error_rolls_the_transaction_back(database: Database) -> None:
    """What a failed transaction wrote is not there."""
    log = AuditLog(database)
    log.append(1.0, "a", "b", "c", {})
    table = metadata.tables["audit"]

    def write_and_fail() -> None:
        with database.write() as connection:
            connection.execute(table.delete())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert len(log.tail(10)) == 1


def test_a_mistaken_statement_stays_a_bug(database: Database) -> None:
    """Only troubles of the file become errors for people."""
    table = metadata.tables["schema_version"]
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.execute(table.insert().values(version=SCHEMA_VERSION))


def test_a_busy_database_is_waited_for_only_so_long(tmp_path: Path) -> None:
    """A writer that finds another one for too long gives up and says so."""
    path = tmp_path / "state.db"
    database = Database(f"sqlite:///{path}", busy_seconds=0.05)
    log = AuditLog(database)
    log.append(1.0, "a", "b", "c", {})
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LockTimeout, match="is busy"):
        log.append(2.0, "a", "b", "c", {})
    assert len(log.tail(10)) == 1
    other.rollback()
    other.close()
    log.append(2.0, "a", "b", "c", {})
    database.close()


def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    """When the file may not grow, the transaction fails with a remedy and leaves no trace."""
    path = tmp_path / "state.db"
    database = Database(f"sqlite:///{path}")
    log = AuditLog(database)
    log.append(1.0, "a", "b", "c", {})
    with database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match=r"disk is full.*has space"):
        log.append(2.0, "a", "b", "c", {"much": "x" * 100_000})
    assert len(log.tail(10)) == 1
    database.close()


@pytest.mark.parametrize("junk", [b"not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_damaged_file_says_so(tmp_path: Path, junk: bytes) -> None:
    """A file that is no database is an error with a way out."""
    path = tmp_path / "state.db"
    path.write_bytes(junk)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(StorageError, match="is damaged"):
        AuditLog(database).tail(1)
    database.close()
    assert path.read_bytes() == junk


def test_a_place_that_cannot_hold_a_database_says_so(tmp_path: Path) -> None:
    """A state folder that is a file is a storage error."""
    (tmp_path / "file").write_bytes(b"")
    database = Database(f"sqlite:///{tmp_path / 'file' / 'state.db'}")
    with pytest.raises(StorageError, match="Cannot write"):
        AuditLog(database).tail(1)
    (tmp_path / "folder.db").mkdir()
    database = Database(f"sqlite:///{tmp_path / 'folder.db'}")
    with pytest.raises(StorageError, match="unable to open database file"):
        AuditLog(database).tail(1)


def test_a_database_of_another_schema_is_refused(database: Database, database_url: str) -> None:
    """A program does not write into tables that it does not know."""
    table = metadata.tables["schema_version"]
    with database.write() as connection:
        connection.execute(table.update().values(version=99))
    newer = Database(database_url)
    with pytest.raises(ConfigurationError, match=r"has schema 99; this program knows"):
        AuditLog(newer).tail(1)
    newer.close()


def test_a_store_that_is_imported_later_finds_its_table(database: Database) -> None:
    """Tables are made for whatever store is used, whenever its module was loaded."""
    AuditLog(database).tail(1)
    late = Table("late_for_this_test", metadata, Column("n", Integer))
    try:
        with database.write() as connection:
            connection.execute(late.insert().values(n=1))
    finally:
        metadata.remove(late)


def test_threads_share_a_database(database: Database) -> None:
    """Threads that set up and write at once lose nothing."""
    log = AuditLog(database)
    threads = [
        threading.Thread(
            target=lambda n=n: [log.append(float(i), str(n), "", "", {}) for i in range(10)]
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.tail(100)) == 40


def test_one_writer_begins_when_the_other_has_ended(database: Database) -> None:
    """A transaction that reads before it writes finds what the one before it has written."""
    table = metadata.tables["audit"]
    row = {"at": 1.0, "actor": "a", "action": "b", "subject": "c", "detail": {}}

    def add_one_per_row_found() -> None:
        with database.write() as connection:
            found = len(connection.execute(table.select()).all())
            connection.execute(table.insert().values(row | {"at": float(found)}))

    threads = [threading.Thread(target=add_one_per_row_found) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = AuditLog(database).tail(100)
    assert [(entry.seq, entry.at) for entry in entries] == [(n + 1, float(n)) for n in range(8)]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://root:hunter2@localhost/chef", "asks for 'mysql'"),
        ("postgresql://chef:hunter2@host:port/chef", "is not a database's URL"),
        ("hunter2", "is not a database's URL"),
        ("postgresql://chef:hunter2@host/chef?sslmode=maybe", "has sslmode 'maybe'"),
        ("postgresql://chef:hunter2@host/chef?pool=1", "has the option 'pool'"),
        ("postgresql+nothing://chef:hunter2@host/chef", "its driver is not installed"),
        ("postgresql+psycopg2://chef:hunter2@host/chef", "its driver is not installed"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_saying_it(url: str, says: str) -> None:
    """The message names what is wrong and never the value, which may hold a password."""
    with pytest.raises(ConfigurationError, match=says) as refused:
        Database(url)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


def test_a_database_in_memory_needs_no_file() -> None:
    """Without a file there is nothing to lock and the tables are made all the same."""
    database = Database("sqlite://")
    assert AuditLog(database).tail(1) == []
    database.close()
