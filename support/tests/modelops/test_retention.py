"""Old outcomes are removed once an hour, and that is written down."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.modelops.world import Clock

from agent_orchestrator.agents.infrastructure.modelops.rollouts.retention import Retention
from agent_orchestrator.domain.outcomes import Outcome
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.outcomes import OutcomeStore


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Return a fresh database."""
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    yield database
    database.close()


def add(outcomes: OutcomeStore, name: str, at: float) -> None:
    """Add an outcome that belongs to no rollout."""
    outcomes.append_many(
        [
            Outcome(
                request_id=name,
                attempt=0,
                at=at,
                agent="cicd",
                task_id="t",
                model="m",
                arm="stable",
                version=None,
                rollout_id=None,
                latency_ms=1.0,
            )
        ]
    )


def test_what_is_too_old_goes_once_an_hour(database: Database) -> None:
    """A day is kept for a day; the audit log says how much went, and only when something did."""
    clock, outcomes, audit = Clock(), OutcomeStore(database), AuditLog(database)
    retention = Retention(outcomes, audit, days=1.0, clock=clock)
    start = clock()
    add(outcomes, "r1", start - 86400.0 - 1.0)
    add(outcomes, "r2", start - 86400.0 + 60.0)
    retention.tick()
    clock.pass_by(120.0)
    retention.tick()  # r2 is too old now, but the hour is not over
    [entry] = audit.tail(9)
    assert (entry.actor, entry.action, entry.subject) == ("timer", "prune", "outcomes")
    assert entry.detail == {"rows": 1, "before": start - 86400.0}
    clock.pass_by(3600.0)
    retention.tick()
    clock.pass_by(3600.0)
    retention.tick()
    assert [entry.detail["rows"] for entry in audit.tail(9)] == [1, 1]


def test_zero_days_keep_everything(database: Database) -> None:
    """Who wants to keep all says so."""
    outcomes, audit = OutcomeStore(database), AuditLog(database)
    add(outcomes, "r1", 1.0)
    Retention(outcomes, audit, days=0.0).tick()
    assert outcomes.position() == (1, 0)
    assert audit.tail(9) == []
