"""``chef mcp``: the use cases as tools of the Model Context Protocol."""

from __future__ import annotations

from dataclasses import replace

import anyio
import click

from agent_orchestrator.cli import session


@click.group(invoke_without_command=True)
@click.pass_context
def mcp(ctx: click.Context) -> None:
    """Serve every use case as a tool to an MCP client.

    Over stdio, for a client that starts this command: it acts as the user who runs it.
    """
    if ctx.invoked_subcommand is not None:
        return
    from agent_orchestrator.mcp_server import stdio

    anyio.run(stdio.serve, session.embedded(), replace(session.caller(), door="mcp"))


@mcp.command()
def hub() -> None:
    """Serve searches of the Hugging Face Hub to an MCP client, over stdio."""
    from agent_orchestrator.agents.infrastructure.hub_discovery.discovery import HubDiscovery
    from agent_orchestrator.agents.infrastructure.hub_discovery.server import build_server
    from agent_orchestrator.wiring.hub import open_hub

    server = build_server(HubDiscovery(open_hub(session.settings())))
    anyio.run(server.run_stdio_async)
