"""The middleware that offers the tools of ``progressive.choose``, and one to ask for more."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from agent_orchestrator.agents._shared.profile import ToolProfile
from agent_orchestrator.agents._shared.progressive import ToolCard, choose, rank

FIND_TOOLS = "find_tools"
_FOUND = 5
"""Most tools that one question brings."""
_CHARACTERS_A_TOKEN = 4


class ToolChoice(AgentMiddleware):
    """Chooses at every call of the model, by the task and by what the model asked for.

    What it asked for is read off the conversation, so that it holds after a restart.
    """

    def __init__(self, profile: ToolProfile, tools: Sequence[BaseTool]) -> None:
        super().__init__()
        self._profile = profile
        self._cards = [_card(tool) for tool in tools]
        self.tools = [self._asking()] if profile.strategy == "progressive" else []

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Call the model with the chosen tools."""
        offer = choose(
            self._profile.strategy,
            self._cards,
            core=self._profile.core,
            profile=self._profile.profile,
            task=_task(request.messages),
            asked=_asked(request.messages),
            budget=self._profile.token_budget,
        )
        unneeded = {*offer.left_out, *(() if offer.left_out else (FIND_TOOLS,))}
        tools = [tool for tool in request.tools if _name(tool) not in unneeded]
        return await handler(request.override(tools=tools))

    def _asking(self) -> BaseTool:
        return StructuredTool.from_function(
            func=self._find,
            name=FIND_TOOLS,
            description="Find further tools that you are not offered yet. Say in a few words what "
            "you want to do; those that fit are offered to you from then on.",
            response_format="content_and_artifact",
        )

    def _find(self, need: str) -> tuple[str, list[str]]:
        found = rank(self._cards, need)[:_FOUND]
        if not found:
            return "No tool fits. Use other words, or do without.", []
        lines = [f"- {card.name}: {card.description}" for card in found]
        return "\n".join(["You can use these now:", *lines]), [card.name for card in found]


def _card(tool: BaseTool) -> ToolCard:
    schema = json.dumps(convert_to_openai_tool(tool))
    return ToolCard(tool.name, tool.description, math.ceil(len(schema) / _CHARACTERS_A_TOKEN))


def _name(tool: BaseTool | dict[str, Any]) -> str:
    return tool.name if isinstance(tool, BaseTool) else str(tool.get("name", ""))


def _task(messages: Sequence[AnyMessage]) -> str:
    """Return what was asked for last."""
    asked = (message for message in reversed(messages) if isinstance(message, HumanMessage))
    latest = next(asked, None)
    return latest.text if latest else ""


def _asked(messages: Sequence[AnyMessage]) -> list[str]:
    """Return the tools that ``find_tools`` brought, oldest first."""
    answers = (m for m in messages if isinstance(m, ToolMessage) and m.name == FIND_TOOLS)
    return [name for answer in answers for name in reversed(answer.artifact or [])]
