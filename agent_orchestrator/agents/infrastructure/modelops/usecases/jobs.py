"""Following and cancelling jobs, of any kind."""

from __future__ import annotations

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    ChangingRequest,
    Request,
    Result,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import ConversionResult
from agent_orchestrator.agents.infrastructure.modelops.usecases.evaluation import EvaluationResult
from agent_orchestrator.agents.infrastructure.modelops.usecases.experiments import ExperimentResult
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import TrialReport
from agent_orchestrator.domain.jobs import JobStatus


class MonitorTrainingJob(Request):
    """Show how a job stands.

    Of any kind, by its id or as the agent's newest.
    """

    job_id: str | None = None
    agent: str | None = None


class CancelTrainingJob(ChangingRequest):
    """Cancel a job.

    Of any kind, by its id or as the agent's newest.
    """

    job_id: str | None = None
    agent: str | None = None


class ResumeTrainingJob(ChangingRequest):
    """Go on with a training that was cut off.

    One that was cancelled, killed or failed, by its id or as the agent's newest job, from its last
    checkpoint; without one it starts anew.
    """

    job_id: str | None = None
    agent: str | None = None


class JobError(Result):
    """A diagnosed failure."""

    kind: str
    message: str
    remedy: str = ""


class JobReport(Result):
    """Where a job stands; what is not known is null."""

    job_id: str
    kind: str
    agent: str
    status: JobStatus
    message: str = ""
    progress_pct: float | None = None
    current_step: int | None = None
    total_steps: int | None = None
    current_loss: float | None = None
    learning_rate: float | None = None
    eta_minutes: float | None = None
    hub_repo: str | None = None
    version: str | None = None
    """The registered version of a completed training."""
    tensorboard_url: str | None = None
    estimated_cost_usd: float = 0.0
    requester: str = ""
    backend: str = ""
    """What runs it."""
    started_at: float | None = None
    """Seconds since the epoch."""
    finished_at: float | None = None
    offline: bool = False
    """An evaluation or experiment that stays on this machine."""
    actual_cost_usd: float | None = None
    error: JobError | None = None
    notes: list[str] = []
    """What a training's engine did otherwise than one may expect."""
    evaluation: EvaluationResult | None = None
    """The finding of a completed evaluation, or of the one that a conversion ends with."""
    experiment: ExperimentResult | None = None
    """The finding of a completed experiment."""
    conversion: ConversionResult | None = None
    """What a completed conversion made."""
    trials: list[TrialReport] = []
    """Those of a completed search."""


class JobCancelled(Result):
    """A job that was asked to stop."""

    job_id: str
    status: JobStatus


class JobResumed(Result):
    """A job that goes on."""

    job_id: str
    status: JobStatus
