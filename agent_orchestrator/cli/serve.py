"""``chef serve``: run the gateway, the local model server and the rollout timer."""

from __future__ import annotations

import asyncio

import click

from agent_orchestrator.settings import load_settings
from agent_orchestrator.wiring import supervisor


@click.command()
@click.option("--host", help="Address of the gateway. [default: CHEF_GATEWAY_HOST, 127.0.0.1]")
@click.option("--port", type=int, help="Port of the gateway. [default: CHEF_GATEWAY_PORT, 8130]")
@click.option("--no-token", is_flag=True, help="Serve clients without a token.")
def serve(host: str | None, port: int | None, no_token: bool) -> None:
    """Run the gateway, the local model server and the rollout timer.

    Clients need the token of CHEF_GATEWAY_TOKEN; without one, a token is made for this run and
    printed once.
    """
    settings = load_settings()
    given = {"gateway_host": host, "gateway_port": port}
    settings = settings.model_copy(update={k: v for k, v in given.items() if v is not None})
    token: str | None = None
    if not no_token:
        if settings.gateway_token is not None:
            token = settings.gateway_token.get_secret_value()
        else:
            token = supervisor.new_token()
            click.echo(f"CHEF_GATEWAY_TOKEN={token}", err=True)
    click.echo(
        f"Gateway: http://{settings.gateway_host}:{settings.gateway_port}/v1 (Ctrl-C stops)",
        err=True,
    )
    running = supervisor.services(settings, token=token)
    asyncio.run(supervisor.supervise(running, lambda line: click.echo(line, err=True)))
