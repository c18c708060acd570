"""An agent as a node of the graph: its piece of work in, what it said and made out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig

from agent_orchestrator.agents._shared.base_agent import AgentResult, BaseAgent, PausedRun
from agent_orchestrator.agents._shared.callers import caller_of
from agent_orchestrator.agents._shared.model_calls import ModelCall
from agent_orchestrator.agents._shared.review_loop import (
    PausedReview,
    ReviewedWork,
    ReviewLoop,
    ReviewState,
)
from agent_orchestrator.agents._shared.telling import say, say_error, tell
from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller, check_role
from agent_orchestrator.errors import ChefError
from agent_orchestrator.state import Assignment, PausedWork, State, Work


@dataclass(frozen=True, slots=True)
class Finished:
    """A piece of work that has ended."""

    text: str
    outcome: str
    message_id: str | None = None
    """Of the message that the text was written in, when it is one."""
    call: ModelCall | None = None
    """The call that ended the work: a person's judgement of it goes by its request id."""


@dataclass(frozen=True, slots=True)
class Paused:
    """A piece of work that waits for approvals."""

    approvals: tuple[str, ...]
    kept: dict[str, Any]
    """What the work goes on with: messages and plain JSON."""


class Working(Protocol):
    """How an agent works."""

    async def begin(
        self, messages: list[AnyMessage], config: RunnableConfig, /
    ) -> Finished | Paused:
        """Work on the last message."""

    async def go_on(self, kept: dict[str, Any], config: RunnableConfig, /) -> Finished | Paused:
        """Go on with work that waited."""


class AgentNode:
    """Runs an agent on the one piece that the supervisor sent to it, or goes on with one.

    Args:
        name: the agent's.
        working: makes the agent ready, with the model and the tools that it has now; raises
            ChefError where it cannot work.
    """

    def __init__(self, name: str, working: Callable[[], Working]) -> None:
        self._name = name
        self._working = working

    async def __call__(self, state: State, config: RunnableConfig) -> State:
        """Return the agent's last message and its work; an agent that fails fails alone.

        It works for callers only who may change things.
        """
        (piece,) = state["assignments"]
        key = piece.get("goes_on", "")
        paused = state.get("paused", {}).get(key)
        over: State = {"paused": {key: None}} if paused else {}  # type: ignore[dict-item]  # the reducer's sign
        try:
            if paused:
                caller = _waker(config, paused)
                work = self._working().go_on(paused["kept"], _as_caller(config, caller))
            else:
                caller = caller_of(config)
                check_role(caller, "change")  # it may change files, run commands, cost money
                said = [*state["messages"], HumanMessage(piece["task"])]
                work = self._working().begin(said, config)
            done = await work
        except ChefError as error:
            failed = _work(piece, str(error), "failed")
            return {**over, "messages": [say_error(self._name, error)], "work": [failed]}
        if isinstance(done, Paused):
            waits = _paused(piece, caller, done)
            return {"paused": {**over.get("paused", {}), done.approvals[0]: waits}}
        message = say(self._name, done.text, message_id=done.message_id, call=done.call)
        return {**over, "messages": [message], "work": [_work(piece, done.text, done.outcome)]}


def _work(piece: Assignment, text: str, outcome: str) -> Work:
    return {"agent": piece["agent"], "task": piece["task"], "text": text, "outcome": outcome}


def _paused(piece: Assignment, caller: Caller, paused: Paused) -> PausedWork:
    return {
        "agent": piece["agent"],
        "task": piece["task"],
        "asked_by": caller.name,
        "approvals": list(paused.approvals),
        "ready": False,
        "kept": paused.kept,
    }


def _waker(config: RunnableConfig, paused: PausedWork) -> Caller:
    """Return whom work goes on for: who set the agent to work, with the rights of who wakes it."""
    caller = caller_of(config)
    check_role(caller, "change", "approve")
    return replace(caller, name=paused["asked_by"])


def _as_caller(config: RunnableConfig, caller: Caller) -> RunnableConfig:
    return {**config, "configurable": {**config["configurable"], "caller": caller}}


@dataclass(frozen=True, slots=True)
class Alone:
    """An agent that works by itself."""

    agent: BaseAgent

    async def begin(self, messages: list[AnyMessage], config: RunnableConfig) -> Finished | Paused:
        """Work on the last message."""
        tell_works(self.agent.name, messages[-1].text)
        tell_missing(self.agent.notes)
        return _ended(await self.agent.run(messages, config))

    async def go_on(self, kept: dict[str, Any], config: RunnableConfig) -> Finished | Paused:
        """Go on with work that waited."""
        tell_works(self.agent.name, "")
        return _ended(await self.agent.go_on(cast(PausedRun, kept), config))


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A developer whose changes are reviewed."""

    loop: ReviewLoop

    async def begin(self, messages: list[AnyMessage], config: RunnableConfig) -> Finished | Paused:
        """Work on the last message."""
        tell_missing(self.loop.notes)
        return _reviewed(await self.loop.run(messages, config))

    async def go_on(self, kept: dict[str, Any], config: RunnableConfig) -> Finished | Paused:
        """Go on with work that waited."""
        return _reviewed(await self.loop.go_on(cast(ReviewState, kept), config))


def _ended(result: AgentResult) -> Finished | Paused:
    if result.paused:
        return Paused(tuple(result.paused["asked"].values()), dict(result.paused))
    last = result.messages[-1].id if result.messages else None
    return Finished(result.text, result.outcome, last, result.calls[-1] if result.calls else None)


def _reviewed(done: ReviewedWork | PausedReview) -> Finished | Paused:
    if isinstance(done, PausedReview):
        run = done.kept["paused"]
        return Paused(tuple(run["asked"].values()) if run else (), dict(done.kept))
    return Finished(done.report(), done.verdict.value, call=done.call)


def tell_works(agent: str, task: str) -> None:
    """Tell that an agent begins."""
    tell("agent", {"agent": agent, "task": task})


def tell_missing(notes: Sequence[str]) -> None:
    """Tell what an agent has to do without."""
    for note in notes:
        remedy = "See config/mcp-agent-tool-mapping.yaml."
        tell("error", {"error": "UnavailableError", "message": note, "remedy": remedy})
