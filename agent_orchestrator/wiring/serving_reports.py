"""What a process that serves tells the others, and what it lets itself be told.

The serving board learns by which routing entries it serves, as soon as that changes; the health
board how its breakers stand, and it carries out the resets that are asked there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio.to_thread

from agent_orchestrator.errors import ChefError
from agent_orchestrator.serving.router import Router
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.health import FRESH_SECONDS, BreakerReport, HealthBoard
from agent_orchestrator.stores.serving import ServingBoard

log = logging.getLogger("chef.serving")

#: Also without news, so that the report stays fresh.
_REPORT_SECONDS = FRESH_SECONDS / 3
#: How soon a reset that was asked on the board is carried out.
_BOARD_SECONDS = 0.5


@asynccontextmanager
async def on_the_boards(
    router: Router, database: Database, process: str, *, on_end: Callable[[], object]
) -> AsyncIterator[None]:
    """Report under the name ``process``; ``on_end`` is told when that ends, which it should not."""
    boards = [
        asyncio.create_task(_follow_board(router, HealthBoard(database), process)),
        asyncio.create_task(_report_serving(router, ServingBoard(database), process)),
    ]
    for board in boards:
        board.add_done_callback(lambda task: None if task.cancelled() else on_end())
    try:
        yield
    finally:
        for board in boards:
            board.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await board


async def _report_serving(router: Router, board: ServingBoard, process: str) -> None:
    """Report until cancelled, then sign off."""
    news = asyncio.Event()
    router.periods.on_news = news.set
    try:
        while True:
            news.clear()
            try:
                said = router.periods.report()
                await anyio.to_thread.run_sync(board.report, process, said, time.time())
            except ChefError as error:
                log.warning("The serving board: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REPORT_SECONDS):
                    await news.wait()
    finally:
        with anyio.CancelScope(shield=True), contextlib.suppress(ChefError):
            await anyio.to_thread.run_sync(board.leave, process)


async def _follow_board(router: Router, board: HealthBoard, process: str) -> None:
    """Tell the board how the breakers stand, and carry out resets that were asked there."""
    seen = await anyio.to_thread.run_sync(board.last_order)
    said: list[str] = []
    said_at = 0.0
    while True:
        try:
            for order in await anyio.to_thread.run_sync(board.orders_after, seen):
                seen = order.seq
                with contextlib.suppress(ChefError):  # an arm that this process does not have
                    router.reset_breaker(order.agent, order.arm)
            reports = _reports(router)
            now = time.time()
            states: list[str] = [report.state for report in reports]
            if states != said or now - said_at > _REPORT_SECONDS:
                await anyio.to_thread.run_sync(board.report, process, reports, now)
                said, said_at = states, now
        except ChefError as error:
            log.warning("The health board: %s", error)
        await asyncio.sleep(_BOARD_SECONDS)


def _reports(router: Router) -> list[BreakerReport]:
    return [
        BreakerReport(
            agent, arm.arm, arm.state, arm.trip_reason, calls=arm.calls, failures=arm.failures
        )
        for agent in router.agents()
        for arm in router.health(agent)
    ]
