"""The Infrastructure agent's model: the use cases are its tools.

It may look at everything by itself. What changes something comes back as a wish, which takes the
same way as a person's: priced, agreed to, approved where that is needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, SystemMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from agent_orchestrator.agents._shared.callers import caller_of
from agent_orchestrator.agents._shared.mcp_tools import AgentTools
from agent_orchestrator.agents._shared.profile import AgentProfile
from agent_orchestrator.agents._shared.skills import LOAD_SKILL, Skills, skill_tool
from agent_orchestrator.agents._shared.stopping import stop_sign_of
from agent_orchestrator.agents._shared.telling import say, say_error, tell
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Request
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import build_request
from agent_orchestrator.agents.infrastructure.workflows.modelops.steps import NAME, UseCases
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.errors import ChefError, InputError
from agent_orchestrator.state import ModelOpsState, recent

#: What of a result a model is shown, characters.
_SHOWN = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Consulting:
    """The node that asks the model what a sentence means that the parser does not know."""

    model: BaseChatModel
    profile: AgentProfile
    use_cases: UseCases
    skills: Skills
    extra: Callable[[], AgentTools] = AgentTools
    """Further tools, of MCP servers: what the mapping lets this agent use now."""

    async def consult(self, state: ModelOpsState, config: RunnableConfig) -> ModelOpsState:
        """Let the model look until it answers, or wishes for a change."""
        extra = self.extra()
        bound = self.model.bind_tools([*use_case_tools(), skill_tool(self.skills), *extra.tools])
        prompt = SystemMessage("\n\n".join([self.profile.prompt, *extra.missing]))
        others = {tool.name: tool for tool in extra.tools}
        history: list[AnyMessage] = [prompt, *recent(state)]
        try:
            for _ in range(self.profile.tools.model_calls):
                answer = await stop_sign_of(config).unless(bound.ainvoke(history, config))
                if not answer.tool_calls:
                    return {"messages": [say(NAME, answer.text, message_id=answer.id)]}
                history.append(answer)
                wish = await self._looked_up(answer, history, others, config)
                if wish is not None:
                    return wish
        except ChefError as error:
            return {"messages": [say_error(NAME, error)]}
        return {"messages": [say(NAME, "I have looked long enough without an answer. Ask again.")]}

    async def _looked_up(
        self,
        answer: AIMessage,
        history: list[AnyMessage],
        others: Mapping[str, BaseTool],
        config: RunnableConfig,
    ) -> ModelOpsState | None:
        """Answer the model's calls that only look; return the first one that changes something."""
        for call in answer.tool_calls:
            if call["name"] in others:
                history.append(await _used(others[call["name"]], call))
                continue
            try:
                if call["name"] == LOAD_SKILL:
                    page = self.skills.asked_for(call["args"])
                    history.append(ToolMessage(page, tool_call_id=call["id"]))
                    continue
                use_case, request = _requested(call)
                if USE_CASES[use_case].changes:
                    return _wished(use_case, request)
                result = await self.use_cases.run(use_case, request, caller_of(config))
            except InputError as error:
                history.append(ToolMessage(str(error), tool_call_id=call["id"], status="error"))
                continue
            shown = result.model_dump(mode="json")
            tell("result", {"use_case": use_case, "result": shown})
            history.append(ToolMessage(json.dumps(shown)[:_SHOWN], tool_call_id=call["id"]))
        return None


async def _used(tool: BaseTool, call: ToolCall) -> ToolMessage:
    """Return what a tool of an MCP server answered; its failure is an answer, too."""
    tell("agent", {"agent": NAME, "tool": tool.name})
    try:
        found = await tool.ainvoke({**call, "type": "tool_call"})
    except ChefError as error:
        return ToolMessage(str(error), tool_call_id=call["id"], status="error")
    text = found.text if isinstance(found, ToolMessage) else str(found)
    return ToolMessage(text[:_SHOWN], tool_call_id=call["id"])


def use_case_tools() -> list[dict[str, Any]]:
    """Return all use cases as tools, with the same fields as at every door."""
    return [
        {
            "type": "function",
            "function": {
                "name": use_case,
                "description": spec.request.__doc__,
                "parameters": spec.request.model_json_schema(),
            },
        }
        for use_case, spec in USE_CASES.items()
    ]


def _requested(call: ToolCall) -> tuple[UseCaseName, Request]:
    """Return what a tool call asks for. Raises InputError."""
    if call["name"] not in USE_CASES:
        raise InputError(
            f"There is no tool {call['name']!r}.", remedy=f"There are: {', '.join(USE_CASES)}."
        )
    use_case = cast("UseCaseName", call["name"])
    return use_case, build_request(use_case, call["args"])


def _wished(use_case: UseCaseName, request: Request) -> ModelOpsState:
    values = request.model_dump(mode="json", exclude_unset=True)
    wish: ModelOpsState = {
        "wish": {"use_case": use_case, "values": values, "accepted": False, "by_model": True}
    }
    return {**wish, "agent": values["agent"]} if values.get("agent") else wish
