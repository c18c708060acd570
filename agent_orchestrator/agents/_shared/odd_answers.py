"""The middleware that has a model say again what cannot be used.

Calls that cannot be read, an answer without a word, one that was cut off: none is carried out or
taken for the end of the work. The model is told; after several in a row the work ends with an
error.
"""

from __future__ import annotations

from typing import Any, Final, NotRequired

from langchain.agents.middleware import AgentMiddleware, AgentState, hook_config
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, RemoveMessage
from langgraph.runtime import Runtime

from agent_orchestrator.errors import FailedError

_IN_A_ROW: Final = 3


class OddState(AgentState[Any]):
    """The agent's state, with how many answers in a row could not be used."""

    odd: NotRequired[int]


class OddAnswers(AgentMiddleware[OddState]):
    """Looks at every answer. Raises FailedError when a model gives nothing else."""

    state_schema = OddState

    def __init__(self, agent: str) -> None:
        super().__init__()
        self._agent = agent

    @hook_config(can_jump_to=["model"])
    async def aafter_model(self, state: OddState, runtime: Runtime[None]) -> dict[str, Any] | None:
        """Ask again when the answer cannot be used."""
        answer = next(m for m in reversed(state["messages"]) if isinstance(m, AIMessage))
        why = fault(answer)
        if why is None or state.get("structured_response") is not None:
            return {"odd": 0}
        odd = state.get("odd", 0) + 1
        if odd == _IN_A_ROW:
            raise FailedError(
                f"{odd} answers of {self._agent}'s model in a row cannot be used. {why}",
                remedy=f"Ask again, or give {self._agent} another model in models.yaml.",
            )
        told = HumanMessage(f"Your last answer was not used, nothing was carried out. {why}")
        return {"messages": [_kept(answer), told], "odd": odd, "jump_to": "model"}


def fault(answer: AIMessage) -> str | None:
    """Return why an answer cannot be used and what would mend it; None when it can."""
    if answer.invalid_tool_calls:
        call = answer.invalid_tool_calls[0]
        return (
            f"Its call of {call['name'] or 'a tool'} cannot be read: "
            f"{call['error'] or 'it is cut off.'} Call it again, with a whole JSON object."
        )
    if answer.tool_calls:
        return None
    if answer.response_metadata.get("finish_reason") == "length":
        return "It was cut off at the greatest length. Say it shorter, or do it in smaller steps."
    if not answer.text.strip():
        return "It was empty. Call a tool, or say what came of the task."
    return None


def _kept(answer: AIMessage) -> AnyMessage | RemoveMessage:
    """Return what the conversation keeps of it: its words, without calls that nobody answers."""
    if not answer.text.strip():
        return RemoveMessage(id=str(answer.id))
    return answer.model_copy(update={"tool_calls": [], "invalid_tool_calls": []})
