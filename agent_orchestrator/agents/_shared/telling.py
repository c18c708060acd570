"""What a node tells those who listen, while it works: plain JSON on the graph's custom stream.

``conversation.events`` has the types that they become.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer

from agent_orchestrator.errors import ChefError


def tell(kind: str, values: Mapping[str, Any]) -> None:
    """Tell an event of the type ``kind``; only inside a node of a running graph."""
    get_stream_writer()({"type": kind, **values})


def say(agent: str, text: str, *, message_id: str | None = None) -> AIMessage:
    """Tell a whole message of an agent, and return it for the state.

    ``message_id``: that of the message whose tokens were told already.
    """
    message = AIMessage(text, id=message_id or str(uuid4()), name=agent)
    tell("message", {"agent": agent, "text": text, "message_id": message.id})
    return message


def say_error(agent: str, error: ChefError) -> AIMessage:
    """Tell an error with its remedy, and return what the conversation keeps of it."""
    tell(
        "error",
        {"error": type(error).__name__, "message": error.message, "remedy": error.remedy},
    )
    return AIMessage(str(error), id=str(uuid4()), name=agent)
