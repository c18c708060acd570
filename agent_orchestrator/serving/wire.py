"""The OpenAI chat-completions wire format as far as we must read it; the rest we pass on.

Server-sent events follow the WHATWG HTML standard, section 9.2: lines end in LF, CRLF or CR, a
blank line ends an event, a line that begins with a colon is a comment.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent_orchestrator.serving import json_bytes

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LONGEST_END = 4
_LINE_END = re.compile(rb"\r\n|\n|\r")
_MAX_EVENT_BYTES = 4 * 1024 * 1024


class WireError(ValueError):
    """The bytes are not what the format promises; the message says what is wrong."""


class ReportedError(ValueError):
    """The upstream reports an error of its own inside an answer with status 200."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One server-sent event of a stream."""

    raw: bytes
    """The event as it came, with its closing blank line."""
    data: Mapping[str, Any] | None
    """Its JSON; None for a comment and for the closing ``[DONE]``."""
    is_done: bool = False
    """Whether it is ``[DONE]``."""

    @property
    def ends_answer(self) -> bool:
        """Whether this is ``[DONE]`` or a choice says here why it ended."""
        choices = (self.data or {}).get("choices") or ()
        return self.is_done or any(c.get("finish_reason") is not None for c in choices)


def read_completion(raw: bytes) -> Mapping[str, Any]:
    """Return a completion's JSON: an object with a non-empty list of choices, each with a message.

    Raises WireError, or ReportedError for an ``error`` object.
    """
    data = _read_object(raw)
    choices = data.get("choices")
    if not isinstance(choices, list) or not choices:
        raise WireError("the answer has no choices")
    if not all(isinstance(c, dict) and isinstance(c.get("message"), dict) for c in choices):
        raise WireError("a choice has no message")
    return data


def read_chunk(event: bytes) -> Chunk:
    """Return one server-sent event as a chunk.

    Raises WireError for what is no chunk, ReportedError for an ``error`` object.
    """
    lines = _LINE_END.split(event)
    payload = b"\n".join(line[5:].lstrip(b" ") for line in lines if line.startswith(b"data:"))
    if not payload:
        return Chunk(event, None)
    if payload.strip() == b"[DONE]":
        return Chunk(event, None, is_done=True)
    data = _read_object(payload)
    choices = data.get("choices") or []
    if not isinstance(choices, list) or not all(map(_is_chunk_choice, choices)):
        raise WireError("a chunk's choices are malformed")
    return Chunk(event, data)


async def split_events(parts: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield whole server-sent events as soon as their last byte is there; an unended rest at last.

    Raises WireError for an event above 4 MiB.
    """
    buffer = bytearray()
    async for part in parts:
        seen = max(0, len(buffer) - _LONGEST_END + 1)
        buffer += part
        begin = 0
        while end := _EVENT_END.search(buffer, max(begin, seen)):
            yield bytes(buffer[begin : end.end()])
            begin = end.end()
        del buffer[:begin]
        if len(buffer) > _MAX_EVENT_BYTES:
            raise WireError(f"an event is longer than {_MAX_EVENT_BYTES} bytes")
    if buffer.strip():
        yield bytes(buffer) + b"\n\n"


def _read_object(raw: bytes) -> dict[str, Any]:
    try:
        data = json_bytes.loads(raw)
    except (ValueError, RecursionError):
        raise WireError(f"not JSON: {raw[:80]!r}") from None
    if not isinstance(data, dict):
        raise WireError(f"not a JSON object: {raw[:80]!r}")
    if data.get("error"):
        raise ReportedError(error_text(data))
    return data


def error_text(data: Mapping[str, Any]) -> str:
    """Return what an error object says, in one line of at most 300 characters.

    OpenAI writes ``{"error": {"message": …}}``; servers built on other frameworks write ``message``
    or ``detail`` at the top. The whole object when it says nothing in any of these places.
    """
    error = data.get("error") or data.get("message") or data.get("detail") or data
    message = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(message).split())[:300]


def _is_chunk_choice(choice: object) -> bool:
    if not isinstance(choice, dict) or not isinstance(choice.get("index", 0), int):
        return False
    delta = choice.get("delta") or {}
    return isinstance(delta, dict) and all(
        isinstance(delta.get(key) or "", str) for key in ("content", "refusal")
    )
