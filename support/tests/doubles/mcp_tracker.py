"""An MCP server of a small issue tracker: as a program over stdio, as an application over HTTP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from mcp.server.fastmcp import FastMCP
from mcp.types import ToolAnnotations


def tracker() -> FastMCP:
    """Return the server."""
    server = FastMCP("tracker", stateless_http=False, log_level="ERROR")

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True))
    def find_issue(number: int) -> str:
        """Find an issue of the tracker."""
        if number < 0:
            raise ValueError("no such issue")
        return f"Issue {number}: {os.environ.get('TRACKER_TOKEN', 'public')}"

    @server.tool()
    async def create_issue(title: str) -> str:
        """Create an issue in the tracker."""
        if title == "fail":
            raise ValueError("the tracker is full")
        if kept := os.environ.get("TRACKER_FILE"):
            with Path(kept).open("a", encoding="utf-8") as issues:  # noqa: ASYNC230 - a line
                issues.write(f"{title}\n")
        if title == "hang":
            await asyncio.sleep(600)
        return f"Created: {title}"

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True))
    def crash() -> str:
        """End the server."""
        os._exit(1)

    return server


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """Serve it over HTTP; give its URL."""
    config = uvicorn.Config(
        tracker().streamable_http_app(), port=0, log_level="error", lifespan="on"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn tells it no other way
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        server.should_exit = True
        await serving


if __name__ == "__main__":
    tracker().run()
