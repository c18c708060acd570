"""MCP at the API's own address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client
from tests.doubles.api_client import Api

from agent_orchestrator.api.process import running
from agent_orchestrator.mcp_server.tools import list_tools


@asynccontextmanager
async def served(api: Api) -> AsyncIterator[str]:
    """Serve the application; yield where it speaks MCP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with running(api.app, listening):
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
            api.services.closing.set()


@asynccontextmanager
async def session(api: Api, url: str, role: str) -> AsyncIterator[ClientSession]:
    """Open a session with a role's token."""
    async with (
        httpx.AsyncClient(headers=api.headers(role), timeout=60) as client,
        streamable_http_client(url, http_client=client) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        yield session


async def test_the_api_speaks_mcp_with_its_own_tokens(api: Api):
    """All tools, as the bearer and with the role of the token; nobody without one."""
    async with served(api) as url:
        async with session(api, url, "viewer") as viewer:
            listed = (await viewer.list_tools()).tools
            assert [tool.name for tool in listed] == [tool.name for tool in list_tools()]
            asked = {"agent": "code_review"}
            refused = await viewer.call_tool("train_subagent_model", asked)
            assert refused.isError
            assert refused.structuredContent["error"] == "Forbidden"
        async with httpx.AsyncClient() as client:
            ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
            assert (await client.post(url, json=ping)).status_code == 401


async def test_an_open_session_does_not_hold_up_the_end(api: Api):
    """The stream by which a client listens ends when the API is about to."""
    headers = api.headers("viewer") | {"Accept": "application/json, text/event-stream"}
    start = types.InitializeRequestParams(
        protocolVersion=types.LATEST_PROTOCOL_VERSION,
        capabilities=types.ClientCapabilities(),
        clientInfo=types.Implementation(name="listener", version="1"),
    )
    begin = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": start.model_dump()}
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        async with served(api) as url:
            begun = await client.post(url, json=begin)
            own = {"Mcp-Session-Id": begun.headers["Mcp-Session-Id"]}
            listening = asyncio.create_task(client.get(url, headers=own))
            await asyncio.sleep(0.2)
            assert not listening.done()
        assert (await listening).status_code == 200
