"""An MCP server of a small issue tracker: as a program over stdio, as an application over HTTP."""

from __future__ import annotations

import os

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
    def create_issue(title: str) -> str:
        """Create an issue in the tracker."""
        return f"Created: {title}"

    @server.tool(annotations=ToolAnnotations(readOnlyHint=True))
    def crash() -> str:
        """End the server."""
        os._exit(1)

    return server


if __name__ == "__main__":
    tracker().run()
