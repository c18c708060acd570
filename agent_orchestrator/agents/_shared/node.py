"""An agent as a node of the graph: its piece of work in, what it said and made out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from agent_orchestrator.agents._shared.base_agent import BaseAgent
from agent_orchestrator.agents._shared.callers import caller_of
from agent_orchestrator.agents._shared.model_calls import ModelCall
from agent_orchestrator.agents._shared.review_loop import ReviewLoop
from agent_orchestrator.agents._shared.telling import say, say_error, tell
from agent_orchestrator.agents.infrastructure.modelops.authorisation import check_role
from agent_orchestrator.errors import ChefError
from agent_orchestrator.state import State, Work


@dataclass(frozen=True, slots=True)
class Finished:
    """A piece of work that has ended."""

    text: str
    outcome: str
    message_id: str | None = None
    """Of the message that the text was written in, when it is one."""
    call: ModelCall | None = None
    """The call that ended the work: a person's judgement of it goes by its request id."""


Working = Callable[[list[AnyMessage], RunnableConfig], Awaitable[Finished]]


class AgentNode:
    """Runs an agent on the one piece that the supervisor sent to it."""

    def __init__(self, name: str, working: Working) -> None:
        self._name = name
        self._working = working

    async def __call__(self, state: State, config: RunnableConfig) -> State:
        """Return the agent's last message and its work; an agent that fails fails alone.

        It works for callers only who may change things.
        """
        (piece,) = state["assignments"]
        name, task = self._name, piece["task"]
        work: Work = {"agent": name, "task": task, "text": "", "outcome": "failed"}
        try:
            check_role(caller_of(config), "change")  # it may change files, run commands, cost money
            done = await self._working([*state["messages"], HumanMessage(task)], config)
        except ChefError as error:
            return {"messages": [say_error(name, error)], "work": [{**work, "text": str(error)}]}
        return {
            "messages": [say(name, done.text, message_id=done.message_id, call=done.call)],
            "work": [{**work, "text": done.text, "outcome": done.outcome}],
        }


def alone(agent: BaseAgent) -> Working:
    """Return how an agent works by itself."""

    async def work(messages: list[AnyMessage], config: RunnableConfig) -> Finished:
        tell_works(agent.name, messages[-1].text)
        tell_missing(agent.notes)
        result = await agent.run(messages, config)
        last = result.messages[-1].id if result.messages else None
        return Finished(
            result.text, result.outcome, last, result.calls[-1] if result.calls else None
        )

    return work


def reviewed(loop: ReviewLoop) -> Working:
    """Return how a developer works whose changes are reviewed."""

    async def work(messages: list[AnyMessage], config: RunnableConfig) -> Finished:
        tell_missing(loop.notes)
        done = await loop.run(messages, config)
        return Finished(done.report(), done.verdict.value, call=done.call)

    return work


def tell_works(agent: str, task: str) -> None:
    """Tell that an agent begins."""
    tell("agent", {"agent": agent, "task": task})


def tell_missing(notes: Sequence[str]) -> None:
    """Tell what an agent has to do without."""
    for note in notes:
        remedy = "See config/mcp-agent-tool-mapping.yaml; agents start with what answers then."
        tell("error", {"error": "UnavailableError", "message": note, "remedy": remedy})
