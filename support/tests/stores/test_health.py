"""The health board: the worst breaker of all processes, and all their calls."""

import pytest

from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.health import FRESH_SECONDS, BreakerReport, HealthBoard


@pytest.mark.parametrize(
    ("state", "calls", "failures", "condition"),
    [
        ("closed", 10, 0, "healthy"),
        ("closed", 10, 4, "healthy"),
        ("closed", 2, 1, "unhealthy"),
        ("closed", 0, 0, "unknown"),
        ("unknown", 0, 0, "unknown"),
        ("open", 0, 0, "unhealthy"),
        ("half_open", 9, 0, "unhealthy"),
    ],
)
def test_an_arm_is_healthy_by_its_breaker_and_its_recent_calls(
    state: str, calls: int, failures: int, condition: str
):
    """Silence is neither health nor illness."""
    report = BreakerReport("cicd", "stable", state, calls=calls, failures=failures)
    assert report.condition == condition


def test_processes_add_up(database: Database):
    """One open breaker is what counts; who is silent counts no more."""
    board = HealthBoard(database)
    board.report("a", [BreakerReport("cicd", "stable", "closed", calls=7, failures=1)], 10.0)
    board.report("b", [BreakerReport("cicd", "stable", "open", "down", 3, 3)], 11.0)
    worst = BreakerReport("cicd", "stable", "open", "down", 10, 4)
    assert board.of("cicd", "stable", 12.0) == worst
    assert board.of("cicd", "stable", 10.5 + FRESH_SECONDS).calls == 3
    assert board.of("cicd", "stable", 99.0).condition == "unknown"
