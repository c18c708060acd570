"""A server of one's own by each transport, and the official client that drives it."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import uvicorn
from mcp import ClientSession, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.mcp_server.http import PATH, HttpDoor, create_app
from agent_orchestrator.wiring.embedded import compose

Transport = Literal["stdio", "http"]


@dataclass
class Door:
    """The server of an installation; sessions with it are made by ``session``."""

    workspace: Workspace
    transport: Transport
    callers: dict[str, Caller]
    """Of HTTP: access token → whose it is; may be changed at any time."""
    url: str = ""

    @asynccontextmanager
    async def session(
        self, bearer: str = "admin", **callbacks: Any
    ) -> AsyncIterator[ClientSession]:
        """Open a session; over stdio it starts ``chef mcp``."""
        async with (
            self._streams(bearer) as (read, write),
            ClientSession(read, write, **callbacks) as session,
        ):
            await session.initialize()
            yield session

    def command(self) -> StdioServerParameters:
        """Return what starts ``chef mcp``."""
        module = ["-m", "agent_orchestrator", "mcp"]
        return StdioServerParameters(
            command=sys.executable, args=module, env=self.workspace.variables
        )

    @asynccontextmanager
    async def _streams(self, bearer: str) -> AsyncIterator[tuple[Any, Any]]:
        if self.transport == "stdio":
            with (self.workspace.folder / "mcp.log").open("a") as log:
                async with stdio_client(self.command(), errlog=log) as streams:
                    yield streams
            return
        headers = {"Authorization": f"Bearer {bearer}"}
        async with (
            httpx.AsyncClient(headers=headers, timeout=60.0) as client,
            streamable_http_client(self.url, http_client=client) as (read, write, _),
        ):
            yield read, write


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a fresh installation."""
    return Workspace(tmp_path)


@pytest.fixture
async def models(workspace: Workspace) -> AsyncIterator[OpenAIServer]:
    """Serve ``acme/code_review`` and ``acme/cicd``, which the agents of these names have."""
    async with OpenAIServer(lambda _body: Reply("clean")) as server:
        workspace.serve_elsewhere(code_review=server.url, cicd=server.url)
        yield server


@asynccontextmanager
async def http_door(workspace: Workspace) -> AsyncIterator[Door]:
    """Serve an installation over HTTP, with a token of each role that is named as the role."""
    roles: tuple[Any, ...] = ("viewer", "operator", "approver", "admin")
    door = Door(workspace, "http", {role: Caller(role, "mcp", role) for role in roles})
    app = create_app(HttpDoor(compose(workspace.settings()), door.callers.get))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
        serving = asyncio.create_task(server.serve([listening]))
        door.url = f"http://127.0.0.1:{listening.getsockname()[1]}{PATH}"
        try:
            yield door
        finally:
            server.should_exit = True
            await serving


@pytest.fixture
async def over_http(workspace: Workspace) -> AsyncIterator[Door]:
    """Return the door of HTTP alone."""
    async with http_door(workspace) as door:
        yield door


@pytest.fixture(params=["stdio", "http"])
async def door(request: pytest.FixtureRequest, workspace: Workspace) -> AsyncIterator[Door]:
    """Return the door of each transport in turn."""
    if request.param == "stdio":
        yield Door(workspace, "stdio", {})
        return
    async with http_door(workspace) as over_http:
        yield over_http
