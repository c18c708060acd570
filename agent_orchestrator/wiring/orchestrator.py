"""The orchestrator in one process: the embedded use cases, the graph, its conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from agent_orchestrator.agents._shared.base_agent import BaseAgent
from agent_orchestrator.agents._shared.node import AgentNode
from agent_orchestrator.agents._shared.profile import load_profile
from agent_orchestrator.agents.infrastructure.workflows.modelops.consulting import Consulting
from agent_orchestrator.agents.infrastructure.workflows.modelops.steps import Steps
from agent_orchestrator.agents.supervisor.routing import INFRASTRUCTURE, Supervisor
from agent_orchestrator.agents.supervisor.routing import NAME as SUPERVISOR
from agent_orchestrator.conversation.checkpoints import open_checkpoints
from agent_orchestrator.conversation.turns import Conversation
from agent_orchestrator.graph import Graph, build_graph
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.thread_events import ThreadEventStore
from agent_orchestrator.stores.threads import ThreadStore
from agent_orchestrator.wiring.agent_models import AgentModels, open_agent_models
from agent_orchestrator.wiring.embedded import Embedded, compose

WORKERS = ("feature_dev", "code_review", "cicd", "documentation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestrator:
    """What the doors open."""

    embedded: Embedded
    models: AgentModels
    graph: Graph
    conversation: Conversation
    checkpointer: BaseCheckpointSaver[Any]
    thread_events: ThreadEventStore
    threads: ThreadStore


@asynccontextmanager
async def open_orchestrator(settings: Settings) -> AsyncIterator[Orchestrator]:
    """Open everything; at the end, turns that still run are finished.

    Raises ModelsYamlError without a valid models.yaml, SettingsError for broken defaults files.
    """
    embedded = compose(settings)
    database = Database(settings.database)
    log = ThreadEventStore(database)
    async with (
        open_agent_models(settings, database) as models,
        open_checkpoints(settings) as checkpointer,
    ):
        graph = compose_graph(settings, embedded, models, checkpointer)
        conversation = Conversation(graph, log)
        try:
            yield Orchestrator(
                embedded=embedded,
                models=models,
                graph=graph,
                conversation=conversation,
                checkpointer=checkpointer,
                thread_events=log,
                threads=ThreadStore(database),
            )
        finally:
            await conversation.aclose()
            database.close()


def compose_graph(
    settings: Settings,
    embedded: Embedded,
    models: AgentModels,
    checkpointer: BaseCheckpointSaver[Any] | None,
) -> Graph:
    """Return the graph with those agents that have a model, and what is asked of models with it."""
    workers = {
        name: BaseAgent(load_profile(name), models.model(name))
        for name in WORKERS
        if models.obstacle(name) is None
    }
    consulted = models.obstacle(INFRASTRUCTURE) is None
    infrastructure = load_profile(INFRASTRUCTURE)
    steps = Steps(
        use_cases=embedded.coordinator,
        langsmith=settings.langsmith_api_key is not None,
        consulted=consulted,
    )
    return build_graph(
        supervisor=_supervisor(models, workers),
        steps=steps,
        consulting=Consulting(
            model=models.model(INFRASTRUCTURE),
            profile=infrastructure,
            use_cases=embedded.coordinator,
        )
        if consulted
        else None,
        agents={name: AgentNode(worker) for name, worker in workers.items()},
        checkpointer=checkpointer,
    )


def _supervisor(models: AgentModels, workers: Collection[str]) -> Supervisor:
    profile = load_profile(SUPERVISOR)
    obstacle = models.obstacle(SUPERVISOR)
    return Supervisor(
        model=None if obstacle else models.model(SUPERVISOR),
        obstacle=obstacle or "",
        prompt=profile.prompt,
        agents={name: load_profile(name).tools.description for name in (*workers, INFRASTRUCTURE)},
    )
