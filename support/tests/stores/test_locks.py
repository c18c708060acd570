"""Named locks of the state database: one holder at a time, and none that is dead."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection

import pytest
from tests.postgres import PostgresServer

from agent_orchestrator.errors import LockTimeout, UnavailableError
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database


def hold_until_killed(url: str, told: Connection) -> None:
    """Hold a lock, say so, and wait for the end."""
    with Database(url).exclusive("timer", 5):
        told.send("held")
        signal.pause()


def test_a_lock_has_one_holder(database: Database, database_url: str) -> None:
    """Another one waits only so long; another lock, and the one that is free again, can be had."""
    other = Database(database_url)
    with database.exclusive("timer", 0) as check, database.exclusive("deployment", 0):
        check()
        with (
            pytest.raises(LockTimeout, match=r"has held the lock .*timer.* more than 0\.1 s"),
            other.exclusive("timer", 0.1),
        ):
            raise AssertionError("Two hold it.")
        AuditLog(other).append(1.0, "a", "b", "c", {})  # who holds a lock does not hinder a writer
    with other.exclusive("timer", 0):
        pass
    other.close()


def test_who_waits_gets_it(database: Database, database_url: str) -> None:
    """A lock that is given back goes to the one that waits for it."""
    other = Database(database_url)
    got = threading.Event()

    def wait() -> None:
        with other.exclusive("deployment", 30):
            got.set()

    with database.exclusive("deployment", 0):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.1)
    waiting.join()
    assert got.is_set()
    other.close()


def test_an_error_gives_the_lock_back(database: Database) -> None:
    """Whatever happens under the lock passes through as it is."""
    for error in (OSError("disk"), KeyError("x")):
        with pytest.raises(type(error)), database.exclusive("deployment", 0):
            raise error


def test_a_killed_holder_holds_nothing(database: Database, database_url: str) -> None:
    """However a process dies, its lock is free."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=hold_until_killed, args=(database_url, theirs))
    process.start()
    assert ours.recv() == "held"
    with pytest.raises(LockTimeout), database.exclusive("timer", 0):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with database.exclusive("timer", 30):
        pass
    ours.close()
    theirs.close()


def test_a_lock_that_is_lost_with_its_connection_is_noticed(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """A server's lock ends with the connection: the check says so, and another may hold it."""
    database, other = Database(postgres_url), Database(postgres_url)
    with database.exclusive("timer", 0) as check:
        check()
        postgres.cut_off(postgres_url)
        with pytest.raises(UnavailableError, match="does not answer"):
            check()
        with pytest.raises(UnavailableError, match="was lost"):
            check()
        with other.exclusive("timer", 0):
            pass
    with database.exclusive("timer", 0) as check:
        check()
    database.close()
    other.close()
