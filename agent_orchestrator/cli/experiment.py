"""``chef experiment``: compare several models and ways of asking them."""

from __future__ import annotations

import json

import click

from agent_orchestrator.cli import options, session
from agent_orchestrator.cli.usecase import command
from agent_orchestrator.domain.wording import counted


@click.group()
def experiment() -> None:
    """Compare several models and ways of asking them."""


experiment.add_command(command("run_experiment"))


@experiment.command("forget")
@options.as_json
def forget(as_json: bool) -> None:
    """Forget the answers that experiments keep, so that all are asked anew."""
    from agent_orchestrator.wiring.experiments import answer_cache

    count = answer_cache(session.settings()).clear()
    click.echo(
        json.dumps({"forgotten": count})
        if as_json
        else f"{counted(count, '[answer is|answers are]')} forgotten."
    )
