"""Training backends whose calls are traced, whichever of the ports they have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final, cast

from agent_orchestrator.agents.infrastructure.modelops import backends
from agent_orchestrator.agents.infrastructure.modelops.backends import TrainerBackend
from agent_orchestrator.domain.jobs import LogPart, Progress
from agent_orchestrator.domain.training import TrainingSpec
from agent_orchestrator.serving.tracing import Tracer

_ROWS: Final = ("rows", "validation_rows")
_PROGRESS: Final = ("status", "message", "current_step", "total_steps", "current_loss", "failure")
_PORTS: Final = tuple(
    port for port in vars(backends).values() if getattr(port, "_is_runtime_protocol", False)
)
"""What a backend may offer beside ``TrainerBackend``; callers ask by ``isinstance``."""


def traced(
    name: str,
    backend: TrainerBackend,
    tracer: Tracer,
    stays_here: Callable[[str], bool] = lambda _job_id: False,
) -> TrainerBackend:
    """Return ``backend`` with the calls of all its ports traced.

    Of examples and log lines only the number is traced, and of a job for whose id ``stays_here``
    nothing at all.
    """
    ports = [TrainerBackend, *(port for port in _PORTS if isinstance(backend, port))]
    methods = {
        method
        for port in ports
        for part in port.__mro__
        if part.__module__ == backends.__name__
        for method in vars(part)
        if not method.startswith("_")
    }
    calls = {method: _call(method) for method in methods}
    kind = type(f"Traced{type(backend).__name__}", (_Traced,), calls)
    return cast("TrainerBackend", kind(name, backend, tracer, stays_here))


class _Traced:
    """A backend, and what its calls are traced with."""

    def __init__(
        self,
        name: str,
        backend: TrainerBackend,
        tracer: Tracer,
        stays_here: Callable[[str], bool],
    ) -> None:
        self.name = name
        self.backend = backend
        self.tracer = tracer
        self.stays_here = stays_here


def _call(method: str) -> Callable[..., Any]:
    """Return the traced form of one method."""

    def call(self: _Traced, first: Any, *others: Any) -> Any:
        act = getattr(self.backend, method)
        job_id = _job_id(method, first)
        if job_id is not None and self.stays_here(job_id):
            return act(first, *others)
        spec = next((given for given in others if isinstance(given, TrainingSpec)), None)
        metadata = {"backend": self.name, "job_id": job_id, "agent": spec.agent if spec else None}
        inputs = {"arguments": [_shown(given) for given in (first, *others)]}
        with self.tracer.span(f"{self.name}.{method}", inputs, metadata, kind="tool") as span:
            found = act(first, *others)
            span.outputs = {"returned": _shown(found)}
            return found

    call.__name__ = method
    return call


def _job_id(method: str, first: Any) -> str | None:
    """Return the job that a call is about: named by its id or by its ref."""
    if isinstance(first, Mapping):
        return first.get("job_id")
    return str(first) if method == "submit" else None


def _shown(value: Any) -> Any:
    """Return what of an argument or a result is traced."""
    if isinstance(value, TrainingSpec):
        named = {f.name: getattr(value, f.name) for f in fields(value)}
        return named | {name: len(named[name]) for name in _ROWS}
    if isinstance(value, Progress):
        return {name: getattr(value, name) for name in _PROGRESS}
    if isinstance(value, LogPart):
        return _shown(list(value.lines))
    if isinstance(value, list):
        return f"({len(value)} lines)"
    return value
