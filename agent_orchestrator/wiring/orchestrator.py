"""The orchestrator in one process: the embedded use cases, the graph, its conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from agent_orchestrator.agents.infrastructure.workflows.modelops.steps import Steps
from agent_orchestrator.agents.supervisor.routing import Supervisor
from agent_orchestrator.conversation.checkpoints import open_sqlite_checkpoints
from agent_orchestrator.conversation.turns import Conversation
from agent_orchestrator.graph import Graph, build_graph
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.thread_events import ThreadEventStore
from agent_orchestrator.wiring.embedded import Embedded, compose


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestrator:
    """What the doors open."""

    embedded: Embedded
    graph: Graph
    conversation: Conversation
    checkpointer: BaseCheckpointSaver[Any]
    thread_events: ThreadEventStore


@asynccontextmanager
async def open_orchestrator(settings: Settings) -> AsyncIterator[Orchestrator]:
    """Open everything; at the end, turns that still run are finished.

    Raises SettingsError for broken defaults files.
    """
    embedded = compose(settings)
    log = ThreadEventStore(Database(settings.database))
    steps = Steps(
        use_cases=embedded.coordinator,
        source="langsmith" if settings.langsmith_api_key else "stdlib-defects",
    )
    async with open_sqlite_checkpoints(settings.checkpoints) as checkpointer:
        graph = build_graph(
            supervisor=Supervisor(), steps=steps, agents={}, checkpointer=checkpointer
        )
        conversation = Conversation(graph, log)
        try:
            yield Orchestrator(
                embedded=embedded,
                graph=graph,
                conversation=conversation,
                checkpointer=checkpointer,
                thread_events=log,
            )
        finally:
            await conversation.aclose()
