"""``chef serve``: run the gateways, the API, the local model server and the rollout timer."""

from __future__ import annotations

import asyncio
import sys

import click

from agent_orchestrator.cli import session
from agent_orchestrator.errors import SettingsError
from agent_orchestrator.settings import Settings
from agent_orchestrator.stores.gateway_keys import GatewayKeys
from agent_orchestrator.wiring import supervisor


@click.command()
@click.option("--host", help="Address of the gateway. [default: CHEF_GATEWAY_HOST, 127.0.0.1]")
@click.option("--port", type=int, help="Port of the gateway. [default: CHEF_GATEWAY_PORT, 8130]")
@click.option(
    "--gateways",
    type=click.IntRange(1, 64),
    help="Gateway processes, on this port and the next ones. [default: CHEF_GATEWAYS, 1]",
)
@click.option("--no-token", is_flag=True, help="Serve clients without a token.")
@click.option("--api-port", type=int, help="Port of the API. [default: CHEF_API_PORT, 8131]")
@click.option("--no-api-token", is_flag=True, help="Let whoever reaches the API do as you may.")
@click.option("--no-api", is_flag=True, help="Do without the API.")
@click.option("--no-local-models", is_flag=True, help="Do without the local model server.")
def serve(
    host: str | None,
    port: int | None,
    gateways: int | None,
    no_token: bool,
    api_port: int | None,
    no_api_token: bool,
    no_api: bool,
    no_local_models: bool,
) -> None:
    """Run the gateway, the API, the model server and the timer.

    Clients need the token of CHEF_GATEWAY_TOKEN, or a key of their own (chef gateway keys). Without
    either, at a terminal, a token is made for this run and shown once. The API's users need an
    access token (chef api tokens), also on the web page that it serves.
    """
    given = {"gateway_host": host, "gateway_port": port, "gateways": gateways, "api_port": api_port}
    settings = session.settings()
    settings = settings.model_copy(update={k: v for k, v in given.items() if v is not None})
    token = None if no_token else _token(settings)
    running = supervisor.services(
        settings,
        token=token,
        open_to_all=no_token,
        local_models=not no_local_models,
        api=None if no_api else "anybody" if no_api_token else "tokens",
    )
    if token is not None and settings.gateway_token is None:
        click.echo(f"CHEF_GATEWAY_TOKEN={token}", err=True)
    asyncio.run(supervisor.supervise(running, lambda line: click.echo(line, err=True)))


def _token(settings: Settings) -> str | None:
    """Return the configured token, or a new one when somebody is there to read it.

    None when clients have keys of their own, and need none.

    Elsewhere than at a terminal, stderr is a log, where a token must not stand.
    """
    if settings.gateway_token is not None:
        return settings.gateway_token.get_secret_value()
    if GatewayKeys(settings.gateway_keys_file).read():
        return None
    if not sys.stderr.isatty():
        raise SettingsError(
            "CHEF_GATEWAY_TOKEN is not set, and no client has a key.",
            remedy="Set it, add a key (chef gateway keys add NAME), or serve with --no-token.",
        )
    return supervisor.new_token()
