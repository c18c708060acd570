"""What a run made of its tools: which results it used, which failures it handled.

- A **result is used** when a value of it that had not occurred before (a leaf of its JSON, else a
  word with a digit, a capital inside or one of ``_./:@#-`` inside) occurs, whole, in the final
  answer or in the arguments of a later call. A result without such a value cannot be traced and
  counts neither way.
- A **failed call is handled** when a later call succeeds and the run ends in an answer.

It is read the same way from a replay (``tool_replay``) and from a finished run (``traced_runs``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import ToolCall

_DISTINCT: Final = re.compile(r"\d|[a-z][A-Z]|\w[_./:@#-]\w")
_WORD: Final = re.compile(r"\w+(?:[_./:@#-]+\w+)*")
_SHORTEST: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of a tool with its result."""

    turn: int
    """Calls of one turn were made before any of their results was seen."""
    name: str
    arguments: str
    """JSON."""
    result: str
    failed: bool
    known: frozenset[str]
    """Every word that was said before the result."""


def tool_calls(calls: Sequence[Call], text: str) -> tuple[ToolCall, ...]:
    """Return how the calls of a run ended whose final answer is ``text``."""
    return tuple(_tool_call(call, calls, text) for call in calls)


def said(messages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the words of a conversation, those of the calls' arguments included."""
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            yield from words(content)
        for call in message.get("tool_calls") or ():
            yield from _json_words(call["function"]["arguments"])


def words(text: str) -> Iterator[str]:
    """Yield the words of a text, and where it is JSON those of its leaves."""
    yield from _json_words(text)
    yield from _words(text)


def _tool_call(call: Call, calls: Sequence[Call], text: str) -> ToolCall:
    later = [other for other in calls if other.turn > call.turn]
    if call.failed:
        went_on = bool(text.strip()) and any(not other.failed for other in later)
        return ToolCall(call.name, succeeded=False, handled=went_on)
    values = _values(call.result) - call.known
    if not values:
        return ToolCall(call.name, succeeded=True)
    after = {*_words(text), *(word for other in later for word in _json_words(other.arguments))}
    return ToolCall(call.name, succeeded=True, result_used=not values.isdisjoint(after))


def _values(result: str) -> set[str]:
    """Return the words that tell this result from others."""
    try:
        leaves = list(_leaves(json.loads(result)))
    except (ValueError, RecursionError):
        return _distinct(result)
    alone = {leaf.casefold() for leaf in leaves if _WORD.fullmatch(leaf) and len(leaf) >= _SHORTEST}
    return alone.union(*(_distinct(leaf) for leaf in leaves))


def _distinct(text: str) -> set[str]:
    """Return the words that ordinary prose would not hold by chance."""
    found = (match[0] for match in _WORD.finditer(text) if len(match[0]) >= _SHORTEST)
    return {word.casefold() for word in found if _DISTINCT.search(word)}


def _json_words(text: str) -> Iterator[str]:
    """Yield the words of a JSON text's leaves, or of the text itself when it is not JSON."""
    try:
        leaves = list(_leaves(json.loads(text)))
    except (ValueError, RecursionError):
        leaves = [text]
    for leaf in leaves:
        yield from _words(leaf)


def _leaves(value: object) -> Iterator[str]:
    match value:
        case dict():
            for item in value.values():
                yield from _leaves(item)
        case list():
            for item in value:
                yield from _leaves(item)
        case bool() | None:
            return
        case _:
            yield str(value)


def _words(text: str) -> Iterator[str]:
    return (match[0].casefold() for match in _WORD.finditer(text))
