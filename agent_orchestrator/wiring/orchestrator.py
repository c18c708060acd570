"""The orchestrator in one process: the embedded use cases, the graph, its conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from agent_orchestrator.agents._shared.asked_calls import Approvals
from agent_orchestrator.agents._shared.node import (
    AgentNode,
    Alone,
    Reviewed,
    Working,
    tell_works,
)
from agent_orchestrator.agents._shared.profile import load_profile, workers
from agent_orchestrator.agents._shared.skills import Skills, skills_folder
from agent_orchestrator.agents._shared.waiting import Waiting
from agent_orchestrator.agents.infrastructure.workflows.modelops.consulting import Consulting
from agent_orchestrator.agents.infrastructure.workflows.modelops.steps import Steps
from agent_orchestrator.agents.supervisor.routing import INFRASTRUCTURE, Roster, Supervisor
from agent_orchestrator.agents.supervisor.routing import NAME as SUPERVISOR
from agent_orchestrator.conversation.checkpoints import open_checkpoints
from agent_orchestrator.conversation.leases import LEASE_SECONDS, TurnLeases
from agent_orchestrator.conversation.turns import Conversation
from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.graph import Graph, build_graph
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.thread_events import ThreadEventStore
from agent_orchestrator.stores.threads import ThreadStore
from agent_orchestrator.stores.turns import TurnStore
from agent_orchestrator.wiring.agent_models import AgentModels
from agent_orchestrator.wiring.agents import Team, open_team
from agent_orchestrator.wiring.embedded import Embedded, compose


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestrator:
    """What the doors open."""

    embedded: Embedded
    team: Team
    graph: Graph
    conversation: Conversation
    checkpointer: BaseCheckpointSaver[Any]
    thread_events: ThreadEventStore
    threads: ThreadStore
    database: Database


@asynccontextmanager
async def open_orchestrator(settings: Settings) -> AsyncIterator[Orchestrator]:
    """Open everything; at the end, turns that still run are finished, or stopped.

    Raises ModelsYamlError without a valid models.yaml, SettingsError for broken defaults files.
    """
    embedded = compose(settings)
    database = Database(settings.database)
    log = ThreadEventStore(database)
    async with (
        open_team(settings, database) as team,
        open_checkpoints(settings, database) as checkpointer,
    ):
        graph = compose_graph(settings, embedded, team, checkpointer)
        leases = TurnLeases(TurnStore(database, LEASE_SECONDS))
        conversation = Conversation(graph, log, leases)
        try:
            yield Orchestrator(
                embedded=embedded,
                team=team,
                graph=graph,
                conversation=conversation,
                checkpointer=checkpointer,
                thread_events=log,
                threads=ThreadStore(database),
                database=database,
            )
        finally:
            await conversation.aclose()
            database.close()


def compose_graph(
    settings: Settings,
    embedded: Embedded,
    team: Team,
    checkpointer: BaseCheckpointSaver[Any] | None,
) -> Graph:
    """Return the graph; whether an agent has a model, and which tools, is looked up when it works.

    Raises SettingsError for a broken prompt or tools.yaml.
    """
    models, coordinator = team.models, embedded.coordinator
    descriptions = {
        name: load_profile(name).tools.description for name in (*workers(), INFRASTRUCTURE)
    }
    return build_graph(
        supervisor=Supervisor(
            model=models.model(SUPERVISOR),
            prompt=load_profile(SUPERVISOR).prompt,
            roster=partial(_roster, models, descriptions),
        ),
        steps=Steps(
            use_cases=coordinator,
            langsmith=settings.langsmith_api_key is not None,
            consulted=lambda: models.obstacle(INFRASTRUCTURE) is None,
        ),
        consulting=Consulting(
            model=models.model(INFRASTRUCTURE),
            profile=load_profile(INFRASTRUCTURE),
            use_cases=coordinator,
            skills=Skills(skills_folder()),
            extra=partial(team.mcp.of, INFRASTRUCTURE),
        ),
        waiting=Waiting(approvals=coordinator),
        agents={
            name: AgentNode(name, partial(_working, team, name, coordinator)) for name in workers()
        },
        checkpointer=checkpointer,
    )


def _working(team: Team, name: str, approvals: Approvals) -> Working:
    """Return how an agent works now; what feature_dev changes in a workspace is reviewed."""
    obstacle = team.models.obstacle(name)
    if obstacle is not None:
        raise ConfigurationError(
            obstacle, remedy="Whoever runs the orchestrator gives it one; the next turn finds it."
        )
    if name == "feature_dev" and team.root is not None:
        loop = team.review_loop(team.root, developer=name, approvals=approvals, tell=tell_works)
        return Reviewed(loop)
    return Alone(team.agent(name, approvals=approvals))


def _roster(models: AgentModels, descriptions: Mapping[str, str]) -> Roster:
    """Return who can work now: the Infrastructure agent always can."""
    able = {
        name: what
        for name, what in descriptions.items()
        if name == INFRASTRUCTURE or models.obstacle(name) is None
    }
    return Roster(obstacle=models.obstacle(SUPERVISOR), agents=able)
