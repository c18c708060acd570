"""What a node tells those who listen, while it works: plain JSON on the graph's custom stream.

``conversation.events`` has the types that they become.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer

from agent_orchestrator.agents._shared.model_calls import ModelCall
from agent_orchestrator.errors import ChefError


def tell(kind: str, values: Mapping[str, Any]) -> None:
    """Tell an event of the type ``kind``; only inside a node of a running graph."""
    get_stream_writer()({"type": kind, **values})


def say(
    agent: str, text: str, *, message_id: str | None = None, call: ModelCall | None = None
) -> AIMessage:
    """Tell a whole message of an agent, and return it for the state.

    ``message_id``: that of the message whose tokens were told already. ``call``: that of the model
    whose work it tells.
    """
    facts = {"request_id": call.request_id, "arm": call.arm} if call else {}
    message = AIMessage(text, id=message_id or str(uuid4()), name=agent, response_metadata=facts)
    request_id = call.request_id if call else None
    told = {"agent": agent, "text": text, "message_id": message.id, "request_id": request_id}
    tell("message", told)
    return message


def say_error(agent: str, error: ChefError) -> AIMessage:
    """Tell an error with its remedy, and return what the conversation keeps of it."""
    tell(
        "error",
        {"error": type(error).__name__, "message": error.message, "remedy": error.remedy},
    )
    return AIMessage(str(error), id=str(uuid4()), name=agent)
