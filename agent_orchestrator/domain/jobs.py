"""Jobs: work that outlives the request that asked for it (training, evaluation, …)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JobKind = Literal["training", "evaluation", "conversion", "search", "trial", "experiment"]
JobStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
FailureKind = Literal[
    "bad_column",
    "bad_spec",
    "cancelled",
    "disk_full",
    "gated_model",
    "killed",
    "nan_loss",
    "no_reward",
    "no_sandbox",
    "out_of_memory",
    "timeout",
    "unavailable",
    "unknown_architecture",
    "unknown_base_model",
    "unknown",
]

TERMINAL: frozenset[JobStatus] = frozenset({"completed", "failed", "cancelled"})

_REGISTER = frozenset({"training", "search", "conversion"})


def registers(kind: str) -> bool:
    """Tell whether the version of such a job is one that it made.

    An evaluation's is its candidate's, which was registered before.
    """
    return kind in _REGISTER


@dataclass(frozen=True, slots=True)
class Failure:
    """A diagnosed failure."""

    kind: FailureKind
    message: str
    """One line: what happened."""
    remedy: str = ""
    """One line: what to change."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a job stands. Unknown values are None, never guessed."""

    status: JobStatus
    message: str = ""
    """What it is doing now, e.g. ``loading the base model``."""
    current_step: int | None = None
    total_steps: int | None = None
    current_loss: float | None = None
    learning_rate: float | None = None
    eta_seconds: float | None = None
    losses: tuple[tuple[int, float], ...] = ()
    """(step, loss) in order."""
    seconds: float | None = None
    """How long its process has run, by its own record."""
    cost_usd: float | None = None
    """What the models that it asked cost, by its own record."""
    tensorboard_url: str | None = None
    """Where the event files lie."""
    failure: Failure | None = None
    result: Mapping[str, Any] | None = None
    """The manifest of a completed job, as the worker wrote it."""

    @property
    def progress_pct(self) -> float | None:
        """Steps done in percent, None while the total is unknown."""
        if self.status == "completed":
            return 100.0
        if not self.total_steps or self.current_step is None:
            return None
        return 100.0 * self.current_step / self.total_steps


@dataclass(frozen=True, slots=True)
class LogPart:
    """Some lines of a job's log."""

    lines: tuple[str, ...]
    end: int | None
    """Where the line after them begins; None where a log can only be read at its end."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job as the store keeps it. Times are seconds since the epoch."""

    id: str
    kind: JobKind
    agent: str
    status: JobStatus
    backend: str
    """``local``, ``hf_space``, ``hf_jobs`` or ``fake``."""
    request: Mapping[str, Any]
    """The use case's request, JSON."""
    requester: str
    created_at: float
    updated_at: float
    ref: Mapping[str, Any] = field(default_factory=dict)
    """What the backend needs to find the job again, JSON."""
    estimated_cost_usd: float = 0.0
    estimated_minutes: float = 0.0
    actual_cost_usd: float | None = None
    approval_id: str | None = None
    finished_at: float | None = None
    result: Mapping[str, Any] | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """A job has come to a status."""

    seq: int
    """Rises with every event."""
    at: float
    """Seconds since the epoch."""
    job_id: str
    kind: JobKind
    agent: str
    backend: str
    requester: str
    status: JobStatus
    message: str
    """The diagnosis of one that failed, the version that a job made; else empty."""
