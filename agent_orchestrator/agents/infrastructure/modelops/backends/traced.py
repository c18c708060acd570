"""A training backend whose calls are traced."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.backends import (
    KeepsArtifacts,
    Ref,
    TrainerBackend,
)
from agent_orchestrator.domain.jobs import Progress
from agent_orchestrator.domain.training import TrainingSpec
from agent_orchestrator.serving.tracing import OpenSpan, Tracer

_ROWS: Final = ("rows", "validation_rows")
_PROGRESS: Final = ("status", "message", "current_step", "total_steps", "current_loss", "failure")


def traced(name: str, backend: TrainerBackend, tracer: Tracer) -> TrainerBackend:
    """Return ``backend`` with its calls traced; one that keeps artifacts still does."""
    if isinstance(backend, KeepsArtifacts):
        return _TracedKeeper(name, backend, tracer)
    return _Traced(name, backend, tracer)


class _Traced:
    """Implements ``TrainerBackend`` around another."""

    def __init__(self, name: str, backend: TrainerBackend, tracer: Tracer) -> None:
        self._name = name
        self._backend = backend
        self._tracer = tracer

    def _span(
        self, method: str, inputs: Mapping[str, Any], **metadata: str | None
    ) -> AbstractContextManager[OpenSpan]:
        named = {"backend": self._name, **metadata}
        return self._tracer.span(f"{self._name}.{method}", inputs, named, kind="tool")

    def submit(self, job_id: str, spec: TrainingSpec) -> Ref:
        """See ``TrainerBackend``; of the examples only their number is traced."""
        inputs = {f.name: getattr(spec, f.name) for f in fields(spec) if f.name not in _ROWS}
        inputs |= {name: len(getattr(spec, name)) for name in _ROWS}
        with self._span("submit", inputs, job_id=job_id, agent=spec.agent) as span:
            ref = self._backend.submit(job_id, spec)
            span.outputs = dict(ref)
            return ref

    def poll(self, ref: Ref) -> Progress:
        """See ``TrainerBackend``."""
        with self._span("poll", ref, job_id=ref.get("job_id")) as span:
            progress = self._backend.poll(ref)
            span.outputs = {name: getattr(progress, name) for name in _PROGRESS}
            return progress

    def cancel(self, ref: Ref) -> None:
        """See ``TrainerBackend``."""
        with self._span("cancel", ref, job_id=ref.get("job_id")):
            self._backend.cancel(ref)

    def logs(self, ref: Ref, tail: int) -> list[str]:
        """See ``TrainerBackend``; the lines themselves are not traced."""
        with self._span("logs", ref, job_id=ref.get("job_id")) as span:
            lines = self._backend.logs(ref, tail)
            span.outputs = {"lines": len(lines)}
            return lines


class _TracedKeeper(_Traced):
    """Implements ``KeepsArtifacts`` too."""

    def fetch(self, ref: Ref, model: str) -> None:
        """See ``KeepsArtifacts``."""
        with self._span("fetch", {**ref, "model": model}, job_id=ref.get("job_id"), model=model):
            self._fetch(ref, model)

    def _fetch(self, ref: Ref, model: str) -> None:
        keeper = self._backend
        if not isinstance(keeper, KeepsArtifacts):
            raise TypeError(f"{self._name} keeps no artifacts.")
        keeper.fetch(ref, model)
