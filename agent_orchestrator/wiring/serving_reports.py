"""Tells the serving board by which routing entries this process serves, as soon as that changes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time

import anyio.to_thread

from agent_orchestrator.errors import ChefError
from agent_orchestrator.serving.router import Router
from agent_orchestrator.stores.health import FRESH_SECONDS
from agent_orchestrator.stores.serving import ServingBoard

log = logging.getLogger("chef.serving")

#: Also without news, so that the report stays fresh.
_REPORT_SECONDS = FRESH_SECONDS / 3


async def report_serving(router: Router, board: ServingBoard, process: str) -> None:
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
                await asyncio.wait_for(news.wait(), _REPORT_SECONDS)
    finally:
        with anyio.CancelScope(shield=True), contextlib.suppress(ChefError):
            await anyio.to_thread.run_sync(board.leave, process)
