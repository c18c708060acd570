"""The deployment journal, the audit log and the health board."""

import multiprocessing
import os
import signal

import pytest
from sqlalchemy.exc import IntegrityError

from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.health import BreakerReport, HealthBoard, ResetOrder
from agent_orchestrator.stores.journal import IntentJournal, JournalEntry


def entry(name: str) -> JournalEntry:
    """Return an intent of that id."""
    payload = {"state": {"weight": 20}}
    return JournalEntry(id=name, agent="feature_dev", kind="start", payload=payload, at=1.0)


def test_an_intent_waits_until_it_is_done(database: Database) -> None:
    """Pending intents come oldest first; completing may be repeated."""
    journal = IntentJournal(database)
    for name in ("in_2", "in_1"):
        journal.write(entry(name))
    assert journal.pending() == [entry("in_2"), entry("in_1")]
    for _ in range(2):
        journal.complete("in_2")
    assert journal.pending() == [entry("in_1")]
    with pytest.raises(IntegrityError):
        journal.write(entry("in_1"))


def write_and_die(url: str) -> None:
    """Write an intent and be killed at once."""
    IntentJournal(Database(url)).write(entry("in_1"))
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_intent_survives_its_writer(database_url: str) -> None:
    """A process that is killed after writing leaves the intent for the next one."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=write_and_die, args=(database_url,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    database = Database(database_url)
    assert IntentJournal(database).pending() == [entry("in_1")]
    database.close()


def test_the_audit_log_shows_its_end_in_order(database: Database) -> None:
    """The newest entries, oldest of them first, with their details."""
    log = AuditLog(database)
    for number in range(5):
        log.append(float(number), "ada", "deploy", "feature_dev", {"n": number})
    assert [(e.seq, e.at, e.detail) for e in log.tail(2)] == [
        (4, 3.0, {"n": 3}),
        (5, 4.0, {"n": 4}),
    ]


def test_the_health_board_shows_the_worst_fresh_report(database: Database) -> None:
    """Several gateways report; what none of them said lately is unknown."""
    board = HealthBoard(database)
    board.report("g1", [BreakerReport("feature_dev", "stable", "closed")], 100.0)
    board.report("g2", [BreakerReport("feature_dev", "stable", "open", "timeouts")], 101.0)
    assert board.of("feature_dev", "stable", 102.0).reason == "timeouts"
    assert board.of("feature_dev", "candidate", 102.0).state == "unknown"
    board.report("g2", [], 103.0)
    assert board.of("feature_dev", "stable", 104.0).state == "closed"
    assert board.of("feature_dev", "stable", 200.0).state == "unknown"


def test_resets_are_orders_in_a_row(database: Database) -> None:
    """Every process finds the orders after the last one it carried out."""
    board = HealthBoard(database)
    assert board.last_order() == 0
    board.order_reset("feature_dev", "stable", 1.0)
    board.order_reset("cicd", "stable", 2.0)
    assert board.orders_after(1) == [ResetOrder(2, "cicd", "stable")]
    assert board.last_order() == 2
