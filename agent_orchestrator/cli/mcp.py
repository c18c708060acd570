"""``chef mcp``: the use cases as tools of the Model Context Protocol."""

from __future__ import annotations

from dataclasses import replace

import anyio
import click

from agent_orchestrator.cli import session


@click.command()
def mcp() -> None:
    """Serve every use case as a tool to an MCP client.

    Over stdio, for a client that starts this command: it acts as the user who runs it.
    """
    from agent_orchestrator.mcp_server import stdio

    embedded, caller = session.embedded(), replace(session.caller(), door="mcp")
    anyio.run(stdio.serve, embedded, caller)
