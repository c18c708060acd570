"""``chef mcp``: the use cases as tools of the Model Context Protocol."""

from __future__ import annotations

from dataclasses import replace

import anyio
import click

from agent_orchestrator.cli import session


@click.group(invoke_without_command=True)
@click.option("--http", is_flag=True, help="Over HTTP at /mcp, for clients with an access token.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address for --http.")
@click.option("--port", type=int, default=8129, show_default=True, help="Port for --http.")
@click.pass_context
def mcp(ctx: click.Context, http: bool, host: str, port: int) -> None:
    """Serve every use case as a tool to an MCP client.

    Over stdio, for a client that starts this command: it acts as the user who runs it. With --http,
    for clients that bear an access token (chef api tokens add): each acts with its token's role.
    """
    if ctx.invoked_subcommand is not None:
        return
    embedded = session.embedded()
    if http:
        from agent_orchestrator.mcp_server.http import serve

        anyio.run(serve, session.settings(), embedded, host, port)
        return
    from agent_orchestrator.mcp_server import stdio

    anyio.run(stdio.serve, embedded, replace(session.caller(), door="mcp"))


@mcp.command()
def hub() -> None:
    """Serve searches of the Hugging Face Hub to an MCP client, over stdio."""
    from agent_orchestrator.agents.infrastructure.hub_discovery.discovery import HubDiscovery
    from agent_orchestrator.agents.infrastructure.hub_discovery.server import build_server
    from agent_orchestrator.wiring.hub import open_hub

    server = build_server(HubDiscovery(open_hub(session.settings())))
    anyio.run(server.run_stdio_async)
