"""Which answers an agent's model gave, kept in its state: summing a conversation up loses none."""

from __future__ import annotations

import operator
from typing import Annotated, Any, NotRequired, TypedDict

from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime


class Answer(TypedDict):
    """One answer in the conversation; plain data, for it is checkpointed."""

    message_id: str | None
    call: dict[str, Any] | None
    """The fields of a ModelCall; None when the model was not reached by the router."""


class AnswerState(AgentState[Any]):
    """The agent's state, with the answers of this run."""

    answers: NotRequired[Annotated[list[Answer], operator.add]]


_FACTS = {"request_id": "request_id", "arm": "arm", "version": "model_version"}


class AnswerLog(AgentMiddleware[AnswerState]):
    """Writes down every answer."""

    state_schema = AnswerState

    async def aafter_model(
        self, state: AnswerState, runtime: Runtime[None]
    ) -> dict[str, list[Answer]]:
        """Note the answer that has just come."""
        # A structured answer is followed by a message that says it was taken.
        message = next(m for m in reversed(state["messages"]) if isinstance(m, AIMessage))
        facts = message.response_metadata
        call = {key: facts[name] for key, name in _FACTS.items()} if "request_id" in facts else None
        return {"answers": [Answer(message_id=message.id, call=call)]}
