"""``chef mcp`` as a process by each transport, driven by the official client and by LangChain's."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from huggingface_hub import constants
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.callbacks import Callbacks
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.sessions import Connection, StdioConnection, StreamableHttpConnection
from langchain_mcp_adapters.tools import load_mcp_tools
from mcp import ClientSession, StdioServerParameters, stdio_client, types
from mcp.client.streamable_http import streamable_http_client
from tests.doubles.api_client import listening, opened_api
from tests.doubles.doors import Document, Door, Refused, structured
from tests.doubles.openai_server import OpenAIServer
from tests.doubles.workspace import Workspace

from agent_orchestrator.cli import session as terminal
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.roles import Role
from agent_orchestrator.mcp_server.http import PATH
from agent_orchestrator.mcp_server.tools import FOLLOW
from agent_orchestrator.stores.access_tokens import AccessTokens
from agent_orchestrator.wiring.orchestrator import open_orchestrator

#: ``chef``, but for the address of the Inference Endpoints, which no variable changes.
_CHEF = """
import sys
from huggingface_hub import constants
constants.INFERENCE_ENDPOINTS_ENDPOINT = sys.argv.pop(1)
from agent_orchestrator.cli.main import main
main()
"""
_BEARER = "admin"


async def _yes(*_: Any) -> types.ElicitResult:
    """Approve whatever is asked."""
    return types.ElicitResult(action="accept", content={"approve": True})


class _Official:
    """The official client, within one session."""

    def __init__(self, session: ClientSession, user: str) -> None:
        self._session = session
        self.user = user

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        return await self._call(use_case, values)

    async def follow(self, job_id: str) -> Document:
        return await self._call(FOLLOW, {"job_id": job_id})

    async def _call(self, tool: str, values: Mapping[str, Any]) -> Document:
        return structured(await self._session.call_tool(tool, dict(values)))


class _Adapters:
    """LangChain's tools, called as an agent calls them."""

    def __init__(self, tools: Sequence[BaseTool], user: str) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self.user = user

    async def ask(self, use_case: UseCaseName, values: Mapping[str, Any]) -> Document:
        return await self._call(use_case, values)

    async def follow(self, job_id: str) -> Document:
        return await self._call(FOLLOW, {"job_id": job_id})

    async def _call(self, tool: str, values: Mapping[str, Any]) -> Document:
        asked = {"type": "tool_call", "id": "call_1", "name": tool, "args": dict(values)}
        message = await self._tools[tool].ainvoke(asked)
        assert isinstance(message, ToolMessage)
        if message.status == "error":
            raise Refused(message.text)
        found: Document = message.artifact["structured_content"]
        return found


def _command(*arguments: str) -> list[str]:
    return ["-c", _CHEF, constants.INFERENCE_ENDPOINTS_ENDPOINT, "mcp", *arguments]


@asynccontextmanager
async def _served(workspace: Workspace) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Run ``chef mcp --http``; yield its URL and an administrator's headers."""
    token = AccessTokens(workspace.settings().api_tokens_file).add(_BEARER, "admin", 0.0)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *_command("--http", "--port", "0"),
        env=workspace.variables,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        line = (await process.stderr.readline()).decode()
        found = re.search(r"Serving MCP on (\S+)", line)
        assert found, line
        yield found[1], {"Authorization": f"Bearer {token}"}
    finally:
        process.terminate()
        await process.communicate()


@asynccontextmanager
async def mcp_stdio(workspace: Workspace, models: OpenAIServer) -> AsyncIterator[Door]:
    """Open ``chef mcp`` for the official client."""
    start = StdioServerParameters(command=sys.executable, args=_command(), env=workspace.variables)
    with (workspace.folder / "mcp.log").open("w") as log:
        async with (
            open_orchestrator(workspace.settings()),
            stdio_client(start, errlog=log) as (read, write),
            ClientSession(read, write, elicitation_callback=_yes) as session,
        ):
            await session.initialize()
            yield _Official(session, terminal.caller().name)


@asynccontextmanager
async def mcp_http(workspace: Workspace, models: OpenAIServer) -> AsyncIterator[Door]:
    """Open ``chef mcp --http`` for the official client."""
    async with (
        open_orchestrator(workspace.settings()),
        _served(workspace) as (url, headers),
        httpx.AsyncClient(headers=headers, timeout=120.0) as client,
        streamable_http_client(url, http_client=client) as (read, write, _),
        ClientSession(read, write, elicitation_callback=_yes) as session,
    ):
        await session.initialize()
        yield _Official(session, _BEARER)


@asynccontextmanager
async def _adapted(connection: Connection, user: str) -> AsyncIterator[Door]:
    callbacks = Callbacks(on_elicitation=_yes)
    client = MultiServerMCPClient({"chef": connection}, callbacks=callbacks)
    async with client.session("chef") as session:
        tools = await load_mcp_tools(session, callbacks=callbacks, server_name="chef")
        yield _Adapters(tools, user)


@asynccontextmanager
async def adapters_stdio(workspace: Workspace, models: OpenAIServer) -> AsyncIterator[Door]:
    """Open ``chef mcp`` for LangChain's adapters."""
    connection = StdioConnection(
        transport="stdio", command=sys.executable, args=_command(), env=workspace.variables
    )
    async with (
        open_orchestrator(workspace.settings()),
        _adapted(connection, terminal.caller().name) as door,
    ):
        yield door


@asynccontextmanager
async def adapters_http(workspace: Workspace, models: OpenAIServer) -> AsyncIterator[Door]:
    """Open ``chef mcp --http`` for LangChain's adapters."""
    async with open_orchestrator(workspace.settings()), _served(workspace) as (url, headers):
        connection = StreamableHttpConnection(transport="streamable_http", url=url, headers=headers)
        async with _adapted(connection, _BEARER) as door:
            yield door


@asynccontextmanager
async def mcp_of_the_api(
    workspace: Workspace, models: OpenAIServer, role: Role = "admin"
) -> AsyncIterator[Door]:
    """Open what the API speaks of MCP, for the official client."""
    async with (
        opened_api(workspace) as api,
        listening(api) as url,
        httpx.AsyncClient(headers=api.headers(role), timeout=120.0) as client,
        streamable_http_client(f"{url}{PATH}", http_client=client) as (read, write, _),
        ClientSession(read, write, elicitation_callback=_yes) as session,
    ):
        await session.initialize()
        yield _Official(session, role)
