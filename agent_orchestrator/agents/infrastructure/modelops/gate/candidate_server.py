"""How the checklist before traffic reaches the candidate: the port, and a call as a value."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import anyio

from agent_orchestrator.errors import UpstreamError
from agent_orchestrator.serving.failures import UpstreamFailure

_ANSWER_TOKENS = 64


class Answer(Protocol):
    """What the checklist looks at in an answer; ``serving.router.Completion`` is one."""

    @property
    def text(self) -> str:
        """The answer's text."""

    @property
    def valid_output(self) -> bool:
        """Whether it passed output validation."""


class CandidateServer(Protocol):
    """The candidate as the gateway will call it. Each call raises UpstreamError without an answer.

    A ``body`` is a chat-completions request without its ``model``.
    """

    @property
    def oversized_tokens(self) -> int | None:
        """More tokens than it can read, as far as anybody knows.

        None when nobody knows and the attempt would be paid for.
        """

    async def ask(self, body: Mapping[str, Any]) -> Answer:
        """Ask the candidate."""

    async def ask_other(self, model: str, body: Mapping[str, Any]) -> Answer:
        """Ask another model at the candidate's server."""

    async def ask_nobody(self, body: Mapping[str, Any]) -> Answer:
        """Ask the candidate where nobody listens."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long a point of the checklist may take, seconds."""

    load: float = 300.0
    """The first answer: the server may load the model for it."""
    call: float = 30.0
    """Every later one."""


def chat(*messages: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the body of a short request with these messages."""
    return {"messages": list(messages), "max_tokens": _ANSWER_TOKENS, "temperature": 0, **more}


def user(text: object) -> dict[str, Any]:
    """Return a user's message."""
    return {"role": "user", "content": text}


async def attempt(call: Awaitable[Answer], limit_s: float) -> Answer | UpstreamError:
    """Return the answer, or why there is none; after ``limit_s`` that is a time-out."""
    try:
        with anyio.fail_after(limit_s):
            return await call
    except TimeoutError:
        return UpstreamFailure(f"No answer within {limit_s:g} s.", kind="timeout")
    except UpstreamError as error:
        return error
