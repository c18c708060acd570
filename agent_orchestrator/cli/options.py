"""Options that commands share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click

from agent_orchestrator.errors import InputError

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")
yes = click.option("--yes", is_flag=True, help="Approve as the user who runs this.")
wait = click.option("--wait", is_flag=True, help="Follow the job to its end.")
follow = click.option("--follow", is_flag=True, help="Follow the job to its end.")
limit = click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The newest N."
)
reason = click.option("--reason", default="", help="Why; recorded.")


def read_pairs(name: str, texts: Iterable[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs; a value is JSON, else text. Raises InputError for other text."""
    pairs: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(
                f"{name}: {text!r} is not KEY=VALUE.", remedy="Write e.g. num_epochs=2."
            )
        pairs[key.strip()] = _value(value)
    return pairs


def _value(text: str) -> Any:
    """Return what JSON reads; ``NaN`` and the infinities, which it should not, stay text."""
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text
