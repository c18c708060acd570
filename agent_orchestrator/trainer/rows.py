"""Training rows: JSON lines in, examples of the method out; errors name the column and row."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.rewards import COLUMNS
from agent_orchestrator.trainer.spec import Method

Message = dict[str, str]

_ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Example:
    """One example of SFT; the loss is on ``answer`` alone."""

    prompt: tuple[Message, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Preference:
    """One pair of DPO or ORPO."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of GRPO, with what the rewards need: ``solution``, ``schema``, ``tests``."""

    prompt: tuple[Message, ...]
    wanted: Mapping[str, str]


Row = Example | Preference | Problem


def read_rows(path: Path, method: Method = "sft") -> list[Any]:
    """Read a JSON-lines file: a list of the method's examples.

    Raises Refused (``bad_column``, ``bad_spec``).
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise Refused(
            "bad_spec", f"The data set {path.name!r} cannot be read: {error}.", "Build it again."
        ) from error
    parse = _PARSERS[method]
    rows = [parse(_object(line, row), row) for row, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise _bad("messages", 1, f"{path.name} holds no row")
    return rows


def parse_row(line: str, row: int) -> Example:
    """Parse one line of SFT; ``row`` counts from 1. Raises Refused (``bad_column``)."""
    return _example(_object(line, row), row)


def _object(line: str, row: int) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise _bad("messages", row, f"the line is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise _bad("messages", row, "the line is not a JSON object")
    return data


def _example(data: dict[str, Any], row: int) -> Example:
    if "messages" in data:
        *prompt, last = _conversation(data["messages"], "messages", row)
        if last["role"] != "assistant":
            raise _bad("messages", row, "the assistant must speak last")
        if not prompt:
            raise _bad("messages", row, "needs at least a question and an answer")
        return Example(tuple(prompt), last["content"])
    if "prompt" in data or "completion" in data:
        asked, answer = (_text(data, column, row) for column in ("prompt", "completion"))
        return Example(_asked(asked), answer)
    raise _bad(
        "messages", row, f"neither 'messages' nor 'prompt' and 'completion' among {sorted(data)}"
    )


def _preference(data: dict[str, Any], row: int) -> Preference:
    chosen, rejected = (_text(data, column, row) for column in ("chosen", "rejected"))
    if chosen == rejected:
        raise _bad("rejected", row, "is the chosen answer too")
    return Preference(_prompt(data, "prompt", row), chosen, rejected)


def _problem(data: dict[str, Any], row: int) -> Problem:
    wanted = {
        column: value if isinstance(value, str) else json.dumps(value)
        for column in COLUMNS.values()
        if (value := data.get(column)) is not None
    }
    if not wanted:
        raise _bad("solution", row, f"none of {', '.join(COLUMNS.values())} says what is right")
    return Problem(_prompt(data, "problem", row), wanted)


_PARSERS: Final[Mapping[Method, Callable[[dict[str, Any], int], Row]]] = {
    "sft": _example,
    "dpo": _preference,
    "orpo": _preference,
    "grpo": _problem,
}


def _prompt(data: Mapping[str, Any], column: str, row: int) -> tuple[Message, ...]:
    """Return what is asked: a text, or a conversation that waits for its answer."""
    if isinstance(data.get(column), list):
        return tuple(_conversation(data[column], column, row))
    return _asked(_text(data, column, row))


def _asked(text: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": text},)


def _conversation(messages: Any, column: str, row: int) -> list[Message]:
    if not isinstance(messages, list) or not messages:
        raise _bad(column, row, "needs at least a question and an answer")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise _bad(column, row, f"a message needs a role of {', '.join(_ROLES)}")
    return [{"role": m["role"], "content": _text(m, "content", row)} for m in messages]


def _text(data: Mapping[str, Any], column: str, row: int) -> str:
    value = data.get(column)
    if not isinstance(value, str) or not value.strip():
        raise _bad(column, row, "is missing" if column not in data else f"is {value!r}, no text")
    return value


def _bad(column: str, row: int, why: str) -> Refused:
    return Refused(
        "bad_column",
        f"Column {column!r}, row {row}: {why}.",
        "A row needs: for sft 'messages' (the assistant last), or 'prompt' and 'completion'; for "
        "dpo and orpo 'prompt', 'chosen' and 'rejected'; for grpo 'problem' and what its rewards "
        "ask for.",
    )
