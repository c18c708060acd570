"""Hugging Face's MCP server (https://huggingface.co/mcp) for tests: who may come in, what is there.

The tools and their hints are those of its 0.4 series; they only say that they were called.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from mcp.server.fastmcp import FastMCP
from mcp.types import ToolAnnotations
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_READS = ToolAnnotations(readOnlyHint=True, destructiveHint=False, openWorldHint=True)


def _server() -> FastMCP:
    server = FastMCP("huggingface", log_level="ERROR")

    @server.tool(annotations=_READS)
    def hub_repo_search(query: str) -> str:
        """Search models and datasets."""
        return f"Found {query}."

    @server.tool(annotations=ToolAnnotations(readOnlyHint=False, openWorldHint=True))
    def dynamic_space(operation: str, space_name: str = "", parameters: str = "{}") -> str:
        """Find, inspect and invoke Hugging Face Spaces."""
        return f"{operation} of {space_name} with {parameters}"

    return server


@asynccontextmanager
async def hf_mcp(token: str) -> AsyncIterator[str]:
    """Serve it to whoever bears the token; yield its URL."""
    app: Starlette = _server().streamable_http_app()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = Request(scope).headers.get("Authorization")
            if given != f"Bearer {token}":
                await Response(status_code=401)(scope, receive, send)
                return
        await app(scope, receive, send)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(guarded, log_level="error", ws="none"))
        serving = asyncio.create_task(server.serve([listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            await serving
