"""The orchestrator in one process: the embedded use cases, the graph, its conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver

from agent_orchestrator.agents._shared.node import AgentNode, alone, reviewed, tell_works
from agent_orchestrator.agents._shared.profile import load_profile, workers
from agent_orchestrator.agents._shared.skills import Skills, skills_folder
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


@asynccontextmanager
async def open_orchestrator(settings: Settings) -> AsyncIterator[Orchestrator]:
    """Open everything; at the end, turns that still run are finished.

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
        conversation = Conversation(graph, log)
        try:
            yield Orchestrator(
                embedded=embedded,
                team=team,
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
    team: Team,
    checkpointer: BaseCheckpointSaver[Any] | None,
) -> Graph:
    """Return the graph with those agents that have a model now."""
    agents = {name: _agent(team, name) for name in workers() if team.models.obstacle(name) is None}
    consulted = team.models.obstacle(INFRASTRUCTURE) is None
    tools, notes = team.mcp.of(INFRASTRUCTURE)
    return build_graph(
        supervisor=_supervisor(team.models, agents),
        steps=Steps(
            use_cases=embedded.coordinator,
            langsmith=settings.langsmith_api_key is not None,
            consulted=consulted,
        ),
        consulting=Consulting(
            model=team.models.model(INFRASTRUCTURE),
            profile=load_profile(INFRASTRUCTURE),
            use_cases=embedded.coordinator,
            skills=Skills(skills_folder()),
            tools=tools,
            notes=notes,
        )
        if consulted
        else None,
        agents=agents,
        checkpointer=checkpointer,
    )


def _agent(team: Team, name: str) -> AgentNode:
    """Return an agent's node; what feature_dev changes in a workspace is reviewed."""
    if name == "feature_dev" and team.root is not None:
        loop = team.review_loop(team.root, developer=name, tell=tell_works)
        return AgentNode(name, reviewed(loop))
    return AgentNode(name, alone(team.agent(name)))


def _supervisor(models: AgentModels, agents: Collection[str]) -> Supervisor:
    obstacle = models.obstacle(SUPERVISOR)
    return Supervisor(
        model=None if obstacle else models.model(SUPERVISOR),
        obstacle=obstacle or "",
        prompt=load_profile(SUPERVISOR).prompt,
        agents={name: load_profile(name).tools.description for name in (*agents, INFRASTRUCTURE)},
    )
