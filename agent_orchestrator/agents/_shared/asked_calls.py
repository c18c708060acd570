"""The middleware by which a person approves an agent's calls that change something outside.

The model's answer is not followed: the run ends with an approval asked for each such call. Gone on
with, it begins at the tools. There every call is looked up: one that was approved is spent and
made, once and as approved; of any other the model learns why not. What resumes a run decides
nothing.

LangChain's ``HumanInTheLoopMiddleware`` interrupts within the agent and believes what it is resumed
with; a conversation here waits in one place, and believes the approvals' store (see decision 0016).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NotRequired, Protocol

from langchain.agents.middleware import AgentMiddleware, AgentState, ToolCallRequest, hook_config
from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.runtime import Runtime
from langgraph.types import Command

from agent_orchestrator.agents._shared.callers import caller_of
from agent_orchestrator.agents._shared.mcp_tools import OutwardTool
from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.tool_calls import AgentToolCall
from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.errors import ApprovalDenied, InputError, NotFoundError


class Approvals(Protocol):
    """Where calls are approved."""

    async def ask_tool_call(self, call: AgentToolCall, caller: Caller, /) -> ApprovalView:
        """Return a new approval that waits. Raises InputError for what nobody can be asked."""

    async def get_approval(self, approval_id: str, /) -> ApprovalView:
        """Return an approval as the store has it. Raises NotFoundError."""

    async def spend_tool_call(
        self, approval_id: str, call: AgentToolCall, caller: Caller, /
    ) -> None:
        """Spend an approval on exactly this call. Raises NotFoundError, ApprovalDenied."""


class AskedState(AgentState[Any]):
    """The agent's state, with what was asked about its last answer."""

    asked: NotRequired[dict[str, str]]
    """Id of a call in the last answer → id of its approval."""
    unaskable: NotRequired[dict[str, str]]
    """Id of a call in the last answer → why nobody can be asked about it."""


async def standing(approvals: Approvals, approval_id: str) -> ApprovalView:
    """Return an approval, or the one that stands in its place since somebody edited it."""
    approval = await approvals.get_approval(approval_id)
    while approval.replaced_by is not None:
        approval = await approvals.get_approval(approval.replaced_by)
    return approval


def unanswered(call: ToolCall, why: str) -> ToolMessage:
    """Return what the model learns of a call that is not made."""
    return ToolMessage(
        f"Not carried out: {why}",
        name=call["name"],
        tool_call_id=call["id"],
        status="error",
    )


class AskedCalls(AgentMiddleware[AskedState]):
    """Asks about calls of ``outward`` tools, and makes those that were approved.

    Stands first among an agent's middleware: its answers are logged before it ends the run, and
    what stands behind it is done only with a call that is allowed.
    """

    state_schema = AskedState

    def __init__(
        self, agent: str, outward: Mapping[str, OutwardTool], approvals: Approvals
    ) -> None:
        super().__init__()
        self._agent = agent
        self._outward = outward
        self._approvals = approvals

    @hook_config(can_jump_to=["tools"])
    async def abefore_agent(
        self, state: AskedState, runtime: Runtime[None]
    ) -> dict[str, Any] | None:
        """Begin at the tools when the run goes on with calls."""
        last = state["messages"][-1]
        return {"jump_to": "tools"} if isinstance(last, AIMessage) and last.tool_calls else None

    @hook_config(can_jump_to=["end"])
    async def aafter_model(
        self, state: AskedState, runtime: Runtime[None]
    ) -> dict[str, Any] | None:
        """Ask about the calls of the model's answer."""
        answer = next(m for m in reversed(state["messages"]) if isinstance(m, AIMessage))
        outward = [call for call in answer.tool_calls if call["name"] in self._outward]
        if not outward or state.get("structured_response") is not None:
            return {"asked": {}, "unaskable": {}}
        config = get_config()
        asked: dict[str, str] = {}
        unaskable: dict[str, str] = {}
        for call in outward:
            try:
                request = self._request(call, answer, config)
                approval = await self._approvals.ask_tool_call(request, caller_of(config))
                asked[call["id"] or ""] = approval.id
            except InputError as error:
                unaskable[call["id"] or ""] = str(error)
        found = {"asked": asked, "unaskable": unaskable}
        return {**found, "jump_to": "end"} if asked else found

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        """Make the call if it needs no approval, or has one that is spent on it."""
        call = request.tool_call
        # Once asked about, a call needs its approval, whatever the mapping says by now.
        if call["name"] not in self._outward and call["id"] not in request.state.get("asked", {}):
            return await handler(request)
        try:
            approved = await self._spent(call, request)
        except (ApprovalDenied, NotFoundError) as refused:
            return unanswered(call, str(refused))
        answer = await handler(request.override(tool_call={**call, "args": approved}))
        if approved != call["args"] and isinstance(answer, ToolMessage):
            said = f"An approver changed the arguments of this call to {approved!r}. It answered:"
            return answer.model_copy(update={"content": f"{said}\n{answer.text}"})
        return answer

    async def _spent(self, call: ToolCall, request: ToolCallRequest) -> dict[str, Any]:
        """Spend a call's approval; return the arguments that it covers. Raises ApprovalDenied."""
        approval_id = request.state.get("asked", {}).get(call["id"])
        if approval_id is None:
            why = request.state.get("unaskable", {}).get(call["id"])
            raise ApprovalDenied(
                why or "Nobody was asked about this call.",
                remedy="Do without it, and say what you would have done.",
            )
        approval = await standing(self._approvals, approval_id)
        if approval.status == "rejected":
            why = f": {approval.reason}" if approval.reason else "."
            raise ApprovalDenied(
                f"{approval.approver} rejected this call{why}",
                remedy="Do not make it again as it is.",
            )
        if approval.status == "consumed":
            raise ApprovalDenied(
                "This call was begun, and cut off before its answer came.",
                remedy="Look whether it was carried out before asking for it again.",
            )
        answer = next(m for m in reversed(request.state["messages"]) if isinstance(m, AIMessage))
        wanted = self._request(call, answer, request.runtime.config)
        if approval.edited_from is not None:
            edited = approval.request.get("arguments")
            wanted = wanted.model_copy(update={"arguments": edited})
        caller = caller_of(request.runtime.config)
        await self._approvals.spend_tool_call(approval.id, wanted, caller)
        return wanted.arguments

    def _request(self, call: ToolCall, answer: AIMessage, config: RunnableConfig) -> AgentToolCall:
        tool = self._outward.get(call["name"])
        if tool is None:
            raise ApprovalDenied(
                "Its tool is not there any more.", remedy="Go on with the tools that there are."
            )
        return AgentToolCall(
            agent=self._agent,
            server=tool.server,
            tool=tool.name,
            arguments=call["args"],
            thread_id=str(config["configurable"]["thread_id"]),
            call_id=f"{answer.id}/{call['id']}",
            fingerprint=tool.fingerprint,
        )
