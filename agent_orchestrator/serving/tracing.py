"""What is traced: use cases, calls of training backends, requests and model calls, as spans.

Off means that there is no ``Tracer``: what could be traced then costs one comparison with None.
On, a span is put together where the work happens and handed to a sink, which returns at once; what
becomes of it (redacted, cut, sent) is the sink's business and never that of the work.

A trace is handed over when its root ends, whole, so that a root may still decide that nothing of
it leaves this machine (``OpenSpan.drop``).
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agent_orchestrator.domain.outcomes import Feedback, Outcome
from agent_orchestrator.domain.routing import Arm

Kind = Literal["chain", "llm", "tool"]
Metadata = Mapping[str, str | int | float | bool | None]

_REQUESTS = uuid.UUID("0d6f7a52-6a1e-5d0e-9a55-5d1f3c0b7e11")
"""Namespace of the traces of requests whose id is not a UUID."""


@dataclass(frozen=True, slots=True)
class Step:
    """One span on the way from a trace's root."""

    begun: float
    """Seconds since the epoch."""
    id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Above:
    """A run of a trace that somebody else sends, under which a request's trace goes on."""

    path: tuple[Step, ...]
    """From that trace's root."""
    project: str | None
    """Where it is sent to; None for the usual project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that was done, and has ended."""

    name: str
    kind: Kind
    path: tuple[Step, ...]
    """From the root to this span."""
    ended: float
    """Seconds since the epoch."""
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any] | None
    error: str | None
    metadata: Metadata
    project: str | None = None
    """Where it belongs; None for the usual project."""


class SpanSink(Protocol):
    """Where spans go."""

    def take(self, spans: Sequence[Span]) -> None:
        """Take the spans of one trace, the root last. Returns at once and does not raise."""

    def judge(self, feedback: Feedback) -> None:
        """Take a judgement on a request that was traced. Returns at once and does not raise."""


@dataclass(slots=True)
class OpenSpan:
    """A span under way."""

    path: tuple[Step, ...]
    inputs: Mapping[str, Any]
    metadata: dict[str, Any]
    outputs: Mapping[str, Any] | None = None
    finished: list[Span] = field(default_factory=list)
    """What has ended of the trace; one list for all its spans."""
    dropped: bool = False

    def drop(self) -> None:
        """Let nothing of the trace be handed on. Meant for its root."""
        self.dropped = True


_current: ContextVar[OpenSpan | None] = ContextVar("chef_span", default=None)
_above: ContextVar[Above | None] = ContextVar("chef_above", default=None)


@contextmanager
def traced_under(above: Above | None) -> Iterator[None]:
    """Let the traces of requests that are begun in the block go on under ``above``."""
    token = _above.set(above)
    try:
        yield
    finally:
        _above.reset(token)


class Tracer:
    """Makes spans and hands whole traces to a sink."""

    def __init__(self, sink: SpanSink, clock: Callable[[], float] = time.time) -> None:
        self._sink = sink
        self._clock = clock

    @contextmanager
    def span(
        self,
        name: str,
        inputs: Mapping[str, Any],
        metadata: Metadata,
        *,
        kind: Kind = "chain",
    ) -> Iterator[OpenSpan]:
        """Trace a block; spans that are opened inside it, also in its threads, are its children.

        What the block raises is the span's error.
        """
        above = _current.get()
        step = Step(self._clock(), new_id(self._clock()))
        path = (*above.path, step) if above else (step,)
        opened = OpenSpan(path, inputs, dict(metadata))
        if above is not None:
            opened.finished = above.finished
        token = _current.set(opened)
        error: str | None = None
        try:
            yield opened
        except BaseException as raised:
            error = f"{type(raised).__name__}: {raised}"
            raise
        finally:
            _current.reset(token)
            opened.finished.append(self._ended(name, kind, opened, error))
            if above is None and not opened.dropped:
                self._sink.take(opened.finished)

    def _ended(self, name: str, kind: Kind, opened: OpenSpan, error: str | None) -> Span:
        return Span(
            name=name,
            kind=kind,
            path=opened.path,
            ended=self._clock(),
            inputs=opened.inputs,
            outputs=opened.outputs,
            error=error,
            metadata=opened.metadata,
        )

    def judge(self, feedback: Feedback) -> None:
        """Hand a judgement on a traced request on, to stand beside its trace."""
        self._sink.judge(feedback)

    def request(
        self, request_id: str, agent: str, task_id: str, body: Mapping[str, Any]
    ) -> RequestTrace:
        """Begin the trace of a routed request."""
        return RequestTrace(
            self._sink,
            self._clock,
            request_id=request_id,
            agent=agent,
            task_id=task_id,
            body=body,
        )


class RequestTrace:
    """The trace of one routed request: what was asked and answered, and every call of a model.

    A trace of its own, or a part of the one that ``traced_under`` names.

    Ends once, by ``answered`` or ``failed``; calls that end later (mirrors) follow on their own.
    """

    __slots__ = (
        "_agent", "_attempts", "_body", "_clock", "_ended", "_path", "_project", "_request_id",
        "_sink", "_task_id",
    )  # fmt: skip

    def __init__(
        self,
        sink: SpanSink,
        clock: Callable[[], float],
        *,
        request_id: str,
        agent: str,
        task_id: str,
        body: Mapping[str, Any],
    ) -> None:
        self._sink = sink
        self._clock = clock
        above = _above.get() or Above((), None)
        self._path = (*above.path, Step(clock(), request_trace_id(request_id)))
        self._project = above.project
        self._request_id = request_id
        self._agent = agent
        self._task_id = task_id
        self._body = dict(body)  # whoever asked may go on with theirs
        self._attempts: list[Span] = []
        self._ended = False

    def attempted(self, outcome: Outcome) -> None:
        """A model was called, or kept out by its breaker."""
        span = self._call(outcome)
        if self._ended:
            self._sink.take([span])
        else:
            self._attempts.append(span)

    def answered(
        self,
        arm: Arm,
        rollout_id: str | None,
        messages: Sequence[Mapping[str, Any]] | None,
        *,
        cached: bool = False,
    ) -> None:
        """The answer is whole; None when it was too long to be collected."""
        outputs: dict[str, Any] = {"note": "The answer was too long to be kept."}
        if messages is not None:
            outputs = {"choices": [{"message": message} for message in messages]}
        served = {"model": arm.model, **_served(arm.name, arm.version, rollout_id)}
        self._end(outputs, None, {**served, "cached": cached})

    def failed(self, error: str) -> None:
        """There was no answer, or it broke off."""
        self._end(None, error, {})

    def _end(self, outputs: Mapping[str, Any] | None, error: str | None, more: Metadata) -> None:
        if self._ended:
            return
        self._ended = True
        root = Span(
            name=f"agent/{self._agent}",
            kind="chain",
            path=self._path,
            ended=self._clock(),
            inputs={key: value for key, value in self._body.items() if key != "model"},
            outputs=outputs,
            error=error,
            metadata={**self._identity(), **more},
            project=self._project,
        )
        self._sink.take([*self._attempts, root])

    def _call(self, outcome: Outcome) -> Span:
        begun = outcome.at - outcome.latency_ms / 1000
        tokens = {}
        if outcome.prompt_tokens is not None and outcome.completion_tokens is not None:
            tokens = {
                "prompt_tokens": outcome.prompt_tokens,
                "completion_tokens": outcome.completion_tokens,
            }
        return Span(
            name=outcome.model,
            kind="llm",
            path=(*self._path, Step(begun, new_id(begun))),
            ended=outcome.at,
            inputs={},
            outputs=None,
            error=outcome.error,
            metadata={
                **self._identity(),
                "model": outcome.model,
                **_served(outcome.arm, outcome.version, outcome.rollout_id),
                "attempt": outcome.attempt,
                "role": outcome.role,
                "valid_output": outcome.valid_output,
                **tokens,
            },
            project=self._project,
        )

    def _identity(self) -> dict[str, str]:
        return {
            "agent": self._agent,
            "request_id": self._request_id,
            "thread_id": self._task_id,  # LangSmith shows a thread's traces together
        }


@contextmanager
def failures_traced(trace: RequestTrace) -> Iterator[None]:
    """End a request's trace with what the block raises."""
    try:
        yield
    except BaseException as error:
        trace.failed(f"{type(error).__name__}: {error}")
        raise


def _served(arm: str, version: str | None, rollout_id: str | None) -> dict[str, str | None]:
    return {"arm": arm, "model_version": version, "rollout_id": rollout_id}


def request_trace_id(request_id: str) -> uuid.UUID:
    """Return the trace of a request: its own id where that is a UUID, as a gateway's are."""
    try:
        return uuid.UUID(request_id)
    except ValueError:
        return uuid.uuid5(_REQUESTS, request_id)


def new_id(at: float) -> uuid.UUID:
    """Return a UUID of version 7 (RFC 9562): its first 48 bits are milliseconds since the epoch."""
    random = int.from_bytes(os.urandom(10), "big")
    value = (int(at * 1000) << 80) | random
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    return uuid.UUID(int=(value & ~(0x3 << 62)) | (0x2 << 62))
