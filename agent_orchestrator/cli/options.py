"""Options that commands share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
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
    """Read ``key=value`` pairs, and YAML files of them; a pair's value is JSON, else text.

    Raises InputError for other text.
    """
    pairs: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals and text.endswith((".yaml", ".yml")):
            pairs |= _read_file(name, Path(text))
            continue
        if not equals or not key.strip():
            raise InputError(
                f"{name}: {text!r} is not KEY=VALUE.",
                remedy="Write e.g. num_epochs=2, or name a YAML file of such.",
            )
        pairs[key.strip()] = read_value(value)
    return pairs


def _read_file(name: str, path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds. Raises InputError."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        said = " ".join(str(error).split())
        raise InputError(
            f"{name}: cannot read {str(path)!r}: {said}.", remedy="Name a YAML file."
        ) from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise InputError(
            f"{name}: {str(path)!r} holds no mapping of names to values.",
            remedy="Write one `name: value` a line.",
        )
    return found


def read_value(text: str) -> Any:
    """Return what JSON reads; ``NaN`` and the infinities, which it should not, stay text."""
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text
