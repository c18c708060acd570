"""The graph for ``langgraph dev`` and LangGraph Studio (``langgraph.json``): for looking at it.

That server keeps threads and checkpoints itself, for as long as it runs, and knows no callers: who
reaches it asks as the user who started it, who may ask for changes but approves none here. An
approval is answered at another door, ``chef approve ID --only``; then resume the run with anything.
"""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.graph import Graph
from agent_orchestrator.settings import load_settings
from agent_orchestrator.stores.database import Database
from agent_orchestrator.wiring.agents import open_team
from agent_orchestrator.wiring.embedded import compose
from agent_orchestrator.wiring.orchestrator import compose_graph


@asynccontextmanager
async def graph() -> AsyncIterator[Graph]:
    """Open the graph without checkpoints of its own; the server gives it its own."""
    settings = load_settings()
    database = Database(settings.database)
    caller = Caller(getpass.getuser(), "studio", role="operator")
    async with open_team(settings, database) as team:
        composed = compose_graph(settings, compose(settings), team, None)
        yield composed.with_config({"configurable": {"caller": caller}})
    database.close()
