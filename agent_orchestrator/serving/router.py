"""Who answers a request: the sticky choice of an arm, failover, and what every shell gets back.

The core under the gateway, the chat model and the evaluation. One attempt on one arm leaves one
Outcome; an attempt that the client gave up, or that the upstream refused because of the request
itself, leaves none: neither says anything about the arm. An answer that fails output validation is
recorded as such and returned as it is: the client asked for this arm's answer and got it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from agent_orchestrator.domain.outcomes import Outcome
from agent_orchestrator.domain.routing import Arm, Endpoint, RoutingTable, choose_arm
from agent_orchestrator.errors import NotFoundError, UnknownAgentError, UpstreamError
from agent_orchestrator.serving.attempt import Attempt, Instruments, Recorder, Request
from agent_orchestrator.serving.breaker import Breaker, BreakerPolicy
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.health import ArmHealth, Breakers
from agent_orchestrator.serving.periods import Periods
from agent_orchestrator.serving.upstream import Answer, ChunkStream, Upstream
from agent_orchestrator.serving.validation import (
    OutputFormat,
    StreamedAnswer,
    Usage,
    is_valid_completion,
    read_usage,
    wanted_format,
)
from agent_orchestrator.serving.wire import Chunk

FALLBACK = "fallback"
"""Name of the arm of every model of the fallback chain."""


class TableSource(Protocol):
    """Where the routing table comes from; it may be another one at the next request."""

    @property
    def current(self) -> RoutingTable:
        """The table that holds now."""


@dataclass(frozen=True, slots=True)
class Served:
    """Which arm answers a request, and what had failed before it did."""

    request_id: str
    agent: str
    arm: Arm
    rollout_id: str | None
    failed: tuple[Outcome, ...]


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
        content = self.answer.data["choices"][0]["message"].get("content")
        return content if isinstance(content, str) else ""


@dataclass(frozen=True, slots=True)
class Routed:
    """The answer to a routed request."""

    served: Served
    completion: Completion


class NoAnswerError(UpstreamError):
    """Every arm and fallback failed, or is kept out by its breaker.

    ``attempts`` are their outcomes; ``retry_after_s`` is the time until the first open breaker lets
    a trial pass, None when an arm was tried.
    """

    def __init__(self, request: Request, retry_after_s: float | None) -> None:
        tried = ", ".join(f"{outcome.model} ({outcome.error})" for outcome in request.failed)
        last = request.last_failure
        super().__init__(
            f"No model answered for agent {request.agent!r}: {tried}."
            + (f" Last: {last.message}" if last else ""),
            remedy=(last and last.remedy) or "Try again.",
        )
        self.attempts = tuple(request.failed)
        self.retry_after_s = retry_after_s


class Router:
    """Routes the requests of agents. Belongs to one event loop.

    Args:
        tables: the routing table, looked at once a request.
        upstream: the way to the models; whoever made it enters and leaves it.
        recorder: takes one Outcome per attempt.
        breaker: when an arm is kept out.
        clock: seconds since the epoch, for what is recorded.
        timer: monotonic seconds, for latencies and breakers.
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
    ) -> None:
        self._tables = tables
        self._upstream = upstream
        self._tools = Instruments(clock, timer, recorder)
        self._breakers = Breakers(breaker or BreakerPolicy())
        self._table = tables.current
        self.periods = Periods(tables.current, clock())
        """Since when this process serves by which entry, and what is under way."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that everything here runs on."""
        return self._upstream.loop

    async def complete(
        self, agent: str, body: Mapping[str, Any], *, task_id: str, request_id: str
    ) -> Routed:
        """Return the answer of the task's arm, or of the next arm or fallback that answers.

        ``body`` is a chat-completions request; all of it is passed on but ``model``. ``request_id``
        is unique. Raises UnknownAgentError, NoAnswerError, and UpstreamFailure for a request that
        the upstream finds fault with.
        """
        call = self._call(agent, task_id, request_id)
        for attempt in call.attempts():
            try:
                answer = await self._upstream.complete(call.endpoint(attempt), body)
            except UpstreamFailure as failure:
                attempt.failed(failure)
            except BaseException:
                attempt.abandoned()
                raise
            else:
                valid, usage = _judge(answer, body)
                latency_ms = attempt.answered(valid=valid, usage=usage)
                return Routed(
                    call.served_by(attempt),
                    Completion(attempt.arm.model, answer, latency_ms, valid, usage),
                )
        raise call.no_answer()

    async def stream(
        self, agent: str, body: Mapping[str, Any], *, task_id: str, request_id: str
    ) -> RoutedStream:
        """Return the streamed answer once its first data are there; enter it to read it.

        As ``complete``, for a ``body`` with ``stream: true``. Another arm takes over before the
        first byte, none after it: the stream then raises UpstreamFailure.
        """
        call = self._call(agent, task_id, request_id)
        for attempt in call.attempts():
            try:
                chunks = await self._upstream.stream(call.endpoint(attempt), body)
            except UpstreamFailure as failure:
                attempt.failed(failure)
            except BaseException:
                attempt.abandoned()
                raise
            else:
                return RoutedStream(call.served_by(attempt), attempt, chunks, wanted_format(body))
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
        valid, usage = _judge(answer, body)
        return Completion(model, answer, latency_ms, valid, usage)

    def agents(self) -> list[str]:
        """Return the agents that can be asked."""
        return sorted(self._tables.current.agent_models)

    def health(self, agent: str) -> tuple[ArmHealth, ...]:
        """Return the health of the agent's arms. Raises UnknownAgentError."""
        rollout_id, arms = _arms(self._tables.current, agent)
        return self._breakers.health(agent, rollout_id, arms, self._tools.timer())

    def reset_breaker(self, agent: str, arm: str) -> tuple[ArmHealth, ...]:
        """Close an arm's breaker by hand. Raises UnknownAgentError, NotFoundError."""
        rollout_id, arms = _arms(self._tables.current, agent)
        named = {a.name: a for a in arms}
        if arm not in named:
            raise NotFoundError(
                f"Agent {agent!r} has no arm {arm!r}.", remedy=f"Its arms: {', '.join(named)}."
            )
        self._breakers.of(agent, rollout_id, named[arm]).reset()
        return self.health(agent)

    def follow(self) -> RoutingTable:
        """Return the table that holds now; note when it is another one.

        Every request does it; whoever reloads the table does it at once.
        """
        table = self._tables.current
        if table is not self._table:
            self.periods.follow(table, self._tools.clock())
            self._breakers.keep(self._table, table)
            self._table = table
        return table

    def _call(self, agent: str, task_id: str, request_id: str) -> _Call:
        table = self.follow()
        rollout_id, arms = _arms(table, agent)
        order = _order(table, agent, arms, task_id, rollout_id)
        request = Request(request_id, agent, task_id, rollout_id, self.periods.present(agent))
        return _Call(request, table, order, self._breakers, self._tools)


class RoutedStream:
    """A routed request's streamed answer: an async context manager and iterator of its events.

    ``served`` is known from the start. Leaving the context early ends the upstream call.
    """

    def __init__(
        self, served: Served, attempt: Attempt, chunks: ChunkStream, wanted: OutputFormat
    ) -> None:
        self.served = served
        self._attempt = attempt
        self._chunks = chunks
        self._answer = StreamedAnswer(wanted)
        self._is_settled = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._answer.finished:  # the reader left after the last word, before [DONE]
            self._settle()
        self._attempt.abandoned()
        await self._chunks.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._settle()
            raise
        except UpstreamFailure as failure:
            if self._is_settled:  # it was whole at [DONE]
                raise StopAsyncIteration from failure
            self._is_settled = True
            self._attempt.failed(failure)
            raise
        if chunk.data is not None:
            self._answer.add(chunk.data)
        elif chunk.is_done:
            self._settle()  # before the reader sees it: readers leave at [DONE]
        return chunk

    def _settle(self) -> None:
        if not self._is_settled:
            self._is_settled = True
            self._attempt.answered(valid=self._answer.valid, usage=self._answer.usage)


@dataclass(frozen=True, slots=True)
class _Call:
    """A request, the snapshot of the table that it is answered by, and the arms in their order."""

    request: Request
    table: RoutingTable
    order: tuple[Arm, ...]
    breakers: Breakers
    tools: Instruments

    def attempts(self) -> Iterator[Attempt]:
        """Yield an attempt for each arm in turn that its breaker does not keep out."""
        for number, arm in enumerate(self.order):
            attempt = Attempt(self.request, number, arm, self._breaker(arm), self.tools)
            if attempt.is_permitted():
                yield attempt

    def endpoint(self, attempt: Attempt) -> Endpoint:
        return self.table.endpoint(attempt.arm.model)

    def served_by(self, attempt: Attempt) -> Served:
        request = self.request
        failed = tuple(request.failed)
        return Served(request.id, request.agent, attempt.arm, request.rollout_id, failed)

    def no_answer(self) -> NoAnswerError:
        if self.request.last_failure is not None:
            return NoAnswerError(self.request, None)
        now = self.tools.timer()
        waits = [self._breaker(arm).retry_after(now) for arm in self.order]
        return NoAnswerError(self.request, min(waits))

    def _breaker(self, arm: Arm) -> Breaker:
        return self.breakers.of(self.request.agent, self.request.rollout_id, arm)


def _arms(table: RoutingTable, agent: str) -> tuple[str | None, tuple[Arm, ...]]:
    """Return the id of the agent's rollout (None without one) and its arms."""
    try:
        arms = table.arms(agent)
    except KeyError:
        raise UnknownAgentError(agent, sorted(table.agent_models)) from None
    rollout = table.rollouts.get(agent)
    return (rollout.id if rollout else None), arms


def _order(
    table: RoutingTable, agent: str, arms: Sequence[Arm], task_id: str, rollout_id: str | None
) -> tuple[Arm, ...]:
    """Return the task's arm, then the arms that may take over, then the fallbacks.

    Besides the arms with traffic of their own only the stable one may: after promotion it is kept
    warm, while an arm without traffic has yet to prove itself.
    """
    chosen = choose_arm(arms, task_id, rollout_id or agent)
    others = (arm for arm in arms if arm is not chosen and (arm.weight or arm is arms[0]))
    order = (chosen, *others)
    tried = {arm.model for arm in order}
    fallbacks = (m for m in table.fallback_models(agent) if m not in tried)
    return (*order, *(Arm(FALLBACK, model, weight=0) for model in fallbacks))


def _judge(answer: Answer, body: Mapping[str, Any]) -> tuple[bool, Usage]:
    """Return whether the answer is valid, and its usage."""
    valid = is_valid_completion(answer.data, wanted_format(body))
    return valid, read_usage(answer.data) or Usage()
