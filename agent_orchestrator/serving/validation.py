"""Whether an answer can be used at all: something was said, and it is JSON if JSON was asked for.

A ``json_schema`` response format is checked for being JSON, not against its schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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


def wants_json(body: Mapping[str, Any]) -> bool:
    """Return whether the request asks for a JSON answer."""
    wanted = body.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type") in {"json_object", "json_schema"}


def is_valid_completion(data: Mapping[str, Any], *, json_wanted: bool) -> bool:
    """Return whether every choice of a completion of ``wire.read_completion`` can be used."""
    return all(_is_usable(choice["message"], json_wanted) for choice in data["choices"])


class StreamedAnswer:
    """What the chunks of one stream add up to, as far as validation and accounting need it."""

    def __init__(self, *, json_wanted: bool) -> None:
        self._json_wanted = json_wanted
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
            choice.has_tool_calls or _is_text("".join(choice.text), self._json_wanted)
            for choice in self._choices.values()
        )

    def add(self, data: Mapping[str, Any]) -> None:
        """Take in one chunk of the shape that ``wire.read_chunk`` checks."""
        self.usage = read_usage(data) or self.usage
        for part in data.get("choices") or ():
            choice = self._choices.setdefault(part.get("index", 0), _StreamedChoice())
            delta = part.get("delta") or {}
            text = delta.get("content") or delta.get("refusal") or ""
            if text and (self._json_wanted or not choice.has_text):
                choice.text.append(text)  # plain text need not be kept once there is some
                choice.has_text |= not text.isspace()
            choice.has_tool_calls |= bool(delta.get("tool_calls"))
            choice.finished |= part.get("finish_reason") is not None


@dataclass(slots=True)
class _StreamedChoice:
    text: list[str] = field(default_factory=list)
    has_text: bool = False
    has_tool_calls: bool = False
    finished: bool = False


def _is_usable(message: Mapping[str, Any], json_wanted: bool) -> bool:
    content = message.get("content") or message.get("refusal") or ""
    if message.get("tool_calls"):
        return True
    if isinstance(content, list):  # content parts
        content = "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return isinstance(content, str) and _is_text(content, json_wanted)


def _is_text(text: str, json_wanted: bool) -> bool:
    if not text.strip():
        return False
    if not json_wanted:
        return True
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
