"""One model's whole answer, judged and accounted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent_orchestrator.domain.answers import Said
from agent_orchestrator.serving.upstream import Answer
from agent_orchestrator.serving.validation import (
    Usage,
    is_valid_completion,
    read_usage,
    wanted_format,
)

_NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Completion:
    """One model's whole answer."""

    model: str
    answer: Answer
    latency_ms: float
    """From sending to the last byte."""
    valid_output: bool
    """Whether it passed output validation."""
    usage: Usage

    @property
    def text(self) -> str:
        """The first choice's content; empty when it has none."""
        content = self.message.get("content")
        return content if isinstance(content, str) else ""

    @property
    def message(self) -> Mapping[str, Any]:
        """The first choice's message."""
        found: Mapping[str, Any] = self.answer.data["choices"][0]["message"]
        return found

    @property
    def said(self) -> Said:
        """What is compared with other answers."""
        messages = [choice["message"] for choice in self.answer.data["choices"]]
        return Said(messages, self.valid_output)


def judged(answer: Answer, body: Mapping[str, Any]) -> tuple[bool, Usage]:
    """Return whether ``answer`` is a valid one to the request ``body``, and its usage."""
    valid = is_valid_completion(answer.data, wanted_format(body))
    return valid, read_usage(answer.data) or _NO_USAGE


def unstreamed(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request that asks for the same answer in one piece.

    A copy, its list of messages too: callers may go on with theirs while a mirror is under way.
    """
    copy = {key: value for key, value in body.items() if key not in {"stream", "stream_options"}}
    if isinstance(copy.get("messages"), list):
        copy["messages"] = list(copy["messages"])
    return copy
