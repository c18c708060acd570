"""The way of the checklist before traffic to a candidate: the one that traffic will take."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.gate.candidate_server import (
    Answer,
    CandidateServer,
)
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.serving.tracing import Tracer
from agent_orchestrator.settings import Settings
from agent_orchestrator.wiring.model_access import Complete, direct_access, traced_calls

_LONG_CONTEXT = 131_072
"""Tokens that are sent to a server of one's own whose context is not known: it costs nothing."""
_BEYOND = 1024


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A ``CandidateServer``."""

    complete: Complete
    endpoint: Endpoint
    nobody: Endpoint
    oversized_tokens: int | None

    async def ask(self, body: Mapping[str, Any]) -> Answer:
        return await self.complete(self.endpoint.model, body, endpoint=self.endpoint)

    async def ask_other(self, model: str, body: Mapping[str, Any]) -> Answer:
        return await self.complete(model, body, endpoint=replace(self.endpoint, model=model))

    async def ask_nobody(self, body: Mapping[str, Any]) -> Answer:
        return await self.complete(self.endpoint.model, body, endpoint=self.nobody)


@asynccontextmanager
async def open_gate(
    settings: Settings,
    endpoint: Endpoint,
    context_tokens: int | None,
    tracer: Tracer | None = None,
) -> AsyncIterator[CandidateServer]:
    """Reach one model as the gateway does; start its server for the while if none runs.

    ``context_tokens`` is what it can read, where that is known.

    Raises ConfigurationError, UnavailableError when the local server cannot be started.
    """
    unknown = None if endpoint.provider == "openrouter" else _LONG_CONTEXT
    oversized = unknown if context_tokens is None else context_tokens + _BEYOND
    with _silent_port() as port:
        nobody = Endpoint(endpoint.model, "self_hosted", (f"http://127.0.0.1:{port}/v1",))
        async with direct_access(settings, [endpoint]) as complete:
            calls = traced_calls(complete, tracer, {})
            yield _Candidate(calls, endpoint, nobody, oversized)


@contextmanager
def _silent_port() -> Iterator[int]:
    """Hold a port of loopback on which nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
