"""``chef ask``: a sentence in, the use case it means carried out."""

from __future__ import annotations

import json

import click

from agent_orchestrator.cli import options
from agent_orchestrator.domain.intents import Intent, parse
from agent_orchestrator.errors import InputError


@click.command()
@click.argument("sentence", nargs=-1, required=True)
@options.as_json
@click.option("--dry-run", is_flag=True, help="Only say what was understood.")
@options.yes
@options.wait
def ask(sentence: tuple[str, ...], as_json: bool, dry_run: bool, yes: bool, wait: bool) -> None:
    """Say what you want in a sentence.

    For example: chef ask "feature_dev keeps missing error handling, train it better"
    """
    intent = parse(" ".join(sentence))
    if dry_run:
        _show(intent, as_json=as_json)
        return
    if intent.use_case is None:
        raise InputError(
            intent.clarify or "That is not a ModelOps request.",
            remedy="Say it again with the answer."
            if intent.clarify
            else "Try 'train feature_dev', 'deploy v1.2.0 to docs' or 'list the models of cicd'.",
        )
    # Everything from here on needs the stores; a dry run does without their import time.
    from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import (
        build_request,
        request_values,
    )
    from agent_orchestrator.cli import session

    if not as_json:
        _show(intent, as_json=False)
    request = build_request(intent.use_case, request_values(intent))
    session.run(intent.use_case, request, as_json=as_json, yes=yes, wait=wait)


def _show(intent: Intent, *, as_json: bool) -> None:
    if as_json:
        document = {
            "use_case": intent.use_case,
            "slots": dict(intent.slots),
            "clarify": intent.clarify,
        }
        click.echo(json.dumps(document))
        return
    if intent.use_case is None:
        click.echo(intent.clarify or "Not a ModelOps request.", err=True)
        return
    slots = ", ".join(f"{name}={value}" for name, value in intent.slots.items())
    click.echo(f"Understood: {intent.use_case}({slots})", err=True)
