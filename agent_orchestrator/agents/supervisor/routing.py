"""Who works on what is said: the ModelOps parser first, a language model for everything else.

What answers a proposal, a question or an approval of the conversation goes to the Infrastructure
agent without asking a model, so that no model can turn a no into a yes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import SystemMessage
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel, Field

from agent_orchestrator.agents._shared.telling import say, say_error
from agent_orchestrator.agents.infrastructure.workflows.modelops.steps import read
from agent_orchestrator.agents.infrastructure.workflows.modelops.wording import EXAMPLES
from agent_orchestrator.domain.replies import Unclear
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
class Supervisor:
    """Hands work out."""

    model: BaseChatModel | None = None
    """None: only ModelOps is served."""
    obstacle: str = ""
    """Why there is no model, for people."""
    prompt: str = ""
    agents: Mapping[str, str] = field(default_factory=dict)
    """Those that can work → what they are good at."""

    async def route(self, state: State, config: RunnableConfig) -> State:
        """Return the assignments of this turn; without any, an answer."""
        approval = state.get("approval")
        fresh: State = {
            "work": None,  # type: ignore[typeddict-item]  # the reducer's sign to begin anew
            "assignments": [],
            # Whatever became of it meanwhile: it is looked up before anything is carried out.
            "approval": {**approval, "status": "pending"} if approval else None,
        }
        if self._concerns_models(state):
            return {**fresh, "assignments": [{"agent": INFRASTRUCTURE, "task": ""}]}
        if self.model is None:
            return {**fresh, "messages": [say(NAME, self._needs_a_model())]}
        try:
            return {**fresh, **await self._asked(self.model, state, config)}
        except ChefError as error:
            return {**fresh, "messages": [say_error(NAME, error)]}

    def _concerns_models(self, state: State) -> bool:
        """Return whether the conversation itself says that it is the Infrastructure agent's."""
        reply = read(state)
        if not isinstance(reply, Unclear) or reply.agreed:
            return True
        waits = bool(state.get("approval") or state.get("proposal") or state.get("asked"))
        job = state.get("job")
        return self.model is None and (waits or (job is not None and not job["ended"]))

    async def _asked(self, model: BaseChatModel, state: State, config: RunnableConfig) -> State:
        """Let the model route."""
        routing = model.with_structured_output(Route, include_raw=True)
        roster = "\n".join(f"- {name}: {what}" for name, what in self.agents.items())
        system = SystemMessage(f"{self.prompt}\n\nThe agents:\n{roster}")
        found: Any = await routing.ainvoke([system, *recent(state)], config)
        route, raw = found["parsed"], found["raw"]
        if not isinstance(route, Route):  # it wrote a sentence instead
            return {"messages": [say(NAME, raw.text or NOBODY, message_id=raw.id)]}
        assignments: list[Assignment] = [
            {"agent": piece.agent, "task": piece.task}
            for piece in route.pieces
            if piece.agent in self.agents
        ]
        if assignments:
            return {"assignments": assignments}
        return {"messages": [say(NAME, route.answer or NOBODY)]}

    def _needs_a_model(self) -> str:
        why = f" {self.obstacle}" if self.obstacle else ""
        return (
            f"That needs a language model, and none is configured.{why} Without one I look after "
            f"the agents' models. Say, for example, {EXAMPLES}."
        )
