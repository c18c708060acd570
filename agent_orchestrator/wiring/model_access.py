"""Calling a model directly, by the serving code, without a choice of arms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import anyio.to_thread

from agent_orchestrator.domain.expenses import TokenPrice
from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.domain.routing import Endpoint, RoutingTable
from agent_orchestrator.serving.router import Completion, Router
from agent_orchestrator.serving.tracing import Tracer
from agent_orchestrator.serving.upstream import Upstream
from agent_orchestrator.settings import Settings
from agent_orchestrator.wiring.hub import fetch_artifact
from agent_orchestrator.wiring.model_server import model_server


class Complete(Protocol):
    """Asks a model: ``serving.router.Router.complete_model``."""

    def __call__(
        self, model: str, body: Mapping[str, Any], *, endpoint: Endpoint | None = None
    ) -> Awaitable[Completion]:
        """Return the answer to a chat-completions body. Raises UpstreamFailure."""


@dataclass(frozen=True, slots=True)
class _FixedTable:
    current: RoutingTable


class _NoRecord:
    """Direct calls are no traffic: they leave no outcome."""

    def record(self, outcome: Outcome) -> None:
        raise AssertionError(f"A direct call recorded {outcome}.")

    def record_feedback(self, feedback: Feedback) -> None:
        raise AssertionError(f"A direct call recorded {feedback}.")


class Metered:
    """Calls that are added up by what their answers cost.

    ``prices`` are those of the models; a call without an answer is not charged for.
    """

    def __init__(self, complete: Complete, prices: Mapping[str, TokenPrice | None]) -> None:
        self._complete = complete
        self._prices = prices
        self.usd: float | None = 0.0
        """What all answers cost, None as soon as one's cost is not known."""

    async def __call__(
        self, model: str, body: Mapping[str, Any], *, endpoint: Endpoint | None = None
    ) -> Completion:
        """See ``Complete``."""
        completion = await self._complete(model, body, endpoint=endpoint)
        price, usage = self._prices.get(model), completion.usage
        sizes = (usage.prompt_tokens, usage.completion_tokens)
        if price is None or sizes[0] is None or sizes[1] is None:
            self.usd = None
        elif self.usd is not None:
            self.usd += price.of(sizes[0], sizes[1])
        return completion


@asynccontextmanager
async def direct_access(
    settings: Settings, endpoints: Sequence[Endpoint]
) -> AsyncIterator[Complete]:
    """Give a way to call these models; a local one's server is started if none runs.

    A local model that lies on the Hub only is fetched first. Raises ConfigurationError,
    UnavailableError when the local server cannot be started, and as ``fetch_artifact``.
    """
    for endpoint in endpoints:
        if endpoint.provider == "local":
            await anyio.to_thread.run_sync(fetch_artifact, settings, endpoint.model)
    table = RoutingTable({}, {endpoint.model: endpoint for endpoint in endpoints})
    async with AsyncExitStack() as stack:
        local = any(endpoint.provider == "local" for endpoint in endpoints)
        local_socket = await stack.enter_async_context(model_server(settings)) if local else None
        upstream = Upstream(
            secret=settings.secret,
            openrouter_base_url=settings.openrouter_base_url,
            local_socket=local_socket,
        )
        await stack.enter_async_context(upstream)
        router = Router(_FixedTable(table), upstream, _NoRecord())
        yield router.complete_model


def traced_calls(
    complete: Complete,
    tracer: Tracer | None,
    versions: Mapping[str, str | None],
    **labels: str,
) -> Complete:
    """Return ``complete`` with each call traced under ``labels`` and its model's version."""
    if tracer is None:
        return complete

    async def traced(
        model: str, body: Mapping[str, Any], *, endpoint: Endpoint | None = None
    ) -> Completion:
        metadata = {**labels, "model": model, "model_version": versions.get(model)}
        with tracer.span(model, body, metadata, kind="llm") as span:
            completion = await complete(model, body, endpoint=endpoint)
            span.outputs = {"choices": [{"message": m} for m in completion.said.messages]}
            span.metadata["prompt_tokens"] = completion.usage.prompt_tokens
            span.metadata["completion_tokens"] = completion.usage.completion_tokens
            return completion

    return traced
