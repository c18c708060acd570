"""``chef space``: the app that trains on a Hugging Face Space."""

from __future__ import annotations

import asyncio
import logging

import click

from agent_orchestrator.cli.usecase import command
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.settings import load_settings

_USE_CASES: tuple[UseCaseName, ...] = (
    "deploy_space",
    "space_status",
    "pause_space",
    "restart_space",
)


@click.group()
def space() -> None:
    """Train on a Hugging Face Space: run, deploy and watch its app."""


@space.command()
@click.option("--host", help="Address of the app. [default: CHEF_SPACE_HOST, 127.0.0.1]")
@click.option("--port", type=int, help="Port of the app. [default: CHEF_SPACE_PORT, 7860]")
@click.option("--no-token", is_flag=True, help="Let everybody train who can reach it.")
def serve(host: str | None, port: int | None, no_token: bool) -> None:
    """Run the Space's app on this machine.

    Clients need the token of MODELOPS_SPACE_TOKEN. Its jobs and models lie in .chef/space; a job
    that is cut off goes on when the app is started again.
    """
    from agent_orchestrator.training_space import process

    given = {"space_host": host, "space_port": port}
    settings = load_settings()
    settings = settings.model_copy(update={k: v for k, v in given.items() if v is not None})
    token = None if no_token else process.configured_token(settings)
    logging.getLogger("chef.space").setLevel(logging.INFO)
    asyncio.run(process.serve(settings, token=token, say=lambda line: click.echo(line, err=True)))


for _use_case in _USE_CASES:
    space.add_command(command(_use_case))
