"""The whole graph: the supervisor hands out, agents work at the same time, their work is joined.

::

    START → supervisor → infrastructure  → join → END
                       → feature_dev     →      → approve → who asked for what was answered
                       → code_review …   →

The Infrastructure agent is a graph of its own (``agents.infrastructure.workflows.modelops``). The
graph waits for people in one place, ``approve``, and with everything it did before written down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Literal, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send

from agent_orchestrator.agents._shared.waiting import Waiting, after_approve
from agent_orchestrator.agents.infrastructure.workflows.modelops.consulting import Consulting
from agent_orchestrator.agents.infrastructure.workflows.modelops.steps import Steps
from agent_orchestrator.agents.infrastructure.workflows.modelops.workflow import build_modelops
from agent_orchestrator.agents.supervisor.routing import INFRASTRUCTURE, Supervisor
from agent_orchestrator.state import State


class AgentNode(Protocol):
    """An agent's turn: its piece is the one of ``state["assignments"]``."""

    def __call__(self, state: State, config: RunnableConfig) -> Awaitable[State]:
        """Return its messages and its work."""


Graph = CompiledStateGraph[State, None, State, State]


def build_graph(
    *,
    supervisor: Supervisor,
    steps: Steps,
    consulting: Consulting,
    waiting: Waiting,
    agents: Mapping[str, AgentNode],
    checkpointer: BaseCheckpointSaver[Any] | None,
) -> Graph:
    """Return the graph; ``agents`` are the nodes beside the Infrastructure agent, by name."""
    graph = StateGraph(State)
    graph.add_node("supervisor", supervisor.route)
    graph.add_node(INFRASTRUCTURE, build_modelops(steps, consulting))
    graph.add_node("join", join)
    graph.add_node("approve", waiting.approve)
    graph.add_edge(START, "supervisor")
    for name, agent in agents.items():
        graph.add_node(name, agent)
        graph.add_edge(name, "join")
    graph.add_edge(INFRASTRUCTURE, "join")
    graph.add_conditional_edges("supervisor", hand_out, [INFRASTRUCTURE, *agents, "join"])
    graph.add_conditional_edges("join", after_join)
    answered = [INFRASTRUCTURE, *agents, "approve", END]
    graph.add_conditional_edges("approve", after_approve, answered)
    return graph.compile(checkpointer=checkpointer, name="chef")


def hand_out(state: State) -> list[Send] | str:
    """Send each agent its piece; without one the turn is over."""
    pieces = state.get("assignments") or []
    if not pieces:
        return "join"
    if [piece["agent"] for piece in pieces] == [INFRASTRUCTURE]:
        return INFRASTRUCTURE
    return [Send(piece["agent"], {**state, "assignments": [piece]}) for piece in pieces]


async def join(state: State) -> State:  # noqa: ARG001 - its name is the protocol's
    """Wait for everybody who worked in this turn; what they said and made is in the state."""
    return {"assignments": []}


def after_join(state: State) -> Literal["approve", "__end__"]:
    """Wait for an approval that was asked for, in this turn or earlier."""
    return "approve" if state.get("approval") or state.get("paused") else "__end__"
