"""Our router in the caller's process, as the orchestrator runs it: models.yaml, SQLite, canary."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from contest.driver import AGENT, MESSAGES, Driver, run, sent_at
from contest.drivers.aiohttp_calls import AiohttpCalls, session
from contest.split import write_models_yaml

from agent_orchestrator.serving.outcome_log import OutcomeLog
from agent_orchestrator.serving.request_ids import RequestIds
from agent_orchestrator.serving.router import Router
from agent_orchestrator.serving.upstream import Upstream
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.models_yaml import RoutingTableSource
from agent_orchestrator.stores.outcomes import OutcomeStore


class ChefRouter(AiohttpCalls):
    """Router.complete and Router.stream; every call leaves its outcome in the database."""

    def __init__(self, http: aiohttp.ClientSession, upstream: str, router: Router) -> None:
        super().__init__(http, upstream)
        self._router = router
        self._ids = RequestIds()

    async def through(self, task_id: str) -> None:
        """Call the router."""
        body = {"messages": MESSAGES}
        request_id = self._ids.take()
        routed = await self._router.complete(AGENT, body, task_id=task_id, request_id=request_id)
        assert routed.completion.text

    async def through_stream(self, task_id: str) -> int:
        """Call the router for a stream."""
        body: Mapping[str, Any] = {"messages": MESSAGES, "stream": True}
        request_id = self._ids.take()
        stream = await self._router.stream(AGENT, body, task_id=task_id, request_id=request_id)
        lag = None
        async with stream:
            async for chunk in stream:
                now = time.monotonic_ns()
                if lag is None and (begun := sent_at(chunk.raw)) is not None:
                    lag = now - begun
        if lag is None:
            raise RuntimeError("no first word came")
        return lag


@asynccontextmanager
async def enter(given: argparse.Namespace) -> AsyncIterator[Driver]:
    """Make the driver."""
    config = write_models_yaml(given.folder, given.upstream)
    tables = RoutingTableSource(config / "agents" / "models.yaml")
    database = Database(f"sqlite:///{given.folder / 'state.db'}")
    upstream = Upstream(secret=lambda _: None, openrouter_base_url=given.upstream)
    with contextlib.closing(database):
        async with OutcomeLog(OutcomeStore(database)) as outcomes, upstream, session() as http:
            yield ChefRouter(http, given.upstream, Router(tables, upstream, outcomes))


if __name__ == "__main__":
    run(enter)
