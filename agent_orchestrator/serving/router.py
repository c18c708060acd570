"""Who answers a request: the sticky choice of an arm, failover, and what every shell gets back.

The core under the gateway, the chat model and the evaluation. One attempt on one arm leaves one
Outcome, also when the client gave it up; only one that the upstream refused because of the request
itself leaves none: it says nothing about the arm. An answer that fails output validation is
recorded as such and returned as it is: the client asked for this arm's answer and got it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, Self

from agent_orchestrator.domain.outcomes import Feedback
from agent_orchestrator.domain.routing import Endpoint, RoutingTable
from agent_orchestrator.errors import NotFoundError
from agent_orchestrator.serving.attempt import Attempt, Instruments, Recorder, Request
from agent_orchestrator.serving.background import Background
from agent_orchestrator.serving.breaker import BreakerPolicy
from agent_orchestrator.serving.cache import CacheUse, ResponseCache
from agent_orchestrator.serving.call import (
    FALLBACK,
    Call,
    NoAnswerError,
    OutOfTimeError,
    Route,
    Served,
    route,
)
from agent_orchestrator.serving.completion import Completion, judged
from agent_orchestrator.serving.ensemble import Elected, Ensemble
from agent_orchestrator.serving.health import ArmHealth, Breakers
from agent_orchestrator.serving.mirror import Mirrors
from agent_orchestrator.serving.periods import Periods
from agent_orchestrator.serving.stream import (
    RoutedStream,
    StreamAccount,
    TracedAccount,
    replayed,
)
from agent_orchestrator.serving.tracing import RequestTrace, Tracer, failures_traced
from agent_orchestrator.serving.upstream import Upstream
from agent_orchestrator.serving.validation import wanted_format

__all__ = [
    "FALLBACK",
    "Completion",
    "NoAnswerError",
    "OutOfTimeError",
    "Routed",
    "RoutedStream",
    "Router",
    "Served",
    "TableSource",
]

_BACKGROUND = 64
_GRACE = 5.0


class TableSource(Protocol):
    """Where the routing table comes from; it may be another one at the next request."""

    @property
    def current(self) -> RoutingTable:
        """The table that holds now."""


@dataclass(frozen=True, slots=True)
class Routed:
    """The answer to a routed request."""

    served: Served
    completion: Completion


class Router:
    """Routes the requests of agents. Belongs to one event loop.

    Enter it (``async with``) where mirrors under way should end with the process in good order.

    Args:
        tables: the routing table, looked at once a request.
        upstream: the way to the models; whoever made it enters and leaves it.
        recorder: takes one Outcome per attempt.
        breaker: when an arm is kept out.
        clock: seconds since the epoch, for what is recorded.
        timer: monotonic seconds, for latencies and breakers.
        longest: what all attempts at one request may take together, seconds; until the first byte
            for a stream.
        cache: keeps answers of agents without a rollout; None asks for every request.
        tracer: traces requests and the calls of models; None traces nothing.
    """

    def __init__(
        self,
        tables: TableSource,
        upstream: Upstream,
        recorder: Recorder,
        *,
        breaker: BreakerPolicy | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
        longest: float = 600.0,
        cache: ResponseCache | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._tables = tables
        self._upstream = upstream
        self._tools = Instruments(clock, timer, recorder)
        self._breakers = Breakers(breaker or BreakerPolicy())
        self._longest = longest
        self._cache = cache
        self._tracer = tracer
        self._table = tables.current
        self._routes: dict[str, Route] = {}
        self._background = Background(_BACKGROUND)
        self._ensemble = Ensemble(self._background)
        self.mirrors = Mirrors(self._background)
        """Copies of requests for arms that are only looked at."""
        self.periods = Periods(tables.current, clock())
        """Since when this process serves by which entry, and what is under way."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let mirrors under way end for a few seconds, and cancel the rest."""
        await self._background.close(_GRACE)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that everything here runs on."""
        return self._upstream.loop

    @property
    def retries(self) -> int:
        """Calls to a model that were made once more; failovers to another are not among them."""
        return self._upstream.retries

    async def complete(
        self,
        agent: str,
        body: Mapping[str, Any],
        *,
        task_id: str,
        request_id: str,
        timeout: float | None = None,  # noqa: ASYNC109 - a limit of the whole request, passed on
        cache: CacheUse = "auto",
    ) -> Routed:
        """Return the answer of the task's arm, or of the next arm or fallback that answers.

        ``body`` is a chat-completions request; all of it is passed on but ``model``. ``request_id``
        is unique. ``timeout`` (seconds) may shorten the time of all attempts together; an attempt
        that it ends is abandoned, not failed. ``cache`` says whether a kept answer will do. Raises
        UnknownAgentError, NoAnswerError, OutOfTimeError, and UpstreamFailure for a request that the
        upstream finds fault with.
        """
        call = self._call(agent, task_id, request_id, body)
        trace = call.request.trace
        if trace is None:
            return await self._answered(call, body, timeout, cache)
        with failures_traced(trace):
            routed = await self._answered(call, body, timeout, cache)
        _trace_answer(trace, routed.served, routed.completion)
        return routed

    async def _answered(
        self,
        call: Call,
        body: Mapping[str, Any],
        timeout: float | None,  # noqa: ASYNC109
        cache: CacheUse,
    ) -> Routed:
        key = self._cache_key(call, body, cache)
        kept = self._kept(call, key)
        if kept is not None:
            return kept
        limit = self._limit(timeout)
        try:
            async with asyncio.timeout(limit):
                routed = await self._complete(call, body)
        except TimeoutError:
            raise OutOfTimeError(call.request.agent, limit) from None
        if key is not None and self._cache is not None and routed.served.arm is call.route.arms[0]:
            self._cache.put(key, routed.completion)
        return routed

    async def _complete(self, call: Call, body: Mapping[str, Any]) -> Routed:
        elected = await self._elected(call, body)
        if elected is not None:
            return Routed(call.served_by(elected.arm), elected.completion)
        for attempt in call.attempts():
            completion = await call.ask(attempt, body)
            if completion is not None:
                if call.route.mirrored:
                    self.mirrors.offer(call, attempt.arm, body, completion.said)
                return Routed(call.served_by(attempt.arm), completion)
        raise call.no_answer()

    async def stream(
        self,
        agent: str,
        body: Mapping[str, Any],
        *,
        task_id: str,
        request_id: str,
        timeout: float | None = None,  # noqa: ASYNC109
        cache: CacheUse = "auto",
    ) -> RoutedStream:
        """Return the streamed answer once its first data are there; enter it to read it.

        As ``complete``, for a ``body`` with ``stream: true``. Another arm takes over before the
        first byte, none after it: the stream then raises UpstreamFailure. A kept answer is
        replayed; a streamed one is not kept.
        """
        call = self._call(agent, task_id, request_id, body)
        trace = call.request.trace
        if trace is None:
            return await self._streamed(call, body, timeout, cache)
        with failures_traced(trace):
            return await self._streamed(call, body, timeout, cache)

    async def _streamed(
        self,
        call: Call,
        body: Mapping[str, Any],
        timeout: float | None,  # noqa: ASYNC109
        cache: CacheUse,
    ) -> RoutedStream:
        kept = self._kept(call, self._cache_key(call, body, cache))
        if kept is not None:
            return _replay(call, kept.served, kept.completion, body)
        limit = self._limit(timeout)
        try:
            async with asyncio.timeout(limit):
                return await self._stream(call, body)
        except TimeoutError:
            raise OutOfTimeError(call.request.agent, limit) from None

    async def _stream(self, call: Call, body: Mapping[str, Any]) -> RoutedStream:
        elected = await self._elected(call, body)
        if elected is not None:
            return _replay(call, call.served_by(elected.arm), elected.completion, body)
        for attempt in call.attempts():
            stream = await call.open(attempt, body)
            if stream is not None:
                account = self._account(call, attempt, body)
                return RoutedStream(call.served_by(attempt.arm), stream, account)
        raise call.no_answer()

    async def complete_model(
        self, model: str, body: Mapping[str, Any], *, endpoint: Endpoint | None = None
    ) -> Completion:
        """Return one model's answer: no split, no failover, no breaker, no outcome.

        ``endpoint`` says where a model lives that models.yaml does not list yet. Raises
        UpstreamFailure.
        """
        begun = self._tools.timer()
        place = endpoint or self._tables.current.endpoint(model)
        answer = await self._upstream.complete(place, body)
        latency_ms = (self._tools.timer() - begun) * 1000
        valid, usage = judged(answer, body)
        return Completion(model, answer, latency_ms, valid, usage)

    def agents(self) -> list[str]:
        """Return the agents that can be asked."""
        return sorted(self._tables.current.agent_models)

    def health(self, agent: str) -> tuple[ArmHealth, ...]:
        """Return the health of the agent's arms. Raises UnknownAgentError."""
        found = route(self._tables.current, agent)
        return self._breakers.health(agent, found.rollout_id, found.arms, self._tools.timer())

    def reset_breaker(self, agent: str, arm: str) -> tuple[ArmHealth, ...]:
        """Close an arm's breaker by hand. Raises UnknownAgentError, NotFoundError."""
        found = route(self._tables.current, agent)
        named = {a.name: a for a in found.arms}
        if arm not in named:
            raise NotFoundError(
                f"Agent {agent!r} has no arm {arm!r}.", remedy=f"Its arms: {', '.join(named)}."
            )
        self._breakers.of(agent, found.rollout_id, named[arm]).reset()
        return self.health(agent)

    def judged(self, feedback: Feedback) -> None:
        """Let the trace of a request know of a judgement on its answer."""
        if self._tracer is not None:
            self._tracer.judge(feedback)

    def follow(self) -> RoutingTable:
        """Return the table that holds now; note when it is another one.

        Every request does it; whoever reloads the table does it at once.
        """
        table = self._tables.current
        if table is not self._table:
            self.periods.follow(table, self._tools.clock())
            self._breakers.keep(self._table, table)
            self._table = table
            self._routes.clear()
        return table

    def _cache_key(self, call: Call, body: Mapping[str, Any], use: CacheUse) -> bytes | None:
        if self._cache is None or call.route.rollout is not None:
            return None
        place = call.route.table.endpoint(call.route.arms[0].model)
        return self._cache.key(place, body, use)

    def _kept(self, call: Call, key: bytes | None) -> Routed | None:
        if self._cache is None or key is None:
            return None
        arm = call.route.arms[0]
        completion = self._cache.get(key, arm.model)
        if completion is None:
            return None
        return Routed(call.served_by(arm, cached=True), completion)

    def _limit(self, asked: float | None) -> float:
        return self._longest if asked is None else min(asked, self._longest)

    def _call(self, agent: str, task_id: str, request_id: str, body: Mapping[str, Any]) -> Call:
        table = self.follow()
        taken = self._routes.get(agent)
        if taken is None:
            taken = self._routes[agent] = route(table, agent)
        period = self.periods.present(agent)
        request = Request(request_id, agent, task_id, taken.rollout_id, period)
        if self._tracer is not None:
            request.trace = self._tracer.request(request_id, agent, task_id, body)
        return Call(request, taken, self._upstream, self._breakers, self._tools)

    async def _elected(self, call: Call, body: Mapping[str, Any]) -> Elected | None:
        """Return an ensemble's answer; None when the agent has none, or all its members failed."""
        return await self._ensemble.answer(call, body) if call.route.voices else None

    def _account(self, call: Call, attempt: Attempt, body: Mapping[str, Any]) -> StreamAccount:
        mirror = partial(self.mirrors.offer, call, attempt.arm, body)
        on_whole = mirror if self.mirrors.wanted(call) else None
        trace = call.request.trace
        if trace is not None:
            traced = partial(trace.answered, attempt.arm, call.request.rollout_id)
            return TracedAccount(attempt, wanted_format(body), on_whole, traced, trace.failed)
        return StreamAccount(attempt, wanted_format(body), on_whole)


def _replay(
    call: Call, served: Served, completion: Completion, body: Mapping[str, Any]
) -> RoutedStream:
    """Return a whole answer as the stream that was asked for."""
    if call.request.trace is not None:
        _trace_answer(call.request.trace, served, completion)
    return RoutedStream(served, replayed(completion.answer.data, body))


def _trace_answer(trace: RequestTrace, served: Served, completion: Completion) -> None:
    messages = completion.said.messages
    trace.answered(served.arm, served.rollout_id, messages, cached=served.cached)
