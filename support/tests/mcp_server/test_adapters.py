"""LangChain's adapters as the client: tools for an agent, within one open session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.callbacks import CallbackContext, Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.sessions import (
    Connection,
    StdioConnection,
    StreamableHttpConnection,
)
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp.types import ElicitRequestParams, ElicitResult
from tests.doubles.openai_server import OpenAIServer
from tests.doubles.workspace import Workspace
from tests.mcp_server.conftest import Door
from tests.mcp_server.test_tools import DEPLOY

from agent_orchestrator.mcp_server.tools import list_tools


def connection(door: Door) -> Connection:
    """Return how the adapters reach a door."""
    if door.transport == "http":
        headers = {"Authorization": "Bearer admin"}
        return StreamableHttpConnection(transport="streamable_http", url=door.url, headers=headers)
    start = door.command()
    return StdioConnection(transport="stdio", command=start.command, args=start.args, env=start.env)


async def call(tools: Mapping[str, BaseTool], name: str, **arguments: Any) -> ToolMessage:
    """Call a tool as an agent does."""
    asked = {"type": "tool_call", "id": "call_1", "name": name, "args": arguments}
    message = await tools[name].ainvoke(asked)
    assert isinstance(message, ToolMessage)
    return message


async def test_the_adapters_list_and_call_the_tools(
    door: Door, workspace: Workspace, models: OpenAIServer
):
    """With structured results, progress, errors that an agent reads, and an elicited approval."""
    workspace.build_dataset()
    workspace.scenario(steps=3, seconds=0.4)
    reached: list[float] = []
    asked: list[str] = []

    async def note(
        progress: float, total: float | None, message: str | None, context: CallbackContext
    ) -> None:
        reached.append(progress)

    async def answer(
        _mcp: Any, question: ElicitRequestParams, _context: CallbackContext
    ) -> ElicitResult:
        asked.append(question.message)
        return ElicitResult(action="accept", content={"approve": True})

    callbacks = Callbacks(on_progress=note, on_elicitation=answer)
    client = MultiServerMCPClient({"chef": connection(door)}, callbacks=callbacks)
    async with client.session("chef") as session:
        loaded = await load_mcp_tools(session, callbacks=callbacks, server_name="chef")
        tools = {tool.name: tool for tool in loaded}
        assert list(tools) == [tool.name for tool in list_tools()]
        started = await call(tools, "train_subagent_model", agent="code_review")
        job = started.artifact["structured_content"]["job_id"]
        ended = await call(tools, "follow_job", job_id=job)
        assert ended.artifact["structured_content"]["status"] == "completed"
        wrong = await call(tools, "list_agent_models", agent="nobody")
        assert wrong.status == "error"
        assert "Known agents" in str(wrong.content)
        deployed = await call(tools, "deploy_model_to_agent", **DEPLOY)
        assert deployed.artifact["structured_content"]["rollout_pct"] == 20
    assert reached[-1] == 100.0
    assert len(asked) == 1
