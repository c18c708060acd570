"""An agent as a node of the graph: its piece of work in, what it said and made out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from agent_orchestrator.agents._shared.base_agent import AgentResult
from agent_orchestrator.agents._shared.telling import say, say_error, tell
from agent_orchestrator.errors import ChefError
from agent_orchestrator.state import State, Work


class Works(Protocol):
    """An agent, or a group of agents that works as one (``BaseAgent`` is one)."""

    @property
    def name(self) -> str:
        """Its name."""

    async def run(
        self, messages: Sequence[AnyMessage], config: RunnableConfig | None = None
    ) -> AgentResult:
        """Work on the last message until it is done."""


class AgentNode:
    """Runs an agent on the one piece that the supervisor sent to it."""

    def __init__(self, agent: Works) -> None:
        self._agent = agent

    async def __call__(self, state: State, config: RunnableConfig) -> State:
        """Return the agent's last message and its work; an agent that fails fails alone."""
        (piece,) = state["assignments"]
        name, task = self._agent.name, piece["task"]
        tell("agent", {"agent": name, "task": task})
        work: Work = {"agent": name, "task": task, "text": "", "outcome": "failed"}
        try:
            result = await self._agent.run([*state["messages"], HumanMessage(task)], config)
        except ChefError as error:
            return {"messages": [say_error(name, error)], "work": [{**work, "text": str(error)}]}
        text = "\n".join(filter(None, (result.text, *result.notes)))
        last = result.messages[-1].id if result.messages else None
        done: Work = {**work, "text": text, "outcome": result.outcome}
        return {"messages": [say(name, text, message_id=last)], "work": [done]}
