"""The middleware that tells those who listen which tool an agent uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ToolCallRequest
from langchain_core.messages import ToolMessage
from langgraph.types import Command

from agent_orchestrator.agents._shared.telling import tell


class ToolNews(AgentMiddleware):
    """Tells before every call of a tool; arguments are not told, they may be long or secret."""

    def __init__(self, agent: str) -> None:
        super().__init__()
        self._agent = agent

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Tell, then call."""
        tell("agent", {"agent": self._agent, "tool": request.tool_call["name"]})
        return await handler(request)
