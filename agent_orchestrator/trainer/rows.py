"""Training rows: JSON lines in, (prompt messages, answer) out; errors name the column and row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_orchestrator.trainer.diagnosis import Refused

Message = dict[str, str]

_ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Example:
    """One example; the loss is on ``answer`` alone."""

    prompt: tuple[Message, ...]
    answer: str


def read_rows(path: Path) -> list[Example]:
    """Read a JSON-lines file. Raises Refused (``bad_column``, ``bad_spec``)."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise Refused(
            "bad_spec", f"The data set {path.name!r} cannot be read: {error}.", "Build it again."
        ) from error
    examples = [parse_row(line, row) for row, line in enumerate(lines, start=1) if line.strip()]
    if not examples:
        raise _bad("messages", 1, f"{path.name} holds no row")
    return examples


def parse_row(line: str, row: int) -> Example:
    """Parse one line; ``row`` counts from 1. Raises Refused (``bad_column``)."""
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise _bad("messages", row, f"the line is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise _bad("messages", row, "the line is not a JSON object")
    if "messages" in data:
        return _from_messages(data["messages"], row)
    if "prompt" in data or "completion" in data:
        prompt, answer = (_text(data, column, row) for column in ("prompt", "completion"))
        return Example(({"role": "user", "content": prompt},), answer)
    raise _bad(
        "messages", row, f"neither 'messages' nor 'prompt' and 'completion' among {sorted(data)}"
    )


def _from_messages(messages: Any, row: int) -> Example:
    if not isinstance(messages, list) or len(messages) < 2:  # noqa: PLR2004 - question and answer
        raise _bad("messages", row, "needs at least a question and an answer")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise _bad("messages", row, f"a message needs a role of {', '.join(_ROLES)}")
    *prompt, last = (
        {"role": message["role"], "content": _text(message, "content", row)} for message in messages
    )
    if last["role"] != "assistant":
        raise _bad("messages", row, "the assistant must speak last")
    return Example(tuple(prompt), last["content"])


def _text(data: Mapping[str, Any], column: str, row: int) -> str:
    value = data.get(column)
    if not isinstance(value, str) or not value.strip():
        raise _bad(column, row, "is missing" if column not in data else f"is {value!r}, no text")
    return value


def _bad(column: str, row: int, why: str) -> Refused:
    return Refused(
        "bad_column",
        f"Column {column!r}, row {row}: {why}.",
        "Each row needs 'messages' (the assistant last), or 'prompt' and 'completion'.",
    )
