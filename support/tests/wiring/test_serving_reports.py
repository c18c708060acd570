"""A serving process's reports to the boards, and how they end."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.doubles.workspace import eventually

from agent_orchestrator.domain.routing import RoutingTable
from agent_orchestrator.serving.periods import Periods
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.serving import ServingBoard
from agent_orchestrator.wiring.serving_reports import _report_serving


@pytest.mark.parametrize("turns", range(6))
async def test_news_that_come_with_the_end_do_not_undo_the_end(tmp_path: Path, turns: int):
    """Whenever the loop turns between the two: the reports stop, and the process signs off."""
    database = Database(f"sqlite:///{tmp_path}/state/state.db")
    periods = Periods(RoutingTable({"feature_dev": "acme/one"}), 0.0)
    router: Any = SimpleNamespace(periods=periods)
    board = ServingBoard(database)
    reporting = asyncio.create_task(_report_serving(router, board, "gateway-1"))
    await eventually(lambda: board.of("feature_dev", time.time()))
    await asyncio.sleep(0.05)
    periods.on_news()
    for _ in range(turns):
        await asyncio.sleep(0)
    reporting.cancel()
    await asyncio.wait({reporting}, timeout=30)
    assert reporting.cancelled()
    assert not board.of("feature_dev", time.time())
    database.close()
