"""Whether an answer can be used at all: something was said, and in the form that was asked for.

JSON is what RFC 8259 says it is: NaN and the infinities, which Python and some servers write, are
none, nor is a number too large to be finite. A ``json_schema`` response format is checked against
its schema, and the arguments of a tool's call for being a JSON object. A request that asks for text
costs a look at whether there is any.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from agent_orchestrator.serving.json_schema import conforms


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the upstream counted them; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


def read_usage(data: Mapping[str, Any]) -> Usage | None:
    """Return the usage of a completion or chunk, None when it carries none."""
    usage = data.get("usage")
    if not isinstance(usage, dict):
        return None
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """What a request wants its answer to be."""

    json: bool = False
    schema: str | None = None
    """JSON Schema, as JSON with sorted keys; None when any JSON will do."""


TEXT = OutputFormat()


def wanted_format(body: Mapping[str, Any]) -> OutputFormat:
    """Return what the request's ``response_format`` asks for."""
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") not in {"json_object", "json_schema"}:
        return TEXT
    named = wanted.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    return OutputFormat(True, None if schema is None else json.dumps(schema, sort_keys=True))


def is_valid_completion(data: Mapping[str, Any], wanted: OutputFormat) -> bool:
    """Return whether every choice of a completion of ``wire.read_completion`` can be used."""
    return all(_is_usable(choice["message"], wanted) for choice in data["choices"])


class StreamedAnswer:
    """What the chunks of one stream add up to, as far as validation and accounting need it."""

    def __init__(self, wanted: OutputFormat) -> None:
        self._wanted = wanted
        self._choices: dict[int, _StreamedChoice] = {}
        self.usage = Usage()

    @property
    def finished(self) -> bool:
        """Whether every choice begun so far has said why it ended."""
        return bool(self._choices) and all(c.finished for c in self._choices.values())

    @property
    def valid(self) -> bool:
        """Whether what has come so far can be used."""
        return bool(self._choices) and all(
            all(_are_arguments("".join(parts)) for parts in choice.calls.values())
            if choice.calls
            else is_usable_text("".join(choice.text), self._wanted)
            for choice in self._choices.values()
        )

    def add(self, data: Mapping[str, Any]) -> None:
        """Take in one chunk of the shape that ``wire.read_chunk`` checks."""
        self.usage = read_usage(data) or self.usage
        for part in data.get("choices") or ():
            choice = self._choices.setdefault(part.get("index", 0), _StreamedChoice())
            delta = part.get("delta") or {}
            text = delta.get("content") or delta.get("refusal") or ""
            if text and (self._wanted.json or not choice.has_text):
                choice.text.append(text)  # plain text need not be kept once there is some
                choice.has_text |= not text.isspace()
            for call in delta.get("tool_calls") or ():
                choice.add_call(call)
            choice.finished |= part.get("finish_reason") is not None


@dataclass(slots=True)
class _StreamedChoice:
    text: list[str] = field(default_factory=list)
    has_text: bool = False
    calls: dict[int, list[str]] = field(default_factory=dict)
    """Place of a tool's call → the parts of its arguments."""
    finished: bool = False

    def add_call(self, call: object) -> None:
        """Take in a part of a call, which has its place under ``index``."""
        index = call.get("index") if isinstance(call, dict) else None
        parts = self.calls.setdefault(index if isinstance(index, int) else 0, [])
        parts.append(_arguments(call))


def _is_usable(message: Mapping[str, Any], wanted: OutputFormat) -> bool:
    content = message.get("content") or message.get("refusal") or ""
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        return all(_are_arguments(_arguments(call)) for call in calls)
    if isinstance(content, list):  # content parts
        content = "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return isinstance(content, str) and is_usable_text(content, wanted)


def is_usable_text(text: str, wanted: OutputFormat) -> bool:
    """Return whether ``text`` says something, in the wanted form."""
    if not text.strip():
        return False
    if not wanted.json:
        return True
    try:
        value = _read(text)
    except (ValueError, RecursionError):
        return False
    return wanted.schema is None or conforms(value, wanted.schema)


def _arguments(call: object) -> str:
    """Return the arguments of a call, or of a part of one; what is no text is no JSON either."""
    function = call.get("function") if isinstance(call, dict) else None
    found = function.get("arguments") if isinstance(function, dict) else None
    return found if isinstance(found, str) else "" if found is None else repr(found)


def _are_arguments(text: str) -> bool:
    """Return whether ``text`` is a JSON object; a call without arguments may leave it out."""
    if not text.strip():
        return True
    try:
        return isinstance(_read(text), dict)
    except (ValueError, RecursionError):
        return False


def _read(text: str) -> Any:
    """Read JSON as the RFC has it. Raises ValueError, RecursionError."""
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number} is not finite")
    return value


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
