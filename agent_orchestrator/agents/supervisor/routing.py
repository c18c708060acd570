"""Who works on what is said: the ModelOps parser first, a language model for everything else.

What answers a proposal, a question or an approval of the conversation goes to the Infrastructure
agent without asking a model, so that no model can turn a no into a yes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import SystemMessage
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import BaseModel, Field

from agent_orchestrator.agents._shared.stopping import stop_sign_of
from agent_orchestrator.agents._shared.telling import say, say_error
from agent_orchestrator.agents.infrastructure.workflows.modelops.steps import read
from agent_orchestrator.agents.infrastructure.workflows.modelops.wording import (
    EXAMPLES,
    still_waits,
)
from agent_orchestrator.domain.replies import Declined, Unclear
from agent_orchestrator.errors import ChefError
from agent_orchestrator.state import Assignment, State, recent

NAME = "supervisor"
INFRASTRUCTURE = "infrastructure"
NOBODY = "Nobody here can do that. What shall be built, reviewed, run, written or trained?"


class Piece(BaseModel):
    """One agent's piece of the work."""

    agent: str = Field(description="One of those that are listed.")
    task: str = Field(description="What it is to do, in full: it sees this beside the request.")


class Route(BaseModel):
    """Who works on the request; pieces run at the same time. Without pieces: the answer itself."""

    pieces: list[Piece] = []
    answer: str = Field(default="", description="Said to the person when nobody has to work.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who can work now."""

    obstacle: str | None
    """Why the supervisor's own model cannot answer; None: it can."""
    agents: Mapping[str, str]
    """Those that can work → what they are good at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """Hands work out."""

    model: BaseChatModel
    prompt: str
    roster: Callable[[], Roster]
    """Looked at in every turn: models come and go while conversations last."""
    _routing: Runnable[Any, Any] = field(init=False)
    """The model, bound to ``Route``: that takes longer than most answers' other parts."""

    def __post_init__(self) -> None:
        """Bind the model, once."""
        bound = self.model.with_structured_output(Route, include_raw=True)
        object.__setattr__(self, "_routing", bound)

    async def route(self, state: State, config: RunnableConfig) -> State:
        """Return the assignments of this turn; without any, an answer."""
        approval = state.get("approval")
        fresh: State = {
            "work": None,  # type: ignore[typeddict-item]  # the reducer's sign to begin anew
            "assignments": [],
            # Whatever became of it meanwhile: it is looked up before anything is carried out.
            "approval": {**approval, "status": "pending"} if approval else None,
        }
        roster = self.roster()
        waits = [one for work in state.get("paused", {}).values() for one in work["approvals"]]
        if waits and _answers_nothing_else(state):
            return {**fresh, "messages": [say(NAME, still_waits(waits[0]))]}
        if self._concerns_models(state, roster):
            return {**fresh, "assignments": [{"agent": INFRASTRUCTURE, "task": ""}]}
        if roster.obstacle is not None:
            return {**fresh, "messages": [say(NAME, _needs_a_model(roster.obstacle))]}
        try:
            return {**fresh, **await self._asked(roster.agents, state, config)}
        except ChefError as error:
            return {**fresh, "messages": [say_error(NAME, error)]}

    def _concerns_models(self, state: State, roster: Roster) -> bool:
        """Return whether the conversation itself says that it is the Infrastructure agent's."""
        reply = read(state)
        if not isinstance(reply, Unclear) or reply.agreed:
            return True
        waits = bool(state.get("approval") or state.get("proposal") or state.get("asked"))
        job = state.get("job")
        return roster.obstacle is not None and (waits or (job is not None and not job["ended"]))

    async def _asked(
        self, agents: Mapping[str, str], state: State, config: RunnableConfig
    ) -> State:
        """Let the model route."""
        roster = "\n".join(f"- {name}: {what}" for name, what in agents.items())
        system = SystemMessage(f"{self.prompt}\n\nThe agents:\n{roster}")
        asking = self._routing.ainvoke([system, *recent(state)], config)
        found: Any = await stop_sign_of(config).unless(asking)
        route, raw = found["parsed"], found["raw"]
        if not isinstance(route, Route):  # it wrote a sentence instead
            return {"messages": [say(NAME, raw.text or NOBODY, message_id=raw.id)]}
        assignments: list[Assignment] = [
            {"agent": piece.agent, "task": piece.task}
            for piece in route.pieces
            if piece.agent in agents
        ]
        if assignments:
            return {"assignments": assignments}
        return {"messages": [say(NAME, route.answer or NOBODY)]}


def _answers_nothing_else(state: State) -> bool:
    """Return whether a yes or no was said, and nothing but an agent's call waits for one."""
    if state.get("approval") or state.get("proposal") or state.get("asked"):
        return False
    reply = read(state)
    return isinstance(reply, Declined) or (isinstance(reply, Unclear) and reply.agreed)


def _needs_a_model(obstacle: str) -> str:
    return (
        f"That needs a language model, and none is configured. {obstacle} Without one I look after "
        f"the agents' models. Say, for example, {EXAMPLES}."
    )
