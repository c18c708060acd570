"""Fine-tuning a model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import ChangingRequest, Result
from agent_orchestrator.domain.models import TrainingEngine, TrainingMethod, TrainingMode


class TrainSubagentModel(ChangingRequest):
    """Fine-tune a model for an agent."""

    agent: str
    dataset: str | None = None
    """Data set id or name; the agent's newest when left out."""
    base_model: str | None = None
    """Model id; the model that serves the agent when it was trained here, else the default."""
    method: TrainingMethod = "sft"
    engine: TrainingEngine | None = None
    """What trains: trl, or autotrain for orpo, when left out."""
    mode: TrainingMode = "demo"
    max_examples: Annotated[int, Field(ge=2)] | None = None
    """Examples to train on; the mode's number when left out."""
    overrides: dict[str, Any] = {}
    """Hyperparameters that replace the defaults."""
    override_reason: str | None = None
    """Why to begin with a production run although no run of this kind was ever completed."""
    backend: Literal["local", "hf_space", "hf_jobs"] | None = None
    """Where to train; CHEF_BACKEND when left out."""


class TrainingStarted(Result):
    """A training job."""

    job_id: str
    hub_repo: str
    dataset: str
    base_model: str
    estimated_cost_usd: float
    estimated_minutes: float
    status_url: str
    approval: str
    """``none needed`` or the approval's id."""
