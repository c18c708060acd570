"""MCP at the API's own address."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client
from tests.doubles.api_client import Api, opened_api
from tests.doubles.workspace import Workspace

from agent_orchestrator.api.limits import BODY_BYTES, Rates
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
        async with httpx.AsyncClient(timeout=60.0) as client:
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
            listening = await client.send(
                client.build_request("GET", url, headers=own), stream=True
            )
            assert listening.status_code == 200
        await listening.aread()


async def test_mcp_is_under_the_apis_own_limits(workspace: Workspace):
    """Of requests a second and of bytes a request: nobody gets around them by this door."""
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    async with (
        opened_api(workspace, rates=Rates(0.5, 2, lambda: 0.0)) as api,
        served(api) as url,
        httpx.AsyncClient(headers=headers | api.headers("viewer"), timeout=60) as viewer,
    ):
        refused = await viewer.post(url, content=b" " * (BODY_BYTES + 1))
        assert refused.status_code == 413
        assert (await viewer.post(url, json=ping)).status_code == 400  # no session yet
        answers = [await viewer.post(url, json=ping) for _ in range(2)]
        assert answers[-1].status_code == 429
        assert answers[-1].headers["Retry-After"] == "2"
        assert answers[-1].json()["remedy"]
        assert (
            await viewer.post(url, json=ping, headers={"Authorization": "Bearer no"})
        ).status_code == 401


async def test_a_body_in_pieces_has_no_way_around_its_limit(api: Api):
    """Whoever says no length is stopped where it is reached."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES // 65536 + 2):
            yield b" " * 65536

    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    async with (
        served(api) as url,
        httpx.AsyncClient(headers=headers | api.headers("viewer"), timeout=60) as viewer,
    ):
        assert (await viewer.post(url, content=pieces())).status_code == 413
