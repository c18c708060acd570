"""The serving board: what every process says that it serves by."""

from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.health import FRESH_SECONDS
from agent_orchestrator.stores.serving import (
    ServedArm,
    ServedPeriod,
    ServingBoard,
    ServingReport,
)

OLD = ServedPeriod("aaaa", 1.0, (ServedArm("candidate", 2, 4.5), ServedArm("stable", 0, None)))
NEW = ServedPeriod("bbbb", 5.0)


def test_a_report_replaces_the_one_before(database: Database):
    """Every process has one row an agent; the periods come back as they were."""
    board = ServingBoard(database)
    board.report("gateway-2", {"cicd": [OLD]}, 5.0)
    board.report("gateway-1", {"cicd": [OLD], "docs": [NEW]}, 5.0)
    board.report("gateway-1", {"cicd": [OLD, NEW]}, 6.0)
    assert board.of("cicd", 6.0) == [
        ServingReport("gateway-1", 6.0, (OLD, NEW)),
        ServingReport("gateway-2", 5.0, (OLD,)),
    ]
    assert board.of("docs", 6.0) == []


def test_a_process_that_left_or_is_silent_serves_no_more(database: Database):
    """One signs off; one that was killed is not waited for."""
    board = ServingBoard(database)
    board.report("gateway-1", {"cicd": [OLD]}, 5.0)
    board.report("gateway-2", {"cicd": [OLD]}, 5.0)
    board.leave("gateway-2")
    assert [report.process for report in board.of("cicd", 5.0 + FRESH_SECONDS)] == ["gateway-1"]
    assert board.of("cicd", 5.1 + FRESH_SECONDS) == []
